# SPDX-License-Identifier: Apache-2.0
"""The life of a plugin under systemd: started, killed, hung, failing again and again, left behind by the daemon, there again after a boot."""

import json
import os
import shutil
import time

import registry_cases
import template_cases
from helper_cases import CONFIGURATION, attempt, install, plugin_call, refused
from machine import Machine, wait_until

LIVELY, STILLBORN, PLAIN, TRIED, LASTING, NEEDED, NEEDY = "lively", "stillborn", "plain", "tried", "lasting", "needed", "needy"
UNIT = f"snooze-plugin@{LIVELY}.service"
STILLBORN_UNIT = f"snooze-plugin@{STILLBORN}.service"
DAWDLE = f"/run/systemd/system/{STILLBORN_UNIT}.d/dawdle.conf"
MAX_RESTARTS = 2
# In which a daemon is killed and the next one there; they pass three times.
START_SECONDS = 6
# How long dbus-daemon lets the caller of an activation that fails wait.
BUS_SECONDS = 25
# A plugin waits 60 s for a daemon that has left.
LEAVES_SECONDS = 120
FAILING = "#!/bin/sh\nexit 1\n"


def pid_of(machine):
    return machine.unit(UNIT, "MainPID")


def wait_state(machine, plugin, *states, **more):
    return wait_until(lambda: machine.plugin_property(plugin, "State") in states and machine.plugin_property(plugin, "State"),
                      f"{plugin} is {' or '.join(states)}", **more)


def wait_for_another(machine, pid):
    wait_until(lambda: pid_of(machine) not in ("0", "", pid), "another process serves")
    wait_state(machine, LIVELY, "running")
    assert attempt(machine, LIVELY, "read", "/etc/os-release") == "OK"


def it_starts(machine):
    """an enabled plugin is started by its unit with the first question"""
    install(machine, LIVELY, [], timeouts={"provider": 3, "check": 3})
    plugin_call(machine, LIVELY, "Enable")
    assert attempt(machine, LIVELY, "read", "/etc/os-release") == "OK"
    assert machine.unit(UNIT, "ActiveState") == "active"
    assert machine.plugin_property(LIVELY, "Pid") == int(pid_of(machine))
    assert machine.plugin_property(LIVELY, "Unit") == UNIT


def what_it_needs_is_started_first(machine):
    """Load of one that needs another has systemd start the other's unit first"""
    for plugin, needs in ((NEEDED, []), (NEEDY, [{"name": NEEDED, "version": ">=1 <2"}])):
        install(machine, plugin, [], dependencies=needs)
        plugin_call(machine, plugin, "Enable")
    units = [f"snooze-plugin@{plugin}.service" for plugin in (NEEDED, NEEDY)]
    assert [machine.unit(unit, "ActiveState") for unit in units] == ["inactive"] * 2
    plugin_call(machine, NEEDY, "Load")
    assert [machine.plugin_property(plugin, "State") for plugin in (NEEDED, NEEDY)] == ["running"] * 2
    # The one is up before systemd begins with the other.
    ready = int(machine.unit(units[0], "ActiveEnterTimestampMonotonic"))
    begun = int(machine.unit(units[1], "InactiveExitTimestampMonotonic"))
    assert 0 < ready < begun, (ready, begun)
    for plugin in (NEEDY, NEEDED):
        machine.run("snooze", "plugin", "uninstall", plugin)


def it_writes_to_the_journal(machine):
    """what it logs is in the journal under its unit, with the plugin's name as a field"""
    assert attempt(machine, LIVELY, "say", "a word of the plugin") == "OK"
    entry = ("journalctl", "--no-pager", "-o", "cat", f"CLOUDSNOOZE_PLUGIN={LIVELY}", f"_SYSTEMD_UNIT={UNIT}")
    wait_until(lambda: "a word of the plugin" in machine.run(*entry, check=False).stdout, "its words are in the journal")


def killed(machine):
    """killed, it is started again"""
    before = pid_of(machine)
    machine.run("kill", "-9", before)
    wait_for_another(machine, before)
    assert machine.plugin_property(LIVELY, "Restarts") >= 1


def hung(machine):
    """one that answers nothing any more is killed and started again"""
    before = pid_of(machine)
    machine.run("kill", "-STOP", before)
    machine.run("busctl", "--timeout=40", "call", "io.cloudsnooze.Snooze1", f"/io/cloudsnooze/Snooze1/plugin/{LIVELY}",
                "io.cloudsnooze.Snooze1.Plugin", "Call", "sa{sv}", "read", "0", check=False)
    wait_for_another(machine, before)


def a_start_that_fails_is_known_at_once(machine):
    """a plugin that cannot be started is known to have failed before the bus would say so, and is quarantined in the end"""
    install(machine, STILLBORN, [])
    machine.write(f"/etc/cloudsnooze/plugins/{STILLBORN}/{STILLBORN}", FAILING, 0o755)
    machine.manager("DiscoverPlugins")
    plugin_call(machine, STILLBORN, "Enable")
    begun = time.monotonic()
    message = refused(machine, STILLBORN, "Load")
    assert time.monotonic() - begun < BUS_SECONDS * 0.8, message
    wait_state(machine, STILLBORN, "quarantined")
    assert f"sudo snooze plugin restart {STILLBORN}" in machine.plugin_property(STILLBORN, "LastError")
    # One that is not there votes unknown, and the others go on.
    assert attempt(machine, LIVELY, "read", "/etc/os-release") == "OK"


def restart_is_the_way_out(machine):
    """Restart leads out of quarantine when the program is whole"""
    install(machine, STILLBORN, [])
    plugin_call(machine, STILLBORN, "Restart")
    assert machine.plugin_property(STILLBORN, "State") == "running"


def dawdle(machine):
    """From now on it never gets as far as its program."""
    machine.run("mkdir", "-p", os.path.dirname(DAWDLE))
    machine.run("sh", "-c", f"printf '[Service]\nExecStartPre=+sleep infinity\n' >{DAWDLE}")
    machine.run("systemctl", "daemon-reload")


def hurry(machine):
    machine.run("rm", DAWDLE)
    machine.run("systemctl", "daemon-reload")


def wait_starting(machine):
    wait_until(lambda: machine.unit(STILLBORN_UNIT, "ActiveState") == "activating", "it starts")


def restarted_while_it_starts(machine):
    """Restart of one that still starts ends that, and starts it anew"""
    plugin_call(machine, STILLBORN, "Unload")
    dawdle(machine)
    with machine.background("snooze", "plugin", "restart", STILLBORN):
        wait_starting(machine)
        hurry(machine)
        assert machine.plugin_property(STILLBORN, "State") == "loading"
        plugin_call(machine, STILLBORN, "Restart")
    assert machine.plugin_property(STILLBORN, "State") == "running"
    machine.run("snooze", "plugin", "uninstall", STILLBORN)


def late(machine):
    """how long one may take to start is the daemon's to say: it is killed then, also where another daemon had it started"""
    install(machine, STILLBORN, [], timeouts={"start": START_SECONDS})
    assert machine.unit(STILLBORN_UNIT, "TimeoutStartUSec") == "1h 1min"
    plugin_call(machine, STILLBORN, "Enable")
    daemon = machine.unit("snoozed.service", "MainPID")
    dawdle(machine)
    with machine.background("snooze", "plugin", "restart", STILLBORN):
        wait_starting(machine)
        invocation = machine.unit(STILLBORN_UNIT, "InvocationID")
        machine.run("kill", "-9", daemon)
    wait_until(lambda: machine.unit("snoozed.service", "MainPID") not in ("0", "", daemon), "snoozed was started anew")
    assert machine.unit(STILLBORN_UNIT, "InvocationID") == invocation
    message = refused(machine, STILLBORN, "Load")
    assert f"did not appear on the bus within {START_SECONDS} s" in message, message
    wait_until(lambda: machine.unit(STILLBORN_UNIT, "InvocationID") != invocation, "that start was ended")
    wait_state(machine, STILLBORN, "quarantined")
    wait_until(lambda: machine.unit(STILLBORN_UNIT, "ActiveState") in ("failed", "inactive"), "the last was ended, too")
    hurry(machine)
    plugin_call(machine, STILLBORN, "Restart")
    assert machine.plugin_property(STILLBORN, "State") == "running"
    machine.run("snooze", "plugin", "uninstall", STILLBORN)


def ended_between_calls(machine, signal, state, error):
    """Nothing is under way, and it has no channel that would break."""
    plugin_call(machine, PLAIN, "Load")
    assert plugin_call(machine, PLAIN, "CheckIdle")[0] == "idle"
    before = machine.plugin_property(PLAIN, "Restarts")
    machine.run("kill", f"-{signal}", machine.unit(f"snooze-plugin@{PLAIN}.service", "MainPID"))
    wait_state(machine, PLAIN, state)
    assert error in machine.plugin_property(PLAIN, "LastError"), machine.plugin_property(PLAIN, "LastError")
    return before


def without_a_channel_it_falls(machine):
    """one without a channel that a signal ends between two calls has failed: it is started again, and quarantined in the end"""
    install(machine, PLAIN, [], program="tests/chaos/moody-plugin", contracts=["IdleCheck"])
    plugin_call(machine, PLAIN, "Enable")
    for _ in range(MAX_RESTARTS):
        before = ended_between_calls(machine, "SEGV", "running", "")
        wait_until(lambda: machine.plugin_property(PLAIN, "Restarts") == before + 1, "it was started again")
        wait_state(machine, PLAIN, "running")
    ended_between_calls(machine, "SEGV", "quarantined", "was ended by signal 11 (Segmentation fault)")


def without_a_channel_it_leaves(machine):
    """one that leaves by itself has not failed, whether it says so to the bus or not"""
    plugin_call(machine, PLAIN, "Restart")
    ended_between_calls(machine, "TERM", "stopped", "")
    # Also one that this daemon did not start.
    plugin_call(machine, PLAIN, "Load")
    daemon = machine.unit("snoozed.service", "MainPID")
    machine.run("kill", "-9", daemon)
    wait_until(lambda: machine.unit("snoozed.service", "MainPID") not in ("0", "", daemon), "snoozed was started anew")
    ended_between_calls(machine, "TERM", "stopped", "")
    assert machine.plugin_property(PLAIN, "Restarts") == 0
    plugin_call(machine, PLAIN, "Load")
    ended_between_calls(machine, "SEGV", "running", "")
    wait_until(lambda: machine.plugin_property(PLAIN, "Restarts") == 1, "it was started again")
    machine.run("snooze", "plugin", "uninstall", PLAIN)


def a_stream_passes(machine):
    """a stream of somebody passes through a plugin in its sandbox, and is refused to whom that is not allowed"""
    machine.run("snooze", "plugin", "enable", "analytics")
    process = "snooze plugin process analytics --option copy=true"
    feed = "yes 12 | head -c 67108863"
    wanted = machine.run("sh", "-c", f"{feed} | cksum").stdout
    assert machine.run("sh", "-c", f"{feed} | {process} 2>/var/tmp/said | cksum").stdout == wanted
    said = machine.read("/var/tmp/said")
    assert "count: 22369621\n" in said and "mean: 12\n" in said, said
    assert machine.user_of(machine.unit("snooze-plugin@analytics.service", "MainPID")) == "snooze-analytics"
    refused_one = machine.run("sh", "-c", f"echo 1 | {process}", user="nobody", check=False)
    assert (refused_one.returncode, refused_one.stdout) == (3, ""), refused_one
    assert "or: sudo snooze plugin process analytics" in refused_one.stderr, refused_one.stderr


def place_lasting(machine, version):
    machine.write(f"/etc/cloudsnooze/plugins/{LASTING}/version", version)
    install(machine, LASTING, [], program="tests/bus/counting-plugin", contracts=["DataProcessor"], version=version)


def a_stream_outlasts_a_replacement(machine):
    """a stream goes on at the version that was replaced: systemd, which would end it soon, is not told that it is stopping before"""
    unit, name = f"snooze-plugin@{LASTING}.service", f"io.cloudsnooze.Plugin1.{LASTING}"
    ended = lambda: os.path.exists(machine.path("/var/tmp/code"))
    place_lasting(machine, "1.0.0")
    plugin_call(machine, LASTING, "Enable")
    plugin_call(machine, LASTING, "Load")
    os.mkfifo(machine.path("/var/tmp/feed"))
    machine.write("/var/tmp/passed", "")
    process = f"{{ snooze plugin process {LASTING}; echo $? >/var/tmp/code; }} </var/tmp/feed 2>/var/tmp/said | cat >/var/tmp/passed"
    with machine.background("sh", "-c", process):
        with open(machine.path("/var/tmp/feed"), "wb", buffering=0) as feed:
            feed.write(b"before\n")
            wait_until(lambda: machine.read("/var/tmp/passed") == "before\n", "the stream passes")
            replaced = machine.owner(name)
            place_lasting(machine, "1.1.0")
            wait_until(lambda: machine.plugin_property(LASTING, "Version") == "1.1.0", "another version serves")
            wait_until(lambda: machine.owner(name) not in ("", None, replaced), "its name is given back")
            # What it says to systemd it says before that, and systemd hears it before it answers.
            assert machine.unit(unit, "ActiveState") == "active"
            assert not ended(), machine.read("/var/tmp/said")
            feed.write(b"after\n")
            wait_until(lambda: machine.read("/var/tmp/passed") == "before\nafter\n", "the stream passes yet")
        wait_until(lambda: ended() and machine.read("/var/tmp/code") == "0\n", "its end")
    wait_until(lambda: machine.unit(unit, "ActiveState") == "inactive", "the version that was replaced has left")
    assert machine.unit(unit, "Result") == "success"
    assert machine.plugin_property(LASTING, "State") == "running" and machine.plugin_property(LASTING, "Healthy")
    plugin_call(machine, LASTING, "Disable")


def replaced_and_ended(machine, signal):
    """Within its trial of ten seconds: by one command."""
    ask = f"busctl get-property io.cloudsnooze.Snooze1 /io/cloudsnooze/Snooze1/plugin/{TRIED} io.cloudsnooze.Snooze1.Plugin Version Pid"
    # It answers with the type before each value.
    script = f"snooze plugin update {TRIED} 2.0.0 >&2 && set -- $({ask}) && kill -{signal} $4 && echo $2"
    assert machine.run("sh", "-c", script).stdout == '"2.0.0"\n'


def on_trial_without_a_channel(machine):
    """a new version without a channel that falls shortly after it took over is rolled back; one that leaves by itself is not"""
    for version in "1.0.0", "2.0.0":
        place = f"/srv/source/{TRIED}-{version}"
        os.makedirs(machine.path(place))
        shutil.copy(os.path.join(machine.build, "tests/chaos/moody-plugin"), machine.path(f"{place}/{TRIED}"))
        machine.write(f"{place}/plugin.json", json.dumps({"name": TRIED, "version": version, "contracts": ["IdleCheck"]}))
        machine.run("snooze", "plugin", "install", place)
        if version == "1.0.0":
            machine.run("snooze", "plugin", "enable", TRIED)
            plugin_call(machine, TRIED, "Load")
    replaced_and_ended(machine, "SEGV")
    wait_until(lambda: machine.plugin_property(TRIED, "Version") == "1.0.0", "the old version is back")
    wait_state(machine, TRIED, "running")
    assert plugin_call(machine, TRIED, "CheckIdle")[0] == "idle"
    told = machine.run("snooze", "history", "--kind", "problem", "--json").stdout
    assert "version 2.0.0 failed shortly after it had replaced version 1.0.0, which runs again" in told, told
    replaced_and_ended(machine, "TERM")
    wait_state(machine, TRIED, "stopped")
    assert plugin_call(machine, TRIED, "CheckIdle")[0] == "idle"
    assert machine.plugin_property(TRIED, "Version") == "2.0.0"
    machine.run("snooze", "plugin", "uninstall", TRIED)


def the_daemon_is_killed(machine):
    """a daemon that was killed finds the plugin running, in the same process"""
    # A daemon that came back before, and had nothing to ask it, is one that it does not wait for longer than a minute.
    assert attempt(machine, LIVELY, "read", "/etc/os-release") == "OK"
    before, daemon = pid_of(machine), machine.unit("snoozed.service", "MainPID")
    machine.run("kill", "-9", daemon)
    wait_until(lambda: machine.unit("snoozed.service", "MainPID") not in ("0", "", daemon), "snoozed was started anew")
    assert attempt(machine, LIVELY, "read", "/etc/os-release") == "OK"
    assert pid_of(machine) == before


def the_daemon_does_not_come_back(machine):
    """when the daemon stays away for a minute the plugin leaves, whatever it is written in"""
    units = [UNIT, *map(template_cases.unit_of, template_cases.PLUGINS.values())]
    machine.run("systemctl", "stop", "snoozed.service")
    machine.run("systemctl", "mask", "--runtime", "snoozed.service")
    try:
        assert [machine.unit(unit, "ActiveState") for unit in units] == ["active"] * len(units)
        for unit in units:
            wait_until(lambda u=unit: machine.unit(u, "ActiveState") == "inactive", f"{unit} has left", LEAVES_SECONDS)
            assert machine.unit(unit, "Result") == "success", unit
    finally:
        machine.run("systemctl", "unmask", "--runtime", "snoozed.service")
        machine.run("systemctl", "start", "snoozed.service")


def it_is_there_after_a_boot(machine):
    """after the next boot it is enabled, known to systemd and the bus, and answers"""
    assert attempt(machine, LIVELY, "read", "/etc/os-release") == "OK"
    machine.run("systemctl", "poweroff", check=False)
    machine.wait_powered_off()
    machine.boot()
    assert machine.plugin_property(LIVELY, "Enabled") is True
    assert attempt(machine, LIVELY, "read", "/etc/os-release") == "OK"
    assert machine.user_of(pid_of(machine)) == f"snooze-{LIVELY}"


def run(plan, installed, bus, build):
    # No round but those that are asked for: it would start again who has just left.
    configuration = {**CONFIGURATION, "check_interval_seconds": 3600, "plugins": {"max_restarts": MAX_RESTARTS}}
    with Machine(installed, bus, configuration) as machine:
        machine.build = build
        plan.cases([it_starts, what_it_needs_is_started_first, it_writes_to_the_journal, killed, hung,
                    a_start_that_fails_is_known_at_once, restart_is_the_way_out,
                    restarted_while_it_starts, late, without_a_channel_it_falls, without_a_channel_it_leaves, on_trial_without_a_channel,
                    *registry_cases.CASES, template_cases.they_serve, template_cases.they_leave_when_told, a_stream_passes,
                    a_stream_outlasts_a_replacement, the_daemon_is_killed,
                    the_daemon_does_not_come_back, template_cases.they_are_removed, template_cases.installed_they_serve,
                    it_is_there_after_a_boot], machine)
