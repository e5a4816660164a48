# SPDX-License-Identifier: Apache-2.0
"""Every method that needs an action asks polkit for it, and does nothing without its yes."""

import json
import os
import pwd
import re
import time
import unittest
from xml.etree import ElementTree

from gi.repository import GLib

import methods
import tap
from harness import (ACCESS_DENIED, ACTION, ERROR, INTERACTION_REQUIRED, MANAGER, NAME, PATH, PLUGIN, PROVIDER, SOURCE, BusTest, House,
                     SharedBusTest, error_name, wait_for)

NOBODY = pwd.getpwnam('nobody').pw_uid
LOOKS = 60  # LIMIT_LOOKS_BURST
CHECKS = 20  # LIMIT_CHECKS_BURST
TOGETHER = 10  # fewer than may wait for authorization


def snapshot(client):
    """What a refused call must not change. (Handlers of earlier events may finish meanwhile: which events there are is what counts.)"""
    events, = client.call('ListEvents', '(u)', (100,))
    state = client.get('State')
    # The machine on which tests run may be busy at one moment and idle at the next.
    return ('on' if state in ('active', 'idle') else state, client.get('Paused'), client.get('DryRun'), client.call('ListHolds'),
            client.call('GetConfiguration'), [event['id'] for event in events],
            client.get('Enabled', PLUGIN, methods.EXAMPLE_PLUGIN),
            client.call('GetConfiguration', interface=PLUGIN, path=methods.EXAMPLE_PLUGIN))


class Methods(SharedBusTest):
    """A test for each method and for each of its actions is made below."""

    plugins = True

    def question_of(self, action):
        questions = [q for q in self.house.questions() if q['action'] == action]
        self.assertEqual(len(questions), 1, self.house.questions())
        return questions[0]

    def check(self, interface, member, signature, arguments, action):
        prepared = arguments(self.house, self.client) if callable(arguments) else arguments
        before = snapshot(self.client)
        known = self.calls(member)

        for mode, interactive, expected in (('refuse', False, ACCESS_DENIED), ('refuse', True, ACCESS_DENIED),
                                            ('challenge', False, INTERACTION_REQUIRED), ('challenge', True, ACCESS_DENIED),
                                            ('malformed', False, ACCESS_DENIED)):
            with self.subTest(mode=mode, interactive=interactive):
                self.house.reset_polkit()
                self.house.answer(mode)
                _, error = methods.call(self.house, self.client, interface, member, signature, prepared, interactive=interactive)
                self.assertIsNotNone(error, f'{member} was done though polkit said {mode}')
                self.assertEqual(error_name(error), expected, error.message)
                self.assertIn('; or: sudo ', error.message)
                question = self.question_of(action)
                self.assertEqual(question['kind'], 'system-bus-name')
                self.assertEqual(question['subject'], self.client.name)
                self.assertEqual(question['flags'], 1 if interactive else 0)
                self.assertEqual(snapshot(self.client), before)

        self.house.reset_polkit()
        _, error = methods.call(self.house, self.client, interface, member, signature, prepared)
        self.assertEqual(error_name(error) if error else None, methods.OUTCOMES.get((interface, member)), error)
        self.assertEqual(self.question_of(action)['flags'], 0)
        self.assertEqual(len(self.house.questions()), 1)
        if interface != MANAGER:
            self.check_history(member, known, expected=action not in (ACTION + 'check', ACTION + 'call-plugin'))
        methods.tidy(self.client, member)

    def calls(self, member):
        return [row for row in self.client.call('GetHistory', '(ttu)', (0, 0, 1000))[0] if row['kind'] == 'call' and row['call'] == member]

    def check_history(self, member, known, expected):
        """Who changed something is kept, and once, however often the handler began; who asked, or was refused, is not."""
        rows = [row for row in self.calls(member) if row not in known]
        self.assertEqual(len(rows), 1 if expected else 0, rows)
        if expected:
            self.assertEqual(rows[0]['user'], pwd.getpwuid(os.geteuid()).pw_name)
            self.assertRegex(rows[0]['what'], '^(example|cloud, i-other|cloud, this machine|)$')


def add_tests():
    for number, (interface, member, signature, arguments, action) in enumerate(methods.all_examples()):
        def test(self, example=(interface, member, signature, arguments, action)):
            self.check(*example)

        name = f'{interface.rpartition(".")[2]}_{member}'
        setattr(Methods, f'test_{number:02}_{name}_{action.removeprefix(ACTION)}', test)


add_tests()


class Table(unittest.TestCase):
    def test_every_method_with_an_action_has_an_example(self):
        examples = {(interface, member): set() for interface, member, *_ in methods.all_examples()}
        for interface, member, _, _, action in methods.all_examples():
            examples[interface, member].add(action)
        for key, (action, other) in methods.table().items():
            with self.subTest(method=key):
                if not action or key[0] == 'io.cloudsnooze.Helper1':  # test-helper.py tries those
                    self.assertNotIn(key, examples)
                    continue
                self.assertIn(action, examples[key])
                # Releasing another user's hold takes another user: see test-polkitd.py.
                if other and key != (MANAGER, 'ReleaseHold'):
                    self.assertIn(other, examples[key])


class Details(SharedBusTest):
    """What a person reads in the dialogue, and rules can look at."""

    plugins = True

    def test_the_reason_is_told(self):
        self.house.answer('refuse')
        self.assertFails(ACCESS_DENIED, 'StopInstance', '(sa{sv})', ('going home', {}))
        self.assertEqual(self.house.questions()[0]['details']['reason'], 'going home')

    def test_nobody_is_asked_for_what_is_no_json(self):
        for patch, part in (('not json', 'json_merge_patch'), ('{"naptime_minutes": 1', 'json_merge_patch'), ('', 'json_merge_patch')):
            self.assertIn(part, self.assertFails(ERROR + 'InvalidConfiguration', 'SetConfiguration', '(s)', (patch,)))
        self.assertEqual(self.house.questions(), [])

    def test_the_hold_is_told(self):
        self.house.answer('refuse')
        self.assertFails(ACCESS_DENIED, 'Hold', '(sss)', ('pytest', 'a long run', 'block'))
        self.assertEqual(self.house.questions()[0]['details'],
                         {'who': 'pytest', 'why': 'a long run', 'kind': 'block',
                          'request': 'Hold: who "pytest", why "a long run", kind "block"'})

    def details(self, method, signature, arguments, **where):
        self.house.reset_polkit()
        self.house.answer('refuse')
        self.assertFails(ACCESS_DENIED, method, signature, arguments, **where)
        question, = self.house.questions()
        return question['details']

    def request(self, method, signature, arguments, **where):
        return self.details(method, signature, arguments, **where)['request']

    def test_how_long_is_told(self):
        for method in ('HoldFor', 'Postpone'):
            self.assertEqual(self.request(method, '(ts)', (90 * 60_000_000, 'thesis')), f'{method}: duration "1 h 30 min", why "thesis"')

    def test_everything_that_is_asked_of_a_stop_is_told(self):
        wake = int((time.time() + 86400) * 1_000_000)
        options = {'action': GLib.Variant('s', 'hibernate'), 'force': GLib.Variant('b', True), 'dry-run': GLib.Variant('b', True),
                   'delay': GLib.Variant('t', 300_000_000), 'wake': GLib.Variant('t', wake)}
        day = time.strftime('%Y-%m-%d %H:%M', time.localtime(wake // 1_000_000))
        self.assertRegex(self.request('StopInstance', '(sa{sv})', ('going home', options)),
                         f'^StopInstance: action "hibernate", force "true", dry-run "true", delay "5 min", wake "{day} [A-Z]+", reason "going home"$')
        self.assertEqual(self.request('StopInstance', '(sa{sv})', ('', {})), 'StopInstance: action "stop"')

    def test_which_values_are_to_be_changed_is_told_and_not_to_what(self):
        patch = {'naptime_minutes': 5, 'plugins': {'plugin_configs': {'webhook': {'url': 'https://user:hunter2@example.org'}}}}
        request = self.request('SetConfiguration', '(s)', (json.dumps(patch),))
        self.assertEqual(request, 'SetConfiguration: keys "/naptime_minutes, /plugins/plugin_configs/webhook/url"')

    def test_the_caller_words_no_more_than_what_stands_in_quotes(self):
        reason = '", force "false'
        self.assertEqual(self.request('StopInstance', '(sa{sv})', (reason, {})),
                         """StopInstance: action "stop", reason "', force 'false\"""")
        self.assertEqual(self.request('SetConfiguration', '(s)', (json.dumps({'a"\n\x1b[2J\u202e': 1}),)),
                         """SetConfiguration: keys "/a'  [2J \"""")
        request = self.request('StopInstance', '(sa{sv})', ('é' * 200, {}))
        self.assertTrue(request.endswith('reason "' + 'é' * 80 + '…"'), request)
        many = {f'{n}' * 50: 1 for n in range(100, 200)}
        self.assertLess(len(self.request('SetConfiguration', '(s)', (json.dumps(many),)).encode()), 300)

    def test_the_caller_hides_nothing_by_markup(self):
        """Agents show the message as markup: what is none blanks it, and what is some hides parts of it."""
        for reason, shown in (("a < b & c", "a ( b + c"), ("<span size='1'>home</span>&lt;", "(span size='1')home(/span)+lt;")):
            details = self.details('StopInstance', '(sa{sv})', (reason, {}))
            self.assertEqual(details['request'], f'StopInstance: action "stop", reason "{shown}"')
            # Some agents show the details as well, each by itself.
            self.assertEqual(details['reason'], shown)
        details = self.details('SetConfiguration', '(s)', (json.dumps({'a\n\x1b[2J\u202e<b>': 1}),))
        self.assertEqual(details['keys'], '/a  [2J (b)')

    def test_what_is_asked_of_a_plugin_is_told_and_with_what_is_not(self):
        where = {'interface': PLUGIN, 'path': methods.EXAMPLE_PLUGIN}
        arguments = ('drop-<all>"', {'password': GLib.Variant('s', 'hunter2')})
        self.assertEqual(self.details('Call', '(sa{sv})', arguments, **where),
                         {'plugin': 'example', 'method': 'Call', 'plugin-method': "drop-(all)'",
                          'request': """Call: plugin "example", method "Call", plugin-method "drop-(all)'\""""})
        self.assertEqual(self.request('Upgrade', '(s)', ('1.2.0',), **where),
                         'Upgrade: plugin "example", method "Upgrade", version "1.2.0"')
        self.assertEqual(self.request('Configure', '(a{sv})', ({'mode': GLib.Variant('s', 'hunter2')},), **where),
                         'Configure: plugin "example", method "Configure", keys "mode"')

    def test_which_versions_are_installed_is_looked_up_for_nobody_who_may_not_change_them(self):
        where = {'interface': PLUGIN, 'path': methods.EXAMPLE_PLUGIN}
        self.assertEqual(self.request('Upgrade', '(s)', ('9.9.9',), **where),
                         'Upgrade: plugin "example", method "Upgrade", version "9.9.9"')
        self.house.reset_polkit()
        self.assertFails(ERROR + 'InvalidArgument', 'Upgrade', '(s)', ('9.9.9',), **where)

    def test_every_dialogue_shows_it(self):
        """What is asked is in the message, and a message names nothing that a call might not tell."""
        policy = ElementTree.parse(SOURCE / 'data/polkit-1/actions/io.cloudsnooze.snooze1.policy').getroot()
        for action in policy.findall('action'):
            with self.subTest(action=action.get('id')):
                names = re.findall(r'\$\((.*?)\)', action.find('message').text)
                expected = ['plugin', 'permissions'] if action.get('id') == ACTION + 'approve-permissions' else ['request']
                self.assertEqual(names, expected)

    def test_the_alternative_is_the_verb(self):
        self.house.answer('refuse')
        for method, signature, arguments, alternative in (
                ('StopInstance', '(sa{sv})', ('', {}), 'sudo snooze stop'),
                ('Resume', '()', (), 'sudo snooze resume'),
                ('Reload', '()', (), 'sudo snooze config reload'),
                ('HoldFor', '(ts)', (methods.MINUTE, ''), 'sudo snooze hold --for SPAN')):
            message = self.assertFails(ACCESS_DENIED, method, signature, arguments)
            self.assertTrue(message.endswith('; or: ' + alternative), message)

    def test_the_alternative_names_the_object(self):
        self.house.answer('refuse')
        path = methods.EXAMPLE_PLUGIN
        for method, alternative in (('Disable', 'sudo snooze plugin disable example'),
                                    ('Restart', 'sudo snooze plugin restart example'),
                                    ('Unload', f'sudo busctl call {NAME} {path} {PLUGIN} Unload')):
            message = self.assertFails(ACCESS_DENIED, method, interface=PLUGIN, path=path)
            self.assertTrue(message.endswith('; or: ' + alternative), message)


class Waiting(BusTest):
    """While polkit thinks."""

    def test_the_daemon_goes_on(self):
        self.house.answer('hang')
        parked = self.client.send('Pause', interactive=True)
        wait_for(lambda: self.house.asked, 'the question')
        other = self.house.client()
        other.call('GetMetrics')
        self.client.call('ListHolds')
        self.assertEqual(parked, [])
        self.assertFalse(other.get('Paused'))

    def test_a_caller_who_leaves_takes_the_question_along(self):
        self.house.answer('hang')
        caller = self.house.client()
        caller.send('Pause', interactive=True)
        wait_for(lambda: self.house.asked, 'the question')
        caller.close()
        wait_for(lambda: self.house.cancelled, 'CancelCheckAuthorization')
        self.assertEqual([q['cancelled'] for q in self.house.questions()], [True])
        self.assertFalse(self.client.get('Paused'))

    def test_one_caller_has_so_many_questions(self):
        self.house.answer('hang')
        results = [self.client.send('Pause') for _ in range(9)]
        wait_for(lambda: any(results), 'the refusal of the ninth')
        self.assertEqual([error_name(error) for result in results for _, error in result], [ERROR + 'LimitsExceeded'])
        # Others are not affected.
        self.house.answer('allow')
        self.house.client().call('Pause')

    def test_polkit_that_dies_says_no(self):
        self.house.answer('vanish')
        self.assertFails(ACCESS_DENIED, 'Pause')
        self.assertFalse(self.client.get('Paused'))
        # The next one is asked.
        self.house.start_polkit()
        self.client.call('Pause')
        self.assertTrue(self.client.get('Paused'))


class WithoutPolkit(unittest.TestCase):
    def test_reading_works_and_nothing_else_does(self):
        house = House(polkit=False, plugins=True)
        self.addCleanup(house.close)
        client = house.client()
        before = snapshot(client)
        for interface, member, signature, arguments, _ in methods.all_examples():
            if callable(arguments):
                continue
            with self.subTest(member=member):
                _, error = methods.call(house, client, interface, member, signature, arguments)
                self.assertEqual(error_name(error), ACCESS_DENIED)
                self.assertIn('polkit is not there', error.message)
        self.assertEqual(snapshot(client), before)


class CheckLimit(BusTest):
    """Checks cost a round of questions: one a second and caller."""

    plugins = True

    def test_second_check_at_once_is_refused(self):
        for interface, member, *arguments in ((MANAGER, 'CheckNow'), (PLUGIN, 'CheckIdle'), (PLUGIN, 'CheckSubject', '(s)', ('first',)),
                                              (PROVIDER, 'CheckPermissions')):
            with self.subTest(member=member):
                client = self.house.client()
                # Both at once: the first may take longer than a second.
                answers = [client.send(member, *arguments, interface=interface, path=methods.path_of(interface)) for _ in range(2)]
                wait_for(lambda answers=answers: all(answers), 'the answers')
                self.assertEqual([error and error_name(error) for (_, error), in answers], [None, ERROR + 'LimitsExceeded'])
                self.house.client().call(member, *arguments, interface=interface, path=methods.path_of(interface))

    def test_as_many_connections_as_he_likes_give_a_user_no_more(self):
        refused, done = self.until_refused('DiscoverPlugins')
        self.assertIn('of one user', refused)
        self.assertGreaterEqual(done, LOOKS)
        # Who is somebody else is served.
        self.house.client(NOBODY).call('DiscoverPlugins')

    def test_nor_more_checks_of_any_kind(self):
        for interface, member, signature, arguments in ((MANAGER, 'CheckNow', '()', ()), (PLUGIN, 'CheckIdle', '()', ()),
                                                        (PLUGIN, 'CheckSubject', '(s)', ('first',)), (PROVIDER, 'CheckPermissions', '()', ()), (PROVIDER, 'GetInstanceInfo', '(s)', ('',))):
            place = {'interface': interface, 'path': methods.path_of(interface)}
            with self.subTest(member=member):
                self.assertIn('of one user', self.refusal_of_many(member, signature, arguments, **place))
                self.house.client(NOBODY).call(member, signature, arguments, **place)

    def refusal_of_many(self, *call, **place):
        """What is said to somebody who has so many connections that he asks faster than the bucket fills, however slow this machine is."""
        for _ in range(10 * CHECKS // TOGETHER):
            clients = [self.house.client() for _ in range(TOGETHER)]
            results = [client.send(*call, **place) for client in clients]
            for client, result in zip(clients, results):
                wait_for(lambda result=result: result, 'an answer')
                client.close()
            refused = [error for (_, error), in results if error]
            if refused:
                self.assertEqual(error_name(refused[0]), ERROR + 'LimitsExceeded')
                return refused[0].message
        raise AssertionError('all were answered')

    def until_refused(self, member, *arguments, **place):
        """What is said at last to somebody who opens a connection for each call, and how many were answered before."""
        for done in range(4 * LOOKS):
            client = self.house.client()
            try:
                client.call(member, *arguments, **place)
            except GLib.Error as error:
                self.assertEqual(error_name(error), ERROR + 'LimitsExceeded')
                return error.message, done
            finally:
                client.close()
        raise AssertionError(f'{member} was answered each time')


if __name__ == '__main__':
    os.environ.setdefault('PYTHONDONTWRITEBYTECODE', '1')
    tap.main()
