# SPDX-License-Identifier: Apache-2.0
"""What kept a plugin from running is gone: it is as any other that may run, however it ended before."""

import json
import os
import signal

import tap
from counting import CountingTest
from harness import continue_if_there, wait_for_file


class Again(CountingTest):
    def vote(self):
        return {source: verdict for source, verdict, _, _ in self.client.call('Explain')[2]}.get('counting')

    def wait_for_vote(self, verdict):
        # No signal tells of a vote that changes no state.
        wait_for_file(lambda: self.vote() == verdict, f'counting to say {verdict}')

    def set_config(self, **values):
        self.client.call('SetConfiguration', '(s)', (json.dumps(values),))

    def fall_at_the_farewell(self, send_away):
        self.start()
        self.wait_for_vote('idle')
        pid = self.get('Pid')
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(continue_if_there, pid)
        send_away()
        self.assertEqual(self.get('State'), 'draining')
        os.kill(pid, signal.SIGKILL)
        self.wait_for_state('failed')
        self.assertIsNone(self.vote())

    def test_one_that_fell_when_it_was_disabled(self):
        self.fall_at_the_farewell(lambda: self.of('Disable'))
        self.of('Enable')
        self.assertEqual((self.get('State'), self.get('LastError')), ('discovered', ''))
        self.wait_for_vote('idle')

    def test_one_that_fell_when_plugins_were_turned_off(self):
        self.fall_at_the_farewell(lambda: self.set_config(plugins={'enabled': False}))
        self.set_config(plugins={'enabled': True})
        self.wait_for_vote('idle')

    def test_one_that_waited_for_its_restart_when_plugins_were_turned_off(self):
        self.start()
        self.wait_for_vote('idle')
        # Longer and longer, so that this comes before it.
        for _ in range(2):
            self.end()
            self.wait_for_state('failed')
            self.wait_for_state('running')
        self.end()
        self.wait_for_state('failed')
        restarts = self.get('Restarts')
        self.set_config(plugins={'enabled': False})
        self.assertEqual((self.get('State'), self.get('Restarts')), ('stopped', restarts))
        self.set_config(plugins={'enabled': True})
        self.wait_for_vote('idle')
        self.assertEqual(self.get('Restarts'), restarts)


tap.main()
