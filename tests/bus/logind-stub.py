#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""As much of logind as lists inhibitors. The interface test.Logind at the same object sets them: JSON, or "rubbish" for an answer of
another type; and says how often they were listed."""

import json
import os

from gi.repository import Gio, GLib

NAME = 'org.freedesktop.login1'
PATH = '/org/freedesktop/login1'
MANAGER = NAME + '.Manager'

XML = '''
<node>
  <interface name="org.freedesktop.login1.Manager">
    <property name="BlockInhibited" type="s" access="read"/>
    <method name="ListInhibitors">
      <arg type="a(ssssuu)" direction="out"/>
    </method>
    <method name="ListSessions">
      <arg type="a(susso)" direction="out"/>
    </method>
  </interface>
  <interface name="test.Logind">
    <method name="SetInhibitors">
      <arg name="json" type="s" direction="in"/>
      <arg name="announce" type="b" direction="in"/>
    </method>
    <method name="Listings">
      <arg name="number" type="u" direction="out"/>
    </method>
    <signal name="Listed"/>
  </interface>
</node>
'''


class Stub:
    def __init__(self, connection):
        self.connection = connection
        self.inhibitors = []
        self.listings = 0
        for interface in Gio.DBusNodeInfo.new_for_xml(XML).interfaces:
            connection.register_object(PATH, interface, self.on_call, self.on_get, None)

    def on_get(self, connection, sender, path, interface, name):
        return GLib.Variant('s', 'shutdown' if self.inhibitors else '')

    def on_call(self, connection, sender, path, interface, method, parameters, invocation):
        getattr(self, 'on_' + method)(invocation, *parameters.unpack())

    def on_ListInhibitors(self, invocation):
        self.listings += 1
        if self.inhibitors is None:
            # Past GDBus, which would not send what the interface does not have.
            reply = Gio.DBusMessage.new_method_reply(invocation.get_message())
            reply.set_body(GLib.Variant('(as)', (['shutdown'],)))
            self.connection.send_message(reply, Gio.DBusSendMessageFlags.NONE)
        else:
            invocation.return_value(GLib.Variant('(a(ssssuu))', ([tuple(entry) for entry in self.inhibitors],)))
        self.connection.emit_signal(None, PATH, 'test.Logind', 'Listed', None)

    def on_ListSessions(self, invocation):
        invocation.return_value(GLib.Variant('(a(susso))', ([],)))

    def on_SetInhibitors(self, invocation, text, announce):
        self.inhibitors = None if text == 'rubbish' else json.loads(text)
        invocation.return_value(None)
        if announce:
            value = {'BlockInhibited': GLib.Variant('s', 'shutdown')}
            self.connection.emit_signal(None, PATH, 'org.freedesktop.DBus.Properties', 'PropertiesChanged',
                                        GLib.Variant('(sa{sv}as)', (MANAGER, value, [])))

    def on_Listings(self, invocation):
        invocation.return_value(GLib.Variant('(u)', (self.listings,)))


def main():
    loop = GLib.MainLoop()
    flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
    connection = Gio.DBusConnection.new_for_address_sync(os.environ['DBUS_SYSTEM_BUS_ADDRESS'], flags, None, None)
    connection.connect('closed', lambda *arguments: loop.quit())
    stub = Stub(connection)
    Gio.bus_own_name_on_connection(connection, NAME, Gio.BusNameOwnerFlags.NONE, None, lambda *arguments: loop.quit())
    loop.run()
    del stub


if __name__ == '__main__':
    main()
