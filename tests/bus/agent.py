#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A person at a dialogue of polkit: calls StopInstance with the reason that is given as argument, is its own authentication agent, prints the
message of the dialogue, and types nothing. To be run as the user whom polkit is to ask; the bus is DBUS_SYSTEM_BUS_ADDRESS."""

import os
import sys

from gi.repository import Gio, GLib

PATH = '/test/Agent'
XML = '''<node><interface name="org.freedesktop.PolicyKit1.AuthenticationAgent">
<method name="BeginAuthentication">
<arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="a{ss}" direction="in"/>
<arg type="s" direction="in"/><arg type="a(sa{sv})" direction="in"/>
</method>
<method name="CancelAuthentication"><arg type="s" direction="in"/></method>
</interface></node>'''


def on_call(connection, sender, path, interface, method, arguments, invocation):
    if method == 'BeginAuthentication':
        _, message, _, _, _, _ = arguments.unpack()
        print(message, flush=True)
    invocation.return_error_literal(Gio.dbus_error_quark(), Gio.DBusError.FAILED, 'Nobody types anything')


def main():
    loop = GLib.MainLoop()
    flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
    connection = Gio.DBusConnection.new_for_address_sync(os.environ['DBUS_SYSTEM_BUS_ADDRESS'], flags, None, None)
    connection.register_object(PATH, Gio.DBusNodeInfo.new_for_xml(XML).interfaces[0], on_call, None, None)
    subject = ('unix-process', {'pid': GLib.Variant('u', os.getpid()), 'start-time': GLib.Variant('t', 0), 'uid': GLib.Variant('i', os.getuid())})
    connection.call_sync('org.freedesktop.PolicyKit1', '/org/freedesktop/PolicyKit1/Authority', 'org.freedesktop.PolicyKit1.Authority',
                         'RegisterAuthenticationAgent', GLib.Variant('((sa{sv})ss)', (subject, 'C', PATH)), None, 0, -1, None)
    message = Gio.DBusMessage.new_method_call('io.cloudsnooze.Snooze1', '/io/cloudsnooze/Snooze1', 'io.cloudsnooze.Snooze1.Manager', 'StopInstance')
    message.set_flags(Gio.DBusMessageFlags.ALLOW_INTERACTIVE_AUTHORIZATION)
    message.set_body(GLib.Variant('(sa{sv})', (sys.argv[1], {'delay': GLib.Variant('t', 300_000_000)})))
    connection.send_message_with_reply(message, Gio.DBusSendMessageFlags.NONE, -1, None, lambda c, result: loop.quit())
    loop.run()


if __name__ == '__main__':
    main()
