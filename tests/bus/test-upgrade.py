# SPDX-License-Identifier: Apache-2.0
"""A version that could not be started again, or that others could not do with, does not take the place of the one that runs."""

import json
import subprocess

import tap
from counting import CountingTest
from gi.repository import GLib
from harness import BUILD, ERROR, PATH, PLUGIN, error_name, wait_for, wait_for_file

OTHER = f'{PATH}/plugin/other'
RANGE = '>=1 <2'
PLAIN = {'dependencies': [], 'limits': {}, 'config_schema': {}, 'runtime': 'dbus'}


def needs(**versions):
    return [{'name': name, 'version': version} for name, version in versions.items()]


class UpgradeTest(CountingTest):
    def install_other(self, behaviour='idle', **manifest):
        self.house.install_fake('other', behaviour, **manifest)

    def of_other(self, method):
        return self.house.client().call(method, interface=PLUGIN, path=OTHER)

    def other(self, name):
        return self.client.get(name, PLUGIN, OTHER)

    def begin(self):
        """Both run."""
        self.start()
        self.of_other('Load')
        self.pid, self.counted = self.get('Pid'), self.count()

    def assert_unchanged(self):
        answer = self.ask('look')
        self.assertEqual((answer['version'], answer['pid'], answer['count']), ('1.0.0', self.pid, self.counted))
        self.assertEqual((self.get('Version'), self.get('State'), self.get('Pid'), self.get('LastError')), ('1.0.0', 'running', self.pid, ''))
        self.assertEqual(self.processes(), [self.pid])

    def assert_refused(self, version, *parts, **changes):
        """By hand, and by the watch on the directory."""
        self.place(version, **changes)
        with self.assertRaises(GLib.Error) as raised:
            self.of('Upgrade', '(s)', (version,), client=self.house.client())
        self.assertEqual(error_name(raised.exception), ERROR + 'Refused')
        self.wait_for_problem(f'version {version} cannot replace version 1.0.0')
        for part in (f'version {version} cannot replace version 1.0.0, which runs on: ', *parts):
            self.assertIn(part, raised.exception.message)
            self.wait_for_problem(part)
        self.assert_unchanged()


class Refused(UpgradeTest):
    def setUp(self):
        super().setUp()
        self.install_other(dependencies=needs(counting='*'))
        self.begin()

    def test_what_it_lacks_itself(self):
        self.house.install_fake('idler', 'idle')
        wait_for(lambda: '/plugin/idler' in str(self.client.call('ListPlugins')), 'idler')
        self.client.call('Disable', interface=PLUGIN, path=f'{PATH}/plugin/idler')
        for i, (changes, parts) in enumerate((
                ({'dependencies': needs(missing='*')}, ['needs the plugin missing *, which is not installed']),
                ({'dependencies': needs(idler='*')}, ['needs the plugin idler, which is not enabled', 'snooze plugin enable idler']),
                ({'dependencies': needs(idler='>=2')}, ['needs the plugin idler >=2, and 1.0.0 is there']),
                ({'dependencies': needs(other='*')}, ['plugins need each other: counting → other → counting']),
                ({'runtime': 'http'}, ['has the runtime http, which this build does not serve']),
                ({'runtime': 'native'}, ['it would run inside the daemon', 'plugins.native_enabled is false']),
                ({'limits': {'memory_mb': 1000000}}, ['asks for 1000000 MiB of memory, this machine has']),
                ({'config_schema': {'key': {'type': 'string', 'description': 'A key', 'required': True}}}, ['is not configured well', 'key']))):
            with self.subTest(parts[0]):
                self.assert_refused(f'1.1.{i}', *parts, **{**PLAIN, **changes})
        # Nothing of it stays when there is one that can.
        self.upgrade_with(**PLAIN)

    def upgrade_with(self, **changes):
        self.place('1.2.0', **changes)
        wait_for(lambda: self.get('Version') == '1.2.0', 'the daemon to take it by itself')
        self.assertEqual(self.ask('look')['version'], '1.2.0')

    def test_configured_limits_that_it_does_not_allow(self):
        self.client.call('SetConfiguration', '(s)', ('{"plugins": {"limits": {"counting": {"memory_mb": 48}}}}',))
        self.assert_refused('1.1.0', 'plugins.limits.counting.memory_mb: got 48, expected 1 to 32, which is what', 'plugin.json says',
                            limits={'memory_mb': 32})
        # As soon as they are within.
        self.house.client().call('SetConfiguration', '(s)', ('{"plugins": {"limits": {"counting": {"memory_mb": 24}}}}',))
        wait_for(lambda: self.get('Version') == '1.1.0', 'the daemon to take it by itself')

    def test_everybody_is_told_once(self):
        self.assert_refused('1.1.0', 'missing', dependencies=needs(missing='*'))
        told = len(self.problems)
        for _ in range(3):
            self.discover()
        self.house.install_fake('third', 'idle')
        wait_for(lambda: '/plugin/third' in str(self.client.call('ListPlugins')), 'another one')
        self.assertEqual(len(self.problems), told)
        self.assert_unchanged()

    def test_by_the_command(self):
        self.place('1.1.0', dependencies=needs(missing='*'))
        result = subprocess.run([BUILD / 'src/cli/cloudsnooze', 'plugin', 'update', 'counting'], env=self.house.environment,
                                capture_output=True, text=True, timeout=60)
        self.assertEqual((result.returncode, result.stdout), (3, ''))
        self.assertIn('version 1.1.0 cannot replace version 1.0.0, which runs on: needs the plugin missing', result.stderr)
        self.assert_unchanged()

    def test_what_lies_there_alone_is_what_it_is_started_with(self):
        """The version that ran is not on the disk any more, and the other one does not pass for it."""
        self.assert_refused('1.1.0', 'missing', dependencies=needs(missing='*'))
        self.of_other('Unload')
        with self.assertRaises(GLib.Error) as raised:
            self.of('Restart')
        self.assertIn('needs the plugin missing *, which is not installed', raised.exception.message)
        self.assertEqual((self.get('Version'), self.get('State')), ('1.1.0', 'failed'))
        wait_for_file(lambda: self.processes() == [], 'the end of the one that was')
        self.house.install_fake('missing', 'idle')
        wait_for(lambda: self.get('LastError') == '', 'it to lack nothing')
        self.assertEqual((self.ask()['count'], self.ask('look')['version']), (self.counted + 1, '1.1.0'))

    def test_when_it_lacks_nothing_any_more_it_is_taken(self):
        self.assert_refused('1.1.0', 'missing', dependencies=needs(missing='*'))
        self.house.install_fake('missing', 'idle')
        wait_for(lambda: self.get('Version') == '1.1.0', 'the daemon to take it by itself')
        self.assertEqual(self.client.get('State', PLUGIN, f'{PATH}/plugin/missing'), 'running')
        self.assertEqual(self.count(), self.counted + 1)


class Dependants(UpgradeTest):
    def test_a_version_that_an_enabled_one_cannot_do_with(self):
        self.install_other(dependencies=needs(counting=RANGE))
        self.begin()
        self.assert_refused('2.0.0', f'the plugin other, which is enabled, needs counting {RANGE}')
        self.assertEqual((self.other('State'), self.other('LastError')), ('running', ''))
        # Whoever restarts it finds what it needs.
        self.of_other('Restart')
        self.assertEqual(self.other('State'), 'running')
        self.of_other('Disable')
        wait_for(lambda: self.get('Version') == '2.0.0', 'the daemon to take it by itself')

    def test_one_that_lacks_the_present_one_already_does_not_count(self):
        self.install_other(dependencies=needs(counting='>=3'))
        self.start()
        self.upgrade('1.1.0')
        self.assertEqual((self.get('Version'), self.get('State')), ('1.1.0', 'running'))
        wait_for(lambda: 'needs the plugin counting >=3, and 1.1.0 is there' in self.other('LastError'), 'what it lacks')

    def test_one_that_the_present_one_did_not_suit_is_asked_again(self):
        """It is no failure that lasts: the version that it needs came without a pause."""
        self.install_other(dependencies=needs(counting='>=2'))
        self.start()
        with self.assertRaises(GLib.Error) as raised:
            self.of_other('Load')
        self.assertIn('needs the plugin counting >=2, and 1.0.0 is there', raised.exception.message)
        self.assertEqual(self.other('State'), 'failed')
        self.place('2.0.0')
        wait_for(lambda: self.get('Version') == '2.0.0', 'the daemon to take it by itself')
        wait_for(lambda: self.other('State') == 'running', 'the one that lacked it')
        self.assertEqual(self.other('LastError'), '')


class Together(UpgradeTest):
    """Each new version needs the other's new version, or no other one."""

    def setUp(self):
        super().setUp()
        self.install_other(dependencies=needs(counting=RANGE))
        self.begin()

    def place_other(self, version, **changes):
        path = self.house.directory / 'plugins/other/plugin.json'
        path.with_suffix('.new').write_text(json.dumps({**json.loads(path.read_text()), 'version': version, **changes}))
        path.with_suffix('.new').rename(path)

    def wait_for_both(self):
        wait_for(lambda: (self.get('Version'), self.other('Version')) == ('2.0.0', '2.0.0'), 'both new versions')
        wait_for(lambda: self.other('State') == 'running', 'the one that follows')
        self.assertEqual((self.ask('look')['version'], self.get('State'), self.count()), ('2.0.0', 'running', self.counted + 1))

    def test_the_one_that_is_needed_is_seen_first(self):
        self.assert_refused('2.0.0', f'the plugin other, which is enabled, needs counting {RANGE}')
        self.place_other('2.0.0', dependencies=needs(counting='>=2'))
        self.wait_for_both()

    def test_the_one_that_needs_it_is_seen_first(self):
        self.place_other('2.0.0', dependencies=needs(counting='>=2'))
        self.wait_for_problem('needs the plugin counting >=2, and 1.0.0 is there')
        self.assertEqual((self.other('Version'), self.other('State')), ('1.0.0', 'running'))
        self.place('2.0.0')
        self.wait_for_both()

    def test_neither_where_the_other_could_not_follow(self):
        self.place_other('2.0.0', dependencies=needs(counting='>=2', missing='*'))
        self.wait_for_problem('version 2.0.0 cannot replace version 1.0.0')
        self.assert_refused('2.0.0', f'the plugin other, which is enabled, needs counting {RANGE}')
        self.assertEqual((self.other('Version'), self.other('State')), ('1.0.0', 'running'))
        # Until it can.
        self.house.install_fake('missing', 'idle')
        self.wait_for_both()


class Needed(UpgradeTest):
    def test_it_is_started_first(self):
        self.install_other()
        self.begin()
        self.of_other('Unload')
        self.place('1.1.0', dependencies=needs(other='*'))
        wait_for(lambda: self.get('Version') == '1.1.0', 'the daemon to take it by itself')
        self.assertEqual((self.other('State'), self.get('State')), ('running', 'running'))
        self.assertEqual(self.count(), self.counted + 1)

    def test_what_cannot_be_started_is_named(self):
        self.install_other('wrong-api')
        self.start()
        self.pid, self.counted = self.get('Pid'), self.count()
        self.place('1.1.0', dependencies=needs(other='*'))
        with self.assertRaises(GLib.Error) as raised:
            self.of('Upgrade', '(s)', ('1.1.0',))
        self.assertEqual(error_name(raised.exception), ERROR + 'PluginFailed')
        for part in 'starting what it needs', 'it needs the plugin other, which could not be started', 'version 7 of the plugin API':
            self.assertIn(part, raised.exception.message)
        self.assert_unchanged()


if __name__ == '__main__':
    tap.main()
