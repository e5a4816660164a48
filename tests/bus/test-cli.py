#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""snooze, the command line: usage, errors, and the verbs that tell how things stand."""

import json
import os
import re
import signal
import subprocess
import time

import plugin_bus
from command_line import FAILED, HOUR, INTROSPECTION, MINUTE, NOW, OK, REFUSED, SNOOZE, UNKNOWN, UNREACHABLE, USAGE, CommandLine, now
from mock_snoozed import PATH, Failure, v

MANUAL = os.path.join(os.path.dirname(INTROSPECTION), "docs", "man", "snooze.1.rst")
COMPLETION = os.path.join(os.path.dirname(INTROSPECTION), "data", "completions", "snooze")


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
        for group in ("config", "event", "plugin", "provider"):
            verbs += [group + " " + verb for verb in self.verbs(group)]
        for verb in verbs:
            if verb not in ("simulate", "plugin test", "config", "event", "plugin", "provider"):
                text = self.snooze(*verb.split(), "--help")
                self.assertIn("snooze " + verb, text)
                self.assertIn("--json", text)

    def test_help_is_a_verb_too(self):
        self.assertEqual(self.snooze("help"), self.snooze("--help"))
        self.assertEqual(self.snooze("help", "hold"), self.snooze("hold", "--help"))
        self.assertEqual(self.snooze("help", "config", "set"), self.snooze("config", "set", "--help"))
        self.assertEqual(self.snooze("config", "help", "set"), self.snooze("config", "set", "--help"))
        self.assertEqual(self.snooze("help", "config"), self.snooze("config", "--help"))
        self.assertIn("did you mean “snooze status”?", self.snooze("help", "statsu", code=USAGE))

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
            (["plugin", "configure", "sessions", "limit"], "expected KEY=VALUE, got “limit”"),
            (["plugin", "configure", "sessions", "=3"], "expected KEY=VALUE, got “=3”"),
            (["plugin", "configure", "sessions", "--reset"], "--reset needs a KEY"),
            (["plugin", "configure", "sessions", "--reset", "limit=3"], "expected KEY, got “limit=3”"),
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
        message = "alice: pytest holds it; stop it all the same: snooze stop --force"
        self.mock.answers["StopInstance"] = Failure("Held", message)
        self.assertEqual(self.snooze("stop", code=REFUSED), f"snooze: {message}\n")

    def test_what_force_does_not_end_is_not_to_be_tried_by_force(self):
        self.mock.answers["StopInstance"] = Failure("Held", "bob: apt inhibits it at logind")
        text = self.snooze("stop", code=REFUSED)
        self.assertIn("See: snooze holds\n", text)
        self.assertNotIn("--force", text)

    def test_other_named_errors(self):
        self.mock.answers["CancelStop"] = Failure("TooLate", "The provider has been asked already.")
        self.snooze("cancel", code=REFUSED)
        self.mock.answers["HoldFor"] = Failure("LimitsExceeded", "You have 64 holds.")
        self.snooze("hold", "--for", "1h", code=REFUSED)
        self.mock.answers["SetConfiguration"] = Failure("InvalidConfiguration", "patch: /naptime_minutes: got -1")
        self.assertEqual(self.snooze("config", "set", "naptime_minutes", "-1", code=FAILED), "snooze: /naptime_minutes: got -1\n")
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

    def test_who_holds_it_on_is_named(self):
        holds = [(1, "alice: pytest", "a long run", "block", NOW, 0), (0, "backup", "", "inhibitor", NOW, 0)]
        self.mock.answers["ListHolds"] = v("(a(ussstt))", (holds,))
        self.mock.set(Holds=2)
        self.assertIn("\n  holds     alice: pytest: a long run; backup (snooze holds)\n", self.snooze("status"))
        holds = [(n, "user%d" % n, "b\033[2J", "block", NOW, 0) for n in range(1, 6)]
        self.mock.answers["ListHolds"] = v("(a(ussstt))", (holds,))
        self.mock.set(Holds=5)
        text = self.snooze("status")
        self.assertIn("; user3: b", text)
        self.assertIn("; 2 more (snooze holds)\n", text)
        self.assertNotIn("\033", text)
        self.mock.set(Holds=0)
        self.assertNotIn("holds ", self.snooze("status"))

    def test_dry_run_leads(self):
        self.mock.set(State="idle", DryRun=True, IdleSince=NOW - HOUR, NextStop=NOW + HOUR)
        lines = self.snooze("status").splitlines()
        self.assertTrue(lines[0].startswith("Dry run:"))
        self.assertIn("sudo snooze setup", lines[0])
        self.assertIn("this machine would stop at", lines[1])

    def test_warning_says_how_to_keep_it_on(self):
        self.mock.set(State="warning", Reason="idle since 22:06", IdleSince=NOW - HOUR, NextStop=now() + 5 * MINUTE)
        self.assertRegex(self.snooze("status"), r"^This machine stops at .* \(in [1-5] min\): idle since 22:06\. "
                                                r"Keep it on: snooze postpone 2h\n")

    def test_other_states(self):
        for state, start in (("paused", "Paused, and stays on: why. Go on: sudo snooze resume"),
                             ("stopping", "Stopping now: why."), ("stopped", "Stopped: why.")):
            self.mock.set(State=state, Reason="why.")
            self.assertTrue(self.snooze("status").startswith(start + "\n"))

    def test_a_pause_says_when_it_ends(self):
        self.mock.set(State="paused", Reason="paused", PausedUntil=now() + 2 * HOUR)
        self.assertRegex(self.snooze("status"), r"^Paused: nothing is decided until .*\d\d:\d\d \(in 2 h\)\. Go on: sudo snooze resume\n")
        self.mock.set(Reason="cpu 42 %")
        self.assertRegex(self.snooze("status"), r"^Paused until .*\d\d:\d\d \(in 2 h\), and stays on: cpu 42 %\. Go on: ")

    def test_greeting_refusal_and_no_provider(self):
        self.mock.set(Greeting="Stopped itself yesterday 22:41", Refusal="aws refused ec2:StopInstances", Provider="/")
        text = self.snooze("status")
        self.assertIn("Stopped itself yesterday 22:41", text)
        self.assertIn("refused   aws refused ec2:StopInstances", text)
        self.assertIn("provider  none", text)

    def test_why_no_provider_could(self):
        asking = "The provider aws is still being asked whether this machine is its own; snooze provider list"
        self.mock.set(Provider="/", ProviderProblem=asking, Refusal=asking)
        text = self.snooze("status")
        self.assertIn("provider  none: " + asking, text)
        self.assertEqual(text.count(asking), 1)
        missing = "local lacks the permission to power off; snooze provider check local"
        self.mock.set(Provider="/io/cloudsnooze/Snooze1/provider/local", ProviderProblem=missing, Refusal="")
        self.assertIn("            " + missing + "\n", self.snooze("status"))

    def test_json_has_every_property(self):
        status = self.json("status")
        self.assertEqual(sorted(status), ["dry_run", "greeting", "holds", "idle_since", "next_stop", "paused", "paused_until",
                                          "provider", "provider_problem", "reason", "refusal", "state", "version"])
        self.assertEqual(status["state"], "active")
        self.assertEqual(json.loads(self.snooze("--json", "status")), status)

    def test_it_is_the_verb_where_none_is_given(self):
        status = self.json("status")
        self.assertEqual(json.loads(self.snooze("--json")), status)
        for arguments in (["--watch", "--json"], ["--json", "--watch"], ["-w", "--json"]):
            process = self.start(*arguments)
            self.assertEqual(json.loads(process.stdout.readline())["state"], "active")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(30), OK)
        self.assertIn("unknown option --frobnicate", self.snooze("--json", "--frobnicate", code=USAGE))

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

    def test_subjects_stand_below_their_plugin(self):
        subjects = [{"name": v("s", "pts/3"), "verdict": v("s", "busy"), "reason": v("s", "make works")}]
        self.mock.answers["Explain"] = v("(ssa(sssa{sv}))", ("active", "sessions: make works", [
            ("sessions/pts/3", "busy", "make works", {"user": v("s", "alice")}),
            ("sessions", "busy", "make works", {"policy": v("s", "required"), "votes": v("aa{sv}", subjects)}),
            ("redis", "idle", "no clients", {"policy": v("s", "required")}),
            ("sessions/pts/1", "idle", "a shell", {"user": v("s", "bob")})]))
        sources = [line.split("\t")[0] for line in self.snooze("why").splitlines()[1:]]
        self.assertEqual(sources, ["sessions", "sessions/pts/3", "sessions/pts/1", "redis"])
        text = self.snooze("why", "-v").split("\n\n")[1]
        self.assertEqual(text, "sessions\tpolicy required\nsessions/pts/3\tuser alice\nsessions/pts/1\tuser bob\n"
                               "redis\tpolicy required\n")
        text, _ = self.on_terminal("why", NO_COLOR="1")
        self.assertRegex(text, r"\nsessions  busy .*\n  pts/3   busy .*\n  pts/1   idle .*\nredis ")

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

    def test_one_subject(self):
        self.mock.answers["CheckSubject"] = v("(ssa{sv})", ("busy", "typed 3 s ago", {"idle_seconds": v("x", 3)}))
        self.assertEqual(self.snooze("check", "sessions/tty1", code=1), "Busy: typed 3 s ago\n  idle_seconds 3\n")
        self.assertEqual(self.json("check", "sessions/tty1", code=1)["source"], "sessions/tty1")
        self.assertEqual(self.mock.called("CheckSubject"), [("tty1",)] * 2)
        self.assertEqual(self.mock.called("CheckNow") + self.mock.called("CheckIdle"), [])
        self.mock.answers["CheckSubject"] = Failure("InvalidArgument", "sessions has no subject tty1.")
        self.assertIn("there is no check “sessions/tty1”; there are: cpu, memory", self.snooze("check", "sessions/tty1", code=UNKNOWN))
        self.mock.answers["CheckSubject"] = Failure("PluginFailed", "sessions ended")
        self.assertIn("sessions ended", self.snooze("check", "sessions/tty1", code=UNKNOWN))

    def test_a_failure_is_no_verdict(self):
        self.assertIn("there is no check “nothing”; there are: cpu, memory", self.snooze("check", "nothing", code=UNKNOWN))
        self.mock.answers["CheckNow"] = Failure("PluginFailed", "rubbish")
        self.snooze("check", code=UNKNOWN)


class Plugins(CommandLine):
    def found(self, *ids):
        """The daemon finds these, whatever it is asked."""
        self.mock.answers["SearchPlugins"] = v("(aa{sv})", ([{"id": v("s", i)} for i in ids],))

    def test_a_list_is_narrowed_by_what_the_daemon_finds(self):
        self.found("gpu-monitor", "sessions")
        options = ("--capability", "IdleCheck", "--category", "system", "--author", "A", "--tag", "one")
        rows = [line.split("\t")[0] for line in self.snooze("plugin", "list", *options).splitlines()]
        self.assertEqual(rows, ["gpu-monitor", "sessions"])
        wanted = {"capability": "IdleCheck", "category": "system", "author": "A", "tag": "one"}
        self.assertEqual(self.mock.called("SearchPlugins"), [("", wanted)])
        self.assertEqual([plugin["id"] for plugin in self.json("plugin", "list", "--tag", "one")], ["gpu-monitor", "sessions"])
        self.found()
        self.assertEqual(self.snooze("plugin", "list", "--tag", "none"), "")

    def test_without_a_filter_nobody_searches(self):
        self.assertEqual(len(self.snooze("plugin", "list").splitlines()), 3)
        self.assertEqual(self.mock.called("SearchPlugins"), [])

    def test_permissions_are_said_in_words(self):
        text = self.snooze("plugin", "info", "sessions")
        self.assertRegex(text, r"may see the processes of others [^\n]*\(processes\): approved\n")
        self.assertNotIn("not started", text)
        self.mock.set_plugin("sessions", Permissions=[("processes", True), ("read:/srv", False), ("future:x\x1b[2J", False)])
        text = self.snooze("plugin", "info", "sessions")
        self.assertRegex(text, r"may read /srv [^\n]*\(read:/srv\): not approved\n")
        self.assertRegex(text, r"future:x[^\n\x1b]*: not approved\n")
        self.assertNotIn("not started", text)
        self.mock.set_plugin("sessions", State="discovered")
        self.mock.answers["GetResources"] = v("(a{sv})", ({"enforced": v("b", True)},))
        self.assertIn("sudo snooze plugin permissions sessions --all", self.snooze("plugin", "info", "sessions"))


class PluginUpdate(CommandLine):
    def upgrade(self, version):
        self.mock.objects[PATH + "/plugin/sessions"][1]["Version"] = v("s", version or "0.3.0")
        return v("()", ())

    def test_it_says_from_where_to_where(self):
        self.mock.answers["Upgrade"] = self.upgrade
        self.assertEqual(self.snooze("plugin", "update", "sessions", "0.2.0"), "0.1.0 → 0.2.0\n")
        self.assertEqual(self.json("plugin", "update", "sessions"), {"from": "0.2.0", "to": "0.3.0"})
        self.assertEqual(self.snooze("plugin", "update", "sessions", "0.3.0"), "It runs 0.3.0 already.\n")
        self.assertEqual(self.mock.called("Upgrade"), [("0.2.0",), ("",), ("0.3.0",)])

    def test_a_refusal_is_told(self):
        self.mock.answers["Upgrade"] = Failure("PluginFailed", "version 2 could not replace version 1, which runs on")
        self.assertIn("which runs on", self.snooze("plugin", "update", "sessions", code=FAILED))


class Completion(CommandLine):
    def complete(self, *words):
        script = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _snooze; printf "%s\\n" "${COMPREPLY[@]}"'
        result = subprocess.run(["bash", "-c", script, COMPLETION, SNOOZE, *words], env=self.environment, capture_output=True,
                                text=True, timeout=60)
        self.assertEqual(result.stderr, "")
        return result.stdout.split()

    def test_verbs_and_options(self):
        self.assertEqual(self.complete("st"), ["status", "stop", "start"])
        self.assertEqual(self.complete("status", "--w"), ["--watch"])
        self.assertEqual(self.complete("config", "re"), ["reload"])
        self.assertEqual(self.complete("stop", "--action", "hi"), ["hibernate"])
        self.assertEqual(self.complete("hold", "--w"), ["--why"])
        self.assertEqual(self.complete("-H", "far", "st"), ["status", "stop", "start"])
        self.assertEqual(self.complete("status", "-H", "far", "--w"), ["--watch"])

    def test_every_verb_is_there_and_has_its_manual(self):
        with open(MANUAL) as f:
            manual = f.read()
        for group in ((), ("config",), ("event",), ("plugin",), ("provider",)):
            listed = re.findall(r"^  ([a-z]+) ", self.snooze(*group, "--help").split("Verbs:")[1], re.M)
            self.assertEqual(set(listed) - set(self.complete(*group, "")), set())
            for verb in listed:
                if verb not in ("config", "event", "plugin", "provider"):
                    self.assertIn("**%s**" % " ".join([*group, verb]), manual)
        documented = re.findall(r"^\*\*(?:config|event|plugin|provider) ([a-z]+)\*\*", manual, re.M)
        for verb in documented:
            self.assertIn(verb, sum((self.complete(group, "") for group in ("config", "event", "plugin", "provider")), []))

    def test_every_option_is_there_and_has_its_manual(self):
        with open(MANUAL) as f:
            manual = f.read()
        for group in ((), ("config",), ("event",), ("plugin",), ("provider",)):
            for verb in re.findall(r"^  ([a-z]+) ", self.snooze(*group, "--help").split("Verbs:")[1], re.M):
                words = [*group, verb]
                # The two run programs of their own, which may not be there.
                if words in (["config"], ["event"], ["plugin"], ["provider"], ["simulate"], ["plugin", "test"]):
                    continue
                options = re.findall(r"^  (?:(-\w), )?(--[a-z-]+)", self.snooze(*words, "--help"), re.M)
                term = "".join(re.findall(r"^\*\*%s\*\*[^\n]*\n" % " ".join(words), manual, re.M)) or manual
                complete = self.complete(*words, "--")
                for short, long in options:
                    with self.subTest(verb=words, option=long):
                        self.assertIn(long, complete)
                        # What every verb knows is told once.
                        if long in ("--help", "--json", "--host"):
                            self.assertIn(long, manual)
                            continue
                        self.assertIn("**%s**" % long, term)
                        self.assertIn("**%s**" % (short or long), term)
                # The -- of `hold -- COMMAND` is no option.
                self.assertEqual(set(complete) - {"--"} - {long for _, long in options}, set(), words)

    def test_names_come_from_the_daemon(self):
        self.assertEqual(self.complete("plugin", "enable", "g"), ["gpu-monitor"])
        self.assertEqual(self.complete("setup", "--provider", ""), ["local"])
        self.assertEqual(self.complete("config", "set", "nap"), ["naptime_minutes"])
        self.assertIn("memory", self.complete("check", "m"))
        self.mock.set_plugin("sessions", ConfigSchema='{"limit":{"type":"integer"}}')
        self.assertEqual(self.complete("plugin", "configure", "sess"), ["sessions"])
        self.assertEqual(self.complete("plugin", "configure", "sessions", "l"), ["limit="])


if __name__ == "__main__":
    plugin_bus.main()
