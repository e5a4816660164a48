#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A stop that everybody was told of, and what comes between: a person who wants another, changed settings, a pause."""

import json
import os
import signal
import time

import tap
from harness import BUILD, ERROR, HERE, MANAGER, PATH, continue_if_there, wait_for, wait_for_file
from stops import HASTY, HOUR, StopTest, b, s, t

SECOND = 1_000_000

# Idle at once; then there is all the time for what comes between.
WARNED = {**HASTY, 'warning_minutes': 60}


class WarnedTest(StopTest):
    settings = WARNED

    def setUp(self):
        super().setUp()
        self.scheduled = self.house.watcher.listen(MANAGER, 'StopScheduled', PATH)
        self.called_off = self.house.watcher.listen(MANAGER, 'StopCancelled', PATH)
        self.received = self.house.watcher.listen(MANAGER, 'EventReceived', PATH)
        self.cancelled = self.house.watcher.listen(MANAGER, 'EventCancelled', PATH)

    def told(self):
        """What handlers, terminals and desktops heard of stops."""
        return [event['data'] for _, kind, event in self.received if kind == 'snooze.stop.pending']

    def wait_until_told(self, times):
        wait_for(lambda: len(self.told()) >= times, f'what everybody is told, {times} times')

    def configure(self, **settings):
        """In the file."""
        self.house.configure({'dry_run': False, 'provider': 'cloud', 'max_delay_seconds': 300, **settings})

    def set(self, **settings):
        """For good, in the daemon that runs."""
        self.client.call('SetConfiguration', '(s)', (json.dumps(settings),))

    def be_warned(self):
        self.start()
        wait_for(self.warnings, 'the warning')
        self.wait_until_told(1)

    def hold_before_it_is_idle(self):
        """A delay hold that is there before the warning ends. Returns it."""
        self.configure(**{**HASTY, 'naptime_minutes': 60})
        self.house.start_daemon()
        self.house.wait_for_provider()
        held = self.delay_hold()
        self.set(naptime_minutes=HASTY['naptime_minutes'])
        return held


class Requested(WarnedTest):
    """A person wants what the machine was about to do by itself."""

    def install_busy_handler(self):
        """One that is at it until it is told to go on."""
        self.house.install_plugin('busy', BUILD / 'tests/bus/event-plugin', contracts=['EventHandler', 'RequestHandler'],
                                  events={'snooze.stop.pending': {'priority': 1}},
                                  config_schema={'mode': {'type': 'string', 'description': 'What it does', 'default': 'wait'}})
        self.notes = []
        self.house.watcher.connection.signal_subscribe(None, 'test.Event', 'Noted', None, None, 0,
                                                       lambda c, sender, p, i, m, parameters: self.notes.append(parameters.unpack()[0]))

    def states(self):
        """Of history, oldest first."""
        return [(row['previous'], row['state'], row['reason'])
                for row in reversed(self.client.call('GetHistory', '(ttu)', (0, 0, 1000))[0]) if row['kind'] == 'state']

    def test_another_time_is_told_to_everybody(self):
        self.be_warned()
        before = self.client.get('NextStop')
        self.stop('the server room is on fire', delay=t(60 * SECOND))
        self.wait_until_told(2)
        automatic, wanted = self.told()
        self.assertEqual(wanted['phase'], 'scheduled')
        self.assertLess(abs(wanted['stop_time'] - time.time() * SECOND - 60 * SECOND), 10 * SECOND)
        self.assertLess(wanted['stop_time'], automatic['stop_time'] - HOUR / 2)
        self.assertRegex(wanted['notice'], r'^This machine stops at .* \(in (1 min|5[0-9] s)\): [^ ]+: the server room is on fire\. ')
        self.assertNotIn('idle_since', wanted)
        self.assertEqual([reason for _, reason in self.scheduled][1:], [wanted['reason']])
        self.assertLess(abs(self.scheduled[1][0] - wanted['stop_time']), SECOND)
        self.assertLess(self.client.get('NextStop'), before - HOUR / 2)
        self.assertEqual(self.states()[-1], ('warning', 'warning', wanted['reason']))
        # It is no transition, and nothing was called off.
        self.assertEqual((self.warnings(), self.called_off), (1, []))

    def test_who_is_still_at_the_first_hears_that_the_second_takes_its_place(self):
        self.install_busy_handler()
        self.be_warned()
        first = self.received[0][0]
        wait_for(lambda: f'busy handles {first}' in self.notes, 'the handler')
        self.stop('the server room is on fire', delay=t(60 * SECOND))
        self.wait_until_told(2)
        second = self.received[1][0]
        wait_for(lambda: f'busy handles {second}' in self.notes, 'the handler again')
        self.assertIn(f'busy cancelled {first}', self.notes)
        self.assertEqual(self.cancelled, [(first, 'snoozed')])
        self.client.call('CancelStop', '(s)', ('it is out',))
        wait_for(lambda: len(self.cancelled) == 2, 'the second to be withdrawn')
        self.assertEqual(self.cancelled[1], (second, 'snoozed'))
        self.wait_until_told(3)
        # Idle again, it may warn again by then.
        self.assertEqual([data['phase'] for data in self.told()][:3], ['scheduled', 'scheduled', 'cancelled'])

    def test_one_without_delay_is_told_as_one(self):
        self.be_warned()
        self.stop('the server room is on fire')
        self.wait_for_state('stopped')
        self.wait_until_told(2)
        self.assertIn('the server room is on fire', self.told()[1]['notice'])
        self.assertLess(self.told()[1]['stop_time'], self.told()[0]['stop_time'] - HOUR / 2)

    def test_a_rehearsal_is_told_as_one(self):
        self.be_warned()
        self.stop('a rehearsal', **{'delay': t(60 * SECOND), 'dry-run': b(True)})
        self.wait_until_told(2)
        self.assertEqual([data['dry_run'] for data in self.told()], [False, True])
        self.assertRegex(self.told()[1]['notice'], '^Dry run: ')

    def test_it_outlives_a_restart_of_the_daemon(self):
        self.be_warned()
        self.stop('the server room is on fire', delay=t(HOUR // 2))
        self.wait_until_told(2)
        self.house.restart_daemon()
        self.wait_until_told(3)
        self.assertIn('the server room is on fire', self.told()[2]['reason'])
        self.assertEqual(self.client.get('State'), 'warning')

    def test_its_end_is_no_news(self):
        self.be_warned()
        self.stop('the server room is on fire', delay=t(SECOND))
        self.wait_for_state('stopped')
        events, = self.client.call('ListEvents', '(u)', (100,))
        self.assertEqual([event['data']['phase'] for event in events if event['type'] == 'snooze.stop.pending'], ['scheduled', 'scheduled'])

    def test_what_is_on_record_is_the_persons_word(self):
        self.start()
        self.wait_for_state('warning')
        self.stop('the server room is on fire')
        self.wait_for_state('stopped')
        row, = [row for row in self.client.call('GetHistory', '(ttu)', (0, 0, 1000))[0] if row['kind'] == 'stop']
        for told in (self.record(), row):
            self.assertIn('the server room is on fire', told['reason'])
            self.assertEqual(told['idle_since'], 0)


class Replaced(WarnedTest):
    """A person's stop follows another before the daemon has told anybody that the other is off."""

    # There is time to stop logind in it.
    settings = {**HASTY, 'warning_minutes': 6 / 60}

    def assert_told(self, reason, action):
        self.wait_until_told(3)
        self.assertEqual([(data['phase'], data['action']) for data in self.told()],
                         [('scheduled', 'stop'), ('cancelled', 'stop'), ('scheduled', action)])
        self.assertIn(reason, self.told()[1]['reason'])
        self.assertIn('and leaves', self.told()[2]['reason'])
        self.assertEqual(len(self.called_off), 1)
        self.assertIn(reason, self.called_off[0][0])

    def test_in_the_last_look_of_a_warning(self):
        logind = self.house.spawn(['/usr/bin/python3', HERE / 'logind-stub.py'], 'logind.log')
        self.house.wait_for_owner('org.freedesktop.login1', logind)
        self.addCleanup(continue_if_there, logind.pid)
        self.be_warned()
        os.kill(logind.pid, signal.SIGSTOP)
        end = self.client.get('NextStop')
        wait_for_file(lambda: time.time() * SECOND > end + SECOND / 2, 'the end of the warning')
        self.client.call('CancelStop', '(s)', ('somebody is back',))
        self.stop('and leaves', delay=t(SECOND), action=s('suspend'))
        os.kill(logind.pid, signal.SIGCONT)
        self.assert_told('somebody is back', 'suspend')
        self.wait_until_asked()
        self.assertEqual(self.actions(), ['suspend'])
        wait_for(lambda: 'stopping' in [state for state, _, _ in self.changes], 'the stop')
        # Else there was time to tell it.
        self.assertNotIn('active', [state for state, _, _ in self.changes][:[state for state, _, _ in self.changes].index('stopping')])


class BeforeTheFirstStep(WarnedTest):
    """A daemon was killed, the next one still reads what is held, and a person wants what it had told of."""

    def restart(self):
        self.gate = self.house.directory / 'slow'
        self.gate.touch()
        self.addCleanup(self.gate.unlink, missing_ok=True)
        self.house.kill_daemon()
        self.house.preload('late-database', LATE_DATABASE=self.gate)
        self.house.start_daemon()
        self.house.wait_for_provider()

    def test_in_a_warning(self):
        self.be_warned()
        self.restart()
        self.stop('and leaves', delay=t(HOUR // 2), action=s('suspend'))
        self.gate.unlink()
        self.wait_until_told(3)
        self.assertEqual([(data['phase'], data['action']) for data in self.told()],
                         [('scheduled', 'stop'), ('cancelled', 'stop'), ('scheduled', 'suspend')])
        self.assertIn('snoozed started anew', self.called_off[0][0])
        self.assertIn('and leaves', self.scheduled[-1][1])
        self.assertLess(abs(self.scheduled[-1][0] - time.time() * SECOND - HOUR / 2), 60 * SECOND)

    def restart_in_a_stop_that_waits(self):
        held = self.hold_before_it_is_idle()
        self.wait_for_state('stopping')
        # The next daemon takes back what this one told.
        self.wait_until_told(1)
        self.restart()
        os.close(held)

    def test_in_a_stop_that_waits_for_its_handlers(self):
        self.restart_in_a_stop_that_waits()
        self.stop('and leaves', action=s('suspend'))
        self.gate.unlink()
        self.wait_until_asked()
        self.assertEqual(self.actions(), ['suspend'])
        self.wait_until_told(3)
        self.assertEqual([data['phase'] for data in self.told()], ['scheduled', 'cancelled', 'scheduled'])
        self.assertIn('snoozed started anew', self.called_off[0][0])

    def test_later_than_a_stop_that_waits_for_its_handlers(self):
        self.restart_in_a_stop_that_waits()
        self.stop('and leaves', delay=t(HOUR), action=s('suspend'))
        self.gate.unlink()
        self.wait_until_told(3)
        self.assertEqual([(data['phase'], data['action']) for data in self.told()],
                         [('scheduled', 'stop'), ('cancelled', 'stop'), ('scheduled', 'suspend')])
        self.assertIn('snoozed started anew', self.called_off[0][0])


class Rehearsed(WarnedTest):
    settings = {**HASTY, 'naptime_minutes': 60}

    def test_it_is_known_to_be_one_before_it_is_told(self):
        self.start()
        news = self.house.watcher.listen(None, None, PATH)

        def told():
            for parameters in news:
                if parameters[0] == MANAGER and 'DryRun' in parameters[1]:
                    yield parameters[1]['DryRun']
                elif isinstance(parameters[0], int):
                    yield 'StopScheduled'

        for number, rehearsal in enumerate((True, False), 1):
            self.stop('a test', **{'delay': t(HOUR), 'dry-run': b(rehearsal)})
            wait_for(lambda: len(self.scheduled) == number, 'the warning')
            self.client.call('CancelStop', '(s)', ('not today',))
            wait_for(lambda: len(self.called_off) == number, 'its end')
        self.assertEqual(list(told()), [True, 'StopScheduled', False, 'StopScheduled'])


class Armed(WarnedTest):
    """Whether it is a rehearsal changes while everybody has been told of one, or of a stop."""

    def assert_told_as_other(self, before):
        """Nobody is surprised by a stop, and no handler has to guess whether what it did is over."""
        self.wait_until_told(3)
        self.assertEqual([(data['phase'], data['dry_run']) for data in self.told()],
                         [('scheduled', before), ('cancelled', before), ('scheduled', not before)])
        self.assertIn('anew', self.called_off[0][0])
        # A whole warning.
        self.assertGreater(self.told()[2]['stop_time'] - time.time() * SECOND, 59 * 60 * SECOND)
        self.assertEqual(self.client.get('State'), 'warning')
        self.assertEqual((self.stops_asked(), self.outcomes()), (0, []))

    def test_a_rehearsal_becomes_no_stop(self):
        self.configure(**WARNED, dry_run=True)
        self.be_warned()
        self.set(dry_run=False)
        self.assert_told_as_other(before=True)

    def test_a_stop_becomes_no_rehearsal(self):
        self.be_warned()
        self.set(dry_run=True)
        self.assert_told_as_other(before=False)

    def test_in_the_files_that_are_read_again(self):
        self.be_warned()
        self.configure(**WARNED, dry_run=True)
        os.kill(self.house.daemon.pid, signal.SIGHUP)
        self.assert_told_as_other(before=False)

    def test_in_the_files_of_a_daemon_that_is_restarted(self):
        self.be_warned()
        self.configure(**WARNED, dry_run=True)
        self.house.restart_daemon()
        self.assert_told_as_other(before=False)

    def test_another_action_is_told_as_one(self):
        self.be_warned()
        self.set(stop_action='hibernate')
        self.wait_until_told(3)
        self.assertEqual([(data['phase'], data['action']) for data in self.told()],
                         [('scheduled', 'stop'), ('cancelled', 'stop'), ('scheduled', 'hibernate')])
        self.assertIn('hibernate', self.called_off[0][0])
        self.assertEqual(self.stops_asked(), 0)

    def test_while_handlers_are_waited_for(self):
        self.addCleanup(os.close, self.hold_before_it_is_idle())
        self.wait_for_state('stopping')
        self.set(dry_run=True)
        wait_for(lambda: self.called_off, 'the end of the stop')
        self.wait_until_told(2)
        self.assertEqual([(data['phase'], data['dry_run']) for data in self.told()[:2]], [('scheduled', False), ('cancelled', False)])
        self.assertEqual(self.stops_asked(), 0)

    def test_what_a_person_asked_for_stays_what_it_was(self):
        # Nobody is warned by himself.
        self.configure(**{**WARNED, 'naptime_minutes': 60})
        self.start()
        self.stop('going home', delay=t(HOUR))
        self.wait_until_told(1)
        self.set(dry_run=True)
        self.client.call('CancelStop', '(s)', ('not today',))
        self.wait_until_told(2)
        self.assertEqual([(data['phase'], data['dry_run']) for data in self.told()], [('scheduled', False), ('cancelled', False)])
        self.assertIn('not today', self.called_off[0][0])

    def test_what_a_person_asked_for_stays_the_same_action(self):
        self.configure(**{**WARNED, 'naptime_minutes': 60})
        self.start()
        self.stop('going home', delay=t(5 * SECOND))
        self.wait_until_told(1)
        self.set(stop_action='hibernate')
        self.wait_for_state('stopped')
        self.assertEqual([data['action'] for data in self.told()], ['stop'])
        self.assertEqual(self.actions(), ['stop'])
        self.assertEqual(self.outcomes(), ['accepted'])


class Settings(WarnedTest):
    """Who answers a warning by changing the settings is heard."""

    def assert_stays_on(self):
        wait_for(lambda: self.called_off, 'the end of the warning')
        self.assertIn('settings were changed', self.called_off[0][0])
        self.wait_until_told(2)
        self.assertIn('This machine stays on: the settings were changed', self.told()[1]['notice'])

    def test_a_longer_naptime(self):
        self.be_warned()
        self.set(naptime_minutes=600)
        self.assert_stays_on()
        self.wait_for_state('idle')
        self.assertGreater(self.client.get('NextStop'), time.time() * SECOND + 10 * HOUR)
        self.assertEqual((self.warnings(), self.stops_asked()), (1, 0))

    def test_a_longer_warning(self):
        self.be_warned()
        self.set(warning_minutes=600)
        self.assert_stays_on()
        self.wait_until_told(3)
        self.assertGreater(self.told()[2]['stop_time'], time.time() * SECOND + 9.9 * HOUR)

    def test_no_settings_end_what_a_person_asked_for(self):
        self.start()
        self.stop('going home', delay=t(2 * SECOND))
        wait_for(self.warnings, 'the warning')
        self.set(naptime_minutes=600, warning_minutes=600)
        self.wait_for_state('stopped')
        self.assertEqual(self.called_off, [])


class Stopping(WarnedTest):
    def test_nobody_knows_when_it_ends(self):
        self.house.behave(stop='throttle')
        self.addCleanup(os.close, self.hold_before_it_is_idle())
        self.wait_for_state('stopping')
        self.assertEqual(self.client.get('NextStop'), 0)


class Asked(StopTest):
    """Nobody is told that the machine stays on where the provider has been asked."""

    CALLS = (('Hold', '(sss)', ('pytest', 'a run', 'block')), ('Hold', '(sss)', ('vim', 'unsaved', 'delay')), ('HoldFor', '(ts)', (HOUR, 'lunch')),
             ('Postpone', '(ts)', (HOUR, '')), ('CancelStop', '(s)', ('',)), ('Pause', '()', ()))

    def assert_too_late(self):
        for method, signature, arguments in self.CALLS:
            self.assertFails(ERROR + 'TooLate', method, signature, arguments)
        self.assertEqual((self.client.get('Holds'), self.client.get('Paused')), (0, False))

    def test_while_it_has_not_answered(self):
        self.start(stop='accept-and-hang')
        self.stop()
        self.wait_until_asked()
        self.assert_too_late()

    def test_when_it_has_answered(self):
        self.start()
        self.stop()
        self.wait_for_state('stopped')
        self.assert_too_late()

    def test_between_two_attempts_it_is_not(self):
        self.start(stop='throttle')
        self.stop()
        wait_for_file(lambda: 'slow down' in self.client.get('Reason'), 'the answer')
        self.client.call('HoldFor', '(ts)', (HOUR, 'lunch'))
        wait_for(lambda: self.client.get('State') in ('active', 'idle'), 'the end of the stop')

    def test_a_pause_that_ends_does_not_end_it(self):
        self.start()
        self.client.call('Pause')
        self.wait_for_state('paused')
        self.stop('going home')
        self.wait_for_state('stopped')
        self.client.call('Resume')
        self.assert_too_late()
        self.assertEqual(self.client.get('State'), 'stopped')
        self.assertIn('going home', self.record()['reason'])


class Paused(WarnedTest):
    def test_it_ends_what_the_machine_decided_on(self):
        self.be_warned()
        self.client.call('Pause')
        self.wait_for_state('paused')
        wait_for(lambda: self.called_off, 'the end of the warning')

    def test_it_is_refused_where_a_person_wants_the_stop(self):
        self.start()
        for options in ({'delay': t(HOUR)}, {'delay': t(HOUR), 'force': b(True)}, {'delay': t(HOUR), 'dry-run': b(True)}):
            with self.subTest(options=options):
                self.stop('going home', **options)
                message = self.assertFails(ERROR + 'Busy', 'Pause')
                self.assertIn(': going home)', message)
                self.assertIn('snooze cancel', message)
                self.assertEqual((self.client.get('Paused'), self.client.get('State')), (False, 'warning'))
                self.client.call('CancelStop', '(s)', ('not today',))
        self.client.call('Pause')
        self.wait_for_state('paused')
        # Decided since then, and by a person.
        self.stop('going home', delay=t(HOUR))
        self.wait_for_state('warning')
        self.assertFails(ERROR + 'Busy', 'Pause')
        self.client.call('CancelStop', '(s)', ('not today',))
        self.wait_for_state('paused')

    def test_while_handlers_are_waited_for(self):
        self.start()
        self.addCleanup(os.close, self.delay_hold())
        self.stop('going home')
        self.wait_for_state('stopping')
        self.assertFails(ERROR + 'Busy', 'Pause', part=': going home)')
        self.client.call('CancelStop', '(s)', ('not today',))
        self.client.call('Pause')
        self.wait_for_state('paused')
        self.assertEqual(self.stops_asked(), 0)


class Inhibited(StopTest):
    """logind asks nobody for a hold, and refuses by force what somebody inhibits."""

    def inhibit(self, permissions=()):
        logind = self.house.spawn(['/usr/bin/python3', HERE / 'logind-stub.py'], 'logind.log')
        self.house.wait_for_owner('org.freedesktop.login1', logind)
        inhibitors = [('shutdown', 'packages', 'an upgrade', 'block', 4_000_000_000, 1)]
        self.client.call('SetInhibitors', '(sb)', (json.dumps(inhibitors), True), 'test.Logind', '/org/freedesktop/login1', 'org.freedesktop.login1')
        if permissions:
            self.house.install_cloud('power', permissions=permissions)
            self.configure(provider='power')
        self.house.start_daemon()
        self.house.wait_for_provider('power' if permissions else 'cloud')
        wait_for(lambda: self.client.get('Holds') == 1, 'the inhibitor')

    def configure(self, **settings):
        self.house.configure({'dry_run': False, 'max_delay_seconds': 300, **settings})

    def refusal(self):
        return self.assertFails(ERROR + 'Held', 'StopInstance', '(sa{sv})', ('', {}), part='packages')

    def test_a_provider_that_reaches_logind_may_be_refused_by_force(self):
        self.inhibit(permissions=['bus:org.freedesktop.login1'])
        self.assertIn('only its owner can end that: power may have to ask logind', self.refusal())
        self.assertNotIn('--force', self.refusal())
        # Nor where a hold comes first, which it would end.
        self.client.call('HoldFor', '(ts)', (HOUR, 'lunch'))
        self.assertNotIn('--force', self.refusal())

    def test_a_cloud_is_not(self):
        self.inhibit()
        self.assertIn('snooze stop --force', self.refusal())
        self.stop(force=b(True))
        self.wait_for_state('stopped')


if __name__ == '__main__':
    tap.main()
