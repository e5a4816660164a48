# SPDX-License-Identifier: Apache-2.0
"""Mail on a machine whose mail system is the distribution's: its sendmail works by setuid or setgid, which no plugin
has, and its server takes the mail all the same."""

import email
import email.policy

from handler_cases import emit, enable
from machine import Machine, packages_of, wait_until
from outward_cases import CONFIGURATION, configure, result_of

# Each on one bus: they conflict, and installing one takes a while.
SYSTEMS = {"dbus-daemon": ("postfix", "postfix@-"), "dbus-broker": ("exim4-daemon-light", "exim4")}
EVENT = "cloud.instance.maintenance"


def install(machine, package):
    """As Debian does where nobody is asked anything."""
    machine.run("dpkg", "--purge", "msmtp-mta")
    machine.run("sh", "-c", f"DEBIAN_FRONTEND=noninteractive dpkg --install {packages_of(package)}/*.deb")
    programs = machine.run("find", "-L", "/usr/sbin/sendmail", "/usr/sbin/postdrop", "-perm", "/6000", check=False)
    assert programs.stdout, "no program of the mail system is setuid or setgid"


def mail_arrives(machine, package, service):
    install(machine, package)
    configure(machine, notify={"recipients": ["alice"]})
    enable(machine, "notify")
    result = result_of(emit(machine, EVENT), "notify")
    assert result["mailed"]["data"], result
    box = wait_until(lambda: machine.run("cat", "/var/mail/alice", check=False).stdout, "alice has mail")
    mail = email.message_from_string(box.split("\n", 1)[1], policy=email.policy.default)
    assert "The cloud maintains this machine" in mail["Subject"], box
    assert f"Event: {EVENT}" in mail.get_content(), box
    assert mail["From"].startswith("root@") and mail["To"].startswith("alice@"), box
    pid = machine.unit("snooze-plugin@notify.service", "MainPID")
    assert "NoNewPrivs:\t1\n" in machine.run("cat", f"/proc/{pid}/status").stdout
    assert "Mail goes to port 25 of this machine" in journal(machine)


def goes(machine):
    try:
        return result_of(emit(machine, EVENT), "notify")["mailed"]["data"]
    except AssertionError:  # it was not handled
        return False


def without_its_server(machine, package, service):
    machine.run("systemctl", "stop", service)
    result = result_of(emit(machine, EVENT), "notify", handled=False)
    assert not result["mailed"]["data"] and "see smtp_url" in result["error"]["data"], result
    assert "nobody takes any" not in journal(machine)
    machine.run("snooze", "plugin", "restart", "notify")
    wait_until(lambda: "where nobody takes any yet" in journal(machine), "notify says that nobody listens")
    machine.run("systemctl", "start", service)
    wait_until(lambda: goes(machine), "mail goes again")


def journal(machine):
    return machine.run("journalctl", "-b", "--no-pager", "-o", "cat", "-u", "snooze-plugin*@notify.service").stdout


def run(plan, installed, bus, _build):
    package, service = SYSTEMS[bus]
    mail_arrives.__doc__ = f"notify: {package} as Debian installs it takes mail for a user, and no privilege is gained"
    without_its_server.__doc__ = f"notify: while {package} does not run, it says what to do; then mail goes again"
    with Machine(installed, bus, CONFIGURATION) as machine:
        plan.cases([mail_arrives, without_its_server], machine, package, service)
