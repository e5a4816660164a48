# SPDX-License-Identifier: Apache-2.0
"""A daemon of the plugin API after this tree's, made of the same sources: it serves plugins of both, and says of any other which it
would have served. And what this tree's own daemon says to a plugin of that next one."""

import json
import re
import shutil
import subprocess

from gi.repository import Gio

import tap
from counting import CountingTest
from harness import BUILD, ERROR, PATH, PLUGIN, SOURCE, wait_for, wait_for_file

NEXT_PROGRAM = BUILD / 'tests/bus/counting-plugin-next-api'
# What tests/bus/meson.build compiles anew.
KNOWS_THE_NUMBER = {'daemon/answer/reply.c', 'daemon/plugin/greeting.c', 'manifest/manifest.c', 'sdk/contracts.c', 'sdk/describe.c'}
# Read by nobody here: a definition, and a program of its own.
ELSEWHERE = ('base/names.h', 'sdk/include/', 'plugin-test/')


def api_of(program):
    described = subprocess.run([program, '--describe'], env={'LD_LIBRARY_PATH': str(BUILD / 'src/sdk')}, capture_output=True, text=True, check=True)
    return json.loads(described.stdout)['api']


NOW = api_of(BUILD / 'tests/bus/sdk-plugin')
NEXT = NOW + 1
EXPECTED_NOW = f'expected {NOW - 1} or {NOW}' if NOW > 1 else 'expected 1'
EXPECTED_NEXT = f'expected {NOW} or {NEXT}'


class ApiTest(CountingTest):
    def setUp(self):
        super().setUp()
        self.house.configure({'check_interval_seconds': 1, 'plugins': {'max_restarts': 0}})

    def replace(self):
        """By a program that was made for the next API."""
        shutil.copy(NEXT_PROGRAM, self.directory / 'program.new')
        (self.directory / 'program.new').rename(self.directory / 'counting')

    def vote(self, identifier='counting'):
        self.house.check_now()
        return {source: (verdict, reason) for source, verdict, reason, *_ in self.client.call('Explain')[2]}[identifier]

    def assertManifestsRefused(self, apis, expected):
        for number, api in enumerate(apis):
            self.house.install_fake(f'fake{number}', 'good', api=api)
        self.house.start_daemon()
        for number, _ in enumerate(apis):
            said = f'{self.house.directory}/plugins/fake{number}/plugin.json: /api: {expected}'
            path = f'{PATH}/plugin/fake{number}'
            self.assertIn(said, self.client.get('LastError', PLUGIN, path))
            self.assertFails(ERROR + 'NotRunning', 'Load', interface=PLUGIN, path=path, part=said)
        self.assertEqual(self.house.lived_through('fake0'), [])
        # They are in nobody's way.
        self.assertEqual(self.vote(), ('idle', '1.0.0'))

    def assertGreetedInVain(self, identifier, said):
        path = f'{PATH}/plugin/{identifier}'
        wait_for(lambda: self.client.get('State', PLUGIN, path) == 'quarantined', f'{identifier} to be given up')
        self.wait_for_problem(said)
        self.assertIn(said, self.client.get('LastError', PLUGIN, path))
        self.assertFails(ERROR + 'NotRunning', 'LoadPlugin', '(s)', (identifier,), part=said)
        verdict, reason = self.vote(identifier)
        self.assertEqual(verdict, 'unknown')
        self.assertIn(said, reason)


class Next(ApiTest):
    def setUp(self):
        super().setUp()
        self.house.snoozed = BUILD / 'tests/bus/snoozed-next-api'

    def test_nothing_else_of_it_knows_the_number(self):
        found = {str(path.relative_to(SOURCE / 'src')) for path in (SOURCE / 'src').rglob('*.[ch]')
                 if re.search(r'\b(PLUGIN_API_VERSION|SNOOZE_PLUGIN_API)\b', path.read_text())}
        self.assertEqual({path for path in found if not path.startswith(ELSEWHERE)}, KNOWS_THE_NUMBER)
        self.assertEqual(api_of(NEXT_PROGRAM), NEXT)

    def listen_in(self):
        """(member, arguments) of every call on the bus from now on."""
        monitor, calls = self.house.client(), []

        def on_message(connection, message, incoming):
            if not incoming:
                return message
            if message.get_message_type() == Gio.DBusMessageType.METHOD_CALL:
                calls.append((message.get_member(), message.get_body() and message.get_body().unpack()))
            # One that answers is a monitor no more.
            return None

        # Before the filter, which swallows answers, too.
        monitor.call('BecomeMonitor', '(asu)', ([], 0), 'org.freedesktop.DBus.Monitoring', '/org/freedesktop/DBus', 'org.freedesktop.DBus')
        monitor.connection.add_filter(on_message)
        return calls

    def test_a_plugin_of_this_api_is_served_all_that_it_has(self):
        calls = self.listen_in()
        self.start()
        self.assertEqual(self.vote(), ('idle', '1.0.0'))
        self.assertEqual(self.count(3), 3)
        self.client.call('GetMachineId', interface='org.freedesktop.DBus.Peer')
        wait_for_file(lambda: ('GetMachineId', None) in calls, 'the monitor to have seen everything')
        version = self.client.get('Version')
        self.assertEqual([arguments for member, arguments in calls if member in ('Handshake', 'Initialize')], [(NEXT, version), ({},)])
        # The rest went over its channel.
        members = [member for member, _ in calls]
        self.assertEqual([members.count(member) for member in ('OpenChannel', 'Call', 'CheckIdle', 'Handle')], [1, 3, 0, 0])
        # What it knew is exported before its end and imported at the next start.
        self.of('Unload')
        self.assertEqual(self.count(), 4)
        # That, too, over a channel.
        seen = lambda: [member for member, _ in calls].count('GetMachineId')
        before = seen()
        self.client.call('GetMachineId', interface='org.freedesktop.DBus.Peer')
        wait_for_file(lambda: seen() > before, 'the monitor to have seen everything')
        members = [member for member, _ in calls]
        self.assertEqual([members.count(member) for member in ('OpenChannel', 'ExportState', 'ImportState')], [2, 0, 0])
        self.house.restart_daemon()
        self.assertEqual(self.count(), 5)

    def test_a_plugin_of_its_own_api_is_served(self):
        self.replace()
        self.place('1.0.0', api=NEXT)
        self.start()
        self.assertEqual(self.vote(), ('idle', '1.0.0'))
        self.assertEqual(self.count(3), 3)
        self.of('Unload')
        self.assertEqual(self.count(), 4)

    def test_a_version_of_its_own_api_takes_the_place_of_one_of_this(self):
        self.start()
        self.assertEqual(self.count(3), 3)
        self.replace()
        self.upgrade('1.1.0', api=NEXT)
        self.assertEqual((self.count(), self.ask('look')['version'], self.vote()), (4, '1.1.0', ('idle', '1.1.0')))

    def test_a_manifest_of_another_is_refused(self):
        self.assertManifestsRefused((0, NOW - 1, NEXT + 1, NOW + 0.5, str(NOW)), EXPECTED_NEXT)

    def test_a_version_of_another_leaves_the_one_that_runs(self):
        self.start()
        self.assertEqual(self.count(3), 3)
        self.place('1.1.0', api=NEXT + 1)
        self.wait_for_problem(f'{self.directory}/plugin.json: /api: {EXPECTED_NEXT}')
        self.assertEqual((self.get('Version'), self.count()), ('1.0.0', 4))

    def test_an_answer_of_another_is_refused(self):
        others = (0, NEXT + 1, 2**32 - 1)
        for api in others:
            self.house.install_fake(f'fake{api}', f'api-{api}')
        self.house.install_fake('served', f'api-{NEXT}', api=NOW)
        self.house.start_daemon()
        for api in others:
            self.assertGreetedInVain(f'fake{api}', f'speaks version {api} of the plugin API, {EXPECTED_NEXT}')
        # Both are: its program may have been made anew for the next, and its manifest not.
        self.assertEqual(self.vote('served'), ('idle', 'nothing to do'))


class This(ApiTest):
    def test_a_plugin_of_the_next_is_refused(self):
        self.replace()
        self.house.install_fake('fake', f'api-{NEXT}')
        self.house.start_daemon()
        # It knows no older host than one of its own API.
        self.assertGreetedInVain('counting', f'counting speaks plugin API {NEXT}: it serves hosts of API {NEXT} and {NEXT + 1}, not {NOW}')
        self.assertGreetedInVain('fake', f'speaks version {NEXT} of the plugin API, {EXPECTED_NOW}')

    def test_a_manifest_of_the_next_is_refused(self):
        self.assertManifestsRefused((0, NEXT, NOW + 0.5), EXPECTED_NOW)


if __name__ == '__main__':
    tap.main()
