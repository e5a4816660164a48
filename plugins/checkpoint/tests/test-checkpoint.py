# SPDX-License-Identifier: Apache-2.0
"""Plugin checkpoint on a private bus, before jobs of the test's own. Arguments: the program, the source tree."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from gi.repository import GLib

import plugin_bus
from plugin_bus import s

PROGRAM, SOURCE = sys.argv[1:3]
SPOT = "cloud.spot.interrupt"


def b(value):
    return GLib.Variant("b", value)


def event(type_=SPOT, left=100, data=None, **more):
    return {"id": s("1"), "type": s(type_), "source": s("test"),
            "deadline": GLib.Variant("t", max(1, int((time.time() + left) * 1e6))),
            "data": GLib.Variant("a{sv}", data or {}), **more}


class Checkpoint(plugin_bus.HandlerTestCase):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        # By this the patterns know the jobs of this test from all others.
        self.mark = "mark-" + os.path.basename(self.directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    def job(self, text, *arguments):
        """A shell that runs the text with this test's mark in its command line, once it has said that it is ready. It waits by
        reading what never comes: whatever it forked would have the mark, too, until it has begun another program."""
        process = subprocess.Popen(["sh", "-c", "cd %s; %s" % (self.directory, text), self.mark, *arguments],
                                   stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        self.addCleanup(self.end, process)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process

    def end(self, process):
        process.kill()
        process.communicate()

    def program(self, name, text):
        with open(self.path(name), "w") as f:
            f.write("#!/bin/sh\n" + text + "\n")
        os.chmod(self.path(name), 0o755)
        return self.path(name)

    def start(self, *jobs, **settings):
        plugin = self.plugin(PROGRAM, "checkpoint", environment={"SNOOZE_TRUST_OWN_PROGRAMS": "1"})
        jobs = [text.replace("MARK", self.mark).replace("DIR", self.directory) for text in jobs]
        return plugin.greet({"jobs": GLib.Variant("as", jobs),
                             **{name: GLib.Variant("x", value) for name, value in settings.items()}})

    def test_manifest_and_program_agree(self):
        self.assert_agrees_with_manifest(PROGRAM, os.path.join(SOURCE, "plugins/checkpoint/plugin.json"))

    def test_a_signal_and_the_end_of_the_process(self):
        process = self.job("trap 'echo saved > saved; exit' USR1; echo ready; while :; do read line; done")
        handled, result = self.tell(self.start("train: cmdline=MARK signal=USR1"), event())
        self.assertEqual((handled, result["success"], result["told"], result["done"]), (True, True, 1, 1))
        entry, = result["jobs"]
        self.assertEqual((entry["job"], entry["name"], entry["pid"], entry["done"]),
                         ("train", "sh", process.pid, True))
        self.assertTrue(os.path.exists(self.path("saved")))
        # Of others' command lines nobody learns.
        self.assertNotIn(self.mark, json.dumps(result))

    def test_a_signal_and_a_file(self):
        process = self.job("trap 'sleep 0.5; echo x > $$.done' USR1; echo ready; while :; do read line; done")
        # An older one tells nothing.
        with open(self.path("%d.done" % process.pid), "w"):
            pass
        os.utime(self.path("%d.done" % process.pid), (1, 1))
        _, result = self.tell(self.start("train: cmdline=MARK signal=SIGUSR1 until=DIR/%p.done"), event())
        self.assertTrue(result["success"], result)
        self.assertGreater(result["jobs"][0]["seconds"], 0.4)
        self.assertIsNone(process.poll())

    def test_one_that_ends_right_after_its_file(self):
        self.job("trap 'echo x > done; exit' USR1; echo ready; while :; do read line; done")
        self.assertTrue(self.tell(self.start("train: cmdline=MARK signal=USR1 until=DIR/done"), event())[1]["success"])

    def test_one_that_ends_without_its_file(self):
        self.job("echo ready; while :; do read line; done")
        _, result = self.tell(self.start("train: cmdline=MARK signal=USR1 until=DIR/done"), event())
        self.assertEqual((result["success"], result["jobs"][0]["problem"]),
                         (False, "ended, and the file is not there"))

    def test_one_that_takes_too_long(self):
        process = self.job("trap 'touch got' USR1; echo ready; while :; do read line; done")
        handled, result = self.tell(self.start("train: cmdline=MARK signal=USR1", timeout_seconds=1), event())
        self.assertEqual((handled, result["success"], result["jobs"][0]["problem"]),
                         (True, False, "had not done it in time"))
        self.assertIsNone(process.poll())

    def test_told_is_enough(self):
        self.job("trap 'touch got' USR1; echo ready; while :; do read line; done")
        self.assertTrue(self.tell(self.start("train: cmdline=MARK signal=USR1 until=told"), event())[1]["success"])
        plugin_bus.iterate_until(lambda: os.path.exists(self.path("got")))

    def test_a_command_for_each(self):
        program = self.program("save",
                               'echo "$1 $SNOOZE_PID $SNOOZE_OWNER $SNOOZE_JOB" >> %s; env | cut -d= -f1 | sort > %s'
                               % (self.path("log"), self.path("environment")))
        pids = sorted(self.job("echo ready; read line").pid for _ in range(12))
        _, result = self.tell(self.start("sim: cmdline=MARK command='%s %%p'" % program), event())
        self.assertEqual((result["success"], result["told"], result["done"]), (True, 12, 12))
        with open(self.path("log")) as f:
            self.assertEqual(sorted(f.read().splitlines()),
                             sorted("%d %d %d sim" % (pid, pid, os.getuid()) for pid in pids))
        with open(self.path("environment")) as f:
            self.assertEqual(f.read().split(), ["HOME", "LC_ALL", "PATH", "PWD", "SNOOZE_JOB", "SNOOZE_OWNER",
                                                "SNOOZE_PID"])

    def test_commands_that_fail(self):
        for text, problem in (("echo no room; exit 3", "the command ended with status 3: no room"),
                              ("kill -SEGV $$", "the command was ended by signal 11 (Segmentation fault)")):
            self.job("echo ready; read line")
            plugin = self.start("sim: cmdline=MARK command=%s" % self.program("save", text))
            _, result = self.tell(plugin, event())
            self.assertEqual((result["success"], result["jobs"][0]["problem"]), (False, problem))
            plugin.stop()

    def test_a_command_that_hangs_with_all_that_it_started(self):
        self.job("echo ready; read line")
        program = self.program("save", "trap '' TERM; setsid sleep 1000 & while :; do sleep 0.1; done")
        plugin = self.start("sim: cmdline=MARK command=%s" % program, timeout_seconds=3)
        _, result = self.tell(plugin, event())
        self.assertFalse(result["success"])
        self.assertIn("time", result["jobs"][0]["problem"])
        plugin_bus.iterate_until(lambda: not self.children(plugin))

    def test_a_command_and_then_the_end_of_the_process(self):
        process = self.job("trap 'sleep 0.3; exit' TERM; echo ready; while :; do read line; done")
        program = self.program("save", "kill $1")
        _, result = self.tell(self.start("sim: cmdline=MARK command='%s %%p' until=exit" % program), event())
        self.assertTrue(result["success"], result)
        process.wait(30)

    def test_who_may_not_be_signalled(self):
        if os.geteuid() != 0:
            self.skipTest("impossible here: other users need root")
        self.job("echo ready; read line")
        # The plugin as somebody else, without the capability.
        program = self.path("checkpoint")
        shutil.copy(PROGRAM, program)
        os.chmod(self.directory, 0o755)
        wrapper = self.path("wrapper")
        with open(wrapper, "w") as f:
            f.write("#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups %s \"$@\"\n" % program)
        os.chmod(wrapper, 0o755)
        plugin = self.plugin(wrapper, "checkpoint",
                             environment={"LD_LIBRARY_PATH": os.path.dirname(os.path.realpath(PROGRAM)) + "/../../src/sdk"})
        plugin.greet({"jobs": GLib.Variant("as", ["train: cmdline=%s signal=USR1" % self.mark])})
        _, result = self.tell(plugin, event())
        self.assertEqual((result["success"], result["jobs"][0]["problem"]),
                         (False, "is not ours to signal: permission `signals` is missing"))

    def test_nothing_matches(self):
        handled, result = self.tell(self.start("train: cmdline=MARK signal=USR1"), event())
        self.assertEqual((handled, result["success"], result["told"]), (False, True, 0))

    def test_who_comes_after_a_notice_that_found_nobody(self):
        plugin = self.start("train: cmdline=MARK signal=USR1")
        self.assertEqual(self.tell(plugin, event())[1]["told"], 0)
        self.job("trap 'exit' USR1; echo ready; while :; do read line; done")
        self.assertEqual(self.tell(plugin, event())[1]["told"], 1)

    def test_the_next_instance_knows_who_was_told(self):
        self.job("trap 'echo x >> got' USR1; echo ready; while :; do read line; done")
        plugin = self.start("train: cmdline=MARK signal=USR1 until=DIR/got")
        self.tell(plugin, event())
        version, state = plugin.call(".State", "ExportState")
        plugin.stop()
        plugin = self.start("train: cmdline=MARK signal=USR1 until=DIR/got")
        for wrong in (b"", b"x\0", b"1", b"1\0x\0"):
            self.assert_error("InvalidArgument", plugin.call, ".State", "ImportState", "(uay)", version, wrong)
        for wrong in (b"0\0x\0", b"0\0" + b"1 2 3\0", b"0\0" + b"0 2 3 4\0", b"0\0" + b"1 2 3 4\0" * 65):
            self.assert_error("InvalidArgument", plugin.call, ".State", "ImportState", "(uay)", 3, wrong)
        plugin.call(".State", "ImportState", "(uay)", version, bytes(state))
        self.assertEqual(self.tell(plugin, event()), (True, {"status": "already_handled"}))
        # Nor does one call it off who did not tell of it.
        self.assertEqual(self.tell(plugin, event(id=s("2"), cancelled=b(True))), (False, {"status": "cancelled"}))
        self.assertEqual(self.tell(plugin, event(cancelled=b(True))), (True, {"status": "cancelled"}))

    def lines(self, name):
        try:
            with open(self.path(name)) as f:
                return len(f.readlines())
        except FileNotFoundError:
            return 0

    def kill_and_start(self, plugin, *jobs):
        """The daemon exports its state while it waits, as it does; the next instance has that."""
        version, state = plugin.call(".State", "ExportState")
        plugin.process.kill()
        plugin.process.wait()
        plugin = self.start(*jobs)
        plugin.call(".State", "ImportState", "(uay)", version, bytes(state))
        return plugin

    def test_killed_while_it_waits_it_tells_nobody_twice(self):
        jobs = ("file: cmdline='MARK by-file' signal=USR1 until=DIR/saved", "end: cmdline=MARK signal=USR1")
        first = self.job("trap 'echo x >> told' USR1; echo ready; while :; do read line; done", "by-file")
        second = self.job("trap 'echo x >> told' USR1; trap 'exit 0' USR2; echo ready; while :; do read line; done")
        plugin = self.start(*jobs)
        self.send(plugin, event())
        plugin_bus.iterate_until(lambda: self.lines("told") == 2)
        # What is written while there is no instance counts: it was told before.
        with open(self.path("saved"), "w") as f:
            f.write("state")
        plugin = self.kill_and_start(plugin, *jobs)
        # Also over one that was not asked.
        plugin = self.kill_and_start(plugin, *jobs)
        answers = self.send(plugin, event())
        self.assertEqual(self.tell(plugin, event("custom.test")), (False, {}))
        os.kill(second.pid, signal.SIGUSR2)
        result = self.answer(answers)[1]
        self.assertEqual((result["success"], result["told"], result["done"]), (True, 2, 2))
        self.assertEqual(self.lines("told"), 2)
        self.assertIsNone(first.poll())
        self.assertEqual(self.tell(plugin, event(id=s("2"))), (True, {"status": "already_handled"}))

    def test_killed_while_it_waits_another_end_is_told_of(self):
        job = "train: cmdline=MARK signal=USR1"
        self.job("trap 'echo x >> told' USR1; echo ready; while :; do read line; done")
        plugin = self.start(job)
        self.send(plugin, event("cloud.instance.termination", left=3600))
        plugin_bus.iterate_until(lambda: self.lines("told") == 1)
        plugin = self.kill_and_start(plugin, job)
        self.send(plugin, event())
        plugin_bus.iterate_until(lambda: self.lines("told") == 2)

    def test_killed_while_it_waits_it_runs_what_was_cut_again(self):
        job = self.job("echo ready; while :; do read line; done", "by-command")
        self.job("echo ready; while :; do read line; done", "quick")
        cut = self.program("cut", "echo x >> %s; until [ -e %s ]; do sleep 0.05; done" % (self.path("cut-runs"), self.path("go")))
        quick = self.program("quick", "echo x >> %s" % self.path("quick-runs"))
        jobs = ("cut: cmdline='MARK by-command' command='%s %%p'" % cut, "quick: cmdline='MARK quick' command=%s" % quick)
        plugin = self.start(*jobs)
        self.send(plugin, event())
        plugin_bus.iterate_until(lambda: self.lines("cut-runs") == 1 and self.lines("quick-runs") == 1)
        # It has to have heard of that, too: then there is a line about it, which has spaces.
        plugin_bus.iterate_until(lambda: b" " in bytes(plugin.call(".State", "ExportState")[1]))
        plugin = self.kill_and_start(plugin, *jobs)
        answers = self.send(plugin, event())
        plugin_bus.iterate_until(lambda: self.lines("cut-runs") == 2)
        with open(self.path("go"), "w"):
            pass
        self.assertEqual(self.answer(answers)[1]["done"], 2)
        self.assertEqual(self.lines("quick-runs"), 1)
        self.assertIsNone(job.poll())

    def test_no_such_owner(self):
        self.job("echo ready; read line")
        self.assertEqual(self.tell(self.start("train: cmdline=MARK owner=no-such-user signal=USR1"),
                                   event())[1]["told"], 0)

    def test_the_first_pattern_that_matches_counts(self):
        process = self.job("trap 'exit 5' USR1; trap 'exit 6' USR2; echo ready; while :; do read line; done")
        self.tell(self.start("a: cmdline=MARK signal=USR2", "b: cmdline=MARK signal=USR1"), event())
        self.assertEqual(process.wait(30), 6)

    def test_too_many(self):
        for _ in range(70):
            self.job("echo ready; read line")
        _, result = self.tell(self.start("a: cmdline=MARK signal=TERM"), event())
        self.assertEqual((result["told"], result["success"]), (64, False))
        self.assertIn("more than 64 processes match", result["error"])

    def test_a_flood_takes_no_places_of_other_jobs_and_users(self):
        if os.geteuid() != 0:
            self.skipTest("impossible here: other users need root")
        os.chmod(self.directory, 0o755)
        for _ in range(70):
            self.job("echo ready; read line")
        other = self.job("echo ready; exec setpriv --reuid=65534 --clear-groups sh -c 'read line' %s" % self.mark)
        second = self.job("echo ready; read line", "second-job")
        plugin_bus.iterate_until(lambda: os.stat("/proc/%d" % other.pid).st_uid == 65534)
        _, result = self.tell(self.start("b: cmdline='MARK second-job' signal=TERM", "a: cmdline=MARK signal=TERM"), event())
        self.assertEqual((result["told"], result["success"]), (64, False))
        self.assertIn("more than 64 processes match", result["error"])
        told = [entry["pid"] for entry in result["jobs"]]
        self.assertIn(other.pid, told)
        self.assertIn(second.pid, told)

    def test_a_command_is_no_way_to_run_what_one_likes(self):
        plugin = self.plugin(PROGRAM, "checkpoint", environment={"SNOOZE_TRUST_OWN_PROGRAMS": "1"})
        plugin.call("", "Handshake", "(us)", 1, "0.1.0")
        for command in ("/bin/sh -c \"touch %s\"" % self.path("mine"), "/usr/bin/env touch %p"):
            with self.assertRaisesRegex(GLib.Error, "InvalidArgument.*script of root's"):
                plugin.call("", "Initialize", "(a{sv})", {"jobs": GLib.Variant("as", ["a: name=x command='%s'" % command])})

    def test_a_far_end_hides_no_near_one(self):
        self.job("trap 'echo x >> got' USR1; echo ready; while :; do read line; done")
        plugin = self.start("train: cmdline=MARK signal=USR1 until=DIR/got")
        far = event("cloud.instance.termination", left=50 * 365 * 86400, id=s("far"))
        self.assertEqual(self.tell(plugin, far)[1]["told"], 1)
        self.assertEqual(self.tell(plugin, event(id=s("near")))[1]["told"], 1)
        self.assertEqual(self.tell(plugin, event(left=90)), (True, {"status": "already_handled"}))

    def test_each_end_is_told_of_once(self):
        self.job("trap 'echo x >> got' USR1; echo ready; while :; do read line; done")
        plugin = self.start("train: cmdline=MARK signal=USR1 until=DIR/got")
        self.assertTrue(self.tell(plugin, event())[1]["success"])
        self.assertEqual(self.tell(plugin, event("cloud.instance.termination")), (True, {"status": "already_handled"}))
        self.assertEqual(os.path.getsize(self.path("got")), 2)

    def test_a_notice_that_is_repeated_is_answered_with_what_came_of_it(self):
        """As a daemon that was killed repeats it, which has not written it down."""
        self.job("trap 'echo x >> got' USR1; echo ready; while :; do read line; done")
        plugin = self.start("train: cmdline=MARK signal=USR1 until=DIR/saved")
        first = self.send(plugin, event())
        plugin_bus.iterate_until(lambda: self.lines("got") == 1)
        meanwhile, another = self.send(plugin, event()), self.send(plugin, event(id=s("2")))
        # They wait for it.
        self.assertEqual(self.tell(plugin, event("custom.test")), (False, {}))
        self.assertEqual((first, meanwhile, another), ([], [], []))
        with open(self.path("saved"), "w") as f:
            f.write("state")
        handled, result = self.answer(first)
        self.assertEqual((handled, result["success"], result["done"], len(result["jobs"])), (True, True, 1, 1))
        self.assertEqual(self.answer(meanwhile), (True, {**result, "status": "already_handled"}))
        self.assertEqual(self.answer(another), (True, {"status": "already_handled"}))
        self.assertEqual(self.tell(plugin, event(left=98)), (True, {**result, "status": "already_handled"}))
        self.assertEqual(self.lines("got"), 1)

    def test_who_asks_meanwhile_waits_and_an_earlier_end_counts(self):
        self.job("trap 'touch got' USR1; echo ready; while :; do read line; done")
        plugin = self.start("train: cmdline=MARK signal=USR1")
        first = self.send(plugin, event())
        plugin_bus.iterate_until(lambda: os.path.exists(self.path("got")))
        begun = time.monotonic()
        second = self.send(plugin, event("cloud.instance.termination", left=9))
        self.assertFalse(self.answer(first)[1]["success"])
        self.assertEqual(self.answer(second)[1], {"status": "already_handled"})
        self.assertLess(time.monotonic() - begun, 40)

    def test_one_that_is_put_off_is_that_end_from_then_on(self):
        end = "cloud.instance.termination"
        for meanwhile in (True, False):
            with self.subTest(meanwhile=meanwhile):
                for name in ("got", "saved"):
                    if os.path.exists(self.path(name)):
                        os.unlink(self.path(name))
                job = self.job("trap 'echo x >> got' USR1; echo ready; while :; do read line; done")
                plugin = self.start("train: cmdline=MARK signal=USR1 until=DIR/saved")
                first = self.send(plugin, event(end))
                plugin_bus.iterate_until(lambda: self.lines("got") == 1)
                moved = self.send(plugin, event(end, left=86400, moved=b(True))) if meanwhile else None
                plugin.call("", "Ping")
                open(self.path("saved"), "w").close()
                self.assertTrue(self.answer(first)[1]["success"])
                moved = moved if meanwhile else self.send(plugin, event(end, left=86400, moved=b(True)))
                self.assertEqual(self.answer(moved)[1]["status"], "already_handled")
                self.assertEqual(self.lines("got"), 1)
                # Another one before it is none that was handled.
                os.unlink(self.path("saved"))
                near = self.send(plugin, event(id=s("2")))
                plugin_bus.iterate_until(lambda: near or self.lines("got") == 2)
                self.assertEqual(self.lines("got"), 2)
                open(self.path("saved"), "w").close()
                self.assertTrue(self.answer(near)[1]["success"])
                plugin.stop()
                self.end(job)

    def test_called_off(self):
        self.job("trap 'touch got' USR1; echo ready; while :; do read line; done")
        plugin = self.start("train: cmdline=MARK signal=USR1")
        first = self.send(plugin, event())
        plugin_bus.iterate_until(lambda: os.path.exists(self.path("got")))
        self.assertEqual(self.tell(plugin, event(cancelled=b(True))), (True, {"status": "cancelled"}))
        self.assertEqual(self.answer(first)[1]["error"], "it was called off")
        self.assertEqual(self.tell(plugin, event(cancelled=b(True))), (False, {"status": "cancelled"}))

    def test_its_share_of_the_time_bounds_it(self):
        self.job("trap 'touch got' USR1; echo ready; while :; do read line; done")
        begun = time.monotonic()
        _, result = self.tell(self.start("train: cmdline=MARK signal=USR1"), event(budget=GLib.Variant("t", 2_000_000)))
        self.assertEqual((result["told"], result["done"]), (1, 0))
        self.assertLess(time.monotonic() - begun, 40)

    def test_one_of_two_announcements_called_off_changes_nothing(self):
        self.job("trap 'touch got' USR1; trap 'exit 0' USR2; echo ready; while :; do read line; done")
        plugin = self.start("train: cmdline=MARK signal=USR1 until=DIR/saved")
        first = self.send(plugin, event())
        plugin_bus.iterate_until(lambda: os.path.exists(self.path("got")))
        second = self.send(plugin, event("cloud.instance.termination", id=s("2")))
        self.assertEqual(self.tell(plugin, event("cloud.instance.termination", id=s("2"), cancelled=b(True))),
                         (False, {"status": "cancelled"}))
        with open(self.path("saved"), "w") as f:
            f.write("state")
        self.assertEqual(self.answer(first)[1]["done"], 1)
        self.assertEqual(self.answer(second), (True, {"status": "already_handled"}))
        self.assertEqual(self.tell(plugin, event(cancelled=b(True))), (True, {"status": "cancelled"}))

    def test_one_that_was_not_acted_upon_calls_off_nothing_of_others(self):
        self.job("trap 'touch got' USR1; echo ready; while :; do read line; done")
        plugin = self.start("train: cmdline=MARK signal=USR1 until=DIR/saved")
        late = event("cloud.instance.termination", left=1, id=s("2"))
        self.assertFalse(self.tell(plugin, late)[1].get("success", False))
        first = self.send(plugin, event())
        plugin_bus.iterate_until(lambda: os.path.exists(self.path("got")))
        self.assertEqual(self.tell(plugin, {**late, "cancelled": b(True)}), (False, {"status": "cancelled"}))
        with open(self.path("saved"), "w") as f:
            f.write("state")
        self.assertEqual(self.answer(first)[1]["done"], 1)

    def test_a_command_that_is_called_off_gets_sigterm(self):
        self.job("echo ready; read line")
        program = self.program("save",
                               "trap 'touch {0}/undone; exit 1' TERM; touch {0}/begun; while :; do sleep 0.1; done".format(self.directory))
        plugin = self.start("sim: cmdline=MARK command=%s" % program)
        first = self.send(plugin, event())
        plugin_bus.iterate_until(lambda: os.path.exists(self.path("begun")))
        self.tell(plugin, event(cancelled=b(True)))
        self.assertEqual(self.answer(first)[1]["error"], "it was called off")
        plugin_bus.iterate_until(lambda: os.path.exists(self.path("undone")))

    def test_no_time_left_and_dry_runs_tell_nobody(self):
        self.job("trap 'touch got' USR1; echo ready; while :; do read line; done")
        plugin = self.start("train: cmdline=MARK signal=USR1")
        for left in (5, 0, -1e9):
            self.assertEqual(self.tell(plugin, event(left=left)),
                             (False, {"success": False, "error": "there is no time left"}))
        self.assertEqual(self.tell(plugin, event("snooze.stop.pending", data={"dry_run": b(True)})),
                         (False, {"status": "dry_run"}))
        self.assertFalse(os.path.exists(self.path("got")))

    def test_other_and_hostile_events(self):
        plugin = self.start("train: cmdline=MARK signal=USR1")
        for fields in ({}, {"type": GLib.Variant("t", 1)}, event("custom.save"), event("system.disk.low")):
            self.assertEqual(self.tell(plugin, fields), (False, {}))
        handled, result = self.tell(plugin, {"type": s(SPOT), "deadline": s("soon"), "data": s("x"),
                                             "timestamp": GLib.Variant("as", [])})
        self.assertEqual((handled, result["success"]), (False, True))

    def test_leaving_answers_who_waits(self):
        self.job("trap 'touch got' USR1; echo ready; while :; do read line; done")
        plugin = self.start("train: cmdline=MARK signal=USR1")
        answers = self.send(plugin, event())
        plugin_bus.iterate_until(lambda: os.path.exists(self.path("got")))
        plugin.process.send_signal(signal.SIGTERM)
        self.assertFalse(self.answer(answers)[1]["success"])
        self.assertEqual(plugin.process.wait(30), 0)

    def test_wrong_configuration_is_refused(self):
        plugin = self.plugin(PROGRAM, "checkpoint", environment={"SNOOZE_TRUST_OWN_PROGRAMS": "1"})
        plugin.call("", "Handshake", "(us)", 1, "0.1.0")
        open_ = self.program("open", "true")
        os.chmod(open_, 0o757)
        for jobs in ([], ["a: name=x"], ["a: name=x signal=KILL"], ["a: name=x command=/does/not/exist"],
                     ["a: name=x command=" + open_]):
            with self.assertRaisesRegex(GLib.Error, "InvalidArgument.*jobs: "):
                plugin.call("", "Initialize", "(a{sv})", {"jobs": GLib.Variant("as", jobs)})
        self.assert_error("InvalidArgument", plugin.call, "", "Initialize", "(a{sv})", {})


plugin_bus.main()
