#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""CloudSnooze on booted machines: test-machine.py BUS BUILD, where BUS is dbus-daemon or dbus-broker."""

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


def main():
    bus, build = sys.argv[1:3]
    plan = Plan(machine.Machine.journals)
    if os.geteuid() != 0:
        return Plan.skip_all("impossible here: booting a machine needs root")
    try:
        with machine.installation(build) as installed:
            for cases in (system_cases, daemon_cases, passage_cases, handler_cases, outward_cases, mail_cases,
                          delay_cases, cloud_cases):
                cases.run(plan, installed, bus)
            helper_cases.run(plan, installed, bus, build)
            owed_cases.run(plan, installed, bus, build)
            install_cases.run(plan, installed, bus, build)
            lifecycle_cases.run(plan, installed, bus, build)
            limits_cases.run(plan, installed, bus, build)
            overdue_cases.run(plan, installed, bus, build)
            native_cases.run(plan, installed, bus, build)
    except machine.Impossible as reason:
        return Plan.skip_all(f"impossible here: {reason}")
    return plan.end()


if __name__ == "__main__":
    sys.exit(main())
