#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A source of events without a channel: what it is told to announce on its own object (test.Source) it broadcasts on the bus."""

import os
import pathlib
import sys

from gi.repository import Gio, GLib

HERE = pathlib.Path(sys.argv[0]).parent
NAME = 'io.cloudsnooze.Plugin1'
PATH = '/io/cloudsnooze/Plugin1'
TEST = '''<node><interface name="test.Source">
<method name="Announce"><arg type="a{sv}" direction="in"/></method>
<method name="Cancel"><arg type="s" direction="in"/></method>
</interface></node>'''


class Source:
    def __init__(self, connection, introspection):
        self.connection = connection
        nodes = [(pathlib.Path(introspection) / f'{name}.xml').read_text() for name in (NAME, NAME + '.EventSource')]
        for xml in (*nodes, TEST):
            for interface in Gio.DBusNodeInfo.new_for_xml(xml).interfaces:
                connection.register_object(PATH, interface, self.on_call, None, None)

    def signal(self, member, parameters):
        self.connection.emit_signal(None, PATH, NAME + '.EventSource', member, parameters)

    def on_call(self, connection, sender, path, interface, method, parameters, invocation):
        answer = None
        if method == 'Handshake':
            info = {'id': GLib.Variant('s', HERE.name), 'contracts': GLib.Variant('as', ['EventSource'])}
            answer = GLib.Variant('(ua{sv})', (1, info))
        elif method == 'OpenChannel':
            invocation.return_dbus_error('io.cloudsnooze.Snooze1.Error.NotSupported', 'no channel')
            return
        elif method == 'Announce':
            self.signal('Event', parameters)
        elif method == 'Cancel':
            self.signal('EventCancelled', parameters)
        elif method == 'Acknowledge':
            connection.emit_signal(None, PATH, 'test.Event', 'Noted',
                                   GLib.Variant('(s)', (f'{HERE.name} acknowledges {parameters.unpack()[0]}',)))
        elif method == 'Watch':
            connection.emit_signal(None, PATH, 'test.Event', 'Noted', GLib.Variant('(s)', (f'{HERE.name} is watched ',)))
        elif method == 'Shutdown':
            GLib.idle_add(sys.exit)
        invocation.return_value(answer)


def main():
    flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
    connection = Gio.DBusConnection.new_for_address_sync(os.environ['DBUS_SYSTEM_BUS_ADDRESS'], flags, None, None)
    loop = GLib.MainLoop()
    connection.connect('closed', lambda *arguments: loop.quit())
    source = Source(connection, (HERE / 'introspection').read_text().strip())
    for name in (f'{NAME}.{HERE.name}', f'{NAME}.{HERE.name}.{os.environ.get("SNOOZE_SLOT", "a")}'):
        Gio.bus_own_name_on_connection(connection, name, Gio.BusNameOwnerFlags.NONE, None, None)
    loop.run()
    return source


main()
