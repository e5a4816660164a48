# SPDX-License-Identifier: Apache-2.0
"""What snooze-helper makes known, grants and refuses, to whom."""

import ctypes
import json
import os
import shutil
import signal
import time
import unittest

import tap
from gi.repository import Gio, GLib
from harness import ACCESS_DENIED, ACTION, BUILD, ERROR, MANAGER, PATH, PLUGIN, House, error_name, wait_for
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


class Daemon(unittest.TestCase):
    """What the daemon makes of it: it has a plugin made known, and starts none that asks for what nobody has approved."""

    def explain(self):
        for log in sorted(self.house.directory.glob("*.log")):
            for line in log.read_text(errors="replace").splitlines()[-20:]:
                yield f"{log.name}: {line}"

    def setUp(self):
        self.house = House(daemon=False)
        self.addCleanup(self.house.close)
        root = self.house.directory / 'root'
        for name, place in (('etc', 'etc/cloudsnooze'), ('plugins', 'etc/cloudsnooze/plugins'),
                            ('services', 'usr/local/share/dbus-1/system-services')):
            (root / place).mkdir(parents=True, mode=0o755)
            for file in (self.house.directory / name).iterdir():
                file.rename(root / place / file.name)
            (self.house.directory / name).rmdir()
            (self.house.directory / name).symlink_to(root / place)
        for directory in ('etc/systemd/system', 'etc/sysusers.d', 'etc/dbus-1/system.d', 'etc/cloudsnooze/approvals'):
            (root / directory).mkdir(parents=True, mode=0o755)
        self.client = self.house.client()
        self.helper = self.house.spawn([BUILD / 'src/helper/snooze-helper', '--root', root], 'helper.log')
        self.house.wait_for_owner(HELPER, self.helper)
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

    def ask_for_more(self, identifier, *permissions):
        """As a package does that is upgraded."""
        path = self.house.directory / 'plugins' / identifier / 'plugin.json'
        path.with_suffix('.new').write_text(json.dumps({**json.loads(path.read_text()), 'version': '1.9.0', 'permissions': permissions}))
        path.with_suffix('.new').rename(path)

    def assert_runs_on(self, version, pid, problems):
        wait_for(lambda: problems, 'what is told of it')
        self.assertRegex(problems[0][1], f'version 1.9.0 could not replace version {version}, which runs on .*nobody has approved: device:gpu')
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
        self.assertEqual(self.snooze('example', '--revoke', 'network:any')[0], 1)
        self.assertEqual(self.client.get('State', PLUGIN, self.path), 'failed')
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
        self.assertEqual(status, 2, said)
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
