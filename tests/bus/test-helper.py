# SPDX-License-Identifier: Apache-2.0
"""What snooze-helper makes known, grants and refuses, to whom."""

import ctypes
import json
import os
import signal
import time
import unittest

import tap
from gi.repository import Gio, GLib
from harness import ACCESS_DENIED, ACTION, ERROR, error_name, wait_for
from helper_bus import DAEMON_UID, FILES, HELPER, HELPER_PATH, PERMISSIONS, HelperTest
# Of inotify(7); one about a watched file has no name behind it.
IN_OPEN = 0x20
EVENT_SIZE = 16
LIMITS = ERROR + 'LimitsExceeded'
# src/bus/limits.h
BURST, PER_SECOND = 200, 50


class Provision(HelperTest):
    def test_everything_is_written_and_read_again(self):
        self.install(limits={'memory_mb': 20, 'cpu_percent': 5, 'tasks': 3})
        self.call('Provision', '(s)', ('example',))
        self.assertEqual(self.written(), FILES)
        self.assertEqual(self.systemd.asked, [('StartUnit', 'snooze-users.service'), ('Reload',)])
        self.assertEqual(self.drop_in(), self.drop_in(slot='-b'))
        self.assertIn(f'ExecStart={self.root}/etc/cloudsnooze/plugins/example/example\n', self.drop_in())
        self.assertIn('MemoryMax=20971520\n', self.drop_in())
        self.assertIn('ExecPaths=-/bin/sh\n', self.drop_in())
        # Asked for, approved by nobody.
        for line in ('PrivateNetwork', 'IPAddress', '/srv/data'):
            self.assertNotIn(line, self.drop_in())
        self.assertNotIn('login1', (self.root / 'etc/dbus-1/system.d/io.cloudsnooze.Plugin1.example.conf').read_text())

    def test_names_that_are_nearly_as_large_as_a_message(self):
        huge = 'x' * (32 * 1024 * 1024 - 256)
        for interface, name in ((HELPER, huge), (huge, 'Version')):
            result = self.client.send('Get', '(ss)', (interface, name), 'org.freedesktop.DBus.Properties', HELPER_PATH, HELPER)
            wait_for(lambda: result, 'the answer')
            self.assertIn('at most 255 bytes', result[0][1].message)

    def test_nothing_is_read_again_where_nothing_changed(self):
        self.install()
        self.call('Provision', '(s)', ('example',))
        self.systemd.asked.clear()
        self.call('Provision', '(s)', ('example',))
        self.assertEqual(self.systemd.asked, [])

    def test_requests_share_a_reload(self):
        results = []
        for number in range(20):
            self.install(f'p{number}')
            results.append(self.send('Provision', '(s)', (f'p{number}',)))
        wait_for(lambda: all(results), 'all answers')
        self.assertEqual([error for result in results for _, error in result if error], [])
        # What came while one was under way made another.
        self.assertLessEqual(self.systemd.asked.count(('Reload',)), 3)

    def test_nothing_is_left(self):
        digest = self.install()
        self.call('Provision', '(s)', ('example',))
        self.approve(PERMISSIONS, digest)
        self.call('SetLimits', '(sa{sv})', ('example', {'tasks': GLib.Variant('t', 2)}))
        self.systemd.asked.clear()
        self.call('Deprovision', '(s)', ('example',))
        self.assertEqual(self.written(), set())
        self.assertEqual(self.systemd.asked, [('StartUnit', 'snooze-user-remove@example.service'), ('Reload',)])
        self.assertEqual(list((self.root / 'etc/systemd/system').iterdir()), [])
        self.assertTrue((self.root / 'etc/cloudsnooze/plugins/example/plugin.json').exists())

    def test_units_are_listed_for_polkit_while_they_are_approved(self):
        units = self.root / 'etc/cloudsnooze/approvals/example.units'
        policy = self.root / 'etc/dbus-1/system.d/io.cloudsnooze.Plugin1.example.conf'
        wanted = ['unit:httpd.service', 'unit:any', 'processes']
        digest = self.install(permissions=wanted)
        self.call('Provision', '(s)', ('example',))
        self.assertFalse(units.exists())
        self.assertNotIn('systemd1', policy.read_text())
        self.approve(wanted, digest)
        self.assertEqual(units.read_text(), 'httpd.service\n*\n')
        self.assertEqual(units.stat().st_mode & 0o777, 0o644)
        self.assertIn('send_member="StopUnit"', policy.read_text())
        self.assertNotIn('send_destination="org.freedesktop.systemd1" send_type', policy.read_text())
        self.approve(['processes', 'unit:httpd.service'], digest)
        self.assertEqual(units.read_text(), 'httpd.service\n')
        self.approve(['processes'], digest)
        self.assertFalse(units.exists())
        self.approve(wanted, digest)
        self.call('Deprovision', '(s)', ('example',))
        self.assertEqual(self.written(), set())

    def test_what_was_never_made_is_not_removed(self):
        self.call('Deprovision', '(s)', ('example',))
        self.assertEqual(self.systemd.asked, [])

    def test_a_packaged_one_needs_nothing(self):
        self.install(directory='usr/lib/cloudsnooze/plugins')
        self.call('Provision', '(s)', ('example',))
        self.assertEqual(self.written(), set())

    def test_a_packaged_one_is_not_forgotten(self):
        """Its user is the package's, and what stands in /etc under the name of its policy the administrator's."""
        self.install(directory='usr/lib/cloudsnooze/plugins')
        policy = self.root / 'etc/dbus-1/system.d/io.cloudsnooze.Plugin1.example.conf'
        policy.write_text('<busconfig/>')
        self.assertFails(ERROR + 'NotSupported', 'Deprovision', '(s)', ('example',), part='came with a package')
        # Nor where its manifest is broken.
        (self.root / 'usr/lib/cloudsnooze/plugins/example/plugin.json').write_text('{')
        self.assertFails(ERROR + 'NotSupported', 'Deprovision', '(s)', ('example',), part='came with a package')
        self.assertEqual(policy.read_text(), '<busconfig/>')
        self.assertEqual(self.systemd.asked, [])

    def become_packaged(self):
        """A package brings one of the name of one that is known."""
        digest = self.install(permissions=[*PERMISSIONS, 'unit:httpd.service'])
        self.call('Provision', '(s)', ('example',))
        self.approve([*PERMISSIONS, 'unit:httpd.service'], digest)
        self.call('SetLimits', '(sa{sv})', ('example', {'tasks': GLib.Variant('t', 2)}))
        self.assertIn('etc/cloudsnooze/approvals/example.units', self.written())
        self.install(directory='usr/lib/cloudsnooze/plugins')
        self.systemd.asked.clear()

    # Its user is the package's too, and limits are configured for a packaged one as for any.
    SPARED = {'etc/sysusers.d/cloudsnooze-plugin-example.conf', 'etc/systemd/system/snooze-plugin@example.service.d/20-limits.conf',
              'etc/systemd/system/snooze-plugin-b@example.service.d/20-limits.conf'}

    def test_what_stands_in_the_way_of_a_packaged_one_goes(self):
        """The drop-ins in /etc would have it run the program of the earlier one, with all that this was granted."""
        for method in 'Provision', 'Deprovision':
            with self.subTest(method):
                self.become_packaged()
                self.call(method, '(s)', ('example',))
                self.assertEqual(self.written(), self.SPARED)
                self.assertEqual(self.systemd.asked, [('Reload',)])
                # Once it is gone there is nothing to forget.
                self.call('Provision', '(s)', ('example',))
                self.assertFails(ERROR + 'NotSupported', 'Deprovision', '(s)', ('example',), part='came with a package')
                self.assertEqual(self.systemd.asked, [('Reload',)])
                (self.root / 'usr/lib/cloudsnooze/plugins/example/plugin.json').unlink()
                self.call('Deprovision', '(s)', ('example',))
                self.assertEqual(self.written(), set())

    def test_what_an_administrator_wrote_for_a_packaged_one_stays(self):
        self.become_packaged()
        drop_in = self.root / 'etc/systemd/system/snooze-plugin@example.service.d/10-permissions.conf'
        policy = self.root / 'etc/dbus-1/system.d/io.cloudsnooze.Plugin1.example.conf'
        drop_in.write_text('[Service]\nNice=5\n')
        policy.write_text('<busconfig/>')
        self.call('Deprovision', '(s)', ('example',))
        self.assertEqual(self.written(), self.SPARED | {str(path.relative_to(self.root)) for path in (drop_in, policy)})

    def test_what_an_administrator_made_of_the_helpers_stays(self):
        """It may say whose it was."""
        self.become_packaged()
        drop_in = self.root / 'etc/systemd/system/snooze-plugin@example.service.d/10-permissions.conf'
        policy = self.root / 'etc/dbus-1/system.d/io.cloudsnooze.Plugin1.example.conf'
        drop_in.write_text('# My own.\n# Written by snooze-helper. was there before\n[Service]\nNice=5\n')
        policy.write_text('<!-- In place of what says\nWritten by snooze-helper. -->\n<busconfig/>\n')
        self.call('Deprovision', '(s)', ('example',))
        self.assertEqual(self.written(), self.SPARED | {str(path.relative_to(self.root)) for path in (drop_in, policy)})

    def test_a_policy_of_the_helpers_goes_for_a_packaged_one_whatever_else_is_there(self):
        self.become_packaged()
        for slot in ('', '-b'):
            (self.root / f'etc/systemd/system/snooze-plugin{slot}@example.service.d/10-permissions.conf').unlink()
        for name in ('example.json', 'example.units'):
            (self.root / 'etc/cloudsnooze/approvals' / name).unlink()
        self.call('Provision', '(s)', ('example',))
        self.assertFalse((self.root / 'etc/dbus-1/system.d/io.cloudsnooze.Plugin1.example.conf').exists())

    def test_configured_directories(self):
        (self.root / 'etc/cloudsnooze/snooze.json').write_text(json.dumps({'plugins': {'directories': ['/opt/ours']}}))
        self.install(directory='opt/ours')
        self.call('Provision', '(s)', ('example',))
        self.assertIn(f'{self.root}/opt/ours/example/example', self.drop_in())

    def test_limits_stay_within_a_manifest_that_changes(self):
        self.install(limits={'memory_mb': 20, 'cpu_percent': 5, 'tasks': 3})
        self.call('SetLimits', '(sa{sv})', ('example', {'memory_mb': GLib.Variant('t', 20), 'tasks': GLib.Variant('t', 2)}))
        self.install(limits={'memory_mb': 10, 'cpu_percent': 5, 'tasks': 3})
        self.call('Provision', '(s)', ('example',))
        for slot in ('', '-b'):
            self.assertIn('MemoryMax=10485760\nTasksMax=2\n', self.drop_in('20-limits.conf', slot=slot))

    def test_a_thousand_at_once(self):
        self.install()
        results = [self.send('Provision', '(s)', ('example',)) for _ in range(1000)]
        wait_for(lambda: all(results), 'all answers')
        errors = {error_name(error) for result in results for _, error in result if error}
        # The bus has limits of its own.
        self.assertTrue(errors)
        self.assertLessEqual(errors, {ERROR + 'LimitsExceeded', 'org.freedesktop.DBus.Error.LimitsExceeded'})
        self.call('Provision', '(s)', ('example',), self.house.client())
        self.assertEqual(self.written(), FILES)

    def test_a_caller_who_does_not_wait(self):
        self.install()
        hasty = self.house.client()
        self.send('Provision', '(s)', ('example',), hasty)
        hasty.connection.flush_sync(None)
        hasty.close()
        self.call('Provision', '(s)', ('example',))
        self.assertEqual(self.written(), FILES)

    def test_who_called_before_it_left_is_answered(self):
        """The word to end comes while it asks who he is. What the bus takes first is its to say, so more than once."""
        self.install(directory='usr/lib/cloudsnooze/plugins')
        for _ in range(30):
            client = self.house.client()
            result = self.send('Provision', '(s)', ('example',), client)
            client.connection.flush_sync(None)
            self.helper.popen.send_signal(signal.SIGTERM)
            wait_for(lambda: result, 'the answer')
            error = result[0][1]
            # Whoever comes later finds nobody, which is no loss: elsewhere the bus starts the next one.
            self.assertIn(error and error_name(error), (None, 'org.freedesktop.DBus.Error.ServiceUnknown'))
            self.assertEqual(self.helper.wait(), 0)
            self.start_another()

    def test_what_cannot_be_written_is_told(self):
        self.install()
        (self.root / 'etc/systemd/system/snooze-plugin@example.service.d').write_text('in the way')
        self.assertFails(ERROR + 'Store', 'Provision', '(s)', ('example',), part='/etc/systemd/system/snooze-plugin@example.service.d')
        self.assertFalse((self.root / 'etc/dbus-1/system.d/io.cloudsnooze.Plugin1.example.conf').exists())

    def test_a_failure_is_told(self):
        self.install()
        self.systemd.result = 'failed'
        self.assertFails(ERROR + 'Store', 'Provision', '(s)', ('example',), part='snooze-users.service: failed')

    def test_a_systemd_that_does_not_read_again_is_told(self):
        """All that was written stands, and whoever asks again has it read."""
        for refusal, name in (('org.freedesktop.systemd1.ReloadingLimit', 'Store'), ('org.freedesktop.DBus.Error.AccessDenied', 'Store'),
                              ('org.freedesktop.DBus.Error.NoReply', 'TimedOut')):
            with self.subTest(refusal):
                self.install(limits={'tasks': 3})
                self.systemd.refusal = refusal
                self.assertFails(ERROR + name, 'Provision', '(s)', ('example',), part='could not be told to read its files again: it does not')
                self.assertEqual(self.written() & FILES, FILES)
                self.systemd.refusal = None
                self.call('Deprovision', '(s)', ('example',))

    def test_a_job_that_another_took_the_place_of_is_asked_for_again(self):
        """A start of the plugin that was under way cancels the removal of its user, with which it conflicts."""
        self.install()
        self.call('Provision', '(s)', ('example',))
        self.systemd.results = ['canceled', 'canceled']
        self.systemd.asked.clear()
        self.call('Deprovision', '(s)', ('example',))
        self.assertEqual(self.systemd.asked.count(('StartUnit', 'snooze-user-remove@example.service')), 3)
        self.call('Provision', '(s)', ('example',))
        self.systemd.result = 'canceled'
        with self.assertRaises(GLib.Error) as caught:
            self.call('Deprovision', '(s)', ('example',))
        self.assertIn('snooze-user-remove@example.service: canceled', caught.exception.message)

    def test_a_forged_end_of_a_job_does_not_count(self):
        self.install()
        self.systemd.silent = True
        result = self.send('Provision', '(s)', ('example',))
        wait_for(lambda: self.systemd.asked, 'StartUnit')
        stranger = self.house.client().connection
        parameters = GLib.Variant('(uoss)', (1, '/org/freedesktop/systemd1/job/1', 'snooze-users.service', 'done'))
        stranger.emit_signal(None, '/org/freedesktop/systemd1', 'org.freedesktop.systemd1.Manager', 'JobRemoved', parameters)
        # Behind the signal, as everything of one sender is.
        stranger.call_sync(HELPER, HELPER_PATH, 'org.freedesktop.DBus.Peer', 'Ping', None, None, Gio.DBusCallFlags.NONE, -1, None)
        self.assertEqual(self.systemd.asked, [('StartUnit', 'snooze-users.service')])
        self.assertFalse(result)
        self.systemd.connection.emit_signal(None, '/org/freedesktop/systemd1', 'org.freedesktop.systemd1.Manager', 'JobRemoved',
                                            parameters)
        wait_for(lambda: result, 'the answer')
        self.assertIsNone(result[0][1])


@unittest.skipIf(os.geteuid() != 0, 'impossible here: other users need root')
class Captured(HelperTest):
    """What a daemon can do that is not what it was: nothing that root would not."""

    def setUp(self):
        super().setUp()
        self.daemon = self.house.client(DAEMON_UID)
        self.stranger = self.house.client(65534)

    def test_the_daemon_may_and_others_may_not(self):
        self.install()
        limits = {'tasks': GLib.Variant('t', 2)}
        for method, signature, arguments in (('Provision', '(s)', ('example',)), ('SetLimits', '(sa{sv})', ('example', limits))):
            self.assertFails(ACCESS_DENIED, method, signature, arguments, self.stranger)
            self.call(method, signature, arguments, self.daemon)
        self.call('Deprovision', '(s)', ('example',), self.daemon)
        self.assertEqual(self.house.questions(), [])

    def call_until_refused(self, method, clients):
        """As often as it takes on this machine, however slow the helper is on it. Of all calls their errors, None for an answer."""
        errors, waiting = [], []

        def refused():
            errors.extend(error and error_name(error) for result in waiting for _, error in result)
            waiting[:] = [result for result in waiting if not result]
            # The bus lets no more than 128 calls of a connection wait.
            while LIMITS not in errors and len(waiting) < 50 * len(clients):
                waiting.extend(self.send(method, '(s)', ('example',), client) for client in clients)
            return not waiting

        wait_for(refused, 'a refusal, and all answers', 30)
        return errors

    def test_many_connections_of_a_user_have_the_calls_of_one(self):
        self.install()
        clients = [self.house.client(65534) for _ in range(8)]
        began = time.monotonic()
        errors = self.call_until_refused('ListPermissions', clients)
        results = [self.send('Provision', '(s)', ('example',), client) for client in clients]
        wait_for(lambda: all(results), 'all answers')
        errors += [error_name(result[0][1]) for result in results]
        took = time.monotonic() - began
        self.assertLessEqual(set(errors), {None, LIMITS, ACCESS_DENIED})
        self.assertLessEqual(len(errors) - errors.count(LIMITS), BURST + took * PER_SECOND)
        for client in (self.client, self.daemon, self.house.client(DAEMON_UID)):
            self.call('ListPermissions', '(s)', ('example',), client)

    def test_nothing_is_read_for_who_has_no_calls_left(self):
        """Not even to tell that one came with a package, for which the drop-ins are looked into."""
        self.install(directory='usr/lib/cloudsnooze/plugins')
        libc = ctypes.CDLL(None, use_errno=True)
        watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self.assertGreaterEqual(watch, 0, os.strerror(ctypes.get_errno()))
        self.addCleanup(os.close, watch)
        # Of two in turn, since an event that is the same as the last one is not told.
        for slot in ('', '-b'):
            drop_in = self.root / f'etc/systemd/system/snooze-plugin{slot}@example.service.d/10-permissions.conf'
            drop_in.parent.mkdir(mode=0o755)
            drop_in.write_text('[Service]\nNice=5\n')
            self.assertGreater(libc.inotify_add_watch(watch, os.fsencode(drop_in), IN_OPEN), 0, os.strerror(ctypes.get_errno()))
        errors = self.call_until_refused('Deprovision', [self.house.client(65534) for _ in range(8)])
        self.assertEqual(set(errors), {LIMITS, ERROR + 'NotSupported'})
        read = os.read(watch, 1 << 20)
        self.assertEqual(len(read) // EVENT_SIZE, 2 * errors.count(ERROR + 'NotSupported'))

    def test_others_may_forget_one_if_polkit_says_so(self):
        self.install()
        self.call('Provision', '(s)', ('example',))
        self.house.answer('refuse')
        self.assertFails(ACCESS_DENIED, 'Deprovision', '(s)', ('example',), self.stranger, 'sudo snooze plugin uninstall')
        self.assertTrue(self.drop_in())
        self.house.answer('allow')
        self.call('Deprovision', '(s)', ('example',), self.stranger)
        self.assertEqual(self.written(), set())
        for question in self.house.questions():
            self.assertEqual((question['action'], question['subject']), (ACTION + 'manage-plugins', self.stranger.name))

    def test_hostile_ids(self):
        for identifier in ('', '../x', 'a/b', '/etc', 'A', 'x' * 25, 'admin', 'a\nb', 'a@b', 'é', '-a', '.'):
            with self.subTest(id=identifier):
                for method in ('Provision', 'Deprovision', 'ListPermissions'):
                    self.assertFails(ERROR + 'InvalidArgument', method, '(s)', (identifier,), self.daemon)
        self.assertEqual(self.written(), set())

    def test_a_manifest_of_its_own(self):
        self.install()
        place = self.root / 'etc/cloudsnooze/plugins/example'
        for path in (place, place / 'plugin.json', place / 'example', place.parent):
            with self.subTest(path=path.name):
                os.chown(path, DAEMON_UID, 0)
                self.assertFails(ERROR + 'InvalidConfiguration', 'Provision', '(s)', ('example',), self.daemon)
                os.chown(path, 0, 0)
                path.chmod(0o777)
                self.assertFails(ERROR + 'InvalidConfiguration', 'Provision', '(s)', ('example',), self.daemon)
                path.chmod(0o755)
        self.assertEqual(self.written(), set())
        self.call('Provision', '(s)', ('example',), self.daemon)

    def test_links(self):
        self.install(directory='srv/theirs')
        (self.root / 'etc/cloudsnooze/plugins/example').symlink_to('../../../srv/theirs/example')
        self.assertFails(ERROR + 'InvalidConfiguration', 'Provision', '(s)', ('example',), self.daemon)

    def test_installed_versions(self):
        state = self.root / 'var/lib/cloudsnooze'
        self.install(directory='var/lib/cloudsnooze/plugins')
        place = state / 'plugins/example'
        version = place / '1.0.0'
        version.mkdir(mode=0o755)
        for name in ('example', 'plugin.json'):
            (place / name).rename(version / name)
        link = place / 'current'
        link.symlink_to('1.0.0')
        os.chown(state, 0, DAEMON_UID)
        state.chmod(0o775)
        # The daemon could put a directory of its own into their place.
        self.assertFails(ERROR + 'InvalidConfiguration', 'Provision', '(s)', ('example',), self.daemon)
        state.chmod(0o1775)
        os.chown(version, DAEMON_UID, 0)
        self.assertFails(ERROR + 'InvalidConfiguration', 'Provision', '(s)', ('example',), self.daemon)
        os.chown(version, 0, 0)
        self.assertEqual(self.written(), set())
        for target in ('../../../../../srv', '/srv', '..'):
            link.unlink()
            link.symlink_to(target)
            self.assertFails(ERROR + 'InvalidConfiguration', 'Provision', '(s)', ('example',), self.daemon)
        link.unlink()
        link.symlink_to('1.0.0')
        # One that is broken is there all the same.
        (version / 'plugin.json').rename(version / 'away')
        for method in 'Provision', 'ListPermissions':
            self.assertFails(ERROR + 'InvalidConfiguration', method, '(s)', ('example',), self.daemon, 'plugin.json')
        (version / 'away').rename(version / 'plugin.json')
        self.call('Provision', '(s)', ('example',), self.daemon)
        drop_in = self.drop_in()
        self.assertIn('var/lib/cloudsnooze/plugins/example/1.0.0/example', drop_in)

    def test_directories_of_its_own_configuration_do_not_count(self):
        state = self.root / 'var/lib/cloudsnooze'
        state.mkdir(parents=True)
        (state / 'snooze.json').write_text(json.dumps({'plugins': {'directories': ['/srv/theirs']}}))
        self.install(directory='srv/theirs')
        self.assertFails(ERROR + 'NoSuchPlugin', 'Provision', '(s)', ('example',), self.daemon)
        # Nor does a file of the administrator's that it could write.
        (self.root / 'etc/cloudsnooze/snooze.json').write_text(json.dumps({'plugins': {'directories': ['/srv/theirs']}}))
        os.chown(self.root / 'etc/cloudsnooze/snooze.json', DAEMON_UID, 0)
        self.assertFails(ERROR + 'InvalidConfiguration', 'Provision', '(s)', ('example',), self.daemon)

    def test_limits_above_the_manifests(self):
        self.install(limits={'memory_mb': 20, 'cpu_percent': 5, 'tasks': 3})
        for key, value in (('memory_mb', GLib.Variant('t', 21)), ('cpu_percent', GLib.Variant('d', 5.1)),
                           ('tasks', GLib.Variant('t', 4)), ('memory_mb', GLib.Variant('t', 2**64 - 1)),
                           ('cpu_percent', GLib.Variant('d', float('inf'))), ('cpu_percent', GLib.Variant('d', float('nan'))),
                           ('tasks', GLib.Variant('t', 0)), ('User', GLib.Variant('s', 'root')), ('tasks', GLib.Variant('s', '1'))):
            with self.subTest(key=key, value=value.unpack()):
                with self.assertRaises(GLib.Error):
                    self.call('SetLimits', '(sa{sv})', ('example', {key: value}), self.daemon)
        self.assertIsNone(self.drop_in('20-limits.conf'))
        self.call('SetLimits', '(sa{sv})', ('example', {'memory_mb': GLib.Variant('t', 20), 'cpu_percent': GLib.Variant('d', 2.5)}),
                  self.daemon)
        self.assertIn('MemoryMax=20971520\nCPUQuota=2.50%\n', self.drop_in('20-limits.conf'))
        self.assertEqual(self.drop_in('20-limits.conf'), self.drop_in('20-limits.conf', slot='-b'))
        self.call('SetLimits', '(sa{sv})', ('example', {}), self.daemon)
        self.assertIsNone(self.drop_in('20-limits.conf'))

    def test_it_cannot_approve(self):
        digest = self.install()
        self.house.answer('refuse', ACTION + 'approve-permissions')
        self.assertFails(ACCESS_DENIED, 'ApprovePermissions', '(sass)', ('example', PERMISSIONS, digest), self.daemon)
        self.assertEqual(self.written(), set())

    def test_approvals_of_its_own(self):
        digest = self.install()
        approvals = self.root / 'etc/cloudsnooze/approvals/example.json'
        approvals.write_text(json.dumps({'manifest_sha256': digest, 'permissions': PERMISSIONS}))
        os.chown(approvals, DAEMON_UID, 0)
        self.assertFails(ERROR + 'Store', 'Provision', '(s)', ('example',), self.daemon, part='belongs to another user')

    def test_permissions_that_nobody_may_have(self):
        self.install(permissions=['write:/etc'])
        self.assertFails(ERROR + 'InvalidConfiguration', 'Provision', '(s)', ('example',), self.daemon, part='/permissions')


if __name__ == '__main__':
    tap.main()
