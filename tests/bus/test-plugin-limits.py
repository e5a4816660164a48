# SPDX-License-Identifier: Apache-2.0
"""Configured limits of plugins: the helper is told before a plugin starts and as soon as they change, and what it refuses refuses the load.
The helper here only writes down what it was told."""

from gi.repository import Gio, GLib

import tap
from harness import ERROR, PATH, PLUGIN, QUIET, SOURCE, BusTest, House, wait_for

EXAMPLE = PATH + '/plugin/example'


class Limits(BusTest):
    def setUp(self):
        self.house = House({'plugins': {'limits': {'example': {'memory_mb': 16}}}}, daemon=False)
        self.addCleanup(self.house.close)
        self.house.replay(QUIET)
        self.house.install_example()
        self.told = []
        self.refusal = None
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
            if self.refusal:
                invocation.return_dbus_error(ERROR + 'InvalidArgument', self.refusal)
                return
        invocation.return_value(None)

    def load(self):
        return self.client.send('Load', interface=PLUGIN, path=EXAMPLE)

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

    def test_a_refusal_refuses_the_load(self):
        self.refusal = 'memory_mb: got 16, expected 1 to 8'
        loaded = self.load()
        wait_for(lambda: loaded, 'the load to be refused')
        self.assertIn(self.refusal, loaded[0][1].message)
        self.assertIn(self.refusal, self.client.get('LastError', PLUGIN, EXAMPLE))


if __name__ == '__main__':
    tap.main()
