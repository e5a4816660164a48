# SPDX-License-Identifier: Apache-2.0
"""A daemon that finds plugins running, and other files than they were started from: they serve on, and what is there now takes their place
as if the daemon had seen it come."""

import json
import os
import shutil
import signal

import tap
from counting import COUNTING, CountingTest
from gi.repository import GLib
from harness import ERROR, MANAGER, PATH, PLUGIN, QUIET, BusTest, House, continue_if_there, error_name, wait_for, wait_for_file

DAY = 86400
SCHEMA = {'greeting': {'type': 'string', 'description': 'What it says', 'default': 'hello'}}
REQUIRED = {'greeting': {'type': 'string', 'description': 'What it says', 'required': True}}
TIMEOUTS = {'start': 5, 'initialize': 2, 'export': 1, 'shutdown': 2}
# Of one that hangs at that until a test has done all that it does meanwhile.
PATIENT = {**TIMEOUTS, 'initialize': 60}


class Found(CountingTest):
    manifest = {'timeouts': TIMEOUTS}

    def setUp(self):
        super().setUp()
        self.start()
        self.count(3)
        self.pid = self.get('Pid')

    def origin(self):
        return self.house.directory / 'run/plugins/counting.origin'

    def go_away(self):
        self.house.watcher.hear()
        self.house.kill_daemon()
        self.problems.clear()

    def come_back(self):
        self.house.start_daemon()
        self.client = self.house.client()

    def assert_serves_on(self, **properties):
        answer = self.ask('look')
        self.assertEqual((answer['version'], answer['pid'], answer['count']), ('1.0.0', self.pid, 3))
        self.assertEqual((self.get('Version'), self.get('State'), self.get('Pid')), ('1.0.0', 'running', self.pid))
        self.assertEqual(json.loads(self.get('ConfigSchema')), {})
        # One that was killed is still there for a moment.
        wait_for_file(lambda: self.processes() == [self.pid], 'the other one to be gone')

    def assert_taken(self, version):
        answer = self.ask('look')
        self.assertEqual((answer['version'], answer['count'], self.get('Version'), self.get('State')), (version, 3, version, 'running'))
        self.assertNotEqual(answer['pid'], self.pid)
        wait_for_file(lambda: self.processes() == [self.get('Pid')], 'the other one to be gone')

    def assert_no_problem(self):
        self.house.watcher.hear()
        self.assertEqual(self.problems, [])

    def test_the_new_version_takes_its_place_though_nobody_asks_for_it(self):
        # Its start is not what is to be told.
        self.house.watcher.hear()
        told = self.house.watcher.listen(PLUGIN, 'StateChanged', COUNTING)
        self.go_away()
        self.place('2.0.0', config_schema=SCHEMA)
        self.come_back()
        wait_for(lambda: self.get('Version') == '2.0.0', 'the new version')
        self.assert_taken('2.0.0')
        self.assert_no_problem()
        self.assertEqual(json.loads(self.get('ConfigSchema')), SCHEMA)
        # It served all the while.
        self.assertEqual([state for state, _, _ in told], ['loading', 'initializing', 'running'])

    def test_what_lacks_something_waits_for_it(self):
        self.go_away()
        self.place('2.0.0', dependencies=[{'name': 'missing', 'version': '*'}], config_schema=SCHEMA)
        self.come_back()
        self.of('Load')
        self.wait_for_problem('version 2.0.0 cannot replace version 1.0.0, which runs on: needs the plugin missing *, which is not installed')
        self.assert_serves_on()
        self.house.install_fake('missing', 'idle')
        wait_for(lambda: self.get('Version') == '2.0.0', 'the daemon to take it by itself')
        self.assert_taken('2.0.0')

    def test_what_fails_changes_nothing(self):
        self.go_away()
        self.place('2.0.0', 'refuses-import', config_schema=SCHEMA)
        self.come_back()
        self.of('Load')
        self.wait_for_problem('version 2.0.0 could not replace version 1.0.0, which runs on (importing the state)')
        self.assert_serves_on()

    def test_whoever_asks_for_it_by_hand_hears_why_not(self):
        self.go_away()
        self.place('2.0.0', 'dies-at-initialize')
        self.come_back()
        with self.assertRaises(GLib.Error) as raised:
            self.of('Upgrade', '(s)', ('2.0.0',))
        self.assertEqual(error_name(raised.exception), ERROR + 'PluginFailed')
        self.assertIn('version 2.0.0 could not replace version 1.0.0, which runs on (greeting it)', raised.exception.message)
        self.assert_serves_on()

    def test_the_configuration_may_be_that_of_the_new_version_already(self):
        """And is no problem then."""
        self.begin_with_numbers()
        self.go_away()
        self.place('2.0.0', config_schema=REQUIRED)
        self.house.configure({'plugins': {'plugin_configs': {'counting': {'greeting': 'hello'}}}})
        self.come_back()
        self.of('Load')
        self.assert_taken('2.0.0')
        self.assert_no_problem()

    def begin_with_numbers(self):
        """What suits it does not suit the one that comes, nor the other way round."""
        self.place('1.0.0', config_schema={'greeting': {'type': 'integer', 'description': 'How often', 'default': 1}})
        self.discover()
        self.of('Restart')
        self.pid = self.get('Pid')

    def set_by_hand(self):
        self.client.call('SetConfiguration', '(s)', ('{"plugins": {"plugin_configs": {"counting": {"greeting": 2}}}}',))

    def set_in_the_file(self):
        self.house.configure({'plugins': {'plugin_configs': {'counting': {'greeting': 3}}}})
        self.client.call('Reload')

    def test_whom_the_configuration_suits_again(self):
        """What was configured was meant for a version that was refused: the one that stays is told of the next one as ever."""
        self.house.environment['G_DEBUG'] = 'fatal-criticals'
        self.begin_with_numbers()
        for change in self.set_in_the_file, self.set_by_hand:
            with self.subTest(change.__name__):
                self.go_away()
                self.place('2.0.0', 'dies-at-initialize', config_schema=REQUIRED)
                self.house.configure({'plugins': {'plugin_configs': {'counting': {'greeting': 'hello'}}}})
                self.come_back()
                daemon = self.client.owner('io.cloudsnooze.Snooze1')
                self.of('Load')
                self.wait_for_problem('version 2.0.0 could not replace version 1.0.0, which runs on (greeting it)')
                self.house.watcher.hear()
                self.assertEqual(len(self.problems), 1)
                change()
                self.assertEqual((self.ask('look')['pid'], self.get('Version'), self.get('State')), (self.pid, '1.0.0', 'running'))
                self.assertEqual(self.client.owner('io.cloudsnooze.Snooze1'), daemon)

    def test_the_same_version_with_other_files_waits_for_the_next_start(self):
        """As one does that is put there while the daemon runs."""
        for running in True, False:
            with self.subTest(running):
                self.of('Restart')
                self.pid = self.get('Pid')
                if not running:
                    self.go_away()
                self.place('1.0.0', config_schema=SCHEMA)
                if running:
                    self.discover()
                else:
                    self.come_back()
                    self.of('Load')
                self.assert_serves_on()
                self.of('Restart')
                self.assertEqual((json.loads(self.get('ConfigSchema')), self.ask('look')['count']), (SCHEMA, 3))
                self.assertNotEqual(self.get('Pid'), self.pid)
                self.place('1.0.0', config_schema={})
                self.discover()

    def test_what_was_taken_back_is_not_what_it_is_started_with(self):
        for changes in {'config_schema': SCHEMA}, {'version': '2.0.0'}:
            with self.subTest(changes):
                self.place('1.0.0', config_schema={})
                self.discover()
                self.of('Restart')
                self.pid = self.get('Pid')
                self.go_away()
                self.place(**{'version': '1.0.0', 'config_schema': SCHEMA})
                self.come_back()
                self.of('Load')
                self.place('1.0.0', config_schema={})
                self.discover()
                self.of('Restart')
                self.assertEqual((json.loads(self.get('ConfigSchema')), self.get('Version')), ({}, '1.0.0'))
                self.assert_no_problem()

    def test_what_was_taken_back_while_it_is_greeted_is_started_as_anything(self):
        """Once the one that was found has ended: what it lacks is not overlooked any more."""
        self.begin_with_numbers()
        schema = json.loads(self.get('ConfigSchema'))
        self.go_away()
        self.place('2.0.0', config_schema=REQUIRED)
        self.house.configure({'plugins': {'plugin_configs': {'counting': {'greeting': 'hello'}}}})
        os.kill(self.pid, signal.SIGSTOP)
        self.addCleanup(continue_if_there, self.pid)
        self.come_back()
        self.client.send('Load', interface=PLUGIN, path=COUNTING)
        self.wait_for_state('initializing')
        self.place('1.0.0', config_schema=schema)
        self.discover()
        os.kill(self.pid, signal.SIGKILL)
        wait_for(lambda: 'is not configured well' in self.get('LastError'), 'what it lacks')
        self.assertNotEqual(self.get('State'), 'running')

    def test_whoever_has_it_restarted_meanwhile_waits_for_the_next_one(self):
        self.go_away()
        self.place('2.0.0', 'hangs-at-initialize', timeouts=PATIENT)
        self.come_back()
        wait_for(lambda: self.get('State') == 'running', 'the one that was found')
        wait_for_file(lambda: len(self.processes()) == 2, 'the one that takes its place')
        self.place('2.0.0')
        self.of('Restart')
        self.assertEqual((self.get('State'), self.get('Version')), ('running', '2.0.0'))
        self.assert_taken('2.0.0')

    def test_one_that_falls_meanwhile_was_not_loaded(self):
        self.go_away()
        self.place('2.0.0', 'hangs-at-initialize', timeouts=PATIENT)
        self.come_back()
        loads = lambda: self.house.daemon.output().count('Load by root')
        before = loads()
        answers = self.client.send('Load', interface=PLUGIN, path=COUNTING)
        wait_for_file(lambda: loads() > before, 'it to be allowed')
        wait_for(lambda: self.get('State') == 'running', 'the one that was found')
        wait_for_file(lambda: len(self.processes()) == 2, 'the one that takes its place')
        self.assertEqual(answers, [])
        os.kill(self.pid, signal.SIGKILL)
        wait_for(lambda: answers, 'the answer')
        self.assertEqual(error_name(answers[0][1]) if answers[0][1] else answers[0], ERROR + 'PluginFailed')

    def test_one_that_is_gone_by_then(self):
        self.go_away()
        self.place('2.0.0', config_schema=SCHEMA)
        os.kill(self.pid, signal.SIGTERM)
        wait_for_file(lambda: self.processes() == [], 'its end')
        self.come_back()
        self.of('Load')
        self.assert_taken('2.0.0')
        self.assertEqual(self.get('Restarts'), 0)
        self.assert_no_problem()

    def test_one_that_came_instead(self):
        """Started by somebody else, from what is there now."""
        self.go_away()
        self.place('2.0.0', config_schema=SCHEMA)
        os.kill(self.pid, signal.SIGTERM)
        wait_for_file(lambda: self.processes() == [], 'its end')
        self.client.call('StartServiceByName', '(su)', ('io.cloudsnooze.Plugin1.counting', 0), 'org.freedesktop.DBus',
                         '/org/freedesktop/DBus', 'org.freedesktop.DBus')
        self.come_back()
        self.of('Load')
        self.assert_taken('2.0.0')
        self.assert_no_problem()

    def test_of_one_that_nobody_knows_what_is_there_takes_the_place(self):
        """What it was started from was not kept, or cannot be read: it is asked for what it knows, and no more."""
        for kept in None, 'x', '{}\n{}':
            with self.subTest(kept):
                self.place('1.0.0')
                self.of('Upgrade', '(s)', ('1.0.0',))
                self.pid = self.get('Pid')
                self.go_away()
                self.origin().unlink() if kept is None else self.origin().write_text(kept)
                self.place('2.0.0')
                self.come_back()
                self.of('Load')
                self.assert_taken('2.0.0')
                self.assertEqual(self.get('Restarts'), 0)
                self.assert_no_problem()

    def test_what_is_refused_of_such_a_one_is_kept_as_its_own(self):
        self.go_away()
        self.origin().unlink()
        self.place('2.0.0', 'refuses-import')
        self.come_back()
        self.of('Load')
        self.wait_for_problem('version 2.0.0 refused the state of version 1.0.0')
        self.assertEqual(self.ask('look')['count'], 0)

    def test_nothing_is_kept_of_one_that_ended(self):
        self.assertTrue(self.origin().exists())
        self.assertEqual((self.origin().parent.stat().st_mode & 0o777, self.origin().stat().st_mode & 0o777), (0o700, 0o600))
        self.of('Unload')
        self.assertFalse(self.origin().exists())
        self.of('Load')
        self.upgrade('1.1.0')
        owner = self.client.owner('io.cloudsnooze.Plugin1.counting')
        self.assertEqual(json.loads(self.origin().read_text().splitlines()[0])['owner'], owner)


class Silent(BusTest):
    """It says nothing of its version, and no clock is asked how old it is."""

    daemon = False
    plain = f'{PATH}/plugin/plain'

    def setUp(self):
        self.house = House({'check_interval_seconds': 60}, daemon=False)
        self.addCleanup(self.house.close)
        self.house.replay(QUIET)
        self.house.install_fake('plain', 'slot-idle')
        self.clock = self.house.directory / 'clock'
        self.house.preload('clocks', WALL_CLOCK=self.clock)
        self.house.start_daemon()
        self.client = self.house.client()

    def starts(self):
        self.client.call('Load', interface=PLUGIN, path=self.plain)
        return self.house.lived_through('plain').count('starts')

    def test_a_clock_that_was_set_ends_nobody(self):
        self.assertEqual(self.starts(), 1)
        for seconds in -DAY, DAY, 0:
            with self.subTest(seconds):
                self.clock.write_text(str(seconds))
                self.house.restart_daemon()
                self.assertEqual(self.starts(), 1)

    def test_nor_does_it_hide_other_files(self):
        self.assertEqual(self.starts(), 1)
        self.house.kill_daemon()
        self.clock.write_text(str(DAY))
        manifest = self.house.directory / 'plugins/plain/plugin.json'
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), 'version': '1.1.0'}))
        self.house.start_daemon()
        self.assertEqual((self.starts(), self.client.get('Version', PLUGIN, self.plain)), (2, '1.1.0'))

    def test_one_that_nobody_knows_is_what_is_there(self):
        self.assertEqual(self.starts(), 1)
        self.house.kill_daemon()
        (self.house.directory / 'run/plugins/plain.origin').unlink()
        self.house.start_daemon()
        self.assertEqual(self.starts(), 1)
        # And from now on it is known.
        self.assertTrue((self.house.directory / 'run/plugins/plain.origin').exists())


class Linked(BusTest):
    """Of versions side by side another one is to take the place of the one that was found, and the link can name it no more."""

    daemon = False
    one = f'{PATH}/plugin/one'

    def setUp(self):
        super().setUp()
        self.house.replay(QUIET)
        self.house.install_fake('one', 'idle')
        self.directory = self.house.directory / 'plugins/one'
        manifest = json.loads((self.directory / 'plugin.json').read_text())
        for version in '1.0.0', '2.0.0':
            (self.directory / version).mkdir(mode=0o755)
            # The program stays where the bus starts it.
            shutil.copy2(self.directory / 'one', self.directory / version)
            (self.directory / version / 'plugin.json').write_text(json.dumps({**manifest, 'version': version}))
        (self.directory / 'plugin.json').unlink()
        self.switch('1.0.0')
        self.house.start_daemon()
        self.client.call('Load', interface=PLUGIN, path=self.one)

    def switch(self, version):
        link = self.directory / 'current.new'
        link.symlink_to(version)
        link.rename(self.directory / 'current')

    def get(self, name):
        return self.client.get(name, PLUGIN, self.one)

    def test_a_link_that_cannot_be_switched_leaves_the_one_that_was_found(self):
        problems = self.client.listen(MANAGER, 'Problem')
        pid = self.get('Pid')
        self.house.kill_daemon()
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(continue_if_there, pid)
        self.switch('2.0.0')
        self.house.start_daemon()
        answer = self.client.send('Load', interface=PLUGIN, path=self.one)
        wait_for(lambda: self.get('State') == 'initializing', 'the one that runs to be found')
        self.switch('9.9.9')
        self.client.call('DiscoverPlugins')
        self.assertEqual(answer, [])
        os.kill(pid, signal.SIGCONT)
        wait_for(lambda: answer, 'the answer')
        self.assertIsNone(answer[0][1])
        self.assertEqual((self.get('State'), self.get('Version'), self.get('Pid')), ('running', '1.0.0', pid))
        part = 'the link to the version that counts could not be switched'
        wait_for(lambda: any(part in message for _, message, _ in problems), f'a problem with “{part}” in {problems}')
        self.assertEqual(self.house.lived_through('one').count('starts'), 1)


if __name__ == '__main__':
    tap.main()
