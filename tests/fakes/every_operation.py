# SPDX-License-Identifier: Apache-2.0
"""What every operation of a provider makes of a cloud that is busy, slow, refuses, is garbled, or loses its answer after the deed. Mixed into
a CloudTestCase of each cloud, which lists its operations; what an operation means by itself is tested there."""

import dataclasses
import time
from typing import Callable, Optional

from client import FakeCloud

# As HttpRequest.attempts of the providers' calls.
ATTEMPTS = 4


@dataclasses.dataclass
class Operation:
    name: str
    match: str                         # its own request at the cloud, and no other's
    arguments: tuple                   # of the call
    state: dict                        # of the fake, before it
    done: Optional[Callable[[], bool]] = None  # it was, as the fake tells; None: it changes nothing
    refused: Optional[str] = "Refused"  # what comes of a refusal; None: it can do without
    garbled: Optional[str] = "Throttled"  # what comes of answers that cannot be read; None: the answer is not needed


class EveryOperation:
    REFUSAL: dict  # the fault that is the cloud's "you may not"
    LOOK: str      # what a stop asks before its own request

    def operations(self):
        raise NotImplementedError

    def patient(self):
        """The provider under test."""
        raise NotImplementedError

    def impatient(self):
        """The same, which waits half a second for an answer of the API."""
        self.IMPATIENCE = 20
        return self.patient()

    def brief(self, brevity):
        """The same, which has 50 s divided by that for each operation."""
        self.BREVITY = brevity
        return self.patient()

    def mark(self):
        """The value of a tag that nothing has yet."""
        self.marked = f"v{int(getattr(self, 'marked', 'v0')[1:]) + 1}"
        return self.marked

    def each(self, check, faults, times=1):
        """Checks every operation with such faults before it."""
        for operation in self.operations():
            with self.subTest(operation=operation.name, faults=faults):
                self.cloud.command(forget=True, mend=True, state=operation.state)
                self.cloud.fault(operation.match, times=times, **faults)
                check(operation)

    def do(self, plugin, operation):
        return self.ask(plugin, operation.name, *operation.arguments)

    def asked(self, operation):
        return len(self.cloud.requests(operation.match))

    def succeeds_at_the_second_attempt(self, plugin):
        def check(operation):
            self.do(plugin, operation)
            self.assertGreaterEqual(self.asked(operation), 2)
            if operation.done:
                self.assertTrue(operation.done())

        return check

    def is_given_up(self, plugin):
        def check(operation):
            self.refused("Throttled", self.do, plugin, operation)
            self.assertEqual(self.asked(operation), ATTEMPTS)

        return check

    def ends_as(self, plugin, operation, name):
        if name:
            self.refused(name, self.do, plugin, operation)
        else:
            self.do(plugin, operation)

    def test_everything_waits_for_a_cloud_that_is_busy(self):
        check = self.succeeds_at_the_second_attempt(self.patient())
        for faults in ({"status": 503}, {"status": 429}, {"drop": True}):
            self.each(check, faults)

    def test_everything_tells_that_it_stays_busy(self):
        self.each(self.is_given_up(self.patient()), {"status": 503}, times=100)

    def test_everything_survives_an_answer_that_comes_too_late(self):
        self.each(self.succeeds_at_the_second_attempt(self.impatient()), {"delay": 60, "drop": True})

    def test_everything_ends_where_none_comes(self):
        self.each(self.is_given_up(self.impatient()), {"delay": 60, "drop": True}, times=100)

    def test_everything_survives_an_answer_that_is_lost_after_the_deed(self):
        self.each(self.succeeds_at_the_second_attempt(self.patient()), {"lose": True})

    def test_nothing_that_was_refused_is_repeated(self):
        plugin = self.patient()

        def check(operation):
            self.ends_as(plugin, operation, operation.refused)
            self.assertEqual(self.asked(operation), 1)

        self.each(check, self.REFUSAL, times=100)

    def test_nothing_trusts_an_answer_that_cannot_be_read(self):
        plugin = self.patient()
        for faults in ({"status": 200, "body": "<{"}, {"status": 200, "body": "[7]"}, {"status": 200, "body": ""}):
            self.each(lambda operation: self.ends_as(plugin, operation, operation.garbled), faults, times=100)

    def test_a_metadata_service_that_does_not_answer(self):
        self.cloud.fault("", times=100, delay=60, drop=True)
        self.refused("Throttled", self.ask, self.patient(), "Detect")

    def fails_within(self, seconds, plugin, operation):
        """And nothing more of it comes, though the cloud is well again."""
        begun = time.monotonic()
        self.refused("Throttled", self.do, plugin, operation)
        self.assertLess(time.monotonic() - begun, seconds)
        asked = self.asked(operation)
        self.cloud.command(mend=True)
        self.ask(plugin, "Detect")
        self.assertEqual(self.asked(operation), asked)

    def test_everything_has_an_end(self):
        plugin = self.brief(20)
        self.each(lambda operation: self.fails_within(6, plugin, operation), {"delay": 60, "drop": True}, times=100)

    def test_who_may_not_even_know_its_machine_has_one(self):
        self.cloud.fault("", times=100, delay=60, drop=True)
        plugin = self.brief(20)
        begun = time.monotonic()
        self.refused("Throttled", self.do, plugin, next(operation for operation in self.operations() if operation.name == "StopInstance"))
        self.assertLess(time.monotonic() - begun, 5.5)

    def test_all_requests_of_a_stop_have_one_end(self):
        operation = next(operation for operation in self.operations() if operation.name == "StopInstance")
        # One of its own would make it 13 s.
        plugin = self.brief(6)
        self.ask(plugin, "Detect")
        self.cloud.command(forget=True, state=operation.state)
        self.cloud.fault(self.LOOK, delay=4.5)
        self.cloud.fault(operation.match, times=100, delay=60, drop=True)
        self.fails_within(12, plugin, operation)
        self.assertEqual(self.asked(operation), 1)

    def test_the_api_is_asked_through_the_proxy_and_the_metadata_service_is_not(self):
        proxy = FakeCloud(self.FAKE)
        self.addCleanup(proxy.stop)
        proxy.command(faults=[{"times": 100, **self.REFUSAL}])
        plugin = getattr(self, self.ID)(endpoint_url="http://api.example.invalid", proxy_url=proxy.url)
        self.refused("Refused", self.stop_with, plugin)
        asked = proxy.requests()
        self.assertTrue(asked)
        # Whom it is to ask is said in the request, as one to a proxy has it.
        self.assertEqual([request["path"] for request in asked if not request["path"].startswith("http://api.example.invalid/")], [])
        self.assertTrue(self.cloud.requests())
        self.assertEqual(self.cloud.requests(self.LOOK.split()[-1]), [])
