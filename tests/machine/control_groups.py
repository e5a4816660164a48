# SPDX-License-Identifier: Apache-2.0
"""Control groups of a machine's own. Without them two machines that run side by side would share those of this host: each
systemd then finds the other's processes in its units' groups, and removes groups in which the other is about to start one."""

import contextlib
import os

ROOT = "/sys/fs/cgroup"
# Those of version 1 in which systemd makes groups. (In one of cpuset no process may be, unless it is given processors.)
MANAGED = {"blkio", "cpu", "cpuacct", "devices", "memory", "pids", "name=systemd"}
ENTER = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"'


def unified():
    return os.path.exists(f"{ROOT}/cgroup.controllers")


def mounted():
    """{directory below ROOT: controllers and names} of the hierarchies of version 1 beside which there may be one of
    version 2 without controllers."""
    hierarchies = {}
    with open("/proc/self/mounts", encoding="utf-8") as file:
        for _, path, kind, options, *_ in map(str.split, file):
            managed = MANAGED & set(options.split(","))
            if os.path.dirname(path) == ROOT and (kind == "cgroup" and managed or kind == "cgroup2"):
                hierarchies[os.path.basename(path)] = managed
    return hierarchies


def remove(group):
    """With those that the machine's systemd made in it. Empty groups only; others are an OSError."""
    for directory, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(directory)


class ControlGroups:
    """A group of that name in each of these hierarchies."""

    def __init__(self, name, hierarchies):
        self.groups = [os.path.join(ROOT, directory, name) for directory in hierarchies]
        for group in self.groups:
            os.makedirs(group, exist_ok=True)

    def command(self, *command):
        """The command line that runs a command in them."""
        return ["sh", "-c", ENTER, "sh", *self.groups, "--", *command]

    def removed(self):
        """Whether they are gone, as soon as nobody lingers in them."""
        try:
            for group in self.groups:
                remove(group)
        except OSError:
            return False
        return True
