# SPDX-License-Identifier: Apache-2.0
"""Somebody's own poweroff: logind waits for the handlers, and nobody else can make them run."""

import copy
import json

from handler_cases import CONFIGURATION, WORKER, enable
from machine import Machine, wait_until

LOGIND = ("/org/freedesktop/login1", "org.freedesktop.login1.Manager")
# Off in its manifest.
DRAINED = copy.deepcopy(CONFIGURATION)
DRAINED["plugins"]["plugin_configs"]["drain"]["events"] = {"snooze.stop.pending": {"enabled": True}}
OURS = {("CloudSnooze", what, "delay") for what in ("shutdown", "sleep")}


def locks(machine):
    """who, what and mode of every inhibitor"""
    rows, = machine.call(*LOGIND, "ListInhibitors", name="org.freedesktop.login1")
    return [(row[1], row[0], row[3]) for row in rows]


def pending(machine):
    """Every event of a stop, newest first."""
    rows, = machine.manager("ListEvents", "u", "100")
    events = [{key: value["data"] for key, value in row.items()} for row in rows]
    return [event for event in events if event["type"] == "snooze.stop.pending"]


def lock_is_taken(machine):
    """the daemon holds delay inhibitors, which are no holds of its own"""
    wait_until(lambda: OURS <= set(locks(machine)), "the inhibitors")
    assert not machine.manager("ListHolds")[0]
    machine.write("/etc/systemd/system/worker.service", WORKER)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", "worker.service")
    enable(machine, "drain")


def forged_signals_change_nothing(machine):
    """whoever pretends to be logind is not heard"""
    daemon = machine.owner("io.cloudsnooze.Snooze1")
    for destination in ([], ["--dest", daemon]):
        for member in ("PrepareForShutdown", "PrepareForSleep"):
            machine.run("gdbus", "emit", "--system", *destination, "--object-path", LOGIND[0], "--signal", f"{LOGIND[1]}.{member}", "true",
                        user="nobody", check=False)
    # The bus keeps the order: what is answered now came after it.
    machine.manager("GetMetrics")
    assert not pending(machine)
    assert OURS <= set(locks(machine)), locks(machine)
    assert machine.unit("worker.service", "ActiveState") == "active"


def handlers_end_first(machine):
    """a poweroff waits for the handlers of snooze.stop.pending, whose end is on the disk after the next boot"""
    machine.call(*LOGIND, "PowerOff", "b", "false", name="org.freedesktop.login1")
    assert machine.wait_powered_off() == 0
    machine.boot()
    wait_until(lambda: machine.owner("io.cloudsnooze.Snooze1"), "snoozed runs")
    event, = pending(machine)
    assert (event["source"], event["finished"], event["handled"]) == ("logind", True, True), event
    assert "worker.service" in json.dumps(event["results"]), event
    wait_until(lambda: OURS <= set(locks(machine)), "the inhibitors")


def run(plan, installed, bus, _build):
    machine = Machine(installed, bus, DRAINED)
    # Else logind waits for five seconds, in which a handler has to be started and to end.
    machine.write("/etc/systemd/logind.conf.d/50-test.conf", "[Login]\nInhibitDelayMaxSec=60\n")
    with machine:
        plan.cases([lock_is_taken, forged_signals_change_nothing, handlers_end_first], machine)
