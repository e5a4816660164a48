# SPDX-License-Identifier: Apache-2.0
"""Plugin command on a private bus, with checks that behave well and checks that do not. Arguments: the program, the source tree."""

import json
import os
import subprocess
import sys
import tempfile

from gi.repository import GLib

import plugin_bus

PROGRAM, SOURCE = sys.argv[1:3]


class Command(plugin_bus.PluginTestCase):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = os.path.join(directory.name, "checks.d")
        self.outside = directory.name
        os.mkdir(self.directory, 0o755)

    def start(self, config=None):
        return self.plugin(PROGRAM, "command", environment={"SNOOZE_CHECKS_DIRECTORY": self.directory}).greet(config)

    def place(self, name, text, mode=0o755, directory=None):
        path = os.path.join(directory or self.directory, name)
        with open(path + ".new", "w") as f:
            f.write(text)
        os.chmod(path + ".new", mode)
        os.rename(path + ".new", path)
        return path

    def script(self, name, text):
        return self.place(name, "#!/bin/sh\n" + text + "\n")

    def ask(self, plugin, metrics=None):
        answers = plugin.call_later(".IdleCheck", "CheckIdle", "(a{sv})", metrics or {})
        plugin_bus.iterate_until(lambda: answers, 60)
        if isinstance(answers[0], GLib.Error):
            raise answers[0]
        verdict, reason, self.details = answers[0]
        return verdict, reason, {vote["name"]: vote for vote in self.details.get("votes", [])}

    def vote(self, text, config=None):
        self.script("one", text)
        votes = self.ask(self.start(config))[2]
        return votes["one"]["verdict"], votes["one"]["reason"]

    def children(self, plugin):
        with open("/proc/%d/task/%d/children" % (plugin.process.pid, plugin.process.pid)) as f:
            return f.read().split()

    def test_manifest_and_program_agree(self):
        with open(os.path.join(SOURCE, "plugins/command/plugin.json")) as f:
            manifest = json.load(f)
        described = json.loads(subprocess.run([PROGRAM, "--describe"], capture_output=True, text=True, check=True).stdout)
        self.assertEqual(described["contracts"], manifest["contracts"])
        self.assertEqual((described["name"], described["version"]), (manifest["name"], manifest["version"]))

    def test_each_check_is_a_vote_of_its_own(self):
        self.script("queue", "echo looking; echo 3 jobs; exit 1")
        self.script("backup", "echo done since 3 h")
        self.script("broken", "echo no such host >&2; exit 7")
        verdict, reason, votes = self.ask(self.start())
        self.assertEqual((verdict, reason), ("idle", "3 checks, each with a vote of its own"))
        self.assertEqual([(name, votes[name]["verdict"], votes[name]["reason"]) for name in sorted(votes)], [
            ("backup", "idle", "done since 3 h"), ("broken", "unknown", "exit status 7"), ("queue", "busy", "3 jobs")])
        self.assertEqual(votes["queue"]["exit_status"], 1)
        self.assertGreater(votes["queue"]["microseconds"], 0)

    def test_no_checks(self):
        plugin = self.start()
        self.assertEqual(self.ask(plugin), ("idle", "no checks", {}))
        self.assertIs(self.details["watching"], False)
        os.rmdir(self.directory)
        self.assertEqual(self.ask(plugin), ("idle", "no checks", {}))

    def test_one_alone(self):
        for name in ("queue", "backup"):
            self.script(name, "touch %s/%s.ran; exit 1" % (self.outside, name))
        plugin = self.start({"commands": GLib.Variant("as", ["backup=/bin/true", "far=/bin/true"])})
        verdict, _, votes = self.ask(plugin, {"cpu_usage": GLib.Variant("d", 3), "subject": GLib.Variant("s", "queue")})
        self.assertEqual((verdict, {name: vote["verdict"] for name, vote in votes.items()}), ("idle", {"queue": "busy"}))
        self.assertTrue(os.path.exists(self.outside + "/queue.ran"))
        self.assertEqual(self.ask(plugin, {"subject": GLib.Variant("s", "far")})[2]["far"]["verdict"], "idle")
        self.assertEqual(self.ask(plugin, {"subject": GLib.Variant("s", "nothing")})[2], {})
        # The others count where they say what may be run.
        self.assertIn("two checks have this name", self.ask(plugin, {"subject": GLib.Variant("s", "backup")})[2]["backup"]["reason"])
        self.assertFalse(os.path.exists(self.outside + "/backup.ran"))

    def test_a_line_of_json(self):
        self.script("one", """echo '{"is_idle": false, "reason": "2 clients", "details": {"clients": 2}, "last_activity": 5}'; exit 1""")
        plugin = self.start()
        answers = plugin.call_later(".IdleCheck", "CheckIdle", "(a{sv})", {})
        plugin_bus.iterate_until(lambda: answers)
        details = answers[0][2]
        # What it says is the check's: `sources` decides about each by its name.
        self.assertNotIn("last_activity", details)
        vote = details["votes"][0]
        self.assertEqual(vote["last_activity"], 5)
        self.assertEqual((vote["verdict"], vote["reason"], vote["details"]), ("busy", "2 clients", {"clients": 2}))
        self.assertIn('"clients": 2', vote["output"])

    def test_what_is_added_changed_and_removed_counts_at_once(self):
        plugin = self.start()
        self.script("one", "exit 1")
        self.assertEqual(self.ask(plugin)[2]["one"]["verdict"], "busy")
        self.script("one", "exit 0")
        self.assertEqual(self.ask(plugin)[2]["one"]["verdict"], "idle")
        os.unlink(os.path.join(self.directory, "one"))
        self.assertEqual(self.ask(plugin)[2], {})

    def test_what_is_no_check(self):
        self.place("README", "text", 0o644)
        self.script(".hidden", "exit 1")
        self.script("old~", "exit 1")
        self.script("queue.dpkg-old", "exit 1")
        os.mkdir(os.path.join(self.directory, "folder"))
        self.assertEqual(self.ask(self.start())[2], {})

    def test_a_name_that_is_none(self):
        self.script("two words", "exit 0")
        verdict, reason, votes = self.ask(self.start())
        self.assertEqual((verdict, votes), ("unknown", {}))
        self.assertIn("two words: the name of a check", reason)

    def test_too_many(self):
        for i in range(49):
            self.script("check-%d" % i, "exit 0")
        verdict, reason, _ = self.ask(self.start())
        self.assertEqual(verdict, "unknown")
        self.assertIn("more than 48 checks", reason)

    def test_many_side_by_side(self):
        for i in range(48):
            self.script("check-%d" % i, "echo %d; exit %d" % (i, i % 2))
        votes = self.ask(self.start({"parallel": GLib.Variant("x", 16)}))[2]
        self.assertEqual({name: vote["verdict"] for name, vote in votes.items()},
                         {"check-%d" % i: ("idle", "busy")[i % 2] for i in range(48)})

    def test_many_that_talk_much(self):
        """The daemon takes no answer above 64 KiB: their verdicts and reasons come through, and of the evidence as much as there is room for."""
        for i in range(48):
            self.script("check-%d" % i, "printf '%0240d' 7; echo; printf '{\"reason\": \"%0200d\", \"a\": \"%0240d\", \"b\": \"%0240d\", "
                        "\"c\": \"%0240d\", \"d\": \"%0240d\"}' 1 2 3 4 5")
        self.script("short", "echo '{\"reason\": \"%s\", \"queue\": \"a\"}'" % "1".rjust(200, "0"))
        os.unlink(os.path.join(self.directory, "check-47"))
        votes = self.ask(self.start({"parallel": GLib.Variant("x", 16)}))[2]
        self.assertEqual({vote["verdict"] for vote in votes.values()}, {"idle"})
        self.assertEqual({vote["reason"] for vote in votes.values()}, {"1".rjust(200, "0")})
        self.assertLess(sum(len(key) + len(str(value)) for vote in votes.values() for key, value in vote.items()), 64 * 1024)
        # A short one is not cut for those that are long; of those each is, and none is left without.
        short = votes.pop("short")
        self.assertEqual((short["details"], short.get("cut")), ({"queue": "a"}, None))
        self.assertIn("queue", short["output"])
        for name, vote in votes.items():
            self.assertIs(vote["cut"], True, name)
            self.assertEqual(vote["details"]["a"], "2".rjust(240, "0"), name)
            self.assertTrue(vote["details"]["c"].endswith("0…"), name)
        evidence = sum(len(vote.get("output", "").encode()) + sum(len((key + value).encode()) for key, value in vote["details"].items())
                       for vote in votes.values())
        self.assertTrue(30 * 1024 < evidence <= 32 * 1024, evidence)
        for i in range(1, 47):
            os.unlink(os.path.join(self.directory, "check-%d" % i))
        votes = self.ask(self.start())[2]
        self.assertEqual((votes["check-0"]["details"]["d"], votes["check-0"].get("cut")), ("5".rjust(240, "0"), None))

    def test_what_others_could_change_is_not_run(self):
        trace = os.path.join(self.outside, "ran")
        os.chmod(self.script("one", "touch " + trace), 0o757)
        vote = self.ask(self.start())[2]["one"]
        self.assertEqual(vote["verdict"], "unknown")
        self.assertIn("can be written by everybody", vote["reason"])
        self.assertFalse(os.path.exists(trace))

    def test_a_directory_that_others_could_change(self):
        self.script("one", "exit 0")
        os.chmod(self.directory, 0o757)
        verdict, reason, votes = self.ask(self.start())
        self.assertEqual((verdict, votes), ("unknown", {}))
        self.assertIn("can be written by everybody", reason)

    def test_a_link_counts_as_what_it_leads_to(self):
        target = self.place("target", "#!/bin/sh\nexit 1\n", directory=self.outside)
        os.symlink(target, os.path.join(self.directory, "one"))
        plugin = self.start()
        self.assertEqual(self.ask(plugin)[2]["one"]["verdict"], "busy")
        os.chmod(target, 0o757)
        self.assertEqual(self.ask(plugin)[2]["one"]["verdict"], "unknown")
        os.unlink(target)
        self.assertIn("No such file", self.ask(plugin)[2]["one"]["reason"])

    def test_what_cannot_be_run(self):
        self.place("one", "no program")
        self.place("two", "#!/does/not/exist\n")
        votes = self.ask(self.start())[2]
        self.assertEqual(votes["one"]["reason"], "cannot be run: Exec format error")
        self.assertEqual(votes["two"]["reason"], "cannot be run: No such file or directory")

    def test_one_that_hangs_delays_nobody_and_is_ended(self):
        self.script("hang", "echo waiting; trap '' TERM; while :; do sleep 1; done")
        self.script("quick", "exit 1")
        plugin = self.start({"timeout_seconds": GLib.Variant("d", 3)})
        votes = self.ask(plugin)[2]
        self.assertEqual(votes["hang"]["verdict"], "unknown")
        self.assertRegex(votes["hang"]["reason"], r"^had not answered after \d+\.\d s: waiting$")
        self.assertEqual(votes["quick"]["verdict"], "busy")
        plugin_bus.iterate_until(self.gone(plugin))

    def gone(self, plugin):
        """Nothing that it started is left. The timer keeps the loop going."""
        source = GLib.timeout_add(50, lambda: GLib.SOURCE_CONTINUE)
        self.addCleanup(GLib.source_remove, source)
        return lambda: not self.children(plugin)

    def test_one_that_is_still_hanging_is_not_started_again(self):
        self.script("hang", "trap '' TERM; while :; do sleep 1; done")
        plugin = self.start({"timeout_seconds": GLib.Variant("d", 3)})
        self.assertIn("had not answered", self.ask(plugin)[2]["hang"]["reason"])
        self.assertEqual(self.ask(plugin)[2]["hang"]["reason"], "was told to end and has not")

    def test_a_flood(self):
        self.assertEqual(self.vote("exec cat /dev/zero"), ("unknown", "wrote more than 1048576 bytes"))

    def test_a_flood_of_lines(self):
        verdict, reason = self.vote("exec yes")
        self.assertEqual((verdict, reason), ("unknown", "wrote more than 1048576 bytes: y"))

    def test_garbage(self):
        verdict, reason = self.vote("head -c 60000 /dev/urandom; printf '\\na\\033[2Jb\\000\\377\\n\\n'; exit 1")
        self.assertEqual((verdict, reason), ("busy", "a [2Jb \ufffd"))

    def test_a_crash(self):
        verdict, reason = self.vote("kill -SEGV $$")
        self.assertEqual((verdict, reason), ("unknown", "was ended by signal 11 (Segmentation fault)"))

    def test_what_it_leaves_behind_goes_with_it(self):
        self.script("one", "sleep 1000 & echo left something; exit 1")
        plugin = self.start()
        self.assertEqual(self.ask(plugin)[2]["one"]["reason"], "left something")
        plugin_bus.iterate_until(self.gone(plugin))

    def test_what_left_its_group_goes_too(self):
        self.script("one", "setsid sh -c 'sleep 1000 & echo $$ > %s/pid; sleep 1000' & "
                           "while [ ! -s %s/pid ]; do sleep 0.1; done; exit 1" % (self.outside, self.outside))
        plugin = self.start()
        self.assertEqual(self.ask(plugin)[2]["one"]["verdict"], "busy")
        plugin_bus.iterate_until(self.gone(plugin))

    def test_it_gets_nothing_of_the_plugin(self):
        self.script("one", "ls -l /proc/$$/fd | grep -c socket; env | cut -d= -f1 | sort | tr '\\n' ' '")
        self.assertEqual(self.ask(self.start())[2]["one"]["reason"], "HOME LC_ALL PATH PWD SNOOZE_CHECK")

    def test_configured_commands(self):
        program = self.place("check all.sh", '#!/bin/sh\necho "$#|$SNOOZE_CHECK"; exit 1\n', directory=self.outside)
        commands = ["queue:5='%s'" % program, "gone=/does/not/exist"]
        votes = self.ask(self.start({"commands": GLib.Variant("as", commands)}))[2]
        self.assertEqual((votes["queue"]["verdict"], votes["queue"]["reason"]), ("busy", "0|queue"))
        self.assertEqual(votes["gone"]["verdict"], "unknown")

    def test_a_name_that_two_have(self):
        self.script("one", "exit 0")
        votes = self.ask(self.start({"commands": GLib.Variant("as", ["one=/bin/true"])}))[2]
        self.assertEqual(votes["one"]["verdict"], "unknown")
        self.assertIn("two checks have this name", votes["one"]["reason"])

    def test_wrong_configuration_is_refused(self):
        plugin = self.plugin(PROGRAM, "command", environment={"SNOOZE_CHECKS_DIRECTORY": self.directory})
        plugin.call("", "Handshake", "(us)", 1, "0.1.0")
        for commands in (["one=relative"], ["one=/bin/true", "one=/bin/false"], ["one=/bin/sh -c 'touch /tmp/mine'"], ["one=/usr/bin/env touch"]):
            with self.assertRaisesRegex(GLib.Error, "InvalidArgument.*commands: "):
                plugin.call("", "Initialize", "(a{sv})", {"commands": GLib.Variant("as", commands)})

    def test_leaving_answers_who_waits_and_leaves_nothing(self):
        self.script("one", "exec sleep 1000")
        plugin = self.start()
        answers = plugin.call_later(".IdleCheck", "CheckIdle", "(a{sv})", {})
        plugin_bus.iterate_until(self.has_child(plugin))
        child = int(self.children(plugin)[0])
        plugin.process.terminate()
        plugin_bus.iterate_until(lambda: answers)
        self.assertEqual(answers[0][2]["votes"][0]["reason"], "the plugin leaves")
        self.assertEqual(plugin.process.wait(30), 0)
        with self.assertRaises(ProcessLookupError):
            while True:
                os.kill(child, 0)
                self.assertNotEqual(self.state(child), "S")

    def has_child(self, plugin):
        source = GLib.timeout_add(50, lambda: GLib.SOURCE_CONTINUE)
        self.addCleanup(GLib.source_remove, source)
        return lambda: self.children(plugin)

    def state(self, pid):
        """Its state, or that nobody has taken leave of it."""
        try:
            with open("/proc/%d/stat" % pid) as f:
                return f.read().rpartition(")")[2].split()[0]
        except OSError:
            raise ProcessLookupError from None


plugin_bus.main()
