# SPDX-License-Identifier: Apache-2.0
"""The frame of a program that stands in for a service of the system, on the bus of DBUS_SYSTEM_BUS_ADDRESS: one object under
one name, until the bus goes away or the name is taken."""

import os

from gi.repository import Gio, GLib


class Stub:
    """NAME, PATH and XML say what is served; a call of Member is answered by on_Member(invocation, argument…)."""

    NAME = PATH = XML = None

    def __init__(self):
        self.loop = GLib.MainLoop()
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        self.connection = Gio.DBusConnection.new_for_address_sync(os.environ['DBUS_SYSTEM_BUS_ADDRESS'], flags, None, None)
        self.connection.connect('closed', lambda *arguments: self.loop.quit())
        for interface in Gio.DBusNodeInfo.new_for_xml(self.XML).interfaces:
            self.connection.register_object(self.PATH, interface, self.on_call, self.on_get, None)

    def serve(self):
        Gio.bus_own_name_on_connection(self.connection, self.NAME, Gio.BusNameOwnerFlags.NONE, None,
                                       lambda *arguments: self.loop.quit())
        self.loop.run()

    def on_call(self, connection, sender, path, interface, method, parameters, invocation):
        getattr(self, 'on_' + method)(invocation, *parameters.unpack())

    def on_get(self, connection, sender, path, interface, name):
        return self.properties()[name]

    def properties(self):
        return {}

    def emit(self, interface, signal, parameters=None):
        self.connection.emit_signal(None, self.PATH, interface, signal, parameters)

    def answer_past_gdbus(self, invocation, body):
        """GDBus would not send what the interface does not have."""
        reply = Gio.DBusMessage.new_method_reply(invocation.get_message())
        reply.set_body(body)
        self.connection.send_message(reply, Gio.DBusSendMessageFlags.NONE)
