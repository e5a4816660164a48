# SPDX-License-Identifier: Apache-2.0
"""Events from their source through the journal to their handlers, and back, with real plugins."""

import contextlib
import heapq
import json
import os
import re
import signal
import sqlite3

import tap
from eventful import EventTest, s, soon, t
from gi.repository import Gio, GLib
from harness import BUILD, HERE, MANAGER, PATH, PLUGIN, SOURCE, wait_for, wait_for_file

# A sanitizer keeps what was freed, and takes its time: memory is weighed, and the whole of a burst sent, with the build as it ships.
WEIGHED = os.environ.get('SNOOZE_SANITIZE', 'none') == 'none'
PORTION = 1 if WEIGHED else 8
BURST = 10000 // PORTION
# What the daemon keeps of one source (ACKNOWLEDGEMENTS_MAX), and a flood in portions for which there is room.
ACKNOWLEDGEMENTS = 256
PER_SOURCE = 64  # of one source under way: EVENTS_PER_SOURCE_MAX
FLOOD = PER_SOURCE
TURNS_PER_SOURCE = 16  # urgent or not
TURNS_OF_USERS = 12  # of those that are not urgent, on their way to handlers at any time: TURNS_NOT_URGENT_OF_USERS_MAX
DATA_MAX = 16384  # bytes of an event's data, as JSON: EVENT_DATA_MAX
FLOOD_EVENTS = 64 * FLOOD // PORTION
# KiB. All of its text would be 32 MB, and as much again to send it.
FLOOD_MEMORY = 20 << 10
# Of a source that leaves the bound to the daemon: so many, or so many with so much text.
HELD = 1000 // PORTION
HELD_BULKY, BULK = 1000 // PORTION, 12000
# KiB: what is under way is two thirds of that, all of them would be nearly twice as much.
HELD_MEMORY = 22 << 10


def kept_state(house, identifier):
    with contextlib.closing(sqlite3.connect(f'file:{house.directory}/state/snooze.db?mode=ro', uri=True)) as database:
        row = database.execute('SELECT time, state FROM plugin_state WHERE id = ?', (identifier,)).fetchone()
    return row and (row[0], bytes(row[1]))


class Sources(EventTest):
    def test_what_a_source_announces_is_handed_out_and_then_acknowledged(self):
        self.source('CloudProvider')
        self.install('handler', priority=1)
        self.start()
        self.watched()
        self.announce('notice-1', type=s('cloud.instance.maintenance'))
        self.noted('source acknowledges notice-1')
        # By their clocks: of two senders one may be heard before the other.
        self.noted('handler handles notice-1')
        self.assertEqual([line for _, line in sorted(self.moments)],
                         ['source is watched ', 'handler handles notice-1', 'source acknowledges notice-1'])
        handled, results = self.end_of('notice-1')
        self.assertEqual((handled, [row['plugin'] for row in results]), (True, ['handler']))
        event = self.received[0][2]
        self.assertEqual((event['id'], event['source'], event['severity']), ('notice-1', 'source', 2))
        # 15 minutes, as the table says.
        self.assertAlmostEqual((event['deadline'] - event['timestamp']) / 60e6, 15, delta=0.5)
        listed, = self.events()
        self.assertEqual((listed['id'], listed['finished'], listed['handled'], listed['cancelled']), ('notice-1', True, True, False))
        self.assertEqual(listed['results'][0]['plugin'], 'handler')

    def test_an_id_is_handed_out_once_whatever_restarts(self):
        self.source()
        self.install('handler', priority=1)
        self.start()
        self.watched()
        self.announce('notice-1')
        self.noted('source acknowledges notice-1')
        # A plugin that has forgotten everything finds the same notice again: it is told that this was taken care of.
        self.announce('notice-1')
        self.noted('source acknowledges notice-1', 2)
        self.client.call('Restart', interface=PLUGIN, path=f'{PATH}/plugin/source')
        self.watched(2)
        self.announce('notice-1')
        self.noted('source acknowledges notice-1', 3)
        self.house.restart_daemon()
        self.watched(3)
        self.announce('notice-1')
        self.noted('source acknowledges notice-1', 4)
        self.assertEqual(self.notes.count('handler handles notice-1'), 1)
        self.assertEqual(len(self.received), 1)
        # Another source's id is another event.
        self.assertEqual(len(self.events()), 1)

    def test_a_source_that_died_before_it_acknowledged_is_told_again(self):
        self.install('source', ['EventSource'], mode='die at acknowledge')
        self.install('handler', priority=1)
        self.start()
        self.watched()
        self.announce('notice-1')
        self.noted('source acknowledges notice-1')
        (self.house.directory / 'survive').touch()
        # And again, where it died once more before it was to survive.
        wait_for(lambda: self.notes.count('source acknowledges notice-1') >= 2, 'the second time')
        self.assertEqual(self.notes.count('handler handles notice-1'), 1)

    def test_what_makes_no_sense_is_refused_and_told(self):
        directory = self.install_bus_source()
        self.install('handler', priority=1)
        self.start()
        self.noted('airwaves is watched ')
        self.assertTrue(directory.exists())
        good = {'id': s('x'), 'type': s('custom.test')}
        for wrong, expected in [({'type': s('custom.test')}, 'without an id'),
                                ({**good, 'id': s('')}, 'field id'),
                                ({**good, 'id': s('a' * 129)}, 'field id'),
                                ({**good, 'id': s('two\nlines')}, 'field id'),
                                ({**good, 'type': s('snooze.stop.pending')}, 'field type'),
                                ({**good, 'type': s('cloud.weather')}, 'field type'),
                                ({**good, 'type': s('cloud.spot.interrupt')}, 'CloudProvider'),
                                ({**good, 'severity': GLib.Variant('u', 4)}, 'field severity'),
                                ({**good, 'deadline': GLib.Variant('x', -1)}, 'field deadline'),
                                ({**good, 'data': s('text')}, 'field data'),
                                ({**good, 'data': GLib.Variant('a{sv}', {'long': s('x' * 20000)})}, 'no event'),
                                ({**good, 'colour': s('red')}, 'field colour')]:
            self.broadcast('Announce', GLib.Variant('(a{sv})', (wrong,)))
            wait_for(lambda: expected in self.last_error('airwaves'), f'a word about {wrong}')
        self.broadcast('Announce', GLib.Variant('(a{sv})', (good,)))
        self.noted('airwaves acknowledges x')
        self.assertEqual(len(self.received), 1)

    def test_only_the_clouds_voice_announces_what_the_cloud_and_the_system_say(self):
        """They stop services, signal jobs and run the administrator's script: a plugin without a permission must not make them up."""
        self.source()
        self.install('handler', priority=1)
        self.start()
        self.watched()
        forged = ['cloud.spot.interrupt', 'cloud.spot.rebalance', 'cloud.instance.termination', 'cloud.instance.maintenance',
                  'cloud.autoscaling.scale', 'system.disk.low', 'system.cpu.high', 'system.memory.pressure', 'system.network.down']
        for kind in forged:
            self.announce(kind, type=s(kind))
        self.announce('true', type=s('custom.test'))
        self.noted('source acknowledges true')
        # Its last error went when it answered: each is told in the journal, and counted.
        self.assertEqual((self.house.directory / 'snoozed.log').read_text().count('take the contract CloudProvider'), len(forged))
        statistics, = self.client.call('GetStatistics', interface=PLUGIN, path=f'{PATH}/plugin/source')
        self.assertEqual(statistics['errors'], len(forged))
        self.assertEqual([identifier for identifier, _, _ in self.received], ['true'])
        self.assertEqual([event['id'] for event in self.events()], ['true'])
        self.assertEqual([line for line in self.notes if line.startswith('handler')], ['handler handles true'])

    def install_bus_source(self, contracts=('EventSource',)):
        directory = self.house.install_plugin('airwaves', HERE / 'bus-source.py', contracts=list(contracts), language='python')
        (directory / 'introspection').write_text(str(SOURCE / 'introspection'))
        return directory

    def broadcast(self, member, parameters):
        self.client.connection.call_sync('io.cloudsnooze.Plugin1.airwaves', '/io/cloudsnooze/Plugin1', 'test.Source', member,
                                         parameters, None, 0, -1, None)

    def test_without_a_channel_it_is_heard_over_the_bus_and_nobody_else_is(self):
        self.install_bus_source()
        self.install('handler', priority=1)
        self.start()
        self.noted('airwaves is watched ')
        forged = GLib.Variant('(a{sv})', ({'id': s('forged'), 'type': s('cloud.spot.interrupt')},))
        interface = 'io.cloudsnooze.Plugin1.EventSource'
        for destination in (None, self.client.owner('io.cloudsnooze.Snooze1')):
            self.client.connection.emit_signal(destination, '/io/cloudsnooze/Plugin1', interface, 'Event', forged)
        self.client.connection.flush_sync(None)
        self.broadcast('Announce', GLib.Variant('(a{sv})', ({'id': s('true'), 'type': s('custom.test')},)))
        self.noted('airwaves acknowledges true')
        self.assertEqual([identifier for identifier, _, _ in self.received], ['true'])

    def test_what_it_knows_is_kept_when_it_announces_for_a_crash_may_come(self):
        self.install_bus_source(['EventSource', 'State'])
        self.start()
        self.noted('airwaves is watched ')
        self.broadcast('Announce', GLib.Variant('(a{sv})', ({'id': s('true'), 'type': s('custom.test')},)))
        self.noted('airwaves exports true')

    def test_what_it_knows_is_written_once_however_often_it_announces(self):
        self.install_bus_source(['EventSource', 'State'])
        self.start()
        self.noted('airwaves is watched ')
        times = []
        for count, name in enumerate(('true', 'true', 'other'), start=1):
            self.broadcast('Announce', GLib.Variant('(a{sv})', ({'id': s(name), 'type': s('custom.test')},)))
            wait_for(lambda: len([line for line in self.notes if line.startswith('airwaves exports')]) == count, 'the question for its state')
            # Behind it on the way to the disk: when this is kept, that is.
            self.client.call('GetStatistics', interface=PLUGIN, path=PATH + '/plugin/airwaves')
            self.client.call('SetConfiguration', '(s)', (json.dumps({'naptime_minutes': 40 + count}),))
            wait_for_file(lambda: kept_state(self.house, 'airwaves') and kept_state(self.house, 'airwaves')[1] == name.encode(), 'its state on the disk')
            times.append(kept_state(self.house, 'airwaves')[0])
        self.assertEqual(times[0], times[1])
        self.assertGreater(times[2], times[1])

    def flood(self, how, total):
        """Events of a source that takes no acknowledgement, each as soon as there is room for it."""
        self.install_bus_source()
        self.source()
        self.start()
        self.noted('airwaves is watched ')
        self.watched()
        before = self.memory()
        self.broadcast('TakeAcknowledgements', GLib.Variant('(s)', (how,)))
        for first in range(0, total, FLOOD):
            self.broadcast('Flood', GLib.Variant('(uu)', (first, FLOOD)))
            wait_for(lambda: len(self.finished) >= first + FLOOD, f'the end of {first + FLOOD} events')
        # Its neighbour is served as ever.
        self.announce('neighbour')
        self.noted('source acknowledges neighbour')
        if WEIGHED:
            self.assertLess(self.memory() - before, FLOOD_MEMORY)

    def taken_of_airwaves(self):
        return [line for line in self.notes if line.startswith('airwaves acknowledges ')]

    def test_one_that_refuses_its_acknowledgements_gets_no_more_of_them_than_a_ceiling_keeps(self):
        self.flood('busy', FLOOD_EVENTS)
        self.broadcast('TakeAcknowledgements', GLib.Variant('(s)', ('gladly',)))
        wait_for(lambda: len(self.taken_of_airwaves()) >= ACKNOWLEDGEMENTS, 'those that were kept', 120)
        # In their order: once this is heard, all that was due before it was.
        self.broadcast('Announce', GLib.Variant('(a{sv})', ({'id': s('last'), 'type': s('custom.test')},)))
        self.noted('airwaves acknowledges last')
        taken = self.taken_of_airwaves()
        self.assertEqual(len(taken), ACKNOWLEDGEMENTS + 1)
        self.assertEqual(taken[0], 'airwaves acknowledges flood-0')
        # What was given up is told when it is announced again, and handed out no second time.
        given_up = FLOOD_EVENTS - 1
        self.assertNotIn(f'airwaves acknowledges flood-{given_up}', taken)
        self.broadcast('Flood', GLib.Variant('(uu)', (given_up, 1)))
        self.noted(f'airwaves acknowledges flood-{given_up}')
        self.assertEqual(sum(identifier == f'flood-{given_up}' for identifier, _, _ in self.received), 1)

    def test_one_that_never_answers_an_acknowledgement_lets_nothing_pile_up(self):
        self.flood('deaf', FLOOD_EVENTS)

    def test_a_disabled_source_is_not_heard(self):
        self.source()
        self.start()
        self.watched()
        self.client.call('Disable', interface=PLUGIN, path=f'{PATH}/plugin/source')
        wait_for(lambda: self.client.get('State', PLUGIN, f'{PATH}/plugin/source') == 'stopped', 'its end')
        self.client.call('Enable', interface=PLUGIN, path=f'{PATH}/plugin/source')
        # Without anybody who asks for it.
        self.watched(2)

    def test_ten_thousand_events_in_a_burst(self):
        self.source()
        self.install('first', priority=9, mode='quiet')
        self.install('second', priority=1, mode='quiet')
        self.start()
        self.watched()
        before = self.memory()
        heard = []  # (member, event), in the daemon's order
        self.client.connection.signal_subscribe(None, MANAGER, None, PATH, None, Gio.DBusSignalFlags.NONE,
                                                lambda c, sender, p, i, member, parameters: heard.append((member, parameters.unpack()[0])))
        self.ask('source', 'burst', count=GLib.Variant('i', BURST))
        wait_for(lambda: len(self.finished) >= BURST, 'the end of all', 240)
        self.assertEqual(len({identifier for identifier, _, _ in self.finished}), BURST)
        for _, handled, results in self.finished:
            self.assertEqual((handled, [row['plugin'] for row in results]), (True, ['first', 'second']))
            first, second = [row['result']['entered'] for row in results]
            self.assertLess(first, second)
        self.assert_the_urgent_went_first()
        self.assert_nobody_waited_for_the_less_urgent([(member, int(event)) for member, event in heard if member in ('EventReceived', 'EventFinished')])
        if WEIGHED:
            self.assertLess(self.memory() - before, 48 << 10)

    def hold(self, count, bulk=0):
        """A source that keeps to the contract and leaves the bound to the daemon has so many: each is handled once, and it is not ended for
        that. By how many KiB the daemon grew in between, at most."""
        self.install_bus_source()
        self.install('handler', priority=1, mode='quiet')
        self.start()
        self.noted('airwaves is watched ')
        before = self.peak_from_now()
        self.broadcast('Hold', GLib.Variant('(uu)', (count, bulk)))
        wait_for(lambda: len(self.finished) >= count, 'the end of all', 240)
        self.assertEqual(sorted(identifier for identifier, _, _ in self.finished), [f'{number:06}' for number in range(count)])
        self.assertTrue(all(handled for _, handled, _ in self.finished))
        self.assertNotIn('floods', (self.house.directory / 'snoozed.log').read_text())
        return self.peak() - before

    def test_a_source_may_leave_the_bound_to_the_daemon(self):
        self.hold(HELD)
        # Each time at half of the room, and not for every place.
        self.assertLess(self.notes.count('airwaves is watched '), HELD // (PER_SOURCE // 2) + 2)

    def test_what_finds_no_room_is_nowhere_in_memory(self):
        grown = self.hold(HELD_BULKY, BULK)
        if WEIGHED:
            self.assertLess(grown, HELD_MEMORY)

    def assert_the_urgent_went_first(self):
        """By how many places the events of each severity were handed out later than they were announced, on average: without regard to
        severity, that is about 0 for all. 64 are on their way at any time, and what is not urgent waits."""
        entered = sorted((results[0]['result']['entered'], int(identifier)) for identifier, _, results in self.finished)
        lags = {severity: [] for severity in range(4)}
        for place, (_, number) in enumerate(entered):
            lags[number % 4].append(place - number)
        info, warning, urgent, critical = (sum(lags[severity]) / len(lags[severity]) for severity in range(4))
        # Events 4 n to 4 n + 3 have severity 0 to 3, so that in the order of announcement each is as late as the other.
        self.assertGreater(info - critical, 4)
        self.assertTrue(info > warning > urgent > critical, (info, warning, urgent, critical))

    def assert_nobody_waited_for_the_less_urgent(self, heard):
        """Of all that waited at that moment, the most severe is handed out, of these the one that came first. Of one source's at most 16 are
        on their way, so that the one in place n is handed out after n - 15 have ended; whatever was received before that waited then."""
        entered = {int(identifier): results[0]['result']['entered'] for identifier, _, results in self.finished}
        order = sorted(entered, key=lambda number: (entered[number], -(number % 4), number))
        waiting, handed_out, overtook = [], set(), 0
        heard = iter(heard)
        for place, number in enumerate(order):
            ended = place < TURNS_PER_SOURCE
            while not ended:
                member, event = next(heard)
                ended = member == 'EventFinished'
                if not ended and event not in handed_out:
                    heapq.heappush(waiting, (-(event % 4), event))
            handed_out.add(number)
            while waiting and waiting[0][1] in handed_out:
                heapq.heappop(waiting)
            if waiting:
                self.assertLess((-(number % 4), number), waiting[0], f'in place {place}')
                overtook += any(event < number and event not in handed_out for _, event in waiting)
        # Most of the critical ones passed somebody.
        self.assertGreater(overtook, BURST / 8)

    def peak_from_now(self):
        """KiB, all that is mapped; what is more from now on is the peak."""
        with open(f'/proc/{self.house.daemon.pid}/clear_refs', 'w') as reset:
            reset.write('5')
        return self.peak()

    def peak(self):
        with open(f'/proc/{self.house.daemon.pid}/status') as status:
            return int(re.search(r'^VmHWM:\s+(\d+) kB', status.read(), re.MULTILINE)[1])

    def memory(self):
        """KiB that are the daemon's own."""
        with open(f'/proc/{self.house.daemon.pid}/smaps_rollup') as rollup:
            return sum(int(n) for n in re.findall(r'^Private_\w+: +(\d+)', rollup.read(), re.MULTILINE))


class Handlers(EventTest):
    def test_priority_and_enabled_come_from_the_configuration(self):
        self.install('early', priority=9)
        self.install('late', priority=1)
        self.install('off', priority=5)
        self.settings['late'] = {'events': {'custom.*': {'priority': 99}}}
        self.settings['off'] = {'events': {'custom.test': {'enabled': False}}}
        self.start()
        _, results = self.end_of(self.emit())
        self.assertEqual([row['plugin'] for row in results], ['late', 'early'])
        _, results = self.end_of(self.emit('custom.other'))
        self.assertEqual([row['plugin'] for row in results], ['late', 'early', 'off'])

        # A change counts from the next event on, and is told.
        self.assertEqual(self.client.get('Events', PLUGIN, f'{PATH}/plugin/late'), {'custom.*': 99, 'cloud.*': 1})
        patch = {'plugins': {'plugin_configs': {'late': {'events': {'custom.*': {'priority': -1}}}}}}
        self.house.properties.clear()
        self.client.call('SetConfiguration', '(s)', (json.dumps(patch),))
        wait_for(lambda: any(changed.get('Events') == {'custom.*': -1, 'cloud.*': 1} for _, changed, _ in self.house.properties), 'the news')
        _, results = self.end_of(self.emit())
        self.assertEqual([row['plugin'] for row in results], ['early', 'late'])

    def test_mode_first_ends_with_the_first_that_handled_it(self):
        self.install('declines', priority=9, mode='decline')
        self.install('handles', priority=5)
        self.install('spared', priority=1)
        self.start(events={'custom.test': {'mode': 'first'}})
        handled, results = self.end_of(self.emit())
        self.assertEqual((handled, [row['plugin'] for row in results]), (True, ['declines', 'handles']))
        _, results = self.end_of(self.emit('custom.all'))
        self.assertEqual([row['plugin'] for row in results], ['declines', 'handles', 'spared'])

    def test_who_has_no_more_time_is_written_down_so(self):
        self.install('hangs', priority=9, mode='wait')
        self.install('last', priority=1)
        self.start()
        self.client.call('LoadPlugin', '(s)', ('hangs',))
        self.client.call('LoadPlugin', '(s)', ('last',))
        identifier = self.emit(deadline=soon(8))
        handled, results = self.end_of(identifier)
        self.assertTrue(handled)
        self.assertEqual([(row['plugin'], row['handled'], row.get('timed_out')) for row in results],
                         [('hangs', False, True), ('last', True, None)])
        # Its late answer is nobody's.
        self.ask('hangs', 'release')
        listed, = self.events()
        self.assertEqual([row['handled'] for row in listed['results']], [False, True])

    def test_a_deadline_that_has_passed_keeps_it_from_nobody(self):
        """Hibernation is announced as it begins, maintenance goes on after its beginning."""
        self.install('hangs', priority=9, mode='wait')
        self.install('second', priority=5)
        self.install('last', priority=1)
        self.start()
        for plugin in ('hangs', 'second', 'last'):
            self.client.call('LoadPlugin', '(s)', (plugin,))
        for deadline in (soon(0), soon(-3600)):
            _, results = self.end_of(self.emit(deadline=deadline))
            self.assertEqual([(row['plugin'], row['handled'], row.get('timed_out')) for row in results],
                             [('hangs', False, True), ('second', True, None), ('last', True, None)])
            for row in results[1:]:
                self.assertLessEqual(row['result']['budget'], 2e6)
                self.assertGreater(row['result']['budget'], 1e6)

    def test_a_deadline_that_lies_ahead_is_kept(self):
        """Many steps before a near one: shares that add up, however small."""
        names = [f'step-{i}' for i in range(6)]
        for i, name in enumerate(names):
            self.install(name, priority=9 - i)
        self.start()
        for name in names:
            self.client.call('LoadPlugin', '(s)', (name,))
        _, results = self.end_of(self.emit(deadline=soon(6)))
        self.assertEqual([row['plugin'] for row in results], names)
        for i, row in enumerate(results):
            self.assertLessEqual(row['result']['budget'], 6e6 / (len(names) - i))
            self.assertGreater(row['result']['budget'], 0)

    def test_each_is_told_its_share(self):
        self.install('alone', priority=9)
        self.install('beside', priority=5)
        self.install('equal', priority=5)
        self.install('last', priority=1)
        self.start(plugins={'timeouts': {name: {'event': 3600} for name in ('alone', 'beside', 'equal', 'last')}})
        _, results = self.end_of(self.emit(deadline=soon(900)))
        budget = {row['plugin']: row['result']['budget'] / 1e6 for row in results}
        # A third for each of three steps; who ends early leaves more to the others.
        self.assertAlmostEqual(budget['alone'], 300, delta=30)
        self.assertAlmostEqual(budget['beside'], 450, delta=30)
        self.assertAlmostEqual(budget['equal'], 450, delta=30)
        self.assertAlmostEqual(budget['last'], 900, delta=30)
        for row in results:
            self.assertLessEqual(row['result']['left'], row['result']['budget'])
            self.assertGreater(row['result']['left'], row['result']['budget'] - 30e6)
        # No more than its time-out, whatever the deadline.
        _, results = self.end_of(self.emit(deadline=soon(86400)))
        self.assertLessEqual({row['plugin']: row['result']['budget'] for row in results}['last'], 3600e6)
        # Nothing of it is anybody else's.
        self.assertNotIn('budget', self.received[0][2])
        self.assertNotIn('budget', self.events()[0])

    def test_what_one_that_blocks_does_not_say_of_its_state_is_no_time_out_of_its(self):
        self.install('handler', ['State'], mode='block', priority=1, timeouts={'export': 0.5})
        self.start()
        self.client.call('Set', '(ssv)', ('org.freedesktop.LogControl1', 'LogLevel', s('debug')), 'org.freedesktop.DBus.Properties',
                         '/org/freedesktop/LogControl1')
        identifier = self.emit()
        self.noted(f'handler handles {identifier}')
        wait_for_file(lambda: re.search(r'ExportState, .*Error\.TimedOut', self.house.daemon.output()), 'the question that nobody answered')
        (self.house.directory / 'survive').touch()
        handled, _ = self.end_of(identifier)
        self.assertTrue(handled)
        statistics, = self.client.call('GetStatistics', interface=PLUGIN, path=f'{PATH}/plugin/handler')
        self.assertEqual((statistics['timeouts'], statistics['errors']), (0, 0))

    def test_one_that_dies_of_it_is_asked_again_when_it_is_back(self):
        self.install('moody', priority=1, mode='die')
        self.start()
        identifier = self.emit()
        self.noted(f'moody handles {identifier}')
        (self.house.directory / 'survive').touch()
        handled, _ = self.end_of(identifier)
        self.assertTrue(handled)
        # More often, where it died once more before it was to survive.
        self.assertGreaterEqual(self.notes.count(f'moody handles {identifier}'), 2)

    def test_one_that_is_killed_over_it_has_not_forgotten_what_it_began(self):
        self.install('handler', ['State'], mode='wait', priority=1)
        self.start()
        identifier = self.emit()
        self.noted(f'handler handles {identifier}')
        # Nobody has answered, and it is on the disk. The database tells nobody.
        wait_for_file(lambda: (kept_state(self.house, 'handler') or (0, b''))[1] == identifier.encode(), 'what it has begun in the database')
        os.kill(self.client.get('Pid', PLUGIN, f'{PATH}/plugin/handler'), signal.SIGKILL)
        self.noted(f'handler handles {identifier}', 2)
        self.assertEqual([line for _, line in sorted(self.moments)],
                         [f'handler handles {identifier}', f'handler knows {identifier}', f'handler handles {identifier}'])
        self.ask('handler', 'release')
        self.assertTrue(self.end_of(identifier)[0])

    def test_the_most_urgent_goes_first(self):
        self.install('handler', priority=1, mode='wait')
        self.start()
        # What was let in before it all has its turns already, and waits for answers.
        ordinary = [self.emit(severity=severity) for severity in [0] * 20 + [2] * (TURNS_PER_SOURCE - TURNS_OF_USERS)]
        wait_for(lambda: len(self.notes) == TURNS_PER_SOURCE, 'the turns of one user')
        low, high = self.emit(severity=0), self.emit('cloud.spot.interrupt', severity=3)
        wait_for(lambda: len(self.received) == len(ordinary) + 2, 'all of them')
        self.assertEqual(len(self.notes), TURNS_PER_SOURCE)
        self.ask('handler', 'release')
        wait_for(lambda: len(self.notes) > TURNS_PER_SOURCE, 'the next turns')
        self.assertEqual(self.notes[TURNS_PER_SOURCE], f'handler handles {high}')
        self.ask('handler', 'release')
        self.end_of(high)
        wait_for(lambda: f'handler handles {low}' in self.notes, 'the last')
        self.ask('handler', 'release')
        for identifier in [*ordinary, low]:
            self.end_of(identifier)


    def block(self, *contracts):
        """A handler that does nothing else while it is at an event, and has as many before it as users may."""
        self.source(*contracts)
        self.install('handler', priority=1, mode='block')
        self.start()
        self.watched()
        ordinary = [self.emit() for _ in range(TURNS_OF_USERS)]
        self.noted(f'handler handles {ordinary[0]}')
        return ordinary

    def unblock(self):
        (self.house.directory / 'survive').touch()

    def handled(self):
        return [line for line in self.notes if line.startswith('handler')]

    def test_at_one_that_blocks_the_urgent_is_next(self):
        ordinary = self.block('CloudProvider')
        # What is not urgent and no user's comes before users', too.
        self.announce('rebalance', type=s('cloud.spot.rebalance'), deadline=t(soon(600)))
        self.announce('interrupt', type=s('cloud.spot.interrupt'), deadline=t(soon(600)))
        wait_for(lambda: len(self.received) == len(ordinary) + 2, 'all of them')
        self.assertEqual(len(self.handled()), 1)
        self.unblock()
        for identifier in ['interrupt', 'rebalance', *ordinary]:
            self.assertTrue(self.end_of(identifier)[0])
        self.assertEqual(self.handled(), [f'handler handles {identifier}' for identifier in [ordinary[0], 'interrupt', 'rebalance', *ordinary[1:]]])

    def test_one_that_was_never_asked_of_it_hears_of_no_cancellation(self):
        self.block('CloudProvider')
        self.announce('rebalance', type=s('cloud.spot.rebalance'), deadline=t(soon(600)))
        wait_for(lambda: any(event == 'rebalance' for event, *_ in self.received), 'the notice')
        self.ask('source', 'cancel', id=s('rebalance'))
        handled, results = self.end_of('rebalance')
        self.assertEqual((handled, [row['error'] for row in results]), (False, ['was not asked: it was called off']))
        self.noted('source acknowledges rebalance')
        self.unblock()
        self.end_of(self.emit())
        self.assertFalse([line for line in self.handled() if 'rebalance' in line])

    def test_who_waits_for_one_that_blocks_waits_no_longer_than_his_share(self):
        self.block()
        self.announce('short', deadline=t(soon(3)))
        _, results = self.end_of('short')
        self.assertEqual([(row.get('timed_out'), row['error']) for row in results],
                         [(True, 'handler was not asked in time: it is busy with another event.')])
        self.unblock()

    def test_users_leave_room_for_what_the_cloud_says(self):
        """Two users fill everything that is theirs, before a handler that hangs: a warning that is not urgent comes through all the same."""
        self.source('CloudProvider')
        self.install('handler', priority=1, mode='wait')
        self.start()
        self.watched()
        clients = [self.house.client(uid) for uid in ((0, 65534) if os.geteuid() == 0 else (None,))]
        for client in clients:
            for _ in range(40):
                client.call('EmitEvent', '(suta{sv})', ('custom.flood', 1, soon(600), {}))
        wait_for(lambda: len(self.received) == 40 * len(clients), 'all of them')
        wait_for(lambda: len([line for line in self.notes if line.startswith('handler')]) == TURNS_OF_USERS, 'the turns of users')
        self.announce('rebalance', type=s('cloud.spot.rebalance'), deadline=t(soon(600)))
        self.noted('handler handles rebalance')
        self.assertEqual(len([line for line in self.notes if line.startswith('handler')]), TURNS_OF_USERS + 1)

    def test_data_is_counted_as_it_is_written(self):
        self.start()
        # {"text":"…"}: 11 bytes besides.
        for text, fits in (('x' * (DATA_MAX - 11), True), ('x' * (DATA_MAX - 10), False), ('\x01' * 2728, True), ('\x01' * 2729, False),
                           ('\x01' * 16000, False), ('"' * 8186, True), ('"' * 8187, False)):
            def emit():
                return self.client.call('EmitEvent', '(suta{sv})', ('custom.test', 1, 0, {'text': s(text)}))

            if fits:
                emit()
            else:
                with self.assertRaisesRegex(GLib.Error, 'Error.InvalidArgument: .*16384 bytes'):
                    emit()
        wait_for(lambda: len(self.finished) == 3, 'the end of those that fit')
        self.assertEqual(len(self.events()), 3)

    def test_what_a_program_wrote_is_for_root_alone(self):
        self.install('script', priority=1, mode='output')
        self.start()
        identifier = self.emit()
        _, results = self.end_of(identifier)
        self.assertEqual(results[0]['result'], {'kept': 'yes', 'parts': [{'kept': 'yes'}]})
        wait_for(lambda: self.events()[0]['finished'], 'its end on the disk')
        whole = {'kept': 'yes', 'script_output': '+ KEY=hunter2', 'parts': [{'kept': 'yes', 'other_output': 'hunter2'}]}
        self.assertEqual(self.events()[0]['results'][0]['result'], whole)
        self.assertIn('hunter2', repr(self.client.call('GetHistory', '(ttu)', (0, 0, 1000))))
        if os.geteuid() != 0:
            return
        stranger = self.house.client(65534)
        listed, = stranger.call('ListEvents', '(u)', (1000,))[0]
        self.assertEqual(listed['results'][0]['result'], {'kept': 'yes', 'parts': [{'kept': 'yes'}]})
        history = stranger.call('GetHistory', '(ttu)', (0, 0, 1000))
        self.assertIn(identifier, repr(history))
        self.assertNotIn('hunter2', repr(history))


class Cancellations(EventTest):
    def handled_and_called_off(self):
        self.start()
        self.watched()
        self.announce('notice-1', deadline=t(soon(600)))
        self.noted('handler handles notice-1')
        self.ask('source', 'cancel', id=s('notice-1'))
        self.noted('handler cancelled notice-1')

    def test_those_who_were_asked_hear_of_it_and_nobody_else_is_asked(self):
        self.source()
        self.install('early', priority=9)
        self.install('busy', priority=5, mode='wait')
        self.install('spared', priority=1)
        self.start()
        self.watched()
        self.announce('notice-1')
        self.noted('busy handles notice-1')
        self.ask('source', 'cancel', id=s('notice-1'))
        self.noted('early cancelled notice-1')
        self.noted('busy cancelled notice-1')
        wait_for(lambda: self.cancelled, 'the others to be told')
        self.assertEqual(self.cancelled, [('notice-1', 'source')])
        self.ask('busy', 'release')
        _, results = self.end_of('notice-1')
        self.assertEqual([row['plugin'] for row in results], ['early', 'busy'])
        self.noted('source acknowledges notice-1')
        self.assertNotIn('spared handles notice-1', self.notes)
        listed, = self.events()
        self.assertTrue(listed['cancelled'])
        self.assertEqual(sorted(row['plugin'] for row in listed['told']), ['busy', 'early'])

    def test_also_after_all_handlers_ended(self):
        self.source()
        self.install('handler', priority=1)
        self.start()
        self.watched()
        self.announce('notice-1', deadline=t(soon(600)))
        self.noted('source acknowledges notice-1')
        self.house.restart_daemon()
        self.watched(2)
        self.ask('source', 'cancel', id=s('notice-1'))
        self.noted('handler cancelled notice-1')
        wait_for_file(lambda: self.events()[0].get('told'), 'what came of it')
        self.assertEqual(len(self.finished), 1)

    def test_one_that_fell_over_it_hears_of_it_once_when_it_is_back(self):
        self.source()
        self.install('handler', priority=1, mode='die')
        self.handled_and_called_off()
        handled, (row,) = self.end_of('notice-1')
        self.assertEqual((handled, row['plugin'], 'timed_out' in row), (False, 'handler', False), row)
        # Behind whatever else it may be told.
        self.ask('handler', 'release')
        self.assertEqual([line for line in self.notes if line.startswith('handler')],
                         ['handler handles notice-1', 'handler cancelled notice-1'])

    def test_one_that_falls_when_it_has_heard_of_it_is_asked_no_second_time(self):
        self.source()
        self.install('handler', priority=1, mode='wait')
        self.handled_and_called_off()
        # Behind its answer to that.
        self.ask('handler', 'burst')
        os.kill(self.client.get('Pid', PLUGIN, f'{PATH}/plugin/handler'), signal.SIGKILL)
        self.end_of('notice-1')
        self.client.call('Load', interface=PLUGIN, path=f'{PATH}/plugin/handler')
        self.ask('handler', 'release')
        self.assertEqual([line for line in self.notes if line.startswith('handler')], ['handler handles notice-1', 'handler cancelled notice-1'])

    def test_one_that_the_daemon_died_over_is_told_after_its_restart(self):
        self.source()
        self.install('handler', priority=1, mode='wait')
        self.start()
        self.watched()
        self.announce('notice-1', deadline=t(soon(600)))
        self.noted('handler handles notice-1')
        plugin = self.client.get('Pid', PLUGIN, f'{PATH}/plugin/handler')
        self.assertGreater(plugin, 0)
        self.ask('source', 'cancel', id=s('notice-1'))
        self.noted('handler cancelled notice-1')
        self.house.restart_daemon()
        self.watched(2)
        self.noted('source acknowledges notice-1')
        listed, = self.events()
        self.assertTrue(listed['cancelled'])


class CommandLine(EventTest):
    def snooze(self, *arguments):
        """What it prints; its exit status has to be 0."""
        process = self.house.spawn([BUILD / 'src/cli/cloudsnooze', *arguments], f'snooze-{len(self.house.processes)}.log')
        self.assertEqual(process.wait(), 0, process.output())
        return process.output()

    def test_emit_and_list(self):
        self.install('handler', priority=1)
        self.install('declines', priority=0, mode='decline')
        self.start()
        identifier = self.snooze('event', 'emit', 'custom.deployed', '--severity', 'warning', '--deadline', '2min',
                                 '--data', '{"version": "1.2"}').strip()
        self.end_of(identifier)
        event = self.received[0][2]
        self.assertEqual((event['type'], event['severity'], event['data']), ('custom.deployed', 1, {'version': '1.2'}))
        self.assertAlmostEqual((event['deadline'] - event['timestamp']) / 60e6, 2, delta=0.5)
        wait_for(lambda: self.events()[0]['finished'], 'its end on the disk')
        self.assertRegex(self.snooze('events'), r'custom\.deployed\twarning\t.*\thandled: handler, declines \(not handled\)')
        listed, = json.loads(self.snooze('events', '--json'))
        self.assertEqual((listed['id'], listed['handled']), (identifier, True))
        # What nobody says is what the type has.
        self.end_of(json.loads(self.snooze('event', 'emit', 'cloud.spot.interrupt', '--json'))['id'])
        self.assertEqual(self.received[1][2]['severity'], 3)

    def test_follow_tells_everything_that_happens(self):
        self.source()
        self.install('handler', priority=1, mode='wait')
        self.start()
        self.watched()
        follow = self.house.spawn([BUILD / 'src/cli/cloudsnooze', 'events', '--follow', '--json'], 'follow.log')

        def happened():
            # Its last line may be half written.
            return [(line['what'], line['id']) for line in map(json.loads, follow.output().rpartition('\n')[0].splitlines())]

        def ping():
            identifier = self.emit('custom.ping')
            self.noted(f'handler handles {identifier}')
            self.ask('handler', 'release')
            self.end_of(identifier)

        # It listens from some moment on.
        wait_for_file(lambda: happened() or ping(), 'its first line')
        self.announce('notice-1')
        self.noted('handler handles notice-1')
        self.ask('source', 'cancel', id=s('notice-1'))
        self.noted('handler cancelled notice-1')
        self.ask('handler', 'release')
        self.noted('source acknowledges notice-1')
        wait_for_file(lambda: ('finished', 'notice-1') in happened(), 'the end')
        self.assertEqual([what for what, identifier in happened() if identifier == 'notice-1'], ['received', 'cancelled', 'finished'])
        follow.kill(signal.SIGTERM)


del EventTest

if __name__ == '__main__':
    tap.main()
