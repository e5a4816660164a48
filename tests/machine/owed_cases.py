# SPDX-License-Identifier: Apache-2.0
"""What systemd or the bus could not do for the helper, or a helper that was killed could not do itself: nobody is told that it is done
before it is, and the next call or the next helper does it."""

import contextlib
import os

from helper_cases import FILES, HELPER, NAME, install, permissions, plugin_call
from machine import COMMAND_SECONDS, Machine, wait_until

CONFIGURATION = {"naptime_minutes": 600, "check_interval_seconds": 60}
NOTE = "/etc/cloudsnooze/approvals/.pending"
USERS = "snooze-users.service"
POLICY = FILES[1]
FIFO = "/srv/hold"
# Of one that is held up.
CALL = ("busctl", f"--timeout={COMMAND_SECONDS}", "call", NAME, *HELPER)
HOLD = f"[Service]\nExecStartPre=/bin/sh -c 'read line <{FIFO}'\nTimeoutStartSec=120s\n"


def helper(machine, method, plugin):
    return machine.call(*HELPER, method, "s", plugin, name=NAME)


def helper_refuses(machine, method, plugin):
    return machine.refusal(*HELPER, method, plugin, name=NAME)


def user_exists(machine, plugin):
    return machine.run("getent", "passwd", f"snooze-{plugin}", check=False).returncode == 0


def lines(machine):
    return machine.read(NOTE).splitlines()[1:]


def owed(machine):
    """The plugins that are to be forgotten; None: nothing is owed."""
    with contextlib.suppress(FileNotFoundError):
        return [line for line in lines(machine) if not line.startswith("read ")]
    return None


def there(machine, plugin):
    return [path for path in FILES if os.path.exists(machine.path(path.format(plugin)))]


def assert_known(machine, plugin):
    assert there(machine, plugin)[:7] == FILES[:7], there(machine, plugin)
    assert user_exists(machine, plugin)
    assert owed(machine) is None
    assert machine.unit(f"snooze-plugin@{plugin}.service", "NeedDaemonReload") == "no"


def assert_forgotten(machine, plugin):
    assert not there(machine, plugin), there(machine, plugin)
    assert not user_exists(machine, plugin)
    assert owed(machine) is None


@contextlib.contextmanager
def drop_in(machine, unit, text):
    path = f"/etc/systemd/system/{unit}.d/90-test.conf"
    machine.write(path, text)
    machine.run("systemctl", "daemon-reload")
    try:
        yield
    finally:
        machine.run("rm", "-r", os.path.dirname(path))
        machine.run("systemctl", "daemon-reload")


@contextlib.contextmanager
def masked(machine, unit):
    machine.run("systemctl", "mask", "--runtime", unit)
    try:
        yield
    finally:
        machine.run("systemctl", "unmask", "--runtime", unit)


@contextlib.contextmanager
def unreadable_configuration(machine):
    """A broken file of a directory the bus passes over."""
    machine.write("/etc/dbus-1/system-local.conf", "<busconfig>\n")
    try:
        yield
    finally:
        machine.run("rm", "/etc/dbus-1/system-local.conf")


WAYS = [(lambda machine: drop_in(machine, USERS, "[Service]\nExecStart=\nExecStart=/bin/false\n"), USERS),
        (lambda machine: masked(machine, USERS), USERS),
        (unreadable_configuration, "could not be told to read its files again")]


def end_helper(machine, *how):
    """It may have nothing more to do and be gone by itself."""
    machine.run("systemctl", *how, "snooze-helper.service", check=False)
    wait_until(lambda: machine.unit("snooze-helper.service", "ActiveState") in ("inactive", "failed"), "the end of the helper")


def kill_helper(machine):
    assert machine.unit("snooze-helper.service", "ActiveState") == "active"
    end_helper(machine, "kill", "--kill-who=main", "--signal=KILL")
    assert machine.unit("snooze-helper.service", "Result") == "signal"


def begin_another(machine, plugin):
    """Whatever it is asked. What it found is done when it has noted nothing any more."""
    helper(machine, "ListPermissions", plugin)
    wait_until(lambda: owed(machine) is None, "what was owed to be done")


def a_failed_step_is_done_by_the_next_call(machine):
    """a step that fails fails the call, whoever asks again hears the same, and the first call after it can be done does it"""
    for number, (break_it, part) in enumerate(WAYS):
        plugin = f"owed{number}"
        install(machine, plugin, [])
        with break_it(machine):
            for _ in range(2):
                message = helper_refuses(machine, "Provision", plugin)
                assert "Error.Store" in message and part in message, message
                assert owed(machine) == []
            if part == USERS:
                assert not user_exists(machine, plugin)
        helper(machine, "Provision", plugin)
        assert_known(machine, plugin)
        # The bus passed over the rules for its user as long as there was none.
        plugin_call(machine, plugin, "Enable")
        plugin_call(machine, plugin, "Load")
        machine.run("snooze", "plugin", "uninstall", plugin)
        assert_forgotten(machine, plugin)


def a_failed_step_is_done_by_the_next_helper(machine):
    """and what is still owed when the helper ends, or is killed, the next one does by itself"""
    for number, how in enumerate((("stop",), ("kill", "--kill-who=main", "--signal=KILL"))):
        plugin = f"later{number}"
        install(machine, plugin, [])
        with masked(machine, USERS):
            helper_refuses(machine, "Provision", plugin)
            end_helper(machine, *how)
            assert owed(machine) == [] and not user_exists(machine, plugin)
        begin_another(machine, plugin)
        assert_known(machine, plugin)


def a_removal_that_fails(machine):
    """a user who cannot be removed is owed to who wants that and to nobody else, and goes when it can be done"""
    with masked(machine, "snooze-user-remove@later0.service"):
        message = helper_refuses(machine, "Deprovision", "later0")
        assert "snooze-user-remove@later0.service" in message, message
        assert not there(machine, "later0") and user_exists(machine, "later0") and owed(machine) == ["later0"]
        helper(machine, "Provision", "later1")
        install(machine, "beside", [])
        helper(machine, "Provision", "beside")
        assert user_exists(machine, "beside") and owed(machine) == ["later0"]
    end_helper(machine, "stop")
    begin_another(machine, "later1")
    assert_forgotten(machine, "later0")
    for plugin in ("later1", "beside"):
        assert_known(machine, plugin)


def one_that_hangs_delays_nobody_else(machine):
    """while systemd does not come to an end with one plugin's user, what is asked for another is done"""
    install(machine, "hanging", [])
    machine.run("mkfifo", "--mode=666", FIFO)
    with drop_in(machine, USERS, HOLD), machine.background(*CALL, "Provision", "s", "hanging") as first:
        wait_until(lambda: machine.unit(USERS, "ActiveState") == "activating", f"{USERS} to be under way")
        machine.call(*HELPER, "SetLimits", "sa{sv}", "beside", "1", "tasks", "t", "4", name=NAME)
        assert machine.unit("snooze-plugin@beside.service", "TasksMax") == "4"
        helper(machine, "Provision", "beside")
        plugin_call(machine, "beside", "Enable")
        plugin_call(machine, "beside", "Load")
        assert machine.unit(USERS, "ActiveState") == "activating"
        assert "read hanging" in lines(machine) and first.poll() is None
        machine.run("sh", "-c", f"echo >{FIFO}")
        assert first.wait(30) == 0
    machine.run("rm", FIFO)
    assert_known(machine, "hanging")


def killed_amid_a_removal(machine):
    """a helper that is killed when some of a plugin's files are gone has the rest removed by the next one, and the user"""
    install(machine, "half", ["processes"])
    permissions(machine, "half", "--all")
    helper(machine, "Provision", "half")
    policy = machine.read(POLICY.format("half"))
    # Which no program can unlink: it comes upon that when some are gone.
    machine.run("rm", POLICY.format("half"))
    machine.run("mkdir", POLICY.format("half"))
    message = helper_refuses(machine, "Deprovision", "half")
    assert POLICY.format("half") in message, message
    assert there(machine, "half") == FILES[:2] and user_exists(machine, "half")
    kill_helper(machine)
    machine.run("rmdir", POLICY.format("half"))
    machine.write(POLICY.format("half"), policy)
    assert owed(machine) == ["half"]
    begin_another(machine, "half")
    assert_forgotten(machine, "half")


def waiting_in(machine, unit, method, plugin):
    """The helper is killed while systemd does this for it, and systemd goes on."""
    machine.run("mkfifo", "--mode=666", FIFO)
    with drop_in(machine, unit, HOLD):
        with machine.background(*CALL, method, "s", plugin):
            wait_until(lambda: machine.unit(unit, "ActiveState") == "activating", f"{unit} to be under way")
            kill_helper(machine)
        # As long as there is somebody who reads.
        machine.run("sh", "-c", f"echo >{FIFO}")
        wait_until(lambda: machine.unit(unit, "ActiveState") == "inactive", f"{unit} to be done")
    machine.run("rm", FIFO)


def killed_while_a_user_is_made(machine):
    """a helper that is killed while systemd makes the user has all the rest done by the next one"""
    install(machine, "making", [])
    waiting_in(machine, USERS, "Provision", "making")
    assert owed(machine) == []
    begin_another(machine, "making")
    assert_known(machine, "making")


def killed_while_a_user_is_removed(machine):
    """and so has one while systemd removes him: who is made known again then has a user"""
    waiting_in(machine, "snooze-user-remove@making.service", "Deprovision", "making")
    assert owed(machine) == ["making"] and not user_exists(machine, "making")
    begin_another(machine, "making")
    assert_forgotten(machine, "making")
    helper(machine, "Provision", "making")
    assert_known(machine, "making")


def run(plan, installed, bus, build):
    with Machine(installed, bus, CONFIGURATION) as machine:
        machine.build = build
        plan.cases([a_failed_step_is_done_by_the_next_call, a_failed_step_is_done_by_the_next_helper, a_removal_that_fails,
                    one_that_hangs_delays_nobody_else, killed_amid_a_removal, killed_while_a_user_is_made, killed_while_a_user_is_removed], machine)
