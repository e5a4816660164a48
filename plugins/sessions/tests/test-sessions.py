# SPDX-License-Identifier: Apache-2.0
"""Plugin sessions on a private bus, before the real processes of this machine. Arguments: the program, the source tree."""

import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from gi.repository import GLib

import host
import plugin_bus
from plugin_bus import s

PROGRAM, SOURCE = sys.argv[1:3]


class Sessions(plugin_bus.PluginTestCase):
    def setUp(self):
        super().setUp()
        # A container on this machine has terminals of the same numbers; the first ones are taken here, so that what is tested
        # gets others.
        for _ in range(16):
            for fd in pty.openpty():
                self.addCleanup(os.close, fd)

    def sessions(self, **config):
        return self.plugin(PROGRAM, "sessions").greet(config)

    def check(self, plugin):
        return plugin.call(".IdleCheck", "CheckIdle", "(a{sv})", {})

    def votes(self, plugin):
        return {vote["name"]: vote for vote in self.check(plugin)[2].get("votes", [])}

    def terminal(self, *command):
        """A command on a terminal of its own; the terminal's name."""
        pid, fd = pty.fork()
        if pid == 0:
            os.execvp(command[0], command)
        self.addCleanup(os.waitpid, pid, 0)
        self.addCleanup(os.kill, pid, 9)
        self.addCleanup(os.close, fd)
        os.read(fd, 1)
        return os.readlink("/proc/%d/fd/0" % pid).replace("/dev/", "")

    def test_live_interface_is_that_of_the_xml(self):
        self.assert_agrees_with_xml(self.sessions().introspect(), os.path.join(SOURCE, "introspection"))

    def test_a_job_on_a_terminal_has_a_vote(self):
        plugin = self.sessions()
        name = self.terminal("sh", "-c", "echo x; exec sleep 3600")
        vote = self.votes(plugin)[name]
        self.assertEqual(vote["verdict"], "busy")
        self.assertRegex(vote["reason"], "^(sh|sleep) began")
        self.assertEqual(self.check(plugin)[0], "busy")

    def test_what_it_saw_of_a_job_outlives_it(self):
        """Where checks are rare nobody calls it for longer than it stays."""
        plugin = self.sessions()
        name = self.terminal("bash", "--norc", "-c", "for ((i = 0; i < 1500000; i++)); do :; done; echo x; read -r")
        self.assertRegex(self.votes(plugin)[name]["reason"], "^bash works")
        version, state = plugin.call(".State", "ExportState")
        plugin.stop()
        # As little as lies between the two.
        other = self.sessions(work_within_minutes=GLib.Variant("d", 0.0001), foreground_max_hours=GLib.Variant("d", 0),
                              input_idle_minutes=GLib.Variant("t", 0))
        other.call(".State", "ImportState", "(uay)", version, state)
        # One that had forgotten would say that it works.
        self.assertEqual(self.votes(other)[name]["verdict"], "idle")

    def test_what_is_no_state_is_refused(self):
        plugin = self.sessions()
        _, state = plugin.call(".State", "ExportState")
        for version, text in ((2, bytes(state)), (1, b""), (1, bytes(state)[:-1]), (1, bytes(state) + b"x")):
            self.assert_error("InvalidArgument", plugin.call, ".State", "ImportState", "(uay)", version, text)

    def test_a_job_may_be_quiet_only_so_long(self):
        plugin = self.sessions(
            foreground_max_hours=GLib.Variant("d", 0),
            input_idle_minutes=GLib.Variant("t", 0),
            work_within_minutes=GLib.Variant("t", 0),
        )
        name = self.terminal("sh", "-c", "echo x; exec sleep 3600")
        self.assertEqual(self.votes(plugin)[name]["verdict"], "idle")

    @unittest.skipUnless(shutil.which("tmux"), "tmux is not installed")
    def test_a_detached_tmux(self):
        plugin = self.sessions(input_idle_minutes=GLib.Variant("t", 0))
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        tmux = ["tmux", "-f", "/dev/null", "-S", os.path.join(directory.name, "socket")]
        environment = {k: v for k, v in os.environ.items() if k != "TMUX"}

        def ask(*arguments):
            return subprocess.run([*tmux, *arguments], env=environment, check=True, capture_output=True, text=True).stdout.strip()

        # The shell says that it is at its prompt by a channel of tmux's own.
        ready = "exec env PROMPT_COMMAND='%s wait-for -S ready' bash --norc" % " ".join(tmux)
        ask("new-session", "-d", "-n", "idle", ready)
        self.addCleanup(subprocess.run, [*tmux, "kill-server"], env=environment, capture_output=True)
        ask("new-window", "-d", "-n", "busy", "while :; do :; done")
        forgotten = [name for name in ("watch", "less", "vim", "top") if shutil.which(name)]
        for name in forgotten:
            arguments = {"watch": " -n 1 true", "less": " /etc/passwd"}.get(name, "")
            ask("new-window", "-d", "-n", name, "exec " + name + arguments)
        running = lambda: set(ask("list-panes", "-a", "-F", "#{window_name} #{pane_current_command}").splitlines())
        deadline = time.monotonic() + 30
        while not {"%s %s" % (name, name) for name in forgotten} <= running():
            self.assertLess(time.monotonic(), deadline, running())
        panes = dict(line.split() for line in ask("list-panes", "-a", "-F", "#{window_name} #{pane_tty}").splitlines())
        name = {window: tty.replace("/dev/", "") for window, tty in panes.items()}
        ask("wait-for", "ready")
        votes = self.votes(plugin)
        self.assertEqual(votes[name["idle"]]["verdict"], "idle", votes)
        self.assertEqual(votes[name["busy"]]["verdict"], "busy")
        for program in forgotten:
            self.assertEqual(votes[name[program]]["verdict"], "idle", votes[name[program]])

    def test_settings_are_those_of_the_manifest(self):
        with open(os.path.join(SOURCE, "plugins/sessions/plugin.json")) as f:
            manifest = json.load(f)
        described = json.loads(subprocess.run([PROGRAM, "--describe"], capture_output=True, text=True, check=True).stdout)
        self.assertEqual(set(described["settings"]), set(manifest["config_schema"]))
        for name, setting in described["settings"].items():
            declared = manifest["config_schema"][name]
            self.assertEqual(declared["type"], setting["type"])
            if "minimum" in setting:
                self.assertEqual([float(x) for x in declared["constraints"].split("..")], [setting["minimum"], setting["maximum"]])
        self.assertEqual(described["contracts"], manifest["contracts"])
        self.assertEqual((described["name"], described["version"]), (manifest["name"], manifest["version"]))

    def test_wrong_settings_are_refused(self):
        plugin = self.sessions()
        for key, value in (
            ("foreground_max_hours", GLib.Variant("d", -1)),
            ("idle_programs", s("bash")),
            ("idle_programs", GLib.Variant("as", ["x"] * 1025)),
        ):
            with self.assertRaises(GLib.Error):
                plugin.call("", "Configure", "(a{sv})", {key: value})
        self.assertIn(self.check(plugin)[0], ("idle", "busy"))

    @unittest.skipIf(host.no_mounts(), host.no_mounts())
    def test_without_logind_it_says_so(self):
        hidden = 'mount -t tmpfs tmpfs /run && exec "$0"'
        plugin = self.plugin("unshare", "sessions", "--mount", "sh", "-c", hidden, PROGRAM).greet({})
        verdict, reason, details = self.check(plugin)
        self.assertIn("no logind", reason)
        self.assertFalse(details["logind"])


plugin_bus.main()
