# SPDX-License-Identifier: Apache-2.0
"""What a plugin that was uninstalled, or whose files somebody removed, leaves to the next one of its name, who may be somebody else: nothing,
or what the person who installs that is told of."""

import json
import os
import shutil
import signal

import tap
from counting import COUNTING
from gi.repository import Gio
from harness import ACTION, ERROR, PLUGIN, SOURCE, wait_for
from installation import HELPER, HELPER_PATH, NOBODY, SNOOZE, Running

HELPER_XML = SOURCE / 'introspection/io.cloudsnooze.Helper1.xml'


class Forgotten(Running):
    ASKS = {'config_schema': {'token': {'type': 'string', 'description': 'A secret', 'default': '', 'secret': True}}}

    def approve_all(self):
        digest, _, asked, _ = self.helper('ListPermissions', '(s)', ('counting',))
        self.helper('ApprovePermissions', '(sass)', ('counting', [permission for permission, _, _ in asked], digest))

    def marks(self):
        return [path.name for kind in ('enabled', 'disabled') for path in (self.house.directory / 'state' / kind).glob('counting')]

    def configure(self):
        self.client.call('SetConfiguration', '(s)', (json.dumps({
            'provider': 'counting', 'provider_type': 'counting',
            'plugins': {'plugin_configs': {'counting': {'token': 'open sesame'}, 'other': {'a': 1}}, 'limits': {'counting': {'tasks': 3}},
                        'timeouts': {'counting': {'check': 60}, 'other': {'check': 60}}},
            'sources': {'counting': {'policy': 'sufficient'}, 'counting/x': {'policy': 'sufficient'}, 'other/x': {'policy': 'off'}}}),))

    def assertForgotten(self):
        """And nobody else is."""
        self.assertEqual(self.marks(), [])
        configuration = json.loads(self.client.call('GetConfiguration')[0])
        self.assertEqual(list(configuration['plugins']['plugin_configs']), ['other'])
        # It would have more without.
        self.assertIn('counting', configuration['plugins']['limits'])
        self.assertEqual(list(configuration['plugins']['timeouts']), ['other'])
        self.assertEqual([name for name in configuration['sources'] if name.startswith(('counting', 'other'))], ['other/x'])
        self.assertEqual((configuration['provider'], configuration['provider_type']), ('auto', ''))
        self.assertNotIn('open sesame', ''.join(path.read_text() for path in self.house.directory.rglob('*.json') if 'source' not in path.parts))

    def test_what_was_uninstalled_leaves_nothing_to_the_next(self):
        self.install(self.source(**self.ASKS))
        self.start()
        self.configure()
        for expected in (1, 2):
            self.assertRuns('1.0.0', expected)
        result = self.snooze('uninstall', 'counting')
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn('its state and what was configured for it', result.stdout)
        self.assertForgotten()
        self.assertEqual(self.snooze('install', self.source(**self.ASKS)).returncode, 0)
        wait_for(lambda: COUNTING in self.client.call('ListPlugins')[0], 'it to be found')
        self.of('Enable')
        self.of('Load')
        self.assertRuns('1.0.0', 1)

    def test_what_files_of_the_administrators_say_stays_and_is_told(self):
        self.house.configure({'plugins': {'limits': {'counting': {'tasks': 3}}, 'plugin_configs': {'counting-2': {'a': 1}}}})
        (self.house.directory / 'etc/snooze.d').mkdir(exist_ok=True)
        for name, content in (('10-secret', {'plugins': {'plugin_configs': {'counting': {'token': 'open sesame'}}}}),
                              ('20-trust', {'sources': {'counting/x': {'policy': 'sufficient'}}}),
                              ('30-provider', {'provider': 'counting'}),
                              ('40-other', {'sources': {'other/counting': {'policy': 'off'}}})):
            self.house.configure(content, f'snooze.d/{name}.json')
        secrets = self.house.directory / 'etc/plugins/counting.env'
        secrets.parent.mkdir(exist_ok=True)
        secrets.write_text('SNOOZE_TOKEN=sesame\n')
        secrets.chmod(0o640)
        self.install(self.source(**self.ASKS))
        self.start()
        result = self.snooze('uninstall', 'counting')
        self.assertEqual(result.returncode, 0, result.stderr)
        told = [f'{self.house.directory}/etc/{name}' for name in ('plugins/counting.env', 'snooze.d/10-secret.json', 'snooze.d/20-trust.json',
                                                                  'snooze.d/30-provider.json')]
        self.assertEqual([line.partition(' says something of counting, which the next plugin')[0] for line in result.stderr.splitlines()],
                         [f'snooze: warning: {file}' for file in told])
        # The one with secrets is told of to who installs one of that name, too, daemon or not.
        result = self.snooze('install', self.source(**self.ASKS))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(f'snooze: warning: {told[0]} says something of counting, which this one gets', result.stderr)
        self.assertEqual(self.snooze('uninstall', 'counting').returncode, 0)
        for file in told:
            os.unlink(file)
        self.client.call('Reload')
        self.install(self.source(**self.ASKS))
        result = self.snooze('uninstall', 'counting')
        self.assertEqual((result.returncode, result.stderr), (0, ''))

    def test_what_was_removed_by_hand_leaves_nothing_to_the_next(self):
        self.install(self.source(permissions=['processes'], **self.ASKS))
        self.approve_all()
        self.start()
        self.configure()
        self.assertRuns('1.0.0', 1)
        shutil.rmtree(self.installed / 'counting')
        wait_for(lambda: COUNTING not in self.client.call('ListPlugins')[0], 'it to be missed')
        self.assertEqual(self.marks(), ['counting'])
        # Who may not is told what he asked for, and changes nothing.
        self.house.answer('refuse')
        result = self.snooze('install', self.source(permissions=['processes'], **self.ASKS))
        self.assertEqual(result.returncode, 3)
        self.assertIn('sudo snooze plugin install SOURCE', result.stderr)
        self.assertEqual(self.marks(), ['counting'])
        self.house.answer('allow')
        result = self.snooze('install', self.source(permissions=['processes'], **self.ASKS))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn('asks for what nobody has approved: processes', result.stdout)
        self.assertIn('It does not run until: sudo snooze plugin enable counting', result.stdout)
        self.assertForgotten()
        wait_for(lambda: COUNTING in self.client.call('ListPlugins')[0], 'it to be found')
        self.assertFalse(self.client.get('Enabled', PLUGIN, COUNTING))
        self.approve_all()
        self.of('Enable')
        self.of('Load')
        self.assertRuns('1.0.0', 1)

    def test_what_was_removed_by_hand_and_never_enabled_is_forgotten(self):
        self.install(self.source(**self.ASKS))
        self.start_daemon()
        self.assertEqual(self.snooze('configure', 'counting', 'token=open sesame').returncode, 0)
        secrets = self.house.directory / 'etc/plugins/counting.env'
        secrets.parent.mkdir(exist_ok=True)
        secrets.write_text('SNOOZE_TOKEN=sesame\n')
        secrets.chmod(0o640)
        shutil.rmtree(self.installed / 'counting')
        wait_for(lambda: COUNTING not in self.client.call('ListPlugins')[0], 'it to be missed')
        result = self.snooze('uninstall', 'counting')
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(f'snooze: warning: {secrets} says something of counting', result.stderr)
        self.assertNotIn('open sesame', (self.house.directory / 'state/snooze.json').read_text())
        secrets.unlink()
        result = self.snooze('uninstall', 'counting')
        self.assertEqual((result.returncode, 'nothing that one of that name has left' in result.stderr), (1, True), result.stderr)

    def test_what_is_broken_is_repaired_with_all_that_it_has(self):
        """It lacks its manifest, and was never uninstalled."""
        self.install(self.source(permissions=['processes'], **self.ASKS))
        self.approve_all()
        self.start()
        self.configure()
        self.assertRuns('1.0.0', 1)
        self.of('Disable')
        self.of('Unload')
        marks = self.marks()
        approvals = self.root / 'etc/cloudsnooze/approvals/counting.json'
        approved = lambda: [one['permissions'] for one in json.loads(approvals.read_text())['approved']]
        self.assertEqual(approved(), [['processes']])
        (self.installed / 'counting/1.0.0/plugin.json').unlink()
        result = self.snooze('install', self.source('2.0.0', permissions=['processes'], **self.ASKS))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.marks(), marks)
        self.assertEqual(approved(), [['processes']])
        configuration = json.loads(self.client.call('GetConfiguration')[0])
        self.assertIn('counting', configuration['plugins']['plugin_configs'])
        self.assertIn('counting', configuration['sources'])

    def test_what_was_removed_by_hand_and_the_daemon_does_not_run(self):
        """What it was granted is not the next one's, and what the daemon keeps is told of."""
        asks = {'permissions': ['processes'], **self.ASKS}
        self.install(self.source(**asks))
        self.approve_all()
        self.start()
        self.configure()
        self.assertRuns('1.0.0', 1)
        self.house.kill_daemon(signal.SIGTERM)
        approvals = self.root / 'etc/cloudsnooze/approvals/counting.json'
        self.assertTrue(approvals.exists())
        # One that is there is no newcomer.
        result = self.snooze('install', self.source('2.0.0', **asks))
        self.assertEqual((result.returncode, 'snoozed does not run' in result.stdout), (0, False), result.stdout)
        self.assertTrue(approvals.exists())
        shutil.rmtree(self.installed / 'counting')
        result = self.snooze('install', self.source(**asks))
        self.assertEqual((result.returncode, approvals.exists()), (0, False), result.stderr)
        self.assertIn('It asks for what nobody has approved: processes', result.stdout)
        self.assertIn("is this one's: whether it runs, what it knows and what was configured for it. To have it forgotten: start snoozed; "
                      'sudo snooze plugin uninstall counting; install it again.', result.stdout)
        self.assertEqual(self.marks(), ['counting'])
        # As it says.
        self.start_daemon()
        self.assertEqual(self.snooze('uninstall', 'counting').returncode, 0)
        self.assertForgotten()
        result = self.snooze('install', self.source(**asks))
        self.assertTrue(result.stdout.endswith('\nIt does not run until: sudo snooze plugin enable counting\n'), result.stdout)

    def test_who_may_install_alone_is_told_what_stays(self):
        """Also where the daemon does not run: the helper is asked all the same."""
        self.house.client(NOBODY).close()
        asks = {'permissions': ['processes']}
        self.install(self.source(**asks))
        self.approve_all()
        approvals = self.root / 'etc/cloudsnooze/approvals/counting.json'
        place = self.house.directory / 'of-nobody'
        place.mkdir()
        os.chown(place, NOBODY, NOBODY)
        self.house.answer('refuse', ACTION + 'manage-plugins')
        for running in False, True:
            with self.subTest(running):
                shutil.rmtree(self.installed / 'counting')
                if running:
                    self.house.start_daemon('--plugin-directory', self.installed)
                result = self.snooze('install', self.source(**asks), place=place, user=NOBODY, group=NOBODY, extra_groups=[])
                self.assertEqual((result.returncode, result.stderr), (0, ''), result.stdout)
                self.assertIn("is this one's, for you may not remove it: whether it runs, what it may do and knows", result.stdout)
                self.assertNotIn('does not run until', result.stdout)
                self.assertTrue(approvals.exists())

    def test_where_it_is_not_known_what_is_there_nothing_is_installed(self):
        """It would be given what an earlier one left."""
        asked = []

        def on_call(connection, sender, path, interface, method, parameters, invocation):
            asked.append(method)
            invocation.return_dbus_error(ERROR + 'LimitsExceeded', 'Too many calls; wait a moment.')

        # Without the helper, whose place is taken.
        shutil.copytree(self.source(), self.installed / 'counting/1.0.0')
        (self.installed / 'counting/current').symlink_to('1.0.0')
        self.start_daemon()
        with HELPER_XML.open(encoding='utf-8') as file:
            interface = Gio.DBusNodeInfo.new_for_xml(file.read()).interfaces[0]
        self.client.connection.register_object(HELPER_PATH, interface, on_call, None, None)
        result = self.client.call('RequestName', '(su)', (HELPER, 4), 'org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus')
        self.assertEqual(result, (1,))
        process = self.house.spawn([SNOOZE, 'plugin', 'install', self.source(identifier='other')], 'install.log')
        self.assertNotEqual(process.wait(), 0)
        self.assertIn('Too many calls', process.output())
        self.assertEqual(asked, ['ListPermissions'])

    def test_what_is_enabled_is_not_forgotten(self):
        self.start('1.0.0')
        self.assertFails(ERROR + 'Busy', 'snooze plugin disable counting', self.client.call, 'ForgetPlugin', '(s)', ('counting',))
        self.assertFails(ERROR + 'InvalidArgument', "no plugin's id", self.client.call, 'ForgetPlugin', '(s)', ('../counting',))
        self.assertRuns('1.0.0', 1)
        self.assertEqual(self.marks(), ['counting'])


if __name__ == '__main__':
    tap.main()
