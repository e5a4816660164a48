# SPDX-License-Identifier: Apache-2.0
"""The counting plugin (counting-plugin.c) under the daemon: how it is installed in one version or another, and asked."""

import json

from gi.repository import GLib

from harness import BUILD, MANAGER, PATH, PLUGIN, QUIET, BusTest, House, wait_for

COUNTING = f'{PATH}/plugin/counting'
CONTRACTS = ['IdleCheck', 'State', 'RequestHandler']


class CountingTest(BusTest):
    manifest = {}

    def setUp(self):
        self.house = House({'check_interval_seconds': 1}, daemon=False)
        self.addCleanup(self.house.close)
        self.house.replay(QUIET)
        # Where a plugin that is started by systemd has one of its own.
        kept = self.house.directory / 'kept'
        kept.mkdir()
        self.directory = self.house.install_plugin('counting', BUILD / 'tests/bus/counting-plugin', contracts=CONTRACTS,
                                                   variables={'STATE_DIRECTORY': kept}, **self.manifest)
        self.place('1.0.0')
        self.client = self.house.client()
        self.problems = self.house.watcher.listen(MANAGER, 'Problem')

    def place(self, version, *behaviour):
        """What is started from now on."""
        for name, text in (('version', version), ('behaviour', ' '.join(behaviour))):
            (self.directory / (name + '.new')).write_text(text)
            (self.directory / (name + '.new')).rename(self.directory / name)
        manifest = json.loads((self.directory / 'plugin.json').read_text())
        (self.directory / 'plugin.new').write_text(json.dumps({**manifest, 'version': version}))
        (self.directory / 'plugin.new').rename(self.directory / 'plugin.json')

    def of(self, method, signature='()', arguments=(), client=None):
        return (client or self.client).call(method, signature, arguments, PLUGIN, COUNTING)

    def discover(self):
        # Once a second and caller.
        self.house.client().call('DiscoverPlugins')

    def get(self, name):
        return self.client.get(name, PLUGIN, COUNTING)

    def ask(self, method='count', client=None):
        return self.of('Call', '(sa{sv})', (method, {}), client)[1]

    def count(self, times=1):
        for _ in range(times):
            answer = self.ask()
        return answer['count']

    def upgrade(self, version, *behaviour):
        self.place(version, *behaviour)
        return self.of('Upgrade', '(s)', (version,))

    def start(self):
        self.house.start_daemon()
        self.of('Load')

    def wait_for_state(self, *states):
        # The properties of a plugin that ended come with signals, those of one that is to be killed later do not.
        ticker = GLib.timeout_add(200, lambda: True)
        try:
            wait_for(lambda: self.get('State') in states, f'counting to be {states}')
        finally:
            GLib.source_remove(ticker)

    def wait_for_problem(self, part):
        wait_for(lambda: any(part in message for _, message, _ in self.problems), f'a problem with “{part}” in {self.problems}')
