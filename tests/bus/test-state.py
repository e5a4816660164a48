# SPDX-License-Identifier: Apache-2.0
"""What a plugin with the State contract knows outlives its process, its version and the daemon, and nothing that was kept is lost
because somebody cannot read it."""

import os
import random
import shutil
import signal
import sqlite3

import tap
from counting import COUNTING, CountingTest
from gi.repository import GLib
from harness import ERROR, PATH, PLUGIN, SOURCE, error_name, wait_for, wait_for_file


class State(CountingTest):
    manifest = {'timeouts': {'export': 1}}
    # What is unloaded is not started again before a test has put other files there.
    interval = 3600

    def rows(self):
        database = sqlite3.connect(f'file:{self.house.directory}/state/snooze.db?mode=ro', uri=True)
        try:
            return {identifier: bytes(state).split(b'\0')[0]
                    for identifier, state in database.execute('SELECT id, state FROM plugin_state')}
        finally:
            database.close()

    def test_over_unload_restart_and_disable(self):
        self.start()
        self.assertEqual(self.count(3), 3)
        self.of('Unload')
        self.assertEqual(self.rows(), {'counting': b'3'})
        self.assertEqual(self.count(), 4)
        self.of('Restart')
        self.assertEqual(self.count(), 5)
        self.of('Disable')
        wait_for(lambda: self.get('State') == 'stopped', 'its end')
        self.of('Enable')
        self.assertEqual(self.count(), 6)

    def test_over_the_end_of_the_daemon(self):
        self.start()
        self.count(3)
        self.house.end_daemon()
        self.assertEqual(self.rows(), {'counting': b'3'})
        self.house.start_daemon()
        # The same process, which has not forgotten anything, is not told what it knows.
        self.assertEqual(self.count(), 4)

    def test_one_that_ran_on_knows_better_than_the_store(self):
        self.start()
        self.count(3)
        self.house.end_daemon()
        self.house.start_daemon()
        self.count(2)
        self.house.restart_daemon()
        # 3, unless it took so long that what came after it was exported, too.
        self.assertIn(self.rows()['counting'], (b'3', b'4', b'5'))
        self.assertEqual(self.count(), 6)

    def test_told_to_go_by_a_signal_it_keeps_its_state_itself(self):
        self.start()
        self.count(3)
        self.end(signal.SIGTERM)
        self.of('Load')
        self.assertEqual(self.count(), 4)
        self.assertEqual(os.listdir(self.house.directory / 'kept'), [])

    def wait_for_rows(self, **states):
        wait_for_file(lambda: self.rows() == states, f'{states} to be kept')

    def wait_for_row(self, state):
        # The database tells nobody.
        wait_for_file(lambda: self.rows().get('counting') == state, f'{state} to be kept')

    def test_a_killed_one_has_what_was_exported_last(self):
        self.start()
        self.count(3)
        # Without anybody's asking for it, while it runs on.
        self.wait_for_row(b'3')
        self.end()
        self.bring_up()
        self.assertEqual(self.count(), 4)
        # Killed at once it knows what it knew then, or what was exported since.
        self.count(2)
        self.end()
        self.bring_up()
        self.assertIn(self.count(), (4, 5, 6, 7))

    def test_both_killed_lose_no_more_than_the_last_moment(self):
        self.start()
        self.count(5)
        self.wait_for_row(b'5')
        pid = self.get('Pid')
        self.house.kill_daemon()
        os.kill(pid, signal.SIGKILL)
        self.house.start_daemon()
        self.bring_up()
        self.assertEqual(self.ask('look')['count'], 5)

    def try_newer(self):
        """1.1.0 on trial, one ahead of what 1.0.0 knew, and that kept."""
        self.start()
        self.count(3)
        self.upgrade('1.1.0')
        self.assertEqual(self.count(), 4)
        self.wait_for_rows(**{'counting': b'3', 'counting/trial': b'4'})

    def test_on_trial_it_is_kept_as_well(self):
        self.try_newer()
        pid = self.get('Pid')
        self.house.kill_daemon()
        os.kill(pid, signal.SIGKILL)
        self.house.start_daemon()
        self.bring_up()
        self.assertEqual(self.count(), 5)
        # It has no trial any more.
        self.wait_for_rows(counting=b'5')

    def test_while_the_next_version_is_greeted_it_is_kept_as_well(self):
        self.start()
        self.count(2)
        self.place('1.1.0', 'hangs-at-initialize')
        upgrade = self.client.send('Upgrade', '(s)', ('1.1.0',), PLUGIN, COUNTING)
        wait_for(lambda: len(self.processes()) == 2, 'the next version')
        self.count()
        self.wait_for_rows(counting=b'3')
        self.assertEqual((upgrade, len(self.processes())), ([], 2))

    def test_on_trial_where_there_is_no_way_back(self):
        self.try_newer()
        self.end()
        self.bring_up()
        self.assertEqual((self.count(), self.ask('look')['version']), (5, '1.1.0'))

    def test_what_the_version_before_says_late_hides_nothing(self):
        """It was asked while it served, and answers when its successor has exported more than it ever knew."""
        os.mkfifo(self.directory / 'go')
        self.place('1.0.0', 'exports-late', timeouts={'export': 30, 'shutdown': 30})
        self.start()
        self.count(3)
        wait_for_file(lambda: (self.directory / 'asked').exists(), 'its state to be asked for')
        before = self.get('Pid')
        self.place('1.1.0')
        self.discover()
        wait_for(lambda: self.get('Version') == '1.1.0', 'the next version')
        self.assertEqual(self.count(), 4)
        self.wait_for_rows(**{'counting': b'3', 'counting/trial': b'4'})
        self.assertIn(before, self.processes())
        with open(self.directory / 'go', 'w'):
            pass
        wait_for_file(lambda: before not in self.processes(), 'the end of the version before')
        self.end()
        self.bring_up()
        self.assertEqual((self.count(), self.ask('look')['version']), (5, '1.1.0'))

    def test_after_its_trial_it_is_what_counts(self):
        self.try_newer()
        self.wait_for_rows(counting=b'4')
        self.assertEqual(self.get('Version'), '1.1.0')

    def test_where_a_trial_ends_for_a_version_that_is_refused_it_is_what_counts(self):
        self.try_newer()
        with self.assertRaises(GLib.Error) as raised:
            self.upgrade('1.2.0', 'dies-at-initialize')
        self.assertIn('version 1.2.0 could not replace version 1.1.0', raised.exception.message)
        self.wait_for_rows(counting=b'4')
        self.assertEqual(self.get('Version'), '1.1.0')

    def test_after_a_trial_that_failed_the_version_before_it_has_its_own(self):
        self.try_newer()
        # Installed side by side it would still be there.
        self.fall_before('1.0.0')
        self.wait_for_problem('which runs again')
        self.bring_up()
        self.assertEqual((self.count(), self.ask('look')['version']), (4, '1.0.0'))
        self.wait_for_rows(counting=b'4')

    def test_a_newer_version_migrates(self):
        self.start()
        self.count(3)
        self.of('Unload')
        self.place('2.0.0', 'format2')
        self.discover()
        self.assertEqual(self.count(), 4)
        self.of('Unload')
        self.assertEqual(self.rows()['counting'], b'count 4')

    def test_what_is_refused_is_put_aside_and_offered_to_its_own_version_again(self):
        self.place('2.0.0', 'format2')
        self.start()
        self.count(3)
        self.of('Unload')
        self.place('1.0.0')
        self.discover()
        self.assertEqual(self.count(), 1)
        self.wait_for_problem('refused the state of version 2.0.0')
        self.of('Unload')
        self.assertEqual(self.rows(), {'counting': b'1', 'counting/refused/2.0.0': b'count 3'})
        # The newer one reads what the older one wrote, and goes on from there.
        self.place('2.0.0', 'format2')
        self.discover()
        self.assertEqual(self.count(), 2)
        self.of('Unload')
        # The older one has its own back as soon as it cannot read the other's.
        self.place('1.0.0', 'refuses-import')
        self.discover()
        self.count()
        self.of('Unload')
        self.assertEqual(self.rows()['counting/refused/2.0.0'], b'count 2')

    def test_an_export_that_fails_leaves_the_one_before(self):
        self.start()
        self.count(3)
        self.of('Unload')
        for behaviour in ('refuses-export', 'hangs-at-export'):
            with self.subTest(behaviour):
                self.place('1.0.0', behaviour)
                self.discover()
                self.count(2)
                self.of('Unload')
                self.assertEqual(self.rows(), {'counting': b'3'})
                self.wait_for_problem('did not export its state')
        self.place('1.0.0')
        self.assertEqual(self.count(), 4)

    def test_a_state_has_a_ceiling(self):
        for identifier in ('full', 'large'):
            self.house.install_fake(identifier, f'{identifier}-state', contracts=['State', 'RequestHandler'])
        self.start()
        for identifier, kept in (('full', True), ('large', False)):
            path = f'{PATH}/plugin/{identifier}'
            self.house.watcher.call('Load', interface=PLUGIN, path=path)
            self.house.watcher.call('Unload', interface=PLUGIN, path=path)
            self.assertEqual(self.house.lived_through(identifier).count('ExportState'), 1)
            self.assertEqual(identifier in self.rows(), kept)
        self.wait_for_problem('its state has 4194305 bytes, more than 4194304')

    def test_one_that_hangs_or_dies_over_its_state_gets_it_again(self):
        self.start()
        self.count(3)
        self.of('Unload')
        for behaviour in ('hangs-at-import', 'dies-at-import'):
            with self.subTest(behaviour):
                self.place('1.0.0', behaviour)
                with self.assertRaises(GLib.Error):
                    self.of('Load')
                self.assertEqual(self.rows(), {'counting': b'3'})
                self.place('1.0.0')
                self.of('Restart')
                self.assertEqual(self.ask('look')['count'], 3)
                self.of('Unload')

    def test_it_is_not_asked_before_it_has_its_state(self):
        self.start()
        self.count(3)
        self.of('Unload')
        answers = [self.client.send('Call', '(sa{sv})', ('count', {}), PLUGIN, COUNTING) for _ in range(5)]
        wait_for(lambda: all(answers), 'the answers')
        self.assertEqual([answer[0][0][1]["count"] for answer in answers], [4, 5, 6, 7, 8])


PYTHON = '''#!/usr/bin/python3
import sys

from snooze_plugin import Plugin, serve


class Counting(Plugin):
    methods = ("count", "look")
    count = 0

    def check_idle(self, metrics):
        return "idle", "it counts"

    def export_state(self):
        return 1, str(self.count).encode()

    def import_state(self, version, state):
        self.count = int(state)

    def handle_request(self, method, params):
        self.count += method == "count"
        return True, {"count": self.count}


sys.exit(serve(Counting))
'''


class Python(CountingTest):
    """As the template does it."""

    def setUp(self):
        super().setUp()
        shutil.copy(SOURCE / 'templates/python/snooze_plugin.py', self.directory)
        (self.directory / 'counting').write_text(PYTHON)
        self.start()
        self.count(3)

    def kept(self):
        return os.listdir(self.house.directory / 'kept')

    def test_told_to_go_by_a_signal_it_keeps_its_state_itself(self):
        self.end(signal.SIGTERM)
        self.of('Load')
        self.assertEqual(self.count(), 4)
        self.assertEqual(self.kept(), [])

    def test_the_next_one_finds_its_slot_free(self):
        """Whoever sees that the name is free may start it at once."""
        changes = self.house.watcher.listen('org.freedesktop.DBus', 'NameOwnerChanged')
        self.end(signal.SIGTERM)
        name = 'io.cloudsnooze.Plugin1.counting'
        wait_for(lambda: any(lost == name and not new for lost, _, new in changes), 'the name to be free')
        self.assertEqual([lost for lost, _, new in changes if not new and lost.startswith(name)][:2], [name + '.a', name])

    def test_what_changes_at_the_last_moment_is_kept(self):
        self.of('Unload')
        text = '    def shutdown(self):\n        self.count += 10\n\n    def handle_request('
        (self.directory / 'counting').write_text(PYTHON.replace('    def handle_request(', text))
        self.assertEqual(self.count(), 4)
        self.end(signal.SIGTERM)
        self.of('Load')
        self.assertEqual(self.count(), 15)

    def test_one_that_ran_on_knows_better_than_the_store(self):
        self.of('Unload')
        self.assertEqual(self.count(2), 5)
        self.house.kill_daemon()
        self.house.start_daemon()
        self.assertEqual(self.count(), 6)

    def test_what_was_exported_is_not_kept_again(self):
        self.of('Unload')
        self.assertEqual(self.kept(), [])
        self.assertEqual(self.count(), 4)

    def test_a_file_that_is_no_state_is_not_taken_for_one(self):
        self.of('Unload')
        (self.house.directory / 'kept/kept-state').write_bytes(b'SNZSTAT1' + bytes(7))
        self.assertEqual(self.count(), 4)


class Killed(CountingTest):
    """Wherever it strikes, what is there afterwards was exported as a whole, and is never older than what somebody was told is kept."""

    def test_the_daemon_while_it_keeps_the_state(self):
        dice = random.Random(os.environ.get('SNOOZE_SEED', '7'))
        self.start()
        kept = told = 0
        for _ in range(12):
            told = max(told, self.count())
            self.client.send('Unload', '()', (), PLUGIN, COUNTING)
            GLib.usleep(int(dice.random() ** 2 * 20000))
            self.house.restart_daemon()
            now = self.ask('look')['count']
            self.assertIn(now, (kept, told))
            # One that was not asked to leave yet, or has kept it: nothing of it is lost. Or it left after it was exported.
            self.assertEqual(now, told)
            kept = told = now

    def test_the_plugin_while_it_gives_it_away(self):
        dice = random.Random(os.environ.get('SNOOZE_SEED', '7'))
        self.start()
        kept = 0
        for _ in range(12):
            told = self.count()
            pid = self.get('Pid')
            answer = self.client.send('Unload', '()', (), PLUGIN, COUNTING)
            GLib.usleep(int(dice.random() ** 2 * 10000))
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            wait_for(lambda: answer, 'the end')
            self.bring_up()
            kept_now = self.ask('look')['count']
            self.assertIn(kept_now, (kept, told))
            kept = kept_now

    def fall_while_leaving(self, method):
        """What it was asked is waited for."""
        hanging = self.client.send('Call', '(sa{sv})', ('hang', {}), PLUGIN, COUNTING)
        self.ask('look')
        told, pid = self.house.watcher.listen(PLUGIN, 'StateChanged', COUNTING), self.get('Pid')
        answer = self.client.send(method, interface=PLUGIN, path=COUNTING)
        self.wait_for_state('draining')
        self.assertEqual(hanging, [])
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: answer and hanging, 'the answers')
        self.assertIsNone(answer[0][1])
        self.assertEqual(error_name(hanging[0][1]), ERROR + 'PluginFailed')
        wait_for(lambda: len(told) >= 2, 'its end to be told')
        return [state for state, _, _ in told]

    def test_the_plugin_while_it_is_to_leave(self):
        """It is gone, as was wanted, and not started again; but what it knew since the latest export is lost."""
        for method in 'Unload', 'Disable':
            with self.subTest(method):
                self.start()
                self.count()
                self.assertEqual(self.fall_while_leaving(method), ['draining', 'stopped'])
                self.assertEqual((self.get('State'), self.get('Restarts'), self.get('LastError')), ('stopped', 0, ''))
                self.wait_for_problem('fell before it had given its state away')
                self.problems.clear()
                self.house.kill_daemon()

    def test_the_plugin_while_it_is_to_be_restarted(self):
        self.start()
        self.assertEqual(self.fall_while_leaving('Restart')[:2], ['draining', 'stopped'])
        self.assertEqual((self.get('State'), self.get('Restarts')), ('running', 0))


class Hanging(CountingTest):
    """Told to end, it gives its name away and hangs with what it was asked before."""

    manifest = {'timeouts': {'provider': 1, 'shutdown': 4}}

    def leave(self):
        """By itself: it serves no more, and does not end."""
        self.start()
        self.told, self.pid = self.house.watcher.listen(PLUGIN, 'StateChanged', COUNTING), self.get('Pid')
        hanging = self.client.send('Call', '(sa{sv})', ('hang', {}), PLUGIN, COUNTING)
        self.ask('look')
        os.kill(self.pid, signal.SIGTERM)
        wait_for(lambda: self.client.owner('io.cloudsnooze.Plugin1.counting') is None, 'its name to be free')
        wait_for(lambda: hanging, 'the end of what it was asked')

    def test_one_that_does_not_end_is_killed_and_a_failure(self):
        self.leave()
        # Nobody is started beside it.
        self.wait_for_state('running')
        self.assertEqual((self.processes(), self.get('Restarts')), ([self.get('Pid')], 1))
        self.assertNotEqual(self.get('Pid'), self.pid)
        self.assertIn(('failed', 'draining', 'was leaving, did not end in time and was killed'), self.told)

    def test_one_that_is_unloaded_meanwhile_is_killed_and_stays_away(self):
        for method in 'Unload', 'Disable':
            with self.subTest(method):
                self.leave()
                answer = self.client.send(method, interface=PLUGIN, path=COUNTING)
                self.wait_for_state('stopped')
                wait_for(lambda answer=answer: answer, 'the answer')
                self.assertIsNone(answer[0][1])
                wait_for(lambda: self.told[-1][:2] == ('stopped', 'draining'), 'the end to be told')
                wait_for_file(lambda: not self.processes(), 'the one that was killed to be gone')
                self.assertEqual(self.get('Restarts'), 0)
                self.house.kill_daemon()

    def test_one_that_is_restarted_meanwhile(self):
        self.leave()
        self.of('Restart', client=self.house.client())
        self.assertEqual((self.get('Restarts'), self.get('State')), (0, 'running'))
        wait_for_file(lambda: self.processes() == [self.get('Pid')], 'the one that was killed to be gone')
        self.house.watcher.hear()
        self.assertNotIn('failed', [state for state, _, _ in self.told])


if __name__ == '__main__':
    tap.main()
