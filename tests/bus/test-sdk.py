# SPDX-License-Identifier: Apache-2.0
"""libsnooze-plugin, through a plugin of its own on a private bus. Arguments: the plugin, introspection/."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

from gi.repository import Gio, GLib

import plugin_bus
from plugin_bus import iterate_until, s

PROGRAM, INTROSPECTION = sys.argv[1:3]

# Seconds, until one that is to stay leaves if nothing keeps it: enough for what keeps it to begin; and when it would have left.
PATIENCE, LONGER = "3", 4.5


class Sdk(plugin_bus.PluginTestCase):
    def example(self, *arguments, **keywords):
        return self.plugin(PROGRAM, "example", *arguments, **keywords)

    def check(self, plugin, metrics=None):
        return plugin.call(".IdleCheck", "CheckIdle", "(a{sv})", metrics or {})

    def test_live_interfaces_are_those_of_the_xml(self):
        plugin = self.example()
        xml = plugin.introspect()
        self.assert_agrees_with_xml(xml, INTROSPECTION)
        for name in ("", ".IdleCheck", ".EventHandler", ".State", ".RequestHandler", ".EventSource", ".DataProcessor"):
            self.assertIn('"%s%s"' % (plugin_bus.NAME, name), xml)
        self.assertNotIn("CloudProvider", xml)

    def test_handshake_tells_who_it_is(self):
        api, info = self.example().call("", "Handshake", "(us)", 1, "0.1.0")
        self.assertEqual(api, 1)
        self.assertEqual(
            info, {
                "id": "example",
                "version": "1.2.0",
                "contracts": ["IdleCheck", "EventHandler", "State", "RequestHandler", "EventSource", "DataProcessor"],
                "state": "none",
            },
        )

    def test_a_host_of_the_next_api_is_served_others_are_not(self):
        plugin = self.example()
        self.assertEqual(plugin.call("", "Handshake", "(us)", 2, "9")[0], 1)
        for api in (0, 3, 4294967295):
            self.assert_error("UnsupportedApi", plugin.call, "", "Handshake", "(us)", api, "9")

    def test_order_is_kept(self):
        plugin = self.example()
        self.assert_error("NotInitialized", self.check, plugin)
        self.assert_error("NotInitialized", plugin.call, "", "Initialize", "(a{sv})", {})
        plugin.call("", "Handshake", "(us)", 1, "0.1.0")
        self.assert_error("NotInitialized", plugin.call, "", "Configure", "(a{sv})", {})
        self.assert_error("NotInitialized", self.check, plugin)
        plugin.call("", "Initialize", "(a{sv})", {})
        self.assertEqual(self.check(plugin)[0], "idle")
        plugin.call("", "Ping")

    def test_vote_with_details(self):
        verdict, reason, details = self.check(self.example().greet(), {"cpu_usage": GLib.Variant("d", 4.5)})
        self.assertEqual((verdict, reason), ("idle", "nothing to do"))
        self.assertEqual(
            details,
            {
                "last_activity": 1700000000000000,
                "cpu": 4.5,
                "metrics": {"gpu_usage": 1.5},
                "votes": [
                    {"name": name, "verdict": "idle", "reason": "nothing there"} for name in ("first", "second")
                ],
            },
        )

    def test_bad_metrics_are_refused_where_they_are_looked_at(self):
        plugin = self.example().greet()
        message = self.assert_error("InvalidArgument", self.check, plugin, {"cpu_usage": GLib.Variant("d", float("inf"))})
        self.assertIn("not finite", message)
        many = {"metric%u" % i: GLib.Variant("d", 1) for i in range(1025)}
        self.assertIn("at most 8 levels, 1024 entries", self.assert_error("LimitsExceeded", self.check, plugin, many))
        self.assertEqual(self.check(plugin, {"cpu_usage": GLib.Variant("d", 2)})[2]["cpu"], 2)

    def test_metrics_that_nobody_looks_at_are_no_matter(self):
        plugin = self.example().greet({"mode": s("foul")})
        self.assertEqual(self.check(plugin, {"cpu_usage": GLib.Variant("d", float("inf"))})[0], "busy")

    def test_bad_metrics_of_a_check_that_answers_later_are_refused(self):
        plugin = self.example().greet({"mode": s("later")})
        answers = plugin.call_later(".IdleCheck", "CheckIdle", "(a{sv})", {"cpu_usage": GLib.Variant("d", float("inf"))})
        plugin.call(".EventHandler", "HandleEvent", "(a{sv})", {"type": s("custom.x")})
        iterate_until(lambda: answers)
        self.assertIn("not finite", str(answers[0]))

    def test_foul_text_becomes_one_valid_line(self):
        _, reason, details = self.check(self.example().greet({"mode": s("foul")}))
        self.assertEqual(reason, "two lines  [2J?")
        self.assertEqual(details, {"na?me": "?(?"})

    def test_a_silent_check_is_an_error(self):
        message = self.assert_error("PluginFailed", self.check, self.example().greet({"mode": s("silent")}))
        self.assertIn("without saying what", message)

    def test_an_errno_is_a_named_error(self):
        message = self.assert_error("PluginFailed", self.check, self.example().greet({"mode": s("failing")}))
        self.assertIn("No such file", message)

    def test_a_detail_that_is_no_number_fails_the_call(self):
        self.assert_error("PluginFailed", self.check, self.example().greet({"mode": s("infinite")}))

    def test_settings_are_checked(self):
        plugin = self.example()
        plugin.call("", "Handshake", "(us)", 1, "0.1.0")
        for key, value, expected in (
            ("speed", s("x"), "no such setting"),
            ("mode", GLib.Variant("t", 1), "a string"),
            ("percent", GLib.Variant("t", 101), "0 to 100"),
            ("percent", GLib.Variant("d", 0.5), "an integer"),
            ("percent", GLib.Variant("x", -1), "0 to 100"),
            ("names", s("x"), "a list"),
            ("ratio", GLib.Variant("d", float("nan")), "not finite"),
            ("names", GLib.Variant("as", ["fine", "Not"]), "within /^[a-z]+$/"),
            ("colour", s("re"), "within red|green"),
            ("mode", s("impossible"), "impossible is impossible"),
        ):
            message = self.assert_error("InvalidArgument", plugin.call, "", "Initialize", "(a{sv})", {key: value})
            self.assertIn(expected, message)
        self.assert_error("NotInitialized", self.check, plugin)
        plugin.call(
            "",
            "Initialize",
            "(a{sv})",
            {
                "percent": GLib.Variant("d", 7.0),
                "ratio": GLib.Variant("t", 1),
                "names": GLib.Variant("as", []),
                "quick": GLib.Variant("b", True),
            },
        )

    def test_a_refused_configuration_leaves_the_old_one(self):
        plugin = self.example().greet({"mode": s("silent")})
        self.assert_error("InvalidArgument", plugin.call, "", "Configure", "(a{sv})", {"mode": s("impossible")})
        self.assert_error("PluginFailed", self.check, plugin)
        plugin.call("", "Configure", "(a{sv})", {"mode": s("idle")})
        self.assertEqual(self.check(plugin)[0], "idle")

    def test_hostile_dictionaries_are_refused(self):
        plugin = self.example().greet()
        deep = GLib.Variant("a{sv}", {})
        for _ in range(9):
            deep = GLib.Variant("a{sv}", {"x": deep})
        cases = (
            {"k%d" % i: GLib.Variant("b", True) for i in range(1025)},
            {"k" * 129: s("x")},
            {"x": s("x" * 65537)},
            {"x": deep},
            {"x": GLib.Variant("as", ["y"] * 1025)},
            {"x": GLib.Variant("aa{sv}", [{}] * 1025)},
        )
        for case in cases:
            self.assert_error("LimitsExceeded", self.check, plugin, case)
        builder = GLib.VariantBuilder(GLib.VariantType("a{sv}"))
        for _ in range(2):
            builder.add_value(GLib.Variant("{sv}", ("x", s("y"))))
        twice = GLib.Variant.new_tuple(builder.end())
        message = Gio.DBusMessage.new_method_call(plugin.owner, plugin_bus.PATH, plugin_bus.NAME + ".IdleCheck", "CheckIdle")
        message.set_body(twice)
        reply, _ = self.bus.connection.send_message_with_reply_sync(message, Gio.DBusSendMessageFlags.NONE, 20000, None)
        self.assertEqual(reply.get_error_name(), plugin_bus.ERROR + "InvalidArgument")
        self.assertEqual(self.check(plugin, {"unknown": GLib.Variant("(yv)", (1, s("x")))})[0], "idle")

    def test_a_call_may_end_before_it_is_put_off(self):
        plugin = self.example().greet({"mode": s("at-once")})
        for _ in range(3):
            self.assertEqual(plugin.call(".IdleCheck", "CheckIdle", "(a{sv})", {"cpu_usage": GLib.Variant("d", 1)})[:2],
                             ("busy", "sooner than it thought"))

    def test_an_answer_may_come_later(self):
        plugin = self.example().greet({"mode": s("later")})
        answers = plugin.call_later(".IdleCheck", "CheckIdle", "(a{sv})", {})
        event = {"type": s("custom.x"), "data": GLib.Variant("a{sv}", {"reason": s("because")})}
        self.assertEqual(plugin.call(".EventHandler", "HandleEvent", "(a{sv})", event), (True, {"reason": "because"}))
        iterate_until(lambda: answers)
        self.assertEqual(answers[0], ("busy", "an event came", {}))

    def test_calls_under_way_have_a_ceiling(self):
        plugin = self.example().greet()
        for _ in range(64):
            plugin.call(".RequestHandler", "Handle", "(sa{sv})", "begin-work", {})
        plugin.call("", "Configure", "(a{sv})", {"mode": s("later")})
        answers = [plugin.call_later(".IdleCheck", "CheckIdle", "(a{sv})", {}) for _ in range(64)]
        self.assert_error("LimitsExceeded", self.check, plugin)
        self.assertFalse(any(answers))
        plugin.process.kill()

    def test_properties(self):
        plugin = self.example()
        self.assertEqual(plugin.property(".EventHandler", "SupportedEvents"), ["snooze.stop.pending", "custom.*"])
        self.assertEqual(plugin.property(".RequestHandler", "Methods"), ["begin-work", "end-work", "settings", "announce", "cancel"])

    def test_only_its_own_methods_are_handled(self):
        plugin = self.example().greet()
        self.assert_error("InvalidArgument", plugin.call, ".RequestHandler", "Handle", "(sa{sv})", "other", {})

    def test_state_goes_out_and_in(self):
        plugin = self.example().greet({"mode": s("silent")})
        version, state = plugin.call(".State", "ExportState")
        self.assertEqual((version, bytes(state)), (1, b"silent"))
        plugin.call(".State", "ImportState", "(uay)", 1, b"idle")
        self.assertEqual(self.check(plugin)[0], "idle")
        self.assert_error("InvalidArgument", plugin.call, ".State", "ImportState", "(uay)", 2, b"idle")

    def state_directory(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        return directory.name

    def with_state(self, directory, *arguments):
        return self.example(*arguments, environment={"STATE_DIRECTORY": directory})

    def word(self, plugin):
        return plugin.call("", "Handshake", "(us)", 1, "0.1.0")[1].get("state")

    def leave_behind(self, directory, mode):
        """One that was used and is then told to end by a signal."""
        plugin = self.with_state(directory).greet({"mode": s(mode)})
        self.check(plugin)
        self.assertEqual(self.word(plugin), "live")
        self.assertEqual(plugin.stop()[0], 0)

    def test_who_leaves_unasked_keeps_its_state_for_the_next_one(self):
        directory = self.state_directory()
        self.leave_behind(directory, "foul")
        plugin = self.with_state(directory)
        self.assertEqual(self.word(plugin), "kept")
        plugin.call("", "Initialize", "(a{sv})", {})
        # Killed before it was handed back: it is still there.
        for _ in range(2):
            version, state = plugin.call(".State", "ExportState")
            self.assertEqual((version, bytes(state)), (1, b"foul"))
        plugin.process.kill()
        plugin.wait()
        plugin = self.with_state(directory).greet()
        plugin.call(".State", "ImportState", "(uay)", *plugin.call(".State", "ExportState"))
        self.assertEqual(self.check(plugin)[0], "busy")
        self.assertEqual(os.listdir(directory), [])

    def test_who_gave_its_state_away_keeps_none(self):
        directory = self.state_directory()
        plugin = self.with_state(directory).greet()
        self.check(plugin)
        plugin.call(".State", "ExportState")
        self.check(plugin)
        plugin.call("", "Shutdown")
        self.assertEqual(plugin.wait()[0], 0)
        self.assertEqual(os.listdir(directory), [])

    def kept(self, directory):
        with open(os.path.join(directory, "kept-state"), "rb") as f:
            return f.read()[16:]

    def test_what_changed_outside_of_any_call_is_kept(self):
        directory = self.state_directory()
        plugin = self.with_state(directory).greet({"mode": s("silent")})
        self.assert_error("PluginFailed", self.check, plugin)
        plugin.call(".State", "ExportState")
        # The mode is what it knows, and a configuration is none of the calls that use it.
        plugin.call("", "Configure", "(a{sv})", {"mode": s("foul")})
        self.assertEqual(plugin.stop()[0], 0)
        self.assertEqual(self.kept(directory), b"foul")

    def test_what_the_daemon_has_already_is_not_kept(self):
        directory = self.state_directory()
        plugin = self.with_state(directory).greet()
        self.check(plugin)
        plugin.call(".State", "ExportState")
        self.assertEqual(plugin.stop()[0], 0)
        self.assertEqual(os.listdir(directory), [])

    def test_what_it_learns_while_it_leaves_is_kept(self):
        directory = self.state_directory()
        plugin, _ = self.leaving(directory)
        plugin.call("", "Configure", "(a{sv})", {"mode": s("foul")})
        plugin.call(".EventHandler", "HandleEvent", "(a{sv})", {})
        self.assertEqual(plugin.wait()[0], 0)
        self.assertEqual(self.kept(directory), b"foul")

    def leaving(self, directory):
        """One that kept its state and still has a call to answer, and that call's answers."""
        plugin = self.with_state(directory).greet({"mode": s("later")})
        answers = plugin.call_later(".IdleCheck", "CheckIdle", "(a{sv})", {})
        plugin.call(".State", "ExportState")
        plugin.call("", "Configure", "(a{sv})", {"mode": s("silent")})
        owner = plugin.owner
        plugin.process.terminate()
        iterate_until(lambda: plugin.owner is None)
        plugin.owner = owner
        self.assertEqual(self.kept(directory), b"silent")
        return plugin, answers

    def test_what_it_kept_before_its_successor_took_over_is_taken_back(self):
        directory = self.state_directory()
        plugin, answers = self.leaving(directory)
        plugin.call(".State", "ExportState")
        plugin.call("", "Shutdown")
        self.assertEqual(os.listdir(directory), [])
        # Nor does it keep anything for what it is called still, or learns.
        plugin.call("", "Configure", "(a{sv})", {"mode": s("foul")})
        plugin.call(".RequestHandler", "Handle", "(sa{sv})", "announce", {"id": s("one"), "type": s("custom")})
        plugin.call(".EventHandler", "HandleEvent", "(a{sv})", {})
        iterate_until(lambda: answers)
        self.assertEqual(plugin.wait()[0], 0)
        self.assertEqual(os.listdir(directory), [])

    def test_what_its_successor_kept_is_left_alone(self):
        directory = self.state_directory()
        plugin, _ = self.leaving(directory)
        with open(os.path.join(directory, "new"), "wb") as f:
            f.write(b"0123456789abcdefnewer")
        os.rename(os.path.join(directory, "new"), os.path.join(directory, "kept-state"))
        plugin.call(".State", "ExportState")
        plugin.call("", "Shutdown")
        plugin.call(".EventHandler", "HandleEvent", "(a{sv})", {})
        self.assertEqual(plugin.wait()[0], 0)
        self.assertEqual(self.kept(directory), b"newer")

    def test_what_it_kept_stays_where_nobody_asked_for_it_since(self):
        """Whoever sends Shutdown may not have got what it asked for before."""
        directory = self.state_directory()
        plugin, _ = self.leaving(directory)
        plugin.call("", "Shutdown")
        self.assertEqual(self.kept(directory), b"silent")
        plugin.call(".EventHandler", "HandleEvent", "(a{sv})", {})
        self.assertEqual(plugin.wait()[0], 0)
        self.assertEqual(self.kept(directory), b"silent")

    def test_what_its_successor_was_given_is_not_kept_once_more(self):
        directory = self.state_directory()
        plugin, _ = self.leaving(directory)
        owner = plugin.owner
        successor = self.with_state(directory, "--slot", "b")
        self.assertEqual(self.word(successor), "kept")
        successor.call("", "Initialize", "(a{sv})", {})
        successor.call(".State", "ImportState", "(uay)", *successor.call(".State", "ExportState"))
        self.assertEqual(os.listdir(directory), [])
        plugin.owner = owner
        plugin.call("", "Configure", "(a{sv})", {"mode": s("foul")})
        plugin.call(".EventHandler", "HandleEvent", "(a{sv})", {})
        self.assertEqual(plugin.wait()[0], 0)
        self.assertEqual(os.listdir(directory), [])
        self.assertEqual(successor.stop()[0], 0)

    def test_what_its_successor_kept_is_not_replaced(self):
        directory = self.state_directory()
        plugin, _ = self.leaving(directory)
        with open(os.path.join(directory, "new"), "wb") as f:
            f.write(b"0123456789abcdefnewer")
        os.rename(os.path.join(directory, "new"), os.path.join(directory, "kept-state"))
        plugin.call("", "Configure", "(a{sv})", {"mode": s("foul")})
        plugin.call(".EventHandler", "HandleEvent", "(a{sv})", {})
        self.assertEqual(plugin.wait()[0], 0)
        self.assertEqual(self.kept(directory), b"newer")
        self.assertEqual(os.listdir(directory), ["kept-state"])

    def test_what_a_killed_one_had_not_finished_is_removed(self):
        directory = self.state_directory()
        with open(os.path.join(directory, ".kept-state.new"), "wb") as f:
            f.write(b"SNZ")
        self.example(environment={"STATE_DIRECTORY": directory}).stop()
        self.assertEqual(os.listdir(directory), [])

    def test_one_that_was_not_given_what_was_kept_does_not_replace_it(self):
        directory = self.state_directory()
        self.leave_behind(directory, "foul")
        plugin = self.with_state(directory).greet({"mode": s("silent")})
        plugin.call("", "Configure", "(a{sv})", {"mode": s("idle")})
        self.assertEqual(plugin.stop()[0], 0)
        self.assertEqual(self.kept(directory), b"foul")

    def test_one_that_nobody_used_keeps_none(self):
        directory = self.state_directory()
        plugin = self.with_state(directory).greet()
        self.assertEqual(self.word(plugin), "none")
        self.assertEqual(plugin.stop()[0], 0)
        self.assertEqual(os.listdir(directory), [])

    def test_the_daemon_is_gone_it_keeps_its_state(self):
        directory = self.state_directory()
        plugin = self.with_state(directory, "--host-exit", "1")
        daemon = self.greeted_by_another(plugin)
        plugin.call("", "Initialize", "(a{sv})", {})
        self.check(plugin)
        daemon.close_sync(None)
        self.assertEqual(plugin.wait()[0], 0)
        self.assertEqual(os.listdir(directory), ["kept-state"])

    def test_bored_but_with_nowhere_to_keep_its_state_it_stays(self):
        plugin = self.example("--idle-exit", PATIENCE).greet()
        self.check(plugin)
        with self.assertRaises(subprocess.TimeoutExpired):
            plugin.process.wait(timeout=LONGER)
        plugin.call(".State", "ExportState")
        self.assertEqual(plugin.wait()[0], 0)

    def test_what_is_no_state_is_left_alone(self):
        directory = self.state_directory()
        self.leave_behind(directory, "idle")
        path = os.path.join(directory, "kept-state")
        with open(path, "rb") as f:
            whole = f.read()
        for broken in (b"", whole[:-1], whole + b"x", b"X" + whole[1:], whole[:12] + b"\xff" * 4 + whole[16:]):
            with open(path, "wb") as f:
                f.write(broken)
            plugin = self.with_state(directory)
            self.assertEqual(self.word(plugin), "none")
            plugin.process.kill()
            plugin.wait()

    def test_shutdown_waits_for_what_is_under_way(self):
        plugin = self.example().greet({"mode": s("later")})
        answers = plugin.call_later(".IdleCheck", "CheckIdle", "(a{sv})", {})
        owner = plugin.owner
        plugin.call("", "Shutdown")
        iterate_until(lambda: plugin.owner is None)
        # The name is gone, yet by its unique name it still answers, and what began before ends well.
        plugin.owner = owner
        plugin.call(".EventHandler", "HandleEvent", "(a{sv})", {})
        iterate_until(lambda: answers)
        self.assertEqual(answers[0][0], "busy")
        self.assertEqual(plugin.wait()[0], 0)

    def test_systemd_is_not_told_that_it_is_stopping_before_its_work_has_ended(self):
        with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(directory + "/notify")
            notify.settimeout(30)
            plugin = self.example(environment={"NOTIFY_SOCKET": directory + "/notify"}).greet()
            plugin.call(".RequestHandler", "Handle", "(sa{sv})", "begin-work", {})
            owner = plugin.owner
            plugin.process.terminate()
            iterate_until(lambda: plugin.owner is None)
            while "Leaving" not in notify.recv(4096).decode():
                pass
            # What is said before the name is given back is there by now.
            self.assertEqual(select.select([notify], [], [], 0)[0], [])
            plugin.owner = owner
            plugin.call(".RequestHandler", "Handle", "(sa{sv})", "end-work", {})
            self.assertEqual(notify.recv(4096), b"STOPPING=1")
            self.assertEqual(plugin.wait()[0], 0)

    def test_the_daemon_is_gone_systemd_is_told_that_it_is_stopping_while_its_work_goes_on(self):
        with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(directory + "/notify")
            notify.settimeout(30)
            plugin = self.example("--host-exit", "1", environment={"NOTIFY_SOCKET": directory + "/notify"})
            daemon = self.greeted_by_another(plugin)
            plugin.call("", "Initialize", "(a{sv})", {})
            plugin.call(".RequestHandler", "Handle", "(sa{sv})", "begin-work", {})
            owner = plugin.owner
            daemon.close_sync(None)
            while "Leaving" not in notify.recv(4096).decode():
                pass
            self.assertEqual(notify.recv(4096), b"STOPPING=1")
            iterate_until(lambda: plugin.owner is None)
            # Until it is ended for it, it has the time to finish.
            self.assertIsNone(plugin.process.poll())
            plugin.owner = owner
            plugin.call(".RequestHandler", "Handle", "(sa{sv})", "end-work", {})
            self.assertEqual(plugin.wait()[0], 0)

    def test_the_daemon_is_gone_systemd_is_told_even_if_its_state_never_comes(self):
        with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(directory + "/notify")
            notify.settimeout(30)
            plugin = self.example("--host-exit", "1", environment={"NOTIFY_SOCKET": directory + "/notify", "STATE_DIRECTORY": directory})
            daemon = self.greeted_by_another(plugin)
            plugin.call("", "Initialize", "(a{sv})", {"mode": s("hung")})
            self.check(plugin)
            daemon.close_sync(None)
            while "Leaving" not in notify.recv(4096).decode():
                pass
            self.assertEqual(notify.recv(4096), b"STOPPING=1")
            plugin.process.kill()
            plugin.wait()

    def test_sigterm_and_sigint_are_a_polite_end(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                self.assertEqual(self.example().greet().stop(number)[0], 0)

    def test_nobody_calls_it_leaves(self):
        plugin = self.example("--idle-exit", "1").greet()
        self.assertEqual(plugin.wait()[0], 0)

    def test_work_keeps_it_from_leaving(self):
        plugin = self.with_state(self.state_directory(), "--idle-exit", PATIENCE).greet()
        plugin.call(".RequestHandler", "Handle", "(sa{sv})", "begin-work", {})
        with self.assertRaises(subprocess.TimeoutExpired):
            plugin.process.wait(timeout=LONGER)
        plugin.call(".RequestHandler", "Handle", "(sa{sv})", "end-work", {})
        self.assertEqual(plugin.wait()[0], 0)

    def test_an_open_channel_keeps_it_from_leaving(self):
        plugin = self.example("--idle-exit", PATIENCE).greet()
        channel = plugin.open_channel()
        # Not its end, for which it would wait until the channel is closed.
        with self.assertRaisesRegex(AssertionError, "did not happen"):
            iterate_until(lambda: plugin.owner is None, LONGER)
        os.close(channel)
        self.assertEqual(plugin.wait()[0], 0)

    def greeted_by_another(self, plugin):
        daemon = self.bus.connect()
        daemon.set_exit_on_close(False)
        plugin.call("", "Handshake", "(us)", 1, "0.1.0", connection=daemon)
        return daemon

    def test_the_daemon_is_gone_it_leaves(self):
        plugin = self.example("--host-exit", "1")
        self.greeted_by_another(plugin).close_sync(None)
        self.assertEqual(plugin.wait()[0], 0)

    def test_a_daemon_that_comes_back_finds_it(self):
        plugin = self.example("--host-exit", PATIENCE)
        self.greeted_by_another(plugin).close_sync(None)
        plugin.greet()
        with self.assertRaises(subprocess.TimeoutExpired):
            plugin.process.wait(timeout=LONGER)
        self.assertEqual(self.check(plugin)[0], "idle")

    def test_a_forged_farewell_is_not_believed(self):
        plugin = self.example("--host-exit", "1").greet()
        own = self.bus.connection.get_unique_name()
        self.bus.connection.emit_signal(
            plugin.owner, "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged", GLib.Variant("(sss)", (own, own, "")))
        with self.assertRaises(subprocess.TimeoutExpired):
            plugin.process.wait(timeout=1.5)
        plugin.call("", "Ping")

    def test_without_a_greeting_it_leaves(self):
        plugin = self.example()
        code, text = plugin.wait()
        self.assertEqual(code, 0)
        self.assertIn("Nobody greeted", text)

    def test_a_second_one_in_the_same_slot_is_refused(self):
        first = self.example().greet()
        code, text = self.example(wait=False).wait()
        self.assertNotEqual(code, 0)
        self.assertIn("Another instance of example runs in slot a", text)
        self.assertEqual(self.check(first)[0], "idle")
        self.assertEqual(first.stop()[0], 0)
        # The slot is free again.
        self.example().greet()

    def test_one_in_the_other_slot_serves_by_its_unique_name_and_inherits_the_other(self):
        first = self.example().greet()
        owner = first.owner
        with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(directory + "/notify")
            notify.settimeout(30)
            second = self.example(environment={"SNOOZE_SLOT": "b", "NOTIFY_SOCKET": directory + "/notify"})
            self.assertIn("READY=1", notify.recv(4096).decode())
        self.assertEqual(second.owner, owner)
        second.owner = self.owners(first.name)[1]
        second.greet({"mode": s("later")})
        answers = second.call_later(".IdleCheck", "CheckIdle", "(a{sv})", {})
        # Whoever calls the name reaches one or the other, but never nobody.
        first.call("", "Shutdown")
        second.call(".EventHandler", "HandleEvent", "(a{sv})", {})
        iterate_until(lambda: answers)
        self.assertEqual(answers[0][0], "busy")
        self.assertEqual(first.wait()[0], 0)
        self.assertEqual(self.owners(first.name), [second.owner])
        self.assertEqual(second.stop()[0], 0)

    def owners(self, name):
        return self.bus.connection.call_sync(
            "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "ListQueuedOwners", GLib.Variant("(s)", (name,)), None,
            Gio.DBusCallFlags.NONE, 20000, None).unpack()[0]

    def test_a_second_one_waits_for_the_name(self):
        first = self.example().greet()
        owner = first.owner
        second = self.example("--slot", "b", wait=False)
        while len(self.owners(first.name)) < 2:
            pass
        self.assertEqual(self.owners(first.name)[0], owner)
        first.stop()
        iterate_until(lambda: second.owner not in (None, owner))
        self.assertEqual(second.greet().stop()[0], 0)

    def test_a_lost_bus_is_a_failure(self):
        plugin = self.example().greet()
        self.bus.connection.set_exit_on_close(False)
        self.bus.daemon.kill()
        code, text = plugin.wait()
        self.assertNotEqual(code, 0)
        self.assertIn("lost the bus", text)

    @unittest.skipUnless(os.geteuid() == 0, "impossible here: only root can be somebody else")
    def test_other_users_are_refused(self):
        plugin = self.example().greet()
        stranger = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "busctl", "--address=" + self.bus.address, "call",
             plugin.owner, plugin_bus.PATH, plugin_bus.NAME, "Ping"],
            capture_output=True, text=True)
        self.assertNotEqual(stranger.returncode, 0)
        self.assertIn("Access denied", stranger.stderr)
        plugin.call("", "Ping")
        self.assertIn("Refused Ping", plugin.stop()[1])

    def test_no_bus_is_a_failure(self):
        result = subprocess.run(
            [PROGRAM], env=dict(self.bus.environment, DBUS_SYSTEM_BUS_ADDRESS="unix:path=/nonexistent"), capture_output=True, text=True)
        self.assertNotEqual(result.returncode, 0)

    def test_the_command_line(self):
        run = lambda *arguments: subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, env=self.bus.environment)
        self.assertEqual(run("--version").stdout, "example 1.2.0\n")
        self.assertIn("--idle-exit", run("--help").stdout)
        for wrong in (["--idle-exit", "-1"], ["--idle-exit", "x"], ["--idle-exit", " 1"], ["--idle-exit", "+1"], ["--idle-exit", ""],
                      ["--nonsense"], ["argument"], ["--slot", "c"]):
            self.assertNotEqual(run(*wrong).returncode, 0)
        description = json.loads(run("--describe").stdout)
        self.assertEqual(description["events"], ["snooze.stop.pending", "custom.*"])
        self.assertEqual(description["settings"]["percent"], {"type": "integer", "minimum": 0, "maximum": 100})
        self.assertEqual(description["settings"]["names"], {"type": "list", "constraints": "/^[a-z]+$/", "default": ["one", "two"]})
        self.assertEqual(description["settings"]["quick"], {"type": "boolean", "default": True})
        self.assertEqual(description["settings"]["ratio"], {"type": "number", "default": 0.5})


plugin_bus.main()
