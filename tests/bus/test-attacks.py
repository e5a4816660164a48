# SPDX-License-Identifier: Apache-2.0
"""What a local user without rights may try: floods, lies, hostile texts and huge questions. The daemon stays up, stays small,
and keeps serving others; nobody is kept from holding the machine."""

import contextlib
import json
import os
import pwd
import shutil
import signal
import sys
import time
import unittest

from gi.repository import Gio, GLib

import tap
from harness import (ACCESS_DENIED, ERROR, MANAGER, NAME, PATH, PLUGIN, PROVIDER, QUIET, BusTest, House, SharedBusTest, block, error_name,
                     variant, wait_for)

MINUTE = 60_000_000
INVALID = ERROR + 'InvalidArgument'
LIMITS = ERROR + 'LimitsExceeded'
MEMORY = 288 << 20  # LimitDATA= of the unit


def s(value):
    return GLib.Variant('s', value)


class SmallHouse(House):
    """The daemon with as much memory as its unit gives it."""

    def daemon_arguments(self, *more):
        # A sanitizer's shadow alone is larger.
        sanitized = os.environ.get('SNOOZE_SANITIZE', 'none') != 'none'
        limit = [] if sanitized else ['prlimit', f'--data={MEMORY}', '--']
        return [*limit, *super().daemon_arguments(*more)]


class AttackTest(BusTest):
    def setUp(self):
        self.house = SmallHouse(self.configuration, plugins=self.plugins)
        self.addCleanup(self.house.close)
        self.client = self.house.client()

    def assertLives(self):
        self.assertFalse(self.house.daemon.ended(), self.house.daemon.output())
        self.house.client().call('ListHolds')

    def emit(self, client, data=None, kind='custom'):
        return client.call('EmitEvent', '(suta{sv})', (kind, 0, 0, data or {}))

    def emit_many(self, number, data):
        """As fast as one user may, from as many connections as it takes."""
        emitted = 0
        client = self.house.client()
        while emitted < number:
            try:
                self.emit(client, data)
                emitted += 1
            except GLib.Error as error:
                self.assertEqual(error_name(error), LIMITS)
                if 'of one user' in error.message:
                    break
                client.close()
                client = self.house.client()
        return emitted


class Memory(AttackTest):
    """Runs with the build as it ships alone: what it weighs is a sanitizer's own, which is five minutes at it."""
    plugins = True

    def test_large_events_are_refused(self):
        for data in ({'text': s('x' * 20000)}, {f'k{i}': s('') for i in range(300)}, {'bytes': GLib.Variant('ay', b'x' * 300)},
                     {'deep': self.nested(20)}):
            self.assertFails(INVALID, 'EmitEvent', '(suta{sv})', ('custom', 0, 0, data))
        self.assertEqual(self.client.call('ListEvents', '(u)', (10,)), ([],))

    def nested(self, depth):
        value = s('x')
        for _ in range(depth):
            value = GLib.Variant('v', value)
        return value

    def test_history_of_large_rows_is_told_in_parts(self):
        number = self.emit_many(150, {f'k{i}': GLib.Variant('y', 1) for i in range(250)})
        self.assertGreater(number, 100)
        answers = [self.house.client().send('GetHistory', '(ttu)', (0, 0, 10000)) for _ in range(16)]
        wait_for(lambda: all(answers) or self.house.daemon.ended(), 'sixteen histories')
        self.assertLives()
        for (rows, error), in answers:
            self.assertIsNone(error)
            self.assertGreater(len(rows[0]), 10)

    def test_one_caller_asks_so_many_questions_about_history(self):
        answers = [self.client.send('GetHistory', '(ttu)', (0, 0, 10000)) for _ in range(150)]
        wait_for(lambda: all(answers), 'all answers')
        names = {error_name(error) for (_, error), in answers if error}
        # The bus itself allows 128 pending replies.
        self.assertLessEqual(names, {LIMITS, 'org.freedesktop.DBus.Error.LimitsExceeded'})
        self.house.client().call('GetHistory', '(ttu)', (0, 0, 10000))

    BLOCK = lambda x: (PLUGIN, PATH + '/plugin/example', 'ProcessData', '(ay)', block(x.encode()))
    # What the bus lets through (its default, which system.conf(5) keeps), to the byte: whatever is told back of it is more.
    LARGEST = 32 * 1024 * 1024
    METHODS = (
        lambda x: (MANAGER, PATH, 'GetPlugin', '(s)', (x,)), lambda x: (MANAGER, PATH, 'GetProvider', '(s)', (x,)),
        lambda x: (MANAGER, PATH, 'StopInstance', '(sa{sv})', (x, {})),
        lambda x: (MANAGER, PATH, 'StopInstance', '(sa{sv})', ('x', {'action': s(x)})),
        lambda x: (MANAGER, PATH, 'StopInstance', '(sa{sv})', ('x', {x: s('')})),
        lambda x: (MANAGER, PATH, 'Hold', '(sss)', (x, '', 'block')), lambda x: (MANAGER, PATH, 'Hold', '(sss)', ('x', x, 'block')),
        lambda x: (MANAGER, PATH, 'Hold', '(sss)', ('x', '', x)), lambda x: (MANAGER, PATH, 'HoldFor', '(ts)', (MINUTE, x)),
        lambda x: (MANAGER, PATH, 'Postpone', '(ts)', (MINUTE, x)), lambda x: (MANAGER, PATH, 'CancelStop', '(s)', (x,)),
        lambda x: (MANAGER, PATH, 'SearchPlugins', '(sa{sv})', (x, {})),
        lambda x: (MANAGER, PATH, 'SearchPlugins', '(sa{sv})', ('', {'tag': s(x)})),
        lambda x: (MANAGER, PATH, 'SetConfiguration', '(s)', (x,)),
        lambda x: (MANAGER, PATH, 'EmitEvent', '(suta{sv})', (x, 0, 0, {})),
        lambda x: (MANAGER, PATH, 'EmitEvent', '(suta{sv})', ('custom', 0, 0, {'text': s(x)})),
        lambda x: (MANAGER, PATH, 'EmitEvent', '(suta{sv})', ('custom', 0, 0, {x: s('')})),
        lambda x: (PLUGIN, PATH + '/plugin/example', 'Configure', '(a{sv})', ({'mode': s(x)},)),
        lambda x: (PLUGIN, PATH + '/plugin/example', 'Upgrade', '(s)', (x,)),
        lambda x: (PLUGIN, PATH + '/plugin/example', 'Call', '(sa{sv})', (x, {})),
        lambda x: (PLUGIN, PATH + '/plugin/example', 'Call', '(sa{sv})', ('x', {'text': s(x)})),
        lambda x: ('org.freedesktop.DBus.Properties', PATH, 'Get', '(ss)', (MANAGER, x)),
        lambda x: ('org.freedesktop.DBus.Properties', PATH, 'Get', '(ss)', (x, 'State')),
        lambda x: ('org.freedesktop.DBus.Properties', PATH, 'GetAll', '(s)', (x,)),
        lambda x: ('org.freedesktop.DBus.Properties', PATH, 'Set', '(ssv)', (x, 'State', s(''))),
        lambda x: ('org.freedesktop.DBus.Properties', PATH, 'Set', '(ssv)', (MANAGER, 'State', s(x))), BLOCK,
    )

    def largest(self, method):
        """The method's arguments, so long that the bus just takes the message."""
        owner = self.client.owner(NAME)

        def size(text):
            interface, path, member, signature, arguments = method(text)
            message = Gio.DBusMessage.new_method_call(owner, path, interface, member)
            message.set_serial(1000)
            message.set_body(variant(signature, arguments))
            return len(message.to_blob(Gio.DBusCapabilityFlags.NONE))

        # Texts are padded to the next eight bytes.
        room = self.LARGEST - size('x' * 8) - 8
        return owner, method('x' * (room - room % 8 + 7))

    def test_huge_arguments(self):
        for method in self.METHODS:
            owner, (interface, path, member, signature, arguments) = self.largest(method)
            with self.subTest(method=member, interface=interface):
                caller = self.house.client()
                with self.assertRaises(GLib.Error) as caught:
                    caller.call(member, signature, arguments, interface, path, owner)
                self.assertNotIn(error_name(caught.exception), ('org.freedesktop.DBus.Error.NoReply', ''))
                self.assertFalse(caller.connection.is_closed(), 'the bus took it for too large')
                self.assertLess(len(caught.exception.message), 4096)
                caller.close()
                self.assertLives()
        self.assertEqual(self.house.questions(), [])

    def test_huge_arguments_of_many_at_once(self):
        """None of them waits within the daemon, for the bus to say whose call it is or for polkit."""
        for method in (*self.METHODS[::9], self.METHODS[-1]):
            owner, (interface, path, member, signature, arguments) = self.largest(method)
            with self.subTest(method=member):
                callers = [self.house.client() for _ in range(6)]
                answers = [caller.send(member, signature, arguments, interface, path, owner) for caller in callers]
                wait_for(lambda: all(answers) or self.house.daemon.ended(), 'all answers')
                self.assertLives()
                for caller in callers:
                    caller.close()

    def test_blocks_that_wait_for_polkit_have_a_ceiling(self):
        """Of the size that is allowed, from as many connections as one user's questions take."""
        self.house.answer('hang')
        interface, path, member, signature, arguments = self.METHODS[-1]('x' * (16 << 20))
        callers = [self.house.client() for _ in range(16)]
        answers = []
        for caller in callers:
            # One after the other: the bus itself refuses what its own queue to the daemon does not hold.
            asked = len(self.house.questions())
            answers.append(caller.send(member, signature, arguments, interface, path, interactive=True))
            wait_for(lambda: answers[-1] or len(self.house.questions()) > asked or self.house.daemon.ended(), 'the block to be heard')
        self.assertLives()
        refused = [answer[0][1] for answer in answers if answer]
        self.assertEqual({error_name(error) for error in refused}, {LIMITS})
        self.assertGreaterEqual(len(refused), 14)
        self.assertLessEqual(len(self.house.questions()), 2)
        for caller in callers:
            caller.close()
        self.house.answer('allow')
        # They leave with whoever asked; and a block, as anything else, is heard again.
        wait_for(lambda: self.house.client().call(member, signature, block(b'abc'), interface, path), 'an answer')

    @unittest.skipIf(os.geteuid() != 0, 'impossible here: other users need root')
    def test_a_log_level_is_short_before_it_is_asked_who_sets_it(self):
        nobody = lambda: self.house.client(pwd.getpwnam('nobody').pw_uid)
        where = {'interface': 'org.freedesktop.DBus.Properties', 'path': '/org/freedesktop/LogControl1'}
        control = 'org.freedesktop.LogControl1'
        for arguments in ((control, 'LogLevel', s('x' * 256)), (control, 'x' * 256, s('debug')), ('x' * 256, 'LogLevel', s('debug')),
                          (control, 'LogLevel', GLib.Variant('as', ['debug']))):
            self.assertFails('org.freedesktop.DBus.Error.InvalidArgs', 'Set', '(ssv)', arguments, client=nobody(), **where)
        self.assertFails(ACCESS_DENIED, 'Set', '(ssv)', (control, 'LogLevel', s('debug')), client=nobody(), **where)
        self.assertEqual(self.client.get('LogLevel', control, where['path']), 'info')


class Floods(AttackTest):
    def test_calls_without_an_answer_count_too(self):
        flooder, others = self.house.client(), [self.house.client() for _ in range(10)]
        begun = time.monotonic()
        # No more in all than one user may at once, so that the others are served however slow this machine is.
        for n in range(50):
            for _ in range(7):
                message = Gio.DBusMessage.new_method_call(NAME, PATH, MANAGER, 'CancelStop')
                message.set_body(GLib.Variant('(s)', ('flood',)))
                message.set_flags(Gio.DBusMessageFlags.NO_REPLY_EXPECTED)
                flooder.connection.send_message(message, Gio.DBusSendMessageFlags.NONE)
            others[n % 10].call('CancelStop', '(s)', ('another caller is served',))
        rows, = self.client.call('GetHistory', '(ttu)', (0, 0, 1000))
        self.assertEqual(sum(row.get('what') == 'another caller is served' for row in rows), 50)
        self.assertLessEqual(sum(row.get('what') == 'flood' for row in rows), 201 + 50 * (time.monotonic() - begun))
        self.assertLives()

    def test_events_are_counted_by_user_not_by_connection(self):
        begun = time.monotonic()
        number = self.emit_many(2000, {})
        self.assertLessEqual(number, 401 + 10 * (time.monotonic() - begun))

    def test_calls_that_leave_a_trace_are_counted_by_user(self):
        number = 0
        with self.assertRaises(GLib.Error) as caught:
            while number < 6000:
                client = self.house.client()
                for _ in range(40):
                    client.call('CancelStop', '(s)', ('fill the history',))
                    number += 1
                client.close()
        self.assertEqual(error_name(caught.exception), LIMITS)
        self.assertIn('of one user', caught.exception.message)
        self.assertGreaterEqual(number, 400)

    def test_holds_are_counted_by_user_not_by_connection(self):
        for _ in range(8):
            client = self.house.client()
            for _ in range(8):
                client.call('HoldFor', '(ts)', (MINUTE, ''))
        self.assertFails(LIMITS, 'HoldFor', '(ts)', (MINUTE, ''), client=self.house.client())
        self.assertEqual(self.client.get('Holds'), 64)

    @unittest.skipIf(os.geteuid() != 0, 'impossible here: other users need root')
    def test_questions_that_hang_keep_nobody_from_holding(self):
        self.house.answer('hang')
        self.house.answer('allow', 'io.cloudsnooze.snooze1.hold')
        waiting = []
        users = [user.pw_uid for user in pwd.getpwall() if user.pw_uid != 0]
        for uid in users[:3]:
            for _ in range(4):
                client = self.house.client(uid)
                waiting += [client.send('Pause', interactive=True) for _ in range(8)]
        refused = lambda: [answer[0][1] for answer in waiting if answer]
        wait_for(lambda: len(refused()) >= 48, 'what is over the ceilings to be refused')
        self.assertEqual({error_name(error) for error in refused()}, {LIMITS})
        _, fds = self.house.client(users[3]).call_with_fds('Hold', '(sss)', ('rsync', 'backup', 'block'))
        for fd in fds.steal_fds():
            self.addCleanup(os.close, fd)
        self.house.client(users[3]).call('HoldFor', '(ts)', (MINUTE, 'mine'))
        self.assertEqual(self.client.get('Holds'), 2)
        self.assertFails(LIMITS, 'Resume', client=self.house.client(users[4]))


class Crowds(AttackTest):
    """Calls that wait for a plugin which does not answer, from as many connections as it takes."""

    configuration = {'check_interval_seconds': 3600}

    def setUp(self):
        super().setUp()
        self.house.install_fake('slow', 'hang', timeouts={'check': 60})
        self.client.call('DiscoverPlugins')

    def check(self, client, descriptors=()):
        message = Gio.DBusMessage.new_method_call(NAME, PATH, MANAGER, 'CheckNow')
        message.set_unix_fd_list(Gio.UnixFDList.new_from_array(descriptors))
        result = []
        client.connection.send_message_with_reply(message, Gio.DBusSendMessageFlags.NONE, 60000, None,
                                                  lambda connection, answer: result.append(connection.send_message_with_reply_finish(answer)))
        return result

    def test_checks_that_wait_are_counted_by_user_and_their_descriptors_with_them(self):
        crowd = [self.house.client() for _ in range(64)]
        mine = os.pipe()
        answers = []
        for client in crowd:
            # One after the other: the bus itself refuses what its own queue to the daemon does not hold.
            asked = len(self.house.questions())
            # The list closes what it is given.
            answers.append(self.check(client, [os.dup(mine[0]) for _ in range(16)]))
            wait_for(lambda: answers[-1] or len(self.house.questions()) > asked or self.house.daemon.ended(), 'the call to be heard')
        for fd in mine:
            os.close(fd)
        refused = lambda: [answer[0].get_error_name() for answer in answers if answer]
        wait_for(lambda: len(refused()) >= 48 or self.house.daemon.ended(), 'all but some to be refused')
        self.assertLives()
        self.assertEqual(set(refused()), {LIMITS})
        self.assertLess(len(os.listdir(f'/proc/{self.house.daemon.pid}/fd')), 16 * 16 + 100)

    def test_diagnoses_that_wait_are_counted(self):
        os.kill(self.house.polkit.pid, signal.SIGSTOP)
        self.addCleanup(os.kill, self.house.polkit.pid, signal.SIGCONT)
        crowd, daemon = [self.house.client() for _ in range(40)], self.house.daemon.pid
        # All at once: each waits 3 s for polkit, and then makes place for another one.
        os.kill(daemon, signal.SIGSTOP)
        try:
            answers = [client.send('Diagnose') for client in crowd]
            for client in crowd:
                # Behind it, at the bus.
                client.call('GetId', interface='org.freedesktop.DBus', path='/org/freedesktop/DBus', destination='org.freedesktop.DBus')
        finally:
            os.kill(daemon, signal.SIGCONT)
        wait_for(lambda: all(answers), 'all answers')
        names = [error_name(error) for (_, error), in answers if error]
        self.assertEqual(set(names), {LIMITS})
        self.assertGreaterEqual(len(names), 24)


class Numbers(SharedBusTest):
    def test_times_out_of_range_change_nothing(self):
        for duration in (0, 72 * 60 * MINUTE + 1, 2**63 - 1, 2**63, 2**64 - 1):
            for method in ('HoldFor', 'Postpone'):
                with self.subTest(method=method, duration=duration):
                    self.assertFails(INVALID, method, '(ts)', (duration, 'x'))
        for delay in (86_400_000_001, 2**63 - 1, 2**64 - 1):
            with self.subTest(delay=delay):
                self.assertFails(INVALID, 'StopInstance', '(sa{sv})', ('x', {'delay': GLib.Variant('t', delay)}))
        for data in ({'x': GLib.Variant('d', float('nan'))}, {'x': GLib.Variant('d', float('inf'))}, {'x': GLib.Variant('t', 2**64 - 1)}):
            self.assertFails(INVALID, 'EmitEvent', '(suta{sv})', ('custom', 0, 0, data))
        self.assertFails(INVALID, 'EmitEvent', '(suta{sv})', ('custom', 0, 2**64 - 1, {}))
        self.assertEqual(self.client.get('Holds'), 0)
        self.assertEqual(self.client.get('NextStop') > 2**62, False)

    def test_options_of_another_type_or_name_are_refused(self):
        for options in ({'force': s('true')}, {'delay': GLib.Variant('i', -1)}, {'dry_run': GLib.Variant('b', True)},
                        {'action': s('poweroff')}, {'action': GLib.Variant('v', s('stop'))}):
            with self.subTest(options=options):
                self.assertFails(INVALID, 'StopInstance', '(sa{sv})', ('x', options))


class Texts(SharedBusTest):
    """What callers write stands on terminals, in the journal and in history, next to words that are to be trusted."""

    plugins = True

    HOSTILE = ('two\nlines', 'tab\tulator', 'clear \x1b[2J', 'bell \x07', 'delete \x7f', 'c1 \u009b31m', 'line \u2028 separator',
               'right \u202e to left', 'isolate \u2067 me')

    def test_nothing_that_steers_a_terminal(self):
        for text in self.HOSTILE:
            for method, signature, arguments in (('Hold', '(sss)', (text, '', 'block')), ('Hold', '(sss)', ('x', text, 'block')),
                                                 ('HoldFor', '(ts)', (MINUTE, text)), ('Postpone', '(ts)', (MINUTE, text)),
                                                 ('CancelStop', '(s)', (text,)), ('StopInstance', '(sa{sv})', (text, {})),
                                                 ('EmitEvent', '(suta{sv})', (f'custom.{text}', 0, 0, {}))):
                with self.subTest(text=text, method=method):
                    message = self.assertFails(INVALID, method, signature, arguments)
                    self.assertNotIn(text, message)
            for method, signature, arguments in (('StopInstance', '(sa{sv})', ('i-other', {'reason': s(text)})),
                                                 ('SetTags', '(a{ss})', ({text: 'x'},)), ('SetTags', '(a{ss})', ({'x': text},))):
                with self.subTest(text=text, method=method):
                    self.assertFails(INVALID, method, signature, arguments, interface=PROVIDER, path=PATH + '/provider/cloud')
        self.assertEqual(self.house.questions(), [])
        self.assertEqual(self.client.get('Holds'), 0)

    def test_a_stop_of_another_machine_is_checked_like_one_of_this(self):
        for options, part in (({'reason': s('x' * 513)}, 'expected at most 512'), ({'wake': GLib.Variant('t', 3)}, 'options.wake')):
            with self.subTest(part=part):
                message = self.assertFails(INVALID, 'StopInstance', '(sa{sv})', ('i-other', options), interface=PROVIDER,
                                            path=PATH + '/provider/cloud')
                self.assertIn(part, message)
        self.assertEqual(self.house.questions(), [])

    def test_scripts_that_need_joiners_are_text(self):
        cookie, = self.client.call('HoldFor', '(ts)', (MINUTE, 'می‌خواهم 👩‍💻'))
        self.client.call('ReleaseHold', '(u)', (cookie,))

    def test_who_begins_with_the_user_whatever_the_caller_says(self):
        _, fds = self.client.call_with_fds('Hold', '(sss)', ('nobody: backup', '', 'block'))
        (_, who, *_), = self.client.call('ListHolds')[0]
        self.assertRegex(who, r'^[^:]+: nobody: backup$')
        for fd in fds.steal_fds():
            os.close(fd)
        wait_for(lambda: self.client.get('Holds') == 0, 'the end of the hold')

    def test_polkit_is_told_whether_holds_are_overridden(self):
        self.house.answer('refuse')
        self.assertFails(ACCESS_DENIED, 'StopInstance', '(sa{sv})', ('bye', {'force': GLib.Variant('b', True), 'action': s('hibernate')}))
        details = self.house.questions()[0]['details']
        self.assertEqual(details, {'reason': 'bye', 'force': 'true', 'action': 'hibernate', 'dry-run': 'false', 'delay': '', 'wake': '',
                                   'request': 'StopInstance: action "hibernate", force "true", reason "bye"'})


class Forged(AttackTest):
    plugins = True

    def setUp(self):
        super().setUp()
        # The machine on which tests run may be busy at one moment and idle at the next.
        self.house.replay(QUIET)
        self.house.restart_daemon(signal.SIGTERM)
        self.house.wait_for_provider()
        wait_for(lambda: self.client.get('State') == 'idle', 'the machine to be idle')

    def test_signals_in_the_name_of_others(self):
        wait_for(lambda: self.client.get('State', PLUGIN, PATH + '/plugin/example') == 'running', 'the plugin')
        before = (self.client.get('State'), self.client.get('Holds'), self.client.get('State', PLUGIN, PATH + '/plugin/example'))
        forger = self.house.client().connection
        daemon = self.client.owner(NAME)
        for path, interface, member, body in (
                ('/org/freedesktop/DBus', 'org.freedesktop.DBus', 'NameOwnerChanged',
                 GLib.Variant('(sss)', ('io.cloudsnooze.Plugin1.example', ':1.1', ''))),
                ('/org/freedesktop/DBus', 'org.freedesktop.DBus', 'NameLost', GLib.Variant('(s)', (NAME,))),
                ('/org/freedesktop/login1', 'org.freedesktop.login1.Manager', 'PrepareForSleep', GLib.Variant('(b)', (True,))),
                ('/org/freedesktop/systemd1', 'org.freedesktop.systemd1.Manager', 'JobRemoved',
                 GLib.Variant('(uoss)', (1, '/org/freedesktop/systemd1/job/1', 'snooze-plugin@example.service', 'failed')))):
            forger.emit_signal(daemon, path, interface, member, body)
            forger.emit_signal(None, path, interface, member, body)
        forger.flush_sync(None)
        self.assertEqual((self.client.get('State'), self.client.get('Holds'),
                          self.client.get('State', PLUGIN, PATH + '/plugin/example')), before)
        self.assertLives()

    def test_a_reply_that_nobody_asked_for(self):
        self.house.answer('hang')
        waiting = self.client.send('Pause')
        wait_for(lambda: self.house.asked, 'the question')
        forger = self.house.client().connection
        for serial in range(1, 400):
            message = Gio.DBusMessage()
            message.set_message_type(Gio.DBusMessageType.METHOD_RETURN)
            message.set_destination(self.client.owner(NAME))
            message.set_reply_serial(serial)
            message.set_body(GLib.Variant('((bba{ss}))', ((True, False, {}),)))
            forger.send_message(message, Gio.DBusSendMessageFlags.NONE)
        forger.flush_sync(None)
        self.assertIs(self.client.get('Paused'), False)
        self.assertEqual(waiting, [])


class Secrets(unittest.TestCase):
    def test_no_reading_shows_a_password_that_stands_in_a_url_or_under_its_name(self):
        values = {'url': 'http://mirror/ redis://me:hunter2@host/', 'hosts': ['db=/usr/bin/check postgres://me:hunter2@db', 'plain'],
                  'db_password': 'hunter2', 'mode': 'idle'}
        house = House({'plugins': {'plugin_configs': {'example': values}}}, daemon=False)
        self.addCleanup(house.close)
        kinds = {'url': 'string', 'hosts': 'list', 'db_password': 'string', 'mode': 'string'}
        house.install_example(config_schema={name: {'type': kind, 'description': 'A value'} for name, kind in kinds.items()})
        house.start_daemon()
        client = house.client()
        shown, = client.call('GetConfiguration', interface=PLUGIN, path=PATH + '/plugin/example')
        self.assertEqual({name: value for name, (value, origin) in shown.items()},
                         {'url': '(hidden)', 'hosts': '(hidden)', 'db_password': '(hidden)', 'mode': 'idle'})
        told = json.loads(client.call('GetConfiguration')[0])['plugins']['plugin_configs']['example']
        self.assertEqual(told, {'url': '(hidden)', 'hosts': ['(hidden)', 'plain'], 'db_password': '(hidden)', 'mode': 'idle'})

    def test_no_error_shows_a_value_that_is_not_taken_for_its_password(self):
        house = House({'plugins': {'plugin_configs': {'example': {'api_token': 31337313373133, 'mode': ['redis://me:31337313373133@host']}}}}, daemon=False)
        self.addCleanup(house.close)
        house.install_example(config_schema={name: {'type': 'string', 'description': 'A value'} for name in ('api_token', 'mode')})
        house.start_daemon()
        client = house.client()
        with contextlib.suppress(GLib.Error):
            client.call('Load', interface=PLUGIN, path=PATH + '/plugin/example')
        wait_for(lambda: 'is not configured well' in client.get('LastError', PLUGIN, PATH + '/plugin/example'), 'the error')
        told = [client.get('LastError', PLUGIN, PATH + '/plugin/example'), client.call('Diagnose'),
                client.call('GetHistory', '(ttu)', (0, 0, 1000)), house.daemon.output()]
        self.assertNotIn('31337313373133', str(told))

    def test_no_reading_shows_a_value_that_its_manifest_calls_secret(self):
        house = House({'plugins': {'plugin_configs': {'example': {'mode': 'idle', 'pin': 'hunter2', 'api_key': 'hunter2'}}}}, daemon=False)
        self.addCleanup(house.close)
        house.install_example(config_schema={
            'mode': {'type': 'string', 'description': 'What it answers', 'default': 'idle'},
            'pin': {'type': 'string', 'description': 'A secret', 'secret': True},
            'api_key': {'type': 'string', 'description': 'Another', 'secret': True}})
        house.start_daemon()
        client = house.client()
        shown = json.loads(client.call('GetConfiguration')[0])['plugins']['plugin_configs']['example']
        self.assertEqual(shown, {'mode': 'idle', 'pin': '(hidden)', 'api_key': '(hidden)'})
        client.call('Configure', '(a{sv})', ({'pin': s('hunter22')},), PLUGIN, PATH + '/plugin/example')
        told = [client.call('GetConfiguration', interface=PLUGIN, path=PATH + '/plugin/example'), client.call('GetConfiguration'),
                client.call('GetConfigurationOrigins'), client.call('Diagnose'), client.call('GetHistory', '(ttu)', (0, 0, 1000)),
                client.call('GetManagedObjects', interface='org.freedesktop.DBus.ObjectManager'), house.daemon.output()]
        self.assertNotIn('hunter2', str(told))
        for name in os.listdir(house.directory / 'state'):
            mode = os.stat(house.directory / 'state' / name).st_mode
            if name.endswith('.json') or '.good' in name:
                self.assertEqual(mode & 0o007, 0, name)


if __name__ == '__main__':
    if not shutil.which('prlimit'):
        print('1..0 # SKIP needs prlimit')
    else:
        sanitized = os.environ.get('SNOOZE_SANITIZE', 'none') != 'none'
        here = [name for name, value in list(globals().items()) if isinstance(value, type) and value.__module__ == '__main__'
                and issubclass(value, unittest.TestCase) and not (sanitized and value is Memory)]
        tap.main(sys.argv[1:] or here)
