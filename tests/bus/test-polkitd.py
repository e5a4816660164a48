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
import unittest

import host
import methods
import tap
from gi.repository import GLib
from harness import ACCESS_DENIED, ACTION, BUILD, HERE, INTERACTION_REQUIRED, SNOOZED, SOURCE, BusTest, House, error_name

POLKITD = '/usr/lib/polkit-1/polkitd'
USERS = {'snooze': 64981, 'alice': 64982, 'bob': 64983, 'carol': 64984, 'snooze-drain': 64985, 'snooze-web': 64986, 'snooze-none': 64987}
INSIDE = 'SNOOZE_TEST_POLKITD'

# As much as there is of systemd's own.
SYSTEMD_POLICY = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE policyconfig PUBLIC "-//freedesktop//DTD PolicyKit Policy Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/PolicyKit/1/policyconfig.dtd">
<policyconfig>%s</policyconfig>
"""
SYSTEMD_ACTION = """<action id="org.freedesktop.systemd1.%s"><description>It</description><message>May it?</message>
<defaults><allow_any>auth_admin</allow_any><allow_inactive>auth_admin</allow_inactive><allow_active>auth_admin_keep</allow_active></defaults></action>"""
SYSTEMD_ACTIONS = ('manage-units', 'manage-unit-files', 'reload-daemon', 'set-environment')

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
    (directory / 'actions').mkdir()
    shutil.copy(BUILD / 'data/io.cloudsnooze.snooze1.policy', directory / 'actions')
    shutil.copytree(SOURCE / 'data/polkit-1/rules.d', directory / 'rules')
    (directory / 'actions/org.freedesktop.systemd1.policy').write_text(SYSTEMD_POLICY % ''.join(SYSTEMD_ACTION % action for action in SYSTEMD_ACTIONS))
    rules = (BUILD / 'data/io.cloudsnooze.units.rules').read_text()
    for line in ('/usr/lib/cloudsnooze/plugins/', '/etc/cloudsnooze/approvals/'):
        assert line in rules
        rules = rules.replace(line, f'{directory}{line}')
    (directory / 'rules/io.cloudsnooze.units.rules').write_text(rules)
    for name, text in (('usr/lib/cloudsnooze/plugins/drain/units', '*\n'), ('etc/cloudsnooze/approvals/web.units', 'httpd.service\nphp@1.socket\n'),
                       ('etc/cloudsnooze/approvals/none.units.old', 'httpd.service\n')):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
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


class Languages(RealTest):
    def described(self, locale):
        actions, = self.client.call('EnumerateActions', '(s)', (locale,), 'org.freedesktop.PolicyKit1.Authority',
                                    '/org/freedesktop/PolicyKit1/Authority', 'org.freedesktop.PolicyKit1')
        return next((description, message) for name, description, message, *_ in actions if name == ACTION + 'stop')

    @unittest.skipUnless((BUILD / 'po').exists(), 'impossible here: built without translations')
    def test_who_is_asked_reads_it_in_the_language_of_the_session(self):
        english = ('Stop this machine', 'Authentication is required to stop this machine: $(request)')
        german = ('Diesen Rechner abschalten', 'Authentifizierung ist erforderlich, um diesen Rechner abzuschalten: $(request)')
        french = ('Arrêter cette machine', 'Une authentification est requise pour arrêter cette machine\u00a0: $(request)')
        for locale, expected in (('C', english), ('de_DE.UTF-8', german), ('de_AT.UTF-8', german), ('fr_CA.UTF-8', french),
                                 ('ja_JP.UTF-8', english)):
            with self.subTest(locale=locale):
                self.assertEqual(self.described(locale), expected)


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
        before = self.client.call('GetConfiguration'), self.client.get('Paused')
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
        self.assertEqual((self.client.call('GetConfiguration'), self.client.get('Paused')), before)
        # Whether it is idle by now is the machine's own affair.
        self.assertNotIn(self.client.get('State'), ('warning', 'stopping', 'stopped'))

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


class Dialogue(RealTest):
    def test_it_shows_what_is_asked(self):
        user = str(USERS['alice'])
        # Copied, since the source tree need not be open to everybody.
        program = self.house.directory / 'agent.py'
        shutil.copy(HERE / 'agent.py', program)
        agent = self.house.spawn(['setpriv', '--reuid', user, '--regid', user, '--clear-groups', '/usr/bin/python3', program,
                                  'going home", force "true'], 'agent.log')
        agent.wait()
        self.assertEqual(agent.output().splitlines(), [
            'Authentication is required to stop this machine: '
            """StopInstance: action "stop", delay "5 min", reason "going home', force 'true\""""])
        self.assertNotEqual(self.client.get('State'), 'stopping')


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


class Units(RealTest):
    """What polkit says when systemd asks it, as root, whether somebody may do something with a unit."""

    def may(self, user, verb, unit, action='manage-units'):
        subject = ('system-bus-name', {'name': GLib.Variant('s', self.users[user].name)})
        details = {'unit': unit, 'verb': verb} if unit is not None else {}
        (authorized, _, _), = self.client.call('CheckAuthorization', '((sa{sv})sa{ss}us)', (subject, f'org.freedesktop.systemd1.{action}', details, 0, ''),
                                               'org.freedesktop.PolicyKit1.Authority', '/org/freedesktop/PolicyKit1/Authority',
                                               'org.freedesktop.PolicyKit1')
        return authorized

    def test_what_a_permission_names(self):
        for verb in ('start', 'stop'):
            for unit in ('httpd.service', 'php@1.socket'):
                self.assertTrue(self.may('snooze-web', verb, unit))
        for unit in ('other.service', 'httpd.service.service', 'xhttpd.service', 'httpd.servic', 'php@1.service', '*', '', 'http.*'):
            self.assertFalse(self.may('snooze-web', 'stop', unit), unit)

    def test_every_service(self):
        self.assertTrue(self.may('snooze-drain', 'stop', 'httpd.service'))
        self.assertTrue(self.may('snooze-drain', 'start', 'postgresql@15-main.service'))
        for unit in ('httpd.socket', 'home.mount', 'poweroff.target', 'rescue.target', 'user.slice', 'snoozed.service', 'snooze-plugin@local.service',
                     'systemd-journald.service', 'dbus.service', 'dbus-broker.service', 'polkit.service', 'user@0.service', 'debug-shell.service',
                     'console-shell.service', 'emergency.service', 'rescue.service', '-.mount', '../x.service', 'a b.service', 'a\nhttpd.service'):
            self.assertFalse(self.may('snooze-drain', 'stop', unit), unit)

    def test_no_other_verb(self):
        for verb in ('restart', 'kill', 'set-property', 'reload', 'reset-failed', 'try-restart', 'clean', 'freeze', ''):
            self.assertFalse(self.may('snooze-drain', verb, 'httpd.service'), verb)
        self.assertFalse(self.may('snooze-drain', 'stop', None))
        for action in SYSTEMD_ACTIONS[1:]:
            self.assertFalse(self.may('snooze-drain', 'stop', 'httpd.service', action))

    def test_nobody_else(self):
        for user in ('snooze-none', 'alice', 'bob', 'snooze'):
            self.assertFalse(self.may(user, 'stop', 'httpd.service'), user)


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
