#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""CloudSnooze in a virtual machine with control groups of either version: test-virtual.py BUILD 1|2."""

import os
import sys

import helper_cases
import limits_cases
import machine
import suspend_cases
from tap import Plan
from virtual import Virtual, patient

# Its processor is emulated, beside whatever else this host does.
SECONDS = 2400
PLUGINS = ("local", "sessions", "terminal", limits_cases.GREEDY, limits_cases.SPINNER, limits_cases.BROOD, limits_cases.CROWD,
           limits_cases.FRAIL, limits_cases.GLUTTON, limits_cases.COUNTING, "probe", "bare")


def configuration():
    """For all of the cases inside.py runs."""
    plugins = {**helper_cases.CONFIGURATION["plugins"], **limits_cases.CONFIGURATION["plugins"]}
    return patient({**limits_cases.CONFIGURATION, **suspend_cases.CONFIGURATION, "plugins": plugins}, PLUGINS)


def main():
    build, version = sys.argv[1], int(sys.argv[2])
    if os.geteuid() != 0:
        return Plan.skip_all("impossible here: building a machine needs root")
    programs = {os.path.join(build, program): program for program in ("tests/machine/probe-plugin", "tests/bus/counting-plugin")}
    try:
        with machine.installation(build) as installed, Virtual(installed, configuration(), "inside.py", programs, version) as virtual:
            lines = virtual.wait_for_its_end(SECONDS)
            whole = any(line.startswith("1..") for line in lines)
            if not whole:
                lines += virtual.console_lines()
    except machine.Impossible as reason:
        return Plan.skip_all(f"impossible here: {reason}")
    print("\n".join(lines), flush=True)
    if not whole:
        print("Bail out! the virtual machine did not come to its end")
    return 1 if not whole or any(line.startswith("not ok") for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
