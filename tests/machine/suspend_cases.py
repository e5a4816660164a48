# SPDX-License-Identifier: Apache-2.0
"""A machine that really sleeps: suspended to its memory by the provider `local`, and woken by its clock."""

import time

from machine import PATIENCE, run as run_here, wait_until
from passage_cases import history, main_pid, terminal
from tap import Skip

CONFIGURATION = {"dry_run": False, "provider": "local", "allow_stop_effects": ["unknown", "keeps-billing"], "max_delay_seconds": 5,
                 "min_uptime_minutes": 0, "check_interval_seconds": 10}
# Ahead of the moment at which it is asked; what is left when it sleeps is slept.
WAKE_SECONDS = 20 * PATIENCE
# So that it is a sleep, and no pause of the host.
SLEPT_SECONDS = 5


def slept():
    """Seconds since boot that this machine was asleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


def stops(machine):
    rows = [{key: entry["data"] for key, entry in row.items()} for row in history(machine)]
    return [row for row in rows if row.get("kind") == "stop"]


def input_idle(machine):
    metrics = machine.manager("GetMetrics")[0]
    return metrics["input_idle_seconds"]["data"] if "input_idle_seconds" in metrics else None


def it_can_sleep(machine):
    """this machine can be suspended to its memory, and its clock can wake it"""
    if "mem" not in machine.read("/sys/power/state").split():
        raise Skip("impossible here: this kernel cannot suspend")
    can = machine.call("/org/freedesktop/login1", "org.freedesktop.login1.Manager", "CanSuspend", name="org.freedesktop.login1")
    assert can == ["yes"], can
    assert machine.run("test", "-e", "/sys/class/rtc/rtc0/wakealarm", check=False).returncode == 0


def it_sleeps_and_wakes(machine):
    """snooze stop --action suspend --wake puts it to sleep, and the clock's alarm wakes it"""
    wait_until(lambda: machine.property("Provider").endswith("/local"), "the provider is there")
    wait_until(lambda: input_idle(machine) is not None, "input is measured")
    machine.before = {"slept": slept(), "pid": main_pid(machine), "input": input_idle(machine), "time": time.time(),
                      "awake": time.monotonic()}
    machine.run("snooze", "stop", "--yes", "--force", "--action", "suspend", "--wake", f"{WAKE_SECONDS}s", "good night")
    wait_until(lambda: slept() > machine.before["slept"] + SLEPT_SECONDS, "it slept and is awake again", WAKE_SECONDS + 120 * PATIENCE)
    print(f"# it slept {slept() - machine.before['slept']:.0f} s")
    kernel = run_here("dmesg").stdout
    assert "PM: suspend entry (deep)" in kernel and "PM: suspend exit" in kernel, kernel[-2000:]


def the_daemon_decides_anew(machine):
    """the same daemon counts anew from the moment of waking, says what happened, and asks for no second sleep"""
    wait_until(lambda: machine.property("Greeting"), "the greeting")
    assert main_pid(machine) == machine.before["pid"]
    assert "good night" in machine.property("Greeting"), machine.property("Greeting")
    assert machine.state() in ("active", "idle")
    wait_until(lambda: stops(machine)[0]["outcome"] == "back", "the end of the record")
    since = machine.property("IdleSince")
    asleep = slept() - machine.before["slept"]
    # Idle since before it slept would be the sleep's own time, taken for a nap.
    assert since == 0 or since / 1e6 > machine.before["time"] + asleep / 2, (since, machine.before, asleep)
    assert machine.property("NextStop") == 0 or machine.property("NextStop") / 1e6 > time.time() + 60
    assert machine.run("dmesg").stdout.count("PM: suspend entry") == 1


def the_last_input_is_not_forgotten(machine):
    """to wake is no input: the last one is as long ago as the machine has been awake since"""
    awake = time.monotonic() - machine.before["awake"]
    wait_until(lambda: input_idle(machine) is not None, "input is measured")
    idle = input_idle(machine)
    # As it was at the latest look, which may be a check interval ago at either end.
    assert idle >= machine.before["input"] + awake - 2 * CONFIGURATION["check_interval_seconds"], (idle, machine.before, awake)


def run_on(plan, machine):
    with terminal(machine):
        plan.cases([it_can_sleep, it_sleeps_and_wakes, the_daemon_decides_anew, the_last_input_is_not_forgotten], machine)
