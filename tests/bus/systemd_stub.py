# SPDX-License-Identifier: Apache-2.0
"""As much of systemd as stops and starts units, on a connection of the test's own: it answers while the test's main
context runs. And as much of it as says what a unit received."""

import threading

from gi.repository import Gio, GLib

NAME = 'org.freedesktop.systemd1'
PATH = '/org/freedesktop/systemd1'
MANAGER = NAME + '.Manager'

MANAGER_XML = '''<node><interface name="org.freedesktop.systemd1.Manager">
<method name="Subscribe"/><method name="Unsubscribe"/>
<method name="GetUnit"><arg type="s" direction="in"/><arg type="o" direction="out"/></method>
<method name="StartUnit"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="o" direction="out"/></method>
<method name="StopUnit"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="o" direction="out"/></method>
<signal name="JobRemoved"><arg type="u"/><arg type="o"/><arg type="s"/><arg type="s"/></signal>
</interface></node>'''
UNIT_XML = '<node><interface name="org.freedesktop.systemd1.Unit"><property name="ActiveState" type="s" access="read"/></interface></node>'


class Systemd:
    """units: name → state. A job ends at once, but for the units in `slow`, whose jobs `release` ends; those in `refused` name an error
    and those in `results` another end than done."""

    def __init__(self, connection, **units):
        self.connection = connection
        self.units = {}
        self.asked, self.slow, self.refused, self.results, self.jobs = [], set(), {}, {}, {}
        self.subscribed = 0
        self.register(PATH, MANAGER_XML, self.on_call, None)
        for name, state in units.items():
            self.add(name.replace('__', '@').replace('_', '.'), state)
        reply = connection.call_sync('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus',
                                     'RequestName',
                                     GLib.Variant('(su)', (NAME, 4)), None, Gio.DBusCallFlags.NONE, -1, None)
        assert reply.unpack() == (1,)

    def register(self, path, xml, on_call, on_get):
        self.connection.register_object(path, Gio.DBusNodeInfo.new_for_xml(xml).interfaces[0], on_call, on_get, None)

    def path(self, name):
        return PATH + '/unit/' + ''.join(c if c.isalnum() else '_%02x' % ord(c) for c in name)

    def add(self, name, state='active'):
        self.units[name] = state
        self.register(self.path(name), UNIT_XML, None, lambda *arguments: GLib.Variant('s', self.units[name]))

    def on_call(self, connection, sender, path, interface, method, parameters, invocation):
        name, *_ = parameters.unpack() or ('',)
        if method in ('Subscribe', 'Unsubscribe'):
            self.subscribed += 1 if method == 'Subscribe' else -1
            invocation.return_value(None)
        elif name not in self.units:
            invocation.return_dbus_error(NAME + '.NoSuchUnit', f'Unit {name} not loaded.')
        elif method == 'GetUnit':
            invocation.return_value(GLib.Variant('(o)', (self.path(name),)))
        else:
            self.on_order(method, name, sender, invocation)

    def on_order(self, method, name, sender, invocation):
        self.asked.append((method, name))
        if name in self.refused:
            invocation.return_dbus_error(self.refused[name], 'It is so')
            return
        job = f'{PATH}/job/{len(self.asked)}'
        invocation.return_value(GLib.Variant('(o)', (job,)))
        self.jobs[name] = (method, job)
        if name not in self.slow:
            self.release(name)

    def release(self, name):
        method, job = self.jobs.pop(name)
        self.units[name] = 'active' if method == 'StartUnit' else 'inactive'
        self.connection.emit_signal(None, PATH, MANAGER, 'JobRemoved',
                                    GLib.Variant('(uoss)', (1, job, name, self.results.get(name, 'done'))))


SERVICE_XML = '<node><interface name="org.freedesktop.systemd1.Service"><property name="IPIngressBytes" type="t" access="read"/></interface></node>'
NOT_COUNTED = 2**64 - 1


class Counting:
    """Says of a unit what it received, NOT_COUNTED where nothing counts it. On a thread of its own: a test may wait for a program."""

    def __init__(self, address, unit, received=0):
        self.received = received
        self.path = PATH + '/unit/' + ''.join(c if c.isalnum() else '_%02x' % ord(c) for c in unit)
        self.context = GLib.MainContext.new()
        self.loop = GLib.MainLoop.new(self.context, False)
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(address,), daemon=True)
        self.thread.start()
        if not self.ready.wait(30):
            raise AssertionError('systemd in the place of the real one is not there')

    def run(self, address):
        self.context.push_thread_default()
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        connection = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
        connection.set_exit_on_close(False)
        connection.register_object(self.path, Gio.DBusNodeInfo.new_for_xml(SERVICE_XML).interfaces[0], None,
                                   lambda *arguments: GLib.Variant('t', self.received), None)
        connection.call_sync('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus', 'RequestName',
                             GLib.Variant('(su)', (NAME, 4)), None, Gio.DBusCallFlags.NONE, -1, None)
        self.ready.set()
        self.loop.run()
        connection.close_sync(None)
        self.context.pop_thread_default()

    def stop(self):
        self.loop.quit()
        self.thread.join()
