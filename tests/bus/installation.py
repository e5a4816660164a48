# SPDX-License-Identifier: Apache-2.0
"""A helper with a root of its own, where plugins are installed: for tests of what it takes over, and of what is left of it."""

import json
import os
import pwd
import shutil
import subprocess
import unittest

from counting import CONTRACTS, COUNTING
from gi.repository import Gio, GLib
from harness import BUILD, BUS_CONFIGURATION, MANAGER, PLUGIN, QUIET, House, error_name, wait_for

HELPER = 'io.cloudsnooze.Helper1'
HELPER_PATH = '/io/cloudsnooze/Helper1'
STATE = 'var/lib/cloudsnooze'
INSTALLED = f'{STATE}/plugins'
SERVICES = 'usr/local/share/dbus-1/system-services'
SNOOZE = BUILD / 'src/cli/cloudsnooze'
DAEMON_UID = pwd.getpwnam('daemon').pw_uid
NOBODY = pwd.getpwnam('nobody').pw_uid
MANIFEST = {'name': 'counting', 'version': '1.0.0', 'contracts': CONTRACTS,
            'timeouts': {'start': 30, 'initialize': 20, 'export': 20, 'shutdown': 10}}


class Installation(unittest.TestCase):
    """A helper with a root of its own, and a bus that starts what that root says."""

    def setUp(self):
        self.house = House({'check_interval_seconds': 1}, daemon=False)
        self.addCleanup(self.house.close)
        self.root = self.house.directory / 'root'
        for directory in ('etc/systemd/system', 'etc/sysusers.d', 'etc/dbus-1/system.d', 'etc/cloudsnooze/plugins',
                          'etc/cloudsnooze/snooze.d', 'etc/cloudsnooze/approvals', 'usr/lib/cloudsnooze/plugins', SERVICES, INSTALLED):
            (self.root / directory).mkdir(parents=True, mode=0o755)
        # As data/tmpfiles has it: the daemon keeps its files there, too.
        os.chown(self.root / STATE, 0, DAEMON_UID)
        (self.root / STATE).chmod(0o1775)
        (self.root / 'etc/passwd').write_text(f'root:x:0:0::/:/bin/sh\nsnooze:x:{DAEMON_UID}:{DAEMON_UID}::/:/bin/false\n')
        text = BUS_CONFIGURATION.format(directory=self.house.directory)
        text = text.replace('<policy', f'<servicedir>{self.root / SERVICES}</servicedir>\n  <policy', 1)
        (self.house.directory / 'bus.conf').write_text(text)
        self.run_helper()
        (self.house.directory / 'etc/approvals').symlink_to(self.root / 'etc/cloudsnooze/approvals')
        self.reload()
        self.client = self.house.client()
        self.installed = self.root / INSTALLED

    def run_helper(self, under=''):
        """From its next start on. under: a command that runs a command."""
        (self.house.directory / 'services' / f'{HELPER}.service').write_text(
            f'[D-BUS Service]\nName={HELPER}\nExec={under} {BUILD}/src/helper/snooze-helper --root {self.root}\nUser=root\n')

    def reload(self):
        self.house.watcher.call('ReloadConfig', interface='org.freedesktop.DBus', path='/org/freedesktop/DBus',
                                destination='org.freedesktop.DBus')

    def helper(self, method, signature, arguments, client=None):
        return (client or self.client).call(method, signature, arguments, HELPER, HELPER_PATH, HELPER)

    def assertFails(self, name, part, function, *arguments, **more):
        with self.assertRaises(GLib.Error) as caught:
            function(*arguments, **more)
        self.assertEqual(error_name(caught.exception), name, caught.exception.message)
        self.assertIn(part, caught.exception.message)

    def source(self, version='1.0.0', *behaviour, name='source', identifier='counting', **manifest):
        """A directory with the counting plugin, or another one that counts."""
        place = self.house.directory / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(mode=0o755)
        shutil.copy(BUILD / 'tests/bus/counting-plugin', place / identifier)
        (place / 'version').write_text(version)
        (place / 'behaviour').write_text(' '.join(behaviour))
        (place / 'plugin.json').write_text(json.dumps({**MANIFEST, 'name': identifier, 'version': version, **manifest}))
        return place

    def install(self, place, client=None, flags=os.O_RDONLY | os.O_DIRECTORY, **claim):
        fds = Gio.UnixFDList()
        descriptor = os.open(place, flags)
        try:
            fds.append(descriptor)
        finally:
            os.close(descriptor)
        connection = (client or self.client).connection
        options = {key: GLib.Variant('s', value) for key, value in claim.items()}
        reply, _ = connection.call_with_unix_fd_list_sync(HELPER, HELPER_PATH, HELPER, 'Install', GLib.Variant('(ha{sv})', (0, options)), None,
                                                          Gio.DBusCallFlags.NONE, 60000, fds, None)
        return reply.unpack()

    def versions(self, identifier='counting'):
        return sorted(path.name for path in (self.installed / identifier).iterdir() if path.name != 'current')

    def current(self):
        return os.readlink(self.installed / 'counting/current')

    def leftovers(self):
        return [path.name for path in self.installed.iterdir() if path.name.startswith('.')]


class Running(Installation):
    """The daemon on a bus without systemd: activation files of the helper say what each slot runs."""

    def setUp(self):
        super().setUp()
        self.house.replay(QUIET)
        kept = self.house.directory / 'kept'
        kept.mkdir()
        client = self.house.watcher
        client.call('UpdateActivationEnvironment', '(a{ss})', ({'STATE_DIRECTORY': str(kept)},), 'org.freedesktop.DBus',
                    '/org/freedesktop/DBus', 'org.freedesktop.DBus')
        self.problems = client.listen(MANAGER, 'Problem')

    def start(self, *versions):
        for version in versions:
            self.install(self.source(version))
        self.start_daemon()
        self.of('Enable')
        self.of('Load')

    def start_daemon(self):
        # The last option counts.
        self.house.start_daemon('--plugin-directory', self.installed)
        self.client = self.house.client()
        wait_for(lambda: self.client.call('ListPlugins')[0], 'the plugin')

    def of(self, method, signature='()', arguments=()):
        return self.house.client().call(method, signature, arguments, PLUGIN, COUNTING)

    def upgrade(self, version):
        self.of('Upgrade', '(s)', (version,))

    def ask(self, method='count'):
        return self.of('Call', '(sa{sv})', (method, {}))[1]

    def get(self, name):
        return self.house.watcher.get(name, PLUGIN, COUNTING)

    def wait_for_problem(self, part):
        wait_for(lambda: any(part in message for _, message, _ in self.problems), f'a problem with “{part}” in {self.problems}')

    def assertRuns(self, version, count):
        answer = self.ask()
        self.assertEqual((answer['version'], answer['count'], self.get('Version'), self.current()), (version, count, version, version))
        self.assertEqual(os.readlink(f'/proc/{answer["pid"]}/exe'), str(self.installed / f'counting/{version}/counting'))

    def load_succeeds(self):
        try:
            self.of('Load')
        except GLib.Error:
            return False
        return True

    def snooze(self, *arguments, place=None, **more):
        environment = {**self.house.environment, 'SNOOZE_CONFIG_DIRECTORY': str(self.house.directory / 'etc'),
                       'SNOOZE_STATE_DIRECTORY': str(self.house.directory / 'state'), 'TMPDIR': str(place or self.house.directory)}
        return subprocess.run([SNOOZE, 'plugin', *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False, **more)
