# SPDX-License-Identifier: Apache-2.0
"""Provider local on a private bus, before a logind that does what the test wants. Arguments: the program, the source tree."""

import os
import sys
import tempfile

from gi.repository import Gio, GLib

import plugin_bus
from plugin_bus import ERROR, iterate_until, s

PROGRAM, SOURCE = sys.argv[1:3]
PROVIDER = ".CloudProvider"

LOGIND = """<node><interface name="org.freedesktop.login1.Manager">
  <method name="PowerOff"><arg type="b" direction="in"/></method>
  <method name="Suspend"><arg type="b" direction="in"/></method>
  <method name="Hibernate"><arg type="b" direction="in"/></method>
  <method name="CanPowerOff"><arg type="s" direction="out"/></method>
  <method name="CanSuspend"><arg type="s" direction="out"/></method>
  <method name="CanHibernate"><arg type="s" direction="out"/></method>
  <method name="ListInhibitors"><arg type="a(ssssuu)" direction="out"/></method>
  <property name="PreparingForShutdown" type="b" access="read"/>
  <property name="PreparingForSleep" type="b" access="read"/>
  <property name="IdleHint" type="b" access="read"/>
</interface></node>"""


class Logind:
    def __init__(self, connection, xml=LOGIND):
        self.can = {"CanPowerOff": "yes", "CanSuspend": "yes", "CanHibernate": "na"}
        self.inhibitors = []
        self.refusal = None
        self.answers = {}  # of another form than logind's
        self.silent = {}   # members that are not answered, and their invocations
        self.preparing = False
        self.performed = []
        self.connection = connection
        interface = Gio.DBusNodeInfo.new_for_xml(xml).interfaces[0]
        connection.register_object("/org/freedesktop/login1", interface, self.called, self.property, None)
        self.name = Gio.bus_own_name_on_connection(connection, "org.freedesktop.login1", Gio.BusNameOwnerFlags.NONE, None, None)

    def called(self, connection, sender, path, interface, member, parameters, invocation):
        if member in self.silent:
            self.silent[member].append(invocation)
        elif member in self.answers:
            invocation.return_value(self.answers[member])
        elif member in self.can:
            invocation.return_value(GLib.Variant("(s)", (self.can[member],)))
        elif member == "ListInhibitors":
            invocation.return_value(GLib.Variant("(a(ssssuu))", (self.inhibitors,)))
        elif self.refusal:
            invocation.return_dbus_error(*self.refusal)
        else:
            self.performed.append((member, parameters.unpack()[0]))
            invocation.return_value(None)

    def property(self, connection, sender, path, interface, name):
        return GLib.Variant("b", name == "PreparingForShutdown" and self.preparing)


class Local(plugin_bus.PluginTestCase):
    def setUp(self):
        super().setUp()
        self.root = tempfile.TemporaryDirectory()
        self.addCleanup(self.root.cleanup)
        self.machine({"sys_vendor": "QEMU", "product_name": "Standard PC"})

    def machine(self, dmi):
        directory = os.path.join(self.root.name, "sys/class/dmi/id")
        os.makedirs(directory, exist_ok=True)
        for name, text in dmi.items():
            with open(os.path.join(directory, name), "w") as f:
                f.write(text + "\n")

    def logind(self, *arguments):
        return Logind(self.bus.connection, *arguments)

    def local(self, impatience=1):
        return self.plugin(PROGRAM, "local", environment={"SNOOZE_LOCAL_ROOT": self.root.name, "SNOOZE_IMPATIENCE": str(impatience)}).greet()

    def ask(self, plugin, member, signature=None, *arguments):
        """An asynchronous call, so that the logind of this same process can answer in between."""
        answers = plugin.call_later(PROVIDER, member, signature, *arguments)
        iterate_until(lambda: answers)
        if isinstance(answers[0], GLib.Error):
            raise answers[0]
        return answers[0]

    def stop_with(self, plugin, instance="", **options):
        return self.ask(plugin, "StopInstance", "(sa{sv})", instance, {k.replace("_", "-"): v for k, v in options.items()})

    def refusal(self, name, plugin, *arguments, **options):
        with self.assertRaises(GLib.Error) as context:
            self.stop_with(plugin, *arguments, **options)
        self.assertEqual(Gio.DBusError.get_remote_error(context.exception), ERROR + name)
        return context.exception.message

    def test_live_interface_is_that_of_the_xml(self):
        self.assert_agrees_with_xml(self.local().introspect(), os.path.join(SOURCE, "introspection"))

    def test_a_virtual_machine_is_its_own(self):
        plugin = self.local()
        self.assertEqual(self.ask(plugin, "Detect"), (True,))
        self.assertEqual(plugin.property(PROVIDER, "StopEffect"), "saves-power")
        self.assertEqual(plugin.property(PROVIDER, "ProviderName"), "This machine")

    def test_a_clouds_machine_is_not(self):
        self.machine({"sys_vendor": "Amazon EC2"})
        plugin = self.local()
        self.assertEqual(self.ask(plugin, "Detect"), (False,))
        self.assertEqual(plugin.property(PROVIDER, "StopEffect"), "unknown")

    def test_nor_is_bare_metal(self):
        self.machine({"sys_vendor": "LENOVO", "product_name": "21CB"})
        plugin = self.local()
        self.assertEqual(self.ask(plugin, "Detect"), (False,))
        self.assertEqual(plugin.property(PROVIDER, "StopEffect"), "saves-power")

    def test_power_off_is_asked_without_interaction(self):
        logind, plugin = self.logind(), self.local()
        self.stop_with(plugin, reason=s("idle since 22:06"))
        self.assertEqual(logind.performed, [("PowerOff", False)])
        self.assertEqual(self.ask(plugin, "GetInstanceInfo", "(s)", "")[0]["state"], "stopping")

    def test_actions(self):
        logind, plugin = self.logind(), self.local()
        logind.can["CanHibernate"] = "yes"
        for action in ("stop", "suspend", "hibernate"):
            self.stop_with(plugin, action=s(action))
        self.assertEqual([p[0] for p in logind.performed], ["PowerOff", "Suspend", "Hibernate"])

    def test_dry_run_does_all_but_the_last_step(self):
        logind, plugin = self.logind(), self.local()
        dry = GLib.Variant("b", True)
        self.stop_with(plugin, dry_run=dry)
        logind.can["CanPowerOff"] = "challenge"
        self.assertIn("org.freedesktop.login1.power-off", self.refusal("Refused", plugin, dry_run=dry))
        self.assertEqual(logind.performed, [])

    def test_twice_is_no_harm(self):
        logind, plugin = self.logind(), self.local()
        logind.refusal = ("org.freedesktop.login1.OperationInProgress", "There's already a shutdown in progress")
        self.stop_with(plugin)

    def test_polkits_no_is_a_refusal(self):
        logind, plugin = self.logind(), self.local()
        logind.refusal = ("org.freedesktop.DBus.Error.AccessDenied", "Permission denied by policy")
        self.assertIn("Permission denied by policy", self.refusal("Refused", plugin))

    def test_an_inhibitor_is_named(self):
        logind, plugin = self.logind(), self.local()
        logind.inhibitors = [
            ("idle", "player", "film", "block", 1000, 5),
            ("shutdown", "unattended", "later", "delay", 0, 6),
            ("sleep:shutdown", "apt", "upgrading", "block", 0, 77),
        ]
        self.assertIn("apt (user 0, process 77): upgrading inhibits it", self.refusal("Held", plugin))
        self.assertEqual(logind.performed, [])

    def test_what_the_machine_cannot_do_is_not_supported(self):
        self.logind()
        self.refusal("NotSupported", self.local(), action=s("hibernate"))

    def test_other_machines_are_refused(self):
        logind, plugin = self.logind(), self.local()
        own = self.ask(plugin, "GetInstanceInfo", "(s)", "")[0]["id"]
        self.refusal("Refused", plugin, "i-0123456789abcdef0")
        with self.assertRaises(GLib.Error):
            self.ask(plugin, "GetInstanceInfo", "(s)", "i-0123456789abcdef0")
        if own:
            self.stop_with(plugin, own)
        self.assertEqual(len(logind.performed), 1 if own else 0)

    def test_bad_options_change_nothing(self):
        logind, plugin = self.logind(), self.local()
        self.assertIn("stop, hibernate or suspend", self.refusal("InvalidArgument", plugin, action=s("explode")))
        self.refusal("InvalidArgument", plugin, action=GLib.Variant("t", 1))
        self.refusal("InvalidArgument", plugin, dry_run=s("yes"))
        self.assertIn("wake", self.refusal("InvalidArgument", plugin, nonsense=GLib.Variant("t", 1)))
        self.assertEqual(logind.performed, [])

    def clock(self, since_epoch=1000, alarm=""):
        """A clock that is far from the wall clock, as one that runs on local time is a little."""
        directory = os.path.join(self.root.name, "sys/class/rtc/rtc0")
        os.makedirs(directory, exist_ok=True)
        for name, text in (("since_epoch", since_epoch), ("wakealarm", alarm)):
            with open(os.path.join(directory, name), "w") as f:
                f.write(f"{text}\n" if text != "" else "")
        return os.path.join(directory, "wakealarm")

    def alarm(self):
        with open(os.path.join(self.root.name, "sys/class/rtc/rtc0/wakealarm")) as f:
            return int(f.read() or 0)

    def ahead(self, seconds):
        return GLib.Variant("t", GLib.get_real_time() + int(seconds * 1e6))

    def test_a_time_to_wake_up_is_set_on_the_clocks_own_time(self):
        logind, plugin = self.logind(), self.local()
        self.clock()
        self.stop_with(plugin, wake=self.ahead(3600))
        self.assertAlmostEqual(self.alarm(), 1000 + 3600, delta=5)
        self.assertEqual(logind.performed, [("PowerOff", False)])
        self.assertIn(("rtc:wakealarm", True), [row[:2] for row in self.ask(plugin, "CheckPermissions")[0]])

    def test_it_replaces_another(self):
        self.logind()
        self.clock(alarm=1500)
        self.stop_with(self.local(), wake=self.ahead(3600), action=s("suspend"))
        self.assertAlmostEqual(self.alarm(), 1000 + 3600, delta=5)

    def test_a_refused_stop_leaves_the_alarm_as_it_was(self):
        logind, plugin = self.logind(), self.local()
        logind.refusal = ("org.freedesktop.DBus.Error.AccessDenied", "Permission denied by policy")
        for before in ("", 1500):
            with self.subTest(before=before):
                self.clock(alarm=before)
                self.refusal("Refused", plugin, wake=self.ahead(3600))
                self.assertEqual(self.alarm(), before or 0)

    def test_a_machine_that_could_not_come_back_stays_on(self):
        logind, plugin = self.logind(), self.local()
        self.assertIn("no clock", self.refusal("NotSupported", plugin, wake=self.ahead(3600)))
        self.refusal("NotSupported", plugin, wake=self.ahead(3600), dry_run=GLib.Variant("b", True))
        path = self.clock()
        os.unlink(path)
        os.symlink("/dev/full", path)
        self.refusal("Refused", plugin, wake=self.ahead(3600))
        os.unlink(path)
        self.clock(since_epoch="nonsense", alarm=7)
        self.refusal("Refused", plugin, wake=self.ahead(3600))
        self.assertEqual((logind.performed, self.alarm()), ([], 7))
        self.assertNotIn("rtc:wakealarm", [row[0] for row in self.ask(plugin, "CheckPermissions")[0]])

    def test_dry_run_sets_no_alarm(self):
        self.logind()
        self.clock()
        self.stop_with(self.local(), wake=self.ahead(3600), dry_run=GLib.Variant("b", True))
        self.assertEqual(self.alarm(), 0)

    def test_times_that_are_none(self):
        self.logind()
        plugin = self.local()
        self.clock()
        for wake in (GLib.Variant("t", 1), self.ahead(10), self.ahead(400 * 86400), s("08:00"), GLib.Variant("t", 2**64 - 1)):
            with self.subTest(wake=wake.print_(False)):
                self.assertIn("wake", self.refusal("InvalidArgument", plugin, wake=wake))
        self.assertEqual(self.alarm(), 0)

    def test_without_logind_it_says_so(self):
        plugin = self.local()
        self.assertIn("logind is not on the system bus", self.refusal("Refused", plugin))
        self.assertEqual(
            self.ask(plugin, "CheckPermissions")[0],
            [(name, False, "logind is not on the system bus") for name in ("org.freedesktop.login1.power-off", "suspend", "hibernate")],
        )
        self.assertEqual(self.ask(plugin, "GetInstanceInfo", "(s)", "")[0]["state"], "running")

    def test_permissions(self):
        logind, plugin = self.logind(), self.local()
        names = [(p[0].split(".")[-1], p[1]) for p in self.ask(plugin, "CheckPermissions")[0]]
        self.assertEqual(names, [("power-off", True), ("suspend", True), ("hibernate", False)])
        logind.can["CanPowerOff"] = "no"
        permission, granted, explanation = self.ask(plugin, "CheckPermissions")[0][0]
        self.assertFalse(granted)
        self.assertEqual(explanation, "logind does not let user snooze-local power off this machine: it answers no")

    def test_what_is_known_of_the_machine(self):
        logind, plugin = self.logind(), self.local()
        info = self.ask(plugin, "GetInstanceInfo", "(s)", "")[0]
        self.assertEqual((info["type"], info["state"], info["lifecycle"], info["tags"]), ("Standard PC", "running", "on-demand", {}))
        self.assertEqual(info["name"], os.uname().nodename)
        with open("/proc/uptime") as f:
            boot = (GLib.get_real_time() / 1e6) - float(f.read().split()[0])
        self.assertAlmostEqual(info["launch-time"] / 1e6, boot, delta=5)
        logind.preparing = True
        self.assertEqual(self.ask(plugin, "GetInstanceInfo", "(s)", "")[0]["state"], "stopping")

    def test_starting_and_tags_are_not_supported(self):
        plugin = self.local()
        self.assert_error("NotSupported", plugin.call, PROVIDER, "StartInstance", "(sa{sv})", "", {})
        self.assert_error("NotSupported", plugin.call, PROVIDER, "SetTags", "(a{ss})", {})

    def test_a_logind_that_leaves_before_its_answer(self):
        plugin = self.local()
        other = self.bus.connect()
        other.set_exit_on_close(False)
        interface = Gio.DBusNodeInfo.new_for_xml(LOGIND).interfaces[0]
        other.register_object("/org/freedesktop/login1", interface, lambda *a: other.close_sync(None), None, None)
        Gio.bus_own_name_on_connection(other, "org.freedesktop.login1", Gio.BusNameOwnerFlags.NONE, None, None)
        self.assertIn("logind did not answer", self.refusal("Throttled", plugin))

    def test_a_logind_that_does_not_answer(self):
        logind, plugin = self.logind(), self.local(impatience=20)
        self.clock(alarm=1500)
        for member in ("ListInhibitors", "CanPowerOff", "PowerOff"):
            with self.subTest(member=member):
                logind.silent = {member: []}
                self.assertIn("logind did not answer", self.refusal("Throttled", plugin, wake=self.ahead(3600)))
                self.assertEqual((len(logind.silent[member]), logind.performed, self.alarm()), (1, [], 1500))
        logind.silent = {"CanSuspend": []}
        with self.assertRaises(GLib.Error) as context:
            self.ask(plugin, "CheckPermissions")
        self.assertEqual(Gio.DBusError.get_remote_error(context.exception), ERROR + "Throttled")
        logind.silent = {}
        self.stop_with(plugin)
        self.assertEqual(logind.performed, [("PowerOff", False)])

    def test_answers_of_another_form(self):
        logind = self.logind(LOGIND.replace("a(ssssuu)", "s").replace('"s" direction="out"/></method>\n  <method name="CanSuspend"',
                                                                     '"u" direction="out"/></method>\n  <method name="CanSuspend"'))
        plugin = self.local()
        logind.answers = {"ListInhibitors": GLib.Variant("(s)", ("none",)), "CanPowerOff": GLib.Variant("(u)", (1,))}
        with self.assertRaises(GLib.Error):
            self.stop_with(plugin)
        self.assertEqual(self.ask(plugin, "CheckPermissions")[0][0],
                         ("org.freedesktop.login1.power-off", False,
                          "logind does not let user snooze-local power off this machine: it answers nothing of use"))
        self.assertEqual((self.ask(plugin, "GetInstanceInfo", "(s)", "")[0]["state"], logind.performed), ("running", []))


plugin_bus.main()
