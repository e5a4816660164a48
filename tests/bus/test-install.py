# SPDX-License-Identifier: Apache-2.0
"""Versions that are installed: what the helper takes over and from whom, and the versions of one plugin in each
other's place, on a bus without systemd where the helper's activation files say what each slot runs."""

import json
import os
import shutil
import signal
import stat
import tarfile

import tap
from counting import COUNTING
from gi.repository import Gio, GLib
from harness import ACCESS_DENIED, ACTION, ERROR, PATH, PLUGIN, wait_for, wait_for_file
from installation import DAEMON_UID, HELPER, HELPER_PATH, MANIFEST, NOBODY, SERVICES, SNOOZE, Installation, Running
from systemd_stub import NOT_COUNTED, Counting


class Install(Installation):
    def test_what_is_installed_is_the_roots_alone(self):
        place = self.source()
        (place / 'data').mkdir(mode=0o700)
        (place / 'data/table').write_text('1')
        (place / 'data/table').chmod(0o666)
        (place / 'data/link').symlink_to('../data/table')
        os.chown(place / 'data/table', NOBODY, NOBODY)
        (place / 'counting').chmod(0o777)
        self.assertEqual(self.install(place), ('counting', '1.0.0', '1.0.0', True))
        version = self.installed / 'counting/1.0.0'
        for path, mode in ((version, 0o755), (version / 'data', 0o755), (version / 'data/table', 0o644), (version / 'counting', 0o755),
                           (version / 'plugin.json', 0o644)):
            status = path.stat()
            self.assertEqual((status.st_uid, stat.S_IMODE(status.st_mode)), (0, mode), path)
        self.assertEqual((version / 'data/link').read_text(), '1')
        self.assertEqual((self.current(), self.leftovers()), ('1.0.0', []))

    def test_who_is_to_authenticate_reads_what_comes_and_that_is_true(self):
        place = self.source()
        for claim, plugin, version in (({'id': 'counting', 'version': '1.0.0'}, 'counting', '1.0.0'),
                                       ({}, 'not told by the caller', 'not told by the caller')):
            self.house.reset_polkit()
            self.install(place, **claim)
            question, = self.house.questions()
            self.assertEqual(question['action'], ACTION + 'install-plugins')
            self.assertEqual(question['details'], {'plugin': plugin, 'version': version,
                                                   'request': f'Install: plugin "{plugin}", version "{version}"'})
        shutil.rmtree(self.installed / 'counting')
        for claim in ({'id': 'example'}, {'id': 'counting', 'version': '2.0.0'}):
            self.assertFails(ERROR + 'InvalidArgument', 'counting 1.0.0, and not of', self.install, place, **claim)
        self.house.reset_polkit()
        for claim in ({'id': 'Two Lines\n'}, {'version': '<b>'}):
            self.assertFails(ERROR + 'InvalidArgument', 'options.', self.install, place, **claim)
        self.assertEqual(self.house.questions(), [])
        self.assertFalse((self.installed / 'counting').exists())
        self.assertEqual(self.leftovers(), [])

    def test_a_script_may_run_its_interpreter(self):
        place = self.source()
        (place / 'counting').write_text('#!/usr/bin/env python3\n')
        self.install(place)
        for method, arguments in (('Provision', ('counting',)), ('ProvisionVersion', ('counting', '1.0.0', 'b'))):
            self.helper(method, '(' + 's' * len(arguments) + ')', arguments)
            for slot in ('', '-b'):
                lines = (self.root / f'etc/systemd/system/snooze-plugin{slot}@counting.service.d/10-permissions.conf').read_text().splitlines()
                self.assertIn('ExecPaths=-/usr/bin/env', lines)
                self.assertIn('ExecPaths=-/usr/bin/python3', lines)

    def test_versions_lie_side_by_side(self):
        self.install(self.source())
        self.assertEqual(self.install(self.source('2.0.0')), ('counting', '2.0.0', '1.0.0', True))
        self.assertEqual(self.install(self.source('0.9.0')), ('counting', '0.9.0', '1.0.0', True))
        self.assertEqual((self.versions(), self.current()), (['0.9.0', '1.0.0', '2.0.0'], '1.0.0'))

    def test_the_same_again(self):
        self.install(self.source())
        self.assertEqual(self.install(self.source()), ('counting', '1.0.0', '1.0.0', False))
        for change in ('text', 'mode', 'more', 'less'):
            place = self.source()
            if change == 'text':
                (place / 'behaviour').write_text('other')
            elif change == 'mode':
                (place / 'version').chmod(0o755)
            elif change == 'more':
                (place / 'more').write_text('')
            else:
                (place / 'behaviour').unlink()
            with self.subTest(change):
                self.assertFails(ERROR + 'Refused', 'installed already, with other files', self.install, place)
        self.assertEqual((self.installed / 'counting/1.0.0/behaviour').read_text(), '')
        self.assertEqual(self.leftovers(), [])

    def test_polkit_decides_about_the_caller(self):
        place = self.source()
        self.house.answer('refuse', ACTION + 'install-plugins')
        for uid in (None, DAEMON_UID, NOBODY):
            self.assertFails(ACCESS_DENIED, 'sudo snooze plugin install', self.install, place, client=self.house.client(uid))
        self.assertEqual(list(self.installed.iterdir()), [])
        self.house.answer('allow', ACTION + 'install-plugins')
        self.house.reset_polkit()
        self.install(place, client=self.house.client(NOBODY))
        self.assertEqual([question['action'] for question in self.house.questions()], [ACTION + 'install-plugins'])
        self.house.answer('refuse', ACTION + 'manage-plugins')
        for uid in (DAEMON_UID, NOBODY):
            self.assertFails(ACCESS_DENIED, '', self.helper, 'RemoveVersions', '(ss)', ('counting', ''), client=self.house.client(uid))
        for method, arguments in (('SwitchVersion', ('counting', '1.0.0')), ('ProvisionVersion', ('counting', '1.0.0', 'a'))):
            signature = '(' + 's' * len(arguments) + ')'
            self.assertFails(ACCESS_DENIED, 'daemon', self.helper, method, signature, arguments, client=self.house.client(NOBODY))
            self.helper(method, signature, arguments, client=self.house.client(DAEMON_UID))

    def test_nothing_is_read_for_somebody_who_could_not(self):
        somebody = self.house.client(NOBODY)
        place = self.source()
        secret = place / 'secret'
        secret.write_text('root only')
        secret.chmod(0o600)
        self.assertFails(ERROR + 'InvalidArgument', 'secret: cannot be read by user', self.install, place, client=somebody)
        os.chown(secret, NOBODY, NOBODY)
        secret.chmod(0o644)
        # Mounted there by him, say: what is in it is everybody's to read, who gets that far.
        closed = place / 'closed'
        closed.mkdir()
        (closed / 'file').write_text('not meant to be read')
        for mode in (0o700, 0o711, 0o744):
            closed.chmod(mode)
            self.assertFails(ERROR + 'InvalidArgument', 'closed: cannot be read by user', self.install, place, client=somebody)
        shutil.rmtree(closed)
        self.assertFails(ERROR + 'InvalidArgument', 'open for reading', self.install, place, client=somebody,
                         flags=os.O_PATH | os.O_DIRECTORY)
        self.assertFails(ERROR + 'InvalidArgument', 'expected a directory', self.install, place / 'counting', client=somebody,
                         flags=os.O_RDONLY)
        self.assertEqual(list(self.installed.iterdir()), [])

    def hostile(self):
        """(what is said, what is done to the directory)"""
        def deep(place):
            (place / '/'.join('d' * 10)).mkdir(parents=True)

        def many(place):
            for number in range(2100):
                (place / str(number)).touch()

        def large(place):
            for number in range(3):
                with open(place / f'hole{number}', 'wb') as file:
                    file.truncate(30 << 20)

        def setuid(place):
            (place / 'counting').chmod(0o4755)

        return [('may lead out', lambda place: (place / 'link').symlink_to('/etc/shadow')),
                ('may lead out', lambda place: (place / 'link').symlink_to('../outside')),
                ('may lead out', lambda place: (place / 'link').symlink_to('counting/../../outside')),
                ('device, pipe or socket', lambda place: os.mkfifo(place / 'pipe')),
                ('device, pipe or socket', lambda place: os.mknod(place / 'null', stat.S_IFCHR | 0o666, os.makedev(1, 3))),
                ('control characters', lambda place: (place / 'new\nline').touch()),
                ('at most 128 bytes', lambda place: (place / ('n' * 129)).touch()),
                ('deeper than', deep), ('more than the 2048', many), ('more than the 64 MiB', large), ('setuid', setuid),
                ('no plugin.json', lambda place: (place / 'plugin.json').unlink()),
                ('no plugin.json', lambda place: ((place / 'plugin.json').rename(place / 'p'), (place / 'plugin.json').symlink_to('p'))),
                ('plugin.json: /color', lambda place: (place / 'plugin.json').write_text(json.dumps({**MANIFEST, 'color': 1}))),
                ('expected [a-z]', lambda place: (place / 'plugin.json').write_text(json.dumps({**MANIFEST, 'name': '../x'}))),
                ('/version', lambda place: (place / 'plugin.json').write_text(json.dumps({**MANIFEST, 'version': '../1'}))),
                ('expected a path of letters', lambda place: ((place / 'plugin.json').write_text(json.dumps({**MANIFEST, 'exec': 'a b'})),
                                                              (place / 'counting').rename(place / 'a b'))),
                ('not executable', lambda place: (place / 'counting').chmod(0o644)),
                ('No such file', lambda place: (place / 'counting').unlink())]

    def test_hostile_directories(self):
        for part, spoil in self.hostile():
            place = self.source()
            spoil(place)
            # Another caller each time, for each may call so often.
            with self.subTest(part):
                self.assertFails(ERROR + 'InvalidArgument', part, self.install, place, client=self.house.client())
                self.assertEqual(list(self.installed.iterdir()), [])

    def test_what_counts_before_it_is_not_shadowed(self):
        for directory in ('usr/lib/cloudsnooze/plugins', 'etc/cloudsnooze/plugins'):
            shutil.copytree(self.source(), self.root / directory / 'counting')
            self.assertFails(ERROR + 'Refused', 'is there already', self.install, self.source())
            shutil.rmtree(self.root / directory / 'counting')
        self.install(self.source())

    def test_a_directory_that_others_could_change_takes_nothing(self):
        os.chown(self.installed, DAEMON_UID, 0)
        self.assertFails(ERROR + 'Store', 'belongs to user', self.install, self.source())
        os.chown(self.installed, 0, 0)
        self.install(self.source())
        os.chown(self.installed / 'counting', DAEMON_UID, 0)
        self.assertFails(ERROR + 'Store', 'belongs to user', self.install, self.source('2.0.0'))

    def test_killed_at_any_instant_it_leaves_all_or_nothing(self):
        place = self.source()
        for number in range(300):
            (place / f'file{number}').write_text('x' * 1000)
        whole = len(list(place.iterdir()))
        for delay in (0, 1, 3, 6, 10, 20, 40, 80):
            (place / 'plugin.json').write_text(json.dumps({**MANIFEST, 'version': f'1.0.{delay}'}))
            (place / 'version').write_text(f'1.0.{delay}')
            client = self.house.client()
            fds = Gio.UnixFDList()
            descriptor = os.open(place, os.O_RDONLY)
            fds.append(descriptor)
            os.close(descriptor)
            ended = []
            client.connection.call_with_unix_fd_list(HELPER, HELPER_PATH, HELPER, 'Install', GLib.Variant('(ha{sv})', (0, {})), None,
                                                     Gio.DBusCallFlags.NONE, 60000, fds, None, lambda *_: ended.append(True))
            wait_for(lambda: self.house.watcher.owner(HELPER), 'the helper')
            passed = []
            GLib.timeout_add(delay, lambda: passed.append(True))
            wait_for(lambda: passed, 'the instant')
            pid = client.call('GetConnectionUnixProcessID', '(s)', (HELPER,), 'org.freedesktop.DBus', '/org/freedesktop/DBus',
                              'org.freedesktop.DBus')[0]
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: ended and self.house.watcher.owner(HELPER) is None, 'its end')
            for version in self.versions_there():
                self.assertEqual(len(list((self.installed / 'counting' / version).iterdir())), whole, version)
                self.assertIn(self.current(), self.versions())
        self.install(self.source('3.0.0'))
        self.assertEqual(self.leftovers(), [])

    def versions_there(self):
        return self.versions() if (self.installed / 'counting').exists() else []

    def test_removal(self):
        for version in ('1.0.0', '2.0.0'):
            self.install(self.source(version))
        self.assertFails(ERROR + 'Busy', 'in use', self.helper, 'RemoveVersions', '(ss)', ('counting', '1.0.0'))
        self.assertFails(ERROR + 'NoSuchPlugin', 'installed: 1.0.0, 2.0.0', self.helper, 'RemoveVersions', '(ss)', ('counting', '3.0.0'))
        self.assertFails(ERROR + 'InvalidArgument', 'expected one', self.helper, 'RemoveVersions', '(ss)', ('counting', '../1.0.0'))
        self.helper('ProvisionVersion', '(sss)', ('counting', '2.0.0', 'b'))
        self.assertFails(ERROR + 'Busy', 'in use', self.helper, 'RemoveVersions', '(ss)', ('counting', '2.0.0'))
        self.helper('Provision', '(s)', ('counting',))
        self.house.reset_polkit()
        self.helper('RemoveVersions', '(ss)', ('counting', '2.0.0'))
        self.assertEqual([question['details']['version'] for question in self.house.questions()], ['2.0.0'])
        self.assertEqual(self.versions(), ['1.0.0'])
        self.helper('RemoveVersions', '(ss)', ('counting', ''))
        self.assertEqual(list(self.installed.iterdir()), [])
        self.assertFails(ERROR + 'NoSuchPlugin', 'No version', self.helper, 'RemoveVersions', '(ss)', ('counting', ''))


class Pins(Installation):
    """Which version each slot runs, and what it may do."""

    def drop_in(self, slot=''):
        return (self.root / f'etc/systemd/system/snooze-plugin{slot}@counting.service.d/10-permissions.conf').read_text()

    def policy(self):
        return (self.root / 'etc/dbus-1/system.d/io.cloudsnooze.Plugin1.counting.conf').read_text()

    def activation(self, suffix=''):
        return (self.root / SERVICES / f'io.cloudsnooze.Plugin1.counting{suffix}.service').read_text()

    def approve(self, version):
        self.choose(version, lambda permission: True)

    def choose(self, version, chosen):
        digest, asked, _ = self.helper('ListVersionPermissions', '(ss)', ('counting', version))
        self.helper('ApprovePermissions', '(sass)', ('counting', [permission for permission, _, _ in asked if chosen(permission)], digest))

    def approved(self, version):
        return [permission for permission, approved, _ in self.helper('ListVersionPermissions', '(ss)', ('counting', version))[1] if approved]

    def test_each_slot_runs_what_it_is_told(self):
        for version in ('1.0.0', '2.0.0'):
            self.install(self.source(version))
        self.helper('ProvisionVersion', '(sss)', ('counting', '1.0.0', 'a'))
        self.helper('ProvisionVersion', '(sss)', ('counting', '2.0.0', 'b'))
        for text in (self.drop_in(), self.activation(), self.activation('.a')):
            self.assertIn('counting/1.0.0/counting', text)
        for text in (self.drop_in('-b'), self.activation('.b')):
            self.assertIn('counting/2.0.0/counting', text)
        self.helper('SwitchVersion', '(ss)', ('counting', '2.0.0'))
        self.assertEqual(self.current(), '2.0.0')
        self.assertIn('# Version: 1.0.0\n', self.drop_in())
        self.helper('Provision', '(s)', ('counting',))
        self.assertEqual(self.drop_in(), self.drop_in('-b'))
        self.assertIn('counting/2.0.0/counting', self.activation())

    def test_a_version_has_what_is_approved_of_its_own_manifest(self):
        self.install(self.source('1.0.0', permissions=['read:/srv/one', 'bus:org.example.One'], limits={'tasks': 9}))
        self.install(self.source('2.0.0', permissions=['read:/srv/two', 'bus:org.example.Two'], limits={'tasks': 4}))
        self.approve('1.0.0')
        self.helper('ProvisionVersion', '(sss)', ('counting', '1.0.0', 'a'))
        self.helper('SetLimits', '(sa{sv})', ('counting', {'tasks': GLib.Variant('t', 8)}))
        self.refused_beside('2.0.0')
        self.assertIn('/srv/one', self.drop_in())
        self.assertNotIn('org.example.Two', self.policy())
        self.approve('2.0.0')
        self.helper('ProvisionVersion', '(sss)', ('counting', '2.0.0', 'b'))
        self.assertEqual(self.approved('1.0.0'), ['read:/srv/one', 'bus:org.example.One'])
        self.assertIn('/srv/two', self.drop_in('-b'))
        self.assertNotIn('/srv/one', self.drop_in('-b'))
        self.assertNotIn('/srv/two', self.drop_in())
        # While one replaces the other both are the same user.
        for name in ('One', 'Two'):
            self.assertIn(f'org.example.{name}', self.policy())
        self.helper('SetLimits', '(sa{sv})', ('counting', {'tasks': GLib.Variant('t', 8)}))
        limits = self.root / 'etc/systemd/system/snooze-plugin-b@counting.service.d/20-limits.conf'
        self.assertIn('TasksMax=4\n', limits.read_text())
        self.helper('SwitchVersion', '(ss)', ('counting', '2.0.0'))
        self.helper('Provision', '(s)', ('counting',))
        self.assertNotIn('org.example.One', self.policy())
        self.assertNotIn('/srv/one', self.drop_in())

    def refused_beside(self, version):
        """It would be the same user, with what the bus lets the other one do."""
        written = lambda: {path: path.read_text() for path in (self.root / 'etc').rglob('*') if path.is_file() and 'counting' in str(path)}
        before = written()
        self.assertFails(ERROR + 'NotApproved', 'is not put beside version', self.helper, 'ProvisionVersion', '(sss)',
                         ('counting', version, 'b'))
        self.assertEqual(written(), before)

    def three_versions(self, remove=None):
        """The first alone asks for what the third asks for again, and the second serves when that one comes."""
        self.install(self.source('1.0.0', permissions=['read:/srv/one', 'read:/srv/two']))
        self.approve('1.0.0')
        self.helper('Provision', '(s)', ('counting',))
        self.install(self.source('2.0.0', permissions=['read:/srv/two']))
        self.helper('SwitchVersion', '(ss)', ('counting', '2.0.0'))
        self.helper('Provision', '(s)', ('counting',))
        if remove:
            remove()
        self.install(self.source('3.0.0', permissions=['read:/srv/one', 'read:/srv/two']))
        approved = self.approved('3.0.0')
        self.helper('ProvisionVersion', '(sss)', ('counting', '2.0.0', 'a'))
        if 'read:/srv/one' not in approved:
            self.refused_beside('3.0.0')
        else:
            self.helper('ProvisionVersion', '(sss)', ('counting', '3.0.0', 'b'))
            self.assertIn('/srv/one', self.drop_in('-b'))
        self.assertEqual(self.approved('3.0.0'), approved)
        return approved

    def test_what_an_earlier_version_that_is_there_asks_for_stays_approved(self):
        """It may be gone back to, with what it was granted."""
        self.assertEqual(self.three_versions(), ['read:/srv/one', 'read:/srv/two'])

    def test_what_no_version_that_is_there_asked_for_is_approved_anew(self):
        approved = self.three_versions(lambda: self.helper('RemoveVersions', '(ss)', ('counting', '1.0.0')))
        self.assertEqual(approved, ['read:/srv/two'])
        self.approve('3.0.0')
        self.helper('ProvisionVersion', '(sss)', ('counting', '3.0.0', 'b'))
        self.assertIn('/srv/one', self.drop_in('-b'))

    def test_nor_is_it_where_the_earlier_version_was_removed_by_hand(self):
        self.assertEqual(self.three_versions(lambda: shutil.rmtree(self.installed / 'counting/1.0.0')), ['read:/srv/two'])

    def test_what_is_approved_of_one_program_is_not_of_another(self):
        """Nor is it taken from the one that runs, when the other is approved, too."""
        self.install(self.source('1.0.0', permissions=['read:/srv/one']))
        self.approve('1.0.0')
        self.helper('Provision', '(s)', ('counting',))
        source = self.source('2.0.0', permissions=['read:/srv/one'], exec='another')
        (source / 'counting').rename(source / 'another')
        self.install(source)
        self.refused_beside('2.0.0')
        self.assertEqual((self.approved('1.0.0'), self.approved('2.0.0')), (['read:/srv/one'], []))
        self.approve('2.0.0')
        self.helper('ProvisionVersion', '(sss)', ('counting', '2.0.0', 'b'))
        for version, slot in ('1.0.0', ''), ('2.0.0', '-b'):
            self.assertEqual(self.approved(version), ['read:/srv/one'])
            self.assertIn('/srv/one', self.drop_in(slot))

    def third_version(self, asks, decide):
        """Of another program, or one that is more, than the first, as the second is; what it is granted in its slot."""
        self.install(self.source('1.0.0', permissions=['read:/srv/one']))
        self.approve('1.0.0')
        self.helper('Provision', '(s)', ('counting',))
        for version, permissions in ('2.0.0', decide.keys()), ('3.0.0', ['read:/srv/one', 'read:/srv/two']):
            source = self.source(version, permissions=list(permissions), **asks)
            if 'exec' in asks:
                (source / 'counting').rename(source / asks['exec'])
            self.install(source)
            if version == '2.0.0':
                self.choose(version, lambda permission: decide[permission])
        self.assertEqual(self.approved('1.0.0'), ['read:/srv/one'])
        self.refused_beside('3.0.0')
        self.helper('SwitchVersion', '(ss)', ('counting', '3.0.0'))
        self.helper('Provision', '(s)', ('counting',))
        for permission in 'read:/srv/one', 'read:/srv/two':
            self.assertEqual(permission.removeprefix('read:') in self.drop_in('-b'), permission in self.approved('3.0.0'))
        return self.approved('3.0.0')

    def test_two_approvals_do_not_add_up_to_a_third(self):
        for asks in {'exec': 'another'}, {'contracts': [*MANIFEST['contracts'], 'CloudProvider']}:
            with self.subTest(asks):
                self.assertEqual(self.third_version(asks, {'read:/srv/two': True}), ['read:/srv/two'])
                self.helper('RemoveVersions', '(ss)', ('counting', ''))

    def test_a_refusal_does_not_make_a_program_known(self):
        self.assertEqual(self.third_version({'exec': 'another'}, {'read:/srv/two': False}), [])

    def test_what_was_approved_of_one_that_was_removed_by_hand_is_not_of_the_next_of_its_name(self):
        self.install(self.source('1.0.0', permissions=['read:/srv/one']))
        self.approve('1.0.0')
        shutil.rmtree(self.installed / 'counting')
        self.install(self.source('9.0.0', permissions=['read:/srv/one']))
        self.assertEqual(self.approved('9.0.0'), [])

    def test_what_is_approved_stays_while_a_configuration_is_wrong(self):
        """Which the daemon, who goes on with the last good one, need not have said to anybody yet."""
        configuration = self.root / 'etc/cloudsnooze/snooze.json'
        self.install(self.source('1.0.0', permissions=['read:/srv/one']))
        self.approve('1.0.0')
        configuration.write_text('{')
        self.install(self.source('2.0.0', permissions=['read:/srv/one']))
        configuration.unlink()
        for version in '1.0.0', '2.0.0':
            self.assertEqual(self.approved(version), ['read:/srv/one'])

    def test_what_is_approved_stays_while_a_version_is_broken(self):
        """Of the one that is there it is not known what it asks for."""
        self.install(self.source('1.0.0', permissions=['read:/srv/one']))
        self.approve('1.0.0')
        self.install(self.source('2.0.0', permissions=['read:/srv/two']))
        self.helper('SwitchVersion', '(ss)', ('counting', '2.0.0'))
        manifest = self.installed / 'counting/1.0.0/plugin.json'
        text = manifest.read_text()
        manifest.unlink()
        self.approve('2.0.0')
        self.helper('Provision', '(s)', ('counting',))
        self.install(self.source('3.0.0'))
        manifest.write_text(text)
        self.assertEqual(self.approved('1.0.0'), ['read:/srv/one'])
        self.assertEqual(self.approved('2.0.0'), ['read:/srv/two'])

    def test_nothing_comes_while_it_is_not_known_what_is_under_way(self):
        """What is approved would be narrowed by it."""
        self.install(self.source('1.0.0', permissions=['read:/srv/one']))
        self.approve('1.0.0')
        shutil.rmtree(self.installed / 'counting/1.0.0')
        (self.installed / 'counting/2.0.0').mkdir()
        shutil.copytree(self.source('2.0.0'), self.installed / 'counting/2.0.0', dirs_exist_ok=True)
        approvals = self.root / 'etc/cloudsnooze/approvals'
        approved = (approvals / 'counting.json').read_text()
        pid = self.house.watcher.call('GetConnectionUnixProcessID', '(s)', (HELPER,), 'org.freedesktop.DBus', '/org/freedesktop/DBus',
                                      'org.freedesktop.DBus')[0]
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: self.house.watcher.owner(HELPER) is None, 'the helper to end')
        (approvals / '.pending').write_text('# Under way.\n')
        (approvals / '.pending').chmod(0o666)
        self.assertFails(ERROR + 'Store', 'can be written by others', self.install, self.source('3.0.0'))
        self.assertFails(ERROR + 'Store', 'can be written by others', self.helper, 'ProvisionVersion', '(sss)', ('counting', '2.0.0', 'a'))
        self.assertEqual((self.versions(), (approvals / 'counting.json').read_text()), (['2.0.0'], approved))

    def test_one_that_cannot_be_run_is_known_by_what_it_says(self):
        """Somebody else may be able to take its program away."""
        self.install(self.source('1.0.0', permissions=['read:/srv/one']))
        self.approve('1.0.0')
        self.helper('Provision', '(s)', ('counting',))
        self.install(self.source('2.0.0'))
        self.helper('SwitchVersion', '(ss)', ('counting', '2.0.0'))
        (self.installed / 'counting/2.0.0/counting').unlink()
        shutil.rmtree(self.installed / 'counting/1.0.0')
        self.install(self.source('3.0.0', permissions=['read:/srv/one']))
        self.assertEqual(self.approved('3.0.0'), [])

    def test_where_it_cannot_be_written_it_is_not_the_source_that_is_wrong(self):
        self.run_helper(f'/usr/bin/env --ignore-signal=XFSZ /usr/bin/prlimit --fsize={32 << 20}')
        self.reload()
        place = self.source('1.0.0')
        with open(place / 'large', 'wb') as file:
            file.truncate(33 << 20)
        self.assertFails(ERROR + 'Store', 'large: cannot be written', self.install, place)
        self.assertEqual(self.leftovers(), [])

    def test_what_is_approved_has_to_be_known_where_another_version_comes(self):
        self.install(self.source('1.0.0', permissions=['read:/srv/one']))
        approvals = self.root / 'etc/cloudsnooze/approvals/counting.json'
        approvals.write_text('{')
        self.assertFails(ERROR + 'Store', 'counting.json', self.install, self.source('2.0.0'))
        self.assertEqual(self.versions(), ['1.0.0'])
        self.assertEqual(self.leftovers(), [])
        approvals.unlink()
        self.install(self.source('2.0.0'))
        self.assertEqual(self.versions(), ['1.0.0', '2.0.0'])

    def test_what_two_versions_were_granted_goes_for_a_packaged_one(self):
        """Their policy is that of neither alone."""
        for version, name in (('1.0.0', 'One'), ('2.0.0', 'Two')):
            self.install(self.source(version, permissions=[f'bus:org.example.{name}']))
            self.approve(version)
        self.helper('ProvisionVersion', '(sss)', ('counting', '1.0.0', 'a'))
        self.helper('ProvisionVersion', '(sss)', ('counting', '2.0.0', 'b'))
        for name in ('One', 'Two'):
            self.assertIn(f'org.example.{name}', self.policy())
        shutil.copytree(self.source('3.0.0'), self.root / 'usr/lib/cloudsnooze/plugins/counting')
        self.helper('Provision', '(s)', ('counting',))
        places = ('etc/dbus-1/system.d', 'etc/systemd/system', 'etc/cloudsnooze/approvals', SERVICES)
        self.assertEqual([path.name for place in places for path in (self.root / place).iterdir()], [])

    def test_what_is_not_there_or_broken_is_not_pinned(self):
        for version in ('1.0.0', '2.0.0'):
            self.install(self.source(version))
        daemon = self.house.client(DAEMON_UID)
        for method, more in (('SwitchVersion', ()), ('ProvisionVersion', ('a',))):
            signature = '(ss' + 's' * len(more) + ')'
            self.assertFails(ERROR + 'InvalidArgument', 'installed: 1.0.0, 2.0.0', self.helper, method, signature,
                             ('counting', '3.0.0', *more), daemon)
            self.assertFails(ERROR + 'InvalidArgument', 'expected one', self.helper, method, signature, ('counting', '../2.0.0', *more),
                             daemon)
            self.assertFails(ERROR + 'NoSuchPlugin', '', self.helper, method, signature, ('other', '1.0.0', *more), daemon)
        self.assertFails(ERROR + 'InvalidArgument', 'expected a or b', self.helper, 'ProvisionVersion', '(sss)',
                         ('counting', '1.0.0', 'c'), daemon)
        program = self.installed / 'counting/2.0.0/counting'
        os.chown(program, DAEMON_UID, 0)
        self.assertFails(ERROR + 'InvalidConfiguration', 'another user', self.helper, 'ProvisionVersion', '(sss)',
                         ('counting', '2.0.0', 'b'), daemon)
        self.assertFails(ERROR + 'InvalidConfiguration', 'another user', self.helper, 'SwitchVersion', '(ss)', ('counting', '2.0.0'), daemon)
        (self.installed / 'counting/2.0.0/plugin.json').unlink()
        self.assertFails(ERROR + 'InvalidConfiguration', 'is broken', self.helper, 'SwitchVersion', '(ss)', ('counting', '2.0.0'), daemon)
        self.assertEqual(self.current(), '1.0.0')


class Addresses(Running):
    NOTE = 'With this it may reach every address of the network: systemd cannot tell addresses apart on this machine.'

    def setUp(self):
        super().setUp()
        self.install(self.source(permissions=['network:10.0.0.1', 'network:any', 'processes']))

    def test_who_approves_is_told_where_they_cannot_be_told_apart(self):
        systemd = Counting(self.house.address, 'snooze-helper.service')
        self.addCleanup(systemd.stop)
        self.assertNotIn(self.NOTE, self.snooze('permissions', 'counting').stdout)
        systemd.received = NOT_COUNTED
        for more in ((), ('--version', '1.0.0')):
            rows = self.snooze('permissions', 'counting', *more).stdout.splitlines()
            self.assertEqual([row.split('\t')[0] for row in rows if row.endswith(self.NOTE)], ['network:10.0.0.1'])
            told = json.loads(self.snooze('permissions', 'counting', '--json', *more).stdout)
            self.assertEqual([entry['permission'] for entry in told['permissions'] if not entry.get('enforced', True)], ['network:10.0.0.1'])

    def test_without_systemd_nothing_is_known(self):
        text = self.snooze('permissions', 'counting').stdout
        self.assertIn('network:10.0.0.1', text)
        self.assertNotIn(self.NOTE, text)


class Swap(Running):
    def test_up_and_down(self):
        self.start('1.0.0', '2.0.0', '0.9.0')
        self.assertRuns('1.0.0', 1)
        for count, version in enumerate(('2.0.0', '0.9.0', '1.0.0', '2.0.0'), 2):
            self.upgrade(version)
            self.assertRuns(version, count)
        self.upgrade('1.0.0')
        # The newest.
        self.upgrade('')
        self.assertRuns('2.0.0', 6)

    def test_what_is_not_there_is_refused_with_a_list(self):
        self.start('1.0.0', '2.0.0')
        for version in ('3.0.0', '../2.0.0', 'current', '2.0'):
            self.assertFails(ERROR + 'InvalidArgument', 'installed: 1.0.0, 2.0.0', self.upgrade, version)
        (self.installed / 'counting/2.0.0/plugin.json').write_text('{')
        self.assertFails(ERROR + 'InvalidArgument', 'broken', self.upgrade, '2.0.0')
        self.assertRuns('1.0.0', 1)

    def test_before_the_switch_a_failure_changes_nothing(self):
        self.start('1.0.0')
        self.ask()
        for number, (behaviour, step) in enumerate((('dies-at-start', 'starting it'), ('dies-at-initialize', 'greeting it'),
                                                    ('refuses-import', 'importing the state'))):
            self.install(self.source(f'2.0.{number}', behaviour))
            self.assertFails(ERROR + 'PluginFailed', step, self.upgrade, f'2.0.{number}')
            self.assertRuns('1.0.0', number + 2)
        # Nothing is left that would start one of them.
        wait_for(lambda: 'counting/1.0.0/' in (self.root / SERVICES / 'io.cloudsnooze.Plugin1.counting.b.service').read_text(), 'the slots')

    def test_one_that_lies_about_its_version(self):
        self.start('1.0.0')
        place = self.source('2.0.0')
        (place / 'version').write_text('9.9.9')
        self.install(place)
        self.assertFails(ERROR + 'PluginFailed', 'says that it is version 9.9.9, expected 2.0.0', self.upgrade, '2.0.0')
        self.assertRuns('1.0.0', 1)

    def test_one_that_dies_shortly_after_is_rolled_back(self):
        self.start('1.0.0')
        for _ in range(3):
            self.ask()
        self.install(self.source('2.0.0', 'dies-at-work'))
        self.upgrade('2.0.0')
        self.assertEqual(self.current(), '2.0.0')
        with self.assertRaises(GLib.Error):
            self.ask()
        self.wait_for_problem('which runs again')
        self.of('Load')
        wait_for(lambda: self.current() == '1.0.0', 'the link')
        self.assertRuns('1.0.0', 4)
        # And it stays so.
        self.house.restart_daemon(signal.SIGTERM, '--plugin-directory', self.installed)
        self.of('Load')
        self.assertRuns('1.0.0', 5)

    def test_a_link_that_cannot_be_switched_is_a_failure_before_the_switch(self):
        self.start('1.0.0', '2.0.0')
        self.ask()
        link = self.installed / 'counting/.current'
        (link / 'in-the-way').mkdir(parents=True)
        self.assertFails(ERROR + 'PluginFailed', 'switching to it', self.upgrade, '2.0.0')
        self.assertRuns('1.0.0', 2)
        shutil.rmtree(link)
        self.upgrade('2.0.0')
        self.assertRuns('2.0.0', 3)

    def test_one_that_does_not_run_is_started_with_it(self):
        self.start('1.0.0', '2.0.0')
        self.ask()
        self.of('Unload')
        self.upgrade('2.0.0')
        self.assertRuns('2.0.0', 2)

    def test_more_permissions_are_asked_for_again(self):
        self.start('1.0.0')
        self.install(self.source('2.0.0', permissions=['processes']))
        self.assertFails(ERROR + 'PluginFailed', 'sudo snooze plugin permissions counting --version 2.0.0', self.upgrade, '2.0.0')
        self.assertRuns('1.0.0', 1)

    def test_the_daemon_is_killed_in_the_middle(self):
        self.start('1.0.0', '2.0.0')
        versions = ['2.0.0', '1.0.0']
        for i, delay in enumerate((0, 2, 4, 8, 12, 16, 24, 40)):
            told = self.ask()['count']
            self.house.client().send('Upgrade', '(s)', (versions[i % 2] if self.current() == '1.0.0' else '1.0.0',), PLUGIN, COUNTING)
            passed = []
            GLib.timeout_add(delay, lambda: passed.append(True))
            wait_for(lambda: passed, 'the instant')
            self.house.kill_daemon()
            self.start_daemon()
            wait_for(lambda: self.load_succeeds(), 'it to run')
            wait_for_file(lambda: self.ask('look')['version'] == self.current(), 'the link')
            answer = self.ask('look')
            self.assertEqual((answer['count'], answer['version']), (told, self.current()))


class Command(Running):
    def archive(self, place, name='plugin.tar.gz', prefix='.'):
        path = self.house.directory / name
        with tarfile.open(path, 'w:' + name.rpartition('.')[2] if not name.endswith('.tar') else 'w') as archive:
            archive.add(place, arcname=prefix)
        return path

    def test_from_an_archive_to_its_removal(self):
        result = self.snooze('install', self.archive(self.source()))
        self.assertIn({'plugin': 'counting', 'version': '1.0.0', 'request': 'Install: plugin "counting", version "1.0.0"'},
                      [question['details'] for question in self.house.questions()])
        self.assertEqual((result.returncode, result.stderr), (0, ''), result.stderr)
        # Nobody could be asked what an earlier one left.
        self.assertTrue(result.stdout.startswith('Installed counting 1.0.0.\nsnoozed does not run. What an earlier plugin'), result.stdout)
        self.assertTrue(result.stdout.endswith('it does not run until: sudo snooze plugin enable counting\n'), result.stdout)
        self.start_daemon()
        self.of('Enable')
        self.of('Load')
        result = self.snooze('install', '--json', self.archive(self.source('2.0.0'), 'plugin.tar.xz', 'counting-2.0.0'))
        self.assertEqual(json.loads(result.stdout), {'id': 'counting', 'version': '2.0.0', 'current': '1.0.0', 'changed': True})
        self.assertIn('was installed already', self.snooze('install', self.source('2.0.0')).stdout)
        self.assertRuns('1.0.0', 1)
        self.assertEqual(self.snooze('update', 'counting').stdout, '1.0.0 → 2.0.0\n')
        self.assertRuns('2.0.0', 2)
        self.assertEqual(self.snooze('update', 'counting', '1.0.0').stdout, '2.0.0 → 1.0.0\n')
        result = self.snooze('uninstall', 'counting', '1.0.0')
        # Not now.
        self.assertEqual(result.returncode, 3)
        self.assertIn('in use', result.stderr)
        result = self.snooze('uninstall', 'counting')
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(list(self.installed.iterdir()), [])
        self.assertEqual(list(self.house.directory.glob('snooze-install-*')), [])

    def test_permissions_of_a_version_to_come(self):
        self.start('1.0.0')
        result = self.snooze('install', self.source('2.0.0', permissions=['processes']))
        self.assertIn('sudo snooze plugin permissions counting --version 2.0.0', result.stdout)
        result = self.snooze('permissions', 'counting', '--version', '2.0.0', '--all')
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRuns('1.0.0', 1)
        self.upgrade('2.0.0')
        self.assertRuns('2.0.0', 2)

    def test_versions_that_need_each_other(self):
        """As the manual says: none is on its way anywhere by itself, so none follows, and this is how both are changed."""
        for version, of_counting in (('1.0.0', '<2'), ('2.0.0', '>=2')):
            self.install(self.source(version))
            self.install(self.source(version, identifier='other', dependencies=[{'name': 'counting', 'version': of_counting}]))
        self.start_daemon()
        for name in ('counting', 'other'):
            self.client.call('Enable', interface=PLUGIN, path=f'{PATH}/plugin/{name}')
            self.client.call('Load', interface=PLUGIN, path=f'{PATH}/plugin/{name}')
        for name, part in (('counting', 'the plugin other, which is enabled, needs counting <2'), ('other', 'needs the plugin counting >=2')):
            result = self.snooze('update', name)
            self.assertEqual(result.returncode, 3, result.stdout)
            self.assertIn(part, result.stderr)
        self.assertRuns('1.0.0', 1)
        for arguments in (('disable', 'other'), ('update', 'counting'), ('enable', 'other'), ('update', 'other')):
            result = self.snooze(*arguments)
            self.assertEqual(result.returncode, 0, (arguments, result.stderr))
        self.assertRuns('2.0.0', 2)
        other = f'{PATH}/plugin/other'
        self.assertEqual([self.client.get(name, PLUGIN, other) for name in ('Version', 'State', 'LastError')], ['2.0.0', 'running', ''])

    def test_sources_that_are_none(self):
        for source, part in (('/nowhere', 'No such file'), ('/dev/null', 'expected a directory or an archive'), (SNOOZE, 'archive')):
            result = self.snooze('install', source)
            self.assertEqual((result.returncode, result.stdout), (1, ''))
            self.assertIn(part, result.stderr)
        self.assertEqual(list(self.house.directory.glob('snooze-install-*')), [])


if __name__ == '__main__':
    tap.main()
