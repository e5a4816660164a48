# SPDX-License-Identifier: Apache-2.0
"""A plugin that is a shell script, behind its interpreter and under the daemon: what a script that misbehaves costs."""

import contextlib
import os
import pathlib
import signal

import tap
from harness import BUILD, PATH, PLUGIN, QUIET, BusTest, wait_for_file

INTERPRETER = BUILD / 'src/bridge/shell/snooze-plugin-shell'
MANIFEST = {'name': 'script', 'version': '1.0.0', 'api': 1, 'exec': 'script', 'contracts': ['IdleCheck'], 'permissions': [],
            'config_schema': {}, 'timeouts': {'check': 30}}
# For what is to be ended when it is over; a slow machine says who it is in it, too.
SHORT = {'check': 3}
# Its output has ended, it has not.
HANGS = '''
[ -e {good} ] && {{ echo nothing; exit 0; }}
echo almost done
exec >&-
echo $$ > {place}/pid
exec sleep 600
'''


class Script(BusTest):
    daemon = False

    def setUp(self):
        super().setUp()
        self.good = self.house.directory / 'good'

    def start(self, text, timeouts=None, **variables):
        script = self.house.directory / 'script'
        script.write_text(f'#!{INTERPRETER}\n' + text.format(good=self.good, place=self.house.directory))
        self.house.place_plugin('script', script, {**MANIFEST, 'timeouts': timeouts or MANIFEST['timeouts']}, variables=variables)
        self.house.replay(QUIET)
        self.house.start_daemon()

    def vote(self):
        self.house.check_now()
        _, _, votes = self.client.call('Explain')
        return next((verdict, reason) for source, verdict, reason, _ in votes if source == 'script')

    def get(self, name):
        return self.client.get(name, PLUGIN, f'{PATH}/plugin/script')

    def hanging(self):
        """The process of the script that hangs; ended with the test."""
        told = self.house.directory / 'pid'
        wait_for_file(lambda: told.exists() and told.read_text().endswith('\n'), 'the script')
        pid = int(told.read_text())

        def end():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.addCleanup(end)
        return pid

    def test_one_that_closes_its_output_and_hangs_is_ended_in_time(self):
        self.start(HANGS, SHORT)
        self.assertEqual(self.vote()[0], 'unknown')
        hanging, plugin = self.hanging(), self.get('Pid')
        wait_for_file(lambda: not pathlib.Path(f'/proc/{hanging}').exists(), 'the end of the script', 20)
        threads = pathlib.Path(f'/proc/{plugin}/task')
        wait_for_file(lambda: len(list(threads.iterdir())) == 1, 'its thread to end')
        self.good.touch()
        wait_for_file(lambda: self.vote() == ('idle', 'nothing'), 'it to say so')
        self.assertEqual(self.get('Pid'), plugin)

    def leaves(self, leave, **variables):
        self.start(HANGS, SHORT, **variables)
        self.client.send('CheckNow')
        self.hanging()
        plugin = self.get('Pid')
        # Which would end it by itself.
        self.house.kill_daemon()
        leave(plugin)
        wait_for_file(lambda: not pathlib.Path(f'/proc/{plugin}').exists(), 'the end of the plugin', 20)

    def test_one_that_hangs_does_not_keep_a_plugin_that_is_to_end(self):
        self.leaves(lambda plugin: os.kill(plugin, signal.SIGTERM))

    def test_one_that_hangs_does_not_keep_a_plugin_whose_daemon_is_gone(self):
        self.leaves(lambda plugin: None, SNOOZE_HOST_EXIT='1')

    def test_one_that_leaves_something_behind_takes_it_along(self):
        self.start('sleep 600 >&- 2>&- &\necho $! > {place}/pid\necho busy as ever\nexit 1\n')
        self.assertEqual(self.vote(), ('busy', 'busy as ever'))
        left = self.hanging()
        wait_for_file(lambda: not pathlib.Path(f'/proc/{left}/cmdline').exists() or
                      not pathlib.Path(f'/proc/{left}/cmdline').read_bytes(), 'the end of what it left behind')

    def test_one_that_is_asked_about_a_subject_reads_which(self):
        self.start("""env >{place}/environment
sed 's/.*"subject":"\\([a-z]*\\)".*/{{"reason": "r", "votes": [{{"name": "\\1", "verdict": "busy", "reason": "it is"}}]}}/'
exit 1
""")
        self.house.check_now()
        self.assertEqual(self.client.call('CheckSubject', '(s)', ('queue',), PLUGIN, f'{PATH}/plugin/script'), ('busy', 'it is', {}))
        environment = (self.house.directory / 'environment').read_text()
        # It is no metric.
        self.assertIn('SNOOZE_METRIC_', environment)
        self.assertNotIn('SNOOZE_METRIC_SUBJECT', environment)


if __name__ == '__main__':
    tap.main()
