#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who is to stop this machine, as the daemon finds out and as people are told meanwhile."""

import signal
import socket
import subprocess

import tap
from gi.repository import GLib
from harness import MANAGER, PATH, PLUGIN, PROVIDER, QUIET, BusTest, House, wait_for

CLOUD = PATH + '/provider/cloud'

# Idle at once, warned for a moment: what a day takes otherwise.
HASTY = {'naptime_minutes': 0.01, 'warning_minutes': 0.01, 'min_uptime_minutes': 0, 'check_interval_seconds': 1,
         'sample_interval_seconds': 0.2, 'window_seconds': 1, 'burst_seconds': 0.4, 'long_window_seconds': 1}


class ProviderTest(BusTest):
    settings = {}
    cloud = {}

    def setUp(self):
        self.house = House({'provider': 'auto', **self.settings}, daemon=False)
        self.addCleanup(self.house.close)
        self.house.replay(QUIET)
        self.house.install_cloud(**self.cloud)
        self.client = self.house.client()

    def wait_for_problem(self, part):
        wait_for(lambda: part in self.client.get('ProviderProblem'), part)


class Found(ProviderTest):
    def test_those_being_asked_are_not_nobody(self):
        self.house.behave(detect='hang')
        self.house.start_daemon()
        self.assertEqual(self.client.get('Provider'), '/')
        self.wait_for_problem('The provider cloud is still being asked')

    def test_one_that_recognizes_the_machine(self):
        self.house.start_daemon()
        self.house.wait_for_provider()
        wait_for(lambda: self.client.get('ProviderProblem') == '', 'no problem')
        # That it offers no channel is no error of it.
        self.assertEqual(self.client.call('GetStatistics', interface=PLUGIN, path=PATH + '/plugin/cloud')[0]['errors'], 0)

    def test_none_recognizes_it(self):
        self.house.behave(detect=False)
        self.house.start_daemon()
        self.wait_for_problem('No provider recognizes this machine')


class Lacking(ProviderTest):
    cloud = {'schema': {'zone': {'type': 'string', 'description': 'Where', 'required': True}}}

    def test_one_that_lacks_a_setting_when_it_is_enabled_is_asked_once_it_has_it(self):
        plugin = PATH + '/plugin/cloud'
        self.house.start_daemon()
        of = lambda method, signature='()', arguments=(): self.client.call(method, signature, arguments, PLUGIN, plugin)
        state = lambda: self.client.get('State', PLUGIN, plugin)
        for _ in range(2):
            of('Disable')
            of('Enable')
            wait_for(lambda: state() == 'failed', 'it to be refused')
        self.assertIn('zone: is required', self.client.get('LastError', PLUGIN, plugin))
        of('Configure', '(a{sv})', ({'zone': GLib.Variant('s', 'a')},))
        wait_for(lambda: state() not in ('failed', 'quarantined'), 'it to be refused no more')


class Slow(ProviderTest):
    """One that does not answer must not keep another from being chosen for good, but until it had its time."""

    def start(self, timeout):
        self.house.install_cloud('other', timeouts={'provider': timeout}, detect='hang')
        self.house.start_daemon()

    def test_it_is_waited_for(self):
        self.start(300)
        wait_for(lambda: 'CheckPermissions' in [method for method, _ in self.house.asked_of('cloud')], 'the end of the other probe')
        self.assertEqual(self.client.get('Provider'), '/')
        self.assertIn('The provider other is still being asked', self.client.get('ProviderProblem'))

    def test_then_it_is_done_without(self):
        self.start(2)
        wait_for(lambda: self.client.get('Provider') == CLOUD, 'the one that recognizes the machine')
        self.assertEqual(self.client.get('Detected', PROVIDER, PATH + '/provider/other'), False)

    def test_one_that_comes_late_with_a_yes_makes_two(self):
        # Time enough for its yes, when it has one.
        self.start(5)
        wait_for(lambda: self.client.get('Provider') == CLOUD, 'the one that recognizes the machine')
        self.house.behave('other', detect=True)
        for method in ('Disable', 'Enable', 'Load'):
            self.client.call(method, interface=PLUGIN, path=PATH + '/plugin/other')
        self.wait_for_problem('Two providers recognize this machine, cloud and other')
        self.assertEqual(self.client.get('Provider'), '/')


class Daily(ProviderTest):
    """What a provider may do is looked at again each day, by nobody's order; days pass on the daemon's clocks alone."""
    settings = {'provider': 'cloud', 'dry_run': False}

    def setUp(self):
        super().setUp()
        self.clock = self.house.directory / 'later'
        self.house.preload('clocks', LATER=self.clock)
        self.house.start_daemon()
        self.house.wait_for_provider()
        wait_for(lambda: self.checks() == 1 and self.client.get('ProviderProblem') == '', 'the first check of permissions')

    def checks(self):
        return [method for method, _ in self.house.asked_of('cloud')].count('CheckPermissions')

    def pass_hours(self, hours):
        new = self.house.directory / 'later.new'
        new.write_text(str(hours * 3600))
        new.rename(self.clock)
        # Whatever wakes the loop has it look at the time.
        self.client.get('State')

    def test_a_permission_that_was_taken_away_and_given_back_is_noticed(self):
        self.house.behave(permitted=False)
        self.pass_hours(25)
        self.wait_for_problem('lacks the permission cloud:StopInstances')
        self.assertEqual(self.checks(), 2)
        self.house.behave(permitted=True)
        self.pass_hours(50)
        wait_for(lambda: self.client.get('ProviderProblem') == '', 'that it is permitted again')
        self.assertEqual(self.checks(), 3)

    def test_not_more_often_than_that(self):
        self.house.behave(permitted=False)
        self.pass_hours(23)
        for _ in range(3):
            self.house.check_now()
        self.assertEqual((self.checks(), self.client.get('ProviderProblem')), (1, ''))


class Named(ProviderTest):
    settings = {'provider': 'clod', 'sources': {'cloud2': {'policy': 'off'}}}

    def warnings(self):
        findings, = self.client.call('Diagnose')
        return [finding['message'] for finding in findings if (finding['check'], finding['status']) == ('configuration', 'warning')]

    def test_a_name_of_nothing_is_said_everywhere(self):
        file = self.house.directory / 'etc/snooze.json'
        expected = [f'{file}: /provider: no provider "clod" is installed, did you mean "cloud"?',
                    f'{file}: /sources/cloud2: no plugin "cloud2" is installed, did you mean "cloud"?']
        self.house.start_daemon()
        self.assertEqual(self.warnings(), expected)
        self.assertIn('The provider clod of the configuration is not installed', self.client.get('ProviderProblem'))
        self.assertIn(expected[0], self.house.daemon.output())
        checked = subprocess.run(self.house.daemon_arguments('--check-configuration'), env=self.house.environment,
                                 stderr=subprocess.PIPE, text=True)
        self.assertEqual((checked.returncode, checked.stderr.splitlines()), (0, [f'warning: {line}' for line in expected]))

        self.house.configure({'provider': 'cloud'})
        self.client.call('Reload')
        self.assertEqual(self.warnings(), [])
        self.assertEqual(self.client.get('ProviderProblem').find('clod'), -1)


class ChangedTest(ProviderTest):
    settings = {'providers': {'cloud': {'region': 'north'}}}
    cloud = {'timeouts': {'provider': 30}, 'schema': {'region': {'type': 'string', 'description': 'Where it is', 'default': 'west'}}}

    def known(self):
        return [self.client.get(name, PROVIDER, CLOUD) for name in ('InstanceId', 'StopEffect', 'Detected')]

    def reload(self, **settings):
        self.house.configure({'provider': 'auto', **settings})
        self.client.call('Reload')

    def detections(self):
        return [method for method, _ in self.house.asked_of()].count('Detect')


class Changed(ChangedTest):
    def test_with_other_settings_it_is_asked_anew(self):
        self.house.start_daemon()
        self.house.wait_for_provider()
        self.assertEqual(self.known(), ['i-this', 'stops-billing', True])
        self.house.behave(text='-other', effect='keeps-billing')
        # What is not its own changes nothing for it.
        self.reload(**self.settings, naptime_minutes=31)
        self.assertEqual((self.known(), self.detections()), (['i-this', 'stops-billing', True], 1))
        self.reload(providers={'cloud': {'region': 'south'}})
        wait_for(lambda: self.known() == ['i-this-other', 'keeps-billing', True], 'what it says now')
        self.wait_for_problem('leaves the machine billed')
        methods = [method for method, _ in self.house.asked_of()]
        self.assertLess(methods.index('Configure'), methods.index('Detect', methods.index('Detect') + 1))
        self.house.behave(detect=False)
        self.reload()
        self.wait_for_problem('No provider recognizes this machine')


class ChangedMeanwhile(ChangedTest):
    cloud = {**ChangedTest.cloud, 'timeouts': {'provider': 3}}

    def test_one_that_is_just_being_asked_is_asked_again(self):
        self.house.behave(detect='hang')
        self.house.start_daemon()
        wait_for(lambda: self.detections() == 1, 'the question')
        self.house.behave(text='-other')
        self.reload(providers={'cloud': {'region': 'south'}})
        # The first question runs into its time-out; the second does not wait for the next round.
        wait_for(lambda: self.known() == ['i-this-other', 'stops-billing', True], 'what it says now')
        self.assertEqual(self.detections(), 2)


class Open(ProviderTest):
    settings = {'plugins': {'plugin_configs': {'cloud': {'api_token': 'hunter2'}}},
                'providers': {'cloud': {'proxy': 'http://me:hunter2@proxy', 'region': 'north'}}}

    def test_a_secret_that_everybody_can_read_is_told(self):
        file = self.house.directory / 'etc/snooze.json'
        file.chmod(0o644)
        expected = [f'{file}: {pointer}: a secret, in a file that everybody can read; chgrp snooze and chmod 640 it'
                    for pointer in ('/plugins/plugin_configs/cloud/api_token', '/providers/cloud/proxy')]
        check = lambda: subprocess.run(self.house.daemon_arguments('--check-configuration'), env=self.house.environment,
                                       stderr=subprocess.PIPE, text=True).stderr.splitlines()
        self.assertEqual(check(), [f'warning: {line}' for line in expected])
        self.house.start_daemon()
        findings, = self.client.call('Diagnose')
        self.assertEqual([row['message'] for row in findings if (row['check'], row['status']) == ('configuration', 'warning')], expected)
        file.chmod(0o640)
        self.assertEqual(check(), [])


class Hostile(ProviderTest):
    """What a provider says goes into reasons, to people and to systemd: it gets no line of its own there."""

    settings = {'dry_run': False}
    TEXT = '\nMAINPID=1\nSTATUS=all is well\x1b[2J\u009b31m\u202e'

    def told_to_systemd(self, socket):
        try:
            while True:
                yield socket.recv(65536).decode()
        except BlockingIOError:
            pass

    def test_words_to_systemd_and_to_people(self):
        house = self.house
        address = str(house.directory / 'notify')
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as notify:
            notify.bind(address)
            house.environment['NOTIFY_SOCKET'] = address
            house.behave(permitted=False, text=self.TEXT)
            states = self.client.listen(MANAGER, 'StateChanged')
            house.start_daemon()
            wait_for(lambda: 'lacks the permission' in self.client.get('Refusal'), 'the permission that is missing')
            wait_for(lambda: self.client.get('State') == 'idle', 'idle')
            assignments = [line for datagram in self.told_to_systemd(notify) for line in datagram.splitlines()]
        self.assertIn('READY=1', assignments)
        self.assertEqual([line for line in assignments if line.startswith('MAINPID') or 'all is well' in line and
                          not line.startswith('STATUS=idle')], [])
        told = [self.client.get(name) for name in ('Reason', 'Refusal', 'ProviderProblem')]
        told += [self.client.get(name, PROVIDER, CLOUD) for name in ('ProviderName', 'ProviderVersion', 'InstanceId')]
        told += [str(states), *self.strings(self.client.call('GetInstanceInfo', '(s)', ('',), PROVIDER, CLOUD)),
                 *self.strings(self.house.client().call('CheckPermissions', interface=PROVIDER, path=CLOUD)),
                 *self.strings(self.client.call('Diagnose')), *self.strings(self.client.call('GetHistory', '(ttu)', (0, 0, 1000)))]
        self.assertTrue(any('MAINPID' in text for text in told))
        for text in told:
            self.assertFalse(set(text) & set('\n\x1b\u009b\u202e'), repr(text))

    def strings(self, value):
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            for entry in value.items():
                yield from self.strings(entry)
        elif isinstance(value, (list, tuple)):
            for element in value:
                yield from self.strings(element)


class Armed(ProviderTest):
    settings = {'dry_run': False, **HASTY}

    def test_a_restart_asks_what_is_permitted_and_forgives_a_refusal(self):
        """Also where nobody is chosen before all have been asked."""
        self.house.behave(stop='refuse')
        self.house.start_daemon()
        wait_for(lambda: 'not permitted' in self.client.get('Refusal'), 'the refusal')
        wait_for(lambda: self.client.get('State') == 'idle', 'idle')
        self.house.kill_daemon(signal.SIGTERM)
        self.house.behave(stop='ok')
        self.house.start_daemon()
        wait_for(lambda: self.client.get('State') == 'stopped', 'the stop')
        self.assertEqual(self.client.get('Refusal'), '')


if __name__ == '__main__':
    tap.main()
