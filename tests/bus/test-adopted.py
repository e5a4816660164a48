# SPDX-License-Identifier: Apache-2.0
"""Anybody may have the bus start a plugin that is enabled: what runs by what its files were, or by what it was granted then, does not
serve, be it that a daemon finds it running or that it comes while there is one."""

import json
import os

import tap
from gi.repository import Gio, GLib
from harness import ERROR, PATH, PLUGIN, SOURCE, error_name, wait_for
from helper_bus import HELPER, HELPER_PATH, HelperAndDaemon

NAME = 'io.cloudsnooze.Plugin1.example'
EXAMPLE = PATH + '/plugin/example'
DRIVER = 'org.freedesktop.DBus'


class Adopted(HelperAndDaemon):
    def setUp(self):
        super().setUp()
        # Nobody asks it by himself.
        self.house.install_example(permissions=['network:any'], contracts=['RequestHandler', 'State'], events={})
        (self.house.directory / 'state/enabled/example').unlink()
        self.house.start_daemon()
        self.approve()
        self.plugin('Enable')
        self.plugin('Load')

    def plugin(self, method):
        self.client.call(method, interface=PLUGIN, path=EXAMPLE)

    def get(self, *names):
        return [self.client.get(name, PLUGIN, EXAMPLE) for name in names]

    def approve(self):
        digest, *_ = self.client.call('ListPermissions', '(s)', ('example',), HELPER, HELPER_PATH, HELPER)
        self.client.call('ApprovePermissions', '(sass)', ('example', ['network:any'], digest), HELPER, HELPER_PATH, HELPER)

    def replace(self, **changed):
        path = self.house.directory / 'plugins/example/plugin.json'
        path.with_suffix('.new').write_text(json.dumps({**json.loads(path.read_text()), **changed}))
        path.with_suffix('.new').rename(path)

    def end_process(self):
        os.kill(self.get('Pid')[0], 9)
        wait_for(lambda: self.client.owner(NAME) is None, 'its end')

    def somebody_starts_it(self):
        self.client.call('StartServiceByName', '(su)', (NAME, 0), DRIVER, '/org/freedesktop/DBus', DRIVER)
        return self.client.call('GetConnectionUnixProcessID', '(s)', (NAME,), DRIVER, '/org/freedesktop/DBus', DRIVER)[0]

    def found(self, **changed):
        """Its pid: it was started while no daemon ran and its files, or some of them, had been replaced."""
        pid = self.get('Pid')[0]
        self.house.kill_daemon()
        os.kill(pid, 9)
        wait_for(lambda: self.client.owner(NAME) is None, 'its end')
        if changed:
            self.replace(**changed)
        pid = self.somebody_starts_it()
        self.house.start_daemon()
        return pid

    def assert_not_approved(self, part):
        with self.assertRaises(GLib.Error) as caught:
            self.plugin('Load')
        self.assertEqual(error_name(caught.exception), ERROR + 'PluginFailed', caught.exception.message)
        self.assertIn('asks for what nobody has approved: ' + part, caught.exception.message)
        self.assertEqual(self.get('State', 'Pid'), ['failed', 0])
        self.assertIn('nobody has approved: ' + part, self.get('LastError')[0])
        wait_for(lambda: self.client.owner(NAME) is None, 'the end of what was found')

    def test_one_that_is_to_be_more_than_was_approved(self):
        self.found(contracts=['RequestHandler', 'State', 'DataProcessor'])
        self.assert_not_approved('network:any (it was approved of a plugin.json without contract:DataProcessor)')
        self.approve()
        self.plugin('Load')
        self.assertEqual(self.get('State'), ['running'])

    def test_one_that_asks_for_more(self):
        told = self.house.watcher.listen(PLUGIN, 'StateChanged', EXAMPLE)
        self.found(permissions=['network:any', 'processes'])
        self.assert_not_approved('processes')
        # It was asked for what it knows, and then to go.
        self.house.watcher.hear()
        self.assertIn('draining', [state for change in told for state in change])

    def test_one_of_another_version_that_nobody_has_approved(self):
        self.found(version='1.9.0', permissions=['network:any', 'processes'])
        self.assert_not_approved('processes')

    def test_one_of_which_all_is_approved_is_adopted(self):
        pid = self.found()
        self.plugin('Load')
        self.assertEqual(self.get('State', 'Pid', 'Restarts'), ['running', pid, 0])

    def test_one_that_cannot_be_looked_at_runs_on_until_it_can(self):
        self.helper.kill()
        answers, asked = ['the disk is full'] * 2, []

        def on_call(connection, sender, path, interface, method, parameters, invocation):
            if method == 'Provision':
                asked.append(parameters.unpack())
            if method == 'Provision' and answers:
                invocation.return_dbus_error(ERROR + 'Failed', answers.pop())
            else:
                invocation.return_value(None)

        stub = self.house.client()
        xml = (SOURCE / 'introspection/io.cloudsnooze.Helper1.xml').read_text()
        stub.connection.register_object(HELPER_PATH, Gio.DBusNodeInfo.new_for_xml(xml).interfaces[0], on_call, None, None)
        stub.call('RequestName', '(su)', (HELPER, 0), DRIVER, '/org/freedesktop/DBus', DRIVER)
        pid = self.found()
        loaded = self.client.send('Load', interface=PLUGIN, path=EXAMPLE)
        wait_for(lambda: loaded, 'the load to be refused')
        self.assertIn('the disk is full', loaded[0][1].message)
        self.assertIsNotNone(self.client.owner(NAME))
        # It is tried again by the daemon itself.
        wait_for(lambda: self.get('State') == ['running'], 'the third answer to count')
        self.assertEqual((self.get('Pid'), len(asked)), ([pid], 3))

    def test_so_is_one_that_an_earlier_daemon_had_started(self):
        pid = self.get('Pid')[0]
        self.house.kill_daemon()
        self.replace(permissions=['network:any', 'processes'])
        self.house.start_daemon()
        self.plugin('Load')
        self.assertEqual(self.get('State', 'Pid'), ['running', pid])

    def test_who_unloads_it_sends_it_away(self):
        """Nothing has to be approved for that."""
        self.found(permissions=['network:any', 'processes'])
        self.plugin('Unload')
        wait_for(lambda: self.client.owner(NAME) is None, 'its end')
        self.assertEqual(self.get('LastError'), [''])

    def test_one_that_comes_while_it_is_stopped(self):
        self.plugin('Unload')
        self.replace(permissions=['network:any', 'processes'])
        wait_for(lambda: self.get('Permissions')[0] == [('network:any', True), ('processes', False)], 'the new manifest')
        self.somebody_starts_it()
        with self.assertRaises(GLib.Error) as caught:
            self.plugin('Load')
        self.assertIn('nobody has approved: processes', caught.exception.message)
        self.assertEqual(self.get('State', 'Pid'), ['failed', 0])

    def drop_ins(self):
        return [path.read_text() for path in (self.root / 'etc/systemd/system').rglob('10-permissions.conf')]

    def assert_lapses(self):
        wait_for(lambda: not any('PrivateNetwork=no' in text for text in self.drop_ins()), 'what was granted to be gone')
        self.assertEqual(len(self.drop_ins()), 2)

    def test_what_was_granted_lapses_when_the_files_change(self):
        self.assertTrue(all('PrivateNetwork=no' in text for text in self.drop_ins()))
        self.plugin('Unload')
        self.replace(contracts=['RequestHandler', 'State', 'DataProcessor'])
        self.assert_lapses()
        self.assertEqual(self.get('State', 'LastError'), ['discovered', ''])

    def test_or_when_one_ends_whose_files_have_changed(self):
        self.replace(contracts=['RequestHandler', 'State', 'DataProcessor'])
        # Each caller may ask once a second.
        self.house.client().call('DiscoverPlugins')
        self.assertTrue(all('PrivateNetwork=no' in text for text in self.drop_ins()))
        self.plugin('Unload')
        self.assert_lapses()

    def test_of_one_that_is_disabled_nothing_is_made_known(self):
        self.plugin('Disable')
        before = self.drop_ins()
        self.replace(contracts=['RequestHandler', 'State', 'DataProcessor'])
        wait_for(lambda: 'DataProcessor' in self.get('Contracts')[0], 'the new manifest')
        # Whatever the daemon asked of it comes before this.
        self.client.call('ListPermissions', '(s)', ('example',), HELPER, HELPER_PATH, HELPER)
        self.assertEqual(self.drop_ins(), before)


if __name__ == '__main__':
    tap.main()
