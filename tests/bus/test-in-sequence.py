# SPDX-License-Identifier: Apache-2.0
"""Commands about a plugin one after the other, as a script has them: each finds what the one before it did."""

import os
import shutil

import tap
from counting import COUNTING
from harness import PLUGIN, wait_for
from installation import Running

SETTINGS = {'config_schema': {'word': {'type': 'string', 'description': 'A word', 'default': ''}}}


class InSequence(Running):
    def setUp(self):
        super().setUp()
        self.house.start_daemon('--plugin-directory', self.installed)
        self.client = self.house.client()

    def assertDone(self, *arguments):
        result = self.snooze(*arguments)
        self.assertEqual((result.returncode, result.stderr), (0, ''), (arguments, result.stdout))
        return result.stdout

    def test_installed_it_is_approved(self):
        self.assertDone('install', self.source(permissions=['processes']))
        self.assertDone('permissions', 'counting', '--all')

    def test_installed_it_is_configured(self):
        self.assertDone('install', self.source(**SETTINGS))
        self.assertDone('configure', 'counting', 'word=open')
        self.assertEqual(self.client.call('GetConfiguration', '()', (), PLUGIN, COUNTING)[0]['word'][0], 'open')

    def test_another_one_in_its_place(self):
        self.assertDone('install', self.source(permissions=['processes']))
        self.assertDone('uninstall', 'counting')
        self.assertNotIn(COUNTING, self.client.call('ListPlugins')[0])
        self.assertDone('install', self.source('0.9.0'))
        self.assertDone('enable', 'counting')
        self.assertEqual(self.get('Version'), '0.9.0')

    def test_one_that_is_not_there_is_not_uninstalled(self):
        result = self.snooze('uninstall', 'coutning')
        self.assertEqual((result.returncode, result.stdout), (1, ''))
        self.assertIn("There is no plugin 'coutning'", result.stderr)
        # Nor is there one of which something is left; that is what it is for then.
        self.assertDone('install', self.source())
        self.assertDone('enable', 'counting')
        shutil.rmtree(self.installed / 'counting')
        wait_for(lambda: COUNTING not in self.client.call('ListPlugins')[0], 'it to be missed')
        self.assertDone('uninstall', 'counting')
        self.assertEqual(self.snooze('uninstall', 'counting').returncode, 1)

    def test_who_may_not_is_told_what_does_all_of_it(self):
        self.assertDone('install', self.source())
        for enabled in (False, True):
            if enabled:
                self.assertDone('enable', 'counting')
            self.house.answer('refuse')
            result = self.snooze('uninstall', 'counting')
            self.house.answer('allow')
            self.assertEqual(result.returncode, 3)
            self.assertIn('\nTo uninstall it: sudo snooze plugin uninstall counting\n', result.stderr)
            self.assertNotIn('busctl', result.stderr)

    def test_what_is_refused(self):
        """for what stands against it, not for what was typed"""
        self.assertDone('install', self.source(permissions=['processes']))
        self.assertEqual(self.snooze('enable', 'counting').returncode, 3)
        self.assertDone('permissions', 'counting', '--all')
        self.assertDone('enable', 'counting')
        self.assertDone('install', self.source('2.0.0', permissions=['processes', 'device:gpu']))
        self.assertEqual(self.snooze('update', 'counting').returncode, 3)
        self.helper('ApprovePermissions', '(sass)', ('counting', [], self.helper('ListPermissions', '(s)', ('counting',))[0]))
        self.assertEqual(self.snooze('restart', 'counting').returncode, 3)
        packaged = self.root / 'usr/lib/cloudsnooze/plugins'
        shutil.copytree(self.source(identifier='other', permissions=['processes']), packaged / 'other')
        for arguments in (('uninstall', 'other'), ('permissions', 'other', '--all'), ('install', self.source(identifier='other'))):
            result = self.snooze(*arguments)
            self.assertEqual(result.returncode, 3, (arguments, result.stderr))

    def test_what_is_taken_back_is_not_kept_by_what_runs(self):
        """by whichever version's name, where that asks for it, too; and that it ended is what was wanted"""
        for version in ('1.0.0', '1.1.0'):
            self.assertDone('install', self.source(version, permissions=['processes']))
        self.assertDone('permissions', 'counting', '--all')
        self.assertDone('enable', 'counting')
        for taken in (('--revoke', 'processes'), ('--none',), ('--version', '1.0.0', '--none'), ('--version', '1.1.0', '--revoke', 'processes')):
            pid = self.ask()['pid']
            self.assertIn('processes\tno', self.assertDone('permissions', 'counting', *taken))
            self.assertEqual(self.get('State'), 'failed', taken)
            wait_for(lambda p=pid: not os.path.exists(f'/proc/{p}'), f'{pid} to have ended after {taken}')
            self.assertDone('permissions', 'counting', '--version', '1.0.0', '--all')
            self.assertEqual(self.get('State'), 'running', taken)

    def test_what_only_another_version_asks_for_is_no_concern_of_what_runs(self):
        self.assertDone('install', self.source(permissions=['processes']))
        self.assertDone('permissions', 'counting', '--all')
        self.assertDone('enable', 'counting')
        self.assertDone('install', self.source('1.1.0', permissions=['processes', 'device:gpu']))
        before = self.ask()['pid']
        for change in ('--approve', '--revoke'):
            self.assertDone('permissions', 'counting', '--version', '1.1.0', change, 'device:gpu')
        self.assertEqual(self.ask()['pid'], before)


if __name__ == '__main__':
    tap.main()
