# SPDX-License-Identifier: Apache-2.0
"""What a daemon that is killed, disturbed or started twice leaves behind: nothing lost, nothing done twice."""

import contextlib
import json
import os
import signal
import sqlite3

from gi.repository import GLib

import tap
from harness import CONFIGURATION, ERROR, MANAGER, NAME, PATH, PLUGIN, QUIET, BusTest, House, wait_for, wait_for_file

MINUTE = 60_000_000
HOUR = 60 * MINUTE

# Idle at once, warned for a moment: what a day takes otherwise.
HASTY = {'naptime_minutes': 0.01, 'warning_minutes': 0.01, 'min_uptime_minutes': 0, 'check_interval_seconds': 1,
         'sample_interval_seconds': 0.2, 'window_seconds': 1, 'burst_seconds': 0.4, 'long_window_seconds': 1}


def b(value):
    return GLib.Variant('b', value)


def t(value):
    return GLib.Variant('t', value)


class Killed(BusTest):
    plugins = True

    def hold(self, who, kind='block'):
        _, fds = self.client.call_with_fds('Hold', '(sss)', (who, 'held over a crash', kind))
        fd, = fds.steal_fds()
        return fd

    def holds(self):
        return self.client.call('ListHolds')[0]

    def test_holds_survive(self):
        kept, dropped = self.hold('kept'), self.hold('dropped')
        self.addCleanup(os.close, kept)
        delay = self.hold('delaying', 'delay')
        self.addCleanup(os.close, delay)
        timed, = self.client.call('HoldFor', '(ts)', (HOUR, 'lunch'))
        before = self.holds()
        self.house.kill_daemon()
        os.close(dropped)
        self.house.start_daemon()
        after = self.holds()
        self.assertEqual(after, [hold for hold in before if 'dropped' not in hold[1]])
        self.assertEqual(len(after), 3)
        self.assertFails(ERROR + 'Held', 'StopInstance', '(sa{sv})', ('', {'dry-run': b(True)}), part='kept')
        self.client.call('ReleaseHold', '(u)', (timed,))
        self.assertEqual(len(self.holds()), 2)

    def test_they_still_end_with_their_descriptor(self):
        fd = self.hold('kept')
        self.house.restart_daemon()
        self.assertEqual(self.client.get('Holds'), 1)
        os.close(fd)
        wait_for(lambda: self.client.get('Holds') == 0, 'the end of the hold')

    def test_a_release_is_not_undone(self):
        cookie, = self.client.call('HoldFor', '(ts)', (HOUR, 'lunch'))
        self.client.call('ReleaseHold', '(u)', (cookie,))
        self.house.restart_daemon()
        self.assertEqual(self.holds(), [])
        other, = self.client.call('HoldFor', '(ts)', (HOUR, 'tea'))
        self.assertGreater(other, cookie)

    def test_timed_holds_survive_the_loss_of_the_runtime_directory(self):
        self.client.call('HoldFor', '(ts)', (HOUR, 'lunch'))
        self.house.kill_daemon()
        for path in (self.house.directory / 'run/holds').iterdir():
            path.unlink()
        self.house.start_daemon()
        wait_for(lambda: self.client.get('Holds') == 1, 'the hold from the database')
        self.assertEqual(self.holds()[0][2], 'lunch')

    def test_history_survives(self):
        self.client.call('Pause')
        self.client.call('Resume')
        self.client.call('EmitEvent', '(suta{sv})', ('custom.test', 0, 0, {}))
        before = self.client.call('GetHistory', '(ttu)', (0, 0, 1000))[0]
        self.assertTrue(before)
        self.house.restart_daemon()
        after = self.client.call('GetHistory', '(ttu)', (0, 0, 1000))[0]
        for row in before:
            self.assertIn(row, after)

    def test_a_row_that_is_no_event(self):
        finished = self.client.listen(MANAGER, 'EventFinished')
        self.client.call('EmitEvent', '(suta{sv})', ('custom.test', 0, 0, {}))
        wait_for(lambda: finished, 'the end of the event')
        # Politely: everything is in the database then.
        self.house.kill_daemon(signal.SIGTERM)
        with contextlib.closing(sqlite3.connect(self.house.directory / 'state/snooze.db')) as database, database:
            changed = database.execute("UPDATE history SET data = json_set(data, '$.severity', 'high') "
                                       "WHERE json_extract(data, '$.type') = 'custom.test'").rowcount
        self.assertGreater(changed, 0)
        self.house.start_daemon()
        self.assertFails(ERROR + 'Store', 'ListEvents', '(u)', (10,), part='History could not be told: Invalid argument')

    def test_a_pause_survives(self):
        self.client.call('Pause')
        self.house.restart_daemon()
        wait_for(lambda: self.client.get('Paused'), 'the pause')
        self.client.call('Resume')
        self.house.restart_daemon()
        self.assertIs(self.client.get('Paused'), False)

    def test_a_warning_begins_anew(self):
        self.client.call('StopInstance', '(sa{sv})', ('a test', {'dry-run': b(True), 'delay': t(HOUR)}))
        wait_for(lambda: self.client.get('State') == 'warning', 'the warning')
        self.house.restart_daemon()
        self.assertIn(self.client.get('State'), ('active', 'idle', 'warning'))
        self.assertNotIn(self.client.get('State'), ('stopping', 'stopped'))

    def test_a_start_that_fails_leaves_what_the_next_finds(self):
        wait_for_file((self.house.directory / 'run/decision.json').exists, 'the decision')
        self.house.kill_daemon()
        run = self.house.directory / 'run'
        before = (run / 'decision.json').read_bytes()
        (run / 'holds').rename(run / 'aside')
        (run / 'holds').write_text('in the way')
        daemon = self.house.spawn(self.house.daemon_arguments(), 'failed.log')
        self.assertEqual(daemon.wait(), 1)
        self.assertIn('Holds cannot be kept below', (self.house.directory / 'failed.log').read_text())
        self.assertEqual((run / 'decision.json').read_bytes(), before)
        (run / 'holds').unlink()
        (run / 'aside').rename(run / 'holds')
        self.house.start_daemon()

    def test_polite_end(self):
        self.assertEqual(self.house.kill_daemon(signal.SIGTERM), 0)
        self.assertNotIn('Sanitizer', self.house.daemon.output())


class KilledWithSamples(BusTest):
    """Samples wait for company before they are committed."""

    def setUp(self):
        self.house = House(dict(CONFIGURATION, check_interval_seconds=1, sample_interval_seconds=0.5), daemon=False)
        self.addCleanup(self.house.close)
        self.house.replay(QUIET)
        self.file = self.house.directory / 'run/samples'
        self.house.start_daemon()
        # Nothing that is told wakes the test.
        self.addCleanup(GLib.source_remove, GLib.timeout_add(50, lambda: True))

    def lines(self):
        # It goes when they are in the database.
        with contextlib.suppress(FileNotFoundError):
            return self.file.read_text().splitlines()
        return []

    def killed_with_samples(self):
        """The times of those that waited."""
        wait_for(lambda: len(self.lines()) >= 3, 'samples that wait')
        self.house.kill_daemon()
        return [int(line.split()[0]) for line in self.lines()]

    def committed(self):
        with contextlib.closing(sqlite3.connect(self.house.directory / 'state/snooze.db')) as database:
            return [time for time, in database.execute('SELECT time FROM sample ORDER BY time')]

    def test_none_is_lost(self):
        waited = self.killed_with_samples()
        before = self.committed()
        self.assertFalse(set(waited) & set(before), 'they were committed already: this shows nothing')
        self.house.start_daemon()
        wait_for(lambda: set(waited) <= set(self.committed()), 'those that waited in the database')
        self.assertEqual([time for time in self.committed() if time <= waited[-1]], before + waited)

    def test_none_is_there_twice(self):
        self.killed_with_samples()
        written = self.file.read_bytes()
        self.house.start_daemon()
        waited = self.killed_with_samples()
        # As if the commit were the last thing it did.
        self.file.write_bytes(written + self.file.read_bytes())
        self.house.start_daemon()
        wait_for(lambda: set(waited) <= set(self.committed()), 'those that waited in the database')
        committed = self.committed()
        self.assertEqual(len(committed), len(set(committed)))

    def test_rubbish_is_told_of(self):
        waited = self.killed_with_samples()
        self.file.write_bytes(b'rubbish\n\xff\x00\n' + self.file.read_bytes() + b'17 {"cpu_')
        self.house.start_daemon()
        wait_for(lambda: set(waited) <= set(self.committed()), 'those that waited in the database')
        self.assertNotIn(17, self.committed())
        self.assertIn('run/samples: lines that are no samples are left out: 3', self.house.daemon.output())


class LateDatabase(BusTest):
    """What is held may stand in a database that does not open for a while."""

    def setUp(self):
        self.house = House(HASTY, daemon=False)
        self.addCleanup(self.house.close)
        self.house.replay(QUIET)
        self.house.start_daemon()
        self.client = self.house.client()
        self.client.call('HoldFor', '(ts)', (HOUR, 'lunch'))
        self.house.kill_daemon()
        for path in (self.house.directory / 'run/holds').iterdir():
            path.unlink()

    def start_late(self):
        gate = self.house.directory / 'slow'
        gate.touch()
        self.addCleanup(gate.unlink, missing_ok=True)
        self.house.preload('late-database', LATE_DATABASE=gate)
        self.house.start_daemon()
        return gate

    def test_a_check_until_then_says_what_the_sources_do(self):
        self.start_late()
        answers = []

        def idle():
            answers.append(self.house.check_now())
            return answers[-1][1] == 'every source that decides says idle'

        wait_for_file(idle, 'the windows to be full')
        self.assertTrue(answers[-1][0], answers)

    def test_nothing_is_decided_before_the_holds_are_known(self):
        states = self.house.watcher.listen(MANAGER, 'StateChanged', PATH)
        gate = self.start_late()
        begun = self.client.call('GetMetrics')[0]['timestamp']
        # Nothing is told meanwhile that would wake the test. Time enough for a whole passage.
        self.addCleanup(GLib.source_remove, GLib.timeout_add(100, lambda: True))
        wait_for(lambda: self.client.call('GetMetrics')[0]['timestamp'] > begun + 4_000_000, 'four seconds of samples')
        self.assertEqual((states, self.client.get('Holds')), ([], 0))
        gate.unlink()
        wait_for(lambda: self.client.get('Holds') == 1, 'the hold from the database')
        wait_for_file(lambda: 'lunch' in self.client.get('Reason'), 'the hold to count')
        self.assertNotIn('warning', [state for state, _, _ in states])


class GivenUp(BusTest):
    """A plugin that failed too often, for a daemon that begins anew."""

    configuration = {'plugins': {'max_restarts': 0}}
    daemon = False
    fallen = f'{PATH}/plugin/fallen'

    def setUp(self):
        super().setUp()
        self.house.install_fake('fallen', 'die-handshake-once')
        self.directory = self.house.directory / 'plugins/fallen'
        self.record = self.house.directory / 'run/plugins/fallen.quarantine'
        self.house.start_daemon()
        self.give_up()

    def get(self, name):
        return self.client.get(name, PLUGIN, self.fallen)

    def of(self, method):
        self.client.call(method, interface=PLUGIN, path=self.fallen)

    def give_up(self):
        (self.house.directory / 'fallen.died').unlink(missing_ok=True)
        # The daemon's own check may have started it before.
        with self.assertRaises(GLib.Error) as raised:
            self.client.call('LoadPlugin', '(s)', ('fallen',))
        self.assertIn('failed 1 times', raised.exception.message)
        self.assertEqual(self.get('State'), 'quarantined')
        self.error, self.starts = self.get('LastError'), self.house.lived_through('fallen').count('starts')

    def change_manifest(self, **changes):
        path = self.directory / 'plugin.json'
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def assert_given_up(self):
        self.assertEqual((self.get('State'), self.get('LastError'), self.get('Healthy')), ('quarantined', self.error, False))
        self.assertFails(ERROR + 'NotRunning', 'LoadPlugin', '(s)', ('fallen',), part='sudo snooze plugin restart fallen')
        self.client.call('CheckNow')
        self.assertEqual({vote[0]: vote[1] for vote in self.client.call('Explain')[2]}['fallen'], 'unknown')
        self.assertEqual(self.house.lived_through('fallen').count('starts'), self.starts)

    def assert_started(self):
        self.client.call('LoadPlugin', '(s)', ('fallen',))
        self.assertEqual((self.get('State'), self.get('LastError'), self.record.exists()), ('running', '', False))

    def test_it_stays_so_until_it_is_restarted(self):
        for number in signal.SIGKILL, signal.SIGTERM:
            with self.subTest(number):
                self.house.restart_daemon(number)
                self.assert_given_up()
        self.assertEqual((self.record.parent.stat().st_mode & 0o777, self.record.stat().st_mode & 0o777), (0o700, 0o600))
        self.of('Restart')
        self.assert_started()
        self.house.restart_daemon()
        self.assert_started()

    def test_what_gives_it_another_chance_after_a_new_beginning(self):
        def remove_record():
            """As a boot does."""
            self.record.unlink()

        def other_daemon():
            self.record.write_text(json.dumps({**json.loads(self.record.read_text()), 'daemon': '0.0.1'}))

        def other_manifest():
            self.change_manifest(version='1.0.1')

        def other_program():
            os.utime(self.directory / 'fallen', (0, 0))

        def rubbish():
            self.record.write_text('{')

        for change in remove_record, other_daemon, other_manifest, other_program, rubbish:
            with self.subTest(change.__name__):
                self.house.kill_daemon()
                change()
                self.house.start_daemon()
                self.assertFalse(self.record.exists())
                self.assert_started()
                # Before the next one nothing runs.
                self.of('Unload')
                self.give_up()

    def test_what_was_given_up_no_more_is_not_given_up_by_the_next_daemon(self):
        def enable_anew():
            self.of('Disable')
            self.of('Enable')

        def remove_and_return():
            away = self.house.directory / 'away'
            self.directory.rename(away)
            self.house.client().call('DiscoverPlugins')
            away.rename(self.directory)
            self.house.client().call('DiscoverPlugins')

        def change():
            self.change_manifest(version='1.0.2')
            self.house.client().call('DiscoverPlugins')

        for lift in enable_anew, remove_and_return, change:
            with self.subTest(lift.__name__):
                self.house.restart_daemon()
                self.assert_given_up()
                lift()
                self.assertFalse(self.record.exists())
                self.house.restart_daemon()
                self.assert_started()
                self.of('Unload')
                self.give_up()


class Second(BusTest):
    def test_a_second_daemon_leaves_the_first_alone(self):
        cookie, = self.client.call('HoldFor', '(ts)', (HOUR, 'lunch'))
        owner = self.client.owner(NAME)
        second = self.house.spawn(self.house.daemon_arguments(), 'second.log')
        self.assertNotEqual(second.wait(), 0)
        self.assertIn(NAME, second.output())
        self.assertEqual(self.client.owner(NAME), owner)
        self.assertEqual(self.client.call('ListHolds')[0][0][0], cookie)
        self.client.call('ReleaseHold', '(u)', (cookie,))


class BusRestart(BusTest):
    def test_the_daemon_ends_with_an_error_and_the_next_one_knows_all(self):
        _, fds = self.client.call_with_fds('Hold', '(sss)', ('pytest', 'a run', 'block'))
        fd, = fds.steal_fds()
        self.addCleanup(os.close, fd)
        self.house.stop_bus()
        self.assertNotEqual(self.house.daemon.wait(), 0)
        self.house.start_bus()
        self.house.start_polkit()
        self.house.start_daemon()
        client = self.house.client()
        self.assertEqual([hold[1].split(': ')[-1] for hold in client.call('ListHolds')[0]], ['pytest'])


class BrokenState(BusTest):
    def restart_with(self, change):
        self.house.kill_daemon(signal.SIGTERM)
        change(self.house.directory / 'state')
        self.house.start_daemon()

    def decides(self):
        self.assertIn(self.client.get('State'), ('active', 'idle'))
        cookie, = self.client.call('HoldFor', '(ts)', (HOUR, 'lunch'))
        self.assertEqual(self.client.call('ListHolds')[0][0][0], cookie)

    def test_a_broken_database(self):
        def garble(state):
            for path in state.glob('snooze.db*'):
                path.write_bytes(b'this is no database' * 1000)

        self.restart_with(garble)
        self.decides()
        # It was put aside, and there is a new one.
        wait_for(lambda: list((self.house.directory / 'state').glob('snooze.db.broken*')) or self.client.call('ListHolds') is None,
                 'the broken one put aside')

    def test_a_database_of_the_future(self):
        def advance(state):
            with sqlite3.connect(state / 'snooze.db') as database:
                database.execute('PRAGMA user_version = 9999')

        self.restart_with(advance)
        # It holds all the same, and whoever asked knows for how long.
        self.assertFails(ERROR + 'Store', 'HoldFor', '(ts)', (HOUR, 'lunch'), part='9999')
        self.assertEqual([hold[2] for hold in self.client.call('ListHolds')[0]], ['lunch'])
        self.assertIn(self.client.get('State'), ('active', 'idle'))

    def test_broken_holds(self):
        def garble(state):
            holds = state.parent / 'run/holds'
            (holds / '5.json').write_text('{"cookie"')
            (holds / 'x').write_text('x')

        self.restart_with(garble)
        self.assertEqual(self.client.call('ListHolds'), ([],))
        self.decides()

    def test_a_broken_configuration_takes_the_last_good_one(self):
        def garble(state):
            (state.parent / 'etc/snooze.json').write_text('{"naptime_minutes": ')

        self.restart_with(garble)
        self.assertEqual(json.loads(self.client.call('GetConfiguration')[0])['naptime_minutes'], 60)
        findings, = self.client.call('Diagnose')
        self.assertTrue([f for f in findings if f['status'] == 'error' and 'snooze.json' in f['message']], findings)
        self.decides()

    def test_a_broken_configuration_from_the_first_is_a_dry_run(self):
        def garble(state):
            (state.parent / 'etc/snooze.json').write_text('{"dry_run": false, "naptime_minutes": "x"}')
            for path in state.iterdir():
                if path.is_file():
                    path.unlink()

        self.restart_with(garble)
        self.assertIs(self.client.get('DryRun'), True)
        self.decides()


if __name__ == '__main__':
    tap.main()
