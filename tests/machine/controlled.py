# SPDX-License-Identifier: Apache-2.0
"""A machine whose systemd has the memory, cpu and pids controllers, so that limits are enforced: own-init.sh instead of
systemd-nspawn, in control groups made for it."""

import os

from control_groups import ROOT, mounted, unified
from machine import Impossible, Machine

NEEDED = {"memory", "cpu", "pids"}
WANTED = NEEDED | {"cpuacct", "name=systemd"}
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "own-init.sh")


def hierarchies():
    """What own-init.sh mounts. Impossible where this host has handed out a controller to nobody, or keeps it to itself."""
    if unified():
        with open(f"{ROOT}/cgroup.controllers", encoding="ascii") as file:
            missing = NEEDED - set(file.read().split())
        found = {"": ""}
    else:
        found = {directory: ",".join(sorted(options & WANTED)) for directory, options in mounted().items() if options & WANTED}
        missing = (NEEDED | {"name=systemd"}) - set(",".join(found.values()).split(","))
    if missing:
        raise Impossible(f"no machine can be given these controllers: {' '.join(sorted(missing))}")
    return found


class Controlled(Machine):
    def __init__(self, *arguments, **more):
        self.hierarchies = hierarchies()
        super().__init__(*arguments, **more)

    def in_control_groups(self):
        # And that of version 2 without controllers, which its systemd mounts by itself and keeps its processes in.
        return list(self.hierarchies) + ([] if unified() else [directory for directory, managed in mounted().items() if not managed])

    def boot(self):
        assert not self.running(), "the machine runs already"
        try:
            if unified():
                with open(f"{ROOT}/cgroup.subtree_control", "w", encoding="ascii") as file:
                    file.write(" ".join(f"+{controller}" for controller in sorted(NEEDED)))
        except OSError as reason:
            raise Impossible(f"controllers cannot be handed out: {reason}") from reason
        self.start("unshare", "--cgroup", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--net", "/bin/sh", SCRIPT,
                   self.root, *(f"{directory}={options}" for directory, options in self.hierarchies.items()))

    def directory_of(self, controller):
        return "" if unified() else next(name for name, options in self.hierarchies.items() if controller in options.split(","))

    def group_of(self, unit, controller):
        """Where this host sees the files of a unit's control group."""
        return os.path.join(ROOT, self.directory_of(controller), self.name) + self.unit(unit, "ControlGroup")

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
        """µs of those of its processes that still are."""
        ticks = 0
        for pid in self.read_group(unit, "cpu", "cgroup.procs"):
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                words = file.read().rsplit(")", 1)[1].split()
            ticks += int(words[11]) + int(words[12])
        return ticks * 1000000 // os.sysconf("SC_CLK_TCK")

    def counts_cpu(self):
        """systemd takes cpu and cpuacct for one hierarchy, and makes no group in the second where this host has mounted them apart."""
        return unified() or any({"cpu", "cpuacct"} <= set(options.split(",")) for options in self.hierarchies.values())

    def throttled(self, unit):
        """How often it had to wait for its next share."""
        words = self.read_group(unit, "cpu", "cpu.stat")
        return int(words[words.index("nr_throttled") + 1])

    def memory_used(self, unit):
        return int(self.read_group(unit, "memory", "memory.current" if unified() else "memory.usage_in_bytes")[0])

    def memory_needed(self, unit):
        """Without files that nobody has used for a while."""
        words = self.read_group(unit, "memory", "memory.stat")
        return self.memory_used(unit) - int(words[words.index("inactive_file" if unified() else "total_inactive_file") + 1])

    def tasks(self, unit):
        return int(self.read_group(unit, "pids", "pids.current")[0])
