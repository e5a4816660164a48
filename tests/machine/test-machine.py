#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""CloudSnooze on booted machines: test-machine.py BUS PART BUILD, where BUS is dbus-daemon or dbus-broker."""

import os
import sys

import cloud_cases
import daemon_cases
import delay_cases
import handler_cases
import helper_cases
import install_cases
import lifecycle_cases
import limits_cases
import machine
import mail_cases
import native_cases
import outward_cases
import overdue_cases
import owed_cases
import passage_cases
import system_cases
from tap import Plan


# What the machines of one process try, one after the other: the parts take about as long as each other.
PARTS = {
    "daemon": (system_cases, daemon_cases, passage_cases, handler_cases, outward_cases, mail_cases, delay_cases, cloud_cases),
    "helper": (helper_cases, owed_cases, install_cases),
    "plugins": (lifecycle_cases, limits_cases, overdue_cases, native_cases),
}


def main():
    bus, part, build = sys.argv[1:4]
    plan = Plan(machine.Machine.journals)
    if os.geteuid() != 0:
        return Plan.skip_all("impossible here: booting a machine needs root")
    try:
        with machine.installation(build) as installed:
            for cases in PARTS[part]:
                cases.run(plan, installed, bus, build)
    except machine.Impossible as reason:
        return Plan.skip_all(f"impossible here: {reason}")
    return plan.end()


if __name__ == "__main__":
    sys.exit(main())
