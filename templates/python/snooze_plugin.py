# SPDX-License-Identifier: Apache-2.0
"""Serves a plugin of CloudSnooze on D-Bus, with PyGObject. Derive from Plugin, write the methods of your contracts, call serve()."""

import contextlib
import fcntl
import json
import os
import pathlib
import pwd
import signal
import socket
import struct
import sys

from gi.repository import Gio, GLib

NAME = "io.cloudsnooze.Plugin1"
PATH = "/io/cloudsnooze/Plugin1"
ERROR = "io.cloudsnooze.Snooze1.Error."
API = 1
HANDSHAKE_SECONDS = 10
IDLE_SECONDS = 300
HOST_SECONDS = 60
LEAVE_SECONDS = 5
CALLERS_MAX = 64
STATE_MAX = 4 << 20

XML = {
    "": """
      <method name="Handshake"><arg name="host_api" type="u" direction="in"/><arg name="host_version" type="s" direction="in"/>
        <arg name="plugin_api" type="u" direction="out"/><arg name="info" type="a{sv}" direction="out"/></method>
      <method name="Initialize"><arg name="config" type="a{sv}" direction="in"/></method>
      <method name="Configure"><arg name="config" type="a{sv}" direction="in"/></method>
      <method name="Ping"/>
      <method name="OpenChannel"><arg name="channel" type="h" direction="out"/></method>
      <signal name="Leaving"/>
      <method name="Shutdown"/>""",
    "IdleCheck": """
      <method name="CheckIdle"><arg name="metrics" type="a{sv}" direction="in"/><arg name="verdict" type="s" direction="out"/>
        <arg name="reason" type="s" direction="out"/><arg name="details" type="a{sv}" direction="out"/></method>""",
    "EventHandler": """
      <property name="SupportedEvents" type="as" access="read"/>
      <method name="HandleEvent"><arg name="event" type="a{sv}" direction="in"/><arg name="handled" type="b" direction="out"/>
        <arg name="result" type="a{sv}" direction="out"/></method>""",
    "State": """
      <method name="ExportState"><arg name="version" type="u" direction="out"/><arg name="state" type="ay" direction="out"/></method>
      <method name="ImportState"><arg name="version" type="u" direction="in"/><arg name="state" type="ay" direction="in"/></method>""",
    "RequestHandler": """
      <property name="Methods" type="as" access="read"/>
      <method name="Handle"><arg name="method" type="s" direction="in"/><arg name="params" type="a{sv}" direction="in"/>
        <arg name="success" type="b" direction="out"/><arg name="result" type="a{sv}" direction="out"/></method>""",
}


class PluginError(Exception):
    """A call that fails; the message says why."""

    name = "PluginFailed"


class InvalidArgument(PluginError):
    """What was given is not to be worked with: say which, and what was expected."""

    name = "InvalidArgument"


class NotInitialized(PluginError):
    name = "NotInitialized"


class UnsupportedApi(PluginError):
    name = "UnsupportedApi"


class AccessDenied(PluginError):
    name = "AccessDenied"


class Plugin:
    """What an author overrides. Nothing here may wait: one call is answered after the other."""

    methods = ()  # names that handle_request() knows

    def configure(self, config):
        """The whole configuration, at first and whenever it changed. An exception leaves the old one in force."""

    def check_idle(self, metrics):
        """→ "idle", "busy" or "unknown", a reason of one line, and perhaps a dictionary of details."""
        raise NotImplementedError

    def handle_event(self, event):
        """→ whether something was done about it, and perhaps a dictionary of results. What was handed over once comes again, by the same
        id: with event["cancelled"] true where it will not happen after all (undo what was done), and, where the manifest says "moves" of its
        type, with event["moved"] true where its deadline is another one now. Whoever looks for neither does its work once more."""
        raise NotImplementedError

    def export_state(self):
        """→ a version and bytes."""
        raise NotImplementedError

    def import_state(self, version, state):
        raise NotImplementedError

    def handle_request(self, method, params):
        """→ success, and a dictionary of results."""
        raise NotImplementedError

    def shutdown(self):
        """The last moment."""


def variant(value):
    """What Python has as D-Bus wants it. A GLib.Variant stays what it is."""
    if isinstance(value, GLib.Variant):
        return value
    if isinstance(value, bool):
        return GLib.Variant("b", value)
    if isinstance(value, int):
        return GLib.Variant("t" if value >= 0 else "x", value)
    if isinstance(value, float):
        return GLib.Variant("d", value)
    if isinstance(value, dict):
        if value and all(isinstance(v, float) for v in value.values()):
            return GLib.Variant("a{sd}", value)
        return GLib.Variant("a{sv}", dictionary(value))
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(v, dict) for v in value):
            return GLib.Variant("aa{sv}", [dictionary(v) for v in value])
        return GLib.Variant("as", [str(v) for v in value])
    return GLib.Variant("s", str(value))


def dictionary(values):
    return {str(key): variant(value) for key, value in values.items() if value is not None}


def one_line(text):
    return "".join(" " if ord(c) < 32 or 0x7F <= ord(c) < 0xA0 else c for c in str(text))[:1024] or "no reason given"


class Kept:
    """The state of a plugin that left without having been asked for it, in its own directory, until the daemon has it: there is the old
    file or the new one, whole, whenever it is killed."""

    HEADER = struct.Struct(">8sII")
    MAGIC = b"SNZSTAT1"

    def __init__(self, directory):
        self.path = pathlib.Path(directory, "kept-state")
        self.own = None  # what tells the file that this instance wrote from any other
        # Of a process that was killed while it wrote, from before each slot had a file of its own.
        with contextlib.suppress(OSError):
            self.path.with_name(".kept-state.new").unlink()

    def read(self):
        """→ version and bytes; None where there are none."""
        try:
            content = self.path.read_bytes()
            magic, version, size = self.HEADER.unpack(content[:self.HEADER.size])
        except FileNotFoundError:
            return None
        except (OSError, struct.error) as error:
            print(f"{self.path} cannot be read: {error}", file=sys.stderr)
            return None
        if magic != self.MAGIC or size > STATE_MAX or len(content) != self.HEADER.size + size:
            print(f"{self.path} is no state", file=sys.stderr)
            return None
        return version, content[self.HEADER.size:]

    @contextlib.contextmanager
    def locked(self):
        """The process in the other slot changes the directory, too; what was changed in it is on the disk behind this."""
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
            os.fsync(directory)
        finally:
            os.close(directory)

    def is_own(self):
        """What this instance wrote is there still: no other took it or replaced it. An inode's number alone may be another file's by now."""
        try:
            return self.mark(self.path.lstat()) == self.own
        except FileNotFoundError:
            return False

    @staticmethod
    def mark(status):
        return status.st_dev, status.st_ino, status.st_mtime_ns

    def write(self, version, state):
        """→ whether it is there; not where a successor has what this instance wrote before, and knows more by now."""
        new = self.path.with_name(".kept-state.new" + os.environ.get("SNOOZE_SLOT", "a"))
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(new, flags, 0o600), "wb") as file:
            file.write(self.HEADER.pack(self.MAGIC, version, len(state)) + state)
            file.flush()
            os.fsync(file.fileno())
            mark = self.mark(os.fstat(file.fileno()))
        with self.locked():
            if self.own and not self.is_own():
                new.unlink()
                return False
            new.rename(self.path)
        self.own = mark
        return True

    def remove(self):
        with self.locked():
            self.path.unlink(missing_ok=True)

    def withdraw(self):
        """What this instance wrote, unless its successor has replaced it."""
        if not self.own:
            return
        with self.locked():
            if self.is_own():
                self.path.unlink()
        self.own = None


class Server:
    def __init__(self, plugin, manifest):
        self.plugin = plugin
        self.manifest = manifest
        self.id = manifest["name"]
        self.contracts = manifest["contracts"]
        self.schema = manifest.get("config_schema", {})
        self.slot = os.environ.get("SNOOZE_SLOT", "a")
        self.loop = GLib.MainLoop()
        self.status = 0
        self.stage = 0  # 0 started, 1 greeted, 2 initialized
        directory = os.environ.get("STATE_DIRECTORY", "").split(":")[0] if "State" in self.contracts else ""
        self.kept = Kept(directory) if directory.startswith("/") else None
        self.left_behind = self.kept is not None and self.kept.read() is not None
        self.live = False  # it has a state of its own
        self.used = False  # it serves: what it knows may change at any moment
        self.unsaved = False  # it is known to have changed since it was exported, or may have in a call
        self.exported = False  # at least once since this instance kept anything
        self.handed = False  # over: whoever comes next has it, and may know more by now
        self.known = None  # what whoever comes next would be given: exported last, or kept by this one
        self.host = None
        self.timers = {}
        self.callers = {}
        self.channel = None  # the daemon's own connection, while it is open
        self.opening = None  # its stream, until the daemon greeted
        address = Gio.dbus_address_get_for_bus_sync(Gio.BusType.SYSTEM, None)
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        self.bus = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
        self.bus.set_exit_on_close(False)
        self.bus.connect("closed", lambda *_: self.fail("lost the bus"))

    # Life

    def fail(self, why):
        print(f"{self.id}: {why}", file=sys.stderr)
        self.status = 1
        self.loop.quit()

    def leave(self):
        """The bus answers ReleaseName after it handed over what was sent to the name before; that is answered first. The slot's name goes
        before it: whoever sees that the plugin's is free may start the next instance at once."""
        if "leaving" in self.timers:
            return GLib.SOURCE_REMOVE
        self.timers["leaving"] = True
        try:
            self.plugin.shutdown()
        except Exception as error:  # whatever an author's method raises, it leaves
            print(f"{self.id}: shutdown: {error!r}", file=sys.stderr)
        self.keep_state()
        self.driver("ReleaseName", "(s)", f"{NAME}.{self.id}.{self.slot}")
        self.driver("ReleaseName", "(s)", f"{NAME}.{self.id}")
        if self.channel or self.opening:
            # What the daemon sent before it hears of this is answered; then it closes the channel.
            self.tell_leaving()
            GLib.timeout_add_seconds(LEAVE_SECONDS, self.loop.quit)
        else:
            GLib.idle_add(self.loop.quit, priority=GLib.PRIORITY_LOW)
        return GLib.SOURCE_REMOVE

    def timer(self, name, seconds):
        if self.timers.get(name):
            GLib.source_remove(self.timers[name])
        self.timers[name] = GLib.timeout_add_seconds(seconds, self.expired, name) if seconds else 0

    def expired(self, name):
        self.timers[name] = 0
        return self.leave()

    def keep_state(self):
        """For the next instance, where nobody asked for what changed; whoever serves may have learned something outside of calls, too."""
        if self.handed or not (self.unsaved or (self.used and self.kept)):
            return
        self.unsaved = False
        try:
            if not self.kept:
                raise PluginError("there is no $STATE_DIRECTORY")
            version, state = self.plugin.export_state()
            if (version, bytes(state)) != self.known:
                if self.kept.write(version, bytes(state)):
                    self.exported = False
                self.known = version, bytes(state)
        except Exception as error:  # an author's, too: it leaves in any case
            print(f"{self.id}: what changed since the state was exported is lost: {error!r}", file=sys.stderr)

    def hand_over(self):
        """Who asks it to leave has exported before. A successor may run already, and know more than what this one kept; but where
        nobody has exported since, what it kept may be all that there is of it."""
        if not self.exported:
            return
        self.handed = True
        try:
            if self.kept:
                self.kept.withdraw()
        except OSError as error:
            print(f"{self.id}: what is older than what was handed over cannot be removed: {error}", file=sys.stderr)

    def rest(self):
        """An open channel says that the plugin is wanted; one that cannot keep its state stays until the daemon has asked for it."""
        stays = self.channel or ("State" in self.contracts and not self.kept)
        self.timer("idle", 0 if stays else IDLE_SECONDS)

    def driver(self, member, signature, *arguments):
        return self.bus.call_sync(
            "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", member, GLib.Variant(signature, arguments),
            None, Gio.DBusCallFlags.NONE, 10000, None).unpack()[0]

    def own_names(self):
        """One instance in each slot; the name itself is queued for, while a version replaces another."""
        try:
            if self.driver("RequestName", "(su)", f"{NAME}.{self.id}.{self.slot}", 4) != 1:
                return False
        except GLib.Error as error:
            if Gio.DBusError.get_remote_error(error) != "org.freedesktop.DBus.Error.AccessDenied":
                raise
        self.driver("RequestName", "(su)", f"{NAME}.{self.id}", 0)
        return True

    def serve_on(self, connection):
        for contract in ("", *self.contracts):
            interface = NAME + ("." if contract else "") + contract
            xml = f'<node><interface name="{interface}">{XML[contract]}</interface></node>'
            info = Gio.DBusNodeInfo.new_for_xml(xml).interfaces[0]
            connection.register_object(PATH, info, self.on_call, self.on_get, None)

    def run(self):
        self.serve_on(self.bus)
        if not self.own_names():
            self.fail(f"another instance runs in slot {self.slot}")
            return self.status
        self.bus.signal_subscribe(
            "org.freedesktop.DBus", "org.freedesktop.DBus", "NameOwnerChanged", "/org/freedesktop/DBus", None,
            Gio.DBusSignalFlags.NONE, self.on_owner_changed)
        for number in (signal.SIGTERM, signal.SIGINT):
            GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, self.leave)
        self.timer("handshake", HANDSHAKE_SECONDS)
        self.notify("READY=1")
        self.loop.run()
        self.keep_state()
        if not self.bus.is_closed():
            self.bus.flush_sync(None)
        return self.status

    @staticmethod
    def notify(text):
        path = os.environ.get("NOTIFY_SOCKET")
        if path:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
                s.sendto(text.encode(), "\0" + path[1:] if path[0] == "@" else path)

    def on_owner_changed(self, _bus, sender, _path, _interface, _member, parameters):
        name, _old, new = parameters.unpack()
        # Anybody may send such a signal to us; only the bus's own is one.
        if sender == "org.freedesktop.DBus" and name == self.host and not new:
            self.timer("host", int(os.environ.get("SNOOZE_HOST_EXIT", HOST_SECONDS)))

    # The channel: a connection of the daemon's own, with the same object on it, at a third of a call's cost

    def open_channel(self, sender, invocation):
        if not sender or sender != self.host:
            raise AccessDenied("Only the daemon that greeted the plugin may open a channel")
        self.close_channel()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            descriptors = Gio.UnixFDList.new()
            descriptors.append(theirs.fileno())
        self.opening = Gio.Socket.new_from_fd(ours.detach()).connection_factory_create_connection()
        flags = (Gio.DBusConnectionFlags.AUTHENTICATION_SERVER | Gio.DBusConnectionFlags.AUTHENTICATION_ALLOW_ANONYMOUS
                 | Gio.DBusConnectionFlags.DELAY_MESSAGE_PROCESSING)
        Gio.DBusConnection.new(
            self.opening, Gio.dbus_generate_guid(), flags, None, None, self.on_greeted, self.opening)
        invocation.return_value_with_unix_fd_list(GLib.Variant("(h)", (0,)), descriptors)

    def tell_leaving(self):
        if self.channel and "leaving" in self.timers:
            try:
                self.channel.emit_signal(None, PATH, NAME, "Leaving", None)
            except GLib.Error:
                pass  # the daemon has closed it already: that ends the loop in a moment

    def on_greeted(self, _source, result, stream):
        try:
            connection = Gio.DBusConnection.new_finish(result)
        except GLib.Error:
            if stream is self.opening:
                self.channel_ended()
            return
        if stream is not self.opening:
            connection.close(None, None)
            return
        self.opening = None
        self.channel = connection
        connection.set_exit_on_close(False)
        connection.connect("closed", self.on_closed)
        self.serve_on(connection)
        self.rest()
        connection.start_message_processing()
        self.tell_leaving()

    def on_closed(self, connection, _by_peer, _error):
        if connection is self.channel:
            self.channel_ended()

    def channel_ended(self):
        self.channel = self.opening = None
        if "leaving" in self.timers:
            self.loop.quit()
        else:
            self.rest()

    def close_channel(self):
        connection, self.channel, self.opening = self.channel, None, None
        if connection:
            connection.close(None, None)

    # Calls

    def allowed(self, sender):
        """The bus's policy lets only the daemon and root through; this holds where it was loosened."""
        if sender not in self.callers:
            uid = self.driver("GetConnectionUnixUser", "(s)", sender)
            users = {0, os.geteuid()} | {user.pw_uid for user in pwd.getpwall() if user.pw_name == "snooze"}
            if len(self.callers) >= CALLERS_MAX:
                self.callers.clear()
            self.callers[sender] = uid in users
        return self.callers[sender]

    def on_get(self, _bus, _sender, _path, interface, name):
        values = self.plugin.methods if name == "Methods" else self.manifest.get("events", {})
        return GLib.Variant("as", list(values))

    def on_call(self, connection, sender, _path, interface, member, parameters, invocation):
        try:
            if connection is not self.channel and not self.allowed(sender):
                raise AccessDenied("Only the daemon may call a plugin")
            if member == "OpenChannel":
                self.open_channel(sender, invocation)
            else:
                invocation.return_value(self.answer(sender or self.host, member, *parameters.unpack()))
        except AccessDenied as error:
            invocation.return_dbus_error("org.freedesktop.DBus.Error.AccessDenied", str(error))
        except PluginError as error:
            invocation.return_dbus_error(ERROR + error.name, one_line(error))
        except Exception as error:  # whatever an author's method raises fails that call alone
            print(f"{self.id}: {member}: {error!r}", file=sys.stderr)
            invocation.return_dbus_error(ERROR + "PluginFailed", one_line(f"{member}: {error!r}"))

    def answer(self, sender, member, *arguments):
        if member == "Ping":
            return None
        if member == "Shutdown":
            self.hand_over()
            GLib.idle_add(self.leave)
            return None
        if member == "Handshake":
            return self.handshake(sender, *arguments)
        if member in ("Initialize", "Configure"):
            return self.configure(member, *arguments)
        if self.stage < 2:
            raise NotInitialized(f"{self.id} was called before Handshake and Initialize")
        self.rest()
        if "State" in self.contracts and member not in ("ExportState", "ImportState"):
            self.live = self.used = self.unsaved = True
        return getattr(self, "answer_" + member)(*arguments)

    def handshake(self, sender, host_api, _host_version):
        if host_api not in (API, API + 1):
            raise UnsupportedApi(f"{self.id} serves hosts of API {API} and {API + 1}, not {host_api}")
        self.host = sender
        self.stage = max(self.stage, 1)
        for name in ("handshake", "host"):
            self.timer(name, 0)
        info = {"id": self.id, "version": self.manifest["version"], "contracts": self.contracts}
        if "State" in self.contracts:
            info["state"] = "live" if self.live else "kept" if self.left_behind else "none"
        return GLib.Variant("(ua{sv})", (API, dictionary(info)))

    def configure(self, member, config):
        if self.stage < (2 if member == "Configure" else 1):
            raise NotInitialized(f"{self.id} was called before {'Initialize' if self.stage else 'Handshake'}")
        for key, value in config.items():
            self.check_setting(key, value)
        defaults = {name: entry["default"] for name, entry in self.schema.items() if "default" in entry}
        self.plugin.configure({**defaults, **config})
        self.stage = 2
        self.rest()

    def check_setting(self, key, value):
        """Name and type; the daemon held the value against the constraints before, the plugin knows its own."""
        types = {"string": str, "int": int, "integer": int, "number": (int, float), "float": (int, float),
                 "double": (int, float), "boolean": bool, "bool": bool, "list": list, "array": list, "strings": list}
        if key not in self.schema:
            raise InvalidArgument(f"{key}: there is no such setting")
        kind = self.schema[key]["type"]
        if not isinstance(value, types[kind]) or isinstance(value, bool) != (types[kind] is bool):
            raise InvalidArgument(f"{key}: expected {kind}")

    def answer_CheckIdle(self, metrics):
        verdict, reason, *details = self.plugin.check_idle(metrics)
        if verdict not in ("idle", "busy", "unknown"):
            raise PluginError(f"check_idle said {verdict!r}, which is no verdict")
        return GLib.Variant("(ssa{sv})", (verdict, one_line(reason), dictionary(details[0] if details else {})))

    def answer_HandleEvent(self, event):
        answer = self.plugin.handle_event(event)
        handled, result = answer if isinstance(answer, tuple) else (answer, {})
        return GLib.Variant("(ba{sv})", (bool(handled), dictionary(result)))

    def answer_ExportState(self):
        left_behind = self.kept.read() if self.left_behind and not self.live else None
        version, state = left_behind or self.plugin.export_state()
        if not left_behind:
            self.unsaved, self.exported = False, True
            if not (self.kept and self.kept.own):
                self.known = version, bytes(state)
        return GLib.Variant("(uay)", (version, bytes(state)))

    def answer_ImportState(self, version, state):
        """The daemon has on its disk by now what was left behind, whether it is of use here or not."""
        if self.left_behind:
            self.kept.remove()
            self.left_behind = False
            self.unsaved = True
        self.live = True
        self.plugin.import_state(version, bytes(state))

    def answer_Handle(self, method, params):
        if method not in self.plugin.methods:
            raise InvalidArgument(f"{self.id} has no method {method}")
        success, result = self.plugin.handle_request(method, params)
        return GLib.Variant("(ba{sv})", (bool(success), dictionary(result)))


def serve(plugin_class):
    """Returns the exit status."""
    manifest = json.loads((pathlib.Path(sys.argv[0]).resolve().parent / "plugin.json").read_text())
    if sys.argv[1:] == ["--describe"]:
        print(json.dumps({key: manifest[key] for key in ("name", "version", "contracts")}))
        return 0
    if sys.argv[1:]:
        print(f"{sys.argv[0]} knows --describe alone", file=sys.stderr)
        return 2
    others = [contract for contract in manifest["contracts"] if contract not in XML]
    if others:
        *served, last = [contract for contract in XML if contract]
        print(f"{manifest['name']}: snooze_plugin.py serves {', '.join(served)} and {last}, not {', '.join(others)}", file=sys.stderr)
        return 1
    try:
        return Server(plugin_class(), manifest).run()
    except GLib.Error as error:
        print(f"{manifest['name']}: {error.message}", file=sys.stderr)
        return 1
