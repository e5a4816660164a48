# SPDX-License-Identifier: Apache-2.0
"""Which plugins are not forgotten, and what whoever asks for it is told to do first (see also test-uninstall.py)."""

import os
import pwd
import signal
import unittest

import host
import tap
from counting import CountingTest
from gi.repository import GLib
from harness import ERROR, error_name, wait_for

NOBODY = pwd.getpwnam('nobody').pw_uid
PACKAGED = 'usr/lib/cloudsnooze/plugins'
# That folder, beside what the host has there.
BESIDE = 'mount -t overlay overlay -o "lowerdir=$1/usr/lib:/usr/lib" /usr/lib && shift && exec "$@"'


class Forget(CountingTest):
    manifest = {'timeouts': {'export': 60, 'shutdown': 60}}

    def assertRefused(self, name, part):
        with self.assertRaises(GLib.Error) as caught:
            self.client.call('ForgetPlugin', '(s)', ('counting',))
        self.assertEqual(error_name(caught.exception), ERROR + name)
        self.assertIn(part, caught.exception.message)
        return caught.exception.message

    def test_one_that_is_disabled_and_still_runs(self):
        self.start()
        self.assertEqual(self.count(2), 2)
        self.assertRefused('Busy', 'sudo snooze plugin disable counting')
        pid = self.get('Pid')
        os.kill(pid, signal.SIGSTOP)
        try:
            self.of('Disable')
            # It is disabled, and does not end sooner by being disabled again.
            self.assertNotIn('plugin disable', self.assertRefused('Busy', 'counting still runs'))
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_for(lambda: self.get('State') == 'stopped', 'its end')
        # What it knew is kept, and goes now.
        self.client.call('ForgetPlugin', '(s)', ('counting',))
        self.of('Enable')
        self.of('Load')
        self.assertEqual(self.count(), 1)

    @unittest.skipIf(host.no_overlays(), host.no_overlays())
    def test_one_that_came_with_a_package(self):
        root = self.house.directory / 'package'
        (root / PACKAGED).mkdir(parents=True)
        self.directory.rename(root / PACKAGED / 'counting')
        self.house.daemon_prefix = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', BESIDE, 'sh', root]
        # The last option counts.
        self.house.start_daemon('--plugin-directory', '/' + PACKAGED)
        self.of('Disable')
        # Nobody has to authenticate to hear that.
        self.house.answer('refuse')
        self.client = self.house.client(NOBODY)
        self.assertRefused('NotSupported', 'came with a package')
        self.assertTrue((self.house.directory / 'state/disabled/counting').exists())


if __name__ == '__main__':
    tap.main()
