# SPDX-License-Identifier: Apache-2.0
"""The event handlers that are installed and not enabled, with the real daemon: from EmitEvent to their results."""

import http.server
import json
import socket
import subprocess
import sys
import threading
import time
import unittest

import tap
from gi.repository import GLib
from harness import BUILD, PATH, PLUGIN, BusTest, wait_for
from systemd_stub import Systemd


class Handler(BusTest):
    daemon = False
    identifier = None

    def place(self, **variables):
        place = BUILD / 'plugins' / self.identifier
        self.manifest = json.loads((place / 'plugin.json').read_text())
        self.house.place_plugin(self.identifier, place / self.identifier, self.manifest, variables=variables)

    def start(self, **configuration):
        self.house.configure({'plugins': {'plugin_configs': {self.identifier: configuration}}})
        self.house.start_daemon()
        self.finished = self.client.listen('io.cloudsnooze.Snooze1.Manager', 'EventFinished')

    def emit(self, type_, left=100, **data):
        deadline = int((time.time() + left) * 1e6)
        return self.client.call('EmitEvent', '(suta{sv})', (type_, 1, deadline, data))[0]

    def result(self, identifier):
        """What this plugin said of the event."""
        wait_for(lambda: any(event == identifier for event, _, _ in self.finished), f'the end of {identifier}')
        _, handled, results = next(entry for entry in self.finished if entry[0] == identifier)
        row = next(row for row in results if row['plugin'] == self.identifier)
        self.assertEqual(handled, row['handled'])
        return row


    def whole_result(self, identifier):
        """The same with what a program wrote, which is root's to read."""
        self.result(identifier)
        listed = []

        def find():
            listed[:] = [event for event in self.client.call('ListEvents', '(u)', (1000,))[0] if event['id'] == identifier and event['finished']]
            return listed

        wait_for(find, f'the end of {identifier} on the disk')
        return next(row for row in listed[0]['results'] if row['plugin'] == self.identifier)


class SpotHandler(Handler):
    identifier = 'spot-handler'

    def script(self, text):
        path = self.house.directory / 'script'
        path.write_text('#!/bin/sh\n' + text + '\n')
        path.chmod(0o755)
        return str(path)

    def test_a_notice_runs_the_script_once(self):
        self.place(SNOOZE_TRUST_OWN_PROGRAMS=1)
        self.start(shutdown_script_path=self.script('echo "$SNOOZE_EVENT_TYPE"; exit 0'))
        identifier = self.emit('cloud.spot.interrupt')
        self.assertNotIn('script_output', self.result(identifier)['result'])
        row = self.whole_result(identifier)
        self.assertEqual((row['handled'], row['result']['success'], row['result']['script_output']),
                         (True, True, 'cloud.spot.interrupt\n'))
        row = self.result(self.emit('cloud.instance.termination'))
        self.assertEqual((row['handled'], row['result']), (True, {'status': 'already_handled'}))
        # Nor after both were started anew.
        self.house.end_daemon()
        self.house.start_daemon()
        row = self.result(self.emit('cloud.spot.interrupt'))
        self.assertEqual(row['result'], {'status': 'already_handled'})

    def test_a_script_that_hangs_ends_before_the_deadline(self):
        self.place(SNOOZE_TRUST_OWN_PROGRAMS=1)
        self.start(shutdown_script_path=self.script('exec sleep 1000'))
        # What is left is the script's, not its start's.
        self.client.call('LoadPlugin', '(s)', (self.identifier,))
        row = self.result(self.emit('cloud.spot.interrupt', left=19))
        self.assertRegex(row['result']['error'], 'was ended after .* there was no more time')

    def test_a_script_that_is_not_there(self):
        self.place(SNOOZE_TRUST_OWN_PROGRAMS=1)
        self.start(shutdown_script_path='/does/not/exist')
        row = self.result(self.emit('cloud.spot.interrupt'))
        self.assertFalse(row['handled'])
        self.assertIn('shutdown_script_path: /does/not/exist: No such file', row['error'])


class Drain(Handler):
    identifier = 'drain'

    def setUp(self):
        super().setUp()
        self.place()
        self.start(units=['web.service'], restart_after_seconds=0)
        # A daemon that sees systemd would have it start its plugins.
        self.client.call('LoadPlugin', '(s)', ('drain',))
        self.systemd = Systemd(self.house.client().connection, web_service='active', other_service='active')

    def emit_later(self, type_, **data):
        """systemd is this process, which has to go on answering."""
        result = self.client.send('EmitEvent', '(suta{sv})', (type_, 3, int((time.time() + 100) * 1e6), data))
        wait_for(lambda: result, 'the id of the event')
        return result[0][0][0]

    def test_a_unit_is_stopped_and_started_again(self):
        row = self.result(self.emit_later('cloud.spot.interrupt'))
        self.assertEqual((row['handled'], row['result']['stopped'], row['result']['success']),
                         (True, ['web.service'], True))
        self.assertEqual(self.systemd.units, {'web.service': 'inactive', 'other.service': 'active'})
        row = self.result(self.emit_later('cloud.spot.interrupt', cancelled=GLib.Variant('b', True)))
        self.assertEqual(row['result']['started'], ['web.service'])
        self.assertEqual(self.systemd.units['web.service'], 'active')


class Checkpoint(Handler):
    identifier = 'checkpoint'

    def test_a_job_saves_its_work(self):
        mark = f'mark-{self.house.directory.name}'
        # One process: a child of it would be called the same until it runs something else.
        program = ('import signal, sys\nsignal.signal(signal.SIGUSR1, lambda *_: sys.exit(7))\nprint("ready", flush=True)\n'
                   'while True:\n    signal.pause()')
        job = subprocess.Popen([sys.executable, '-c', program, mark], stdout=subprocess.PIPE)
        self.addCleanup(job.communicate)
        job.stdout.readline()
        self.place()
        self.start(jobs=[f'job: cmdline={mark} signal=USR1'])
        row = self.result(self.emit('cloud.spot.interrupt'))
        self.assertEqual((row['handled'], row['result']['success'], row['result']['done']), (True, True, 1))
        self.assertEqual(job.wait(60), 7)
        self.assertNotIn(mark, json.dumps(row))


class DatabaseFlusher(Handler):
    identifier = 'database-flusher'

    def test_a_password_stays_where_it_is(self):
        with socket.socket() as taken:
            taken.bind(('127.0.0.1', 0))
            self.place()
            self.start(db_type='redis', connection_string=f'redis://:pa55word@127.0.0.1:{taken.getsockname()[1]}')
            row = self.result(self.emit('cloud.spot.interrupt'))
        self.assertFalse(row['handled'])
        said = [json.dumps(row), json.dumps(self.client.call('GetHistory', '(ttu)', (0, 0, 100))),
                self.client.call('GetConfiguration')[0],
                json.dumps(self.client.call('GetConfiguration', interface=PLUGIN,
                                            path=f'{PATH}/plugin/database_2dflusher'))]
        for text in said:
            self.assertNotIn('pa55word', text)


class Notify(Handler):
    identifier = 'notify'

    def test_an_event_becomes_a_mail(self):
        program = self.house.directory / 'sendmail'
        program.write_text(f'#!/bin/sh\ncat > {self.house.directory}/mail.new; mv {self.house.directory}/mail.new {self.house.directory}/mail\n')
        program.chmod(0o755)
        self.place(SNOOZE_TRUST_OWN_PROGRAMS=1, SNOOZE_TERMINAL_DEVICES=self.house.directory)
        self.start(recipients=['root'], sendmail_path=str(program))
        row = self.result(self.emit('system.disk.low', reason=GLib.Variant('s', '/srv')))
        self.assertEqual((row['handled'], row['result']['mailed']), (True, True))
        mail = (self.house.directory / 'mail').read_text()
        self.assertIn('A disk is nearly full: /srv\n', mail)


@unittest.skipUnless((BUILD / 'plugins/webhook/webhook').exists(), 'impossible here: built without libcurl')
class Webhook(Handler):
    identifier = 'webhook'

    def test_an_event_is_posted_and_its_url_stays_a_secret(self):
        got = []

        class Receiver(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                got.append((self.path, json.loads(self.rfile.read(int(self.headers['Content-Length'])))))
                self.send_response(200)
                self.send_header('Content-Length', '0')
                self.end_headers()

        server = http.server.HTTPServer(('127.0.0.1', 0), Receiver)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(lambda: (server.shutdown(), server.server_close(), thread.join()))
        url = f'http://127.0.0.1:{server.server_port}'
        self.place()
        self.start(urls=[url + '/pa55word'], headers=['X-Mine: pa55word'], secret='pa55word-pa55word')
        row = self.result(self.emit('system.disk.low', reason=GLib.Variant('s', '/srv')))
        self.assertEqual((row['handled'], row['result']['urls']), (True, [{'url': url, 'status': 200, 'attempts': 1}]))
        (path, body), = got
        self.assertEqual((path, body['type'], body['data']), ('/pa55word', 'system.disk.low', {'reason': '/srv'}))
        for text in (json.dumps(self.client.call('GetHistory', '(ttu)', (0, 0, 100))), self.client.call('GetConfiguration')[0],
                     json.dumps(self.client.call('GetConfiguration', interface=PLUGIN, path=f'{PATH}/plugin/webhook'))):
            self.assertNotIn('pa55word', text)


del Handler

if __name__ == '__main__':
    tap.main()
