# SPDX-License-Identifier: Apache-2.0
"""What snooze-helper could not do, or was killed amid: it is owed, and nobody hears that it is done before it is. And
where it does not serve at all."""

import json
import os
import pathlib
import resource
import unittest
from unittest import mock

import harness
import tap
from gi.repository import Gio, GLib
from harness import ACTION, BUILD, ERROR, House, error_name, wait_for, wait_for_file
from helper_bus import FILES, HELPER, HELPER_PATH, PERMISSIONS, HelperTest

FAILED = ERROR + 'Store'
MAKE = ('StartUnit', 'snooze-users.service')
REMOVE = ('StartUnit', 'snooze-user-remove@example.service')
RELOAD = ('Reload',)


class OwedTest(HelperTest):
    def forget_badly(self):
        """A plugin whose user cannot be removed."""
        self.install()
        self.call('Provision', '(s)', ('example',))
        self.systemd.broken = {REMOVE[1]}
        self.assertFails(FAILED, 'Deprovision', '(s)', ('example',), part=REMOVE[1])
        self.assertEqual(self.written() - {'etc/cloudsnooze/approvals/.pending'}, set())
        self.systemd.asked.clear()


class Killed(OwedTest):
    def killed_under_way(self, method):
        """Killed when all is written and before anybody has read it."""
        self.systemd.silent = True
        self.systemd.asked.clear()
        self.send(method, '(s)', ('example',))
        wait_for(lambda: self.systemd.asked, 'the first step')
        self.helper.kill(9)
        self.systemd.silent = False
        self.start_another()
        wait_for(lambda: ('Reload',) in self.systemd.asked, 'the rest')

    def test_what_was_under_way_is_completed(self):
        self.install()
        self.killed_under_way('Provision')
        self.assertEqual(self.systemd.asked, [('StartUnit', 'snooze-users.service'), ('Reload',)])
        self.call('Provision', '(s)', ('example',))
        self.assertEqual(self.written(), FILES)
        self.killed_under_way('Deprovision')
        self.assertIn(('StartUnit', 'snooze-user-remove@example.service'), self.systemd.asked)
        self.call('Deprovision', '(s)', ('example',))
        self.assertEqual(self.written(), set())

    def test_what_failed_is_tried_again(self):
        self.install()
        self.systemd.result = 'failed'
        with self.assertRaises(GLib.Error):
            self.call('Provision', '(s)', ('example',))
        self.assertEqual(self.helper.kill(15), 0)
        self.systemd.result = 'done'
        self.start_another()
        wait_for(lambda: ('Reload',) in self.systemd.asked, 'another try')

    def test_one_that_was_being_forgotten_is_forgotten(self):
        """Its files go one after the other. What is left of them would have its user made again, with all that was granted."""
        digest = self.install()
        self.call('Provision', '(s)', ('example',))
        self.approve(PERMISSIONS, digest)
        self.assertIn('PrivateNetwork=no', self.drop_in())
        self.helper.kill(9)
        self.note.write_text('# Under way.\nexample\n')
        for path in sorted(FILES)[-3:]:
            (self.root / path).unlink()
        (self.root / 'etc/cloudsnooze/approvals/example.json').unlink()
        self.start_another()
        self.wait_until_settled()
        self.assertEqual(self.systemd.asked, [REMOVE, MAKE, RELOAD])
        self.assertEqual(self.written(), set())

    def test_one_that_a_package_has_brought_meanwhile_stays(self):
        self.forget_badly()
        self.assertEqual(self.helper.kill(15), 0)
        self.systemd.broken = set()
        self.install(directory='usr/lib/cloudsnooze/plugins')
        policy = self.root / 'etc/dbus-1/system.d/io.cloudsnooze.Plugin1.example.conf'
        policy.write_text('<busconfig/>')
        self.start_another()
        self.wait_until_settled()
        self.assertEqual(self.systemd.asked, [MAKE, RELOAD])
        self.assertTrue(policy.exists())

    def test_what_is_left_beside_one_that_a_package_has_brought_goes(self):
        """Killed amid the removal of the earlier one."""
        digest = self.install()
        self.call('Provision', '(s)', ('example',))
        self.approve(PERMISSIONS, digest)
        self.helper.kill(9)
        self.note.write_text('# Under way.\nexample\n')
        self.install(directory='usr/lib/cloudsnooze/plugins')
        self.start_another()
        self.wait_until_settled()
        self.assertEqual(self.systemd.asked, [MAKE, RELOAD])
        self.assertEqual(self.written(), {'etc/sysusers.d/cloudsnooze-plugin-example.conf'})


class Illegible(OwedTest):
    """A note that cannot be read is not taken for one that says nothing."""

    def assert_kept(self, part):
        noted = self.note.read_bytes()
        # Nobody asks for it any more, and who makes the plugin known would take it away.
        approvals = self.root / 'etc/cloudsnooze/approvals/example.json'
        approvals.write_text(json.dumps({'manifest_sha256': '0' * 64, 'permissions': ['group:adm']}))
        approved = approvals.read_text()
        self.start_again()
        wait_for_file(lambda: 'had under way is not known' in self.helper.output(), 'it to be told')
        for method in 'Provision', 'Deprovision':
            self.assertFails(FAILED, method, '(s)', ('example',), part=part)
        self.assertFails(FAILED, 'SetLimits', '(sa{sv})', ('example', {'tasks': GLib.Variant('t', 2)}), part=part)
        self.assertEqual((self.note.read_bytes(), approvals.read_text()), (noted, approved))
        self.assertEqual(self.systemd.asked, [])

    def start_again(self):
        self.assertEqual(self.helper.kill(15), 0)
        self.start_another()

    def test_one_that_is_too_large(self):
        self.forget_badly()
        self.install()
        self.note.write_text(self.note.read_text() + '#' * (256 << 10))
        self.assert_kept('262144 bytes')

    def test_one_that_somebody_else_may_have_written(self):
        self.forget_badly()
        self.install()
        self.note.chmod(0o666)
        self.assert_kept('can be written by others')

    def test_once_it_can_be_read_what_it_says_is_done(self):
        """By the helper that could not read it. Its own changes would take the place of what nobody had read."""
        self.forget_badly()
        self.install('other')
        self.note.chmod(0o666)
        self.assertEqual(self.helper.kill(15), 0)
        self.systemd.broken.clear()
        self.start_another()
        self.assertFails(FAILED, 'Provision', '(s)', ('other',), part='can be written by others')
        self.assertFails(FAILED, 'Provision', '(s)', ('other',), part='can be written by others')
        self.assertEqual(self.helper.output().count('had under way is not known'), 1)
        self.note.chmod(0o644)
        self.call('Provision', '(s)', ('other',))
        self.wait_until_settled()
        self.assertIn(REMOVE, self.systemd.asked)

    def test_what_was_granted_goes_before_it_is_known_again(self):
        """Also where it is the one to be forgotten that is asked for, with what it was granted still there."""
        digest = self.install()
        self.call('Provision', '(s)', ('example',))
        self.approve(PERMISSIONS, digest)
        self.helper.kill(9)
        self.note.write_text('# Under way.\nexample\n')
        self.note.chmod(0o666)
        self.start_another()
        self.assertFails(FAILED, 'Provision', '(s)', ('example',), part='can be written by others')
        self.note.chmod(0o644)
        self.call('Provision', '(s)', ('example',))
        self.wait_until_settled()
        self.assertEqual(self.written(), FILES)
        self.assertNotIn('PrivateNetwork=no', self.drop_in())

    def test_one_of_every_plugin_that_there_may_be(self):
        self.forget_badly()
        ids = (f'{number:04}'.rjust(24, 'p') for number in range(4096))
        self.note.write_text(self.note.read_text() + ''.join(f'read {one}\n' for one in ids))
        self.systemd.broken.clear()
        self.start_again()
        self.wait_until_settled()
        self.assertIn(REMOVE, self.systemd.asked)


class Unread(OwedTest):
    """systemd could not read what was written."""

    def test_who_asks_again_hears_the_same_until_it_is_done(self):
        self.install()
        self.systemd.broken = {MAKE[1]}
        for _ in range(2):
            self.systemd.asked.clear()
            self.assertFails(FAILED, 'Provision', '(s)', ('example',), part=MAKE[1])
            self.assertIn(MAKE, self.systemd.asked)
            self.assertEqual(self.noted(), [])
        self.systemd.broken = set()
        self.systemd.asked.clear()
        self.call('Provision', '(s)', ('example',))
        # The rest went well the first time.
        self.assertEqual(self.systemd.asked, [MAKE])
        self.assertIsNone(self.noted())
        self.call('Provision', '(s)', ('example',))
        self.assertEqual(self.systemd.asked, [MAKE])

    def test_what_was_taken_back_is_not_said_to_be_before_it_is(self):
        digest = self.install()
        self.call('Provision', '(s)', ('example',))
        self.approve(PERMISSIONS, digest)
        self.systemd.refusal = 'org.freedesktop.systemd1.ReloadingLimit'
        for _ in range(2):
            self.systemd.asked.clear()
            self.assertFails(FAILED, 'ApprovePermissions', '(sass)', ('example', [], digest), part='could not be told')
            self.assertEqual(self.systemd.asked, [RELOAD])
        self.systemd.refusal = None
        self.approve([], digest)
        self.assertIsNone(self.noted())

    def test_limits(self):
        self.install()
        arguments = ('example', {'tasks': GLib.Variant('t', 2)})
        self.systemd.refusal = 'org.freedesktop.systemd1.ReloadingLimit'
        for _ in range(2):
            self.systemd.asked.clear()
            self.assertFails(FAILED, 'SetLimits', '(sa{sv})', arguments, part='could not be told')
            self.assertEqual(self.systemd.asked, [RELOAD])
        self.systemd.refusal = None
        self.call('SetLimits', '(sa{sv})', arguments)
        self.assertIsNone(self.noted())

    def test_it_is_done_with_what_is_asked_for_another(self):
        for identifier in 'example', 'other':
            self.install(identifier)
        self.systemd.broken = {MAKE[1]}
        self.assertFails(FAILED, 'Provision', '(s)', ('example',))
        self.systemd.broken = set()
        self.systemd.asked.clear()
        # Which alone would have units read again, and does not wait for more.
        self.call('SetLimits', '(sa{sv})', ('other', {'tasks': GLib.Variant('t', 2)}))
        self.wait_until_settled()
        self.assertEqual(sorted(self.systemd.asked), [RELOAD, MAKE])
        self.call('Provision', '(s)', ('example',))
        self.assertEqual(sorted(self.systemd.asked), [RELOAD, MAKE])

    def test_who_comes_while_it_fails_waits_for_another_try(self):
        self.install()
        self.systemd.silent = True
        self.systemd.broken = {MAKE[1]}
        first = self.send('Provision', '(s)', ('example',))
        wait_for(lambda: self.systemd.withheld, 'the first step')
        second = self.send('Provision', '(s)', ('example',))
        # Behind it.
        self.call('ListPermissions', '(s)', ('example',))
        self.assertFalse(second)
        self.systemd.end_jobs()
        wait_for(lambda: first, 'the first answer')
        self.assertEqual(error_name(first[0][1]), FAILED)
        wait_for(lambda: self.systemd.withheld, 'another try')
        self.systemd.broken = set()
        self.systemd.end_jobs()
        wait_for(lambda: second, 'the second answer')
        self.assertIsNone(second[0][1])
        self.assertIsNone(self.noted())

    def test_what_more_have_written_than_may_wait_is_read_all_the_same(self):
        self.install()
        self.install('other')
        # Known to the helper: who they are does not wait to be told.
        crowd = [self.house.client() for _ in range(3)]
        for client in crowd:
            self.call('Provision', '(s)', ('example',), client)
        self.install('third')
        self.systemd.silent = True
        first = self.send('Provision', '(s)', ('third',))
        wait_for(lambda: self.systemd.withheld, 'the first step')
        waiting = [self.send('Provision', '(s)', ('third',), client) for client in crowd for _ in range(100)]
        refused = lambda: [answer for answer in waiting if answer]
        wait_for(lambda: len(refused()) == 300 - 256, 'those who are too many to be refused')
        self.assertFails(ERROR + 'LimitsExceeded', 'Provision', '(s)', ('other',), part='what was written stays')
        self.systemd.asked.clear()
        self.systemd.silent = False
        self.systemd.end_jobs()
        wait_for(lambda: first and all(waiting), 'the others')
        # Of the first that was wanted, and of what the one wrote who could not wait.
        self.assertEqual(self.systemd.asked, [RELOAD, MAKE, RELOAD])


class Others(OwedTest):
    """What cannot be done for one plugin is no business of those who ask for another."""

    def setUp(self):
        super().setUp()
        for identifier in 'example', 'other', 'third':
            self.install(identifier)
        self.call('Provision', '(s)', ('other',))
        self.systemd.asked.clear()

    def limit(self, identifier, tasks):
        return 'SetLimits', '(sa{sv})', (identifier, {'tasks': GLib.Variant('t', tasks)})

    def test_one_that_hangs_delays_nobody_else(self):
        self.systemd.silent = True
        first = self.send('Provision', '(s)', ('example',))
        wait_for(lambda: self.systemd.withheld, 'the first step')
        self.call(*self.limit('other', 2))
        self.assertIn('TasksMax=2', self.drop_in('20-limits.conf', 'other'))
        self.assertEqual(self.systemd.asked, [MAKE, RELOAD])
        self.call('Provision', '(s)', ('other',))
        self.call('Deprovision', '(s)', ('third',))
        self.assertEqual(self.systemd.asked, [MAKE, RELOAD])
        self.assertEqual((self.noted(), self.unread()), ([], ['example']))
        # Of that plugin, whatever it is, and of one that needs a user.
        waiting = [first, self.send(*self.limit('example', 3)), self.send('Provision', '(s)', ('example',)),
                   self.send('Provision', '(s)', ('third',))]
        self.call('ListPermissions', '(s)', ('example',))
        self.assertFalse(any(waiting))
        self.systemd.silent = False
        self.systemd.end_jobs()
        wait_for(lambda: all(waiting), 'all answers')
        self.assertEqual([error for (_, error), in waiting], [None] * 4)
        self.assertIsNone(self.noted())
        self.assertEqual(self.systemd.asked[:4], [MAKE, RELOAD, RELOAD, MAKE])

    def test_one_that_fails_fails_nobody_else(self):
        self.systemd.broken = {MAKE[1]}
        self.assertFails(FAILED, 'Provision', '(s)', ('example',), part=MAKE[1])
        for tasks in 2, 3:
            self.call(*self.limit('other', tasks))
            self.call('Provision', '(s)', ('other',))
            self.assertFails(FAILED, *self.limit('example', tasks), part=MAKE[1])
        self.assertFails(FAILED, 'Provision', '(s)', ('third',), part=MAKE[1])
        self.wait_until_owed('example', 'third')
        # It is known who they are after this helper, too.
        self.assertEqual(self.helper.kill(15), 0)
        self.start_another()
        self.call(*self.limit('other', 4))
        self.call('Provision', '(s)', ('other',))
        self.assertFails(FAILED, 'Provision', '(s)', ('example',), part=MAKE[1])
        self.wait_until_owed('example', 'third')
        self.systemd.broken = set()
        self.call('Provision', '(s)', ('third',))
        self.assertIsNone(self.noted())
        self.systemd.asked.clear()
        self.call('Provision', '(s)', ('example',))
        self.assertEqual(self.systemd.asked, [])

    def wait_until_owed(self, *ids):
        """What is tried again by the way fails again."""
        wait_for_file(lambda: self.note.exists() and self.unread() == list(ids), f'{ids} to be owed')

    def test_after_a_helper_that_did_not_say_of_whom_it_may_be_anybody(self):
        self.assertEqual(self.helper.kill(15), 0)
        self.note.write_text('# What snooze-helper has under way; these plugins and their users are to be removed.\n')
        self.systemd.broken = {MAKE[1]}
        self.start_another()
        self.assertFails(FAILED, 'Provision', '(s)', ('other',), part=MAKE[1])
        self.assertEqual(self.helper.kill(15), 0)
        self.start_another()
        self.assertFails(FAILED, 'Provision', '(s)', ('other',), part=MAKE[1])
        self.systemd.broken = set()
        self.call('Provision', '(s)', ('other',))
        self.assertIsNone(self.noted())

    def test_the_bus_reads_again_when_a_user_is_there(self):
        """It passes over rules for one that is not."""
        log = self.house.directory / 'bus.log'
        read = lambda: log.read_text(errors='replace').count('Reloaded configuration')
        self.systemd.broken = {MAKE[1]}
        self.assertFails(FAILED, 'Provision', '(s)', ('example',), part=MAKE[1])
        before = read()
        self.systemd.broken = set()
        self.call('Provision', '(s)', ('example',))
        wait_for_file(lambda: read() > before, 'the bus to read its files')


class Users(OwedTest):
    """A user could not be removed."""

    def test_who_asks_again_hears_the_same_until_he_is(self):
        self.forget_badly()
        for _ in range(2):
            self.assertFails(FAILED, 'Deprovision', '(s)', ('example',), part=REMOVE[1])
            self.assertEqual(self.noted(), ['example'])
        self.systemd.broken = set()
        self.systemd.asked.clear()
        self.call('Deprovision', '(s)', ('example',))
        self.assertEqual(self.systemd.asked, [REMOVE])
        self.assertIsNone(self.noted())
        self.call('Deprovision', '(s)', ('example',))
        self.assertEqual(self.systemd.asked, [REMOVE])

    def test_what_is_done_for_another_is_not_the_end_of_it(self):
        self.forget_badly()
        self.install('other')
        self.call('Provision', '(s)', ('other',))
        # It is no business of his.
        self.assertNotIn(REMOVE, self.systemd.asked)
        self.assertEqual(self.noted(), ['example'])
        self.systemd.broken = set()
        self.assertEqual(self.helper.kill(15), 0)
        self.start_another()
        self.wait_until_settled()
        self.assertEqual(self.systemd.asked, [REMOVE, MAKE, RELOAD])

    def test_others_hear_nothing_of_it(self):
        """Also those for whose call the next helper was started, which tries it again at once."""
        self.forget_badly()
        self.install('other')
        self.assertEqual(self.helper.kill(15), 0)
        self.start_another()
        self.call('Provision', '(s)', ('other',))
        # In one go with what he asks for, or before.
        self.assertEqual((self.systemd.asked[0], self.systemd.asked.count(REMOVE)), (REMOVE, 1))
        self.assertEqual(set(self.systemd.asked), {REMOVE, MAKE, RELOAD})
        self.assertEqual(self.noted(), ['example'])

    def test_one_that_is_made_known_again_keeps_its_user(self):
        self.forget_badly()
        self.systemd.refusal = 'org.freedesktop.systemd1.ReloadingLimit'
        self.assertFails(FAILED, 'Provision', '(s)', ('example',))
        self.assertEqual(self.noted(), [])
        self.systemd.refusal = None
        self.assertEqual(self.helper.kill(15), 0)
        self.start_another()
        self.wait_until_settled()
        self.assertEqual(self.systemd.asked, [MAKE, RELOAD])
        self.assertEqual(self.written(), FILES)

    def keep_busy(self):
        """What comes now waits for its turn."""
        self.install('other')
        self.systemd.silent = True
        result = self.send('Provision', '(s)', ('other',))
        wait_for(lambda: self.systemd.withheld, 'the first step')
        return result

    def end_all(self, *results):
        self.systemd.silent = False
        self.systemd.end_jobs()
        wait_for(lambda: all(results), 'all answers')
        return [error and error_name(error) for (_, error), in results]

    def test_one_that_is_made_known_again_before_its_turn_keeps_its_user(self):
        self.install()
        self.call('Provision', '(s)', ('example',))
        other = self.keep_busy()
        calls = [self.send(method, '(s)', ('example',)) for method in ('Deprovision', 'Provision')]
        # Behind them.
        self.call('ListPermissions', '(s)', ('example',))
        self.assertEqual(self.end_all(other, *calls), [None] * 3)
        self.assertNotIn(REMOVE, self.systemd.asked)
        self.assertLess(FILES, self.written())
        self.wait_until_settled()

    def remove_slowly(self):
        """The user is being removed, which is going to fail."""
        self.install()
        self.call('Provision', '(s)', ('example',))
        self.systemd.broken = {REMOVE[1]}
        self.systemd.silent = True
        result = self.send('Deprovision', '(s)', ('example',))
        wait_for(lambda: self.systemd.withheld, 'the removal')
        return result

    def test_nothing_is_owed_of_one_that_was_made_known_again_meanwhile(self):
        first = self.remove_slowly()
        second = self.send('Provision', '(s)', ('example',))
        self.call('ListPermissions', '(s)', ('example',))
        self.assertEqual(self.end_all(first, second), [FAILED, None])
        self.assertIsNone(self.noted())
        self.assertEqual(self.written(), FILES)

    def test_nothing_is_owed_after_another_try_that_waited(self):
        first = self.remove_slowly()
        second = self.send('Deprovision', '(s)', ('example',))
        self.call('ListPermissions', '(s)', ('example',))
        self.systemd.end_jobs()
        wait_for(lambda: first, 'the first answer')
        self.assertEqual(error_name(first[0][1]), FAILED)
        wait_for(lambda: self.systemd.withheld, 'another try')
        self.systemd.broken = set()
        self.assertEqual(self.end_all(second), [None])
        self.assertIsNone(self.noted())

    def test_what_was_approved_since_stays(self):
        self.forget_badly()
        self.approve(PERMISSIONS, self.install())
        self.systemd.broken = set()
        self.assertEqual(self.helper.kill(15), 0)
        self.start_another()
        self.wait_until_settled()
        self.assertEqual(self.written(), {'etc/cloudsnooze/approvals/example.json'})


class Unwritten(OwedTest):
    """A file could be neither written nor removed."""

    def close(self, directory):
        (self.root / directory).chmod(0o777)
        self.addCleanup(self.open, directory)

    def open(self, directory):
        (self.root / directory).chmod(0o755)

    def test_nothing_is_owed_where_nothing_was_written(self):
        self.install()
        self.close('etc/systemd/system')
        self.assertFails(ERROR + 'Store', 'Provision', '(s)', ('example',), part='/etc/systemd/system')
        self.assertIsNone(self.noted())
        self.assertEqual(self.systemd.asked, [])

    def start_with_small_files(self, size):
        self.assertEqual(self.helper.kill(15), 0)
        wait_for(lambda: self.house.watcher.owner(HELPER) is None, 'the helper to be gone')
        self.systemd.asked.clear()
        self.helper = self.house.spawn(['env', '--ignore-signal=XFSZ', f'ASAN_OPTIONS={os.environ.get("ASAN_OPTIONS", "")}',
                                        BUILD / 'src/helper/snooze-helper', '--root', self.root], 'small.log')
        self.house.wait_for_owner(HELPER, self.helper)
        resource.prlimit(self.helper.popen.pid, resource.RLIMIT_FSIZE, (size, size))

    def test_a_removal_stays_owed_where_what_was_approved_cannot_be_narrowed(self):
        """Neither is it forgiven, nor is something to be read of which nothing was written."""
        long = [f'read:/srv/{letter * 600}' for letter in 'abc']
        self.forget_badly()
        self.start_with_small_files(1700)
        wait_for(lambda: RELOAD in self.systemd.asked and not self.unread(), 'the next try')
        self.install(permissions=long)
        (self.root / 'etc/cloudsnooze/approvals/example.json').write_text(
            json.dumps({'manifest_sha256': '0' * 64, 'permissions': [*long, 'processes']}))
        self.assertFails(FAILED, 'Provision', '(s)', ('example',), part='example.json')
        self.assertEqual((self.noted(), self.unread()), (['example'], []))

    def test_what_was_written_is_read(self):
        self.install()
        self.close('etc/dbus-1/system.d')
        self.assertFails(ERROR + 'Store', 'Provision', '(s)', ('example',), part='/etc/dbus-1/system.d')
        self.wait_until_settled()
        self.assertEqual(self.systemd.asked, [MAKE, RELOAD])

    def test_an_approval_is_logged_though_the_rest_could_not_be_written(self):
        digest = self.install()
        self.call('Provision', '(s)', ('example',))
        self.close('etc/systemd/system')
        self.assertFails(ERROR + 'Store', 'ApprovePermissions', '(sass)', ('example', PERMISSIONS, digest), part='/etc/systemd/system')
        granted = f'Plugin example is granted: {" ".join(PERMISSIONS)}\n'
        self.assertEqual(self.helper.output().count(granted), 1)
        self.open('etc/systemd/system')
        self.approve(PERMISSIONS, digest)
        self.assertEqual(self.helper.output().count(granted), 2)

    def test_what_could_not_be_removed_is_removed_when_it_can(self):
        self.install()
        self.install('other')
        for again in 'the same helper', 'the next helper':
            with self.subTest(by=again):
                self.call('Provision', '(s)', ('example',))
                self.close('etc/sysusers.d')
                self.systemd.asked.clear()
                self.assertFails(ERROR + 'Store', 'Deprovision', '(s)', ('example',), part='/etc/sysusers.d')
                wait_for(lambda: RELOAD in self.systemd.asked, 'the rest to be in force')
                self.assertNotIn(REMOVE, self.systemd.asked)
                self.call('SetLimits', '(sa{sv})', ('other', {'tasks': GLib.Variant('t', 2)}))
                self.assertEqual(self.noted(), ['example'])
                self.open('etc/sysusers.d')
                if again == 'the same helper':
                    self.call('Deprovision', '(s)', ('example',))
                else:
                    self.assertEqual(self.helper.kill(15), 0)
                    self.start_another()
                self.wait_until_settled()
                self.assertIn(REMOVE, self.systemd.asked)
                self.call('Deprovision', '(s)', ('other',))
                self.assertEqual(self.written(), set())


    def test_what_stands_in_the_way_of_a_packaged_one_goes_when_it_can(self):
        self.install()
        for again in 'the same helper', 'the next helper':
            with self.subTest(by=again):
                self.call('Provision', '(s)', ('example',))
                self.install(directory='usr/lib/cloudsnooze/plugins')
                self.close('etc/systemd/system')
                self.assertFails(ERROR + 'Store', 'Provision', '(s)', ('example',), part='/etc/systemd/system')
                self.assertEqual(self.noted(), ['example'])
                self.open('etc/systemd/system')
                self.systemd.asked.clear()
                if again == 'the same helper':
                    self.call('Provision', '(s)', ('example',))
                else:
                    self.assertEqual(self.helper.kill(15), 0)
                    self.start_another()
                self.wait_until_settled()
                self.assertNotIn(REMOVE, self.systemd.asked)
                self.assertEqual(self.written(), {'etc/sysusers.d/cloudsnooze-plugin-example.conf'})
                (self.root / 'usr/lib/cloudsnooze/plugins/example/plugin.json').unlink()


class Descriptors(HelperTest):
    """A call that waits keeps none of the descriptors that its sender put into it for nothing. One that finds no room for its own would
    be the end of the connection to the bus."""

    # Whatever the bus lets through: 253 is what fits into a message.
    LIMITS = ''.join(f'<limit name="max_{what}_unix_fds">{number}</limit>'
                     for what, number in (('message', 253), ('incoming', 20 * 253), ('outgoing', 20 * 253)))

    def setUp(self):
        configuration = harness.BUS_CONFIGURATION.replace('<auth>', self.LIMITS + '<auth>')
        with mock.patch.object(harness, 'BUS_CONFIGURATION', configuration):
            super().setUp()
        self.digest = self.install()
        self.null = os.open('/dev/null', os.O_RDONLY)
        self.addCleanup(os.close, self.null)

    def start(self):
        """With as many as systemd gives a service."""
        helper = self.house.spawn(['prlimit', '--nofile=1024', BUILD / 'src/helper/snooze-helper', '--root', self.root], 'helper.log')
        self.house.wait_for_owner(HELPER, helper)
        return helper

    def ask(self, client, method, signature, arguments):
        message = Gio.DBusMessage.new_method_call(HELPER, HELPER_PATH, HELPER, method)
        message.set_body(GLib.Variant(signature, arguments))
        # The list closes what it is given.
        message.set_unix_fd_list(Gio.UnixFDList.new_from_array([os.dup(self.null) for _ in range(253)]))
        result = []
        client.connection.send_message_with_reply(message, Gio.DBusSendMessageFlags.NONE, 60000, None,
                                                  lambda connection, answer: result.append(connection.send_message_with_reply_finish(answer)))
        return result

    def assert_none_is_kept(self):
        held = lambda: len(os.listdir(f'/proc/{self.helper.pid}/fd'))
        # It closes those of a call when it is through with it, which may be after whatever was seen of it.
        wait_for_file(lambda: self.helper.ended() or held() < 100, 'them to be closed')
        self.assertFalse(self.helper.ended(), self.helper.output())
        self.assertLess(held(), 100)

    def test_of_those_that_wait_for_polkit(self):
        self.house.answer('hang')
        # As many as one user may have waiting.
        waiting = [self.ask(client, 'ApprovePermissions', '(sass)', ('example', PERMISSIONS, self.digest))
                   for client in (self.house.client(), self.house.client()) for _ in range(8)]
        wait_for(lambda: self.house.asked.count((ACTION + 'approve-permissions',)) == 16 or self.helper.ended(), 'polkit to be asked')
        self.assert_none_is_kept()
        self.assertFalse(any(waiting))
        # Whom it has not answered it does not leave.
        self.house.polkit.kill()
        wait_for(lambda: all(waiting), 'all answers')

    def test_of_those_that_wait_for_systemd(self):
        self.systemd.silent = True
        first = self.send('Provision', '(s)', ('example',))
        wait_for(lambda: self.systemd.withheld, 'the first step')
        waiting = [self.ask(self.client, 'Provision', '(s)', ('example',)) for _ in range(16)]
        # Behind them.
        self.call('ListPermissions', '(s)', ('example',))
        self.assert_none_is_kept()
        self.assertFalse(any(waiting))
        self.systemd.end_jobs()
        wait_for(lambda: first and all(waiting), 'all answers')
        self.assertEqual({answer[0].get_message_type() for answer in waiting}, {Gio.DBusMessageType.METHOD_RETURN})


class Options(unittest.TestCase):
    def test_it_does_not_outlive_the_bus(self):
        house = House(daemon=False, polkit=False)
        self.addCleanup(house.close)
        helper = house.spawn([BUILD / 'src/helper/snooze-helper', '--root', house.directory / 'root'], 'helper.log')
        house.wait_for_owner(HELPER, helper)
        house.stop_bus()
        self.assertEqual(helper.wait(), 1)

    def test_another_root_is_not_for_the_systems_bus(self):
        house = House(daemon=False, polkit=False)
        self.addCleanup(house.close)
        for address in (None, '', 'unix:path=/run/dbus/system_bus_socket', 'unix:path=/var/run/dbus/system_bus_socket'):
            house.environment.pop('DBUS_SYSTEM_BUS_ADDRESS', None)
            if address is not None:
                house.environment['DBUS_SYSTEM_BUS_ADDRESS'] = address
            helper = house.spawn([BUILD / 'src/helper/snooze-helper', '--root', pathlib.Path('/srv')], 'helper.log')
            self.assertEqual(helper.wait(), 2)
        self.assertIn('private bus', helper.output())


if __name__ == '__main__':
    tap.main()
