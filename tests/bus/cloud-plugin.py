#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A provider that does as behaviour.json beside it says, writes what it was asked to calls.jsonl there, and emits test.Cloud.Called.

Keys of behaviour.json: detect (true; or hang), effect (stops-billing), permitted (true), tags (ok, refuse), text (what every text that it
tells ends with: ""), start and info (ok, hang), unable (what the machine cannot do, and why: {"hibernate": "…"}), more_permissions (rows), and stop, a mode or a list of one for each time (the last one stays): ok, refuse, held, throttle, hang, die; accept-and-hang and accept-and-die take the stop and never
say so; late waits for the file mercy before it takes it, for as long as it lives. What the instance does (running, stopping) is the cloud's to know, and outlives this process in the file state."""

import json
import os
import pathlib
import sys

from gi.repository import Gio, GLib

HERE = pathlib.Path(sys.argv[0]).parent
IDENTIFIER = HERE.name
NAME = 'io.cloudsnooze.Plugin1'
PATH = '/io/cloudsnooze/Plugin1'
ERROR = 'io.cloudsnooze.Snooze1.Error.'
NOES = {'refuse': ('Refused', 'cloud:StopInstances is not permitted'), 'held': ('Held', 'apt inhibits it'),
        'throttle': ('Throttled', 'slow down')}


told = {}


def learn_behaviour():
    """Before anybody can hear of the call, and tell us otherwise for the next one."""
    path = HERE / 'behaviour.json'
    told.clear()
    told.update(json.loads(path.read_text()) if path.exists() else {})


def behaviour(key, fallback):
    return told.get(key, fallback)


def calls():
    try:
        return [json.loads(line)[0] for line in (HERE / 'calls.jsonl').read_text().splitlines()]
    except FileNotFoundError:
        return []


def remember(method, arguments):
    with open(HERE / 'calls.jsonl', 'a') as written:
        print(json.dumps([method, arguments]), file=written)


def instance_state():
    try:
        return (HERE / 'state').read_text()
    except FileNotFoundError:
        return 'running'


def s(text):
    return GLib.Variant('s', text)


class Provider:
    def __init__(self, connection, introspection):
        for name in (NAME, NAME + '.CloudProvider'):
            xml = (pathlib.Path(introspection) / f'{name}.xml').read_text()
            interface = Gio.DBusNodeInfo.new_for_xml(xml).lookup_interface(name)
            connection.register_object(PATH, interface, self.on_call, self.on_get, None)

    def on_get(self, connection, sender, path, interface, name):
        learn_behaviour()
        text = behaviour('text', '')
        return {'ProviderName': s('Test Cloud' + text), 'ProviderVersion': s('2.1' + text),
                'StopEffect': s(behaviour('effect', 'stops-billing'))}[name]

    def on_call(self, connection, sender, path, interface, method, parameters, invocation):
        arguments = parameters.unpack()
        learn_behaviour()
        remember(method, arguments)
        # Wakes whoever waits for it.
        connection.emit_signal(None, PATH, 'test.Cloud', 'Called', GLib.Variant('(s)', (method,)))
        connection.flush_sync(None)
        answer = getattr(self, method)(invocation, *arguments)
        if answer is not NotImplemented:
            invocation.return_value(answer)

    def Handshake(self, invocation, host_api, host_version):
        info = {'id': s(IDENTIFIER), 'version': s('1.0.0'), 'contracts': GLib.Variant('as', ['CloudProvider'])}
        return GLib.Variant('(ua{sv})', (1, info))

    def Initialize(self, invocation, config):
        if behaviour('initialize', 'at once') == 'at once':
            return None
        GLib.timeout_add(500, lambda: invocation.return_value(None))
        return NotImplemented

    def Configure(self, invocation, config):
        return None

    def Ping(self, invocation):
        return None

    def Shutdown(self, invocation):
        GLib.idle_add(sys.exit)
        return None

    def OpenChannel(self, invocation):
        invocation.return_dbus_error(ERROR + 'NotSupported', 'no channel')
        return NotImplemented

    def Detect(self, invocation):
        detected = behaviour('detect', True)
        return NotImplemented if detected == 'hang' else GLib.Variant('(b)', (detected,))

    def GetInstanceInfo(self, invocation, instance_id):
        if behaviour('info', 'ok') != 'ok':
            return NotImplemented
        text = behaviour('text', '')
        info = {'id': s(instance_id or 'i-this' + text), 'name': s('test' + text), 'type': s('t.small'), 'region': s('north'), 'zone': s('north-1'),
                'state': s(instance_state()), 'lifecycle': s('on-demand'), 'launch-time': GLib.Variant('t', 1_700_000_000_000_000),
                'tags': GLib.Variant('a{ss}', {'purpose': 'test' + text})}
        return GLib.Variant('(a{sv})', (info,))

    def StopInstance(self, invocation, instance_id, options):
        modes = behaviour('stop', 'ok')
        mode = modes if isinstance(modes, str) else modes[min(calls().count('StopInstance'), len(modes)) - 1]
        if mode in NOES:
            name, message = NOES[mode]
            invocation.return_dbus_error(ERROR + name, message)
            return NotImplemented
        if mode in ('ok', 'accept-and-hang', 'accept-and-die'):
            (HERE / 'state').write_text('stopping')
        if mode in ('die', 'accept-and-die'):
            os._exit(1)
        if mode == 'late':
            GLib.timeout_add(20, self.stop_late)
        return None if mode == 'ok' else NotImplemented

    def stop_late(self):
        if not (HERE / 'mercy').exists():
            return GLib.SOURCE_CONTINUE
        (HERE / 'state').write_text('stopping')
        remember('stopped late', [])
        return GLib.SOURCE_REMOVE

    def StartInstance(self, invocation, instance_id, options):
        return None if behaviour('start', 'ok') == 'ok' else NotImplemented

    def CheckPermissions(self, invocation):
        text = behaviour('text', '')
        rows = [(action, False, why) for action, why in behaviour('unable', {}).items()]
        rows += [tuple(row) for row in behaviour('more_permissions', [])]
        return GLib.Variant('(a(sbs))', (rows + [('cloud:StopInstances' + text, behaviour('permitted', True), 'stops this machine' + text)],))

    def SetTags(self, invocation, tags):
        mode = behaviour('tags', 'ok')
        if mode == 'refuse':
            invocation.return_dbus_error(ERROR + 'Refused', 'cloud:CreateTags is not permitted')
        return None if mode == 'ok' else NotImplemented


def main():
    flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
    connection = Gio.DBusConnection.new_for_address_sync(os.environ['DBUS_SYSTEM_BUS_ADDRESS'], flags, None, None)
    loop = GLib.MainLoop()
    connection.connect('closed', lambda *arguments: loop.quit())
    provider = Provider(connection, (HERE / 'introspection').read_text().strip())
    Gio.bus_own_name_on_connection(connection, f'{NAME}.{IDENTIFIER}', Gio.BusNameOwnerFlags.NONE, None, None)
    loop.run()
    del provider


if __name__ == '__main__':
    main()
