#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""snooze -H HOST: another machine's snoozed, by a stand-in for ssh that runs the same bridge here."""

import json
import os
import select
import signal
import time

import plugin_bus
from command_line import HOUR, OK, REFUSED, UNREACHABLE, USAGE, CommandLine
from mock_snoozed import Failure, v

# Notes how it was called and as which process, and is then what ssh would have run there.
SSH = """printf '%s\\n' "$@" >"$0.called"
echo $$ >"$0.process"
for word; do last=$word; done
test "$last" = systemd-stdio-bridge || exit 9
exec systemd-stdio-bridge --bus-path="$THERE"
"""


class Host(CommandLine):
    def setUp(self):
        super().setUp()
        self.ssh = self.program("ssh", SSH)
        self.environment["PATH"] = self.directory.name + ":" + os.environ["PATH"]
        self.environment["THERE"] = self.bus.address
        # Whatever reaches the daemon went by ssh.
        self.environment["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=/nonexistent/bus"

    def called(self):
        """The arguments of ssh, or None."""
        try:
            with open(self.ssh + ".called") as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return None

    def test_it_goes_by_ssh_and_not_by_the_bus_here(self):
        text = self.snooze("-H", "far", "status")
        self.assertTrue(text.startswith("Active: cpu 42.3 % ≥ 5 %.\n"), text)
        self.assertEqual(self.called(), ["-xT", "--", "far", "systemd-stdio-bridge"])
        self.snooze("status", code=UNREACHABLE)

    def test_it_may_stand_where_people_type_it(self):
        status = json.loads(self.snooze("-H", "far", "--json", "status"))
        for arguments in (["--json", "-H", "far"], ["-Hfar", "status", "--json"], ["--host=far", "--json"], ["--host", "far", "--json"],
                          ["status", "--json", "-H", "far"], ["status", "--host=far", "--json"]):
            with self.subTest(arguments=arguments):
                self.assertEqual(json.loads(self.snooze(*arguments)), status)
        self.assertIn("naptime_minutes", self.snooze("config", "-H", "far", "get"))
        self.assertIn("sessions", self.snooze("plugin", "list", "-H", "far"))

    def test_users_ports_and_addresses(self):
        for host, arguments in (("alice@far", ["--", "alice@far"]), ("alice@far:2222", ["-p", "2222", "--", "alice@far"]),
                                ("fe80::1:22", ["--", "fe80::1:22"]), ("far:ssh", ["--", "far:ssh"])):
            with self.subTest(host=host):
                self.snooze("-H", host, "holds")
                self.assertEqual(self.called(), ["-xT", *arguments, "systemd-stdio-bridge"])

    def test_what_is_no_host_never_reaches_ssh(self):
        for host in ("", "-oProxyCommand=touch x", "alice@-oProxyCommand=x", "a b", "far\n", "x" * 600):
            with self.subTest(host=host):
                self.assertIn("is no host", self.snooze("--host=" + host, "status", code=USAGE))
        self.assertIn("-H needs a HOST", self.snooze("-H", code=USAGE))
        self.assertIsNone(self.called())

    def test_what_changes_something_travels_too(self):
        self.snooze("postpone", "-H", "far", "2h", "demo")
        self.assertEqual(self.mock.called("Postpone"), [(2 * HOUR, "demo")])
        self.snooze("-H", "far", "hold", "--for", "1h", "--why", "a demo")
        self.assertEqual(self.mock.called("HoldFor"), [(HOUR, "a demo")])
        self.snooze("-H", "far", "config", "set", "naptime_minutes", "45")
        self.assertEqual(self.mock.called("SetConfiguration"), [('{"naptime_minutes":45}',)])
        self.assertEqual(self.snooze("-H", "far", "doctor").splitlines()[0], "0 wrong, 1 blind, 0 to look at; 1 fine.")

    def test_errors_keep_their_names(self):
        self.mock.answers["StopInstance"] = Failure("Held", "alice: pytest holds it")
        self.assertIn("alice: pytest holds it", self.snooze("-H", "far", "stop", code=REFUSED))
        self.mock.disown()
        self.assertIn("snoozed cannot be reached", self.snooze("-H", "far", "status", code=UNREACHABLE))

    def test_what_it_tells_to_type_is_about_that_machine(self):
        now = int(time.time() * 1e6)
        self.mock.answers["ListHolds"] = v("(a(ussstt))", ([(5, "alice", "demo", "postpone", now, now + 2 * HOUR)],))
        self.mock.set(Holds=1)
        for arguments, advice in ((["postpone", "2h", "demo"], "Take it back: snooze -H far release 5"),
                                  (["hold", "--for", "1h"], "End it before: snooze -H far release 17"),
                                  (["stop"], "Too soon? snooze -H far cancel"),
                                  (["stop", "--delay", "10min"], "Keep it on: snooze -H far cancel"),
                                  (["stop", "--dry-run"], "see: snooze -H far status --watch"),
                                  (["status"], "(snooze -H far holds)"),
                                  (["pause"], "Go on before: ssh -t far sudo snooze resume")):
            with self.subTest(arguments=arguments):
                self.assertIn(advice + "\n", self.snooze("-H", "far", *arguments))
                self.assertIn(advice + "\n", self.snooze(*arguments[:1], "-H", "far", *arguments[1:]))
        self.mock.set(DryRun=True, State="warning", NextStop=now + HOUR)
        text = self.snooze("-H", "alice@far:2222", "status")
        self.assertIn("arm it with: ssh -t -p 2222 alice@far sudo snooze setup\n", text)
        self.assertIn("Keep it on: snooze -H alice@far:2222 postpone 2h\n", text)

    def test_hints_after_an_error_are_about_that_machine(self):
        for name, hint in (("Held", "See: snooze -H far holds\n"),
                           ("NoProvider", "See: snooze -H far provider list · choose one: ssh -t far sudo snooze setup --provider ID\n")):
            with self.subTest(name=name):
                self.mock.answers["StopInstance"] = Failure(name, "no")
                self.assertIn(hint, self.snooze("-H", "far", "stop", code=REFUSED))
        self.mock.disown()
        self.assertIn("ssh -t far sudo systemctl enable --now snoozed · ssh -t far sudo journalctl -u snoozed\n",
                      self.snooze("-H", "far", "status", code=UNREACHABLE))

    def test_on_a_terminal_nobody_is_asked_by_polkit_but_by_us(self):
        text, status = self.on_terminal("-H", "far", "stop", answer="y\n", until="[y/N]")
        self.assertIn("Stop far? [y/N]", text)
        self.assertEqual((status, [call[2] for call in self.mock.calls if call[0] == "StopInstance"]), (OK, [False]))

    def test_what_needs_the_machine_itself_is_not_tried(self):
        marker = os.path.join(self.directory.name, "ran")
        for arguments in (["hold", "--", "touch", marker], ["hold"], ["record"], ["simulate", "x"], ["config", "check"],
                          ["provider", "policy"], ["plugin", "install", "x"], ["plugin", "new", "x"], ["plugin", "test", "x"]):
            with self.subTest(arguments=arguments):
                text = self.snooze("-H", "far", *arguments, code=USAGE)
                self.assertRegex(text, r"-H (cannot be here|goes with --for SPAN alone): .*: ssh far")
        self.assertIn("ssh far", self.snooze("record", "-H", "far", code=USAGE))
        self.assertFalse(os.path.exists(marker))
        self.assertIsNone(self.called())
        self.assertEqual(self.mock.calls, [])

    def test_a_machine_that_is_not_reached(self):
        self.program("ssh", "echo 'ssh: no route to far' >&2; exit 255\n")
        text = self.snooze("-H", "far", "status", code=UNREACHABLE)
        self.assertIn("ssh: no route to far\n", text)
        # The daemon there is not at fault, and less so the one here.
        self.assertRegex(text, r"(?m)^snooze: ssh brought no bus of far \(.*\); it needs systemd-stdio-bridge there\n\Z")
        os.unlink(self.ssh)
        self.environment["PATH"] = self.directory.name
        text = self.snooze("-H", "far", "status", code=UNREACHABLE)
        self.assertRegex(text, r"\Asnooze: ssh brought no bus of far \(.*\); it needs systemd-stdio-bridge there\n\Z")
        self.environment["PATH"] = os.environ["PATH"]
        self.assertIn("Is it installed and running? sudo systemctl", self.snooze("status", code=UNREACHABLE))

    def test_what_is_told_on_and_on_ends_with_the_way_there(self):
        for arguments in (["status", "--watch"], ["events", "--follow"]):
            with self.subTest(arguments=arguments):
                self.mock.answers["ListEvents"] = v("(aa{sv})", ([],))
                process = self.start("-H", "far", *arguments, "--json")
                if arguments[0] == "status":
                    self.assertEqual(json.loads(process.stdout.readline())["state"], "active")
                else:
                    self.until_called("ListEvents")
                # Whether it listens already is not to be seen from here.
                while not select.select([process.stdout], [], [], 0.1)[0]:
                    self.mock.emit("StateChanged", "(sss)", "idle", "active", "nothing happens")
                    self.mock.emit("EventCancelled", "(ss)", "7", "somebody")
                self.assertIn("time", json.loads(process.stdout.readline()))
                with open(self.ssh + ".process") as f:
                    os.kill(int(f.read()), signal.SIGTERM)
                process.stdout.read()
                self.assertEqual(process.wait(30), UNREACHABLE)
                self.assertIn("the connection to far is gone", process.stderr.read())


if __name__ == "__main__":
    plugin_bus.main()
