# SPDX-License-Identifier: Apache-2.0
"""Provider script on a private bus, with commands that behave well and commands that do not. Arguments: the program, the source tree."""

import json
import os
import sys
import tempfile

from gi.repository import Gio, GLib

import plugin_bus
from plugin_bus import ERROR, iterate_until, s

PROGRAM, SOURCE = sys.argv[1:3]
PROVIDER = ".CloudProvider"


class Script(plugin_bus.PluginTestCase):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        source = GLib.timeout_add(20, lambda: GLib.SOURCE_CONTINUE)  # what commands do in files is signalled by nobody
        self.addCleanup(GLib.source_remove, source)
        self.command("stop", 'echo "$SNOOZE_ACTION|$SNOOZE_INSTANCE_ID|$SNOOZE_REASON" >> "$(dirname "$0")/stops"')

    def path(self, name):
        return os.path.join(self.directory, name)

    def command(self, name, text, mode=0o755):
        with open(self.path(name + ".new"), "w") as f:
            f.write("#!/bin/sh\n" + text + "\n")
        os.chmod(self.path(name + ".new"), mode)
        os.rename(self.path(name + ".new"), self.path(name))
        return self.path(name)

    def stops(self):
        try:
            with open(self.path("stops")) as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def configuration(self, **settings):
        settings = {"stop_command": self.path("stop"), "stop_effect": "stops-billing", **settings}
        kinds = {str: "s", int: "x", list: "as"}
        return {name: GLib.Variant(kinds[type(value)], value) for name, value in settings.items() if value is not None}

    def script(self, environment=None, **settings):
        return self.plugin(PROGRAM, "script", environment={"SNOOZE_TRUST_OWN_PROGRAMS": "1", **(environment or {})}).greet(
            self.configuration(**settings))

    def ask(self, plugin, member, signature=None, *arguments):
        answers = plugin.call_later(PROVIDER, member, signature, *arguments)
        iterate_until(lambda: answers, 30)
        if isinstance(answers[0], GLib.Error):
            raise answers[0]
        return answers[0]

    def stop_with(self, plugin, instance="", **options):
        return self.ask(plugin, "StopInstance", "(sa{sv})", instance, {k.replace("_", "-"): v for k, v in options.items()})

    def refused(self, name, function, *arguments, **options):
        with self.assertRaises(GLib.Error) as context:
            function(*arguments, **options)
        self.assertEqual(Gio.DBusError.get_remote_error(context.exception), ERROR + name, context.exception.message)
        return context.exception.message

    def info(self, plugin, instance=""):
        return self.ask(plugin, "GetInstanceInfo", "(s)", instance)[0]

    def test_live_interface_is_that_of_the_xml(self):
        self.assert_agrees_with_xml(self.script().introspect(), os.path.join(SOURCE, "introspection"))

    def test_it_is_chosen_by_a_person_alone(self):
        plugin = self.script()
        self.assertEqual(self.ask(plugin, "Detect"), (False,))
        self.assertEqual(plugin.property(PROVIDER, "StopEffect"), "stops-billing")

    def test_what_a_stop_costs_has_to_be_said(self):
        for settings in ({"stop_effect": None}, {"stop_effect": "nothing"}, {"stop_command": None}, {"timeout_seconds": 0}, {"instance_id": "a b"},
                         {"actions": ["explode"]}):
            with self.subTest(settings=settings):
                plugin = self.plugin(PROGRAM, "script", environment={"SNOOZE_TRUST_OWN_PROGRAMS": "1"})
                plugin.call("", "Handshake", "(us)", 1, "0.1.0")
                with self.assertRaises(GLib.Error):
                    plugin.call("", "Initialize", "(a{sv})", self.configuration(**settings))
                plugin.stop()

    def test_a_command_that_others_could_change_is_refused(self):
        plugin = self.script()
        os.chmod(self.path("stop"), 0o757)
        self.assertIn("can be written by everybody", self.refused("Refused", self.stop_with, plugin))
        self.assertEqual(self.ask(plugin, "CheckPermissions")[0][0][:2], ("stop_command", False))
        self.assertEqual(self.stops(), [])

    def test_and_so_is_its_configuration(self):
        self.command("other", "exit 0", mode=0o777)
        plugin = self.plugin(PROGRAM, "script", environment={"SNOOZE_TRUST_OWN_PROGRAMS": "1"})
        plugin.call("", "Handshake", "(us)", 1, "0.1.0")
        for settings in ({"stop_command": self.path("other")}, {"start_command": self.path("other")}, {"state_command": self.path("missing")},
                         {"stop_command": "stop"}):
            with self.subTest(settings=settings), self.assertRaises(GLib.Error):
                plugin.call("", "Initialize", "(a{sv})", self.configuration(**settings))

    def test_a_stop_runs_the_command(self):
        plugin = self.script(instance_id="vm-7")
        self.stop_with(plugin, reason=s("idle since 22:06"))
        self.assertEqual(self.stops(), ["stop|vm-7|idle since 22:06"])
        self.assertEqual(self.info(plugin)["state"], "stopping")

    def test_nothing_that_is_given_becomes_a_command(self):
        plugin = self.script()
        self.stop_with(plugin, reason=s("$(touch x); `id`\nSNOOZE_ACTION=start"))
        self.assertEqual(self.stops(), ["stop||$(touch x); `id` SNOOZE_ACTION=start"])
        for identifier in ("a b", "$(id)", "-rf", "x" * 129, "a/b", "a\nb"):
            with self.subTest(identifier=identifier):
                self.refused("InvalidArgument", self.stop_with, plugin, identifier)

    def test_actions_are_those_that_were_said(self):
        plugin = self.script(actions=["stop", "hibernate"])
        self.stop_with(plugin, action=s("hibernate"))
        self.refused("NotSupported", self.stop_with, plugin, action=s("suspend"))
        self.refused("InvalidArgument", self.stop_with, plugin, action=s("explode"))
        self.assertEqual(self.stops(), ["hibernate||"])

    def test_dry_run_runs_nothing(self):
        plugin = self.script()
        dry = GLib.Variant("b", True)
        self.stop_with(plugin, dry_run=dry)
        os.unlink(self.path("stop"))
        self.refused("Refused", self.stop_with, plugin, dry_run=dry)
        self.assertEqual(self.stops(), [])

    def test_what_its_end_means(self):
        plugin = self.script()
        for text, name, message in (("echo asked; echo 'no such zone' >&2; exit 1", "Refused", "stop_command: no such zone"),
                                    ("exit 3", "Refused", "exit status 3"),
                                    ("echo 'quota is used up'; exit 75", "Throttled", "stop_command: quota is used up"),
                                    ("exit 75", "Throttled", "ask again later"),
                                    ("kill -SEGV $$", "Refused", "signal 11"),
                                    ("yes", "Refused", "wrote more than")):
            with self.subTest(text=text):
                self.command("stop", text)
                self.assertIn(message, self.refused(name, self.stop_with, plugin))
        self.assertEqual(self.info(plugin)["state"], "running")

    def test_it_means_the_same_of_every_command(self):
        for name in ("start", "state"):
            self.command(name, "exit 0")
        plugin = self.script(timeout_seconds=1, start_command=self.path("start"), state_command=self.path("state"))
        calls = {"stop": lambda: self.stop_with(plugin), "start": lambda: self.ask(plugin, "StartInstance", "(sa{sv})", "vm-8", {}),
                 "state": lambda: self.info(plugin, "vm-8")}
        for name, call in calls.items():
            for text, error, message in (("echo no right; exit 1", "Refused", "no right"), ("echo later; exit 75", "Throttled", "later"),
                                         ("kill -KILL $$", "Refused", "signal 9"), ("yes", "Refused", "wrote more than"),
                                         ("exec sleep 600", "Throttled", "had not ended")):
                with self.subTest(command=name, text=text):
                    self.command(name, text)
                    said = self.refused(error, call)
                    self.assertIn(f"{name}_command: ", said)
                    self.assertIn(message, said)
            self.command(name, "echo running")
            call()

    def test_what_was_done_before_it_hung_is_done_once_more_when_asked_again(self):
        self.command("stop", 'echo "$SNOOZE_ACTION" >> "$(dirname "$0")/stops"; test "$(wc -l < "$(dirname "$0")/stops")" -gt 1 || exec sleep 600')
        plugin = self.script(timeout_seconds=1)
        self.refused("Throttled", self.stop_with, plugin)
        self.assertEqual(self.info(plugin)["state"], "running")
        self.stop_with(plugin)
        self.assertEqual((self.stops(), self.info(plugin)["state"]), (["stop", "stop"], "stopping"))

    def test_a_reason_is_short_and_one_line(self):
        self.command("stop", "printf 'a\\033[31mb\\377'; printf '%01000d' 0; exit 1")
        message = self.refused("Refused", self.stop_with, self.script())
        self.assertNotIn("\x1b", message)
        self.assertLess(len(message), 400)

    def test_one_that_hangs_is_ended_with_all_that_it_began(self):
        self.command("stop", 'sleep 600 & echo $! > "$(dirname "$0")/child"; trap "" TERM; wait; wait')
        self.assertIn("had not ended", self.refused("Throttled", self.stop_with, self.script(timeout_seconds=1)))
        with open(self.path("child")) as f:
            child = int(f.read())
        iterate_until(lambda: not os.path.exists(f"/proc/{child}"))

    def test_two_stops_at_once_are_one(self):
        self.command("stop", 'echo run >> "$(dirname "$0")/stops"; read line < "$(dirname "$0")/gate"')
        os.mkfifo(self.path("gate"))
        plugin = self.script()
        first = plugin.call_later(PROVIDER, "StopInstance", "(sa{sv})", "", {})
        iterate_until(lambda: self.stops())
        self.assertIn("runs already", self.refused("Throttled", self.stop_with, plugin))
        with open(self.path("gate"), "w") as f:
            f.write("go\n")
        iterate_until(lambda: first)
        self.assertNotIsInstance(first[0], GLib.Error)
        self.assertEqual(self.stops(), ["run"])

    def test_without_a_state_command_it_runs(self):
        info = self.info(self.script(instance_id="vm-7"))
        self.assertEqual((info["id"], info["state"], info["name"]), ("vm-7", "running", os.uname().nodename))
        self.refused("NotSupported", self.info, self.script(), "vm-8")

    def test_a_state_in_one_word(self):
        plugin = self.script(state_command=self.command("state", 'echo asking; echo stopped; test "$SNOOZE_ACTION" = state'))
        self.assertEqual(self.info(plugin)["state"], "stopped")
        self.assertEqual(self.info(plugin, "vm-8"), {"id": "vm-8", "state": "stopped"})

    def test_or_with_what_else_is_known(self):
        known = {"name": "worker", "type": "cx22", "region": "fsn1", "zone": "dc14", "state": "running", "lifecycle": "on-demand", "launch-time": 1594671638000000,
                 "tags": {"owner": "alice"}}
        plugin = self.script(instance_id="vm-7", state_command=self.command("state", f"echo '{json.dumps(known)}'"))
        self.assertEqual(self.info(plugin), {"id": "vm-7", **known})

    def test_what_is_no_state(self):
        self.command("state", 'cat "$(dirname "$0")/line"')
        plugin = self.script(state_command=self.path("state"))
        for line in ("", "fine", "{", "[]", "{}", '{"state": 7}', '{"state": "running", "nonsense": 1}', '{"state": "running", "name": 7}',
                     '{"state": "running", "tags": []}', '{"state": "running", "tags": {"a": 1}}', '{"state": "running", "launch-time": -1}',
                     '{"state": "running", "name": "' + "x" * 257 + '"}'):
            with self.subTest(line=line[:40]):
                with open(self.path("line"), "w") as f:
                    f.write(line)
                self.assertIn("state_command", self.refused("Refused", self.info, plugin))

    def test_another_machine_is_started(self):
        plugin = self.script(instance_id="vm-7", start_command=self.command("start", 'echo "$SNOOZE_ACTION|$SNOOZE_INSTANCE_ID" > "$(dirname "$0")/starts"'))
        self.ask(plugin, "StartInstance", "(sa{sv})", "vm-8", {})
        with open(self.path("starts")) as f:
            self.assertEqual(f.read(), "start|vm-8\n")
        for own in ("", "vm-7"):
            self.refused("InvalidArgument", self.ask, plugin, "StartInstance", "(sa{sv})", own, {})
        self.refused("NotSupported", self.ask, self.script(), "StartInstance", "(sa{sv})", "vm-8", {})

    def test_secrets_of_the_unit_reach_the_command(self):
        self.command("stop", 'test "$CREDENTIALS_DIRECTORY" = "$(dirname "$0")/secrets"')
        self.stop_with(self.script(environment={"CREDENTIALS_DIRECTORY": self.path("secrets"), "HIDDEN": "x"}))
        self.command("stop", 'test -z "$HIDDEN$DBUS_SYSTEM_BUS_ADDRESS$NOTIFY_SOCKET"')
        self.stop_with(self.script(environment={"HIDDEN": "x"}))

    def test_permissions_are_what_may_be_run(self):
        rows = self.ask(self.script(state_command=self.command("state", "echo running")), "CheckPermissions")[0]
        self.assertEqual([row[:2] for row in rows], [("stop_command", True), ("state_command", True), ("hibernate", False), ("suspend", False)])

    def test_only_what_it_is_made_for_is_missing_nowhere(self):
        rows = self.ask(self.script(actions=["hibernate"]), "CheckPermissions")[0]
        self.assertEqual([row for row in rows if not row[1]],
                         [("stop", False, "This cloud cannot stop a machine"), ("suspend", False, "This cloud cannot suspend a machine")])

    def test_tags_are_not_supported(self):
        self.refused("NotSupported", self.ask, self.script(), "SetTags", "(a{ss})", {})


plugin_bus.main()
