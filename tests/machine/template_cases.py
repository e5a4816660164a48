# SPDX-License-Identifier: Apache-2.0
"""What `snooze plugin new` begins in each language, installed as its README says, in the unit that no author has to write."""

import os
import shutil
import tempfile

from helper_cases import plugin_call
from machine import run, wait_until

PLUGINS = {"c": "begun-in-c", "python": "begun-in-python", "shell": "begun-in-shell"}
HEADING = "Install it, as root, and let it run:"


def unit_of(plugin):
    return f"snooze-plugin@{plugin}.service"


def path_of(plugin):
    return plugin.replace("-", "_2d")


def pid_of(machine, plugin):
    return machine.unit(unit_of(plugin), "MainPID")


def commands(readme):
    """Those that the README gives to install it, without what it says about them."""
    block = readme.partition(HEADING)[2].strip("\n").partition("\n\n")[0]
    found = [line.partition("#")[0].strip() for line in block.splitlines() if line.startswith("    ")]
    assert len(found) >= 3, readme
    return found


def build_and_install(machine, source):
    """Where the compiler is: the machine has none."""
    with tempfile.TemporaryDirectory() as directory:
        place = os.path.join(directory, "source")
        shutil.copytree(machine.path(source), place)
        environment = dict(os.environ, PKG_CONFIG_PATH=os.path.join(machine.build, "meson-uninstalled"))
        run("meson", "setup", "-Dwerror=true", "build", cwd=place, env=environment)
        run("meson", "compile", "-C", "build", cwd=place, env=environment)
        run("meson", "install", "-C", "build", "--destdir", machine.root, cwd=place, env=environment)


def begin(machine, template, plugin):
    source = f"/home/carol/{plugin}"
    machine.run("snooze", "plugin", "new", "--template", template, source, user="carol")
    for command in commands(machine.read(f"{source}/README.md")):
        if command.startswith("meson install "):
            build_and_install(machine, source)
        else:
            machine.run("sh", "-c", f"cd {source} && {command}")


def assert_shut_in(machine, plugin):
    """By the kernel, as itself."""
    pid = pid_of(machine, plugin)
    assert machine.user_of(pid) == f"snooze-{plugin}"
    status = dict(line.split(":", 1) for line in machine.run("cat", f"/proc/{pid}/status").stdout.splitlines())
    kept = {name: status[name].strip() for name in ("NoNewPrivs", "Seccomp", "CapEff", "CapBnd")}
    assert kept == {"NoNewPrivs": "1", "Seccomp": "2", "CapEff": "0" * 16, "CapBnd": "0" * 16}, kept
    addresses = machine.run("nsenter", "-t", pid, "-n", "ip", "-brief", "link").stdout.split()
    assert addresses[:1] == ["lo"] and "host0" not in " ".join(addresses), addresses


def votes(machine, plugin):
    machine.manager("CheckNow")
    return [vote[1:3] for vote in machine.manager("Explain")[2] if vote[0] == plugin]


def they_serve(machine):
    """one begun from each template and installed as its README says votes, under its own user in its own unit"""
    for template, plugin in PLUGINS.items():
        begin(machine, template, plugin)
        assert machine.plugin_property(path_of(plugin), "State") == "running"
        assert_shut_in(machine, plugin)
        for verdict, words in (("idle", "is not there"), ("busy", "is there")):
            answer = plugin_call(machine, path_of(plugin), "CheckIdle")
            assert answer[:2] == [verdict, f"/run/{plugin}.lock {words}"], f"{plugin}: {answer}"
            assert votes(machine, plugin) == [answer[:2]], f"{plugin}: {machine.manager('Explain')[2]}"
            machine.run("touch", f"/run/{plugin}.lock")
        machine.run("rm", f"/run/{plugin}.lock")


def they_leave_when_told(machine):
    """on SIGTERM each leaves and has not failed, and the next question starts it again"""
    for plugin in PLUGINS.values():
        before = pid_of(machine, plugin)
        assert before not in ("0", ""), f"{plugin} does not run"
        machine.run("kill", "-TERM", before)
        wait_until(lambda p=plugin: machine.plugin_property(path_of(p), "State") == "stopped", f"{plugin} has stopped")
        wait_until(lambda p=plugin: machine.unit(unit_of(p), "ActiveState") == "inactive", f"{plugin} has ended")
        assert machine.unit(unit_of(plugin), "Result") == "success"
        assert machine.plugin_property(path_of(plugin), "LastError") == ""
        assert plugin_call(machine, path_of(plugin), "CheckIdle")[0] == "idle"
        assert pid_of(machine, plugin) not in ("0", before)
        assert machine.plugin_property(path_of(plugin), "Restarts") == 0


def they_are_removed(machine, plugins=tuple(PLUGINS.values())):
    """uninstalled they run no more, and their users are gone"""
    for plugin in plugins:
        machine.run("snooze", "plugin", "uninstall", plugin)
        assert machine.unit(unit_of(plugin), "ActiveState") == "inactive", plugin
        assert machine.run("getent", "passwd", f"snooze-{plugin}", check=False).returncode != 0, plugin


def installed_they_serve(machine):
    """a script that `plugin install` took over runs as the one in /etc does: its interpreter, and that one's, may be run"""
    scripts = (PLUGINS["python"], PLUGINS["shell"])
    for plugin in scripts:
        machine.run("rm", "-r", f"/etc/cloudsnooze/plugins/{plugin}")  # which would come before
        machine.run("snooze", "plugin", "install", f"/home/carol/{plugin}")
        wait_until(lambda p=plugin: machine.plugin_property(path_of(p), "Trust") == "unsigned", f"{plugin}, which is another one")
        machine.run("snooze", "plugin", "enable", plugin)
        answer = plugin_call(machine, path_of(plugin), "CheckIdle")
        assert answer[:2] == ["idle", f"/run/{plugin}.lock is not there"], f"{plugin}: {answer}"
        assert_shut_in(machine, plugin)
        assert machine.unit(unit_of(plugin), "ExecStart").partition("path=")[2].startswith("/var/lib/cloudsnooze/plugins/")
    they_are_removed(machine, scripts)
