# SPDX-License-Identifier: Apache-2.0
"""The event-endpoint with the real daemon: what is posted is journaled, handed out, and acknowledged."""

import http.client
import json
import socket
import threading

import tap
from gi.repository import GLib
from harness import BUILD, MANAGER, PATH, BusTest, wait_for

ENDPOINT = BUILD / 'plugins/event-endpoint'


class EventEndpoint(BusTest):
    daemon = False

    def setUp(self):
        super().setUp()
        self.path = self.house.directory / 'socket'
        self.house.place_plugin('event-endpoint', ENDPOINT / 'event-endpoint', json.loads((ENDPOINT / 'plugin.json').read_text()),
                                variables={'RUNTIME_DIRECTORY': self.house.directory})
        self.house.install_plugin('handler', BUILD / 'tests/bus/event-plugin', variables={'SURVIVE': self.house.directory / 'survive'},
                                  contracts=['EventHandler', 'RequestHandler'], events={'custom.*': {'priority': 1, 'enabled': True}},
                                  config_schema={'mode': {'type': 'string', 'description': 'What it does with an event', 'default': 'answer'}})
        self.finished = self.client.listen(MANAGER, 'EventFinished', PATH)
        self.house.start_daemon()
        wait_for(self.path.exists, 'the socket')

    def post(self, body):
        """The daemon's signals come to this process, too: it goes on while a thread waits."""
        results = []

        def work():
            connection = http.client.HTTPConnection('localhost', timeout=60)
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(str(self.path))
            connection.request('POST', '/events', json.dumps(body), {'Content-Type': 'application/json'})
            answer = connection.getresponse()
            results.append((answer.status, json.loads(answer.read())))
            connection.close()
            # The loop looks again.
            GLib.MainContext.default().wakeup()

        thread = threading.Thread(target=work)
        thread.start()
        self.addCleanup(thread.join)
        wait_for(lambda: results, 'the answer')
        return results[0]

    def end_of(self, identifier):
        wait_for(lambda: any(event == identifier for event, _, _ in self.finished), f'the end of {identifier}')
        return next((handled, results) for event, handled, results in self.finished if event == identifier)

    def listed(self):
        return {event['id']: event for event in self.client.call('ListEvents', '(u)', (1000,))[0]}

    def test_what_is_posted_is_handled_once_whatever_restarts(self):
        body = {'id': 'job-7', 'type': 'custom.job.done', 'severity': 1, 'data': {'job': 7}}
        self.assertEqual(self.post(body), (202, {'id': 'job-7'}))
        # It is kept as soon as that was answered.
        event = self.listed()['job-7']
        self.assertEqual((event['type'], event['source'], event['severity'], event['data']), ('custom.job.done', 'event-endpoint', 1, {'job': 7}))
        handled, results = self.end_of('job-7')
        self.assertEqual((handled, [row['plugin'] for row in results]), (True, ['handler']))
        self.assertEqual(self.post(body), (202, {'id': 'job-7'}))
        self.house.restart_daemon()
        wait_for(self.path.exists, 'the socket')
        self.assertEqual(self.post(body), (202, {'id': 'job-7'}))
        self.assertEqual(self.post({'type': 'custom.other', 'id': 'job-8'}), (202, {'id': 'job-8'}))
        self.end_of('job-8')
        self.assertEqual([event for event, _, _ in self.finished], ['job-7', 'job-8'])

    def test_many_in_a_row(self):
        ids = [self.post({'type': 'custom.test', 'id': f'n-{n}'})[1]['id'] for n in range(50)]
        for identifier in ids:
            self.end_of(identifier)
        self.assertEqual(set(self.listed()), set(ids))

    def test_no_other_type_comes_through(self):
        for kind in ('cloud.spot.interrupt', 'snooze.stop.pending', 'system.disk.low'):
            self.assertEqual(self.post({'type': kind})[0], 400)
        self.assertEqual(self.listed(), {})


if __name__ == '__main__':
    tap.main()
