# SPDX-License-Identifier: Apache-2.0
"""Hot-swap: one version of a plugin takes the place of another while it is called, and nobody loses a call. SNOOZE_SWAP_SECONDS and
SNOOZE_SWAPS make the load longer, SNOOZE_SWAP_SHARE says how much of its rate is to be reached (tools/swap)."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time

import tap
from counting import COUNTING, CountingTest, wait_for_time
from gi.repository import Gio, GLib
from harness import BUILD, ERROR, MANAGER, NAME, PATH, PLUGIN, QUIET, BusTest, House, continue_if_there, error_name, wait_for, wait_for_file

SECONDS = float(os.environ.get('SNOOZE_SWAP_SECONDS', '5'))
SWAPS = int(os.environ.get('SNOOZE_SWAPS', '3'))
CALLS_A_SECOND = 200
CALLS = round(SECONDS * CALLS_A_SECOND)
# Beside other tests all of them are sent, however much later; where nothing else runs nearly all of that rate is asked for.
SHARE = float(os.environ.get('SNOOZE_SWAP_SHARE', '0'))
LATEST = SECONDS + 150
# One sender may call 50 times a second, and one user have 16 calls waiting for polkit, of which the swap itself is one: where this machine is
# late, the others are sent later.
CALLERS = 32
PENDING_MAX = 15


class Load:
    """So many calls a second that count, from several callers, whatever happens meanwhile, until all are sent."""

    def __init__(self, house):
        self.clients = [house.client() for _ in range(CALLERS)]
        self.sent, self.answers, self.failures, self.waits = 0, [], [], []
        self.begun = time.monotonic()
        self.source = GLib.timeout_add(10, self.send_due)

    def send_due(self):
        due = min((time.monotonic() - self.begun) * CALLS_A_SECOND, CALLS)
        while self.sent < due and self.sent - len(self.waits) < PENDING_MAX:
            client = self.clients[self.sent % CALLERS]
            self.sent += 1
            client.connection.call(NAME, COUNTING, PLUGIN, 'Call', GLib.Variant('(sa{sv})', ('count', {})),
                                   None, Gio.DBusCallFlags.NONE, 30000, None, self.on_answer, time.monotonic())
        return True

    def on_answer(self, connection, result, begun):
        self.waits.append(time.monotonic() - begun)
        try:
            self.answers.append(connection.call_finish(result).unpack()[1])
        except GLib.Error as error:
            self.failures.append(f'{error_name(error)}: {error.message}')

    def done(self):
        return len(self.answers) + len(self.failures) == self.sent

    def stop(self):
        GLib.source_remove(self.source)
        wait_for(self.done, 'the last answers')


class Swap(CountingTest):
    manifest = {'timeouts': {'start': 5, 'initialize': 2, 'export': 1, 'shutdown': 2}}

    def setUp(self):
        super().setUp()
        self.start()

    def assert_unchanged(self, pid, count):
        answer = self.ask('look')
        self.assertEqual((answer['version'], answer['pid'], answer['count']), ('1.0.0', pid, count))
        self.assertEqual((self.get('Version'), self.get('State'), self.get('Pid')), ('1.0.0', 'running', pid))

    def refused(self, version, *behaviour):
        with self.assertRaises(GLib.Error) as raised:
            self.upgrade(version, *behaviour)
        self.assertEqual(error_name(raised.exception), ERROR + 'PluginFailed')
        return raised.exception.message

    def test_the_state_goes_along(self):
        # Its start is not what is to be told.
        self.house.watcher.hear()
        told = self.house.watcher.listen(PLUGIN, 'StateChanged', COUNTING)
        self.count(3)
        pid = self.get('Pid')
        self.upgrade('1.1.0')
        answer = self.ask()
        self.assertEqual((answer['version'], answer['count']), ('1.1.0', 4))
        self.assertNotEqual(answer['pid'], pid)
        self.assertEqual((self.get('Version'), self.get('State'), self.get('Pid')), ('1.1.0', 'running', answer['pid']))
        self.house.watcher.hear()
        self.assertEqual(told, [])
        wait_for_file(lambda: self.processes() == [answer['pid']], 'the other one to be gone')
        self.assertIn('version 1.1.0 replaced version 1.0.0', self.house.daemon.output())

    def test_there_and_back_again(self):
        for version in ('1.1.0', '0.9.0', '2.0.0', '1.0.0'):
            before = self.count()
            self.upgrade(version)
            answer = self.ask()
            self.assertEqual((answer['version'], answer['count']), (version, before + 1))
        wait_for(lambda: self.client.owner('io.cloudsnooze.Plugin1.counting') is not None, 'its name')

    def in_second_slot(self):
        with open(f'/proc/{self.get("Pid")}/environ') as environment:
            return 'SNOOZE_SLOT=b' in environment.read().split('\0')

    def test_what_has_come_to_rest_starts_where_the_bus_starts_it(self):
        self.upgrade('1.1.0')
        self.assertTrue(self.in_second_slot())
        self.of('Unload')
        self.of('Load')
        self.assertEqual((self.in_second_slot(), self.ask()['version']), (False, '1.1.0'))
        self.upgrade('1.2.0')
        self.assertTrue(self.in_second_slot())
        self.end()
        self.wait_for_state('running')
        self.assertEqual((self.in_second_slot(), self.ask()['version']), (False, '1.2.0'))

    def test_migration_and_a_downgrade_that_cannot_read_it(self):
        self.count(3)
        self.upgrade('2.0.0', 'format2')
        self.assertEqual(self.count(), 4)
        message = self.refused('1.0.0')
        self.assertIn('importing the state', message)
        self.assertEqual(self.ask()['version'], '2.0.0')

    def test_without_a_version_the_one_that_is_there(self):
        self.place('1.3.0')
        self.of('Upgrade', '(s)', ('',))
        self.assertEqual(self.ask()['version'], '1.3.0')
        with self.assertRaises(GLib.Error) as raised:
            self.of('Upgrade', '(s)', ('9.9.9',))
        self.assertEqual(error_name(raised.exception), ERROR + 'InvalidArgument')

    def test_before_the_switch_a_failure_changes_nothing(self):
        count = self.count(3)
        pid = self.get('Pid')
        for i, (behaviour, step) in enumerate((('dies-at-start', 'starting it'), ('refuses-configuration', 'greeting it'),
                                ('hangs-at-initialize', 'greeting it'), ('dies-at-initialize', 'greeting it'),
                                ('refuses-import', 'importing the state'), ('hangs-at-import', 'importing the state'),
                                ('dies-at-import', 'importing the state'))):
            with self.subTest(behaviour):
                message = self.refused(f'1.1.{i}', behaviour)
                self.assertIn(step, message)
                self.assertIn(f'1.1.{i}', message)
                self.assert_unchanged(pid, count)
        # And then one that works does.
        self.upgrade('1.2.0')
        self.assertEqual(self.count(), count + 1)

    def test_an_old_version_that_does_not_give_its_state_away_stays(self):
        self.upgrade('1.1.0', 'refuses-export')
        pid = self.get('Pid')
        self.assertIn('exporting the state', self.refused('1.2.0'))
        self.assertEqual((self.ask()['version'], self.get('Pid')), ('1.1.0', pid))

    def test_a_new_version_that_dies_while_the_old_one_exports(self):
        self.upgrade('1.1.0', 'hangs-at-export', timeouts={**self.manifest['timeouts'], 'export': 4})
        pid = self.get('Pid')
        # The daemon sees that itself, and tries it once: after an Upgrade that was sooner it may do so as well.
        self.place('1.2.0')
        wait_for_file((self.directory / 'asked').exists, 'the old version to be asked')
        new, = set(self.processes()) - {pid}
        os.kill(new, signal.SIGKILL)
        self.wait_for_problem('exporting the state')
        # What the old one is asked runs out of time, which is its failure, and nobody waits for it any more.
        timeouts = lambda: self.of('GetStatistics')[0]['timeouts']
        wait_for_file(lambda: timeouts() > 0, 'the time of the export to be over')
        self.assertEqual((self.ask()['version'], self.get('Pid')), ('1.1.0', pid))

    def update(self, *arguments):
        return subprocess.run([BUILD / 'src/cli/cloudsnooze', 'plugin', 'update', *arguments], env=self.house.environment,
                              capture_output=True, text=True, timeout=60)

    def test_by_the_command(self):
        result = self.update('counting', '1.0.0')
        self.assertEqual((result.returncode, result.stdout), (0, 'It runs 1.0.0 already.\n'), result.stderr)
        self.count(3)
        result = self.update('counting', '9.9.9')
        self.assertEqual((result.returncode, result.stdout), (1, ''))
        self.assertIn('9.9.9', result.stderr)
        result = self.update('unknown')
        self.assertNotEqual(result.returncode, 0)
        # The daemon sees it, too, and may be the first.
        self.place('1.1.0')
        result = self.update('--json', 'counting')
        self.assertEqual((result.returncode, json.loads(result.stdout)['to']), (0, '1.1.0'), result.stderr)
        self.assertEqual((self.ask()['version'], self.ask()['count']), ('1.1.0', 5))

    def test_a_second_one_meanwhile_is_refused(self):
        self.place('1.1.0', 'hangs-at-initialize', timeouts={**self.manifest['timeouts'], 'initialize': 60})
        first = self.client.send('Upgrade', '(s)', ('1.1.0',), PLUGIN, COUNTING)
        wait_for(lambda: self.client.owner('io.cloudsnooze.Plugin1.counting.b') is not None or first, 'the new version')
        self.place('1.2.0', 'hangs-at-initialize')
        with self.assertRaises(GLib.Error) as raised:
            self.of('Upgrade', '(s)', ('1.2.0',), client=self.house.client())
        self.assertEqual(error_name(raised.exception), ERROR + 'Busy')
        self.of('Unload', client=self.house.client())
        wait_for(lambda: first, 'the end of the first')
        self.assertIsNotNone(first[0][1])

    def test_a_call_under_way_ends_at_the_old_version(self):
        self.directory.joinpath('plugin.json').write_text(
            self.directory.joinpath('plugin.json').read_text().replace('"State", ', ''))
        self.house.restart_daemon()
        self.of('Unload')
        self.house.client().call('DiscoverPlugins')
        self.of('Load')
        hanging = self.client.send('Call', '(sa{sv})', ('hang', {}), PLUGIN, COUNTING)
        self.ask('look')
        self.place('1.1.0')
        upgrade = self.client.send('Upgrade', '(s)', ('1.1.0',), PLUGIN, COUNTING)
        wait_for(lambda: self.get('Version') == '1.1.0', 'the switch')
        self.assertEqual(self.ask('look')['version'], '1.1.0')
        self.assertEqual((hanging, upgrade), ([], []))
        os.kill(self.get('Pid'), 0)

    def test_a_call_under_way_has_its_own_time(self):
        """However long the old version has been told to leave."""
        self.place('1.0.0', contracts=['IdleCheck', 'RequestHandler'], timeouts={**self.manifest['timeouts'], 'provider': 8})
        self.house.restart_daemon()
        self.of('Restart')
        hanging = self.client.send('Call', '(sa{sv})', ('hang', {}), PLUGIN, COUNTING)
        self.ask('look')
        self.place('1.1.0')
        upgrade = self.client.send('Upgrade', '(s)', ('1.1.0',), PLUGIN, COUNTING)
        wait_for(lambda: self.get('Version') == '1.1.0', 'the switch')
        wait_for(lambda: hanging, 'the end of the call')
        self.assertEqual(error_name(hanging[0][1]), ERROR + 'TimedOut', hanging[0][1])
        wait_for(lambda: upgrade, 'the old version to leave')
        self.assertEqual(upgrade, [((), None)])

    def configure(self, **timeouts):
        self.client.call('SetConfiguration', '(s)', (json.dumps({'plugins': {'timeouts': {'counting': timeouts}}}),))

    def begin(self, behaviour):
        """As one that behaves like this while its state is asked for, which it is here. → the answer to that"""
        (self.directory / 'behaviour').write_text(behaviour)
        self.of('Restart')
        self.place('1.1.0')
        upgrade = self.client.send('Upgrade', '(s)', ('1.1.0',), PLUGIN, COUNTING)
        wait_for_file((self.directory / 'asked').exists, 'the old version to be asked')
        return upgrade

    def send(self, method):
        return self.house.client().send('Call', '(sa{sv})', (method, {}), PLUGIN, COUNTING)

    def test_what_is_held_back_has_that_time_besides(self):
        """However short its own is, and however long the state takes."""
        os.mkfifo(self.directory / 'go')
        self.configure(export=60, provider=2)
        upgrade = self.begin('exports-late')
        counts, hanging = [self.send('count') for _ in range(3)], self.send('hang')
        wait_for_time(3)
        self.assertEqual((upgrade, counts, hanging), ([], [[], [], []], []))
        with open(self.directory / 'go', 'w'):
            pass
        wait_for(lambda: all(counts) and hanging, 'the answers')
        self.assertEqual([error for (_, error), in counts], [None] * 3)
        answers = [answer for ((_, answer), _), in counts]
        self.assertEqual(sorted((answer['version'], answer['count']) for answer in answers), [('1.1.0', n) for n in (1, 2, 3)])
        # What it had left.
        self.assertEqual(error_name(hanging[0][1]), ERROR + 'TimedOut')
        self.assertIn('counting did not answer Handle within 2 s.', hanging[0][1].message)
        wait_for(lambda: upgrade, 'the old version to leave')
        self.assertEqual(upgrade, [((), None)])

    def test_also_where_the_old_version_stays(self):
        self.configure(export=3, provider=1)
        upgrade = self.begin('hangs-at-export')
        count = self.send('count')
        wait_for(lambda: upgrade, 'the time of the export to be over')
        self.assertIn('exporting the state', upgrade[0][1].message)
        wait_for(lambda: count, 'the answer')
        (reply, error), = count
        self.assertIsNone(error)
        self.assertEqual((reply[1]['version'], reply[1]['count']), ('1.0.0', 1))

    def test_afterwards_a_failure_brings_the_old_version_back_where_it_still_is(self):
        self.count(3)
        self.upgrade('1.1.0')
        # Installed side by side the old one would still be there.
        self.fall_before('1.0.0')
        self.wait_for_problem('which runs again')
        self.of('Load')
        answer = self.ask()
        self.assertEqual((answer['version'], answer['count'], self.get('Version')), ('1.0.0', 4, '1.0.0'))
        self.upgrade('1.2.0')
        self.assertEqual(self.count(), 5)

    def search(self, query='', **what):
        rows, = self.client.call('SearchPlugins', '(sa{sv})', (query, {key: GLib.Variant('s', value) for key, value in what.items()}))
        return [row['id'] for row in rows]

    def test_it_is_found_by_what_serves(self):
        self.assertEqual((self.search(tag='shiny'), self.search('glitter')), ([], []))
        self.upgrade('1.1.0', tags=['shiny'], description='It has glitter.')
        self.assertEqual((self.search(tag='shiny'), self.search('glitter')), (['counting'], ['counting']))
        # And by what it had before, where that comes back.
        self.fall_before('1.0.0', tags=['test'], description='Only for tests')
        self.wait_for_problem('which runs again')
        self.assertEqual((self.search(tag='shiny'), self.search('glitter')), ([], []))
        self.assertEqual((self.search(tag='test'), self.search('only for')), (['counting'], ['counting']))

    def test_afterwards_a_failure_of_one_whose_predecessor_is_gone_is_any_failure(self):
        self.count(3)
        self.upgrade('1.1.0')
        os.kill(self.get('Pid'), signal.SIGKILL)
        self.wait_for_problem('is not there any more')
        self.of('Load')
        answer = self.ask()
        self.assertEqual((answer['version'], answer['count']), ('1.1.0', 4))

    def test_disabled_in_the_middle(self):
        self.place('1.1.0', 'hangs-at-initialize')
        upgrade = self.client.send('Upgrade', '(s)', ('1.1.0',), PLUGIN, COUNTING)
        self.of('Disable', client=self.house.client())
        wait_for(lambda: upgrade, 'the answer')
        self.assertIsNotNone(upgrade[0][1])
        self.wait_for_state('stopped')
        # One that was only starting is not known yet; it leaves because nobody greets it.
        wait_for(lambda: self.house.watcher.owner('io.cloudsnooze.Plugin1.counting') is None, 'the end of both')

    def test_a_thief_of_the_name_is_not_called(self):
        thief = self.house.client()
        thief.call('RequestName', '(su)', ('io.cloudsnooze.Plugin1.counting', 0), 'org.freedesktop.DBus', '/org/freedesktop/DBus',
                   'org.freedesktop.DBus')
        asked = []
        thief.connection.add_filter(lambda connection, message, incoming: (asked.append(message.get_member()) if incoming and
                                    message.get_message_type().value_nick == 'method-call' else None, message)[1])
        self.count(3)
        # It waits in front of the new version: the switch gives it the name, and the new version has lost it.
        self.place('1.1.0')
        upgrade = self.client.send('Upgrade', '(s)', ('1.1.0',), PLUGIN, COUNTING)
        wait_for(lambda: upgrade, 'the answer')
        thief.call('ReleaseName', '(s)', ('io.cloudsnooze.Plugin1.counting',), 'org.freedesktop.DBus', '/org/freedesktop/DBus',
                   'org.freedesktop.DBus')
        self.wait_for_state('running')
        self.assertNotIn('Handle', asked)
        self.assertEqual(self.count(), 4)


SCHEMA = {'greeting': {'type': 'string', 'description': 'What it says', 'default': 'hello'}}


class NotTaken(CountingTest):
    """A version that could not take over is what the next start starts: nobody takes its program for the version before."""

    manifest = {'timeouts': {'start': 5, 'initialize': 2, 'export': 1, 'shutdown': 2}}

    def setUp(self):
        super().setUp()
        self.start()
        self.count(3)
        self.pid = self.get('Pid')

    def place_new(self, *behaviour):
        self.place('1.1.0', *behaviour, config_schema=SCHEMA, permissions=['network:any'])

    def fail_once(self):
        self.place_new('dies-at-initialize')
        self.wait_for_problem('version 1.1.0 could not replace version 1.0.0')
        self.behave()

    def behave(self):
        """Of what is started from now on; no manifest changes."""
        (self.directory / 'behaviour').write_text('')

    def assert_old(self):
        self.assertEqual((self.get('Version'), json.loads(self.get('ConfigSchema')), self.get('Permissions')), ('1.0.0', {}, []))
        self.assertEqual((self.ask('look')['version'], self.get('Pid')), ('1.0.0', self.pid))

    def assert_new(self):
        self.assertEqual((self.ask('look')['version'], self.get('Version')), ('1.1.0', '1.1.0'))
        self.assertEqual((json.loads(self.get('ConfigSchema')), [name for name, _ in self.get('Permissions')]), (SCHEMA, ['network:any']))
        self.assertNotEqual(self.get('Pid'), self.pid)

    def test_it_is_known_by_what_is_started_next(self):
        self.fail_once()
        self.assert_old()
        self.of('Restart')
        self.assert_new()
        self.assertEqual(self.count(), 4)

    def test_it_is_told_of_once_and_not_tried_again_by_itself(self):
        self.fail_once()
        self.client.call('SetConfiguration', '(s)', ('{"naptime_minutes": 45}',))
        self.discover()
        self.house.install_fake('third', 'idle')
        wait_for(lambda: '/plugin/third' in str(self.client.call('ListPlugins')), 'another one')
        self.assert_old()
        self.house.watcher.hear()
        self.assertEqual((self.processes(), len(self.problems)), ([self.pid], 1))
        # Whoever asks for it is served.
        self.of('Upgrade', '(s)', ('1.1.0',), client=self.house.client())
        self.assert_new()

    def test_of_one_that_is_down_too(self):
        self.fail_once()
        self.of('Unload')
        wait_for(lambda: self.get('Version') == '1.1.0', 'what lies there to be known')
        self.of('Load')
        self.assert_new()

    def test_of_one_that_fell(self):
        self.fail_once()
        os.kill(self.pid, signal.SIGKILL)
        wait_for(lambda: self.get('Pid') != self.pid, 'its end')
        self.of('Load')
        self.assert_new()

    def test_called_off_in_the_middle(self):
        self.place_new('hangs-at-initialize')
        upgrade = self.client.send('Upgrade', '(s)', ('1.1.0',), PLUGIN, COUNTING)
        wait_for(lambda: self.client.owner('io.cloudsnooze.Plugin1.counting.b') is not None or upgrade, 'the new version')
        self.of('Unload', client=self.house.client())
        wait_for(lambda: upgrade, 'the answer')
        self.assertIsNotNone(upgrade[0][1])
        self.behave()
        self.of('Load')
        self.assert_new()

    def test_the_one_before_put_back(self):
        self.fail_once()
        self.place('1.0.0', config_schema={}, permissions=[])
        self.discover()
        self.of('Restart')
        answer = self.ask('look')
        self.assertEqual((answer['version'], answer['count'], self.get('Version'), self.get('Permissions')), ('1.0.0', 3, '1.0.0', []))


class Replaced(CountingTest):
    """The files of a plugin are replaced one after the other, or while no daemon looks."""

    manifest = {'timeouts': {'start': 5, 'initialize': 2, 'export': 1, 'shutdown': 2}}

    def replace(self, version):
        """The program alone, which has another version before it is there; its manifest says what it says."""
        (self.directory / 'version').write_text(version)
        copy = self.directory / 'counting.new'
        shutil.copy(self.directory / 'counting', copy)
        copy.rename(self.directory / 'counting')

    def describe(self, version):
        """The manifest alone."""
        self.place(version)
        (self.directory / 'version').write_text('1.0.0')

    def replace_without_daemon(self, number, **changes):
        self.start()
        self.count(3)
        pid = self.get('Pid')
        self.house.kill_daemon(number)
        self.place('2.0.0', **changes)
        self.house.start_daemon()
        self.client = self.house.client()
        self.problems = self.house.watcher.listen(MANAGER, 'Problem')
        return pid

    def test_one_that_runs_since_before_makes_place_and_gives_its_state_away(self):
        for number in signal.SIGTERM, signal.SIGKILL:
            with self.subTest(number.name):
                self.place('1.0.0')
                pid = self.replace_without_daemon(number, config_schema=SCHEMA)
                self.of('Load')
                answer = self.ask('look')
                self.assertEqual((answer['version'], answer['count'], self.get('Version')), ('2.0.0', 3, '2.0.0'))
                self.assertEqual(json.loads(self.get('ConfigSchema')), SCHEMA)
                wait_for_file(lambda: self.processes() == [self.get('Pid')], 'the other one to be gone')
                self.assertNotEqual(self.get('Pid'), pid)
                self.house.watcher.hear()
                self.assertEqual((self.problems, self.get('Restarts')), ([], 0))
                self.of('Unload')
                self.house.kill_daemon()
                with contextlib.closing(sqlite3.connect(self.house.directory / 'state/snooze.db')) as database:
                    database.execute('DELETE FROM plugin_state')
                    database.commit()

    def test_one_that_runs_what_is_there_stays(self):
        self.start()
        self.count(3)
        pid = self.get('Pid')
        self.house.restart_daemon()
        self.of('Load')
        self.assertEqual((self.count(), self.get('Pid')), (4, pid))

    def test_a_program_that_comes_after_its_manifest_is_waited_for(self):
        self.describe('2.0.0')
        self.house.configure({'plugins': {'max_restarts': 0}})
        self.house.start_daemon()
        with self.assertRaises(GLib.Error) as raised:
            self.of('Load')
        self.assertIn('says that it is version 1.0.0, expected 2.0.0 as in its plugin.json', raised.exception.message)
        self.wait_for_state('quarantined')
        self.wait_for_problem('says that it is version 1.0.0')
        self.replace('2.0.0')
        self.wait_for_state('discovered', 'running')
        self.assertEqual((self.ask('look')['version'], self.get('Version')), ('2.0.0', '2.0.0'))

    def test_nor_does_the_old_one_pass_for_a_new_version(self):
        self.start()
        self.count(3)
        pid = self.get('Pid')
        self.describe('2.0.0')
        self.wait_for_problem('version 2.0.0 could not replace version 1.0.0, which runs on (greeting it): says that it is version 1.0.0')
        self.assertEqual((self.get('Version'), self.get('Pid')), ('1.0.0', pid))
        self.replace('2.0.0')
        wait_for(lambda: self.get('Version') == '2.0.0', 'the daemon to take it by itself')
        answer = self.ask('look')
        self.assertEqual((answer['version'], answer['count']), ('2.0.0', 3))


class WithoutChannel(BusTest):
    """It is called over the bus, which does not tell one that fell from one that left."""

    plain = f'{PATH}/plugin/plain'

    def setUp(self):
        self.house = House({'check_interval_seconds': 60}, daemon=False)
        self.addCleanup(self.house.close)
        self.house.replay(QUIET)
        self.house.install_fake('plain', 'slot-idle')
        self.manifest = self.house.directory / 'plugins/plain/plugin.json'
        self.house.start_daemon()
        self.client = self.house.client()
        self.problems = self.house.watcher.listen(MANAGER, 'Problem')

    def get(self, name):
        return self.client.get(name, PLUGIN, self.plain)

    def place(self, before, version):
        text = self.manifest.read_text().replace(f'"version": "{before}"', f'"version": "{version}"')
        self.manifest.with_suffix('.new').write_text(text)
        self.manifest.with_suffix('.new').rename(self.manifest)

    def test_one_that_runs_since_before_its_files_were_replaced_makes_place(self):
        """It does not say which version it is."""
        self.client.call('Load', interface=PLUGIN, path=self.plain)
        self.house.restart_daemon()
        self.client.call('Load', interface=PLUGIN, path=self.plain)
        self.assertEqual(self.house.lived_through('plain').count('starts'), 1)
        self.house.kill_daemon()
        manifest = json.loads(self.manifest.read_text())
        self.manifest.write_text(json.dumps({**manifest, 'version': '1.1.0'}))
        self.house.start_daemon()
        self.client.call('Load', interface=PLUGIN, path=self.plain)
        self.assertEqual((self.house.lived_through('plain').count('starts'), self.get('Version')), (2, '1.1.0'))

    def test_one_that_is_gone_shortly_after_it_took_over_is_rolled_back(self):
        self.client.call('Load', interface=PLUGIN, path=self.plain)
        self.place('1.0.0', '1.1.0')
        self.client.call('Upgrade', '(s)', ('1.1.0',), PLUGIN, self.plain)
        self.assertEqual((self.get('Version'), self.house.lived_through('plain').count('starts')), ('1.1.0', 2))
        pid, daemon = self.get('Pid'), self.house.daemon.pid
        # The daemon sees its end sooner than what lies there, which it would take.
        os.kill(daemon, signal.SIGSTOP)
        self.addCleanup(continue_if_there, daemon)
        # Installed side by side the old one would still be there.
        self.place('1.1.0', '1.0.0')
        os.kill(pid, signal.SIGKILL)
        wait_for_file(lambda: self.client.owner('io.cloudsnooze.Plugin1.plain') is None, 'its end')
        os.kill(daemon, signal.SIGCONT)
        wait_for(lambda: self.problems, 'what is told of it')
        self.assertIn('version 1.1.0 failed shortly after it had replaced version 1.0.0, which runs again', self.problems[0][1])
        wait_for(lambda: self.get('State') == 'running', 'the old one')
        self.assertEqual((self.get('Version'), self.house.lived_through('plain').count('starts')), ('1.0.0', 3))


class Killed(CountingTest):
    """kill -9 at many moments of a swap, of each of those who take part in it."""

    manifest = {'timeouts': {'start': 20, 'initialize': 2, 'export': 1, 'shutdown': 2}}
    delays = [0, 0.002, 0.004, 0.006, 0.008, 0.010, 0.012, 0.015, 0.020, 0.030]

    def settled(self, upgrade):
        wait_for(lambda: upgrade or self.house.daemon.ended(), 'the end of it')
        if self.house.daemon.ended():
            self.house.start_daemon()
            self.client = self.house.client()
        self.bring_up()
        return self.ask('look')

    def kill(self, pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def test_the_old_version(self):
        self.start()
        for i, delay in enumerate(self.delays):
            with self.subTest(delay):
                self.of('Restart')
                kept, told = self.ask('look')['count'], self.count()
                self.place(f'1.0.{i + 1}')
                old = self.get('Pid')
                upgrade = self.house.client().send('Upgrade', '(s)', (f'1.0.{i + 1}',), PLUGIN, COUNTING)
                time.sleep(delay)
                self.kill(old)
                self.assertIn(self.settled(upgrade)['count'], (kept, told))

    def test_the_new_version(self):
        self.start()
        for i, delay in enumerate(self.delays):
            with self.subTest(delay):
                told = self.count()
                self.place(f'1.0.{i + 1}')
                old = self.get('Pid')
                upgrade = self.house.client().send('Upgrade', '(s)', (f'1.0.{i + 1}',), PLUGIN, COUNTING)
                time.sleep(delay)
                for pid in self.processes():
                    if pid != old:
                        self.kill(pid)
                # Before the switch the old version has it, afterwards it was exported for the switch.
                self.assertEqual(self.settled(upgrade)['count'], told)

    def test_the_daemon(self):
        self.start()
        for i, delay in enumerate(self.delays):
            with self.subTest(delay):
                told = self.count()
                self.place(f'1.0.{i + 1}')
                self.house.client().send('Upgrade', '(s)', (f'1.0.{i + 1}',), PLUGIN, COUNTING)
                time.sleep(delay)
                self.house.kill_daemon()
                self.house.start_daemon()
                self.client = self.house.client()
                self.of('Load')
                self.assertEqual(self.ask('look')['count'], told)
                wait_for_file(lambda: len(self.processes()) == 1, 'the other one to be gone')


class SentAway(CountingTest):
    """The version that was to take over was started and not known yet when the old one fell: it is sent away, and may have the name for
    a moment. Nobody is to blame for that."""

    manifest = {'timeouts': {'start': 20, 'initialize': 20, 'export': 1, 'shutdown': 2}}

    def wait_at_the_start(self):
        """Whoever is started waits for the pipe of its slot before it is anybody."""
        (self.directory / 'counting').rename(self.directory / 'real')
        for slot in 'ab':
            os.mkfifo(self.directory / slot)
        # Under its name, which is its id.
        (self.directory / 'new').write_text(f'#!/bin/bash\ntouch {self.directory}/asked-$SNOOZE_SLOT\nread -r word <{self.directory}/$SNOOZE_SLOT\n'
                                            f'exec -a counting {self.directory}/real\n')
        (self.directory / 'new').chmod(0o755)
        (self.directory / 'new').rename(self.directory / 'counting')

    def let_go(self, slot):
        with open(self.directory / slot, 'w') as pipe:
            pipe.write('go\n')

    def stop(self, pid):
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(continue_if_there, pid)

    def test_a_load_meanwhile_finds_it(self):
        self.start()
        told = self.count(3)
        old = self.get('Pid')
        self.wait_at_the_start()
        self.place('1.1.0')
        upgrade = self.client.send('Upgrade', '(s)', ('1.1.0',), PLUGIN, COUNTING)
        wait_for_file((self.directory / 'asked-b').exists, 'the new version to be started')
        self.stop(self.house.daemon.pid)
        self.let_go('b')
        watcher = self.house.watcher
        # It asks for both names one after the other.
        wait_for_file(lambda: watcher.owner('io.cloudsnooze.Plugin1.counting.b') in watcher.call(
            'ListQueuedOwners', '(s)', ('io.cloudsnooze.Plugin1.counting',), 'org.freedesktop.DBus', '/org/freedesktop/DBus',
            'org.freedesktop.DBus')[0], 'the new version')
        stray = watcher.call('GetConnectionUnixProcessID', '(s)', ('io.cloudsnooze.Plugin1.counting.b',), 'org.freedesktop.DBus',
                             '/org/freedesktop/DBus', 'org.freedesktop.DBus')[0]
        self.stop(stray)
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: watcher.owner('io.cloudsnooze.Plugin1.counting') == watcher.owner('io.cloudsnooze.Plugin1.counting.b'), 'the name')
        os.kill(self.house.daemon.pid, signal.SIGCONT)
        wait_for(lambda: upgrade, 'the end of the swap')
        load = self.house.client().send('Load', interface=PLUGIN, path=COUNTING)
        self.wait_for_state('initializing')
        (self.directory / 'asked-b').unlink()
        os.kill(stray, signal.SIGCONT)
        asked = lambda: [slot for slot in 'ab' if (self.directory / f'asked-{slot}').exists()]
        wait_for_file(lambda: asked() or load, 'another one to be started')
        self.assertEqual(load, [])
        self.let_go(*asked())
        wait_for(lambda: load, 'the answer')
        self.assertIsNone(load[0][1])
        self.assertIn(self.ask('look')['count'], (0, told))
        self.assertEqual((self.get('Version'), self.get('State')), ('1.1.0', 'running'))


class UnderLoad(CountingTest):
    def test_no_call_is_lost_or_refused(self):
        self.start()
        votes = self.house.client()
        load = Load(self.house)
        answers = []
        for i in range(SWAPS):
            wait_for(lambda: load.sent >= (i + 1) * CALLS / (SWAPS + 1), 'the next swap', LATEST)
            self.place(f'1.{i + 1}.0')
            answers.append(votes.send('Upgrade', '(s)', (f'1.{i + 1}.0',), PLUGIN, COUNTING))
            wait_for(lambda: answers[-1], 'the end of the swap')
        wait_for(lambda: load.sent == CALLS, 'the end of the load', LATEST)
        rate = CALLS / (time.monotonic() - load.begun)
        load.stop()
        self.assertEqual([answer[0][1] for answer in answers], [None] * SWAPS)
        self.assertEqual(load.failures, [])
        # Each counted once, none twice, and none was forgotten on the way from version to version.
        self.assertEqual(sorted(answer['count'] for answer in load.answers), list(range(1, CALLS + 1)))
        self.assertEqual({answer['version'] for answer in load.answers}, {'1.0.0', *(f'1.{i + 1}.0' for i in range(SWAPS))})
        print(f'# {CALLS} calls, {rate:.0f} a second, {SWAPS} swaps, longest wait {max(load.waits) * 1000:.1f} ms')
        if SHARE:
            self.assertGreaterEqual(rate, SHARE * CALLS_A_SECOND)


if __name__ == '__main__':
    tap.main()
