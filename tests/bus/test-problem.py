#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a Problem tells a program: the signal's details, and the row in the history. And that one is told at all."""

import os
import signal

from gi.repository import GLib

import tap
from harness import MANAGER, PATH, QUIET, BusTest, House, wait_for, wait_for_file


class Problems(BusTest):
    configuration = {'dry_run': False, 'provider': 'cloud', 'max_delay_seconds': 1}
    plugins = True

    def setUp(self):
        super().setUp()
        self.told = self.house.watcher.listen(MANAGER, 'Problem', PATH)

    def details_of(self, source):
        wait_for(lambda: [problem for problem in self.told if problem[0] == source], f'a problem of {source}')
        return [problem[2] for problem in self.told if problem[0] == source][-1]

    def test_configuration(self):
        self.house.configure({'naptime_minutes': 'soon'})
        self.house.daemon.popen.send_signal(signal.SIGHUP)
        file = os.path.join(self.house.directory, 'etc/snooze.json')
        self.assertEqual(self.details_of('configuration'), {'file': file, 'path': '/naptime_minutes'})
        rows, = self.client.call('GetHistory', '(ttu)', (0, 0, 100))
        row = [row for row in rows if row['kind'] == 'problem'][0]
        self.assertEqual(row['details'], {'file': file, 'path': '/naptime_minutes'})

    def test_provider(self):
        self.house.behave(stop='refuse')
        self.client.call('StopInstance', '(sa{sv})', ('a test', {}))
        self.assertEqual(self.details_of('provider'), {'provider': 'cloud', 'instance': 'i-this', 'action': 'stop'})

    def test_plugin(self):
        self.client.call('LoadPlugin', '(s)', ('example',))
        self.house.configure({**self.configuration, 'plugins': {'plugin_configs': {'example': {'mode': 5}}}})
        self.client.call('Reload')
        self.assertEqual(self.details_of('example'), {'plugin': 'example', 'state': 'running'})


class Blind(BusTest):
    """An idle machine whose one plugin cannot tell, and a clock that leaps."""

    def setUp(self):
        mute = {'plugins': {'plugin_configs': {'example': {'mode': 'failing'}}}}
        self.house = House({'check_interval_seconds': 1, 'sample_interval_seconds': 0.2, 'unknown_grace_seconds': 1, **mute}, daemon=False)
        self.addCleanup(self.house.close)
        self.house.install_example()
        self.house.replay(QUIET)
        self.later = self.house.directory / 'later'
        self.house.preload('clocks', LATER=self.later)
        self.house.start_daemon()
        self.client = self.house.client()
        self.problems = self.house.watcher.listen(MANAGER, 'Problem', PATH)
        self.events = self.house.watcher.listen(MANAGER, 'EventReceived', PATH)
        wait_for_file(lambda: 'example' in self.client.get('Reason'), 'the plugin to be what keeps it on')

    def own_problems(self):
        return [message for source, message, _ in self.problems if source == 'decision']

    def notices(self):
        return [event['data']['notice'] for _, kind, event in self.events if kind == 'snooze.notice']

    def test_kept_on_by_what_is_unknown_for_an_hour_people_are_told(self):
        begun = self.client.call('GetMetrics')[0]['timestamp']
        # Nothing is told meanwhile that would wake the test.
        self.addCleanup(GLib.source_remove, GLib.timeout_add(100, lambda: True))
        wait_for(lambda: self.client.call('GetMetrics')[0]['timestamp'] > begun + 3_000_000, 'some checks')
        self.assertEqual(self.own_problems(), [])

        self.later.touch()
        wait_for(self.own_problems, 'the problem')
        self.assertIn('example', self.own_problems()[0])
        wait_for(self.notices, 'the notice')
        self.assertEqual(self.notices(), self.own_problems())
        self.assertEqual(self.client.get('State'), 'active')
        self.assertIn('example', self.client.get('Reason'))
        begun = self.client.call('GetMetrics')[0]['timestamp']
        wait_for(lambda: self.client.call('GetMetrics')[0]['timestamp'] > begun + 2_000_000, 'some more checks')
        self.assertEqual(len(self.own_problems()), 1)


if __name__ == '__main__':
    tap.main()
