#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Row "activation systemd": boots a machine, installs the two services there, and runs the measuring program in it as the daemon's user.

activation_systemd.py BUILD [--smoke]: the row on stdout. Exit status 77 with a reason on stderr where no machine can be booted."""

import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "machine"))

from machine import Impossible, Machine, installation  # pylint: disable=C0413

LEFT_OUT = 77
ROUNDS = 30
PLUGIN = "trivial"
BARE = "io.cloudsnooze.BareService1"
DIRECTORY = f"/etc/cloudsnooze/plugins/{PLUGIN}"
UNITS = "/etc/systemd/system"
PLUGIN_UNIT = f"snooze-plugin@{PLUGIN}.service"
BARE_UNIT = f"snooze-bare@{PLUGIN}.service"
MEASURING = "/usr/local/bin/activation-systemd"

POLICY = f"""<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <policy user="snooze-{PLUGIN}"><allow own="{BARE}"/></policy>
  <policy user="snooze"><allow send_destination="{BARE}"/></policy>
</busconfig>
"""


def copy(machine, build, program, path):
    os.makedirs(os.path.dirname(machine.path(path)), exist_ok=True)
    shutil.copy(os.path.join(build, "tests", "bench", program), machine.path(path))
    os.chmod(machine.path(path), 0o755)


def add_plugin(machine, build):
    """Enabled and loaded once, so that the helper has made user, policy and units."""
    copy(machine, build, "idle-plugin", f"{DIRECTORY}/{PLUGIN}")
    machine.write(f"{DIRECTORY}/plugin.json", json.dumps({"name": PLUGIN, "version": "1.0.0", "contracts": ["IdleCheck"]}))
    machine.manager("DiscoverPlugins")
    machine.run("snooze", "plugin", "enable", PLUGIN)


def bare_text(text):
    """The same unit for the bare service: another program, and the bus's name in the place of a notification."""
    text = text.replace(f"{DIRECTORY}/{PLUGIN}", f"{DIRECTORY}/bare-service")
    lines = [f"ExecStart={DIRECTORY}/bare-service {BARE}" if line.startswith("ExecStart=") and line != "ExecStart=" else
             f"Type=dbus\nBusName={BARE}" if line == "Type=notify" else line
             for line in text.splitlines() if not line.startswith("NotifyAccess=")]
    return "\n".join(lines) + "\n"


def add_bare(machine, build):
    copy(machine, build, "bare-service", f"{DIRECTORY}/bare-service")
    template = machine.read("/usr/lib/systemd/system/snooze-plugin@.service")
    machine.write(f"{UNITS}/snooze-bare@.service", bare_text(template))
    dropins = f"{UNITS}/{PLUGIN_UNIT}.d"
    for name in os.listdir(machine.path(dropins)):
        machine.write(f"{UNITS}/{BARE_UNIT}.d/{name}", bare_text(machine.read(f"{dropins}/{name}")))
    machine.write(f"/etc/dbus-1/system.d/{BARE}.conf", POLICY)
    machine.write(f"/usr/local/share/dbus-1/system-services/{BARE}.service",
                  f"[D-BUS Service]\nName={BARE}\nExec={DIRECTORY}/bare-service {BARE}\nUser=snooze-{PLUGIN}\n"
                  f"SystemdService={BARE_UNIT}\n")
    machine.run("systemctl", "daemon-reload")
    machine.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "ReloadConfig", name="org.freedesktop.DBus")


def measure(build, rounds):
    with installation(build) as root, Machine(root, "dbus-daemon") as machine:
        add_plugin(machine, build)
        # What measures takes the daemon's place.
        machine.run("systemctl", "mask", "--runtime", "--now", "snoozed.service")
        machine.run("systemctl", "stop", PLUGIN_UNIT)
        add_bare(machine, build)
        copy(machine, build, "activation-systemd", MEASURING)
        return machine.run(MEASURING, str(rounds), PLUGIN_UNIT, BARE_UNIT, user="snooze").stdout


def main():
    if os.geteuid() != 0:
        print("machines are booted by root alone", file=sys.stderr)
        return LEFT_OUT
    if not shutil.which("systemd-nspawn"):
        print("systemd-nspawn, which boots machines, is not installed", file=sys.stderr)
        return LEFT_OUT
    try:
        print(measure(os.path.abspath(sys.argv[1]), 3 if "--smoke" in sys.argv else ROUNDS), end="")
    except Impossible as reason:
        print(reason, file=sys.stderr)
        return LEFT_OUT
    return 0


if __name__ == "__main__":
    sys.exit(main())
