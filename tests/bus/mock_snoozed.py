# SPDX-License-Identifier: Apache-2.0
"""A snoozed with canned answers, for clients: it serves what introspection/ declares, and a test may change every answer.

It runs in a thread of its own, so that a test can start a client and wait for it in the ordinary way.
"""

import os
import threading

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

NAME = "io.cloudsnooze.Snooze1"
PATH = "/io/cloudsnooze/Snooze1"
ERROR = NAME + ".Error."

OBJECT_MANAGER = """<node><interface name="org.freedesktop.DBus.ObjectManager">
  <method name="GetManagedObjects"><arg type="a{oa{sa{sv}}}" direction="out"/></method>
</interface></node>"""


def v(signature, value):
    return GLib.Variant(signature, value)



class Hang:
    """An answer that never comes."""


class Failure:
    """An answer that is an error."""

    def __init__(self, name, message):
        self.name = name if "." in name else ERROR + name
        self.message = message


class Descriptor:
    """An answer that is one end of a pipe: the other shows when it is closed."""


class MockSnoozed:
    def __init__(self, address, introspection):
        self.interfaces = {}
        for name in ("Manager", "Plugin", "Provider"):
            with open(os.path.join(introspection, NAME + "." + name + ".xml")) as f:
                self.interfaces[name] = Gio.DBusNodeInfo.new_for_xml(f.read()).interfaces[0]
        self.calls = []  # (method, arguments, interactive)
        self.objects = {}  # path → (interface, properties)
        self.answers = {}  # method, or Plugin.METHOD and the like → Variant, Failure, Hang, Descriptor or a function of the arguments
        self.held = []  # our ends of the descriptors given out
        self._forget()
        self.ready = threading.Event()
        self.context = GLib.MainContext.new()
        self.loop = GLib.MainLoop.new(self.context, False)
        self.thread = threading.Thread(target=self._run, args=(address,), daemon=True)
        self.thread.start()
        if not self.ready.wait(30):
            raise AssertionError("the mock did not come up")

    def _forget(self):
        self.calls.clear()
        self.objects = {PATH: ("Manager", {
            "Version": v("s", "0.1.0"), "State": v("s", "active"), "Reason": v("s", "cpu 42.3 % ≥ 5 %"),
            "IdleSince": v("t", 0), "NextStop": v("t", 0), "Provider": v("o", PATH + "/provider/local"),
            "Holds": v("u", 0), "Paused": v("b", False), "PausedUntil": v("t", 0), "DryRun": v("b", False), "Greeting": v("s", ""),
            "Refusal": v("s", ""), "ProviderProblem": v("s", ""),
        })}
        self.add_plugin("sessions", contracts=["IdleCheck"], description="Who is logged in and works")
        self.add_plugin("local", contracts=["CloudProvider"], description="This machine through logind")
        self.add_plugin("gpu-monitor", contracts=["IdleCheck"], enabled=False, state="discovered", error="no exec")
        self.add_provider("local", "this machine (logind)", "saves-power")

    def _run(self, address):
        self.context.push_thread_default()
        flags = Gio.DBusConnectionFlags
        self.connection = Gio.DBusConnection.new_for_address_sync(
            address, flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION, None, None)
        self.connection.set_exit_on_close(False)
        manager = Gio.DBusNodeInfo.new_for_xml(OBJECT_MANAGER).interfaces[0]
        self.connection.register_object(PATH, manager, self._on_call, None, None)
        for path, (interface, _) in self.objects.items():
            self._register(path, interface)
        self.own()
        self.ready.set()
        self.loop.run()

    def _register(self, path, interface):
        self.connection.register_object(path, self.interfaces[interface], self._on_call, self._on_get, None)

    def _bus(self, method, parameters):
        return self.connection.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", method,
                                         parameters, None, Gio.DBusCallFlags.NONE, -1, None)

    def own(self):
        self._bus("RequestName", v("(su)", (NAME, 4)))

    def disown(self):
        self._bus("ReleaseName", v("(s)", (NAME,)))

    def stop(self):
        if not self.connection.is_closed():
            self.connection.close_sync(None)
        self.loop.quit()
        self.thread.join(30)
        for end in self.held:
            os.close(end)
        self.held.clear()

    def add_plugin(self, identifier, contracts, enabled=True, state="running", error="", description=""):
        self.objects[PATH + "/plugin/" + encode(identifier)] = ("Plugin", {
            "Id": v("s", identifier), "DisplayName": v("s", identifier.title()), "Version": v("s", "0.1.0"),
            "Author": v("s", "CloudSnooze"), "Description": v("s", description), "Category": v("s", "system"),
            "Tags": v("as", ["one", "two"]), "Repository": v("s", ""), "Homepage": v("s", ""), "Language": v("s", "C"),
            "Official": v("b", True), "Trust": v("s", "official"), "Runtime": v("s", "dbus"),
            "Isolation": v("s", "process"), "Contracts": v("as", contracts), "Events": v("a{si}", {}),
            "State": v("s", state), "Enabled": v("b", enabled), "Healthy": v("b", state == "running"),
            "LastError": v("s", error), "Restarts": v("u", 0), "Pid": v("u", 77), "Unit": v("s", ""),
            "Permissions": v("a(sb)", [("processes", True)]), "ConfigSchema": v("s", "{}"), "Dependencies": v("a(ss)", []),
            "MinHostVersion": v("s", ""),
        })

    def add_provider(self, identifier, name, effect, detected=False):
        self.objects[PATH + "/provider/" + encode(identifier)] = ("Provider", {
            "Plugin": v("o", PATH + "/plugin/" + encode(identifier)), "ProviderName": v("s", name),
            "ProviderVersion": v("s", "0.1.0"), "Detected": v("b", detected), "InstanceId": v("s", ""),
            "StopEffect": v("s", effect),
        })

    def together(self, work):
        """Done within the thread that serves: nobody is answered in the middle of it."""
        done = threading.Event()
        source = GLib.Idle()
        source.set_callback(lambda *_: (work(), done.set()) and GLib.SOURCE_REMOVE)
        source.attach(self.context)
        if not done.wait(30):
            raise AssertionError("the mock did not come to it")

    def set(self, **properties):
        """Properties of the manager; without a signal, as they are read anew by each client."""
        for name, value in properties.items():
            old = self.objects[PATH][1][name]
            self.objects[PATH][1][name] = v(old.get_type_string(), value)

    def change(self, **properties):
        """As set(), and tells who follows them."""
        self.set(**properties)
        told = {name: self.objects[PATH][1][name] for name in properties}
        self.connection.emit_signal(None, PATH, "org.freedesktop.DBus.Properties", "PropertiesChanged",
                                    v("(sa{sv}as)", (NAME + ".Manager", told, [])))
        self.connection.flush_sync(None)

    def set_plugin(self, identifier, **properties):
        known = self.objects[PATH + "/plugin/" + encode(identifier)][1]
        for name, value in properties.items():
            known[name] = v(known[name].get_type_string(), value)

    def set_provider(self, identifier, **properties):
        known = self.objects[PATH + "/provider/" + encode(identifier)][1]
        for name, value in properties.items():
            known[name] = v(known[name].get_type_string(), value)

    def emit(self, signal, signature, *arguments):
        self.connection.emit_signal(None, PATH, NAME + ".Manager", signal, v(signature, arguments))
        self.connection.flush_sync(None)

    def called(self, method):
        """Arguments of every call of that method."""
        return [arguments for name, arguments, _ in self.calls if name == method]

    def _on_get(self, connection, sender, path, interface, name):
        return self.objects[path][1][name]

    def _on_call(self, connection, sender, path, interface, method, parameters, invocation):
        interactive = bool(invocation.get_message().get_flags() & Gio.DBusMessageFlags.ALLOW_INTERACTIVE_AUTHORIZATION)
        arguments = parameters.unpack()
        # Before anybody can know of the call, and set another answer for the next one.
        answer = self.answers.get("%s.%s" % (interface.split(".")[-1], method), self.answers.get(method))
        self.calls.append((method, arguments, interactive))
        if answer is None:
            of_all = getattr(self, "answer_" + method, lambda *_: None)
            answer = getattr(self, "answer_%s_%s" % (interface.split(".")[-1], method), of_all)
        try:
            if callable(answer) and not isinstance(answer, type):
                answer = answer(*arguments)
            self._reply(invocation, answer)
        except Exception as error:  # a broken test must not look like a silent daemon
            invocation.return_dbus_error("mock.Broken", "%s: %r" % (method, error))
            raise

    def _reply(self, invocation, answer):
        if isinstance(answer, Failure):
            invocation.return_dbus_error(answer.name, answer.message)
        elif answer is Descriptor:
            ours, theirs = os.pipe()
            self.held.append(ours)
            fds = Gio.UnixFDList.new()
            fds.append(theirs)
            os.close(theirs)
            invocation.return_value_with_unix_fd_list(v("(h)", (0,)), fds)
        elif answer is not Hang:
            invocation.return_value(answer)

    def answer_GetManagedObjects(self):
        tree = {}
        for path, (interface, properties) in self.objects.items():
            tree[path] = {NAME + "." + interface: properties}
        return v("(a{oa{sa{sv}}})", (tree,))

    def answer_GetPlugin(self, identifier):
        path = PATH + "/plugin/" + encode(identifier)
        if path not in self.objects:
            return Failure("NoSuchPlugin", "There is no plugin “%s”." % identifier)
        return v("(o)", (path,))

    def answer_GetProvider(self, identifier):
        path = PATH + "/provider/" + encode(identifier)
        if path not in self.objects:
            return Failure("NoSuchProvider", "There is no provider “%s”." % identifier)
        return v("(o)", (path,))

    def answer_GetMetrics(self):
        return v("(a{sv})", ({
            "cpu_usage": v("d", 3.14), "memory_usage": v("d", 40.0), "network_kbps": v("d", 0.2),
            "disk_io_kbps": v("d", 0.0), "input_idle_seconds": v("d", 720.0),
            "timestamp": v("t", GLib.get_real_time()), "details": v("a{sv}", {"cpu": v("a{sv}", {"online": v("x", 8)})}),
        },))

    def answer_Explain(self):
        return v("(ssa(sssa{sv}))", ("active", "cpu 42.3 % ≥ 5 %", [
            ("cpu", "busy", "42.3 % ≥ 5 %", {"policy": v("s", "required"), "value": v("d", 42.3), "threshold": v("d", 5.0)}),
            ("memory", "idle", "40 % < 90 %", {"policy": v("s", "advisory")}),
            ("gpu", "absent", "nothing measures it", {"policy": v("s", "required")}),
            ("sessions", "unknown", "has not answered yet", {"policy": v("s", "required")}),
        ]))

    def answer_CheckNow(self):
        return v("(bs)", (False, "cpu 42.3 % ≥ 5 %"))

    def answer_CheckIdle(self):
        return v("(ssa{sv})", ("idle", "nobody is logged in", {"sessions": v("u", 0)}))

    def answer_ListHolds(self):
        return v("(a(ussstt))", ([],))

    def answer_GetHistory(self, since, until, maximum):
        return v("(aa{sv})", ([],))

    answer_GetSamples = answer_GetHistory

    def answer_GetConfiguration(self):
        return v("(s)", ('{"naptime_minutes":30,"cpu_threshold_percent":5,"memory_threshold_percent":90,'
                         '"network_threshold_kbps":50,"disk_io_threshold_kbps":100,"input_idle_threshold_secs":900,'
                         '"gpu_threshold_percent":5,"provider":"auto","allow_stop_effects":[],"dry_run":true,'
                         '"sample_interval_seconds":5,"sources":{"memory":{"policy":"advisory"}}}',))

    def answer_GetConfigurationOrigins(self):
        return v("(a{ss})", ({"/naptime_minutes": "/etc/cloudsnooze/snooze.json"},))

    def answer_Plugin_GetConfiguration(self):
        return v("(a{sv})", ({"limit": v("(vs)", (v("u", 3), "default"))},))

    def answer_Diagnose(self):
        return v("(aa{sv})", ([
            {"check": v("s", "cpu"), "status": v("s", "ok"), "message": v("s", "measured"), "advice": v("s", "")},
            {"check": v("s", "gpu"), "status": v("s", "blind"), "message": v("s", "nothing measures it"),
             "advice": v("s", "snooze plugin enable gpu-monitor")},
        ],))

    def answer_Hold(self, who, why, kind):
        return Descriptor

    def answer_HoldFor(self, duration, why):
        return v("(u)", (17,))

    def answer_CheckPermissions(self):
        return v("(a(sbs))", ([("power-off", True, "polkit says yes")],))

    def answer_GetInstanceInfo(self, instance):
        return v("(a{sv})", ({"id": v("s", "i-123"), "type": v("s", "m5.large"), "launch-time": v("t", 0)},))

    def answer_GetStatistics(self):
        return v("(a{sv})", ({"calls": v("t", 12)},))

    def answer_GetResources(self):
        return v("(a{sv})", ({"enforced": v("b", False)},))


def encode(identifier):
    """As sd_bus_path_encode(3) does."""
    result = ""
    for index, c in enumerate(identifier):
        result += c if c.isascii() and (c.isalpha() or (index > 0 and c.isdigit())) else "_%02x" % ord(c)
    return result or "_"
