# SPDX-License-Identifier: Apache-2.0
"""The version that was replaced, and the calls that it has yet: they end there, whatever comes meanwhile (see also plugin-drain)."""

import os
import signal

import tap
from counting import COUNTING, CountingTest
from gi.repository import Gio, GLib
from harness import ERROR, NAME, PLUGIN, error_name, wait_for, wait_for_file

BUS = ('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus')


class Draining(CountingTest):
    manifest = {'timeouts': {'start': 20, 'initialize': 20, 'provider': 60, 'shutdown': 5}}

    def setUp(self):
        super().setUp()
        # What has a State waits for its calls before it is replaced; what is a check the daemon asks by itself.
        self.place('1.0.0', contracts=['RequestHandler', 'DataProcessor'])
        self.start()
        self.old = self.get('Pid')

    def stream(self):
        """Its answer, where to write, and where to read."""
        (source, feed), (drain, sink) = os.pipe(), os.pipe()
        answer = []

        def on_reply(connection, result):
            try:
                answer.append((connection.call_with_unix_fd_list_finish(result)[0].unpack(), None))
            except GLib.Error as error:
                answer.append((None, error))

        self.client.connection.call_with_unix_fd_list(
            NAME, COUNTING, PLUGIN, 'ProcessStream', GLib.Variant('(hha{sv})', (0, 1, {})), None, Gio.DBusCallFlags.NONE, 120000,
            Gio.UnixFDList.new_from_array([source, sink]), None, on_reply)
        feed, drain = open(feed, 'wb', buffering=0), open(drain, 'rb', buffering=0)
        self.addCleanup(feed.close)
        self.addCleanup(drain.close)
        self.pass_through(feed, drain)
        return answer, feed, drain

    def pass_through(self, feed, drain):
        feed.write(b'abc')
        self.assertEqual(drain.read(3), b'abc')

    def begin_upgrade(self, version, *behaviour):
        self.place(version, *behaviour)
        upgrade = self.house.client().send('Upgrade', '(s)', (version,), PLUGIN, COUNTING)
        wait_for(lambda: self.get('Version') == version, 'the switch')
        return upgrade

    def test_a_stream_outlasts_the_trial(self):
        """What comes next has to wait: a person is told, what the daemon sees by itself it takes then."""
        answer, feed, drain = self.stream()
        upgrade = self.begin_upgrade('1.1.0')
        new = self.get('Pid')
        self.pass_through(feed, drain)
        self.assertEqual((upgrade, answer), ([], []))
        wait_for(lambda: upgrade, 'the end of the trial')
        self.assertEqual(upgrade, [((), None)])
        self.pass_through(feed, drain)
        self.assertEqual(set(self.processes()), {self.old, new})

        self.place('1.2.0')
        with self.assertRaises(GLib.Error) as raised:
            self.of('Upgrade', '(s)', ('1.2.0',), client=self.house.client())
        self.assertEqual(error_name(raised.exception), ERROR + 'Busy')
        self.assertIn('version 1.0.0, which was replaced, has 1 call to finish', raised.exception.message)
        self.discover()
        self.assertEqual(self.ask('look')['version'], '1.1.0')

        self.pass_through(feed, drain)
        feed.close()
        wait_for(lambda: answer, 'the end of the stream')
        self.assertIsNone(answer[0][1])
        self.assertEqual(drain.read(), b'')
        wait_for(lambda: self.get('Version') == '1.2.0', 'what lies there to be taken')
        wait_for_file(lambda: self.processes() == [self.get('Pid')], 'the others to be gone')
        self.assertEqual((self.get('Healthy'), self.get('Restarts'), self.problems), (True, 0, []))
        self.assertEqual((self.of('GetStatistics')[0]['errors'], self.of('GetStatistics')[0]['timeouts']), (0, 0))

    def test_a_restart_is_for_who_cannot_wait(self):
        """The third version has no place before the stream ends, which whoever sends it may put off: Busy says what to type."""
        answer, _, _ = self.stream()
        upgrade = self.begin_upgrade('1.1.0')
        wait_for(lambda: upgrade, 'the end of the trial')
        self.place('1.2.0')
        with self.assertRaises(GLib.Error) as raised:
            self.of('Upgrade', '(s)', ('1.2.0',), client=self.house.client())
        self.assertEqual(error_name(raised.exception), ERROR + 'Busy')
        self.assertTrue(raised.exception.message.endswith('sudo snooze plugin restart counting'), raised.exception.message)
        self.discover()
        self.of('Restart', client=self.house.client())
        wait_for(lambda: answer, 'the end of the stream')
        self.assertEqual(error_name(answer[0][1]), ERROR + 'PluginFailed')
        self.assertEqual((self.get('Version'), self.ask('look')['version']), ('1.2.0', '1.2.0'))
        wait_for_file(lambda: self.processes() == [self.get('Pid')], 'the others to be gone')

    def test_unloaded_both_end(self):
        answer, _, _ = self.stream()
        upgrade = self.begin_upgrade('1.1.0')
        self.of('Unload', client=self.house.client())
        wait_for(lambda: answer and upgrade, 'the answers')
        self.assertEqual(error_name(answer[0][1]), ERROR + 'PluginFailed')
        self.assertEqual(upgrade, [((), None)])
        wait_for_file(lambda: self.processes() == [], 'both to be gone')
        self.assertEqual(self.get('State'), 'stopped')

    def fall_at_a_call(self):
        """The daemon does: the old one is at a call, looks at nothing else, and has the name yet. Returns the new one, and who has the
        name."""
        os.mkfifo(self.directory / 'go')
        waiting = self.client.send('Call', '(sa{sv})', ('wait', {}), PLUGIN, COUNTING)
        wait_for_file((self.directory / 'asked').exists, 'the call to be there')
        self.begin_upgrade('1.1.0')
        new = self.get('Pid')
        watcher = self.house.watcher
        pid_of_owner = lambda: watcher.call('GetConnectionUnixProcessID', '(s)', ('io.cloudsnooze.Plugin1.counting',), *BUS[:1], BUS[1],
                                            BUS[2])[0]
        self.assertEqual(pid_of_owner(), self.old)
        self.house.kill_daemon(signal.SIGKILL)
        wait_for(lambda: waiting, 'the end of the call with the daemon')
        self.house.start_daemon()
        self.client = self.house.client()
        return new, pid_of_owner

    def end_the_call(self):
        with open(self.directory / 'go', 'w'):
            pass

    def test_a_daemon_that_comes_back_takes_the_new_one(self):
        new, pid_of_owner = self.fall_at_a_call()
        self.of('Load')
        self.assertEqual((self.get('Pid'), self.get('Version'), self.ask('look')['pid']), (new, '1.1.0', new))
        self.end_the_call()
        wait_for_file(lambda: self.processes() == [new], 'the old one to be gone')
        wait_for(lambda: pid_of_owner() == new, 'the name')
        self.assertEqual((self.ask('look')['pid'], self.get('State'), self.get('Restarts')), (new, 'running', 0))

    def test_a_daemon_that_comes_back_sends_the_new_one_away(self):
        """It is that which serves: the old one is to leave, too, but is asked nothing."""
        new, _ = self.fall_at_a_call()
        told = self.house.watcher.listen(PLUGIN, 'StateChanged', COUNTING)
        unload = self.client.send('Unload', interface=PLUGIN, path=COUNTING)
        wait_for_file(lambda: self.processes() == [self.old], 'the new one to be gone')
        wait_for(lambda: unload, 'an answer to Unload')
        self.assertEqual(unload, [((), None)])
        wait_for(lambda: told and told[-1][0] == 'stopped', 'the others to be told')
        self.assertEqual([state for state, _, _ in told], ['loading', 'initializing', 'draining', 'stopped'])
        self.end_the_call()
        wait_for_file(lambda: self.processes() == [], 'the old one to be gone')
        self.assertEqual(self.problems, [])


if __name__ == '__main__':
    tap.main()
