#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Stops that are meant: a provider that refuses, is throttled, hangs, dies or lies, and what becomes of its word."""

import json
import time

from gi.repository import GLib

import tap
from harness import BUILD, MANAGER, NAME, PATH, PLUGIN, PROVIDER, BusTest, wait_for, wait_for_file

CLOUD = PATH + '/provider/cloud'


class StopTest(BusTest):
    configuration = {'dry_run': False, 'provider': 'cloud', 'max_delay_seconds': 1}
    plugins = True

    def setUp(self):
        super().setUp()
        self.cloud = self.house.directory / 'plugins/cloud'
        self.changes = self.client.listen(MANAGER, 'StateChanged', PATH)

    def behave(self, **behaviour):
        self.house.behave(**behaviour)

    def asked(self, method='StopInstance'):
        """The arguments of each such call that the provider has had, oldest first."""
        calls = self.cloud / 'calls.jsonl'
        lines = calls.read_text().splitlines() if calls.exists() else []
        return [arguments for called, arguments in map(json.loads, lines) if called == method]

    def stop(self, **options):
        self.client.call('StopInstance', '(sa{sv})', ('a test', options))

    def wait_for_state(self, state):
        wait_for(lambda: self.client.get('State') == state, state)

    def history(self, kind='stop'):
        return [row for row in self.client.call('GetHistory', '(ttu)', (0, 0, 100))[0] if row['kind'] == kind]


class Refusals(StopTest):
    def refuse(self):
        self.behave(stop='refuse')
        self.stop()
        wait_for(lambda: self.client.get('Refusal'), 'the refusal')

    def test_it_latches_whatever_else_changes(self):
        self.refuse()
        self.assertIn('cloud:StopInstances', self.client.get('Refusal'))
        wait_for(lambda: self.client.get('State') in ('idle', 'active'), 'the end of the stop')
        self.client.call('Restart', interface=PLUGIN, path=PATH + '/plugin/cloud')
        wait_for(lambda: self.client.get('State', PLUGIN, PATH + '/plugin/cloud') == 'running', 'the plugin')
        self.client.call('SetConfiguration', '(s)', ('{"naptime_minutes": 59}',))
        self.assertIn('cloud:StopInstances', self.client.get('Refusal'))

    def test_a_good_check_of_the_permissions_ends_it(self):
        self.refuse()
        permissions, = self.client.call('CheckPermissions', interface=PROVIDER, path=CLOUD)
        self.assertTrue(permissions[0][1])
        wait_for(lambda: self.client.get('Refusal') == '', 'the latch to open')

    def test_a_bad_check_of_the_permissions_does_not(self):
        self.refuse()
        self.behave(stop='refuse', permitted=False)
        self.client.call('CheckPermissions', interface=PROVIDER, path=CLOUD)
        self.assertNotEqual(self.client.get('Refusal'), '')

    def test_it_is_in_the_history(self):
        self.refuse()
        wait_for(self.history, 'the record')
        self.assertEqual(self.history()[0]['outcome'], 'refused')


class Announced(StopTest):
    """What handlers are told of a stop that the cloud refuses."""

    daemon = False
    configuration = {**StopTest.configuration, 'max_delay_seconds': 600, 'plugins': {'plugin_configs': {'busy': {'mode': 'wait'}}}}

    def setUp(self):
        super().setUp()
        schema = {'mode': {'type': 'string', 'description': 'What it does with an event', 'default': 'answer'}}
        self.house.install_plugin('busy', BUILD / 'tests/bus/event-plugin', contracts=['EventHandler', 'RequestHandler'],
                                  events={'snooze.stop.pending': {'priority': 1}}, config_schema=schema)
        self.notes = []
        self.client.connection.signal_subscribe(None, 'test.Event', 'Noted', None, None, 0,
                                                lambda c, sender, p, i, m, parameters: self.notes.append(parameters.unpack()[0]))
        self.received = self.client.listen(MANAGER, 'EventReceived', PATH)
        self.cancelled = self.client.listen(MANAGER, 'EventCancelled', PATH)
        self.house.start_daemon()
        self.house.wait_for_provider()
        # It is at it before the stop comes, however long its start takes.
        self.client.call('LoadPlugin', '(s)', ('busy',))

    def test_whoever_is_still_at_it_hears_of_the_refusal(self):
        self.behave(stop='refuse')
        self.stop(delay=GLib.Variant('t', 5_000_000))
        wait_for(lambda: self.received, 'the warning')
        scheduled = self.received[0][0]
        wait_for(lambda: f'busy handles {scheduled}' in self.notes, 'the handler')
        # The handler keeps the time that it was given; the stop waits for it no longer than this.
        self.client.call('SetConfiguration', '(s)', ('{"max_delay_seconds": 1}',))
        wait_for(lambda: self.client.get('Refusal'), 'the refusal')
        wait_for(lambda: f'busy cancelled {scheduled}' in self.notes, f'the cancellation, in {self.notes}')
        self.assertEqual(self.cancelled, [(scheduled, 'snoozed')])
        wait_for(lambda: any(event['data']['cancelled'] for _, _, event in self.received), 'the end to be announced')


class Waking(StopTest):
    def moment(self, seconds):
        return GLib.Variant('t', GLib.get_real_time() + int(seconds * 1e6))

    def test_the_provider_is_told_when(self):
        wake = self.moment(3600)
        self.stop(wake=wake)
        wait_for(self.asked, 'the provider to be asked')
        self.assertEqual(self.asked()[0][1]['wake'], wake.unpack())

    def test_without_a_wish_nothing_is_told(self):
        self.stop()
        wait_for(self.asked, 'the provider to be asked')
        self.assertNotIn('wake', self.asked()[0][1])

    def test_times_that_are_none(self):
        for wake, delay in ((0, 0), (30, 0), (3600, 3600), (500 * 86400, 0)):
            with self.subTest(wake=wake):
                self.assertFails('io.cloudsnooze.Snooze1.Error.InvalidArgument', 'StopInstance', '(sa{sv})',
                                 ('', {'wake': self.moment(wake), 'delay': GLib.Variant('t', delay * 1000000)}))
        self.assertEqual(self.asked(), [])

    def test_a_wish_that_was_refused_keeps_no_other_stop_from_coming(self):
        self.behave(stop='refuse')
        self.stop(wake=self.moment(3600))
        wait_for(self.history, 'the record')
        self.assertEqual(self.history()[0]['outcome'], 'refused')
        wait_for(lambda: self.client.get('State') in ('idle', 'active'), 'the end of the stop')
        self.assertEqual(self.client.get('Refusal'), '')


class Asked(StopTest):
    """Nothing is asked twice that may have been heard once."""

    def test_a_daemon_that_died_asks_for_the_state_first(self):
        self.behave(stop='accept-and-hang')
        self.stop()
        wait_for(self.asked, 'the provider to be asked')
        self.house.restart_daemon()
        self.wait_for_state('stopped')
        self.assertEqual(len(self.asked()), 1)

    def test_what_still_runs_is_asked_again_by_request(self):
        self.behave(stop='hang')
        self.stop()
        wait_for(self.asked, 'the provider to be asked')
        self.behave(stop='ok')
        self.house.restart_daemon()
        self.wait_for_state('stopped')
        self.assertEqual(len(self.asked()), 2)

    def test_a_plugin_that_dies_while_it_is_asked(self):
        self.behave(stop='die')
        self.stop()
        wait_for(self.asked, 'the provider to be asked')
        self.behave(stop='ok')
        self.wait_for_state('stopped')

    def test_throttling_is_waited_out(self):
        begun = time.monotonic()
        self.behave(stop='throttle')
        self.stop()
        wait_for(self.asked, 'the provider to be asked')
        self.assertEqual(self.client.get('State'), 'stopping')
        self.assertEqual(self.client.get('Refusal'), '')
        self.behave(stop='ok')
        self.wait_for_state('stopped')
        self.assertGreaterEqual(len(self.asked()), 2)
        # Never sooner than five seconds after the time before.
        self.assertLessEqual(len(self.asked()), 1 + (time.monotonic() - begun) // 5)

    def test_between_two_attempts_it_can_be_called_off(self):
        self.behave(stop='throttle')
        self.stop()
        # No signal tells of it, and the next attempt is not to come before it is seen.
        wait_for_file(lambda: 'slow down' in self.client.get('Reason'), 'the first answer')
        self.client.call('CancelStop', '(s)', ('no',))
        wait_for(lambda: self.client.get('State') in ('active', 'idle'), 'the end of the stop')


if __name__ == '__main__':
    tap.main()
