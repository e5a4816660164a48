# SPDX-License-Identifier: Apache-2.0
"""Every method that asks polkit, with arguments that are right, for whoever tries them as allowed and as refused caller.

An example is (interface, member) → (signature, arguments, action). Arguments may be a function of the house and the client, which
prepares what the call is about. `action` is the one that these arguments need."""

import json
import os
import subprocess

from gi.repository import Gio, GLib

from harness import ACTION, BUILD, MANAGER, PATH, PLUGIN, PROVIDER

MINUTE = 60_000_000
EXAMPLE_PLUGIN = PATH + '/plugin/example'
EXAMPLE_PROVIDER = PATH + '/provider/cloud'


def table():
    """The daemon's own: (interface, member) → (action or None, other action or None)."""
    text = subprocess.run([BUILD / 'tests/bus/print-actions'], check=True, capture_output=True, text=True).stdout
    return {(entry['interface'], entry['member']): (entry['action'], entry['other_action']) for entry in json.loads(text)}


def a_hold(house, client):
    return client.call('HoldFor', '(ts)', (MINUTE, 'to be released'))


def an_empty_stream():
    (source, feed), (drain, sink) = os.pipe(), os.pipe()
    os.close(feed)
    os.close(drain)
    # The list closes what it is given.
    return Gio.UnixFDList.new_from_array([source, sink])


def b(value):
    return GLib.Variant('b', value)


EXAMPLES = {
    (MANAGER, 'CheckNow'): ('()', (), 'check'),
    (MANAGER, 'LoadPlugin'): ('(s)', ('example',), 'manage-plugins'),
    (MANAGER, 'UnloadPlugin'): ('(s)', ('example',), 'manage-plugins'),
    (MANAGER, 'ForgetPlugin'): ('(s)', ('nothing',), 'manage-plugins'),
    (MANAGER, 'Hold'): ('(sss)', ('a test', 'because', 'block'), 'hold'),
    (MANAGER, 'HoldFor'): ('(ts)', (MINUTE, 'because'), 'hold'),
    (MANAGER, 'ReleaseHold'): ('(u)', a_hold, 'hold'),
    (MANAGER, 'StopInstance'): ('(sa{sv})', ('going home', {'dry-run': b(True), 'force': b(True)}), 'stop'),
    (MANAGER, 'CancelStop'): ('(s)', ('not yet',), 'hold'),
    (MANAGER, 'Postpone'): ('(ts)', (MINUTE, 'lunch'), 'hold'),
    (MANAGER, 'Pause'): ('()', (), 'pause'),
    (MANAGER, 'Resume'): ('()', (), 'pause'),
    (MANAGER, 'EmitEvent'): ('(suta{sv})', ('custom.test', 1, 0, {}), 'emit-event'),
    (MANAGER, 'SetConfiguration'): ('(s)', ('{"naptime_minutes": 45}',), 'configure'),
    (MANAGER, 'Reload'): ('()', (), 'configure'),
}

# The same methods where they need the other action of the table.
OTHER_EXAMPLES = {
    (MANAGER, 'EmitEvent'): [
        ('(suta{sv})', ('custom', 2, 0, {}), 'emit-system-event'),
        ('(suta{sv})', ('system.disk.low', 0, 0, {}), 'emit-system-event'),
        ('(suta{sv})', ('cloud.spot.interrupt', 3, 0, {}), 'emit-system-event'),
    ],
}

PLUGIN_EXAMPLES = {
    (PLUGIN, 'Load'): ('()', (), 'manage-plugins'),
    (PLUGIN, 'Unload'): ('()', (), 'manage-plugins'),
    (PLUGIN, 'Enable'): ('()', (), 'manage-plugins'),
    (PLUGIN, 'Disable'): ('()', (), 'manage-plugins'),
    (PLUGIN, 'Restart'): ('()', (), 'manage-plugins'),
    (PLUGIN, 'Configure'): ('(a{sv})', ({},), 'configure'),
    (PLUGIN, 'CheckIdle'): ('()', (), 'check'),
    (PLUGIN, 'CheckSubject'): ('(s)', ('first',), 'check'),
    (PLUGIN, 'Upgrade'): ('(s)', ('1.2.0',), 'manage-plugins'),
    (PLUGIN, 'Call'): ('(sa{sv})', ('begin-work', {}), 'call-plugin'),
    (PLUGIN, 'ProcessData'): ('(ay)', (b'data',), 'call-plugin'),
    (PLUGIN, 'ProcessStream'): ('(hha{sv})', (0, 1, {}), 'call-plugin'),
}

PROVIDER_EXAMPLES = {
    (PROVIDER, 'GetInstanceInfo'): ('(s)', ('',), 'check'),
    (PROVIDER, 'StopInstance'): ('(sa{sv})', ('', {'dry-run': b(True)}), 'stop'),
    (PROVIDER, 'StartInstance'): ('(sa{sv})', ('i-other', {}), 'start'),
    (PROVIDER, 'CheckPermissions'): ('()', (), 'check'),
    (PROVIDER, 'SetTags'): ('(a{ss})', ({'purpose': 'test'},), 'configure'),
}

# The descriptors that go with them.
DESCRIPTORS = {(PLUGIN, 'ProcessStream'): an_empty_stream}

# What comes of them once they are allowed, where that is no success.
OUTCOMES = {}


def path_of(interface):
    return {MANAGER: PATH, PLUGIN: EXAMPLE_PLUGIN, PROVIDER: EXAMPLE_PROVIDER}[interface]


def all_examples():
    """(interface, member, signature, arguments, full action) of all of them."""
    for examples in (EXAMPLES, PLUGIN_EXAMPLES, PROVIDER_EXAMPLES):
        for (interface, member), (signature, arguments, action) in examples.items():
            yield interface, member, signature, arguments, ACTION + action
    for (interface, member), others in OTHER_EXAMPLES.items():
        for signature, arguments, action in others:
            yield interface, member, signature, arguments, ACTION + action


def call(house, client, interface, member, signature, arguments, **more):
    """Calls one of them; returns (reply, None) or (None, error)."""
    if callable(arguments):
        arguments = arguments(house, client)
    descriptors = DESCRIPTORS.get((interface, member))
    if descriptors:
        more['fds'] = descriptors()
    try:
        reply, fds = client.call_with_fds(member, signature, arguments, interface, path_of(interface), **more)
    except GLib.Error as error:
        return None, error
    for fd in fds.steal_fds() if fds else []:
        os.close(fd)
    return reply, None


def tidy(client, member):
    """What one of them began is not left to the next."""
    if member == 'StopInstance':
        client.call('CancelStop', '(s)', ('tidying up',))
    elif member in ('Unload', 'UnloadPlugin'):
        client.call('LoadPlugin', '(s)', ('example',))
    elif member == 'Disable':
        client.call('Enable', interface=PLUGIN, path=EXAMPLE_PLUGIN)
    elif member == 'Pause':
        client.call('Resume')
    elif member == 'SetConfiguration':
        client.call('SetConfiguration', '(s)', ('{"naptime_minutes": null}',))
    elif member in ('HoldFor', 'Postpone'):
        for cookie, *_ in client.call('ListHolds')[0]:
            client.call('ReleaseHold', '(u)', (cookie,))
