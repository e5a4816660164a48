# SPDX-License-Identifier: Apache-2.0
"""Plugins as the bus shows them, the stock ones and bad ones: what each method does, that none of them makes the machine idle or
delays another, and that nobody can speak for them. Who may call what is test-authorization.py's."""

import json
import os
import signal
import subprocess

from gi.repository import GLib

import tap
from harness import BUILD, ERROR, MANAGER, NAME, PATH, PLUGIN, PROVIDER, QUIET, BusTest, House, continue_if_there, error_name, wait_for, wait_for_file

OBJECT_MANAGER = 'org.freedesktop.DBus.ObjectManager'
DRIVER = 'org.freedesktop.DBus'


def path_of(identifier):
    return f'{PATH}/plugin/{identifier}'


def s(value):
    return GLib.Variant('s', value)


class PluginTest(BusTest):
    settings = {}

    def setUp(self):
        self.house = House({'check_interval_seconds': 1, **self.settings}, daemon=False)
        self.addCleanup(self.house.close)
        self.house.replay(QUIET)
        self.client = self.house.client()

    def of(self, identifier, method, signature='()', arguments=(), client=None):
        return (client or self.client).call(method, signature, arguments, PLUGIN, path_of(identifier))

    def assert_refused(self, name, identifier, method, signature='()', arguments=(), part=''):
        return self.assertFails(name, method, signature, arguments, interface=PLUGIN, path=path_of(identifier), part=part,
                                client=self.house.client())

    def get(self, identifier, name):
        return self.client.get(name, PLUGIN, path_of(identifier))

    def wait_for_plugin(self, identifier, state):
        wait_for(lambda: self.get(identifier, 'State') == state, f'{identifier} to be {state}')

    def votes(self):
        return {source: (verdict, reason) for source, verdict, reason, _ in self.client.call('Explain')[2]}

    def wait_for_vote(self, source, verdict, part=''):
        def says():
            said, reason = self.votes().get(source, ('nothing', ''))
            return said == verdict and part in reason

        # No signal tells of a vote that changes no state.
        ticker = GLib.timeout_add(200, lambda: True)
        try:
            wait_for(says, f'{source} to say {verdict} {part}')
        finally:
            GLib.source_remove(ticker)


class Stock(PluginTest):
    """What comes with CloudSnooze, on a bus without logind."""

    # One that was unloaded comes back with the next check.
    settings = {'check_interval_seconds': 60}

    def setUp(self):
        super().setUp()
        self.house.install_stock()
        self.house.start_daemon()

    def test_objects(self):
        objects, = self.client.call('GetManagedObjects', interface=OBJECT_MANAGER)
        self.assertEqual({path for path in objects if path != PATH},
                         {path_of('sessions'), path_of('terminal'), path_of('local'), PATH + '/provider/local'})
        self.assertEqual(objects[PATH + '/provider/local'][PROVIDER]['Plugin'], path_of('local'))

    def test_properties_are_the_manifest(self):
        for place in ('plugins/sessions', 'plugins/terminal', 'providers/local'):
            manifest = json.loads((BUILD / place / 'plugin.json').read_text())
            name = manifest['name']
            shown, = self.client.call('GetAll', '(s)', (PLUGIN,), 'org.freedesktop.DBus.Properties', path_of(name))
            self.assertEqual(shown['Id'], name)
            for member, key in (('DisplayName', 'display_name'), ('Version', 'version'), ('Author', 'author'), ('Tags', 'tags'),
                                ('Description', 'description'), ('Category', 'category'), ('Language', 'language'),
                                ('Runtime', 'runtime'), ('Isolation', 'isolation'), ('Contracts', 'contracts')):
                self.assertEqual(shown[member], manifest[key], member)
            self.assertEqual(shown['Events'], {type_: event['priority'] for type_, event in manifest.get('events', {}).items()})
            # Anybody can write "official" into a file; the place says whether it is.
            self.assertIs(shown['Official'], False)
            self.assertEqual(shown['Permissions'], [(permission, False) for permission in manifest['permissions']])
            self.assertEqual(json.loads(shown['ConfigSchema']), manifest['config_schema'])
            self.assertIs(shown['Enabled'], True)

    def test_each_can_be_loaded_and_unloaded(self):
        for name in ('sessions', 'terminal', 'local'):
            self.of(name, 'Load')
            self.assertEqual(self.get(name, 'State'), 'running')
            pid = self.get(name, 'Pid')
            self.assertEqual(os.path.basename(os.readlink(f'/proc/{pid}/exe')), name)
            resources, = self.of(name, 'GetResources')
            self.assertIs(resources['enforced'], False)
            self.assertGreater(resources['memory']['used'], 0)
            self.assertGreater(self.of(name, 'GetStatistics')[0]['calls'], 0)
            self.of(name, 'Unload')
            self.assertEqual((self.get(name, 'State'), self.get(name, 'Pid')), ('stopped', 0))

    def test_what_info_says_of_their_permissions(self):
        """Nobody has approved of any here, and nobody but systemd could hold one to that: it is started."""
        def says():
            told = subprocess.run([BUILD / 'src/cli/cloudsnooze', 'plugin', 'info', 'local'], env=self.house.environment, capture_output=True,
                                  text=True, timeout=60, check=True)
            self.assertNotIn('not started', told.stdout)
            return told.stdout.splitlines()[-1]

        self.of('local', 'Unload')
        self.assertIn('it is started all the same', says())
        self.of('local', 'Load')
        self.assertIn('without systemd it may do what its user may', says())

    def test_contracts_that_they_do_not_have(self):
        self.assert_refused(ERROR + 'NotSupported', 'terminal', 'CheckIdle', part='IdleCheck')
        for name in ('sessions', 'terminal', 'local'):
            self.assert_refused(ERROR + 'NotSupported', name, 'Call', '(sa{sv})', ('x', {}), part='RequestHandler')

    def test_what_a_provider_was_never_meant_to_do_is_no_failure_of_it(self):
        self.of('local', 'Load')
        with self.assertRaises(GLib.Error) as caught:
            self.client.call('SetTags', '(a{ss})', ({'a': 'b'},), PROVIDER, PATH + '/provider/local')
        self.assertIn(ERROR + 'NotSupported', str(caught.exception))
        self.assertEqual((self.get('local', 'LastError'), self.get('local', 'Healthy')), ('', True))

    def test_all_of_them_switched_off(self):
        self.client.call('SetConfiguration', '(s)', ('{"plugins":{"enabled":false}}',))
        self.assert_refused(ERROR + 'NotRunning', 'sessions', 'CheckIdle', part='plugins.enabled')

    def test_sessions_says_that_it_is_blind(self):
        # No logind: it cannot know, and that is no "idle".
        self.wait_for_vote('sessions', 'unknown')


class Methods(PluginTest):
    def setUp(self):
        super().setUp()
        self.house.install_example()
        self.house.start_daemon()
        self.wait_for_vote('example', 'idle')

    def test_disable_and_enable(self):
        self.of('example', 'Disable')
        self.assertIs(self.get('example', 'Enabled'), False)
        self.assertFalse((self.house.directory / 'state/enabled/example').exists())
        self.assertNotIn('example', self.votes())
        wait_for(lambda: self.client.owner('io.cloudsnooze.Plugin1.example') is None, 'its end')
        for method in ('Load', 'Restart', 'CheckIdle'):
            self.assert_refused(ERROR + 'NotRunning', 'example', method)
        self.house.restart_daemon()
        self.assertIs(self.get('example', 'Enabled'), False)
        self.of('example', 'Enable')
        self.wait_for_vote('example', 'idle')

    def test_restart_gives_another_process(self):
        before = self.get('example', 'Pid')
        self.of('example', 'Restart')
        self.assertEqual(self.get('example', 'State'), 'running')
        self.assertNotEqual(self.get('example', 'Pid'), before)

    def test_configure(self):
        self.assert_refused(ERROR + 'InvalidArgument', 'example', 'Configure', '(a{sv})', ({'colour': s('red')},), 'colour')
        self.assert_refused(ERROR + 'InvalidArgument', 'example', 'Configure', '(a{sv})', ({'mode': GLib.Variant('u', 1)},), 'mode')
        self.assertEqual(self.of('example', 'GetConfiguration')[0]['mode'][0], 'idle')
        self.of('example', 'Configure', '(a{sv})', ({'mode': s('failing')},))
        value, origin = self.of('example', 'GetConfiguration')[0]['mode']
        self.assertEqual(value, 'failing')
        self.assertNotEqual(origin, 'default')
        self.assertEqual(json.loads(self.client.call('GetConfiguration')[0])['plugins']['plugin_configs']['example'], {'mode': 'failing'})
        self.wait_for_vote('example', 'unknown')

    def test_what_it_refuses_is_not_kept(self):
        self.of('example', 'Configure', '(a{sv})', ({'mode': s('at-once')},))
        kept = (self.house.directory / 'state/snooze.json').read_text()
        before = self.get('example', 'Pid')
        self.assert_refused(ERROR + 'InvalidArgument', 'example', 'Configure', '(a{sv})', ({'mode': s('impossible')},),
                            'example refused its new configuration, nothing is changed: mode: impossible is impossible')
        self.assertEqual(self.of('example', 'GetConfiguration')[0]['mode'][0], 'at-once')
        self.assertEqual((self.house.directory / 'state/snooze.json').read_text(), kept)
        self.assertEqual(self.of('example', 'CheckIdle')[0], 'busy')
        self.of('example', 'Restart')
        self.assertNotEqual(self.get('example', 'Pid'), before)
        result = subprocess.run([BUILD / 'src/cli/cloudsnooze', 'plugin', 'configure', 'example', 'mode=impossible'],
                                env=self.house.environment, capture_output=True, text=True, timeout=60)
        self.assertEqual((result.returncode, result.stdout), (1, ''))
        self.assertIn('impossible is impossible', result.stderr)
        self.of('example', 'Configure', '(a{sv})', ({'mode': s('idle')},))
        self.wait_for_vote('example', 'idle')

    def set_configs(self, **configs):
        self.client.call('SetConfiguration', '(s)', (json.dumps({'plugins': {'plugin_configs': configs}, 'naptime_minutes': 41}),))

    def install_other(self):
        schema = {'greeting': {'type': 'string', 'description': 'What it says', 'default': 'hello'}}
        self.house.install_fake('another', 'good', contracts=['IdleCheck'], config_schema=schema)
        self.house.client().call('DiscoverPlugins')
        self.of('another', 'Load')

    def told(self, n):
        """What the other one was told, n times."""
        words = ('Initialize', 'Configure', 'hello', 'bonjour')
        wait_for_file(lambda: len([word for word in self.house.lived_through('another') if word in words]) >= 2 * n, 'what it is told')
        return [word for word in self.house.lived_through('another') if word in words]

    def test_what_one_refuses_is_not_kept_by_set_configuration_either(self):
        self.install_other()
        before = json.loads(self.client.call('GetConfiguration')[0])
        with self.assertRaises(GLib.Error) as caught:
            self.set_configs(another={'greeting': 'bonjour'}, example={'mode': 'impossible'})
        self.assertIn(ERROR + 'InvalidArgument: example refused its new configuration, nothing is changed: mode: impossible is impossible',
                      str(caught.exception))
        # The other one had agreed, and hears what stays in force.
        self.assertEqual(self.told(3), ['Initialize', 'hello', 'Configure', 'bonjour', 'Configure', 'hello'])
        self.assertEqual(json.loads(self.client.call('GetConfiguration')[0]), before)
        self.assertFalse((self.house.directory / 'state/snooze.json').exists())
        self.assertEqual(self.of('example', 'CheckIdle')[0], 'idle')

    def test_what_breaks_a_schema_is_not_kept_by_set_configuration_either(self):
        self.install_other()
        for values, part in (({'mode': 7}, 'mode: got 7, expected a string'), ({'mood': 'idle'}, 'mood: no such setting, expected one of mode')):
            with self.assertRaises(GLib.Error) as caught:
                self.set_configs(another={'greeting': 'bonjour'}, example=values)
            self.assertIn(f'{ERROR}InvalidConfiguration: /plugins/plugin_configs/example/{part}', str(caught.exception))
        self.assertFalse((self.house.directory / 'state/snooze.json').exists())
        # Nobody was asked; and what starts again finds nothing wrong.
        self.set_configs(another={'greeting': 'bonjour'})
        self.assertEqual(self.told(2), ['Initialize', 'hello', 'Configure', 'bonjour'])
        self.of('example', 'Restart')
        self.assertEqual(self.of('example', 'CheckIdle', client=self.house.client())[0], 'idle')

    def test_a_patch_that_is_wrong_elsewhere_is_put_to_nobody(self):
        self.install_other()
        greeting = {'plugins': {'plugin_configs': {'another': {'greeting': 'bonjour'}}}}
        # By itself, and with what else is configured.
        for wrong, part in (({'naptime_minutes': 'x'}, '/naptime_minutes: got'), ({'window_seconds': 1}, 'at most window_seconds')):
            self.assertFails(ERROR + 'InvalidConfiguration', 'SetConfiguration', '(s)', (json.dumps({**greeting, **wrong}),), part=part)
        self.assertFalse((self.house.directory / 'state/snooze.json').exists())
        self.set_configs(another={'greeting': 'bonjour'})
        self.assertEqual(self.told(2), ['Initialize', 'hello', 'Configure', 'bonjour'])

    def test_what_providers_say_is_set_there(self):
        self.install_other()
        self.client.call('SetConfiguration', '(s)', ('{"providers": {"another": {"greeting": "salut"}}}',))
        with self.assertRaises(GLib.Error) as raised:
            self.of('another', 'Configure', '(a{sv})', ({'greeting': GLib.Variant('s', 'bonjour')},))
        self.assertEqual(error_name(raised.exception), ERROR + 'InvalidArgument')
        self.assertIn('providers.another.greeting has the last word', raised.exception.message)
        self.assertEqual(self.of('another', 'GetConfiguration')[0]['greeting'][0], 'salut')

    def test_set_configuration_asks_each_once(self):
        self.install_other()
        self.set_configs(another={'greeting': 'bonjour'}, example={'mode': 'at-once'}, nobody={'x': 1})
        self.assertEqual(self.told(2), ['Initialize', 'hello', 'Configure', 'bonjour'])
        self.assertEqual(self.of('example', 'CheckIdle')[0], 'busy')
        self.assertEqual(json.loads(self.client.call('GetConfiguration')[0])['naptime_minutes'], 41)
        # What is taken back is told when it is in force.
        self.set_configs(another={'greeting': None}, example=None)
        self.assertEqual(self.told(3)[-2:], ['Configure', 'hello'])
        self.assertEqual(self.of('example', 'CheckIdle', client=self.house.client())[0], 'idle')

    def ask_slowly(self, client):
        """A change of which the other one has been told, and says nothing: how to have it answer, and what comes of the change."""
        plugin = self.get('another', 'Pid')
        calls = lambda: self.of('another', 'GetStatistics')[0]['calls']
        os.kill(plugin, signal.SIGSTOP)
        self.addCleanup(continue_if_there, plugin)
        before = calls()
        change = {'plugins': {'plugin_configs': {'another': {'greeting': 'bonjour'}}}, 'naptime_minutes': 1, 'warning_minutes': 1}
        answer = client.send('SetConfiguration', '(s)', (json.dumps(change),))
        # A check of it is a call, too.
        wait_for(lambda: any(question['subject'] == client.name for question in self.house.questions()), 'polkit to be asked')
        client.call('ListPlugins')
        wait_for_file(lambda: calls() > before, 'the question')
        return lambda: os.kill(plugin, signal.SIGCONT), answer

    def assert_not_made(self, **settings):
        # What it agreed to late is taken back.
        self.assertEqual(self.told(3), ['Initialize', 'hello', 'Configure', 'bonjour', 'Configure', 'hello'])
        configuration = json.loads(self.client.call('GetConfiguration')[0])
        self.assertEqual({key: configuration[key] for key in settings}, settings)
        self.assertNotIn('another', configuration['plugins']['plugin_configs'])

    def test_a_change_that_another_overtook_is_not_made(self):
        self.install_other()
        go_on, answer = self.ask_slowly(self.house.client())
        self.client.call('SetConfiguration', '(s)', ('{"naptime_minutes": 99}',))
        go_on()
        wait_for(lambda: answer, 'the answer')
        self.assertIn(ERROR + 'Busy: Nothing is changed: a later change of the configuration was begun', str(answer[0][1]))
        self.assert_not_made(naptime_minutes=99, warning_minutes=json.loads(self.client.call('GetConfiguration')[0])['warning_minutes'])

    def test_nor_one_whose_caller_has_left(self):
        self.install_other()
        before = json.loads(self.client.call('GetConfiguration')[0])
        caller = self.house.client()
        go_on, _ = self.ask_slowly(caller)
        name = caller.name
        caller.close()
        wait_for_file(lambda: not self.client.owner(name), 'the end of who called')
        self.client.call('ListPlugins')
        go_on()
        self.assert_not_made(**before)

    def test_no_manifest_says_how_long_a_change_may_wait(self):
        schema = {'greeting': {'type': 'string', 'description': 'What it says', 'default': 'hello'}}
        self.house.install_fake('another', 'hang-configure', contracts=['IdleCheck'], config_schema=schema, timeouts={'initialize': 3600})
        self.house.client().call('DiscoverPlugins')
        self.of('another', 'Load')
        self.assertFails(ERROR + 'TimedOut', 'SetConfiguration', '(s)', ('{"plugins":{"plugin_configs":{"another":{"greeting":"bonjour"}}}}',),
                         part='Nothing is changed')
        self.assertFalse((self.house.directory / 'state/snooze.json').exists())

    def test_one_that_does_not_run_is_not_asked(self):
        self.of('example', 'Unload')
        self.set_configs(example={'mode': 'impossible'})
        self.assert_refused(ERROR + 'PluginFailed', 'example', 'Load', part='refused its configuration')
        self.set_configs(example={'mode': 7})
        self.assert_refused(ERROR + 'PluginFailed', 'example', 'Load', part='is not configured well')

    def test_configure_by_the_command(self):
        self.house.install_plugin('settled', BUILD / 'tests/bus/sdk-plugin', enabled=False, contracts=['IdleCheck'], config_schema={
            'ratio': {'type': 'number', 'description': 'What to beat', 'default': 2, 'constraints': '0..10'},
            'names': {'type': 'list', 'description': 'Whom to ask'},
            'key': {'type': 'string', 'description': 'To come in', 'secret': True},
            'eager': {'type': 'bool', 'description': 'Whether to hurry', 'default': False}})
        self.client.call('DiscoverPlugins')

        def configure(*arguments, text=None):
            result = subprocess.run([BUILD / 'src/cli/cloudsnooze', 'plugin', 'configure', *arguments], env=self.house.environment,
                                    input=text or '', capture_output=True, text=True, timeout=60)
            return result.returncode, result.stdout + result.stderr

        self.assertEqual(configure('settled'), (0, 'ratio\t2\tdefault\tnumber 0..10\tWhat to beat\n'
                                                   'names\t-\t-\tlist\tWhom to ask\n'
                                                   'key\t-\t-\tstring\tTo come in\n'
                                                   'eager\tno\tdefault\tbool\tWhether to hurry\n'))
        self.assertEqual(configure('settled', 'ratio=2.5', 'names=a,b c', 'eager=true', 'key=-', text='hunter2\n'),
                         (0, 'ratio is 2.5 now.\nnames is a, b c now.\neager is yes now.\nkey is (hidden) now.\n'))
        kept = (self.house.directory / 'state/snooze.json').read_text()
        self.assertEqual(json.loads(kept)['plugins']['plugin_configs']['settled'],
                         {'ratio': 2.5, 'names': ['a', 'b c'], 'eager': True, 'key': 'hunter2'})
        for wrong, message in (('ratio=11', 'ratio: got 11, expected a number within 0..10'), ('eager=1', 'expected true or false'),
                               ('ratio=', 'expected a number'), ('colour=red', 'settled has no setting “colour”')):
            code, text = configure('settled', 'names=c', wrong)
            self.assertEqual(code, 1)
            self.assertIn(message, text)
        self.assertEqual((self.house.directory / 'state/snooze.json').read_text(), kept)
        self.assertEqual(configure('settled', '--reset', 'ratio', 'names', 'key'),
                         (0, 'ratio is 2 now, its default.\nnames has no value now.\nkey has no value now.\n'))
        self.assertEqual(json.loads(configure('--json', 'settled')[1])['eager'],
                         {'type': 'bool', 'description': 'Whether to hurry', 'default': False, 'value': True, 'origin': 'configuration'})

    def test_check_and_call(self):
        verdict, reason, details = self.of('example', 'CheckIdle')
        self.assertEqual((verdict, reason), ('idle', 'nothing to do'))
        self.assertEqual(details['metrics'], {'gpu_usage': 1.5})
        # It answers with all of its subjects, whichever it is asked about.
        self.assertEqual(self.of('example', 'CheckSubject', '(s)', ('second',), client=self.house.client()), ('idle', 'nothing there', {}))
        self.assert_refused(ERROR + 'InvalidArgument', 'example', 'CheckSubject', '(s)', ('third',), 'no subject third')
        for name in ('', 'x' * 65):
            self.assert_refused(ERROR + 'InvalidArgument', 'example', 'CheckSubject', '(s)', (name,), 'subject')
        self.assertEqual(self.of('example', 'Call', '(sa{sv})', ('end-work', {}))[0], True)
        self.assert_refused(ERROR + 'InvalidArgument', 'example', 'Call', '(sa{sv})', ('', {}))
        self.assert_refused(ERROR + 'InvalidArgument', 'example', 'Call', '(sa{sv})', ('x' * 129, {}))

    def test_upgrade(self):
        self.assert_refused(ERROR + 'InvalidArgument', 'example', 'Upgrade', '(s)', ('9.9.9',), '9.9.9')
        manifest = self.house.directory / 'plugins/example/plugin.json'
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), 'version': '1.2.1'}))
        self.of('example', 'Upgrade', '(s)', ('1.2.1',))
        self.assertEqual((self.get('example', 'Version'), self.get('example', 'State')), ('1.2.1', 'running'))

    def test_killed(self):
        restarts = lambda: self.of('example', 'GetStatistics')[0]['restarts']
        pid = self.get('example', 'Pid')
        self.assertEqual(restarts(), 0)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.get('example', 'Pid') not in (0, pid) and self.get('example', 'State') == 'running', 'the next one')
        self.assertEqual(restarts(), 1)
        self.assertEqual(self.of('example', 'CheckIdle')[0], 'idle')

    def test_properties_cannot_be_written(self):
        with self.assertRaises(GLib.Error):
            self.client.call('Set', '(ssv)', (PLUGIN, 'Enabled', GLib.Variant('b', False)), 'org.freedesktop.DBus.Properties',
                             path_of('example'))


class Bad(PluginTest):
    """Each of them beside a good one that says idle, on a machine where nothing happens."""

    manifest = {'timeouts': {'check': 1}}

    def with_bad(self, behaviour, **manifest):
        self.house.install_example()
        self.house.install_fake('bad', behaviour, **{**self.manifest, **manifest})
        self.house.start_daemon()

    def assert_never_idle(self, verdict='unknown', part=''):
        self.wait_for_vote('example', 'idle')
        self.wait_for_vote('bad', verdict, part)
        idle, reason = self.house.client().call('CheckNow')
        self.assertIs(idle, False, self.votes())
        self.assertIn('bad', reason)
        self.assertEqual(self.client.get('State'), 'active')
        self.assertEqual(self.client.get('NextStop'), 0)

    def test_one_that_hangs(self):
        self.with_bad('hang')
        self.assert_never_idle()
        self.assertGreater(self.of('bad', 'GetStatistics')[0]['timeouts'], 0)

    def test_one_that_hangs_delays_nobody(self):
        self.with_bad('hang', timeouts={'check': 120})
        pending = self.client.send('CheckNow')
        self.wait_for_vote('example', 'idle')
        wait_for_file(lambda: 'CheckIdle' in self.house.lived_through('bad'), 'the question')
        self.assertEqual(pending, [])
        self.assertEqual(self.of('example', 'CheckIdle', client=self.house.client())[0], 'idle')
        self.assertEqual(self.votes()['bad'][0], 'unknown')

    def test_one_that_dies(self):
        self.with_bad('die')
        self.assert_never_idle()

    def test_one_that_lies(self):
        self.with_bad('lie')
        self.assert_never_idle(part='certainly')

    def test_one_that_answers_rubbish(self):
        self.with_bad('rubbish')
        self.assert_never_idle()

    def test_one_that_answers_too_much(self):
        self.with_bad('huge')
        self.assert_never_idle()

    def test_one_that_fails(self):
        self.with_bad('error')
        self.assert_never_idle(part='clue')
        self.assertNotIn('\x1b', self.votes()['bad'][1])

    def test_one_that_never_starts(self):
        self.with_bad('never-starts')
        self.assert_never_idle()

    def test_one_that_says_who_it_is_not(self):
        self.with_bad('wrong-id')
        self.assert_never_idle()

    def test_a_late_answer_is_not_the_next_one(self):
        self.with_bad('late')
        self.wait_for_vote('bad', 'idle', 'fresh')
        self.assertNotIn('stale', self.votes()['bad'][1])

    def test_one_that_died_once_is_asked_again(self):
        self.with_bad('die-once', timeouts={'check': 10})
        self.wait_for_vote('bad', 'idle')
        self.assertGreaterEqual(self.house.lived_through('bad').count('CheckIdle'), 2)


class Resting(PluginTest):
    """The daemon sleeps through samples that bring no news, and its loop with it."""

    settings = {'check_interval_seconds': 8, 'sample_interval_seconds': 0.1}

    def setUp(self):
        super().setUp()
        self.house.install_fake('late', 'idle', timeouts={'start': 5})
        self.house.start_daemon()

    def test_one_that_a_check_starts_has_all_of_its_time(self):
        states = self.client.listen(PLUGIN, 'StateChanged', path_of('late'))
        self.wait_for_plugin('late', 'running')
        self.of('late', 'Unload')
        wait_for(lambda: any(state == 'stopped' for state, _, _ in states), 'its end')
        del states[:]
        wait_for(lambda: any(state in ('running', 'failed') for state, _, _ in states), 'the check that starts it again')
        self.assertEqual([state for state, _, _ in states], ['loading', 'initializing', 'running'])


class Forged(PluginTest):
    """Unicast signals of somebody who may not: to the daemon's unique name, as if from the bus, from logind, from a plugin."""

    def setUp(self):
        super().setUp()
        self.house.install_example()
        self.house.start_daemon()
        self.wait_for_vote('example', 'idle')
        self.forger = self.house.client(uid=65534)

    def forge(self, path, interface, member, signature, arguments):
        self.forger.connection.emit_signal(self.client.owner(NAME), path, interface, member, GLib.Variant(signature, arguments))

    def snapshot(self):
        pid = self.get('example', 'Pid')
        return (pid, self.get('example', 'State'), self.get('example', 'Restarts'), self.client.get('State'),
                self.client.get('IdleSince'), self.client.call('ListHolds'), self.votes()['example'][0])

    def test_nothing_changes(self):
        fd_holder = self.house.client()
        _, fds = fd_holder.call_with_fds('Hold', '(sss)', ('a test', 'stays', 'block'))
        fd, = fds.steal_fds()
        self.addCleanup(os.close, fd)
        changes = self.house.watcher.listen(MANAGER, 'StateChanged', PATH)
        states = self.house.watcher.listen(PLUGIN, 'StateChanged')
        before = self.snapshot()
        daemon, plugin = self.client.owner(NAME), self.client.owner('io.cloudsnooze.Plugin1.example')
        for name, old, new in (('io.cloudsnooze.Plugin1.example', plugin, ''), ('io.cloudsnooze.Plugin1.example', plugin, self.forger.name),
                               ('org.freedesktop.login1', '', self.forger.name), ('org.freedesktop.systemd1', '', self.forger.name),
                               ('org.freedesktop.PolicyKit1', '', self.forger.name), (NAME, daemon, self.forger.name),
                               (self.client.name, self.client.name, ''), (fd_holder.name, fd_holder.name, '')):
            self.forge('/org/freedesktop/DBus', DRIVER, 'NameOwnerChanged', '(sss)', (name, old, new))
        self.forge('/org/freedesktop/DBus', DRIVER, 'NameLost', '(s)', (NAME,))
        logind = ('/org/freedesktop/login1', 'org.freedesktop.login1.Manager')
        self.forge(*logind, 'PrepareForSleep', '(b)', (False,))
        self.forge(*logind, 'PrepareForShutdown', '(b)', (True,))
        self.forge(*logind, 'SessionNew', '(so)', ('c1', '/org/freedesktop/login1/session/c1'))
        self.forge(*logind, 'SessionRemoved', '(so)', ('c1', '/org/freedesktop/login1/session/c1'))
        self.forge('/org/freedesktop/systemd1', 'org.freedesktop.systemd1.Manager', 'JobRemoved', '(uoss)',
                   (1, '/org/freedesktop/systemd1/job/1', 'snooze-plugin@example.service', 'failed'))
        self.forge('/org/freedesktop/PolicyKit1/Authority', 'org.freedesktop.PolicyKit1.Authority', 'Changed', '()', ())
        self.forge('/io/cloudsnooze/Plugin1', 'io.cloudsnooze.Plugin1.EventSource', 'Event', '(a{sv})', ({'id': s('x')},))
        # The bus keeps the order of one sender: once this is answered, all of it was read.
        self.forger.call('ListHolds')
        self.assertEqual(self.snapshot(), before)
        self.assertEqual((changes, states), ([], []))
        self.assertEqual(self.of('example', 'CheckIdle')[0], 'idle')
        self.assertEqual(self.client.owner(NAME), daemon)


if __name__ == '__main__':
    os.environ.setdefault('PYTHONDONTWRITEBYTECODE', '1')
    tap.main()
