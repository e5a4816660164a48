#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A source of events without a channel: what it is told to announce on its own object (test.Source) it broadcasts on the bus. It holds to no
bound of its own, and takes no acknowledgement where it is told so: "busy" refuses each, "deaf" answers none. Told to hold events, it
keeps to the contract and to no more: all that was not acknowledged is announced at once, and again whenever it is watched. What it knows, where it is asked
for that, is what it announced last."""

import os
import pathlib
import sys

from gi.repository import Gio, GLib

HERE = pathlib.Path(sys.argv[0]).parent
NAME = 'io.cloudsnooze.Plugin1'
PATH = '/io/cloudsnooze/Plugin1'
BULK = 8000  # characters of each event of a flood
TEST = '''<node><interface name="test.Source">
<method name="Announce"><arg type="a{sv}" direction="in"/></method>
<method name="Cancel"><arg type="s" direction="in"/></method>
<method name="Flood"><arg name="first" type="u" direction="in"/><arg name="count" type="u" direction="in"/></method>
<method name="Hold"><arg name="count" type="u" direction="in"/><arg name="bulk" type="u" direction="in"/></method>
<method name="TakeAcknowledgements"><arg name="how" type="s" direction="in"/></method>
</interface></node>'''


class Source:
    def __init__(self, connection, introspection):
        self.connection = connection
        self.takes, self.last = 'gladly', ''
        self.held = {}  # id: what is announced of it
        nodes = [(pathlib.Path(introspection) / f'{name}.xml').read_text() for name in (NAME, NAME + '.EventSource', NAME + '.State')]
        for xml in (*nodes, TEST):
            for interface in Gio.DBusNodeInfo.new_for_xml(xml).interfaces:
                connection.register_object(PATH, interface, self.on_call, None, None)

    def signal(self, member, parameters):
        self.connection.emit_signal(None, PATH, NAME + '.EventSource', member, parameters)

    def flood(self, first, count):
        text = GLib.Variant('s', 'x' * BULK)
        for number in range(first, first + count):
            self.signal('Event', GLib.Variant('(a{sv})', ({'id': GLib.Variant('s', f'flood-{number}'), 'type': GLib.Variant('s', 'custom.flood'),
                                                           'data': GLib.Variant('a{sv}', {'text': text})},)))

    def hold(self, count, bulk):
        for number in range(count):
            self.held[f'{number:06}'] = GLib.Variant('(a{sv})', ({
                'id': GLib.Variant('s', f'{number:06}'), 'type': GLib.Variant('s', 'custom.burst'), 'severity': GLib.Variant('u', number % 4),
                'data': GLib.Variant('a{sv}', {'text': GLib.Variant('s', 'x' * bulk)})},))
        self.tell_held()

    def tell_held(self):
        for event in self.held.values():
            self.signal('Event', event)

    def acknowledge(self, connection, identifier, invocation):
        if self.takes == 'busy':
            invocation.return_dbus_error('io.cloudsnooze.Snooze1.Error.Busy', 'later')
        elif self.held.pop(identifier, None):
            invocation.return_value(None)
        elif self.takes == 'gladly':
            connection.emit_signal(None, PATH, 'test.Event', 'Noted', GLib.Variant('(s)', (f'{HERE.name} acknowledges {identifier}',)))
            invocation.return_value(None)

    def on_call(self, connection, sender, path, interface, method, parameters, invocation):
        answer = None
        if method == 'Handshake':
            info = {'id': GLib.Variant('s', HERE.name), 'contracts': GLib.Variant('as', ['EventSource', 'State'])}
            answer = GLib.Variant('(ua{sv})', (1, info))
        elif method == 'OpenChannel':
            invocation.return_dbus_error('io.cloudsnooze.Snooze1.Error.NotSupported', 'no channel')
            return
        elif method == 'ExportState':
            connection.emit_signal(None, PATH, 'test.Event', 'Noted', GLib.Variant('(s)', (f'{HERE.name} exports {self.last}',)))
            answer = GLib.Variant('(uay)', (1, self.last.encode()))
        elif method == 'Announce':
            self.last = str(parameters.unpack()[0].get('id', ''))
            self.signal('Event', parameters)
        elif method == 'Cancel':
            self.signal('EventCancelled', parameters)
        elif method == 'Acknowledge':
            self.acknowledge(connection, *parameters.unpack(), invocation)
            return
        elif method == 'Flood':
            self.flood(*parameters.unpack())
        elif method == 'Hold':
            self.hold(*parameters.unpack())
        elif method == 'TakeAcknowledgements':
            self.takes, = parameters.unpack()
        elif method == 'Watch':
            connection.emit_signal(None, PATH, 'test.Event', 'Noted', GLib.Variant('(s)', (f'{HERE.name} is watched ',)))
            self.tell_held()
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
