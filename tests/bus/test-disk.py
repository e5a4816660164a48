# SPDX-License-Identifier: Apache-2.0
"""A state directory that cannot be written, because it is read-only or full: the daemon says so once, goes on deciding, and loses no
hold."""

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import unittest

from gi.repository import GLib

import host
import tap
from harness import ERROR, PATH, PLUGIN, QUIET, BusTest, House, wait_for, wait_for_file

HOUR = 3_600_000_000

# In a mount namespace of the daemon's own; the state directory is the first argument, the daemon the rest.
READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
FULL = 'mount -t tmpfs -o size=256k,mode=0755 tmpfs "$1" && { head -c 1m /dev/zero >"$1/fill" || true; } 2>/dev/null && shift && exec "$@"'

# Everything about the passage is short; the machine is a recorded one, on which nothing happens.
QUICK = {'naptime_minutes': 0.02, 'warning_minutes': 0.02, 'min_uptime_minutes': 0, 'check_interval_seconds': 1,
         'sample_interval_seconds': 0.2, 'window_seconds': 1, 'burst_seconds': 0.5, 'long_window_seconds': 2,
         'max_delay_seconds': 1}


@unittest.skipIf(host.no_mounts(), host.no_mounts())
class Disk:
    script = None
    part = ''  # of what the message must say

    def setUp(self):
        self.house = House(QUICK, daemon=False)
        self.addCleanup(self.house.close)
        self.house.replay(QUIET)
        self.prepare()
        self.house.daemon_prefix = ['unshare', '--mount', 'sh', '-c', self.script, 'sh', self.house.directory / 'state']
        self.problems = self.house.watcher.listen('io.cloudsnooze.Snooze1.Manager', 'Problem', PATH)
        self.states = self.house.watcher.listen('io.cloudsnooze.Snooze1.Manager', 'StateChanged', PATH)
        self.house.start_daemon()
        self.client = self.house.client()

    def prepare(self):
        """Before it starts."""

    def seen(self):
        return [state for state, _, _ in self.states]

    def finding(self, check):
        return [f for f in self.client.call('Diagnose')[0] if f['check'] == check][0]

    def test_it_says_so_once_and_goes_on_deciding(self):
        wait_for(lambda: self.seen()[-1:] == ['idle'] and 'stopped' in self.seen(), 'a whole dry passage')
        self.assertEqual([s for s in self.seen() if s in ('warning', 'stopping', 'stopped')][:3], ['warning', 'stopping', 'stopped'])
        told = [message for source, message, _ in self.problems if source == 'store']
        self.assertEqual(len(told), 1, told)
        self.assertIn(self.part, told[0])
        self.assertEqual(self.finding('store')['status'], 'error')
        self.assertIn(self.part, self.finding('store')['message'])

    def test_no_hold_is_lost(self):
        _, fds = self.client.call_with_fds('Hold', '(sss)', ('pytest', 'a long run', 'block'))
        self.addCleanup(os.close, fds.steal_fds()[0])
        self.assertFails(ERROR + 'Store', 'HoldFor', '(ts)', (HOUR, 'lunch'), part='stands, but would not outlive a reboot by now')
        before = self.client.call('ListHolds')[0]
        self.assertEqual([hold[3] for hold in before], ['block', 'timed'])
        cookie = before[1][0]
        self.house.restart_daemon()
        self.assertEqual(self.client.call('ListHolds')[0], before)
        self.assertFails(ERROR + 'Held', 'StopInstance', '(sa{sv})', ('', {'dry-run': GLib.Variant('b', True)}))
        # Who does not want it so has what it takes, and nothing is left of it.
        self.client.call('ReleaseHold', '(u)', (cookie,))
        self.house.restart_daemon()
        self.assertEqual([hold[3] for hold in self.client.call('ListHolds')[0]], ['block'])

    def test_what_cannot_be_stored_is_named(self):
        for method in ('HoldFor', 'Postpone'):
            with self.assertRaisesRegex(GLib.Error, r'Error\.Store: Hold (\d+) stands, .*; to end it: snooze release \1\b') as context:
                self.client.call(method, '(ts)', (HOUR, 'lunch'))
            cookie = int(re.search(r'Hold (\d+) stands', context.exception.message)[1])
            self.assertEqual([hold[0] for hold in self.client.call('ListHolds')[0]], [cookie])
            self.client.call('ReleaseHold', '(u)', (cookie,))
            self.assertEqual(self.client.call('ListHolds')[0], [])

    def test_what_cannot_be_kept_is_refused_or_said(self):
        self.assertFails(ERROR + 'Store', 'SetConfiguration', '(s)', ('{"naptime_minutes": 45}',), part='snooze.json')
        self.assertFails(ERROR + 'Store', 'Pause')
        self.assertFails(ERROR + 'Store', 'Postpone', '(ts)', (HOUR, 'lunch'), part=self.part)
        self.assertIs(self.client.get('Paused'), True)
        self.client.call('GetMetrics')

    def test_it_ends_politely(self):
        self.assertEqual(self.house.kill_daemon(signal.SIGTERM), 0)


class ReadOnly(Disk, BusTest):
    script = READ_ONLY
    part = 'Read-only file system'

    def prepare(self):
        schema = {'greeting': {'type': 'string', 'description': 'What it says', 'default': 'hello'}}
        self.house.install_fake('one', 'good', contracts=['RequestHandler'], config_schema=schema)

    def test_a_plugin_gets_back_what_could_not_be_replaced(self):
        path = PATH + '/plugin/one'
        self.client.call('LoadPlugin', '(s)', ('one',))
        self.assertFails(ERROR + 'Store', 'Configure', '(a{sv})', ({'greeting': GLib.Variant('s', 'bonjour')},), interface=PLUGIN,
                         path=path, part='snooze.json')
        said = ['Initialize', 'hello'] + 2 * ['Configure', 'bonjour', 'Configure', 'hello']
        wait_for_file(lambda: [word for word in self.house.lived_through('one') if word in said] == said[:6], 'what was in force')
        self.assertFails(ERROR + 'Store', 'SetConfiguration', '(s)', ('{"plugins": {"plugin_configs": {"one": {"greeting": "bonjour"}}}}',),
                         part='snooze.json')
        wait_for_file(lambda: [word for word in self.house.lived_through('one') if word in said] == said, 'what was in force')
        self.assertEqual(self.client.call('GetConfiguration', interface=PLUGIN, path=path)[0]['greeting'][0], 'hello')


class Full(Disk, BusTest):
    script = FULL
    part = 'disk is full'

    def state(self):
        return f'/proc/{self.house.daemon.pid}/root{self.house.directory}/state'

    def kept(self):
        """A copy of what the daemon sees, whose disk nobody else has."""
        copy = self.house.directory / 'copy'
        shutil.copytree(self.state(), copy)
        with contextlib.closing(sqlite3.connect(copy / 'snooze.db')) as database:
            return [json.loads(value).get('why') for value, in database.execute("SELECT value FROM record WHERE key LIKE 'hold/%'")]

    def test_a_hold_is_kept_when_there_is_room_again(self):
        self.assertFails(ERROR + 'Store', 'HoldFor', '(ts)', (HOUR, 'lunch'))
        os.unlink(f'{self.state()}/fill')
        self.client.call('HoldFor', '(ts)', (HOUR, 'tea'))
        self.assertEqual(sorted(self.kept()), ['lunch', 'tea'])


if __name__ == '__main__':
    tap.main()
