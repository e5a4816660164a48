# SPDX-License-Identifier: Apache-2.0
"""logind's inhibitors count as holds; only logind itself can say so. And what its sessions do not say."""

import json
import os
import unittest

from gi.repository import GLib

import tap
from harness import ERROR, HERE, PATH, BusTest, House, error_name, wait_for

LOGIND = 'org.freedesktop.login1'
LOGIND_PATH = '/org/freedesktop/login1'
OTHER_USER = 4_000_000_000

BLOCK = ('shutdown', 'packages', 'an upgrade', 'block', OTHER_USER, 1)


def b(value):
    return GLib.Variant('b', value)


class Inhibitors(unittest.TestCase):
    def setUp(self):
        self.house = House(daemon=False)
        self.addCleanup(self.house.close)
        self.client = self.house.client()

    def explain(self):
        return [line for log in self.house.directory.glob('*.log') for line in log.read_text(errors='replace').splitlines()]

    def start_logind(self, *inhibitors):
        self.logind = self.house.spawn(['/usr/bin/python3', HERE / 'logind-stub.py'], 'logind.log')
        self.house.wait_for_owner(LOGIND, self.logind)
        self.inhibit(*inhibitors)

    def inhibit(self, *inhibitors, announce=True):
        self.client.call('SetInhibitors', '(sb)', (json.dumps(inhibitors), announce), 'test.Logind', LOGIND_PATH, LOGIND)

    def holds(self):
        return [hold[1:4] for hold in self.client.call('ListHolds')[0]]

    def wait_for_holds(self, *expected):
        wait_for(lambda: self.holds() == list(expected), f'{expected}')

    def listings(self):
        return self.client.call('Listings', interface='test.Logind', path=LOGIND_PATH, destination=LOGIND)[0]

    def test_those_there_at_start_count(self):
        self.start_logind(BLOCK)
        self.house.start_daemon()
        self.wait_for_holds((f'uid {OTHER_USER}: packages', 'an upgrade', 'inhibitor'))
        with self.assertRaises(GLib.Error) as caught:
            self.client.call('StopInstance', '(sa{sv})', ('', {'dry-run': b(True)}))
        self.assertEqual(error_name(caught.exception), ERROR + 'Held')
        self.assertIn('packages', caught.exception.message)

    def test_they_come_and_go(self):
        self.start_logind()
        self.house.start_daemon()
        self.assertEqual(self.holds(), [])
        self.inhibit(BLOCK)
        self.wait_for_holds((f'uid {OTHER_USER}: packages', 'an upgrade', 'inhibitor'))
        self.inhibit()
        self.wait_for_holds()

    def test_only_blocks_of_shutdown_sleep_and_idle_count(self):
        self.start_logind(
            ('sleep:idle', 'film', '', 'block', OTHER_USER, 2),
            ('shutdown', 'delaying', '', 'delay', OTHER_USER, 3),
            ('handle-lid-switch:handle-power-key', 'desktop', '', 'block', OTHER_USER, 4),
            ('handle-suspend-key', 'not-shutdown', '', 'block', OTHER_USER, 5),
            ('idle', 'presentation', '', 'block-weak', OTHER_USER, 6))
        self.house.start_daemon()
        self.wait_for_holds((f'uid {OTHER_USER}: film', '', 'inhibitor'), (f'uid {OTHER_USER}: presentation', '', 'inhibitor'))

    def test_what_they_say_is_made_presentable(self):
        self.start_logind(('shutdown', 'x\x1b[2J\ny', 'é' * 1000, 'block', OTHER_USER, 2))
        self.house.start_daemon()
        wait_for(self.holds, 'the inhibitor')
        (who, why, _), = self.holds()
        self.assertEqual(who, f'uid {OTHER_USER}: x [2J y')
        self.assertEqual(why, 'é' * 256)

    def test_logind_that_comes_later_is_asked(self):
        self.house.start_daemon()
        self.assertEqual(self.holds(), [])
        self.start_logind(BLOCK)
        self.wait_for_holds((f'uid {OTHER_USER}: packages', 'an upgrade', 'inhibitor'))

    def test_logind_that_restarts_frees_nobody(self):
        self.start_logind(BLOCK)
        self.house.start_daemon()
        self.wait_for_holds((f'uid {OTHER_USER}: packages', 'an upgrade', 'inhibitor'))
        self.logind.kill()
        wait_for(lambda: self.client.owner(LOGIND) is None, 'the end of logind')
        self.assertEqual(len(self.holds()), 1)
        self.start_logind()
        self.wait_for_holds()

    def test_forged_signals_change_nothing(self):
        self.start_logind()
        self.house.start_daemon()
        self.client.get('Holds')
        before = self.listings()
        self.inhibit(BLOCK, announce=False)
        forger = self.house.client()
        daemon = self.client.owner('io.cloudsnooze.Snooze1')
        changed = GLib.Variant('(sa{sv}as)', (LOGIND + '.Manager', {'BlockInhibited': GLib.Variant('s', 'shutdown')}, []))
        forger.connection.emit_signal(daemon, LOGIND_PATH, 'org.freedesktop.DBus.Properties', 'PropertiesChanged', changed)
        owner = GLib.Variant('(sss)', (LOGIND, '', forger.name))
        forger.connection.emit_signal(daemon, '/org/freedesktop/DBus', 'org.freedesktop.DBus', 'NameOwnerChanged', owner)
        # The bus keeps the order of one sender: once this is answered, both have been read.
        forger.call('ListHolds')
        self.assertEqual(self.listings(), before)
        self.assertEqual(self.holds(), [])
        # The real one is heard all the same.
        self.inhibit(BLOCK)
        self.wait_for_holds((f'uid {OTHER_USER}: packages', 'an upgrade', 'inhibitor'))

    def test_rubbish_keeps_what_was_known(self):
        self.start_logind(BLOCK)
        self.house.start_daemon()
        self.wait_for_holds((f'uid {OTHER_USER}: packages', 'an upgrade', 'inhibitor'))
        before = self.listings()
        self.client.call('SetInhibitors', '(sb)', ('rubbish', True), 'test.Logind', LOGIND_PATH, LOGIND)
        wait_for(lambda: self.listings() > before, 'the question')
        self.assertEqual(len(self.holds()), 1)



class Desktops(BusTest):
    """Graphical sessions, of which the daemon knows what they tell logind and no more."""
    daemon = False

    def session(self, identifier, **properties):
        long_ago = GLib.get_real_time() - 2 * 3600 * 1000000
        return json.dumps({'Id': identifier, 'Name': 'bob', 'Class': 'user', 'Type': 'x11', 'TTY': 'tty2',
                           'Timestamp': long_ago, 'IdleHint': False, 'IdleSinceHint': 0, **properties})

    def findings(self):
        return [f for f in self.client.call('Diagnose')[0] if f['check'] == 'desktop']

    def start(self, *sessions):
        logind = self.house.spawn(['/usr/bin/python3', HERE / 'logind-stub.py', *sessions], 'logind.log')
        self.house.wait_for_owner(LOGIND, logind)
        self.house.start_daemon()

    def test_doctor_names_one_that_never_says_it_is_idle(self):
        # Asked one after the other, and nothing is signalled of it: the one to be named comes last.
        self.start(self.session('3', Name='alice', IdleSinceHint=1),
                   self.session('4', Name='new', Timestamp=GLib.get_real_time()),
                   self.session('5', Name='gdm', Class='greeter'), self.session('2'))
        tick = GLib.timeout_add(50, lambda: GLib.SOURCE_CONTINUE)
        try:
            wait_for(self.findings, 'the finding')
        finally:
            GLib.source_remove(tick)
        finding, = self.findings()
        self.assertEqual(finding['status'], 'blind')
        self.assertTrue(finding['message'].startswith('session 2 of bob (x11) has never told logind that it is idle'))
        self.assertIn('xss-lock', finding['advice'])


if __name__ == '__main__':
    os.environ.setdefault('PYTHONDONTWRITEBYTECODE', '1')
    tap.main()
