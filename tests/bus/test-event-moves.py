# SPDX-License-Identifier: Apache-2.0
"""The end of the machine that comes at another time than it was announced for: it stays the same event, nobody is told that it is off, and nobody
does again what he has done."""

import json
import time

import tap
from eventful import EventTest, s, soon, t
from harness import BUILD, PATH, PLUGIN, QUIET, wait_for, wait_for_file

END = 'cloud.instance.termination'
MINUTE = 60_000_000


class Moves(EventTest):
    def begin(self, **configuration):
        self.source('CloudProvider')
        self.start(**configuration)
        self.watched()

    def announce_end(self, deadline, kind=END):
        self.announce('end', type=s(kind), deadline=t(deadline))

    def move(self, deadline):
        """The deadline by which it is known from then on."""
        times = len(self.moved) + 1
        self.announce_end(deadline)
        wait_for(lambda: len(self.moved) == times, 'the news')
        self.assertEqual(self.moved[-1], ('end', 'source', deadline))
        return deadline

    def listed(self):
        event, = self.events()
        return event

    def test_whoever_has_ended_is_told_if_he_wants_to_know_and_asked_no_second_time(self):
        self.install('keen', priority=9, moves=True)
        self.install('content', priority=5)
        self.begin()
        self.announce_end(soon(600))
        self.noted('source acknowledges end')
        for times, seconds in enumerate((1800, 300), 1):
            deadline = self.move(soon(seconds))
            self.noted('keen moves end', times)
            # Whoever has announced it anew waits for a word anew.
            self.noted('source acknowledges end', times + 1)
            wait_for(lambda: self.listed()['deadline'] == deadline, 'its new time on the disk')
            self.assertEqual((self.listed()['finished'], self.listed()['cancelled'], self.listed()['handled']), (True, False, True))
        self.assertEqual((len(self.received), len(self.finished), self.cancelled), (1, 1, []))
        self.assertEqual([self.notes.count(f'{name} handles end') for name in ('keen', 'content')], [1, 1])
        self.assertNotIn('content moves end', self.notes)
        # The next daemon knows it by its new time, and calls it off with all who were asked.
        self.house.restart_daemon()
        self.watched(2)
        self.assertEqual(self.listed()['deadline'], deadline)
        self.ask('source', 'cancel', id=s('end'))
        self.noted('keen cancelled end')
        self.noted('content cancelled end')
        self.assertEqual(self.notes.count('keen moves end'), 2)

    def test_a_moment_is_no_move_nor_is_what_somebody_counted_for_himself(self):
        self.install('keen', priority=9, moves=True)
        self.begin()
        deadline = soon(600)
        self.announce_end(deadline)
        self.noted('source acknowledges end')
        self.announce_end(deadline + 4_000_000)
        self.noted('source acknowledges end', 2)
        self.announce_end(0)
        self.noted('source acknowledges end', 3)
        # What is no end has the deadline by which it came.
        self.announce('other', type=s('cloud.instance.maintenance'), deadline=t(soon(600)))
        self.noted('source acknowledges other')
        self.announce('other', type=s('cloud.instance.maintenance'), deadline=t(soon(1800)))
        self.noted('source acknowledges other', 2)
        self.assertEqual((self.moved, [line for line in self.notes if 'moves' in line]), ([], []))
        self.assertEqual({event['id']: event['deadline'] for event in self.events()}['end'], deadline)

    def test_brought_forward_nobody_is_waited_for_beyond_his_part_of_it(self):
        self.install('hangs', priority=9, mode='wait', timeouts={'event': 3600})
        self.install('keen', priority=9, mode='wait', moves=True, timeouts={'event': 3600})
        self.install('last', priority=1)
        self.begin()
        self.client.call('LoadPlugin', '(s)', ('last',))
        self.announce_end(soon(3000))
        self.noted('hangs handles end')
        self.noted('keen handles end')
        self.move(soon(12))
        self.noted('keen moves end')
        self.ask('keen', 'release')
        handled, results = self.end_of('end')
        self.assertTrue(handled)
        self.assertEqual([(row['plugin'], row['handled'], row.get('error')) for row in results],
                         [('keen', True, None), ('hangs', False, 'has no more time: the end was brought forward'), ('last', True, None)])
        self.assertTrue(results[1]['timed_out'])
        self.assertLessEqual(results[2]['result']['budget'], 12e6)
        # Its late answer is nobody's, and it is asked as ever.
        self.ask('hangs', 'release')
        identifier = self.emit()
        self.noted(f'hangs handles {identifier}')
        self.ask('hangs', 'release')
        self.noted(f'keen handles {identifier}')
        self.ask('keen', 'release')
        handled, _ = self.end_of(identifier)
        self.assertTrue(handled)
        self.assertEqual(self.client.get('State', PLUGIN, f'{PATH}/plugin/hangs'), 'running')

    def test_put_off_those_who_come_have_the_time_that_there_is(self):
        self.install('first', priority=9, mode='wait')
        self.install('second', priority=1, timeouts={'event': 3600})
        self.begin()
        self.announce_end(soon(100))
        self.noted('first handles end')
        deadline = self.move(soon(1000))
        self.ask('first', 'release')
        _, results = self.end_of('end')
        self.assertEqual([row['plugin'] for row in results], ['first', 'second'])
        self.assertGreater(results[1]['result']['budget'], 500e6)
        wait_for(lambda: self.listed()['finished'], 'its end on the disk')
        self.assertEqual(self.listed()['deadline'], deadline)

    def test_one_that_moves_again_and_again_does_so_every_five_seconds(self):
        self.install('keen', priority=9, moves=True)
        self.begin()
        self.announce_end(soon(600))
        self.noted('source acknowledges end')
        begun, times, last = time.monotonic(), (soon(900), soon(1800)), soon(3600)
        for number in range(50):
            self.announce_end(times[number % 2])
        self.announce_end(last)
        wait_for(lambda: self.moved and self.moved[-1] == ('end', 'source', last), 'the last of them')
        most = 2 + (time.monotonic() - begun) // 5
        self.assertLessEqual(len(self.moved), most)
        wait_for(lambda: self.listed()['deadline'] == last, 'its new time on the disk')
        self.noted('keen moves end', len(self.moved))
        rows = self.snooze('history', '--kind', 'event').count('cloud.instance.termination: moved to ')
        self.assertEqual(rows, len(self.moved))

    def test_what_goes_back_meanwhile_has_not_moved(self):
        self.install('keen', priority=9, moves=True)
        self.begin()
        self.announce_end(soon(600))
        self.noted('source acknowledges end')
        begun = time.monotonic()
        deadline = self.move(soon(1800))
        # At once: five seconds later it would move again.
        announced = [self.client.send('Call', '(sa{sv})', ('announce', {'id': s('end'), 'type': s(END), 'deadline': t(moment)}),
                                      PLUGIN, f'{PATH}/plugin/source') for moment in (soon(900), deadline)]
        # Each comes to the daemon before the answer to it does.
        wait_for(lambda: all(announced), 'both to be announced')
        self.assertEqual([error for (_, error), in announced], [None, None])
        wait_for(lambda: self.notes.count('source acknowledges end') >= 2, 'the answer to them')
        last = self.move(soon(3600))
        self.assertGreater(time.monotonic() - begun, 4.9)
        self.assertEqual([moment for _, _, moment in self.moved], [deadline, last])

    def test_it_is_over_when_those_who_are_told_have_ended_too(self):
        self.install('keen', priority=9, mode='wait', moves=True)
        self.install('last', priority=1, mode='wait')
        self.begin()
        self.announce_end(soon(600))
        self.noted('keen handles end')
        self.ask('keen', 'release')
        self.noted('last handles end')
        self.move(soon(1800))
        self.noted('keen moves end')
        self.ask('last', 'release')
        # Behind its answer.
        self.end_of(self.emit_to_nobody())
        self.assertNotIn('source acknowledges end', self.notes)
        self.ask('keen', 'release')
        self.end_of('end')
        self.noted('source acknowledges end')

    def emit_to_nobody(self):
        return self.emit('custom')

    def test_a_daemon_that_dies_meanwhile_leaves_it_to_the_next(self):
        self.install('keen', priority=9, mode='wait', moves=True)
        self.begin()
        self.announce_end(soon(600))
        self.noted('keen handles end')
        self.ask('keen', 'release')
        self.noted('source acknowledges end')
        deadline = self.move(soon(1800))
        self.noted('keen moves end')
        self.house.restart_daemon()
        self.watched(2)
        self.noted('keen moves end', 2)
        self.assertEqual(self.listed()['deadline'], deadline)
        self.ask('keen', 'release')
        self.noted('source acknowledges end', 2)
        self.assertEqual(self.notes.count('keen handles end'), 1)

    def test_called_off_while_it_is_told(self):
        self.install('keen', priority=9, mode='wait', moves=True)
        self.begin()
        self.announce_end(soon(600))
        self.noted('keen handles end')
        self.move(soon(1800))
        self.noted('keen moves end')
        self.ask('source', 'cancel', id=s('end'))
        self.noted('keen cancelled end')
        self.ask('keen', 'release')
        self.end_of('end')
        self.noted('source acknowledges end')
        self.assertTrue(self.listed()['cancelled'])

    def test_staging_goes_by_its_new_time(self):
        self.house.replay(QUIET)
        self.begin(naptime_minutes=0.02, min_uptime_minutes=0, warning_minutes=60, sample_interval_seconds=0.1, check_interval_seconds=1)
        self.announce_end(soon(600))
        wait_for_file(lambda: 'announced by source' in self.client.get('Reason'), 'the reason')
        # In two days: until then the machine may stop, and come back.
        self.move(soon(2 * 86400))
        wait_for(lambda: self.client.get('State') == 'warning', 'the warning')
        self.move(soon(600))
        wait_for(lambda: self.client.get('State') == 'idle', 'the end of the warning')
        self.assertIn('announced by source', self.client.get('Reason'))

    def snooze(self, *arguments):
        process = self.house.spawn([BUILD / 'src/cli/cloudsnooze', *arguments], f'snooze-{len(self.house.processes)}.log')
        self.assertEqual(process.wait(), 0, process.output())
        return process.output()

    def test_people_are_told(self):
        self.begin()
        follow = self.house.spawn([BUILD / 'src/cli/cloudsnooze', 'events', '--follow', '--json'], 'follow.log')
        emitted = []

        def heard():
            # Not at each look: a user may call and emit only so often, and it may take long to listen.
            if not emitted or time.monotonic() - emitted[-1] > 0.2:
                emitted.append(time.monotonic())
                self.emit_to_nobody()
            return follow.output().strip()

        wait_for_file(heard, 'its first line')
        self.announce_end(soon(600))
        self.end_of('end')
        deadline = self.move(soon(1800))
        wait_for_file(lambda: '"moved"' in follow.output(), 'its line')
        told = [line for line in map(json.loads, follow.output().splitlines()) if line['what'] == 'moved']
        self.assertEqual([(line['id'], line['deadline']) for line in told], [('end', deadline)])
        wait_for(lambda: 'cloud.instance.termination: moved to ' in self.snooze('history', '--kind', 'event'), 'its row')


del EventTest

if __name__ == '__main__':
    tap.main()
