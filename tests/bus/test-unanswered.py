# SPDX-License-Identifier: Apache-2.0
"""What a plugin said cannot be put into an answer: whoever asked is told so by name, at once, and the next one gets an answer."""

import errno
import os

from gi.repository import Gio, GLib

import tap
from harness import ERROR, PATH, PLUGIN, PROVIDER, QUIET, BusTest, House, error_name

ONE, PROVIDED = f'{PATH}/plugin/one', f'{PATH}/provider/one'
CONTRACTS = ['IdleCheck', 'RequestHandler', 'DataProcessor', 'CloudProvider']


class Unanswered(BusTest):
    def setUp(self):
        self.house = House({'check_interval_seconds': 3600}, daemon=False)
        self.addCleanup(self.house.close)
        self.house.replay(QUIET)
        self.house.install_fake('one', 'cloud', contracts=CONTRACTS, type='provider')
        self.mark = self.house.directory / 'no-memory'
        self.house.preload('no-memory', SNOOZE_NO_MEMORY=self.mark)
        self.house.start_daemon()
        self.client = self.house.client()
        self.house.wait_for_provider('one')

    def assert_told(self, ask):
        """ask: with a client of its own, for some questions are few in a while."""
        self.mark.touch()
        with self.assertRaises(GLib.Error) as raised:
            ask(self.house.client())
        self.mark.unlink()
        self.assertIn(f'{ERROR}LimitsExceeded: one has answered, and the answer could not be handed on: Cannot allocate memory',
                      raised.exception.message)
        self.assertEqual(self.client.get('State', PLUGIN, ONE), 'running')
        self.assertTrue(self.client.get('Healthy', PLUGIN, ONE))
        return ask(self.house.client())

    def test_a_verdict(self):
        self.assertEqual(self.assert_told(lambda client: client.call('CheckIdle', interface=PLUGIN, path=ONE))[:2], ('idle', 'nothing to do'))

    def test_a_request(self):
        self.assertEqual(self.assert_told(lambda client: client.call('Call', '(sa{sv})', ('x', {}), PLUGIN, ONE)), (True, {'answer': 42}))

    def test_a_block(self):
        answer = self.assert_told(lambda client: client.call('ProcessData', '(ay)', (b'abc',), PLUGIN, ONE))
        self.assertEqual(bytes(answer[0]), b'abc')

    def test_a_stream(self):
        def ask(client):
            (source, feed), (drain, sink) = os.pipe(), os.pipe()
            os.write(feed, b'abc')
            try:
                return client.call_with_fds('ProcessStream', '(hha{sv})', (0, 1, {}), PLUGIN, ONE, fds=Gio.UnixFDList.new_from_array([source, sink]))
            finally:
                for fd in (feed, drain):
                    os.close(fd)

        self.assertEqual(self.assert_told(ask)[0], ({'bytes': 3},))

    def test_a_diagnosis(self):
        """Of which a ceiling is one cause, and not the only one."""
        for number, name in (('', ERROR + 'LimitsExceeded'), (errno.EINVAL, 'org.freedesktop.DBus.Error.Failed')):
            self.mark.write_text(str(number))
            with self.assertRaises(GLib.Error) as raised:
                self.house.client().call('Diagnose')
            self.mark.unlink()
            self.assertEqual(error_name(raised.exception), name)
            self.assertIn(f'The diagnosis could not be told: {os.strerror(number or errno.ENOMEM)}', raised.exception.message)
        self.assertTrue(self.house.client().call('Diagnose')[0])

    def test_what_a_provider_knows(self):
        self.assertEqual(self.assert_told(lambda client: client.call('GetInstanceInfo', '(s)', ('',), PROVIDER, PROVIDED))[0]['id'], 'i-1234')

    def test_what_a_provider_may(self):
        answer = self.assert_told(lambda client: client.call('CheckPermissions', interface=PROVIDER, path=PROVIDED))
        self.assertEqual(answer[0], [('cloud:stop', True, 'the role may not')])


if __name__ == '__main__':
    tap.main()
