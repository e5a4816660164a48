# SPDX-License-Identifier: Apache-2.0
"""Plugin spot-handler on a private bus, with scripts that behave well and scripts that do not. Arguments: the program,
the source tree."""

import os
import sys
import tempfile
import time

from gi.repository import GLib

import plugin_bus
from plugin_bus import s

PROGRAM, SOURCE = sys.argv[1:3]
SPOT = "cloud.spot.interrupt"


def event(type_=SPOT, left=None, source="aws", data=None, **more):
    """left: seconds until the deadline; None: it names none."""
    fields = {"id": s("1"), "type": s(type_), "source": s(source), "data": GLib.Variant("a{sv}", data or {}), **more}
    if left is not None:
        fields["deadline"] = GLib.Variant("t", max(0, int((time.time() + left) * 1e6)))
    return fields


class SpotHandler(plugin_bus.HandlerTestCase):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def path(self, name):
        return os.path.join(self.directory, name)

    def script(self, text, mode=0o755):
        with open(self.path("script.new"), "w") as f:
            f.write("#!/bin/sh\n" + text + "\n")
        os.chmod(self.path("script.new"), mode)
        os.rename(self.path("script.new"), self.path("script"))
        return self.path("script")

    def start(self, text=None, **settings):
        path = self.script(text) if text is not None else self.path("script")
        plugin = self.plugin(PROGRAM, "spot-handler", environment={"SNOOZE_TRUST_OWN_PROGRAMS": "1"})
        config = {"shutdown_script_path": s(path), **{name: GLib.Variant("x", value) for name,
                                                      value in settings.items()}}
        return plugin.greet(config)

    def wait_for(self, name):
        plugin_bus.iterate_until(lambda: os.path.exists(self.path(name)))

    def runs(self):
        try:
            with open(self.path("runs")) as f:
                return f.read().count("run\n")
        except FileNotFoundError:
            return 0

    def test_manifest_and_program_agree(self):
        self.assert_agrees_with_manifest(PROGRAM, os.path.join(SOURCE, "plugins/spot-handler/plugin.json"))

    def test_the_script_runs_and_its_end_is_told(self):
        handled, result = self.tell(self.start("echo saving; echo and more >&2"), event(left=100))
        self.assertTrue(handled)
        self.assertLessEqual(result.pop("time_remaining"), 100)
        self.assertEqual(result, {"script_output": "saving\nand more\n", "success": True})

    def test_a_script_that_fails(self):
        handled, result = self.tell(self.start("echo no disk; exit 3"), event(left=100))
        self.assertEqual((handled, result["success"], result["error"], result["script_output"]),
                         (True, False, "exit status 3", "no disk\n"))

    def test_its_share_of_the_time_bounds_it(self):
        begun = time.monotonic()
        handled, result = self.tell(self.start("trap '' TERM; echo \"$SNOOZE_SCRIPT_SECONDS\"; while :; do sleep 1; done"),
                                    event(left=100, budget=GLib.Variant("t", 4_000_000)))
        self.assertTrue(handled)
        self.assertRegex(result["error"], "^was ended after .* s: there was no more time$")
        self.assertEqual(result["script_output"], "3\n")
        # A quarter of it is for SIGTERM, SIGKILL and the answer.
        self.assertGreaterEqual(time.monotonic() - begun, 3)
        self.assertLess(time.monotonic() - begun, 40)

    def test_a_script_that_crashes(self):
        _, result = self.tell(self.start("kill -SEGV $$"), event(left=100))
        self.assertEqual((result["success"], result["error"]), (False, "was ended by signal 11 (Segmentation fault)"))

    def test_a_script_that_cannot_be_run(self):
        with open(self.path("script"), "w") as f:
            f.write("#!/does/not/exist\n")
        os.chmod(self.path("script"), 0o755)
        _, result = self.tell(self.start(), event(left=100))
        self.assertEqual((result["success"], result["error"]), (False, "cannot be run: No such file or directory"))

    def test_the_same_end_is_handled_once(self):
        plugin = self.start("echo run >> %s" % self.path("runs"))
        self.assertTrue(self.tell(plugin, event(left=100))[1]["success"])
        for again in (event(left=100, id=s("2")), event("cloud.instance.termination", left=80, source="azure")):
            self.assertEqual(self.tell(plugin, again), (True, {"status": "already_handled"}))
        self.assertEqual(self.runs(), 1)

    def test_a_dry_run_runs_nothing_and_hides_nothing(self):
        plugin = self.start("echo run >> %s" % self.path("runs"))
        for type_ in (SPOT, "cloud.instance.termination"):
            self.assertEqual(self.tell(plugin, event(type_, left=100, data={"dry_run": GLib.Variant("b", True)})),
                             (False, {"status": "dry_run"}))
        self.assertEqual(self.runs(), 0)
        self.assertTrue(self.tell(plugin, event(left=100, data={"dry_run": GLib.Variant("b", False)}))[1]["success"])
        self.assertEqual(self.runs(), 1)

    def test_a_notice_that_is_repeated_is_told_what_came_of_it(self):
        """As by a daemon that was killed before it had the answer."""
        plugin = self.start("echo run >> {0}/runs; touch {0}/begun; read line < {0}/gate; echo saved; exit 3".format(self.directory))
        os.mkfifo(self.path("gate"))
        first = self.send(plugin, event(left=100))
        self.wait_for("begun")
        meanwhile, another = self.send(plugin, event(left=99)), self.send(plugin, event(left=99, source="gcp"))
        plugin.call("", "Ping")
        self.assertEqual((meanwhile, another), ([], []))
        with open(self.path("gate"), "w") as f:
            f.write("\n")
        handled, result = self.answer(first)
        self.assertEqual((handled, result["script_output"], result["success"], result["error"]), (True, "saved\n", False, "exit status 3"))
        self.assertNotIn("status", result)
        self.assertEqual(self.answer(meanwhile), (True, {**result, "status": "already_handled"}))
        self.assertEqual(self.answer(another), (True, {"status": "already_handled"}))
        self.assertEqual(self.tell(plugin, event(left=98)), (True, {**result, "status": "already_handled"}))
        self.assertEqual(self.tell(plugin, event(left=98, source="gcp")), (True, {"status": "already_handled"}))
        self.assertEqual(self.runs(), 1)

    def test_who_asks_meanwhile_waits_for_the_end(self):
        plugin = self.start("echo run >> {0}/runs; touch {0}/begun; read line < {0}/gate".format(self.directory))
        os.mkfifo(self.path("gate"))
        first = self.send(plugin, event(left=100))
        self.wait_for("begun")
        second = self.send(plugin, event(left=100, source="gcp"))
        plugin.call("", "Ping")
        self.assertEqual(second, [])
        with open(self.path("gate"), "w") as f:
            f.write("\n")
        self.assertTrue(self.answer(first)[1]["success"])
        self.assertEqual(self.answer(second), (True, {"status": "already_handled"}))
        self.assertEqual(self.runs(), 1)

    def test_an_earlier_end_shortens_the_run(self):
        plugin = self.start("touch %s; exec sleep 1000" % self.path("begun"))
        first = self.send(plugin, event(left=100))
        self.wait_for("begun")
        begun = time.monotonic()
        second = self.send(plugin, event(left=5, source="gcp"))
        self.assertRegex(self.answer(first)[1]["error"], r"^was ended after .* there was no more time$")
        self.assertEqual(self.answer(second)[1], {"status": "already_handled"})
        self.assertLess(time.monotonic() - begun, 40)

    def test_one_that_is_put_off_is_that_end_from_then_on(self):
        plugin = self.start("echo run >> %s" % self.path("runs"))
        end = "cloud.instance.termination"
        self.assertTrue(self.tell(plugin, event(end, left=100))[1]["success"])
        self.assertEqual(self.tell(plugin, event(end, left=86400, moved=GLib.Variant("b", True)))[1]["status"], "already_handled")
        # Another one before it is none that was handled.
        self.assertTrue(self.tell(plugin, event(left=100, id=s("2")))[1]["success"])
        self.assertEqual(self.runs(), 2)

    def test_one_that_is_put_off_meanwhile_is_that_end_too(self):
        plugin = self.start("echo run >> {0}/runs; [ -e {0}/gate ] || exit 0; touch {0}/begun; read line < {0}/gate"
                            .format(self.directory))
        os.mkfifo(self.path("gate"))
        end = "cloud.instance.termination"
        first = self.send(plugin, event(end, left=100))
        self.wait_for("begun")
        moved = self.send(plugin, event(end, left=86400, moved=GLib.Variant("b", True)))
        plugin.call("", "Ping")
        with open(self.path("gate"), "w") as f:
            f.write("\n")
        self.assertTrue(self.answer(first)[1]["success"])
        self.assertEqual(self.answer(moved)[1]["status"], "already_handled")
        os.unlink(self.path("gate"))
        # Who tells of the same one, as of then, is no news; one before it is none that was handled.
        self.assertEqual(self.tell(plugin, event(end, left=86400, id=s("2")))[1]["status"], "already_handled")
        self.assertTrue(self.tell(plugin, event(left=100, id=s("3")))[1]["success"])
        self.assertEqual(self.runs(), 2)

    def test_one_of_two_who_puts_it_off_meanwhile_does_not_for_the_other(self):
        plugin = self.start("touch {0}/begun; read line < {0}/gate".format(self.directory))
        os.mkfifo(self.path("gate"))
        end = "cloud.instance.termination"
        first = self.send(plugin, event(end, left=100))
        self.wait_for("begun")
        others = [self.send(plugin, event(end, left=100, source="gcp")), self.send(plugin, event(end, left=86400, moved=GLib.Variant("b", True)))]
        plugin.call("", "Ping")
        with open(self.path("gate"), "w") as f:
            f.write("\n")
        for waiting in [first] + others:
            self.assertTrue(self.answer(waiting)[0])
        self.assertEqual(self.tell(plugin, event(left=100, id=s("3")))[1]["status"], "already_handled")

    def test_a_far_end_hides_no_near_one(self):
        plugin = self.start("echo run >> %s" % self.path("runs"))
        far = event("cloud.instance.termination", left=50 * 365 * 86400, source="gcp", id=s("far"))
        self.assertTrue(self.tell(plugin, far)[1]["success"])
        self.assertTrue(self.tell(plugin, event(left=100, id=s("near")))[1]["success"])
        for again in (event("cloud.instance.termination", left=95, source="alice"), far):
            self.assertEqual(self.tell(plugin, again), (True, {"status": "already_handled"}))
        self.assertEqual(self.runs(), 2)

    def test_a_far_end_of_an_earlier_instance_hides_no_near_one(self):
        plugin = self.start("echo run >> %s" % self.path("runs"))
        plugin.call(".State", "ImportState", "(uay)", 1, str(2**64 - 1).encode())
        self.assertTrue(self.tell(plugin, event(left=100))[1]["success"])
        self.assertEqual(self.runs(), 1)

    def test_calling_off_a_far_end_leaves_the_run_for_the_near_one(self):
        plugin = self.start("echo run >> {0}/runs; [ -e {0}/gate ] || exit 0; touch {0}/begun; read line < {0}/gate"
                            .format(self.directory))
        far = event("cloud.instance.termination", left=3600, source="gcp", id=s("far"))
        self.assertTrue(self.tell(plugin, far)[1]["success"])
        os.mkfifo(self.path("gate"))
        near = self.send(plugin, event(left=100, id=s("near")))
        self.wait_for("begun")
        off = {**far, "cancelled": GLib.Variant("b", True)}
        self.assertEqual(self.tell(plugin, off), (False, {"status": "cancelled"}))
        with open(self.path("gate"), "w") as f:
            f.write("\n")
        self.assertTrue(self.answer(near)[1]["success"])
        self.assertEqual(self.runs(), 2)

    def test_a_near_end_that_comes_while_the_far_one_is_handled(self):
        plugin = self.start("echo run >> {0}/runs; touch {0}/begun; read line < {0}/gate".format(self.directory))
        os.mkfifo(self.path("gate"))
        first = self.send(plugin, event("cloud.instance.termination", left=3600, source="gcp"))
        self.wait_for("begun")
        second = self.send(plugin, event(left=100, id=s("2")))
        plugin.call("", "Ping")
        with open(self.path("gate"), "w") as f:
            f.write("\n")
        self.assertTrue(self.answer(first)[1]["success"])
        self.assertEqual(self.answer(second), (True, {"status": "already_handled"}))
        # It was handled with the other: nothing runs for who tells of it once more.
        self.assertEqual(self.tell(plugin, event(left=95, id=s("3"))), (True, {"status": "already_handled"}))
        self.assertEqual(self.runs(), 1)

    def test_a_new_notice_after_the_end_that_did_not_come(self):
        plugin = self.start("echo run >> %s" % self.path("runs"))
        # A machine that was put to sleep, and wakes long after.
        plugin.call(".State", "ImportState", "(uay)", 1, str(int((time.time() - 1) * 1e6)).encode())
        self.assertTrue(self.tell(plugin, event(left=100))[1]["success"])
        self.assertEqual(self.runs(), 1)

    def test_what_was_handled_is_known_to_the_next_instance(self):
        plugin = self.start("echo run >> %s" % self.path("runs"))
        self.tell(plugin, event(left=100))
        version, state = plugin.call(".State", "ExportState")
        plugin.stop()
        plugin = self.start()
        plugin.call(".State", "ImportState", "(uay)", version, bytes(state))
        self.assertEqual(self.tell(plugin, event(left=90)), (True, {"status": "already_handled"}))
        self.assertEqual(self.runs(), 1)

    def test_garbled_state_is_refused(self):
        plugin = self.start("true")
        for version, state in ((3, b"1\0"), (2, b""), (2, b"1"), (2, b"\0"), (2, b"x\0"), (2, b"1\0\0"), (2, b"1\0gcp\0"), (2, b"1\0gcp\n1"),
                               (2, b"1\0" + b"".join(b"gcp\n%d\0" % i for i in range(257))), (1, b"1\0"), (1, b""), (1, b"x"), (1, b"1\0002"), (1, b"-1"), (1, b"9" * 40)):
            self.assert_error("InvalidArgument", plugin.call, ".State", "ImportState", "(uay)", version, state)
        self.assertTrue(self.tell(plugin, event(left=100))[1]["success"])

    def test_what_ends_when_the_time_does(self):
        plugin = self.start("echo begun; exec sleep 1000")
        began = time.monotonic()
        _, result = self.tell(plugin, event(left=19))
        self.assertFalse(result["success"])
        self.assertRegex(result["error"], r"^was ended after \d+\.\d s: there was no more time$")
        self.assertEqual(result["script_output"], "begun\n")
        self.assertLess(time.monotonic() - began, 18)

    def test_timeout_seconds(self):
        _, result = self.tell(self.start("exec sleep 1000", timeout_seconds=1), event(left=100))
        self.assertRegex(result["error"], r"^was ended after \d+\.\d s: there was no more time$")

    def test_it_can_clean_up_on_sigterm(self):
        _, result = self.tell(self.start("trap 'echo cleaned; exit 0' TERM; while :; do sleep 0.1; done",
                                         timeout_seconds=4), event(left=100))
        self.assertEqual((result["success"], result["script_output"].replace("Terminated\n", "")),
                         (False, "cleaned\n"))

    def test_who_ignores_sigterm_is_killed_with_all_that_it_started(self):
        plugin = self.start("trap '' TERM; setsid sh -c 'trap \"\" TERM; touch %s; while :; do sleep 1; done' & "
                            "while :; do sleep 1; done" % self.path("begun"), timeout_seconds=4)
        answers = self.send(plugin, event(left=100))
        self.wait_for("begun")
        _, result = self.answer(answers)
        self.assertRegex(result["error"], r"^was ended after \d+\.\d s: there was no more time$")
        plugin_bus.iterate_until(lambda: not self.children(plugin))

    def test_no_time_left(self):
        plugin = self.start("echo run >> %s" % self.path("runs"))
        for left in (15, 3, -5, -1e9):
            handled, result = self.tell(plugin, event(left=left))
            self.assertEqual((handled, result["success"]), (False, False))
            self.assertEqual(result["error"],
                             "%d s are left, of which 15 are kept for the rest of the machine" % result["time_remaining"])
            self.assertLessEqual(result["time_remaining"], max(left, 0))
        self.assertEqual(self.runs(), 0)
        self.assertTrue(self.tell(plugin, event(left=100))[1]["success"])

    def test_each_cloud_is_held_to_its_notice(self):
        for source, most in (("aws", 120), ("gcp", 30), ("azure", 30)):
            plugin = self.start("echo $SNOOZE_TIME_REMAINING $SNOOZE_SCRIPT_SECONDS")
            _, result = self.tell(plugin, event(left=5000, source=source))
            self.assertLessEqual(result["time_remaining"], most)
            self.assertGreater(result["time_remaining"], most - 10)
            remaining, seconds = map(int, result["script_output"].split())
            self.assertEqual(remaining, result["time_remaining"])
            self.assertLessEqual(seconds, min(remaining - 15, 90))
            self.assertGreaterEqual(seconds, min(remaining - 16, 90))
            plugin.stop()

    def test_a_flood_ends_nobody_and_is_bounded(self):
        plugin = self.start("yes 0123456789 | head -c 29999992; echo the end")
        _, result = self.tell(plugin, event(left=100))
        self.assertTrue(result["success"])
        self.assertTrue(result["script_output"].endswith("0123456789\nthe end\n"), result["script_output"][-40:])
        self.assertEqual(len(result["script_output"]), 16384)
        with open("/proc/%d/status" % plugin.process.pid) as f:
            peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
        if os.environ["SNOOZE_SANITIZE"] == "none":
            self.assertLess(peak, 20000)

    def test_garbage(self):
        _, result = self.tell(self.start("printf 'a\\377\\000b\\n'"), event(left=100))
        self.assertEqual(result["script_output"], "a\ufffd b\n")

    def test_what_it_leaves_behind_goes_with_it(self):
        plugin = self.start("setsid sleep 1000 & sleep 1000 & echo done")
        self.assertTrue(self.tell(plugin, event(left=100))[1]["success"])
        plugin_bus.iterate_until(lambda: not self.children(plugin))

    def test_its_environment(self):
        text = "env | sort | cut -d= -f1 | tr '\\n' ' '; ls -l /proc/$$/fd | grep -c socket; readlink /proc/$$/fd/0; pwd"
        os.environ["SECRET_OF_THE_TEST"] = "x"
        self.addCleanup(os.environ.pop, "SECRET_OF_THE_TEST")
        _, result = self.tell(self.start(text), event(left=100))
        self.assertEqual(result["script_output"],
                         "HOME LC_ALL PATH PWD SNOOZE_DEADLINE SNOOZE_EVENT_ID SNOOZE_EVENT_SOURCE SNOOZE_EVENT_TYPE "
                                                  "SNOOZE_SCRIPT_SECONDS SNOOZE_TIME_REMAINING 0\n/dev/null\n/\n")

    def test_a_source_is_one_line(self):
        _, result = self.tell(self.start('echo "<$SNOOZE_EVENT_SOURCE>"'),
                              event(left=100, source="a\nPATH=/evil\x1b[2J"))
        self.assertEqual(result["script_output"], "<a PATH=/evil [2J>\n")

    def test_other_events_are_not_handled(self):
        plugin = self.start("echo run >> %s" % self.path("runs"))
        for type_ in ("custom.other", "cloud.spot.rebalance", ""):
            self.assertEqual(self.tell(plugin, event(type_, left=100)), (False, {}))
        self.assertEqual(self.runs(), 0)

    def test_hostile_events(self):
        plugin = self.start("true")
        types = {"deadline": s("soon"), "timestamp": GLib.Variant("as", ["x"]), "data": s("x"),
                 "source": GLib.Variant("t", 1),
                 "severity": GLib.Variant("d", 1.5), "cancelled": s("true")}
        handled, result = self.tell(plugin, {"type": s(SPOT), **types})
        self.assertEqual((handled, result["success"], result["time_remaining"]), (True, True, 120))
        self.assertEqual(self.tell(plugin, {})[0], False)
        self.assertEqual(self.tell(plugin, {"type": GLib.Variant("t", 1)})[0], False)

    def test_called_off_before_the_script_ended(self):
        plugin = self.start("trap 'touch {0}/undone; exit 1' TERM; touch {0}/begun; while :; do sleep 0.1; done".format(self.directory))
        answers = self.send(plugin, event(left=100))
        self.wait_for("begun")
        cancelled = GLib.Variant("b", True)
        self.assertEqual(self.tell(plugin, event(left=100, cancelled=cancelled)), (True, {"status": "cancelled"}))
        self.assertRegex(self.answer(answers)[1]["error"], r"^was ended after .* s: it was called off$")
        self.wait_for("undone")
        # The next one is another.
        self.script("true")
        self.assertTrue(self.tell(plugin, event(left=100))[1]["success"])

    def test_one_of_two_announcements_called_off_changes_nothing(self):
        plugin = self.start("echo run >> %s; touch %s; while [ ! -e %s ]; do sleep 0.05; done"
                            % (self.path("runs"), self.path("begun"), self.path("release")))
        first = self.send(plugin, event(left=100))
        self.wait_for("begun")
        second = self.send(plugin, event("cloud.instance.termination", left=100, source="gcp"))
        cancelled = GLib.Variant("b", True)
        self.assertEqual(self.tell(plugin, event("cloud.instance.termination", left=100, source="gcp", cancelled=cancelled)),
                         (False, {"status": "cancelled"}))
        open(self.path("release"), "w").close()
        self.assertTrue(self.answer(first)[1]["success"])
        self.assertEqual(self.answer(second), (True, {"status": "already_handled"}))
        self.assertEqual(self.tell(plugin, event("cloud.instance.termination", left=90, source="azure")),
                         (True, {"status": "already_handled"}))
        # With the last of them the end itself is called off.
        self.tell(plugin, event("cloud.instance.termination", left=90, source="azure", cancelled=cancelled))
        self.assertEqual(self.tell(plugin, event(left=100, cancelled=cancelled)), (True, {"status": "cancelled"}))
        self.assertTrue(self.tell(plugin, event(left=100))[1]["success"])
        self.assertEqual(self.runs(), 2)

    def test_one_that_was_not_acted_upon_calls_off_nothing_of_others(self):
        plugin = self.start("touch %s; while [ ! -e %s ]; do sleep 0.05; done"
                            % (self.path("begun"), self.path("release")))
        late = event("cloud.instance.termination", left=10, source="azure")
        self.assertFalse(self.tell(plugin, late)[1]["success"])
        answers = self.send(plugin, event(left=100))
        self.wait_for("begun")
        self.assertEqual(self.tell(plugin, {**late, "cancelled": GLib.Variant("b", True)}),
                         (False, {"status": "cancelled"}))
        open(self.path("release"), "w").close()
        self.assertTrue(self.answer(answers)[1]["success"])

    def test_what_an_earlier_instance_did_can_be_called_off(self):
        plugin = self.start("true")
        plugin.call(".State", "ImportState", "(uay)", 1, str(int((time.time() + 100) * 1e6)).encode())
        self.assertEqual(self.tell(plugin, event(left=100, cancelled=GLib.Variant("b", True))),
                         (True, {"status": "cancelled"}))
        self.assertTrue(self.tell(plugin, event(left=100))[1]["success"])

    def test_what_several_told_an_earlier_instance_is_off_with_the_last_of_them(self):
        plugin = self.start("echo run >> %s" % self.path("runs"))
        first, second = event(left=100), event("cloud.instance.termination", left=100, source="gcp", id=s("2"))
        self.tell(plugin, first)
        self.tell(plugin, second)
        version, state = plugin.call(".State", "ExportState")
        plugin.stop()
        plugin = self.start()
        plugin.call(".State", "ImportState", "(uay)", version, bytes(state))
        off = {"cancelled": GLib.Variant("b", True)}
        self.assertEqual(self.tell(plugin, {**first, **off}), (False, {"status": "cancelled"}))
        self.assertEqual(self.tell(plugin, second), (True, {"status": "already_handled"}))
        self.assertEqual(self.tell(plugin, {**second, **off}), (True, {"status": "cancelled"}))
        self.tell(plugin, second)
        self.assertEqual(self.runs(), 2)

    def test_called_off_without_a_run(self):
        plugin = self.start("true")
        self.assertEqual(self.tell(plugin, event(left=100, data={"cancelled": GLib.Variant("b", True)})),
                         (False, {"status": "cancelled"}))

    def test_what_others_could_change_is_refused_and_not_run(self):
        path = self.script("echo run >> %s" % self.path("runs"))
        plugin = self.start()
        os.chmod(path, 0o757)
        handled, result = self.tell(plugin, event(left=100))
        self.assertEqual((handled, result["success"]), (False, False))
        self.assertIn("can be written by everybody", result["error"])
        self.assertEqual(self.runs(), 0)

    def test_wrong_configuration_is_refused(self):
        path = self.script("true")
        os.symlink("/does/not/exist", self.path("link"))
        os.mkdir(self.path("open"))
        os.chmod(self.path("open"), 0o777)
        with open(self.path("open/script"), "w") as f:
            f.write("#!/bin/sh\n")
        os.chmod(self.path("open/script"), 0o755)
        plugin = self.plugin(PROGRAM, "spot-handler", environment={"SNOOZE_TRUST_OWN_PROGRAMS": "1"})
        plugin.call("", "Handshake", "(us)", 1, "0.1.0")
        for wrong, why in (("script", "absolute path"), (self.path("gone"), "No such file"),
                           (self.path("link"), "No such file"),
                           (self.directory, "no executable file"),
                           (self.path("open/script"), "can be written by everybody"), ("", "absolute")):
            with self.assertRaisesRegex(GLib.Error, "InvalidArgument.*shutdown_script_path: .*" + why):
                plugin.call("", "Initialize", "(a{sv})", {"shutdown_script_path": s(wrong)})
        self.assert_error("InvalidArgument", plugin.call, "", "Initialize", "(a{sv})", {})
        for seconds in (0, 3601, -1):
            self.assert_error("InvalidArgument", plugin.call, "", "Initialize", "(a{sv})",
                              {"shutdown_script_path": s(path), "timeout_seconds": GLib.Variant("x", seconds)})
        plugin.call("", "Initialize", "(a{sv})", {"shutdown_script_path": s(path)})

    def test_leaving_ends_the_script_and_answers(self):
        plugin = self.start("touch %s; exec sleep 1000" % self.path("begun"))
        answers = self.send(plugin, event(left=100))
        self.wait_for("begun")
        child = int(self.children(plugin)[0])
        plugin.process.terminate()
        self.assertIn("the plugin leaves", self.answer(answers)[1]["error"])
        self.assertEqual(plugin.process.wait(30), 0)
        with self.assertRaises(ProcessLookupError):
            os.kill(child, 0)


plugin_bus.main()
