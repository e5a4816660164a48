# SPDX-License-Identifier: Apache-2.0
"""A virtual machine: a kernel of its own, and with it control groups of either version, whatever this host has. qemu emulates the
processor (hosts that are virtual themselves rarely lend theirs). The tree of a machine becomes its disk, and what is to be tried runs
inside."""

import contextlib
import fcntl
import hashlib
import lzma
import os
import re
import shutil
import subprocess

from machine import Impossible, Machine, cache_directory, run, wait_until

MEMORY = "1G"
DISK_BYTES = 2 << 30
# Of the ordinary kernel: that for clouds knows no graphics devices. In this order, each after those that it needs; the checksums of ext4
# are nowhere said to be among them. vgem is a graphics device without hardware.
KERNEL = "linux-image-amd64"
MODULES = ["virtio_pci", "virtio_blk", "crc32c_generic", "ext4", "vgem"]
INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do
        /bin/busybox insmod $module
done
/bin/busybox mount -t ext4 -o rw /dev/vda /root || /bin/busybox poweroff -f
/bin/busybox umount /dev
exec /bin/busybox switch_root /root /sbin/init
"""
COMMAND_LINE = "console=ttyS0 panic=-1 quiet random.trust_cpu=on systemd.mask=serial-getty@ttyS0.service"
# By version of its control groups.
CONTROL_GROUPS = {1: "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1", 2: "systemd.unified_cgroup_hierarchy=1"}
# Not part of the start, which is to be over before anything is tried.
UNIT = """[Unit]
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=exec
ExecStart=/usr/bin/python3 {script} {version}
Environment=PYTHONDONTWRITEBYTECODE=1 SNOOZE_PATIENCE={patience}
StandardOutput=file:/dev/ttyS1
StandardError=inherit
"""
TESTS = "/opt/tests"
# By so much slower than a real one is taken to be.
PATIENCE = 5
# systemd's part in that; the daemon's is a matter of its configuration.
PATIENT_UNITS = f"[Manager]\nDefaultTimeoutStartSec={90 * PATIENCE}s\n"
# With its end: a serial line brings one character after the other.
PLAN = re.compile("^1\\.\\.[0-9]+\n", re.MULTILINE)
OUTPUT = re.compile("^(ok|not ok|#|1\\.\\.)")


def kernel():
    """(image, folder of its modules, whose names are in the order of their start) of the distribution's kernel; downloaded once."""
    key = hashlib.sha256(" ".join([KERNEL, *MODULES]).encode()).hexdigest()[:8]
    directory = os.path.join(cache_directory(), f"kernel-{key}")
    with open(directory + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(directory):
            _download(directory)
    return f"{directory}/vmlinuz", f"{directory}/modules"


def _download(directory):
    new = directory + ".new"
    shutil.rmtree(new, ignore_errors=True)
    os.makedirs(f"{new}/modules")
    depends = run("apt-cache", "depends", KERNEL, check=False).stdout
    names = re.findall(r"Depends: (linux-image-\S+)", depends)
    got = names and run("apt-get", "download", names[0], cwd=new, check=False)
    packages = [name for name in os.listdir(new) if name.endswith(".deb")]
    if not got or got.returncode or not packages:
        raise Impossible(f"apt has no kernel ({KERNEL})")
    run("dpkg", "-x", os.path.join(new, packages[0]), f"{new}/whole")
    images = [name for name in os.listdir(f"{new}/whole/boot") if name.startswith("vmlinuz-")]
    shutil.copy(f"{new}/whole/boot/{images[0]}", f"{new}/vmlinuz")
    for number, (name, content) in enumerate(_modules(f"{new}/whole").items()):
        with open(f"{new}/modules/{number:02}-{name}.ko", "wb") as file:
            file.write(content)
    # Of half a gigabyte that is all.
    shutil.rmtree(f"{new}/whole")
    os.unlink(os.path.join(new, packages[0]))
    os.rename(new, directory)


def _modules(tree):
    """{name: content} of MODULES, each after those that it says it depends on. What has no file is built in."""
    paths = {name.split(".ko")[0].replace("-", "_"): os.path.join(directory, name)
             for directory, _, names in os.walk(f"{tree}/lib/modules") for name in names if ".ko" in name}
    found = {}

    def add(name):
        if name in found or name not in paths:
            return
        with (lzma.open if paths[name].endswith(".xz") else open)(paths[name], "rb") as file:
            content = file.read()
        said = re.search(rb"\0depends=([^\0]*)\0", content)
        for other in said[1].decode().split(",") if said else ():
            add(other.replace("-", "_"))
        found[name] = content

    for name in MODULES:
        add(name)
    return found


def patient(configuration, plugins):
    """The same, where each of these plugins has the time that an emulated processor takes."""
    timeouts = {plugin: {"start": 30 * PATIENCE, "initialize": 10 * PATIENCE, "check": 5 * PATIENCE, "export": 10 * PATIENCE,
                         "shutdown": 10 * PATIENCE} for plugin in plugins}
    return {**configuration, "plugins": {**configuration.get("plugins", {}), "timeouts": timeouts}}


class Virtual(Machine):
    """It runs a script of this directory, which is told the version of its control groups, and powers itself off."""

    def __init__(self, installed, configuration, script, programs, version):
        for program in ("qemu-system-x86_64", "busybox", "mkfs.ext4", "cpio"):
            if not shutil.which(program):
                raise Impossible(f"virtual machines need {program}")
        if os.uname().machine != "x86_64":
            raise Impossible("virtual machines are of x86_64")
        self.kernel, self.modules = kernel()
        self.version = version
        super().__init__(installed, "dbus-daemon", configuration)
        self._prepare(script, programs)

    def _prepare(self, script, programs):
        here = os.path.dirname(os.path.abspath(__file__))
        shutil.copytree(here, self.path(TESTS), ignore=shutil.ignore_patterns("__pycache__"))
        for source, program in programs.items():
            os.makedirs(os.path.dirname(self.path(f"{TESTS}/{program}")), exist_ok=True)
            shutil.copy(source, self.path(f"{TESTS}/{program}"))
        self.write("/etc/systemd/system/cloudsnooze-tests.service",
                   UNIT.format(script=f"{TESTS}/{script}", version=self.version, patience=PATIENCE))
        self.write("/etc/systemd/system.conf.d/50-patience.conf", PATIENT_UNITS)
        wants = self.path("/etc/systemd/system/multi-user.target.wants")
        os.makedirs(wants, exist_ok=True)
        os.symlink("../cloudsnooze-tests.service", f"{wants}/cloudsnooze-tests.service")

    def _part(self, name):
        return os.path.join(os.path.dirname(self.root), name)

    def _make_disk(self):
        with open(self._part("disk"), "wb") as file:
            file.truncate(DISK_BYTES)
        run("mkfs.ext4", "-q", "-F", "-d", self.root, self._part("disk"))

    def _make_start(self):
        tree = self._part("start")
        for directory in ("bin", "dev", "root"):
            os.makedirs(f"{tree}/{directory}")
        shutil.copy(shutil.which("busybox"), f"{tree}/bin/busybox")
        shutil.copytree(self.modules, f"{tree}/modules")
        with open(f"{tree}/init", "w", encoding="utf-8") as file:
            file.write(INIT)
        os.chmod(f"{tree}/init", 0o755)
        with open(self._part("start.cpio"), "wb") as file:
            files = subprocess.run(["find", "."], cwd=tree, stdout=subprocess.PIPE, check=True).stdout
            subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=tree, input=files, stdout=file, check=True)

    def boot(self):
        assert not self.running(), "the machine runs already"
        self._make_disk()
        self._make_start()
        self.container = subprocess.Popen(  # pylint: disable=R1732
            ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", MEMORY, "-nodefaults", "-display", "none",
             "-no-reboot", "-nic", "none", "-kernel", self.kernel, "-initrd", self._part("start.cpio"),
             "-append", f"{COMMAND_LINE} {CONTROL_GROUPS[self.version]}",
             "-drive", f"file={self._part('disk')},format=raw,if=virtio,cache=unsafe", "-serial", f"file:{self._part('console')}",
             "-serial", f"file:{self._part('output')}"],
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=subprocess.STDOUT)

    def kill(self):
        if self.running():
            self.container.kill()
            self.container.wait()

    def run(self, *command, user=None, check=True):
        raise NotImplementedError("nobody outside can enter it")

    def _text(self, name):
        with contextlib.suppress(FileNotFoundError):
            with open(self._part(name), encoding="utf-8", errors="replace", newline="") as file:
                return file.read().replace("\r", "")
        return ""

    def _lines(self, name):
        return self._text(name).splitlines()

    def wait_for_its_end(self, seconds):
        """What the script wrote: lines of TAP. Its plan is the last of them, and nobody waits for what the machine's end takes."""
        def ended():
            return not self.running() or PLAN.search(self._text("output"))

        try:
            wait_until(ended, "the virtual machine has done its work", seconds)
        except AssertionError as reason:
            return [line for line in self._lines("output") if OUTPUT.match(line)] + [f"# {reason}"] + self.console_lines()
        return [line for line in self._lines("output") if OUTPUT.match(line)]

    def journal(self):
        """All that can be had from outside."""
        with open(self.console.name, encoding="utf-8", errors="replace") as file:
            said = file.read().splitlines()
        yield from (self._lines("console") + said)[-40:]

    def console_lines(self):
        return [f"# {line}" for line in self.journal()]
