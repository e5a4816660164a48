# SPDX-License-Identifier: Apache-2.0
"""A machine in a cloud: the provider under its shipped unit, before a fake of EC2 that listens inside of the machine."""

import json
import os
import subprocess
import sys
import time

from handler_cases import SCRIPT, disable, enable
from machine import Machine, run as run_here, wait_until
from passage_cases import QUICK, history, kill_daemon

FAKES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fakes")
sys.path.insert(0, FAKES)
from client import FakeCloud  # noqa: E402

OWN = "i-1234567890abcdef0"
PROVIDER = "/io/cloudsnooze/Snooze1/provider/aws"
ASK = "import sys, urllib.request; sys.stdout.buffer.write(urllib.request.urlopen(urllib.request.Request(sys.argv[1], data=sys.argv[2].encode() or None), timeout=30).read())"


class CloudInside(FakeCloud):
    """The fake's process is the host's, its network the machine's."""

    def __init__(self, machine, name):
        self.enter = ["nsenter", "-t", str(machine.init), "-n", "--"]
        self.process = subprocess.Popen([*self.enter, sys.executable, os.path.join(FAKES, name + ".py")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def open(self, path, data=None):
        return run_here(*self.enter, sys.executable, "-c", ASK, self.url + path, json.dumps(data) if data is not None else "").stdout

    def settings(self):
        return {"metadata_url": self.url, "endpoint_url": self.url, "poll_interval_seconds": 0.5}


def configure(machine, **patch):
    machine.manager("SetConfiguration", "s", json.dumps(patch))


def wait_for_provider(machine):
    wait_until(lambda: machine.property("Provider") == PROVIDER and not machine.property("ProviderProblem"), "aws is the provider")
    assert machine.property("InstanceId", PROVIDER, "io.cloudsnooze.Snooze1.Provider") == OWN
    assert machine.property("StopEffect", PROVIDER, "io.cloudsnooze.Snooze1.Provider") == "stops-billing"


def stops_through_the_cloud(machine, cloud):
    """idle, warned, tagged, stopped through EC2, and its new state seen"""
    configure(machine, provider="aws", providers={"aws": cloud.settings()}, enable_instance_tags=True, naptime_minutes=0.1)
    wait_for_provider(machine)
    wait_until(lambda: [r for r in cloud.requests("Action=StopInstances") if "DryRun" not in r["body"]], "EC2 was asked to stop it", 180)
    machine.wait_state("stopped")
    asked = [r["body"] for r in cloud.requests("POST /?") if "DryRun" not in r["body"]]
    kinds = [body.split("&")[0] for body in asked]
    assert kinds.index("Action=CreateTags") < kinds.index("Action=StopInstances"), kinds
    assert "CloudSnooze%3AStopReason" in asked[kinds.index("Action=CreateTags")], asked
    info, = machine.call(PROVIDER, "io.cloudsnooze.Snooze1.Provider", "GetInstanceInfo", "s", "")
    assert info["state"]["data"] == "stopping", info
    states = [row["state"]["data"] for row in reversed(history(machine)) if row["kind"]["data"] == "state"]
    order = [state for state in states if state in ("warning", "stopping", "stopped")]
    assert order[-3:] == ["warning", "stopping", "stopped"], states


def results_of(machine, kind):
    for row in history(machine):
        values = {key: entry["data"] for key, entry in row.items()}
        if values.get("finished") and values.get("type") == kind:
            return {result["plugin"]["data"]: result for result in values["results"]}
    return None


def spot_notice_runs_the_handlers(machine, cloud):
    """a Spot notice two minutes ahead: handlers run in time, the daemon killed in the middle, and nobody twice"""
    machine.write(SCRIPT, "#!/bin/sh\necho run >> /var/tmp/runs; sleep 3; wc -l < /var/tmp/runs\n", 0o755)
    configure(machine, plugins={"plugin_configs": {"spot-handler": {"shutdown_script_path": SCRIPT, "timeout_seconds": 20}}},
              provider="aws", providers={"aws": cloud.settings()}, naptime_minutes=600)
    enable(machine, "spot-handler")
    try:
        cloud.state(instances={OWN: {"lifecycle": "spot", "state": "running", "spot_request": {"id": "sir-1", "type": "persistent"}}})
        # What this instance is, is asked anew with a changed configuration.
        configure(machine, providers={"aws": {**cloud.settings(), "poll_interval_seconds": 0.3}})
        wait_for_provider(machine)
        notice = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 120))
        cloud.state(spot={"action": "terminate", "time": notice})
        wait_until(lambda: any(row.get("type", {}).get("data") == "cloud.spot.interrupt" for row in history(machine)), "the notice has come")
        kill_daemon(machine)
        results = wait_until(lambda: results_of(machine, "cloud.spot.interrupt"), "the handlers have ended", 90)
        assert results["spot-handler"]["handled"]["data"], results
        events, = machine.manager("ListEvents", "u", "10")
        mine = [event for event in events if event["type"]["data"] == "cloud.spot.interrupt"]
        assert len(mine) == 1 and mine[0]["source"]["data"] == "aws" and mine[0]["id"]["data"].startswith(OWN), mine
        # The run that the daemon's death did not end is told of, or its end was awaited by the second question.
        result = results["spot-handler"]["result"]["data"]
        assert result.get("status", {}).get("data") == "already_handled" or result.get("script_output", {}).get("data", "").strip() == "1", results
    finally:
        disable(machine, "spot-handler")


def run(plan, installed, bus):
    # One machine each: while a termination is pending nothing stops by itself.
    for case in (spot_notice_runs_the_handlers, stops_through_the_cloud):
        with Machine(installed, bus, dict(QUICK, provider="auto", naptime_minutes=600)) as machine:
            cloud = CloudInside(machine, "aws")
            try:
                plan.case(case, machine, cloud)
            finally:
                cloud.stop()
