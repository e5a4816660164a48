# SPDX-License-Identifier: Apache-2.0
"""Events for a plugin of which another version is about to take over: they are held back, and may move or be called off meanwhile."""

import os
import time

import tap
from counting import CONTRACTS, COUNTING, CountingTest, wait_for_time
from eventful import SCHEMA, s, soon, t
from gi.repository import GLib
from harness import BUILD, MANAGER, PATH, PLUGIN, wait_for, wait_for_file

END = 'cloud.instance.termination'


class HeldTest(CountingTest):
    def begin(self, event, **more):
        """event: the seconds that it has for one; more: of all of them, in its manifest"""
        os.mkfifo(self.directory / 'go')
        self.place('1.0.0', contracts=[*CONTRACTS, 'EventHandler'], events={kind: more for kind in ('custom.*', 'cloud.*')},
                   timeouts={'export': 60, 'event': event})
        self.start()
        self.received = self.house.watcher.listen(MANAGER, 'EventReceived', PATH)
        self.finished = self.house.watcher.listen(MANAGER, 'EventFinished', PATH)
        self.moved = self.house.watcher.listen(MANAGER, 'EventMoved', PATH)
        self.cancelled = self.house.watcher.listen(MANAGER, 'EventCancelled', PATH)

    def hold(self, *behaviour):
        """behaviour: of the new version → the answers of Upgrade"""
        # Of one that was started anew nobody asks for its state but the swap: after an event the daemon would.
        (self.directory / 'behaviour').write_text('exports-late')
        self.of('Restart', client=self.house.client())
        self.place('1.1.0', *behaviour)
        upgrade = self.client.send('Upgrade', '(s)', ('1.1.0',), PLUGIN, COUNTING)
        wait_for_file((self.directory / 'asked').exists, 'the old version to be asked')
        return upgrade

    def let_go(self):
        with open(self.directory / 'go', 'w'):
            pass

    def emit(self, seconds=0, severity=1):
        deadline = int((time.time() + seconds) * 1_000_000) if seconds else 0
        return self.client.call('EmitEvent', '(suta{sv})', ('custom.test', severity, deadline, {}))[0]

    def end_of(self, identifier):
        wait_for(lambda: any(event == identifier for event, _, _ in self.finished), f'the end of {identifier}')
        return next((handled, rows) for event, handled, rows in self.finished if event == identifier)

    def handed(self):
        """Whatever any version was handed, in its order, up to now: of each the version, the id and the rest."""
        end = self.emit()
        self.end_of(end)
        lines = [tuple(line.split(' ', 2)) for line in (self.directory / 'events').read_text().splitlines()]
        self.assertEqual(lines[-1][:2], ('1.1.0', end))
        return lines[:-1]


class HeldEvents(HeldTest):
    """They have that time besides their own, but none after their deadline."""

    def test_those_behind_it_have_their_share(self):
        self.house.install_example(events={'custom.*': {'priority': 1}})
        self.begin(2, priority=9)
        self.hold()
        urgent = self.emit(12)
        _, rows = self.end_of(urgent)
        self.assertEqual([(row['plugin'], row.get('timed_out')) for row in rows], [('counting', True), ('example', None)])
        # It has its 2 s and what it is held back, up to its share.
        self.assertTrue(2_500_000 < rows[0]['usec'] < 11_000_000, rows)
        self.let_go()

    def test_the_new_version_handles_them(self):
        self.begin(2)
        upgrade = self.hold()
        held = {self.emit(), self.emit()}
        urgent = self.emit(8)
        wait_for(lambda: self.finished, 'its deadline')
        (identifier, handled, (row,)), = self.finished
        self.assertEqual((identifier, handled, row['timed_out'], upgrade), (urgent, False, True, []))
        self.assertGreater(row['usec'], 2_500_000)
        self.let_go()
        wait_for(lambda: len(self.finished) == 3, 'the others')
        for identifier, handled, (row,) in self.finished[1:]:
            self.assertIn(identifier, held)
            self.assertEqual((handled, row['result']['version']), (True, '1.1.0'), row)
            self.assertTrue(0 < row['result']['budget'] <= 2_000_000, row)


class HeldPings(HeldTest):
    """Behind an event that is held back lies a Ping, which tells that the plugin goes on with other things."""

    def test_the_old_version_does_not_answer_for_the_new_one(self):
        """Else the next event would be sent after the first, and what comes then behind both."""
        self.begin(30)
        self.hold()
        first, second = self.emit(severity=0), self.emit(severity=0)
        wait_for(lambda: len(self.received) == 2, 'both')
        # Which lies behind the Ping.
        self.of('CheckIdle', client=self.house.client())
        third = self.emit(severity=1)
        wait_for(lambda: len(self.received) == 3, 'the third')
        self.let_go()
        for identifier in (first, second, third):
            self.assertTrue(self.end_of(identifier)[0])
        self.assertEqual([line[:2] for line in self.handed()], [('1.1.0', identifier) for identifier in (first, third, second)])

    def held_for(self, seconds):
        """Two events, as long as that on the daemon's clock."""
        held = [self.emit(), self.emit()]
        wait_for(lambda: len(self.received) == 2, 'both')
        (self.directory / 'later').write_text(str(seconds))
        (self.directory / 'later').rename(self.house.directory / 'later')
        # So that it sees what time it is.
        self.of('CheckIdle', client=self.house.client())
        self.assertEqual(self.finished, [])
        return held

    def assert_well(self):
        self.assertEqual((self.get('Version'), self.get('State'), self.get('Healthy'), self.get('LastError')), ('1.1.0', 'running', True, ''))
        self.assertEqual((self.of('GetStatistics')[0]['timeouts'], self.problems), (0, []))

    def test_its_time_does_not_run_meanwhile(self):
        """Which is 10 s more than the event's."""
        self.house.preload('clocks', LATER=self.house.directory / 'later')
        self.begin(1)
        upgrade = self.hold()
        held = self.held_for(30)
        self.let_go()
        for identifier in held:
            self.assertTrue(self.end_of(identifier)[0])
        wait_for(lambda: upgrade, 'the old version to leave')
        self.handed()
        self.assertIsNone(upgrade[0][1])
        self.assert_well()

    def test_all_of_it_is_left_when_it_is_sent(self):
        self.house.preload('clocks', LATER=self.house.directory / 'later')
        self.begin(10)
        self.hold('blocks-at-its-first-event')
        held = self.held_for(19)
        (self.directory / 'asked').unlink()
        self.let_go()
        wait_for_file((self.directory / 'asked').exists, 'the new version to be at the first')
        # Longer than would be left otherwise.
        wait_for_time(2)
        self.assert_well()
        self.let_go()
        for identifier in held:
            self.assertTrue(self.end_of(identifier)[0])
        self.assert_well()


class HeldNews(HeldTest):
    """What is heard meanwhile of an event that is held back, or of one that the old version has had."""

    def begin(self, event, **more):
        self.house.install_plugin('source', BUILD / 'tests/bus/event-plugin', contracts=['CloudProvider', 'EventSource', 'RequestHandler'],
                                  config_schema=SCHEMA)
        super().begin(event, **more)

    def ask_source(self, method, identifier, **params):
        self.house.client().call('Call', '(sa{sv})', (method, {'id': s(identifier), **params}), PLUGIN, f'{PATH}/plugin/source')

    def announce(self, identifier, seconds=600, kind=END, severity=0):
        deadline = soon(seconds)
        self.ask_source('announce', identifier, type=s(kind), severity=GLib.Variant('i', severity), deadline=t(deadline))
        return deadline

    def receive(self, identifier, *arguments, **fields):
        deadline = self.announce(identifier, *arguments, **fields)
        wait_for(lambda: any(event['id'] == identifier for _, _, event in self.received), 'the notice')
        return deadline

    def move(self, identifier, seconds):
        deadline = self.announce(identifier, seconds)
        wait_for(lambda: (identifier, 'source', deadline) in self.moved, 'the news')
        return str(deadline)

    def cancel(self, identifier):
        self.ask_source('cancel', identifier)
        wait_for(lambda: (identifier, 'source') in self.cancelled, 'the news')

    def test_one_that_moves_comes_by_its_new_time_once(self):
        self.begin(30, moves=True)
        self.hold()
        self.receive('end')
        deadline = self.move('end', 1800)
        self.let_go()
        handled, (row,) = self.end_of('end')
        self.assertTrue(handled, row)
        self.assertEqual(self.handed(), [('1.1.0', 'end', deadline)])

    def test_one_that_is_put_off_may_be_held_back_until_then(self):
        self.begin(30)
        self.hold()
        self.receive('end', 4)
        deadline = self.move('end', 600)
        wait_for_time(5)
        self.assertEqual(self.finished, [])
        self.let_go()
        handled, (row,) = self.end_of('end')
        self.assertTrue(handled, row)
        self.assertGreater(row['result']['budget'], 3_000_000)
        self.assertEqual(self.handed(), [('1.1.0', 'end', deadline)])

    def test_one_that_is_brought_forward_comes_no_more_after_that(self):
        self.begin(30)
        self.hold()
        self.receive('end')
        self.move('end', 3)
        handled, (row,) = self.end_of('end')
        self.assertEqual((handled, row.get('timed_out'), row['error']), (False, True, 'has no more time: the end was brought forward'))
        self.let_go()
        self.assertEqual(self.handed(), [])

    def test_one_that_the_old_version_has_had_moves_once_for_the_new_one(self):
        self.begin(30, moves=True)
        first = self.receive('end')
        self.end_of('end')
        self.hold()
        # The second of them in the time that such news have to themselves.
        self.move('end', 1800)
        last = self.move('end', 3600)
        self.let_go()
        wait_for_file(lambda: 'moved' in (self.directory / 'events').read_text(), 'the word of it')
        self.assertEqual(self.handed(), [('1.0.0', 'end', str(first)), ('1.1.0', 'end', f'{last} moved')])

    def test_one_that_is_called_off_comes_no_more(self):
        """Nor is the new version told that what it never heard of is off."""
        self.begin(30)
        self.hold()
        self.receive('end')
        self.cancel('end')
        handled, rows = self.end_of('end')
        self.assertEqual((handled, [row['error'] for row in rows]), (False, ['was not asked: it was called off']))
        self.let_go()
        self.assertEqual(self.handed(), [])
        self.assertEqual([event.get('told') for event in self.client.call('ListEvents', '(u)', (10,))[0] if event['id'] == 'end'], [None])

    def test_those_behind_it_are_next_then(self):
        self.begin(30)
        self.hold()
        for identifier in ('one', 'two'):
            self.receive(identifier, kind='custom.test')
        self.cancel('one')
        self.end_of('one')
        self.receive('three', kind='custom.test', severity=1)
        self.let_go()
        for identifier in ('two', 'three'):
            self.assertTrue(self.end_of(identifier)[0])
        self.assertEqual([line[:2] for line in self.handed()], [('1.1.0', 'two'), ('1.1.0', 'three')])

    def test_the_new_version_hears_that_what_the_old_one_has_had_is_off(self):
        """And not that it has moved before, which nobody needs any more."""
        self.begin(30, moves=True)
        first = self.receive('end')
        self.end_of('end')
        self.hold()
        deadline = self.move('end', 1800)
        self.cancel('end')
        self.let_go()
        wait_for_file(lambda: 'cancelled' in (self.directory / 'events').read_text(), 'the word of it')
        self.assertEqual(self.handed(), [('1.0.0', 'end', str(first)), ('1.1.0', 'end', f'{deadline} cancelled')])


del CountingTest, HeldTest

if __name__ == '__main__':
    tap.main()
