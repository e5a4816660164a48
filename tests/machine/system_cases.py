# SPDX-License-Identifier: Apache-2.0
"""What was installed, and what systemd and the bus make of it, before anything is idle."""

import glob
import json
import os
import re

from machine import Machine

PLUGINS = ("analytics", "aws", "azure", "checkpoint", "command", "database-flusher", "drain", "event-endpoint", "gcp", "local", "notify",
           "openstack", "processes", "script", "sessions", "spot-handler", "storage", "terminal", "usage-pattern", "webhook")
# Who may speak to logind.
LOGIN = ("aws", "local", "sessions")
UNITS = ["snoozed.service"] + [f"snooze-plugin{slot}@{plugin}.service" for plugin in PLUGINS for slot in ("", "-b")]
HELPERS = ["snooze-helper.service", "snooze-users.service", "snooze-user-remove@example.service"]
# Out of 10.0; what remains for each unit is explained in docs/security.md.
EXPOSURE = 2.0


def units_are_valid(machine):
    """systemd finds nothing to complain about in the units"""
    complaints = machine.run("systemd-analyze", "verify", "--man=no", *UNITS, *HELPERS, check=False)
    ours = [line for line in complaints.stderr.splitlines() if "snooze" in line]
    assert not ours, "\n".join(ours)


def units_are_closed(machine):
    """every unit is under exposure 2.0"""
    for unit in UNITS + HELPERS:
        report = machine.run("systemd-analyze", "security", "--offline=yes", "--no-pager", unit, check=False).stdout
        exposure = float(re.search(r"exposure level for \S+: ([\d.]+)", report)[1])
        print(f"# {unit}: {exposure}")
        assert exposure < EXPOSURE, f"{unit}: {exposure}\n{report}"


def users_units_end_before_the_helper_gives_up(machine):
    """systemd ends what makes and removes users while the helper waits for it, and for a plugin that has to end before"""
    with open(os.path.join(os.path.dirname(__file__), "../../src/helper/reload.c"), encoding="utf-8") as file:
        patience = int(re.search(r"STEP_TIMEOUT \((\d+) \* USEC_PER_SEC\)", file.read())[1])
    ending = 2 * seconds(machine.unit("snooze-plugin@example.service", "TimeoutStopUSec"))
    for unit, before in ("snooze-users.service", 0), ("snooze-user-remove@example.service", ending):
        # Each has this time: systemd starts it anew with the next command. Killed where it does not end by itself.
        commands = sum(line.startswith("ExecStart=") for line in machine.run("systemctl", "cat", unit).stdout.splitlines())
        assert commands > 0, unit
        longest = before + commands * seconds(machine.unit(unit, "TimeoutStartUSec")) + 2 * seconds(machine.unit(unit, "TimeoutStopUSec"))
        assert longest < patience, f"{unit}: {longest} s"


def seconds(span):
    """As systemctl shows it."""
    factors = {"min": 60, "s": 1}
    parts = re.fullmatch(r"(?:(\d+)(min) ?)?(?:(\d+)(s))?", span)
    assert parts and span, span
    return sum(int(number) * factors[unit] for number, unit in (parts.groups()[:2], parts.groups()[2:]) if number)


def limits_are_the_manifests(machine):
    """the limits of each unit are those of its manifest"""
    for plugin in PLUGINS:
        limits = json.loads(machine.read(f"/usr/lib/cloudsnooze/plugins/{plugin}/plugin.json"))["limits"]
        for slot in ("", "-b"):
            unit = f"snooze-plugin{slot}@{plugin}.service"
            assert machine.unit(unit, "MemoryMax") == str(limits["memory_mb"] * 1024 * 1024)
            assert machine.unit(unit, "TasksMax") == str(limits["tasks"])
            quota = limits["cpu_percent"] * 10
            assert machine.unit(unit, "CPUQuotaPerSecUSec") == ("1s" if quota == 1000 else f"{quota}ms"), unit


def catalog_explains(machine):
    """the journal catalog explains every message id"""
    header = os.path.join(os.path.dirname(__file__), "../../src/base/journal.h")
    with open(header, encoding="utf-8") as file:
        ids = re.findall(r'MESSAGE_\w+ "([0-9a-f]{32})"', file.read())
    assert ids
    catalog = machine.run("journalctl", "--list-catalog").stdout
    missing = [id for id in ids if id not in catalog]
    assert not missing, f"not in the catalog: {missing}"


def users_are_there(machine):
    """the daemon and every plugin have a user of their own, which cannot log in"""
    for user in ["snooze"] + [f"snooze-{plugin}" for plugin in PLUGINS]:
        entry = machine.run("getent", "passwd", user).stdout.strip().split(":")
        assert entry[2] != "0" and entry[6].endswith("nologin"), entry
    machine.run("getent", "group", "snooze-admin")


def names_are_reserved(machine):
    """nobody but their users may own our names"""
    for name in ["io.cloudsnooze.Snooze1", "io.cloudsnooze.Helper1"] + [f"io.cloudsnooze.Plugin1.{plugin}" for plugin in PLUGINS]:
        for user in ("nobody", "snooze-terminal" if name != "io.cloudsnooze.Plugin1.terminal" else "snooze"):
            refusal = machine.refusal("/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", name, "uint32 4",
                                      name="org.freedesktop.DBus", user=user)
            assert "not allowed to own" in refusal or "denied" in refusal.lower(), refusal


def plugins_are_shut_in(machine):
    """a plugin's user may call what its permissions list and nobody else"""
    for user in (f"snooze-{plugin}" for plugin in PLUGINS):
        refusal = machine.refusal("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "GetDefaultTarget",
                                  name="org.freedesktop.systemd1", user=user)
        assert "denied" in refusal.lower() or "rejected" in refusal.lower(), refusal
        refusal = machine.refusal("/org/freedesktop/DBus", "org.freedesktop.DBus", "StartServiceByName",
                                  "org.freedesktop.hostname1", "uint32 0", name="org.freedesktop.DBus", user=user)
        assert "denied" in refusal.lower() or "rejected" in refusal.lower(), refusal
    for plugin in PLUGINS:
        who = {"name": "org.freedesktop.login1", "user": f"snooze-{plugin}"}
        if plugin in LOGIN:
            machine.call("/org/freedesktop/login1", "org.freedesktop.login1.Manager", "ListSessions", **who)
            continue
        refusal = machine.refusal("/org/freedesktop/login1", "org.freedesktop.login1.Manager", "ListSessions", **who)
        assert "denied" in refusal.lower() or "rejected" in refusal.lower(), refusal


# systemd does not tell polkit which; see docs/security.md.
MODES = ("replace", "fail", "isolate", "flush", "ignore-dependencies", "replace-irreversibly")


def units_of_others_stay_shut(machine):
    """the daemon may start plugins, and no other unit, in whatever mode"""
    manager = ("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
    for unit in ("console-getty.service", "snooze-plugin@../x.service", "snooze-plugin@Local.service", "rescue.target"):
        for mode in MODES:
            machine.refusal(*manager, "StartUnit", unit, mode, name="org.freedesktop.systemd1", user="snooze")
    # Which would stop everything else.
    refusal = machine.refusal(*manager, "StartUnit", "snooze-plugin@local.service", "isolate", name="org.freedesktop.systemd1",
                              user="snooze")
    assert "isolat" in refusal.lower(), refusal
    machine.refusal(*manager, "SetUnitProperties", "snooze-plugin@local.service", "true", "[('MemoryMax', <uint64 1>)]",
                    name="org.freedesktop.systemd1", user="snooze")
    machine.call(*manager, "StartUnit", "ss", "snooze-plugin@local.service", "replace", name="org.freedesktop.systemd1",
                 user="snooze")
    machine.call(*manager, "StopUnit", "ss", "snooze-plugin@local.service", "replace", name="org.freedesktop.systemd1",
                 user="snooze")


def files_stay_in_place(machine):
    """what the policy names exists: programs, manifests, directories, and no plugin that these cases leave out"""
    assert sorted(os.listdir(machine.path("/usr/lib/cloudsnooze/plugins"))) == sorted(PLUGINS)
    for plugin in PLUGINS:
        directory = f"/usr/lib/cloudsnooze/plugins/{plugin}"
        assert os.access(machine.path(f"{directory}/{plugin}"), os.X_OK), f"{directory}/{plugin} is no program"
        assert os.path.exists(machine.path(f"{directory}/plugin.json"))
    for directory in ("snooze.d", "plugins", "checks.d"):
        assert os.path.isdir(machine.path(f"/etc/cloudsnooze/{directory}"))
    assert glob.glob(machine.path("/usr/share/man/man8/snoozed.8*")), "no manual page"


def languages_are_there(machine):
    """what desktops show is there in every language, where programs, sessions and polkit look for it"""
    with open(os.path.join(os.path.dirname(__file__), "../../po/LINGUAS"), encoding="utf-8") as file:
        languages = [line.strip() for line in file if not line.startswith("#")]
    assert languages
    authority = ("/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority")
    entry = machine.read("/etc/xdg/autostart/snooze-desktop.desktop")
    asked = set()
    for language in languages:
        assert os.path.exists(machine.path(f"/usr/share/locale/{language}/LC_MESSAGES/cloudsnooze.mo")), f"no catalogue: {language}"
        assert f"\nComment[{language}]=" in entry, entry
        actions = machine.call(*authority, "EnumerateActions", "s", f"{language}.UTF-8", name="org.freedesktop.PolicyKit1")[0]
        asked.add(next(action[1] for action in actions if action[0] == "io.cloudsnooze.snooze1.stop"))
    assert len(asked) == len(languages) and "Stop this machine" not in asked, asked


def run(plan, installed, bus, _build):
    with Machine(installed, bus, enabled=False) as machine:
        for case in (files_stay_in_place, languages_are_there, units_are_valid, units_are_closed,
                     users_units_end_before_the_helper_gives_up, limits_are_the_manifests,
                     catalog_explains, users_are_there, names_are_reserved, plugins_are_shut_in, units_of_others_stay_shut):
            plan.case(case, machine)
