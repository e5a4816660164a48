#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tools/try as a stranger types it: test-try.py SOURCE BUILD. The build is taken as it is; all else is what a user gets."""

import json
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import unittest

import tap

SOURCE, BUILD = (pathlib.Path(path) for path in sys.argv[1:3])
TRY = SOURCE / 'tools/try'
# Whatever this machine does just now decides nothing; one plugin, which looks for a program, does.
NOBODY = {'plugins': {'plugin_configs': {'processes': {'patterns': ['nobody: name=^no-such-program$']}}}}
QUIET = {'sources': {name: {'policy': 'advisory'} for name in ('cpu', 'disk', 'network', 'input')}, **NOBODY}
BUSY = {'plugins': {'plugin_configs': {'processes': {'patterns': ['bus: name=^dbus-daemon$']}}}}
PASSAGE = ['active → idle', 'idle → warning', 'warning → stopping', 'stopping → stopped']
# polkitd on a private bus needs root.
POLKIT = os.geteuid() == 0 or subprocess.run(['sudo', '-n', 'true'], check=False, capture_output=True).returncode == 0 \
    if shutil.which('sudo') or os.geteuid() == 0 else False


def environment():
    kept = {name: os.environ[name] for name in ('PATH', 'HOME', 'LANG', 'TMPDIR') if name in os.environ}
    return {**kept, 'SNOOZE_TRY_BUILD': str(BUILD), 'TERM': 'dumb'}


def run(*arguments, seconds=240):
    return subprocess.run([TRY, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          env=environment(), timeout=seconds)


class Try(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix='snooze-test-')))
        self.directory.chmod(0o755)

    def enterContext(self, manager):
        """unittest has it since 3.11."""
        value = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        return value

    def config(self, *parts):
        merged = {}
        for part in parts:
            merged.update(part)
        path = self.directory / 'config.json'
        path.write_text(json.dumps(merged))
        return path

    def script(self, text):
        path = self.directory / 'script'
        path.write_text(text)
        return ['bash', str(path)]

    def plugin(self, **changes):
        """A plugin of the user's own, in a directory of his own."""
        home = self.directory / 'plugins/visitor'
        home.mkdir(parents=True)
        for path in (home.parent, home):
            path.chmod(0o755)
        manifest = json.loads((SOURCE / 'plugins/processes/plugin.json').read_text())
        manifest.update({'name': 'visitor', 'exec': 'visitor', 'permissions': [], 'config_schema': {}, 'official': False, **changes})
        manifest.pop('enabled_by_default', None)
        (home / 'plugin.json').write_text(json.dumps(manifest))
        shutil.copy(SOURCE / 'tests/bus/visitor.py', home / 'visitor')
        (home / 'visitor').chmod(0o755)
        return home.parent

    def assertPassage(self, output):
        self.assertEqual(re.findall(r'^\d\d:\d\d:\d\d  (\w+ → \w+): ', output, re.MULTILINE)[-4:], PASSAGE, output)

    def assertTidied(self, address):
        self.assertTrue(address.startswith('unix:path=/'), address)
        self.assertFalse(pathlib.Path(address.removeprefix('unix:path=')).parent.parent.exists())


class Exec(Try):
    def test_a_command_runs_in_it_and_its_status_is_ours(self):
        command = self.script('''
            echo "address=$DBUS_SYSTEM_BUS_ADDRESS"
            echo "uid=$(id -u)"
            echo "naptime=$(snooze config get --value naptime_minutes)"
            snooze hold --why test -- true; echo "hold=$?"
            snooze stop --yes 2>&1; echo "stop=$?"
            snooze plugin list
            snooze check visitor; echo "visitor=$?"
            exit 7
        ''')
        result = run('--config', self.config({'naptime_minutes': 1234}), '--plugin-dir', self.plugin(), '--exec', *command)
        said = result.stdout + result.stderr
        self.assertEqual(result.returncode, 7, said)
        told = dict(line.split('=', 1) for line in result.stdout.splitlines() if re.match(r'\w+=', line))
        self.assertNotEqual(told['uid'], '0')
        self.assertEqual(told['naptime'], '1234')
        self.assertEqual(told['hold'], '0' if POLKIT else '3', said)
        self.assertEqual(told['stop'], '3', said)
        self.assertIn('or: sudo snooze stop', said)
        self.assertRegex(result.stdout, r'(?m)^visitor\s')
        self.assertEqual(told['visitor'], '1', said)
        self.assertIn('Busy: somebody visits', result.stdout)
        self.assertTidied(told['address'])

    def test_only_what_needs_no_configuration_is_enabled(self):
        schema = {'door': {'type': 'string', 'description': 'Where visitors come in', 'required': True}}
        command = self.script('snooze doctor; echo "doctor=$?"; snooze plugin list; snooze provider policy aws 2>&1')
        directory = self.plugin(config_schema=schema)
        result = run('--plugin-dir', directory, '--exec', *command)
        self.assertIn('visitor is not enabled: what it has to be told is to be in --config FILE: door\n', result.stderr)
        self.assertIn('doctor=0\n', result.stdout)
        states = dict(re.findall(r'(?m)^([a-z][a-z0-9-]*)\t(\w+)\t(?:yes|no)\t', result.stdout))
        self.assertEqual({id: state for id, state in states.items() if state in ('failed', 'quarantined')}, {})
        self.assertRegex(result.stdout, r'(?m)^event-endpoint\t\w+\tno\t')
        self.assertRegex(result.stdout, r'(?m)^webhook\t\w+\tno\t')
        self.assertRegex(result.stdout, r'(?m)^processes\t\w+\tyes\t')
        # It is found here, too; which machine this would be no cloud says.
        self.assertRegex(result.stdout, r'put its name for @INSTANCE_ID@ in .*/aws/policy.json')
        result = run('--config', self.config({'plugins': {'plugin_configs': {'visitor': {'door': 'front'}}}}),
                     '--plugin-dir', directory, '--exec', 'snooze', 'plugin', 'list')
        self.assertRegex(result.stdout, r'(?m)^visitor\t\w+\tyes\t')

    def test_what_cannot_be_understood_is_exit_2(self):
        self.assertEqual(run('--never').returncode, 2)
        self.assertEqual(run('--exec').returncode, 2)
        for option in ('--config', '--plugin-dir'):
            result = run(option)
            self.assertEqual((result.returncode, result.stderr), (2, f'try: {option} needs a value\n'))
        self.assertEqual(run('--config', self.directory / 'none', '--exec', 'true').returncode, 2)
        self.assertEqual(run('--plugin-dir', self.directory / 'none', '--exec', 'true').returncode, 2)

    def test_the_check_that_is_advised_looks_at_the_demonstration(self):
        directory = self.plugin()
        path = self.config({'sources': {'nope': {'policy': 'required'}, 'visitor': {'policy': 'advisory'}}})
        result = run('--config', path, '--plugin-dir', directory, '--exec',
                     *self.script('snooze doctor; snooze config check; echo "check=$?"'))
        self.assertRegex(result.stdout, r'(?m)^warning\tconfiguration\t.*/sources/nope')
        self.assertIn('check=0\n', result.stdout)
        self.assertRegex(result.stderr, r'(?m)^warning: .*/sources/nope')
        self.assertNotIn('/sources/visitor', result.stderr)

    def test_a_wrong_configuration_is_named(self):
        path = self.config({'naptime_minutes': 'soon'})
        result = run('--config', path, '--exec', 'true')
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn(str(path), result.stderr)
        self.assertIn('naptime_minutes', result.stderr)


class Once(Try):
    def test_an_idle_machine_shows_the_whole_passage(self):
        result = run('--once', '--config', self.config(QUIET))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertPassage(result.stdout)
        self.assertIn("on this machine's real metrics.\n", result.stdout.splitlines(keepends=True)[-1])

    def test_a_busy_machine_says_why_and_plays_a_recording(self):
        result = run('--once', '--config', self.config(QUIET, BUSY))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn('This machine is busy', result.stdout)
        self.assertRegex(result.stdout, r'(?m)^ +processes/bus +busy')
        self.assertPassage(result.stdout)
        self.assertIn('on a recorded trace', result.stdout.splitlines()[-1])


class Shell(Try):
    def test_a_shell_is_attached_to_it(self):
        process, terminal = pty.fork()
        if process == 0:
            os.execve(TRY, [str(TRY)], environment())
        self.addCleanup(os.close, terminal)
        said = ''

        def wait_for(text):
            nonlocal said
            while text not in said:
                self.assertTrue(select.select([terminal], [], [], 120)[0], f'still no {text!r}: {said}')
                said += os.read(terminal, 4096).decode(errors='replace')

        wait_for('(snooze)')
        self.assertIn('snooze hold -- sleep 30', said)
        os.write(terminal, b'echo "bus=$DBUS_SYSTEM_BUS_ADDRESS="; snooze --version\n')
        wait_for('snooze 0.')
        os.write(terminal, b'exit 5\n')
        wait_for('nothing of it is left')
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), 5)
        self.assertTidied(re.search(r'bus=(unix:[^=]+=[^=]+)=', said)[1])


if __name__ == '__main__':
    tap.main([])
