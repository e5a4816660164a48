# SPDX-License-Identifier: Apache-2.0
"""What the daemon makes of a watched directory by itself, where nobody asks it to look: a plugin comes, is replaced, and goes; one that
cannot be served here is refused; and how one is configured."""

import json
import os
import shutil

from helper_cases import plugin_call, refused
from machine import wait_until

DIRECTORY = "/etc/cloudsnooze/plugins"
SAID = "/var/tmp/objects"
UNITS = ("snooze-plugin@example.service", "snooze-plugin-b@example.service")
MANIFEST = {
    "contracts": ["IdleCheck", "EventHandler", "State", "DataProcessor", "RequestHandler"], "limits": {"memory_mb": 32},
    "config_schema": {"mode": {"type": "string", "description": "What it answers", "default": "idle",
                               "constraints": "idle|at-once|impossible"}}}


def place(machine, plugin, program, **more):
    """All of it at once: what is half written is another plugin."""
    source = machine.path(f"{DIRECTORY}/.{plugin}")
    os.makedirs(source)
    shutil.copy(os.path.join(machine.build, program), f"{source}/{plugin}")
    write_manifest(machine, f".{plugin}", {"name": plugin, "version": "1.0.0", **more})
    machine.run("mv", f"{DIRECTORY}/.{plugin}", f"{DIRECTORY}/{plugin}")


def write_manifest(machine, plugin, manifest):
    machine.write(f"{DIRECTORY}/{plugin}/.new", json.dumps(manifest))
    machine.run("mv", f"{DIRECTORY}/{plugin}/.new", f"{DIRECTORY}/{plugin}/plugin.json")


def is_said(machine, signal, plugin):
    return any(signal in line and f"/plugin/{plugin}'" in line for line in machine.read(SAID).splitlines())


def listening(machine):
    return machine.background("sh", "-c", f"exec gdbus monitor --system --dest io.cloudsnooze.Snooze1 >{SAID}")


def one_appears(machine):
    """a plugin that is put into a watched directory is found and announced, and nobody has to ask for it"""
    with listening(machine):
        wait_until(lambda: "owned by" in machine.run("cat", SAID, check=False).stdout, "somebody listens")
        place(machine, "example", "tests/bus/sdk-plugin", **MANIFEST)
        wait_until(lambda: is_said(machine, "InterfacesAdded", "example"), "it is announced")
    assert machine.plugin_property("example", "State") == "discovered"
    plugin_call(machine, "example", "Enable")
    plugin_call(machine, "example", "Load")
    assert plugin_call(machine, "example", "CheckIdle")[:2] == ["idle", "nothing to do"]


def it_is_configured(machine):
    """snooze plugin configure holds a value against the schema, the plugin takes or refuses it, and what it took is in force"""
    for value, words in (("wild", "idle|at-once|impossible"), ("impossible", "mode: impossible is impossible")):
        result = machine.run("snooze", "plugin", "configure", "example", f"mode={value}", check=False)
        assert result.returncode != 0 and words in result.stderr, result
    assert plugin_call(machine, "example", "CheckIdle")[0] == "idle"
    machine.run("snooze", "plugin", "configure", "example", "mode=at-once")
    assert plugin_call(machine, "example", "CheckIdle")[:2] == ["busy", "sooner than it thought"]


def it_is_replaced(machine):
    """a manifest of another version replaces the running one by itself: the other unit runs, as configured"""
    unit = machine.plugin_property("example", "Unit")
    write_manifest(machine, "example", {"name": "example", "version": "1.1.0", **MANIFEST})
    wait_until(lambda: machine.plugin_property("example", "Version") == "1.1.0", "the new version")
    other, = set(UNITS) - {unit}
    assert (machine.plugin_property("example", "Unit"), machine.plugin_property("example", "State")) == (other, "running")
    assert plugin_call(machine, "example", "CheckIdle")[:2] == ["busy", "sooner than it thought"]
    wait_until(lambda: machine.unit(unit, "ActiveState") == "inactive", "the old one has left")


def it_goes(machine):
    """one whose directory is taken away is gone, and that is announced"""
    machine.run("snooze", "plugin", "configure", "example", "--reset", "mode")
    machine.run("snooze", "plugin", "uninstall", "example")
    with listening(machine):
        wait_until(lambda: "owned by" in machine.run("cat", SAID, check=False).stdout, "somebody listens")
        machine.run("mv", f"{DIRECTORY}/example", "/srv/example")
        wait_until(lambda: is_said(machine, "InterfacesRemoved", "example"), "it is announced")
    assert not any("example" in path for path in machine.manager("ListPlugins")[0])


def a_later_host_is_asked_for(machine):
    """one that asks for a later CloudSnooze is shown as broken and not enabled, until its manifest asks for less"""
    place(machine, "early", "tests/bus/counting-plugin", contracts=["IdleCheck"], min_host_version="99.0")
    wait_until(lambda: any("early" in path for path in machine.manager("ListPlugins")[0]), "it is found")
    assert machine.plugin_property("early", "State") == "failed"
    for said in (machine.plugin_property("early", "LastError"), refused(machine, "early", "Enable")):
        assert "min_host_version" in said and "asks for CloudSnooze 99.0" in said, said
    write_manifest(machine, "early", {"name": "early", "version": "1.0.0", "contracts": ["IdleCheck"], "min_host_version": "0.1"})
    wait_until(lambda: machine.plugin_property("early", "State") == "discovered", "the new manifest is taken")
    assert machine.plugin_property("early", "LastError") == ""
    machine.run("rm", "-r", f"{DIRECTORY}/early")


def another_api_is_spoken(machine):
    """one that speaks an API that this host does not serve is refused, and both versions are named"""
    place(machine, "foreign", "tests/unit/fake-plugin", contracts=["IdleCheck"])
    wait_until(lambda: any("foreign" in path for path in machine.manager("ListPlugins")[0]), "it is found")
    plugin_call(machine, "foreign", "Enable")
    program = f"{DIRECTORY}/foreign/foreign"
    machine.write("/etc/systemd/system/snooze-plugin@foreign.service.d/50-test.conf",
                  f"[Service]\nType=exec\nExecStart=\nExecStart={program} foreign wrong-api /tmp\n")
    machine.run("systemctl", "daemon-reload")
    message = refused(machine, "foreign", "Load")
    assert "speaks version 7 of the plugin API, expected 1" in message, message
    machine.run("snooze", "plugin", "uninstall", "foreign")
    machine.run("rm", "-r", f"{DIRECTORY}/foreign", "/etc/systemd/system/snooze-plugin@foreign.service.d")


CASES = [one_appears, it_is_configured, it_is_replaced, it_goes, a_later_host_is_asked_for, another_api_is_spoken]
