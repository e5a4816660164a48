#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""inside.py 1|2: runs in a virtual machine that virtual.py booted with control groups of that version, what only a kernel of its own
can show: limits, with a processor whose use is counted; with version 2 addresses that are told apart, a graphics device, and a real
sleep."""

import contextlib
import os
import sys

import helper_cases
import limits_cases
import suspend_cases
from control_groups import ROOT, unified
from controlled import Controlled, hierarchies
from machine import wait_until
from tap import Plan


class Inside(Controlled):
    """This very machine."""

    reached = {}  # It has all that is tried.

    def __init__(self, build):  # pylint: disable=W0231
        self.stack = contextlib.ExitStack()
        self.root = ""
        self.build = build
        self.guests = []

    def __enter__(self):
        self.hierarchies = hierarchies()
        wait_until(self._booted, "it has booted", 600)
        return self

    def __exit__(self, kind, value, traceback):
        self.stack.close()

    def _booted(self):
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in ("running", "degraded") and self.owner("io.cloudsnooze.Snooze1")

    def command(self, *command, user=None):
        group = "nogroup" if user == "nobody" else user
        who = ["setpriv", f"--reuid={user}", f"--regid={group}", "--init-groups", "--"] if user else []
        return ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "TERM=dumb", *who, *command]

    def group_of(self, unit, controller):
        return os.path.join(ROOT, self.directory_of(controller)) + self.unit(unit, "ControlGroup")


def it_has_that_version(machine, version):
    """this machine has control groups of that version, which count what a processor is used"""
    assert unified() == (version == 2), machine.hierarchies
    assert machine.counts_cpu(), machine.hierarchies


def addresses_are_told_apart(machine):
    """this kernel lets systemd tell addresses apart"""
    assert machine.filters_addresses


def graphics_are_told_from_other_devices(machine):
    """this kernel has a graphics device, and lets systemd tell devices apart"""
    with open("/proc/devices", encoding="ascii") as file:
        assert " drm\n" in file.read()
    assert machine.filters_devices


def transfers_are_counted(machine):
    """this systemd counts what a plugin reads and writes, and what it sends and receives"""
    told = limits_cases.resources(machine, limits_cases.SPINNER)
    assert all("used" in told[name] for name in limits_cases.TRANSFERS), told


def main():
    plan = Plan()
    version = int(sys.argv[1])
    with Inside(os.path.dirname(os.path.abspath(__file__))) as machine:
        if plan.case(it_has_that_version, machine, version):
            limits_cases.run_on(plan, machine)
        # Nothing else depends on the version, but for the addresses, which only 2 can tell apart.
        if version == 2:
            plan.case(transfers_are_counted, machine)
            helper_cases.run_on(plan, machine, [addresses_are_told_apart, *helper_cases.PERMISSION_CASES,
                                                 graphics_are_told_from_other_devices])
            suspend_cases.run_on(plan, machine)
        if plan.failed:
            for line in machine.run("journalctl", "--no-pager", "-b", "-n", "100", check=False).stdout.splitlines():
                print("#", line)
    return plan.end()


if __name__ == "__main__":
    sys.exit(main())
