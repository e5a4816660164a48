# SPDX-License-Identifier: Apache-2.0
"""Streams through a plugin, by the daemon: who may have one, what becomes of the pipes, and what the daemon keeps, which is nothing."""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

from gi.repository import Gio, GLib

import tap
from harness import BUILD, ERROR, PATH, PLUGIN, TIMEOUT, BusTest, continue_if_there, block, error_name, wait_for, wait_for_file

SNOOZE = BUILD / 'src/cli/snooze'
GIBIBYTE = 1024 * 1024 * 1024
PER_PLUGIN_MAX, MAX = 8, 32


def readable(fd):
    return struct.unpack('i', fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))[0]


def places(pid, inode):
    """The descriptors of a process that are this pipe or socket."""
    found = []
    for entry in pathlib.Path(f'/proc/{pid}/fd').iterdir():
        with contextlib.suppress(FileNotFoundError):
            if entry.stat().st_ino == inode:
                found.append(entry.name)
    return found


def pipes(pid):
    found = set()
    for entry in pathlib.Path(f'/proc/{pid}/fd').iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(entry))
    return {link for link in found if link.startswith('pipe:')}


def nobody_reads(feed):
    """Soon: whoever is in the middle of reading it when it is taken away lets go of it a moment later."""
    poll = select.poll()
    poll.register(feed, 0)
    return any(event & select.POLLERR for _, event in poll.poll(TIMEOUT * 1000))


def peak(pid):
    """KiB."""
    status = pathlib.Path(f'/proc/{pid}/status').read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith('VmHWM'))


class StreamTest(BusTest):
    daemon = False

    def stream(self, source, sink, identifier='example', client=None, **options):
        """Hands both over, keeping neither; the result collects (result, error)."""
        answer = []

        def on_reply(connection, result):
            try:
                answer.append((*connection.call_with_unix_fd_list_finish(result)[0].unpack(), None))
            except GLib.Error as error:
                answer.append((None, error))

        parameters = GLib.Variant('(hha{sv})', (0, 1, {key: GLib.Variant('s', value) for key, value in options.items()}))
        (client or self.client).connection.call_with_unix_fd_list(
            'io.cloudsnooze.Snooze1', f'{PATH}/plugin/{identifier}', PLUGIN, 'ProcessStream', parameters, None,
            Gio.DBusCallFlags.NONE, TIMEOUT * 1000, Gio.UnixFDList.new_from_array([source, sink]), None, on_reply)
        return answer

    def begin(self, identifier='example', client=None, **options):
        """A stream of which nothing has come yet: its answer, where to write, and where to read."""
        (source, feed), (drain, sink) = os.pipe(), os.pipe()
        inode = os.stat(source).st_ino
        answer = self.stream(source, sink, identifier, client, **options)
        # Theirs may be wanted back as long as the test runs.
        feed, drain = open(feed, 'wb', buffering=0), open(drain, 'rb', buffering=0)
        self.addCleanup(feed.close)
        self.addCleanup(drain.close)
        return answer, feed, drain, inode

    def wait_until_plugin_has(self, inode, identifier='example'):
        pid = self.pid(identifier)
        wait_for_file(lambda: places(pid, inode), 'the plugin to have its pipe')
        return pid

    def pid(self, identifier='example'):
        wait_for_file(lambda: self.client.get('Pid', PLUGIN, f'{PATH}/plugin/{identifier}'), 'the plugin to run')
        return self.client.get('Pid', PLUGIN, f'{PATH}/plugin/{identifier}')

    def answered(self, answer, name=None, part=''):
        wait_for(lambda: answer, 'the answer')
        result, error = answer[0]
        self.assertEqual(error_name(error) if error else None, name and ERROR + name, error)
        if error:
            self.assertIn(part, error.message)
        return result

    def statistics(self, identifier='example'):
        return self.client.call('GetStatistics', interface=PLUGIN, path=f'{PATH}/plugin/{identifier}')[0]


class Streams(StreamTest):
    def start(self, **more):
        self.house.install_example(**more)
        self.house.start_daemon()

    def test_what_goes_in_comes_out(self):
        self.start()
        answer, feed, drain, _ = self.begin()
        feed.write(b'HAL')
        self.assertEqual(drain.read(3), b'IBM')
        feed.write(b'abc')
        feed.close()
        self.assertEqual(drain.read(10), b'bcd')
        self.assertEqual(drain.read(10), b'')
        self.assertEqual(self.answered(answer), {'bytes': 6})
        self.assertEqual((self.statistics()['errors'], self.statistics()['timeouts']), (0, 0))

    def test_a_socket_will_do(self):
        self.start()
        ours, theirs = socket.socketpair()
        answer = self.stream(os.dup(theirs.fileno()), theirs.detach())
        ours.sendall(b'abc')
        ours.shutdown(socket.SHUT_WR)
        with ours.makefile('rb') as file:
            self.assertEqual(file.read(), b'bcd')
        ours.close()
        self.assertEqual(self.answered(answer), {'bytes': 3})

    def test_a_gibibyte_takes_no_memory(self):
        self.start()
        self.client.call('LoadPlugin', '(s)', ('example',))
        plugin, daemon = self.pid(), self.house.daemon.pid
        # Once, so that what is needed for any stream is there.
        answer, feed, _, _ = self.begin(how='thread')
        feed.close()
        self.answered(answer)
        before = peak(daemon), peak(plugin)
        for how in ('copy', 'thread'):
            answer, feed, drain, _ = self.begin(how=how)
            came, wrong = [0], []

            def write(feed=feed):
                left, block = GIBIBYTE // 2, b'a' * 65536
                while left > 0:
                    left -= feed.write(block[:left])
                feed.close()

            def read(drain=drain, came=came, wrong=wrong):
                while block := drain.read(65536):
                    came[0] += len(block)
                    if block.strip(b'a'):
                        wrong.append(block)

            workers = [threading.Thread(target=work) for work in (write, read)]
            for worker in workers:
                worker.start()
            self.answered(answer)
            for worker in workers:
                worker.join()
            self.assertEqual((came[0], wrong), (GIBIBYTE // 2, []))
        grown = peak(daemon) - before[0], peak(plugin) - before[1]
        self.assertLess(max(grown), 4096, grown)

    def test_the_daemon_keeps_no_descriptor(self):
        self.start()
        answer, feed, _, inode = self.begin()
        self.wait_until_plugin_has(inode)
        # The plugin may have it before the daemon has come back from sending it.
        wait_for_file(lambda: not places(self.house.daemon.pid, inode), 'the daemon to let go of it')
        feed.close()
        self.answered(answer)

    def test_nor_of_one_that_was_refused(self):
        self.start()
        for mode in ('refuse', 'challenge'):
            self.house.answer(mode)
            answer, feed, drain, inode = self.begin()
            wait_for(lambda answer=answer: answer, 'the refusal')
            self.assertIn('sudo snooze plugin process example', answer[0][1].message)
            self.assertEqual(drain.read(1), b'')
        self.assertEqual(error_name(answer[0][1]), 'org.freedesktop.DBus.Error.InteractiveAuthorizationRequired')
        # It was open for nobody else: to write to it is an error.
        with self.assertRaises(BrokenPipeError):
            feed.write(b'x')
        self.assertEqual(places(self.house.daemon.pid, inode), [])

    def refused_at_once(self, source, sink, part):
        answer = self.stream(source, sink)
        self.answered(answer, 'InvalidArgument', part)

    def test_what_is_no_pipe_is_refused_and_polkit_not_asked(self):
        self.start()
        (source, feed), (drain, sink) = os.pipe(), os.pipe()
        self.addCleanup(lambda: [os.close(fd) for fd in (source, feed, drain, sink)])
        fifo = self.house.directory / 'fifo'
        os.mkfifo(fifo)
        listening, datagrams = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listening.bind(str(self.house.directory / 'socket'))
        listening.listen()
        self.addCleanup(listening.close)
        self.addCleanup(datagrams.close)
        wrong = [os.open(fifo, os.O_PATH), os.open('/etc/passwd', os.O_RDONLY), os.open('/dev/null', os.O_RDWR), os.open('/', os.O_RDONLY),
                 os.memfd_create('data'), os.eventfd(1), listening.fileno(), datagrams.fileno()]
        for fd in wrong:
            with self.subTest(what=os.readlink(f'/proc/self/fd/{fd}')):
                self.refused_at_once(os.dup(fd), os.dup(sink), 'input: expected a pipe')
                self.refused_at_once(os.dup(source), os.dup(fd), 'output: expected a pipe')
        for fd in wrong[:6]:
            os.close(fd)
        self.refused_at_once(os.dup(feed), os.dup(sink), 'that can be read')
        self.refused_at_once(os.dup(source), os.dup(drain), 'that can be written')
        self.refused_at_once(os.dup(source), os.dup(feed), 'the two ends of one pipe')
        self.assertEqual(self.house.questions(), [])

    def test_one_without_the_contract(self):
        self.house.install_fake('one', 'channel-good')
        self.house.start_daemon()
        answer, *_ = self.begin('one')
        self.answered(answer, 'NotSupported', 'DataProcessor')
        self.assertEqual(self.house.questions(), [])

    def test_one_that_works_on_blocks_alone(self):
        self.start(variables={'EXAMPLE_WORKS_ON_BLOCKS': '1'})
        answer, _, drain, _ = self.begin()
        self.answered(answer, 'NotSupported', 'works on blocks alone')
        self.assertEqual(drain.read(1), b'')
        self.assertEqual(self.statistics()['errors'], 0)
        self.assertTrue(self.client.get('Healthy', PLUGIN, PATH + '/plugin/example'))

    def test_a_plugin_that_is_killed(self):
        self.start()
        answer, feed, drain, inode = self.begin()
        feed.write(b'abc')
        self.assertEqual(drain.read(3), b'bcd')
        os.kill(self.wait_until_plugin_has(inode), signal.SIGKILL)
        self.answered(answer, 'PluginFailed', 'ended while it was asked ProcessStream')
        self.assertEqual(drain.read(1), b'')
        with self.assertRaises(BrokenPipeError):
            feed.write(b'x')
        self.assertEqual(self.statistics()['errors'], 1)
        # And it is back for the next one, which is not given what was left of this one.
        wait_for(lambda: self.client.get('State', PLUGIN, PATH + '/plugin/example') == 'running', 'its restart')
        answer, feed, drain, _ = self.begin()
        feed.close()
        self.assertEqual(self.answered(answer), {'bytes': 0})
        self.assertEqual(drain.read(1), b'')

    def test_a_reader_that_leaves_is_no_fault_of_the_plugin(self):
        self.start()
        for how in ('copy', 'thread'):
            answer, feed, drain, inode = self.begin(how=how)
            self.wait_until_plugin_has(inode)
            drain.close()
            feed.write(b'x')
            self.answered(answer, 'Refused', 'Broken pipe')
        self.assertEqual(self.statistics()['errors'], 0)
        self.assertTrue(self.client.get('Healthy', PLUGIN, PATH + '/plugin/example'))

    def begun(self, how):
        """As many as there may be, whose other ends are held."""
        streams = [self.begin(client=self.house.client(), how=how) for _ in range(PER_PLUGIN_MAX)]
        for _, _, _, inode in streams:
            self.wait_until_plugin_has(inode)
        return streams

    def test_those_of_a_daemon_that_was_killed_occupy_nobody(self):
        self.start()
        plugin = self.pid()
        for how in ('thread', 'copy'):
            with self.subTest(how=how):
                streams = self.begun(how)
                self.house.restart_daemon()
                for _, feed, _, inode in streams:
                    wait_for_file(lambda inode=inode: not places(plugin, inode), 'the plugin to let go of it')
                    self.assertTrue(nobody_reads(feed))
                answer, feed, _, _ = self.begin(client=self.house.client(), how=how)
                feed.close()
                self.answered(answer)
                self.assertEqual(self.pid(), plugin)

    def test_those_of_a_daemon_that_does_not_come_back_keep_no_plugin(self):
        self.start(variables={'SNOOZE_HOST_EXIT': '1'})
        for how in ('thread', 'copy'):
            with self.subTest(how=how):
                plugin = self.pid()
                self.begun(how)
                self.house.kill_daemon()
                wait_for_file(lambda plugin=plugin: not os.path.exists(f'/proc/{plugin}'), 'the end of the plugin')
                self.house.start_daemon()

    def test_its_time_is_for_all_of_it_and_no_fault_of_the_plugin(self):
        self.start(timeouts={'stream': 0.3})
        answer, _, _, inode = self.begin()
        self.answered(answer, 'TimedOut', 'did not answer ProcessStream within 0.3 s')
        # Where it is slow, its time may be over before it was asked.
        self.assertEqual((self.statistics()['timeouts'], self.statistics()['errors']), (1, 0))
        self.assertTrue(self.client.get('Healthy', PLUGIN, PATH + '/plugin/example'))
        self.assertEqual(places(self.house.daemon.pid, inode), [])

    def test_one_whose_time_is_over_occupies_nobody(self):
        """However long its other ends are held."""
        self.start(timeouts={'stream': 3})
        plugin = self.pid()
        for how in ('thread', 'copy'):
            with self.subTest(how=how):
                streams = [self.begin(client=self.house.client(), how=how) for _ in range(PER_PLUGIN_MAX)]
                # One half waits for what is read, the other for what is written.
                for _, feed, _, _ in streams[:PER_PLUGIN_MAX // 2]:
                    os.set_blocking(feed.fileno(), False)
                    # Where this machine is slow, its time may be over already.
                    with contextlib.suppress(BrokenPipeError):
                        while feed.write(bytes(65536)):
                            pass
                for answer, _, _, _ in streams:
                    self.answered(answer, 'TimedOut')
                for _, feed, _, inode in streams:
                    wait_for_file(lambda inode=inode: not places(plugin, inode), 'the plugin to let go of it')
                    self.assertTrue(nobody_reads(feed), 'the plugin goes on to read it')
                for _, _, drain, _ in streams[PER_PLUGIN_MAX // 2:]:
                    self.assertEqual(drain.read(1), b'')
                answer, feed, _, _ = self.begin(how=how)
                feed.close()
                self.answered(answer)
        self.assertTrue(self.client.get('Healthy', PLUGIN, PATH + '/plugin/example'))
        self.assertEqual(self.pid(), plugin)

    def test_it_is_not_the_time_of_other_calls(self):
        self.house.install_fake('one', 'channel-good', contracts=['DataProcessor', 'RequestHandler'], timeouts={'provider': 0.1})
        self.house.start_daemon()
        answer, feed, _, _ = self.begin('one')
        wait_for_file(lambda: 'ProcessStream' in self.house.lived_through('one'), 'the plugin to be asked')
        # It began later, and its time is over.
        self.assertFails(ERROR + 'TimedOut', 'Call', '(sa{sv})', ('x', {}), interface=PLUGIN, path=PATH + '/plugin/one')
        self.assertEqual(answer, [])
        feed.write(b'x')
        self.assertEqual(self.answered(answer), {'bytes': 1})

    def test_other_calls_are_answered_meanwhile(self):
        self.start()
        answer, feed, _, inode = self.begin()
        self.wait_until_plugin_has(inode)
        self.assertEqual(self.client.call('CheckIdle', interface=PLUGIN, path=PATH + '/plugin/example')[0], 'idle')
        self.assertEqual(answer, [])
        feed.close()
        self.answered(answer)

    def test_so_many_of_a_plugin_and_no_more(self):
        self.start()
        streams = []
        for i in range(PER_PLUGIN_MAX):
            streams.append(self.begin(client=self.house.client()))
            self.wait_until_plugin_has(streams[-1][3])
        answer, _, drain, _ = self.begin()
        self.answered(answer, 'LimitsExceeded', f'{PER_PLUGIN_MAX} streams of example are under way')
        self.assertEqual(drain.read(1), b'')
        streams[0][1].close()
        self.answered(streams[0][0])
        answer, feed, _, _ = self.begin()
        feed.close()
        self.answered(answer)

    def test_so_many_in_all_and_no_more(self):
        names = [f'fake{i}' for i in range(MAX // PER_PLUGIN_MAX + 1)]
        for name in names:
            self.house.install_fake(name, 'channel-good', contracts=['DataProcessor'])
        self.house.start_daemon()
        client = None
        for i in range(MAX):
            # A client may have 32 calls under way, and polkit is asked about so many at once.
            client = client if i % PER_PLUGIN_MAX else self.house.client()
            asked = len(self.house.questions())
            self.begin(names[i // PER_PLUGIN_MAX], client)
            wait_for(lambda asked=asked: len(self.house.questions()) > asked, 'polkit to be asked')
        answer, *_ = self.begin(names[-1])
        self.answered(answer, 'LimitsExceeded', f'{MAX} streams are under way')

    def test_a_caller_who_leaves_closes_the_pipes(self):
        self.start()
        for _ in range(PER_PLUGIN_MAX + 1):
            client = self.house.client()
            _, feed, drain, inode = self.begin(client=client, how='thread')
            plugin = self.wait_until_plugin_has(inode)
            client.close()
            feed.close()
            drain.close()
            wait_for_file(lambda inode=inode: not places(plugin, inode), 'the plugin to be done')


class Blocks(StreamTest):
    def data(self, data, identifier='example', client=None):
        """The result collects (output, error)."""
        answer = []

        def on_reply(connection, result):
            try:
                answer.append((connection.call_finish(result).get_child_value(0).get_data_as_bytes().get_data() or b'', None))
            except GLib.Error as error:
                answer.append((None, error))

        (client or self.client).connection.call(
            'io.cloudsnooze.Snooze1', f'{PATH}/plugin/{identifier}', PLUGIN, 'ProcessData', block(data), None,
            Gio.DBusCallFlags.NONE, TIMEOUT * 1000, None, on_reply)
        return answer

    def test_one_that_works_on_blocks_alone(self):
        self.house.install_example(variables={'EXAMPLE_WORKS_ON_BLOCKS': '1'})
        self.house.start_daemon()
        answer = self.data(b'abc')
        wait_for(lambda: answer, 'the answer')
        self.assertEqual(answer, [(b'cba', None)])

    def test_one_without_the_contract(self):
        self.house.install_fake('one', 'channel-good')
        self.house.start_daemon()
        self.answered(self.data(b'abc', 'one'), 'NotSupported', 'DataProcessor')
        self.assertEqual(self.house.questions(), [])

    def test_all_together_have_a_ceiling(self):
        self.house.install_fake('one', 'good', contracts=['DataProcessor'], timeouts={'provider': 300})
        self.house.start_daemon()
        self.client.call('LoadPlugin', '(s)', ('one',))
        self.answered(self.data(bytes(16 * 1024 * 1024 + 1), 'one'), 'LimitsExceeded', 'one may have 16 MiB')
        plugin = self.pid('one')
        os.kill(plugin, signal.SIGSTOP)
        self.addCleanup(continue_if_there, plugin)
        leaver = self.house.client()
        under_way = self.data(b'abc', 'one')
        wait_for(lambda: len(self.house.questions()) == 2, 'polkit to be asked')
        self.data(bytes(16 * 1024 * 1024 - 3), 'one', leaver)
        wait_for(lambda: len(self.house.questions()) == 3, 'polkit to be asked')
        leaver.call('ListPlugins')
        self.answered(self.data(b'x', 'one'), 'LimitsExceeded', 'are under way, and all together may have 16 MiB')
        # One that waits goes with whoever asked.
        leaver.close()
        wait_for(lambda: not self.client.owner(leaver.name), 'the bus to tell')
        last = self.data(b'xyz', 'one')
        wait_for(lambda: len(self.house.questions()) == 5, 'polkit to be asked')
        self.client.call('ListPlugins')
        self.assertEqual(last, [])
        os.kill(plugin, signal.SIGCONT)
        wait_for(lambda: under_way and last, 'the answers')
        self.assertEqual((under_way, last), ([(b'abc', None)], [(b'xyz', None)]))


class OverTheBus(StreamTest):
    def start(self, behaviour='good', **more):
        self.house.install_fake('one', behaviour, contracts=['DataProcessor', 'IdleCheck'], **more)
        self.house.start_daemon()

    def reached(self):
        return self.house.lived_through('one').count('ProcessStream')

    def test_what_goes_in_comes_out(self):
        self.start()
        answer, feed, drain, _ = self.begin('one')
        feed.write(b'abc')
        self.assertEqual(drain.read(), b'abc')
        self.assertEqual(self.answered(answer), {'bytes': 3})
        self.assertNotIn('OpenChannel', self.house.lived_through('one'))

    def test_the_daemon_keeps_no_descriptor(self):
        self.start()
        answer, feed, _, inode = self.begin('one')
        wait_for_file(lambda: self.reached() == 1, 'the plugin to be asked')
        # The plugin may have it before the daemon has come back from sending it.
        wait_for_file(lambda: not places(self.house.daemon.pid, inode), 'the daemon to let go of it')
        feed.write(b'x')
        self.answered(answer)

    def test_one_after_the_other_and_nobody_works_for_one_who_has_left(self):
        self.start()
        first, feed, _, _ = self.begin('one')
        wait_for_file(lambda: self.reached() == 1, 'the plugin to be asked')
        leaver = self.house.client()
        _, _, drain, inode = self.begin('one', leaver)
        wait_for_file(lambda: places(self.house.daemon.pid, inode), 'the second one to wait')
        leaver.close()
        # What waited has an end, and nobody else has it.
        self.assertEqual(drain.read(), b'')
        self.assertEqual(places(self.house.daemon.pid, inode), [])
        last, last_feed, last_drain, _ = self.begin('one')
        feed.write(b'a')
        self.answered(first)
        last_feed.write(b'b')
        self.assertEqual(last_drain.read(), b'b')
        self.answered(last)
        self.assertEqual(self.reached(), 2)

    def test_its_time_is_for_all_of_it(self):
        self.start(timeouts={'stream': 0.3, 'check': 0.3})
        answer, *_ = self.begin('one')
        self.answered(answer, 'TimedOut')

    def test_a_plugin_that_never_greets_keeps_nobody_waiting(self):
        """sd-bus would wait for that, in the middle of sending, and the daemon with it."""
        self.start('channel-mute', timeouts={'initialize': 1})
        answer, *_ = self.begin('one')
        wait_for_file(lambda: 'OpenChannel' in self.house.lived_through('one'), 'the channel')
        for _ in range(20):
            self.client.call('ListPlugins')
        wait_for(lambda: answer, 'the answer')
        self.answered(answer, 'NotRunning', 'does not greet over its channel')
        self.assertEqual(self.reached(), 0)


class Command(StreamTest):
    """snooze plugin process"""

    def setUp(self):
        super().setUp()
        self.house.install_example()
        self.house.start_daemon()

    def snooze(self, *arguments, data=b'', **keywords):
        keywords = keywords if 'stdin' in keywords else {'input': data, **keywords}
        keywords.setdefault('stdout', subprocess.PIPE)
        return subprocess.run([SNOOZE, 'plugin', 'process', *arguments], env=self.house.environment, stderr=subprocess.PIPE,
                              timeout=2 * TIMEOUT, **keywords)

    def start(self, *arguments, **keywords):
        keywords = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'bufsize': 0, **keywords}
        process = subprocess.Popen([SNOOZE, 'plugin', 'process', *arguments], env=self.house.environment, **keywords)
        for file in (process.stdin, process.stdout, process.stderr):
            if file:
                self.addCleanup(file.close)
        self.addCleanup(lambda: process.poll() is None and (process.kill(), process.wait()))
        return process

    def begun(self, *arguments, **keywords):
        """It, once the plugin has taken something of its."""
        process = self.start('example', *arguments, **keywords)
        process.stdin.write(b'abc')
        self.assertEqual(process.stdout.read(3), b'bcd')
        return process

    def test_standard_output_is_the_data(self):
        result = self.snooze('example', data=b'HAL')
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b'IBM', b'bytes: 3\n'))
        result = self.snooze('example', '--json', data=b'HAL' * 100000)
        self.assertEqual((result.returncode, result.stdout), (0, b'IBM' * 100000))
        self.assertEqual(json.loads(result.stderr), {'result': {'bytes': 300000}, 'bytes_in': 300000, 'bytes_out': 300000})
        self.assertEqual(result.stderr.count(b'\n'), 1)

    def test_files_will_do(self):
        source, sink = self.house.directory / 'source', self.house.directory / 'sink'
        source.write_bytes(os.urandom(3_000_000))
        with source.open('rb') as stdin, sink.open('wb') as stdout:
            result = self.snooze('example', '--option', 'how=thread', stdin=stdin, stdout=stdout)
        self.assertEqual((result.returncode, result.stderr), (0, b'bytes: 3000000\n'))
        self.assertEqual(sink.read_bytes(), source.read_bytes())
        # The file that both are stays as it was made: neither is anybody's to change.
        with source.open('rb') as stdin:
            self.snooze('example', stdin=stdin)
            self.assertTrue(os.get_blocking(stdin.fileno()))

    def test_pipes_of_others_stay_blocking(self):
        (source, feed), (drain, sink) = os.pipe(), os.pipe()
        process = self.start('example', stdin=source, stdout=sink)
        os.write(feed, b'abc')
        self.assertEqual(os.read(drain, 3), b'bcd')
        self.assertTrue(os.get_blocking(source) and os.get_blocking(sink))
        for fd in (source, feed, sink):
            os.close(fd)
        self.assertEqual((os.read(drain, 10), process.wait(TIMEOUT)), (b'', 0))
        os.close(drain)

    def test_options_are_json_or_text(self):
        self.assertEqual(self.snooze('example', '-o', 'how=copy', data=b'abc').stdout, b'abc')
        self.assertEqual(self.snooze('example', '-o', 'how="copy"', data=b'abc').stdout, b'abc')
        for wrong in ('how', '=copy', ''):
            result = self.snooze('example', '--option', wrong)
            self.assertEqual(result.returncode, 2)
            self.assertIn('expected KEY=VALUE', result.stderr.decode())
        self.assertEqual(self.snooze().returncode, 2)
        self.assertIn('-H cannot be here', self.snooze('-H', 'elsewhere', 'example').stderr.decode())

    def test_a_block(self):
        result = self.snooze('example', '--block', data=b'abc')
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b'cba', b''))
        self.assertEqual(self.snooze('example', '-b', '--json').stdout, b'')
        largest = os.urandom(16 * 1024 * 1024)
        self.assertEqual(self.snooze('example', '--block', data=largest).stdout, largest)
        result = self.snooze('example', '--block', data=largest + b'x')
        self.assertEqual((result.returncode, result.stdout), (1, b''))
        self.assertIn('more than 16 MiB', result.stderr.decode())
        self.assertEqual(self.snooze('example', '--block', '--option', 'how=copy').returncode, 2)
        with open('/dev/full', 'wb') as full:
            self.assertEqual(self.snooze('example', '--block', data=b'abc', stdout=full).returncode, 1)

    def test_a_block_for_an_output_that_does_not_block(self):
        data = os.urandom(1024 * 1024)
        drain, sink = os.pipe()
        os.set_blocking(sink, False)
        process = self.start('example', '--block', stdout=sink, bufsize=-1)
        os.close(sink)
        process.stdin.write(data)
        process.stdin.close()
        # It is full: who writes has to wait for us.
        wait_for(lambda: readable(drain) == fcntl.fcntl(drain, fcntl.F_GETPIPE_SZ) or process.poll() is not None, 'a full pipe')
        with open(drain, 'rb') as f:
            self.assertEqual(f.read(), data)
        self.assertEqual(process.wait(TIMEOUT), 0)

    def test_a_plugin_that_refuses(self):
        result = self.snooze('example', '--option', 'how=refuse', data=b'abc')
        self.assertEqual((result.returncode, result.stdout, result.stderr), (3, b'', b'snooze: not this stream\n'))

    def test_one_that_is_not_there_or_has_no_contract(self):
        result = self.snooze('nothing')
        self.assertEqual(result.returncode, 1)
        self.assertIn('snooze plugin list', result.stderr.decode())
        self.house.install_fake('one', 'good')
        self.client.call('DiscoverPlugins')
        result = self.snooze('one')
        self.assertEqual(result.returncode, 1)
        self.assertIn('DataProcessor', result.stderr.decode())

    def test_who_may_not(self):
        self.house.answer('refuse')
        result = self.snooze('example', data=b'abc')
        self.assertEqual((result.returncode, result.stdout), (3, b''))
        self.assertIn('sudo snooze plugin process example', result.stderr.decode())

    def test_one_too_many(self):
        for _ in range(PER_PLUGIN_MAX):
            self.begun()
        result = self.snooze('example', data=b'abc')
        self.assertEqual(result.returncode, 3)
        self.assertIn('are under way', result.stderr.decode())

    def test_nobody_is_there(self):
        self.house.kill_daemon(signal.SIGTERM)
        self.assertEqual(self.snooze('example').returncode, 4)

    def test_a_plugin_that_is_killed(self):
        process = self.begun()
        os.kill(self.pid(), signal.SIGKILL)
        # Though there would be more to come: nothing is read any more that goes nowhere.
        self.assertEqual(process.wait(TIMEOUT), 1)
        self.assertIn(b'ended while it was asked ProcessStream', process.stderr.read())

    def test_a_daemon_that_is_killed(self):
        process = self.begun()
        self.house.kill_daemon()
        self.assertEqual(process.wait(TIMEOUT), 4)

    def test_it_is_killed(self):
        plugin = self.pid()
        for how in ((), ('--option', 'how=thread')):
            process = self.start('example', *how)
            process.stdin.write(b'abc')
            process.stdout.read(3)
            theirs = pipes(process.pid) & pipes(plugin)
            self.assertEqual(len(theirs), 2)
            process.kill()
            wait_for_file(lambda theirs=theirs: not theirs & pipes(plugin), 'the plugin to be done')
        self.assertTrue(self.client.get('Healthy', PLUGIN, PATH + '/plugin/example'))

    def test_an_input_that_cannot_be_read(self):
        directory = os.open('/', os.O_RDONLY)
        result = self.snooze('example', stdin=directory)
        os.close(directory)
        self.assertEqual((result.returncode, result.stdout), (1, b''))
        self.assertEqual(result.stderr, b'snooze: Standard input cannot be read: Is a directory\n')

    def test_an_output_that_cannot_be_written(self):
        with open('/dev/full', 'wb') as full:
            result = self.snooze('example', data=b'abc', stdout=full)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr, b'snooze: Standard output cannot be written: No space left on device\n')

    def test_a_reader_that_leaves(self):
        process = self.begun()
        process.stdout.close()
        process.stdin.write(b'x')
        self.assertEqual(process.wait(TIMEOUT), -signal.SIGPIPE)
        wait_for(lambda: self.client.get('Healthy', PLUGIN, PATH + '/plugin/example'), 'the plugin to be well')

    def on_terminal(self, *arguments):
        """One that runs, and the terminal that is its standard error."""
        self.client.call('LoadPlugin', '(s)', ('example',))
        terminal, theirs = pty.openpty()
        self.addCleanup(os.close, terminal)
        process = self.start('example', *arguments, stderr=theirs)
        os.close(theirs)
        process.stdin.write(b'abc')
        self.assertEqual(process.stdout.read(3), b'bcd')
        return process, terminal

    def test_a_terminal_is_told_how_far_it_is(self):
        process, terminal = self.on_terminal()
        shown = b''
        while b'2 s' not in shown:
            self.assertTrue(select.select([terminal], [], [], TIMEOUT)[0])
            shown += os.read(terminal, 4096)
        self.assertRegex(shown.decode().replace(' bytes', '\xa0bytes'), '3\xa0bytes in, 3\xa0bytes out … \\d+ s')
        process.stdin.close()
        self.assertEqual(process.wait(TIMEOUT), 0)
        self.assertEqual(os.read(terminal, 4096).split(b'\x1b[K')[-1], b'bytes: 3\r\n')

    def test_what_is_soon_over_says_nothing_before(self):
        begun = time.monotonic()
        process, terminal = self.on_terminal()
        process.stdin.close()
        self.assertEqual(process.wait(TIMEOUT), 0)
        soon = time.monotonic() - begun < 0.9
        said = os.read(terminal, 4096)
        # Where this machine is slow it was not soon over.
        self.assertEqual(said if soon else said.split(b'\x1b[K')[-1], b'bytes: 3\r\n')


if __name__ == '__main__':
    tap.main()
