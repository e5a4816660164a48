# SPDX-License-Identifier: Apache-2.0
"""A machine in a cloud: each provider under its shipped units, before a fake of its cloud that listens inside of the
machine."""

import contextlib
import email.utils
import json
import time
from typing import NamedTuple

from fake_inside import FakeInside
from handler_cases import SCRIPT, enable, plugin_call
from machine import Machine, wait_until
from passage_cases import QUICK, history, kill_daemon, states

ROOT = "/io/cloudsnooze/Snooze1"
SPOT = "cloud.spot.interrupt"


class Cloud(NamedTuple):
    """What the passages need to know of a cloud."""

    own: str       # this machine
    effect: str    # of a stop
    tag: str       # in the request that writes tags, and no other
    stop: str      # in the one that stops
    leaving: tuple  # states of a machine that was stopped


CLOUDS = {
    "aws": Cloud("i-1234567890abcdef0", "stops-billing", "Action=CreateTags", "Action=StopInstances", ("stopping",)),
    "gcp": Cloud("4520031799277581759", "stops-billing", "/instances/test-instance/setLabels?",
                 "/instances/test-instance/stop?", ("stopping",)),
    "azure": Cloud("/subscriptions/5f5b8c63-2d4a-4f0e-9d0a-000000000001/resourceGroups/test-group/providers/"
                   "Microsoft.Compute/virtualMachines/examplevmname", "stops-billing",
                   "/Microsoft.Resources/tags/default?", "/examplevmname/deallocate?",
                   ("deallocating", "deallocated")),
    "openstack": Cloud("9d8f5a0e-3c4b-4b0e-9a43-6f0c8d3c5a11", "keeps-billing",
                       "POST /compute/v2.1/servers/9d8f5a0e-3c4b-4b0e-9a43-6f0c8d3c5a11/metadata?",
                       '{"os-stop":', ("powering-off", "stopped")),
}


def settings(cloud, fake, **more):
    """Of the provider."""
    values = {"metadata_url": fake.url, **more}
    if cloud != "openstack":  # which finds its services in Keystone's catalog
        values["endpoint_url"] = fake.url
    if cloud in ("aws", "azure"):
        values["poll_interval_seconds"] = 0.5
    return values


def give_credential(machine, fake):
    """As the README of openstack says; the other clouds give credentials to their machines."""
    credential = {"auth_url": fake.url, "application_credential_id": "423f19a4ac1e4f48bbb4180756e6eb6c",
                  "application_credential_secret": "rEaqvJka48mpv"}
    machine.write("/etc/credstore/openstack", json.dumps(credential), 0o600)
    for unit in ("snooze-plugin@openstack", "snooze-plugin-b@openstack"):
        machine.write(f"/etc/systemd/system/{unit}.service.d/override.conf",
                      "[Service]\nLoadCredential=openstack:/etc/credstore/openstack\n")
    machine.run("systemctl", "daemon-reload")
    plugin_call(machine, "openstack", "Restart")


def configure(machine, **patch):
    machine.manager("SetConfiguration", "s", json.dumps(patch))


def ask_provider(machine, cloud, name):
    return machine.property(name, f"{ROOT}/provider/{cloud}", "io.cloudsnooze.Snooze1.Provider")


def is_in(machine, cloud):
    """The provider serves, as the user that is its own."""
    path = f"{ROOT}/provider/{cloud}"
    wait_until(lambda: machine.property("Provider") == path and not machine.property("ProviderProblem"),
               f"{cloud} is the provider")
    wait_until(lambda: ask_provider(machine, cloud, "InstanceId") == CLOUDS[cloud].own, f"{cloud} knows this machine")
    assert ask_provider(machine, cloud, "StopEffect") == CLOUDS[cloud].effect
    assert machine.user_of(machine.unit(f"snooze-plugin@{cloud}.service", "MainPID")) == f"snooze-{cloud}"
    # OpenStack has no notice of an end for its machines; whose cloud has one announces it.
    contracts = machine.plugin_property(cloud, "Contracts")
    assert ("EventSource" in contracts) == (cloud in NOTICES), contracts


def begins_to_idle(machine, cloud, fake):
    if cloud == "openstack":
        give_credential(machine, fake)
    configure(machine, provider=cloud, providers={cloud: settings(cloud, fake)}, enable_instance_tags=True,
              naptime_minutes=0.1)
    is_in(machine, cloud)


def is_stopped(machine, cloud, fake):
    wanted = CLOUDS[cloud]
    seen = wait_until(lambda: "stopped" in states(machine) and states(machine), f"{cloud} has stopped it", 180)
    order = [state for state in seen if state in ("warning", "stopping", "stopped")]
    assert order[:3] == ["warning", "stopping", "stopped"], seen
    asked = [f"{r['method']} {r['path']}?{r['query']} {r['body']}" for r in fake.requests()
             if "DryRun" not in r["body"]]
    tags = [number for number, request in enumerate(asked) if wanted.tag in request]
    stop, = [number for number, request in enumerate(asked) if wanted.stop in request]
    assert tags and tags[0] < stop, asked
    assert "stopreason" in asked[tags[0]].lower(), asked[tags[0]]
    info, = machine.call(f"{ROOT}/provider/{cloud}", "io.cloudsnooze.Snooze1.Provider", "GetInstanceInfo", "s", "")
    assert info["state"]["data"] in wanted.leaving, info


# A Spot notice

# Whoever gets a word of this is a listener in the machine, which lets it go on.
TELL = "exec 3<>/dev/tcp/127.0.0.1/%s; printf \"GET %s HTTP/1.0\\r\\n\\r\\n\" >&3; cat <&3 >/dev/null"
WORKER = "[Service]\nExecStart=sleep infinity\nExecStop=/usr/local/sbin/stop-worker\n"
EVENT = "C7061BAC-AFDC-4513-B24B-AA5F13A16123"


def announce_aws(fake, deadline):
    fake.state(spot={"action": "terminate", "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(deadline))})


def announce_gcp(fake, _):
    fake.state(preempted="TRUE")


def announce_azure(fake, deadline):
    """Of two machines, one of which this is not."""
    event = {"EventType": "Preempt", "ResourceType": "VirtualMachine", "EventStatus": "Scheduled",
             "NotBefore": email.utils.formatdate(deadline, usegmt=True), "Description": "", "EventSource": "Platform",
             "DurationInSeconds": -1}
    fake.state(events={"incarnation": 2, "list": [
        {**event, "EventId": "A123BC45-1234-5678-AB90-ABCDEF123456", "Resources": ["another"]},
        {**event, "EventId": EVENT, "Resources": ["examplevmname"]}]})


class Notice(NamedTuple):
    announce: object
    seconds: int   # from the notice to the end
    script: int    # of which a script may have so many …
    least: int     # … and has these: its share, with another handler behind it
    spot: dict     # what makes the fake's machine a Spot instance
    own: dict      # settings
    middle: object  # in which the daemon is killed, and goes on; returns how many handlers had ended
    when: str      # that is


def killed(machine, ended):
    """Whoever has ended is not asked again, as the daemon says itself."""
    kill_daemon(machine)
    words = f"({SPOT}) goes on: {ended} handlers had ended."
    said = ("journalctl", "-b", "-u", "snoozed.service", "-o", "cat")
    wait_until(lambda: words in machine.run(*said).stdout, f"the other handlers are asked, behind {ended}")
    return ended


def in_the_script(machine, fake, listener):
    """The script still runs when its handler is asked again."""
    ended = killed(machine, 1)
    listener.state(released=["/work"])
    wait_until(lambda: listener.requests("GET /worker"), "the service is stopped", 30)
    return ended


def at_the_end_of_the_script(machine, fake, listener):
    """The script, whose time is too short for a start of the daemon, ends while nobody takes its result."""
    machine.run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", "snoozed.service")
    listener.state(released=["/work"])
    wait_until(lambda: not machine.run("pgrep", "-f", SCRIPT, check=False).stdout, "the script has ended", 30)
    ended = killed(machine, 1)
    wait_until(lambda: listener.requests("GET /worker"), "the service is stopped", 30)
    return ended


def in_the_last_handler(machine, fake, listener):
    """Azure waits for word from here, and gets none as long as the service is being stopped."""
    listener.state(released=["/work"])
    wait_until(lambda: listener.requests("GET /worker"), "the service is stopped", 30)
    ended = killed(machine, 2)
    polls = len(fake.requests("GET /metadata/scheduledevents"))
    # More than a question that was under way: what is answered to a daemon of now.
    wait_until(lambda: len(fake.requests("GET /metadata/scheduledevents")) > polls + 1, "the event is looked at again")
    assert not fake.requests("POST /metadata/scheduledevents")
    return ended


# In the middle of each the service is still being stopped. OpenStack is not among them: it tells its machines of no
# end, and its provider announces nothing (is_in()).
NOTICES = {
    "aws": Notice(announce_aws, 120, 90, 45, {"instances": {"i-1234567890abcdef0": {
        "lifecycle": "spot", "state": "running", "spot_request": {"id": "sir-1", "type": "persistent"}}}}, {},
        in_the_script, "while the script runs"),
    "gcp": Notice(announce_gcp, 30, 15, 6, {"instances": {"test-instance": {"spot": True}}}, {},
                  at_the_end_of_the_script, "before it hears that the script has ended"),
    "azure": Notice(announce_azure, 60, 15, 8, {}, {"approve_events": "always"}, in_the_last_handler,
                    "while the last handler works"),
}


def prepare(machine, cloud, fake, listener):
    """Three handlers, one after the other: a webhook that ends at once, a script and a service that is stopped, which
    end when the listener lets them."""
    port = listener.url.rpartition(":")[2]
    machine.write(SCRIPT, "#!/bin/bash\n" + TELL % (port, "/work?$SNOOZE_SCRIPT_SECONDS") + "\n", 0o755)
    machine.write("/usr/local/sbin/stop-worker", "#!/bin/bash\n" + TELL % (port, "/worker") + "\n", 0o755)
    machine.write("/etc/systemd/system/worker.service", WORKER)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "worker.service")
    fake.state(**NOTICES[cloud].spot)
    plugins = {"webhook": {"urls": [listener.url + "/first"], "events": {"cloud.*": {"priority": 200}}},
               "spot-handler": {"shutdown_script_path": SCRIPT}, "drain": {"units": ["worker.service"]}}
    configure(machine, provider=cloud, providers={cloud: settings(cloud, fake, **NOTICES[cloud].own)},
              plugins={"plugin_configs": plugins})
    for plugin in plugins:
        enable(machine, plugin)
    is_in(machine, cloud)


def row_of(machine, kind):
    """What history says of the one event of that type, once it has ended."""
    rows = [{key: entry["data"] for key, entry in row.items()} for row in history(machine)]
    ended = [row for row in rows if row.get("type") == kind and row.get("finished")]
    assert len(ended) <= 1, ended
    return ended[0] if ended else None


def of_notice(machine):
    return [event for event in machine.manager("ListEvents", "u", "10")[0] if event["type"]["data"] == SPOT]


def notice_runs_the_handlers(machine, cloud, fake, listener):
    """When the last of them was let go on."""
    notice = NOTICES[cloud]
    prepare(machine, cloud, fake, listener)
    end = time.time() + notice.seconds
    notice.announce(fake, end)
    wait_until(lambda: listener.requests("GET /work?"), "the script runs", 30)
    ended = notice.middle(machine, fake, listener)
    assert row_of(machine, SPOT) is None
    released = time.time()
    listener.state(released=["/work", "/worker"])
    row = wait_until(lambda: row_of(machine, SPOT), "the handlers have ended")
    assert time.time() < end, "it took longer than there was time"
    # In their order; and who had ended before the daemon died was not told again, nor was a script run twice.
    heard = [request for request in listener.requests() if SPOT in request["body"] or request["method"] == "GET"]
    assert [request["path"] for request in heard] == ["/first", "/work", "/worker"], heard
    seconds = int(heard[1]["query"])
    assert notice.least <= seconds <= notice.script, f"the script had {seconds} s"
    results = row["results"]
    assert [result["plugin"]["data"] for result in results] == ["webhook", "spot-handler", "drain"], results
    assert all(result["handled"]["data"] for result in results), results
    assert machine.unit("worker.service", "ActiveState") == "inactive"
    script = results[1]["result"]["data"]
    # The run that the daemon's death did not end: the handler was asked a second time, and told what came of it.
    assert ("status" in script) == (ended == 1), script
    assert script["success"]["data"] and seconds <= script["time_remaining"]["data"], script
    event, = of_notice(machine)
    own = CLOUDS[cloud].own if cloud != "azure" else "02aab8a4-74ef-476e-8182-f6d2ba4166a6"
    assert event["source"]["data"] == cloud and event["id"]["data"].startswith(own), event
    assert event["deadline"]["data"] <= (end + 10) * 1e6, event
    assert json.loads(heard[0]["body"])["id"] == event["id"]["data"], heard[0]
    return released


def approved_when_all_was_done(machine, fake, released):
    """azure: it is told to go on with what names this machine, once, and only after the handlers have ended"""
    approval, = wait_until(lambda: fake.requests("POST /metadata/scheduledevents"), "the event is approved")
    assert json.loads(approval["body"]) == {"StartRequests": [{"EventId": EVENT}]}, approval
    assert approval["time"] > released[0], (approval, released)
    assert len(of_notice(machine)) == 1


def named(text, function, *arguments):
    """A case of that name."""
    def case():
        function(*arguments)

    case.__doc__ = text
    return case


def run_notice(plan, installed, bus, cloud):
    # A machine for each: while a termination is pending nothing stops by itself.
    with Machine(installed, bus, dict(QUICK, provider="auto", naptime_minutes=600)) as machine:
        with FakeInside(machine, cloud) as fake, FakeInside(machine, "listener") as listener:
            released = []
            text = (f"{cloud}: a Spot notice, handlers run in order and in time, the daemon killed "
                    f"{NOTICES[cloud].when}, who had not ended asked again")
            ok = plan.case(named(text, lambda: released.append(
                notice_runs_the_handlers(machine, cloud, fake, listener))))
            if ok and cloud == "azure":
                plan.case(approved_when_all_was_done, machine, fake, released)


def run(plan, installed, bus, _build):
    with contextlib.ExitStack() as stack:
        # All of them at a time, while others are looked at: most of it is waiting for what is idle.
        machines = {}
        for cloud in CLOUDS:
            machine = stack.enter_context(Machine(installed, bus, dict(QUICK, provider="auto", naptime_minutes=600)))
            fake = stack.enter_context(FakeInside(machine, cloud))
            if plan.case(named(f"{cloud}: its provider serves, under its own user", begins_to_idle, machine, cloud,
                               fake)):
                machines[cloud] = (machine, fake)
        for cloud in NOTICES:
            run_notice(plan, installed, bus, cloud)
        for cloud, (machine, fake) in machines.items():
            plan.case(named(f"{cloud}: warned, tagged, stopped through its API, and its new state seen", is_stopped,
                            machine, cloud, fake))
