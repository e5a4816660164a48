# SPDX-License-Identifier: Apache-2.0
"""snooze-helper on a private bus, with another root and a systemd that only takes notes."""

import hashlib
import json
import os
import pwd
import unittest

from gi.repository import Gio, GLib
from harness import BUILD, House, error_name, wait_for, wait_for_file

HELPER = 'io.cloudsnooze.Helper1'
HELPER_PATH = '/io/cloudsnooze/Helper1'
SYSTEMD = '''<node><interface name="org.freedesktop.systemd1.Manager">
<method name="Subscribe"/><method name="Reload"/>
<method name="StartUnit"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="o" direction="out"/></method>
<signal name="JobRemoved"><arg type="u"/><arg type="o"/><arg type="s"/><arg type="s"/></signal>
</interface></node>'''
# The bus lets in those only whom the host knows; any will do.
DAEMON_UID = pwd.getpwnam('daemon').pw_uid
# All of a plugin that is known, and has neither approvals nor smaller limits.
FILES = {'etc/sysusers.d/cloudsnooze-plugin-example.conf', 'etc/dbus-1/system.d/io.cloudsnooze.Plugin1.example.conf',
         'usr/local/share/dbus-1/system-services/io.cloudsnooze.Plugin1.example.service',
         'usr/local/share/dbus-1/system-services/io.cloudsnooze.Plugin1.example.a.service',
         'usr/local/share/dbus-1/system-services/io.cloudsnooze.Plugin1.example.b.service',
         'etc/systemd/system/snooze-plugin@example.service.d/10-permissions.conf',
         'etc/systemd/system/snooze-plugin-b@example.service.d/10-permissions.conf'}
PERMISSIONS = ['network:10.0.0.1', 'read:/srv/data', 'bus:org.freedesktop.login1']


class Systemd:
    """Answers as PID 1 does, and keeps what it was asked."""

    def __init__(self, house):
        self.asked = []
        self.result = 'done'
        self.results = []  # of the next ones, before `result` counts
        self.broken = set()  # units that fail whatever `result` is
        self.silent = False
        self.withheld = []
        self.refusal = None  # the error with which it refuses to read its files again
        self.connection = house.client().connection
        node = Gio.DBusNodeInfo.new_for_xml(SYSTEMD)
        self.connection.register_object('/org/freedesktop/systemd1', node.interfaces[0], self.on_call, None, None)
        house.watcher.call('GetId', interface='org.freedesktop.DBus', path='/org/freedesktop/DBus',
                           destination='org.freedesktop.DBus')
        self.connection.call_sync('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus', 'RequestName',
                                  GLib.Variant('(su)', ('org.freedesktop.systemd1', 4)), None, Gio.DBusCallFlags.NONE, -1, None)

    def on_call(self, connection, sender, path, interface, method, parameters, invocation):
        if method == 'Subscribe':
            invocation.return_value(None)
            return
        self.asked.append((method, *parameters.unpack()[:1]))
        if method == 'Reload' and self.refusal:
            invocation.return_dbus_error(self.refusal, 'it does not')
            return
        if method == 'Reload':
            invocation.return_value(None)
            return
        job = f'/org/freedesktop/systemd1/job/{len(self.asked)}'
        invocation.return_value(GLib.Variant('(o)', (job,)))
        self.withheld.append((sender, job, parameters.unpack()[0]))
        if not self.silent:
            self.end_jobs()

    def end_jobs(self):
        for sender, job, unit in self.withheld:
            result = 'failed' if unit in self.broken else self.results.pop(0) if self.results else self.result
            self.connection.emit_signal(sender, '/org/freedesktop/systemd1', 'org.freedesktop.systemd1.Manager', 'JobRemoved',
                                        GLib.Variant('(uoss)', (1, job, unit, result)))
        self.withheld.clear()


class HelperTest(unittest.TestCase):
    def setUp(self):
        self.house = House(daemon=False)
        self.addCleanup(self.house.close)
        self.root = self.house.directory / 'root'
        for directory in ('etc/systemd/system', 'etc/sysusers.d', 'etc/dbus-1/system.d', 'etc/cloudsnooze/plugins',
                          'etc/cloudsnooze/snooze.d', 'etc/cloudsnooze/approvals', 'usr/lib/cloudsnooze/plugins',
                          'usr/local/share/dbus-1/system-services'):
            (self.root / directory).mkdir(parents=True, mode=0o755)
        (self.root / 'etc/passwd').write_text(f'root:x:0:0::/:/bin/sh\nsnooze:x:{DAEMON_UID}:{DAEMON_UID}::/:/bin/false\n')
        self.systemd = Systemd(self.house)
        self.client = self.house.client()
        self.helper = self.start()

    def start(self):
        helper = self.house.spawn([BUILD / 'src/helper/snooze-helper', '--root', self.root], 'helper.log')
        self.house.wait_for_owner(HELPER, helper)
        return helper

    def start_another(self):
        """The next helper, as the bus starts it for whoever calls."""
        wait_for(lambda: self.house.watcher.owner(HELPER) is None, 'the helper to be gone')
        self.systemd.asked.clear()
        self.helper = self.start()

    def tearDown(self):
        self.assertEqual(self.helper.kill(15), 0, self.helper.output())
        self.assertNotIn('Sanitizer', self.helper.output())

    def send(self, method, signature, arguments, client=None, interactive=False):
        return (client or self.client).send(method, signature, arguments, HELPER, HELPER_PATH, HELPER, interactive)

    def call(self, method, signature, arguments, client=None):
        """systemd is this process, which has to go on answering while it waits."""
        result = self.send(method, signature, arguments, client)
        wait_for(lambda: result, f'the answer of {method}')
        reply, error = result[0]
        if error:
            raise error
        return reply

    def assertFails(self, name, method, signature, arguments, client=None, part=''):
        with self.assertRaises(GLib.Error) as caught:
            self.call(method, signature, arguments, client)
        self.assertEqual(error_name(caught.exception), name, caught.exception.message)
        self.assertIn(part, caught.exception.message)

    def install(self, identifier='example', directory='etc/cloudsnooze/plugins', permissions=PERMISSIONS, **more):
        place = self.root / directory / identifier
        place.mkdir(mode=0o755, exist_ok=True, parents=True)
        (place / identifier).write_text('#!/bin/sh\n')
        (place / identifier).chmod(0o755)
        manifest = place / 'plugin.json'
        manifest.write_text(json.dumps({'name': identifier, 'version': '1.0.0', 'contracts': ['IdleCheck'],
                                        'permissions': permissions, **more}))
        return hashlib.sha256(manifest.read_bytes()).hexdigest()

    def written(self):
        """All files below the root but those of the tests, without those that were there before."""
        return {str(path.relative_to(self.root)) for path in self.root.rglob('*')
                if path.is_file() and 'plugins' not in path.parts and path.name not in ('passwd', 'group', 'snooze.json')}

    # What is under way or owed

    @property
    def note(self):
        return self.root / 'etc/cloudsnooze/approvals/.pending'

    def lines(self):
        return self.note.read_text().splitlines()[1:]

    def noted(self):
        """The plugins that are to be forgotten; None: nothing is owed."""
        return [line for line in self.lines() if not line.startswith('read ')] if self.note.exists() else None

    def unread(self):
        """Those whose files are to be read."""
        return [line.removeprefix('read ') for line in self.lines() if line.startswith('read ')] if self.note.exists() else []

    def wait_until_settled(self):
        wait_for_file(lambda: not self.note.exists(), 'nothing to be owed')

    def drop_in(self, name='10-permissions.conf', identifier='example', slot=''):
        path = self.root / f'etc/systemd/system/snooze-plugin{slot}@{identifier}.service.d/{name}'
        return path.read_text() if path.exists() else None

    def approve(self, permissions, digest, identifier='example', **more):
        return self.call('ApprovePermissions', '(sass)', (identifier, permissions, digest), **more)


class HelperAndDaemon(unittest.TestCase):
    """Both on one bus, the helper with a root of its own, into which what the daemon reads leads."""

    def explain(self):
        for log in sorted(self.house.directory.glob("*.log")):
            for line in log.read_text(errors="replace").splitlines()[-20:]:
                yield f"{log.name}: {line}"

    def setUp(self):
        self.house = House(daemon=False)
        self.addCleanup(self.house.close)
        self.root = self.house.directory / 'root'
        for name, place in (('etc', 'etc/cloudsnooze'), ('plugins', 'etc/cloudsnooze/plugins'),
                            ('services', 'usr/local/share/dbus-1/system-services')):
            (self.root / place).mkdir(parents=True, mode=0o755)
            for file in (self.house.directory / name).iterdir():
                file.rename(self.root / place / file.name)
            (self.house.directory / name).rmdir()
            (self.house.directory / name).symlink_to(self.root / place)
        for directory in ('etc/systemd/system', 'etc/sysusers.d', 'etc/dbus-1/system.d', 'etc/cloudsnooze/approvals'):
            (self.root / directory).mkdir(parents=True, mode=0o755)
        self.client = self.house.client()
        self.helper = self.house.spawn([BUILD / 'src/helper/snooze-helper', '--root', self.root], 'helper.log')
        self.house.wait_for_owner(HELPER, self.helper)
