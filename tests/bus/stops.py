# SPDX-License-Identifier: Apache-2.0
"""Stops that are meant: an armed daemon, a provider that does as it is told, and what is on record of that."""

import contextlib
import json
import sqlite3

from gi.repository import GLib

from harness import MANAGER, PATH, QUIET, BusTest, House, wait_for

CLOUD = PATH + '/provider/cloud'
HOUR = 3_600_000_000

# Idle at once, warned for a moment: what a day takes otherwise.
HASTY = {'naptime_minutes': 0.01, 'warning_minutes': 0.01, 'min_uptime_minutes': 0, 'check_interval_seconds': 1,
         'sample_interval_seconds': 0.2, 'window_seconds': 1, 'burst_seconds': 0.4, 'long_window_seconds': 1}


def b(value):
    return GLib.Variant('b', value)


def s(value):
    return GLib.Variant('s', value)


def t(value):
    return GLib.Variant('t', value)


class Stops:
    """Beside BusTest."""

    def record(self):
        """What the next boot would find."""
        with contextlib.closing(sqlite3.connect(f'file:{self.house.directory}/state/snooze.db?mode=ro', uri=True)) as database:
            # A daemon answers before its database is there.
            known = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'record'").fetchall()
            rows = known and database.execute("SELECT value FROM record WHERE key = 'stop'").fetchall()
        return json.loads(rows[0][0]) if rows else None

    def outcomes(self):
        rows, = self.client.call('GetHistory', '(ttu)', (0, 0, 1000))
        return [row['outcome'] for row in reversed(rows) if row['kind'] == 'stop']


class StopTest(Stops, BusTest):
    """An armed daemon and a provider that does as it is told."""

    settings = {}
    timeouts = {}

    def setUp(self):
        self.house = House({'dry_run': False, 'provider': 'cloud', 'max_delay_seconds': 300, **self.settings}, daemon=False)
        self.addCleanup(self.house.close)
        self.house.replay(QUIET)
        self.house.install_cloud(timeouts=self.timeouts)
        self.client = self.house.client()
        self.changes = self.house.watcher.listen(MANAGER, 'StateChanged', PATH)
        self.problems = self.house.watcher.listen(MANAGER, 'Problem', PATH)

    def start(self, **behaviour):
        self.house.behave(**behaviour)
        self.house.start_daemon()
        self.house.wait_for_provider()

    def stop(self, reason='a test', **options):
        self.client.call('StopInstance', '(sa{sv})', (reason, options))

    def asked(self):
        return [method for method, _ in self.house.asked_of()]

    def stops_asked(self):
        return self.asked().count('StopInstance')

    def actions(self):
        return [call[1][1]['action'] for call in self.house.asked_of() if call[0] == 'StopInstance']

    def wait_until_asked(self, times=1):
        wait_for(lambda: self.stops_asked() >= times, f'StopInstance, {times} times')

    def wait_for_state(self, state):
        wait_for(lambda: self.client.get('State') == state, state)

    def warnings(self):
        return [state for state, _, _ in self.changes].count('warning')

    def assert_never_blindly_twice(self):
        """Between two calls of StopInstance somebody looked."""
        looked = True
        for method in self.asked():
            if method == 'StopInstance':
                self.assertTrue(looked, self.asked())
                looked = False
            elif method == 'GetInstanceInfo':
                looked = True

    def delay_hold(self):
        _, fds = self.client.call_with_fds('Hold', '(sss)', ('a test', 'saves its work', 'delay'))
        fd, = fds.steal_fds()
        return fd
