#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Somebody sets the wall clock, forth or back: no hold is lost or prolonged, no decision changes, and it is said."""

import time

import tap
from harness import MANAGER, PATH, QUIET, BusTest, wait_for, wait_for_file

DAY = 86400
SECOND = 1_000_000
HOUR = 3600 * SECOND
# In a notice; a moment passes until it is made.
AN_HOUR = r'\(in (1 h|59 min \d\d s)\)'


class Clock(BusTest):
    daemon = False

    def setUp(self):
        super().setUp()
        self.clock = self.house.directory / 'clock'
        self.house.preload('clocks', WALL_CLOCK=self.clock)
        self.house.replay(QUIET)

    def start(self, **configuration):
        self.house.configure({'sample_interval_seconds': 0.1, **configuration})
        self.house.start_daemon()

    def set_clock(self, seconds):
        # Whole, whenever it is read.
        new = self.house.directory / 'clock.new'
        new.write_text(str(seconds))
        new.rename(self.clock)
        self.seconds = seconds

    def said(self):
        return [line for line in self.house.daemon.output().splitlines() if 'wall clock was set' in line]

    def wait_until_said(self, words, times=1):
        wait_for_file(lambda: len(self.said()) >= times, 'the message')
        self.assertEqual(len(self.said()), times)
        self.assertIn(f'The wall clock was set {words}: ', self.said()[-1])

    def is_told_off_by(self, moment, seconds, other):
        """That the moment is `other`, a time of this test's clock, on the daemon's."""
        self.assertLess(abs(moment - seconds * SECOND - other), 5 * SECOND)

    def hold(self):
        (cookie, _, _, _, since, until), = self.client.call('ListHolds')[0]
        return cookie, since, until


class Holds(Clock):
    def begin(self):
        self.start()
        cookie, = self.client.call('HoldFor', '(ts)', (HOUR, 'thesis'))
        _, self.since, self.until = self.hold()
        self.assertLess(abs(self.until - self.since - HOUR), 2)
        return cookie

    def check(self, seconds):
        """It ends in an hour, and begun it has now, on a clock so much off."""
        _, since, until = self.hold()
        self.is_told_off_by(since, seconds, self.since)
        self.is_told_off_by(until, seconds, self.until)

    def test_a_clock_set_back_moves_the_end_that_is_told(self):
        self.begin()
        self.set_clock(-DAY)
        self.wait_until_said('back by 1 d')
        self.check(-DAY)
        self.set_clock(0)
        self.wait_until_said('forth by 1 d', 2)
        self.check(0)

    def test_one_of_a_daemon_that_was_away_meanwhile(self):
        self.begin()
        self.house.kill_daemon()
        self.set_clock(-DAY)
        self.house.start_daemon()
        self.check(-DAY)

    def test_it_ends_when_it_should_whatever_the_clock_says(self):
        for seconds in (-DAY, DAY):
            with self.subTest(seconds=seconds):
                self.set_clock(0)
                if not self.house.daemon:
                    self.start()
                begun = time.monotonic()
                self.client.call('HoldFor', '(ts)', (3 * SECOND, 'a while'))
                self.set_clock(seconds)
                wait_for(lambda: self.client.get('Holds') == 0, 'its end')
                self.assertGreater(time.monotonic() - begun, 2.9)
                self.assertLess(time.monotonic() - begun, 30)

    def next_boot(self):
        """The holds of a daemon that finds what this one kept in its database, and nothing of this boot."""
        self.house.kill_daemon()
        for file in (self.house.directory / 'run/holds').iterdir():
            file.unlink()
        self.house.start_daemon()
        wait_for(lambda: self.client.get('Holds') == 1, 'the hold')

    def test_one_set_right_after_the_boot_loses_no_hold_with_the_next(self):
        # The clock of a machine whose battery is empty, until the network is there.
        self.set_clock(-DAY)
        self.begin()
        self.set_clock(0)
        self.wait_until_said('forth by 1 d')
        self.next_boot()
        _, since, until = self.hold()
        self.is_told_off_by(until, DAY, self.until)
        self.assertGreater(until, time.time() * SECOND)


class Passage(Clock):
    def told(self, name):
        return [changed[name] for interface, changed, _ in self.house.properties if interface == MANAGER and name in changed]

    def test_times_that_were_told_are_told_anew(self):
        self.start()
        wait_for(lambda: self.client.get('State') == 'idle', 'the machine to be idle')
        idle_since, next_stop = self.client.get('IdleSince'), self.client.get('NextStop')
        self.set_clock(-DAY)
        self.wait_until_said('back by 1 d')
        for property_, before in (('IdleSince', idle_since), ('NextStop', next_stop)):
            # What was told before it was set may still be on its way.
            wait_for(lambda: (told := self.told(property_)) and told[-1] < before - DAY * SECOND // 2, property_)
            self.is_told_off_by(self.told(property_)[-1], -DAY, before)
            self.assertEqual(self.client.get(property_), self.told(property_)[-1])

    def pending(self):
        """Of each event of a stop: phase, notice, when the machine stops and until when handlers may work."""
        return [(event['data']['phase'], event['data']['notice'], event['data']['stop_time'], event['data']['idle_since'], event['deadline'])
                for _, kind, event in self.events if kind == 'snooze.stop.pending']

    def warn(self):
        """A warning that nobody waits for the end of, as it was told."""
        self.events = self.house.watcher.listen(MANAGER, 'EventReceived', PATH)
        self.start(naptime_minutes=0.05, min_uptime_minutes=0, warning_minutes=60, check_interval_seconds=1, max_delay_seconds=7)
        wait_for(lambda: self.client.get('State') == 'warning' and self.pending(), 'the warning')
        (phase, notice, stop_time, idle_since, deadline), = self.pending()
        self.assertEqual(phase, 'scheduled')
        self.assertRegex(notice, AN_HOUR)
        self.assertEqual(deadline, stop_time + 7 * SECOND)
        self.assertEqual(stop_time, self.client.get('NextStop'))
        return stop_time, idle_since

    def is_told_anew(self, seconds, stop_time, idle_since, times):
        wait_for(lambda: len(self.pending()) == times, 'the new time')
        phase, notice, new_stop_time, new_idle_since, deadline = self.pending()[-1]
        self.assertEqual(phase, 'reminder')
        self.is_told_off_by(new_stop_time, seconds, stop_time)
        self.is_told_off_by(new_idle_since, seconds, idle_since)
        self.assertEqual(deadline, new_stop_time + 7 * SECOND)
        self.assertEqual(new_stop_time, self.client.get('NextStop'))
        self.assertEqual(self.told('NextStop')[-1], new_stop_time)
        self.assertIn(time.strftime('%H:%M', time.localtime(new_stop_time // SECOND)), notice)
        self.assertRegex(notice, AN_HOUR)

    def test_a_warning_is_told_anew(self):
        before = self.warn()
        for times, seconds in enumerate((-DAY // 2, DAY // 2), 2):
            with self.subTest(seconds=seconds):
                self.set_clock(seconds)
                self.is_told_anew(seconds, *before, times)
        self.assertEqual(self.client.get('State'), 'warning')
        # What came of it is told on the clock as it is, too.
        self.client.call('CancelStop', '(s)', ('not now',))
        wait_for(lambda: len(self.pending()) >= 4, 'that it is off')
        phase, _, stop_time, *_ = self.pending()[3]
        self.assertEqual(phase, 'cancelled')
        self.is_told_off_by(stop_time, DAY // 2, before[0])

    def test_one_that_is_off_is_not_told_anew(self):
        self.warn()
        self.client.call('CancelStop', '(s)', ('not now',))
        wait_for(lambda: len(self.pending()) == 2, 'that it is off')
        self.set_clock(DAY)
        self.wait_until_said('forth by 1 d')
        self.house.check_now()
        phases = [phase for phase, *_ in self.pending()]
        # The machine is idle yet: where this one is slow, the next stop may be scheduled by now.
        self.assertEqual(phases[:2], ['scheduled', 'cancelled'])
        self.assertNotIn('reminder', phases)

    def test_what_history_says_of_the_stop_is_on_the_clock_as_it_is(self):
        self.start(naptime_minutes=0.05, min_uptime_minutes=0, warning_minutes=0.2, check_interval_seconds=1, max_delay_seconds=1)
        wait_for(lambda: self.client.get('State') == 'warning', 'the warning')
        idle_since = self.client.get('IdleSince')
        self.set_clock(-DAY)

        def rehearsed():
            return [row for row in self.client.call('GetHistory', '(ttu)', (0, 0, 1000))[0] if row.get('outcome') == 'rehearsed']

        wait_for(rehearsed, 'the end')
        self.is_told_off_by(rehearsed()[0]['idle_since'], -DAY, idle_since)

    def test_less_than_a_minute_is_nothing_to_tell(self):
        self.start()
        self.client.call('HoldFor', '(ts)', (HOUR, 'thesis'))
        _, _, before = self.hold()
        self.set_clock(-30)
        wait_for_file(lambda: abs(self.hold()[2] - before + 30 * SECOND) < SECOND, 'the end on the other clock')
        self.assertEqual(self.said(), [])

    def play(self, seconds):
        """What a passage comes to, whose clock is set by so much while the machine is idle, and once more in the warning."""
        states = self.house.watcher.listen(MANAGER, 'StateChanged', PATH)
        begun = time.monotonic()
        self.start(naptime_minutes=0.05, min_uptime_minutes=0, warning_minutes=0.05, check_interval_seconds=1, max_delay_seconds=1)
        wait_for(lambda: self.client.get('State') == 'idle', 'the machine to be idle')
        self.set_clock(seconds)
        wait_for(lambda: self.client.get('State') == 'warning', 'the warning')
        self.set_clock(2 * seconds)
        wait_for(lambda: 'stopping' in [state for state, _, _ in states], 'the end')
        passed = time.monotonic() - begun
        self.assertGreater(passed, 5.5)
        self.assertLess(passed, 40)
        self.assertEqual([state for state, _, _ in states][:3], ['idle', 'warning', 'stopping'])

    def test_a_day_back_changes_no_decision(self):
        self.play(-DAY)

    def test_a_day_forth_changes_no_decision(self):
        self.play(DAY)

    def test_a_busy_machine_is_not_stopped_by_it(self):
        self.house.replay({**QUIET, 'cpu_usage': 90})
        self.start(naptime_minutes=0.05, min_uptime_minutes=0, warning_minutes=0.05, check_interval_seconds=1)
        for times, (seconds, words) in enumerate(((DAY, 'forth by 1 d'), (-DAY, 'back by 2 d')), 1):
            self.set_clock(seconds)
            self.wait_until_said(words, times)
            self.house.check_now()
            self.assertEqual((self.client.get('State'), self.client.get('NextStop')), ('active', 0))


if __name__ == '__main__':
    tap.main()
