# SPDX-License-Identifier: Apache-2.0
"""A plugin that runs inside the daemon: installed as a package would, under the daemon's own sandbox, and only where an administrator turned
that on. Whatever is not official, or what somebody else could have changed, is kept out."""

import json
import os
import shutil

from helper_cases import plugin_call, refused
from machine import Machine, wait_until

PACKAGED, LOCAL = "/usr/lib/cloudsnooze/plugins/{}", "/etc/cloudsnooze/plugins/{}"
CONFIGURATION = {"naptime_minutes": 600, "check_interval_seconds": 60, "plugins": {"native_enabled": True}}
# Its own name, which its table says.
NATIVE = "one"


def place(machine, directory, name, **more):
    """A native plugin in a directory, as root would put it there."""
    place_file(machine, directory, name)
    manifest = {"name": name, "version": "1.0.0", "runtime": "native", "official": True, "exec": f"{name}.so",
                "contracts": ["IdleCheck", "RequestHandler"],
                "config_schema": {"mode": {"type": "string", "default": "idle"}}, **more}
    machine.write(f"{directory.format(name)}/plugin.json", json.dumps(manifest))
    machine.manager("DiscoverPlugins")


def place_file(machine, directory, name):
    path = machine.path(directory.format(name))
    os.makedirs(path, exist_ok=True)
    shutil.copy(os.path.join(machine.build, "tests/unit/native-plugin.so"), f"{path}/{name}.so.new")
    os.chmod(f"{path}/{name}.so.new", 0o755)
    os.rename(f"{path}/{name}.so.new", f"{path}/{name}.so")


def loaded(machine, name):
    """Whether the daemon has its code."""
    pid = machine.unit("snoozed.service", "MainPID")
    return f"/{name}.so" in machine.run("cat", f"/proc/{pid}/maps").stdout


def an_official_one_runs_in_the_daemon(machine):
    """an installed official plugin runs inside the daemon, without unit or user of its own, and votes"""
    place(machine, PACKAGED, NATIVE)
    plugin_call(machine, NATIVE, "Enable")
    plugin_call(machine, NATIVE, "Load")
    assert machine.plugin_property(NATIVE, "State") == "running"
    assert loaded(machine, NATIVE)
    assert plugin_call(machine, NATIVE, "CheckIdle")[0] == "idle"
    assert machine.unit(f"snooze-plugin@{NATIVE}.service", "ActiveState") == "inactive"
    assert not machine.owner(f"io.cloudsnooze.Plugin1.{NATIVE}")
    machine.manager("CheckNow")
    votes = machine.manager("Explain")[2]
    assert any(vote[0] == NATIVE and vote[1] == "idle" for vote in votes), votes


def the_administrators_is_refused(machine):
    """one that no package brought is refused, whatever its manifest says"""
    place(machine, LOCAL, "two")
    plugin_call(machine, "two", "Enable")
    assert machine.plugin_property("two", "Official") is False
    refusal = refused(machine, "two", "Load")
    assert "only what came with CloudSnooze" in refusal, refusal
    assert not loaded(machine, "two")


def an_unofficial_one_is_refused(machine):
    """one that lies among the packaged, but does not say that it is official, is refused"""
    place(machine, PACKAGED, "three", official=False)
    plugin_call(machine, "three", "Enable")
    refusal = refused(machine, "three", "Load")
    assert "only what came with CloudSnooze" in refusal, refusal
    assert not loaded(machine, "three")


def what_others_can_write_is_refused(machine):
    """an official one that somebody else owns or can write to, itself or a directory above it, is not loaded"""
    for number, (change, undo) in enumerate((("chmod 666 {}/{}.so", ""), ("chown alice {}/{}.so", ""), ("chmod 777 {}", ""),
                                             ("chown alice {}", ""), ("chmod 777 /usr/lib/cloudsnooze", "chmod 755 /usr/lib/cloudsnooze"))):
        name = f"open{number}"
        place(machine, PACKAGED, name)
        plugin_call(machine, name, "Enable")
        directory = PACKAGED.format(name)
        machine.run("sh", "-c", change.format(directory, name))
        refusal = refused(machine, name, "Load")
        assert "writ" in refusal or "belongs to" in refusal or "owned" in refusal, f"{change}: {refusal}"
        assert not loaded(machine, name), change
        if undo:
            machine.run("sh", "-c", undo)
        machine.run("rm", "-rf", directory)


def it_goes_when_it_is_turned_off(machine):
    """without plugins.native_enabled it ends, and is not started again"""
    machine.manager("SetConfiguration", "s", json.dumps({"plugins": {"native_enabled": False}}))
    wait_until(lambda: machine.plugin_property(NATIVE, "State") == "stopped", "it has ended")
    refusal = refused(machine, NATIVE, "Load")
    assert "plugins.native_enabled is false" in refusal, refusal


def run(plan, installed, bus, build):
    with Machine(installed, bus, CONFIGURATION) as machine:
        machine.build = build
        plan.cases([an_official_one_runs_in_the_daemon, the_administrators_is_refused, an_unofficial_one_is_refused,
                    what_others_can_write_is_refused, it_goes_when_it_is_turned_off], machine)
