# SPDX-License-Identifier: Apache-2.0
"""snoozed under valgrind through one whole passage: no wrong access, and nothing lost at its end."""

import os
import pathlib
import shutil
import signal
import unittest

import methods
import tap
from harness import MANAGER, PATH, PLUGIN, PROVIDER, QUIET, House, error_name, wait_for, wait_for_file

ERRORS = 99
SUPPRESSIONS = pathlib.Path('/usr/share/glib-2.0/valgrind/glib.supp')
VALGRIND = ['valgrind', '--quiet', f'--error-exitcode={ERRORS}', '--leak-check=full', '--show-leak-kinds=definite',
            '--errors-for-leak-kinds=definite', '--num-callers=40']

# Busy long enough to be seen, then quiet for good; the naptime and both ends of the warning pass within a minute.
TRACE = [{**QUIET, 'cpu_usage': 90}, {'t': 5, 'cpu_usage': 0.5}]
CONFIGURATION = {'provider': 'cloud', 'naptime_minutes': 0.1, 'warning_minutes': 0.05, 'min_uptime_minutes': 0,
                 'check_interval_seconds': 2,
                 'sample_interval_seconds': 0.5, 'window_seconds': 3, 'burst_seconds': 1, 'long_window_seconds': 3,
                 'max_delay_seconds': 5, 'sources': {'sessions': {'policy': 'advisory'}}}

READING = [
    (MANAGER, PATH, 'GetMetrics', '()', ()), (MANAGER, PATH, 'Explain', '()', ()), (MANAGER, PATH, 'ListHolds', '()', ()),
    (MANAGER, PATH, 'GetHistory', '(ttu)', (0, 0, 100)), (MANAGER, PATH, 'GetSamples', '(ttu)', (0, 0, 100)),
    (MANAGER, PATH, 'ListEvents', '(u)', (100,)), (MANAGER, PATH, 'GetConfiguration', '()', ()),
    (MANAGER, PATH, 'GetConfigurationOrigins', '()', ()), (MANAGER, PATH, 'Diagnose', '()', ()),
    (MANAGER, PATH, 'ListPlugins', '()', ()), (MANAGER, PATH, 'SearchPlugins', '(sa{sv})', ('', {})),
    (MANAGER, PATH, 'DiscoverPlugins', '()', ()), (MANAGER, PATH, 'GetManagedObjects', '()', ()),
    (PLUGIN, methods.EXAMPLE_PLUGIN, 'GetConfiguration', '()', ()), (PLUGIN, methods.EXAMPLE_PLUGIN, 'GetStatistics', '()', ()),
    (PLUGIN, methods.EXAMPLE_PLUGIN, 'GetResources', '()', ()),
]


class Passage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not shutil.which('valgrind'):
            raise unittest.SkipTest('valgrind is not installed')
        cls.house = house = House(CONFIGURATION, daemon=False)
        cls.addClassCleanup(house.close)
        house.install_stock()
        house.install_example()
        house.install_cloud()
        house.replay(*TRACE)
        house.daemon_prefix = VALGRIND + [f'--suppressions={SUPPRESSIONS}'] * SUPPRESSIONS.exists()
        # What valgrind knows to follow: every piece its own allocation.
        house.environment |= {'G_SLICE': 'always-malloc', 'G_DEBUG': 'gc-friendly'}
        cls.client = house.client()
        cls.changes = house.watcher.listen(MANAGER, 'StateChanged', PATH)
        house.start_daemon()

    def explain(self):
        return self.house.daemon.output().splitlines()

    def test_1_from_active_to_stopped_and_back(self):
        wait_for(lambda: ('idle', 'stopped') in [change[:2] for change in self.changes], 'the end of the rehearsal')
        seen = [state for state, _, _ in self.changes]
        for state in ('warning', 'stopping', 'stopped', 'idle'):
            self.assertIn(state, seen)
        self.assertLess(seen.index('idle'), seen.index('warning'))

    def test_2_every_method(self):
        for interface, path, member, signature, arguments in READING:
            destination = 'org.freedesktop.DBus.ObjectManager' if member == 'GetManagedObjects' else interface
            self.client.call(member, signature, arguments, destination, path)
        for interface, path in ((MANAGER, PATH), (PLUGIN, methods.EXAMPLE_PLUGIN), (PROVIDER, methods.EXAMPLE_PROVIDER)):
            self.client.call('GetAll', '(s)', (interface,), 'org.freedesktop.DBus.Properties', path)
        for mode in ('refuse', 'allow'):
            self.house.answer(mode)
            for interface, member, signature, arguments, _ in methods.all_examples():
                if mode == 'refuse' and callable(arguments):
                    continue
                # One check a second and caller.
                caller = self.house.client()
                _, error = methods.call(self.house, caller, interface, member, signature, arguments)
                self.assertEqual(error is None, mode == 'allow', f'{member}: {error and error_name(error)} {error}')
                if mode == 'allow':
                    methods.tidy(caller, member)
                caller.close()

    def test_3_reload(self):
        self.house.configure({**CONFIGURATION, 'naptime_minutes': 50})
        self.house.daemon.popen.send_signal(signal.SIGHUP)
        wait_for_file(lambda: '"naptime_minutes":50' in self.client.call('GetConfiguration')[0].replace(' ', ''), 'the new configuration')

    def test_4_no_error_and_no_leak(self):
        status = self.house.kill_daemon(signal.SIGTERM)
        self.assertEqual(status, 0, 'valgrind found errors' if status == ERRORS else f'snoozed ended with {status}')


if __name__ == '__main__':
    os.environ.setdefault('PYTHONDONTWRITEBYTECODE', '1')
    tap.main()
