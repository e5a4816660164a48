#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The smallest plugin without a library: it says that somebody is there."""

from gi.repository import Gio, GLib

XML = '''<node><interface name="io.cloudsnooze.Plugin1">
<method name="Handshake"><arg type="u"/><arg type="s"/><arg type="u" direction="out"/><arg type="a{sv}" direction="out"/></method>
<method name="Initialize"><arg type="a{sv}"/></method><method name="Configure"><arg type="a{sv}"/></method>
<method name="Ping"/><method name="Shutdown"/></interface>
<interface name="io.cloudsnooze.Plugin1.IdleCheck"><method name="CheckIdle"><arg type="a{sv}"/>
<arg type="s" direction="out"/><arg type="s" direction="out"/><arg type="a{sv}" direction="out"/></method></interface></node>'''


def main():
    loop = GLib.MainLoop()

    def answer(connection, sender, path, interface, method, arguments, invocation):
        info = {'id': GLib.Variant('s', 'visitor'), 'version': GLib.Variant('s', '0.1.0'),
                'contracts': GLib.Variant('as', ['IdleCheck'])}
        replies = {'Handshake': ('(ua{sv})', (1, info)), 'CheckIdle': ('(ssa{sv})', ('busy', 'somebody visits', {}))}
        invocation.return_value(GLib.Variant(*replies[method]) if method in replies else None)
        if method == 'Shutdown':
            GLib.idle_add(loop.quit)

    bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
    for interface in Gio.DBusNodeInfo.new_for_xml(XML).interfaces:
        bus.register_object('/io/cloudsnooze/Plugin1', interface, answer, None, None)
    Gio.bus_own_name_on_connection(bus, 'io.cloudsnooze.Plugin1.visitor', Gio.BusNameOwnerFlags.NONE, None, lambda *_: loop.quit())
    loop.run()


if __name__ == '__main__':
    main()
