# SPDX-License-Identifier: Apache-2.0
"""A private system bus, and plugins on it: what the tests of the SDK and of the plugins share."""

import json
import os
import signal
import subprocess
import tempfile
import unittest

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

import tap  # noqa: E402

PATH = "/io/cloudsnooze/Plugin1"
NAME = "io.cloudsnooze.Plugin1"
ERROR = "io.cloudsnooze.Snooze1.Error."

CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path=%s/socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
</busconfig>
"""


class Bus:
    def __init__(self):
        self.directory = tempfile.TemporaryDirectory()
        os.chmod(self.directory.name, 0o755)
        path = os.path.join(self.directory.name, "bus.conf")
        with open(path, "w") as f:
            f.write(CONFIGURATION % self.directory.name)
        self.daemon = subprocess.Popen(
            ["dbus-daemon", "--config-file", path, "--nofork", "--print-address=1"], stdout=subprocess.PIPE, text=True
        )
        self.address = self.daemon.stdout.readline().strip()
        # Whoever sits at this machine is nobody's to write to.
        self.environment = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.address, LC_ALL="C.UTF-8",
                                SNOOZE_TERMINAL_DEVICES=self.directory.name)
        self.environment.pop("NOTIFY_SOCKET", None)
        try:
            self.connection = self.connect()
        except GLib.Error:
            self.end_daemon()
            raise

    def connect(self):
        return Gio.DBusConnection.new_for_address_sync(
            self.address,
            Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION,
            None,
            None,
        )

    def stop(self):
        self.connection.set_exit_on_close(False)
        self.end_daemon()

    def end_daemon(self):
        self.daemon.terminate()
        self.daemon.wait()
        self.daemon.stdout.close()
        self.directory.cleanup()


def iterate_until(condition, seconds=30):
    """Runs the main context until the condition holds; what a test waits for comes as a signal or an exit."""
    expired = []
    timeout = GLib.timeout_add_seconds(seconds, lambda: expired.append(True) or GLib.SOURCE_REMOVE)
    while not condition():
        if expired:
            raise AssertionError("it did not happen within %d s" % seconds)
        GLib.MainContext.default().iteration(True)
    if not expired:
        GLib.source_remove(timeout)


class Plugin:
    """A plugin's process, and its object on the bus."""

    def __init__(self, bus, program, identifier, *arguments, environment=None, wait=True):
        self.bus = bus
        self.name = NAME + "." + identifier
        self.owner = None
        self.watch = Gio.bus_watch_name_on_connection(
            bus.connection, self.name, Gio.BusNameWatcherFlags.NONE, self._appeared, self._vanished
        )
        self.process = subprocess.Popen(
            [program, *arguments],
            env=dict(bus.environment, **(environment or {})),
            stderr=subprocess.PIPE,
            text=True,
        )
        if wait:
            iterate_until(lambda: self.owner is not None)

    def _appeared(self, connection, name, owner):
        self.owner = owner

    def _vanished(self, connection, name):
        self.owner = None

    def call(self, interface, member, signature=None, *arguments, connection=None, timeout=20000):
        parameters = GLib.Variant(signature, arguments) if signature else None
        result = (connection or self.bus.connection).call_sync(
            self.owner, PATH, NAME + interface, member, parameters, None, Gio.DBusCallFlags.NONE, timeout, None
        )
        return result.unpack()

    def call_later(self, interface, member, signature=None, *arguments):
        """The answer, or the error, lands in the returned list when the main context runs."""
        answers = []
        parameters = GLib.Variant(signature, arguments) if signature else None

        def done(connection, result):
            try:
                answers.append(connection.call_finish(result).unpack())
            except GLib.Error as error:
                answers.append(error)

        self.bus.connection.call(
            self.owner, PATH, NAME + interface, member, parameters, None, Gio.DBusCallFlags.NONE, 20000, None, done
        )
        return answers

    def open_channel(self):
        """The daemon's end of it, for the caller to close."""
        _, fds = self.bus.connection.call_with_unix_fd_list_sync(
            self.owner, PATH, NAME, "OpenChannel", None, None, Gio.DBusCallFlags.NONE, 20000, None, None)
        return fds.get(0)

    def property(self, interface, name):
        parameters = GLib.Variant("(ss)", (NAME + interface, name))
        return self.bus.connection.call_sync(
            self.owner, PATH, "org.freedesktop.DBus.Properties", "Get", parameters, None, Gio.DBusCallFlags.NONE, 20000, None
        ).unpack()[0]

    def introspect(self):
        return self.bus.connection.call_sync(
            self.owner, PATH, "org.freedesktop.DBus.Introspectable", "Introspect", None, None, Gio.DBusCallFlags.NONE, 20000, None
        ).unpack()[0]

    def greet(self, config=None):
        self.call("", "Handshake", "(us)", 1, "0.1.0")
        self.call("", "Initialize", "(a{sv})", config or {})
        return self

    def wait(self):
        """Its exit status and what it said."""
        _, text = self.process.communicate(timeout=30)
        Gio.bus_unwatch_name(self.watch)
        return self.process.returncode, text

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()


def s(value):
    return GLib.Variant("s", value)


class PluginTestCase(unittest.TestCase):
    def setUp(self):
        self.bus = Bus()
        self.addCleanup(self.bus.stop)

    def plugin(self, program, identifier, *arguments, **keywords):
        plugin = Plugin(self.bus, program, identifier, *arguments, **keywords)
        self.addCleanup(lambda: plugin.process.poll() is None and plugin.stop())
        return plugin

    def assert_error(self, name, function, *arguments):
        with self.assertRaises(GLib.Error) as context:
            function(*arguments)
        remote = Gio.DBusError.get_remote_error(context.exception)
        self.assertEqual(remote, name if "." in name else ERROR + name)
        return Gio.DBusError.strip_remote_error(context.exception) and context.exception.message

    def assert_agrees_with_xml(self, xml, directory):
        """Every interface served is declared, member by member, and declared the same way."""
        live = Gio.DBusNodeInfo.new_for_xml(xml)
        for interface in live.interfaces:
            if not interface.name.startswith(NAME):
                continue
            with open(os.path.join(directory, interface.name + ".xml")) as f:
                declared = Gio.DBusNodeInfo.new_for_xml(f.read()).lookup_interface(interface.name)
            self.assertEqual(members(interface), members(declared), interface.name)


class HandlerTestCase(PluginTestCase):
    """Of a plugin that handles events. What it starts may act where nobody signals it: the main context looks around by itself."""

    def setUp(self):
        super().setUp()
        source = GLib.timeout_add(20, lambda: GLib.SOURCE_CONTINUE)
        self.addCleanup(GLib.source_remove, source)

    def send(self, plugin, fields):
        """Hands the event over; the answer lands in the returned list."""
        return plugin.call_later(".EventHandler", "HandleEvent", "(a{sv})", fields)

    def answer(self, answers):
        iterate_until(lambda: answers, 60)
        if isinstance(answers[0], GLib.Error):
            raise answers[0]
        return answers[0]

    def tell(self, plugin, fields):
        return self.answer(self.send(plugin, fields))

    def children(self, plugin):
        """What it started and has not taken leave of."""
        with open("/proc/%d/task/%d/children" % (plugin.process.pid, plugin.process.pid)) as f:
            return f.read().split()

    def assert_agrees_with_manifest(self, program, path):
        with open(path) as f:
            manifest = json.load(f)
        described = json.loads(subprocess.run([program, "--describe"], capture_output=True, text=True, check=True).stdout)
        self.assertEqual(described["contracts"], manifest["contracts"])
        self.assertEqual(described["events"], list(manifest["events"]))
        self.assertEqual((described["name"], described["version"]), (manifest["name"], manifest["version"]))
        return manifest


def members(interface):
    def arguments(list_):
        return [(a.name, a.signature) for a in list_]

    result = {}
    for method in interface.methods:
        result["method " + method.name] = (arguments(method.in_args), arguments(method.out_args))
    for signal_ in interface.signals:
        result["signal " + signal_.name] = arguments(signal_.args)
    for prop in interface.properties:
        emits = Gio.DBusAnnotationInfo.lookup(prop.annotations, "org.freedesktop.DBus.Property.EmitsChangedSignal")
        result["property " + prop.name] = (prop.signature, int(prop.flags), emits or "true")
    return result


def main():
    """Runs the module's tests and prints TAP; the arguments are the tests' own."""
    tap.main(names=())
