# SPDX-License-Identifier: Apache-2.0
"""Plugin processes on a private bus, before real processes. Arguments: the program, the source tree."""

import json
import os
import subprocess
import sys
import time

from gi.repository import GLib

import plugin_bus

PROGRAM, SOURCE = sys.argv[1:3]


class Processes(plugin_bus.PluginTestCase):
    def start(self, *patterns, **config):
        config["patterns"] = GLib.Variant("as", patterns)
        return self.plugin(PROGRAM, "processes").greet(config)

    def ask(self, plugin):
        verdict, reason, self.details = plugin.call(".IdleCheck", "CheckIdle", "(a{sv})", {})
        return verdict, reason, {vote["name"]: vote for vote in self.details.get("votes", [])}

    def run_command(self, *command):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        process.stdout.read(1)
        return process

    def shell(self, mark, script="echo; read line"):
        """A process that has the mark in its command line, and nowhere else."""
        return self.run_command("sh", "-c", script, mark)

    def test_live_interface_is_that_of_the_xml(self):
        self.assert_agrees_with_xml(self.start().introspect(), os.path.join(SOURCE, "introspection"))

    def test_manifest_and_program_agree(self):
        with open(os.path.join(SOURCE, "plugins/processes/plugin.json")) as f:
            manifest = json.load(f)
        described = json.loads(subprocess.run([PROGRAM, "--describe"], capture_output=True, text=True, check=True).stdout)
        self.assertEqual(described["contracts"], manifest["contracts"])
        self.assertEqual((described["name"], described["version"]), (manifest["name"], manifest["version"]))
        for name, setting in described["settings"].items():
            self.assertEqual(manifest["config_schema"][name]["type"], setting["type"])
        self.assertEqual(set(described["settings"]), set(manifest["config_schema"]))

    def test_without_patterns(self):
        self.assertEqual(self.ask(self.start()), ("idle", "no patterns are configured", {}))
        self.assertIs(self.details["watching"], False)

    def test_to_be_there_is_enough(self):
        plugin = self.start("job: cmdline=mark-%d" % os.getpid(), "other: name=^no-such-program$")
        verdict, reason, votes = self.ask(plugin)
        self.assertEqual((verdict, reason), ("idle", "2 patterns, each with a vote of its own"))
        self.assertEqual((votes["job"]["verdict"], votes["job"]["reason"]), ("idle", "no such process runs"))
        process = self.shell("mark-%d" % os.getpid())
        votes = self.ask(plugin)[2]
        self.assertEqual((votes["job"]["verdict"], votes["job"]["reason"], votes["job"]["processes"]), ("busy", "sh runs", 1))
        self.assertEqual(votes["other"]["verdict"], "idle")
        process.communicate()
        self.assertEqual(self.ask(plugin)[2]["job"]["verdict"], "idle")

    def test_no_command_line_is_told(self):
        self.shell("secret-of-somebody")
        answer = self.ask(self.start("job: cmdline=secret-of", "all: name=."))
        self.assertEqual(answer[2]["job"]["verdict"], "busy")
        self.assertNotIn("secret-of-somebody", json.dumps(answer))

    def test_an_owner(self):
        mark = "owned-%d" % os.getpid()
        self.shell(mark)
        votes = self.ask(self.start("mine: cmdline=%s owner=%d" % (mark, os.getuid()),
                                    "theirs: cmdline=%s owner=%d" % (mark, os.getuid() + 1),
                                    "nobodys: cmdline=%s owner=no-such-user" % mark))[2]
        self.assertEqual({name: vote["verdict"] for name, vote in votes.items()},
                         {"mine": "busy", "theirs": "idle", "nobodys": "unknown"})
        self.assertEqual(votes["nobodys"]["reason"], "there is no user no-such-user")

    def test_work_is_told_from_being_there(self):
        busy, quiet = "working-%d" % os.getpid(), "waiting-%d" % os.getpid()
        self.shell(busy, "echo; while :; do :; done")
        self.shell(quiet)
        plugin = self.start("busy: cmdline=%s cpu=5" % busy, "quiet: cmdline=%s cpu=5" % quiet)
        votes = self.ask(plugin)[2]
        self.assertEqual((votes["busy"]["verdict"], votes["quiet"]["verdict"]), ("unknown", "unknown"))
        # It is known after a few seconds of the plugin's own clock.
        deadline = time.monotonic() + 60
        while votes["busy"]["verdict"] == "unknown" or votes["quiet"]["verdict"] == "unknown":
            self.assertLess(time.monotonic(), deadline)
            votes = self.ask(plugin)[2]
        self.assertEqual((votes["busy"]["verdict"], votes["quiet"]["verdict"]), ("busy", "idle"), votes)
        self.assertGreater(votes["busy"]["cpu_percent"], 5)
        self.assertRegex(votes["busy"]["reason"], r"^sh runs with \d+\.\d % of a CPU")

    def test_wrong_patterns_are_refused_and_change_nothing(self):
        mark = "kept-%d" % os.getpid()
        self.shell(mark)
        plugin = self.start("job: cmdline=" + mark)
        for pattern in ("name=x", "job: name=(", "job:", "job: cpu=5"):
            message = self.assert_error("InvalidArgument", plugin.call, "", "Configure", "(a{sv})",
                                        {"patterns": GLib.Variant("as", [pattern])})
            self.assertIn(pattern, message)
        self.assertEqual(self.ask(plugin)[2]["job"]["verdict"], "busy")


plugin_bus.main()
