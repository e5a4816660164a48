# SPDX-License-Identifier: Apache-2.0
"""Whoever dies while an event is on its way: nothing is lost, nobody is asked twice who had ended, and what is too late by then is not done."""

import contextlib
import json
import os
import signal
import sqlite3

import tap
from eventful import EventTest, soon, t
from gi.repository import GLib
from harness import PATH, PLUGIN, continue_if_there, wait_for, wait_for_file

KILLED_BURST = 280


class Crashes(EventTest):
    def have_a_clock(self):
        """Of the daemon's own, which others set."""
        self.clock = self.house.directory / 'clock'
        self.house.preload('clocks', WALL_CLOCK=self.clock)

    def kill_daemon_until_later(self, seconds):
        """For the next one so many have passed."""
        self.house.kill_daemon()
        self.clock.write_text(str(seconds))

    def kept_events(self):
        """Each with those whose answers are on the disk."""
        with contextlib.closing(sqlite3.connect(f'file:{self.house.directory}/state/snooze.db?mode=ro', uri=True)) as database:
            return {identifier: {row['plugin'] for row in json.loads(data or '{}').get('results', [])}
                    for identifier, data in database.execute('SELECT id, data FROM event')}

    def test_exactly_the_unfinished_handlers_run_again(self):
        self.source()
        self.install('done', priority=9)
        self.install('beside', priority=5)
        self.install('caught', priority=5, mode='wait')
        self.install('later', priority=1)
        self.start()
        self.watched()
        self.announce('notice-1', deadline=t(soon(600)))
        self.noted('caught handles notice-1')
        self.noted('beside handles notice-1')
        # It says so before it answers.
        wait_for_file(lambda: self.kept_events().get('notice-1') == {'done', 'beside'}, 'their answers on the disk')
        self.house.kill_daemon()
        self.assertNotIn('later handles notice-1', self.notes)
        self.house.start_daemon()
        self.noted('caught handles notice-1', 2)
        self.ask('caught', 'release')
        self.noted('source acknowledges notice-1')
        self.noted('later handles notice-1')
        self.assertEqual(self.notes.count('done handles notice-1'), 1)
        self.assertEqual(self.notes.count('beside handles notice-1'), 1)
        _, results = self.end_of('notice-1')
        self.assertEqual(sorted(row['plugin'] for row in results), ['beside', 'caught', 'done', 'later'])

    def test_killed_again_and_again_nothing_is_lost_and_nobody_goes_back(self):
        """Wherever it dies: who has ended is not asked again once somebody behind him was."""
        self.source()
        self.install('first', priority=9)
        self.install('second', priority=1)
        self.start()
        self.watched()
        self.ask('source', 'burst', count=GLib.Variant('i', KILLED_BURST))
        for kill in range(6):
            reached = (kill + 1) * KILLED_BURST // 7
            wait_for(lambda: len({line for line in self.notes if line.startswith('second')}) >= reached, f'event {reached}')
            self.house.restart_daemon()
        everything = {f'{number:06}' for number in range(KILLED_BURST)}
        wait_for(lambda: {event['id'] for event in self.events() if event['finished']} == everything, 'the end of all')
        for event in self.events():
            self.assertEqual([row['plugin'] for row in event['results']], ['first', 'second'], event)
        for identifier in everything:
            asked = [line.split()[0] for _, line in sorted(self.moments) if line.endswith(f' handles {identifier}')]
            self.assertEqual(asked, sorted(asked), identifier)

    def test_one_whose_deadline_passed_meanwhile_ends_without_them(self):
        self.install('caught', priority=9, mode='wait')
        self.install('later', priority=1)
        self.have_a_clock()
        self.start()
        identifier = self.emit(deadline=soon(60))
        self.noted(f'caught handles {identifier}')
        self.kill_daemon_until_later(61)
        self.house.start_daemon()
        handled, results = self.end_of(identifier)
        self.assertEqual((handled, results), (False, []))
        self.assertEqual(len(self.notes), 1)

    def end_over_its_deadline(self, identifier, disable=False, **more):
        """Somebody is at work when the daemon dies, and the deadline passes before there is another one."""
        self.install('source', ['EventSource'], **more)
        self.install('done', priority=9)
        self.install('caught', priority=5, mode='wait')
        self.install('later', priority=1)
        self.have_a_clock()
        self.start()
        self.watched()
        for plugin in ('done', 'caught', 'later'):
            self.client.call('LoadPlugin', '(s)', (plugin,))
        self.announce(identifier, deadline=t(soon(60)))
        self.noted(f'caught handles {identifier}')
        if disable:
            self.client.call('Disable', interface=PLUGIN, path=f'{PATH}/plugin/source')
        self.kill_daemon_until_later(61)

    def test_one_of_a_source_is_acknowledged_only_after_the_others_had_their_time(self):
        self.end_over_its_deadline('notice-1')
        self.house.start_daemon()
        # The plugin went on meanwhile, and announces what it still has as soon as it is watched.
        self.noted('source acknowledges notice-1')
        handled, results = self.end_of('notice-1')
        self.assertEqual([(row['plugin'], row['handled'], row.get('timed_out')) for row in results],
                         [('done', True, None), ('caught', False, True), ('later', True, None)])
        self.assertTrue(handled)
        self.assertLessEqual(results[2]['result']['budget'], 2e6)
        told = [line for _, line in sorted(self.moments)]
        self.assertLess(told.index('later handles notice-1'), told.index('source acknowledges notice-1'))
        self.assertEqual((told.count('done handles notice-1'), told.count('caught handles notice-1')), (1, 2))

    def test_a_clock_that_is_set_forth_meanwhile_lets_no_event_lapse(self):
        """The source has been asked what still stands, and has not answered yet: nobody has waited for minutes."""
        self.end_over_its_deadline('notice-1', timeouts={'initialize': 60, 'event': 60})
        source, = self.client.connection.call_sync('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus',
                                                   'GetConnectionUnixProcessID', GLib.Variant('(s)', ('io.cloudsnooze.Plugin1.source',)),
                                                   None, 0, -1, None).unpack()
        os.kill(source, signal.SIGSTOP)
        self.addCleanup(continue_if_there, source)
        self.house.start_daemon()
        self.clock.write_text('86400')
        # One that is known for four seconds yet, by that clock: then the daemon looks at all of them.
        passing = self.emit('cloud.spot.interrupt', severity=3, deadline=soon(86400 - 5 * 60 + 4))
        self.noted(f'caught handles {passing}')
        self.ask('caught', 'release')
        self.end_of(passing)
        wait_for_file(lambda: passing not in self.kept_events(), 'the daemon to look at its events')
        os.kill(source, signal.SIGCONT)
        self.noted('source acknowledges notice-1')
        _, results = self.end_of('notice-1')
        self.assertEqual([(row['plugin'], row['handled'], row.get('timed_out')) for row in results],
                         [('done', True, None), ('caught', False, True), ('later', True, None)])
        self.assertEqual(self.notes.count('done handles notice-1'), 1)

    def test_one_whose_source_is_gone_is_not_acknowledged(self):
        self.end_over_its_deadline('notice-1', disable=True)
        self.house.start_daemon()
        _, results = self.end_of('notice-1')
        self.assertEqual([row['plugin'] for row in results], ['done'])
        self.assertNotIn('source acknowledges notice-1', self.notes)
        # The source is back after all, and has it: that is news.
        self.client.call('Enable', interface=PLUGIN, path=f'{PATH}/plugin/source')
        self.watched(2)
        self.assertEqual(self.notes.count('done handles notice-1'), 1)
        self.announce('notice-1')
        self.noted('done handles notice-1', 2)
        self.noted('caught handles notice-1', 2)
        self.ask('caught', 'release')
        self.noted('source acknowledges notice-1')

    def test_an_event_that_was_over_is_not_begun_again(self):
        self.install('handler', priority=1)
        self.start()
        identifier = self.emit()
        self.end_of(identifier)
        wait_for(lambda: self.events()[0]['finished'], 'its end on the disk')
        self.house.restart_daemon(signal.SIGKILL)
        second = self.emit()
        self.end_of(second)
        self.assertEqual(self.notes, [f'handler handles {identifier}', f'handler handles {second}'])


del EventTest

if __name__ == '__main__':
    tap.main()
