# SPDX-License-Identifier: Apache-2.0
"""A booted systemd machine with CloudSnooze installed: systemd as PID 1 in a container, with its own system bus, polkitd,
logind and journald. It needs root, and the distribution's packages once: the base tree is cached.

    base tree (cached)  ←  a layer with `meson install`, sysusers, tmpfiles  ←  one more layer for each machine
"""

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

from control_groups import ControlGroups, mounted, unified

BOOT_SECONDS = 120
# More for a machine that is slow as a whole.
PATIENCE = int(os.environ.get("SNOOZE_PATIENCE", "1"))
WAIT_SECONDS = 60 * PATIENCE
# Of a call over the bus.
CALL_SECONDS = 40 * PATIENCE
COMMAND_SECONDS = 120 * PATIENCE

PACKAGES = [
    "systemd", "systemd-sysv", "libpam-systemd", "libnss-systemd", "dbus", "dbus-broker", "polkitd", "procps", "util-linux",
    "login", "passwd", "iproute2", "libglib2.0-bin", "libjson-glib-1.0-0", "libsqlite3-0", "libsystemd0",
    "python3-dbus", "python3-gi", "libarchive13t64|libarchive13", "libcurl4t64|libcurl4", "libxml2-16|libxml2", "ca-certificates",
    "libmicrohttpd12t64|libmicrohttpd12", "libmariadb3", "libpq5", "libhiredis1.1.0|libhiredis0.14",
    # Whom plugins speak to.
    "redis-server", "msmtp-mta",
]
# Mail systems, which conflict with each other: their packages lie in the tree, and a case installs one of them.
MAIL_SYSTEMS = ["postfix", "exim4-daemon-light"]
# Which of those nobody needs unless a case starts it.
SERVICES = ["redis-server.service", "msmtpd.service"]


class Impossible(Exception):
    """This host cannot boot machines at all: no mounts, no name spaces, an unknown distribution, nowhere to get one from."""


def run(*command, check=True, **options):
    options.setdefault("stdin", subprocess.DEVNULL)
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, **options)
    if check and result.returncode:
        raise AssertionError(f"{' '.join(command)}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def wait_until(condition, what, seconds=WAIT_SECONDS):
    """The first true value of condition(). For what announces itself by no signal that reaches outside of the machine."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s still not: {what}")
        time.sleep(0.1)


def group_exists(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def release():
    with open("/etc/os-release", encoding="utf-8") as file:
        return dict(line.strip().replace('"', "").split("=", 1) for line in file if "=" in line)


def sources(codename):
    """Where apt gets the packages of this release from, of all its archives (security updates are another)."""
    for line in run("apt-cache", "policy").stdout.splitlines():
        words = line.split()
        if len(words) > 2 and words[0].isdigit() and words[2].startswith(codename + "/main"):
            yield words[1]


def mirror(codename):
    """The mirror that apt uses."""
    for again in (False, True):
        if again:  # Images without package lists.
            run("apt-get", "-q", "update", check=False)
        for address in sources(codename):
            if address.startswith("mirror+file:"):
                with open(address.removeprefix("mirror+file:").replace("//", "/"), encoding="utf-8") as file:
                    return file.readline().split()[0]
            if address.startswith(("http://", "https://", "file:")):
                return address
    raise Impossible(f"apt knows no mirror of {codename}")


def proxies():
    """The environment of a program that should reach the network as apt does."""
    environment = dict(os.environ)
    dump = run("apt-config", "dump", "--format=%f %v%n", "Acquire::http::Proxy").stdout.split()
    if len(dump) == 2:
        environment.setdefault("http_proxy", dump[1])
    return environment


def available(alternatives):
    """The first of `a|b` that this distribution has."""
    names = alternatives.split("|")
    for name in names[:-1]:
        if run("apt-cache", "show", name, check=False).returncode == 0:
            return name
    return names[-1]


def writable(*directories):
    """The first of them that is ours alone to change, and takes files; it is made where it is missing."""
    for directory in directories:
        try:
            os.makedirs(directory, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory):
                if os.stat(directory).st_uid == os.geteuid():
                    return directory
        except OSError:
            continue
    raise Impossible(f"none of these can be written to: {' '.join(directories)}")


def cache_directory():
    return writable(os.path.join(os.environ.get("XDG_CACHE_HOME") or "/var/cache", "cloudsnooze-machine"),
                    "/var/tmp/cloudsnooze-machine", "/tmp/cloudsnooze-machine")


def packages_of(package):
    """Where a package lies in the tree, with what it needs beside it."""
    return "/srv/packages/" + package


def fetch(tree, package):
    """By the lists that debootstrap left; what this host's apt keeps elsewhere is kept in the tree, too."""
    os.makedirs(tree + packages_of(package) + "/partial")
    options = [f"RootDir={tree}", f"Dir::Cache::archives={packages_of(package)}", "Dir::Cache::pkgcache=pkgcache.bin",
               "Dir::Cache::srcpkgcache=srcpkgcache.bin", "APT::Sandbox::User=root", "Acquire::Retries=3"]
    given = [word for option in options for word in ("-o", option)]
    return run("apt-get", "-q", "-y", *given, "--no-install-recommends", "--download-only", "install", package,
               env=proxies(), check=False)


def base_tree():
    """The root of a minimal system of this distribution; built once by debootstrap, then shared read-only."""
    if not shutil.which("debootstrap") or not shutil.which("apt-cache"):
        raise Impossible("machines are built by debootstrap, on Debian and Ubuntu")
    codename = release()["VERSION_CODENAME"]
    key = hashlib.sha256(" ".join(PACKAGES + MAIL_SYSTEMS).encode()).hexdigest()[:8]
    tree = os.path.join(cache_directory(), f"{codename}-{key}")
    with open(tree + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(tree):
            shutil.rmtree(tree + ".new", ignore_errors=True)
            names = ",".join(available(name) for name in PACKAGES)
            components = "main,universe" if release()["ID"] == "ubuntu" else "main"
            made = run("debootstrap", "--variant=minbase", f"--components={components}", f"--include={names}", codename,
                       tree + ".new", mirror(codename), env=proxies(), check=False)
            for package in MAIL_SYSTEMS:
                made = made if made.returncode else fetch(tree + ".new", package)
            if made.returncode:
                said = (made.stdout + made.stderr).strip().splitlines()
                raise Impossible(f"no base system can be made: {' / '.join(said[-3:])}")
            shutil.rmtree(os.path.join(tree + ".new", "var/cache/apt"), ignore_errors=True)
            os.rename(tree + ".new", tree)
    return tree


@contextlib.contextmanager
def layer(below):
    """A writable copy of a directory, gone afterwards: an overlay, or where those cannot be stacked a real copy."""
    with tempfile.TemporaryDirectory(prefix="snooze-machine-", dir=writable("/var/tmp", "/tmp")) as directory:
        parts = {name: os.path.join(directory, name) for name in ("upper", "work", "root")}
        for part in parts.values():
            os.mkdir(part, 0o755)
        options = f"lowerdir={below},upperdir={parts['upper']},workdir={parts['work']}"
        mounted = run("mount", "-t", "overlay", "overlay", "-o", options, parts["root"], check=False).returncode == 0
        if not mounted:
            run("cp", "-a", "--reflink=auto", below + "/.", parts["root"])
        try:
            yield parts["root"]
        finally:
            if mounted:
                run("umount", parts["root"])


def try_to_boot(tree):
    """A machine without CloudSnooze: where not even that boots it is the host that cannot, and afterwards it is us."""
    machine = Machine(tree, "dbus-daemon")
    try:
        with machine:
            pass
    except (AssertionError, OSError) as reason:
        if machine.systemd in ("initializing", "starting"):
            raise  # It was about to.
        raise Impossible(f"no machine boots here: {' / '.join(str(reason).splitlines())}") from reason


@contextlib.contextmanager
def installation(build):
    """A root in which the project is installed as on a real system: `meson install`, then what a package's scripts do."""
    base = base_tree()
    try_to_boot(base)
    with layer(base) as root:
        run("meson", "install", "-C", build, "--no-rebuild", "--destdir", root)
        run("systemd-sysusers", f"--root={root}")
        run("systemd-tmpfiles", f"--root={root}", "--create", "cloudsnooze.conf")
        run("journalctl", f"--root={root}", "--update-catalog")
        run("ldconfig", "-r", root)
        run("systemctl", f"--root={root}", "enable", "snoozed.service")
        run("systemctl", f"--root={root}", "mask", *SERVICES)
        run("useradd", "--root", root, "--create-home", "--shell", "/bin/bash", "alice")
        run("useradd", "--root", root, "--create-home", "--shell", "/bin/bash", "--groups", "snooze-admin", "carol")
        yield root


class Machine:
    """One booted machine of several that may run side by side. `bus` is dbus-daemon or dbus-broker; `configuration`
    becomes a drop-in of snooze.d."""

    numbers = itertools.count()

    started = set()

    # By method of the probe, how far it gets to whom all is granted. A container has the node of a graphics device, and behind it what its
    # host has: who comes as far as to be told that there is no driver was stopped by nothing else.
    reached = {"device": ("OK", "ENXIO", "ENODEV")}

    def __init__(self, installed, bus, configuration=None, enabled=True):
        self.stack = contextlib.ExitStack()
        self.root = self.stack.enter_context(layer(installed))
        self.bus = bus
        # With `ve-` before it the name of an interface, which has 15 characters.
        self.name = f"sn{os.getpid()}-{next(Machine.numbers)}"
        self.container = None
        self.init = None
        self.systemd = ""  # what it last said of its own boot
        self.groups = None
        self.guests = []  # processes of background()
        self.console = tempfile.NamedTemporaryFile(prefix="snooze-console-", suffix=".txt")  # pylint: disable=R1732
        # Without one it is a first boot, on which systemd asks questions.
        self.write("/etc/machine-id", os.urandom(16).hex() + "\n")
        self._choose_bus()
        if not enabled:
            run("systemctl", f"--root={self.root}", "disable", "snoozed.service")
        if configuration is not None:
            self.write("/etc/cloudsnooze/snooze.d/50-test.json", json.dumps(configuration))

    def _choose_bus(self):
        if self.bus == "dbus-broker":
            run("systemctl", f"--root={self.root}", "enable", "dbus-broker.service")
        else:
            run("systemctl", f"--root={self.root}", "disable", "dbus-broker.service", check=False)

    def __enter__(self):
        try:
            self.boot()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind, value, traceback):
        if kind is not None:
            for line in self.journal():
                print("#", line)
        self._end()

    def journal(self):
        """What the machine said last."""
        if self.running():
            yield f"--- journal of the machine {self.name}"
            yield from self.run("journalctl", "--no-pager", "-b", "-n", "80", "-o", "short-precise",
                                check=False).stdout.splitlines()

    @staticmethod
    def journals():
        """Those of all machines that run."""
        for machine in Machine.started:
            yield from machine.journal()

    def _end(self):
        Machine.started.discard(self)
        self.kill()
        self.stack.close()
        if self.groups:
            wait_until(self.groups.removed, "its control groups are empty")
        self.console.close()

    def boot(self):
        # --network-veth: the machine has one interface, host0, and the host can talk to it.
        self.start("systemd-nspawn", "-q", "-D", self.root, "-b", "--register=no", "--keep-unit", "--link-journal=no",
                   "--network-veth", f"--machine={self.name}", "--console=pipe")

    def in_control_groups(self):
        """The hierarchies of this host that the machine has groups in."""
        return [""] if unified() else mounted()

    def start(self, *command):
        """Runs the command whose child is the machine's init, and waits until that has booted."""
        assert not self.running(), "the machine runs already"
        try:
            self.groups = ControlGroups(self.name, self.in_control_groups())
        except OSError as reason:
            raise Impossible(f"no control groups can be made: {reason}") from reason
        Machine.started.add(self)
        self.container = subprocess.Popen(self.groups.command(*command),  # pylint: disable=R1732
                                          stdin=subprocess.DEVNULL, stdout=self.console, stderr=subprocess.STDOUT)
        wait_until(self._booted, "the machine has booted", BOOT_SECONDS)

    def _find_init(self):
        if self.container.poll() is not None:
            with open(self.console.name, encoding="utf-8", errors="replace") as file:
                raise AssertionError(f"systemd-nspawn ended with {self.container.returncode}: {file.read()[-500:]}")
        path = f"/proc/{self.container.pid}/task/{self.container.pid}/children"
        with open(path, encoding="ascii") as file:
            children = file.read().split()
        return int(children[0]) if children else None

    def _booted(self):
        # Until then the child may be one that sets the container up and goes away.
        self.init = self._find_init()
        if not self.init:
            return False
        self.systemd = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return self.systemd in ("running", "degraded") and self.owner("org.freedesktop.DBus")

    def running(self):
        return self.container is not None and self.container.poll() is None

    def wait_powered_off(self, seconds=WAIT_SECONDS):
        """The exit status of systemd-nspawn: 0 after a proper power-off."""
        # systemd-shutdown stops processes before it kills them. nsenter then stops itself, too, and reaps nothing, for
        # which the shutdown waits.
        def ended():
            for process in self.guests:
                process.send_signal(signal.SIGCONT)
            return not self.running()

        wait_until(ended, "the machine has powered off", seconds)
        return self.container.returncode

    def kill(self):
        if not self.running():
            return
        # The init of a container, told to halt at once (SIGRTMIN+14 is poweroff --force).
        init = self._find_init()
        if init:
            os.kill(init, signal.SIGRTMIN + 14)
        try:
            self.container.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.container.kill()
            self.container.wait()

    # --- files

    def path(self, path):
        return self.root + path

    def write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(path), mode)

    def read(self, path):
        with open(self.path(path), encoding="utf-8", errors="replace") as file:
            return file.read()

    # --- commands

    def command(self, *command, user=None):
        """The command line that runs a command in the machine."""
        enter = ["nsenter", "-t", str(self.init), "-m", "-u", "-i", "-n", "-p", "--"]
        who = ["setpriv", f"--reuid={user}", f"--regid={user if user != 'nobody' else 'nogroup'}", "--init-groups", "--"]
        return enter + ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "TERM=dumb"] + (
            who if user else []) + list(command)

    def run(self, *command, user=None, check=True):
        # In a machine that powers off meanwhile it would never end (wait_powered_off()).
        return run(*self.command(*command, user=user), check=check, timeout=COMMAND_SECONDS)

    @contextlib.contextmanager
    def background(self, *command, user=None):
        """A command that runs in the machine as long as the block does."""
        # A stdin without an end: a terminal whose keyboard nobody touches.
        process = subprocess.Popen(self.command(*command, user=user), stdin=subprocess.PIPE,  # pylint: disable=R1732
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.guests.append(process)
        try:
            yield process
        finally:
            self.guests.remove(process)
            if process.poll() is None:
                # nsenter waits for its child, which is in the same group.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                # What nsenter started is reaped by others, and may have its port or its name yet.
                wait_until(lambda: not group_exists(process.pid), "its processes are gone")
            process.stdin.close()
            process.wait()

    # --- the bus

    def call(self, path, interface, member, *arguments, name="io.cloudsnooze.Snooze1", user=None):
        """The reply's values; AssertionError with the message of the error that came instead."""
        result = self.run("busctl", "--json=short", f"--timeout={CALL_SECONDS}", "call", name, path, interface, member, *arguments, user=user)
        return json.loads(result.stdout)["data"] if result.stdout.strip() else []

    def refusal(self, path, interface, member, *arguments, name="io.cloudsnooze.Snooze1", user=None):
        """What the caller is told who is refused; AssertionError if he is not. Arguments are GVariant text. (busctl has
        its own words for AccessDenied.)"""
        result = self.run("gdbus", "call", "--system", f"--timeout={CALL_SECONDS}", "--dest", name, "--object-path", path, "--method",
                          f"{interface}.{member}", *arguments, user=user, check=False)
        if result.returncode == 0:
            raise AssertionError(f"{member} was not refused to {user or 'root'}: {result.stdout}")
        return result.stderr.strip()

    def manager(self, member, *arguments, user=None):
        return self.call("/io/cloudsnooze/Snooze1", "io.cloudsnooze.Snooze1.Manager", member, *arguments, user=user)

    def refused(self, member, *arguments, user=None):
        return self.refusal("/io/cloudsnooze/Snooze1", "io.cloudsnooze.Snooze1.Manager", member, *arguments, user=user)

    def property(self, name, path="/io/cloudsnooze/Snooze1", interface="io.cloudsnooze.Snooze1.Manager"):
        result = self.run("busctl", "--json=short", "get-property", "io.cloudsnooze.Snooze1", path, interface, name)
        return json.loads(result.stdout)["data"]

    def plugin_property(self, plugin, name):
        return self.property(name, f"/io/cloudsnooze/Snooze1/plugin/{plugin}", "io.cloudsnooze.Snooze1.Plugin")

    def owner(self, name):
        """The unique name of who owns the name, or None."""
        result = self.run("busctl", "--json=short", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus",
                          "org.freedesktop.DBus", "GetNameOwner", "s", name, check=False)
        return json.loads(result.stdout)["data"][0] if result.returncode == 0 else None

    def unit(self, unit, name):
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def user_of(self, pid):
        return self.run("ps", "-o", "user:32=", "-p", str(pid)).stdout.strip()

    def state(self):
        return self.property("State")

    def wait_state(self, *states, seconds=WAIT_SECONDS):
        return wait_until(lambda: self.state() in states, f"state {' or '.join(states)}", seconds)
