#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A machine that was suspended, and is there again without a boot; the sleep is that of a replayed trace."""

from gi.repository import GLib

import tap
from harness import MANAGER, PATH, QUIET, BusTest, House, wait_for


class Suspended(BusTest):
    def setUp(self):
        self.house = House({'dry_run': False, 'provider': 'cloud', 'max_delay_seconds': 1}, daemon=False)
        self.addCleanup(self.house.close)
        self.house.replay(QUIET)
        self.house.install_cloud()
        self.house.start_daemon()
        self.house.wait_for_provider()
        self.client = self.house.client()
        self.changes = self.house.watcher.listen(MANAGER, 'StateChanged', PATH)

    def suspend(self):
        self.client.call('StopInstance', '(sa{sv})', ('good night', {'action': GLib.Variant('s', 'suspend')}))
        wait_for(lambda: self.client.get('State') == 'stopped', 'stopped')

    def history(self):
        return [row for row in self.client.call('GetHistory', '(ttu)', (0, 0, 100))[0] if row['kind'] == 'stop']

    def test_it_says_so_and_counts_anew(self):
        self.suspend()
        self.house.kill_daemon()
        self.house.replay(QUIET, {'t': 2, 'event': 'resume'})
        self.house.start_daemon()
        wait_for(lambda: self.client.get('Greeting'), 'the greeting')
        self.assertRegex(self.client.get('Greeting'), r'^Stopped .*good night\), back since .* off$')
        self.assertIn(self.client.get('State'), ('active', 'idle'))
        wait_for(lambda: self.history()[0]['outcome'] == 'back', 'the end of the record')

        # It is over: the next daemon asks nobody about it.
        asked = [method for method, _ in self.house.asked_of('cloud')].count('StopInstance')
        self.house.replay(QUIET)
        self.house.restart_daemon()
        self.house.wait_for_provider()
        self.assertIn(self.client.get('State'), ('active', 'idle'))
        self.assertEqual([method for method, _ in self.house.asked_of('cloud')].count('StopInstance'), asked)
        self.assertEqual(asked, 1)


if __name__ == '__main__':
    tap.main()
