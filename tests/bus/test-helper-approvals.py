# SPDX-License-Identifier: Apache-2.0
"""What is granted of what was approved, and for which manifest."""

import fcntl
import json
import os
import signal

import tap
from harness import ACCESS_DENIED, ACTION, ERROR, INTERACTION_REQUIRED
from helper_bus import PERMISSIONS, HelperTest


class Approval(HelperTest):
    def listed(self, identifier='example'):
        digest, packaged, permissions, _ = self.call('ListPermissions', '(s)', (identifier,))
        return digest, packaged, {permission: approved for permission, approved, _ in permissions}

    def test_exactly_what_was_approved_is_granted(self):
        digest = self.install()
        self.call('Provision', '(s)', ('example',))
        self.systemd.asked.clear()
        self.approve(['read:/srv/data'], digest)
        self.assertEqual(self.systemd.asked, [('Reload',)])
        self.assertIn('BindReadOnlyPaths=-/srv/data\n', self.drop_in())
        self.assertNotIn('PrivateNetwork', self.drop_in())
        self.assertEqual(self.listed(), (digest, False, {permission: permission == 'read:/srv/data' for permission in PERMISSIONS}))

        self.approve(PERMISSIONS, digest)
        self.assertIn('IPAddressAllow=10.0.0.1\n', self.drop_in())
        policy = (self.root / 'etc/dbus-1/system.d/io.cloudsnooze.Plugin1.example.conf').read_text()
        self.assertIn('<allow send_destination="org.freedesktop.login1" send_type="method_call"/>', policy)

        self.approve([], digest)
        self.assertNotIn('PrivateNetwork', self.drop_in())
        self.assertNotIn('/srv/data', self.drop_in())

    def test_polkit_is_asked_about_the_caller(self):
        digest = self.install()
        self.approve(['read:/srv/data'], digest)
        question, = self.house.questions()
        self.assertEqual(question['action'], ACTION + 'approve-permissions')
        self.assertEqual(question['subject'], self.client.name)
        self.assertEqual(question['details'], {'plugin': 'example', 'permissions': 'read:/srv/data',
                                               'request': 'ApprovePermissions: plugin "example", permissions "read:/srv/data"'})

    def test_who_is_refused_changes_nothing(self):
        digest = self.install()
        for mode, name in (('refuse', ACCESS_DENIED), ('challenge', INTERACTION_REQUIRED)):
            with self.subTest(polkit=mode):
                self.house.answer(mode)
                self.assertFails(name, 'ApprovePermissions', '(sass)', ('example', PERMISSIONS, digest),
                                 part='sudo snooze plugin permissions')
        self.assertEqual(self.written(), set())

    def test_what_was_looked_at_must_be_what_is_there(self):
        digest = self.install()
        self.install(permissions=[*PERMISSIONS, 'network:any'])
        self.assertFails(ERROR + 'InvalidArgument', 'ApprovePermissions', '(sass)', ('example', PERMISSIONS, digest),
                         part='look again')
        self.assertEqual(self.written(), set())

    def test_a_manifest_that_asks_for_more_asks_again(self):
        digest = self.install()
        self.call('Provision', '(s)', ('example',))
        self.approve(PERMISSIONS, digest)
        more = [*PERMISSIONS, 'processes']
        self.install(permissions=more)
        self.call('Provision', '(s)', ('example',))
        self.assertNotIn('ProtectProc', self.drop_in())
        self.assertEqual(self.listed()[2], {permission: permission != 'processes' for permission in more})
        # One that asks for less is granted less.
        self.install(permissions=PERMISSIONS[1:])
        self.call('Provision', '(s)', ('example',))
        self.assertNotIn('PrivateNetwork', self.drop_in())

    def test_the_next_version_of_what_was_approved_does_not_ask_again(self):
        digest = self.install()
        self.call('Provision', '(s)', ('example',))
        self.approve(PERMISSIONS, digest)
        before = self.drop_in()
        digest = self.install(version='1.1.0', description='Other words', tags=['new'])
        self.call('Provision', '(s)', ('example',))
        self.assertEqual(self.listed(), (digest, False, dict.fromkeys(PERMISSIONS, True)))
        self.assertEqual(self.drop_in(), before.replace('# Version: 1.0.0', '# Version: 1.1.0'))

    def test_what_was_approved_is_for_the_program_contracts_and_events_that_were_looked_at(self):
        """It asks for the same, and is something else."""
        handler = {'contracts': ['IdleCheck', 'EventHandler'], 'events': {'custom.*': {}}}
        for changed, told in (({'exec': 'other'}, 'program:other'), ({'contracts': ['IdleCheck', 'CloudProvider']}, 'contract:CloudProvider'),
                              (handler, 'contract:EventHandler, event:custom.*')):
            with self.subTest(told):
                digest = self.install()
                self.call('Provision', '(s)', ('example',))
                self.approve(PERMISSIONS, digest)
                other = self.root / 'etc/cloudsnooze/plugins/example/other'
                other.write_text('#!/bin/sh\n')
                other.chmod(0o755)
                digest = self.install(**changed)
                self.call('Provision', '(s)', ('example',))
                for granted in 'PrivateNetwork', '/srv/data':
                    self.assertNotIn(granted, self.drop_in())
                listed = self.call('ListPermissions', '(s)', ('example',))[2]
                for permission, approved, words in listed:
                    self.assertFalse(approved)
                    self.assertTrue(words.endswith(f'; it was approved of a plugin.json without {told}'), words)
                self.approve(PERMISSIONS, digest)
                self.assertIn('/srv/data', self.drop_in())
                self.assertEqual(self.listed()[2], dict.fromkeys(PERMISSIONS, True))

    def test_it_is_said_what_is_approved_with_it(self):
        self.install(contracts=['IdleCheck', 'EventHandler'], events={'custom.*': {}, 'cloud.*': {'enabled': False}})
        self.assertEqual(self.call('ListPermissions', '(s)', ('example',))[3],
                         ['program:example', 'contract:IdleCheck', 'contract:EventHandler', 'event:custom.*'])

    def test_approvals_that_cannot_be_read_are_given_anew(self):
        digest = self.install()
        approvals = self.root / 'etc/cloudsnooze/approvals/example.json'
        approvals.write_text('{')
        for _, approved, words in self.call('ListPermissions', '(s)', ('example',))[2]:
            self.assertFalse(approved)
            self.assertIn('what was approved cannot be read', words)
        self.approve(PERMISSIONS, digest)
        self.assertEqual(self.listed()[2], dict.fromkeys(PERMISSIONS, True))

    def test_what_an_earlier_cloudsnooze_kept_is_good_for_what_was_looked_at(self):
        digest = self.install()
        approvals = self.root / 'etc/cloudsnooze/approvals/example.json'
        approvals.write_text(json.dumps({'manifest_sha256': digest, 'permissions': PERMISSIONS}))
        self.assertEqual(self.listed()[2], dict.fromkeys(PERMISSIONS, True))
        self.install(description='Another one')
        self.assertEqual(self.listed()[2], dict.fromkeys(PERMISSIONS, False))

    def test_what_is_not_asked_for_any_more_is_not_approved_any_more(self):
        digest = self.install()
        self.call('Provision', '(s)', ('example',))
        self.approve(PERMISSIONS, digest)
        self.install(permissions=PERMISSIONS[1:])
        self.call('Provision', '(s)', ('example',))
        self.install()
        self.call('Provision', '(s)', ('example',))
        self.assertEqual(self.listed()[2], {permission: permission != PERMISSIONS[0] for permission in PERMISSIONS})
        self.assertNotIn('PrivateNetwork', self.drop_in())
        self.assertIn('/srv/data', self.drop_in())

    def test_nor_is_it_where_a_directory_is_called_like_a_version(self):
        """Of a plugin that has none."""
        digest = self.install()
        (self.root / 'etc/cloudsnooze/plugins/example/3.11').mkdir()
        self.call('Provision', '(s)', ('example',))
        self.approve(PERMISSIONS, digest)
        self.install(permissions=PERMISSIONS[1:])
        self.call('Provision', '(s)', ('example',))
        self.install()
        self.assertFalse(self.listed()[2][PERMISSIONS[0]])

    def test_what_runs_a_script_is_granted_with_it(self):
        """What it is is said before somebody approves; what cannot stand in a unit is left out."""
        scripts = {'srv/tool': '#!/usr/bin/env -S sh\n', 'srv/deep': f'#!{self.root}/srv/runner -x\n', 'srv/runner': '#! /usr/bin/python3 -I\n',
                   'srv/odd': '#!/opt/%i\n', 'srv/program': '\x7fELF'}
        (self.root / 'srv').mkdir()
        for path, text in scripts.items():
            (self.root / path).write_text(text)
        (self.root / 'srv/runner').chmod(0o755)
        (self.root / 'srv/link').symlink_to(self.root / 'srv/tool')
        os.mkfifo(self.root / 'srv/pipe')
        wanted = [f'exec:/{path}' for path in (*scripts, 'srv/link', 'srv/pipe', 'srv/missing')]
        digest = self.install(permissions=wanted)
        words = {permission: words for permission, _, words in self.call('ListPermissions', '(s)', ('example',))[2]}
        self.assertIn('may run /srv/tool as its own user; a script, with it also /usr/bin/env and /usr/bin/sh', words['exec:/srv/tool'])
        self.assertEqual(words['exec:/srv/link'], words['exec:/srv/tool'].replace('tool', 'link'))
        self.assertIn(f'{self.root}/srv/runner and /usr/bin/python3', words['exec:/srv/deep'])
        for path in ('program', 'pipe', 'missing'):
            self.assertEqual(words[f'exec:/srv/{path}'], f'may run /srv/{path} as its own user')
        self.call('Provision', '(s)', ('example',))
        self.assertNotIn('python3', self.drop_in())
        self.approve(wanted, digest)
        for program in ('/usr/bin/env', '/usr/bin/sh', f'{self.root}/srv/runner', '/usr/bin/python3', '/srv/tool'):
            self.assertIn(f'ExecPaths=-{program}\n', self.drop_in())
        self.assertNotIn('/opt/', self.drop_in())

    def test_who_writes_a_script_does_not_choose_what_is_granted_with_it(self):
        """Neither its owner, once it is approved, nor who may write its directory or lead it elsewhere."""
        (self.root / 'srv/others').mkdir(parents=True)
        (self.root / 'srv/tool').write_text('#!/usr/bin/env -S sh\n')
        (self.root / 'srv/others/tool').write_text('#!/bin/sh\n')
        (self.root / 'srv/others/link').symlink_to(self.root / 'srv/tool')
        (self.root / 'srv/others').chmod(0o777)
        wanted = ['exec:/srv/tool', 'exec:/srv/others/tool', 'exec:/srv/others/link']
        digest = self.install(permissions=wanted)
        self.call('Provision', '(s)', ('example',))
        self.approve(wanted, digest)
        words = {permission: words for permission, _, words in self.call('ListPermissions', '(s)', ('example',))[2]}
        for permission in wanted[1:]:
            self.assertTrue(words[permission].endswith(' as its own user'), words[permission])
        before = self.drop_in()
        self.assertIn('ExecPaths=-/usr/bin/env\n', before)
        self.assertEqual(before.count('ExecPaths='), 7, before)  # its own and what runs that, three, two that run the first
        for line in '#!/usr', '#!/tmp', '#!/dev/null', '#!/usr/bin/env -S -u /usr sh', f'#!{self.root}/srv', '#!/srv/others/tool':
            (self.root / 'srv/tool').write_text(f'{line}\n')
            self.call('Provision', '(s)', ('example',))
            granted = {line.removeprefix('ExecPaths=-') for line in self.drop_in().splitlines() if line.startswith('ExecPaths=-')}
            self.assertLessEqual(granted, {'/bin/sh', '/usr/bin/env', '/srv/tool', '/srv/others/tool', '/srv/others/link'})
        # Where it is not root's alone not even a program.
        (self.root / 'srv/tool').write_text('#!/usr/bin/env\n')
        (self.root / 'srv/tool').chmod(0o666)
        self.call('Provision', '(s)', ('example',))
        self.assertNotIn('/usr/bin/env', self.drop_in())

    def test_a_plugins_own_script_brings_programs_alone(self):
        self.install(permissions=[])
        program = self.root / 'etc/cloudsnooze/plugins/example/example'
        for line in '#!/usr/bin/env -S -u /usr sh', '#!/usr/bin/env /usr':
            program.write_text(f'{line}\n')
            self.call('Provision', '(s)', ('example',))
            self.assertIn('ExecPaths=-/usr/bin/env\n', self.drop_in())
            self.assertNotIn('ExecPaths=-/usr\n', self.drop_in())

    def test_who_has_a_lease_on_a_script_does_not_keep_the_helper_waiting(self):
        (self.root / 'srv').mkdir()
        script = self.root / 'srv/tool'
        script.write_text('#!/bin/sh\n')
        self.install(permissions=['exec:/srv/tool'])
        before = signal.signal(signal.SIGIO, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGIO, before)
        with script.open('r+') as leased:
            fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            self.assertEqual(self.listed()[2], {'exec:/srv/tool': False})
            self.call('Provision', '(s)', ('example',))

    def test_no_more_than_the_manifest_asks_for(self):
        digest = self.install()
        for permission in ('network:any', 'processes'):
            self.assertFails(ERROR + 'InvalidArgument', 'ApprovePermissions', '(sass)', ('example', [permission], digest),
                             part='does not ask for')
        for permission in ('root', 'read:/srv/a\nUser=root', 'group:shadow'):
            self.assertFails(ERROR + 'InvalidArgument', 'ApprovePermissions', '(sass)', ('example', [permission], digest))
        # Whoever is to authenticate would not see all of them.
        self.house.reset_polkit()
        self.assertFails(ERROR + 'InvalidArgument', 'ApprovePermissions', '(sass)', ('example', ['processes'] * 65, digest), part='at most 64')
        self.assertFails(ERROR + 'InvalidArgument', 'ApprovePermissions', '(sass)', ('example', [f'read:/srv/{"a" * 1000}'] * 3, digest),
                         part='at most 2048 bytes')
        self.assertEqual(self.house.questions(), [])
        self.assertFails(ERROR + 'InvalidArgument', 'ApprovePermissions', '(sass)', ('example', [], 'abc'), part='SHA-256')
        self.assertEqual(self.written(), set())

    def test_packaged_ones_brought_theirs(self):
        digest = self.install(directory='usr/lib/cloudsnooze/plugins')
        self.assertEqual(self.listed(), (digest, True, dict.fromkeys(PERMISSIONS, True)))
        self.assertFails(ERROR + 'NotSupported', 'ApprovePermissions', '(sass)', ('example', [], digest))


if __name__ == '__main__':
    tap.main()
