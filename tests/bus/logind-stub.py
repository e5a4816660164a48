#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""As much of logind as lists inhibitors and sessions, and waits for delay inhibitors. The interface test.Logind at the same object sets the inhibitors:
JSON, or "rubbish" for an answer of another type; and says how often they were listed. The sessions are the arguments, JSON
of their properties. Prepare sends PrepareForShutdown or PrepareForSleep; Inhibited and Released tell when a delay inhibitor is taken
and given back."""

import json
import os
import sys

from gi.repository import Gio, GLib

import stub

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
    <property name="InhibitDelayMaxUSec" type="t" access="read"/>
    <method name="Inhibit">
      <arg type="s" direction="in"/>
      <arg type="s" direction="in"/>
      <arg type="s" direction="in"/>
      <arg type="s" direction="in"/>
      <arg type="h" direction="out"/>
    </method>
    <signal name="PrepareForShutdown"><arg type="b"/></signal>
    <signal name="PrepareForSleep"><arg type="b"/></signal>
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
    <method name="Prepare">
      <arg name="what" type="s" direction="in"/>
      <arg name="begins" type="b" direction="in"/>
    </method>
    <signal name="Inhibited"><arg type="s"/><arg type="s"/></signal>
    <signal name="Released"/>
  </interface>
</node>
'''


SESSION_XML = '''
<node>
  <interface name="org.freedesktop.login1.Session">
    <property name="Id" type="s" access="read"/>
    <property name="Name" type="s" access="read"/>
    <property name="Class" type="s" access="read"/>
    <property name="Type" type="s" access="read"/>
    <property name="TTY" type="s" access="read"/>
    <property name="Timestamp" type="t" access="read"/>
    <property name="IdleHint" type="b" access="read"/>
    <property name="IdleSinceHint" type="t" access="read"/>
  </interface>
</node>
'''


class Session:
    def __init__(self, connection, properties):
        self.properties = properties
        self.path = PATH + '/session/_3' + properties['Id']
        self.interface = Gio.DBusNodeInfo.new_for_xml(SESSION_XML).interfaces[0]
        connection.register_object(self.path, self.interface, None, self.on_get, None)

    def on_get(self, connection, sender, path, interface, name):
        return GLib.Variant(self.interface.lookup_property(name).signature, self.properties[name])


class Logind(stub.Stub):
    NAME, PATH, XML = NAME, PATH, XML

    def __init__(self):
        super().__init__()
        self.sessions = [Session(self.connection, json.loads(argument)) for argument in sys.argv[1:]]
        self.inhibitors = []
        self.listings = 0

    def properties(self):
        return {'BlockInhibited': GLib.Variant('s', 'shutdown' if self.inhibitors else ''),
                'InhibitDelayMaxUSec': GLib.Variant('t', 3_000_000)}

    def on_Inhibit(self, invocation, what, who, why, mode):
        kept, given = os.pipe2(os.O_CLOEXEC)
        descriptors = Gio.UnixFDList()
        descriptors.append(given)
        os.close(given)
        GLib.io_add_watch(kept, GLib.PRIORITY_DEFAULT, GLib.IO_HUP, self.on_released)
        invocation.return_value_with_unix_fd_list(GLib.Variant('(h)', (0,)), descriptors)
        self.emit('test.Logind', 'Inhibited', GLib.Variant('(ss)', (what, mode)))

    def on_released(self, kept, condition):
        os.close(kept)
        self.emit('test.Logind', 'Released')
        return GLib.SOURCE_REMOVE

    def on_Prepare(self, invocation, what, begins):
        self.emit(MANAGER, f'PrepareFor{what}', GLib.Variant('(b)', (begins,)))
        invocation.return_value(None)

    def on_ListInhibitors(self, invocation):
        self.listings += 1
        if self.inhibitors is None:
            self.answer_past_gdbus(invocation, GLib.Variant('(as)', (['shutdown'],)))
        else:
            invocation.return_value(GLib.Variant('(a(ssssuu))', ([tuple(entry) for entry in self.inhibitors],)))
        self.emit('test.Logind', 'Listed')

    def on_ListSessions(self, invocation):
        sessions = [(session.properties['Id'], 1000, session.properties['Name'], 'seat0', session.path)
                    for session in self.sessions]
        invocation.return_value(GLib.Variant('(a(susso))', (sessions,)))

    def on_SetInhibitors(self, invocation, text, announce):
        self.inhibitors = None if text == 'rubbish' else json.loads(text)
        invocation.return_value(None)
        if announce:
            value = {'BlockInhibited': GLib.Variant('s', 'shutdown')}
            self.emit('org.freedesktop.DBus.Properties', 'PropertiesChanged', GLib.Variant('(sa{sv}as)', (MANAGER, value, [])))

    def on_Listings(self, invocation):
        invocation.return_value(GLib.Variant('(u)', (self.listings,)))


if __name__ == '__main__':
    Logind().serve()
