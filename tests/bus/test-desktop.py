#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""snooze-desktop: what a person sees of a stop, whatever notification server is there, and what the buttons do."""

import re
import subprocess
import sys
import time
import unittest

PROGRAM = sys.argv.pop()

from gi.repository import Gio, GLib  # noqa: E402

import host  # noqa: E402
import plugin_bus  # noqa: E402
import tap  # noqa: E402
from harness import BUILD, MANAGER, PATH, SOURCE, BusTest, Client, wait_for  # noqa: E402
from mock_snoozed import Failure, MockSnoozed, v  # noqa: E402

SERVER = 'org.freedesktop.Notifications'
SERVER_PATH = '/org/freedesktop/Notifications'
SERVER_XML = f'''<node><interface name="{SERVER}">
  <method name="GetCapabilities"><arg type="as" direction="out"/></method>
  <method name="Notify"><arg type="s" direction="in"/><arg type="u" direction="in"/><arg type="s" direction="in"/>
    <arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="as" direction="in"/>
    <arg type="a{{sv}}" direction="in"/><arg type="i" direction="in"/><arg type="u" direction="out"/></method>
  <method name="CloseNotification"><arg type="u" direction="in"/></method>
</interface></node>'''

CRITICAL, NORMAL = 2, 1
DISMISSED = 2
MINUTE = 60 * 1000000
# In a title, where it is another one than today.
DAY = r'(\d{4}-\d\d-\d\d )?'


class Server:
    """Draws nothing, and remembers everything."""

    def __init__(self, address, capabilities=('actions', 'body', 'body-markup')):
        self.client = Client(address)
        self.client.connection.set_exit_on_close(False)
        self.capabilities = list(capabilities)
        self.notified = []  # dictionaries, oldest first
        self.shown = {}     # id → the same
        self.last = 0
        interface = Gio.DBusNodeInfo.new_for_xml(SERVER_XML).interfaces[0]
        self.client.connection.register_object(SERVER_PATH, interface, self.on_call, None, None)
        self.client.call('RequestName', '(su)', (SERVER, 4), 'org.freedesktop.DBus', '/org/freedesktop/DBus',
                         'org.freedesktop.DBus')

    def on_call(self, connection, sender, path, interface, method, parameters, invocation):
        if method == 'GetCapabilities':
            invocation.return_value(v('(as)', (self.capabilities,)))
        elif method == 'Notify':
            keys = ('application', 'replaces', 'icon', 'title', 'body', 'actions', 'hints', 'timeout')
            notification = dict(zip(keys, parameters.unpack()))
            number = notification['replaces']
            if number not in self.shown:
                number = self.last = self.last + 1
            notification['id'] = number
            self.shown[number] = notification
            self.notified.append(notification)
            invocation.return_value(v('(u)', (number,)))
        else:
            self.shown.pop(parameters.unpack()[0], None)
            invocation.return_value(None)

    def emit(self, member, signature, *arguments):
        self.client.connection.emit_signal(None, SERVER_PATH, SERVER, member, v(signature, arguments))
        self.client.connection.flush_sync(None)

    def click(self, key):
        self.emit('ActionInvoked', '(us)', self.notified[-1]['id'], key)

    def dismiss(self):
        number = self.notified[-1]['id']
        del self.shown[number]
        self.emit('NotificationClosed', '(uu)', number, DISMISSED)

    def stop(self):
        self.client.close()


class DesktopTest(BusTest):
    """The system bus is the harness's; the session bus is this test's own."""
    daemon = False

    def setUp(self):
        super().setUp()
        self.session = plugin_bus.Bus()
        self.addCleanup(self.stop_session)
        self.environment = dict(self.house.environment, DBUS_SESSION_BUS_ADDRESS=self.session.address, TZ='UTC')
        self.servers = []

    def stop_session(self):
        for server in self.servers:
            server.stop()
        self.session.connection.set_exit_on_close(False)
        self.session.stop()

    def server(self, *capabilities):
        server = Server(self.session.address, capabilities) if capabilities else Server(self.session.address)
        self.servers.append(server)
        return server

    def command(self):
        return [PROGRAM]

    def desktop(self):
        """It need not be waited for: what was said before it listened, it asks for."""
        process = subprocess.Popen(self.command(), env=self.environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   text=True)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        """Politely, so that a sanitizer has its say."""
        if process.poll() is None:
            process.terminate()
        _, said = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, said)
        self.assertNotIn('Sanitizer', said)
        self.assertNotIn('CRITICAL', said)


def look_out_for(condition, what):
    """As wait_for(), for what wakes nobody here: another thread, or the state of a bus."""
    tick = GLib.timeout_add(20, lambda: GLib.SOURCE_CONTINUE)
    try:
        wait_for(condition, what)
    finally:
        GLib.source_remove(tick)


class WithMock(DesktopTest):
    """A daemon that says what the test wants it to say."""

    def setUp(self):
        super().setUp()
        self.mock = MockSnoozed(self.house.address, str(SOURCE / 'introspection'))
        self.addCleanup(self.mock.stop)

    def names_of(self, process):
        """The unique names that a process has on the system bus."""
        driver = ('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus')
        names = self.client.call('ListNames', '()', (), *driver)[0]
        found = []
        for name in names:
            if name.startswith(':'):
                try:
                    if self.client.call('GetConnectionUnixProcessID', '(s)', (name,), *driver)[0] == process.pid:
                        found.append(name)
                except GLib.Error:
                    pass
        return found

    def warn(self, minutes=5, reason='idle for 30 min'):
        self.deadline = int(time.time() * 1e6) + int(minutes * MINUTE)

        def work():
            self.mock.set(State='warning', Reason=reason, NextStop=self.deadline)
            self.mock.emit('StateChanged', '(sss)', 'warning', 'idle', reason)
            self.mock.emit('StopScheduled', '(ts)', self.deadline, reason)

        # Who is told what is set and hears the signal behind it, too, would show it twice.
        self.mock.together(work)

    def cancel(self, reason='bob: still working'):
        def work():
            self.mock.set(State='active', Reason=reason, NextStop=0)
            self.mock.emit('StateChanged', '(sss)', 'active', 'warning', reason)
            self.mock.emit('StopCancelled', '(s)', reason)

        self.mock.together(work)

    def called(self, method):
        return [arguments for name, arguments, _ in self.mock.calls if name == method]

    def wait_for_call(self, method):
        look_out_for(lambda: self.called(method), method)

    def shown(self, server, title, count=1):
        """The newest notification, as soon as there are so many with that in their title."""
        wait_for(lambda: sum(title in n['title'] for n in server.notified) >= count, title)
        self.assertIn(title, server.notified[-1]['title'])
        return server.notified[-1]


class Shown(WithMock):
    def test_a_warning_is_one_notification_that_stays(self):
        server = self.server()
        self.desktop()
        self.warn()
        notification = self.shown(server, 'This machine stops at')
        self.assertRegex(notification['title'], rf'^This machine stops at {DAY}\d\d:\d\d UTC \(in (5 min|4 min 5\d s)\)$')
        self.assertEqual(notification['body'], 'idle for 30 min\nKeep it on: snooze postpone 2h · why: snooze why')
        self.assertEqual(notification['actions'], ['postpone', 'Keep on for 2 h', 'cancel', "Don't stop"])
        self.assertEqual((notification['hints']['urgency'], notification['timeout']), (CRITICAL, 0))
        self.assertEqual(notification['application'], 'CloudSnooze')
        self.assertEqual(len(server.shown), 1)

    def warned_shortly_before(self):
        server = self.server()
        process = self.desktop()
        # Who hears of a stop later than 70 s before it tells of it once: its start is not to count.
        look_out_for(lambda: self.names_of(process), 'the desktop')
        self.warn(minutes=1.25)
        return server

    def test_a_minute_before_the_end_it_is_told_again_in_the_same_place(self):
        server = self.warned_shortly_before()
        first = self.shown(server, 'This machine stops at')
        second = self.shown(server, 'This machine stops at', 2)
        self.assertEqual((second['replaces'], list(server.shown)), (first['id'], [first['id']]))
        self.assertRegex(second['title'], r'\(in (1 min|1 min 0\d s|5\d s)\)$')

    def test_who_dismissed_it_is_told_a_minute_before_the_end_all_the_same(self):
        server = self.warned_shortly_before()
        self.shown(server, 'This machine stops at')
        server.dismiss()
        self.shown(server, 'This machine stops at', 2)
        self.assertEqual(len(server.shown), 1)

    def test_when_the_clock_is_set_the_time_is_told_anew_in_the_same_place(self):
        server = self.server()
        self.desktop()
        self.warn()
        first = self.shown(server, 'This machine stops at')
        for count, minutes in ((2, 90), (3, -30)):
            self.deadline += minutes * MINUTE
            self.mock.change(Reason='idle for 30 min', NextStop=self.deadline)
            notification = self.shown(server, 'This machine stops at', count)
            when = time.strftime('%H:%M', time.gmtime((self.deadline + 500_000) // 1_000_000))
            self.assertRegex(notification['title'], rf'^This machine stops at {DAY}{when} UTC \(in (1 h|59 min)')
            self.assertEqual((notification['body'], notification['replaces']), (first['body'], first['id']))
        # Less is none of its business, and what comes after it is of the last that was told.
        self.mock.change(NextStop=self.deadline + MINUTE // 2)
        self.cancel()
        self.shown(server, 'This machine stays on')
        self.assertEqual(len(server.notified), 4)

    def test_called_off_is_told_in_its_place_with_the_reason(self):
        server = self.server()
        self.desktop()
        self.warn()
        first = self.shown(server, 'This machine stops at')
        self.cancel()
        notification = self.shown(server, 'This machine stays on')
        self.assertEqual((notification['body'], notification['actions']), ('bob: still working', []))
        self.assertEqual((notification['replaces'], notification['timeout']), (first['id'], -1))

    def test_the_last_stage_offers_what_may_still_work(self):
        server = self.server()
        self.desktop()
        self.warn()
        self.shown(server, 'This machine stops at')
        self.mock.emit('StateChanged', '(sss)', 'stopping', 'warning', 'idle for 35 min')
        self.mock.emit('Stopping', '(ss)', 'local', 'idle for 35 min')
        notification = self.shown(server, 'This machine stops now')
        self.assertEqual(notification['actions'], ['cancel', "Don't stop"])
        # A machine that was suspended comes back without a word of StopCancelled.
        self.mock.emit('StateChanged', '(sss)', 'active', 'stopped', 'back')
        wait_for(lambda: not server.shown, 'the end of the notification')

    def test_a_dry_run_says_so_and_does_not_insist(self):
        server = self.server()
        self.desktop()
        self.mock.set(DryRun=True)
        self.warn()
        notification = self.shown(server, 'Dry run: this machine would stop at')
        self.assertEqual((notification['hints']['urgency'], notification['timeout']), (NORMAL, -1))

    def test_what_was_a_dry_run_when_it_began_is_none_once_the_machine_is_armed(self):
        server = self.server()
        self.mock.set(DryRun=True)
        self.warn()
        self.desktop()
        self.shown(server, 'Dry run: this machine would stop at')
        self.cancel()
        self.shown(server, 'This machine stays on')
        self.mock.change(DryRun=False)
        self.warn()
        self.assertEqual(self.shown(server, 'This machine stops at')['hints']['urgency'], CRITICAL)

    def test_it_begins_in_the_middle_of_a_warning(self):
        server = self.server()
        self.warn()
        self.desktop()
        self.assertIn('idle for 30 min', self.shown(server, 'This machine stops at')['body'])

    def test_a_daemon_that_goes_takes_its_warning_along(self):
        server = self.server()
        self.desktop()
        self.warn()
        self.shown(server, 'This machine stops at')
        self.mock.disown()
        wait_for(lambda: not server.shown, 'the end of the notification')
        self.mock.own()
        self.shown(server, 'This machine stops at', 2)

    def test_it_leaves_nothing_behind(self):
        server = self.server()
        process = self.desktop()
        self.warn()
        self.shown(server, 'This machine stops at')
        process.terminate()
        wait_for(lambda: not server.shown, 'the end of the notification')


class Servers(WithMock):
    def test_markup_of_others_is_shown_as_it_was_written(self):
        server = self.server()
        self.desktop()
        self.warn(reason='mallory: <a href="http://x">click</a> & <b>go</b>')
        notification = self.shown(server, 'This machine stops at')
        self.assertIn('&lt;a href=&quot;http://x&quot;&gt;click&lt;/a&gt; &amp; &lt;b&gt;go', notification['body'])

    def test_without_markup_nothing_is_escaped(self):
        server = self.server('actions', 'body')
        self.desktop()
        self.warn(reason='alice: R&D <later>')
        self.assertIn('alice: R&D <later>\n', self.shown(server, 'This machine stops at')['body'])

    def test_without_buttons_there_is_what_to_type(self):
        server = self.server('body')
        self.desktop()
        self.warn()
        notification = self.shown(server, 'This machine stops at')
        self.assertEqual(notification['actions'], [])
        self.assertIn('snooze postpone 2h', notification['body'])

    def test_without_a_body_all_stands_in_the_title(self):
        server = self.server('persistence')
        self.desktop()
        self.warn()
        notification = self.shown(server, 'idle for 30 min\nKeep it on: snooze postpone 2h')
        self.assertEqual(notification['body'], '')

    def test_a_server_that_comes_late_still_shows_it(self):
        self.desktop()
        self.warn()
        server = self.server()
        self.shown(server, 'This machine stops at')

    def test_a_server_that_is_restarted_shows_it_again(self):
        first = self.server()
        self.desktop()
        self.warn()
        self.shown(first, 'This machine stops at')
        first.stop()
        second = self.server()
        self.assertEqual(self.shown(second, 'This machine stops at')['replaces'], 0)

    def test_but_not_what_was_dismissed(self):
        first = self.server()
        self.desktop()
        self.warn()
        self.shown(first, 'This machine stops at')
        first.dismiss()
        first.stop()
        second = self.server()
        self.cancel()
        self.shown(second, 'This machine stays on')
        self.assertEqual(len(second.notified), 1)


@unittest.skipIf(host.no_mounts(), host.no_mounts())
@unittest.skipUnless((BUILD / 'po').exists(), 'impossible here: built without translations')
class Languages(WithMock):
    def speak(self, locale):
        """Sessions of this locale, whatever this machine has: for gettext its name is what matters."""
        locales = self.house.directory / 'locales'
        locales.mkdir()
        (locales / locale).symlink_to('/usr/lib/locale/C.utf8')
        self.environment.update(LANG=locale, LOCPATH=str(locales))
        for name in ('LC_ALL', 'LC_MESSAGES', 'LANGUAGE'):
            self.environment.pop(name, None)

    def command(self):
        # The catalogues of this build, where those that are installed would be.
        place = re.search(r'define LOCALEDIR "(.*)"', (BUILD / 'config.h').read_text())[1]
        return ['unshare', '--mount', 'sh', '-c', 'mount --bind "$1" "$2" && exec "$3"', 'sh', BUILD / 'po', place, PROGRAM]

    def test_what_is_shown_is_in_the_language_of_the_session(self):
        self.speak('de_AT.UTF-8')
        server = self.server()
        self.desktop()
        self.warn()
        notification = self.shown(server, 'Dieser Rechner schaltet sich um')
        self.assertRegex(notification['title'], rf'^Dieser Rechner schaltet sich um {DAY}\d\d:\d\d UTC ab \(in (5 min|4 min 5\d s)\)$')
        # The daemon's reason is as it gave it, and what is typed is typed as it stands there.
        self.assertEqual(notification['body'], 'idle for 30 min\nEingeschaltet lassen: snooze postpone 2h · warum: snooze why')
        self.assertEqual(notification['actions'], ['postpone', '2 h eingeschaltet lassen', 'cancel', 'Nicht abschalten'])
        server.click('postpone')
        self.wait_for_call('Postpone')
        # Everybody reads that in history.
        self.assertEqual(self.called('Postpone')[0][1], 'asked for on the desktop')

    def test_one_that_is_not_there_is_english(self):
        self.speak('ja_JP.UTF-8')
        server = self.server()
        self.desktop()
        self.warn()
        self.shown(server, 'This machine stops at')


class Buttons(WithMock):
    def warned(self):
        server = self.server()
        self.desktop()
        self.warn()
        self.shown(server, 'This machine stops at')
        return server

    def test_keep_on_postpones_for_two_hours(self):
        server = self.warned()
        server.click('postpone')
        self.wait_for_call('Postpone')
        self.assertEqual(self.called('Postpone'), [(120 * MINUTE, 'asked for on the desktop')])

    def test_do_not_stop_cancels(self):
        server = self.warned()
        server.click('cancel')
        self.wait_for_call('CancelStop')
        self.assertEqual(self.called('CancelStop'), [('asked for on the desktop',)])

    def test_a_refusal_is_shown_and_the_stop_with_it(self):
        self.mock.answers['Postpone'] = Failure('TooLate', 'The provider was asked already.')
        server = self.warned()
        server.click('postpone')
        notification = self.shown(server, 'This machine stops at', 2)
        self.assertIn('That did not work: The provider was asked already.', notification['body'])
        self.assertIn('postpone', notification['actions'])

    def test_what_is_clicked_on_others_is_nothing_of_ours(self):
        server = self.warned()
        server.emit('ActionInvoked', '(us)', 4711, 'cancel')
        server.emit('ActionInvoked', '(us)', server.last, 'default')
        server.click('postpone')
        self.wait_for_call('Postpone')
        self.assertEqual(self.called('CancelStop'), [])


class Forged(WithMock):
    def test_nobody_else_is_believed(self):
        server = self.server()
        process = self.desktop()
        self.warn()
        self.shown(server, 'This machine stops at')
        mallory = self.house.client()
        names = self.names_of(process)
        self.assertEqual(len(names), 1)
        for destination in (None, names[0]):
            for member, arguments in (('StopCancelled', v('(s)', ('forged',))),
                                      ('Stopping', v('(ss)', ('forged', 'forged'))),
                                      ('StateChanged', v('(sss)', ('active', 'stopped', 'forged'))),
                                      ('StopScheduled', v('(ts)', (1, 'forged')))):
                mallory.connection.emit_signal(destination, PATH, MANAGER, member, arguments)
        owner = self.mock.connection.get_unique_name()
        mallory.connection.emit_signal(names[0], '/org/freedesktop/DBus', 'org.freedesktop.DBus', 'NameOwnerChanged',
                                       v('(sss)', ('io.cloudsnooze.Snooze1', owner, mallory.name)))
        mallory.connection.flush_sync(None)
        self.cancel('the real one')
        self.assertEqual(self.shown(server, 'This machine stays on')['body'], 'the real one')
        self.assertEqual([n['title'][:16] for n in server.notified], ['This machine sto', 'This machine sta'])

    def test_signals_with_other_arguments_are_dropped(self):
        server = self.server()
        self.desktop()
        self.warn()
        self.shown(server, 'This machine stops at')
        self.mock.emit('StopCancelled', '(u)', 7)
        self.mock.emit('StopScheduled', '(st)', 'x', 1)
        self.cancel()
        self.shown(server, 'This machine stays on')
        self.assertEqual(len(server.notified), 2)


class Alone(DesktopTest):
    """Without a daemon, or a bus, or the place to itself."""

    def warning_daemon(self):
        """Comes, and warns at once: who looked before that hears the signal."""
        mock = MockSnoozed(self.house.address, str(SOURCE / 'introspection'))
        self.addCleanup(mock.stop)
        deadline = int(time.time() * 1e6) + 5 * MINUTE
        mock.set(State='warning', NextStop=deadline)
        mock.emit('StopScheduled', '(ts)', deadline, 'idle for 30 min')
        return mock

    def test_it_does_not_start_the_daemon(self):
        started = self.house.directory / 'started'
        (self.house.directory / 'services/io.cloudsnooze.Snooze1.service').write_text(
            f'[D-BUS Service]\nName=io.cloudsnooze.Snooze1\nExec=/usr/bin/touch {started}\nUser=root\n')
        self.client.call('ReloadConfig', interface='org.freedesktop.DBus', path='/org/freedesktop/DBus',
                         destination='org.freedesktop.DBus')
        server = self.server()
        self.desktop()
        mock = self.warning_daemon()
        wait_for(lambda: server.notified, 'the notification')
        mock.disown()
        wait_for(lambda: not server.shown, 'its end')
        self.assertFalse(started.exists())

    def test_it_ends_with_its_session(self):
        server = self.server()
        process = self.desktop()
        self.warning_daemon()
        wait_for(lambda: server.notified, 'the notification')
        self.session.connection.set_exit_on_close(False)
        server.client.connection.set_exit_on_close(False)
        self.session.daemon.terminate()
        self.assertEqual(process.wait(30), 0)

    def test_it_outlives_the_system_bus(self):
        server = self.server()
        self.desktop()
        self.warning_daemon()
        wait_for(lambda: server.shown, 'the notification')
        self.house.polkit.kill()
        self.house.stop_bus()
        wait_for(lambda: not server.shown, 'its end')
        self.house.start_bus()
        self.warning_daemon()
        wait_for(lambda: server.shown, 'the notification of the next')

    def test_without_a_session_bus_it_says_so(self):
        self.environment['DBUS_SESSION_BUS_ADDRESS'] = 'unix:path=/nonexistent'
        result = subprocess.run([PROGRAM], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
                                text=True, timeout=30)
        self.assertEqual(result.returncode, 1)
        self.assertIn('no session bus', result.stderr)

    def test_a_second_one_waits_for_its_turn(self):
        server = self.server()
        first = self.desktop()
        look_out_for(lambda: self.owner() is not None, 'the first')
        owner = self.owner()
        second = self.desktop()
        self.warning_daemon()
        look_out_for(lambda: server.notified and self.queued() == 2, 'both')
        self.assertEqual(len(server.shown), 1)
        first.terminate()
        look_out_for(lambda: self.owner() not in (None, owner), 'the second')
        wait_for(lambda: len(server.notified) > 1 and len(server.shown) == 1, 'its notification')
        self.assertIsNone(second.poll())

    def ask(self, method):
        try:
            return self.servers[0].client.call(method, '(s)', ('io.cloudsnooze.Desktop1',), 'org.freedesktop.DBus',
                                               '/org/freedesktop/DBus', 'org.freedesktop.DBus')[0]
        except GLib.Error:
            return None

    def owner(self):
        return self.ask('GetNameOwner')

    def queued(self):
        return len(self.ask('ListQueuedOwners') or ())


class Real(DesktopTest):
    """With the daemon itself: a person's stop, which somebody else at the desktop does not want."""
    daemon = True
    plugins = True
    configuration = {'provider': 'cloud', 'warning_minutes': 5}

    def warned(self):
        server = self.server()
        self.desktop()
        self.client.call('StopInstance', '(sa{sv})', ('a test', {'delay': v('t', 5 * MINUTE)}))
        wait_for(lambda: server.notified, 'the notification')
        self.assertIn('a test', server.notified[-1]['body'])
        return server

    def test_keep_on_keeps_it_on(self):
        server = self.warned()
        server.click('postpone')
        wait_for(lambda: server.notified[-1]['title'] == 'This machine stays on', 'the end of the warning')
        self.assertNotIn(self.client.get('State'), ('warning', 'stopping'))
        holds, = self.client.call('ListHolds')
        self.assertIn('postpone', [hold[3] for hold in holds])

    def test_a_daemon_that_is_killed_warns_again(self):
        server = self.warned()
        self.house.kill_daemon()
        wait_for(lambda: not server.shown, 'the end of the notification')
        self.house.start_daemon()
        wait_for(lambda: server.shown, 'the second warning')
        self.assertIn('a test', server.notified[-1]['body'])


if __name__ == '__main__':
    tap.main()
