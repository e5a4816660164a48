# SPDX-License-Identifier: Apache-2.0
"""A plugin that may run again after it ended somehow, and one that is not to go on as the process that a daemon before this one left
behind."""

import contextlib
import json
import os
import signal

from gi.repository import GLib

import tap
from counting import COUNTING, CountingTest, wait_for_time
from harness import ERROR, MANAGER, PATH, PLUGIN, continue_if_there, error_name, wait_for, wait_for_file


class Again(CountingTest):
    def vote(self):
        return {source: verdict for source, verdict, _, _ in self.client.call('Explain')[2]}.get('counting')

    def wait_for_vote(self, verdict):
        # No signal tells of a vote that changes no state.
        wait_for_file(lambda: self.vote() == verdict, f'counting to say {verdict}')

    def set_config(self, **values):
        self.client.call('SetConfiguration', '(s)', (json.dumps(values),))

    def look(self):
        """As soon as this user may have it looked again."""
        while True:
            try:
                return self.discover()
            except GLib.Error as error:
                self.assertEqual(error_name(error), ERROR + 'LimitsExceeded')
            wait_for_time(0.1)

    def fall_at_the_farewell(self, send_away):
        self.start()
        self.wait_for_vote('idle')
        pid = self.get('Pid')
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(continue_if_there, pid)
        send_away()
        self.assertEqual(self.get('State'), 'draining')
        os.kill(pid, signal.SIGKILL)
        self.wait_for_state('stopped')
        self.assertIsNone(self.vote())

    def test_one_that_fell_when_it_was_disabled(self):
        self.fall_at_the_farewell(lambda: self.of('Disable'))
        self.of('Enable')
        self.wait_for_vote('idle')

    def test_one_that_fell_when_plugins_were_turned_off(self):
        self.fall_at_the_farewell(lambda: self.set_config(plugins={'enabled': False}))
        self.set_config(plugins={'enabled': True})
        self.wait_for_vote('idle')

    def test_one_that_was_refused_before_plugins_were_turned_off(self):
        self.place('1.0.0', dependencies=[{'name': 'missing', 'version': '*'}])
        self.house.start_daemon()
        self.assertFails(ERROR + 'PluginFailed', 'Load', interface=PLUGIN, path=COUNTING, part='needs the plugin missing')
        self.set_config(plugins={'enabled': False})
        self.place('1.0.0', dependencies=[])
        self.discover()
        self.set_config(plugins={'enabled': True})
        self.wait_for_vote('idle')

    def test_nothing_is_started_for_one_that_lacks_a_setting(self):
        schema = {'greeting': {'type': 'string', 'description': 'What it says', 'required': True}}
        self.house.install_fake('needed', 'good', contracts=['RequestHandler'])
        self.place('1.0.0', config_schema=schema, dependencies=[{'name': 'needed', 'version': '*'}])
        self.house.start_daemon()
        self.assertFails(ERROR + 'PluginFailed', 'Load', interface=PLUGIN, path=COUNTING, part='is not configured well')
        self.assertEqual(self.house.lived_through('needed'), [])
        self.of('Configure', '(a{sv})', ({'greeting': GLib.Variant('s', 'hello')},))
        self.of('Load')
        self.assertEqual((self.get('State'), self.house.lived_through('needed').count('starts')), ('running', 1))

    def assert_refused_until(self, part, mend):
        # No start can mend that: however often it is asked, nothing has failed.
        for _ in range(8):
            self.assertFails(ERROR + 'PluginFailed', 'Load', interface=PLUGIN, path=COUNTING, part=part)
        self.assertEqual((self.get('State'), self.get('Restarts'), self.vote(), self.processes()), ('failed', 0, 'unknown', []))
        mend()
        self.wait_for_vote('idle')

    def test_one_that_lacks_a_setting_until_it_has_it(self):
        schema = {'greeting': {'type': 'string', 'description': 'What it says', 'required': True}}
        self.place('1.0.0', config_schema=schema)
        self.house.start_daemon()
        self.assert_refused_until('is not configured well',
                                  lambda: self.of('Configure', '(a{sv})', ({'greeting': GLib.Variant('s', 'hello')},)))

    def set_memory(self, megabytes):
        self.set_config(plugins={'limits': {'counting': {'memory_mb': megabytes}}})

    def write_memory(self, megabytes):
        """By hand, where nobody refuses it."""
        self.house.configure({'check_interval_seconds': 1, 'plugins': {'limits': {'counting': {'memory_mb': megabytes}}}})
        self.client.call('Reload')

    def test_one_that_asks_for_more_than_the_machine_has_until_less_is_configured(self):
        self.place('1.0.0', limits={'memory_mb': 1000000})
        self.house.start_daemon()
        self.assert_refused_until('asks for 1000000 MiB of memory, this machine has', lambda: self.set_memory(64))

    def test_one_that_asks_for_too_much_and_lacks_a_setting(self):
        schema = {'greeting': {'type': 'string', 'description': 'What it says', 'required': True}}
        self.place('1.0.0', config_schema=schema, limits={'memory_mb': 1000000})
        self.house.start_daemon()
        self.assertFails(ERROR + 'PluginFailed', 'Load', interface=PLUGIN, path=COUNTING, part='asks for 1000000 MiB of memory')
        self.set_memory(64)
        self.assertEqual(self.get('State'), 'failed')
        self.of('Configure', '(a{sv})', ({'greeting': GLib.Variant('s', 'hello')},))
        self.wait_for_vote('idle')

    def test_one_that_is_to_have_more_than_its_manifest_allows_until_it_is_less(self):
        self.place('1.0.0', limits={'memory_mb': 64})
        self.start()
        self.write_memory(65)
        self.of('Unload')
        self.assertFails(ERROR + 'PluginFailed', 'Load', interface=PLUGIN, path=COUNTING, part='got 65')
        # What it said last counts until it is asked again.
        self.wait_for_vote('unknown')
        self.assert_refused_until('plugins.limits.counting.memory_mb: got 65, expected 1 to 64', lambda: self.write_memory(63))

    def test_limits_are_judged_by_what_the_next_start_uses(self):
        self.place('1.0.0', limits={'memory_mb': 64})
        self.start()
        self.place('1.0.0', limits={'memory_mb': 128})
        self.look()
        self.set_config(plugins={'limits': {'counting': {'memory_mb': 100}}})
        self.place('1.0.0', limits={'memory_mb': 64})
        self.look()
        wait_for(lambda: self.problems, 'the problem')
        self.assertIn('plugins.limits.counting.memory_mb: got 100, expected 1 to 64', self.problems[-1][1])
        self.assertFails(ERROR + 'InvalidConfiguration', 'SetConfiguration', '(s)',
                         (json.dumps({'plugins': {'limits': {'counting': {'memory_mb': 100}}}}),), part='got 100, expected 1 to 64')
        self.assertTrue([finding for finding in self.house.client().call('Diagnose')[0]
                         if finding['check'] == 'configuration' and 'got 100' in finding['message']])
        self.set_config(plugins={'limits': {'counting': {'memory_mb': 63}}})
        self.of('Restart')
        self.assertEqual(self.get('State'), 'running')

    def test_one_that_runs_is_taken_with_limits_that_it_could_not_be_started_with(self):
        self.place('1.0.0', limits={'memory_mb': 64})
        self.start()
        pid = self.get('Pid')
        self.write_memory(65)
        self.house.kill_daemon()
        self.house.start_daemon()
        self.client = self.house.client()
        self.of('Load')
        self.assertEqual((self.get('State'), self.get('Pid')), ('running', pid))

    def test_one_that_needs_one_that_lacks_a_setting_until_that_has_it(self):
        schema = {'greeting': {'type': 'string', 'description': 'What it says', 'required': True}}
        # It is not asked for a vote of its own.
        self.house.install_fake('needed', 'good', contracts=['RequestHandler'], config_schema=schema)
        self.place('1.0.0', dependencies=[{'name': 'needed', 'version': '*'}])
        self.house.start_daemon()
        self.assertFails(ERROR + 'PluginFailed', 'Load', interface=PLUGIN, path=COUNTING, part='needs the plugin needed')
        self.wait_for_vote('unknown')
        self.client.call('Configure', '(a{sv})', ({'greeting': GLib.Variant('s', 'hello')},), PLUGIN, f'{PATH}/plugin/needed')
        self.wait_for_vote('idle')

    def test_one_that_runs_and_is_broken_on_the_disk_is_told_once(self):
        self.start()
        manifest = self.directory / 'plugin.json'
        whole = manifest.read_text()
        told = lambda: [message for source, message, _ in self.problems if source == 'counting']

        def write(text):
            # Whole, whenever it is read: an empty file is broken in a way of its own.
            new = self.directory / 'plugin.new'
            new.write_text(text)
            new.rename(manifest)

        write('{')
        wait_for(told, 'it to be told')
        self.look()
        self.look()
        write('[')
        wait_for(lambda: len(told()) > 1, 'something else to be told')
        # It was not so meanwhile.
        write(whole)
        self.look()
        write('[')
        wait_for(lambda: len(told()) > 2, 'it to be told again')
        first, second, third = told()
        self.assertNotEqual(first, second)
        self.assertEqual(second, third)

    def doctor(self):
        return [(finding['status'], finding['message'], finding['advice']) for finding in self.house.client().call('Diagnose')[0]
                if finding['check'] == 'counting']

    def test_one_that_is_broken_on_the_disk_serves_on_and_is_named_by_every_daemon(self):
        self.start()
        self.wait_for_vote('idle')
        pid = self.get('Pid')
        manifest = self.directory / 'plugin.json'
        whole = manifest.read_text()
        manifest.write_text('{')
        for again in False, True:
            if again:
                self.house.kill_daemon()
                self.house.start_daemon()
                self.client = self.house.client()
                self.problems = self.house.watcher.listen(MANAGER, 'Problem')
            wait_for(lambda: self.get('State') == 'running' and str(manifest) in self.get('LastError'), 'it to be named')
            self.assertEqual(self.get('Pid'), pid)
            self.wait_for_vote('idle')
            warning = [message for status, message, _ in self.doctor() if status == 'warning']
            self.assertEqual(len(warning), 1)
            self.assertIn(f'runs on as it was started, and could not be started again: what is there now is broken: {manifest}', warning[0])
        # Until it ends: what it was started with is not there any more.
        with self.assertRaises(GLib.Error) as caught:
            self.of('Restart')
        self.assertIn(str(manifest), caught.exception.message)
        self.wait_for_vote('unknown')
        self.assertEqual(self.get('State'), 'failed')
        self.assertIn(str(manifest), self.get('LastError'))
        (status, message, advice), = self.doctor()
        self.assertEqual((status, advice), ('error', 'Mend the file, or disable it: sudo snooze plugin disable counting'))
        self.assertIn(f'failed: {manifest}', message)
        manifest.write_text(whole)
        self.wait_for_vote('idle')
        self.assertEqual(self.get('LastError'), '')

    def test_one_that_falls_while_it_is_broken_on_the_disk(self):
        self.start()
        manifest = self.directory / 'plugin.json'
        whole = manifest.read_text()
        manifest.write_text('{')
        wait_for(lambda: str(manifest) in self.get('LastError'), 'it to be named')
        self.end()
        wait_for(lambda: self.get('State') == 'failed' and str(manifest) in self.get('LastError'), 'it to be named again')
        manifest.write_text(whole)
        self.wait_for_vote('idle')

    def test_one_that_is_given_up_is_told_once_with_its_reason_and_the_way_out(self):
        self.start()
        self.wait_for_vote('idle')
        self.set_config(plugins={'max_restarts': 0})
        self.end()
        self.wait_for_state('quarantined')
        why = {source: reason for source, _, reason, _ in self.client.call('Explain')[2]}['counting']
        error = self.get('LastError')
        self.assertIn('sudo snooze plugin restart counting', error)
        self.assertEqual(why, f'counting is quarantined: {error}')
        (status, message, advice), = self.doctor()
        self.assertEqual((status, message), ('error', f'quarantined: {error}'))
        self.assertIn('sudo snooze plugin restart counting', advice)
        # What is not to run is not wrong.
        self.of('Disable')
        self.assertEqual([finding for finding in self.doctor() if finding[0] != 'ok'], [])

    def test_a_broken_one_that_is_not_enabled_is_not_wrong(self):
        self.start()
        self.of('Disable')
        (self.directory / 'plugin.json').write_text('{')
        wait_for(lambda: self.get('State') == 'failed', 'it to be broken')
        self.assertEqual([finding for finding in self.doctor() if finding[0] != 'ok'], [])

    def test_what_no_start_would_change_is_told_to_whoever_enables_it(self):
        self.house.start_daemon()
        self.of('Disable')
        for entries, part in (
                ({'dependencies': [{'name': 'missing', 'version': '>=2'}]}, 'needs the plugin missing >=2, which is not installed'),
                ({'dependencies': [], 'isolation': 'container', 'image': 'x@sha256:0'}, 'has the isolation container'),
                ({'isolation': 'process', 'limits': {'memory_mb': 1000000}}, 'asks for 1000000 MiB of memory, this machine has'),
                ({'limits': {}, 'runtime': 'jsonrpc'}, 'has the runtime jsonrpc, which this build does not serve')):
            self.place('1.0.0', **entries)
            self.look()
            self.of('Enable')
            self.assertEqual(self.get('State'), 'failed')
            self.assertIn(part, self.get('LastError'))
            (status, message, _), = self.doctor()
            self.assertEqual((status, message), ('error', f'failed: {self.get("LastError")}'))
            self.of('Disable')
        self.place('1.0.0', runtime='dbus')
        self.look()
        self.of('Enable')
        self.wait_for_vote('idle')

    def test_what_no_start_would_change_is_told_by_a_daemon_that_comes_later(self):
        """And to nobody else first, where it came while it was enabled."""
        for entries, advice in (({'dependencies': [{'name': 'missing', 'version': '>=2'}]}, 'plugin list'),
                                ({'dependencies': [], 'contracts': ['RequestHandler'], 'runtime': 'http'}, 'plugin disable counting')):
            self.place('1.0.0', **entries)
            self.house.start_daemon()
            self.client = self.house.client()
            wait_for(lambda: self.get('State') == 'failed', 'it to be refused')
            (status, message, said), = self.doctor()
            self.assertEqual((status, message), ('error', f'failed: {self.get("LastError")}'))
            self.assertIn(advice, said)
            self.house.kill_daemon()
        self.place('1.0.0', runtime='dbus')
        self.house.start_daemon()
        self.client = self.house.client()
        self.assertEqual(self.get('State'), 'discovered')
        self.place('1.0.0', runtime='http')
        self.look()
        wait_for(lambda: self.get('State') == 'failed', 'it to be refused')
        self.assertIn('has the runtime http', self.get('LastError'))

    def test_one_that_comes_when_too_much_is_configured_for_it(self):
        manifest = (self.directory / 'plugin.json').read_text()
        (self.directory / 'plugin.json').unlink()
        self.house.configure({'plugins': {'limits': {'counting': {'memory_mb': 1000}}}})
        self.house.start_daemon()
        (self.directory / 'plugin.json').write_text(json.dumps({**json.loads(manifest), 'contracts': ['RequestHandler']}))
        self.look()
        wait_for(lambda: self.get('State') == 'failed', 'it to be refused')
        self.assertIn('plugins.limits.counting.memory_mb: got 1000, expected 1 to 64', self.get('LastError'))
        (advice,) = [advice for _, _, advice in self.doctor()]
        self.assertIn('config get plugins.limits', advice)
        self.house.configure({})
        self.client.call('Reload')
        wait_for(lambda: self.get('State') == 'discovered', 'it to be refused no more')
        self.assertEqual(self.ask()['count'], 1)

    def test_what_is_missing_is_left_out_of_what_is_shown(self):
        schema = {'greeting': {'type': 'string', 'description': 'What it says', 'required': True},
                  'times': {'type': 'integer', 'description': 'How often', 'default': 3}}
        self.place('1.0.0', config_schema=schema)
        self.house.start_daemon()
        self.assertEqual(self.of('GetConfiguration'), ({'times': (3, 'default')},))
        self.assertFails(ERROR + 'PluginFailed', 'Load', interface=PLUGIN, path=COUNTING, part='greeting: is required and has no value')

    def test_one_that_waited_for_its_restart_when_plugins_were_turned_off(self):
        self.start()
        self.wait_for_vote('idle')
        told = self.house.watcher.listen(PLUGIN, 'StateChanged', COUNTING)
        falls = lambda: [state for state, _, _ in told].count('failed')
        # Longer and longer it waits, so that this comes before it.
        for number in range(1, 5):
            self.end()
            wait_for(lambda number=number: falls() == number, 'its fall')
            self.of('Load')
        self.end()
        wait_for(lambda: falls() == 5, 'its last fall')
        restarts = self.get('Restarts')
        self.set_config(plugins={'enabled': False})
        self.assertEqual((self.get('State'), self.get('Restarts')), ('stopped', restarts))
        self.set_config(plugins={'enabled': True})
        self.wait_for_vote('idle')
        self.assertEqual(self.get('Restarts'), restarts)


class FoundTest(CountingTest):
    # Those that it is in time for, however slow the machine is.
    manifest = {'timeouts': {'start': 30, 'initialize': 30, 'export': 20, 'shutdown': 10}}

    def setUp(self):
        super().setUp()
        self.place('1.0.0', contracts=['State', 'RequestHandler'])
        self.start()
        self.count(3)
        self.pid = self.get('Pid')
        self.house.kill_daemon()
        self.told = self.house.watcher.listen(PLUGIN, 'StateChanged', COUNTING)

    def come_back(self):
        self.house.start_daemon()
        self.client = self.house.client()
        self.assertEqual((self.get('State'), self.processes()), ('discovered', [self.pid]))

    @contextlib.contextmanager
    def authorized(self, *methods):
        """These are sent, and the daemon hears together that they may be done, and whatever is sent meanwhile."""
        polkit, daemon = self.house.polkit.pid, self.house.daemon.pid
        already = len(self.house.questions())
        for pid in polkit, daemon:
            self.addCleanup(continue_if_there, pid)
        os.kill(polkit, signal.SIGSTOP)
        answers = [self.client.send(*([method] if isinstance(method, str) else method), interface=PLUGIN, path=COUNTING)
                   for method in methods]
        # Each of its answers comes behind one of its questions to the bus, which are fewer than these.
        for _ in range(10):
            self.get('State')
        os.kill(daemon, signal.SIGSTOP)
        os.kill(polkit, signal.SIGCONT)
        # What it tells of them by signals may yet be of those before. It has answered when it tells this.
        wait_for(lambda: len(self.house.questions()) == already + len(methods), 'the answers of polkit')
        yield answers
        # The bus has taken it all.
        self.client.call('GetId', interface='org.freedesktop.DBus', path='/org/freedesktop/DBus', destination='org.freedesktop.DBus')
        os.kill(daemon, signal.SIGCONT)

    def wait_for_its_end(self):
        wait_for_file(lambda: self.processes() == [], 'its end')
        self.wait_for_state('stopped')

    def assert_another_serves(self):
        self.assertEqual(self.get('State'), 'running')
        self.assertNotEqual(self.get('Pid'), self.pid)
        self.assertEqual(self.processes(), [self.get('Pid')])


class Found(FoundTest):
    """Nobody has asked it for anything since the daemon began."""

    def test_restart(self):
        self.come_back()
        self.of('Restart')
        self.assert_another_serves()
        # No daemon was left to ask it for its state.
        self.assertEqual((self.count(), self.problems), (4, []))

    def begin_to_greet(self):
        """It has been found and has not answered yet, which it may do now."""
        os.kill(self.pid, signal.SIGSTOP)
        self.addCleanup(continue_if_there, self.pid)
        self.come_back()
        load = self.client.send('Load', interface=PLUGIN, path=COUNTING)
        self.wait_for_state('initializing')
        return load

    def test_restart_while_it_is_greeted(self):
        load = self.begin_to_greet()
        # Another one ends it no sooner.
        with self.authorized('Restart', 'Restart') as (restart, again):
            pass
        self.assertEqual(self.get('State'), 'initializing')
        os.kill(self.pid, signal.SIGCONT)
        wait_for(lambda: load and restart and again, 'the answers')
        self.assertEqual((load, restart, again), ([((), None)], [((), None)], [((), None)]))
        self.assert_another_serves()
        self.assertEqual((self.count(), self.problems), (4, []))

    def test_unload_while_it_is_greeted(self):
        load = self.begin_to_greet()
        with self.authorized('Unload') as (unload,):
            pass
        self.assertEqual(self.get('State'), 'initializing')
        os.kill(self.pid, signal.SIGCONT)
        wait_for(lambda: load and unload, 'the answers')
        self.assertEqual((error_name(load[0][1]), unload), (ERROR + 'PluginFailed', [((), None)]))
        self.assertEqual((self.get('State'), self.processes()), ('stopped', []))
        self.of('Load')
        self.assertEqual((self.count(), self.problems), (4, []))

    def test_one_that_is_not_what_is_there_may_not_run(self):
        """By whatever manifest: it is asked for what it knows."""
        self.place('1.0.0', contracts=['State', 'RequestHandler', 'EventHandler'])
        self.house.configure({'plugins': {'enabled': False}})
        self.house.start_daemon()
        self.client = self.house.client()
        self.wait_for_its_end()
        self.assertEqual(self.problems, [])
        self.place('1.0.0', contracts=['State', 'RequestHandler'])
        self.discover()
        self.client.call('SetConfiguration', '(s)', (json.dumps({'plugins': {'enabled': True}}),))
        self.of('Load')
        self.assertEqual(self.count(), 4)

    def test_restart_while_somebody_asks(self):
        self.come_back()
        with self.authorized('Restart') as (restart,):
            count = self.client.send('Call', '(sa{sv})', ('count', {}), PLUGIN, COUNTING)
        wait_for(lambda: restart and count, 'the answers')
        self.assertEqual((restart, count[0][1]), ([((), None)], None))
        self.assertEqual(count[0][0][1]['count'], 4)
        self.assert_another_serves()

    def test_unload(self):
        self.come_back()
        self.of('Unload')
        self.assertEqual((self.get('State'), self.processes()), ('stopped', []))
        self.of('Load')
        self.assertEqual(self.count(), 4)

    def test_load_behind_unload(self):
        self.come_back()
        unload = self.client.send('Unload', interface=PLUGIN, path=COUNTING)
        self.of('Load')
        self.assert_another_serves()
        wait_for(lambda: unload, 'an answer to Unload')
        self.assertEqual(self.count(), 4)

    def test_disable(self):
        self.come_back()
        self.of('Disable')
        self.wait_for_its_end()
        self.of('Enable')
        self.assertEqual(self.count(), 4)

    def test_plugins_are_turned_off(self):
        self.come_back()
        self.client.call('SetConfiguration', '(s)', (json.dumps({'plugins': {'enabled': False}}),))
        self.wait_for_its_end()

    def test_plugins_were_turned_off(self):
        self.house.configure({'plugins': {'enabled': False}})
        self.house.start_daemon()
        self.client = self.house.client()
        self.wait_for_its_end()

    def come_back_to_none(self):
        os.kill(self.pid, signal.SIGKILL)
        wait_for_file(lambda: self.processes() == [], 'its end')
        self.house.start_daemon()
        self.client = self.house.client()

    def test_unload_behind_restart_where_there_is_none(self):
        self.come_back_to_none()
        with self.authorized('Restart', 'Unload') as (restart, unload):
            pass
        wait_for(lambda: restart and unload, 'the answers')
        # Whichever the daemon came to first: nobody is left to wait.
        self.assertEqual((unload, self.get('State')), ([((), None)], 'discovered'))
        self.assertEqual(error_name(restart[0][1]), ERROR + 'PluginFailed')

    def test_load_behind_unload_where_there_is_none(self):
        self.come_back_to_none()
        with self.authorized('Unload', 'Load') as (unload, load):
            pass
        wait_for(lambda: unload and load, 'the answers')
        self.assertEqual((unload, load, self.get('State')), ([((), None)], [((), None)], 'running'))

    def test_unload_where_there_is_none_while_somebody_asks(self):
        self.come_back_to_none()
        with self.authorized('Unload', ('Call', '(sa{sv})', ('count', {}))) as (unload, count):
            pass
        wait_for(lambda: unload and count, 'the answers')
        self.assertEqual((unload, count[0][1], self.get('State')), ([((), None)], None, 'running'))

    def test_where_there_is_none_nothing_happens(self):
        self.come_back_to_none()
        self.of('Unload')
        self.of('Disable')
        self.assertEqual(self.get('State'), 'discovered')
        self.of('Enable')
        self.of('Restart')
        wait_for(lambda: 'running' in [state for state, _, _ in self.told], 'it to be told that it runs')
        self.assertEqual([state for state, _, _ in self.told], ['loading', 'initializing', 'running'])

    def test_its_files_are_removed(self):
        self.come_back()
        removed = self.house.watcher.listen('org.freedesktop.DBus.ObjectManager', 'InterfacesRemoved')
        (self.directory / 'plugin.json').unlink()
        wait_for_file(lambda: self.processes() == [], 'its end')
        wait_for(lambda: any(path == COUNTING for path, _ in removed), 'it to be removed')

    def test_its_files_are_removed_where_there_is_none(self):
        self.come_back_to_none()
        removed = self.house.watcher.listen('org.freedesktop.DBus.ObjectManager', 'InterfacesRemoved')
        (self.directory / 'plugin.json').unlink()
        wait_for(lambda: any(path == COUNTING for path, _ in removed), 'it to be removed')


class FoundHanging(FoundTest):
    """Nor does it answer anybody: it is waited for as long as its manifest says."""
    manifest = {'timeouts': {'start': 5, 'initialize': 4, 'export': 1, 'shutdown': 2}}

    def setUp(self):
        super().setUp()
        os.kill(self.pid, signal.SIGSTOP)
        self.addCleanup(continue_if_there, self.pid)
        self.come_back()

    def test_restart(self):
        self.of('Restart')
        self.assert_another_serves()
        self.assertEqual(self.get('Restarts'), 0)

    def test_disable_while_it_is_found(self):
        load = self.client.send('Load', interface=PLUGIN, path=COUNTING)
        self.of('Disable')
        self.wait_for_its_end()
        wait_for(lambda: load, 'an answer to Load')
        self.assertEqual(error_name(load[0][1]), ERROR + 'PluginFailed')

    def test_disable_behind_restart(self):
        restart = self.client.send('Restart', interface=PLUGIN, path=COUNTING)
        self.of('Disable')
        self.wait_for_its_end()
        wait_for(lambda: restart, 'an answer to Restart')
        self.assertIn('not enabled', restart[0][1].message)


tap.main()
