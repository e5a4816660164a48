#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""snooze: configuration, plugins, providers, and the way out of the dry run."""

import json
import os
import time

import plugin_bus
from command_line import FAILED, HOUR, MINUTE, NOW, OK, REFUSED, UNREACHABLE, USAGE, CommandLine
from mock_snoozed import Failure, v


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

    def test_a_type_of_events_is_no_path(self):
        self.mock.answers["SetConfiguration"] = Failure("InvalidConfiguration", "/events/cloud/spot: unknown key, expected mode")
        for key, pointer in (("events.cloud.spot.interrupt.mode", "/events/cloud.spot.interrupt/mode"),
                             ("plugins.plugin_configs.drain.events.custom.*.priority",
                              "/plugins/plugin_configs/drain/events/custom.*/priority")):
            self.assertIn("the key is '%s'\n" % pointer, self.snooze("config", "set", key, "1", code=FAILED))
            self.assertNotIn("the key is", self.snooze("config", "set", pointer, "1", code=FAILED))
        for key in ("events.custom.mode", "naptime_minutes", "a.b.c.d"):
            self.assertNotIn("the key is", self.snooze("config", "set", key, "1", code=FAILED))

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

    def test_what_is_in_force_may_name_nothing(self):
        self.mock.answers["Diagnose"] = v("(aa{sv})", ([
            {"check": v("s", "configuration"), "status": v("s", "warning"), "message": v("s", 'snooze.json: /provider: no "clod"'),
             "advice": v("s", "")},
            {"check": v("s", "gpu"), "status": v("s", "blind"), "message": v("s", "x"), "advice": v("s", "")}],))
        for arguments, stdout in ((["reload"], "Reloaded.\n"), (["set", "provider", "clod"], "provider has its default now.\n")):
            result = self.run_snooze("config", *arguments)
            self.assertEqual(result.returncode, OK)
            self.assertEqual(result.stderr, 'snooze: warning: snooze.json: /provider: no "clod"\n')
        self.assertEqual(self.json("config", "reload"), {"ok": True})

    def test_check_asks_the_parser_of_the_daemon(self):
        self.program("snoozed", 'test "$1" = --check-configuration || exit 9\n'
                                'test -z "$2" || { echo "$2: /naptime: unknown key" >&2; exit 1; }\n')
        self.assertEqual(self.snooze("config", "check"), "Fine, also beside the last hour of this machine.\n")
        bad = self.file("bad.json", "{}")
        self.assertEqual(self.snooze("config", "check", bad, code=FAILED), bad + ": /naptime: unknown key\n")
        self.assertFalse(self.json("config", "check", bad, code=FAILED)["valid"])

    def test_check_knows_the_places_of_another_daemon(self):
        self.program("snoozed", "shift; printf '%s ' \"$@\" >&2\n")
        self.environment.update(SNOOZE_CONFIG_DIRECTORY="/x/etc", SNOOZE_STATE_DIRECTORY="/x/state",
                                SNOOZE_PLUGIN_DIRECTORY="/x/a:/x/b")
        places = "--config-directory=/x/etc --state-directory=/x/state --plugin-directory=/x/a --plugin-directory=/x/b\n"
        self.assertEqual(self.run_snooze("config", "check").stderr, places)
        file = self.file("good.json", "{}")
        self.assertEqual(self.run_snooze("config", "check", file).stderr, file + " " + places)

    def test_check_passes_the_warnings_on(self):
        self.program("snoozed", "echo 'warning: /provider: no clod' >&2\n")
        result = self.run_snooze("config", "check")
        self.assertEqual((result.returncode, result.stdout, result.stderr),
                         (OK, "Valid, apart from that.\n", "warning: /provider: no clod\n"))

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

    def test_a_capability_that_no_plugin_can_have_is_an_error(self):
        for verb in ("list", "search"):
            process = self.run_snooze("plugin", verb, "--capability", "Nonsense")
            self.assertEqual(process.returncode, USAGE)
            self.assertIn("“Nonsense” is none of IdleCheck, EventHandler, EventSource, CloudProvider", process.stderr)
        self.assertEqual(self.mock.called("SearchPlugins"), [])

    def test_info(self):
        text = self.snooze("plugin", "info", "gpu-monitor")
        self.assertTrue(text.startswith("Gpu-Monitor (gpu-monitor): discovered, disabled\n"), text)
        self.assertIn("Contracts\tIdleCheck\n", text)
        self.assertIn("Statistics\t12 calls\n", text)
        self.assertEqual(self.json("plugin", "info", "sessions")["resources"], {"enforced": False})
        self.assertIn("See: snooze plugin list", self.snooze("plugin", "info", "nothing", code=FAILED))

    def test_missing_approvals_are_not_blamed_for_another_failure(self):
        self.mock.answers["GetResources"] = v("(a{sv})", ({"enforced": v("b", True)},))
        advice = "It is not started until all of this is approved: sudo snooze plugin permissions gpu-monitor --all\n"
        self.mock.set_plugin("gpu-monitor", Permissions=[("gpu", False)], State="discovered", LastError="")
        self.assertIn(advice, self.snooze("plugin", "info", "gpu-monitor"))
        asks = "asks for what nobody has approved: gpu; sudo snooze plugin permissions gpu-monitor"
        self.mock.set_plugin("gpu-monitor", State="failed", LastError=asks)
        self.assertIn(advice, self.snooze("plugin", "info", "gpu-monitor"))
        self.mock.set_plugin("gpu-monitor", State="quarantined", LastError="there is no $RUNTIME_DIRECTORY for its socket")
        text = self.snooze("plugin", "info", "gpu-monitor")
        self.assertIn("there is no $RUNTIME_DIRECTORY", text)
        self.assertNotIn(advice, text)

    def test_missing_approvals_of_one_that_runs(self):
        """Of one that they were taken back from, or that nothing keeps from running without."""
        self.mock.set_plugin("gpu-monitor", Permissions=[("gpu", False)], State="running", LastError="")
        self.mock.answers["GetResources"] = v("(a{sv})", ({"enforced": v("b", True)},))
        text = self.snooze("plugin", "info", "gpu-monitor")
        self.assertIn("It is not started again until all of this is approved: sudo snooze plugin permissions gpu-monitor --all\n", text)
        self.mock.answers["GetResources"] = v("(a{sv})", ({"enforced": v("b", False)},))
        text = self.snooze("plugin", "info", "gpu-monitor")
        self.assertIn("Not all of this is approved, and nothing holds it to that: without systemd it may do what its user may.\n", text)
        self.assertNotIn("not started", text)
        self.mock.set_plugin("gpu-monitor", State="discovered")
        text = self.snooze("plugin", "info", "gpu-monitor")
        self.assertIn("where there is no snooze-helper either it is started all the same.\n", text)
        self.assertNotIn("not started", text)
        # There is a helper, which says no.
        self.mock.set_plugin("gpu-monitor", State="failed", LastError="asks for what nobody has approved: gpu")
        self.assertIn("It is not started until all of this is approved", self.snooze("plugin", "info", "gpu-monitor"))
        self.mock.set_plugin("gpu-monitor", Permissions=[("gpu", True)], State="running", LastError="")
        self.assertNotIn("approved", self.snooze("plugin", "info", "gpu-monitor").splitlines()[-1])

    def test_info_has_units_for_people(self):
        self.mock.answers["GetStatistics"] = v("(a{sv})", ({
            "calls": v("t", 12), "errors": v("t", 1), "timeouts": v("t", 0), "restarts": v("t", 0), "p50_usec": v("t", 640),
            "p99_usec": v("t", 12400)},))
        self.mock.answers["GetResources"] = v("(a{sv})", ({
            "memory": v("a{sv}", {"used": v("t", 3 << 20), "limit": v("t", 64 << 20)}),
            "cpu": v("a{sv}", {"used": v("t", 1300000), "limit": v("t", 200000)}),
            "tasks": v("a{sv}", {"used": v("t", 2), "limit": v("t", 2**64 - 1)}), "enforced": v("b", False)},))
        text = self.snooze("plugin", "info", "sessions").replace("\xa0", " ")
        self.assertIn("Statistics\t12 calls, 1 errors, 0 timeouts, 0 restarts, half of them within 640 µs, 99 % within 12.4 ms\n", text)
        self.assertIn("Resources\tmemory 3.0 MiB, at most 64.0 MiB, cpu 1.3 s, at most 20 % of a CPU, tasks 2 "
                      "(limits are not enforced here)\n", text)
        self.assertEqual(self.json("plugin", "info", "sessions")["statistics"]["p50_usec"], 640)

    def test_configure(self):
        self.mock.set_plugin("sessions", ConfigSchema='{"limit":{"type":"integer","description":"So many"}}')
        self.assertEqual(self.snooze("plugin", "configure", "sessions"), "limit\t3\tdefault\tinteger\tSo many\n")
        self.assertEqual(self.snooze("plugin", "configure", "sessions", "limit=-3"), "limit is 3 now, its default.\n")
        self.assertEqual(self.mock.called("Configure"), [({"limit": -3},)])
        self.mock.answers["Plugin.GetConfiguration"] = v("(a{sv})", ({"limit": v("(vs)", (v("u", 7), "environment"))},))
        self.assertEqual(self.snooze("plugin", "configure", "sessions", "limit=4"),
                         "limit stays 7: /etc/cloudsnooze/plugins/sessions.env says so.\n")
        self.assertEqual(self.json("plugin", "configure", "sessions", "limit=4")["limit"]["value"], 7)
        self.mock.answers["Configure"] = Failure("InvalidArgument", "sessions/limit: got -1")
        self.assertIn("limit: got -1", self.snooze("plugin", "configure", "sessions", "limit=-1", code=FAILED))

    def test_a_setting_that_is_required_and_not_there_is_shown_as_missing(self):
        self.mock.set_plugin("sessions", ConfigSchema='{"who":{"type":"string","description":"Whom","required":true},'
                                                      '"limit":{"type":"integer","description":"So many"}}')
        self.assertEqual(self.snooze("plugin", "configure", "sessions"),
                         "who\tmissing\t-\tstring, required\tWhom\nlimit\t3\tdefault\tinteger\tSo many\n")

    def test_what_has_the_last_word_is_said_and_nothing_is_set(self):
        self.mock.set_plugin("local", ConfigSchema='{"zone":{"type":"string"},"limit":{"type":"integer"}}')
        self.mock.answers["Manager.GetConfiguration"] = v("(s)", ('{"providers":{"local":{"zone":"a"},"aws":{"limit":3}}}',))
        text = self.snooze("plugin", "configure", "local", "limit=4", "zone=b", code=FAILED)
        self.assertIn("providers.local.zone has the last word; sudo snooze config set providers.local.zone VALUE", text)
        self.assertEqual(self.mock.called("Configure"), [])
        self.snooze("plugin", "configure", "local", "limit=4")
        self.assertEqual(self.mock.called("Configure"), [({"limit": 4},)])

    def test_an_empty_standard_input_is_no_secret(self):
        self.mock.set_plugin("sessions", ConfigSchema='{"token":{"type":"string","secret":true}}')
        for given in ("", "\n", "\nhunter2\n"):
            result = self.run_snooze("plugin", "configure", "sessions", "token=-", input=given)
            self.assertEqual(result.returncode, FAILED)
            self.assertIn("nothing came from standard input", result.stderr)
        self.assertEqual(self.mock.called("Configure"), [])
        self.assertEqual(self.run_snooze("plugin", "configure", "sessions", "token=-", input="hunter2\n").returncode, OK)
        self.assertEqual(self.mock.called("Configure"), [({"token": "hunter2"},)])

    def test_no_helper(self):
        text = self.snooze("plugin", "permissions", "sessions", code=UNREACHABLE)
        self.assertIn("snooze-helper cannot be reached", text)
        self.assertIn("journalctl -u snooze-helper", text)
        self.assertNotIn("snoozed", text)

    def test_enable_and_disable(self):
        self.assertEqual(self.snooze("plugin", "enable", "gpu-monitor"), "Enabled.\n")
        self.assertEqual(self.json("plugin", "disable", "gpu-monitor"), {"ok": True})
        self.assertEqual((len(self.mock.called("Enable")), len(self.mock.called("Disable"))), (1, 1))
        self.mock.set_plugin("gpu-monitor", State="failed", LastError="has the runtime http, which this build does not serve")
        result = self.run_snooze("plugin", "enable", "gpu-monitor")
        self.assertEqual((result.returncode, result.stdout), (OK, "Enabled.\n"))
        self.assertEqual(result.stderr, "snooze: warning: it is not started: has the runtime http, which this build does not serve\n")

    def test_restart(self):
        self.assertEqual(self.snooze("plugin", "restart", "sessions"), "Restarted.\n")
        self.assertEqual(len(self.mock.called("Restart")), 1)
        self.mock.answers["Restart"] = Failure("PluginFailed", "sessions cannot be started: no such file")
        self.assertIn("no such file", self.snooze("plugin", "restart", "sessions", code=FAILED))


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

    def test_one_that_no_stop_needs_is_told_and_no_more(self):
        self.mock.answers["CheckPermissions"] = v("(a(sbs))", ([("ec2:StopInstances", True, "stops it"),
                                                                ("autoscaling:X (optional)", False, "it may not")],))
        text = self.snooze("provider", "check")
        self.assertIn("All that a stop needs is permitted.", text)
        self.assertIn("autoscaling:X (optional)\tno\tit may not", text)

    def test_none_active(self):
        self.mock.set(Provider="/")
        self.assertIn("snooze setup --provider", self.snooze("provider", "info", code=REFUSED))


class Doctor(CommandLine):
    def test_what_is_blind_comes_first(self):
        lines = self.snooze("doctor").splitlines()
        self.assertEqual(lines[0], "0 wrong, 1 blind, 0 to look at; 1 fine.")
        self.assertEqual(lines[1], "blind\tgpu\tnothing measures it\tsnooze plugin enable gpu-monitor")
        self.assertEqual(self.json("doctor")[0]["check"], "cpu")

    def test_it_is_broken_at_the_width_of_the_terminal(self):
        message = "the disk of this machine hides behind a controller that tells nothing of what is read and written"
        advice = "Containers may hide devices; if this machine has them, report it with the output of snooze doctor --json."
        self.mock.answers["Diagnose"] = v("(aa{sv})", ([{"check": v("s", "disk"), "status": v("s", "blind"),
                                                         "message": v("s", message), "advice": v("s", advice)}],))
        text, _ = self.on_terminal("doctor", COLUMNS="72", NO_COLOR="1")
        lines = text.splitlines()
        self.assertLessEqual(max(map(len, lines)), 72, text)
        self.assertIn(message, " ".join(line.strip() for line in lines))
        self.assertIn("→ " + advice, " ".join(line.strip() for line in lines))
        column = lines[2].index("the disk")
        self.assertEqual(len(lines[3]) - len(lines[3].lstrip()), column)
        text, _ = self.on_terminal("doctor", COLUMNS="20", NO_COLOR="1")
        self.assertIn(message, text)

    def test_something_wrong_is_exit_1(self):
        self.mock.answers["Diagnose"] = v("(aa{sv})", ([{"check": v("s", "store"), "status": v("s", "error"),
                                                         "message": v("s", "disk full"), "advice": v("s", "")}],))
        self.assertIn("1 wrong", self.snooze("doctor", code=FAILED))


class Setup(CommandLine):
    def setUp(self):
        super().setUp()
        self.mock.set(DryRun=True, State="idle", IdleSince=NOW - MINUTE, NextStop=NOW + HOUR)

    def test_shows_everything_and_arms_only_when_told(self):
        # Not that of the import, since when minutes may have passed.
        now = int(time.time() * 1e6)
        self.mock.answers["GetHistory"] = v("(aa{sv})", ([
            {"time": v("t", now - HOUR), "kind": v("s", "stop"), "outcome": v("s", "rehearsed"),
             "idle_since": v("t", now - 2 * HOUR)},
            {"time": v("t", now - HOUR), "kind": v("s", "stop"), "outcome": v("s", "rehearsed"), "idle_since": v("t", 0)},
        ],))
        text = self.snooze("setup", code=FAILED)
        for part in ("local: this machine (logind); a stop saves power", "power-off\tyes", "blind\tgpu",
                     "--yes"):
            self.assertIn(part, text)
        self.assertRegex(text, r"In the 1 h that are on record it would have stopped this machine at (\S+ )?\d\d:\d\d\.\n")
        self.assertEqual(self.mock.called("SetConfiguration"), [])
        self.assertIn("Armed. ", self.snooze("setup", "--yes"))
        self.assertEqual(self.mock.called("SetConfiguration"), [('{"dry_run":false}',)])

    def test_it_says_how_far_it_looked_back(self):
        def history(*ages):
            now = int(time.time() * 1e6)
            rows = [{"time": v("t", now - age), "kind": v("s", "state"), "state": v("s", "idle")} for age in ages]
            self.mock.answers["GetHistory"] = v("(aa{sv})", (rows,))
            return self.snooze("setup", code=FAILED)

        self.assertIn("Nothing is on record yet", history())
        self.assertRegex(history(MINUTE, 3 * MINUTE), r"In the [34] min that are on record it would not have stopped this machine once\.\n")
        self.assertIn("In the last week it would not have stopped this machine once.\n", history(MINUTE, 7 * 24 * HOUR - MINUTE))
        self.assertGreater(self.json("setup", code=FAILED)["looked_from"], NOW - 8 * 24 * HOUR)

    def test_a_person_is_asked(self):
        text, status = self.on_terminal("setup", answer="n\n", until="[y/N]")
        self.assertEqual((status, self.mock.called("SetConfiguration")), (FAILED, []))
        text, status = self.on_terminal("setup", answer="y\n", until="[y/N]")
        self.assertEqual((status, len(self.mock.called("SetConfiguration"))), (OK, 1))

    def test_refused_says_how_to_arm_it(self):
        self.mock.answers["SetConfiguration"] = Failure("org.freedesktop.DBus.Error.AccessDenied",
                                                        "Not authorized (x): no; or: sudo snooze config set KEY VALUE")
        text = self.snooze("setup", "--yes", code=REFUSED)
        self.assertTrue(text.endswith("snooze: Not authorized (x): no\nTo arm it: sudo snooze setup\n"), text)
        text = self.snooze("setup", "--yes", "--provider", "local", code=REFUSED)
        self.assertTrue(text.endswith("To arm it: sudo snooze setup --provider local\n"), text)

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

    def test_one_that_is_not_enabled_arms_nothing(self):
        self.mock.set_plugin("local", Enabled=False)
        for more in ([], ["--provider", "local"]):
            text = self.snooze("setup", "--yes", *more, code=FAILED)
            self.assertIn("the plugin local, which is to stop this machine, is not enabled; sudo snooze plugin enable local", text)
            self.assertNotIn("Armed", text)
        self.assertEqual(self.mock.called("SetConfiguration"), [])

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


class OtherMachines(CommandLine):
    def test_start_asks_the_active_provider(self):
        self.assertIn("i-0abc starts", self.snooze("start", "i-0abc"))
        self.assertEqual(self.mock.called("StartInstance"), [("i-0abc", {})])

    def test_start_needs_a_name(self):
        self.snooze("start", code=USAGE)

    def test_a_provider_that_starts_nothing_is_said_so_in_plain_words(self):
        self.mock.answers["StartInstance"] = Failure("NotSupported", "local does not support StartInstance")
        text = self.snooze("start", "i-0abc", code=FAILED)
        self.assertNotIn("StartInstance", text)
        self.assertIn("The provider local starts no other machines", text)
        self.assertIn("snooze provider list", text)

    def test_what_the_cloud_says_is_told(self):
        self.mock.answers["StartInstance"] = Failure("Refused", "ec2:StartInstances on i-0abc: UnauthorizedOperation")
        self.assertIn("UnauthorizedOperation", self.snooze("start", "--provider", "local", "i-0abc", code=REFUSED))


class Policy(CommandLine):
    def policy(self, text, name="policy.json"):
        folder = os.path.join(self.bus.directory.name, "plugins", "local")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, name), "w") as f:
            f.write(text)
        self.environment["SNOOZE_PLUGIN_DIRECTORY"] = os.path.dirname(folder)

    def settings(self, **values):
        self.mock.answers["Plugin.GetConfiguration"] = v("(a{sv})", ({name: v("(vs)", value) for name, value in values.items()},))

    def test_it_names_this_machine(self):
        self.policy('{"Resource": "instance/@INSTANCE_ID@"}\n')
        self.mock.set_provider("local", InstanceId="i-0abc")
        self.assertEqual(self.snooze("provider", "policy"), '{"Resource": "instance/i-0abc"}\n')
        self.assertEqual(self.json("provider", "policy", "local"),
                         {"provider": "local", "instance": "i-0abc", "policy": '{"Resource": "instance/i-0abc"}\n'})

    def test_it_names_what_the_machine_lies_in(self):
        self.policy("@INSTANCE_GROUP@ @INSTANCE_ID@\n")
        self.mock.set_provider("local", InstanceId="/subscriptions/s/resourceGroups/g/providers/P/virtualMachines/n")
        self.assertEqual(self.snooze("provider", "policy"),
                         "/subscriptions/s/resourceGroups/g /subscriptions/s/resourceGroups/g/providers/P/virtualMachines/n\n")

    def test_it_names_what_the_machine_is(self):
        self.policy("P/@INSTANCE_TYPE:machines@/read P/@INSTANCE_TYPE:machines@/stop\n")
        group = "/subscriptions/s/resourceGroups/g/providers/P"
        for instance, kind in (("i-0abc", "machines"), ("", "machines"), (f"{group}/virtualMachines/n", "virtualMachines"),
                               (f"{group}/sets/s/virtualMachines/3", "sets/virtualMachines"), (group, "machines"), (f"{group}/x", "machines")):
            with self.subTest(instance=instance):
                self.mock.set_provider("local", InstanceId=instance)
                self.assertEqual(self.snooze("provider", "policy"), f"P/{kind}/read P/{kind}/stop\n")

    def test_nothing_where_it_is_not_known(self):
        """What stood there instead would give rights over every machine."""
        for text, instance in (("instance/@INSTANCE_ID@\n", ""), ("@INSTANCE_GROUP@\n", ""), ("@INSTANCE_GROUP@ @INSTANCE_ID@\n", ""),
                               ("@INSTANCE_GROUP@ @INSTANCE_ID@\n", "i-0abc"), ("@INSTANCE_GROUP@\n", "/providers/P/virtualMachines/n")):
            self.policy(text)
            self.mock.set_provider("local", InstanceId=instance)
            for command in (["provider", "policy"], ["provider", "policy", "--json"]):
                with self.subTest(text=text, instance=instance, command=command):
                    printed = self.run_snooze(*command)
                    self.assertEqual((printed.returncode, printed.stdout), (FAILED, ""))
                    self.assertIn("does not know which machine this is (snooze provider check local says why)", printed.stderr)
                    self.assertIn(f"put its name for @INSTANCE_{'GROUP' if instance or 'ID' not in text else 'ID'}@ in ", printed.stderr)
                    self.assertEqual(printed.stderr.count("\n"), 1, printed.stderr)

    def test_what_names_no_machine_needs_none(self):
        self.policy("@INSTANCE_TYPE:machines@/stop\n")
        self.mock.set_provider("local", InstanceId="")
        self.assertEqual(self.snooze("provider", "policy"), "machines/stop\n")

    def test_the_name_of_a_machine_grants_nothing(self):
        """It is the provider's word, and is pasted into what gives rights."""
        self.policy('{"Resource": "instance/@INSTANCE_ID@"}\n')
        for name in ('i-1"},{"Effect":"Allow","Action":"*","Resource":"*', "*", "i-?", "i-1\\", "${aws:username}", "i-1\nx", "i-1 x", "i-ä"):
            self.mock.set_provider("local", InstanceId=name)
            for command in (["provider", "policy"], ["provider", "policy", "--json"]):
                printed = self.run_snooze(*command)
                self.assertEqual((printed.returncode, printed.stdout), (FAILED, ""), name)
                self.assertIn("so it is named in no policy", printed.stderr)
                self.assertEqual(printed.stderr.count("\n"), 1, printed.stderr)
        self.mock.set_provider("local", InstanceId="Aa0._:/(b)-")
        self.assertEqual(json.loads(self.snooze("provider", "policy")), {"Resource": "instance/Aa0._:/(b)-"})

    def test_a_setting_that_takes_more_rights_has_its_own(self):
        self.policy("@INSTANCE_ID@\n")
        self.policy('{"Resource": ["@INSTANCE_ID@", "group/@group@", "@other@"]}\n', "policy+group.json")
        self.mock.set_provider("local", InstanceId="i-0abc")
        self.settings(hook=(v("s", "h"), "configuration"), group=(v("s", "any"), "default"))
        self.assertEqual(self.snooze("provider", "policy"), "i-0abc\n")
        for origin in ("configuration", "environment"):
            self.settings(group=(v("s", 'a "b"\\c'), origin), count=(v("x", 3), "configuration"))
            self.assertEqual(self.snooze("provider", "policy"), '{"Resource": ["i-0abc", "group/a \\"b\\"\\\\c", "@other@"]}\n')

    def test_settings_that_are_not_known_are_said_to_be_missing(self):
        self.policy("@INSTANCE_ID@\n")
        self.mock.set_provider("local", InstanceId="i-0abc")
        self.mock.answers["Plugin.GetConfiguration"] = Failure("InvalidConfiguration", "url: is required and has no value")
        result = self.run_snooze("provider", "policy")
        self.assertEqual((result.returncode, result.stdout), (OK, "i-0abc\n"))
        self.assertIn("warning: rights that settings of local take besides are not in this policy: url: is required", result.stderr)

    def test_a_provider_without_rights_has_none(self):
        self.assertIn("there is no policy", self.snooze("provider", "policy", "local", code=FAILED))


if __name__ == "__main__":
    plugin_bus.main()
