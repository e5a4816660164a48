# SPDX-License-Identifier: Apache-2.0
"""Plugin terminal on a private bus, before terminals that the test made. Arguments: the program, the source tree."""

import json
import os
import pty
import subprocess
import sys
import tempfile
import termios
import tty

from gi.repository import GLib

import plugin_bus
from plugin_bus import s

PROGRAM, SOURCE = sys.argv[1:3]
NOTICE = "This machine stops at 22:41 CET (in 5 min): idle since 22:06. Keep it on: snooze postpone 2h · why: snooze why"


class Terminal(plugin_bus.PluginTestCase):
    def setUp(self):
        super().setUp()
        self.devices = tempfile.TemporaryDirectory()
        self.addCleanup(self.devices.cleanup)
        os.mkdir(os.path.join(self.devices.name, "pts"))
        self.count = 0

    def start(self):
        return self.plugin(PROGRAM, "terminal", environment={"SNOOZE_TERMINAL_DEVICES": self.devices.name}).greet()

    def add(self, target):
        os.symlink(target, os.path.join(self.devices.name, "pts", str(self.count)))
        self.count += 1

    def open(self, mode=0o620):
        """Both ends of a new terminal; no user of this machine sees what the test writes."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        tty.setraw(slave)
        os.set_blocking(master, False)
        os.fchmod(slave, mode)
        self.add(os.ttyname(slave))
        return master, slave

    def tell(self, plugin, type_="snooze.stop.pending", **data):
        event = {"id": s("1"), "type": s(type_), "deadline": GLib.Variant("t", 1), "data": GLib.Variant("a{sv}", data)}
        return plugin.call(".EventHandler", "HandleEvent", "(a{sv})", event)

    def read(self, master):
        try:
            return os.read(master, 4096).decode()
        except BlockingIOError:
            return ""

    def test_live_interface_is_that_of_the_xml(self):
        self.assert_agrees_with_xml(self.start().introspect(), os.path.join(SOURCE, "introspection"))

    def test_every_terminal_is_told(self):
        ends = [self.open() for _ in range(3)]
        self.assertEqual(self.tell(self.start(), notice=s(NOTICE)), (True, {"terminals": 3, "closed": 0, "stopped": 0}))
        for master, _ in ends:
            self.assertEqual(self.read(master), "\r\n\a" + NOTICE + "\r\n")

    def test_a_notice_that_announces_no_stop_is_told_too(self):
        master, _ = self.open()
        plugin = self.start()
        self.assertEqual(self.tell(plugin, "snooze.notice", notice=s("sessions has not answered for an hour"))[0], True)
        self.assertIn("sessions has not answered for an hour", self.read(master))
        self.assertEqual(self.tell(plugin, "custom.other", notice=s("x"))[0], False)

    def test_what_was_called_off_is_told_as_such(self):
        master, _ = self.open()
        plugin = self.start()
        for source, told in (("logind", True), ("snoozed", False)):
            event = {"id": s("1"), "type": s("snooze.stop.pending"), "source": s(source), "cancelled": GLib.Variant("b", True),
                     "data": GLib.Variant("a{sv}", {"notice": s("Somebody shuts this machine down")})}
            self.assertEqual(plugin.call(".EventHandler", "HandleEvent", "(a{sv})", event)[0], told)
            self.assertEqual(self.read(master), "\r\n\aCalled off: Somebody shuts this machine down\r\n" if told else "")

    def test_mesg_n_is_respected(self):
        quiet, open_ = self.open(0o600), self.open()
        self.assertEqual(self.tell(self.start(), notice=s(NOTICE)), (True, {"terminals": 1, "closed": 1, "stopped": 0}))
        self.assertEqual(self.read(quiet[0]), "")
        self.assertIn(NOTICE, self.read(open_[0]))

    def test_a_stopped_terminal_keeps_nobody_waiting(self):
        stopped, open_ = self.open(), self.open()
        termios.tcflow(stopped[1], termios.TCOOFF)
        self.assertEqual(self.tell(self.start(), notice=s(NOTICE)), (True, {"terminals": 1, "closed": 0, "stopped": 1}))
        self.assertIn(NOTICE, self.read(open_[0]))
        termios.tcflow(stopped[1], termios.TCOON)

    def test_what_is_no_terminal_is_left_alone(self):
        path = os.path.join(self.devices.name, "file")
        with open(path, "w"):
            os.chmod(path, 0o666)
        self.add(path)
        self.add("/dev/null")
        self.add(os.path.join(self.devices.name, "missing"))
        self.assertEqual(self.tell(self.start(), notice=s(NOTICE)), (False, {"terminals": 0, "closed": 0, "stopped": 0}))
        self.assertEqual(os.path.getsize(path), 0)

    def test_no_orders_to_terminals(self):
        master, _ = self.open()
        self.tell(self.start(), notice=s("a\x1b[2Jb\nc"))
        self.assertEqual(self.read(master), "\r\n\aa [2Jb c\r\n")

    def test_other_events_are_not_handled(self):
        master, _ = self.open()
        self.assertEqual(self.tell(self.start(), "custom.other", notice=s(NOTICE)), (False, {}))
        self.assertEqual(self.read(master), "")

    def test_manifest_and_program_agree(self):
        with open(os.path.join(SOURCE, "plugins/terminal/plugin.json")) as f:
            manifest = json.load(f)
        described = json.loads(subprocess.run([PROGRAM, "--describe"], capture_output=True, text=True, check=True).stdout)
        self.assertEqual(described["events"], list(manifest["events"]))
        self.assertEqual(described["contracts"], manifest["contracts"])
        self.assertEqual((described["name"], described["version"]), (manifest["name"], manifest["version"]))


plugin_bus.main()
