# SPDX-License-Identifier: Apache-2.0
"""A file in checks.d, from there to a vote, to what people see of it, and to the decision."""

import json
import os
import subprocess
import time
import unittest

import tap
from harness import BUILD, MANAGER, PATH, PLUGIN, QUIET, House, wait_for, wait_for_file

# Idle at once, but for a plugin that has not said so yet.
HASTY = {'dry_run': True, 'naptime_minutes': 0.01, 'min_uptime_minutes': 0, 'check_interval_seconds': 1, 'sample_interval_seconds': 0.2,
         'window_seconds': 1, 'burst_seconds': 0.4, 'long_window_seconds': 1}

WRAPPER = '''#!/bin/sh
SNOOZE_CHECKS_DIRECTORY={directory} exec {program} "$@"
'''


class ChecksD(unittest.TestCase):
    def setUp(self):
        self.house = House(daemon=False)
        self.addCleanup(self.house.close)
        self.checks = self.house.directory / 'checks.d'
        self.checks.mkdir(mode=0o755)
        wrapper = self.house.directory / 'wrapper'
        wrapper.write_text(WRAPPER.format(directory=self.checks, program=BUILD / 'plugins/command/command'))
        manifest = json.loads((BUILD / 'plugins/command/plugin.json').read_text())
        self.house.place_plugin('command', wrapper, manifest)
        # No round but those that are asked for.
        self.house.configure({'check_interval_seconds': 3600, 'sources': {'command/hint': {'policy': 'advisory'}}})
        self.house.start_daemon()
        self.client = self.house.client()

    def place(self, name, text):
        path = self.checks / name
        (self.checks / ('.' + name)).write_text('#!/bin/sh\n' + text + '\n')
        (self.checks / ('.' + name)).chmod(0o755)
        os.rename(self.checks / ('.' + name), path)

    def snooze(self, *arguments):
        return subprocess.run([BUILD / 'src/cli/cloudsnooze', *arguments], env=self.house.environment, capture_output=True, text=True,
                              timeout=60)

    def votes(self):
        self.house.check_now()
        state, reason, votes = self.client.call('Explain')
        return {source: (verdict, reason, evidence) for source, verdict, reason, evidence in votes if source.startswith('command')}

    def test_a_file_is_a_vote_with_evidence(self):
        self.place('queue', 'echo 3 jobs; exit 1')
        self.place('hint', 'echo perhaps; exit 1')
        votes = self.votes()
        self.assertEqual(votes['command/queue'][:2], ('busy', '3 jobs'))
        self.assertEqual(votes['command/queue'][2]['exit_status'], 1)
        self.assertEqual(votes['command/queue'][2]['policy'], 'required')
        self.assertEqual((votes['command/hint'][0], votes['command/hint'][2]['policy']), ('busy', 'advisory'))
        self.assertEqual(votes['command'][0], 'idle')

    def test_a_file_that_is_gone_votes_no_more(self):
        self.place('queue', 'exit 1')
        self.assertIn('command/queue', self.votes())
        (self.checks / 'queue').unlink()
        self.assertNotIn('command/queue', self.votes())

    def test_one_is_asked_by_its_name(self):
        self.place('queue', 'echo 3 jobs; exit 1')
        self.place('backup', 'echo none; exit 0')
        result = self.snooze('check', 'queue')
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertRegex(result.stdout, r'^Busy: 3 jobs\n  exit_status 1.*microseconds \d+')
        self.assertEqual(self.snooze('check', 'command/backup').returncode, 0)
        told = json.loads(self.snooze('check', 'queue', '--json').stdout)
        self.assertEqual((told['source'], told['verdict'], told['details']['exit_status']), ('command/queue', 'busy', 1))
        self.votes()
        for name in ('nothing', 'command/nothing'):
            result = self.snooze('check', name)
            self.assertEqual((result.returncode, result.stdout), (5, ''))
            self.assertIn(f'there is no check “{name}”', result.stderr)
            self.assertIn('command/backup', result.stderr)

    def ran(self, name):
        trace = self.house.directory / f'{name}.ran'
        return len(trace.read_text()) if trace.exists() else 0

    def test_one_that_is_asked_is_all_that_is_run(self):
        for name in ('queue', 'backup'):
            self.place(name, f'printf x >>{self.house.directory}/{name}.ran; echo none')
        self.votes()
        before = {name: self.ran(name) for name in ('queue', 'backup')}
        self.assertEqual(self.snooze('check', 'queue').returncode, 0)
        self.assertEqual(self.snooze('check', 'command/queue').returncode, 0)
        self.assertEqual(self.snooze('check', 'command/nothing').returncode, 5)
        self.assertEqual({name: self.ran(name) for name in before}, {'queue': before['queue'] + 2, 'backup': before['backup']})

    def test_one_does_not_wait_for_another(self):
        """A pipe that this test never writes into."""
        os.mkfifo(self.house.directory / 'pipe')
        pipe = os.open(self.house.directory / 'pipe', os.O_RDWR)
        self.addCleanup(os.close, pipe)
        self.place('backup', f'read line <{self.house.directory}/pipe')
        self.place('queue', 'exit 1')
        verdict, reason, details = self.client.call('CheckSubject', '(s)', ('queue',), PLUGIN, PATH + '/plugin/command')
        self.assertEqual((verdict, details['exit_status']), ('busy', 1))
        self.assertNotIn('votes', details)

    def test_of_one_nothing_is_known_while_the_plugin_does_not_know_its_checks(self):
        self.place('queue', 'exit 0')
        self.place('two words', 'exit 0')
        result = self.snooze('check', 'queue')
        self.assertEqual(result.returncode, 5)
        self.assertIn('two words: the name of a check', result.stdout)

    def test_one_that_was_put_there_a_moment_ago_and_one_that_is_gone(self):
        self.place('queue', 'exit 1')
        self.assertIn('command/queue', self.votes())
        (self.checks / 'queue').unlink()
        self.place('backup', 'exit 1')
        result = self.snooze('check', 'command/queue')
        self.assertEqual((result.returncode, result.stdout), (5, ''))
        self.assertEqual(self.snooze('check', 'backup').returncode, 1)

    def test_all_together_are_as_busy_as_one(self):
        self.place('backup', 'echo none; exit 0')
        self.assertEqual(self.snooze('check', 'command').returncode, 0)
        self.place('broken', 'exit 9')
        self.assertEqual(self.snooze('check', 'command').returncode, 5)
        self.place('queue', 'echo 3 jobs; exit 1')
        result = self.snooze('check', 'command')
        self.assertEqual(result.returncode, 1)
        self.assertIn('  backup idle: none\n  broken unknown: exit status 9\n  queue busy: 3 jobs\n', result.stdout)

    def test_while_its_plugin_is_dead_nothing_is_idle(self):
        # Nobody ends what a plugin leaves that was killed: it waits for a pipe that this test closes.
        os.mkfifo(self.house.directory / 'pipe')
        pipe = os.open(self.house.directory / 'pipe', os.O_RDWR)
        self.addCleanup(os.close, pipe)
        self.place('queue', f'kill -KILL $PPID; read line <{self.house.directory}/pipe')
        votes = self.votes()
        self.assertNotEqual(votes['command'][0], 'idle')
        self.place('queue', 'exit 0')
        wait_for(lambda: self.votes().get('command/queue', ('',))[0] == 'idle', 'it to be asked again')

    def finding(self, check):
        return next(finding for finding in self.client.call('Diagnose')[0] if finding['check'] == check)

    def test_the_diagnosis_of_one_names_its_plugin(self):
        self.place('odd', 'exit 9')
        self.assertEqual(self.votes()['command/odd'][0], 'unknown')
        finding = self.finding('command/odd')
        self.assertEqual((finding['status'], finding['message']), ('blind', 'exit status 9'))
        self.assertIn('snooze plugin info command,', finding['advice'])
        self.assertTrue(finding['advice'].endswith("journalctl -u 'snooze-plugin*@command.service'"), finding)

    def test_what_is_turned_off_is_not_missed(self):
        self.house.kill_daemon()
        self.house.configure({'sources': {'command': {'policy': 'off'}}, 'gpu_monitoring_enabled': False})
        self.house.start_daemon()
        off = 'turned off by the configuration'
        self.assertEqual(self.votes()['command'][:2], ('unknown', off))
        reasons = {source: (reason, evidence['policy']) for source, _, reason, evidence in self.client.call('Explain')[2]}
        self.assertEqual(reasons['gpu'], (off, 'off'))
        self.assertEqual([self.finding('command')[key] for key in ('status', 'message', 'advice')], ['ok', off, ''])
        self.assertEqual([self.finding('gpu')[key] for key in ('status', 'message', 'advice')],
                         ['ok', f'gpu is {off}: it has no vote', ''])

    ACTIVE = 'echo "{\\"reason\\": \\"ran\\", \\"last_activity\\": $(date +%s)000000}"; exit 0'

    def test_when_there_was_work_last_is_told_of_each(self):
        self.place('queue', self.ACTIVE)
        began = int(time.time()) * 1000000
        votes = self.votes()
        self.assertNotIn('last_activity', votes['command'][2])
        # On the monotonic clock between the two, which may be off by a little.
        self.assertGreaterEqual(votes['command/queue'][2]['last_activity'], began - 10000)

    def test_nor_does_its_last_work_decide_where_its_word_does_not(self):
        for name in ('hint', 'mute'):
            self.place(name, self.ACTIVE)
        self.house.kill_daemon()
        self.house.replay(QUIET)
        # Longer than what the clock of whole seconds leaves between work and check.
        self.house.configure({**HASTY, 'naptime_minutes': 0.05,
                              'sources': {'command/hint': {'policy': 'advisory'}, 'command/mute': {'policy': 'off'}}})
        changes = self.house.watcher.listen(MANAGER, 'StateChanged', PATH)
        self.house.start_daemon()
        wait_for(lambda: [state for state, _, _ in changes if state == 'warning'], 'the warning')

    def test_a_slow_one_ends_no_stop(self):
        """It may take as long as the manifest of its plugin has it, which is more than sources have by themselves."""
        self.place('queue', 'exec sleep 11')
        changes = self.house.watcher.listen(MANAGER, 'StateChanged', PATH)
        self.house.kill_daemon()
        self.house.replay(QUIET)
        self.house.configure({**HASTY, 'plugins': {'plugin_configs': {'command': {'timeout_seconds': 20}}}})
        self.house.start_daemon()
        wait_for(lambda: [state for state, _, _ in changes if state == 'idle'], 'it to be idle', 60)
        wait_for_file(lambda: 'waiting for command to say so again' in self.client.get('Reason'), 'the last look')
        wait_for(lambda: [state for state, _, _ in changes if state == 'warning'], 'the warning', 60)


if __name__ == '__main__':
    tap.main()
