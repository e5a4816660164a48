#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a Problem tells a program: the signal's details, and the row in the history."""

import os
import signal

import tap
from harness import MANAGER, PATH, BusTest, wait_for


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
        self.client.call('SetConfiguration', '(s)', ('{"plugins": {"plugin_configs": {"example": {"mode": 5}}}}',))
        self.assertEqual(self.details_of('example'), {'plugin': 'example', 'state': 'running'})


if __name__ == '__main__':
    tap.main()
