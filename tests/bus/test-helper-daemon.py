# SPDX-License-Identifier: Apache-2.0
"""What the daemon makes of snooze-helper: it has a plugin made known, and starts none that asks for what nobody has approved."""

import json
import os
import shutil
import signal

import tap
from gi.repository import GLib
from harness import ACTION, BUILD, ERROR, MANAGER, PATH, PLUGIN, error_name, wait_for
from helper_bus import HELPER, HELPER_PATH, HelperAndDaemon


class Daemon(HelperAndDaemon):
    def setUp(self):
        super().setUp()
        self.house.install_example(permissions=['network:any', 'processes'])
        # What only the helper is to write.
        for slot in ('', '.a', '.b'):
            (self.house.directory / f'services/io.cloudsnooze.Plugin1.example{slot}.service').unlink()
        (self.house.directory / 'state/enabled/example').unlink()
        self.house.start_daemon()
        self.path = PATH + '/plugin/example'

    def plugin(self, method):
        self.client.call(method, interface=PLUGIN, path=self.path)

    def assertFails(self, name, method, part):
        with self.assertRaises(GLib.Error) as caught:
            self.plugin(method)
        self.assertEqual(error_name(caught.exception), name, caught.exception.message)
        self.assertIn(part, caught.exception.message)

    def permissions(self):
        return self.client.get('Permissions', PLUGIN, self.path)

    def approve(self, *permissions):
        digest, *_ = self.client.call('ListPermissions', '(s)', ('example',), HELPER, HELPER_PATH, HELPER)
        self.client.call('ApprovePermissions', '(sass)', ('example', permissions, digest), HELPER, HELPER_PATH, HELPER)

    def test_from_unknown_to_running(self):
        self.assertFails(ERROR + 'NotApproved', 'Enable', 'network:any, processes; sudo snooze plugin permissions example')
        self.assertFalse(self.client.get('Enabled', PLUGIN, self.path))
        self.approve('network:any')
        self.assertEqual(self.permissions(), [('network:any', True), ('processes', False)])
        self.assertFails(ERROR + 'NotApproved', 'Enable', 'approved: processes;')
        self.approve('network:any', 'processes')
        self.plugin('Enable')
        self.plugin('Load')
        self.assertEqual(self.client.get('State', PLUGIN, self.path), 'running')

    def test_a_manifest_that_asks_for_more(self):
        self.approve('network:any', 'processes')
        self.plugin('Enable')
        self.plugin('Load')
        self.plugin('Unload')
        manifest = self.house.directory / 'plugins/example/plugin.json'
        entries = json.loads(manifest.read_text())
        manifest.write_text(json.dumps({**entries, 'version': '1.3.0', 'permissions': [*entries['permissions'], 'device:gpu']}))
        self.client.call('DiscoverPlugins')
        wait_for(lambda: self.client.get('Version', PLUGIN, self.path) == '1.3.0', 'the new manifest')
        self.assertFails(ERROR + 'PluginFailed', 'Load', 'nobody has approved: device:gpu')
        self.approve('network:any', 'processes', 'device:gpu')
        self.plugin('Restart')
        self.assertEqual(self.client.get('State', PLUGIN, self.path), 'running')

    def replace(self, identifier, **changed):
        """As a package does that is upgraded."""
        path = self.house.directory / 'plugins' / identifier / 'plugin.json'
        path.with_suffix('.new').write_text(json.dumps({**json.loads(path.read_text()), 'version': '1.9.0', **changed}))
        path.with_suffix('.new').rename(path)

    def ask_for_more(self, identifier, *permissions):
        self.replace(identifier, permissions=permissions)

    def assert_runs_on(self, version, pid, problems, missing='device:gpu'):
        wait_for(lambda: problems, 'what is told of it')
        self.assertRegex(problems[0][1], f'version 1.9.0 could not replace version {version}, which runs on .*nobody has approved: {missing}')
        self.assertEqual([self.client.get(name, PLUGIN, self.path) for name in ('State', 'Version', 'Pid')], ['running', version, pid])
        os.kill(pid, 0)

    def test_one_that_a_daemon_finds_runs_on_while_more_is_not_approved(self):
        """Its files were replaced while no daemon looked."""
        self.approve('network:any', 'processes')
        self.plugin('Enable')
        self.plugin('Load')
        pid = self.client.get('Pid', PLUGIN, self.path)
        self.house.kill_daemon()
        self.ask_for_more('example', 'network:any', 'processes', 'device:gpu')
        problems = self.client.listen(MANAGER, 'Problem', PATH)
        self.house.start_daemon()
        self.plugin('Load')
        self.assert_runs_on('1.2.0', pid, problems)
        # With what it was approved for, and nothing else.
        self.assertEqual(self.permissions(), [('network:any', True), ('processes', True)])
        self.assertEqual(self.client.call('CheckIdle', interface=PLUGIN, path=self.path)[0], 'idle')
        with self.assertRaises(GLib.Error) as caught:
            self.client.call('Upgrade', '(s)', ('1.9.0',), PLUGIN, self.path)
        self.assertIn('nobody has approved: device:gpu', caught.exception.message)
        self.approve('network:any', 'processes', 'device:gpu')
        self.client.call('Upgrade', '(s)', ('1.9.0',), PLUGIN, self.path)
        self.assertEqual([self.client.get(name, PLUGIN, self.path) for name in ('State', 'Version')], ['running', '1.9.0'])

    def test_the_next_version_of_the_same_program_takes_over(self):
        self.approve('network:any', 'processes')
        self.plugin('Enable')
        self.plugin('Load')
        self.replace('example', description='Other words')
        wait_for(lambda: self.client.get('Version', PLUGIN, self.path) == '1.9.0', 'the new version')
        self.assertEqual(self.permissions(), [('network:any', True), ('processes', True)])

    def test_one_that_is_to_be_more_waits_until_it_is_approved(self):
        """With the permissions of before, but for what nobody looked at."""
        self.approve('network:any', 'processes')
        self.plugin('Enable')
        self.plugin('Load')
        version, pid = (self.client.get(name, PLUGIN, self.path) for name in ('Version', 'Pid'))
        problems = self.client.listen(MANAGER, 'Problem', PATH)
        self.replace('example', events={'custom.*': {'priority': 5, 'enabled': True}, 'cloud.*': {'priority': 5, 'enabled': True}})
        self.assert_runs_on(version, pid, problems,
                            r'network:any, processes \(it was approved of a plugin.json without event:cloud.\*\)')
        status, said = self.snooze('example')
        self.assertEqual(status, 0, said)
        self.assertIn('it was approved of a plugin.json without event:cloud.*', ' '.join(said.split()))
        self.assertIn('told of custom.*, cloud.*;', said)
        self.assertEqual(self.snooze('example', '--all')[0], 0)
        wait_for(lambda: self.client.get('Version', PLUGIN, self.path) == '1.9.0', 'the new version')

    def test_what_runs_on_has_what_it_was_granted_on_the_bus(self):
        """Its policy and the list of its units are those of both slots."""
        wanted = ['bus:org.freedesktop.login1', 'unit:httpd.service']
        self.replace('example', version='1.3.0', permissions=wanted)
        self.client.call('DiscoverPlugins')
        wait_for(lambda: self.client.get('Version', PLUGIN, self.path) == '1.3.0', 'the new manifest')
        self.approve(*wanted)
        self.plugin('Enable')
        self.plugin('Load')
        files = [self.house.directory / 'root/etc' / path for path in (
            'dbus-1/system.d/io.cloudsnooze.Plugin1.example.conf', 'cloudsnooze/approvals/example.units',
            'systemd/system/snooze-plugin@example.service.d/10-permissions.conf')]
        before, pid = [path.read_text() for path in files], self.client.get('Pid', PLUGIN, self.path)
        for changed, missing in (({'permissions': [*wanted, 'processes']}, 'processes'),
                                 ({'permissions': ['processes']}, 'processes'),
                                 ({'permissions': wanted, 'events': {'cloud.*': {}}}, 'bus:org.freedesktop.login1')):
            with self.subTest(changed):
                problems = self.client.listen(MANAGER, 'Problem', PATH)
                self.replace('example', **changed)
                self.assert_runs_on('1.3.0', pid, problems, missing)
                self.assertEqual([path.read_text() for path in files], before)

    def test_one_that_owns_no_slot_runs_on_while_more_is_not_approved(self):
        """Two of it cannot run at once: it would have to be ended before the other is started. However the daemon comes to see it."""
        script = self.house.directory / 'plain'
        script.write_text(f'#!/bin/sh\nexec {BUILD}/tests/unit/fake-plugin plain idle {self.house.directory}\n')
        self.house.install_plugin('plain', script, contracts=['IdleCheck'])
        for slot in ('', '.a', '.b'):
            (self.house.directory / f'services/io.cloudsnooze.Plugin1.plain{slot}.service').unlink()
        problems = self.client.listen(MANAGER, 'Problem', PATH)
        self.path = PATH + '/plugin/plain'
        wait_for(lambda: self.path in self.client.call('ListPlugins')[0], 'the plugin')
        self.plugin('Enable')
        self.plugin('Load')
        pid = self.client.get('Pid', PLUGIN, self.path)
        self.ask_for_more('plain', 'device:gpu')
        self.assert_runs_on('1.0.0', pid, problems)
        problems.clear()
        self.house.restart_daemon()
        self.plugin('Load')
        self.assert_runs_on('1.0.0', pid, problems)
        digest, *_ = self.client.call('ListPermissions', '(s)', ('plain',), HELPER, HELPER_PATH, HELPER)
        self.client.call('ApprovePermissions', '(sass)', ('plain', ['device:gpu'], digest), HELPER, HELPER_PATH, HELPER)
        self.client.call('Upgrade', '(s)', ('1.9.0',), PLUGIN, self.path)
        self.assertEqual([self.client.get(name, PLUGIN, self.path) for name in ('State', 'Version')], ['running', '1.9.0'])
        self.assertEqual(self.house.lived_through('plain').count('starts'), 2)

    def test_what_is_taken_back(self):
        self.approve('network:any', 'processes')
        self.plugin('Enable')
        self.plugin('Load')
        self.approve('processes')
        self.assertFails(ERROR + 'PluginFailed', 'Restart', 'nobody has approved: network:any')

    def test_what_is_taken_back_from_one_that_ran_before_the_daemon(self):
        manifest = self.house.directory / 'plugins/example/plugin.json'
        # Nobody asks this one by himself.
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), 'contracts': ['RequestHandler', 'State'], 'events': {}}))
        self.client.call('DiscoverPlugins')
        wait_for(lambda: self.client.get('Contracts', PLUGIN, self.path) == ['RequestHandler', 'State'], 'the new manifest')
        self.approve('network:any', 'processes')
        self.plugin('Enable')
        self.plugin('Load')
        self.house.restart_daemon()
        self.assertEqual(self.client.get('State', PLUGIN, self.path), 'discovered')
        status, said = self.snooze('example', '--revoke', 'network:any')
        self.assertEqual(status, 0, said)
        self.assertIsNone(self.client.owner('io.cloudsnooze.Plugin1.example'))
        self.assertFails(ERROR + 'PluginFailed', 'Load', 'nobody has approved: network:any')

    def snooze(self, *words, verb='permissions'):
        """(exit status, all that it said)"""
        log = self.house.directory / 'cli.log'
        log.unlink(missing_ok=True)
        status = self.house.spawn([BUILD / 'src/cli/cloudsnooze', 'plugin', verb, *words], log.name).wait()
        return status, log.read_text()

    def test_the_command_line(self):
        status, said = self.snooze('example', '--json')
        self.assertEqual(status, 0, said)
        shown = json.loads(said)
        self.assertFalse(shown['packaged'])
        self.assertEqual([(entry['permission'], entry['approved']) for entry in shown['permissions']],
                         [('network:any', False), ('processes', False)])
        self.assertEqual(shown['permissions'][1]['meaning'], 'may see the processes of others and what the kernel tells of them')
        status, said = self.snooze('example')
        self.assertIn('sudo snooze plugin permissions example --all', said)

        status, said = self.snooze('example', '--approve', 'network:none')
        self.assertEqual(status, 2, said)
        self.assertIn('does not ask for', said)
        self.assertEqual(self.permissions(), [('network:any', False), ('processes', False)])
        self.assertEqual(self.snooze('example', '--approve', 'processes')[0], 0)
        self.assertEqual(self.permissions(), [('network:any', False), ('processes', True)])
        self.assertEqual(self.snooze('example', '--all')[0], 0)
        self.plugin('Enable')
        self.plugin('Load')
        # What runs must not keep what was taken back; and what was given again lets it run again.
        self.assertEqual(self.snooze('example', '--revoke', 'network:any')[0], 0)
        wait_for(lambda: self.client.get('State', PLUGIN, self.path) == 'failed', 'its end')
        self.assertEqual(self.snooze('example', '--all')[0], 0)
        self.assertEqual(self.client.get('State', PLUGIN, self.path), 'running')
        self.assertEqual(self.snooze('example', '--all', '--none')[0], 2)
        self.assertEqual(self.snooze('nowhere')[0], 1)
        self.house.answer('refuse')
        status, said = self.snooze('example', '--none')
        self.assertEqual(status, 3, said)
        self.assertEqual(self.permissions(), [('network:any', True), ('processes', True)])

    def test_forgotten_and_known_again(self):
        self.approve('network:any', 'processes')
        self.plugin('Enable')
        self.plugin('Load')
        policy = self.house.directory / 'root/etc/dbus-1/system.d/io.cloudsnooze.Plugin1.example.conf'
        self.assertTrue(policy.exists())
        status, said = self.snooze('example', verb='uninstall')
        self.assertEqual(status, 0, said)
        self.assertFalse(policy.exists())
        self.assertFalse(self.client.get('Enabled', PLUGIN, self.path))
        self.assertFails(ERROR + 'NotApproved', 'Enable', 'nobody has approved: network:any, processes')

    def test_what_is_left_beside_a_packaged_one(self):
        """The command has it removed, and says of one beside which nothing is left that it is the package's."""
        self.approve('network:any', 'processes')
        self.plugin('Enable')
        packages = self.house.directory / 'root/usr/lib/cloudsnooze/plugins'
        packages.mkdir(parents=True)
        shutil.copytree(self.house.directory / 'plugins/example', packages / 'example')
        drop_ins = list((self.house.directory / 'root/etc/systemd/system').rglob('10-permissions.conf'))
        self.assertEqual(len(drop_ins), 2)
        status, said = self.snooze('example', verb='uninstall')
        self.assertEqual(status, 0, said)
        self.assertIn('What an earlier example had left is gone.', said)
        self.assertFalse([path for path in drop_ins if path.exists()])
        # Nor is anybody asked to authenticate, who would be refused in any case.
        self.house.reset_polkit()
        status, said = self.snooze('example', verb='uninstall')
        self.assertEqual(status, 3, said)
        self.assertIn('example came with a package, which is what to remove', said)
        self.assertEqual(self.house.questions(), [])
        self.assertTrue(self.client.get('Enabled', PLUGIN, self.path))

    def ask_for_nothing(self):
        manifest = self.house.directory / 'plugins/example/plugin.json'
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), 'version': '1.9.0', 'permissions': []}))
        self.client.call('DiscoverPlugins')
        wait_for(lambda: self.client.get('Version', PLUGIN, self.path) == '1.9.0', 'the new manifest')

    LIMITS = 'root/etc/systemd/system/snooze-plugin@example.service.d/20-limits.conf'

    def configure_memory(self, megabytes):
        limits = {'plugins': {'limits': {'example': {'memory_mb': megabytes}}}}
        self.client.call('SetConfiguration', '(s)', (json.dumps(limits),))

    def test_forgotten_and_known_again_where_nothing_is_to_be_approved(self):
        self.ask_for_nothing()
        self.configure_memory(16)
        policy = self.house.directory / 'root/etc/dbus-1/system.d/io.cloudsnooze.Plugin1.example.conf'
        limits = self.house.directory / self.LIMITS
        for _ in range(2):
            self.plugin('Enable')
            self.assertTrue(policy.exists())
            self.plugin('Load')
            self.assertIn(f'MemoryMax={16 << 20}\n', limits.read_text())
            status, said = self.snooze('example', verb='uninstall')
            self.assertEqual(status, 0, said)
            self.assertFalse(policy.exists())
            self.assertFalse(limits.exists())

    def ask_for_memory(self, megabytes):
        manifest = self.house.directory / 'plugins/example/plugin.json'
        entries = {**json.loads(manifest.read_text()), 'limits': {'memory_mb': megabytes}, 'tags': [f'of-{megabytes}']}
        manifest.with_name('.new').write_text(json.dumps(entries))
        manifest.with_name('.new').rename(manifest)
        # Each caller may ask once a second.
        self.house.client().call('DiscoverPlugins')
        wait_for(lambda: self.client.get('Tags', PLUGIN, self.path) == entries['tags'], 'the new manifest')

    def test_limits_are_held_against_the_manifest_of_now(self):
        """The helper cuts what stands there to what a new manifest allows."""
        self.ask_for_nothing()
        self.ask_for_memory(64)
        self.configure_memory(48)
        self.plugin('Enable')
        limits = self.house.directory / self.LIMITS
        for _ in range(2):
            self.plugin('Load')
            self.assertIn(f'MemoryMax={48 << 20}\n', limits.read_text())
            self.plugin('Unload')
            self.ask_for_memory(32)
            self.assertFails(ERROR + 'PluginFailed', 'Load', 'memory_mb: got 48, expected 1 to 32')
            self.ask_for_memory(64)
            self.plugin('Unload')

    def enable_and_wait(self):
        """It hangs in the helper."""
        os.kill(self.helper.pid, signal.SIGSTOP)
        self.addCleanup(os.kill, self.helper.pid, signal.SIGCONT)
        answer = self.client.send('Enable', interface=PLUGIN, path=self.path)
        # polkit's answer is with the daemon before ours, and taken up again before the second.
        wait_for(lambda: (ACTION + 'manage-plugins',) in self.house.asked, 'polkit to be asked')
        self.client.get('State')
        self.client.get('State')
        return answer

    def test_the_last_word_is_disable(self):
        self.ask_for_nothing()
        answer = self.enable_and_wait()
        self.plugin('Disable')
        wait_for(lambda: answer, 'the answer of Enable')
        self.assertEqual(error_name(answer[0][1]), ERROR + 'Busy', answer)
        os.kill(self.helper.pid, signal.SIGCONT)
        # What the daemon asked of it comes before this.
        self.client.call('ListPermissions', '(s)', ('example',), HELPER, HELPER_PATH, HELPER)
        self.assertFalse(self.client.get('Enabled', PLUGIN, self.path))
        self.assertFalse((self.house.directory / 'state/enabled/example').exists())
        # And the next one is not held up by it.
        self.plugin('Enable')
        self.assertTrue(self.client.get('Enabled', PLUGIN, self.path))

    def test_nor_is_it_said_to_be_disabled_where_that_cannot_be_kept(self):
        self.ask_for_nothing()
        answer = self.enable_and_wait()
        in_the_way = self.house.directory / 'state/disabled'
        in_the_way.write_text('')
        self.assertFails(ERROR + 'Store', 'Disable', 'could not be kept')
        in_the_way.unlink()
        wait_for(lambda: answer, 'the answer of Enable')
        self.assertEqual(error_name(answer[0][1]), ERROR + 'Busy', answer)
        self.assertIn('somebody has asked since then to disable it', answer[0][1].message)
        os.kill(self.helper.pid, signal.SIGCONT)
        # One that comes afterwards is served.
        self.plugin('Enable')
        self.assertTrue(self.client.get('Enabled', PLUGIN, self.path))

    def test_a_plugin_that_vanishes_meanwhile(self):
        self.approve('network:any', 'processes')
        answer = self.enable_and_wait()
        (self.house.directory / 'plugins/example/plugin.json').unlink()
        self.client.call('DiscoverPlugins')
        wait_for(lambda: answer, 'the answer of Enable')
        self.assertEqual(error_name(answer[0][1]), ERROR + 'NoSuchPlugin', answer)

    def test_a_helper_that_cannot(self):
        (self.house.directory / 'plugins/example/example').chmod(0o777)
        self.assertFails(ERROR + 'PluginFailed', 'Enable', 'could not be made known to the system')
        self.assertFalse(self.client.get('Enabled', PLUGIN, self.path))


if __name__ == '__main__':
    tap.main()
