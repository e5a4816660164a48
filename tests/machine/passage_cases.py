# SPDX-License-Identifier: Apache-2.0
"""From an idle machine to one that is switched off, and what may come between."""

import contextlib
import json
import os
import time

from daemon_cases import CONFIGURATION
from machine import Machine, wait_until

NAPTIME = 6
# A warning that is long enough for what is done in it where six machines boot beside this one.
QUICK = dict(CONFIGURATION, naptime_minutes=NAPTIME / 60, warning_minutes=0.25, max_delay_seconds=30, dry_run=False,
             input_idle_threshold_secs=3, plugins={"plugin_configs": {"sessions": {"input_idle_minutes": 0.05}}})
TYPESCRIPT = "/var/tmp/terminal.txt"
ROOT_TYPESCRIPT = "/var/tmp/root-terminal.txt"
LOGIN_TYPESCRIPT = "/var/tmp/login-terminal.txt"
# Where somebody logs in during the warning and types: terminals keep the time of that in steps of 8 s.
TYPED = dict(QUICK, warning_minutes=0.4, input_idle_threshold_secs=20, plugins={"plugin_configs": {"sessions": {"input_idle_minutes": 0.3}}})


@contextlib.contextmanager
def terminal(machine):
    """A terminal with a shell that somebody left alone; what it shows is in TYPESCRIPT."""
    with machine.background("script", "--quiet", "--flush", "--command", "exec bash --norc", TYPESCRIPT):
        wait_until(lambda: machine.run("sh", "-c", "ls /dev/pts | grep -c '^[0-9]'", check=False).stdout.strip() not in ("", "0"),
                   "there is a terminal")
        yield


@contextlib.contextmanager
def root_login(machine):
    """The terminal of a login as root, with the profile that the distribution ships. What is written to the stdin of what this yields
    is typed there."""
    with machine.background("script", "--quiet", "--flush", "--command", "exec bash --login", ROOT_TYPESCRIPT) as process:
        wait_until(lambda: closed(machine), "root's profile has closed its terminal")
        yield process


@contextlib.contextmanager
def login(machine, user):
    """A login through PAM, so that logind has a session with a terminal. What is written to the stdin of what this yields is typed
    there."""
    with machine.background("script", "--quiet", "--flush", "--command", f"exec login -f {user}", LOGIN_TYPESCRIPT) as process:
        wait_until(lambda: any(entry[2] == user for entry in sessions(machine)), "logind has the session")
        session, = (entry[0] for entry in sessions(machine) if entry[2] == user)
        told = machine.run("loginctl", "show-session", session, "-p", "Type", "-p", "TTY", "-p", "Service").stdout.split()
        assert {"Type=tty", "Service=login"} <= set(told) and "TTY=pts/" in " ".join(told), told
        yield process


def sessions(machine):
    """Of logind: id, uid, user, seat and path of each."""
    return machine.call("/org/freedesktop/login1", "org.freedesktop.login1.Manager", "ListSessions", name="org.freedesktop.login1")[0]


def closed(machine):
    """What doctor says of terminals closed by mesg n."""
    findings = json.loads(machine.run("snooze", "doctor", "--json", check=False).stdout)
    return [finding["message"] for finding in findings if "mesg n" in finding["message"]]


@contextlib.contextmanager
def hold(machine, user, why):
    with machine.background("snooze", "hold", "--why", why, "--", "sleep", "100000", user=user):
        wait_until(lambda: why in machine.run("snooze", "holds", check=False).stdout, f"{user} holds")
        yield


def main_pid(machine):
    return machine.unit("snoozed.service", "MainPID")


def kill_daemon(machine):
    """kill -9, and wait until systemd has started it anew and it answers."""
    before = main_pid(machine)
    machine.run("kill", "-9", before)
    wait_until(lambda: main_pid(machine) not in ("0", before), "snoozed was started anew")
    machine.manager("GetMetrics")


def history(machine):
    return machine.manager("GetHistory", "ttu", "0", "0", "10000")[0]


def states(machine):
    """Every state that history knows, oldest first."""
    rows = [{key: entry["data"] for key, entry in row.items()} for row in history(machine)]
    return [row["state"] for row in reversed(rows) if row.get("kind") == "state" and "state" in row]


def idle_for(machine, seconds):
    since = machine.property("IdleSince")
    return since and time.time() - since / 1e6 > seconds


def holds_keep_it_on(machine):
    """a hold keeps an idle machine on, and outlives kill -9 of the daemon"""
    with hold(machine, "alice", "thesis"):
        machine.wait_state("idle")
        kill_daemon(machine)
        holds = machine.manager("ListHolds")[0]
        assert any("alice" in entry[1] and entry[2] == "thesis" for entry in holds), holds
        machine.wait_state("idle")
        wait_until(lambda: idle_for(machine, NAPTIME + 3), "nap time is over")
        # One more decision, so that this is none of before.
        machine.manager("CheckNow")
        assert machine.state() == "idle"
        assert "alice" in machine.property("Reason"), machine.property("Reason")
    wait_until(lambda: not machine.manager("ListHolds")[0], "the hold has ended with its program")


def hung(machine):
    """one that hangs is ended by systemd's watchdog and started anew: no hold and no history is lost"""
    dropin = "/etc/systemd/system/snoozed.service.d/watchdog.conf"
    machine.write(dropin, "[Service]\nWatchdogSec=8\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "snoozed.service")
    try:
        with hold(machine, "alice", "a book"):
            machine.manager("HoldFor", "ts", str(600 * 1_000_000), "a page", user="carol")
            before, pid, rows = machine.manager("ListHolds")[0], main_pid(machine), len(history(machine))
            assert len(before) == 2, before
            assert machine.unit("snoozed.service", "WatchdogUSec") == "8s"
            machine.run("kill", "-STOP", pid)
            wait_until(lambda: main_pid(machine) not in ("0", pid), "snoozed was ended and started anew")
            journal = machine.run("journalctl", "--no-pager", "-b", "-u", "snoozed.service", "-o", "cat").stdout
            assert "Watchdog timeout" in journal, journal[-2000:]
            assert machine.manager("ListHolds")[0] == before
            assert len(history(machine)) >= rows
            machine.manager("ReleaseHold", "u", str(next(cookie for cookie, who, *_ in before if who == "carol")), user="carol")
    finally:
        os.unlink(machine.path(dropin))
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "snoozed.service")
    machine.manager("GetMetrics")


def inhibitors_count(machine):
    """an inhibitor of logind is a hold: it alone keeps the machine on when nap time is over, and the warning follows its end"""
    with machine.background("systemd-inhibit", "--what=shutdown", "--who=backup", "--why=nightly", "--mode=block", "sleep", "100000"):
        wait_until(lambda: any("backup" in entry[1] or "nightly" in entry[2] for entry in machine.manager("ListHolds")[0]),
                   "the inhibitor is listed")
        machine.wait_state("idle")
        wait_until(lambda: idle_for(machine, NAPTIME + 3), "nap time is over")
        # One more decision, so that this is none of before.
        machine.manager("CheckNow")
        assert machine.state() == "idle", machine.state()
        assert "backup" in machine.property("Reason"), machine.property("Reason")
    machine.wait_state("warning")


def warning_is_told(machine):
    """the warning appears on a real terminal, with time, reason and what to type"""
    machine.wait_state("warning")
    text = wait_until(lambda: "snooze postpone" in machine.read(TYPESCRIPT) and machine.read(TYPESCRIPT), "the terminal is told")
    assert "stops at" in text, text


def hold_for(machine, why):
    """Somebody's hold, so that nothing stops while a login or what is typed takes its time."""
    return machine.manager("HoldFor", "ts", str(600 * 1_000_000), why, user="alice")[0]


def release(machine, cookie):
    machine.manager("ReleaseHold", "u", str(cookie), user="alice")


def root_is_told_if_asked_for(machine):
    """a login as root, whose profile says mesg n, is not told, and doctor says so; after mesg y it is"""
    cookie = hold_for(machine, "a login")
    told = machine.read(TYPESCRIPT).count("stops at")
    with root_login(machine) as process:
        message, = closed(machine)
        assert message.endswith(" of root"), message
        release(machine, cookie)
        wait_until(lambda: machine.read(TYPESCRIPT).count("stops at") > told, "the open terminal is told")
        cookie = hold_for(machine, "mesg y")
        assert machine.state() in ("active", "idle")
        assert "stops at" not in machine.read(ROOT_TYPESCRIPT)
        process.stdin.write(b"mesg y\n")
        process.stdin.flush()
        wait_until(lambda: not closed(machine), "the terminal is open")
        release(machine, cookie)
        wait_until(lambda: "stops at" in machine.read(ROOT_TYPESCRIPT), "root is told")


def killed_in_warning(machine):
    """kill -9 in the warning: that stop is off, it is decided anew, the warning starts again, nothing is lost"""
    machine.wait_state("warning")
    rows = len(history(machine))
    kill_daemon(machine)
    wait_until(lambda: "stays on: snoozed started anew" in machine.read(TYPESCRIPT), "the terminal is told that the stop is off")
    assert machine.running() and machine.state() in ("active", "idle", "warning")
    assert len(history(machine)) >= rows
    machine.wait_state("warning")


def postponed(machine):
    """postponing in the warning calls the stop off"""
    machine.wait_state("warning")
    machine.manager("Postpone", "ts", str(20 * 1_000_000), "not yet", user="alice")
    assert machine.state() in ("active", "idle")
    kinds = [entry[3] for entry in machine.manager("ListHolds")[0]]
    assert "postpone" in kinds, kinds


# A program that asks for a delay hold, so that the stage stays open.
DELAY = """
import dbus, time
bus = dbus.SystemBus()
manager = dbus.Interface(bus.get_object("io.cloudsnooze.Snooze1", "/io/cloudsnooze/Snooze1"), "io.cloudsnooze.Snooze1.Manager")
descriptor = manager.Hold("backup", "last blocks", "delay").take()
time.sleep(100000)
"""


def killed_in_stopping(machine):
    """kill -9 while stopping: the machine is stopped only after a new decision"""
    with machine.background("python3", "-c", DELAY, user="carol"):
        machine.wait_state("stopping")
        with hold(machine, "alice", "last minute"):
            kill_daemon(machine)
            assert machine.running()
            kinds = {entry[1].split(":")[0]: entry[3] for entry in machine.manager("ListHolds")[0]}
            assert kinds == {"alice": "block", "carol": "delay"}, kinds
            machine.wait_state("active", "idle")
            assert "stopping" in states(machine)


def powers_off(machine):
    """nobody holds, nap time and warning pass, and logind powers the machine off"""
    assert machine.wait_powered_off(180) == 0


def login_ends_the_warning(machine):
    """somebody logs in during the warning and types: it ends, history says why, and the machine outlives the time that was told"""
    machine.wait_state("warning")
    told = machine.property("NextStop")
    assert told / 1e6 > time.time(), told
    with login(machine, "alice") as process:
        def types():
            process.stdin.write(b"true\n")
            process.stdin.flush()
            return True

        wait_until(lambda: types() and machine.state() == "active", "the machine is active")
        wait_until(lambda: types() and time.time() > told / 1e6 + 2, "it is later than was told")
        shown = machine.run("snooze", "history").stdout
        assert "warning → active: last input" in shown and "This machine stays on: last input" in shown, shown
        seen = states(machine)
        assert seen[seen.index("warning"):] == ["warning", "active"], shown


def comes_back(machine):
    """after the next boot history is there, and the greeting says that the stop was ours"""
    # Not to stop anew while it boots.
    machine.write("/etc/cloudsnooze/snooze.d/60-awake.json", json.dumps({"naptime_minutes": 600}))
    machine.boot()
    wait_until(lambda: machine.owner("io.cloudsnooze.Snooze1"), "snoozed runs")
    seen = states(machine)
    assert "stopping" in seen or "stopped" in seen, seen
    greeting = wait_until(lambda: machine.property("Greeting"), "there is a greeting")
    assert greeting.startswith("Stopped itself"), greeting


def run(plan, installed, bus, _build):
    with Machine(installed, bus, QUICK) as machine:
        with terminal(machine):
            plan.cases([holds_keep_it_on, hung, inhibitors_count, warning_is_told, root_is_told_if_asked_for, killed_in_warning,
                         postponed, killed_in_stopping, powers_off], machine)
        plan.case(comes_back, machine)
    with Machine(installed, bus, TYPED) as machine:
        plan.case(login_ends_the_warning, machine)
