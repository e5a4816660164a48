# SPDX-License-Identifier: Apache-2.0
"""The plugins that are installed and not enabled, with the real daemon: what their users see of them."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess

from gi.repository import GLib

import tap
from harness import BUILD, ERROR, PATH, PLUGIN, BusTest, wait_for


class Example(BusTest):
    daemon = False
    identifier = None

    def setUp(self):
        super().setUp()
        self.path = f'{PATH}/plugin/{self.identifier.replace("-", "_2d")}'
        place = BUILD / 'plugins' / self.identifier
        self.manifest = json.loads((place / 'plugin.json').read_text())
        self.house.place_plugin(self.identifier, place / self.identifier, self.manifest)

    def start(self, **configuration):
        self.house.configure({'plugins': {'plugin_configs': {self.identifier: configuration}}})
        self.house.start_daemon()

    def of(self, method, signature='()', arguments=()):
        return self.client.call(method, signature, arguments, PLUGIN, self.path)

    def get(self, name):
        return self.client.get(name, PLUGIN, self.path)

    def votes(self):
        self.house.check_now()
        _, _, votes = self.client.call('Explain')
        return {source: (verdict, reason, evidence) for source, verdict, reason, evidence in votes
                if source.split('/')[0] == self.identifier}

    def snooze(self, *arguments, text=None):
        return subprocess.run([BUILD / 'src/cli/cloudsnooze', *arguments], env=self.house.environment, capture_output=True, text=True,
                              input=text, timeout=120)


class Processes(Example):
    identifier = 'processes'

    def test_a_pattern_is_a_vote(self):
        mark = f'mark-{self.house.directory.name}'
        self.start(patterns=[f'job: cmdline={mark}', 'never: name=^no-such-program$'])
        self.assertEqual(self.votes()['processes/job'][:2], ('idle', 'no such process runs'))
        job = subprocess.Popen(['sh', '-c', 'echo; read line', mark], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(job.communicate)
        job.stdout.read(1)
        votes = self.votes()
        self.assertEqual(votes['processes/job'][:2], ('busy', 'sh runs'))
        self.assertEqual(votes['processes/job'][2]['policy'], 'required')
        self.assertEqual((votes['processes/never'][0], votes['processes'][0]), ('idle', 'idle'))
        self.assertNotIn(mark, json.dumps(votes))
        self.assertEqual(self.snooze('check', 'processes/job').returncode, 1)


class Storage(Example):
    identifier = 'storage'

    def call(self, method, *params, code=0, text=None):
        result = self.snooze('plugin', 'call', 'storage', method, *params, '--json', text=text)
        self.assertEqual(result.returncode, code, result.stderr)
        return json.loads(result.stdout)

    def test_what_is_stored_outlives_the_daemon_and_the_plugin(self):
        self.start()
        self.assertTrue(self.call('store', '{"key": "greeting", "value": "hello"}')['success'])
        # Of standard input nobody else learns.
        self.call('store', '-', text='{"key": "other", "value": "x"}')
        self.of('Restart')
        self.assertEqual(self.call('retrieve', '{"key": "greeting"}'), {'success': True, 'result': {'value': 'hello'}})
        self.house.end_daemon()
        self.house.start_daemon()
        self.assertEqual(self.call('list')['result']['keys'], ['greeting', 'other'])
        self.call('delete', '{"key": "greeting"}')
        self.assertFalse(self.call('retrieve', '{"key": "greeting"}', code=1)['success'])

    def kept(self):
        with contextlib.closing(sqlite3.connect(f'file:{self.house.directory}/state/snooze.db?mode=ro', uri=True)) as database:
            try:
                return [bytes(state) for state, in database.execute('SELECT state FROM plugin_state WHERE id = ?', ('storage',))]
            except sqlite3.OperationalError:
                return [] # a daemon answers before its database is there

    def test_what_was_stored_a_moment_ago_outlives_a_kill(self):
        self.start()
        self.call('store', '{"key": "greeting", "value": "hello"}')
        ticker = GLib.timeout_add(20, lambda: True)
        self.addCleanup(GLib.source_remove, ticker)
        wait_for(lambda: self.kept() == [b'greeting\0hello\0'], 'it to be kept')
        pid = self.get('Pid')
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.get('Pid') not in (0, pid), 'the next one')
        self.assertEqual(self.call('retrieve', '{"key": "greeting"}')['result'], {'value': 'hello'})

    def test_what_people_are_told(self):
        self.start()
        self.call('store', '{"key": "a", "value": "hello"}')
        self.assertEqual(self.snooze('plugin', 'call', 'storage', 'retrieve', '{"key": "a"}').stdout, 'value: hello\n')
        wrong = self.snooze('plugin', 'call', 'storage', 'retrieve', '{"name": "a"}')
        self.assertEqual(wrong.returncode, 1)
        self.assertIn('“name” is not known here', wrong.stderr)
        for text in ('[]', '{', '{"a": 1, "a": 2}'):
            self.assertEqual(self.snooze('plugin', 'call', 'storage', 'retrieve', text).returncode, 2)

    def test_a_mistake_of_who_asks_is_no_failure_of_it(self):
        self.start(max_kilobytes=1)
        self.of('Load')
        for params, name in (({'key': 'a'}, 'InvalidArgument'), ({'key': 'a', 'value': 'x' * 2000}, 'Refused')):
            self.assertFails(ERROR + name, 'Call', '(sa{sv})', ('store', {key: GLib.Variant('s', value) for key, value in params.items()}),
                             interface=PLUGIN, path=self.path)
            self.assertEqual((self.get('Healthy'), self.get('LastError')), (True, ''))
        self.assertEqual(self.of('GetStatistics')[0]['errors'], 0)

    def test_it_is_for_administrators(self):
        self.house.answer('no', 'io.cloudsnooze.snooze1.call-plugin')
        self.start()
        self.assertEqual(self.snooze('plugin', 'call', 'storage', 'list').returncode, 3)


class Analytics(Example):
    identifier = 'analytics'

    def test_through_the_daemon(self):
        self.start()
        answer = json.loads(self.snooze('plugin', 'call', 'analytics', 'analyse', '{"text": "1 2 3"}', '--json').stdout)
        self.assertEqual((answer['success'], answer['result']['metrics']['mean']), (True, 2))
        text = self.snooze('plugin', 'call', 'analytics', 'summary').stdout
        self.assertRegex(text, r'^metrics: .*mean 2\b')

    def test_a_stream_through_the_daemon(self):
        self.start()
        result = self.snooze('plugin', 'process', 'analytics', text='1 2\n3 4')
        self.assertEqual((json.loads(result.stdout)['mean'], result.returncode), (2.5, 0))
        copied = self.snooze('plugin', 'process', 'analytics', '--option', 'copy=true', text='1 2\n3 4')
        self.assertEqual(copied.stdout, '1 2\n3 4')
        self.assertRegex(copied.stderr, r'(?m)^mean: 2\.5$')
        wrong = self.snooze('plugin', 'process', 'analytics', '--option', 'copy=yes', text='1')
        self.assertEqual((wrong.returncode, wrong.stdout), (1, ''))
        self.assertIn('copy', wrong.stderr)


class UsagePattern(Example):
    identifier = 'usage-pattern'

    def test_it_is_a_hint_unless_somebody_says_otherwise(self):
        self.start()
        verdict, reason, evidence = self.votes()['usage-pattern']
        self.assertEqual((verdict, evidence['policy']), ('idle', 'advisory'))
        self.assertRegex(reason, r'^[A-Z][a-z]{2} \d\d:00: too little is known of this hour yet$')
        self.house.configure({'sources': {'usage-pattern': {'policy': 'required'}}})
        self.client.call('Reload')
        self.assertEqual(self.votes()['usage-pattern'][2]['policy'], 'required')

    def test_what_it_learnt_outlives_the_daemon(self):
        self.start()
        while self.votes()['usage-pattern'][2].get('seen_hours', 0) == 0:
            pass
        self.house.end_daemon()
        self.house.start_daemon()
        self.assertGreater(self.votes()['usage-pattern'][2]['seen_hours'], 0)


del Example

if __name__ == '__main__':
    tap.main()
