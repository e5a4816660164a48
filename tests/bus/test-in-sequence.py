# SPDX-License-Identifier: Apache-2.0
"""Commands about a plugin one after the other, as a script has them: each finds what the one before it did."""

import os

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
