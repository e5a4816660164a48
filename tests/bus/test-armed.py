# SPDX-License-Identifier: Apache-2.0
"""An armed stop and a provider that takes it, refuses it, is throttled, or never answers; and a daemon that dies meanwhile. The
provider is never asked twice without a look at the instance in between, and Provider.StopInstance has the Manager's rules."""

import contextlib
import json
import os
import pathlib
import signal
import sqlite3
import time

from gi.repository import GLib

import tap
from harness import ERROR, MANAGER, PATH, PLUGIN, PROVIDER, wait_for, wait_for_file
from stops import CLOUD, HASTY, HOUR, StopTest, b, s, t


class Answers(StopTest):
    timeouts = {'provider': 2}

    def test_accepted(self):
        self.start(stop='accept-and-hang')
        self.stop('going home')
        self.wait_until_asked()
        # Written before the question: whatever becomes of this process, the next boot knows.
        self.assertEqual(self.record()['provider'], 'cloud')
        self.assertIn('going home', self.record()['reason'])
        self.wait_for_state('stopped')
        self.assertIsNotNone(self.record())
        self.assertEqual(self.outcomes(), ['accepted'])
        self.assertEqual(self.stops_asked(), 1)
        (_, (instance, options)), = [call for call in self.house.asked_of() if call[0] == 'StopInstance']
        self.assertEqual((instance, options['action']), ('', 'stop'))
        self.assertFails(ERROR + 'TooLate', 'CancelStop', '(s)', ('',))
        self.assertFails(ERROR + 'Busy', 'StopInstance', '(sa{sv})', ('', {}))

    def test_the_action_is_handed_on(self):
        self.start()
        self.stop(action=s('hibernate'))
        self.wait_for_state('stopped')
        self.assertEqual(self.actions(), ['hibernate'])
        self.assertEqual(self.record()['action'], 'hibernate')

    def test_held_by_what_the_daemon_could_not_see(self):
        self.start(stop=['held', 'ok'])
        self.stop()
        wait_for(lambda: any(previous == 'stopping' for _, previous, _ in self.changes), 'the end of the stop')
        self.assertEqual(self.outcomes(), ['held'])
        self.assertIn('apt inhibits it', [reason for _, previous, reason in self.changes if previous == 'stopping'][0])
        self.assertEqual(self.client.get('Refusal'), '')
        self.assertIsNone(self.record())
        self.stop()
        self.wait_for_state('stopped')

    def test_throttled(self):
        self.start(stop=['throttle', 'ok'])
        self.stop()
        self.wait_until_asked()
        self.assertIn(self.client.get('State'), ('stopping', 'stopped'))
        self.wait_for_state('stopped')
        self.assertEqual(self.stops_asked(), 2)
        self.assert_never_blindly_twice()
        self.assertEqual(self.outcomes(), ['accepted'])
        self.assertEqual(self.client.get('Refusal'), '')

    def test_throttled_and_called_off(self):
        self.start(stop='throttle')
        self.stop()
        # No signal tells of it, and the next attempt is not to come before it is seen.
        wait_for_file(lambda: 'slow down' in self.client.get('Reason'), 'the answer')
        self.client.call('CancelStop', '(s)', ('not today',))
        wait_for(lambda: self.client.get('State') in ('active', 'idle'), 'the end of the stop')
        self.assertEqual(self.stops_asked(), 1)
        self.house.kill_daemon(signal.SIGTERM)
        self.assertIsNone(self.record())

    def test_reply_lost_after_acceptance(self):
        self.start(stop='accept-and-die')
        self.stop()
        self.wait_for_state('stopped')
        self.assertEqual(self.stops_asked(), 1)
        self.assertEqual(self.outcomes(), ['accepted'])
        self.assertIsNotNone(self.record())

    def test_no_answer_and_no_stop(self):
        self.start(stop=['hang', 'ok'])
        self.stop()
        self.wait_for_state('stopped')
        self.assertEqual(self.stops_asked(), 2)
        self.assert_never_blindly_twice()


class OverdueTest(StopTest):
    """A provider that has not answered in time may yet do what it was asked, so it is ended before anybody is told that it did not."""

    def process(self):
        return self.client.get('Pid', PLUGIN, f'{PATH}/plugin/cloud')

    def is_running(self, pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] not in 'ZX'
        return False

    def wait_for_another_than(self, pid):
        wait_for(lambda: self.process() not in (0, pid) and self.client.get('State', PLUGIN, f'{PATH}/plugin/cloud') == 'running', 'another')


class Overdue(OverdueTest):
    timeouts = {'provider': 2}

    def cancel_when_possible(self):
        wait_for_file(lambda: 'did not answer' in self.client.get('Reason'), 'the end of its time')
        self.client.call('CancelStop', '(s)', ('somebody is back',))

    def test_a_stop_that_was_called_off_does_not_come(self):
        self.start(stop='late')
        first = self.process()
        self.stop()
        self.wait_until_asked()
        self.cancel_when_possible()
        self.assertFalse(self.is_running(first))
        (self.house.directory / 'plugins/cloud/mercy').touch()
        self.wait_for_another_than(first)
        self.assertEqual(self.client.call('GetInstanceInfo', '(s)', ('',), PROVIDER, CLOUD)[0]['state'], 'running')
        self.assertNotIn('stopped late', self.asked())
        self.assertIn(self.client.get('State'), ('active', 'idle'))

    def test_nor_does_that_of_one_who_was_put_to_sleep(self):
        self.start(stop='late')
        first = self.process()
        self.stop()
        self.wait_until_asked()
        # Its time may be over by now, and it with it.
        with contextlib.suppress(ProcessLookupError):
            os.kill(first, signal.SIGSTOP)
        self.cancel_when_possible()
        self.assertFalse(self.is_running(first))

    def test_it_is_asked_again_by_another_process(self):
        self.start(stop=['late', 'ok'])
        first = self.process()
        self.stop()
        self.wait_for_state('stopped')
        self.assertFalse(self.is_running(first))
        self.assertEqual(self.stops_asked(), 2)
        self.assert_never_blindly_twice()
        # Slow, not broken.
        self.assertEqual(self.client.get('Restarts', PLUGIN, f'{PATH}/plugin/cloud'), 1)
        self.assertEqual(self.client.get('State', PLUGIN, f'{PATH}/plugin/cloud'), 'running')

    def test_whoever_asks_for_what_has_an_effect(self):
        self.start(stop='late', tags='hang', start='hang')
        for method, signature, arguments in (('StopInstance', '(sa{sv})', ('i-other', {})), ('StartInstance', '(sa{sv})', ('i-other', {})),
                                             ('SetTags', '(a{ss})', ({'a': 'b'},))):
            with self.subTest(method=method):
                before = self.process()
                self.assertFails(ERROR + 'TimedOut', method, signature, arguments, interface=PROVIDER, path=CLOUD, part=f'did not answer {method}')
                self.assertFalse(self.is_running(before))
                self.wait_for_another_than(before)

    def test_what_has_none_ends_nobody(self):
        self.start()
        before = self.process()
        self.house.behave(detect=True, info='hang')
        self.assertFails(ERROR + 'TimedOut', 'GetInstanceInfo', '(s)', ('',), interface=PROVIDER, path=CLOUD)
        self.assertEqual(self.process(), before)
        self.assertTrue(self.is_running(before))


class Orphaned(OverdueTest):
    """The daemon that asked died before the provider's time was over."""

    timeouts = {'provider': 20}

    def test_a_stop_that_it_asked_for_does_not_come(self):
        self.start(stop='late')
        first = self.process()
        self.stop()
        self.wait_until_asked()
        self.house.restart_daemon()
        wait_for_file(lambda: 'a daemon before this one had asked' in self.client.get('Reason'), 'the new daemon to know')
        self.client.call('CancelStop', '(s)', ('somebody is back',))
        self.assertFalse(self.is_running(first))
        self.wait_for_another_than(first)


class Forced(StopTest):
    """A stop that holds do not end: nobody is told that the machine stays on where it does not."""

    def request(self, **options):
        self.start()
        self.stop('going home', force=b(True), delay=t(HOUR), **options)
        self.wait_for_state('warning')

    def notices(self):
        return [event['data']['notice'] for event in self.client.call('ListEvents', '(u)', (100,))[0] if 'notice' in event['data']]

    def test_what_the_notice_says_helps(self):
        cancelled = self.house.watcher.listen(MANAGER, 'StopCancelled', PATH)
        self.request()
        self.assertIn('Keep it on: snooze postpone 2h', self.notices()[-1])
        since = self.client.get('IdleSince')
        self.client.call('Postpone', '(ts)', (2 * HOUR, 'still here'))
        wait_for(lambda: cancelled, 'the end of the warning')
        self.assertRegex(cancelled[0][0], '^[^ ]+ postponed: still here$')
        self.wait_for_state('idle')
        self.assertGreater(self.client.get('NextStop'), time.time() * 1_000_000 + HOUR)
        self.assertLessEqual(abs(self.client.get('IdleSince') - since), 1_000_000)
        self.house.restart_daemon()
        self.wait_for_state('idle')
        self.assertEqual((self.warnings(), self.stops_asked()), (1, 0))

    def test_a_hold_that_would_be_in_vain_is_refused(self):
        self.request()
        for method, signature, arguments in (('Hold', '(sss)', ('pytest', 'a run', 'block')), ('HoldFor', '(ts)', (HOUR, 'lunch'))):
            message = self.assertFails(ERROR + 'Busy', method, signature, arguments)
            self.assertIn(': going home)', message)
            self.assertIn('snooze cancel', message)
        self.assertEqual(self.client.get('Holds'), 0)
        self.addCleanup(os.close, self.delay_hold())
        self.client.call('CancelStop', '(s)', ('not today',))
        cookie, = self.client.call('HoldFor', '(ts)', (HOUR, 'lunch'))
        self.assertGreater(cookie, 0)

    def test_holds_stand_beside_a_rehearsal(self):
        self.request(**{'dry-run': b(True)})
        self.client.call('HoldFor', '(ts)', (HOUR, 'lunch'))
        self.assertEqual(self.client.get('State'), 'warning')
        self.client.call('Postpone', '(ts)', (HOUR, ''))
        self.wait_for_state('idle')


class NextBoot(StopTest):
    """It says whether the stop was ours."""

    def boot(self):
        self.house.kill_daemon()
        (self.house.directory / 'run/boot').unlink()
        self.house.start_daemon()

    def wait_for_greeting(self):
        wait_for(lambda: self.client.get('Greeting'), 'the greeting')
        return self.client.get('Greeting')

    def test_it_was_not(self):
        self.start()
        # The very first one has nothing to compare with.
        self.client.call('GetHistory', '(ttu)', (0, 0, 1))
        self.assertEqual(self.client.get('Greeting'), '')
        self.house.restart_daemon()
        self.client.call('GetHistory', '(ttu)', (0, 0, 1))
        self.assertEqual(self.client.get('Greeting'), '')
        self.boot()
        self.assertRegex(self.wait_for_greeting(), '^Back since .* has no stop of its own on record$')
        self.assertEqual(self.outcomes(), [])
        # Told once.
        self.house.restart_daemon()
        self.client.call('GetHistory', '(ttu)', (0, 0, 1))
        self.assertEqual(self.client.get('Greeting'), '')

    def test_it_was(self):
        self.start()
        self.stop('going home')
        self.wait_for_state('stopped')
        # Answered behind what is still to be written.
        self.assertEqual(self.outcomes(), ['accepted'])
        self.boot()
        self.assertRegex(self.wait_for_greeting(), '^Stopped .*going home')
        self.assertEqual(self.outcomes(), ['accepted', 'back'])
        self.boot()
        self.assertRegex(self.wait_for_greeting(), '^Back since .* has no stop of its own on record$')


class Tags(StopTest):
    settings = {'enable_instance_tags': True, 'tagging_prefix': 'Night', 'detailed_instance_tags': True}

    def test_they_are_written_before_the_question(self):
        self.start()
        self.stop('going home')
        self.wait_for_state('stopped')
        (tags,), = [arguments for method, arguments in self.house.asked_of() if method == 'SetTags']
        self.assertIn('going home', tags['Night:StopReason'])
        self.assertRegex(tags['Night:StopTimestamp'], r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$')
        self.assertEqual(tags['Night:Status'], 'stopped')
        self.assertIn('Night:memory_usage', tags)
        self.assertLess(self.asked().index('SetTags'), self.asked().index('StopInstance'))

    def statuses(self):
        return [arguments[0]['Night:Status'] for method, arguments in self.house.asked_of() if method == 'SetTags']

    def test_one_that_is_called_off_behind_them_takes_the_status_back(self):
        self.start(stop='throttle')
        self.stop()
        wait_for_file(lambda: 'slow down' in self.client.get('Reason'), 'the answer')
        self.assertEqual(self.statuses(), ['stopped'])
        self.client.call('CancelStop', '(s)', ('not today',))
        wait_for_file(lambda: self.statuses() == ['stopped', 'running'], 'the tag to be taken back')
        # The next one has the last word.
        self.house.behave(stop='ok')
        self.stop()
        self.wait_for_state('stopped')
        self.assertEqual(self.statuses(), ['stopped', 'running', 'stopped'])

    def test_one_that_is_refused_does_so_too(self):
        self.start(stop='refuse')
        self.stop()
        wait_for_file(lambda: self.statuses() == ['stopped', 'running'], 'the tag to be taken back')

    def test_a_machine_that_is_back_says_so(self):
        self.start()
        self.stop()
        self.wait_for_state('stopped')
        self.house.kill_daemon()
        (self.house.directory / 'plugins/cloud/state').unlink()
        with contextlib.closing(sqlite3.connect(self.house.directory / 'state/snooze.db')) as database, database:
            record = {**self.record(), 'boot': 'another'}
            database.execute("UPDATE record SET value = ? WHERE key = 'stop'", (json.dumps(record),))
            database.execute("DELETE FROM record WHERE key != 'stop'")
        self.house.start_daemon()
        wait_for_file(lambda: self.statuses() == ['stopped', 'running'], 'the tag to be taken back')

    def test_a_rehearsal_writes_none(self):
        self.start()
        self.stop(**{'dry-run': b(True)})
        wait_for(lambda: any(previous == 'stopped' for _, previous, _ in self.changes), 'the end of the rehearsal')
        self.assertNotIn('SetTags', self.asked())

    def test_a_stop_does_without(self):
        self.start(tags='refuse')
        self.stop()
        self.wait_for_state('stopped')


class TagsOutOfTime(StopTest):
    """Whoever delays the stop until its time is up takes nothing from the tags."""

    settings = {'enable_instance_tags': True, 'max_delay_seconds': 1}

    def stop_behind_a_delay(self, **behaviour):
        self.start(**behaviour)
        self.addCleanup(os.close, self.delay_hold())
        self.stop()
        self.wait_for_state('stopped')
        self.assertEqual([method for method in self.asked() if method in ('SetTags', 'StopInstance')], ['SetTags', 'StopInstance'])

    def test_they_are_written_even_so(self):
        self.stop_behind_a_delay()
        self.assertNotIn('leaves no tags', self.house.daemon.output())

    def test_an_answer_that_does_not_come_is_not_waited_for(self):
        self.stop_behind_a_delay(tags='hang')
        self.assertIn('leaves no tags at the instance: cloud did not answer SetTags within 5 s', self.house.daemon.output())


class Refusals(StopTest):
    settings = HASTY

    def refused(self):
        self.start(stop='refuse')
        wait_for(lambda: 'not permitted' in self.client.get('Refusal'), 'the refusal')
        wait_for(lambda: self.client.get('State') == 'idle', 'idle')

    def test_it_latches(self):
        self.refused()
        self.assertIn('not permitted', self.client.get('Refusal'))
        self.assertIn('not permitted', self.client.get('Reason'))
        self.assertEqual(self.client.get('NextStop'), 0)
        self.assertEqual(self.outcomes(), ['refused'])
        wait_for(lambda: [problem for problem in self.problems if 'not permitted' in problem[1]], 'the problem to be told')
        self.assertEqual((self.warnings(), self.stops_asked()), (1, 1))
        self.house.kill_daemon(signal.SIGTERM)
        self.assertIsNone(self.record())

    def test_it_stays_when_the_provider_comes_and_goes(self):
        self.refused()
        for method in ('UnloadPlugin', 'LoadPlugin'):
            self.client.call(method, '(s)', ('cloud',))
        self.client.call('SetConfiguration', '(s)', ('{"cpu_threshold_percent": 6}',))
        self.assertIn('not permitted', self.client.get('Refusal'))
        wait_for(lambda: self.warnings() >= 1, 'the warning')
        self.assertEqual(self.warnings(), 1)

    def test_a_check_that_succeeds_rearms(self):
        self.refused()
        self.house.behave(permitted=False)
        self.house.client().call('CheckPermissions', interface=PROVIDER, path=CLOUD)
        self.assertNotEqual(self.client.get('Refusal'), '')
        self.house.behave(permitted=True, stop='ok')
        self.house.client().call('CheckPermissions', interface=PROVIDER, path=CLOUD)
        self.wait_for_state('stopped')
        self.assertEqual(self.client.get('Refusal'), '')
        wait_for(lambda: self.warnings() >= 2, 'the second warning')
        self.assertEqual((self.warnings(), self.stops_asked()), (2, 2))

    def test_a_missing_permission_is_known_beforehand(self):
        self.start(permitted=False)
        wait_for(lambda: 'lacks the permission cloud:StopInstances' in self.client.get('Refusal'), 'what is missing')
        self.assertEqual((self.warnings(), self.stops_asked()), (0, 0))
        self.assertFails(ERROR + 'Refused', 'StopInstance', '(sa{sv})', ('', {}), part='lacks the permission cloud:StopInstances')

    def test_what_the_machine_cannot_do_is_known_beforehand(self):
        self.start(unable={'stop': 'a one-time Spot request brought it'}, stop='refuse')
        why = 'cloud cannot stop this machine: a one-time Spot request brought it; snooze provider check cloud'
        wait_for(lambda: (self.client.get('State'), self.client.get('Refusal')) == ('idle', why), 'why it stays on')
        self.assertFails(ERROR + 'Refused', 'StopInstance', '(sa{sv})', ('', {}), part='cloud cannot stop this machine')
        self.assertIn(['stop', False, 'a one-time Spot request brought it'],
                      [list(row) for row in self.house.client().call('CheckPermissions', interface=PROVIDER, path=CLOUD)[0]])
        self.assertEqual((self.warnings(), self.asked().count('SetTags'), self.stops_asked()), (0, 0, 0))
        self.house.behave(unable={}, stop='ok')
        self.house.client().call('CheckPermissions', interface=PROVIDER, path=CLOUD)
        self.wait_for_state('stopped')

    def test_what_a_stop_does_not_ask_for_the_machine_need_not_be_able_to_do(self):
        self.start(unable={'hibernate': 'it was not enabled', 'suspend': 'this cloud knows none'})
        self.wait_for_state('stopped')
        self.assertEqual(self.house.client().call('CheckPermissions', interface=PROVIDER, path=CLOUD)[0],
                         [('cloud:StopInstances', True, 'stops this machine')])

    def test_a_permission_that_no_stop_needs(self):
        self.start(more_permissions=[['cloud:HookRights (optional)', False, 'not permitted']])
        self.wait_for_state('stopped')

    def test_an_effect_that_nobody_allowed(self):
        self.start(effect='terminates')
        wait_for(lambda: 'terminates' in self.client.get('Refusal'), 'the effect')
        self.assertEqual((self.warnings(), self.stops_asked()), (0, 0))
        self.client.call('SetConfiguration', '(s)', ('{"allow_stop_effects": ["terminates"]}',))
        self.wait_for_state('stopped')


class Hibernation(StopTest):
    settings = {**HASTY, 'stop_action': 'hibernate'}

    def test_where_it_does_not_work_nobody_is_warned_of_it(self):
        self.start(unable={'hibernate': 'it was not enabled'})
        why = 'cloud cannot hibernate this machine: it was not enabled'
        wait_for_file(lambda: self.client.get('State') == 'idle' and why in self.client.get('Reason'), 'why it stays on')
        self.assertEqual((self.warnings(), self.stops_asked()), (0, 0))
        self.client.call('SetConfiguration', '(s)', ('{"stop_action": "stop"}',))
        self.wait_for_state('stopped')

    def test_a_person_may_ask_for_what_does(self):
        self.start(unable={'hibernate': 'it was not enabled'})
        wait_for(lambda: 'cannot hibernate' in self.client.get('Refusal'), 'why it stays on')
        self.assertFails(ERROR + 'Refused', 'StopInstance', '(sa{sv})', ('', {}), part='cloud cannot hibernate this machine')
        self.stop(action=s('stop'))
        self.wait_for_state('stopped')
        self.assertEqual(self.actions(), ['stop'])

    def test_a_right_that_is_missing_is_missing_for_each_action(self):
        self.start(permitted=False, unable={'hibernate': 'it was not enabled'})
        wait_for(lambda: 'cannot hibernate' in self.client.get('Refusal'), 'why it stays on')
        for action in ('stop', 'suspend'):
            self.assertFails(ERROR + 'Refused', 'StopInstance', '(sa{sv})', ('', {'action': s(action)}),
                             part='lacks the permission cloud:StopInstances')

    def test_what_the_provider_refused_is_forgotten_with_the_action(self):
        self.start(stop=['refuse', 'ok'])
        wait_for(lambda: 'not permitted' in self.client.get('Refusal') and self.client.get('State') == 'idle', 'the refusal')
        self.client.call('SetConfiguration', '(s)', ('{"stop_action": "suspend"}',))
        self.wait_for_state('stopped')
        self.assertEqual(self.actions(), ['hibernate', 'suspend'])


class Wishes(StopTest):
    """A person's own action, where the configuration says another."""

    def test_one_that_the_machine_cannot_do_is_known_beforehand(self):
        self.start(unable={'hibernate': 'it was not enabled'})
        self.assertFails(ERROR + 'Refused', 'StopInstance', '(sa{sv})', ('', {'action': s('hibernate')}),
                         part='cloud cannot hibernate this machine: it was not enabled; snooze provider check cloud')
        self.assertEqual((self.client.get('Refusal'), self.asked().count('SetTags'), self.stops_asked()), ('', 0, 0))
        self.stop(**{'action': s('hibernate'), 'dry-run': b(True)})
        wait_for(lambda: 'rehearsed' in self.outcomes(), 'the rehearsal')

    def test_one_that_cannot_be_done_any_more_is_not_asked_for(self):
        self.start()
        fd = self.delay_hold()
        self.stop(action=s('hibernate'))
        self.wait_for_state('stopping')
        self.house.behave(unable={'hibernate': 'it was not enabled'})
        self.house.client().call('CheckPermissions', interface=PROVIDER, path=CLOUD)
        os.close(fd)
        wait_for(lambda: self.outcomes() == ['refused'], 'the end of the stop')
        self.assertEqual((self.client.get('Refusal'), self.stops_asked()), ('', 0))

    def test_what_is_refused_of_one_keeps_no_other_from_being_tried(self):
        self.start(stop=['refuse', 'ok'])
        self.stop(action=s('hibernate'))
        wait_for(lambda: self.outcomes() == ['refused'], 'the refusal')
        self.assertEqual(self.client.get('Refusal'), '')
        self.client.call('SetConfiguration', '(s)', (json.dumps(HASTY),))
        self.wait_for_state('stopped')
        self.assertEqual(self.actions(), ['hibernate', 'stop'])

    def test_the_configured_one_latches_whoever_asks_for_it(self):
        self.start(stop='refuse')
        self.stop(action=s('stop'))
        wait_for(lambda: 'not permitted' in self.client.get('Refusal'), 'the refusal')


class Killed(StopTest):
    """With SIGKILL, in `stopping`."""

    settings = {'check_interval_seconds': 2}

    def stopping_behind_a_delay(self, **options):
        fd = self.delay_hold()
        self.stop(**options)
        self.wait_for_state('stopping')
        self.house.restart_daemon()
        self.house.wait_for_provider()
        return fd

    def test_before_the_question(self):
        self.start()
        fd = self.stopping_behind_a_delay()
        self.assertEqual(self.stops_asked(), 0)
        self.wait_for_state('stopping')
        os.close(fd)
        self.wait_for_state('stopped')
        self.assertEqual(self.stops_asked(), 1)
        self.assertEqual(self.outcomes(), ['accepted'])

    def test_what_was_asked_for_outlives_it(self):
        self.start()
        wake = int((time.time() + 3600) * 1_000_000)
        fd = self.stopping_behind_a_delay(action=s('suspend'), wake=GLib.Variant('t', wake))
        os.close(fd)
        self.wait_for_state('stopped')
        (_, (_, options)), = [call for call in self.house.asked_of() if call[0] == 'StopInstance']
        self.assertEqual((options['action'], options['wake']), ('suspend', wake))

    def test_before_the_question_and_called_off(self):
        self.start()
        fd = self.stopping_behind_a_delay()
        self.addCleanup(os.close, fd)
        self.client.call('CancelStop', '(s)', ('not today',))
        wait_for(lambda: self.client.get('State') in ('active', 'idle'), 'the end of the stop')
        self.assertEqual(self.stops_asked(), 0)
        self.assertIsNone(self.record())

    def test_after_it_was_accepted_unheard(self):
        self.start(stop='accept-and-hang')
        self.stop()
        self.wait_until_asked()
        self.house.restart_daemon()
        self.wait_for_state('stopped')
        self.assertEqual(self.stops_asked(), 1)
        self.assertEqual(self.outcomes(), ['accepted'])
        self.assertIsNotNone(self.record())

    def test_while_it_waits_to_ask_again(self):
        self.start(stop=['accept-and-die', 'ok'])
        self.stop()
        wait_for_file(lambda: 'ended while it was asked' in self.client.get('Reason'), 'the lost answer')
        self.house.restart_daemon()
        self.wait_for_state('stopped')
        self.assertEqual(self.stops_asked(), 1)
        self.assertFails(ERROR + 'TooLate', 'CancelStop', '(s)', ('',))

    def test_after_it_was_lost(self):
        self.start(stop=['hang', 'ok'])
        self.stop()
        self.wait_until_asked()
        # Until it says what became of the question.
        pid = self.client.get('Pid', PLUGIN, f'{PATH}/plugin/cloud')
        os.kill(pid, signal.SIGSTOP)
        self.house.restart_daemon()
        self.assertFails(ERROR + 'TooLate', 'CancelStop', '(s)', ('',))
        os.kill(pid, signal.SIGCONT)
        self.wait_for_state('stopped')
        self.assertEqual(self.stops_asked(), 2)
        self.assert_never_blindly_twice()

    def test_when_stopped(self):
        self.start()
        self.stop()
        self.wait_for_state('stopped')
        self.house.restart_daemon()
        self.wait_for_state('stopped')
        self.assertEqual(self.stops_asked(), 1)
        self.assertIsNotNone(self.record())


class Automatic(StopTest):
    settings = HASTY

    def test_an_idle_machine_stops_itself(self):
        self.start()
        wait_for(lambda: 'stopped' in [state for state, _, _ in self.changes], 'the stop')
        states = [state for state, _, _ in self.changes]
        self.assertEqual(states[states.index('warning'):], ['warning', 'stopping', 'stopped'])
        self.assertEqual(self.stops_asked(), 1)
        self.assertGreater(self.record()['idle_since'], 0)

    def test_killed_before_the_question_it_is_decided_anew(self):
        self.house.behave()
        self.house.start_daemon()
        fd = self.delay_hold()
        wait_for(lambda: 'stopping' in [state for state, _, _ in self.changes], 'the stop')
        self.house.kill_daemon()
        self.changes.clear()
        self.house.start_daemon()
        wait_for(lambda: 'stopping' in [state for state, _, _ in self.changes], 'the stop decided anew')
        # Everybody is warned again.
        self.assertIn('warning', [state for state, _, _ in self.changes])
        self.assertEqual(self.stops_asked(), 0)
        os.close(fd)
        self.wait_for_state('stopped')
        self.assertEqual(self.stops_asked(), 1)

    def test_killed_after_the_question(self):
        self.start(stop='accept-and-hang')
        self.wait_until_asked()
        # What was told before is another connection's to hear when it comes.
        wait_for(lambda: 'stopping' in [state for state, _, _ in self.changes], 'the stop to be told')
        self.changes.clear()
        self.house.restart_daemon()
        self.wait_for_state('stopped')
        self.assertEqual(self.stops_asked(), 1)
        self.assertNotIn('warning', [state for state, _, _ in self.changes])


class Greeted(StopTest):
    def test_what_is_set_while_it_is_greeted_reaches_it(self):
        self.house.install_cloud('slow', schema={'region': {'type': 'string', 'description': 'Where', 'default': 'north'}}, initialize='later')
        self.start()
        asked = self.house.asked_of
        wait_for_file(lambda: 'Initialize' in [method for method, _ in asked('slow')], 'its greeting')
        self.client.call('SetConfiguration', '(s)', ('{"providers": {"slow": {"region": "south"}}}',))
        wait_for_file(lambda: ['Configure', [{'region': 'south'}]] in asked('slow'), 'what was set')


class SameRules(StopTest):
    """Provider.StopInstance of this machine is Manager.StopInstance in other words."""

    def both(self):
        yield lambda reason, options: self.client.call('StopInstance', '(sa{sv})', (reason, options))
        for instance in ('', 'i-this'):
            yield lambda reason, options, instance=instance: self.client.call(
                'StopInstance', '(sa{sv})', (instance, {**options, **({'reason': s(reason)} if reason else {})}), PROVIDER, CLOUD)

    def assert_all_fail(self, name, part='', **options):
        messages = set()
        for stop in self.both():
            with self.assertRaises(GLib.Error) as caught:
                stop('', options)
            self.assertIn(f'{name}:', caught.exception.message)
            self.assertIn(part, caught.exception.message)
            messages.add(caught.exception.message)
        self.assertEqual(self.stops_asked(), 0)
        return messages

    def test_held(self):
        self.start()
        _, fds = self.client.call_with_fds('Hold', '(sss)', ('pytest', 'a run', 'block'))
        fd, = fds.steal_fds()
        self.addCleanup(os.close, fd)
        self.assertEqual(len(self.assert_all_fail(ERROR + 'Held', 'pytest')), 1)
        self.assertEqual(len(self.assert_all_fail(ERROR + 'Held', 'pytest', **{'dry-run': b(True)})), 1)

    def test_refused(self):
        self.start(permitted=False)
        wait_for(lambda: 'lacks the permission' in self.client.get('Refusal'), 'what is missing')
        self.assertEqual(len(self.assert_all_fail(ERROR + 'Refused', 'lacks the permission')), 1)

    def test_busy(self):
        self.start()
        self.stop(delay=t(HOUR))
        self.assertEqual(len(self.assert_all_fail(ERROR + 'Busy')), 1)

    def test_bad_options(self):
        self.start()
        self.assert_all_fail(ERROR + 'InvalidArgument', 'colour', colour=s('red'))
        self.assert_all_fail(ERROR + 'InvalidArgument', 'dry-run', **{'dry-run': s('yes')})
        self.assert_all_fail(ERROR + 'InvalidArgument', 'action', action=s('explode'))
        with self.assertRaises(GLib.Error):
            self.client.call('StopInstance', '(sa{sv})', ('', {'reason': s('x' * 513)}), PROVIDER, CLOUD)
        self.assertEqual(self.client.get('State') in ('active', 'idle'), True)

    def test_who_may_not(self):
        self.start()
        self.house.answer('refuse')
        self.assert_all_fail('org.freedesktop.DBus.Error.AccessDenied', 'sudo snooze stop')

    def test_it_stops(self):
        self.start()
        self.client.call('StopInstance', '(sa{sv})', ('i-this', {'reason': s('going home'), 'action': s('suspend')}), PROVIDER, CLOUD)
        self.wait_for_state('stopped')
        self.assertIn('going home', self.record()['reason'])
        self.assertEqual(self.record()['action'], 'suspend')
        self.assertEqual(self.stops_asked(), 1)

    def test_a_rehearsal(self):
        self.start()
        self.client.call('StopInstance', '(sa{sv})', ('', {'dry-run': b(True)}), PROVIDER, CLOUD)
        wait_for(lambda: 'rehearsed' in self.outcomes(), 'the rehearsal')
        self.assertEqual(self.stops_asked(), 0)

    def test_another_machine_is_not_this_one(self):
        self.start()
        _, fds = self.client.call_with_fds('Hold', '(sss)', ('pytest', 'a run', 'block'))
        fd, = fds.steal_fds()
        self.addCleanup(os.close, fd)
        self.client.call('StopInstance', '(sa{sv})', ('i-other', {'action': s('stop')}), PROVIDER, CLOUD)
        self.assertEqual([call[1][0] for call in self.house.asked_of() if call[0] == 'StopInstance'], ['i-other'])
        self.assertIn(self.client.get('State'), ('active', 'idle'))
        self.assertIsNone(self.record())

    def test_one_that_is_not_chosen(self):
        self.house.install_cloud('other')
        self.start()
        self.assertFails(ERROR + 'Refused', 'StopInstance', '(sa{sv})', ('', {}), interface=PROVIDER, path=PATH + '/provider/other',
                         part='other is not the provider of this machine')


class NoProvider(StopTest):
    settings = {'provider': 'auto'}

    def test_nobody_is_there(self):
        self.house.behave(detect=False)
        self.house.start_daemon()
        wait_for(lambda: 'No provider recognizes' in self.client.get('Refusal'), 'its answer')
        self.assertFails(ERROR + 'NoProvider', 'StopInstance', '(sa{sv})', ('', {}))
        self.assertFails(ERROR + 'Refused', 'StopInstance', '(sa{sv})', ('', {}), interface=PROVIDER, path=CLOUD)
        self.assertEqual(self.stops_asked(), 0)


if __name__ == '__main__':
    os.environ.setdefault('PYTHONDONTWRITEBYTECODE', '1')
    tap.main()
