# SPDX-License-Identifier: Apache-2.0
"""A machine whose systemd has the memory, cpu and pids controllers, so that limits are enforced: own-init.sh instead of
systemd-nspawn, in control groups made for it."""

import contextlib
import os
import subprocess
import time

from machine import BOOT_SECONDS, Impossible, Machine, wait_until

ROOT = "/sys/fs/cgroup"
NEEDED = {"memory", "cpu", "pids"}
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "own-init.sh")


def mounted():
    """{directory: options} of the hierarchies of version 1 that a machine needs."""
    hierarchies = {}
    with open("/proc/self/mounts", encoding="utf-8") as file:
        for _, path, kind, options, *_ in map(str.split, file):
            wanted = {option for option in options.split(",") if option in NEEDED | {"cpuacct"} or option.startswith("name=")}
            if kind == "cgroup" and os.path.dirname(path) == ROOT and wanted:
                hierarchies[os.path.basename(path)] = ",".join(sorted(wanted))
    return hierarchies


def unified():
    return os.path.exists(f"{ROOT}/cgroup.controllers")


def hierarchies():
    """What own-init.sh mounts. Impossible where this host has handed out a controller to nobody, or keeps it to itself."""
    if unified():
        with open(f"{ROOT}/cgroup.controllers", encoding="ascii") as file:
            missing = NEEDED - set(file.read().split())
        found = {"": ""}
    else:
        found = mounted()
        missing = (NEEDED | {"name=systemd"}) - set(",".join(found.values()).split(","))
    if missing:
        raise Impossible(f"no machine can be given these controllers: {' '.join(sorted(missing))}")
    return found


def remove(group):
    """With those that the machine's systemd made in it. Empty groups only: processes that linger are waited for."""
    for directory, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(directory)


class Controlled(Machine):
    def __init__(self, *arguments, **more):
        self.hierarchies = hierarchies()
        self.groups = []
        super().__init__(*arguments, **more)
        self.stack.callback(self._remove_groups)

    def _make_groups(self):
        try:
            if unified():
                with open(f"{ROOT}/cgroup.subtree_control", "w", encoding="ascii") as file:
                    file.write(" ".join(f"+{controller}" for controller in sorted(NEEDED)))
            for directory in self.hierarchies:
                group = os.path.join(ROOT, directory, self.name)
                os.makedirs(group, exist_ok=True)
                self.groups.append(group)
        except OSError as reason:
            raise Impossible(f"no control groups can be made: {reason}") from reason

    def _remove_groups(self):
        def gone():
            try:
                for group in self.groups:
                    remove(group)
            except OSError:
                return False
            return True

        wait_until(gone, "its control groups are empty")

    def boot(self):
        assert not self.running(), "the machine runs already"
        self._make_groups()
        enter = 'for group in $GROUPS_OF_MACHINE; do echo $$ >"$group/cgroup.procs" || exit 1; done; exec "$@"'
        self.container = subprocess.Popen(  # pylint: disable=R1732
            ["sh", "-c", enter, "sh", "unshare", "--cgroup", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--net",
             "/bin/sh", SCRIPT, self.root] + [f"{directory}={options}" for directory, options in self.hierarchies.items()],
            env={"PATH": os.environ["PATH"], "GROUPS_OF_MACHINE": " ".join(self.groups)},
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=subprocess.STDOUT)
        wait_until(self._booted, "the machine has booted", BOOT_SECONDS)

    def group_of(self, unit, controller):
        """Where this host sees the files of a unit's control group."""
        path = self.unit(unit, "ControlGroup")
        if unified():
            return f"{ROOT}/{self.name}{path}"
        directory = next(name for name, options in self.hierarchies.items() if controller in options.split(","))
        return f"{ROOT}/{directory}/{self.name}{path}"

    def read_group(self, unit, controller, name):
        with open(os.path.join(self.group_of(unit, controller), name), encoding="ascii") as file:
            return file.read().split()

    def in_force(self, unit):
        """What the kernel holds it to: {"memory": bytes, "cpu": µs a second, "tasks": number}."""
        if unified():
            quota, period = self.read_group(unit, "cpu", "cpu.max")
            memory = self.read_group(unit, "memory", "memory.max")[0]
        else:
            quota, period = (self.read_group(unit, "cpu", f"cpu.cfs_{name}_us")[0] for name in ("quota", "period"))
            memory = self.read_group(unit, "memory", "memory.limit_in_bytes")[0]
        tasks = self.read_group(unit, "pids", "pids.max")[0]
        no_limit = -1
        return {"memory": no_limit if memory == "max" else int(memory), "tasks": no_limit if tasks == "max" else int(tasks),
                "cpu": no_limit if quota in ("max", "-1") else int(quota) * 1000000 // int(period)}

    def cpu_used(self, unit):
        """µs of those of its processes that still are, and when that was read."""
        ticks = 0
        for pid in self.read_group(unit, "cpu", "cgroup.procs"):
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                words = file.read().rsplit(")", 1)[1].split()
            ticks += int(words[11]) + int(words[12])
        return ticks * 1000000 // os.sysconf("SC_CLK_TCK"), time.monotonic()

    def counts_cpu(self):
        """systemd takes cpu and cpuacct for one hierarchy, and makes no group in the second where this host has mounted them apart."""
        return unified() or any({"cpu", "cpuacct"} <= set(options.split(",")) for options in self.hierarchies.values())

    def throttled(self, unit):
        """How often it had to wait for its next share."""
        words = self.read_group(unit, "cpu", "cpu.stat")
        return int(words[words.index("nr_throttled") + 1])

    def tasks(self, unit):
        return int(self.read_group(unit, "pids", "pids.current")[0])
