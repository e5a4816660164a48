# SPDX-License-Identifier: Apache-2.0
"""Commands about a plugin one after the other, as a script has them: each finds what the one before it did."""

import tap
from harness import PLUGIN
from counting import COUNTING
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


if __name__ == '__main__':
    tap.main()
