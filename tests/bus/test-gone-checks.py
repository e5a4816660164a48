# SPDX-License-Identifier: Apache-2.0
"""A check that is gone keeps no machine on, whichever way it went; one that is enabled and broken does, and says why."""

import json
import shutil

import tap
from counting import CONTRACTS, COUNTING, CountingTest
from harness import wait_for, wait_for_file

OBJECT_MANAGER = 'org.freedesktop.DBus.ObjectManager'
REST = ['State', 'RequestHandler']


class Gone(CountingTest):
    # Nobody asks it, and starts it for that, but who has it checked.
    interval = 3600

    def setUp(self):
        super().setUp()
        self.start()
        self.wait_for_idle('1.0.0')
        self.assertTrue(self.house.check_now()[0])

    def vote(self):
        """(verdict, reason) of it, or None: it has no say."""
        return {source: (verdict, reason) for source, verdict, reason, _ in self.client.call('Explain')[2]}.get('counting')

    def wait_for_vote(self, verdict, part):
        # No signal tells of a vote that changes no state.
        wait_for_file(lambda: (vote := self.vote()) and vote[0] == verdict and part in vote[1],
                      f'counting to say {verdict}: {part}')

    def wait_for_idle(self, version):
        """When it is asked again."""
        wait_for(lambda: self.house.check_now()[0] and self.vote() == ('idle', version), f'counting {version} to be idle')

    def wait_for_silence(self):
        wait_for_file(lambda: self.vote() is None, 'it to have no say any more')
        self.assertTrue(self.house.check_now()[0])
        self.assertIsNone(self.vote())

    def write_manifest(self, text):
        (self.directory / 'plugin.new').write_text(text)
        (self.directory / 'plugin.new').rename(self.directory / 'plugin.json')

    def break_manifest(self):
        self.whole = (self.directory / 'plugin.json').read_text()
        self.write_manifest('{"name": ')

    def assert_broken(self):
        self.wait_for_vote('unknown', 'counting is broken: ' + str(self.directory / 'plugin.json'))
        idle, reason = self.house.check_now()
        self.assertFalse(idle)
        self.assertIn('counting', reason)
        self.wait_for_vote('unknown', 'counting is broken')

    def set_config(self, **values):
        self.client.call('SetConfiguration', '(s)', (json.dumps(values),))

    def test_replaced_by_a_version_without_it_and_back(self):
        self.upgrade('2.0.0', contracts=REST)
        self.assertEqual((self.get('State'), self.get('Contracts')), ('running', REST))
        self.wait_for_silence()
        self.upgrade('3.0.0', contracts=CONTRACTS)
        self.wait_for_idle('3.0.0')

    def test_replaced_while_it_is_asked(self):
        self.upgrade('1.1.0', 'hangs-at-check')
        self.set_config(check_interval_seconds=1)
        wait_for_file((self.directory / 'asked').exists, 'it to be asked')
        # What it was asked before the switch ends after that.
        self.upgrade('2.0.0', contracts=REST)
        wait_for_file(lambda: self.processes() == [self.get('Pid')], 'the end of the old version')
        self.wait_for_silence()

    def test_rolled_back_to_a_version_that_has_it(self):
        self.upgrade('2.0.0', contracts=REST)
        # The trial of a version is short.
        self.assertIsNone(self.vote())
        self.fall_before('1.0.0', contracts=CONTRACTS)
        self.wait_for_problem('which runs again')
        self.wait_for_idle('1.0.0')

    def test_dropped_by_the_manifest_of_one_that_is_stopped(self):
        self.of('Unload')
        self.place('1.0.0', contracts=REST)
        wait_for(lambda: self.get('Contracts') == REST, 'the new manifest')
        self.wait_for_silence()

    def test_dropped_by_the_manifest_that_one_takes_when_it_ends(self):
        self.place('1.0.0', contracts=REST)
        self.discover()
        self.assertEqual(self.get('Contracts'), CONTRACTS)
        self.of('Unload')
        wait_for(lambda: self.get('Contracts') == REST, 'the new manifest')
        self.wait_for_silence()

    def test_broken_while_it_is_stopped_until_it_is_mended(self):
        self.of('Unload')
        self.break_manifest()
        self.assert_broken()
        self.write_manifest(self.whole)
        wait_for(lambda: self.get('State') != 'failed', 'it to be whole')
        self.wait_for_idle('1.0.0')

    def test_broken_and_then_disabled(self):
        self.of('Unload')
        self.break_manifest()
        self.assert_broken()
        self.of('Disable')
        self.wait_for_silence()

    def test_broken_and_then_removed(self):
        self.of('Unload')
        self.break_manifest()
        self.assert_broken()
        shutil.rmtree(self.directory)
        self.wait_for_silence()

    def managed(self):
        return self.client.call('GetManagedObjects', interface=OBJECT_MANAGER)[0]

    def wait_for_removal(self):
        wait_for_file(lambda: COUNTING not in self.managed(), 'it to be gone')
        self.wait_for_silence()
        self.assertEqual(self.processes(), [])

    def test_removed_with_all_that_lies_beside_it(self):
        shutil.rmtree(self.directory.parent)
        self.wait_for_removal()

    def test_moved_away_with_all_that_lies_beside_it(self):
        self.directory.parent.rename(self.house.directory / 'elsewhere')
        self.wait_for_removal()
        (self.house.directory / 'elsewhere').rename(self.directory.parent)
        wait_for_file(lambda: COUNTING in self.managed(), 'it to be found')
        self.wait_for_idle('1.0.0')

    def test_broken_before_the_daemon_began(self):
        self.of('Unload')
        self.house.kill_daemon()
        self.break_manifest()
        self.house.start_daemon()
        self.client = self.house.client()
        self.assert_broken()
        self.of('Disable')
        self.wait_for_silence()

    def test_one_that_never_voted_does_not_begin_to_when_it_is_broken(self):
        self.place('1.0.0', contracts=REST)
        self.of('Restart')
        self.of('Unload')
        self.wait_for_silence()
        self.break_manifest()
        wait_for(lambda: self.get('State') == 'failed', 'it to be broken')
        self.wait_for_silence()

    def test_all_plugins_off_while_it_is_stopped(self):
        self.of('Unload')
        self.set_config(plugins={'enabled': False})
        self.wait_for_silence()
        self.set_config(plugins={'enabled': True})
        self.wait_for_idle('1.0.0')

    def test_all_plugins_off_while_it_is_broken(self):
        self.of('Unload')
        self.break_manifest()
        self.assert_broken()
        self.set_config(plugins={'enabled': False})
        self.wait_for_silence()

    def test_all_plugins_off_while_it_is_quarantined(self):
        self.set_config(plugins={'max_restarts': 0})
        self.end()
        self.wait_for_state('quarantined')
        self.assertEqual(self.vote()[0], 'unknown')
        self.set_config(plugins={'enabled': False})
        self.wait_for_silence()


tap.main()
