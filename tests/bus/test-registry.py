# SPDX-License-Identifier: Apache-2.0
"""Plugins come, change and go while the daemon runs; nobody tells it but the directories."""

import json
import os
import shutil
import subprocess

from gi.repository import GLib

import tap
from harness import BUILD, ERROR, MANAGER, PATH, BusTest, error_name, wait_for

PLUGIN = 'io.cloudsnooze.Snooze1.Plugin'
OBJECTS = 'org.freedesktop.DBus.ObjectManager'
PROPERTIES = 'org.freedesktop.DBus.Properties'


def path_of(identifier):
    return f'{PATH}/plugin/{identifier}'


class Registry(BusTest):
    def setUp(self):
        super().setUp()
        self.added = self.client.listen(OBJECTS, 'InterfacesAdded')
        self.removed = self.client.listen(OBJECTS, 'InterfacesRemoved')
        self.changes = self.client.listen(PROPERTIES, 'PropertiesChanged', path_of('one'))

    def rewrite(self, identifier, where='plugins', **entries):
        """Whole, whenever it is read."""
        file = self.house.directory / where / identifier / 'plugin.json'
        manifest = {**json.loads(file.read_text()), **entries}
        new = file.with_name('.new')
        new.write_text(json.dumps(manifest))
        new.rename(file)

    def get(self, name, identifier='one'):
        return self.client.get(name, PLUGIN, path_of(identifier))

    def wait_for_added(self, identifier='one'):
        wait_for(lambda: any(path == path_of(identifier) and PLUGIN in interfaces for path, interfaces in self.added),
                 f'{identifier} to be announced')

    def wait_for_removed(self, identifier='one'):
        wait_for(lambda: any(path == path_of(identifier) and PLUGIN in interfaces for path, interfaces in self.removed),
                 f'{identifier} to be withdrawn')

    def wait_for_change(self, **expected):
        wait_for(lambda: any(expected.items() <= changed.items() for _, changed, _ in self.changes), f'{expected}')

    def wait_for_state(self, state):
        wait_for(lambda: self.get('State') == state, state)

    def load(self):
        self.client.call('LoadPlugin', '(s)', ('one',))
        self.assertEqual(self.get('State'), 'running')

    def test_one_that_is_put_there_is_announced_and_votes(self):
        self.house.install_fake('one', 'idle')
        self.wait_for_added()
        self.assertEqual(self.client.call('ListPlugins')[0], [path_of('one')])
        self.load()
        sources = [vote[0] for vote in self.client.call('Explain')[2]]
        self.assertIn('one', sources)

    def test_what_is_announced_is_what_is_managed(self):
        """The first is said by sd-bus, the second by the daemon: while nothing happened, the same, in the same order."""
        self.house.install_fake('one', 'idle', tags=['a', 'b'], permissions=['network:localhost:6379'], events={'custom.x': {'priority': 3}},
                                dependencies=[{'name': 'two', 'version': '>=1'}])
        self.wait_for_added()
        # At once, and not file by file as just now.
        os.rename(self.house.directory / 'plugins', self.house.directory / 'elsewhere')
        self.wait_for_removed()
        del self.added[:]
        os.rename(self.house.directory / 'elsewhere', self.house.directory / 'plugins')
        self.wait_for_added()
        announced = next(interfaces for path, interfaces in self.added if path == path_of('one'))
        managed, = self.client.call('GetManagedObjects', interface=OBJECTS)
        self.assertEqual([(name, list(properties.items())) for name, properties in announced.items()],
                         [(name, list(properties.items())) for name, properties in managed[path_of('one')].items()])

    def test_values_that_others_can_read_are_not_taken(self):
        self.house.install_fake('one', 'idle', config_schema={'greeting': {'type': 'string', 'description': 'What it says', 'default': ''}})
        self.wait_for_added()
        (self.house.directory / 'etc/plugins').mkdir()
        values = self.house.directory / 'etc/plugins/one.env'
        values.write_text('SNOOZE_GREETING=hello')
        values.chmod(0o644)
        # The daemon is not root: what is root's alone it could not read.
        self.assertFails(ERROR + 'PluginFailed', 'LoadPlugin', '(s)', ('one',), part='can be read by everybody, expected mode 0640')
        values.chmod(0o640)
        self.load()
        self.assertEqual(self.client.call('GetConfiguration', interface=PLUGIN, path=path_of('one'))[0]['greeting'][0], 'hello')

    def test_one_that_is_written_piece_by_piece(self):
        directory = self.house.directory / 'plugins/one'
        directory.mkdir(mode=0o755)
        (directory / 'plugin.json').write_text('{"name": "one", "version": ')
        self.wait_for_added()
        self.assertIn('plugin.json', self.get('LastError'))
        shutil.rmtree(directory)
        self.wait_for_removed()
        self.house.install_fake('one', 'idle')
        wait_for(lambda: path_of('one') in self.client.call('ListPlugins')[0] and self.get('LastError') == '', 'it to be whole')

    def test_a_program_that_comes_after_its_manifest(self):
        """Into a folder that is not there yet, as an archive is unpacked."""
        directory = self.house.directory / 'plugins/one'
        self.house.install_fake('one', 'idle', exec='bin/inner/one')
        self.wait_for_added()
        self.assertEqual(self.get('State'), 'failed')
        self.assertIn('plugin.json: /exec: ', self.get('LastError'))
        inner = directory / 'bin/inner'
        inner.mkdir(mode=0o755, parents=True)
        shutil.copy(directory / 'one', inner)
        wait_for(lambda: self.get('LastError') == '', 'the program to be found')

    def test_a_program_elsewhere_that_becomes_one(self):
        elsewhere = self.house.directory / 'elsewhere'
        elsewhere.mkdir(mode=0o755)
        program = elsewhere / 'one'
        program.write_text('#!/bin/sh\n')
        program.chmod(0o644)
        self.house.install_fake('one', 'idle', exec=str(program))
        self.wait_for_added()
        self.assertIn(str(program), self.get('LastError'))
        program.chmod(0o755)
        wait_for(lambda: self.get('LastError') == '', 'the program to be found')

    def test_what_its_manifest_says_anew_is_told(self):
        self.house.install_fake('one', 'idle')
        self.wait_for_added()
        self.rewrite('one', description='Other words', category='else')
        self.wait_for_change(Description='Other words', Category='else')
        self.rewrite('one', description=7)
        self.wait_for_change(State='failed')
        self.assertIn('/description', self.get('LastError'))

    def test_what_is_the_same_is_not_told(self):
        self.house.install_fake('one', 'idle')
        self.house.install_fake('two', 'idle')
        self.wait_for_added()
        self.wait_for_added('two')
        del self.changes[:]
        os.utime(self.house.directory / 'plugins/one/plugin.json')
        self.rewrite('two', description='Other words')
        wait_for(lambda: self.get('Description', 'two') == 'Other words', 'the other one')
        self.assertEqual([changed for _, changed, _ in self.changes if 'Description' in changed], [])

    def test_another_version_takes_the_place_of_one_that_runs(self):
        self.house.install_fake('one', 'idle')
        self.wait_for_added()
        self.load()
        pid = self.get('Pid')
        self.rewrite('one', version='1.1.0')
        self.wait_for_change(Version='1.1.0')
        self.wait_for_state('running')
        self.assertNotEqual(self.get('Pid'), pid)

    def test_a_change_without_a_version_waits_for_its_end(self):
        self.house.install_fake('one', 'idle')
        self.house.install_fake('two', 'idle')
        self.wait_for_added()
        self.wait_for_added('two')
        self.load()
        pid = self.get('Pid')
        self.rewrite('one', description='Other words')
        self.rewrite('two', description='Other words')
        wait_for(lambda: self.get('Description', 'two') == 'Other words', 'the other one')
        self.assertEqual((self.get('Pid'), self.get('Description')), (pid, 'Only for tests'))
        self.client.call('Restart', interface=PLUGIN, path=path_of('one'))
        self.wait_for_change(Description='Other words')
        self.assertNotEqual(self.get('Pid'), pid)

    def test_one_that_runs_stays_when_it_is_broken_on_the_disk(self):
        self.house.install_fake('one', 'idle')
        self.wait_for_added()
        self.load()
        problems = self.client.listen('io.cloudsnooze.Snooze1.Manager', 'Problem')
        self.rewrite('one', description=7)
        wait_for(lambda: any(source == 'one' and 'stays' in message for source, message, _ in problems), 'a problem')
        self.assertEqual(self.get('State'), 'running')
        self.client.call('UnloadPlugin', '(s)', ('one',))
        self.wait_for_state('failed')
        self.assertIn('description', self.get('LastError'))
        for method, arguments in (('CheckIdle', ()), ('Call', ('(sa{sv})', ('status', {})))):
            with self.assertRaisesRegex(GLib.Error, 'NotRunning.*one is broken: .*description'):
                self.client.call(method, *arguments, interface=PLUGIN, path=path_of('one'))

    def test_each_state_that_a_manifest_leads_to_is_told(self):
        self.house.install_fake('one', 'idle')
        self.wait_for_added()
        told = self.client.listen(PLUGIN, 'StateChanged', path_of('one'))
        states = lambda: [state for state, _, _ in told]
        self.load()
        # What waits for its end counts from then on.
        self.rewrite('one', description='Other words')
        self.house.client().call('DiscoverPlugins')
        self.client.call('UnloadPlugin', '(s)', ('one',))
        self.wait_for_change(Description='Other words')
        wait_for(lambda: len(told) == 6, 'its end')
        self.assertEqual(states(), ['loading', 'initializing', 'running', 'draining', 'stopped', 'discovered'])
        self.rewrite('one', description=7)
        wait_for(lambda: len(told) == 7, 'the broken one')
        self.rewrite('one', description='Good words')
        wait_for(lambda: len(told) == 8, 'the good one')
        self.load()
        self.client.call('UnloadPlugin', '(s)', ('one',))
        self.wait_for_state('stopped')
        self.rewrite('one', description=7)
        wait_for(lambda: len(told) == 14, 'the broken one')
        self.assertEqual(states()[6:], ['failed', 'discovered', 'loading', 'initializing', 'running', 'draining', 'stopped', 'failed'])
        # No state is left but for the one that is told next.
        self.assertEqual([previous for _, previous, _ in told], ['discovered', *states()[:-1]])
        self.assertEqual(self.get('State'), 'failed')

    def test_one_that_is_taken_away_ends_and_is_withdrawn(self):
        self.house.install_fake('one', 'idle')
        self.wait_for_added()
        self.load()
        name = 'io.cloudsnooze.Plugin1.one'
        self.assertIsNotNone(self.client.owner(name))
        shutil.rmtree(self.house.directory / 'plugins/one')
        self.wait_for_removed()
        self.assertIsNone(self.client.owner(name))
        self.assertEqual(self.client.call('ListPlugins')[0], [])
        self.assertFails(ERROR + 'NoSuchPlugin', 'GetPlugin', '(s)', ('one',))
        self.assertNotIn('one', [vote[0] for vote in self.client.call('Explain')[2]])

    def test_one_that_comes_back_is_as_new(self):
        for _ in range(3):
            self.house.install_fake('one', 'idle')
            self.wait_for_added()
            self.load()
            shutil.rmtree(self.house.directory / 'plugins/one')
            self.wait_for_removed()
            del self.added[:], self.removed[:]

    def test_a_directory_that_appears_later(self):
        base = self.house.directory / 'more'
        self.client.call('SetConfiguration', '(s)', (json.dumps({'plugins': {'directories': [str(base / 'deep/plugins')]}}),))
        self.house.install_fake('one', 'idle')
        self.wait_for_added()
        (base / 'deep').mkdir(parents=True)
        shutil.copytree(self.house.directory / 'plugins', base / 'deep/plugins')
        shutil.rmtree(self.house.directory / 'plugins/one')
        wait_for(lambda: self.get('LastError') == '' and self.get('State') == 'discovered', 'the other one')
        shutil.rmtree(base)
        self.wait_for_removed()

    def test_the_manifest_of_a_version_whose_program_lies_elsewhere(self):
        self.house.kill_daemon()
        self.house.install_fake('one', 'idle', exec='bin/one')
        own = self.house.directory / 'plugins/one'
        (own / '1.0.0/bin').mkdir(parents=True)
        (own / 'one').rename(own / '1.0.0/bin/one')
        manifest = (own / 'plugin.json').rename(own / '1.0.0/plugin.json')
        (own / 'current').symlink_to('1.0.0')
        self.house.start_daemon()
        self.client = self.house.client()
        self.assertEqual(self.get('DisplayName'), 'One')
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), 'display_name': 'Another'}))
        wait_for(lambda: self.get('DisplayName') == 'Another', 'the other manifest')

    def test_a_directory_that_vanishes_and_returns(self):
        self.house.install_fake('one', 'idle')
        self.wait_for_added()
        os.rename(self.house.directory / 'plugins', self.house.directory / 'elsewhere')
        self.wait_for_removed()
        del self.added[:]
        os.rename(self.house.directory / 'elsewhere', self.house.directory / 'plugins')
        self.wait_for_added()

    def test_a_directory_that_others_may_write_takes_no_plugin_away(self):
        self.house.install_fake('one', 'idle')
        self.house.install_fake('two', 'idle')
        self.wait_for_added()
        self.wait_for_added('two')
        self.load()
        problems = self.client.listen('io.cloudsnooze.Snooze1.Manager', 'Problem')
        (self.house.directory / 'plugins').chmod(0o757)
        wait_for(lambda: problems, 'a problem')
        self.assertEqual(self.get('State'), 'running')
        self.assertEqual(len(self.client.call('ListPlugins')[0]), 2)

    def install_versions(self, *versions):
        """Side by side, as `snooze plugin install` leaves them; the first is the current one."""
        self.house.install_fake('one', 'idle')
        plugin = self.house.directory / 'plugins/one'
        files = list(plugin.iterdir())
        for version in versions:
            (plugin / version).mkdir(mode=0o755)
            for file in files:
                shutil.copy2(file, plugin / version)
            self.rewrite(f'one/{version}', version=version)
        # The program stays where the bus starts it.
        (plugin / 'plugin.json').unlink()
        self.switch(versions[0])

    def switch(self, version):
        link = self.house.directory / 'plugins/one/current.new'
        link.symlink_to(version)
        link.rename(link.with_name('current'))

    def misnamed(self, name):
        directory = self.house.directory / 'plugins' / name
        directory.mkdir(mode=0o755)
        (directory / 'plugin.json').write_text('{}')
        return directory

    def test_what_is_in_the_way_is_told_once(self):
        """Everybody may have the directories read, and each row stays in the history."""
        problems = self.client.listen(MANAGER, 'Problem', PATH)
        bad = self.misnamed('Bad_Name')
        self.misnamed('memory')
        for _ in range(3):
            # Each sender may once a second.
            self.house.client().call('DiscoverPlugins')
        shutil.rmtree(bad)
        self.house.client().call('DiscoverPlugins')
        self.misnamed('Bad_Name')
        self.house.client().call('DiscoverPlugins')
        self.misnamed('Last_Name')
        self.house.client().call('DiscoverPlugins')
        wait_for(lambda: any('/Last_Name: ' in problem[1] for problem in problems), 'the last one')
        told = [problem[1].split('/plugins/')[1] for problem in problems]
        expected = [f"{name}: a plugin's directory is named [a-z]" for name in ('Bad_Name', 'memory', 'Bad_Name', 'Last_Name')]
        self.assertEqual(len(told), 4, told)
        self.assertEqual([line[:line.index('[a-z]') + 5] for line in (*sorted(told[:2]), *told[2:])], expected)

    def test_versions_side_by_side(self):
        self.install_versions('1.0.0', '1.1.0', '0.9.0')
        self.wait_for_added()
        wait_for(lambda: self.get('Version') == '1.0.0', 'the current one')
        self.load()
        pid = self.get('Pid')
        for version in '1.1.0', '0.9.0':
            self.switch(version)
            self.wait_for_change(Version=version)
            self.wait_for_state('running')
            self.assertNotEqual(self.get('Pid'), pid)
            pid = self.get('Pid')

    def test_links_that_lead_to_no_version(self):
        self.install_versions('1.0.0')
        self.wait_for_added()
        wait_for(lambda: self.get('Version') == '1.0.0', 'the current one')
        for target in '../one/1.0.0', '..', str(self.house.directory / 'plugins/one/1.0.0'), '1.0.0/', 'latest':
            self.switch(target)
            wait_for(lambda: 'expected a link to a version beside it' in self.get('LastError'), f'{target} to be refused')
            self.switch('1.0.0')
            wait_for(lambda: self.get('LastError') == '', 'the good link')
        self.switch('2.0.0')
        wait_for(lambda: '2.0.0' in self.get('LastError'), 'a missing version to be refused')
        (self.house.directory / 'plugins/one/1.0.0').rename(self.house.directory / 'plugins/one/2.0.0')
        self.client.call('DiscoverPlugins')
        self.assertIn('expected the directory\'s name, 2.0.0', self.get('LastError'))

    def needs(self, **versions):
        return [{'name': name, 'version': version} for name, version in versions.items()]

    def assert_lacks(self, identifier, *parts):
        wait_for(lambda: all(part in self.get('LastError', identifier) for part in parts), f'{identifier} to lack {parts}')
        message = self.assertFails(ERROR + 'PluginFailed', 'LoadPlugin', '(s)', (identifier,))
        for part in parts:
            self.assertIn(part, message)
        self.assertEqual(self.get('State', identifier), 'failed')

    def test_what_one_needs_is_started_first(self):
        self.house.install_fake('two', 'idle')
        self.house.install_fake('one', 'idle', dependencies=self.needs(two='>=1 <2'))
        self.wait_for_added()
        self.wait_for_added('two')
        wait_for(lambda: self.get('LastError') == '', 'both to be known')
        self.load()
        self.assertEqual(self.get('State', 'two'), 'running')
        self.assertEqual(self.get('Dependencies'), [('two', '>=1 <2')])

    def begin_and_wait(self):
        """One is asked for, and two, which it needs, is being started until let go."""
        service = self.house.directory / 'services/io.cloudsnooze.Plugin1.two.service'
        self.gate = self.house.directory / 'gate'
        self.house.install_fake('two', 'idle')
        os.mkfifo(self.gate)
        program = self.house.directory / 'plugins/two/two'
        service.write_text(f'[D-BUS Service]\nName=io.cloudsnooze.Plugin1.two\nUser=root\n'
                           f'Exec=/bin/sh -c "read word <{self.gate}; exec {program} two idle {self.house.directory}"\n')
        self.house.install_fake('one', 'idle', dependencies=self.needs(two='*'))
        self.wait_for_added()
        self.wait_for_added('two')
        answer = self.client.send('LoadPlugin', '(s)', ('one',))
        wait_for(lambda: self.get('State', 'two') == 'loading', 'what it needs to be started')
        return answer

    def let_go(self):
        with open(self.gate, 'w') as gate:
            gate.write('on\n')

    def assert_called_off(self, answer):
        """Who waits for it hears that at once, and it is not begun when what it needs is up."""
        wait_for(lambda: answer, 'the answer')
        self.assertEqual(error_name(answer[0][1]), ERROR + 'PluginFailed')
        self.assertEqual((self.get('State'), self.get('LastError')), ('stopped', ''))
        self.assertEqual(self.get('State', 'two'), 'loading')
        self.let_go()
        wait_for(lambda: self.get('State', 'two') == 'running', 'what was needed')
        self.assertEqual((self.get('State'), self.house.lived_through('one')), ('stopped', []))

    def test_unload_calls_off_a_start_that_waits_for_another(self):
        answer = self.begin_and_wait()
        self.client.call('Unload', interface=PLUGIN, path=path_of('one'))
        self.assert_called_off(answer)

    def test_disable_calls_off_a_start_that_waits_for_another(self):
        answer = self.begin_and_wait()
        self.client.call('Disable', interface=PLUGIN, path=path_of('one'))
        self.assert_called_off(answer)

    def test_all_switched_off_while_one_waits_for_another(self):
        answer = self.begin_and_wait()
        self.client.call('SetConfiguration', '(s)', ('{"plugins": {"enabled": false}}',))
        wait_for(lambda: answer, 'the answer')
        self.assertEqual(error_name(answer[0][1]), ERROR + 'PluginFailed')
        self.assertEqual((self.get('State'), self.get('State', 'two')), ('stopped', 'stopped'))
        self.let_go()

    def test_taken_away_while_it_waits_for_another(self):
        answer = self.begin_and_wait()
        shutil.rmtree(self.house.directory / 'plugins/one')
        wait_for(lambda: answer, 'the answer')
        self.assertEqual(error_name(answer[0][1]), ERROR + 'PluginFailed')
        self.wait_for_removed()
        self.assertEqual(self.get('State', 'two'), 'loading')
        self.let_go()
        wait_for(lambda: self.get('State', 'two') == 'running', 'what was needed')

    def test_a_start_that_is_wanted_again_is_made(self):
        self.begin_and_wait()
        self.client.call('Unload', interface=PLUGIN, path=path_of('one'))
        again = self.client.send('LoadPlugin', '(s)', ('one',))
        # It is with the daemon before this.
        self.get('State')
        self.let_go()
        wait_for(lambda: again, 'the answer')
        self.assertEqual((again[0][1], self.get('State')), (None, 'running'))

    def test_what_is_missing_is_named_until_it_is_there(self):
        self.house.install_fake('one', 'idle', dependencies=self.needs(two='~1.0'))
        self.house.install_fake('three', 'idle')
        self.wait_for_added()
        self.wait_for_added('three')
        self.assert_lacks('one', 'two', '~1.0', 'not installed')
        self.house.install_fake('two', 'idle', version='2.0.0')
        self.assert_lacks('one', 'two', '~1.0', '2.0.0')
        self.rewrite('two', version='1.0.7')
        wait_for(lambda: self.get('LastError') == '', 'it to lack nothing')
        self.load()
        self.client.call('LoadPlugin', '(s)', ('three',))

    def test_what_is_not_enabled_is_named(self):
        self.house.install_fake('two', 'idle')
        self.house.install_fake('one', 'idle', dependencies=self.needs(two='*'))
        self.wait_for_added()
        self.wait_for_added('two')
        self.load()
        with self.assertRaisesRegex(GLib.Error, 'Refused.*one'):
            self.client.call('Disable', interface=PLUGIN, path=path_of('two'))
        self.client.call('Disable', interface=PLUGIN, path=path_of('one'))
        self.client.call('Disable', interface=PLUGIN, path=path_of('two'))
        self.client.call('Enable', interface=PLUGIN, path=path_of('one'))
        self.assertFails(ERROR + 'PluginFailed', 'LoadPlugin', '(s)', ('one',), part='snooze plugin enable two')
        self.assertEqual(self.get('State'), 'failed')
        self.client.call('Enable', interface=PLUGIN, path=path_of('two'))
        wait_for(lambda: (self.get('State'), self.get('LastError')) == ('discovered', ''), 'it to lack nothing')

    def test_what_is_needed_is_not_unloaded(self):
        self.house.install_fake('two', 'idle')
        self.house.install_fake('one', 'idle', dependencies=self.needs(two='*'))
        self.wait_for_added()
        self.wait_for_added('two')
        self.load()
        with self.assertRaisesRegex(GLib.Error, 'Refused.*two is needed by running plugins: one; unload those first'):
            self.client.call('Unload', interface=PLUGIN, path=path_of('two'))
        with self.assertRaisesRegex(GLib.Error, 'Refused.*two is needed by running plugins: one'):
            self.client.call('UnloadPlugin', '(s)', ('two',))
        self.assertEqual((self.get('State'), self.get('State', 'two')), ('running', 'running'))
        # One that is enabled and does not run lacks nothing: with its next start what it needs is started.
        for identifier in 'one', 'two':
            self.client.call('Unload', interface=PLUGIN, path=path_of(identifier))
            self.assertEqual(self.get('State', identifier), 'stopped')
        self.load()
        self.assertEqual((self.get('State'), self.get('State', 'two')), ('running', 'running'))

    def test_what_cannot_be_started_is_named(self):
        self.house.install_fake('two', 'wrong-api')
        self.house.install_fake('one', 'idle', dependencies=self.needs(two='*'))
        self.wait_for_added()
        self.wait_for_added('two')
        wait_for(lambda: self.get('LastError') == '', 'both to be known')
        self.assertFails(ERROR + 'PluginFailed', 'LoadPlugin', '(s)', ('one',), part='version 7 of the plugin API')

    def fail_for_two(self):
        self.house.install_fake('two', 'die-handshake-once')
        self.house.install_fake('one', 'idle', dependencies=self.needs(two='*'))
        self.wait_for_added('two')
        self.wait_for_added()
        self.assertFails(ERROR + 'PluginFailed', 'LoadPlugin', '(s)', ('one',), part='needs the plugin two, which could not be started')

    def wait_for_discovered(self):
        wait_for(lambda: (self.get('State'), self.get('LastError')) == ('discovered', ''), 'one to lack nothing')

    def test_what_runs_in_the_end_is_lacked_no_more(self):
        self.fail_for_two()
        wait_for(lambda: self.get('State', 'two') == 'running', 'two, after its pause')
        self.wait_for_discovered()
        self.client.call('CheckNow')
        self.assertEqual({vote[0]: vote[1] for vote in self.client.call('Explain')[2]}['one'], 'idle')

    def test_what_comes_out_of_quarantine_is_lacked_no_more(self):
        self.client.call('SetConfiguration', '(s)', ('{"plugins": {"max_restarts": 0}}',))
        self.fail_for_two()
        self.assertEqual(self.get('State', 'two'), 'quarantined')
        self.client.call('Restart', interface=PLUGIN, path=path_of('two'))
        self.wait_for_discovered()
        self.load()

    def test_what_this_build_does_not_serve_is_refused_once(self):
        """However often it is asked for: it is not restarted, and does not end in quarantine."""
        states = self.client.listen(PLUGIN, 'StateChanged', path_of('one'))
        told = lambda: [state for state, _, _ in states if state != 'discovered']
        self.house.install_fake('two', 'idle')
        self.house.install_fake('one', 'idle', isolation='container', image='example@sha256:0', dependencies=self.needs(two='*'))
        self.wait_for_added()
        self.wait_for_added('two')
        for part, changes in (('has the isolation container, which this build does not serve', {}),
                              ('has the runtime http, which this build does not serve', {'isolation': 'process', 'runtime': 'http'})):
            if changes:
                del states[:]
                self.rewrite('one', **changes)
                wait_for(lambda: self.get('LastError') == part, 'the other manifest')
            for _ in range(10):
                self.assertFails(ERROR + 'PluginFailed', 'LoadPlugin', '(s)', ('one',), part=part)
            wait_for(lambda: len(told()) >= 2, 'what was told')
            self.assertEqual(told(), ['loading', 'failed'])
            self.assertEqual((self.get('State'), self.get('LastError'), self.get('Restarts')), ('failed', part, 0))
        self.assertEqual((self.house.lived_through('one'), self.house.lived_through('two')), ([], []))
        # Nothing of it stays when there is one that can be.
        self.rewrite('one', isolation='process', runtime='dbus')
        wait_for(lambda: self.get('State') == 'discovered', 'the third manifest')
        self.load()
        self.assertEqual(self.get('State'), 'running')

    def enable(self, identifier):
        return subprocess.run([BUILD / 'src/cli/cloudsnooze', 'plugin', 'enable', identifier], env=self.house.environment,
                              capture_output=True, text=True, timeout=60)

    def test_one_is_enabled_as_soon_as_it_is_put_there(self):
        """As a script does it, or somebody who pastes the lines of a README."""
        self.house.install_plugin('one', BUILD / 'tests/unit/fake-plugin', enabled=False, contracts=['IdleCheck'],
                                  arguments=('one', 'idle', self.house.directory))
        result = self.enable('one')
        self.assertEqual((result.returncode, result.stdout), (0, 'Enabled.\n'), result.stderr)
        self.assertTrue(self.get('Enabled'))
        result = self.enable('two')
        self.assertEqual(result.returncode, 1)
        self.assertIn("There is no plugin 'two'", result.stderr)

    def test_those_that_need_each_other(self):
        self.house.install_fake('one', 'idle', dependencies=self.needs(two='*'))
        self.house.install_fake('two', 'idle', dependencies=self.needs(three='*'))
        self.house.install_fake('three', 'idle', dependencies=self.needs(one='*'))
        self.assert_lacks_later('one', 'one → two → three → one')
        self.assert_lacks('two', 'two → three → one → two')

    def assert_lacks_later(self, identifier, *parts):
        self.wait_for_added(identifier)
        self.assert_lacks(identifier, *parts)

    def test_ranges_and_repetitions_are_checked(self):
        self.house.install_fake('one', 'idle', dependencies=self.needs(two='1.x'))
        self.wait_for_added()
        self.assertIn('got 1.x, expected a range', self.get('LastError'))
        self.rewrite('one', dependencies=self.needs(one='*'))
        wait_for(lambda: 'depends on itself' in self.get('LastError'), 'the other error')

    def search(self, *arguments):
        result = subprocess.run([BUILD / 'src/cli/cloudsnooze', 'plugin', 'search', '--json', *arguments], env=self.house.environment,
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        return [plugin['id'] for plugin in json.loads(result.stdout)]

    def test_they_are_found_by_what_they_are(self):
        self.house.install_fake('one', 'idle', category='database', tags=['redis', 'cache'], author='Alice')
        self.house.install_fake('two', 'idle', category='database', author='Bob', contracts=['IdleCheck', 'State'])
        self.wait_for_added()
        self.wait_for_added('two')
        self.assertEqual(self.search(), ['one', 'two'])
        self.assertEqual(self.search('REDIS'), ['one'])
        self.assertEqual(self.search('--capability', 'State'), ['two'])
        self.assertEqual(self.search('--category', 'database', '--author', 'Alice'), ['one'])
        self.assertEqual(self.search('--tag', 'cache'), ['one'])
        self.assertEqual(self.search('--tag', 'cach'), [])
        self.rewrite('one', tags=['other'])
        wait_for(lambda: self.search('--tag', 'other') == ['one'], 'the new tag')

    def test_many_at_once(self):
        """The kernel keeps no more than 16,384 events: where it lost some, everything is looked at."""
        for i in range(1000):
            directory = self.house.directory / f'plugins/plugin-{i}'
            directory.mkdir(mode=0o755)
            (directory / 'run').write_text('#!/bin/sh\n')
            (directory / 'run').chmod(0o755)
            (directory / 'plugin.json').write_text(json.dumps({
                'name': f'plugin-{i}', 'version': '1', 'api': 1, 'exec': 'run', 'contracts': ['IdleCheck']}))
        wait_for(lambda: len(self.client.call('ListPlugins')[0]) == 1000, 'all of them')
        for i in range(1000):
            shutil.rmtree(self.house.directory / f'plugins/plugin-{i}')
        wait_for(lambda: not self.client.call('ListPlugins')[0], 'none')


if __name__ == '__main__':
    tap.main()
