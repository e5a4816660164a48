# SPDX-License-Identifier: Apache-2.0
"""Events under the daemon: its sources and handlers (event-plugin.c), how they are installed, and what is heard of them."""

import time

from gi.repository import GLib

from harness import BUILD, MANAGER, PATH, PLUGIN, BusTest, wait_for

SCHEMA = {'mode': {'type': 'string', 'description': 'What it does with an event', 'default': 'answer'}}


def s(value):
    return GLib.Variant('s', value)


def t(value):
    return GLib.Variant('t', value)


def soon(seconds):
    return int((time.time() + seconds) * 1_000_000)


class EventTest(BusTest):
    daemon = False

    def setUp(self):
        super().setUp()
        self.notes = []
        self.moments = []  # (µs, line) of the same
        # (sender, line) of whatever happens to a plugin
        self.client.connection.signal_subscribe(None, 'test.Event', 'Noted', None, None, 0,
                                                lambda c, sender, p, i, m, parameters: self.note(*parameters.unpack()))
        self.received = self.client.listen(MANAGER, 'EventReceived', PATH)
        self.finished = self.client.listen(MANAGER, 'EventFinished', PATH)
        self.cancelled = self.client.listen(MANAGER, 'EventCancelled', PATH)
        self.moved = self.client.listen(MANAGER, 'EventMoved', PATH)
        self.settings = {}

    def install(self, identifier, contracts=('RequestHandler',), mode=None, priority=None, enabled=True, moves=False, **more):
        manifest = {'contracts': ['RequestHandler', *contracts], 'config_schema': SCHEMA, **more}
        if priority is not None:
            manifest['contracts'].append('EventHandler')
            manifest['events'] = {kind: {'priority': priority, 'enabled': enabled, 'moves': moves} for kind in ('custom.*', 'cloud.*')}
        manifest['contracts'] = sorted(set(manifest['contracts']))
        self.house.install_plugin(identifier, BUILD / 'tests/bus/event-plugin',
                                  variables={'SURVIVE': self.house.directory / 'survive'}, **manifest)
        if mode:
            self.settings.setdefault(identifier, {})['mode'] = mode

    def source(self, *contracts):
        self.install('source', ['EventSource', *contracts])

    def start(self, **configuration):
        self.house.configure({'plugins': {'plugin_configs': self.settings}, **configuration})
        self.house.start_daemon()

    def note(self, line, moment=0):
        self.notes.append(line)
        self.moments.append((moment, line))

    def noted(self, line, times=1):
        wait_for(lambda: self.notes.count(line) >= times, f'“{line}” {times} times, in {self.notes}')
        self.assertEqual(self.notes.count(line), times)

    def ask(self, identifier, method, **params):
        success, _ = self.client.call('Call', '(sa{sv})', (method, params), PLUGIN, f'{PATH}/plugin/{identifier}')
        self.assertTrue(success)

    def watched(self, times=1):
        self.noted('source is watched ', times)

    def announce(self, identifier, **fields):
        self.ask('source', 'announce', id=s(identifier), **fields)

    def end_of(self, identifier):
        wait_for(lambda: any(event == identifier for event, _, _ in self.finished), f'the end of {identifier}')
        return next((handled, results) for event, handled, results in self.finished if event == identifier)

    def emit(self, kind='custom.test', severity=1, deadline=0):
        return self.client.call('EmitEvent', '(suta{sv})', (kind, severity, deadline, {}))[0]

    def events(self):
        return self.client.call('ListEvents', '(u)', (1000,))[0]

    def last_error(self, identifier):
        return self.client.get('LastError', PLUGIN, f'{PATH}/plugin/{identifier}')
