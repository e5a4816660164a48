#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A polkit that does as it is told, and remembers what it was asked.

Serves org.freedesktop.PolicyKit1 on the bus of DBUS_SYSTEM_BUS_ADDRESS. The interface test.Polkit at the same object sets
what it answers: allow, refuse, challenge, hang, malformed, or vanish (it leaves the bus over the question), for one action
or (empty name) for every action that was not named."""

import json
import os

from gi.repository import GLib

import stub

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


class Polkit(stub.Stub):
    NAME, PATH, XML = NAME, PATH, XML

    def __init__(self):
        super().__init__()
        self.modes = {}
        self.questions = []
        self.hanging = []

    def tell(self, signal, text):
        self.emit('test.Polkit', signal, GLib.Variant('(s)', (text,)))

    def on_CheckAuthorization(self, invocation, subject, action, details, flags, cancellation_id):
        kind, identity = subject
        mode = self.modes.get(action, self.modes.get('', 'allow'))
        self.questions.append({'sender': invocation.get_sender(), 'kind': kind, 'subject': identity.get('name'), 'action': action,
                               'details': details, 'flags': flags, 'id': cancellation_id, 'cancelled': False})
        if mode == 'vanish':
            os._exit(0)
        elif mode == 'hang':
            self.hanging.append(invocation)
        elif mode == 'malformed':
            self.answer_past_gdbus(invocation, GLib.Variant('(su)', ('yes', 1)))
        else:
            verdict = (mode == 'allow', mode == 'challenge', {})
            invocation.return_value(GLib.Variant('((bba{ss}))', (verdict,)))
        self.tell('Asked', action)

    def on_CancelCheckAuthorization(self, invocation, cancellation_id):
        for question in self.questions:
            if question['id'] == cancellation_id:
                question['cancelled'] = True
        invocation.return_value(None)
        self.tell('Cancelled', cancellation_id)

    def on_Answer(self, invocation, action, mode):
        self.modes[action] = mode
        invocation.return_value(None)

    def on_Questions(self, invocation):
        invocation.return_value(GLib.Variant('(s)', (json.dumps(self.questions),)))

    def on_Reset(self, invocation):
        self.modes.clear()
        self.questions.clear()
        self.hanging.clear()
        invocation.return_value(None)


if __name__ == '__main__':
    Polkit().serve()
