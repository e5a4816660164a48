# SPDX-License-Identifier: Apache-2.0
"""Calls of clients that plugins answer: how many one may have, what becomes of those of one who leaves, and what the log tells."""

import json
import os
import signal

from gi.repository import Gio, GLib

import tap
from harness import ERROR, PATH, PLUGIN, PROVIDER, QUIET, BusTest, House, continue_if_there, error_name, wait_for, wait_for_file

LOG_CONTROL = 'org.freedesktop.LogControl1'
LOG_CONTROL_PATH = '/org/freedesktop/LogControl1'
PROPERTIES = 'org.freedesktop.DBus.Properties'
PENDING_MAX = 32
QUESTIONS_MAX = 16  # to systemd


class Calls(BusTest):
    def setUp(self):
        self.house = House({'check_interval_seconds': 3600}, daemon=False)
        self.addCleanup(self.house.close)
        self.house.replay(QUIET)
        self.client = self.house.client()

    def request(self, client, method='x'):
        return client.send('Call', '(sa{sv})', (method, {}), PLUGIN, PATH + '/plugin/one')

    def install(self, behaviour, check=1):
        self.house.install_fake('one', behaviour, contracts=['RequestHandler', 'IdleCheck'], timeouts={'check': check, 'provider': 50})
        self.house.start_daemon()

    def handled(self):
        return self.house.lived_through('one').count('Handle')

    def wait_for_handled(self, n):
        wait_for_file(lambda: self.handled() >= n, f'{n} calls to reach the plugin')

    def test_nobody_works_for_one_who_has_left(self):
        # It answers no CheckIdle, and so is killed and started again; meanwhile these two wait.
        self.install('hang', check=4)
        leaver = self.house.client()
        left, last = self.request(leaver), self.request(self.client)
        leaver.call('ListPlugins')
        leaver.close()
        wait_for(lambda: last, 'the call of who stayed to be answered')
        self.assertEqual(last[0], ((True, {'answer': 42}), None))
        self.assertEqual(self.handled(), 1)
        self.assertTrue(not left or left[0][1])

    def test_one_client_may_have_so_many_under_way(self):
        self.install('channel-hang-handle')
        for i in range(PENDING_MAX):
            self.request(self.client)
            self.wait_for_handled(i + 1)
        self.assertFails(ERROR + 'LimitsExceeded', 'Call', '(sa{sv})', ('x', {}), interface=PLUGIN, path=PATH + '/plugin/one',
                         part='of your calls')
        # Another one has his own.
        other = self.house.client()
        self.request(other)
        self.wait_for_handled(PENDING_MAX + 1)

    def test_who_configures_does_not_wait_behind_those_who_ask(self):
        schema = {'greeting': {'type': 'string', 'description': 'What it says', 'default': 'hello'}}
        self.house.install_fake('one', 'good', contracts=['RequestHandler'], config_schema=schema, timeouts={'provider': 300, 'initialize': 300})
        self.house.start_daemon()
        self.client.call('LoadPlugin', '(s)', ('one',))
        plugin = self.client.get('Pid', PLUGIN, PATH + '/plugin/one')
        os.kill(plugin, signal.SIGSTOP)
        self.addCleanup(continue_if_there, plugin)
        # As many as wait, and the one that is under way.
        crowd = [self.counted(client, 'Call', '(sa{sv})', ('x', {})) for client in [self.house.client() for _ in range(3)]
                 for _ in range(PENDING_MAX // 3 + 1)]
        self.assertEqual(crowd, [[]] * (PENDING_MAX + 1))
        self.assertFails(ERROR + 'LimitsExceeded', 'Call', '(sa{sv})', ('x', {}), interface=PLUGIN, path=PATH + '/plugin/one',
                         part='wait already')
        configured = self.counted(self.client, 'Configure', '(a{sv})', ({'greeting': GLib.Variant('s', 'good day')},))
        os.kill(plugin, signal.SIGCONT)
        wait_for(lambda: all(crowd) and configured, 'the answers')
        self.assertEqual(configured, [((), None)])
        self.assertEqual([word for word in self.house.lived_through('one') if word in ('Handle', 'Configure')][:2], ['Handle', 'Configure'])

    def counted(self, client, *call):
        """It waits for the plugin now, or was refused. One after the other: polkit has a ceiling of its own."""
        count = lambda: self.client.call('GetStatistics', interface=PLUGIN, path=PATH + '/plugin/one')[0]['calls']
        before, answer = count(), client.send(*call, PLUGIN, PATH + '/plugin/one')
        wait_for_file(lambda: answer or count() > before, 'the plugin to be asked, or not')
        return answer

    def test_many_who_load_what_does_not_come(self):
        self.house.install_fake('one', 'hang-handshake', contracts=['RequestHandler'], timeouts={'start': 300, 'initialize': 300})
        self.house.start_daemon()
        answers = []
        for i in range(PENDING_MAX + 1):
            answers.append(self.client.send('LoadPlugin', '(s)', ('one',)))
            # One after the other: polkit has a ceiling of its own.
            wait_for(lambda: len(self.house.questions()) > i, 'polkit to be asked')
        wait_for(lambda: any(answers), 'the refusal')
        (_, error), = [answer[0] for answer in answers if answer]
        self.assertEqual(error_name(error), ERROR + 'LimitsExceeded')
        self.assertIn(f'{PENDING_MAX} of your calls', error.message)

    def test_a_systemd_that_says_nothing_keeps_nobody_from_polkit(self):
        """The bus lets a connection wait for 128 answers, and the daemon asks systemd and polkit on the same one."""
        silent = self.house.client()
        silent.connection.add_filter(lambda connection, message, incoming: None if incoming else message)
        self.house.install_fake('one', 'good', contracts=['IdleCheck'])
        silent.connection.call('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus', 'RequestName',
                               GLib.Variant('(su)', ('org.freedesktop.systemd1', 4)), None, Gio.DBusCallFlags.NONE, -1, None, None)
        wait_for(lambda: self.client.owner('org.freedesktop.systemd1'), 'systemd')
        self.house.start_daemon()
        askers = [self.house.client() for _ in range(8)]
        answers = [asker.send('GetResources', '()', (), PLUGIN, PATH + '/plugin/one') for asker in askers for _ in range(20)]
        wait_for(lambda: sum(map(len, answers)) >= len(answers) - QUESTIONS_MAX, 'the refusals')
        self.assertEqual({error_name(error) for answer in answers for _, error in answer}, {ERROR + 'LimitsExceeded'})
        self.client.call('Postpone', '(ts)', (60_000_000, 'others wait'))
        wait_for(lambda: all(answers), 'the end of their patience')
        self.assertEqual([error_name(error) for answer in answers for _, error in answer].count(ERROR + 'TimedOut'), QUESTIONS_MAX)

    def test_a_systemd_that_knows_nothing_of_a_unit_is_told_by_name(self):
        ignorant = self.house.client()
        self.house.install_fake('one', 'good', contracts=['IdleCheck'])
        ignorant.call('RequestName', '(su)', ('org.freedesktop.systemd1', 4), 'org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus')
        self.house.start_daemon()
        self.assertFails(ERROR + 'PluginFailed', 'GetResources', interface=PLUGIN, path=PATH + '/plugin/one', part='systemd does not say')

    def time_outs(self, **timeouts):
        self.client.call('SetConfiguration', '(s)', (json.dumps({'plugins': {'timeouts': timeouts}}),))

    def assertTimesOut(self, identifier):
        self.assertFails(ERROR + 'TimedOut', 'Call', '(sa{sv})', ('x', {}), interface=PLUGIN, path=f'{PATH}/plugin/{identifier}')

    def test_a_changed_time_out_is_in_force_at_once(self):
        for identifier in ('one', 'two'):
            self.house.install_fake(identifier, 'channel-hang-handle', contracts=['RequestHandler'], timeouts={'provider': 3600})
        self.house.start_daemon()
        for identifier in ('one', 'two'):
            self.client.call('LoadPlugin', '(s)', (identifier,))
        self.time_outs(one={'provider': 0.3})
        self.assertTimesOut('one')
        # By the files, too, beside what was set before.
        self.house.configure({'plugins': {'timeouts': {'two': {'provider': 0.3}}}})
        self.client.call('Reload')
        self.assertTimesOut('two')
        self.assertTimesOut('one')
        # Taken back: the manifest's hour, and somebody else's time-out does not end it.
        self.time_outs(one=None)
        patient = self.request(self.client)
        self.wait_for_handled(3)
        self.assertTimesOut('two')
        self.assertEqual(patient, [])
        # None of these is the end of a plugin.
        self.assertEqual(self.house.lived_through('one').count('Handshake'), 1)

    def stop(self, client):
        return client.send('StopInstance', '(sa{sv})', ('i-other', {}), PROVIDER, PATH + '/provider/cloud')

    def install_hanging_cloud(self, timeout):
        self.house.install_cloud(timeouts={'provider': timeout})
        self.install('channel-hang-handle')
        self.house.wait_for_provider()
        self.house.behave(stop='hang')

    def test_those_to_providers_count_as_well(self):
        self.install_hanging_cloud(50)
        for i in range(PENDING_MAX - 8):
            self.request(self.client)
            self.wait_for_handled(i + 1)
        for i in range(8):
            self.stop(self.client)
        for interface, kind, member, signature, arguments in (
                (PLUGIN, 'plugin/one', 'Call', '(sa{sv})', ('x', {})), (PROVIDER, 'provider/cloud', 'StopInstance', '(sa{sv})', ('i-3', {})),
                (PROVIDER, 'provider/cloud', 'StartInstance', '(sa{sv})', ('i-3', {})), (PROVIDER, 'provider/cloud', 'GetInstanceInfo', '(s)', ('',)),
                (PROVIDER, 'provider/cloud', 'SetTags', '(a{ss})', ({'a': 'b'},))):
            with self.subTest(member=member):
                self.assertFails(ERROR + 'LimitsExceeded', member, signature, arguments, interface=interface, path=f'{PATH}/{kind}',
                                 part='of your calls')

    def test_a_provider_is_asked_once_what_it_may_do_however_many_ask(self):
        """It asks its cloud several times for each answer."""
        self.install_hanging_cloud(6)
        asked = lambda method: [name for name, _ in self.house.asked_of('cloud')].count(method)
        before = asked('CheckPermissions')
        self.stop(self.client)
        wait_for(lambda: asked('StopInstance'), 'a call that all others wait for')
        self.time_outs(cloud={'provider': 300})
        clients = [self.house.client() for _ in range(9)]
        answers = [client.send('CheckPermissions', '()', (), PROVIDER, PATH + '/provider/cloud') for client in clients]
        for client in clients:
            client.call('ListPlugins')
        clients[0].close()
        wait_for(lambda: all(answers[1:]), 'the answers')
        self.assertEqual([answer[0] for answer in answers[1:]], [(([('cloud:StopInstances', True, 'stops this machine')],), None)] * 8)
        self.assertEqual(asked('CheckPermissions'), before + 1)
        # Who comes later gets an answer of his own.
        self.house.client().call('CheckPermissions', interface=PROVIDER, path=PATH + '/provider/cloud')
        self.assertEqual(asked('CheckPermissions'), before + 2)

    def test_a_provider_does_nothing_for_one_who_has_left(self):
        self.install_hanging_cloud(6)
        leaver = self.house.client()
        under_way, waiting = self.stop(self.client), self.stop(leaver)
        leaver.call('ListPlugins')
        leaver.close()
        wait_for(lambda: under_way, 'the end of what hangs')
        self.house.behave(stop='ok')
        last = self.stop(self.client)
        wait_for(lambda: last, 'the call of who stayed to be answered')
        self.assertEqual(last[0], ((), None))
        self.assertEqual([method for method, _ in self.house.asked_of('cloud')].count('StopInstance'), 2)
        self.assertTrue(not waiting or waiting[0][1])

    def test_a_daemon_that_ends_leaves_nothing_of_what_a_plugin_was_asked(self):
        # For the sanitizer, which has its say at the end.
        schema = {'greeting': {'type': 'string', 'description': 'What it says', 'default': 'hello'}}
        self.house.install_fake('one', 'hang-configure', contracts=['RequestHandler'], config_schema=schema)
        self.house.start_daemon()
        self.client.call('LoadPlugin', '(s)', ('one',))
        self.client.send('Configure', '(a{sv})', ({'greeting': GLib.Variant('s', 'good day')},), PLUGIN, PATH + '/plugin/one')
        wait_for_file(lambda: 'Configure' in self.house.lived_through('one'), 'the question')
        self.house.end_daemon()

    def test_what_has_an_effect_is_not_repeated(self):
        for behaviour in ('die-handle', 'channel-die-handle'):
            with self.subTest(behaviour):
                house, self.house = self.house, House({'check_interval_seconds': 3600}, daemon=False)
                self.addCleanup(self.house.close)
                self.house.replay(QUIET)
                self.client = self.house.client()
                self.install(behaviour)
                self.assertFails(ERROR + 'PluginFailed', 'Call', '(sa{sv})', ('x', {}), interface=PLUGIN, path=PATH + '/plugin/one',
                                 client=self.client)
                # The one that took its place has been asked since, and not for that.
                wait_for(lambda: self.client.get('State', PLUGIN, PATH + '/plugin/one') == 'running', 'the next process')
                self.client.call('Unload', interface=PLUGIN, path=PATH + '/plugin/one')
                self.assertEqual(self.handled(), 1)
                self.assertIn('Shutdown', self.house.lived_through('one'))
                self.house = house

    def test_nonsense_for_a_client_is_a_failure_as_for_the_daemon(self):
        self.house.configure({'check_interval_seconds': 3600, 'sources': {'one': {'policy': 'off'}}})
        self.install('lie')
        path = PATH + '/plugin/one'
        self.assertFails(ERROR + 'PluginFailed', 'CheckIdle', interface=PLUGIN, path=path, part='certainly')
        self.assertIs(self.client.get('Healthy', PLUGIN, path), False)
        self.assertIn('certainly', self.client.get('LastError', PLUGIN, path))
        self.assertEqual(self.client.call('GetStatistics', interface=PLUGIN, path=path)[0]['errors'], 1)

    def test_the_log_tells_of_each_call(self):
        self.install('channel-good')
        get = lambda name: self.client.get(name, LOG_CONTROL, LOG_CONTROL_PATH)
        put = lambda name, value: self.client.call('Set', '(ssv)', (LOG_CONTROL, name, GLib.Variant('s', value)), PROPERTIES,
                                                   LOG_CONTROL_PATH)
        call = lambda: self.client.call('Call', '(sa{sv})', ('x', {}), PLUGIN, PATH + '/plugin/one')
        log = lambda: (self.house.directory / 'snoozed.log').read_text()
        self.assertEqual((get('LogLevel'), get('LogTarget'), get('SyslogIdentifier')), ('info', 'journal', 'snoozed'))
        call()
        self.assertNotIn('Call of one', log())
        put('LogLevel', 'debug')
        self.assertEqual(get('LogLevel'), 'debug')
        self.assertEqual(call(), (True, {'answer': 42}))
        self.assertRegex(log(), rf'Call of one for {self.client.connection.get_unique_name()}: Handle, \d+ µs, answered')
        put('LogLevel', 'info')
        for name, value in (('LogLevel', 'loud'), ('LogTarget', 'console'), ('SyslogIdentifier', 'x')):
            with self.assertRaises(GLib.Error):
                put(name, value)

    def test_a_daemon_that_is_back_finds_the_plugin_and_opens_a_new_channel(self):
        self.house.install_stock()
        self.house.start_daemon()
        path = PATH + '/plugin/sessions'
        check = lambda: self.client.call('CheckIdle', interface=PLUGIN, path=path)
        check()
        pid = self.client.get('Pid', PLUGIN, path)
        channels = lambda: sum(1 for name in os.listdir(f'/proc/{pid}/fd')
                               if os.readlink(f'/proc/{pid}/fd/{name}').startswith('socket:'))
        before = channels()
        self.house.restart_daemon()
        self.client = self.house.client()
        check()
        self.assertEqual(self.client.get('Pid', PLUGIN, path), pid)
        self.assertEqual(channels(), before)

    def test_only_root_changes_what_is_logged(self):
        self.install('good')
        stranger = self.house.client(uid=65534)
        with self.assertRaises(GLib.Error) as caught:
            stranger.call('Set', '(ssv)', (LOG_CONTROL, 'LogLevel', GLib.Variant('s', 'debug')), PROPERTIES, LOG_CONTROL_PATH)
        self.assertIn('AccessDenied', error_name(caught.exception))
        self.assertEqual(stranger.get('LogLevel', LOG_CONTROL, LOG_CONTROL_PATH), 'info')


tap.main()
