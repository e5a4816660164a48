# SPDX-License-Identifier: Apache-2.0
"""A disk that hangs: whoever waits for it waits alone, and nobody is told that something is kept before it is. The daemon runs with
slow-disk.c, which ends it where its main thread syncs anything."""

import contextlib
import fcntl
import json
import os
import pwd
import signal
import sqlite3

from gi.repository import Gio, GLib

import tap
from counting import CONTRACTS, COUNTING, CountingTest
from eventful import EventTest, soon
from harness import ERROR, MANAGER, PATH, PLUGIN, QUIET, BusTest, House, continue_if_there, error_name, wait_for, wait_for_file
from stops import Stops

MINUTE = 60_000_000
CALLERS_MAX = 512
STATELESS = [contract for contract in CONTRACTS if contract != 'State']
EXAMPLE = PATH + '/plugin/example'


class Lock:
    def __init__(self, path):
        self.path, self.file = path, open(path, 'w')

    def hang(self):
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def work(self):
        fcntl.flock(self.file, fcntl.LOCK_UN)

    def close(self):
        self.file.close()


class Disk:
    """Of the daemon that the house starts. It reads and writes files, and takes states of plugins."""

    def insert_disk(self):
        self.disk, self.state_disk = (Lock(self.house.directory / name) for name in ('disk', 'state-disk'))
        for disk in self.disk, self.state_disk:
            self.addCleanup(disk.close)
        self.house.preload('slow-disk', SNOOZE_DISK=self.disk.path, SNOOZE_STATE_DISK=self.state_disk.path)
        self.hang, self.work = self.disk.hang, self.disk.work


class State(Disk, CountingTest):
    def setUp(self):
        super().setUp()
        self.insert_disk()

    def rows(self):
        with contextlib.closing(sqlite3.connect(f'file:{self.house.directory}/state/snooze.db?mode=ro', uri=True)) as database:
            return {identifier: bytes(state).rstrip(b'\0') for identifier, state in database.execute('SELECT id, state FROM plugin_state')}

    @contextlib.contextmanager
    def silence(self, problem):
        """Nothing is read from the disk until the problem is told."""
        self.hang()
        change = self.client.send('SetConfiguration', '(s)', ('{"naptime_minutes": 45}',))
        yield
        self.wait_for_problem(problem)
        self.work()
        wait_for(lambda: change, 'the disk to work')

    def leave_three_behind(self):
        """It knows 3 when it is ended, which is before the daemon keeps what it knows by itself, two seconds after the first."""
        pid = self.get('Pid')
        counts = [self.client.send('Call', '(sa{sv})', ('count', {}), PLUGIN, COUNTING) for _ in range(3)]
        wait_for(lambda: all(counts), 'its answers')
        os.kill(pid, signal.SIGTERM)
        self.assertEqual(counts[-1][0][0][1]['count'], 3)
        wait_for(lambda: self.get('Pid') != pid or self.get('State') != 'running', 'its end to be seen')

    def begin_without(self):
        """3 is kept, and could not be read by the one that runs."""
        self.start()
        self.count(3)
        self.of('Unload')
        with self.silence('its state could not be read'):
            self.of('Load')

    def test_what_could_not_be_read_is_kept_by_those_who_follow(self):
        self.begin_without()
        self.assertEqual(self.count(), 1)
        self.upgrade('1.1.0')
        self.upgrade('1.2.0')
        answer = self.ask()
        self.assertEqual((answer['version'], answer['count']), ('1.2.0', 2))
        self.of('Unload')
        self.wait_for_problem('is not overwritten')
        self.assertEqual(self.rows(), {'counting': b'3'})

    def test_what_could_not_be_read_is_not_overwritten_with_what_was_left_behind(self):
        self.begin_without()
        self.assertEqual(self.count(), 1)
        self.end(signal.SIGTERM)
        self.of('Load')
        # As if it had been read at once; and nothing is lost.
        self.wait_for_problem('put aside as counting/beside/1.0.0')
        self.assertEqual(self.count(), 4)
        self.of('Unload')
        self.assertEqual(self.rows(), {'counting': b'4', 'counting/beside/1.0.0': b'1'})
        # From now on what is left behind is the newest again.
        self.assertEqual(self.count(), 5)
        self.end(signal.SIGTERM)
        self.of('Load')
        self.assertEqual(self.count(), 6)

    def test_what_could_not_be_read_is_not_overwritten_by_another_daemon(self):
        self.begin_without()
        self.assertEqual(self.count(), 1)
        pid = self.get('Pid')
        self.house.restart_daemon()
        self.assertEqual(self.count(), 2)
        self.assertEqual(self.get('Pid'), pid)
        self.problems.clear()
        self.of('Unload')
        self.wait_for_problem('is not overwritten')
        self.assertEqual(self.rows(), {'counting': b'3'})
        self.assertEqual(self.count(), 4)
        self.of('Unload')
        self.assertEqual(self.rows(), {'counting': b'4'})

    def test_nor_with_what_was_left_behind_when_another_daemon_finds_it(self):
        self.begin_without()
        self.assertEqual(self.count(), 1)
        pid = self.get('Pid')
        self.house.kill_daemon()
        os.kill(pid, signal.SIGTERM)
        wait_for_file(lambda: pid not in self.processes(), 'its end')
        self.house.start_daemon()
        self.of('Load')
        self.assertEqual(self.count(), 4)
        self.of('Unload')
        self.assertEqual(self.rows(), {'counting': b'4', 'counting/beside/1.0.0': b'1'})

    def test_what_was_left_behind_is_not_lost_while_the_disk_does_not_answer(self):
        self.start()
        self.leave_three_behind()
        with self.silence('could not be taken over'):
            self.of('Load')
        self.assertEqual(self.count(), 4)
        self.of('Unload')
        self.assertEqual(self.rows(), {'counting': b'4'})

    def test_a_version_without_state_waits_until_what_the_old_one_knows_is_kept(self):
        self.place('1.0.0', timeouts={'export': 1})
        self.start()
        self.leave_three_behind()
        with self.silence('could not be taken over'):
            self.of('Load')
            self.assertEqual(self.count(), 4)
            with self.assertRaises(GLib.Error) as raised:
                self.upgrade('1.1.0', contracts=STATELESS)
            for part in 'version 1.1.0 could not replace version 1.0.0, which runs on', 'exporting the state', 'the disk does not answer':
                self.assertIn(part, raised.exception.message)
            answer = self.ask()
            self.assertEqual((answer['version'], answer['count']), ('1.0.0', 5))
        self.upgrade('1.1.0', contracts=STATELESS)
        self.assertEqual((self.ask('look')['version'], self.rows()), ('1.1.0', {'counting': b'5'}))
        self.upgrade('1.2.0', contracts=CONTRACTS)
        self.assertEqual(self.count(), 6)

    def test_what_could_not_be_read_is_not_overwritten_before_a_version_without_state(self):
        self.begin_without()
        self.assertEqual(self.count(), 1)
        self.upgrade('1.1.0', contracts=STATELESS)
        self.wait_for_problem('could not be read, and stays; what it knows is put aside as counting/beside/1.0.0')
        self.assertEqual(self.rows(), {'counting': b'3', 'counting/beside/1.0.0': b'1'})
        self.upgrade('1.2.0', contracts=CONTRACTS)
        self.assertEqual(self.count(), 4)

    def without_writing(self, act):
        """act() is answered, and the plugin runs, while the disk reads and takes no state."""
        self.state_disk.hang()
        result = act()
        wait_for(lambda: result, 'it to be answered without the disk')
        self.assertEqual((result[0][1], self.get('State')), (None, 'running'))

    def load(self):
        return self.client.send('Load', interface=PLUGIN, path=COUNTING)

    def test_what_was_refused_cannot_be_put_aside(self):
        self.start()
        self.count(3)
        self.of('Unload')
        self.place('1.0.0', 'refuses-import')
        self.without_writing(self.load)
        self.wait_for_problem('could not be put aside (the disk does not answer): nothing is kept until it can')
        self.assertEqual(self.count(), 1)
        self.state_disk.work()
        self.of('Unload')
        self.wait_for_problem('is not overwritten')
        self.assertEqual(self.rows()['counting'], b'3')

    def test_what_was_refused_in_a_swap_cannot_be_put_aside(self):
        self.start()
        self.count(3)
        self.upgrade('1.1.0', contracts=STATELESS)
        self.place('1.2.0', 'refuses-import', contracts=CONTRACTS)
        self.without_writing(lambda: self.client.send('Upgrade', '(s)', ('1.2.0',), PLUGIN, COUNTING))
        self.wait_for_problem('could not be put aside (the disk does not answer): nothing is kept until it can')
        self.assertEqual((self.get('Version'), self.count()), ('1.2.0', 1))
        self.state_disk.work()
        self.upgrade('1.3.0', contracts=CONTRACTS)
        self.assertEqual((self.get('Version'), self.rows()['counting']), ('1.3.0', b'3'))

    def test_what_was_left_behind_cannot_be_written(self):
        self.start()
        self.leave_three_behind()
        self.without_writing(self.load)
        self.wait_for_problem('the state that it had kept itself could not be taken over: the disk does not answer')
        self.assertEqual(self.count(), 4)
        self.state_disk.work()
        self.of('Restart')
        self.assertEqual(self.count(), 5)

    def test_what_was_left_behind_cannot_be_put_aside(self):
        self.begin_without()
        self.assertEqual(self.count(), 1)
        self.end(signal.SIGTERM)
        self.without_writing(self.load)
        self.wait_for_problem('the state that it had kept itself could not be taken over: the disk does not answer')
        self.assertEqual(self.count(), 2)
        self.state_disk.work()
        # What it goes on with is what nobody could read.
        self.of('Restart')
        self.assertEqual(self.count(), 4)
        self.assertEqual(self.rows(), {'counting': b'3', 'counting/beside/1.0.0': b'2'})


class Events(Disk, EventTest):
    def test_an_event_is_handed_out_although_the_disk_hangs(self):
        self.install('first', priority=2)
        self.install('second', priority=1)
        self.insert_disk()
        self.start()
        # What the start has to write is written when the disk is asked this.
        self.client.call('GetHistory', '(ttu)', (0, 0, 1))
        self.hang()
        change = self.client.send('SetConfiguration', '(s)', ('{"naptime_minutes": 45}',))
        identifier = self.emit('custom.test', 2, soon(120))
        self.noted(f'second handles {identifier}')
        self.assertEqual([line.split()[0] for line in self.notes], ['first', 'second'])
        handled, results = self.end_of(identifier)
        self.assertEqual((handled, [row['plugin'] for row in results]), (True, ['first', 'second']))
        self.work()
        wait_for(lambda: change, 'the disk to work')
        listed, = self.events()
        self.assertEqual((listed['id'], listed['finished'], listed['handled']), (identifier, True, True))
        self.house.restart_daemon()
        listed, = self.events()
        self.assertEqual((listed['id'], listed['finished'], listed['handled']), (identifier, True, True))
        self.assertEqual(len(self.notes), 2)


class ArmedStop(Disk, Stops, BusTest):
    def setUp(self):
        self.house = House({'dry_run': False, 'provider': 'cloud'}, daemon=False)
        self.addCleanup(self.house.close)
        self.house.replay(QUIET)
        self.house.install_cloud()
        self.insert_disk()
        self.client = self.house.client()

    def begin_without_disk(self):
        self.house.start_daemon()
        self.house.wait_for_provider()
        self.client.call('GetHistory', '(ttu)', (0, 0, 1))
        self.hang()
        change = self.client.send('SetConfiguration', '(s)', ('{"naptime_minutes": 45}',))
        self.client.call('StopInstance', '(sa{sv})', ('going home', {}))
        return change

    def stop_without_disk(self, **behaviour):
        self.house.behave(**behaviour)
        change = self.begin_without_disk()
        wait_for(lambda: 'StopInstance' in [method for method, _ in self.house.asked_of()], 'the question to the provider')
        self.assertEqual(change, [])
        return change

    def wait_for_state(self, *states):
        wait_for(lambda: self.client.get('State') in states, states[0])

    def test_the_stop_does_not_wait_for_ever(self):
        change = self.stop_without_disk()
        self.wait_for_state('stopped')
        self.assertIsNone(self.record())
        self.work()
        wait_for(lambda: change, 'the disk to work')
        # Late, but the stop is on its way still: the next boot is to know, and is told once.
        self.assertEqual(self.outcomes(), ['accepted'])
        self.assertEqual(self.record()['reason'].split(': ')[-1], 'going home')
        self.assertEqual([method for method, _ in self.house.asked_of()].count('StopInstance'), 1)
        self.house.kill_daemon()
        (self.house.directory / 'run/boot').unlink()
        self.house.start_daemon()
        wait_for(lambda: self.client.get('Greeting'), 'the greeting')
        self.assertEqual(self.outcomes(), ['accepted', 'back'])
        self.assertIsNone(self.record())

    def test_what_is_recorded_late_of_a_stop_that_was_called_off_stays_nowhere(self):
        change = self.stop_without_disk(stop='throttle')
        wait_for_file(lambda: 'slow down' in self.client.get('Reason'), 'the answer')
        self.client.call('CancelStop', '(s)', ('not today',))
        self.wait_for_state('active', 'idle')
        self.work()
        wait_for(lambda: change, 'the disk to work')
        self.assertEqual(self.outcomes(), [])
        self.assertIsNone(self.record())
        self.house.kill_daemon()
        (self.house.directory / 'run/boot').unlink()
        self.house.start_daemon()
        wait_for(lambda: self.client.get('Greeting'), 'the greeting')
        self.assertRegex(self.client.get('Greeting'), '^Back since .* has no stop of its own on record$')
        self.assertEqual(self.outcomes(), [])

    def test_a_stop_that_is_called_off_while_it_waits_asks_nobody(self):
        change = self.begin_without_disk()
        self.wait_for_state('stopping')
        self.client.call('CancelStop', '(s)', ('not today',))
        self.wait_for_state('active', 'idle')
        # One that waits as long as the other would have.
        self.client.call('StopInstance', '(sa{sv})', ('now', {'force': GLib.Variant('b', True)}))
        self.wait_for_state('stopped')
        self.work()
        wait_for(lambda: change, 'the disk to work')
        self.assertEqual(self.outcomes(), ['accepted'])
        self.assertEqual([method for method, _ in self.house.asked_of()].count('StopInstance'), 1)
        self.assertEqual(self.record()['reason'].split(': ')[-1], 'now')


class SlowDisk(Disk, BusTest):
    def setUp(self):
        self.house = House(daemon=False)
        self.addCleanup(self.house.close)
        self.house.install_example()
        self.insert_disk()
        self.house.start_daemon()
        self.client = self.house.client()
        # What the start has to write is written when the disk is asked this.
        self.client.call('GetHistory', '(ttu)', (0, 0, 1))

    def configure(self, **values):
        return self.client.send('SetConfiguration', '(s)', (json.dumps(values),))

    def configuration(self):
        return json.loads(self.client.call('GetConfiguration')[0])

    def assertSucceed(self, *results):
        for result in results:
            wait_for(lambda: result, 'a reply')
            self.assertIsNone(result[0][1])

    def wait_until_it_writes(self, act):
        """Acts, and returns when the file that it leads to is being written: it has a name of its own until it is synced."""
        begun = []
        monitor = Gio.File.new_for_path(str(self.house.directory / 'state')).monitor_directory(Gio.FileMonitorFlags.NONE, None)
        monitor.connect('changed', lambda m, file, other, event: begun.append(file.get_basename()))
        result = act()
        wait_for(lambda: any(name.startswith('.snooze.json.') for name in begun), 'the beginning of a file')
        monitor.cancel()
        return result

    def test_who_does_not_wait_for_it_is_answered(self):
        before = self.configuration()
        self.hang()
        change = self.wait_until_it_writes(lambda: self.configure(naptime_minutes=45))
        others = [self.client.send('Reload'),
                  self.client.send('Disable', interface=PLUGIN, path=EXAMPLE),
                  self.client.send('Enable', interface=PLUGIN, path=EXAMPLE),
                  self.client.send('Configure', '(a{sv})', ({'mode': GLib.Variant('s', 'busy')},), PLUGIN, EXAMPLE),
                  self.client.send('HoldFor', '(ts)', (MINUTE, 'lunch')),
                  self.client.send('EmitEvent', '(suta{sv})', ('custom.test', 0, 0, {}))]
        self.client.call('CheckNow')
        self.client.call('Explain')
        self.client.call('GetMetrics')
        self.assertEqual(self.configuration(), before)
        self.assertIs(self.client.get('Enabled', PLUGIN, EXAMPLE), True)
        self.assertEqual([result for result in (change, *others[:4]) if result], [])
        self.work()
        self.assertSucceed(change, *others)
        self.assertEqual(self.configuration()['naptime_minutes'], 45)
        self.assertEqual(self.configuration()['plugins']['plugin_configs']['example']['mode'], 'busy')
        self.assertTrue((self.house.directory / 'state/enabled/example').exists())

    def store(self):
        return next(finding for finding in self.client.call('Diagnose')[0] if finding['check'] == 'store')

    def test_the_diagnosis_names_it(self):
        self.assertEqual(self.store()['status'], 'ok')
        self.hang()
        change = self.wait_until_it_writes(lambda: self.configure(naptime_minutes=45))
        # After seconds, of which nobody tells.
        ticker = GLib.timeout_add(250, lambda: True)
        self.addCleanup(GLib.source_remove, ticker)
        wait_for(lambda: self.store()['status'] == 'error', 'the disk to be missed')
        self.assertRegex(self.store()['message'], 'the disk has not answered for [0-9]+ s')
        self.work()
        self.assertSucceed(change)
        wait_for(lambda: self.store()['status'] == 'ok', 'the disk to be trusted again')

    def test_no_change_is_lost(self):
        self.hang()
        results = [self.configure(naptime_minutes=41), self.configure(warning_minutes=7), self.client.send('Reload'),
                   self.configure(naptime_minutes=42, window_seconds=50), self.configure(warning_minutes='seven'),
                   self.configure(cpu_threshold_percent=11)]
        self.work()
        self.assertSucceed(*results[:4], results[5])
        wait_for(lambda: results[4], 'a refusal')
        self.assertEqual(error_name(results[4][0][1]), ERROR + 'InvalidConfiguration')
        expected = {'naptime_minutes': 42, 'warning_minutes': 7, 'window_seconds': 50, 'cpu_threshold_percent': 11}
        self.assertEqual({key: self.configuration()[key] for key in expected}, expected)
        self.assertEqual(json.loads((self.house.directory / 'state/snooze.json').read_text()), expected)
        self.house.restart_daemon()
        self.assertEqual({key: self.configuration()[key] for key in expected}, expected)

    def test_no_plugin_is_forgotten_while_one_is_being_enabled(self):
        self.hang()
        # The mark is behind that.
        change = self.configure(naptime_minutes=41)
        enabled = self.client.send('Enable', '()', (), PLUGIN, EXAMPLE)
        # It is authorized, and its one question to the bus, whether there is a helper, is answered before these.
        wait_for_file(lambda: 'Enable by root: example' in (self.house.directory / 'snoozed.log').read_text(), 'Enable')
        for _ in range(3):
            self.configuration()
        with self.assertRaises(GLib.Error) as caught:
            self.client.call('ForgetPlugin', '(s)', ('other',))
        self.assertEqual(error_name(caught.exception), ERROR + 'Busy')
        # Which has nothing to do with whether that one is enabled.
        self.assertIn('just being enabled', caught.exception.message)
        self.assertNotIn('plugin disable', caught.exception.message)
        self.work()
        self.assertSucceed(change, enabled)
        self.client.call('ForgetPlugin', '(s)', ('other',))

    def test_nor_is_one_made_over_a_newer_one_that_waits(self):
        self.client.call('LoadPlugin', '(s)', ('example',))
        of_example = lambda member, interface=PLUGIN: self.client.get(member, interface, EXAMPLE)
        calls = lambda: self.client.call('GetStatistics', interface=PLUGIN, path=EXAMPLE)[0]['calls']
        before, plugin = calls(), of_example('Pid')
        os.kill(plugin, signal.SIGSTOP)
        self.addCleanup(continue_if_there, plugin)
        older = self.client.send('Configure', '(a{sv})', ({'mode': GLib.Variant('s', 'busy')},), PLUGIN, EXAMPLE)
        wait_for_file(lambda: calls() > before, 'the question')
        self.hang()
        newer = self.wait_until_it_writes(lambda: self.configure(plugins={'plugin_configs': {'other': {'mode': 'x'}}}, naptime_minutes=45))
        os.kill(plugin, signal.SIGCONT)
        wait_for(lambda: older, 'the answer')
        self.assertEqual(error_name(older[0][1]), ERROR + 'Busy')
        self.assertEqual(newer, [])
        self.work()
        self.assertSucceed(newer)
        self.assertEqual(self.configuration()['naptime_minutes'], 45)
        self.assertNotIn('example', self.configuration()['plugins']['plugin_configs'])

    def test_it_is_told_whose_a_change_was_however_many_came_since(self):
        """Of so many the daemon knows who they are, and whoever likes can be that many."""
        rows = lambda: [row['user'] for row in self.client.call('GetHistory', '(ttu)', (0, 0, 1000))[0] if row.get('call') == 'SetConfiguration']
        before = rows()
        self.hang()
        change = self.wait_until_it_writes(lambda: self.configure(naptime_minutes=45))
        for _ in range(CALLERS_MAX):
            client = self.house.client()
            with contextlib.suppress(GLib.Error):
                client.call('DiscoverPlugins')
            client.close()
        self.work()
        self.assertSucceed(change)
        self.assertEqual(rows(), [*before, pwd.getpwuid(os.geteuid()).pw_name])

    def test_so_many_changes_wait(self):
        self.hang()
        results = []
        while not any(results) and len(results) < 100:
            results.append(self.configure(naptime_minutes=10 + len(results)))
            # polkit is asked about each before the next comes: so many questions at once would be refused, too.
            while len(self.house.questions()) < len(results):
                pass
        self.work()
        wait_for(lambda: all(results), 'all replies')
        refused = [error for (_, error), in results if error]
        self.assertEqual({error_name(error) for error in refused}, {ERROR + 'LimitsExceeded'})
        self.assertIn('disk', refused[0].message)
        self.assertEqual(len(results) - len(refused), 16)
        self.assertSucceed(self.configure(naptime_minutes=77))

    def test_killed_before_it_is_kept(self):
        self.assertSucceed(self.configure(naptime_minutes=45))
        self.hang()
        change = self.wait_until_it_writes(lambda: self.configure(naptime_minutes=46))
        self.house.kill_daemon()
        wait_for(lambda: change, 'the bus to say that nobody answers')
        self.assertIsNotNone(change[0][1])
        self.work()
        self.house.start_daemon()
        self.assertEqual(self.configuration()['naptime_minutes'], 45)

    def test_it_ends_without_the_disk(self):
        self.hang()
        change = self.wait_until_it_writes(lambda: self.configure(naptime_minutes=45))
        self.assertEqual(self.house.kill_daemon(signal.SIGTERM), 0)
        wait_for(lambda: change, 'the end of the call')
        self.assertEqual(error_name(change[0][1]), ERROR + 'Store')
        self.work()

    def test_the_loop_syncs_nothing(self):
        changes = self.client.listen('org.freedesktop.DBus.Properties', 'PropertiesChanged', PATH)
        states = self.client.listen(MANAGER, 'StateChanged', PATH)
        self.assertSucceed(self.configure(naptime_minutes=45))
        self.client.call('Reload')
        self.client.call('LoadPlugin', '(s)', ('example',))
        self.client.call('UnloadPlugin', '(s)', ('example',))
        self.client.call('Disable', interface=PLUGIN, path=EXAMPLE)
        self.house.install_fake('other', 'good')
        self.client.call('DiscoverPlugins')
        cookie, = self.client.call('HoldFor', '(ts)', (MINUTE, 'lunch'))
        self.client.call('ReleaseHold', '(u)', (cookie,))
        _, fds = self.client.call_with_fds('Hold', '(sss)', ('pytest', 'a long run', 'block'))
        os.close(fds.steal_fds()[0])
        self.client.call('Pause')
        self.client.call('Resume')
        self.house.client().call('CheckNow')
        self.house.configure({'dry_run': False})
        os.kill(self.house.daemon.pid, signal.SIGHUP)
        wait_for(lambda: any(changed.get('DryRun') is False for _, changed, _ in changes), 'SIGHUP to be in force')
        self.house.configure({'naptime_minutes': 'long'})
        problems = self.client.listen(MANAGER, 'Problem', PATH)
        os.kill(self.house.daemon.pid, signal.SIGHUP)
        wait_for(lambda: any('naptime_minutes' in message for _, message, _ in problems), 'SIGHUP to be refused')
        self.client.call('StopInstance', '(sa{sv})', ('', {'dry-run': GLib.Variant('b', True)}))
        wait_for(lambda: 'stopped' in [state for state, _, _ in states], 'the end of a dry passage')
        self.assertEqual(self.house.kill_daemon(signal.SIGTERM), 0)


if __name__ == '__main__':
    tap.main()
