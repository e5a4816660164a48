#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""snooze, the command line, against a snoozed with canned answers: what people read, what programs read, exit statuses."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import plugin_bus
from mock_snoozed import Failure, Hang, MockSnoozed, v

INTROSPECTION = sys.argv.pop()
SNOOZE = sys.argv.pop()
COMPLETION = os.path.join(os.path.dirname(INTROSPECTION), "data", "completions", "snooze")

NOW = int(time.time() * 1e6)
MINUTE = 60 * 1000000
HOUR = 60 * MINUTE

OK, FAILED, USAGE, REFUSED, UNREACHABLE, UNKNOWN = range(6)


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.bus = plugin_bus.Bus()
        self.addCleanup(self.bus.stop)
        self.mock = MockSnoozed(self.bus.address, INTROSPECTION)
        self.addCleanup(self.mock.stop)
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.environment = dict(self.bus.environment, TZ="UTC", LC_ALL="C.UTF-8", SNOOZE_LIBEXEC_DIR=self.directory.name)
        self.environment.pop("NO_COLOR", None)

    def run_snooze(self, *arguments, **keywords):
        return subprocess.run([SNOOZE, *arguments], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60, **keywords)

    def snooze(self, *arguments, code=OK):
        """What it printed; any other exit status fails the test, and so does a word on stderr at success."""
        result = self.run_snooze(*arguments)
        self.assertEqual(result.returncode, code, "%s: %s%s" % (arguments, result.stdout, result.stderr))
        if code == OK:
            self.assertEqual(result.stderr, "")
            return result.stdout
        return result.stdout + result.stderr

    def json(self, *arguments, code=OK):
        result = self.run_snooze(*arguments, "--json")
        self.assertEqual(result.returncode, code, result.stderr)
        return json.loads(result.stdout)

    def start(self, *arguments, **keywords):
        process = subprocess.Popen([SNOOZE, *arguments], env=self.environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1, **keywords)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(lambda: process.poll() is None and (process.kill(), process.wait()))
        return process

    def on_terminal(self, *arguments, answer=None, until=None, **environment):
        """Everything that a terminal showed, and the exit status. answer is typed once `until` has been shown."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(SNOOZE, [SNOOZE, *arguments], dict(self.environment, TERM="xterm", **environment))
        shown = b""
        while True:
            if not select.select([terminal], [], [], 60)[0]:
                os.kill(pid, signal.SIGKILL)
                break
            try:
                piece = os.read(terminal, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
            if answer is not None and until.encode() in shown:
                os.write(terminal, answer.encode())
                answer = None
        os.close(terminal)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return shown.decode().replace("\r\n", "\n"), status

    def program(self, name, text):
        path = os.path.join(self.directory.name, name)
        with open(path, "w") as f:
            f.write("#!/bin/sh\n" + text)
        os.chmod(path, 0o755)
        return path

    def file(self, name, text):
        path = os.path.join(self.directory.name, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def until_called(self, method):
        """The calls of that method, as soon as there is one."""
        deadline = time.monotonic() + 30
        while not self.mock.called(method):
            self.assertLess(time.monotonic(), deadline, "nobody called " + method)
            select.select([], [], [], 0.01)
        return self.mock.called(method)


class Usage(CommandLine):
    def verbs(self, *group):
        return re.findall(r"^  ([a-z]+) ", self.snooze(*group, "--help").split("Verbs:")[1], re.M)

    def test_version_and_help_need_no_daemon(self):
        self.mock.disown()
        self.assertRegex(self.snooze("--version"), r"^snooze \d+\.\d+\.\d+\n$")
        self.assertIn("postpone", self.snooze("--help"))
        self.assertIn("reload", self.snooze("config", "--help"))

    def test_every_verb_has_help(self):
        verbs = self.verbs()
        self.assertIn("doctor", verbs)
        for group in ("config", "plugin", "provider"):
            verbs += [group + " " + verb for verb in self.verbs(group)]
        for verb in verbs:
            if verb not in ("simulate", "config", "plugin", "provider"):
                text = self.snooze(*verb.split(), "--help")
                self.assertIn("snooze " + verb, text)
                self.assertIn("--json", text)

    def test_bad_usage_says_what_and_exits_2(self):
        for arguments, message in (
            (["statsu"], "did you mean “snooze status”?"),
            (["frobnicate"], "there is no “snooze frobnicate”"),
            (["--frobnicate"], "unknown option --frobnicate"),
            (["status", "--frobnicate"], "--frobnicate"),
            (["status", "now"], "“now” is one argument too many"),
            (["release"], "something is missing: snooze release COOKIE"),
            (["release", "seven"], "“seven” is no cookie"),
            (["postpone", "soon"], "soon"),
            (["stop", "--action", "explode"], "“explode” is not stop, hibernate or suspend"),
            (["hold", "--for", "2h", "true"], "--for holds by itself"),
            (["history", "--max", "0"], "0 is not from 1 to 10000"),
            (["history", "--kind", "stops"], "“stops” is not state, votes, stop"),
            (["history", "--kind", "stop", "--samples"], "--samples are of no KIND"),
            (["config"], "snooze config needs a verb"),
            (["config", "set", "naptime_minutes"], "something is missing"),
            (["config", "set", "a..b", "1"], "“a..b” is no key"),
            (["config", "get", "--value"], "--value needs a KEY"),
        ):
            text = self.snooze(*arguments, code=USAGE)
            self.assertIn(message, text)
            self.assertIn("--help", text)
        self.assertEqual(self.mock.calls, [])

    def test_output_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "w") as full:
            result = subprocess.run([SNOOZE, "why"], env=self.environment, stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(result.returncode, FAILED)
        self.assertIn("could not be written", result.stderr)


class Errors(CommandLine):
    def test_no_daemon(self):
        self.mock.disown()
        text = self.snooze("status", code=UNREACHABLE)
        self.assertIn("snoozed cannot be reached", text)
        self.assertIn("sudo systemctl enable --now snoozed", text)
        self.assertNotIn("GDBus.Error", text)

    def test_no_bus(self):
        self.environment["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=/nonexistent/bus"
        for verb in ("status", "why", "holds", "doctor"):
            self.assertIn("snoozed cannot be reached", self.snooze(verb, code=UNREACHABLE))

    def test_refusal_is_told_once_as_the_daemon_wrote_it(self):
        message = "Stopping this machine is not allowed to nobody; or: sudo snooze stop"
        self.mock.answers["StopInstance"] = Failure("org.freedesktop.DBus.Error.AccessDenied", message)
        result = self.run_snooze("stop")
        self.assertEqual(result.returncode, REFUSED)
        self.assertEqual(result.stderr, "snooze: " + message + "\n")

    def test_a_hold_in_the_way_names_it_and_what_to_do(self):
        self.mock.answers["StopInstance"] = Failure("Held", "alice: pytest holds it")
        text = self.snooze("stop", code=REFUSED)
        self.assertIn("alice: pytest holds it", text)
        self.assertIn("snooze stop --force", text)

    def test_other_named_errors(self):
        self.mock.answers["CancelStop"] = Failure("TooLate", "The provider has been asked already.")
        self.snooze("cancel", code=REFUSED)
        self.mock.answers["HoldFor"] = Failure("LimitsExceeded", "You have 64 holds.")
        self.snooze("hold", "--for", "1h", code=REFUSED)
        self.mock.answers["SetConfiguration"] = Failure("InvalidConfiguration", "patch: /naptime_minutes: got -1")
        self.assertIn("/naptime_minutes: got -1", self.snooze("config", "set", "naptime_minutes", "-1", code=FAILED))
        self.mock.answers["ReleaseHold"] = Failure("NoSuchHold", "There is no hold 9.")
        self.assertIn("See: snooze holds", self.snooze("release", "9", code=FAILED))

    def test_control_characters_of_others_do_not_reach_the_terminal(self):
        self.mock.set(State="idle", Reason="\033[2Jboo\nIdle: never")
        text = self.snooze("status")
        self.assertNotIn("\033", text)
        self.assertEqual(len([line for line in text.splitlines() if line.startswith("Idle: never")]), 0)

    def test_the_caller_may_be_asked_only_on_a_terminal(self):
        self.snooze("pause")
        self.assertEqual([interactive for method, _, interactive in self.mock.calls if method == "Pause"], [False])
        self.on_terminal("resume")
        self.assertEqual([interactive for method, _, interactive in self.mock.calls if method == "Resume"], [True])


class Status(CommandLine):
    def test_active(self):
        text = self.snooze("status")
        self.assertTrue(text.startswith("Active: cpu 42.3 % ≥ 5 %.\n"), text)
        self.assertIn("local: this machine (logind); a stop saves power", text)
        self.assertIn("cpu 3.1 %, memory 40 %, network 0.2 kB/s, disk 0 kB/s, last input 12 min ago", text)
        self.assertEqual(self.run_snooze().stdout, text)

    def test_idle_says_since_when_and_when_it_stops(self):
        since, stop = NOW - 31 * MINUTE, NOW + 4 * MINUTE
        self.mock.set(State="idle", Reason="idle", IdleSince=since, NextStop=stop)
        self.assertRegex(self.snooze("status"),
                         r"^Idle since (\S+ )?\d\d:\d\d \(3\d min\): this machine stops at (\S+ )?\d\d:\d\d if nothing happens\.\n")

    def test_idle_without_an_end_says_what_keeps_it_on(self):
        self.mock.set(State="idle", Reason="alice holds it: pytest", IdleSince=NOW - HOUR, NextStop=0, Holds=1)
        text = self.snooze("status")
        self.assertIn("and stays on: alice holds it: pytest.\n", text)
        self.assertIn("holds     1 (snooze holds)", text)

    def test_dry_run_leads(self):
        self.mock.set(State="idle", DryRun=True, IdleSince=NOW - HOUR, NextStop=NOW + HOUR)
        lines = self.snooze("status").splitlines()
        self.assertTrue(lines[0].startswith("Dry run:"))
        self.assertIn("sudo snooze setup", lines[0])
        self.assertIn("this machine would stop at", lines[1])

    def test_warning_says_how_to_keep_it_on(self):
        self.mock.set(State="warning", Reason="idle since 22:06", IdleSince=NOW - HOUR, NextStop=NOW + 5 * MINUTE)
        self.assertRegex(self.snooze("status"), r"^This machine stops at .* \(in [1-5] min\): idle since 22:06\. "
                                                r"Keep it on: snooze postpone 2h\n")

    def test_other_states(self):
        for state, start in (("paused", "Paused, and stays on: why. Go on: sudo snooze resume"),
                             ("stopping", "Stopping now: why."), ("stopped", "Stopped: why.")):
            self.mock.set(State=state, Reason="why.")
            self.assertTrue(self.snooze("status").startswith(start + "\n"))

    def test_greeting_refusal_and_no_provider(self):
        self.mock.set(Greeting="Stopped itself yesterday 22:41", Refusal="aws refused ec2:StopInstances", Provider="/")
        text = self.snooze("status")
        self.assertIn("Stopped itself yesterday 22:41", text)
        self.assertIn("refused   aws refused ec2:StopInstances", text)
        self.assertIn("provider  none", text)

    def test_json_has_every_property(self):
        status = self.json("status")
        self.assertEqual(sorted(status), ["dry_run", "greeting", "holds", "idle_since", "next_stop", "paused", "provider",
                                          "reason", "refusal", "state", "version"])
        self.assertEqual(status["state"], "active")
        self.assertEqual(json.loads(self.snooze("--json", "status")), status)

    def test_watch_tells_each_transition_and_outlives_the_daemon(self):
        process = self.start("status", "--watch", "--json")
        self.assertEqual(json.loads(process.stdout.readline())["state"], "active")
        self.mock.emit("StateChanged", "(sss)", "idle", "active", "nothing happens")
        line = json.loads(process.stdout.readline())
        self.assertEqual((line["state"], line["previous"], line["reason"]), ("idle", "active", "nothing happens"))
        self.mock.disown()
        self.assertEqual(json.loads(process.stdout.readline())["state"], "gone")
        self.mock.set(State="paused")
        self.mock.own()
        self.assertEqual(json.loads(process.stdout.readline())["state"], "paused")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(30), OK)


class Why(CommandLine):
    def test_the_reason_comes_first_then_every_source(self):
        lines = self.snooze("why").splitlines()
        self.assertEqual(lines[0], "Active: cpu 42.3 % ≥ 5 %")
        self.assertEqual(lines[1], "cpu\tbusy\trequired\t42.3 % ≥ 5 %")
        self.assertEqual(lines[4], "sessions\tunknown\trequired\thas not answered yet")

    def test_verbose_shows_the_evidence(self):
        self.assertIn("cpu\tpolicy required, value 42.3, threshold 5", self.snooze("why", "-v"))

    def test_since_shows_how_long_each_state_lasted(self):
        self.mock.answers["GetHistory"] = v("(aa{sv})", ([
            {"time": v("t", NOW - 10 * MINUTE), "kind": v("s", "state"), "state": v("s", "idle"),
             "previous": v("s", "active"), "reason": v("s", "quiet")},
            {"time": v("t", NOW - 30 * MINUTE), "kind": v("s", "hold"), "who": v("s", "alice")},
            {"time": v("t", NOW - 70 * MINUTE), "kind": v("s", "state"), "state": v("s", "active"),
             "previous": v("s", "idle"), "reason": v("s", "cpu")},
        ],))
        text = self.snooze("why", "--since", "2h")
        self.assertRegex(text, r"\t1 h( 00 min)?\tactive\tcpu\n.*\t1\d min\tidle\tquiet\n$")
        since, until, maximum = self.mock.called("GetHistory")[0]
        self.assertLess(abs(since - (time.time() * 1e6 - 2 * HOUR)), MINUTE)

    def test_json(self):
        why = self.json("why", "--since", "1d")
        self.assertEqual(why["state"], "active")
        self.assertEqual(why["history"], [])
        self.assertEqual(why["votes"][0]["source"], "cpu")
        self.assertEqual(why["votes"][0]["evidence"]["value"], 42.3)

    def test_table_and_colour_on_a_terminal_only(self):
        text, status = self.on_terminal("why")
        self.assertEqual(status, OK)
        self.assertIn("\033[", text)
        self.assertRegex(text, r"SOURCE.*VERDICT.*POLICY.*REASON")
        text, _ = self.on_terminal("why", NO_COLOR="1")
        self.assertNotIn("\033[", text)
        self.assertRegex(text, r"cpu       busy     required  42.3 % ≥ 5 %")
        self.assertNotIn("\033", self.snooze("why"))


class Check(CommandLine):
    def test_verdict_is_the_exit_status(self):
        self.assertTrue(self.snooze("check", code=1).startswith("Busy: cpu 42.3 % ≥ 5 %"))
        self.mock.answers["CheckNow"] = v("(bs)", (True, "every source says idle"))
        self.assertEqual(self.snooze("check"), "Idle: every source says idle\n")
        self.assertEqual(self.json("check"), {"idle": True, "verdict": "idle", "reason": "every source says idle"})

    def test_one_plugin(self):
        self.assertIn("Idle: nobody is logged in\n  sessions 0\n", self.snooze("check", "sessions"))
        self.mock.answers["CheckIdle"] = v("(ssa{sv})", ("unknown", "logind does not answer", {}))
        self.assertEqual(self.json("check", "sessions", code=UNKNOWN)["verdict"], "unknown")

    def test_one_metric_is_measured_anew(self):
        self.snooze("check", "cpu", code=1)
        self.assertEqual(len(self.mock.called("CheckNow")), 1)
        self.snooze("check", "memory")

    def test_a_failure_is_no_verdict(self):
        self.assertIn("there is no check “nothing”; there are: cpu, memory", self.snooze("check", "nothing", code=UNKNOWN))
        self.mock.answers["CheckNow"] = Failure("PluginFailed", "rubbish")
        self.snooze("check", code=UNKNOWN)


class Hold(CommandLine):
    def test_command_runs_under_the_hold_and_its_status_is_ours(self):
        self.assertEqual(self.run_snooze("hold", "--why", "tests", "--", "sh", "-c", "exit 7").returncode, 7)
        self.assertEqual(self.mock.called("Hold"), [("sh", "tests", "block")])
        self.assertEqual(os.read(self.mock.held[0], 1), b"")  # the hold has ended

    def test_arguments_of_the_command_stay_private(self):
        self.run_snooze("hold", "true", "--password=secret")
        self.assertEqual(self.mock.called("Hold"), [("true", "true is running", "block")])

    def test_options_behind_the_command_are_its_own(self):
        self.assertEqual(self.snooze("hold", "echo", "--why", "-x"), "--why -x\n")

    def test_signal_missing_and_unexecutable_commands(self):
        self.assertEqual(self.run_snooze("hold", "--", "sh", "-c", "kill -9 $$").returncode, 128 + 9)
        self.assertEqual(self.run_snooze("hold", "--", "/nonexistent").returncode, 127)
        self.assertEqual(self.run_snooze("hold", "--", "/etc/passwd").returncode, 126)

    def test_nothing_runs_without_the_hold(self):
        self.mock.answers["Hold"] = Failure("LimitsExceeded", "You have 64 holds.")
        witness = os.path.join(self.directory.name, "witness")
        self.snooze("hold", "--", "touch", witness, code=REFUSED)
        self.assertFalse(os.path.exists(witness))

    def test_what_the_command_leaves_behind_holds_nothing(self):
        result = self.run_snooze("hold", "--", "sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!")
        self.addCleanup(os.kill, int(result.stdout), signal.SIGKILL)
        self.assertEqual(os.read(self.mock.held[0], 1), b"")

    def test_descriptors_and_input_of_the_caller_reach_the_command(self):
        text = subprocess.run(["sh", "-c", '"$0" hold -- sh -c "cat; cat <&3" 3<<EOF\nthree\nEOF', SNOOZE],
                              env=self.environment, input="zero\n", capture_output=True, text=True).stdout
        self.assertEqual(text, "zero\nthree\n")

    def test_the_command_finds_the_signals_as_we_found_them(self):
        text = subprocess.run([SNOOZE, "hold", "--", "grep", "SigIgn", "/proc/self/status"], env=self.environment,
                              capture_output=True, text=True, restore_signals=True).stdout
        self.assertEqual(int(text.split()[1], 16) & (1 << (signal.SIGPIPE - 1)), 0)

    def test_termination_is_passed_on(self):
        process = self.start("hold", "--", "sh", "-c", "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done")
        self.assertEqual(process.stdout.readline(), "ready\n")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.stdout.readline(), "bye\n")
        self.assertEqual(process.wait(30), 3)

    def test_without_a_command_it_lasts_until_interrupted(self):
        process = self.start("hold", "--json")
        self.assertEqual(json.loads(process.stdout.readline()), {"held": True})
        self.assertEqual(select.select(self.mock.held, [], [], 0)[0], [])
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(30), OK)
        self.assertEqual(os.read(self.mock.held[0], 1), b"")

    def test_for_a_time(self):
        self.assertRegex(self.snooze("hold", "--for", "2h", "--why", "demo"), r"^Held until .*End it before: snooze release 17\n")
        self.assertEqual(self.mock.called("HoldFor"), [(2 * HOUR, "demo")])
        self.assertEqual(self.json("hold", "--for", "90")["cookie"], 17)

    def test_holds_and_release(self):
        self.mock.answers["ListHolds"] = v("(a(ussstt))", ([
            (3, "alice: pytest", "tests", "block", NOW - HOUR, 0), (0, "gdm", "switch", "inhibitor", 0, 0),
            (4, "bob", "demo", "timed", NOW, NOW + HOUR)],))
        lines = self.snooze("holds").splitlines()
        self.assertRegex(lines[0], r"^3\tblock\t.*\tit ends\talice: pytest\ttests$")
        self.assertRegex(lines[1], r"^-\tinhibitor\t-\tit ends\tgdm\tswitch$")
        self.assertEqual(self.json("holds")[2], {"cookie": 4, "who": "bob", "why": "demo", "kind": "timed", "since": NOW,
                                                 "until": NOW + HOUR})
        self.assertEqual(self.snooze("release", "3"), "Released.\n")
        self.assertEqual(self.mock.called("ReleaseHold"), [(3,)])


class Stop(CommandLine):
    def test_options_travel_as_asked(self):
        self.snooze("stop", "--force", "--delay", "5min", "--action", "suspend", "--dry-run", "going home")
        self.assertEqual(self.mock.called("StopInstance"), [
            ("going home", {"force": True, "delay": 5 * MINUTE, "action": "suspend", "dry-run": True})])
        self.assertEqual(self.json("stop"), {"ok": True})
        self.assertEqual(self.mock.called("StopInstance")[1], ("", {}))

    def test_a_person_is_asked_first(self):
        text, status = self.on_terminal("stop", answer="n\n", until="[y/N]")
        self.assertIn("nothing was done", text)
        self.assertEqual((status, self.mock.called("StopInstance")), (FAILED, []))
        text, status = self.on_terminal("stop", answer="y\n", until="[y/N]")
        self.assertEqual((status, len(self.mock.called("StopInstance"))), (OK, 1))
        text, status = self.on_terminal("stop", "--yes")
        self.assertEqual((status, len(self.mock.called("StopInstance"))), (OK, 2))

    def test_postpone_cancel_pause_resume(self):
        self.assertRegex(self.snooze("postpone", "2h", "demo"), r"^This machine does not stop itself before .*\d\d:\d\d\.\n")
        self.snooze("cancel", "still here")
        self.snooze("pause")
        self.snooze("resume")
        self.assertEqual([(method, arguments) for method, arguments, _ in self.mock.calls if method != "GetAll"],
                         [("Postpone", (2 * HOUR, "demo")), ("CancelStop", ("still here",)), ("Pause", ()), ("Resume", ())])
        for verb in (["postpone", "1h"], ["cancel"], ["pause"], ["resume"]):
            self.assertEqual(self.json(*verb), {"ok": True})

    def test_a_wait_of_more_than_a_second_is_shown(self):
        self.mock.answers["CheckNow"] = Hang
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(SNOOZE, [SNOOZE, "check"], dict(self.environment, TERM="xterm"))
        shown = b""
        while b"Asking every check" not in shown:
            self.assertTrue(select.select([terminal], [], [], 30)[0])
            shown += os.read(terminal, 4096)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


class History(CommandLine):
    ROWS = [
        {"time": v("t", NOW), "kind": v("s", "state"), "state": v("s", "idle"), "previous": v("s", "active"),
         "reason": v("s", "quiet")},
        {"time": v("t", NOW - HOUR), "kind": v("s", "hold"), "change": v("s", "begun"), "hold": v("s", "block"),
         "who": v("s", "alice: pytest"), "why": v("s", "tests")},
    ]

    def test_oldest_first(self):
        self.mock.answers["GetHistory"] = v("(aa{sv})", (self.ROWS,))
        lines = self.snooze("history", "--since", "1d", "--max", "5").splitlines()
        self.assertIn("\thold\tbegun: alice: pytest (block): tests", lines[0])
        self.assertIn("\tstate\tactive → idle: quiet", lines[1])
        self.assertEqual(self.mock.called("GetHistory")[0][2], 5)
        self.assertEqual(len(self.snooze("history", "--kind", "hold").splitlines()), 1)
        self.assertEqual([row["kind"] for row in self.json("history")], ["hold", "state"])

    def test_a_kind_is_looked_for_behind_all_the_others(self):
        """--max counts rows of the kind, and the daemon returns 10000 rows of any kind at once."""
        others = [{"time": v("t", NOW - i // 3), "kind": v("s", "votes")} for i in range(25000)]
        history = others[:12000] + self.ROWS[1:] * 2 + others[12000:] + self.ROWS[1:]
        for i, row in enumerate(history):
            history[i] = dict(row, time=v("t", NOW - i // 3))

        def answer(since, until, maximum):
            return v("(aa{sv})", ([row for row in history if not until or row["time"].unpack() < until][:maximum],))

        self.mock.answer_GetHistory = answer
        self.assertEqual(len(self.json("history", "--kind", "hold")), 3)
        self.assertEqual(len(self.json("history", "--kind", "hold", "--max", "2")), 2)
        self.assertEqual(self.json("history", "--kind", "stop"), [])

    def test_a_hold_without_a_reason(self):
        row = dict(self.ROWS[1], why=v("s", ""))
        self.mock.answers["GetHistory"] = v("(aa{sv})", ([row],))
        self.assertTrue(self.snooze("history").endswith("begun: alice: pytest (block)\n"))

    def test_every_kind_reads_as_a_sentence(self):
        for row, text in (
            ({"kind": v("s", "call"), "user": v("s", "bob"), "call": v("s", "Pause"), "what": v("s", "")}, "bob: Pause"),
            ({"kind": v("s", "problem"), "source": v("s", "store"), "message": v("s", "disk full")}, "store: disk full"),
            ({"kind": v("s", "stop"), "outcome": v("s", "refused"), "message": v("s", "no"), "reason": v("s", "idle")},
             "refused: no (idle)"),
            ({"kind": v("s", "votes"), "votes": v("av", [v("a{sv}", {"source": v("s", "cpu"), "verdict": v("s", "busy")})])},
             "cpu busy"),
            ({"kind": v("s", "event"), "type": v("s", "custom"), "source": v("s", "bob")}, "custom from bob"),
            ({"kind": v("s", "event"), "type": v("s", "custom"), "finished": v("b", True), "handled": v("b", False)},
             "custom: handled by nobody"),
            ({"kind": v("s", "later"), "until": v("t", 86400000000 * 365 * 40), "n": v("x", 3)}, "until 2009-12-22 00:00, n 3"),
        ):
            self.mock.answers["GetHistory"] = v("(aa{sv})", ([dict(row, time=v("t", NOW))],))
            self.assertTrue(self.snooze("history").endswith("\t" + text + "\n"), self.snooze("history"))

    def test_samples(self):
        self.mock.answers["GetSamples"] = v("(aa{sv})", ([{"time": v("t", NOW), "cpu_usage": v("d", 1.5)}],))
        self.assertIn("cpu_usage 1.5", self.snooze("history", "--samples"))


class Config(CommandLine):
    def test_get_shows_the_origin_of_each_value(self):
        text = self.snooze("config", "get")
        self.assertIn("naptime_minutes\t30\t/etc/cloudsnooze/snooze.json\n", text)
        self.assertIn("sources.memory.policy\tadvisory\tdefault\n", text)
        self.assertEqual(self.snooze("config", "get", "naptime_minutes"), "naptime_minutes\t30\t/etc/cloudsnooze/snooze.json\n")
        self.assertEqual(self.snooze("config", "get", "--value", "/sources/memory/policy"), "advisory\n")
        self.assertEqual(self.json("config", "get", "sources"),
                         {"sources.memory.policy": {"value": "advisory", "origin": "default"}})
        self.assertIn("there is no key “naptime”", self.snooze("config", "get", "naptime", code=FAILED))

    def test_set_sends_a_merge_patch(self):
        for arguments, patch in (
            (["naptime_minutes", "20"], {"naptime_minutes": 20}),
            (["provider", "aws"], {"provider": "aws"}),
            (["naptime_minutes", "-1"], {"naptime_minutes": -1}),
            (["sources.memory.policy", "required"], {"sources": {"memory": {"policy": "required"}}}),
            (["/sources/sessions~1tmux/policy", "off"], {"sources": {"sessions/tmux": {"policy": "off"}}}),
            (["allow_stop_effects", '["unknown"]'], {"allow_stop_effects": ["unknown"]}),
            (["naptime_minutes", "null"], {"naptime_minutes": None}),
        ):
            self.snooze("config", "set", *arguments)
            self.assertEqual(json.loads(self.mock.called("SetConfiguration")[-1][0]), patch)

        self.assertEqual(self.json("config", "set", "provider", "aws"), {"ok": True})

    def test_set_tells_what_is_in_force_then(self):
        """Not what was asked for: null takes back, and a secret is not for whoever looks over the shoulder."""
        configuration = '{"naptime_minutes":30,"providers":{"aws":{"token":"(hidden)"}}}'
        self.mock.answers["GetConfiguration"] = v("(s)", (configuration,))
        self.assertEqual(self.snooze("config", "set", "naptime_minutes", "null"), "naptime_minutes is 30 now.\n")
        self.assertEqual(self.snooze("config", "set", "providers.aws.token", "hunter2"),
                         "providers.aws.token is (hidden) now.\n")
        self.assertEqual(self.snooze("config", "set", "sources.cpu", "null"), "sources.cpu has its default now.\n")

    def test_reload(self):
        self.assertEqual(self.snooze("config", "reload"), "Reloaded.\n")
        self.assertEqual(self.json("config", "reload"), {"ok": True})

    def test_check_asks_the_parser_of_the_daemon(self):
        self.program("snoozed", 'test "$1" = --check-configuration || exit 9\n'
                                'test -z "$2" || { echo "$2: /naptime: unknown key" >&2; exit 1; }\n')
        self.assertEqual(self.snooze("config", "check"), "Fine, also beside the last hour of this machine.\n")
        bad = self.file("bad.json", "{}")
        self.assertEqual(self.snooze("config", "check", bad, code=FAILED), bad + ": /naptime: unknown key\n")
        self.assertFalse(self.json("config", "check", bad, code=FAILED)["valid"])

    def test_check_warns_of_a_threshold_that_is_never_met(self):
        self.program("snoozed", "exit 0\n")
        rows = [{"time": v("t", NOW - i), "cpu_usage": v("d", 23.0 + i), "memory_usage": v("d", 95.0),
                 "input_idle_seconds": v("d", 100.0 + i)} for i in range(60)]
        self.mock.answers["GetSamples"] = v("(aa{sv})", (rows,))
        text = self.snooze("config", "check")
        self.assertIn("cpu_threshold_percent is 5: in the last hour this machine never used less cpu than 23 %: "
                      "it would never stop", text)
        self.assertIn("input_idle_threshold_secs is 900: in the last hour input was never idle for more than 159 s", text)
        self.assertNotIn("memory", text)  # advisory: it decides nothing
        self.assertEqual(len(self.json("config", "check")["findings"]), 2)
        better = self.file("better.json", '{"cpu_threshold_percent":50,"input_idle_threshold_secs":60}')
        self.assertIn("Fine", self.snooze("config", "check", better))
        capped = self.file("capped.json", '{"cpu_threshold_percent":50,"input_idle_threshold_secs":60,"cpu_threshold_cores":0.001}')
        self.assertRegex(self.snooze("config", "check", capped), r"cpu_threshold_cores is 0\.001, \S+ % of \d+ CPUs: .* 23 %")

    def test_check_without_a_daemon_starts_none(self):
        self.program("snoozed", "exit 0\n")
        self.mock.disown()
        self.assertIn("snoozed does not run", self.snooze("config", "check"))
        self.assertFalse(self.json("config", "check")["compared"])


class Plugins(CommandLine):
    def test_list(self):
        text = self.snooze("plugin", "list")
        self.assertIn("gpu-monitor\tdiscovered\tno\t0.1.0\tno exec\n", text)
        self.assertIn("sessions\trunning\tyes\t0.1.0\tWho is logged in and works\n", text)
        plugins = self.json("plugin", "list")
        self.assertEqual([plugin["id"] for plugin in plugins], ["gpu-monitor", "local", "sessions"])
        self.assertEqual(plugins[0]["last_error"], "no exec")

    def test_info(self):
        text = self.snooze("plugin", "info", "gpu-monitor")
        self.assertTrue(text.startswith("Gpu-Monitor (gpu-monitor): discovered, disabled\n"), text)
        self.assertIn("Contracts\tIdleCheck\n", text)
        self.assertIn("statistics\tcalls 12\n", text)
        self.assertEqual(self.json("plugin", "info", "sessions")["resources"], {"enforced": False})
        self.assertIn("See: snooze plugin list", self.snooze("plugin", "info", "nothing", code=FAILED))

    def test_enable_and_disable(self):
        self.assertEqual(self.snooze("plugin", "enable", "gpu-monitor"), "Enabled.\n")
        self.assertEqual(self.json("plugin", "disable", "gpu-monitor"), {"ok": True})
        self.assertEqual((len(self.mock.called("Enable")), len(self.mock.called("Disable"))), (1, 1))


class Providers(CommandLine):
    def test_list_info_check(self):
        self.assertEqual(self.snooze("provider", "list"), "local\tyes\tno\tsaves-power\tthis machine (logind)\n")
        self.assertIn("type\tm5.large\n", self.snooze("provider", "info"))
        self.assertEqual(self.json("provider", "info", "local")["instance"]["id"], "i-123")
        self.assertIn("All that a stop needs is permitted.", self.snooze("provider", "check"))

    def test_missing_permission_is_exit_1(self):
        self.mock.answers["CheckPermissions"] = v("(a(sbs))", ([("ec2:StopInstances", False, "the role has no policy")],))
        self.assertIn("ec2:StopInstances\tno\tthe role has no policy", self.snooze("provider", "check", code=FAILED))
        self.assertFalse(self.json("provider", "check", code=FAILED)[0]["granted"])

    def test_none_active(self):
        self.mock.set(Provider="/")
        self.assertIn("snooze setup --provider", self.snooze("provider", "info", code=REFUSED))


class Doctor(CommandLine):
    def test_what_is_blind_comes_first(self):
        lines = self.snooze("doctor").splitlines()
        self.assertEqual(lines[0], "0 wrong, 1 blind, 0 to look at; 1 fine.")
        self.assertEqual(lines[1], "blind\tgpu\tnothing measures it\tsnooze plugin enable gpu-monitor")
        self.assertEqual(self.json("doctor")[0]["check"], "cpu")

    def test_something_wrong_is_exit_1(self):
        self.mock.answers["Diagnose"] = v("(aa{sv})", ([{"check": v("s", "store"), "status": v("s", "error"),
                                                         "message": v("s", "disk full"), "advice": v("s", "")}],))
        self.assertIn("1 wrong", self.snooze("doctor", code=FAILED))


class Setup(CommandLine):
    def setUp(self):
        super().setUp()
        self.mock.set(DryRun=True, State="idle", IdleSince=NOW - MINUTE, NextStop=NOW + HOUR)

    def test_shows_everything_and_arms_only_when_told(self):
        self.mock.answers["GetHistory"] = v("(aa{sv})", ([
            {"time": v("t", NOW - HOUR), "kind": v("s", "stop"), "outcome": v("s", "rehearsed"),
             "idle_since": v("t", NOW - 2 * HOUR)},
            {"time": v("t", NOW - HOUR), "kind": v("s", "stop"), "outcome": v("s", "rehearsed"), "idle_since": v("t", 0)},
        ],))
        text = self.snooze("setup", code=FAILED)
        for part in ("local: this machine (logind); a stop saves power", "power-off\tyes", "blind\tgpu",
                     "--yes"):
            self.assertIn(part, text)
        self.assertRegex(text, r"It would have stopped this machine at (\S+ )?\d\d:\d\d\.\n")
        self.assertEqual(self.mock.called("SetConfiguration"), [])
        self.assertIn("Armed. ", self.snooze("setup", "--yes"))
        self.assertEqual(self.mock.called("SetConfiguration"), [('{"dry_run":false}',)])

    def test_a_person_is_asked(self):
        text, status = self.on_terminal("setup", answer="n\n", until="[y/N]")
        self.assertEqual((status, self.mock.called("SetConfiguration")), (FAILED, []))
        text, status = self.on_terminal("setup", answer="y\n", until="[y/N]")
        self.assertEqual((status, len(self.mock.called("SetConfiguration"))), (OK, 1))

    def test_refused_says_how_to_arm_it(self):
        self.mock.answers["SetConfiguration"] = Failure("org.freedesktop.DBus.Error.AccessDenied", "Not authorized")
        self.assertIn("To arm it: sudo snooze setup\n", self.snooze("setup", "--yes", code=REFUSED))

    def test_an_unknown_effect_is_said(self):
        self.mock.add_provider("local", "this machine (logind)", "unknown")
        text = self.snooze("setup", "--yes")
        self.assertIn("Every stop will be refused", text)
        self.assertIn("""sudo snooze config set allow_stop_effects '["unknown"]'""", text)

    def test_nothing_is_guessed(self):
        self.mock.set(Provider="/")
        self.assertIn("sudo snooze setup --provider local", self.snooze("setup", "--yes", code=FAILED))
        self.assertEqual(self.mock.called("SetConfiguration"), [])
        self.snooze("setup", "--yes", "--provider", "local")
        self.assertEqual(json.loads(self.mock.called("SetConfiguration")[0][0]), {"dry_run": False, "provider": "local"})
        self.snooze("setup", "--yes", "--provider", "aws", code=FAILED)

    def test_armed_already(self):
        self.mock.set(DryRun=False)
        self.assertIn("It is armed already.", self.snooze("setup"))
        self.assertTrue(self.json("setup")["armed"])

    def test_json(self):
        self.assertFalse(self.json("setup", code=FAILED)["armed"])
        setup = self.json("setup", "--yes")
        self.assertTrue(setup["armed"])
        self.assertEqual(setup["stop_effect"], "saves-power")
        self.assertEqual(setup["would_have_stopped"], [])


class Traces(CommandLine):
    def test_simulate_runs_the_simulator(self):
        self.program("snooze-simulate", 'echo "$@"; exit 6')
        result = self.run_snooze("simulate", "--config", "f", "trace", "--json")
        self.assertEqual((result.stdout, result.returncode), ("--config f trace\n", 6))
        self.environment["SNOOZE_LIBEXEC_DIR"] = "/nonexistent"
        self.assertIn("cannot be run", self.snooze("simulate", "trace", code=FAILED))

    def test_record_writes_what_changed(self):
        path = os.path.join(self.directory.name, "trace")
        self.mock.answers["ListHolds"] = v("(a(ussstt))", ([(3, "alice", "x", "timed", NOW, NOW)],))
        process = self.start("record", "--interval", "0.1s", path)
        self.assertIn("Ctrl-C", process.stderr.readline())
        self.until_called("ListHolds")
        self.mock.answers["ListHolds"] = v("(a(ussstt))", ([],))
        lines = []
        deadline = time.monotonic() + 30
        while not any("release" in line for line in lines):
            self.assertLess(time.monotonic(), deadline)
            with open(path) as f:
                lines = [json.loads(line) for line in f.read().split("\n")[:-1]]
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(30), OK)
        first = lines[0]
        self.assertEqual(first["t"], 0)
        self.assertEqual(first["cpu_usage"], 3.14)
        self.assertEqual(first["input_idle_seconds"], 720)
        self.assertEqual(first["cpus"], 8)
        self.assertEqual(first["hold"], "block")
        self.assertEqual(first["votes"], {"sessions": {"verdict": "unknown", "reason": "has not answered yet"}})
        self.assertTrue(all("cpu_usage" not in line and "votes" not in line for line in lines[1:]))
        times = [line["t"] for line in lines]
        self.assertEqual(times, sorted(times))

    def test_record_tells_another_hold_in_two_instants(self):
        path = os.path.join(self.directory.name, "trace")
        self.mock.answers["ListHolds"] = v("(a(ussstt))", ([(3, "alice", "x", "block", NOW, NOW)],))
        process = self.start("record", "--interval", "0.1s", path)
        self.until_called("ListHolds")
        self.mock.answers["ListHolds"] = v("(a(ussstt))", ([(4, "bob", "y", "delay", NOW, NOW)],))
        lines = []
        deadline = time.monotonic() + 30
        while not any(line.get("hold") == "delay" for line in lines):
            self.assertLess(time.monotonic(), deadline)
            with open(path) as f:
                lines = [json.loads(line) for line in f.read().split("\n")[:-1]]
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(30), OK)
        index = next(i for i, line in enumerate(lines) if line.get("hold") == "delay")
        self.assertTrue(lines[index - 1]["release"])
        self.assertEqual(lines[index], {"t": lines[index - 1]["t"], "hold": "delay"})

    def test_record_for_a_time_to_stdout(self):
        lines = [json.loads(line) for line in self.snooze("record", "--for", "1", "--interval", "0.2s").splitlines()]
        self.assertGreaterEqual(len(lines), 2)
        self.assertGreaterEqual(lines[-1]["t"], 0.9)

    def test_record_into_nowhere(self):
        self.assertIn("No such file", self.snooze("record", "/nonexistent/trace", code=FAILED))
        self.assertIn("could not be written", self.snooze("record", "/dev/full", code=FAILED))


class Completion(CommandLine):
    def complete(self, *words):
        script = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _snooze; printf "%s\\n" "${COMPREPLY[@]}"'
        result = subprocess.run(["bash", "-c", script, COMPLETION, SNOOZE, *words], env=self.environment, capture_output=True,
                                text=True, timeout=60)
        self.assertEqual(result.stderr, "")
        return result.stdout.split()

    def test_verbs_and_options(self):
        self.assertEqual(self.complete("st"), ["status", "stop"])
        self.assertEqual(self.complete("status", "--w"), ["--watch"])
        self.assertEqual(self.complete("config", "re"), ["reload"])
        self.assertEqual(self.complete("stop", "--action", "hi"), ["hibernate"])
        self.assertEqual(self.complete("hold", "--w"), ["--why"])

    def test_every_verb_is_there(self):
        offered = set(self.complete(""))
        listed = set(re.findall(r"^  ([a-z]+) ", self.snooze("--help").split("Verbs:")[1], re.M))
        self.assertEqual(listed - offered, set())

    def test_names_come_from_the_daemon(self):
        self.assertEqual(self.complete("plugin", "enable", "g"), ["gpu-monitor"])
        self.assertEqual(self.complete("setup", "--provider", ""), ["local"])
        self.assertEqual(self.complete("config", "set", "nap"), ["naptime_minutes"])
        self.assertIn("memory", self.complete("check", "m"))


if __name__ == "__main__":
    plugin_bus.main()
