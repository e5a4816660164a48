#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""snooze: holding the machine on, stopping it, and what the history says of both; traces of it."""

import json
import os
import pty
import select
import signal
import subprocess
import time

import plugin_bus
from command_line import FAILED, HOUR, MINUTE, NOW, OK, REFUSED, SNOOZE, USAGE, CommandLine
from mock_snoozed import Failure, Hang, v


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

    def test_one_that_stands_without_being_stored_is_named(self):
        words = "Hold 4 stands, but would not outlive a reboot by now: the disk is full; to end it: snooze release 4"
        for method, arguments in (("HoldFor", ("hold", "--for", "1h")), ("Postpone", ("postpone", "1h"))):
            with self.subTest(method):
                self.mock.answers[method] = Failure("io.cloudsnooze.Snooze1.Error.Store", words)
                self.assertEqual(self.snooze(*arguments, code=FAILED), f"snooze: {words}\n")
                result = self.run_snooze(*arguments, "--json")
                told = json.loads(result.stdout)
                self.assertLess(abs(told.pop("until") - NOW - HOUR), HOUR / 2)
                self.assertEqual((result.returncode, told, result.stderr), (FAILED, {"cookie": 4, "stored": False}, f"snooze: {words}\n"))
                # With any other there is none.
                for name, other in (("Store", "The database is busy."), ("Busy", words)):
                    self.mock.answers[method] = Failure("io.cloudsnooze.Snooze1.Error." + name, other)
                    self.assertEqual(self.run_snooze(*arguments, "--json").stdout, "")

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
        self.snooze("stop", "--wake", "2030-01-02T03:04:05Z")
        self.assertEqual(self.mock.called("StopInstance")[1], ("", {"wake": 1893553445 * 1000000}))
        self.assertEqual(self.json("stop"), {"ok": True})
        self.assertEqual(self.mock.called("StopInstance")[2], ("", {}))

    def test_times_to_wake_up(self):
        for text, least, most in (("8h", 8 * HOUR, 8 * HOUR), ("00:00", 0, 25 * HOUR), ("23:59", 0, 25 * HOUR)):
            with self.subTest(text=text):
                self.snooze("stop", "--wake", text)
                ahead = self.mock.called("StopInstance")[-1][1]["wake"] - time.time() * 1000000
                self.assertGreater(ahead, least - MINUTE)
                self.assertLessEqual(ahead, most)
        for text in ("", "soon", "25:00", "7:61", "-1:00", "07:30x", "2030-13-01T00:00"):
            with self.subTest(text=text):
                self.snooze("stop", "--wake", text, code=USAGE)

    def test_a_person_is_asked_first(self):
        text, status = self.on_terminal("stop", answer="n\n", until="[y/N]")
        self.assertIn("nothing was done", text)
        self.assertEqual((status, self.mock.called("StopInstance")), (FAILED, []))
        text, status = self.on_terminal("stop", answer="y\n", until="[y/N]")
        self.assertEqual((status, len(self.mock.called("StopInstance"))), (OK, 1))
        text, status = self.on_terminal("stop", "--yes")
        self.assertEqual((status, len(self.mock.called("StopInstance"))), (OK, 2))

    def test_a_dry_run_is_not_called_a_stop(self):
        self.assertEqual(self.snooze("stop"), "Stopping. Too soon? snooze cancel\n")
        self.assertRegex(self.snooze("stop", "--delay", "1h"), r"^This machine stops at \S.*\. Keep it on: snooze cancel\n$")
        self.mock.set(DryRun=True)
        rehearsal = "Going through every step of a stop but the last; see: snooze status --watch\n"
        self.assertEqual(self.snooze("stop"), rehearsal)
        self.assertEqual(self.snooze("stop", "--dry-run"), rehearsal)
        self.assertRegex(self.snooze("stop", "--delay", "1h"), r"^This machine would stop at ")
        text, _ = self.on_terminal("stop", answer="y\n", until="[y/N]")
        self.assertIn("but the last? [y/N]", text)

    def test_postpone_cancel_pause_resume(self):
        self.assertRegex(self.snooze("postpone", "2h", "demo"), r"^This machine does not stop itself before .*\d\d:\d\d\.\n")
        self.snooze("cancel", "still here")
        self.snooze("pause")
        self.assertEqual(self.snooze("resume"), "It was not paused.\n")
        self.mock.set(Paused=True)
        self.assertIn("Resumed; ", self.snooze("resume"))
        self.assertEqual([(method, arguments) for method, arguments, _ in self.mock.calls if method not in ("GetAll", "ListHolds")],
                         [("Postpone", (2 * HOUR, "demo")), ("CancelStop", ("still here",)), ("Pause", ()), ("Resume", ()),
                          ("Resume", ())])
        for verb in (["cancel"], ["pause"], ["resume"]):
            self.assertEqual(self.json(*verb), {"ok": True})

    def test_postpone_says_how_it_is_taken_back(self):
        until = int(time.time() * 1000000) + 2 * HOUR
        self.mock.answers["ListHolds"] = v("(a(ussstt))", ([
            (3, "alice", "demo", "postpone", NOW, until - HOUR), (5, "bob", "demo", "timed", NOW, until),
            (4, "alice", "demo", "postpone", NOW, until), (7, "bob", "other", "postpone", NOW, until)],))
        self.assertRegex(self.snooze("postpone", "2h", "demo"), r"\d\d:\d\d\. Take it back: snooze release 4\n$")
        self.assertEqual(self.json("postpone", "2h", "demo"), {"cookie": 4, "until": until})
        # Where it is not to be seen, its end is known all the same.
        told = self.json("postpone", "1h", "demo for others")
        self.assertEqual(list(told), ["until"])
        self.assertAlmostEqual(told["until"], time.time() * 1000000 + HOUR, delta=MINUTE)

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


class Traces(CommandLine):
    def test_simulate_runs_the_simulator(self):
        self.program("snooze-simulate", 'echo "$@"; exit 6')
        result = self.run_snooze("simulate", "--config", "f", "trace", "--json")
        self.assertEqual((result.stdout, result.returncode), ("--config f trace\n", 6))
        self.environment["SNOOZE_LIBEXEC_DIR"] = "/nonexistent"
        self.assertIn("cannot be run", self.snooze("simulate", "trace", code=FAILED))

    def test_the_simulator_is_called_what_was_typed(self):
        del self.environment["SNOOZE_LIBEXEC_DIR"]
        self.assertIn("snooze simulate [OPTION", self.snooze("simulate", "--help"))
        self.assertIn("snooze simulate: /nonexistent", self.snooze("simulate", "/nonexistent", code=FAILED))

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

    def test_record_tells_when_a_plugin_saw_activity(self):
        """On the trace's clock: what was before it counts from its beginning. What is of the answer's very moment is no news."""
        def vote(source, verdict, moment, **more):
            return source, verdict, "said so", {"age_seconds": v("d", 0.5), "last_activity": v("x", int(moment * 1e6)), **more}

        now = time.time()
        self.mock.answers["Explain"] = v("(ssa(sssa{sv}))", ("idle", "idle", [
            vote("before", "idle", now - 3600), vote("at-once", "busy", now + 3600), vote("still", "busy", now - 60),
            ("nothing", "idle", "said so", {"watching": v("b", False)})]))
        lines = [json.loads(line) for line in self.snooze("record", "--for", "3", "--interval", "0.2s").splitlines()]
        self.assertEqual(lines[0]["votes"], {
            "before": {"verdict": "idle", "reason": "said so", "last_activity": 0}, "at-once": {"verdict": "busy", "reason": "said so"},
            "still": {"verdict": "busy", "reason": "said so", "last_activity": 0},
            "nothing": {"verdict": "idle", "reason": "said so", "watching": False}})
        self.assertTrue(all("votes" not in line for line in lines[1:]), lines)

    def test_record_tells_of_activity_in_its_time(self):
        """A plugin that says idle all the while, and saw somebody in between."""
        def answer(moment):
            return v("(ssa(sssa{sv}))", ("idle", "idle", [
                ("sessions", "idle", "nobody types", {"age_seconds": v("d", 0.0), "last_activity": v("x", int(moment * 1e6))})]))

        begun = time.time()
        self.mock.answers["Explain"] = answer(begun - 60)
        path = os.path.join(self.directory.name, "trace")
        process = self.start("record", "--interval", "0.1s", path)
        self.until_called("Explain")
        seen = time.time()
        self.mock.answers["Explain"] = answer(seen)
        lines = []
        deadline = time.monotonic() + 30
        while sum("votes" in line for line in lines) < 2:
            self.assertLess(time.monotonic(), deadline, lines)
            with open(path) as f:
                lines = [json.loads(line) for line in f.read().split("\n")[:-1]]
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(30), OK)
        told = [line["votes"]["sessions"]["last_activity"] for line in lines if "votes" in line]
        self.assertEqual(told[0], 0)
        # The record begins with the program, a moment after it was started.
        self.assertGreater(told[1], 0)
        self.assertLess(told[1], seen - begun + 0.1)

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


if __name__ == "__main__":
    plugin_bus.main()
