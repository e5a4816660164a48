# SPDX-License-Identifier: Apache-2.0
"""Plugins that take more than they may, where the kernel keeps them from it; and one version that replaces another, each in its own unit."""

import json

from controlled import Controlled
from helper_cases import attempt, install, plugin_call
from machine import CALL_SECONDS, WAIT_SECONDS, Impossible, wait_until
from tap import Skip

GREEDY, SPINNER, BROOD, COUNTING = "greedy", "spinner", "brood", "counting"
MAX_RESTARTS = 2
SIGNALS = "/var/tmp/signals"
ANSWERS = "/var/tmp/answers"
# install() asks for 32 MiB, half a CPU and 8 tasks.
ASKED = {"memory": 32 << 20, "cpu": 500000, "tasks": 8}
CONFIGURED = {"memory_mb": 24, "cpu_percent": 20, "tasks": 6}
IN_FORCE = {"memory": 24 << 20, "cpu": 200000, "tasks": 6}
CONFIGURATION = {"naptime_minutes": 600, "check_interval_seconds": 60, "plugins": {"max_restarts": MAX_RESTARTS}}
# Use is looked at twice a minute, and of a processor two looks are needed.
LOOKS_SECONDS = 3 * WAIT_SECONDS


def unit_of(plugin, slot=""):
    return f"snooze-plugin{slot}@{plugin}.service"


def started(machine, plugin, **more):
    install(machine, plugin, [], **more)
    plugin_call(machine, plugin, "Enable")
    plugin_call(machine, plugin, "Load")


def told(machine, plugin, resource):
    """Whether ResourceViolation and a Problem were sent of it."""
    lines = machine.read(SIGNALS).splitlines()
    return any(f"plugin/{plugin}: " in line and f"ResourceViolation ('{resource}'" in line for line in lines) and any(
        f"Manager.Problem ('{plugin}'" in line for line in lines)


def set_limits(machine, limits):
    machine.manager("SetConfiguration", "s", json.dumps({"plugins": {"limits": limits}}))


def the_manifests_are_in_force(machine):
    """what the manifest asks for is what the kernel holds it to"""
    for plugin in (GREEDY, SPINNER, BROOD):
        started(machine, plugin)
        assert machine.in_force(unit_of(plugin)) == ASKED, machine.in_force(unit_of(plugin))


def limits_change_live(machine):
    """configured limits are in force at once, in the same process"""
    before = {plugin: machine.unit(unit_of(plugin), "MainPID") for plugin in (SPINNER, BROOD)}
    set_limits(machine, {plugin: CONFIGURED for plugin in before})
    for plugin, pid in before.items():
        wait_until(lambda unit=unit_of(plugin): machine.in_force(unit) == IN_FORCE, f"the limits of {plugin} are in force")
        assert machine.unit(unit_of(plugin), "MainPID") == pid
    assert machine.in_force(unit_of(GREEDY)) == ASKED


def a_busy_one_is_throttled(machine):
    """what uses a whole processor gets its quota and no more"""
    unit = unit_of(SPINNER)
    assert attempt(machine, SPINNER, "cpu", "") == "OK"
    throttled = machine.throttled(unit)
    used, begun = machine.cpu_used(unit)
    wait_until(lambda: machine.throttled(unit) >= throttled + 20, "it was throttled twenty times")
    now_used, now = machine.cpu_used(unit)
    # Two periods of 100 ms may have been cut in two.
    assert 0 < now_used - used <= ((now - begun) + 0.2) * IN_FORCE["cpu"] * 1.1, (now_used - used, now - begun)
    assert machine.plugin_property(SPINNER, "State") == "running"


def a_fork_bomb_ends_at_its_limit(machine):
    """what forks without end has as many tasks as it may, and goes on to answer"""
    assert attempt(machine, BROOD, "fork", "1000") == "EAGAIN"
    assert machine.tasks(unit_of(BROOD)) == IN_FORCE["tasks"], machine.tasks(unit_of(BROOD))
    assert attempt(machine, BROOD, "fork", "1") == "EAGAIN"
    assert machine.plugin_property(BROOD, "State") == "running"


def resources(machine, plugin):
    entries, = plugin_call(machine, plugin, "GetResources")
    return {name: {key: value["data"] for key, value in entry["data"].items()} if name != "enforced" else entry["data"]
            for name, entry in entries.items()}


def resources_are_the_kernels(machine):
    """GetResources tells what the kernel counted of the plugin, and what it holds it to"""
    told_first, used, tasks = resources(machine, SPINNER), machine.memory_used(unit_of(SPINNER)), machine.tasks(unit_of(SPINNER))
    assert told_first["enforced"] is True, told_first
    assert {name: told_first[name]["limit"] for name in IN_FORCE} == IN_FORCE, told_first
    assert told_first["tasks"]["used"] == tasks, told_first
    assert used / 2 < told_first["memory"]["used"] < used * 2, (told_first, used)
    # The fork bomb is at its limit.
    assert resources(machine, BROOD)["tasks"] == {"used": IN_FORCE["tasks"], "limit": IN_FORCE["tasks"]}
    if machine.counts_cpu():
        # It works without a pause.
        before, begun = told_first["cpu"]["used"], machine.cpu_used(unit_of(SPINNER))[0]
        wait_until(lambda: machine.cpu_used(unit_of(SPINNER))[0] >= begun + 200000, "it has used a fifth of a second")
        assert resources(machine, SPINNER)["cpu"]["used"] > before + 100000
    else:
        assert "used" not in told_first["cpu"], told_first


def eat(machine):
    """It does not live to answer."""
    answer = machine.run("busctl", f"--timeout={CALL_SECONDS}", "call", "io.cloudsnooze.Snooze1", f"/io/cloudsnooze/Snooze1/plugin/{GREEDY}",
                         "io.cloudsnooze.Snooze1.Plugin", "Call", "sa{sv}", "memory", "1", "what", "s", "64", check=False)
    assert answer.returncode != 0, answer.stdout


def wait_plugin(machine, *states):
    return wait_until(lambda: machine.plugin_property(GREEDY, "State") in states and machine.plugin_property(GREEDY, "State"),
                      f"{GREEDY} is {' or '.join(states)}")


def the_greedy_is_killed(machine):
    """what takes more memory than it may is killed: ResourceViolation, a Problem, and it is started again"""
    before = machine.unit(unit_of(GREEDY), "MainPID")
    eat(machine)
    wait_until(lambda: told(machine, GREEDY, "memory"), "the violation was told")
    wait_until(lambda: machine.unit(unit_of(GREEDY), "MainPID") not in ("0", "", before), "it was started again")
    wait_plugin(machine, "running")
    assert machine.plugin_property(GREEDY, "Restarts") == 1


def the_greedy_is_quarantined(machine):
    """one that is killed again and again stays down until an administrator restarts it"""
    for _ in range(MAX_RESTARTS):
        assert wait_plugin(machine, "running", "quarantined") == "running"
        eat(machine)
    wait_plugin(machine, "quarantined")
    assert machine.unit(unit_of(GREEDY), "ActiveState") in ("inactive", "failed")
    message = machine.plugin_property(GREEDY, "LastError")
    assert f"sudo snooze plugin restart {GREEDY}" in message, message
    machine.run("snooze", "plugin", "restart", GREEDY)
    assert machine.plugin_property(GREEDY, "State") == "running"
    assert machine.in_force(unit_of(GREEDY)) == ASKED


def full_of_tasks_is_told(machine):
    """ResourceViolation and a Problem name the one that has all of its tasks"""
    wait_until(lambda: told(machine, BROOD, "tasks"), "the tasks were told", LOOKS_SECONDS)


def busy_is_told(machine):
    """ResourceViolation and a Problem name the one that uses all of its processor"""
    if not machine.counts_cpu():
        raise Skip("impossible here: this host has mounted cpu and cpuacct apart, so that systemd counts no use")
    wait_until(lambda: told(machine, SPINNER, "cpu"), "the processor was told", LOOKS_SECONDS)


def limits_outlive_the_daemon(machine):
    """after the daemon was killed the limits are still in force, and stay so in a process that is started anew"""
    before = machine.unit("snoozed.service", "MainPID")
    machine.run("kill", "-9", before)
    wait_until(lambda: machine.unit("snoozed.service", "MainPID") not in ("0", "", before), "snoozed was started anew")
    machine.manager("GetMetrics")
    assert machine.in_force(unit_of(BROOD)) == IN_FORCE
    machine.run("snooze", "plugin", "restart", BROOD)
    assert machine.in_force(unit_of(BROOD)) == IN_FORCE
    set_limits(machine, {plugin: None for plugin in (SPINNER, BROOD)})
    wait_until(lambda: machine.in_force(unit_of(BROOD)) == ASKED, "the manifest's limits are in force again")


def place(machine, version):
    machine.write(f"/etc/cloudsnooze/plugins/{COUNTING}/version", version)
    install(machine, COUNTING, [], program="tests/bus/counting-plugin", contracts=["IdleCheck", "State", "RequestHandler"],
            version=version)


def count(machine):
    success, result = plugin_call(machine, COUNTING, "Call", "sa{sv}", "count", "0")
    assert success, result
    return {key: value["data"] for key, value in result.items()}


def upgrade(machine, version):
    """The daemon sees a new manifest itself, and may be at work on it already."""
    def done():
        result = machine.run("busctl", f"--timeout={CALL_SECONDS}", "call", "io.cloudsnooze.Snooze1",
                             f"/io/cloudsnooze/Snooze1/plugin/{COUNTING}", "io.cloudsnooze.Snooze1.Plugin", "Upgrade", "s", version,
                             check=False)
        assert result.returncode == 0 or "change" in result.stderr.lower() or "busy" in result.stderr.lower(), result.stderr
        return result.returncode == 0

    place(machine, version)
    wait_until(done, f"version {version} has replaced the other")


def a_version_replaces_another(machine):
    """Upgrade: the new version in the other unit, with the state and the same limits; who calls meanwhile is answered"""
    place(machine, "1.0.0")
    plugin_call(machine, COUNTING, "Enable")
    plugin_call(machine, COUNTING, "Load")
    assert [count(machine)["count"] for _ in range(3)] == [1, 2, 3]
    call = (f"while :; do busctl --timeout={CALL_SECONDS} call io.cloudsnooze.Snooze1 /io/cloudsnooze/Snooze1/plugin/counting "
            f"io.cloudsnooze.Snooze1.Plugin Call 'sa{{sv}}' count 0 >>{ANSWERS} 2>&1; done")
    with machine.background("sh", "-c", call):
        wait_until(lambda: "1.0.0" in machine.run("cat", ANSWERS, check=False).stdout, "it is called")
        for version, unit, other in (("1.1.0", unit_of(COUNTING, "-b"), unit_of(COUNTING)),
                                     ("0.9.0", unit_of(COUNTING), unit_of(COUNTING, "-b"))):
            upgrade(machine, version)
            assert machine.plugin_property(COUNTING, "Unit") == unit
            assert machine.plugin_property(COUNTING, "Version") == version
            wait_until(lambda name=other: machine.unit(name, "ActiveState") == "inactive", f"{other} has ended")
            assert machine.user_of(machine.unit(unit, "MainPID")) == f"snooze-{COUNTING}"
            assert machine.in_force(unit) == ASKED
            wait_until(lambda text=version: text in machine.read(ANSWERS), f"{version} answers")
    answers = machine.read(ANSWERS).splitlines()
    refused = [line for line in answers if not line.startswith("ba{sv} true")]
    assert not refused, refused
    # One more, which the end of the caller may have kept from being written down.
    assert count(machine)["count"] - (3 + len(answers)) in (1, 2)


def run_on(plan, machine):
    with machine.background("sh", "-c", f"exec gdbus monitor --system --dest io.cloudsnooze.Snooze1 >{SIGNALS}"):
        wait_until(lambda: "owned by" in machine.run("cat", SIGNALS, check=False).stdout, "somebody listens")
        plan.cases([the_manifests_are_in_force, limits_change_live, a_busy_one_is_throttled, a_fork_bomb_ends_at_its_limit,
                    resources_are_the_kernels, the_greedy_is_killed, the_greedy_is_quarantined, a_version_replaces_another, full_of_tasks_is_told, busy_is_told,
                    limits_outlive_the_daemon], machine)


def run(plan, installed, bus, build):
    try:
        with Controlled(installed, bus, CONFIGURATION) as machine:
            machine.build = build
            run_on(plan, machine)
    except Impossible as reason:
        plan.case(cannot, reason)


def cannot(reason):
    """plugins that take more than they may"""
    raise Skip(f"impossible here: {reason}")
