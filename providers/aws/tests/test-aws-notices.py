# SPDX-License-Identifier: Apache-2.0
"""What AWS announces, and provider aws tells of it. Arguments: the program, the source tree."""

import json
import time

import plugin_bus
from aws_case import OTHER, OWN, Aws
from plugin_cloud import SOURCE


class Notices(Aws):
    def spot(self):
        self.instance(lifecycle="spot", spot_request={"id": "sir-1", "type": "one-time"})

    def test_an_interruption(self):
        self.spot()
        plugin = self.aws()
        events, _ = self.watch(plugin)
        self.cloud.state(spot={"action": "terminate", "time": "2030-09-18T08:22:00Z"})
        self.until(lambda: events)
        event = events[0]
        self.assertEqual((event["id"], event["type"], event["source"], event["severity"]),
                         (f"{OWN}/spot/terminate-2030-09-18T08:22:00Z", "cloud.spot.interrupt", "aws", 3))
        self.assertEqual(event["deadline"], 1915950120 * 1000000)
        self.assertEqual(event["data"], {"cloud": "aws", "instance_id": OWN, "action": "terminate"})

    def test_it_is_told_once_and_never_called_off(self):
        self.spot()
        self.cloud.state(spot={"action": "stop", "time": "2030-09-18T08:22:00Z"})
        plugin = self.aws()
        events, cancelled = self.watch(plugin)
        self.until(lambda: events)
        self.cloud.state(spot=None)
        self.cloud.command(forget=True)
        self.until_asked("spot/instance-action", 5)
        self.assertEqual((len(events), cancelled), (1, []))

    def test_a_rebalance_recommendation(self):
        self.spot()
        self.cloud.state(rebalance={"noticeTime": "2020-10-27T08:22:00Z"})
        events, _ = self.watch(self.aws())
        self.until(lambda: events)
        self.assertEqual((events[0]["type"], events[0]["severity"]), ("cloud.spot.rebalance", 1))

    def test_on_demand_instances_are_not_asked_for_spot(self):
        self.watch(self.aws())
        self.until_asked("target-lifecycle-state", 3)
        self.assertEqual(self.cloud.requests("spot/") + self.cloud.requests("rebalance"), [])

    MAINTENANCE = {"NotBefore": "21 Jan 2030 09:00:43 GMT", "NotAfter": "21 Jan 2030 09:17:23 GMT", "Code": "system-reboot",
                   "Description": "scheduled reboot", "EventId": "instance-event-0d59937288b749b32", "State": "active"}
    MAINTENANCE_ID = f"{OWN}/maintenance/instance-event-0d59937288b749b32@20300121T090043Z"

    def told_of_maintenance(self):
        plugin = self.aws()
        events, cancelled = self.watch(plugin)
        self.cloud.state(maintenance=[self.MAINTENANCE])
        self.until(lambda: events)
        self.assertEqual(events[0]["id"], self.MAINTENANCE_ID)
        return plugin, events, cancelled

    def rounds(self, n):
        """So often it was read since now."""
        self.cloud.command(forget=True)
        self.until_asked("events/maintenance/scheduled", n + 1)

    def test_maintenance_comes_and_is_called_off(self):
        maintenance = self.MAINTENANCE
        events, cancelled = self.watch(self.aws())
        self.cloud.state(maintenance=[maintenance])
        self.until(lambda: events)
        self.assertEqual((events[0]["type"], events[0]["deadline"], events[0]["data"]["code"], events[0]["data"]["not_after"]),
                         ("cloud.instance.maintenance", 1895216443 * 1000000, "system-reboot", 1895217443 * 1000000))
        self.cloud.state(maintenance=[dict(maintenance, State="canceled")])
        self.until(lambda: cancelled)
        self.assertEqual(cancelled, [self.MAINTENANCE_ID])

    def test_a_service_that_forgets_maintenance_for_a_moment_calls_nothing_off(self):
        _, events, cancelled = self.told_of_maintenance()
        for fault in ({"status": 404}, {"garble": True}, {"status": 200, "body": "{}"}, {"status": 500}, {"status": 404, "times": 3}):
            with self.subTest(fault=fault):
                self.cloud.fault("events/maintenance/scheduled", **fault)
                self.rounds(5)
                self.assertEqual((len(events), cancelled), (1, []))

    def test_one_that_has_forgotten_it_for_good_does(self):
        _, events, cancelled = self.told_of_maintenance()
        self.cloud.fault("events/maintenance/scheduled", times=100000, status=404)
        self.cloud.command(forget=True)
        self.until(lambda: cancelled)
        self.assertGreaterEqual(len(self.cloud.requests("events/maintenance/scheduled")), 5)
        self.assertEqual(cancelled, [self.MAINTENANCE_ID])

    def test_maintenance_that_is_in_the_list_no_more_is_called_off_at_once(self):
        for listed in ([], [dict(self.MAINTENANCE, State="completed")], [dict(self.MAINTENANCE, EventId="instance-event-other")]):
            with self.subTest(listed=listed):
                self.setUp()
                _, _, cancelled = self.told_of_maintenance()
                self.cloud.state(maintenance=listed)
                self.until(lambda: cancelled)
                self.assertEqual(cancelled, [self.MAINTENANCE_ID])

    def test_maintenance_that_is_put_off_is_another_event(self):
        plugin, events, cancelled = self.told_of_maintenance()
        self.cloud.state(maintenance=[dict(self.MAINTENANCE, NotBefore="22 Jan 2030 10:00:00 GMT")])
        self.until(lambda: len(events) == 2)
        moved = f"{OWN}/maintenance/instance-event-0d59937288b749b32@20300122T100000Z"
        self.assertEqual((cancelled, events[1]["id"], events[1]["deadline"]), ([self.MAINTENANCE_ID], moved, 1895306400 * 1000000))
        # Without a memory the next process tells it by the same id.
        plugin.process.kill()
        plugin.wait()
        events, cancelled = self.watch(self.aws())
        self.until(lambda: events)
        self.assertEqual((events[0]["id"], cancelled), (moved, []))

    def next_process(self, version, state):
        plugin = self.aws()
        plugin.call(".State", "ImportState", "(uay)", version, state)
        return self.watch(plugin)

    def test_what_is_called_off_while_nobody_looks_is_told_by_the_next_process(self):
        plugin, _, _ = self.told_of_maintenance()
        version, state = plugin.call(".State", "ExportState")
        plugin.process.kill()
        plugin.wait()
        self.cloud.state(maintenance=[])
        events, cancelled = self.next_process(version, bytes(state))
        self.until(lambda: cancelled)
        self.assertEqual((events, cancelled), ([], [self.MAINTENANCE_ID]))

    def test_nothing_of_another_instance_or_that_is_not_ours_is_called_off(self):
        for told in ([{"key": f"{OTHER}/maintenance/instance-event-1", "begin": 1}], {"key": "x"}, "x", [7], [{}], [{"key": 7, "begin": 1}],
                     [{"key": f"{OWN}/maintenance/a b", "begin": 1}], [{"key": f"{OWN}/maintenance/{'x' * 128}", "begin": 1}],
                     [{"key": f"{OWN}/maintenance/x", "begin": -1}], [{"key": f"{OWN}/spot/x", "begin": 1}]):
            with self.subTest(told=told):
                self.setUp()
                events, cancelled = self.next_process(1, json.dumps({"told": told}).encode())
                self.rounds(2)
                self.assertEqual((events, cancelled), ([], []))

    def test_what_is_kept_has_its_bounds(self):
        plugin = self.aws()
        told = [{"key": f"{OWN}/maintenance/instance-event-{i}", "begin": 1} for i in range(1000)]
        plugin.call(".State", "ImportState", "(uay)", 1, json.dumps({"told": told}).encode())
        self.assertEqual(len(json.loads(bytes(plugin.call(".State", "ExportState")[1]))["told"]), 64)

    def test_auto_scaling_waits_for_the_handlers(self):
        plugin = self.aws(autoscaling_group="group", lifecycle_hook="hook", heartbeat_seconds=1)
        events, _ = self.watch(plugin)
        self.cloud.state(lifecycle_state="Terminated")
        self.until(lambda: events)
        self.assertEqual((events[0]["type"], events[0]["severity"]), ("cloud.instance.termination", 3))
        self.until_asked("RecordLifecycleActionHeartbeat")
        self.assertEqual(self.actions("CompleteLifecycleAction"), [])
        self.ask(plugin, "Acknowledge", "(s)", events[0]["id"], interface=SOURCE)
        self.assertIn("LifecycleActionResult=CONTINUE", self.actions("CompleteLifecycleAction")[0]["body"])

    def test_so_it_does_where_the_instance_ends_from_a_warm_pool(self):
        plugin = self.aws(autoscaling_group="group", lifecycle_hook="hook", heartbeat_seconds=1)
        events, _ = self.watch(plugin)
        self.cloud.state(lifecycle_state="Warmed:Terminated")
        self.until(lambda: events)
        self.assertEqual((events[0]["type"], events[0]["severity"], events[0]["id"]),
                         ("cloud.instance.termination", 3, f"{OWN}/autoscaling/Warmed:Terminated"))
        self.until_asked("RecordLifecycleActionHeartbeat")
        self.ask(plugin, "Acknowledge", "(s)", events[0]["id"], interface=SOURCE)
        self.assertIn("LifecycleActionResult=CONTINUE", self.actions("CompleteLifecycleAction")[0]["body"])

    def test_from_the_other_states_of_a_warm_pool_it_comes_back(self):
        plugin = self.aws(autoscaling_group="group", lifecycle_hook="hook", heartbeat_seconds=1)
        events, _ = self.watch(plugin)
        for state in ("Warmed:Stopped", "Warmed:Hibernated", "Warmed:Running"):
            with self.subTest(state=state):
                del events[:]
                self.cloud.state(lifecycle_state=state)
                self.until(lambda: events)
                self.assertEqual((events[0]["type"], events[0]["severity"]), ("cloud.autoscaling.scale", 1))
                self.ask(plugin, "Acknowledge", "(s)", events[0]["id"], interface=SOURCE)
        self.assertEqual(self.actions("CompleteLifecycleAction") + self.actions("RecordLifecycleActionHeartbeat"), [])

    def test_handlers_have_the_hooks_time(self):
        events, _ = self.watch(self.aws(lifecycle_hook_seconds=172800))
        before = time.time()
        self.cloud.state(lifecycle_state="Terminated")
        self.until(lambda: events)
        self.assertTrue(before + 172799 <= events[0]["deadline"] / 1e6 <= time.time() + 172800, events)

    def test_the_hooks_time_does_not_begin_anew_with_another_process(self):
        plugin = self.aws(lifecycle_hook_seconds=3600)
        events, _ = self.watch(plugin)
        self.cloud.state(lifecycle_state="Terminated")
        self.until(lambda: events)
        deadline = events[0]["deadline"]
        version, state = plugin.call(".State", "ExportState")
        plugin.stop()
        kept = json.loads(bytes(state))
        self.assertEqual(kept["deadline"], deadline)
        for known, expected in ((deadline - 1800 * 1000000, deadline - 1800 * 1000000), (0, None), (-1, None)):
            plugin = self.aws(lifecycle_hook_seconds=3600)
            plugin.call(".State", "ImportState", "(uay)", version, json.dumps({**kept, "deadline": known}).encode())
            events, _ = self.watch(plugin)
            self.until(lambda: events)
            self.assertEqual(events[0]["id"], f"{OWN}/autoscaling/Terminated")
            # Where nobody knows, it is counted from now on.
            self.assertTrue(events[0]["deadline"] == expected or (expected is None and events[0]["deadline"] >= deadline), events)
            plugin.stop()

    def test_a_termination_that_was_called_off_is_neither_kept_waiting_nor_completed(self):
        plugin = self.aws(autoscaling_group="group", lifecycle_hook="hook", heartbeat_seconds=1)
        events, cancelled = self.watch(plugin)
        self.cloud.state(lifecycle_state="Terminated")
        self.until(lambda: events)
        self.until_asked("RecordLifecycleActionHeartbeat")
        self.cloud.state(lifecycle_state="InService")
        self.until(lambda: cancelled)
        self.cloud.command(forget=True)
        self.ask(plugin, "Acknowledge", "(s)", events[0]["id"], interface=SOURCE)
        # Longer than it waits before the next.
        self.until_asked("target-lifecycle-state", 25, 120)
        self.assertEqual(self.actions("CompleteLifecycleAction") + self.actions("RecordLifecycleActionHeartbeat"), [])

    def test_it_is_kept_waiting_by_another_configuration_too_and_completed_once(self):
        settings = {"autoscaling_group": "group", "lifecycle_hook": "hook", "heartbeat_seconds": 1}
        plugin = self.aws(**settings)
        events, cancelled = self.watch(plugin)
        self.cloud.state(lifecycle_state="Terminated")
        self.until(lambda: events)
        plugin.call("", "Configure", "(a{sv})", self.own(poll_interval_seconds=0.2, **settings))
        self.until_asked("RecordLifecycleActionHeartbeat")
        for _ in range(2):
            self.ask(plugin, "Acknowledge", "(s)", events[0]["id"], interface=SOURCE)
        self.assertEqual((len(self.actions("CompleteLifecycleAction")), len(events), cancelled), (1, 1, []))

    def own(self, **settings):
        return self.configuration(metadata_url=self.cloud.url, endpoint_url=self.cloud.url, autoscaling_endpoint_url=self.cloud.url, **settings)

    def test_a_state_that_goes_on_is_told_once(self):
        self.cloud.state(lifecycle_state="Standby")
        plugin = self.aws()
        events, cancelled = self.watch(plugin)
        self.until(lambda: events)
        plugin.call("", "Configure", "(a{sv})", self.own(poll_interval_seconds=0.2))
        self.cloud.command(forget=True)
        self.until_asked("target-lifecycle-state", 3)
        self.assertEqual((len(events), cancelled), (1, []))

    def test_the_next_process_tells_it_by_the_same_id(self):
        self.cloud.state(lifecycle_state="Standby")
        plugin = self.aws()
        events, _ = self.watch(plugin)
        self.until(lambda: events)
        version, state = plugin.call(".State", "ExportState")
        kept = json.loads(bytes(state))
        self.assertEqual(kept["id"], events[0]["id"])
        plugin.stop()
        # As if it were long ago: the clock is a part of the id.
        kept["id"] = f"{OWN}/autoscaling/Standby-1"
        plugin = self.aws()
        plugin.call(".State", "ImportState", "(uay)", version, json.dumps(kept).encode())
        events, cancelled = self.watch(plugin)
        self.until(lambda: events)
        self.assertEqual((events[0]["id"], cancelled), (kept["id"], []))
        self.cloud.state(lifecycle_state="InService")
        self.until(lambda: cancelled)
        self.assertEqual(cancelled, [kept["id"]])

    def test_what_was_kept_of_another_instance_is_none_of_this_one(self):
        self.cloud.state(lifecycle_state="Standby")
        plugin = self.aws()
        plugin.call(".State", "ImportState", "(uay)", 1, json.dumps({"state": "Standby", "id": f"{OTHER}/autoscaling/Standby-1"}).encode())
        events, cancelled = self.watch(plugin)
        self.until(lambda: events)
        self.assertTrue(events[0]["id"].startswith(f"{OWN}/autoscaling/Standby-"))
        self.assertEqual(cancelled, [])

    def test_a_state_that_is_none(self):
        plugin = self.aws()
        for version, state in ((2, b"{}"), (1, b"["), (1, b"")):
            with self.subTest(state=state):
                self.assert_error("InvalidArgument", plugin.call, ".State", "ImportState", "(uay)", version, state)
        for kept in ({}, {"state": "Standby"}, {"state": "x y", "id": "x"}, {"state": "Standby", "id": "a\nb"}, {"state": 7, "id": 7}):
            with self.subTest(kept=kept):
                plugin.call(".State", "ImportState", "(uay)", 1, json.dumps(kept).encode())
        self.assertEqual(json.loads(bytes(plugin.call(".State", "ExportState")[1])), {})

    def test_before_it_is_known_no_acknowledgement_is_taken(self):
        plugin = self.aws(autoscaling_group="group", lifecycle_hook="hook")
        self.refused("Throttled", self.ask, plugin, "Acknowledge", "(s)", f"{OWN}/autoscaling/Terminated", interface=SOURCE)

    def test_a_hook_that_fails_is_not_acknowledged(self):
        plugin = self.aws(autoscaling_group="group", lifecycle_hook="hook")
        events, _ = self.watch(plugin)
        self.cloud.state(lifecycle_state="Terminated", denied=["CompleteLifecycleAction"])
        self.until(lambda: events)
        self.refused("Refused", self.ask, plugin, "Acknowledge", "(s)", events[0]["id"], interface=SOURCE)

    def test_other_moves_of_auto_scaling(self):
        self.cloud.state(lifecycle_state="InService")
        events, cancelled = self.watch(self.aws())
        self.until_asked("target-lifecycle-state", 2)
        self.assertEqual(events, [])
        self.cloud.state(lifecycle_state="Standby")
        self.until(lambda: events)
        self.assertEqual((events[0]["type"], events[0]["data"]["target_lifecycle_state"]), ("cloud.autoscaling.scale", "Standby"))
        self.cloud.state(lifecycle_state="InService")
        self.until(lambda: cancelled)

    def test_everyday_cases_of_the_service(self):
        self.spot()
        events, _ = self.watch(self.aws())
        for fault in ({"garble": True}, {"status": 500}, {"drop": True}, {"status": 401}, {"status": 200, "body": "[]"},
                      {"status": 200, "body": '{"action": 7}'}, {"status": 200, "body": ""}):
            self.cloud.fault("spot/instance-action", **fault)
        self.cloud.state(spot={"action": "stop", "time": "2030-09-18T08:22:00Z"})
        self.until(lambda: events, 60)
        self.assertEqual(len(events), 1)

    def test_a_slow_answer_is_waited_for(self):
        self.spot()
        self.cloud.state(spot={"action": "stop", "time": "2030-09-18T08:22:00Z"})
        self.cloud.fault("spot/instance-action", delay=1)
        # It came with that answer, or not at all.
        self.cloud.fault("spot/instance-action", times=100000, status=404)
        plugin = self.aws()
        events, cancelled = self.watch(plugin)
        self.until(lambda: events)
        first, *later = [request["moment"] for request in self.cloud.requests("spot/instance-action")]
        self.assertTrue(all(moment - first > 0.9 for moment in later), later)
        _, journal = plugin.stop()
        self.assertNotIn("cannot be read", journal)
        self.assertEqual((len(events), cancelled), (1, []))

    def test_one_that_takes_too_long_is_asked_for_again(self):
        self.spot()
        self.cloud.state(spot={"action": "stop", "time": "2030-09-18T08:22:00Z"}, lifecycle_state="Standby")
        self.cloud.fault("spot/instance-action", delay=60, drop=True)
        events, _ = self.watch(self.aws())
        self.until(lambda: len(events) == 2)
        # And nothing waits for it longer than that.
        self.assertEqual([event["type"] for event in events], ["cloud.autoscaling.scale", "cloud.spot.interrupt"])

    def test_what_keeps_failing_hides_nothing_behind_it(self):
        # Whole pauses: rounds that are put off again and again take longer than those of any machine that is busy.
        self.HASTE = 1
        self.spot()
        for path in ("recommendations/rebalance", "spot/instance-action"):
            self.cloud.fault(path, times=100000, status=500)
        self.cloud.state(lifecycle_state="Standby")
        plugin = self.aws()
        events, _ = self.watch(plugin)
        self.until(lambda: events)
        # Nor does it make the rest be asked less often.
        self.cloud.command(forget=True)
        self.until_asked("target-lifecycle-state", 10, 120)
        times = [request["moment"] for request in self.cloud.requests("target-lifecycle-state")]
        self.assertLess(times[9] - times[0], 30)
        _, journal = plugin.stop()
        self.assertEqual(journal.count("Announcements cannot be read for now"), 1)
        self.assertIn("spot/instance-action: ", journal)

    def test_a_poll_opens_no_connection_of_its_own(self):
        self.spot()
        self.watch(self.aws())
        self.until_asked("target-lifecycle-state", 2)
        self.cloud.command(forget=True)
        self.until_asked("target-lifecycle-state", 5)
        self.assertEqual(len({request["connection"] for request in self.cloud.requests("/latest/meta-data/")}), 1)

    def test_who_is_told_later_where_its_service_is_watches_then(self):
        self.spot()
        self.dmi(sys_vendor="QEMU")
        plugin = self.provider()
        events, _ = self.watch(plugin)
        self.assertEqual(self.cloud.requests(), [])
        self.cloud.state(spot={"action": "stop", "time": "2030-09-18T08:22:00Z"})
        plugin.call("", "Configure", "(a{sv})", self.configuration(metadata_url=self.cloud.url, endpoint_url=self.cloud.url, poll_interval_seconds=0.2))
        self.until(lambda: events)

    def test_a_changed_interval_is_in_force_at_once(self):
        self.spot()
        plugin = self.aws(poll_interval_seconds=50)
        self.watch(plugin)
        self.until_asked("target-lifecycle-state")
        plugin.call("", "Configure", "(a{sv})", self.configuration(metadata_url=self.cloud.url, endpoint_url=self.cloud.url, poll_interval_seconds=0.2))
        self.until_asked("target-lifecycle-state", 4)

    def test_a_changed_configuration_goes_on_watching(self):
        self.spot()
        plugin = self.aws()
        events, _ = self.watch(plugin)
        plugin.call("", "Configure", "(a{sv})", self.configuration(metadata_url=self.cloud.url, endpoint_url=self.cloud.url, poll_interval_seconds=0.2))
        self.cloud.state(spot={"action": "stop", "time": "2030-09-18T08:22:00Z"})
        self.until(lambda: events)


plugin_bus.main()
