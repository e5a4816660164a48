# SPDX-License-Identifier: Apache-2.0
"""The same methods with the real polkitd, the policy and the rules that are installed, and real users.

In a mount namespace of its own (which takes root): alice and bob are nobody in particular, carol is in snooze-admin, and the
daemon runs as snooze. Nothing of the machine is changed."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import host
import methods
import tap
from harness import ACCESS_DENIED, ACTION, INTERACTION_REQUIRED, SNOOZED, SOURCE, BusTest, House, error_name

POLKITD = '/usr/lib/polkit-1/polkitd'
USERS = {'snooze': 64981, 'alice': 64982, 'bob': 64983, 'carol': 64984}
INSIDE = 'SNOOZE_TEST_POLKITD'

# What the policy gives to everybody.
FREE = {ACTION + name for name in ('hold', 'check', 'emit-event')}


def enter_namespace():
    """Starts this test again where it may mount; the end of the process is the end of the mounts."""
    environment = {**os.environ, INSIDE: '1'}
    os.execvpe('unshare', ['unshare', '--mount', '--propagation', 'private', sys.executable, *sys.argv], environment)


def mount_over(target, source):
    subprocess.run(['mount', '--bind', source, target], check=True)


def prepare_namespace(directory):
    for name in ('passwd', 'group'):
        lines = pathlib.Path('/etc', name).read_text().splitlines()
        lines = [line for line in lines if line.split(':')[0] not in {*USERS, 'snooze-admin'}]
        for user, uid in USERS.items():
            lines.append(f'{user}:x:{uid}:{uid}::/nonexistent:/bin/sh' if name == 'passwd' else f'{user}:x:{uid}:')
        if name == 'group':
            lines.append('snooze-admin:x:64990:carol')
        (directory / name).write_text('\n'.join(lines) + '\n')
        mount_over(f'/etc/{name}', directory / name)
    shutil.copytree(SOURCE / 'data/polkit-1/actions', directory / 'actions')
    shutil.copytree(SOURCE / 'data/polkit-1/rules.d', directory / 'rules')
    (directory / 'none').mkdir()
    mount_over('/usr/share/polkit-1/actions', directory / 'actions')
    mount_over('/usr/share/polkit-1/rules.d', directory / 'rules')
    for other in ('/etc/polkit-1/rules.d', '/etc/polkit-1/localauthority'):
        if os.path.isdir(other):
            mount_over(other, directory / 'none')


class RealHouse(House):
    def start_polkit(self):
        self.polkit = self.spawn([POLKITD, '--no-debug'], 'polkit.log')
        self.wait_for_owner('org.freedesktop.PolicyKit1', self.polkit)

    def daemon_arguments(self, *more):
        for name in ('state', 'run', 'etc'):
            for path in [self.directory / name, *(self.directory / name).rglob('*')]:
                os.chown(path, USERS['snooze'], USERS['snooze'])
        program = self.directory / 'snoozed'
        if not program.exists():
            shutil.copy(SNOOZED, program)
        arguments = super().daemon_arguments(*more)
        user = str(USERS['snooze'])
        return ['setpriv', '--reuid', user, '--regid', user, '--clear-groups', '--no-new-privs', program, *arguments[1:]]


class RealTest(BusTest):
    def setUp(self):
        self.house = RealHouse(plugins=True)
        self.addCleanup(self.house.close)
        self.users = {name: self.house.client(uid) for name, uid in USERS.items()}
        self.users['root'] = self.house.client()
        self.client = self.users['root']


class Callers(RealTest):
    def test_what_everybody_may(self):
        for user in ('alice', 'root', 'carol'):
            for interface, member, signature, arguments, action in methods.all_examples():
                if action not in FREE:
                    continue
                with self.subTest(user=user, member=member, action=action):
                    # One check a second and connection, so each has one of its own.
                    client = self.house.client(USERS.get(user))
                    _, error = methods.call(self.house, client, interface, member, signature, arguments)
                    self.assertEqual(error and error_name(error), methods.OUTCOMES.get((interface, member)), error)
                    methods.tidy(self.client, member)

    def test_what_nobody_in_particular_may_not(self):
        before = self.client.call('GetConfiguration'), self.client.get('State'), self.client.get('Paused')
        for interactive, expected in ((False, INTERACTION_REQUIRED), (True, ACCESS_DENIED)):
            for interface, member, signature, arguments, action in methods.all_examples():
                if action in FREE:
                    continue
                with self.subTest(member=member, action=action, interactive=interactive):
                    # There is no agent that could ask.
                    _, error = methods.call(self.house, self.users['alice'], interface, member, signature, arguments,
                                            interactive=interactive)
                    self.assertIsNotNone(error)
                    self.assertEqual(error_name(error), expected, error.message)
                    self.assertIn('; or: sudo ', error.message)
        self.assertEqual((self.client.call('GetConfiguration'), self.client.get('State'), self.client.get('Paused')), before)

    def test_what_administrators_may(self):
        for user in ('root', 'carol'):
            for interface, member, signature, arguments, action in methods.all_examples():
                if action in FREE:
                    continue
                with self.subTest(user=user, member=member, action=action):
                    # One check a second and connection, so each has one of its own.
                    client = self.house.client(USERS.get(user))
                    _, error = methods.call(self.house, client, interface, member, signature, arguments)
                    self.assertEqual(error and error_name(error), methods.OUTCOMES.get((interface, member)), error)
                    methods.tidy(self.client, member)

    def test_the_daemon_itself_is_nobody_in_particular(self):
        self.assertFails(INTERACTION_REQUIRED, 'Pause', client=self.users['snooze'])


class Owners(RealTest):
    def test_holds_belong_to_their_user(self):
        _, fds = self.users['alice'].call_with_fds('Hold', '(sss)', ('pytest', 'a run', 'block'))
        fd, = fds.steal_fds()
        self.addCleanup(os.close, fd)
        timed, = self.users['alice'].call('HoldFor', '(ts)', (methods.MINUTE, 'lunch'))
        holds, = self.users['bob'].call('ListHolds')
        self.assertEqual([(hold[1], hold[3]) for hold in holds], [('alice: pytest', 'block'), ('alice', 'timed')])

        for cookie, *_ in holds:
            message = self.assertFails(INTERACTION_REQUIRED, 'ReleaseHold', '(u)', (cookie,), client=self.users['bob'])
            self.assertIn('sudo snooze release', message)
        self.users['alice'].call('ReleaseHold', '(u)', (timed,))
        self.users['carol'].call('ReleaseHold', '(u)', (holds[0][0],))
        self.assertEqual(self.users['bob'].call('ListHolds'), ([],))

    def test_the_ceiling_is_of_one_user(self):
        for _ in range(64):
            self.users['alice'].call('HoldFor', '(ts)', (methods.MINUTE, ''))
        self.assertFails('io.cloudsnooze.Snooze1.Error.LimitsExceeded', 'HoldFor', '(ts)', (methods.MINUTE, ''),
                         client=self.users['alice'])
        self.users['bob'].call('HoldFor', '(ts)', (methods.MINUTE, ''))

    def test_the_history_says_who(self):
        self.users['carol'].call('Pause')
        rows, = self.users['alice'].call('GetHistory', '(ttu)', (0, 0, 100))
        calls = [row for row in rows if row['kind'] == 'call']
        self.assertTrue(calls, rows)
        self.assertIn('carol', str(calls[0]))

    def test_a_caller_who_leaves(self):
        client = self.house.client(USERS['alice'])
        client.send('Pause', interactive=True)
        client.close()
        owner_gone = self.users['bob'].call('ListHolds')
        self.assertEqual(owner_gone, ([],))
        self.assertIs(self.client.get('Paused'), False)


def main():
    missing = [name for name in (POLKITD, shutil.which('unshare'), shutil.which('setpriv')) if not name or not os.path.exists(name)]
    if missing or host.no_mounts():
        print('1..0 # SKIP ' + ('needs polkitd, unshare and setpriv' if missing else host.no_mounts()))
        return
    if INSIDE not in os.environ:
        enter_namespace()
    with tempfile.TemporaryDirectory(prefix='snooze-polkitd-') as directory:
        os.chmod(directory, 0o755)
        prepare_namespace(pathlib.Path(directory))
        try:
            tap.main()
        finally:
            for target in ('/etc/polkit-1/localauthority', '/etc/polkit-1/rules.d', '/usr/share/polkit-1/rules.d',
                           '/usr/share/polkit-1/actions', '/etc/group', '/etc/passwd'):
                subprocess.run(['umount', '--lazy', target], check=False, stderr=subprocess.DEVNULL)


if __name__ == '__main__':
    main()
