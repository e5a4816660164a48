# SPDX-License-Identifier: Apache-2.0
"""What Azure announces, and provider azure tells of it. Arguments: the program, the source tree."""

import json
import time

import plugin_bus
from azure_case import OWN, VM_ID, Azure
from plugin_cloud import SOURCE


class Notices(Azure):
    EVENT = {"EventId": "C7061BAC-AFDC-4513-B24B-AA5F13A16123", "EventType": "Preempt", "ResourceType": "VirtualMachine",
             "Resources": ["examplevmname"], "EventStatus": "Scheduled", "NotBefore": "Mon, 21 Jan 2030 09:00:43 GMT", "Description": "",
             "EventSource": "Platform", "DurationInSeconds": -1}
    KEY = f"{VM_ID}/C7061BAC-AFDC-4513-B24B-AA5F13A16123"
    TIME = "@20300121T090043Z"
    EVENT_ID = KEY
    incarnation = 1

    def announce(self, *changes):
        self.incarnation += 1
        self.cloud.state(events={"incarnation": self.incarnation, "list": [{**self.EVENT, **change} for change in changes]})

    def test_a_spot_machine_is_taken(self):
        events, _ = self.watch(self.azure())
        self.announce({})
        self.until(lambda: events)
        event = events[0]
        self.assertEqual((event["id"], event["type"], event["source"], event["severity"]), (self.EVENT_ID, "cloud.spot.interrupt", "azure", 3))
        self.assertEqual(event["deadline"], 1895216443 * 1000000)
        self.assertEqual(event["data"], {"cloud": "azure", "instance_id": OWN, "event_type": "Preempt", "event_source": "Platform"})

    def test_kinds(self):
        events, _ = self.watch(self.azure())
        kinds = {"Terminate": ("cloud.instance.termination", 3), "Freeze": ("cloud.instance.maintenance", 2),
                 "Reboot": ("cloud.instance.maintenance", 2), "Redeploy": ("cloud.instance.maintenance", 2)}
        self.announce(*({"EventId": f"id-{kind}", "EventType": kind, "DurationInSeconds": 9, "Description": "Host server is undergoing maintenance."}
                        for kind in [*kinds, "Explode"]))
        self.until(lambda: len(events) == len(kinds))
        self.assertEqual({e["data"]["event_type"]: (e["type"], e["severity"]) for e in events}, kinds)
        self.assertEqual((events[0]["data"]["duration_seconds"], events[0]["data"]["description"]), (9, "Host server is undergoing maintenance."))

    def test_only_what_names_this_machine(self):
        events, _ = self.watch(self.azure())
        self.announce({"EventId": "a", "Resources": ["another", "examplevmname2"]}, {"EventId": "b", "Resources": ["another", "ExampleVMName"]},
                      {"EventId": "c", "Resources": []}, {"EventId": "d", "Resources": "examplevmname"})
        self.until(lambda: events)
        self.announce({"EventId": "b", "Resources": ["another", "ExampleVMName"]}, {"EventId": "e"})
        self.until(lambda: len(events) > 1)
        self.assertEqual([e["id"] for e in events], [f"{VM_ID}/b", f"{VM_ID}/e"])

    def test_it_is_told_once_through_all_that_becomes_of_it(self):
        events, cancelled = self.watch(self.azure())
        self.announce({})
        self.until(lambda: events)
        self.announce({"EventStatus": "Started", "NotBefore": ""})
        self.cloud.command(forget=True)
        self.until_asked("scheduledevents", 3)
        self.assertEqual((len(events), cancelled), (1, []))

    def test_what_is_seen_only_when_it_has_begun(self):
        events, _ = self.watch(self.azure())
        self.announce({"EventStatus": "Started", "NotBefore": ""})
        self.until(lambda: events)
        self.assertEqual((events[0]["id"], events[0].get("deadline", 0)), (self.KEY, 0))

    def test_what_is_gone_is_called_off(self):
        events, cancelled = self.watch(self.azure())
        self.announce({})
        self.until(lambda: events)
        self.announce()
        self.until(lambda: cancelled)
        self.assertEqual(cancelled, [self.EVENT_ID])

    def test_a_service_that_forgets_it_for_a_moment_calls_nothing_off(self):
        events, cancelled = self.watch(self.azure())
        self.announce({})
        self.until(lambda: events)
        for fault in ({"status": 404}, {"garble": True}, {"status": 200, "body": "{}"}, {"status": 500}):
            self.cloud.command(forget=True)
            self.cloud.fault("scheduledevents", **fault)
            self.until_asked("scheduledevents", 3)
        self.assertEqual((len(events), cancelled), (1, []))

    def test_maintenance_that_is_put_off_is_another_event(self):
        reboot = {"EventType": "Reboot"}
        plugin = self.azure(approve_events="always")
        events, cancelled = self.watch(plugin)
        self.announce(reboot)
        self.until(lambda: events)
        self.announce({**reboot, "NotBefore": "Tue, 22 Jan 2030 10:00:00 GMT"})
        self.until(lambda: len(events) == 2)
        moved = self.KEY + "@20300122T100000Z"
        self.assertEqual((cancelled, events[1]["id"], events[1]["deadline"]), ([self.KEY + self.TIME], moved, 1895306400 * 1000000))
        # Azure hears of it by its own id, and of the old time nothing.
        self.assertEqual(self.acknowledge(plugin, self.KEY + self.TIME), [])
        self.assertEqual([json.loads(post["body"]) for post in self.acknowledge(plugin, moved)], [{"StartRequests": [{"EventId": self.EVENT["EventId"]}]}])
        # Begun, it is still the same, for this process and the next.
        self.announce({**reboot, "EventStatus": "Started", "NotBefore": ""})
        self.cloud.command(forget=True)
        self.until_asked("scheduledevents", 3)
        self.assertEqual((len(events), len(cancelled)), (2, 1))
        events, cancelled = self.next_process(plugin)
        self.until(lambda: events)
        self.assertEqual((events[0]["id"], cancelled), (moved, []))

    def test_an_end_that_moves_is_told_by_the_same_id_and_not_called_off(self):
        """Handlers would start again what they stopped, just before it comes."""
        for kind in ("Preempt", "Terminate"):
            with self.subTest(kind=kind):
                self.setUp()
                end = {"EventType": kind}
                plugin = self.azure(approve_events="always")
                events, cancelled = self.watch(plugin)
                self.announce(end)
                self.until(lambda: events)
                # What is nothing to handlers is told to nobody.
                for moved in ("Mon, 21 Jan 2030 09:00:47 GMT", "Mon, 21 Jan 2030 09:00:39 GMT"):
                    self.announce({**end, "NotBefore": moved})
                    self.cloud.command(forget=True)
                    self.until_asked("scheduledevents", 3)
                    self.assertEqual((len(events), cancelled), (1, []))
                times = [1895216443]
                for moved, seconds in (("09:30:43", 1800), ("09:00:37", -6), ("09:00:43", 0)):
                    self.announce({**end, "NotBefore": f"Mon, 21 Jan 2030 {moved} GMT"})
                    times.append(1895216443 + seconds)
                    self.until(lambda: len(events) == len(times))
                # Begun, it has no other time.
                self.announce({**end, "EventStatus": "Started", "NotBefore": ""})
                self.cloud.command(forget=True)
                self.until_asked("scheduledevents", 3)
                self.assertEqual([(event["id"], event["deadline"]) for event in events], [(self.EVENT_ID, seconds * 1000000) for seconds in times])
                self.assertEqual(cancelled, [])
                self.announce(end)
                self.cloud.command(forget=True)
                self.until_asked("scheduledevents", 3)
                self.assertEqual(len(self.acknowledge(plugin, self.EVENT_ID)), 1)
                # Also while no process looked.
                events, cancelled = self.next_process(plugin, lambda: self.announce({**end, "NotBefore": "Mon, 21 Jan 2030 08:30:43 GMT"}))
                self.until(lambda: events)
                self.assertEqual((events[0]["id"], events[0]["deadline"], cancelled), (self.EVENT_ID, (1895216443 - 1800) * 1000000, []))
                self.announce()
                self.until(lambda: cancelled)
                self.assertEqual((len(events), cancelled), (1, [self.EVENT_ID]))

    def test_while_another_end_is_listed_none_is_called_off(self):
        """Whoever cancels one for another has not spared the machine."""
        plugin = self.azure()
        events, cancelled = self.watch(plugin)
        self.announce({}, {"EventId": "m", "EventType": "Reboot"})
        self.until(lambda: len(events) == 2)
        self.announce({"EventId": "other", "EventType": "Terminate"})
        self.until(lambda: len(events) == 3 and cancelled)
        self.assertEqual((events[2]["id"], cancelled), (f"{VM_ID}/other", [f"{VM_ID}/m{self.TIME}"]))
        # Nor by the next process, which has not seen the first one.
        events, cancelled = self.next_process(plugin, lambda: self.announce({"EventId": "third"}))
        self.until(lambda: events)
        self.cloud.command(forget=True)
        self.until_asked("scheduledevents", 3)
        self.assertEqual(cancelled, [])
        self.announce()
        self.until(lambda: len(cancelled) == 3)
        self.assertEqual(set(cancelled), {self.EVENT_ID, f"{VM_ID}/other", f"{VM_ID}/third"})

    def test_one_that_an_earlier_version_had_moved_keeps_its_name(self):
        moved = self.KEY + "@20300121T090037Z"
        plugin = self.azure()
        plugin.call(".State", "ImportState", "(uay)", 1, json.dumps({"told": [{"key": self.KEY, "begin": 1895216437000000, "id": moved}]}).encode())
        events, cancelled = self.watch(plugin)
        self.announce({})
        self.until(lambda: events)
        self.assertEqual((events[0]["id"], events[0]["deadline"], cancelled), (moved, 1895216443000000, []))

    def next_process(self, plugin, between=lambda: None):
        """What it tells, with what the one before had kept when it was killed."""
        version, state = plugin.call(".State", "ExportState")
        plugin.process.kill()
        plugin.wait()
        between()
        plugin = self.azure()
        plugin.call(".State", "ImportState", "(uay)", version, bytes(state))
        return self.watch(plugin)

    def test_what_is_called_off_while_nobody_looks_is_told_by_the_next_process(self):
        events, cancelled = self.next_process(self.told({}), between=self.announce)
        self.until(lambda: cancelled)
        self.assertEqual((events, cancelled), ([], [self.EVENT_ID]))

    def test_nothing_of_another_machine_is_called_off(self):
        plugin = self.azure()
        plugin.call(".State", "ImportState", "(uay)", 1, json.dumps({"told": [{"key": "another/C7061BAC", "begin": 1}, 7, {"key": VM_ID}]}).encode())
        events, cancelled = self.watch(plugin)
        self.announce({})
        self.until(lambda: events)
        self.assertEqual(cancelled, [])
        for version, state in ((2, b"{}"), (1, b"["), (1, b""), (1, b"[]")):
            self.assert_error("InvalidArgument", plugin.call, ".State", "ImportState", "(uay)", version, state)

    def test_the_same_incarnation_is_the_same_document(self):
        events, cancelled = self.watch(self.azure())
        self.announce({})
        self.until(lambda: events)
        self.cloud.state(events={"list": []})
        self.cloud.command(forget=True)
        self.until_asked("scheduledevents", 4)
        self.assertEqual(cancelled, [])

    def test_the_first_answer_may_take_its_time(self):
        """The service is switched on by the first question. Later ones are answered at once."""
        self.cloud.fault("scheduledevents", delay=6)
        self.announce({})
        plugin = self.azure()
        events, _ = self.watch(plugin)
        self.until(lambda: events, 60)
        _, journal = plugin.stop()
        self.assertNotIn("cannot be read", journal)
        times = [request["time"] for request in self.cloud.requests("scheduledevents")]
        self.assertTrue(all(time - times[0] > 5 for time in times[1:]), times)

    def acknowledge(self, plugin, identifier):
        self.ask(plugin, "Acknowledge", "(s)", identifier, interface=SOURCE)
        return self.cloud.requests("POST /metadata/scheduledevents")

    def told(self, *changes, **settings):
        plugin = self.azure(**settings)
        events, _ = self.watch(plugin)
        self.announce(*changes)
        self.until(lambda: events)
        return plugin

    def test_it_may_begin_early_where_that_was_allowed(self):
        for setting, resources, approved in (("never", ["examplevmname"], False), ("alone", ["examplevmname"], True),
                                             ("alone", ["examplevmname", "another"], False), ("always", ["another", "examplevmname"], True)):
            with self.subTest(setting=setting, resources=resources):
                self.setUp()
                posts = self.acknowledge(self.told({"Resources": resources}, approve_events=setting), self.EVENT_ID)
                self.assertEqual([json.loads(post["body"]) for post in posts],
                                 [{"StartRequests": [{"EventId": self.EVENT["EventId"]}]}] if approved else [])

    def test_nothing_else_is_approved(self):
        plugin = self.told({}, {"EventId": "b", "Resources": ["another"]}, approve_events="always")
        for identifier in (f"{VM_ID}/b", f"{VM_ID}/b{self.TIME}", "b", self.KEY + self.TIME, self.EVENT["EventId"], "nonsense"):
            self.assertEqual(self.acknowledge(plugin, identifier), [])

    def test_what_has_begun_needs_no_approval(self):
        plugin = self.told({"EventStatus": "Started", "NotBefore": ""}, approve_events="always")
        self.assertEqual(self.acknowledge(plugin, self.KEY), [])

    def test_before_the_list_was_read_nothing_is_acknowledged(self):
        """What was told by a process before this one, or with another configuration: it may not pass for approved, and may be yet."""
        settings = {"metadata_url": self.cloud.url, "endpoint_url": self.cloud.url, "poll_interval_seconds": 0.1, "approve_events": "always"}
        plugin = self.told({}, approve_events="always")
        self.cloud.fault("scheduledevents", times=1000, status=500)
        plugin.call("", "Configure", "(a{sv})", self.configuration(**settings))
        self.assertIn("not read yet", self.refused("Throttled", self.acknowledge, plugin, self.EVENT_ID))
        plugin.process.kill()
        plugin.wait()
        plugin = self.azure(approve_events="always")
        self.refused("Throttled", self.acknowledge, plugin, self.EVENT_ID)
        events, _ = self.watch(plugin)
        self.refused("Throttled", self.acknowledge, plugin, self.EVENT_ID)
        self.cloud.command(mend=True)
        self.until(lambda: events)
        self.assertEqual(len(self.acknowledge(plugin, self.EVENT_ID)), 1)
        # Where nothing is ever approved, there is nothing to wait for.
        plugin.process.kill()
        plugin.wait()
        self.ask(self.azure(), "Acknowledge", "(s)", self.EVENT_ID, interface=SOURCE)

    def test_an_approval_that_fails_is_not_acknowledged(self):
        plugin = self.told({}, approve_events="always")
        self.cloud.fault("POST /metadata/scheduledevents", status=400)
        self.refused("Refused", self.acknowledge, plugin, self.EVENT_ID)
        self.cloud.fault("POST /metadata/scheduledevents", times=9, status=500)
        self.refused("Throttled", self.acknowledge, plugin, self.EVENT_ID)

    def test_an_approval_that_a_new_configuration_comes_before(self):
        plugin = self.told({}, approve_events="always")
        self.cloud.fault("POST /metadata/scheduledevents", delay=60, drop=True)
        answers = plugin.call_later(SOURCE, "Acknowledge", "(s)", self.EVENT_ID)
        self.until_asked("POST /metadata/scheduledevents")
        plugin.call("", "Configure", "(a{sv})", self.configuration(metadata_url=self.cloud.url, endpoint_url=self.cloud.url,
                                                                   poll_interval_seconds=0.1, approve_events="always"))
        self.until(lambda: answers)
        self.assertIn("Error.Throttled", str(answers[0]))

    def test_an_approval_that_takes_too_long(self):
        self.BREVITY = 20
        plugin = self.told({}, approve_events="always")
        self.cloud.fault("POST /metadata/scheduledevents", times=9, delay=60, drop=True)
        begun = time.monotonic()
        self.refused("Throttled", self.acknowledge, plugin, self.EVENT_ID)
        self.assertLess(time.monotonic() - begun, 5.5)
        self.cloud.command(mend=True)
        self.assertEqual(self.ask(plugin, "Detect"), (True,))

    def test_everyday_cases_of_the_service(self):
        events, cancelled = self.watch(self.azure())
        for fault in ({"garble": True}, {"status": 500}, {"drop": True}, {"status": 404}, {"status": 200, "body": "[]"},
                      {"status": 200, "body": '{"DocumentIncarnation": 5, "Events": {}}'}, {"status": 200, "body": ""}):
            self.cloud.fault("scheduledevents", **fault)
        for strange in ({"Events": [7, None, {}]}, {"Events": [{**self.EVENT, "EventId": "a/../b"}]}, {"Events": [{**self.EVENT, "Resources": [7]}]},
                        {"Events": [{**self.EVENT, "EventId": "x" * 100}]}):
            self.cloud.fault("scheduledevents", status=200, body=json.dumps(strange))
        self.announce({})
        self.until(lambda: events, 60)
        self.assertEqual((len(events), cancelled), (1, []))

    def test_a_poll_opens_no_connection_of_its_own(self):
        self.watch(self.azure())
        self.until_asked("scheduledevents", 2)
        self.cloud.command(forget=True)
        self.until_asked("scheduledevents", 5)
        self.assertEqual(len({request["connection"] for request in self.cloud.requests("scheduledevents")}), 1)

    def test_a_changed_configuration_goes_on_watching(self):
        plugin = self.azure()
        events, _ = self.watch(plugin)
        plugin.call("", "Configure", "(a{sv})", self.configuration(metadata_url=self.cloud.url, endpoint_url=self.cloud.url, poll_interval_seconds=0.2))
        self.announce({})
        self.until(lambda: events)


plugin_bus.main()
