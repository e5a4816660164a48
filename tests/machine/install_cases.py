# SPDX-License-Identifier: Apache-2.0
"""Versions of one plugin that are installed side by side: who may bring them, which of them each slot's unit runs and with what, and how one
takes the place of another, forth, back, and back by itself."""

import json
import os
import shutil
import tarfile

from helper_cases import FILES, HELPER, NAME, PLUGIN, ROOT, permissions, plugin_call
from machine import Machine, wait_until

CONFIGURATION = {"naptime_minutes": 600, "check_interval_seconds": 60}
INSTALLED = "/var/lib/cloudsnooze/plugins"
UNITS = ("snooze-plugin@counting.service", "snooze-plugin-b@counting.service")
MANIFEST = {"name": "counting", "contracts": ["IdleCheck", "State", "RequestHandler"],
            "limits": {"memory_mb": 32, "cpu_percent": 50, "tasks": 8}, "timeouts": {"export": 2, "shutdown": 3}}


def source(machine, version, *behaviour, **more):
    """A directory in the machine with the counting plugin in this version."""
    place = machine.path(f"/srv/source/{version}")
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place)
    shutil.copy(os.path.join(machine.build, "tests/bus/counting-plugin"), f"{place}/counting")
    for name, text in (("version", version), ("behaviour", " ".join(behaviour)),
                       ("plugin.json", json.dumps({**MANIFEST, "version": version, **more}))):
        machine.write(f"/srv/source/{version}/{name}", text)
    return f"/srv/source/{version}"


def snooze(machine, *words, user=None, check=True):
    return machine.run("snooze", "plugin", *words, user=user, check=check)


def ask(machine, method="count"):
    success, result = plugin_call(machine, "counting", "Call", "sa{sv}", method, "0")
    assert success, result
    return {name: value["data"] for name, value in result.items()}


def current(machine):
    return os.readlink(machine.path(f"{INSTALLED}/counting/current"))


def running(machine):
    return [unit for unit in UNITS if machine.unit(unit, "ActiveState") == "active"]


def assert_runs(machine, version, count):
    answer = ask(machine)
    assert (answer["version"], answer["count"]) == (version, count), answer
    assert (current(machine), machine.plugin_property("counting", "Version")) == (version, version)
    unit, = running(machine)
    pid = machine.unit(unit, "MainPID")
    assert pid == str(answer["pid"]), f"{unit}: {pid}"
    program = machine.run("readlink", f"/proc/{pid}/exe").stdout.strip()
    assert program == f"{INSTALLED}/counting/{version}/counting", program
    assert machine.user_of(pid) == "snooze-counting"
    return unit


def pinned(machine):
    """Which version each slot's unit would run, as systemd says."""
    return [machine.unit(unit, "ExecStart").partition("path=")[2].partition(" ;")[0].split("/")[-2] for unit in UNITS]


def an_administrator_installs(machine):
    """root installs a version; group snooze-admin, others and the daemon's user do not"""
    place = source(machine, "1.0.0")
    for user in ("carol", "alice", "snooze"):
        result = snooze(machine, "install", place, user=user, check=False)
        assert result.returncode == 3 and "sudo snooze plugin install" in result.stderr, f"{user}: {result}"
    assert os.listdir(machine.path(INSTALLED)) == []
    with tarfile.open(machine.path("/srv/counting.tar.gz"), "w:gz") as archive:
        archive.add(machine.path(place), arcname=".")
    assert "Installed counting 1.0.0." in snooze(machine, "install", "/srv/counting.tar.gz").stdout
    for path in ("", "/1.0.0", "/1.0.0/counting", "/1.0.0/plugin.json"):
        assert os.stat(machine.path(f"{INSTALLED}/counting{path}")).st_uid == 0, path
    wait_until(lambda: [f"{ROOT}/plugin/counting"] == [path for path in machine.manager("ListPlugins")[0] if "counting" in path],
               "the daemon to see it")
    assert machine.plugin_property("counting", "Trust") == "unsigned"


def it_runs_from_there(machine):
    """enabled, it runs from its version's directory in its own unit"""
    plugin_call(machine, "counting", "Enable")
    plugin_call(machine, "counting", "Load")
    unit = assert_runs(machine, "1.0.0", 1)
    assert unit == UNITS[0] and machine.unit(unit, "MemoryMax") == str(32 << 20)


def an_upgrade(machine):
    """another version takes its place in the other slot, with its state, and then both slots run that"""
    snooze(machine, "install", source(machine, "2.0.0", limits={"memory_mb": 24, "tasks": 6}))
    assert_runs(machine, "1.0.0", 2)
    assert snooze(machine, "update", "counting").stdout == "1.0.0 → 2.0.0\n"
    unit = assert_runs(machine, "2.0.0", 3)
    assert unit == UNITS[1] and machine.unit(unit, "MemoryMax") == str(24 << 20)
    wait_until(lambda: pinned(machine) == ["2.0.0", "2.0.0"], "its trial to end")


def a_downgrade(machine):
    """and back again, also after the daemon was started anew"""
    machine.run("systemctl", "restart", "snoozed.service")
    plugin_call(machine, "counting", "Load")
    assert_runs(machine, "2.0.0", 4)
    assert snooze(machine, "update", "counting", "1.0.0").stdout == "2.0.0 → 1.0.0\n"
    assert_runs(machine, "1.0.0", 5)


def one_that_is_not_there(machine):
    """a version that is not there or broken is refused with a list of those that are"""
    for version in ("9.9.9", "../2.0.0", "current"):
        message = machine.refusal(f"{ROOT}/plugin/counting", PLUGIN, "Upgrade", f"'{version}'")
        assert "InvalidArgument" in message and "installed: 1.0.0, 2.0.0" in message, message
    os.chmod(machine.path(f"{INSTALLED}/counting/2.0.0/counting"), 0o775)
    os.chown(machine.path(f"{INSTALLED}/counting/2.0.0/counting"), 0, 1)
    message = machine.refusal(f"{ROOT}/plugin/counting", PLUGIN, "Upgrade", "'2.0.0'")
    assert "can be written by others" in message, message
    os.chmod(machine.path(f"{INSTALLED}/counting/2.0.0/counting"), 0o755)
    assert_runs(machine, "1.0.0", 6)


def a_failure_before(machine):
    """a version that does not start, or does not take the state, changes nothing"""
    for version, behaviour, step in (("3.0.0", "dies-at-start", "starting it"), ("3.0.1", "dies-at-initialize", "greeting it"),
                                     ("3.0.2", "refuses-import", "importing the state")):
        snooze(machine, "install", source(machine, version, behaviour))
        result = snooze(machine, "update", "counting", version, check=False)
        assert result.returncode != 0 and step in result.stderr, result
    assert_runs(machine, "1.0.0", 7)
    wait_until(lambda: pinned(machine) == ["1.0.0", "1.0.0"], "both slots to run what serves")


def a_failure_after(machine):
    """one that dies shortly after it took over is replaced by the old version and what that knew"""
    snooze(machine, "install", source(machine, "4.0.0", "dies-at-work"))
    snooze(machine, "update", "counting", "4.0.0")
    assert current(machine) == "4.0.0"
    machine.refusal(f"{ROOT}/plugin/counting", PLUGIN, "Call", "'count'", "@a{sv} {}")
    wait_until(lambda: machine.plugin_property("counting", "State") == "running", "the old version")
    wait_until(lambda: current(machine) == "1.0.0", "the link")
    assert_runs(machine, "1.0.0", 8)
    assert "which runs again" in machine.run("snooze", "history", "--kind", "problem", "--json").stdout


def more_is_asked_again(machine):
    """a version that asks for more runs once that is approved, and the others do not get it"""
    machine.run("install", "-d", "-m", "755", "-o", "alice", "/home/alice/data")
    snooze(machine, "install", source(machine, "5.0.0", permissions=["read:/home/alice/data"]))
    result = snooze(machine, "update", "counting", "5.0.0", check=False)
    assert "snooze plugin permissions counting --version 5.0.0" in result.stderr, result
    assert_runs(machine, "1.0.0", 9)
    permissions(machine, "counting", "--version", "5.0.0", "--all")
    snooze(machine, "update", "counting", "5.0.0")
    unit = assert_runs(machine, "5.0.0", 10)
    other, = set(UNITS) - {unit}
    assert "/home/alice/data" in machine.unit(unit, "BindReadOnlyPaths")
    assert "/home/alice/data" not in machine.unit(other, "BindReadOnlyPaths")
    snooze(machine, "update", "counting", "1.0.0")
    assert "/home/alice/data" not in machine.unit(assert_runs(machine, "1.0.0", 11), "BindReadOnlyPaths")


def a_captured_daemon(machine):
    """the daemon's user chooses among what is installed; it brings nothing, removes nothing, and changes no file of it"""
    before = sorted(os.listdir(machine.path(f"{INSTALLED}/counting")))
    for path in (INSTALLED, f"{INSTALLED}/counting", f"{INSTALLED}/counting/1.0.0"):
        assert machine.run("touch", f"{path}/mine", user="snooze", check=False).returncode != 0, path
    assert machine.run("mv", INSTALLED, "/var/lib/cloudsnooze/theirs", user="snooze", check=False).returncode != 0
    assert machine.run("ln", "-sfn", "2.0.0", f"{INSTALLED}/counting/current", user="snooze", check=False).returncode != 0
    for member, *arguments in (("RemoveVersions", "counting", "2.0.0"), ("RemoveVersions", "counting", "''"),
                               ("ProvisionVersion", "counting", "'../../../../srv'", "a"), ("ProvisionVersion", "counting", "9.9.9", "a"),
                               ("SwitchVersion", "counting", "'../../../../srv'"), ("SwitchVersion", "bash", "1.0.0")):
        machine.refusal(*HELPER, member, *arguments, name=NAME, user="snooze")
    for user in ("nobody", "carol", "snooze-counting"):
        machine.refusal(*HELPER, "SwitchVersion", "counting", "2.0.0", name=NAME, user=user)
        machine.refusal(*HELPER, "ProvisionVersion", "counting", "2.0.0", "a", name=NAME, user=user)
    machine.refusal(*HELPER, "RemoveVersions", "counting", "2.0.0", name=NAME, user="alice")
    assert sorted(os.listdir(machine.path(f"{INSTALLED}/counting"))) == before
    assert_runs(machine, "1.0.0", 12)


def all_of_it_goes(machine):
    """a version that does not run is removed alone; the plugin with all of its versions and files of the system"""
    result = snooze(machine, "uninstall", "counting", "1.0.0", check=False)
    assert result.returncode == 3 and "in use" in result.stderr, result
    snooze(machine, "uninstall", "counting", "4.0.0")
    assert not os.path.exists(machine.path(f"{INSTALLED}/counting/4.0.0"))
    assert_runs(machine, "1.0.0", 13)
    own = "/etc/systemd/system/snooze-plugin@counting.service.d/override.conf"
    machine.write(own, "[Service]\nNice=5\n")
    result = snooze(machine, "uninstall", "counting")
    assert f"{os.path.dirname(own)} says something of counting" in result.stderr, result
    assert "snooze-plugin-b@" not in result.stderr, result
    os.unlink(machine.path(own))
    os.rmdir(machine.path(os.path.dirname(own)))
    assert os.listdir(machine.path(INSTALLED)) == []
    for path in FILES:
        assert not os.path.exists(machine.path(path.format("counting"))), path
    assert running(machine) == []


def run(plan, installed, bus, build):
    with Machine(installed, bus, CONFIGURATION) as machine:
        machine.build = build
        plan.cases([an_administrator_installs, it_runs_from_there, an_upgrade, a_downgrade, one_that_is_not_there, a_failure_before,
                    a_failure_after, more_is_asked_again, a_captured_daemon, all_of_it_goes], machine)
