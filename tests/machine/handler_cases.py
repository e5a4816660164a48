# SPDX-License-Identifier: Apache-2.0
"""Event handlers under their shipped units: what they may do there, and what they may not."""

import json
import time

from machine import Machine, wait_until

ROOT = "/io/cloudsnooze/Snooze1"
PLUGIN = "io.cloudsnooze.Snooze1.Plugin"
SYSTEMD = ("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
SCRIPT = "/usr/local/sbin/save-work"

CONFIGURATION = {
    "naptime_minutes": 600, "check_interval_seconds": 60,
    "plugins": {"plugin_configs": {
        "drain": {"units": ["worker.service", "dbus.service", "snoozed.service"], "timeout_seconds": 20},
        "checkpoint": {"jobs": ["job: cmdline=mark-of-the-job signal=USR1"], "timeout_seconds": 20},
        "spot-handler": {"shutdown_script_path": SCRIPT, "timeout_seconds": 20},
    }},
}
WORKER = """[Service]
ExecStart=sleep infinity
ExecStop=sh -c 'echo saved > /run/worker-saved'
"""


def plugin_call(machine, plugin, member):
    machine.call(f"{ROOT}/plugin/{plugin.replace('-', '_2d')}", PLUGIN, member)


def enable(machine, plugin):
    plugin_call(machine, plugin, "Enable")
    plugin_call(machine, plugin, "Load")


def disable(machine, plugin):
    plugin_call(machine, plugin, "Disable")


def emit(machine, type_, left=60, *data):
    """The row of the handler, once the event has ended."""
    deadline = int((time.time() + left) * 1e6)
    identifier, = machine.manager("EmitEvent", "suta{sv}", type_, "3", str(deadline), *(data or ("0",)))

    def finished():
        rows, = machine.manager("GetHistory", "ttu", "0", "0", "100")
        for row in rows:
            values = {key: value["data"] for key, value in row.items()}
            if values.get("id") == identifier and values.get("finished"):
                return values
        return None

    return wait_until(finished, f"the end of {type_}")


def drain_stops_units(machine):
    """drain stops a service, which saves its work, and starts it again when the end is called off"""
    machine.write("/etc/systemd/system/worker.service", WORKER)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "worker.service")
    enable(machine, "drain")
    row = emit(machine, "cloud.spot.interrupt")
    assert machine.unit("worker.service", "ActiveState") == "inactive", row
    assert machine.run("cat", "/run/worker-saved").stdout == "saved\n"
    text = json.dumps(row)
    for unit in ("dbus.service", "snoozed.service"):
        assert f"{unit}: is not permitted" in text, row
        assert machine.unit(unit, "ActiveState") == "active", unit
    emit(machine, "cloud.spot.interrupt", 60, "1", "cancelled", "b", "true")
    wait_until(lambda: machine.unit("worker.service", "ActiveState") == "active", "the service runs again")


def drain_may_nothing_else(machine):
    """its user stops and starts services, by no other verb, and nobody else's plugin does"""
    def refused(user, member, *arguments):
        machine.refusal(*SYSTEMD, member, *arguments, name="org.freedesktop.systemd1", user=user)

    for unit in ("dbus.service", "snoozed.service", "systemd-logind.service", "poweroff.target", "user.slice",
                 "debug-shell.service"):
        refused("snooze-drain", "StopUnit", unit, "replace")
        for mode in ("replace", "isolate", "flush"):
            refused("snooze-drain", "StartUnit", unit, mode)
    refused("snooze-drain", "RestartUnit", "worker.service", "replace")
    refused("snooze-drain", "KillUnit", "worker.service", "all", "9")
    refused("snooze-drain", "SetUnitProperties", "worker.service", "true", "[('MemoryMax', <uint64 1>)]")
    refused("snooze-drain", "Reload")
    refused("snooze-drain", "EnableUnitFiles", "['worker.service']", "true", "true")
    for user in ("snooze-terminal", "snooze-spot-handler", "snooze", "alice"):
        refused(user, "StopUnit", "worker.service", "replace")
    assert machine.unit("worker.service", "ActiveState") == "active"
    machine.call(*SYSTEMD, "StopUnit", "ss", "worker.service", "replace", name="org.freedesktop.systemd1",
                 user="snooze-drain")
    disable(machine, "drain")


def script_runs_shut_in(machine):
    """the script of spot-handler runs as its user, without privilege, and with nothing of CloudSnooze's"""
    machine.write(SCRIPT,
                  "#!/bin/sh\nid -un\nls /etc/cloudsnooze 2>/dev/null | wc -l\ntouch /etc/x 2>/dev/null || echo read-only\n"
                          "grep NoNewPrivs /proc/self/status\ntouch /tmp/x && echo scratch\nsystemctl stop worker.service 2>/dev/null || echo refused\n", 0o755)
    enable(machine, "spot-handler")
    text = json.dumps(emit(machine, "cloud.spot.interrupt"))
    assert "snooze-spot-handler\\n0\\nread-only\\nNoNewPrivs:\\t1\\nscratch\\nrefused\\n" in text.replace("\\\\", "\\"), text
    disable(machine, "spot-handler")


def job_of_another_is_told(machine):
    """checkpoint signals the job of a user, and has no capability beside that one"""
    with machine.background("sh", "-c", "trap 'touch /tmp/saved; exit' USR1; while :; do sleep 0.1; done",
                            "mark-of-the-job", user="alice"):
        wait_until(lambda: machine.run("pgrep", "-f", "mark-of-the-job", check=False).returncode == 0, "the job runs")
        enable(machine, "checkpoint")
        emit(machine, "cloud.spot.interrupt")
        wait_until(lambda: machine.run("test", "-e", "/tmp/saved", check=False).returncode == 0,
                   "the job has saved its work")
    pid = machine.unit("snooze-plugin@checkpoint.service", "MainPID")
    status = machine.run("cat", f"/proc/{pid}/status").stdout
    for kind in ("CapEff", "CapBnd", "CapAmb"):
        assert f"{kind}:\t0000000000000020\n" in status, status
    disable(machine, "checkpoint")


def run(plan, installed, bus, _build):
    with Machine(installed, bus, CONFIGURATION) as machine:
        plan.cases([drain_stops_units, drain_may_nothing_else, script_runs_shut_in, job_of_another_is_told], machine)
