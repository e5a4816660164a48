# SPDX-License-Identifier: Apache-2.0
"""The counting plugin (counting-plugin.c) under the daemon: how it is installed in one version or another, and asked."""

import json
import os
import signal

from gi.repository import GLib

from harness import BUILD, ERROR, MANAGER, PATH, PLUGIN, QUIET, BusTest, House, error_name, wait_for, wait_for_file

COUNTING = f'{PATH}/plugin/counting'
CONTRACTS = ['IdleCheck', 'State', 'RequestHandler']


def wait_for_time(seconds):
    passed = []
    GLib.timeout_add(int(seconds * 1000), lambda: passed.append(True))
    wait_for(lambda: passed, 'some time to pass')


class CountingTest(BusTest):
    manifest = {}
    # Asked so often, at most every 5 s (sample_interval_seconds), and started for that where it is not there.
    interval = 1

    def setUp(self):
        self.house = House({'check_interval_seconds': self.interval}, daemon=False)
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

    def place(self, version, *behaviour, **changes):
        """What is started from now on; changes: of its manifest."""
        for name, text in (('version', version), ('behaviour', ' '.join(behaviour))):
            (self.directory / (name + '.new')).write_text(text)
            (self.directory / (name + '.new')).rename(self.directory / name)
        manifest = json.loads((self.directory / 'plugin.json').read_text())
        (self.directory / 'plugin.new').write_text(json.dumps({**manifest, 'version': version, **changes}))
        (self.directory / 'plugin.new').rename(self.directory / 'plugin.json')

    def of(self, method, signature='()', arguments=(), client=None):
        return (client or self.client).call(method, signature, arguments, PLUGIN, COUNTING)

    def processes(self):
        program = str(self.directory / 'counting')
        found = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                if os.readlink(f'/proc/{pid}/exe').removesuffix(' (deleted)') == program:
                    found.append(int(pid))
            except OSError:
                pass
        return found

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

    def upgrade(self, version, *behaviour, **changes):
        self.place(version, *behaviour, **changes)
        # The daemon sees the new manifest itself, and may be busy with the one before.
        while True:
            try:
                return self.of('Upgrade', '(s)', (version,), client=self.house.client())
            except GLib.Error as error:
                if error_name(error) != ERROR + 'Busy':
                    raise
            wait_for_time(0.1)

    def fall_before(self, version, **changes):
        """It falls over a call, and the daemon sees that sooner than that this version is there."""
        hanging, pid = self.client.send('Call', '(sa{sv})', ('hang', {}), PLUGIN, COUNTING), self.get('Pid')
        # Behind it.
        self.ask('look')
        daemon = self.house.daemon.pid
        os.kill(daemon, signal.SIGSTOP)
        try:
            self.place(version, **changes)
            os.kill(pid, signal.SIGKILL)
            wait_for_file(lambda: pid not in self.processes(), 'its end')
        finally:
            os.kill(daemon, signal.SIGCONT)
        wait_for(lambda: hanging, 'the answer')
        self.assertEqual(error_name(hanging[0][1]), ERROR + 'PluginFailed')

    def start(self):
        self.house.start_daemon()
        self.of('Load')

    def end(self, number=signal.SIGKILL):
        pid = self.get('Pid')
        os.kill(pid, number)
        wait_for(lambda: self.get('Pid') != pid or self.get('State') != 'running', 'its end to be seen')

    def bring_up(self):
        # One that was killed again and again is not restarted by itself.
        self.of('Restart' if self.get('State') == 'quarantined' else 'Load')

    def wait_for_state(self, *states):
        # The properties of a plugin that ended come with signals, those of one that is to be killed later do not.
        ticker = GLib.timeout_add(200, lambda: True)
        try:
            wait_for(lambda: self.get('State') in states, f'counting to be {states}')
        finally:
            GLib.source_remove(ticker)

    def wait_for_problem(self, part):
        wait_for(lambda: any(part in message for _, message, _ in self.problems), f'a problem with “{part}” in {self.problems}')
