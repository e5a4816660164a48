# SPDX-License-Identifier: Apache-2.0
"""`snooze plugin new` and `snooze plugin test`: what the templates make passes, and what a plugin does wrong is found.

Arguments: cloudsnooze, the plugin of test-sdk.py, the sanitizers of the build."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

from gi.repository import Gio

import plugin_bus
import tap

CLOUDSNOOZE, EXAMPLE = map(os.path.abspath, sys.argv[1:3])
SANITIZE = sys.argv[3]
del sys.argv[1:4]
BUILD = pathlib.Path(CLOUDSNOOZE).resolve().parents[2]
ENVIRONMENT = dict(
    os.environ, LC_ALL='C.UTF-8', PYTHONDONTWRITEBYTECODE='1', PKG_CONFIG_PATH=str(BUILD / 'meson-uninstalled'),
    PATH=f'{pathlib.Path(CLOUDSNOOZE).parent}:{os.environ["PATH"]}',
    # AddressSanitizer keeps what was freed, up to 256 MB of it: more than a plugin may have.
    ASAN_OPTIONS=os.environ.get('ASAN_OPTIONS', '') + ':quarantine_size_mb=4')

MANIFEST = {
    'name': 'example', 'version': '1.2.0', 'exec': 'example', 'api': 1,
    'contracts': ['IdleCheck', 'EventHandler', 'State', 'RequestHandler', 'EventSource', 'DataProcessor'],
    'events': {kind: {'priority': 1, 'enabled': True} for kind in ('snooze.stop.pending', 'custom.*')},
    'config_schema': {
        'mode': {'type': 'string', 'default': 'idle'},
        'percent': {'type': 'integer', 'constraints': '0..100', 'default': 3},
        'ratio': {'type': 'number', 'default': 0.5},
        'names': {'type': 'list', 'default': ['a']},
        'quick': {'type': 'boolean', 'default': True},
        'colour': {'type': 'string', 'constraints': 'red|green', 'default': 'red'}},
}


def run(*command, **keywords):
    return subprocess.run([str(word) for word in command], env=ENVIRONMENT, capture_output=True, text=True, timeout=150, **keywords)


def snooze(*arguments):
    return run(CLOUDSNOOZE, 'plugin', *arguments)


class Directory(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = pathlib.Path(temporary.name) / 'my-plugin'

    def new(self, template):
        result = snooze('new', '--template', template, self.directory)
        self.assertEqual(result.returncode, 0, result.stderr)

    def report_of(self, *options, directory=None):
        """The report, whose result agrees with the exit status."""
        result = snooze('test', '--json', *options, directory or self.directory)
        self.assertIn(result.returncode, (0, 1), result.stderr)
        report = json.loads(result.stdout)
        self.assertEqual(result.returncode == 0, report['failed'] == 0)
        return report

    def failures(self, *options, **keywords):
        """What failed over the bus under its name, what failed over the channel with that before it."""
        return {('' if check['over'] == 'bus' else f'{check["over"]}: ') + check['check']: check['detail']
                for check in self.report_of(*options, **keywords)['checks'] if check['result'] == 'failed'}


class Templates(Directory):
    def assert_passes(self, **keywords):
        self.assertEqual(self.failures('--quick', **keywords), {})

    def test_c(self):
        self.new('c')
        setup = run('meson', 'setup', '-Dwerror=true', f'-Db_sanitize={SANITIZE}', '-Db_lundef=false', 'build', cwd=self.directory)
        self.assertEqual(setup.returncode, 0, setup.stdout)
        build = run('meson', 'compile', '-C', 'build', cwd=self.directory)
        self.assertEqual(build.returncode, 0, build.stdout)
        self.assert_passes(directory=self.directory / 'build')
        stage = self.directory / 'stage'
        installed = run('meson', 'install', '-C', 'build', '--destdir', stage, cwd=self.directory)
        self.assertEqual(installed.returncode, 0, installed.stdout)
        self.assertEqual(sorted(str(path.relative_to(stage)) for path in stage.rglob('*') if path.is_file()),
                         [f'etc/cloudsnooze/plugins/my-plugin/{name}' for name in ('my-plugin', 'plugin.json')])

    def test_python(self):
        self.new('python')
        self.assertEqual(run('/usr/bin/python3', '-m', 'unittest', 'discover', 'tests', cwd=self.directory).returncode, 0)
        report = self.report_of('--quick')
        self.assertEqual(report['failed'], 0, report)
        # Room for a module or two of the author's, also after all that it was asked.
        allowed = json.loads((self.directory / 'plugin.json').read_text())['limits']['memory_mb'] * 1024
        self.assertLess(report['measured']['pss_afterwards_kb'], 2 / 3 * allowed)

    def test_shell(self):
        self.new('shell')
        result = run(self.directory / 'test', '--quick')
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_nothing_is_overwritten_and_no_wrong_name_is_taken(self):
        self.directory.mkdir()
        (self.directory / 'mine').write_text('mine')
        result = snooze('new', self.directory)
        self.assertEqual(result.returncode, 2)
        self.assertIn('Try: snooze plugin new --help', result.stderr)
        self.assertEqual(sorted(os.listdir(self.directory)), ['mine'])
        for arguments in (('--id', 'My', 'x'), ('--id', 'admin', 'x'), ('admin',), ('--template', 'perl', 'x'), ('--id', 'x' * 25, 'x')):
            self.assertEqual(run(CLOUDSNOOZE, 'plugin', 'new', *arguments, cwd=self.directory).returncode, 2)
        self.assertEqual(sorted(os.listdir(self.directory)), ['mine'])

    def test_a_name_that_the_template_has_taken_is_refused_before_anything_is_written(self):
        for template, name in (('shell', 'test'), ('python', 'tests')):
            result = snooze('new', '--template', template, '--id', name, self.directory)
            self.assertEqual(result.returncode, 2, result.stdout)
            self.assertIn(f'{name} cannot be its name: the template {template} has a file or a directory {name}', result.stderr)
            self.assertFalse(self.directory.exists())
        self.assertEqual(snooze('new', '--template', 'shell', '--id', 'tests', self.directory).returncode, 0)

    def test_a_name_that_meson_keeps_for_itself_is_refused_for_c_alone(self):
        for name in ('all', 'clean', 'install', 'test', 'scan-build', 'meson-one'):
            result = snooze('new', '--id', name, self.directory)
            self.assertEqual(result.returncode, 2, result.stdout)
            self.assertIn(f'{name} cannot be its name: meson', result.stderr)
            self.assertFalse(self.directory.exists())
        self.assertEqual(snooze('new', '--template', 'python', '--id', 'install', self.directory).returncode, 0)

    def test_a_plugin_in_python_with_a_contract_that_its_server_does_not_serve_says_so(self):
        self.new('python')
        path = self.directory / 'plugin.json'
        manifest = json.loads(path.read_text())
        for contract in ('DataProcessor', 'EventSource', 'CloudProvider'):
            path.write_text(json.dumps({**manifest, 'contracts': ['IdleCheck', contract]}))
            started = run(self.directory / 'my-plugin')
            self.assertEqual(started.returncode, 1)
            self.assertEqual(started.stderr, 'my-plugin: snooze_plugin.py serves IdleCheck, EventHandler, State and RequestHandler, '
                                             f'not {contract}\n')


class Python(Directory):
    """How the server of the template leaves. What the plugin knows is its setting, which no call of a contract changes."""

    METHODS = '''    def export_state(self):
        return 1, self.path.encode()

    def import_state(self, version, state):
        self.path = state.decode()

    def shutdown(self):
        SHUTDOWN

    def check_idle('''

    def setUp(self):
        super().setUp()
        self.bus = plugin_bus.Bus()
        self.addCleanup(self.bus.stop)
        self.kept = self.directory.parent / 'state'
        self.kept.mkdir()

    def begin(self, shutdown='pass'):
        if not self.directory.exists():
            self.new('python')
            path, manifest = self.directory / 'my-plugin', self.directory / 'plugin.json'
            path.write_text(path.read_text().replace('    def check_idle(', self.METHODS.replace('SHUTDOWN', shutdown)))
            manifest.write_text(json.dumps({**json.loads(manifest.read_text()), 'contracts': ['IdleCheck', 'State']}))
        plugin = plugin_bus.Plugin(self.bus, str(self.directory / 'my-plugin'), 'my-plugin',
                                   environment={'STATE_DIRECTORY': str(self.kept), 'PYTHONDONTWRITEBYTECODE': '1'})
        self.addCleanup(lambda: plugin.process.poll() is None and plugin.stop())
        return plugin.greet()

    def check(self, plugin):
        plugin.call('.IdleCheck', 'CheckIdle', '(a{sv})', {})

    def learn(self, plugin, path):
        plugin.call('', 'Configure', '(a{sv})', {'path': plugin_bus.s(path)})

    def server(self):
        """The module, without a bus."""
        sys.path.insert(0, str(self.directory))
        self.addCleanup(sys.path.remove, str(self.directory))
        return __import__('snooze_plugin')

    def left_behind(self):
        return {path.name: path.read_bytes()[16:] for path in self.kept.iterdir()}

    def test_what_changed_outside_of_any_call_is_kept(self):
        plugin = self.begin()
        self.check(plugin)
        plugin.call('.State', 'ExportState')
        self.learn(plugin, '/new')
        self.assertEqual(plugin.stop()[0], 0)
        self.assertEqual(self.left_behind(), {'kept-state': b'/new'})
        # The next one does not replace it before it was given it.
        plugin = self.begin()
        self.learn(plugin, '/other')
        self.assertEqual(plugin.stop()[0], 0)
        self.assertEqual(self.left_behind(), {'kept-state': b'/new'})
        plugin = self.begin()
        plugin.call('.State', 'ImportState', '(uay)', *plugin.call('.State', 'ExportState'))
        self.assertEqual(self.left_behind(), {})
        self.assertEqual(plugin.stop()[0], 0)
        self.assertEqual(self.left_behind(), {'kept-state': b'/new'})

    def test_what_the_daemon_has_is_not_kept(self):
        for leave in (lambda plugin: plugin.call('', 'Shutdown'), lambda plugin: plugin.process.terminate()):
            plugin = self.begin()
            self.check(plugin)
            plugin.call('.State', 'ExportState')
            leave(plugin)
            self.assertEqual(plugin.wait()[0], 0)
            self.assertEqual(self.left_behind(), {})

    def test_a_successor_may_know_more_than_who_handed_over(self):
        plugin = self.begin()
        self.check(plugin)
        plugin.call('.State', 'ExportState')
        self.check(plugin)
        self.learn(plugin, '/old')
        plugin.call('', 'Shutdown')
        self.assertEqual(plugin.wait()[0], 0)
        self.assertEqual(self.left_behind(), {})

    def test_what_was_kept_is_taken_back_unless_a_successor_has_replaced_it(self):
        plugin = self.begin()
        kept = self.server().Kept(self.kept)
        self.assertEqual(plugin.stop()[0], 0)
        kept.write(1, b'mine')
        kept.withdraw()
        self.assertEqual(self.left_behind(), {})
        kept.write(1, b'mine')
        (self.kept / 'new').write_bytes(b'0123456789abcdeftheirs')
        (self.kept / 'new').rename(self.kept / 'kept-state')
        kept.withdraw()
        self.assertEqual(self.left_behind(), {'kept-state': b'theirs'})

    def test_what_was_kept_is_not_kept_once_more_where_a_successor_has_it(self):
        plugin = self.begin()
        self.assertEqual(plugin.stop()[0], 0)
        kept = self.server().Kept(self.kept)
        self.assertTrue(kept.write(1, b'mine'))
        self.assertTrue(kept.write(1, b'mine, and newer'))
        self.assertEqual(self.left_behind(), {'kept-state': b'mine, and newer'})
        (self.kept / 'new').write_bytes(b'0123456789abcdeftheirs')
        (self.kept / 'new').rename(self.kept / 'kept-state')
        self.assertFalse(kept.write(1, b'mine'))
        self.assertEqual(self.left_behind(), {'kept-state': b'theirs'})
        self.server().Kept(self.kept).remove()
        self.assertFalse(kept.write(1, b'mine'))
        self.assertEqual(self.left_behind(), {})

    def test_what_was_kept_stays_where_nobody_asked_for_it_since(self):
        for asked in False, True:
            with self.subTest(asked):
                plugin = self.begin()
                self.check(plugin)
                plugin.call('.State', 'ExportState')
                self.learn(plugin, '/new')
                answer, descriptors = self.bus.connection.call_with_unix_fd_list_sync(
                    plugin.owner, plugin_bus.PATH, plugin_bus.NAME, 'OpenChannel', None, None, Gio.DBusCallFlags.NONE, 20000, None, None)
                stream = Gio.Socket.new_from_fd(descriptors.get(answer.unpack()[0])).connection_factory_create_connection()
                channel = Gio.DBusConnection.new_sync(stream, None, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None)
                call = lambda interface, member: channel.call_sync(
                    None, plugin_bus.PATH, plugin_bus.NAME + interface, member, None, None, Gio.DBusCallFlags.NONE, 20000, None)
                call('', 'Ping')
                plugin.process.terminate()
                plugin_bus.iterate_until(lambda: plugin.owner is None)
                self.assertEqual(self.left_behind(), {'kept-state': b'/new'})
                if asked:
                    call('.State', 'ExportState')
                call('', 'Shutdown')
                channel.close_sync(None)
                self.assertEqual(plugin.wait()[0], 0)
                self.assertEqual(self.left_behind(), {} if asked else {'kept-state': b'/new'})
                (self.kept / 'kept-state').unlink(missing_ok=True)

    def test_what_a_killed_one_had_not_finished_is_removed(self):
        (self.kept / '.kept-state.new').write_bytes(b'SNZ')
        self.assertEqual(self.begin().stop()[0], 0)
        self.assertEqual(self.left_behind(), {})

    def test_one_whose_shutdown_raises_leaves_all_the_same_and_keeps_what_it_knows(self):
        plugin = self.begin('raise OSError("nothing works")')
        self.check(plugin)
        code, text = plugin.stop()
        self.assertEqual(code, 0, text)
        self.assertIn("my-plugin: shutdown: OSError('nothing works')", text)
        self.assertEqual(self.left_behind(), {'kept-state': b'/run/my-plugin.lock'})


class Shell(Directory):
    """What a script says and how it ends, as the runner passes it on."""

    def script(self, body, contracts=('IdleCheck',), **manifest):
        self.new('shell')
        path = self.directory / 'my-plugin'
        path.write_text(path.read_text().split('\n')[0] + '\n' + body)
        values = json.loads((self.directory / 'plugin.json').read_text())
        (self.directory / 'plugin.json').write_text(json.dumps({**values, 'contracts': contracts, **manifest}))

    def check(self, body, **manifest):
        self.script(body, **manifest)
        return next(c for c in self.report_of('--quick')['checks'] if c['check'] == 'CheckIdle')

    def test_status_and_last_line_are_the_vote(self):
        check = self.check('echo first; echo "3 clients"; exit 1')
        self.assertTrue(check['detail'].endswith('busy (3 clients)'), check)

    def test_any_other_status_is_unknown(self):
        check = self.check('exit 7')
        self.assertTrue(check['detail'].endswith('unknown (exit status 7)'), check)

    def test_settings_and_metrics_are_in_the_environment(self):
        check = self.check('echo "$SNOOZE_PATH $SNOOZE_METRIC_GPU_USAGE $(cat | grep -c cpu_usage)"')
        self.assertIn('idle (/run/my-plugin.lock 100 1)', check['detail'])

    def test_what_it_keeps_between_two_calls_lies_in_a_directory_of_its_own(self):
        """Of nobody else's, not of the machine's, and gone afterwards."""
        seen = self.directory.parent / 'seen'
        check = self.check(f'cd "${{STATE_DIRECTORY:?}}" || exit 3; pwd >>{seen}; n=$(cat n 2>/dev/null); echo $((n + 1)) >n\n'
                           'mkdir -p below; ln -sf /etc below/link; echo "call $n"; exit 0')
        self.assertRegex(check['detail'], r'idle \(call [1-9]\d*\)')
        directories = set(seen.read_text().split())
        self.assertTrue(directories)
        self.assertEqual([path for path in directories if os.path.exists(path) or os.path.exists(os.path.dirname(path))], [])

    def test_a_json_object_brings_details(self):
        check = self.check("""echo '{"reason": "r", "valid_seconds": 9, "metrics": {"gpu_usage": 1.5}, "votes": []}'""")
        self.assertEqual((check['result'], check['detail'][-8:]), ('passed', 'idle (r)'))
        self.assertIn('valid_seconds', Shell.failing_details(self, '{"reason": "r", "valid_seconds": 301}'))

    def failing_details(self, text):
        path = self.directory / 'my-plugin'
        path.write_text(path.read_text().split('\n')[0] + f"\necho '{text}'\n")
        return self.failures('--quick')['CheckIdle']

    def test_one_that_hangs_is_killed_at_its_deadline(self):
        self.script('sleep 98765', timeouts={'check': 0.5})
        self.assertIn('CheckIdle', self.failures('--quick'))
        # init may not have taken it yet.
        deadline = time.monotonic() + 10
        while 'sleep 98765' in run('ps', 'axo', 'args').stdout.split('\n'):
            self.assertLess(time.monotonic(), deadline, 'it goes on')
            time.sleep(0.02)

    def test_one_that_prints_without_end_is_stopped(self):
        self.script('yes')
        self.assertIn('printed more', self.failures('--quick')['CheckIdle'])

    def test_events_and_state(self):
        self.script('''state=/proc/self/fd/1
case "$1" in
check-idle) echo fine ;;
handle-event) read -r event; case "$event" in *\\"type\\":\\"$2\\"*) echo "seen $2" ;; *) exit 3 ;; esac ;;
export-state) printf 'a\\0b' ;;
import-state) [ "$(od -An -c | tr -d ' ')" = 'a\\0b' ] || { echo "no state of mine"; exit 1; } ;;
esac
''', contracts=['IdleCheck', 'EventHandler', 'State'], events={'custom.*': {'priority': 1, 'enabled': True}})
        report = self.report_of('--quick', '--events')
        results = [(c['check'], c['result'], c['detail']) for c in report['checks']]
        self.assertEqual(report['failed'], 0, results)
        self.assertIn(('HandleEvent', 'passed', 'custom.*: handled'), results)
        self.assertIn(('ExportState', 'passed', '3 bytes of 4194304, version 1'), results)

    def test_a_contract_that_no_script_can_serve_is_said_so(self):
        self.script('exit 0', contracts=['IdleCheck', 'CloudProvider'])
        report = self.report_of('--quick')
        self.assertEqual(report['failed'], 1)
        self.assertIn('not CloudProvider', report['log'])


class Findings(Directory):
    def test_it_says_how_it_is_used(self):
        self.assertIn('snooze plugin test', snooze('test', '--help').stdout)
        self.assertEqual(snooze('test').returncode, 2)
        missing = snooze('test', self.directory / 'none')
        self.assertEqual((missing.returncode, missing.stdout), (2, ''))
        self.assertIn('there is no such directory', missing.stderr)

    def example(self, **manifest):
        self.directory.mkdir()
        # Where the build put it, it finds its library.
        text = json.dumps({**MANIFEST, 'exec': EXAMPLE, **manifest})
        (self.directory / 'plugin.json').write_text(text)

    def test_a_good_one_passes_everything(self):
        self.example()
        report = self.report_of('--events')
        self.assertEqual([c for c in report['checks'] if c['result'] != 'passed'], [])
        self.assertEqual((report['plugin'], report['version']), ('example', '1.2.0'))
        self.assertLess(report['measured']['pss_kb'], 64 * 1024)
        self.assertGreater(report['measured']['start_ms'], 0)

    def test_to_refuse_data_is_an_answer_whichever_way_it_comes(self):
        self.example()
        for error, refused in (('InvalidArgument', True), ('Refused', True), ('PluginFailed', False)):
            with self.subTest(error), mock.patch.dict(ENVIRONMENT, EXAMPLE_REFUSES_STREAMS=plugin_bus.ERROR + error):
                failures = self.failures('--quick')
                self.assertEqual(failures, {} if refused else {
                    name: '8 MiB: not this stream' for name in ('ProcessStream', 'channel: ProcessStream')})

    def test_an_event_that_the_manifest_does_not_name_is_never_handed_to_it(self):
        self.example(events={'custom.*': {'priority': 1, 'enabled': False}})
        said = "snooze.stop.pending is not in the manifest's events: it is never handed to the plugin"
        for options in (['--quick'], ['--quick', '--events']):
            self.assertEqual(self.failures(*options), {'HandleEvent': said, 'channel: HandleEvent': said})

    def test_a_manifest_that_is_none(self):
        self.directory.mkdir()
        for text in ('', '[]', '{"name": "Example"}', json.dumps({**MANIFEST, 'colour': 1}), json.dumps({**MANIFEST, 'exec': '../x'})):
            (self.directory / 'plugin.json').write_text(text)
            self.assertIn('manifest', self.failures())

    def test_a_directory_whose_program_is_built_elsewhere(self):
        (self.directory / 'build').mkdir(parents=True)
        for place in ('', 'build'):
            (self.directory / place / 'plugin.json').write_text(json.dumps(MANIFEST))
        self.assertEqual(self.failures()['manifest'],
                         f'{self.directory}/plugin.json: /exec: {self.directory}/example: No such file or directory; '
                         f'it is built in {self.directory}/build')
        self.assertIn(f'{self.directory}: 0 passed, 1 failed', snooze('test', self.directory).stdout)

    def test_a_manifest_that_says_something_else(self):
        self.example(version='1.3')
        self.assertEqual(set(self.failures('--quick')), {'describe', 'handshake'})
        (self.directory / 'plugin.json').write_text(
            json.dumps({**MANIFEST, 'exec': EXAMPLE, 'contracts': MANIFEST['contracts'][:-1]}))
        self.assertEqual(set(self.failures('--quick')), {'handshake', 'interfaces'})

    def test_a_setting_that_the_program_does_not_know(self):
        self.example(config_schema={**MANIFEST['config_schema'], 'other': {'type': 'string', 'default': ''}})
        self.assertEqual(set(self.failures('--quick')), {'describe', 'initialize'})

    def test_a_check_that_fails(self):
        self.example(config_schema={**MANIFEST['config_schema'], 'mode': {'type': 'string', 'default': 'failing'}})
        self.assertIn('No such file', self.failures('--quick')['CheckIdle'])

    def test_a_check_that_never_answers(self):
        schema = {**MANIFEST['config_schema'], 'mode': {'type': 'string', 'default': 'later'}}
        self.example(config_schema=schema, timeouts={'check': 0.5, 'shutdown': 3})
        self.assertEqual(set(self.failures('--quick')), {'CheckIdle', 'channel: CheckIdle', 'shutdown'})

    def test_metrics_come_from_a_trace(self):
        self.example()
        trace = self.directory / 'trace.jsonl'
        trace.write_text('{"t":0,"cpu_usage":1,"cpus":2}\n{"t":60}\n{"t":120,"cpu_usage":null}\n')
        check = next(c for c in self.report_of('--quick', '--metrics', trace)['checks'] if c['check'] == 'CheckIdle')
        self.assertTrue(check['detail'].startswith('3 questions'), check)
        trace.write_text('nonsense\n')
        self.assertEqual(snooze('test', '--metrics', trace, self.directory).returncode, 2)

    def test_a_configuration_comes_from_a_file(self):
        self.example(config_schema={**MANIFEST['config_schema'], 'mode': {'type': 'string', 'required': True}})
        self.assertEqual(snooze('test', '--quick', self.directory).returncode, 2)
        config = self.directory / 'config.json'
        config.write_text('{"mode": "idle"}')
        self.assertEqual(self.failures('--quick', '--config', config), {})

    def broken(self, old, new, file='snooze_plugin.py', options=('--quick',)):
        """The Python template with one thing wrong."""
        self.new('python')
        path = self.directory / file
        text = path.read_text()
        self.assertIn(old, text)
        path.write_text(text.replace(old, new, 1))
        manifest = json.loads((self.directory / 'plugin.json').read_text())
        (self.directory / 'plugin.json').write_text(json.dumps({**manifest, 'timeouts': {'start': 5, 'shutdown': 3}}))
        return self.failures(*options)

    def forgetful(self, old, new):
        self.new('python')
        methods = '''    def export_state(self):
        return 1, b"x"

    def import_state(self, version, state):
        if state != b"x":
            raise InvalidArgument("state: expected x")

    def check_idle('''
        path, manifest = self.directory / 'my-plugin', self.directory / 'plugin.json'
        path.write_text(path.read_text().replace('    def check_idle(', methods))
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), 'contracts': ['IdleCheck', 'State']}))
        server = self.directory / 'snooze_plugin.py'
        text = server.read_text()
        self.assertIn(old, text)
        server.write_text(text.replace(old, new, 1))
        return self.failures('--quick')

    def test_one_that_does_not_say_what_state_it_has(self):
        self.assertEqual(self.forgetful('"kept" if', '"kept" if'), {})
        shutil.rmtree(self.directory)
        self.assertIn('expected none, kept or live', self.forgetful('info["state"]', 'info["condition"]')['handshake'])
        shutil.rmtree(self.directory)
        self.assertIn('"none", expected live', self.forgetful('"live" if self.live', '"live" if False')['state'])

    def test_no_verdict(self):
        self.assertIn('CheckIdle', self.broken('"idle", f', '"sleepy", f', 'my-plugin'))

    def test_a_detail_that_is_none(self):
        wrong = 'return "idle", "x", {"last_activity": 2 ** 62}'
        self.assertIn('last_activity', self.broken('return "idle", f"{self.path} is not there"', wrong, 'my-plugin')['CheckIdle'])

    def test_one_that_never_owns_its_name(self):
        failures = self.broken('if not self.own_names():', 'if False:')
        self.assertIn('start', failures)

    def test_one_that_does_not_look_whether_it_runs_already(self):
        self.assertIn('second instance', self.broken('self.slot}", 4) != 1', 'self.slot}{os.getpid()}", 4) != 1'))

    def test_one_that_serves_no_host_but_of_its_own_api(self):
        self.assertEqual(self.broken('host_api not in (API, API + 1)', 'host_api != API'), {
            'next API': 'a host of API 2, which serves plugins of API 1, is refused: my-plugin serves hosts of API 1 and 2, not 2'})

    def test_one_that_takes_the_api_of_its_host_for_its_own(self):
        self.assertEqual(self.broken('(API, dictionary(info))', '(host_api, dictionary(info))'), {
            'next API': "a host of API 2 is answered with API 2, expected the plugin's own, 1"})

    def test_one_whose_answer_to_the_next_api_is_rubbish(self):
        empty = 'connection.send_message(Gio.DBusMessage.new_method_reply(invocation.get_message()), Gio.DBusSendMessageFlags.NONE)'
        asked = 'member == "Handshake" and parameters.unpack()[:1] == (API + 1,)'
        self.assertEqual(self.broken('invocation.return_value(self', f'{empty} if {asked} else invocation.return_value(self'), {
            'next API': 'a host of API 2 is answered with rubbish: not (u, a{sv})'})

    def test_one_that_serves_the_api_after_the_next(self):
        for served in ('host_api > 98', 'host_api not in (API, API + 1, API + 2)'):
            with self.subTest(served):
                self.assertEqual(self.broken('host_api not in (API, API + 1)', served), {
                    'foreign API': 'a host of API 3 is accepted, expected io.cloudsnooze.Snooze1.Error.UnsupportedApi'})
                shutil.rmtree(self.directory)

    def test_one_that_lets_itself_be_greeted_but_once(self):
        failures = self.broken('        self.host = sender\n', '        if self.stage: raise InvalidArgument("once")\n        self.host = sender\n')
        self.assertEqual(failures['handshake'], 'greeted again: once')

    def test_one_that_dies_of_garbage(self):
        failures = self.broken('raise InvalidArgument(f"{key}: there', 'os.abort() if key == "huge" else None; raise InvalidArgument(f"{key}: there')
        self.assertIn('was killed by Aborted', failures['garbage'])

    def test_one_that_does_not_leave(self):
        failures = self.broken('GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, self.leave)', 'signal.signal(number, signal.SIG_IGN)')
        self.assertEqual(set(failures), {'SIGTERM', 'channel: SIGTERM'})

    def test_one_that_stays_when_nobody_wants_it(self):
        timer = 'def timer(self, name, seconds):\n'
        with mock.patch.dict(ENVIRONMENT, SNOOZE_IMPATIENCE='20'):
            failures = self.broken(timer, f'{timer}        if name in ("handshake", "host"): return\n', options=())
        self.assertEqual(failures, {'host gone': 'after the end of its host it runs still',
                                    'not wanted': 'after 10 s without a greeting it runs still'})

    def test_one_that_takes_more_memory_than_its_manifest_says(self):
        self.new('python')
        path = self.directory / 'plugin.json'
        path.write_text(json.dumps({**json.loads(path.read_text()), 'limits': {'memory_mb': 1}}))
        failures = self.failures('--quick')
        self.assertEqual(set(failures), {'memory', 'memory afterwards'}, failures)
        self.assertRegex(failures['memory'], r'^[1-9][0-9.]* MB \(PSS\) of 1 MB$')

    def test_one_whose_channel_is_none(self):
        failures = self.broken('descriptors.append(theirs.fileno())', 'descriptors.append(os.pipe()[0])')
        self.assertEqual(set(failures), {'channel', 'channel: SIGTERM'})
        self.assertIn('no stream socket', failures['channel'])

    def test_one_that_answers_otherwise_over_its_channel(self):
        line = 'if member == "OpenChannel":'
        failures = self.broken(line, f"""if connection is self.channel and member == "CheckIdle":
                raise PluginError("ask me over the bus")
            {line}""")
        self.assertEqual(failures, {'channel: CheckIdle': 'question 1: ask me over the bus'})

    def test_one_that_dies_with_its_channel(self):
        failures = self.broken('self.channel = self.opening = None\n', 'os.abort()\n')
        self.assertIn('was killed by Aborted', failures['channel: garbage'])

    def test_one_that_opens_only_one_channel(self):
        failures = self.broken('self.close_channel()\n        ours', """if self.channel:
            raise PluginError("there is one already")
        ours""")
        self.assertEqual(failures['channel: renewal'], 'OpenChannel: there is one already')

    def test_one_that_does_not_say_that_it_leaves(self):
        failures = self.broken('emit_signal(None, PATH, NAME, "Leaving", None)', 'flush_sync(None)')
        self.assertEqual(set(failures), {'channel: SIGTERM'})

    def test_one_without_a_channel_is_not_to_blame(self):
        method = '<method name="OpenChannel"><arg name="channel" type="h" direction="out"/></method>'
        self.assertEqual(self.broken(method, ''), {})

    def test_one_that_takes_any_configuration(self):
        self.assertIn('configuration', self.broken('self.check_setting(key, value)', 'pass'))


if __name__ == '__main__':
    tap.main()
