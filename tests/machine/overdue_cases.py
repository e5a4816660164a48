# SPDX-License-Identifier: Apache-2.0
"""A provider that hangs over the stop of its machine (overdue-provider.c) may yet do it: under systemd, too, its process is gone before
anybody is told that the stop failed, and before another is asked."""

import os

from helper_cases import install, plugin_call
from machine import PATIENCE, Machine, wait_until
from passage_cases import history, kill_daemon

OVERDUE = "overdue"
UNIT = f"snooze-plugin@{OVERDUE}.service"
ASKED = f"/var/lib/cloudsnooze-plugins/{OVERDUE}/asked"
# In which it has to answer; within as many again it is gone and another one runs, on a machine that is busy.
SECONDS = 15
CONFIGURATION = {"naptime_minutes": 600, "check_interval_seconds": 60, "dry_run": False, "provider": OVERDUE}


def asked(machine):
    """(process, whether the one before it was there yet) of each time that somebody was asked to stop the machine."""
    text = machine.run("cat", ASKED, check=False).stdout
    return [(line.split()[0], line.split()[1] == "beside") for line in text.splitlines()]


def asked_last(machine):
    """When that was, in seconds: the second is asked within as many as the first one had."""
    return os.stat(machine.path(ASKED)).st_mtime


def wait_asked(machine, times):
    return wait_until(lambda: len(asked(machine)) >= times and asked(machine)[-1][0], f"it is asked {times} times")


def is_there(machine, pid):
    return machine.run("test", "-d", f"/proc/{pid}", check=False).returncode == 0


def it_is_the_provider(machine):
    """an administrator's provider is enabled and knows the machine"""
    install(machine, OVERDUE, [], program="tests/machine/overdue-provider", contracts=["CloudProvider"], type="provider",
            timeouts={"provider": SECONDS})
    plugin_call(machine, OVERDUE, "Enable")
    plugin_call(machine, OVERDUE, "Load")
    wait_until(lambda: machine.property("Provider").endswith(f"/{OVERDUE}") and not machine.property("ProviderProblem"),
               "it is the provider")


def a_stop_that_hangs(machine):
    """stuck in StopInstance it is ended through systemd when its time is over, that stop counts as failed, and a new one is asked"""
    machine.manager("StopInstance", "sa{sv}", "going home", "0")
    first = wait_asked(machine, 1)
    begun = asked_last(machine)
    assert machine.unit(UNIT, "MainPID") == first
    # It answers nothing, and would not leave if it were asked to.
    machine.run("kill", "-TERM", first)
    second = wait_asked(machine, 2)
    passed = asked_last(machine) - begun
    # The first may have been slow to write it down.
    assert SECONDS / 2 < passed < (2 * SECONDS + 10) * PATIENCE, passed
    assert second != first and not is_there(machine, first)
    assert machine.unit(UNIT, "MainPID") == second
    assert machine.user_of(second) == f"snooze-{OVERDUE}"
    assert machine.plugin_property(OVERDUE, "Restarts") == 1
    journal = lambda: machine.run("journalctl", "--no-pager", "-b", "-o", "cat", "-u", "snoozed.service", "-u", UNIT).stdout
    for words in (f"did not answer StopInstance within {SECONDS} s", "status=9/KILL"):
        wait_until(lambda words=words: words in journal(), f"the journal has “{words}”")
    # At once, and not by systemd's own patience with a unit that is to stop.
    assert "timed out. Killing" not in journal(), journal()
    assert machine.state() == "stopping"


def a_daemon_that_was_killed(machine):
    """a daemon that comes after one that was killed meanwhile ends it through systemd, too, and asks a new one"""
    second = asked(machine)[-1][0]
    kill_daemon(machine)
    third = wait_asked(machine, 3)
    assert third != second and not is_there(machine, second)
    machine.wait_state("stopped")
    assert [beside for _, beside in asked(machine)] == [False] * 3
    outcomes = [row["outcome"]["data"] for row in history(machine) if row["kind"]["data"] == "stop"]
    assert outcomes == ["accepted"], outcomes


def run(plan, installed, bus, build):
    with Machine(installed, bus, CONFIGURATION) as machine:
        machine.build = build
        plan.cases([it_is_the_provider, a_stop_that_hangs, a_daemon_that_was_killed], machine)
