# SPDX-License-Identifier: Apache-2.0
"""snooze-helper is killed at each change of a directory in turn, amid what it writes of a plugin. What the next one has settled grants
nothing that is not approved."""

import itertools
import json

import tap
from gi.repository import GLib
from harness import BUILD, wait_for, wait_for_file
from helper_bus import HELPER, HelperTest

# What stands in the files of the plugin where it is granted.
MARKS = {'network:10.0.0.1': 'IPAddressAllow=10.0.0.1\n', 'read:/srv/data': 'BindReadOnlyPaths=-/srv/data\n',
         'bus:org.freedesktop.login1': '<allow send_destination="org.freedesktop.login1"', 'unit:nginx.service': 'nginx.service\n'}
WANTED = list(MARKS)
REMOVE = 'snooze-user-remove@example.service'


class CrashTest(HelperTest):
    def setUp(self):
        super().setUp()
        self.digest = self.install(permissions=WANTED)
        self.install('other')
        self.call('Provision', '(s)', ('example',))
        self.approve(WANTED, self.digest)

    def spawn(self):
        self.number = self.house.directory / 'number'
        self.house.preload('killed-at', KILLED_AT=self.number)
        return self.house.spawn([*self.house.daemon_prefix, BUILD / 'src/helper/snooze-helper', '--root', self.root], 'helper.log')

    def start(self):
        helper = self.spawn()
        self.house.wait_for_owner(HELPER, helper)
        return helper

    def killed(self, number, method, signature, arguments):
        """Whether there was such a change to be killed at."""
        self.number.write_text(str(number))
        result = self.send(method, signature, arguments)
        wait_for(lambda: result, 'the answer or the end')
        self.number.unlink()
        error = result[0][1]
        if not error:
            return False
        self.assertEqual(self.helper.wait(), -9, error.message)
        return True

    def each_kill(self, least, prepare, call, check):
        """check: of what the next helper has settled."""
        for number in itertools.count(1):
            prepare()
            if not self.killed(number, *call):
                break
            with self.subTest(killed_at=number):
                self.settle()
                check()
        self.assertGreater(number, least)

    def settle(self):
        self.start_another()
        self.wait_until_settled()

    def approvals(self):
        return (self.root / 'etc/cloudsnooze/approvals/example.json').read_text()

    def approved(self):
        return {permission for permission in WANTED if f'"{permission}"' in self.approvals()}

    def files(self):
        """All of it, without what was not complete when a helper was killed."""
        return [path for path in self.written() if 'example' in path and not path.rpartition('/')[2].startswith('.')]

    def granted(self):
        """And by which of its files."""
        paths = ('etc/systemd/system/snooze-plugin@example.service.d/10-permissions.conf',
                 'etc/systemd/system/snooze-plugin-b@example.service.d/10-permissions.conf',
                 'etc/dbus-1/system.d/io.cloudsnooze.Plugin1.example.conf', 'etc/cloudsnooze/approvals/example.units')
        texts = {path: (self.root / path).read_text() for path in paths if (self.root / path).exists()}
        found = {permission: [path for path, text in texts.items() if mark in text] for permission, mark in MARKS.items()}
        return {permission: by for permission, by in found.items() if by}


class Approving(CrashTest):
    def each_change(self, before, after, least):
        self.approve(before, self.digest)
        files = {tuple(before): self.granted()}
        self.approve(after, self.digest)
        files[tuple(after)] = self.granted()
        seen = set()

        def check():
            approved = self.approved()
            self.assertIn(approved, (set(before), set(after)))
            self.assertEqual(self.granted(), files[tuple(before if approved == set(before) else after)])
            seen.add(len(approved))

        self.each_kill(least, lambda: self.approve(before, self.digest), ('ApprovePermissions', '(sass)', ('example', after, self.digest)), check)
        self.assertEqual(seen, {len(before), len(after)})

    def test_nothing_is_granted_after_a_revocation(self):
        # The note, what is approved, two units, the policy, the list of units and the end of the note.
        self.each_change(WANTED, [], 7)

    def test_nor_more_than_what_was_left(self):
        self.each_change(WANTED, WANTED[:1], 7)

    def test_what_was_approved_is_granted(self):
        self.each_change([], WANTED, 7)

    def test_the_system_reads_it_after_that(self):
        self.assertTrue(self.killed(3, 'ApprovePermissions', '(sass)', ('example', [], self.digest)))
        self.systemd.silent = True
        self.start_another()
        wait_for(lambda: self.systemd.withheld, 'the first step')
        self.assertEqual(self.granted(), {})
        self.systemd.silent = False
        self.systemd.end_jobs()
        self.wait_until_settled()
        self.assertEqual(self.systemd.asked, [('StartUnit', 'snooze-users.service'), ('Reload',)])

    def test_the_next_one_is_killed_as_well(self):
        """Amid what it completes; the one after it has the rest."""
        for number in range(1, 5):
            with self.subTest(killed_at=number):
                self.approve(WANTED, self.digest)
                self.assertTrue(self.killed(3, 'ApprovePermissions', '(sass)', ('example', [], self.digest)))
                self.number.write_text(str(number))
                wait_for(lambda: self.house.watcher.owner(HELPER) is None, 'the helper to be gone')
                self.assertEqual(self.spawn().wait(), -9)
                self.number.unlink()
                self.settle()
                self.assertEqual((self.approved(), self.granted()), (set(), {}))


class Narrowing(CrashTest):
    """Its manifest asks for less now, which is looked at when it is made known again."""

    def widen(self):
        self.digest = self.install(permissions=WANTED)
        self.approve(WANTED, self.digest)
        self.install(permissions=WANTED[:1])

    def test_what_is_not_approved_any_more_is_not_granted(self):
        def check():
            self.assertLessEqual(set(self.granted()), self.approved())
            self.assertIn(WANTED[0], self.granted())

        self.each_kill(7, self.widen, ('Provision', '(s)', ('example',)), check)

    def test_a_removal_that_was_owed_stays_so_until_it_is_written(self):
        """Killed before that it is done after all."""
        seen = set()

        def owe():
            self.digest = self.install(permissions=WANTED)
            self.call('Provision', '(s)', ('example',))
            self.systemd.broken = {REMOVE}
            with self.assertRaises(GLib.Error):
                self.call('Deprovision', '(s)', ('example',))
            self.systemd.broken.clear()
            self.assertEqual(self.noted(), ['example'])
            self.widen()

        def check():
            removed = ('StartUnit', REMOVE) in self.systemd.asked
            self.assertLessEqual(set(self.granted()), set() if removed else self.approved())
            seen.add(removed)

        self.each_kill(7, owe, ('Provision', '(s)', ('example',)), check)
        self.assertEqual(seen, {True, False})


class Slots(CrashTest):
    """Of which one is to run another version."""

    def setUp(self):
        HelperTest.setUp(self)
        self.place = self.root / 'var/lib/cloudsnooze/plugins/example'
        for version, permissions in (('1.0.0', WANTED), ('2.0.0', WANTED[1:])):
            place = self.place / version
            place.mkdir(mode=0o755, parents=True)
            (place / 'example').write_text('#!/bin/sh\n')
            (place / 'example').chmod(0o755)
            (place / 'plugin.json').write_text(json.dumps({'name': 'example', 'version': version, 'contracts': ['IdleCheck'],
                                                           'permissions': permissions}))
        (self.place / 'current').symlink_to('1.0.0')
        self.call('Provision', '(s)', ('example',))
        self.approve(WANTED, self.call('ListPermissions', '(s)', ('example',))[0])

    def versions(self):
        return [next(line for line in self.drop_in(slot=slot).splitlines() if 'Version: ' in line)[-5:] for slot in ('', '-b')]

    def test_each_stays_at_its_version(self):
        prepare = lambda: self.call('ProvisionVersion', '(sss)', ('example', '1.0.0', 'b'))
        seen = set()

        def check():
            version, other = self.versions()
            self.assertEqual(version, '1.0.0')
            self.assertEqual(MARKS['network:10.0.0.1'] in self.drop_in(slot='-b'), other == '1.0.0')
            self.assertEqual(set(self.granted()), self.approved())
            seen.add(other)

        self.each_kill(4, prepare, ('ProvisionVersion', '(sss)', ('example', '2.0.0', 'b')), check)
        self.assertEqual(seen, {'1.0.0', '2.0.0'})


class Broken(CrashTest):
    """What it is to be granted cannot be told when the next helper comes."""

    def setUp(self):
        super().setUp()
        # What is approved has been written, and nothing else.
        self.assertTrue(self.killed(3, 'ApprovePermissions', '(sass)', ('example', [], self.digest)))
        self.assertEqual((self.approved(), set(self.granted())), (set(), set(WANTED)))
        self.manifest = self.root / 'etc/cloudsnooze/plugins/example/plugin.json'
        self.text = self.manifest.read_text()

    def assert_owed(self):
        self.start_another()
        wait_for_file(lambda: 'Plugin example may be granted more than is approved' in self.helper.output(), 'it to be told')
        # Behind what was completed.
        self.call('Provision', '(s)', ('other',))
        self.assertEqual((self.noted(), self.unread()), ([], ['example']))

    def assert_told_once(self):
        self.assertEqual(self.helper.output().count('may be granted more'), 1)

    def test_it_is_owed_until_its_manifest_is_mended(self):
        self.manifest.write_text('{')
        self.assert_owed()
        self.manifest.write_text(self.text)
        # Whatever is asked for.
        self.call('SetLimits', '(sa{sv})', ('other', {'tasks': GLib.Variant('t', 2)}))
        self.wait_until_settled()
        self.assertEqual(self.granted(), {})
        self.assert_told_once()

    def test_the_next_helper_tries_again(self):
        self.manifest.unlink()
        self.assert_owed()
        self.assertEqual(self.helper.kill(15), 0)
        self.manifest.write_text(self.text)
        self.settle()
        self.assertEqual(self.granted(), {})

    def test_what_is_approved_cannot_be_read(self):
        path = self.root / 'etc/cloudsnooze/approvals/example.json'
        text = path.read_text()
        path.write_text('{')
        self.assert_owed()
        path.write_text(text)
        self.call('Provision', '(s)', ('example',))
        self.assertIsNone(self.noted())
        self.assertEqual(self.granted(), {})

    def test_one_that_is_gone_is_forgotten(self):
        self.manifest.unlink()
        self.assert_owed()
        self.call('Deprovision', '(s)', ('example',))
        self.assertIsNone(self.noted())
        self.assertEqual(self.files(), [])

    def test_one_that_cannot_be_forgotten_either_is_not_written_anew(self):
        self.manifest.write_text('{')
        self.assert_owed()
        self.systemd.broken = {REMOVE}
        with self.assertRaises(GLib.Error):
            self.call('Deprovision', '(s)', ('example',))
        self.manifest.write_text(self.text)
        self.call('Provision', '(s)', ('other',))
        self.assertEqual(self.noted(), ['example'])
        self.assertEqual(self.files(), [])

    def test_what_is_left_beside_one_that_a_package_has_brought_goes(self):
        self.install(directory='usr/lib/cloudsnooze/plugins')
        self.settle()
        self.assertEqual(self.granted(), {})

    def test_nobody_is_kept_waiting_nor_the_helper_running(self):
        """It is tried again when there is something else to do, and not over and over."""
        self.manifest.write_text('{')
        self.assert_owed()
        asked = len(self.systemd.asked)
        self.call('Provision', '(s)', ('other',))
        self.call('ListPermissions', '(s)', ('other',))
        self.assertEqual(len(self.systemd.asked), asked)
        self.assertEqual(self.helper.kill(15), 0)
        self.assertEqual(self.unread(), ['example'])
        self.start_another()
        self.manifest.write_text(self.text)
        self.call('Provision', '(s)', ('example',))
        self.assertEqual(self.granted(), {})


if __name__ == '__main__':
    tap.main()
