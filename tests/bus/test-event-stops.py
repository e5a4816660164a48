# SPDX-License-Identifier: Apache-2.0
"""What handlers hear of a stop, our own or somebody else's: that it comes, that it is off, whoever dies on the way, and when it waits for them."""

import contextlib
import json
import os

import tap
from eventful import SCHEMA, EventTest, s, soon, t
from gi.repository import GLib
from harness import BUILD, HERE, MANAGER, PATH, QUIET, wait_for, wait_for_file
from pseudo_terminal import open_terminal


class Delays(EventTest):
    """Somebody's own poweroff or suspend."""

    LOGIND = 'org.freedesktop.login1'

    def setUp(self):
        super().setUp()
        self.stub = self.house.spawn(['/usr/bin/python3', HERE / 'logind-stub.py'], 'logind.log')
        self.house.wait_for_owner(self.LOGIND, self.stub)
        self.taken = self.client.listen('test.Logind', 'Inhibited')
        self.released = self.client.listen('test.Logind', 'Released')

    def prepare(self, what, begins):
        self.client.call('Prepare', '(sb)', (what, begins), 'test.Logind', '/org/freedesktop/login1', self.LOGIND)

    def install_handler(self, **more):
        self.house.install_plugin('handler', BUILD / 'tests/bus/event-plugin', contracts=['EventHandler', 'RequestHandler'],
                                  events={'snooze.stop.pending': {'priority': 1}}, config_schema=SCHEMA)
        self.settings['handler'] = more

    def test_logind_waits_until_the_handlers_ended(self):
        self.install_handler(mode='wait')
        self.start()
        wait_for(lambda: len(self.taken) == 2, 'the locks')
        self.assertEqual(sorted(self.taken), [('shutdown', 'delay'), ('sleep', 'delay')])
        self.prepare('Shutdown', True)
        wait_for(lambda: self.notes, 'the handler')
        event = self.received[0][2]
        self.assertEqual((event['type'], event['source'], event['data']['action']), ('snooze.stop.pending', 'logind', 'stop'))
        # Within the time that logind waits.
        self.assertLess(event['deadline'] - event['timestamp'], 3_000_000)
        self.assertEqual(self.released, [])
        self.ask('handler', 'release')
        wait_for(lambda: self.released, 'the lock to be given back')
        self.end_of(event['id'])

    def test_it_is_taken_anew_after_the_sleep(self):
        self.install_handler()
        self.start()
        wait_for(lambda: len(self.taken) == 2, 'the locks')
        self.prepare('Sleep', True)
        wait_for(lambda: self.released, 'the lock to be given back')
        self.assertEqual(self.received[0][2]['data']['action'], 'suspend')
        self.prepare('Sleep', False)
        wait_for(lambda: len(self.taken) == 3, 'the lock again')
        self.prepare('Sleep', True)
        wait_for(lambda: len(self.released) == 2, 'the lock to be given back')
        self.assertEqual(len(self.received), 2)

    def test_a_shutdown_that_is_called_off_is_cancelled(self):
        self.install_handler(mode='wait')
        self.start()
        wait_for(lambda: len(self.taken) == 2, 'the locks')
        self.prepare('Shutdown', True)
        wait_for(lambda: self.notes, 'the handler')
        self.prepare('Shutdown', False)
        identifier = self.received[0][0]
        self.noted(f'handler cancelled {identifier}')
        self.assertEqual(self.cancelled, [(identifier, 'logind')])
        self.ask('handler', 'release')
        self.end_of(identifier)

    def test_one_who_hangs_keeps_the_machine_no_longer_than_logind_would(self):
        self.install_handler(mode='wait')
        self.start()
        wait_for(lambda: len(self.taken) == 2, 'the locks')
        self.prepare('Shutdown', True)
        wait_for(lambda: self.released, 'the lock to be given back')
        _, results = self.end_of(self.received[0][0])
        self.assertTrue(results[0]['timed_out'])

    def test_a_forged_signal_changes_nothing(self):
        self.install_handler()
        self.start()
        wait_for(lambda: len(self.taken) == 2, 'the locks')
        for destination in (None, self.client.owner('io.cloudsnooze.Snooze1')):
            for signal_ in ('PrepareForShutdown', 'PrepareForSleep'):
                self.client.connection.emit_signal(destination, '/org/freedesktop/login1', 'org.freedesktop.login1.Manager', signal_,
                                                   GLib.Variant('(b)', (True,)))
        self.client.connection.flush_sync(None)
        # Once this is heard, so was what came before it.
        self.end_of(self.emit())
        self.assertEqual((self.released, len(self.received)), ([], 1))

    def test_our_own_stop_is_not_announced_twice(self):
        self.install_handler()
        self.house.install_cloud()
        self.start(dry_run=False, provider='cloud', max_delay_seconds=1)
        self.house.wait_for_provider()
        wait_for(lambda: len(self.taken) == 2, 'the locks')
        self.client.call('StopInstance', '(sa{sv})', ('a test', {}))
        wait_for(lambda: self.client.get('State') == 'stopped', 'the stop')
        self.prepare('Shutdown', True)
        wait_for(lambda: self.released, 'the lock to be given back')
        self.assertEqual([kind for _, kind, _ in self.received], ['snooze.stop.pending'])


class Stops(EventTest):
    def install_handler(self, identifier, priority, **settings):
        self.house.install_plugin(identifier, BUILD / 'tests/bus/event-plugin', contracts=['EventHandler', 'RequestHandler'],
                                  events={'snooze.stop.pending': {'priority': priority}}, config_schema=SCHEMA)
        self.settings[identifier] = settings

    def test_one_that_is_called_off_reaches_who_was_asked_and_nobody_else(self):
        self.install_handler('busy', 9, mode='wait')
        self.install_handler('spared', 1)
        self.house.replay(QUIET)
        self.start(naptime_minutes=0.02, min_uptime_minutes=0, warning_minutes=60, sample_interval_seconds=0.1,
                   check_interval_seconds=1)
        wait_for(lambda: self.notes, 'the handler')
        scheduled = self.received[0][0]
        self.noted(f'busy handles {scheduled}')
        self.client.call('CancelStop', '(s)', ('not now',))
        self.noted(f'busy cancelled {scheduled}')
        self.assertEqual(self.cancelled, [(scheduled, 'snoozed')])
        # Who hears of a stop as such hears of its end by an event of its own.
        wait_for(lambda: len(self.received) >= 2, 'the other event')
        other, _, event = self.received[1]
        self.assertTrue(event['data']['cancelled'])
        wait_for(lambda: f'busy handles {other}' in self.notes, 'the other event')
        self.ask('busy', 'release')
        _, results = self.end_of(scheduled)
        self.assertEqual([row['plugin'] for row in results], ['busy'])
        self.assertNotIn(f'spared handles {scheduled}', self.notes)

    def warned(self):
        """A handler that was told of an automatic stop, whose daemon is then killed."""
        self.install_handler('told', 1)
        self.house.replay(QUIET)
        self.start(naptime_minutes=0.02, min_uptime_minutes=0, warning_minutes=60, sample_interval_seconds=0.1,
                   check_interval_seconds=1)
        wait_for(lambda: self.notes, 'the handler')
        self.end_of(self.received[0][0])
        self.house.kill_daemon()

    def phases(self):
        return [event['data']['phase'] for _, kind, event in self.received if kind == 'snooze.stop.pending']

    def test_one_announced_by_a_daemon_that_was_killed_is_called_off_where_there_is_work_now(self):
        self.warned()
        self.house.replay({**QUIET, 'cpu_usage': 90})
        called_off = self.client.listen(MANAGER, 'StopCancelled', PATH)
        self.house.start_daemon()
        wait_for(lambda: len(self.received) == 2, 'the other event')
        identifier, _, event = self.received[1]
        self.assertEqual((event['data']['phase'], event['data']['cancelled']), ('cancelled', True))
        self.assertIn('snoozed started anew', event['data']['reason'])
        self.noted(f'told handles {identifier}')
        self.assertEqual(len(called_off), 1)
        wait_for(lambda: self.client.get('State') == 'active', 'the work to be seen')
        # Once is enough.
        self.house.restart_daemon()
        self.end_of(self.emit())
        self.assertEqual(self.phases(), ['scheduled', 'cancelled'])

    def test_one_announced_by_a_daemon_that_was_killed_is_announced_anew(self):
        self.warned()
        self.house.start_daemon()
        wait_for(lambda: self.phases().count('scheduled') == 2, 'the other announcement')
        self.assertEqual(self.phases(), ['scheduled', 'cancelled', 'scheduled'])

    def test_one_that_somebody_wants_is_not_called_off(self):
        self.install_handler('told', 1)
        self.start()
        self.client.call('StopInstance', '(sa{sv})', ('a test', {'delay': t(3_600_000_000)}))
        wait_for(lambda: self.notes, 'the handler')
        self.end_of(self.received[0][0])
        self.house.restart_daemon()
        wait_for(lambda: len(self.received) == 2, 'the other announcement')
        self.assertEqual(self.phases(), ['scheduled', 'scheduled'])
        self.client.call('CancelStop', '(s)', ('not now',))
        wait_for(lambda: len(self.received) == 3, 'the end')
        self.assertEqual(self.phases(), ['scheduled', 'scheduled', 'cancelled'])


class Terminals(EventTest):
    """The whole way to who sits there: the daemon's event, plugin terminal, a terminal."""

    def install_terminal(self):
        devices = self.house.directory / 'dev'
        (devices / 'pts').mkdir(parents=True)
        master = open_terminal(self, devices / 'pts/0')
        self.house.place_plugin('terminal', BUILD / 'plugins/terminal/terminal', json.loads((BUILD / 'plugins/terminal/plugin.json').read_text()),
                                variables={'SNOOZE_TERMINAL_DEVICES': devices})
        return master

    def test_they_are_told_at_once_and_again_a_minute_before_the_end(self):
        master = self.install_terminal()
        self.house.replay(QUIET)
        # The shortest warning that is worth a reminder is 90 s long: the test takes the 32 s until then.
        self.start(naptime_minutes=0.02, min_uptime_minutes=0, warning_minutes=92 / 60, sample_interval_seconds=0.1,
                   check_interval_seconds=1)
        told = []
        for phase, left in (('scheduled', '1 min 3[0-2] s'), ('reminder', '(1 min|5[0-9] s)')):
            wait_for(lambda: len(self.finished) > len(told), phase)
            _, _, event = self.received[len(told)]
            identifier, handled, results = self.finished[len(told)]
            self.assertEqual((event['id'], event['data']['phase'], handled), (identifier, phase, True))
            self.assertEqual([(row['plugin'], row['result']['terminals']) for row in results], [('terminal', 1)])
            # Whatever else runs on this machine may tell every terminal of it something, too.
            self.assertIn('\r\n\a' + event['data']['notice'] + '\r\n', os.read(master, 4096).decode())
            self.assertRegex(event['data']['notice'], rf'^Dry run: This machine would stop at .* \(in {left}\): idle since ')
            told.append(event['timestamp'])
        stop = self.client.get('NextStop')
        self.assertEqual(self.client.get('State'), 'warning')
        self.assertLess(abs(stop - told[1] - 60_000_000), 10_000_000)


    def test_no_test_writes_to_a_terminal_of_this_machine(self):
        """One that takes what others write to it hears nothing of the plugin as every test installs it."""
        master = open_terminal(self, None)
        self.house.install_stock()
        self.house.replay(QUIET)
        self.start(naptime_minutes=0.02, min_uptime_minutes=0, warning_minutes=60, sample_interval_seconds=0.1, check_interval_seconds=1)
        wait_for(lambda: self.finished, 'the notice')
        _, _, results = self.finished[0]
        self.assertEqual([(row['plugin'], row['result']['terminals']) for row in results], [('terminal', 0)])
        _, _, event = self.received[0]
        with contextlib.suppress(BlockingIOError):
            # Whatever else runs on this machine may tell every terminal of it something, too.
            self.assertNotIn(event['data']['notice'], os.read(master, 65536).decode())


class Terminations(EventTest):
    def test_no_stage_is_entered_while_the_cloud_is_about_to_end_the_machine(self):
        self.house.replay(QUIET)
        self.start(naptime_minutes=0.02, min_uptime_minutes=0, warning_minutes=60, sample_interval_seconds=0.1,
                   check_interval_seconds=1)
        wait_for(lambda: self.client.get('State') == 'warning', 'the warning')
        identifier = self.emit('cloud.spot.interrupt', severity=3, deadline=soon(600))
        wait_for(lambda: self.client.get('State') == 'idle', 'the end of the warning')
        self.assertIn('cloud.spot.interrupt announced by', self.client.get('Reason'))
        self.assertEqual(self.client.get('NextStop'), 0)
        # Nor by a daemon that was killed, once the event is on the disk.
        self.end_of(identifier)
        self.house.restart_daemon()
        wait_for_file(lambda: 'cloud.spot.interrupt' in self.client.get('Reason'), 'the reason')
        self.assertEqual(self.client.get('NextStop'), 0)

    def test_it_ends_with_the_cancellation(self):
        self.source('CloudProvider')
        self.house.replay(QUIET)
        self.start(naptime_minutes=0.02, min_uptime_minutes=0, warning_minutes=60, sample_interval_seconds=0.1,
                   check_interval_seconds=1)
        self.watched()
        self.announce('end', type=s('cloud.instance.termination'), deadline=t(soon(600)))
        wait_for_file(lambda: 'announced by source' in self.client.get('Reason'), 'the reason')
        self.ask('source', 'cancel', id=s('end'))
        wait_for(lambda: self.client.get('State') == 'warning', 'the warning')


del EventTest

if __name__ == '__main__':
    tap.main()
