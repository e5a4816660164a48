# SPDX-License-Identifier: Apache-2.0
"""libsnooze-plugin: typed configuration, events that a plugin brings, data that it processes. Arguments: the plugin."""

import os
import resource
import select
import sys
import tempfile
import threading

from gi.repository import Gio, GLib

import plugin_bus
from plugin_bus import iterate_until, s

PROGRAM = sys.argv[1]
SOURCE = plugin_bus.NAME + ".EventSource"


class Contracts(plugin_bus.PluginTestCase):
    def setUp(self):
        super().setUp()
        self.example = self.plugin(PROGRAM, "example").greet()

    def request(self, method, params=None):
        return self.example.call(".RequestHandler", "Handle", "(sa{sv})", method, params or {})


class Settings(Contracts):
    def test_what_is_missing_has_its_default(self):
        settings = self.request("settings")[1]
        self.assertEqual(settings, {"mode": "none", "percent": 0, "ratio": 0.5, "quick": True, "names": ["one", "two"]})

    def test_what_is_in_force_follows_the_configuration(self):
        self.example.call(
            "", "Configure", "(a{sv})",
            {"mode": s("idle"), "percent": GLib.Variant("t", 7), "quick": GLib.Variant("b", False), "names": GLib.Variant("as", [])})
        expected = {"mode": "idle", "percent": 7, "ratio": 0.5, "quick": False, "names": []}
        self.assertEqual(self.request("settings")[1], expected)
        self.assert_error("InvalidArgument", self.example.call, "", "Configure", "(a{sv})", {"mode": s("impossible")})
        self.assert_error("InvalidArgument", self.example.call, "", "Configure", "(a{sv})", {"colour": s("blue")})
        self.assertEqual(self.request("settings")[1], expected)


class Events(Contracts):
    def setUp(self):
        super().setUp()
        self.listen()

    def listen(self):
        self.signals = []
        subscription = self.bus.connection.signal_subscribe(
            self.example.owner, SOURCE, None, plugin_bus.PATH, None, Gio.DBusSignalFlags.NONE,
            lambda *signal: self.signals.append((signal[4], *signal[5].unpack())))
        self.addCleanup(self.bus.connection.signal_unsubscribe, subscription)

    def announce(self, identifier, kind="custom.x"):
        self.assertEqual(self.request("announce", {"id": s(identifier), "type": s(kind)})[0], True)

    def cancel(self, identifier):
        self.request("cancel", {"id": s(identifier)})

    def watch(self):
        self.example.call(".EventSource", "Watch")

    def told(self, count):
        iterate_until(lambda: len(self.signals) >= count)
        signals, self.signals[:] = list(self.signals), []
        return signals

    def test_an_event_has_all_its_fields(self):
        self.watch()
        self.announce("i-1/stop", "cloud.instance.maintenance")
        (member, event), = self.told(1)
        self.assertEqual(member, "Event")
        self.assertGreater(event.pop("timestamp"), 1700000000000000)
        self.assertEqual(event, {
            "id": "i-1/stop", "type": "cloud.instance.maintenance", "source": "example", "severity": 2,
            "deadline": 1800000000000000, "data": {"action": "stop"}})

    def test_what_came_before_the_watch_is_told_then_and_at_the_next_one(self):
        self.announce("one")
        self.announce("two")
        self.watch()
        self.assertEqual([event["id"] for _, event in self.told(2)], ["one", "two"])
        self.example.call(".EventSource", "Acknowledge", "(s)", "one")
        self.watch()
        self.assertEqual([event["id"] for _, event in self.told(1)], ["two"])

    def test_a_cancelled_event_is_not_told_again(self):
        self.watch()
        self.announce("one")
        self.cancel("one")
        self.assertEqual(self.told(2)[1], ("EventCancelled", "one"))
        self.announce("two")
        self.watch()
        self.assertEqual([event["id"] for _, event in self.told(2)], ["two", "two"])

    def test_a_cancellation_that_nobody_saw_is_told_later(self):
        self.announce("one")
        self.cancel("one")
        self.watch()
        self.assertEqual(self.told(1), [("EventCancelled", "one")])

    def again(self, *arguments):
        """The next process, in the same directory, and what it says."""
        self.example = self.plugin(PROGRAM, "example", *arguments, environment={"STATE_DIRECTORY": self.directory}).greet()
        self.listen()

    def assert_nothing_is_untold(self):
        self.example.call("", "Ping")  # what it does behind its signals it has done then
        self.assertNotIn("untold-cancellations", os.listdir(self.directory))

    def kept_from(self, leave):
        """What one that calls off what nobody listens to leaves behind."""
        self.example.stop()
        with tempfile.TemporaryDirectory() as self.directory:
            self.again()
            self.announce("one")
            self.cancel("one")
            self.cancel("of a process before it")
            self.announce("two")
            leave()
            self.again()
            self.watch()
            self.assertEqual(self.told(2), [("EventCancelled", "one"), ("EventCancelled", "of a process before it")])
            self.assert_nothing_is_untold()
            self.announce("three")
            self.watch()
            self.assertEqual([event["id"] for _, event in self.told(2)], ["three", "three"])
            self.example.stop()

    def test_a_cancellation_that_nobody_saw_outlives_the_process(self):
        self.kept_from(lambda: self.assertEqual(self.example.stop()[0], 0))

    def test_what_leaves_as_its_state_has_the_cancellations_beside_it(self):
        def kill():
            self.example.call(".State", "ExportState")
            self.example.process.kill()
            self.example.wait()

        self.kept_from(kill)

    def test_what_was_called_off_and_comes_after_all_is_not_called_off_by_the_next_process(self):
        self.example.stop()
        with tempfile.TemporaryDirectory() as self.directory:
            self.again()
            self.cancel("one")
            self.cancel("two")
            self.example.call(".State", "ExportState")
            self.announce("one")
            self.example.process.kill()
            self.example.wait()
            self.again()
            self.watch()
            self.assertEqual(self.told(1), [("EventCancelled", "two")])
            self.example.stop()

    def test_what_was_called_off_and_is_acknowledged_is_not_called_off_by_the_next_process(self):
        self.example.stop()
        with tempfile.TemporaryDirectory() as self.directory:
            self.again()
            self.announce("one")
            self.cancel("one")
            self.example.call(".State", "ExportState")
            self.assertIn("untold-cancellations", os.listdir(self.directory))
            self.example.call(".EventSource", "Acknowledge", "(s)", "one")
            self.assert_nothing_is_untold()
            self.example.stop()

    def test_cancellations_leave_room_for_events(self):
        self.example.stop()
        with tempfile.TemporaryDirectory() as self.directory:
            self.again()
            for number in range(65):
                self.cancel("gone-%d" % number)
            self.example.call(".State", "ExportState")
            self.announce("one")
            self.announce("two")
            self.example.process.kill()
            self.example.wait()
            # Neither are they told by the next process, which has room as well.
            self.again()
            self.announce("three")
            self.announce("four")
            self.announce("five")
            self.watch()
            self.assertEqual(
                [said if said[0] == "EventCancelled" else said[1]["id"] for said in self.told(64)],
                [("EventCancelled", "gone-%d" % number) for number in range(4, 65)] + ["three", "four", "five"])
            self.assert_nothing_is_untold()
            self.example.stop()

    def test_what_is_no_list_of_cancellations_harms_nobody(self):
        self.example.stop()
        with tempfile.TemporaryDirectory() as self.directory:
            for content in (b"", b"x" * 129 + b"\0", b"\0\0\0", b"\xff\0", b"y" * 20000, b"one\0" * 3 + b"two"):
                with open(os.path.join(self.directory, "untold-cancellations"), "wb") as f:
                    f.write(content)
                self.again()
                self.watch()
                self.announce("seen")
                told = [said for said in self.told(1 + 2 * content.startswith(b"one")) if said[0] == "EventCancelled"]
                self.assertEqual(told, [("EventCancelled", "one"), ("EventCancelled", "two")] if b"one" in content else [])
                self.assert_nothing_is_untold()
                self.example.stop()

    def test_a_cancellation_is_kept_while_the_daemon_is_gone_from_the_bus(self):
        daemon = self.bus.connect()
        daemon.set_exit_on_close(False)
        self.example.call("", "Handshake", "(us)", 1, "0.1.0", connection=daemon)
        self.example.call(".EventSource", "Watch", connection=daemon)
        self.announce("one")
        self.told(1)
        gone = []
        subscription = self.bus.connection.signal_subscribe(
            "org.freedesktop.DBus", "org.freedesktop.DBus", "NameOwnerChanged", None, daemon.get_unique_name(), Gio.DBusSignalFlags.NONE,
            lambda *_: gone.append(True))
        daemon.close_sync(None)
        iterate_until(lambda: gone)
        self.bus.connection.signal_unsubscribe(subscription)
        self.cancel("one")
        self.assertEqual(self.signals, [])
        self.watch()
        self.assertEqual(self.told(1), [("EventCancelled", "one")])

    def test_what_is_no_event_is_refused(self):
        for identifier, kind in (("", "custom"), ("x" * 129, "custom"), ("x", ""), ("x", "Custom"), ("x", "a b")):
            self.assert_error("PluginFailed", self.announce, identifier, kind)

    def test_pending_events_have_a_ceiling(self):
        for number in range(64):
            self.announce("event-%d" % number)
        self.assert_error("PluginFailed", self.announce, "one-more")
        self.announce("event-63")
        self.example.call(".EventSource", "Acknowledge", "(s)", "event-0")
        self.announce("one-more")

    def test_acknowledging_reaches_the_plugin(self):
        self.example.call(".EventSource", "Acknowledge", "(s)", "gone")
        self.assertIn("acknowledged gone", self.example.stop()[1])


class Data(Contracts):
    def process(self, data):
        parameters = GLib.Variant.new_tuple(GLib.Variant.new_from_bytes(GLib.VariantType("ay"), GLib.Bytes.new(data), True))
        result = self.bus.connection.call_sync(
            self.example.owner, plugin_bus.PATH, plugin_bus.NAME + ".DataProcessor", "ProcessData", parameters, None,
            Gio.DBusCallFlags.NONE, 60000, None)
        return bytes(result.get_child_value(0).get_data_as_bytes().get_data() or b"")

    def test_blocks(self):
        self.assertEqual(self.process(b"abc"), b"cba")
        self.assertEqual(self.process(b""), b"")
        self.assertEqual(self.process(b"x" * 1000000), b"x" * 1000000)

    def test_a_block_has_a_ceiling(self):
        self.assert_error("LimitsExceeded", self.process, bytes(16 * 1024 * 1024 + 1))

    def stream(self, source, sink, answers, **options):
        """Hands the two descriptors over, as the caller who keeps neither."""
        fds = Gio.UnixFDList.new()
        parameters = GLib.Variant("(hha{sv})", (fds.append(source), fds.append(sink), {k: s(v) for k, v in options.items()}))
        os.close(source)
        os.close(sink)

        def done(connection, result):
            try:
                answers.append(connection.call_with_unix_fd_list_finish(result)[0].unpack())
            except GLib.Error as error:
                answers.append(error)

        self.bus.connection.call_with_unix_fd_list(
            self.example.owner, plugin_bus.PATH, plugin_bus.NAME + ".DataProcessor", "ProcessStream", parameters, None,
            Gio.DBusCallFlags.NONE, 120000, fds, None, done)

    def pass_through(self, size, **options):
        """Size bytes of b'a' go in; → what came out, counted by value, and the answer."""
        (source, feed), (drain, sink) = os.pipe(), os.pipe()
        answers, counts = [], {}
        self.stream(source, sink, answers, **options)

        def write():
            left, block = size, b"a" * 65536
            with open(feed, "wb", buffering=0) as file:
                while left > 0:
                    left -= file.write(block[:left])

        def read():
            with open(drain, "rb", buffering=0) as file:
                while block := file.read(65536):
                    for value in set(block):
                        counts[value] = counts.get(value, 0) + block.count(value)

        workers = [threading.Thread(target=work) for work in (write, read)]
        for worker in workers:
            worker.start()
        iterate_until(lambda: answers, 120)
        for worker in workers:
            worker.join()
        return counts, answers[0]

    def peak(self):
        with open("/proc/%d/status" % self.example.process.pid) as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

    def test_a_stream_passes_on_the_loop(self):
        self.assertEqual(self.pass_through(100000), ({ord("b"): 100000}, ({"bytes": 100000},)))

    def test_an_empty_stream_is_one(self):
        self.assertEqual(self.pass_through(0), ({}, ({"bytes": 0},)))

    def test_a_stream_passes_in_a_thread(self):
        self.assertEqual(self.pass_through(1000000, how="thread"), ({ord("a"): 1000000}, ({"bytes": 1000000},)))

    def test_a_gibibyte_needs_no_memory(self):
        before = self.peak()
        for how in ("copy", "thread"):
            counts, _ = self.pass_through(512 * 1024 * 1024, how=how)
            self.assertEqual(counts, {ord("a"): 512 * 1024 * 1024})
        self.assertLess(self.peak() - before, 4096)

    def test_meanwhile_other_calls_are_answered(self):
        (source, feed), (drain, sink) = os.pipe(), os.pipe()
        answers = []
        self.stream(source, sink, answers)
        self.example.call("", "Ping")
        self.assertEqual(self.process(b"ab"), b"ba")
        self.assertFalse(answers)
        os.close(feed)
        iterate_until(lambda: answers)
        os.close(drain)

    def message(self, member, body):
        message = Gio.DBusMessage.new_method_call(self.example.owner, plugin_bus.PATH, plugin_bus.NAME + ".DataProcessor", member)
        message.set_body(body)
        return message

    def begin_stream(self, how, pipes=None):
        """Its serial number, where to write and where to read; both ends are held."""
        (source, feed), (drain, sink) = pipes or (os.pipe(), os.pipe())
        fds = Gio.UnixFDList.new()
        message = self.message("ProcessStream", GLib.Variant("(hha{sv})", (fds.append(source), fds.append(sink), {"how": s(how)})))
        message.set_unix_fd_list(fds)
        os.close(source)
        os.close(sink)
        _, serial = self.bus.connection.send_message(message, Gio.DBusSendMessageFlags.NONE)
        return serial, open(feed, "wb", buffering=0), open(drain, "rb", buffering=0)

    def test_a_stream_that_nobody_waits_for_any_more_is_let_go(self):
        abandon = (".DataProcessor", "AbandonStream", "(u)")
        stranger = self.bus.connect()
        self.addCleanup(stranger.close_sync)
        for how in ("copy", "thread", "itself", "untold"):
            serial, feed, drain = self.begin_stream(how)
            feed.write(b"abc")
            self.assertEqual(drain.read(3), b"abc")
            # One that is not there, and one that is another caller's.
            self.example.call(*abandon, serial + 1000)
            self.example.call(*abandon, serial, connection=stranger)
            feed.write(b"abc")
            self.assertEqual(drain.read(3), b"abc")
            self.example.call(*abandon, serial)
            self.assertEqual(drain.read(3), b"")
            # Whoever is in the middle of reading it lets go of it a moment later.
            poll = select.poll()
            poll.register(feed, 0)
            self.assertEqual([event for _, event in poll.poll(60000)], [select.POLLERR])
            self.example.call(*abandon, serial)
            feed.close()
            drain.close()
        self.assertEqual(self.process(b"ab"), b"ba")

    def descriptors(self):
        return sorted(int(fd) for fd in os.listdir("/proc/%d/fd" % self.example.process.pid))

    def test_it_is_let_go_where_no_descriptor_is_left(self):
        for how in ("thread", "untold"):
            serial, feed, drain = self.begin_stream(how)
            feed.write(b"abc")
            self.assertEqual(drain.read(3), b"abc")
            pid, taken = self.example.process.pid, self.descriptors()
            self.assertEqual(taken, list(range(len(taken))), "there is no gap that a new one would fill")
            limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(taken), limits[1]))
            self.example.call(".DataProcessor", "AbandonStream", "(u)", serial)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
            self.assertEqual(drain.read(3), b"")
            poll = select.poll()
            poll.register(feed, 0)
            self.assertEqual([event for _, event in poll.poll(60000)], [select.POLLERR])
            feed.close()
            drain.close()

    def test_one_that_uses_its_pipes_itself_is_told_and_ends_it(self):
        ends, opened = [], []
        for _ in range(3):
            serial, feed, drain = self.begin_stream("itself")
            ends += [feed, drain]
            feed.write(b"abc")
            self.assertEqual(drain.read(3), b"abc")
            self.example.call(".DataProcessor", "AbandonStream", "(u)", serial)
            opened.append(self.descriptors())
        self.assertEqual(opened[0], opened[1])
        self.assertEqual(opened[0], opened[2])
        for end in ends:
            end.close()

    def leave_in_an_abandoned_stream(self):
        """What the plugin logged until its end."""
        serial, feed, drain = self.begin_stream("untold")
        feed.write(b"abc")
        self.assertEqual(drain.read(3), b"abc")
        self.example.call(".DataProcessor", "AbandonStream", "(u)", serial)
        self.example.call("", "Shutdown")
        code, text = self.example.wait()
        self.assertEqual(code, 0)
        feed.close()
        drain.close()
        return text

    def test_one_that_never_ends_does_not_keep_it_beside_a_daemon_that_does_not_close_the_channel(self):
        channel = self.example.open_channel()
        self.assertIn("The daemon did not close the channel in time", self.leave_in_an_abandoned_stream())
        os.close(channel)

    def test_one_that_never_ends_does_not_keep_the_plugin(self):
        self.assertIn("Not waiting any longer for streams that were abandoned: 1", self.leave_in_an_abandoned_stream())

    def test_what_is_taken_stays_quiet_though_others_hold_the_same_pipe(self):
        (source, feed), (drain, sink) = os.pipe(), os.pipe()
        held = os.dup(source)
        serial, feed, drain = self.begin_stream("untold", ((source, feed), (drain, sink)))
        feed.write(b"abc")
        self.assertEqual(drain.read(3), b"abc")
        self.example.call(".DataProcessor", "AbandonStream", "(u)", serial)
        before = self.descriptors()
        # Readable for whoever holds it: the plugin's source would be called, fail, and end the stream.
        feed.write(b"abc")
        self.example.call("", "Ping")
        self.assertEqual(self.descriptors(), before)
        self.assertEqual(os.read(held, 3), b"abc")
        os.close(held)
        feed.close()
        drain.close()

    def test_a_reader_that_leaves_fails_that_stream_alone(self):
        for how in ("copy", "thread"):
            (source, feed), (drain, sink) = os.pipe(), os.pipe()
            answers = []
            self.stream(source, sink, answers, how=how)
            os.close(drain)
            os.write(feed, b"x")
            iterate_until(lambda: answers)
            self.assertIn("Broken pipe", answers[0].message)
            os.close(feed)
        self.example.call("", "Ping")

    def test_a_transform_can_refuse(self):
        (source, feed), (drain, sink) = os.pipe(), os.pipe()
        answers = []
        self.stream(source, sink, answers, how="refuse")
        os.write(feed, b"x")
        iterate_until(lambda: answers)
        self.assertEqual(Gio.DBusError.get_remote_error(answers[0]), plugin_bus.ERROR + "Refused")
        os.close(feed)
        self.assertEqual(os.read(drain, 1), b"")
        os.close(drain)

    def test_threads_have_a_ceiling(self):
        ends, answers = [], []
        for _ in range(8):
            (source, feed), (drain, sink) = os.pipe(), os.pipe()
            ends += [feed, drain]
            self.stream(source, sink, answers, how="thread")
        (source, feed), (drain, sink) = os.pipe(), os.pipe()
        self.stream(source, sink, answers, how="thread")
        iterate_until(lambda: answers)
        self.assertEqual(Gio.DBusError.get_remote_error(answers[0]), plugin_bus.ERROR + "LimitsExceeded")
        for end in (*ends, feed, drain):
            os.close(end)
        iterate_until(lambda: len(answers) == 9)

    def test_what_is_no_pipe_is_refused(self):
        wrong = (lambda: (os.open("/dev/null", os.O_RDONLY), os.pipe()[1]), lambda: os.pipe()[::-1])
        for make in wrong:
            answers = []
            self.stream(*make(), answers)
            iterate_until(lambda: answers)
            self.assertEqual(Gio.DBusError.get_remote_error(answers[0]), plugin_bus.ERROR + "InvalidArgument")

    def test_a_thread_that_waits_does_not_outlive_a_lost_bus(self):
        (source, feed), (drain, sink) = os.pipe(), os.pipe()
        answers = []
        self.stream(source, sink, answers, how="thread")
        self.example.call("", "Ping")
        self.bus.connection.set_exit_on_close(False)
        self.bus.daemon.kill()
        self.assertNotEqual(self.example.wait()[0], 0)
        os.close(feed)
        os.close(drain)


plugin_bus.main()
