# SPDX-License-Identifier: Apache-2.0
"""The Manager's methods: what they answer, what they refuse, and what they do."""

import json
import os
import pwd
import shutil
import signal
import time

from gi.repository import GLib

import tap
from harness import ERROR, MANAGER, NAME, PATH, QUIET, SOURCE, BusTest, House, SharedBusTest, error_name, wait_for, wait_for_file
from systemd_stub import NOT_COUNTED, Counting

MINUTE = 60_000_000
HOUR = 60 * MINUTE
INVALID = ERROR + 'InvalidArgument'
INVALID_CONFIGURATION = ERROR + 'InvalidConfiguration'


def b(value):
    return GLib.Variant('b', value)


def s(value):
    return GLib.Variant('s', value)


def t(value):
    return GLib.Variant('t', value)


def now():
    return time.time_ns() // 1000


class WallClock(BusTest):
    def setUp(self):
        self.house = House(daemon=False)
        self.addCleanup(self.house.close)
        self.house.replay(QUIET)
        self.house.start_daemon()
        self.client = self.house.client()

    def test_a_moment_is_told_the_same_each_time(self):
        wait_for(lambda: self.client.get('State') == 'idle', 'the machine to be idle')
        self.assertEqual(len({self.client.get('IdleSince') for _ in range(100)}), 1)
        self.assertLess(abs(self.client.get('IdleSince') - now()), HOUR)


class Reading(SharedBusTest):
    """Free for everybody: polkit would refuse, and is not asked."""

    plugins = True

    def setUp(self):
        super().setUp()
        self.house.answer('refuse')

    def tearDown(self):
        self.assertEqual(self.house.questions(), [])

    def test_properties(self):
        self.assertRegex(self.client.get('Version'), r'^\d+\.\d+\.\d+')
        self.assertIn(self.client.get('State'), ('active', 'idle'))
        self.assertNotEqual(self.client.get('Reason'), '')
        self.assertIs(self.client.get('Paused'), False)
        self.assertEqual(self.client.get('PausedUntil'), 0)
        self.assertIs(self.client.get('DryRun'), True)
        self.assertEqual(self.client.get('Holds'), 0)
        self.assertEqual(self.client.get('Greeting'), '')
        self.assertEqual(self.client.get('Refusal'), '')
        self.assertIsInstance(self.client.get('IdleSince'), int)
        self.assertIsInstance(self.client.get('NextStop'), int)
        self.assertIsInstance(self.client.get('Provider'), str)

    def test_properties_cannot_be_written(self):
        with self.assertRaises(GLib.Error):
            self.client.call('Set', '(ssv)', (MANAGER, 'DryRun', b(False)), 'org.freedesktop.DBus.Properties')
        self.assertIs(self.client.get('DryRun'), True)

    def test_metrics(self):
        metrics, = self.client.call('GetMetrics')
        self.assertLess(abs(metrics['timestamp'] - now()), 2 * MINUTE)
        self.assertTrue(0 <= metrics['memory_usage'] <= 100)
        self.assertIsInstance(metrics['details'], dict)
        known = {'cpu_usage', 'memory_usage', 'network_kbps', 'disk_io_kbps', 'gpu_usage', 'input_idle_seconds', 'timestamp', 'details'}
        self.assertLessEqual(set(metrics), known)

    def test_explain(self):
        before = self.client.get('State')
        state, reason, votes = self.client.call('Explain')
        # Where nothing is measured in between.
        self.assertIn(state, (before, self.client.get('State')))
        self.assertNotEqual(reason, '')
        sources = [source for source, *_ in votes]
        for name in ('cpu', 'memory', 'network', 'disk', 'input', 'example'):
            self.assertIn(name, sources)
        for _, verdict, why, evidence in votes:
            self.assertIn(verdict, ('idle', 'busy', 'unknown', 'absent'))
            self.assertIn(evidence['policy'], ('required', 'advisory', 'sufficient', 'off'))
            self.assertIsInstance(why, str)

    def test_lists(self):
        self.assertEqual(self.client.call('ListHolds'), ([],))
        self.assertEqual(self.client.call('ListEvents', '(u)', (1000,)), ([],))
        plugins, = self.client.call('ListPlugins')
        self.assertEqual(sorted(plugins), [PATH + '/plugin/cloud', PATH + '/plugin/example'])
        self.assertEqual(self.client.call('ListProviders'), ([PATH + '/provider/cloud'],))

    def test_plugins_are_found(self):
        self.assertEqual(self.client.call('GetPlugin', '(s)', ('example',)), (PATH + '/plugin/example',))
        self.assertEqual(self.client.call('GetProvider', '(s)', ('cloud',)), (PATH + '/provider/cloud',))
        self.assertFails(ERROR + 'NoSuchPlugin', 'GetPlugin', '(s)', ('nothing',), part="'nothing'")
        self.assertFails(ERROR + 'NoSuchPlugin', 'GetPlugin', '(s)', ('../etc',))
        self.assertFails(ERROR + 'NoSuchPlugin', 'GetPlugin', '(s)', ('x' * 10000,))
        self.assertFails(ERROR + 'NoSuchProvider', 'GetProvider', '(s)', ('example',))
        self.assertFails(ERROR + 'NoSuchPlugin', 'LoadPlugin', '(s)', ('nothing',))
        self.assertFails(ERROR + 'NoSuchPlugin', 'UnloadPlugin', '(s)', ('nothing',))

    def test_search(self):
        def search(query='', **filters):
            rows, = self.client.call('SearchPlugins', '(sa{sv})', (query, {key: s(value) for key, value in filters.items()}))
            return sorted(row['id'] for row in rows)

        self.assertEqual(search(), ['cloud', 'example'])
        self.assertEqual(search('EXAM'), ['example'])
        self.assertEqual(search(capability='CloudProvider'), ['cloud'])
        self.assertEqual(search(tag='test', author='Tests', category='test'), ['cloud', 'example'])
        self.assertEqual(search(author='Somebody'), [])
        self.assertFails(INVALID, 'SearchPlugins', '(sa{sv})', ('', {'colour': s('red')}), part='colour')
        self.assertFails(INVALID, 'SearchPlugins', '(sa{sv})', ('', {'tag': b(True)}), part='tag')
        self.assertFails(INVALID, 'SearchPlugins', '(sa{sv})', ('x' * 1000, {}))

    def test_history(self):
        for method in ('GetHistory', 'GetSamples'):
            rows, = self.client.call(method, '(ttu)', (0, 0, 100))
            self.assertLessEqual(len(rows), 100)
            moments = [row['time'] for row in rows]
            self.assertEqual(moments, sorted(moments, reverse=True))
            self.assertEqual(self.client.call(method, '(ttu)', (5, 4, 100)), ([],))

    def test_configuration(self):
        configuration = json.loads(self.client.call('GetConfiguration')[0])
        self.assertEqual(configuration['naptime_minutes'], 60)
        self.assertEqual(configuration['cpu_threshold_percent'], 5)
        origins, = self.client.call('GetConfigurationOrigins')
        self.assertEqual(origins['/naptime_minutes'], str(self.house.directory / 'etc/snooze.json'))
        self.assertNotIn('/cpu_threshold_percent', origins)

    def test_diagnosis(self):
        findings, = self.client.call('Diagnose')
        self.assertTrue(findings)
        for finding in findings:
            self.assertEqual(set(finding), {'check', 'status', 'message', 'advice'})
            self.assertIn(finding['status'], ('ok', 'blind', 'warning', 'error'))

    def test_object_manager(self):
        objects, = self.client.call('GetManagedObjects', interface='org.freedesktop.DBus.ObjectManager')
        for path in (PATH + '/plugin/example', PATH + '/plugin/cloud', PATH + '/provider/cloud'):
            self.assertIn(path, objects)
        self.assertIn(NAME + '.Plugin', objects[PATH + '/plugin/example'])


# What is wrong with them, and the part of the message that says so. None of these may get as far as polkit.
BAD_ARGUMENTS = [
    ('GetHistory', '(ttu)', (0, 0, 0), 'max'),
    ('GetHistory', '(ttu)', (0, 0, 10001), 'max'),
    ('GetSamples', '(ttu)', (0, 0, 0), 'max'),
    ('GetSamples', '(ttu)', (0, 0, 2**32 - 1), 'max'),
    ('ListEvents', '(u)', (0,), 'max'),
    ('ListEvents', '(u)', (1001,), 'max'),
    ('Hold', '(sss)', ('', 'why', 'block'), 'who'),
    ('Hold', '(sss)', ('x' * 65, 'why', 'block'), 'who'),
    ('Hold', '(sss)', ('pytest\x1b[2J', 'why', 'block'), 'who'),
    ('Hold', '(sss)', ('pytest', 'x' * 513, 'block'), 'why'),
    ('Hold', '(sss)', ('pytest', 'two\nlines', 'block'), 'why'),
    ('Hold', '(sss)', ('pytest', '\u0085', 'block'), 'why'),
    ('Hold', '(sss)', ('pytest', 'why', 'forever'), 'kind'),
    ('Hold', '(sss)', ('pytest', 'why', ''), 'kind'),
    ('Hold', '(sss)', ('pytest', 'why', 'timed'), 'kind'),
    ('HoldFor', '(ts)', (0, 'why'), 'duration'),
    ('HoldFor', '(ts)', (72 * HOUR + 1, 'why'), 'max_hold_hours'),
    ('HoldFor', '(ts)', (2**64 - 1, 'why'), 'duration'),
    ('HoldFor', '(ts)', (MINUTE, 'x' * 513), 'why'),
    ('HoldFor', '(ts)', (MINUTE, '\r'), 'why'),
    ('Postpone', '(ts)', (0, ''), 'duration'),
    ('Postpone', '(ts)', (2**64 - 1, ''), 'duration'),
    ('Postpone', '(ts)', (MINUTE, '\0x'.strip('\0') + '\x07'), 'reason'),
    ('StopInstance', '(sa{sv})', ('x' * 513, {}), 'reason'),
    ('StopInstance', '(sa{sv})', ('a\tb', {}), 'reason'),
    ('StopInstance', '(sa{sv})', ('', {'forec': b(True)}), 'forec'),
    ('StopInstance', '(sa{sv})', ('', {'force': s('yes')}), 'force'),
    ('StopInstance', '(sa{sv})', ('', {'delay': GLib.Variant('u', 5)}), 'delay'),
    ('StopInstance', '(sa{sv})', ('', {'delay': t(2**63 - 1)}), 'delay'),
    ('StopInstance', '(sa{sv})', ('', {'delay': t(2**64 - 1)}), ''),
    ('StopInstance', '(sa{sv})', ('', {'action': s('explode')}), 'action'),
    ('StopInstance', '(sa{sv})', ('', {'dry_run': b(True)}), 'dry-run'),
    ('CancelStop', '(s)', ('x' * 513,), 'reason'),
    ('CancelStop', '(s)', ('\x7f',), 'reason'),
    ('EmitEvent', '(suta{sv})', ('', 0, 0, {}), 'type'),
    ('EmitEvent', '(suta{sv})', ('cloud.bombed', 0, 0, {}), 'type'),
    ('EmitEvent', '(suta{sv})', ('custom\n', 0, 0, {}), 'type'),
    ('EmitEvent', '(suta{sv})', ('custom.' + 'x' * 1000, 0, 0, {}), 'type'),
    ('EmitEvent', '(suta{sv})', ('custom', 4, 0, {}), 'severity'),
    ('EmitEvent', '(suta{sv})', ('custom', 0, 2**64 - 1, {}), 'deadline'),
    ('EmitEvent', '(suta{sv})', ('custom', 0, 0, {'x': s('x' * 65536)}), 'bytes'),
    ('EmitEvent', '(suta{sv})', ('custom', 0, 0, {'': s('x')}), 'key'),
    ('EmitEvent', '(suta{sv})', ('custom', 0, 0, {'k' * 129: s('x')}), 'key'),
    ('EmitEvent', '(suta{sv})', ('custom', 0, 0, {'k': GLib.Variant('d', float('nan'))}), 'finite'),
    ('EmitEvent', '(suta{sv})', ('custom', 0, 0, {str(i): s('') for i in range(1025)}), 'entries'),
]


class BadArguments(SharedBusTest):
    def setUp(self):
        super().setUp()
        self.before = self.now()

    def now(self):
        state = self.client.get('State')
        # The machine on which tests run may be busy at one moment and idle at the next.
        return (self.client.call('ListHolds'), self.client.call('ListEvents', '(u)', (10,)),
                'on' if state in ('active', 'idle') else state)

    def tearDown(self):
        self.assertEqual(self.now(), self.before)
        self.assertEqual(self.house.questions(), [])

    def test_wrong_types(self):
        for method, signature, arguments in (('Hold', '(s)', ('x',)), ('HoldFor', '(us)', (5, 'x')), ('GetMetrics', '(s)', ('x',)),
                                             ('StopInstance', '(sa{ss})', ('', {})), ('ReleaseHold', '(i)', (1,)),
                                             ('EmitEvent', '(suta{sv}s)', ('custom', 0, 0, {}, ''))):
            with self.subTest(method=method):
                self.assertFails('org.freedesktop.DBus.Error.InvalidArgs', method, signature, arguments)

    def test_no_such_method(self):
        self.assertFails('org.freedesktop.DBus.Error.UnknownMethod', 'FormatDisk')
        self.assertFails('org.freedesktop.DBus.Error.UnknownObject', 'GetMetrics', path='/io/cloudsnooze')
        self.assertFails('org.freedesktop.DBus.Error.UnknownObject', 'Load', path=PATH + '/plugin/nothing', interface=NAME + '.Plugin')

    def test_nested_too_deeply(self):
        value = s('x')
        for _ in range(20):
            value = GLib.Variant('v', value)
        self.assertFails(INVALID, 'EmitEvent', '(suta{sv})', ('custom', 0, 0, {'k': value}), part='deep')


def add_bad_arguments():
    for number, (method, signature, arguments, part) in enumerate(BAD_ARGUMENTS):
        def test(self, method=method, signature=signature, arguments=arguments, part=part):
            self.assertFails(INVALID, method, signature, arguments, part=part)

        setattr(BadArguments, f'test_{number:02}_{method}_{part}', test)


add_bad_arguments()


class Holding(BusTest):
    def hold(self, client=None, who='pytest', why='a long run', kind='block'):
        _, fds = (client or self.client).call_with_fds('Hold', '(sss)', (who, why, kind))
        fd, = fds.steal_fds()
        return fd

    def holds(self):
        return self.client.call('ListHolds')[0]

    def wait_for_holds(self, number):
        wait_for(lambda: self.client.get('Holds') == number, f'{number} holds')

    def test_a_hold_lives_as_long_as_its_descriptor(self):
        fd = self.hold()
        (cookie, who, why, kind, since, until), = self.holds()
        self.assertGreater(cookie, 0)
        self.assertRegex(who, r'^\S+: pytest$|^uid \d+: pytest$')
        self.assertEqual((why, kind, until), ('a long run', 'block', 0))
        self.assertLess(abs(since - now()), MINUTE)
        self.assertEqual(self.client.get('Holds'), 1)
        os.close(fd)
        self.wait_for_holds(0)

    def test_the_connection_may_go_the_descriptor_counts(self):
        client = self.house.client()
        fd = self.hold(client)
        client.close()
        self.assertEqual(len(self.holds()), 1)
        os.close(fd)
        self.wait_for_holds(0)

    def test_a_hold_keeps_the_machine_from_being_stopped(self):
        fd = self.hold()
        self.addCleanup(os.close, fd)
        message = self.assertFails(ERROR + 'Held', 'StopInstance', '(sa{sv})', ('', {'dry-run': b(True)}))
        self.assertIn('pytest', message)
        self.assertIn('a long run', message)
        self.client.call('StopInstance', '(sa{sv})', ('', {'dry-run': b(True), 'force': b(True)}))

    def test_hold_for_a_time(self):
        cookie, = self.client.call('HoldFor', '(ts)', (HOUR, 'lunch'))
        (listed, who, why, kind, since, until), = self.holds()
        self.assertEqual((listed, why, kind), (cookie, 'lunch', 'timed'))
        self.assertLess(abs(until - now() - HOUR), MINUTE)
        self.client.call('ReleaseHold', '(u)', (cookie,))
        self.assertEqual(self.holds(), [])
        self.assertFails(ERROR + 'NoSuchHold', 'ReleaseHold', '(u)', (cookie,))

    def test_it_ends_by_itself(self):
        self.client.call('HoldFor', '(ts)', (50_000, 'a moment'))
        self.wait_for_holds(0)

    def test_postpone_is_listed(self):
        self.client.call('Postpone', '(ts)', (HOUR, 'a film'))
        (cookie, _, why, kind, _, until), = self.holds()
        self.assertEqual((why, kind), ('a film', 'postpone'))
        self.client.call('ReleaseHold', '(u)', (cookie,))

    def test_release_of_what_is_not_there(self):
        for cookie in (0, 1, 2**32 - 1):
            self.assertFails(ERROR + 'NoSuchHold', 'ReleaseHold', '(u)', (cookie,), part=str(cookie))
        self.assertEqual(self.house.questions(), [])

    def test_release_ends_one_with_a_descriptor_too(self):
        fd = self.hold()
        self.addCleanup(os.close, fd)
        self.client.call('ReleaseHold', '(u)', (self.holds()[0][0],))
        self.assertEqual(self.holds(), [])

    def test_ceiling_of_a_user(self):
        # More than the bucket of one caller holds: another connection of the same user goes on.
        for _ in range(64):
            self.client.call('HoldFor', '(ts)', (HOUR, ''))
        self.assertFails(ERROR + 'LimitsExceeded', 'HoldFor', '(ts)', (HOUR, ''), client=self.house.client())
        self.assertFails(ERROR + 'LimitsExceeded', 'Hold', '(sss)', ('x', '', 'block'), client=self.house.client())
        self.assertEqual(self.client.get('Holds'), 64)

    def test_they_are_in_the_history(self):
        fd = self.hold()
        os.close(fd)
        self.wait_for_holds(0)
        rows = [row for row in self.client.call('GetHistory', '(ttu)', (0, 0, 100))[0] if row['kind'] == 'hold']
        self.assertEqual([row['change'] for row in rows], ['ended', 'begun'])
        self.assertIn('pytest', rows[0]['who'])


class Stopping(BusTest):
    configuration = {'max_delay_seconds': 1}
    plugins = True

    def test_pause_and_resume(self):
        changes = self.client.listen(MANAGER, 'StateChanged', PATH)
        self.assertEqual(self.client.get('PausedUntil'), 0)
        self.client.call('Pause')
        wait_for(lambda: self.client.get('State') == 'paused', 'paused')
        self.assertIs(self.client.get('Paused'), True)
        # pause_max_hours
        self.assertAlmostEqual(self.client.get('PausedUntil') / 1e6, time.time() + 24 * 3600, delta=60)
        wait_for(lambda: any('PausedUntil' in changed for _, changed, _ in self.house.properties), 'that to be told')
        self.assertEqual(self.client.get('NextStop'), 0)
        self.client.call('Resume')
        wait_for(lambda: self.client.get('State') != 'paused', 'the end of the pause')
        self.assertIs(self.client.get('Paused'), False)
        wait_for(lambda: len(changes) >= 2, 'both changes')
        self.assertEqual(changes[0][0], 'paused')
        self.assertEqual(changes[1][1], 'paused')

    def test_a_rehearsal_goes_through_every_stage(self):
        changes = self.client.listen(MANAGER, 'StateChanged', PATH)
        stopping = self.client.listen(MANAGER, 'Stopping', PATH)
        self.client.call('StopInstance', '(sa{sv})', ('a test', {'dry-run': b(True)}))
        wait_for(lambda: any(previous == 'stopping' for _, previous, _ in changes), 'the end of the rehearsal')
        self.assertIn('stopping', [state for state, _, _ in changes])
        # Every stage is shown; only the provider was not asked.
        wait_for(lambda: self.client.get('State') in ('active', 'idle'), 'the state from before')
        calls = (self.house.directory / 'plugins/cloud/calls.jsonl').read_text()
        self.assertNotIn('StopInstance', calls)
        self.assertEqual(len(stopping), 1)
        self.assertIn('a test', stopping[0][1])

    def test_a_delayed_stop_can_be_cancelled(self):
        changes = self.client.listen(MANAGER, 'StateChanged', PATH)
        scheduled = self.client.listen(MANAGER, 'StopScheduled', PATH)
        cancelled = self.client.listen(MANAGER, 'StopCancelled', PATH)
        self.client.call('StopInstance', '(sa{sv})', ('a test', {'dry-run': b(True), 'delay': t(HOUR)}))
        wait_for(lambda: scheduled, 'StopScheduled')
        self.assertLess(abs(scheduled[0][0] - now() - HOUR), MINUTE)
        self.assertEqual(self.client.get('State'), 'warning')
        self.assertLess(abs(self.client.get('NextStop') - now() - HOUR), MINUTE)
        self.assertFails(ERROR + 'Busy', 'StopInstance', '(sa{sv})', ('again', {'dry-run': b(True)}))
        self.client.call('CancelStop', '(s)', ('changed my mind',))
        wait_for(lambda: cancelled, 'StopCancelled')
        self.assertIn('changed my mind', cancelled[0][0])
        wait_for(lambda: self.client.get('State') in ('active', 'idle'), 'the state from before')
        self.assertEqual([state for state, _, _ in changes][0], 'warning')

    def test_a_new_hold_ends_a_warning(self):
        self.client.call('StopInstance', '(sa{sv})', ('a test', {'dry-run': b(True), 'delay': t(HOUR)}))
        wait_for(lambda: self.client.get('State') == 'warning', 'the warning')
        _, fds = self.client.call_with_fds('Hold', '(sss)', ('pytest', 'no', 'block'))
        fd, = fds.steal_fds()
        self.addCleanup(os.close, fd)
        wait_for(lambda: self.client.get('State') != 'warning', 'the end of the warning')

    def test_a_real_stop(self):
        self.client.call('SetConfiguration', '(s)', ('{"dry_run": false, "provider": "cloud"}',))
        self.house.wait_for_provider()
        self.client.call('StopInstance', '(sa{sv})', ('for good', {'force': b(True)}))
        wait_for(lambda: self.client.get('State') == 'stopped', 'stopped')
        calls = (self.house.directory / 'plugins/cloud/calls.jsonl').read_text().splitlines()
        self.assertEqual(len([call for call in calls if json.loads(call)[0] == 'StopInstance']), 1)
        self.assertFails(ERROR + 'TooLate', 'CancelStop', '(s)', ('',))
        self.assertFails(ERROR + 'TooLate', 'Postpone', '(ts)', (MINUTE, ''))


class FirstSample(BusTest):
    # No second one while the test looks.
    configuration = {'sample_interval_seconds': 60}

    def test_doctor_tells_no_rate_before_there_is_one(self):
        findings = {finding['check']: finding['message'] for finding in self.client.call('Diagnose')[0]}
        for check in ('cpu', 'network', 'disk'):
            if 'is not to be had' not in findings[check]:
                self.assertEqual(findings[check], f'{check} is measured; the next sample tells the first rate')
        self.assertRegex(findings['memory'], r'^memory is measured: [0-9.]+ %$')


class Unreadable(BusTest):
    """A metric that was measured in this boot, and that a daemon which starts anew cannot read."""
    daemon = False

    def finding(self):
        return next(finding for finding in self.client.call('Diagnose')[0] if finding['check'] == 'network')

    def restart(self):
        self.house.kill_daemon()
        (self.root / 'proc/net/dev').unlink()
        self.house.start_daemon('--proc-root', self.root)
        wait_for_file(lambda: 'cpu_usage' in self.client.call('GetMetrics')[0], 'two samples')

    def start(self):
        self.root = self.house.directory / 'root'
        shutil.copytree(SOURCE / 'tests/data/proc/virtio-4.19', self.root, symlinks=True)
        self.house.configure({'sample_interval_seconds': 0.2})
        self.house.start_daemon('--proc-root', self.root)
        # With the first check, and what comes of it.
        wait_for_file(lambda: self.saved().exists() and '"network"' in self.saved().read_text(), 'what the daemon keeps')

    def saved(self):
        return self.house.directory / 'run/decision.json'

    def test_it_is_unknown_and_not_absent(self):
        self.start()
        self.restart()
        self.assertEqual(self.finding()['status'], 'error')
        self.assertIn('was measured before and cannot be read now', self.finding()['message'])
        votes = {source: verdict for source, verdict, _, _ in self.client.call('Explain')[2]}
        self.assertEqual(votes['network'], 'unknown')

    def test_of_another_boot_nothing_is_known(self):
        self.start()
        self.house.kill_daemon()
        text = self.saved().read_text()
        boot = json.loads(text)['boot']
        self.saved().write_text(text.replace(boot, '0' * len(boot)))
        (self.root / 'proc/net/dev').unlink()
        self.house.start_daemon('--proc-root', self.root)
        self.assertIn('is not to be had on this machine', self.finding()['message'])


class Addresses(BusTest):
    """What is approved of the network, where systemd can tell addresses apart and where it cannot."""
    daemon = False

    def setUp(self):
        super().setUp()
        approvals = self.house.directory / 'etc/approvals'
        approvals.mkdir(mode=0o755)
        for identifier, asked, approved, enabled in (
                ('narrow', ['network:10.0.0.1', 'processes', 'network:localhost'], 3, True), ('wide', ['network:10.0.0.1', 'network:any'], 2, True),
                ('named', ['network:db.example.org'], 1, True), ('local', ['processes'], 1, True), ('waiting', ['network:10.0.0.1'], 0, True),
                ('disabled', ['network:10.0.0.1'], 1, False)):
            self.house.install_fake(identifier, 'fine', enabled=enabled, contracts=['RequestHandler'], permissions=asked)
            (approvals / f'{identifier}.json').write_text(json.dumps({'approved': [{
                'manifest_sha256': '0' * 64, 'permissions': asked[:approved],
                'terms': [f'program:{identifier}', 'contract:RequestHandler']}]}))
        self.house.start_daemon()

    def findings(self):
        return [finding for finding in self.client.call('Diagnose')[0] if 'addresses apart' in finding['message']]

    def test_doctor_names_those_that_have_more_than_is_approved(self):
        systemd = Counting(self.house.address, 'snoozed.service')
        self.addCleanup(systemd.stop)
        self.assertEqual(self.findings(), [])
        systemd.received = NOT_COUNTED
        finding, = self.findings()
        self.assertEqual((finding['check'], finding['status']), ('narrow', 'warning'))
        self.assertIn('every address of the network, and not only what is approved (network:10.0.0.1, network:localhost)', finding['message'])
        self.assertIn('user snooze-narrow', finding['advice'])

    def test_without_systemd_nothing_is_known(self):
        self.assertEqual(self.findings(), [])


class ClosedTerminals(BusTest):
    """Terminals as root's are on Debian, whose /root/.profile has `mesg n`."""
    daemon = False

    def start(self, enabled, *modes):
        self.house.install_fake('terminal', 'fine', enabled=enabled, contracts=['EventHandler'],
                                events={'snooze.stop.pending': {'priority': 1}})
        terminals = self.house.directory / 'root/dev/pts'
        terminals.mkdir(parents=True)
        for number, mode in enumerate(modes):
            (terminals / str(number)).touch()
            (terminals / str(number)).chmod(mode)
        self.house.start_daemon('--proc-root', self.house.directory / 'root')
        wait_for_file(lambda: 'input_idle_seconds' in self.client.call('GetMetrics')[0], 'a look at the terminals')

    def findings(self):
        return [finding for finding in self.client.call('Diagnose')[0] if 'mesg n' in finding['message']]

    def test_doctor_names_those_where_nobody_is_told(self):
        self.start(True, 0o620, 0o600, 0o620)
        finding, = self.findings()
        self.assertEqual((finding['check'], finding['status']), ('terminal', 'warning'))
        user = pwd.getpwuid(os.getuid()).pw_name
        self.assertTrue(finding['message'].endswith(f'of a stop: pts/1 of {user}'), finding['message'])
        self.assertIn('mesg y', finding['advice'])

    def test_doctor_counts_the_rest_of_many(self):
        self.start(True, *[0o600] * 7)
        finding, = self.findings()
        self.assertEqual(finding['message'].count('pts/'), 4)
        self.assertTrue(finding['message'].endswith(' and 3 more'), finding['message'])

    def test_open_ones_are_nothing_to_tell(self):
        self.start(True, 0o620, 0o620)
        self.assertEqual(self.findings(), [])

    def test_where_no_terminal_is_told_none_is_missed(self):
        self.start(False, 0o600)
        self.assertEqual(self.findings(), [])


class Configuring(BusTest):
    def naptime(self):
        return json.loads(self.client.call('GetConfiguration')[0])['naptime_minutes']

    def test_a_patch_is_kept(self):
        self.client.call('SetConfiguration', '(s)', ('{"naptime_minutes": 45}',))
        self.assertEqual(self.naptime(), 45)
        origins, = self.client.call('GetConfigurationOrigins')
        self.assertEqual(origins['/naptime_minutes'], str(self.house.directory / 'state/snooze.json'))
        self.house.restart_daemon()
        self.assertEqual(self.naptime(), 45)
        self.client.call('SetConfiguration', '(s)', ('{"naptime_minutes": null}',))
        self.assertEqual(self.naptime(), 60)

    def test_history_has_what_was_changed_and_not_to_what(self):
        patch = {'naptime_minutes': 45, 'plugins': {'timeouts': {'sessions': {'check': 7}},
                                                    'plugin_configs': {'webhook': {'url': 'https://user:hunter2@example.org', 'a\nb': 'c'}}}}
        self.client.call('SetConfiguration', '(s)', (json.dumps(patch),))
        self.client.call('SetConfiguration', '(s)', (json.dumps({'providers': {'x' * 20 + str(n): {'a': 1} for n in range(30)}}),))
        rows, = self.client.call('GetHistory', '(ttu)', (0, 0, 100))
        many, few = [row['what'] for row in rows if row['kind'] == 'call']
        self.assertEqual(few, '/naptime_minutes, /plugins/timeouts/sessions/check, /plugins/plugin_configs/webhook/url, '
                              '/plugins/plugin_configs/webhook/a b')
        self.assertNotIn('hunter2', str(rows))
        self.assertTrue(many.endswith('…') and len(many) < 310, many)

    def test_bad_patches_change_nothing(self):
        for patch, part in (('', ''), ('[]', 'object'), ('{"naptime_minutes": "long"}', 'naptime_minutes'),
                            ('{"naptime_minutes": 0}', 'naptime_minutes'), ('{"naptime_minutes": -1}', 'naptime_minutes'),
                            ('{"naptme_minutes": 5}', 'naptme_minutes'), ('{"naptime_minutes": 1', ''), ('{"a":1,"a":2}', ''),
                            ('{"sources": {"cpu": {"policy": "sometimes"}}}', 'policy'), ('[' * 60000, 'deep')):
            with self.subTest(patch=patch[:40]):
                self.assertFails(INVALID_CONFIGURATION, 'SetConfiguration', '(s)', (patch,), part=part)
                self.assertEqual(self.naptime(), 60)
                self.assertFalse((self.house.directory / 'state/snooze.json').exists())

    def test_a_patch_that_is_too_long(self):
        self.assertFails(INVALID, 'SetConfiguration', '(s)', ('"' + 'x' * 2_000_000 + '"',), part='bytes')
        self.assertEqual(self.house.questions(), [])

    def test_reload(self):
        self.house.configure({'naptime_minutes': 20})
        self.client.call('Reload')
        self.assertEqual(self.naptime(), 20)

    def test_reload_of_a_broken_file_keeps_what_runs(self):
        (self.house.directory / 'etc/snooze.json').write_text('{"naptime_minutes": 20,}')
        message = self.assertFails(INVALID_CONFIGURATION, 'Reload')
        self.assertIn('snooze.json:1:24', message)
        self.assertEqual(self.naptime(), 60)

    def test_hangup_reloads(self):
        changed = self.client.listen('org.freedesktop.DBus.Properties', 'PropertiesChanged', PATH)
        problems = self.client.listen(MANAGER, 'Problem', PATH)
        (self.house.directory / 'etc/snooze.json').write_text('{"naptime_minutes": "long"}')
        self.house.daemon.popen.send_signal(1)
        wait_for(lambda: problems, 'the Problem')
        self.assertIn('naptime_minutes', problems[0][1])
        self.assertEqual(self.naptime(), 60)

        self.house.configure({'naptime_minutes': 25, 'dry_run': False})
        self.house.daemon.popen.send_signal(1)
        wait_for(lambda: any('DryRun' in properties for _, properties, _ in changed), 'the new configuration')
        self.assertEqual(self.naptime(), 25)

    def test_drop_ins(self):
        (self.house.directory / 'etc/snooze.d').mkdir()
        (self.house.directory / 'etc/snooze.d/50-mine.json').write_text('{"naptime_minutes": 15}')
        self.client.call('Reload')
        self.assertEqual(self.naptime(), 15)
        self.assertEqual(self.client.call('GetConfigurationOrigins')[0]['/naptime_minutes'],
                         str(self.house.directory / 'etc/snooze.d/50-mine.json'))


class Events(BusTest):
    plugins = True

    def test_an_event_is_kept_and_handed_out(self):
        received = self.client.listen(MANAGER, 'EventReceived', PATH)
        finished = self.client.listen(MANAGER, 'EventFinished', PATH)
        data = {'disk': s('sda'), 'free': GLib.Variant('u', 7), 'nested': GLib.Variant('a{sv}', {'deep': b(True)})}
        identifier, = self.client.call('EmitEvent', '(suta{sv})', ('custom.disk', 1, 0, data))
        wait_for(lambda: received, 'EventReceived')
        self.assertEqual(received[0][:2], (identifier, 'custom.disk'))
        event = received[0][2]
        self.assertEqual(event['severity'], 1)
        self.assertEqual(event['data'], {'disk': 'sda', 'free': 7, 'nested': {'deep': True}})
        wait_for(lambda: finished, 'EventFinished')
        self.assertEqual(finished[0][0], identifier)
        self.assertEqual([result['plugin'] for result in finished[0][2]], ['example'])
        events, = self.client.call('ListEvents', '(u)', (10,))
        self.assertEqual([e['id'] for e in events], [identifier])

    def test_one_user_cannot_fill_the_queue(self):
        plugin = PATH + '/plugin/example'
        wait_for(lambda: self.client.get('State', NAME + '.Plugin', plugin) == 'running', 'the handler')
        pid = self.client.get('Pid', NAME + '.Plugin', plugin)
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(os.kill, pid, signal.SIGCONT)
        for _ in range(64):
            self.client.call('EmitEvent', '(suta{sv})', ('custom.test', 0, 0, {}))
        self.assertFails(ERROR + 'LimitsExceeded', 'EmitEvent', '(suta{sv})', ('custom.test', 0, 0, {}), part='64')
        # What the daemon itself has to say is said.
        received = self.client.listen(MANAGER, 'EventReceived', PATH)
        self.client.call('StopInstance', '(sa{sv})', ('a test', {'dry-run': b(True), 'delay': t(HOUR)}))
        wait_for(lambda: any(kind == 'snooze.stop.pending' for _, kind, _ in received), 'the announcement')
        os.kill(pid, signal.SIGCONT)

    def test_newest_first(self):
        first, = self.client.call('EmitEvent', '(suta{sv})', ('custom', 0, 0, {}))
        second, = self.client.call('EmitEvent', '(suta{sv})', ('custom', 0, 0, {}))
        wait_for(lambda: len(self.client.call('ListEvents', '(u)', (10,))[0]) == 2, 'both')
        self.assertEqual([e['id'] for e in self.client.call('ListEvents', '(u)', (10,))[0]], [second, first])
        self.assertEqual([e['id'] for e in self.client.call('ListEvents', '(u)', (1,))[0]], [second])


class Rate(BusTest):
    def test_a_caller_in_a_loop_is_told_off_alone(self):
        refused = []
        for _ in range(20):
            # So many at a time that he asks faster than the bucket fills, however slow this machine is.
            answers = [self.client.send('ListHolds') for _ in range(100)]
            wait_for(lambda answers=answers: all(answers), 'the answers')
            refused = [error_name(error) for (_, error), in answers if error]
            if refused:
                break
        self.assertEqual(set(refused), {ERROR + 'LimitsExceeded'})
        self.house.client().call('ListHolds')

    def test_pending_calls_of_one_caller_are_bounded(self):
        self.house.answer('hang')
        results = [self.client.send('Pause') for _ in range(100)]
        wait_for(lambda: sum(len(result) for result in results) >= 92, 'the refusals')
        self.assertLessEqual(len(self.house.questions()), 8)


if __name__ == '__main__':
    tap.main()
