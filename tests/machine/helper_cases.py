# SPDX-License-Identifier: Apache-2.0
"""Plugins that no package brought: what makes them known, what their permissions grant, what the kernel keeps from those that lack
them, and how far a daemon gets that is not what it was."""

import contextlib
import hashlib
import json
import os
import shutil

from machine import Machine, wait_until

ROOT = "/io/cloudsnooze/Snooze1"
PLUGIN = "io.cloudsnooze.Snooze1.Plugin"
HELPER = ("/io/cloudsnooze/Helper1", "io.cloudsnooze.Helper1")
NAME = "io.cloudsnooze.Helper1"
ADDRESS = "127.0.0.1:8011"
ABSTRACT = "snooze-test"
LISTENER = f"import signal, socket\ns = socket.socket(socket.AF_UNIX)\ns.bind('\\0{ABSTRACT}')\ns.listen(64)\nsignal.pause()"
OTHER_ADDRESS = "127.0.0.2:8011"
CARD = "/dev/dri/card0"
# The kernel's log under a name that no unit hides, for everybody to write: only the kernel's list of devices is left to stop a plugin.
OTHER_DEVICE = "/dev/other"
OWN_UNIT, OTHER_UNIT = "own.service", "other.service"

# (permission, method of the probe, what it tries, what stops who lacks it): the same in containers and in the emulated machine.
GRANTS = [
    ("network:127.0.0.1", "connect", ADDRESS, "EAFNOSUPPORT"),
    # As the approval says: they belong to the network.
    ("network:127.0.0.1", "abstract", ABSTRACT, "ECONNREFUSED"),
    ("read:/home/alice/data", "read", "/home/alice/data/file", "EACCES"),
    ("write:/srv/data", "write", "/srv/data/probe", "EROFS"),
    ("device:gpu", "device", CARD, "ENOENT"),
    ("processes", "read", "/proc/1/stat", "ENOENT"),
    ("exec:/usr/bin/true", "run", "/usr/bin/true", "EACCES"),
    # With what runs it, and where homes are hidden.
    ("exec:/opt/tools/script", "run", "/opt/tools/script", "EACCES"),
    ("exec:/home/alice/tool", "run", "/home/alice/tool", "EACCES"),
    ("bus:org.freedesktop.hostname1", "bus", "org.freedesktop.hostname1", "EACCES"),
    ("group:adm", "read", "/var/log/adm-only", "EACCES"),
]
# And those whose outcome is seen elsewhere, each with a case of its own.
PERMISSIONS = [*dict.fromkeys(grant[0] for grant in GRANTS), "signals", f"unit:{OWN_UNIT}"]

CONFIGURATION = {"naptime_minutes": 600, "check_interval_seconds": 60, "plugins": {"directories": ["/opt/plugins"]}}
FILES = ["/etc/sysusers.d/cloudsnooze-plugin-{}.conf", "/etc/dbus-1/system.d/io.cloudsnooze.Plugin1.{}.conf",
         "/usr/local/share/dbus-1/system-services/io.cloudsnooze.Plugin1.{}.service",
         "/usr/local/share/dbus-1/system-services/io.cloudsnooze.Plugin1.{}.a.service",
         "/usr/local/share/dbus-1/system-services/io.cloudsnooze.Plugin1.{}.b.service",
         "/etc/systemd/system/snooze-plugin@{}.service.d", "/etc/systemd/system/snooze-plugin-b@{}.service.d",
         "/etc/cloudsnooze/approvals/{}.json"]


def install(machine, plugin, permissions, owner=0, program="tests/machine/probe-plugin", **more):
    """A plugin of the administrator's."""
    directory = machine.path(f"/etc/cloudsnooze/plugins/{plugin}")
    os.makedirs(directory, exist_ok=True)
    # The old one may be running.
    shutil.copy(os.path.join(machine.build, program), f"{directory}/.new")
    os.chmod(f"{directory}/.new", 0o755)
    os.rename(f"{directory}/.new", f"{directory}/{plugin}")
    manifest = {"name": plugin, "version": "1.0.0", "contracts": ["RequestHandler"], "permissions": permissions,
                "limits": {"memory_mb": 32, "cpu_percent": 50, "tasks": 8}, **more}
    machine.write(f"/etc/cloudsnooze/plugins/{plugin}/plugin.json", json.dumps(manifest))
    os.chown(f"{directory}/plugin.json", owner, 0)
    machine.manager("DiscoverPlugins")


def digest(machine, plugin):
    return hashlib.sha256(machine.read(f"/etc/cloudsnooze/plugins/{plugin}/plugin.json").encode()).hexdigest()


def plugin_call(machine, plugin, member, *arguments, **more):
    return machine.call(f"{ROOT}/plugin/{plugin}", PLUGIN, member, *arguments, **more)


def refused(machine, plugin, member):
    return machine.refusal(f"{ROOT}/plugin/{plugin}", PLUGIN, member)


def attempt(machine, plugin, method, what):
    success, result = plugin_call(machine, plugin, "Call", "sa{sv}", method, "1", "what", "s", what)
    assert success, result
    return result["result"]["data"]


def permissions(machine, *words, user=None, check=True):
    try:
        return machine.run("snooze", "plugin", "permissions", *words, user=user, check=check)
    except AssertionError as error:
        # It starts the plugin, and why a unit failed only its journal knows.
        journal = machine.run("journalctl", "--output=cat", "--lines=40", f"--unit=snooze-plugin@{words[0]}.service",
                              check=False)
        raise AssertionError(f"{error}{journal.stdout}") from None


def enabling_makes_it_known(machine):
    """enabling a plugin of the administrator's makes user, policy and activation file, and starts it in its own unit"""
    install(machine, "bare", [])
    plugin_call(machine, "bare", "Enable")
    plugin_call(machine, "bare", "Load")
    for path in FILES[:7]:
        assert os.path.exists(machine.path(path.format("bare"))), path
    unit = "snooze-plugin@bare.service"
    assert machine.user_of(machine.unit(unit, "MainPID")) == "snooze-bare"
    assert machine.unit(unit, "MemoryMax") == str(32 << 20) and machine.unit(unit, "TasksMax") == "8"
    assert machine.owner("io.cloudsnooze.Plugin1.bare")


def unapproved_is_not_started(machine):
    """what asks for more than is approved is not enabled, and it is said what to type"""
    install(machine, "probe", PERMISSIONS)
    message = refused(machine, "probe", "Enable")
    assert "NotApproved" in message and "sudo snooze plugin permissions probe" in message, message
    assert not machine.plugin_property("probe", "Enabled")
    permissions(machine, "probe", "--all")
    assert all(approved for _, approved in machine.plugin_property("probe", "Permissions"))
    plugin_call(machine, "probe", "Enable")
    plugin_call(machine, "probe", "Load")


def the_world_is_prepared(machine):
    """what the permissions are about is there"""
    machine.run("install", "-d", "-m", "755", "-o", "alice", "/home/alice/data")
    machine.write("/home/alice/data/file", "text")
    machine.run("install", "-d", "-m", "777", "/srv/data")
    machine.write("/opt/tools/script", "#!/usr/bin/env -S sh -eu\nexit 0\n", 0o755)
    machine.write("/home/alice/beside", "text")
    shutil.copy(machine.path("/usr/bin/true"), machine.path("/home/alice/tool"))
    machine.run("chmod", "755", "/home/alice", "/home/alice/tool")
    machine.write("/var/log/adm-only", "text")
    machine.run("chgrp", "adm", "/var/log/adm-only")
    machine.run("chmod", "640", "/var/log/adm-only")
    if machine.run("test", "-c", CARD, check=False).returncode != 0:
        machine.run("install", "-d", "/dev/dri")
        machine.run("mknod", CARD, "c", "226", "0")
    # As udev makes it.
    machine.run("chgrp", "video", CARD)
    machine.run("chmod", "660", CARD)
    machine.run("mknod", "-m", "666", OTHER_DEVICE, "c", "1", "11")
    machine.filters_devices = filters_devices(machine)
    print(f"# this machine {'tells' if machine.filters_devices else 'does not tell'} devices apart")
    for unit in (OWN_UNIT, OTHER_UNIT):
        machine.write(f"/etc/systemd/system/{unit}", "[Service]\nExecStart=sleep infinity\n")
    machine.run("systemctl", "daemon-reload")


def each_permission_grants(machine):
    """each permission lets the plugin that has it do what it is about"""
    for permission, method, what, _ in GRANTS:
        result = attempt(machine, "probe", method, what)
        print(f"# with {permission}: {result}")
        assert result in machine.reached.get(method, ("OK",)), f"{permission}: {method} {what}: {result}"


def each_lack_is_enforced(machine):
    """the same plugin without the permission is stopped, each time by what is there to stop it"""
    for permission, method, what, error in GRANTS:
        result = attempt(machine, "bare", method, what)
        print(f"# without {permission}: {result}")
        assert result == error, f"{permission}: {method} {what}: {result}, expected {error}"


def signals_are_for_who_may_send_them(machine):
    """who may send signals ends a process of a user's and one of root's; the kernel keeps who may not from either"""
    for user in ("alice", "root"):
        unit = f"signalled-{user}.service"
        # Its own program runs by then, as that user.
        machine.run("systemd-run", "--quiet", f"--unit={unit}", f"--uid={user}", "--property=Type=exec", "sleep", "infinity")
        pid = machine.unit(unit, "MainPID")
        assert machine.user_of(pid) == user
        assert attempt(machine, "bare", "kill", pid) == "EPERM", user
        assert machine.unit(unit, "MainPID") == pid
        assert attempt(machine, "probe", "kill", pid) == "OK", user
        wait_until(lambda unit=unit: machine.unit(unit, "ActiveState") == "inactive", f"the end of what {user} ran")


def a_unit_is_for_who_may_stop_it(machine):
    """who may stop one unit has systemd stop that and no other; who may stop none is refused both"""
    machine.run("systemctl", "start", OWN_UNIT, OTHER_UNIT)
    for plugin, unit in (("bare", OWN_UNIT), ("bare", OTHER_UNIT), ("probe", OTHER_UNIT)):
        assert attempt(machine, plugin, "stop", unit) == "EACCES", f"{plugin}: {unit}"
        assert machine.unit(unit, "ActiveState") == "active", f"{plugin}: {unit}"
    assert attempt(machine, "probe", "stop", OWN_UNIT) == "OK"
    wait_until(lambda: machine.unit(OWN_UNIT, "ActiveState") == "inactive", "its end")
    assert machine.unit(OTHER_UNIT, "ActiveState") == "active"
    machine.run("systemctl", "stop", OTHER_UNIT)


def grants_go_no_further(machine):
    """a permission grants what it says and nothing beside it"""
    beside = [("read", "/home/carol"), ("read", "/etc/cloudsnooze/snooze.json"), ("read", "/var/lib/cloudsnooze"),
              ("write", "/srv/probe"), ("write", "/home/alice/data/file"), ("write", "/etc/probe"), ("run", "/usr/bin/id"),
              ("read", "/home/alice/beside"), ("write", "/home/alice/tool"),
              ("bus", "org.freedesktop.login1"), ("bus", "io.cloudsnooze.Helper1"), ("read", "/etc/shadow")]
    if machine.filters_addresses:
        beside.append(("connect", OTHER_ADDRESS))
    for method, what in beside:
        result = attempt(machine, "probe", method, what)
        assert result != "OK", f"{method} {what}"
    result = attempt(machine, "probe", "device", OTHER_DEVICE)
    print(f"# another device than those that are granted: {result}")
    if machine.filters_devices:
        assert result == "EPERM", result


def who_approves_knows_how_far_it_reaches(machine):
    """where addresses cannot be told apart, that is said where they are approved, and by doctor"""
    wide = [] if machine.filters_addresses else ["network:127.0.0.1"]
    listed = json.loads(permissions(machine, "probe", "--json").stdout)["permissions"]
    assert [entry["permission"] for entry in listed if not entry.get("enforced", True)] == wide, listed
    findings = json.loads(machine.run("snooze", "doctor", "--json", check=False).stdout)
    assert [entry["check"] for entry in findings if "addresses apart" in entry["message"]] == (["command", "probe"] if wide else []), findings


def a_program_that_anybody_may_put_there_is_not_asked_for(machine):
    """a manifest that asks for a program in a temporary directory is broken, and says why"""
    for path in ("/tmp/tool", "/var/tmp/tools"):
        install(machine, "temporary", [f"exec:{path}"])
        assert "outside of temporary directories" in machine.plugin_property("temporary", "LastError")
        assert "outside of temporary directories" in machine.refusal(*HELPER, "Provision", "temporary", name=NAME)
    machine.run("rm", "-r", "/etc/cloudsnooze/plugins/temporary")


# Beside nscd's own socket: who serves that and does not answer keeps the whole machine waiting.
NAME_SERVICES = ("/run/systemd/resolve/io.systemd.Resolve", "/run/nscd/beside", "/run/avahi-daemon/socket", "/run/snapd.socket",
                 "/run/cups/cups.sock", "/run/rpcbind.sock")
LISTEN = """
import os, socket, sys, time
os.umask(0)
for path in sys.argv[1:]:
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(64)
    globals()[path] = listening
time.sleep(100000)
"""


def names_are_not_looked_up_for_others(machine):
    """who has no network, or one address of it, reaches no service that would ask the network for him; others see them"""
    with machine.background("/usr/bin/python3", "-c", LISTEN, *NAME_SERVICES):
        wait_until(lambda: machine.run("test", "-S", NAME_SERVICES[-1], check=False).returncode == 0, "the sockets")
        install(machine, "named", ["network:db.example.org"])
        permissions(machine, "named", "--all")
        plugin_call(machine, "named", "Enable")
        for plugin in ("probe", "bare", "named"):
            plugin_call(machine, plugin, "Restart" if plugin != "named" else "Load")
        for path in NAME_SERVICES:
            assert machine.run("/usr/bin/python3", "-c", "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])", path,
                               user="nobody").returncode == 0
            assert attempt(machine, "named", "connect", path) == "OK", path
            for plugin in ("probe", "bare"):
                assert attempt(machine, plugin, "connect", path) in ("EACCES", "ENOENT"), f"{plugin}: {path}"
        for path in ("/var/lib/cloudsnooze", "/etc/cloudsnooze/snooze.json", "/run/cloudsnooze"):
            assert attempt(machine, "named", "read", path) != "OK", path
    machine.run("snooze", "plugin", "uninstall", "named")


def one_is_taken_back(machine):
    """what is taken back is gone with the next start; what was approved stays"""
    permissions(machine, "probe", "--revoke", "exec:/usr/bin/true", check=False)
    refused(machine, "probe", "Load")
    unit = machine.read("/etc/systemd/system/snooze-plugin@probe.service.d/10-permissions.conf")
    assert "/usr/bin/true" not in unit and "/srv/data" in unit
    # What it asks for no longer stands in the way.
    install(machine, "probe", [grant for grant in PERMISSIONS if not grant.startswith("exec:")], version="1.0.1")
    wait_until(lambda: machine.plugin_property("probe", "Version") == "1.0.1", "the new manifest")
    plugin_call(machine, "probe", "Restart")
    assert attempt(machine, "probe", "run", "/usr/bin/true") == "EACCES"
    assert attempt(machine, "probe", "write", "/srv/data/probe") == "OK"


def more_is_asked_again(machine):
    """a manifest that asks for more is not started until that is approved, too"""
    plugin_call(machine, "probe", "Unload")
    install(machine, "probe", PERMISSIONS, version="1.0.2")
    wait_until(lambda: machine.plugin_property("probe", "Version") == "1.0.2", "the new manifest")
    message = refused(machine, "probe", "Restart")
    assert "nobody has approved: exec:/usr/bin/true" in message, message
    permissions(machine, "probe", "--all")
    plugin_call(machine, "probe", "Restart")
    assert attempt(machine, "probe", "run", "/usr/bin/true") == "OK"


DROP_IN = "/etc/systemd/system/snooze-plugin@lapse.service.d/10-permissions.conf"


def lapse(machine, **changes):
    """Its files become those of another program, as root's tools replace them."""
    directory = machine.path("/etc/cloudsnooze/plugins/lapse")
    os.makedirs(f"{directory}/other", exist_ok=True)
    shutil.copy(f"{directory}/lapse", f"{directory}/other/.new")
    os.rename(f"{directory}/other/.new", f"{directory}/other/lapse")
    manifest = json.loads(machine.read("/etc/cloudsnooze/plugins/lapse/plugin.json"))
    machine.write("/etc/cloudsnooze/plugins/lapse/.new", json.dumps({**manifest, "exec": "other/lapse", **changes}))
    os.rename(f"{directory}/.new", f"{directory}/plugin.json")


def anybody_starts(machine):
    machine.run("gdbus", "call", "--system", "--dest", "org.freedesktop.DBus", "--object-path", "/org/freedesktop/DBus", "--method",
                "org.freedesktop.DBus.StartServiceByName", "io.cloudsnooze.Plugin1.lapse", "0", user="nobody")
    return machine.unit("snooze-plugin@lapse.service", "MainPID")


@contextlib.contextmanager
def without_daemon(machine):
    machine.run("systemctl", "stop", "snoozed", "snooze-plugin@lapse")
    yield
    machine.run("systemctl", "start", "snoozed")


def install_lapse(machine, **more):
    install(machine, "lapse", ["write:/srv/data"], **more)
    permissions(machine, "lapse", "--all")
    plugin_call(machine, "lapse", "Enable")
    plugin_call(machine, "lapse", "Restart")
    assert attempt(machine, "lapse", "write", "/srv/data/lapse") == "OK"


def what_anybody_has_started_is_not_what_was_approved(machine):
    """a process that was started by an old drop-in is not adopted by a daemon that comes, be it refused or started anew"""
    install_lapse(machine)
    with without_daemon(machine):
        lapse(machine)
        anybody_starts(machine)
        assert "/lapse/lapse\n" in machine.read(DROP_IN)
    message = refused(machine, "lapse", "Load")
    assert "nobody has approved: write:/srv/data (it was approved of a plugin.json without program:other/lapse)" in message, message
    assert machine.plugin_property("lapse", "State") == "failed"
    assert machine.unit("snooze-plugin@lapse.service", "ActiveState") in ("inactive", "failed")
    assert "/srv/data" not in machine.read(DROP_IN)
    # One that asks for nothing is served, without what the one before had.
    install_lapse(machine, exec="lapse")
    with without_daemon(machine):
        lapse(machine, permissions=[])
        found = anybody_starts(machine)
    plugin_call(machine, "lapse", "Load")
    assert machine.plugin_property("lapse", "Pid") != found
    assert program_of(machine, "lapse") == "/etc/cloudsnooze/plugins/lapse/other/lapse"
    assert attempt(machine, "lapse", "write", "/srv/data/lapse") != "OK"
    # Nor is it where somebody else has had its drop-in written since.
    install_lapse(machine, exec="lapse")
    with without_daemon(machine):
        found = anybody_starts(machine)
        lapse(machine, permissions=[])
        machine.call(*HELPER, "Provision", "s", "lapse", name=NAME)
    plugin_call(machine, "lapse", "Load")
    assert machine.plugin_property("lapse", "Pid") != found
    assert attempt(machine, "lapse", "write", "/srv/data/lapse") != "OK"


def what_anybody_has_started_is_adopted(machine):
    """one that was started as it would be is adopted, and one that an earlier daemon had started serves on with what it had"""
    install_lapse(machine, exec="lapse")
    machine.run("touch", "--date=1 hour ago", DROP_IN)
    with without_daemon(machine):
        found = anybody_starts(machine)
    plugin_call(machine, "lapse", "Load")
    assert [machine.plugin_property("lapse", name) for name in ("State", "Pid", "Restarts")] == ["running", int(found), 0]
    machine.run("systemctl", "stop", "snoozed")
    lapse(machine)
    machine.run("systemctl", "start", "snoozed")
    plugin_call(machine, "lapse", "Load")
    assert machine.plugin_property("lapse", "Pid") == int(found)
    assert attempt(machine, "lapse", "write", "/srv/data/lapse") == "OK"


def what_was_granted_lapses(machine):
    """files that change while a plugin is stopped take with them what was granted, and whoever runs with it"""
    install_lapse(machine, exec="lapse")
    plugin_call(machine, "lapse", "Unload")
    found = anybody_starts(machine)
    lapse(machine)
    wait_until(lambda: "/srv/data" not in machine.read(DROP_IN), "the drop-in")
    wait_until(lambda: machine.unit("snooze-plugin@lapse.service", "MainPID") == "0", f"the end of {found}")
    anybody_starts(machine)
    assert "nobody has approved: write:/srv/data" in refused(machine, "lapse", "Load")
    machine.run("snooze", "plugin", "uninstall", "lapse")


def in_second_slot(machine):
    result = machine.run("busctl", "call", "io.cloudsnooze.Snooze1", f"{ROOT}/plugin/lapse", PLUGIN, "Upgrade", "s", "1.1.0", check=False)
    assert result.returncode == 0 or "change" in result.stderr.lower() or "busy" in result.stderr.lower(), result.stderr
    return machine.plugin_property("lapse", "Unit") == "snooze-plugin-b@lapse.service"


def what_came_to_rest_in_the_second_slot_is_found_in_the_first(machine):
    """after a hot-swap and its end, one that anybody has the bus start is the one that is looked at, and no failure"""
    install(machine, "lapse", [])
    plugin_call(machine, "lapse", "Enable")
    plugin_call(machine, "lapse", "Restart")
    lapse(machine, exec="lapse", version="1.1.0")
    wait_until(lambda: in_second_slot(machine), "the new version")
    for _ in range(2):
        wait_until(lambda: machine.unit("snooze-plugin@lapse.service", "MainPID") == "0", "the end of the one before")
        plugin_call(machine, "lapse", "Unload")
        assert anybody_starts(machine) != "0"
        plugin_call(machine, "lapse", "Load")
        assert [machine.plugin_property("lapse", name) for name in ("State", "Unit", "Version", "LastError", "Restarts")] == \
            ["running", "snooze-plugin@lapse.service", "1.1.0", "", 0]
        plugin_call(machine, "lapse", "Unload")
    machine.run("snooze", "plugin", "uninstall", "lapse")


SCRIPT = """#!/usr/bin/python3
import os, signal, socket
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
try:
    os.execv("/usr/bin/true", ["true"])
except PermissionError:
    signal.pause()
"""


def a_script_is_run(machine):
    """a script from a configured directory is run by its interpreter, and runs nothing else"""
    machine.write("/opt/plugins/scripted/scripted", SCRIPT, 0o755)
    machine.write("/opt/plugins/scripted/plugin.json", json.dumps(
        {"name": "scripted", "version": "1.0.0", "contracts": ["RequestHandler"], "language": "python"}))
    machine.manager("DiscoverPlugins")
    plugin_call(machine, "scripted", "Enable")
    unit = "snooze-plugin@scripted.service"
    machine.run("systemctl", "start", unit)
    assert machine.unit(unit, "ActiveState") == "active"
    assert machine.user_of(machine.unit(unit, "MainPID")) == "snooze-scripted"
    assert "scripted" in machine.run("ps", "-o", "args=", "-p", machine.unit(unit, "MainPID")).stdout
    machine.run("snooze", "plugin", "uninstall", "scripted")
    assert machine.unit(unit, "ActiveState") != "active"


def what_no_package_brought(machine):
    """a plugin that was put among those of packages is refused by name, and is enabled where the administrator's are"""
    shutil.copytree(machine.path("/etc/cloudsnooze/plugins/bare"), machine.path("/usr/lib/cloudsnooze/plugins/strewn"))
    os.rename(machine.path("/usr/lib/cloudsnooze/plugins/strewn/bare"), machine.path("/usr/lib/cloudsnooze/plugins/strewn/strewn"))
    manifest = json.loads(machine.read("/etc/cloudsnooze/plugins/bare/plugin.json"))
    machine.write("/usr/lib/cloudsnooze/plugins/strewn/plugin.json", json.dumps({**manifest, "name": "strewn", "exec": "strewn"}))
    machine.manager("DiscoverPlugins")
    message = refused(machine, "strewn", "Enable")
    assert "no package made its user snooze-strewn" in message and "/etc/cloudsnooze/plugins" in message, message
    assert not machine.plugin_property("strewn", "Enabled")
    shutil.move(machine.path("/usr/lib/cloudsnooze/plugins/strewn"), machine.path("/etc/cloudsnooze/plugins/strewn"))
    wait_until(lambda: machine.run("snooze", "plugin", "enable", "strewn", check=False).returncode == 0, "it to be found there")
    plugin_call(machine, "strewn", "Load")
    machine.run("snooze", "plugin", "uninstall", "strewn")


PACKAGED = "/usr/lib/cloudsnooze/plugins"


def bring_by_package(machine, plugin, **changes):
    """As a package of that name brings it; its user is there already."""
    place = machine.path(f"{PACKAGED}/{plugin}")
    for path in ("dbus-1/system.d/io.cloudsnooze.Plugin1.{}.conf", "dbus-1/system-services/io.cloudsnooze.Plugin1.{}.service"):
        machine.write("/usr/share/" + path.format(plugin), machine.read("/usr/share/" + path.format("sessions")).replace("sessions", plugin))
    shutil.copytree(machine.path(f"/etc/cloudsnooze/plugins/{plugin}"), place + ".new")
    manifest = json.loads(machine.read(f"{PACKAGED}/{plugin}.new/plugin.json"))
    if changes:
        machine.write(f"{PACKAGED}/{plugin}.new/plugin.json", json.dumps({**manifest, **changes}))
    os.rename(place + ".new", place)
    machine.manager("DiscoverPlugins")


def take_package_away(machine, plugin):
    for path in (f"/usr/share/dbus-1/system.d/io.cloudsnooze.Plugin1.{plugin}.conf", f"{PACKAGED}/{plugin}",
                 f"/usr/share/dbus-1/system-services/io.cloudsnooze.Plugin1.{plugin}.service"):
        machine.run("rm", "-r", path)
    machine.manager("DiscoverPlugins")


def program_of(machine, plugin):
    """What runs, by the plugin's own word that it does."""
    assert attempt(machine, plugin, "read", "/etc/passwd") == "OK"
    return machine.run("readlink", f"/proc/{machine.plugin_property(plugin, 'Pid')}/exe").stdout.strip()


def assert_cleared(machine, plugin):
    """But for the user, who is the package's, too."""
    assert [path for path in FILES if os.path.exists(machine.path(path.format(plugin)))] == [FILES[0]]


def cleared(machine, plugin):
    return machine.run("journalctl", "--unit=snooze-helper", "--output=cat").stdout.count(f"What was left of a plugin {plugin} ")


def a_package_brings_one_of_its_name(machine):
    """what was granted to a plugin and made of it goes before one of its name is started that a package has brought, and comes again"""
    install(machine, "taken", ["read:/home/alice/data", "bus:org.freedesktop.hostname1"])
    permissions(machine, "taken", "--all")
    plugin_call(machine, "taken", "Enable")
    plugin_call(machine, "taken", "Load")
    assert attempt(machine, "taken", "read", "/home/alice/data/file") == "OK"
    # It runs, and another version takes its place.
    bring_by_package(machine, "taken", version="2.0.0", permissions=[])
    wait_until(lambda: machine.plugin_property("taken", "Version") == "2.0.0", "the package's to be taken")
    assert program_of(machine, "taken") == f"{PACKAGED}/taken/taken"
    for method, what in (("read", "/home/alice/data/file"), ("bus", "org.freedesktop.hostname1")):
        assert attempt(machine, "taken", method, what) != "OK", what
    assert_cleared(machine, "taken")
    # One that fails soon is not rolled back to the other.
    before = machine.plugin_property("taken", "Pid")
    machine.run("kill", "-KILL", str(before))
    wait_until(lambda: machine.plugin_property("taken", "State") == "running" and machine.plugin_property("taken", "Pid") != before,
               "it to run again")
    assert program_of(machine, "taken") == f"{PACKAGED}/taken/taken"
    plugin_call(machine, "taken", "Restart")
    wait_until(lambda: cleared(machine, "taken") == 1, "the journal to have it")
    # The package goes: of the other one all has to be approved anew.
    plugin_call(machine, "taken", "Unload")
    take_package_away(machine, "taken")
    wait_until(lambda: machine.plugin_property("taken", "Version") == "1.0.0", "the administrator's to be taken")
    assert "nobody has approved" in refused(machine, "taken", "Restart")
    permissions(machine, "taken", "--all")
    plugin_call(machine, "taken", "Restart")
    assert program_of(machine, "taken") == "/etc/cloudsnooze/plugins/taken/taken"
    assert attempt(machine, "taken", "read", "/home/alice/data/file") == "OK"
    # It does not run, and the package's has the very same manifest.
    plugin_call(machine, "taken", "Unload")
    bring_by_package(machine, "taken")
    plugin_call(machine, "taken", "Load")
    assert program_of(machine, "taken") == f"{PACKAGED}/taken/taken"
    assert_cleared(machine, "taken")
    wait_until(lambda: cleared(machine, "taken") == 2, "the journal to have it again")
    plugin_call(machine, "taken", "Unload")
    take_package_away(machine, "taken")
    machine.run("snooze", "plugin", "uninstall", "taken")


def scripts_of_the_template_are_run(machine):
    """a plugin begun from the template for shell answers in its unit, by sh or by the shell that it names, which runs nothing else"""
    for plugin, shell in (("begun", ""), ("begunbash", " /bin/bash")):
        place = f"/etc/cloudsnooze/plugins/{plugin}"
        machine.run("snooze", "plugin", "new", "--template", "shell", place)
        lines = machine.read(f"{place}/{plugin}").splitlines(keepends=True)
        lines[0] = lines[0].rstrip() + shell + "\n"
        asked = next(number for number, line in enumerate(lines) if line.startswith("check-idle)"))
        lines.insert(asked + 1, "/usr/bin/true && exit 7\n")
        machine.write(f"{place}/{plugin}", "".join(lines), 0o755)
        machine.run("chmod", "-R", "go-w", place)
        machine.manager("DiscoverPlugins")
        plugin_call(machine, plugin, "Enable")
        plugin_call(machine, plugin, "Load")
        for verdict, words in (("idle", "is not there"), ("busy", "is there")):
            answer = plugin_call(machine, plugin, "CheckIdle")
            assert answer[:2] == [verdict, f"/run/{plugin}.lock {words}"], f"{plugin}: {answer}"
            machine.run("touch", f"/run/{plugin}.lock")
        machine.run("snooze", "plugin", "uninstall", plugin)


def limits_are_live(machine):
    """limits within the manifest's are set while it runs, by the daemon's user; larger ones are refused"""
    unit = "snooze-plugin@probe.service"
    before = machine.unit(unit, "MainPID")
    machine.call(*HELPER, "SetLimits", "sa{sv}", "probe", "2", "memory_mb", "t", "16", "tasks", "t", "4", name=NAME, user="snooze")
    assert machine.unit(unit, "MemoryMax") == str(16 << 20) and machine.unit(unit, "TasksMax") == "4"
    assert machine.unit("snooze-plugin-b@probe.service", "MemoryMax") == str(16 << 20)
    assert machine.unit(unit, "MainPID") == before
    refusal = machine.refusal(*HELPER, "SetLimits", "probe", "{'memory_mb': <uint64 33>}", name=NAME, user="snooze")
    assert "expected 1 to 32" in refusal, refusal
    machine.call(*HELPER, "SetLimits", "sa{sv}", "probe", "0", name=NAME, user="snooze")
    assert machine.unit(unit, "MemoryMax") == str(32 << 20)


def a_captured_daemon(machine):
    """as the daemon's user: no ids with slashes, no manifest of one's own, no approval"""
    snooze = pwd_of(machine, "snooze")
    for plugin in ("../x", "/etc", "a/b", "admin", ""):
        refusal = machine.refusal(*HELPER, "Provision", f"'{plugin}'", name=NAME, user="snooze")
        assert "no plugin's id" in refusal, refusal
    # What it can write: the state directory, its configuration there, and what that names.
    machine.run("install", "-d", "-o", "snooze", "/var/lib/cloudsnooze/mine/evil")
    machine.write("/var/lib/cloudsnooze/snooze.json", json.dumps({"plugins": {"directories": ["/var/lib/cloudsnooze/mine"]}}))
    machine.write("/var/lib/cloudsnooze/mine/evil/plugin.json", json.dumps(
        {"name": "evil", "version": "1.0.0", "contracts": ["IdleCheck"], "exec": "/usr/bin/true"}))
    refusal = machine.refusal(*HELPER, "Provision", "evil", name=NAME, user="snooze")
    assert "NoSuchPlugin" in refusal, refusal
    install(machine, "evil", [], owner=snooze)
    refusal = machine.refusal(*HELPER, "Provision", "evil", name=NAME, user="snooze")
    assert "belongs to another user" in refusal, refusal
    refusal = machine.refusal(*HELPER, "ApprovePermissions", "probe", "['processes']", digest(machine, "probe"), name=NAME,
                              user="snooze")
    assert "approve-permissions" in refusal, refusal
    for user in ("snooze-bare", "nobody", "carol"):
        machine.refusal(*HELPER, "Provision", "probe", name=NAME, user=user)
    refusal = machine.refusal(*HELPER, "ApprovePermissions", "probe", "['processes']", digest(machine, "probe"), name=NAME,
                              user="carol")
    assert "sudo snooze plugin permissions" in refusal, refusal
    machine.run("rm", "-rf", "/var/lib/cloudsnooze/mine", "/var/lib/cloudsnooze/snooze.json", "/etc/cloudsnooze/plugins/evil")
    for path in FILES:
        assert not os.path.exists(machine.path(path.format("evil"))), path


def pwd_of(machine, user):
    return int(machine.run("id", "-u", user).stdout)


def nothing_is_left(machine):
    """a plugin that is forgotten leaves nothing but its own files"""
    for plugin, aside in ("probe", "forgotten"), ("bare", "forgotten.last"):
        if aside != "forgotten":
            # As it may have been left by earlier ones.
            machine.write(f"/var/lib/cloudsnooze-plugins/{plugin}.forgotten/kept", "the first one's")
            machine.write(f"/var/lib/cloudsnooze-plugins/{plugin}.{aside}/more", "a later one's")
        machine.write(f"/var/lib/cloudsnooze-plugins/{plugin}/kept", plugin)
        machine.run("snooze", "plugin", "uninstall", plugin)
        for path in FILES:
            assert not os.path.exists(machine.path(path.format(plugin))), path
        assert machine.run("getent", "passwd", f"snooze-{plugin}", check=False).returncode != 0
        assert machine.run("getent", "group", f"snooze-{plugin}", check=False).returncode != 0
        assert os.path.exists(machine.path(f"/etc/cloudsnooze/plugins/{plugin}/plugin.json"))
        # The next user may get the number of this one, and the next plugin its name, but not what it kept.
        assert not os.path.exists(machine.path(f"/var/lib/cloudsnooze-plugins/{plugin}"))
        kept = machine.run("stat", "-c", "%U %a", f"/var/lib/cloudsnooze-plugins/{plugin}.{aside}").stdout.strip()
        assert kept == "root 700", f"{plugin}: {kept}"
        assert machine.read(f"/var/lib/cloudsnooze-plugins/{plugin}.{aside}/kept") == plugin
    # The first and the latest: who may have a plugin made known and forgotten does not pile them up.
    left = {name for name in os.listdir(machine.path("/var/lib/cloudsnooze-plugins")) if name.startswith(("probe.", "bare."))}
    assert left == {"probe.forgotten", "bare.forgotten", "bare.forgotten.last"}, left
    assert machine.read("/var/lib/cloudsnooze-plugins/bare.forgotten/kept") == "the first one's"
    assert os.listdir(machine.path("/var/lib/cloudsnooze-plugins/bare.forgotten.last")) == ["kept"]
    assert not os.path.exists(machine.path("/etc/cloudsnooze/approvals/.pending"))


def what_cannot_be_set_aside_is_owed(machine):
    """a plugin whose directory cannot be set aside is not said to be forgotten before it can"""
    install(machine, "stuck", [])
    machine.call(*HELPER, "Provision", "s", "stuck", name=NAME)
    kept = "/var/lib/cloudsnooze-plugins/stuck"
    machine.write(f"{kept}/kept", "stuck")
    machine.run("mount", "--bind", kept, kept)
    message = machine.refusal(*HELPER, "Deprovision", "stuck", name=NAME)
    assert "snooze-user-remove@stuck.service" in message, message
    assert machine.read("/etc/cloudsnooze/approvals/.pending").splitlines()[1:] == ["stuck"]
    machine.run("umount", kept)
    machine.call(*HELPER, "Deprovision", "s", "stuck", name=NAME)
    assert not os.path.exists(machine.path(kept)) and machine.read(f"{kept}.forgotten/kept") == "stuck"
    assert not os.path.exists(machine.path("/etc/cloudsnooze/approvals/.pending"))


def it_leaves_when_idle(machine):
    """the helper ends when nobody asks for anything"""
    wait_until(lambda: machine.unit("snooze-helper.service", "ActiveState") == "inactive", "the helper's end", 90)
    assert machine.unit("snooze-helper.service", "Result") == "success"


def filters_addresses(machine):
    """Whether this kernel lets systemd tell addresses apart (it takes BPF on cgroups)."""
    script = ("import socket\ns = socket.socket()\ns.settimeout(3)\ns.connect(('127.0.0.1', 8011))\n")
    return machine.run("systemd-run", "--wait", "--quiet", "-p", "IPAddressDeny=any", "/usr/bin/python3", "-c", script,
                       check=False).returncode != 0


def filters_devices(machine):
    """Whether systemd can keep units from devices here that everybody may open (a container may lack the controller)."""
    return [machine.run("systemd-run", "--wait", "--quiet", "--uid=nobody", "-p", f"DevicePolicy={policy}", "sh", "-c", f": >>{OTHER_DEVICE}",
                        check=False).returncode == 0 for policy in ("auto", "closed")] == [True, False]


PERMISSION_CASES = [enabling_makes_it_known, the_world_is_prepared, unapproved_is_not_started, each_permission_grants,
                    each_lack_is_enforced, signals_are_for_who_may_send_them, a_unit_is_for_who_may_stop_it, grants_go_no_further, who_approves_knows_how_far_it_reaches,
                    a_program_that_anybody_may_put_there_is_not_asked_for]


def run_on(plan, machine, cases):
    with machine.background("/usr/bin/python3", "-m", "http.server", "8011"), machine.background("/usr/bin/python3", "-c", LISTENER):
        wait_until(lambda: ":8011" in machine.run("ss", "-ltn").stdout, "the server")
        wait_until(lambda: f"@{ABSTRACT}" in machine.run("ss", "-lx").stdout, "the socket without a file")
        machine.filters_addresses = filters_addresses(machine)
        print(f"# this kernel {'tells' if machine.filters_addresses else 'does not tell'} addresses apart")
        plan.cases(cases, machine)


def run(plan, installed, bus, build):
    with Machine(installed, bus, CONFIGURATION) as machine:
        machine.build = build
        run_on(plan, machine, [*PERMISSION_CASES, names_are_not_looked_up_for_others, one_is_taken_back, more_is_asked_again,
                               what_anybody_has_started_is_not_what_was_approved, what_anybody_has_started_is_adopted,
                               what_was_granted_lapses, what_came_to_rest_in_the_second_slot_is_found_in_the_first,
                               a_script_is_run, scripts_of_the_template_are_run, what_no_package_brought, a_package_brings_one_of_its_name,
                               limits_are_live, a_captured_daemon, nothing_is_left, what_cannot_be_set_aside_is_owed, it_leaves_when_idle])
