# SPDX-License-Identifier: Apache-2.0
"""The daemon and its plugins under their shipped units: who runs, what they see, who may do what."""

import json
import os
import socket
import subprocess
import time

from machine import Machine, run as run_here, wait_until
from raw_bus import RawBus, text

PLUGIN = "io.cloudsnooze.Snooze1.Plugin"
ROOT = "/io/cloudsnooze/Snooze1"

# The machine shares the processors and disks of the host, whose load is none of its own: they do not decide here. Its one
# interface is its own.
CONFIGURATION = {
    "check_interval_seconds": 2, "sample_interval_seconds": 0.5, "window_seconds": 2, "burst_seconds": 1, "long_window_seconds": 4,
    "naptime_minutes": 600, "min_uptime_minutes": 0, "provider": "local", "allow_stop_effects": ["unknown", "keeps-billing"],
    "sources": {name: {"policy": "advisory"} for name in ("cpu", "disk", "memory")},
}


def plugin_path(plugin):
    return f"{ROOT}/plugin/{plugin}"


def check_idle(machine, plugin):
    """One a second and sender; busctl is a new sender each time."""
    return machine.call(plugin_path(plugin), PLUGIN, "CheckIdle")


def activation(machine):
    """a call to the name starts snoozed under its own user"""
    machine.run("systemctl", "stop", "snoozed.service")
    assert machine.unit("snoozed.service", "ActiveState") == "inactive"
    machine.manager("GetMetrics")
    assert machine.unit("snoozed.service", "ActiveState") == "active"
    assert machine.user_of(machine.unit("snoozed.service", "MainPID")) == "snooze"


def disabled(machine):
    """systemctl disable ends activation, too"""
    machine.run("systemctl", "disable", "--now", "snoozed.service")
    try:
        machine.refused("GetMetrics")
        assert machine.unit("snoozed.service", "ActiveState") == "inactive"
    finally:
        machine.run("systemctl", "enable", "--now", "snoozed.service")
    machine.manager("GetMetrics")


def second_daemon(machine):
    """a second snoozed says that there is one, ends, and changes nothing"""
    before = machine.owner("io.cloudsnooze.Snooze1")
    result = machine.run("/usr/lib/cloudsnooze/snoozed", user="snooze", check=False)
    assert result.returncode != 0
    assert "io.cloudsnooze.Snooze1" in result.stderr, result.stderr
    assert machine.owner("io.cloudsnooze.Snooze1") == before


def own_users(machine):
    """plugin and provider run under their own users, in their own units"""
    verdict, reason, _ = check_idle(machine, "sessions")
    assert verdict in ("idle", "busy"), f"sessions: {verdict}: {reason}"
    machine.call(f"{ROOT}/provider/local", "io.cloudsnooze.Snooze1.Provider", "CheckPermissions")
    machine.call(plugin_path("terminal"), PLUGIN, "Load")
    for plugin in ("sessions", "local", "terminal"):
        pid = wait_until(lambda id=plugin: machine.plugin_property(id, "Pid"), f"{plugin} has a process")
        unit = f"snooze-plugin@{plugin}.service"
        assert machine.user_of(machine.unit(unit, "MainPID")) == f"snooze-{plugin}"
        assert str(pid) == machine.unit(unit, "MainPID"), f"{plugin}: {pid} is not the unit's"
        assert machine.plugin_property(plugin, "Unit") == unit


def checks_of_the_administrator(machine):
    """a file in checks.d runs as snooze-command, sees processes and servers of this machine, and no more"""
    machine.write("/etc/cloudsnooze/checks.d/who", "#!/bin/sh\n"
                  "id -un; exec 2>&1; pgrep -x systemd-logind >/dev/null || exit 10\n"
                  "python3 -c pass 2>/dev/null; cat /etc/cloudsnooze/snooze.json >/dev/null && exit 11\n"
                  "touch /var/tmp/written /usr/written && exit 12\n"
                  "ls /var/lib/cloudsnooze && exit 13\n"
                  "awk '$2 == \"00000000:0000\" { n++ } END { exit n > 100 }' /proc/net/tcp || exit 14\n"
                  "ls /sys/class/net | grep -qv '^lo$' || exit 15\n"
                  "id -un; exit 1\n", 0o755)
    try:
        verdict, reason, details = check_idle(machine, "command")
        assert verdict == "idle", (verdict, reason)
        assert "snooze-command" in str(details) and "busy" in str(details), details
        result = machine.run("snooze", "check", "who", check=False)
        assert result.returncode == 1 and "snooze-command" in result.stdout, result
    finally:
        os.unlink(machine.path("/etc/cloudsnooze/checks.d/who"))


def local_is_granted(machine):
    """logind grants the provider local what it needs"""
    permissions = machine.call(f"{ROOT}/provider/local", "io.cloudsnooze.Snooze1.Provider", "CheckPermissions")[0]
    assert permissions, "no permissions were checked"
    refused = [entry for entry in permissions if not entry[1] and "power" in entry[0].lower()]
    assert not refused, refused


def plugins_answer_the_daemon_alone(machine):
    """nobody else may call a plugin"""
    refusal = machine.refusal("/io/cloudsnooze/Plugin1", "io.cloudsnooze.Plugin1", "Ping", name="io.cloudsnooze.Plugin1.sessions",
                              user="nobody")
    assert "denied" in refusal.lower() or "rejected" in refusal.lower(), refusal


def log_level(machine):
    """systemctl changes what the daemon logs; at debug each call of a plugin is told, and nobody else may change it"""
    level = lambda *more, **how: machine.run("systemctl", "service-log-level", "snoozed.service", *more, **how)
    assert level().stdout.strip() == "info"
    level("debug")
    try:
        check_idle(machine, "sessions")
        wait_until(lambda: "Call of sessions for" in machine.run("journalctl", "-b", "-u", "snoozed.service", "-o", "cat").stdout,
                   "the call is in the journal")
    finally:
        level("info")
    assert level("debug", user="nobody", check=False).returncode != 0
    assert level().stdout.strip() == "info"


def disabled_plugin(machine):
    """a plugin that is not enabled does not run, whoever starts its name"""
    machine.call(plugin_path("terminal"), PLUGIN, "Disable")
    unit = "snooze-plugin@terminal.service"
    wait_until(lambda: machine.unit(unit, "ActiveState") in ("inactive", "failed"), f"{unit} has ended")
    machine.run("busctl", "--timeout=40", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                "StartServiceByName", "su", "io.cloudsnooze.Plugin1.terminal", "0", user="nobody", check=False)
    assert machine.unit(unit, "ActiveState") in ("inactive", "failed")
    machine.call(plugin_path("terminal"), PLUGIN, "Enable")


def forged_signals(machine):
    """signals forged by nobody change nothing"""
    machine.wait_state("idle")
    check_idle(machine, "sessions")
    pid = machine.plugin_property("sessions", "Pid")
    since = wait_until(lambda: time.time() - machine.property("IdleSince") / 1e6 > 2 and machine.property("IdleSince"),
                       "idle for 2 s")
    daemon = machine.owner("io.cloudsnooze.Snooze1")
    plugin = machine.owner("io.cloudsnooze.Plugin1.sessions")
    assert daemon and plugin

    def forge(path, member, *arguments):
        for destination in (daemon, "io.cloudsnooze.Snooze1"):
            machine.run("dbus-send", "--system", "--type=signal", f"--dest={destination}", path, member, *arguments, user="nobody")

    login, bus = "/org/freedesktop/login1", "/org/freedesktop/DBus"
    for sleeping in ("true", "false"):
        forge(login, "org.freedesktop.login1.Manager.PrepareForSleep", f"boolean:{sleeping}")
    forge(login, "org.freedesktop.login1.Manager.PrepareForShutdown", "boolean:true")
    forge(bus, "org.freedesktop.DBus.NameOwnerChanged", "string:io.cloudsnooze.Plugin1.sessions", f"string:{plugin}", "string:")
    forge(bus, "org.freedesktop.DBus.NameOwnerChanged", "string:org.freedesktop.login1", "string:", "string::1.99999")
    forge("/io/cloudsnooze/Plugin1", "io.cloudsnooze.Plugin1.EventSource.Event", "dict:string:string:type,cloud.spot.interrupt")

    # The daemon has read all of them once it answers a call that was sent later.
    machine.manager("GetMetrics")
    moved = abs(machine.property("IdleSince") - since) / 1e6
    assert moved < 0.5, f"the clock was restarted: {moved} s"
    assert machine.state() == "idle"
    assert machine.plugin_property("sessions", "Pid") == pid
    assert machine.plugin_property("sessions", "State") == "running"
    assert machine.owner("io.cloudsnooze.Snooze1") == daemon


def huge_messages(machine):
    """messages of any size from nobody end neither the daemon nor the helper"""
    before = machine.unit("snoozed.service", "MainPID")
    for name, path, interface, member in (
            ("io.cloudsnooze.Snooze1", ROOT, "io.cloudsnooze.Snooze1.Manager", "GetPlugin"),
            ("io.cloudsnooze.Helper1", "/io/cloudsnooze/Helper1", "io.cloudsnooze.Helper1", "ListPermissions")):
        for mebibytes in (31, 40, 45, 63, 66, 100, 127):
            with RawBus.user(machine, 65534) as client:
                client.call(name, path, interface, member, "s", text("x" * (mebibytes << 20)))
            machine.manager("ListHolds")
            assert machine.unit("snoozed.service", "MainPID") == before, f"{mebibytes} MiB to {name} ended the daemon"
    assert machine.unit("snooze-helper.service", "Result") == "success"
    assert "Main process exited" not in machine.run("journalctl", "-b", "-u", "snooze-helper.service", "-o", "cat").stdout


IMPOSTOR = """
import dbus, time
bus = dbus.SystemBus()
assert bus.request_name("io.cloudsnooze.Plugin1.storage", dbus.bus.NAME_FLAG_DO_NOT_QUEUE) == dbus.bus.REQUEST_NAME_REPLY_PRIMARY_OWNER
time.sleep(100000)
"""


def impostors(machine):
    """a process of the plugin's own user that is not the plugin is asked nothing, and nobody else gets the name"""
    machine.call(plugin_path("storage"), PLUGIN, "Enable")
    machine.call(plugin_path("storage"), PLUGIN, "Unload")
    wait_until(lambda: not machine.owner("io.cloudsnooze.Plugin1.storage"), "the plugin has gone")
    assert machine.run("python3", "-c", IMPOSTOR, user="nobody", check=False).returncode != 0
    with machine.background("python3", "-c", IMPOSTOR, user="snooze-storage"):
        impostor = wait_until(lambda: machine.owner("io.cloudsnooze.Plugin1.storage"), "the impostor has the name")
        refusal = machine.refusal(plugin_path("storage"), PLUGIN, "Load")
        assert "is not who it should be" in refusal or "is not who it should be" in machine.plugin_property("storage", "LastError"), refusal
        assert machine.owner("io.cloudsnooze.Plugin1.storage") == impostor
        assert machine.plugin_property("storage", "State") != "running"
    wait_until(lambda: machine.owner("io.cloudsnooze.Plugin1.storage") != impostor, "the impostor has gone")
    machine.call(plugin_path("storage"), PLUGIN, "Restart")
    assert machine.plugin_property("storage", "State") == "running"
    machine.call(plugin_path("storage"), PLUGIN, "Disable")


def metrics(machine):
    return {key: entry["data"] for key, entry in machine.manager("GetMetrics")[0].items()}


def cpu_load(machine):
    """load on every processor is seen"""
    busy = "for i in $(seq $(nproc)); do while :; do :; done & done; wait"
    with machine.background("sh", "-c", busy):
        wait_until(lambda: metrics(machine)["cpu_usage"] >= 80, "cpu_usage is 80 %")


def disk_load(machine):
    """writing to the disk is seen"""
    write = "while :; do dd if=/dev/zero of=/var/tmp/load bs=1M count=32 conv=fsync; done"
    with machine.background("sh", "-c", write):
        wait_until(lambda: metrics(machine)["disk_io_kbps"] >= 2000, "disk_io_kbps is 2000")
    machine.run("rm", "-f", "/var/tmp/load")


def network_load(machine):
    """traffic on the one interface is seen, and keeps the machine on"""
    outside = f"ve-{machine.name}"
    run_here("ip", "link", "set", outside, "up")
    machine.run("ip", "link", "set", "host0", "up")
    machine.wait_state("idle")
    frame = b"\xff" * 6 + b"\x02" * 6 + b"\x88\xb5" + b"\0" * 1400  # an experimental EtherType: nobody answers

    def flood():
        for _ in range(2000):
            sender.send(frame)
        return machine.state() == "active"

    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((outside, 0))
        wait_until(lambda: flood() and metrics(machine)["network_kbps"] >= 50, "the machine is active by its traffic")
    machine.wait_state("idle")


def refused(machine):
    """a user without the right is refused, and told what to type instead"""
    calls = {
        "StopInstance": ("going home", "{}"),
        "Pause": (),
        "SetConfiguration": (json.dumps({"naptime_minutes": 1}),),
        "LoadPlugin": ("sessions",),
        "EmitEvent": ("cloud.spot.interrupt", "uint32 3", "uint64 0", "{}"),
    }
    for user in ("nobody", "alice"):
        for member, arguments in calls.items():
            message = machine.refused(member, *arguments, user=user)
            assert "; or: sudo " in message, f"{member}: {message}"
    assert machine.state() != "paused"


def administrators(machine):
    """a member of snooze-admin needs no password"""
    machine.manager("Pause", user="carol")
    machine.wait_state("paused")
    machine.manager("Resume", user="carol")
    machine.wait_state("active", "idle")


def holds_of_others(machine):
    """everybody may hold, and end no hold but his own"""
    cookie = machine.manager("HoldFor", "ts", "3600000000", "thesis", user="alice")[0]
    holds = {hold[0]: hold for hold in machine.manager("ListHolds", user="nobody")[0]}
    assert holds[cookie][1].startswith("alice"), holds[cookie]
    machine.refused("ReleaseHold", f"uint32 {cookie}", user="nobody")
    machine.manager("ReleaseHold", "u", str(cookie), user="alice")
    assert cookie not in [hold[0] for hold in machine.manager("ListHolds")[0]]


def command_line(machine):
    """the command line says where things stand"""
    for words in (("snooze", "status"), ("snooze", "why", "-v"), ("snooze", "plugin", "list"), ("snooze", "provider", "list"),
                  ("snooze", "doctor")):
        result = machine.run(*words, user="alice", check=False)
        assert result.returncode in (0, 1) and result.stdout.strip(), f"{words}: {result}"
    assert json.loads(machine.run("snooze", "status", "--json", user="alice").stdout)


def bus_restart(machine):
    """the bus restarts: snoozed is back with its holds"""
    cookie = machine.manager("HoldFor", "ts", "3600000000", "bus test", user="alice")[0]
    before = machine.unit("snoozed.service", "MainPID")
    service = "dbus-broker.service" if machine.bus == "dbus-broker" else "dbus.service"
    machine.run("systemctl", "--no-block", "restart", service)
    wait_until(lambda: machine.unit("snoozed.service", "MainPID") not in ("0", "", before), "snoozed was started anew")

    def held():
        try:
            return cookie in [hold[0] for hold in machine.manager("ListHolds")[0]]
        except (AssertionError, subprocess.SubprocessError):
            return False

    wait_until(held, "the hold is there")


def run(plan, installed, bus, _build):
    with Machine(installed, bus, CONFIGURATION) as machine:
        plan.cases([activation, disabled, second_daemon, own_users, checks_of_the_administrator,
                     local_is_granted, plugins_answer_the_daemon_alone, log_level,
                     disabled_plugin, impostors, forged_signals, huge_messages, cpu_load, disk_load, network_load,
                     refused, administrators, holds_of_others, command_line, bus_restart], machine)
