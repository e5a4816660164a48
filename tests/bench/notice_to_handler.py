#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Row "notice to handler": from the moment at which a cloud's metadata changes until a handler was entered, with the real providers before
fakes of their metadata services, the real daemon on a private bus, and a handler of the SDK.

notice_to_handler.py BUILD [--smoke]: rows on stdout. Exit status 77 with a reason on stderr where the build has no providers of clouds.

aws asks again and again: the longest wait of all notices, beside its interval and ten milliseconds; and by the way the part of it that is
ours, from the question whose answer had the notice until the handler was entered. gcp is told at once (a long poll): there the whole wait
is ours."""

import datetime
import json
import os
import statistics
import sys
import time

LEFT_OUT = 77
ROUNDS = 40
# A tenth of what AWS recommends; each notice comes at another moment of the interval.
INTERVAL = 0.5
OURS_MS = 10.0
# By this the interval and the moments of the notices never get into step.
STRIDE = 0.618033988749895
QUESTIONS = 2
INSTANCE = "i-1234567890abcdef0"

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def prepare(build):
    """The environment that the harness of the tests on a bus reads when it is imported."""
    os.environ["SNOOZE_BUILD_ROOT"] = build
    os.environ["SNOOZE_SOURCE_ROOT"] = os.path.dirname(TESTS)
    sys.path[:0] = [os.path.join(TESTS, "bus"), os.path.join(TESTS, "fakes")]


def row(value, unit, beside, goal):
    return {"value": round(value, 2), "unit": unit, "beside": round(beside, 2), "ratio": round(value / beside, 3), "goal": goal}


class Notices:
    """A provider before its fake, and what became of each notice."""

    HANDLER = {"contracts": ["EventHandler", "RequestHandler"], "events": {"cloud.*": {"priority": 1}},
               "config_schema": {"mode": {"type": "string", "description": "What it does with an event", "default": "quiet"}}}

    def __init__(self, provider, settings, **state):
        import harness  # pylint: disable=C0415
        from client import FakeCloud  # pylint: disable=C0415

        self.harness = harness
        self.cloud = FakeCloud(provider)
        self.cloud.state(**state)
        self.house = harness.House(daemon=False)
        place = harness.BUILD / "providers" / provider
        self.house.place_plugin(provider, place / provider, json.loads((place / "plugin.json").read_text()))
        self.house.install_plugin("handler", harness.BUILD / "tests/bus/event-plugin", **self.HANDLER)
        settings = {name: value.replace("URL", self.cloud.url) if isinstance(value, str) else value for name, value in settings.items()}
        self.house.configure({"provider": provider, "providers": {provider: settings}})
        self.house.start_daemon()
        self.client = self.house.client()
        self.finished = self.client.listen(harness.MANAGER, "EventFinished", harness.PATH)
        # Running before the first notice: starting it is the row "activation".
        self.client.call("LoadPlugin", "(s)", ("handler",))

    def close(self):
        self.house.close()
        self.cloud.stop()

    def wait_for_questions(self, path):
        """The provider watches, and asks by the tokens that it has."""
        until = time.monotonic() + self.harness.TIMEOUT
        while len(self.cloud.requests(path)) < QUESTIONS:
            if time.monotonic() > until:
                raise RuntimeError(f"nobody asks about {path}")
            time.sleep(0.05)

    def entered(self, number):
        """The moment at which the handler was entered for this notice, by the clock of all (CLOCK_MONOTONIC), in seconds."""
        self.harness.wait_for(lambda: len(self.finished) > number, f"notice {number}")
        _, handled, results = self.finished[number]
        if not handled:
            raise RuntimeError(f"notice {number} was not handled: {results}")
        return results[0]["result"]["entered"] / 1e6


def spot_notice(number):
    """Each its own: the provider knows a notice by what it says."""
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=2, seconds=number)
    return {"action": "stop" if number % 2 else "terminate", "time": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}


def measure_aws(rounds):
    # What is bought on demand has no such notices, and is not asked about them.
    notices = Notices("aws", {"metadata_url": "URL", "endpoint_url": "URL", "poll_interval_seconds": INTERVAL},
                      instances={INSTANCE: {"lifecycle": "spot", "spot_request": {"id": "sir-1", "type": "persistent"}}})
    waits, ours = [], []
    try:
        notices.wait_for_questions("spot/instance-action")
        for number in range(rounds):
            time.sleep(INTERVAL * (number * STRIDE % 1))
            notices.cloud.command(forget=True)
            begun = notices.cloud.state(spot=spot_notice(number))
            entered = notices.entered(number)
            waits.append(entered - begun)
            # One that was under way when the notice came may have been answered with it: then all of the wait is ours.
            asked = [request["moment"] for request in notices.cloud.requests("spot/instance-action")]
            ours.append(entered - next((moment for moment in asked if begun <= moment <= entered), begun))
    finally:
        notices.close()
    return {"notice to handler": row(max(waits) * 1e3, "ms", INTERVAL * 1e3 + OURS_MS, 1.0),
            "notice to handler ours": row(statistics.median(ours) * 1e3, "ms", OURS_MS, 1.0)}


def measure_gcp(rounds):
    notices = Notices("gcp", {"metadata_url": "URL", "endpoint_url": "URL"})
    waits = []
    try:
        notices.wait_for_questions("maintenance-event")
        for number in range(rounds):
            # The provider leaves a second between its questions, so that one hangs by then; and the same word in the same second would
            # be the same notice.
            time.sleep(1.2)
            begun = notices.cloud.state(maintenance_event="TERMINATE_ON_HOST_MAINTENANCE" if number % 2 == 0 else "MIGRATE_ON_HOST_MAINTENANCE")
            waits.append(notices.entered(number) - begun)
    finally:
        notices.close()
    return {"notice to handler at once": row(statistics.median(waits) * 1e3, "ms", OURS_MS, 1.0)}


def main():
    build = os.path.abspath(sys.argv[1])
    rounds = 3 if "--smoke" in sys.argv else ROUNDS
    for provider in ("aws", "gcp"):
        if not os.path.exists(os.path.join(build, "providers", provider, provider)):
            print(f"this build has no provider {provider}", file=sys.stderr)
            return LEFT_OUT
    prepare(build)
    print(json.dumps({**measure_aws(rounds), **measure_gcp(rounds)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
