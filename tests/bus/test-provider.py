#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who is to stop this machine, as the daemon finds out and as people are told meanwhile."""

import signal

import tap
from harness import PATH, QUIET, BusTest, House, wait_for

CLOUD = PATH + '/provider/cloud'

# Idle at once, warned for a moment: what a day takes otherwise.
HASTY = {'naptime_minutes': 0.01, 'warning_minutes': 0.01, 'min_uptime_minutes': 0, 'check_interval_seconds': 1,
         'sample_interval_seconds': 0.2, 'window_seconds': 1, 'burst_seconds': 0.4, 'long_window_seconds': 1}


class ProviderTest(BusTest):
    settings = {}

    def setUp(self):
        self.house = House({'provider': 'auto', **self.settings}, daemon=False)
        self.addCleanup(self.house.close)
        self.house.replay(QUIET)
        self.house.install_cloud()
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

    def test_none_recognizes_it(self):
        self.house.behave(detect=False)
        self.house.start_daemon()
        self.wait_for_problem('No provider recognizes this machine')


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
