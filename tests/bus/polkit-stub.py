#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A polkit that does as it is told, and remembers what it was asked.

Serves org.freedesktop.PolicyKit1 on the bus of DBUS_SYSTEM_BUS_ADDRESS. The interface test.Polkit at the same object sets
what it answers: allow, refuse, challenge, hang, malformed, or vanish (it leaves the bus over the question), for one action
or (empty name) for every action that was not named."""

import json
import os

from gi.repository import Gio, GLib

NAME = 'org.freedesktop.PolicyKit1'
PATH = '/org/freedesktop/PolicyKit1/Authority'

XML = '''
<node>
  <interface name="org.freedesktop.PolicyKit1.Authority">
    <method name="CheckAuthorization">
      <arg type="(sa{sv})" direction="in"/>
      <arg type="s" direction="in"/>
      <arg type="a{ss}" direction="in"/>
      <arg type="u" direction="in"/>
      <arg type="s" direction="in"/>
      <arg type="(bba{ss})" direction="out"/>
    </method>
    <method name="CancelCheckAuthorization">
      <arg type="s" direction="in"/>
    </method>
  </interface>
  <interface name="test.Polkit">
    <method name="Answer">
      <arg name="action" type="s" direction="in"/>
      <arg name="mode" type="s" direction="in"/>
    </method>
    <method name="Questions">
      <arg name="json" type="s" direction="out"/>
    </method>
    <method name="Reset"/>
    <signal name="Asked">
      <arg name="action" type="s"/>
    </signal>
    <signal name="Cancelled">
      <arg name="id" type="s"/>
    </signal>
  </interface>
</node>
'''


class Stub:
    def __init__(self, connection, loop):
        self.connection = connection
        self.loop = loop
        self.modes = {}
        self.questions = []
        self.hanging = []
        for interface in Gio.DBusNodeInfo.new_for_xml(XML).interfaces:
            connection.register_object(PATH, interface, self.on_call, None, None)

    def on_call(self, connection, sender, path, interface, method, parameters, invocation):
        getattr(self, 'on_' + method)(parameters.unpack(), invocation)

    def emit(self, signal, text):
        self.connection.emit_signal(None, PATH, 'test.Polkit', signal, GLib.Variant('(s)', (text,)))

    def on_CheckAuthorization(self, parameters, invocation):
        (kind, subject), action, details, flags, cancellation_id = parameters
        mode = self.modes.get(action, self.modes.get('', 'allow'))
        self.questions.append({'sender': invocation.get_sender(), 'kind': kind, 'subject': subject.get('name'), 'action': action,
                               'details': details, 'flags': flags, 'id': cancellation_id, 'cancelled': False})
        if mode == 'vanish':
            os._exit(0)
        elif mode == 'hang':
            self.hanging.append(invocation)
        elif mode == 'malformed':
            # Past GDBus, which would not send what the interface does not have.
            reply = Gio.DBusMessage.new_method_reply(invocation.get_message())
            reply.set_body(GLib.Variant('(su)', ('yes', 1)))
            self.connection.send_message(reply, Gio.DBusSendMessageFlags.NONE)
        else:
            verdict = (mode == 'allow', mode == 'challenge', {})
            invocation.return_value(GLib.Variant('((bba{ss}))', (verdict,)))
        self.emit('Asked', action)

    def on_CancelCheckAuthorization(self, parameters, invocation):
        for question in self.questions:
            if question['id'] == parameters[0]:
                question['cancelled'] = True
        invocation.return_value(None)
        self.emit('Cancelled', parameters[0])

    def on_Answer(self, parameters, invocation):
        action, mode = parameters
        self.modes[action] = mode
        invocation.return_value(None)

    def on_Questions(self, parameters, invocation):
        invocation.return_value(GLib.Variant('(s)', (json.dumps(self.questions),)))

    def on_Reset(self, parameters, invocation):
        self.modes.clear()
        self.questions.clear()
        self.hanging.clear()
        invocation.return_value(None)


def main():
    loop = GLib.MainLoop()
    flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
    connection = Gio.DBusConnection.new_for_address_sync(os.environ['DBUS_SYSTEM_BUS_ADDRESS'], flags, None, None)
    connection.connect('closed', lambda *arguments: loop.quit())
    stub = Stub(connection, loop)
    Gio.bus_own_name_on_connection(connection, NAME, Gio.BusNameOwnerFlags.NONE, None, lambda *arguments: loop.quit())
    loop.run()
    del stub


if __name__ == '__main__':
    main()
