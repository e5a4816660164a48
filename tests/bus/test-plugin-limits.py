# SPDX-License-Identifier: Apache-2.0
"""Configured limits of plugins: the helper is told before a plugin starts and as soon as they change, and what it refuses refuses the load.
The helper here only writes down what it was told."""

import json
import os
import signal
import subprocess

from gi.repository import Gio, GLib

import tap
from counting import COUNTING, CountingTest
from harness import ERROR, MANAGER, NAME, PATH, PLUGIN, QUIET, SOURCE, BusTest, House, wait_for, wait_for_file

EXAMPLE = PATH + '/plugin/example'
DRIVER = 'org.freedesktop.DBus'


class LimitsTest(BusTest):
    configuration = {'limits': {'example': {'memory_mb': 16}}}
    refusal = None

    def setUp(self):
        self.house = House({'plugins': self.configuration}, daemon=False)
        self.addCleanup(self.house.close)
        self.house.replay(QUIET)
        self.house.install_example()
        self.told = []
        self.tellers = []
        self.held = None # or those that are not answered
        self.serve()
        self.house.start_daemon()
        self.client = self.house.client()

    def serve(self):
        xml = (SOURCE / 'introspection/io.cloudsnooze.Helper1.xml').read_text()
        self.helper = self.house.client()
        self.helper.connection.register_object('/io/cloudsnooze/Helper1', Gio.DBusNodeInfo.new_for_xml(xml).interfaces[0],
                                               self.on_call, None, None)
        self.helper.call('RequestName', '(su)', ('io.cloudsnooze.Helper1', 0), 'org.freedesktop.DBus', '/org/freedesktop/DBus',
                         'org.freedesktop.DBus')

    def on_call(self, connection, sender, path, interface, method, parameters, invocation):
        if method == 'SetLimits':
            self.told.append(parameters.unpack())
            self.tellers.append(sender)
            if self.refusal:
                invocation.return_dbus_error(ERROR + 'InvalidArgument', self.refusal)
                return
            if self.held is not None:
                self.held.append(invocation)
                return
        invocation.return_value(None)

    def set_limits(self, limits):
        answer = self.client.send('SetConfiguration', '(s)', (json.dumps({'plugins': {'limits': limits}}),))
        wait_for(lambda: answer, 'the configuration to be taken')
        self.assertIsNone(answer[0][1])

    def load(self):
        return self.client.send('Load', interface=PLUGIN, path=EXAMPLE)


class Limits(LimitsTest):
    def test_told_before_it_starts_and_when_they_change(self):
        loaded = self.load()
        wait_for(lambda: loaded, 'the plugin to be loaded')
        self.assertEqual(loaded, [((), None)])
        self.assertEqual(self.told, [('example', {'memory_mb': 16})])

        changed = self.client.send('SetConfiguration', '(s)', ('{"plugins": {"limits": {"example": {"memory_mb": 8, "cpu_percent": 5.5}}}}',))
        wait_for(lambda: changed and len(self.told) == 2, 'the helper to be told')
        self.assertEqual(self.told[1], ('example', {'memory_mb': 8, 'cpu_percent': 5.5}))
        self.assertEqual(self.client.get('State', PLUGIN, EXAMPLE), 'running')

        changed = self.client.send('SetConfiguration', '(s)', ('{"plugins": {"limits": null}}',))
        wait_for(lambda: changed and len(self.told) == 3, 'the helper to be told')
        # Back to what the files below the daemon's own say.
        self.assertEqual(self.told[2], ('example', {'memory_mb': 16}))

    def test_a_refusal_is_one_for_whoever_came_meanwhile(self):
        self.held = []
        loaded = self.load()
        wait_for(lambda: self.held, 'the helper to be told')
        self.client.call('StartServiceByName', '(su)', ('io.cloudsnooze.Plugin1.example', 0), DRIVER, '/org/freedesktop/DBus', DRIVER)
        # Longer than a greeting takes.
        states = {self.client.get('State', PLUGIN, EXAMPLE) for _ in range(200)}
        self.assertEqual(states, {'loading'})
        self.held[0].return_dbus_error(ERROR + 'InvalidArgument', 'so it is')
        wait_for(lambda: loaded, 'the load to be refused')
        self.assertIn('so it is', loaded[0][1].message)

    def test_what_is_not_waited_for_was_told_all_the_same(self):
        loaded = self.load()
        wait_for(lambda: loaded, 'the plugin to be loaded')
        self.held = []
        self.addCleanup(lambda: [invocation.return_value(None) for invocation in self.held])
        for megabytes in 8, 16:
            self.set_limits({'example': {'memory_mb': megabytes}})
            wait_for(lambda: self.told[-1] == ('example', {'memory_mb': megabytes}), 'the helper to be told')

    def test_nor_does_it_stay_where_none_is_configured(self):
        self.house.kill_daemon()
        self.house.configure({})
        self.house.start_daemon()
        loaded = self.load()
        wait_for(lambda: loaded, 'the plugin to be loaded')
        # The one before may have begun to check.
        self.assertNotIn(self.client.owner(NAME), self.tellers)
        self.held = []
        self.addCleanup(lambda: [invocation.return_value(None) for invocation in self.held])
        for limits, told in ({'example': {'memory_mb': 8}}, {'memory_mb': 8}), (None, {}):
            self.set_limits(limits)
            wait_for(lambda: self.told and self.told[-1] == ('example', told), 'the helper to be told')

    def test_a_refusal_refuses_the_load(self):
        self.refusal = 'memory_mb: got 16, expected 1 to 8'
        loaded = self.load()
        wait_for(lambda: loaded, 'the load to be refused')
        self.assertIn(self.refusal, loaded[0][1].message)
        self.assertIn(self.refusal, self.client.get('LastError', PLUGIN, EXAMPLE))


class Excessive(LimitsTest):
    configuration = {'limits': {'example': {'memory_mb': 1000}}, 'max_restarts': 0}
    refusal = 'memory_mb: got 1000, expected 1 to 64'

    def test_more_than_its_manifest_allows_is_not_tried(self):
        """Nor is that a failure of it, of which one is too many here. One that runs already would be taken as it is."""
        loaded = self.load()
        wait_for(lambda: loaded, 'the load to be refused')
        self.assertIn('plugins.limits.example.memory_mb: got 1000', loaded[0][1].message)
        get = lambda name: self.client.get(name, PLUGIN, EXAMPLE)
        self.assertIn(get('LastError'), loaded[0][1].message)
        self.assertEqual((get('State'), get('Restarts'), self.told), ('failed', 0, []))
        self.refusal = None
        states = self.client.listen(PLUGIN, 'StateChanged', EXAMPLE)
        self.set_limits({'example': {'memory_mb': 16}})
        wait_for(lambda: states, 'the refusal to be lifted')
        self.assertEqual(states[0], ('discovered', 'failed', 'was configured'))
        loaded = self.load()
        wait_for(lambda: loaded, 'it to run')
        self.assertEqual(loaded, [((), None)])
        self.assertEqual(self.told, [('example', {'memory_mb': 16})])

    def test_whoever_writes_it_into_a_file_is_told(self):
        manifest = self.house.directory / 'plugins/example/plugin.json'
        said = '/plugins/limits/example/{}: got {}, expected 1 to {}, which is what %s says; the plugin is not started so' % manifest
        written = f'{self.house.directory}/etc/snooze.json: ' + said.format('memory_mb', 1000, 64)

        def warnings():
            return [finding['message'] for finding in self.house.client().call('Diagnose')[0]
                    if (finding['check'], finding['status']) == ('configuration', 'warning')]

        def check(*file):
            result = subprocess.run([*map(str, self.house.daemon_arguments('--check-configuration', *file))], env=self.house.environment,
                                    capture_output=True, text=True, timeout=60, check=True)
            return result.stderr

        self.assertEqual(warnings(), [written])
        self.assertEqual(check(), f'warning: {written}\n')
        problems = self.house.watcher.listen(MANAGER, 'Problem')
        self.house.configure({'plugins': {'limits': {'example': {'tasks': 1000}}}})
        for _ in range(2):
            self.client.call('Reload')
        written = f'{self.house.directory}/etc/snooze.json: ' + said.format('tasks', 1000, 16)
        wait_for(lambda: problems, 'the problem')
        self.assertEqual(warnings(), [written])
        self.assertEqual([problem[:2] for problem in problems], [('configuration', written)])
        file = self.house.directory / 'other.json'
        file.write_text('{"plugins": {"limits": {"example": {"cpu_percent": 21}}}}')
        self.assertEqual(check(file), f'warning: {file}: ' + said.format('cpu_percent', 21, 20) + '\n')

    def test_nobody_can_set_it(self):
        for limits in {'memory_mb': 65}, {'memory_mb': 16, 'tasks': 17}, {'cpu_percent': 20.5}:
            name = list(limits)[-1]
            self.assertFails(ERROR + 'InvalidConfiguration', 'SetConfiguration', '(s)', (json.dumps({'plugins': {'limits': {'example': limits}}}),),
                             part=f'patch: /plugins/limits/example/{name}: got {limits[name]}, expected 1 to ')
        self.assertEqual(self.house.asked, [])
        self.assertFalse((self.house.directory / 'state/snooze.json').exists())
        # What stands in a file is not in the way of what is well.
        self.set_limits({'example': {'tasks': 16}})


SYSTEMD = 'org.freedesktop.systemd1'
UNIT = '/org/freedesktop/systemd1/unit/snooze_2dplugin_40counting_2eservice'
# The main process lives: the kernel ended another one, and systemd has begun to stop the unit for it.
STOPPED_FOR_MEMORY = {'Result': GLib.Variant('s', 'oom-kill'), 'ExecMainCode': GLib.Variant('i', 0), 'ExecMainStatus': GLib.Variant('i', 0)}
KILLED_FOR_MEMORY = {'Result': GLib.Variant('s', 'oom-kill'), 'ExecMainCode': GLib.Variant('i', 2), 'ExecMainStatus': GLib.Variant('i', 9)}


class Systemd(CountingTest):
    """It tells of a unit's end; and is somebody else on the bus once it has executed itself anew. The one here starts nothing: it comes
    when the plugin is on the bus already."""

    def claim(self, flags):
        systemd = self.house.client()
        subscribed = []
        systemd.connection.register_object('/org/freedesktop/systemd1', Gio.DBusNodeInfo.new_for_xml(
            f'<node><interface name="{SYSTEMD}.Manager"><method name="Subscribe"/></interface></node>').interfaces[0],
            lambda *arguments: subscribed.append(arguments[1]) or arguments[6].return_value(None), None, None)
        reply = systemd.call('RequestName', '(su)', (SYSTEMD, flags), 'org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus')
        self.assertEqual(reply, (1,))
        return systemd, subscribed

    def run_under(self):
        """The systemd that came before the plugin ran."""
        os.mkfifo(self.directory / 'go')
        self.place('1.0.0', 'waits-at-initialize')
        self.house.start_daemon()
        self.violations = self.house.watcher.listen(PLUGIN, 'ResourceViolation', COUNTING)
        self.states = self.house.watcher.listen(PLUGIN, 'StateChanged', COUNTING)
        load = self.client.send('Load', interface=PLUGIN, path=COUNTING)
        wait_for_file((self.directory / 'asked').exists, 'the plugin to be asked')
        systemd, subscribed = self.claim(1)
        with open(self.directory / 'go', 'w'):
            pass
        wait_for(lambda: load and subscribed, 'the plugin to run')
        self.assertIsNone(load[0][1])
        return systemd

    def tell(self, client, destination=None, ending=None):
        client.connection.emit_signal(destination, UNIT, 'org.freedesktop.DBus.Properties', 'PropertiesChanged',
                                      GLib.Variant('(sa{sv}as)', (SYSTEMD + '.Service', ending or KILLED_FOR_MEMORY, [])))
        # Whatever that leads to is sent before this is answered.
        client.call('Get', '(ss)', (PLUGIN, 'State'), 'org.freedesktop.DBus.Properties', COUNTING)

    def test_it_is_heard_after_it_was_executed_anew(self):
        before = self.run_under()
        after, subscribed = self.claim(2)
        wait_for(lambda: subscribed, 'the new one to be asked for its signals')
        # Nobody else is, not the one that it was, nor whoever sends it to the daemon alone.
        daemon = self.client.owner(NAME)
        for forger in before, self.client:
            self.tell(forger)
            self.tell(forger, daemon)
        self.assertEqual(self.violations, [])
        self.tell(after)
        wait_for(lambda: self.violations, 'what is told of it')
        self.assertEqual([resource for resource, _, _ in self.violations], ['memory'])
        self.wait_for_problem('was killed for want of memory')

    def test_one_that_leaves_because_another_process_was_killed_has_failed(self):
        systemd = self.run_under()
        for _ in range(2):
            self.tell(systemd, ending=STOPPED_FOR_MEMORY)
        self.end(signal.SIGTERM)
        wait_for(lambda: any(state == 'failed' for state, _, _ in self.states), 'the plugin to have failed')
        self.assertIn(('failed', 'draining', 'was killed for want of memory'), self.states)
        # However often it is said.
        self.tell(systemd)
        self.assertEqual([resource for resource, _, _ in self.violations], ['memory'])

    def test_one_that_leaves_otherwise_has_not_failed(self):
        systemd = self.run_under()
        self.tell(systemd, ending={'Result': GLib.Variant('s', 'success')})
        self.end(signal.SIGTERM)
        # The next check may start it again before it is asked.
        wait_for(lambda: any(state == 'stopped' for state, _, _ in self.states), 'its end')
        self.assertNotIn('failed', [state for state, _, _ in self.states])
        self.assertEqual(self.violations, [])


if __name__ == '__main__':
    tap.main()
