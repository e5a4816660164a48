# SPDX-License-Identifier: Apache-2.0
"""Plugin drain on a private bus with a systemd that does as the test says. Arguments: the program, the source tree."""

import os
import sys
import time

from gi.repository import GLib

import plugin_bus
from plugin_bus import s
from systemd_stub import MANAGER, PATH, Systemd

PROGRAM, SOURCE = sys.argv[1:3]
SPOT = "cloud.spot.interrupt"
STOP = "snooze.stop.pending"
DENIED = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"


def b(value):
    return GLib.Variant("b", value)


def event(type_=SPOT, left=100, id_="1", data=None, **more):
    deadline = 0 if left is None else max(1, int((time.time() + left) * 1e6))
    return {"id": s(id_), "type": s(type_), "source": s("test"), "deadline": GLib.Variant("t", deadline),
            "data": GLib.Variant("a{sv}", data or {}), **more}


class Drain(plugin_bus.HandlerTestCase):
    def setUp(self):
        super().setUp()
        self.systemd = Systemd(self.bus.connect(), a_service="active", b_service="active", off_service="inactive")

    def start(self, units=("a.service", "b.service"), **settings):
        settings = {name: b(value) if isinstance(value, bool) else GLib.Variant("x", value) for name,
                    value in settings.items()}
        return self.plugin(PROGRAM, "drain").greet({"units": GLib.Variant("as", units), **settings})

    def wait_for_order(self, *order):
        plugin_bus.iterate_until(lambda: order in self.systemd.asked)

    def test_manifest_and_program_agree(self):
        self.assert_agrees_with_manifest(PROGRAM, os.path.join(SOURCE, "plugins/drain/plugin.json"))

    def test_units_are_stopped_and_waited_for(self):
        self.systemd.slow.add("a.service")
        plugin = self.start(("a.service", "b.service", "off.service", "unknown.service"))
        answers = self.send(plugin, event())
        self.wait_for_order("StopUnit", "b.service")
        plugin_bus.iterate_until(lambda: "a.service" in self.systemd.jobs)
        self.assertEqual(answers, [])
        self.systemd.release("a.service")
        self.assertEqual(self.answer(answers), (True,
                                                {"stopped": ["a.service", "b.service"],
                                                 "not_running": ["off.service", "unknown.service"],
                                                       "late": [], "problems": [], "success": True}))
        self.assertCountEqual(self.systemd.asked, [("StopUnit", "a.service"), ("StopUnit", "b.service")])
        plugin_bus.iterate_until(lambda: self.systemd.subscribed == 0)

    def test_in_order(self):
        self.systemd.slow.add("a.service")
        plugin = self.start(in_order=True)
        answers = self.send(plugin, event())
        plugin_bus.iterate_until(lambda: "a.service" in self.systemd.jobs)
        self.assertEqual(self.systemd.asked, [("StopUnit", "a.service")])
        self.systemd.release("a.service")
        self.assertTrue(self.answer(answers)[1]["success"])
        self.systemd.slow.clear()
        self.assertEqual(self.tell(plugin, event(cancelled=b(True)))[1]["started"], ["b.service", "a.service"])
        self.assertEqual(self.systemd.asked[2:], [("StartUnit", "b.service"), ("StartUnit", "a.service")])

    def test_one_that_takes_too_long(self):
        self.systemd.slow.add("a.service")
        plugin = self.start(timeout_seconds=3)
        handled, result = self.tell(plugin, event())
        self.assertEqual((handled, result["stopped"], result["late"], result["success"]),
                         (True, ["b.service"], ["a.service"], False))

    def test_the_deadline_bounds_it(self):
        self.systemd.slow.add("a.service")
        begun = time.monotonic()
        self.assertEqual(self.tell(self.start(), event(left=3))[1]["late"], ["a.service"])
        self.assertLess(time.monotonic() - begun, 30)

    def test_its_share_of_the_time_bounds_it(self):
        self.systemd.slow.add("a.service")
        begun = time.monotonic()
        self.assertEqual(self.tell(self.start(), event(left=100, budget=GLib.Variant("t", 3_000_000)))[1]["late"], ["a.service"])
        self.assertLess(time.monotonic() - begun, 40)

    def test_a_deadline_of_the_past_stops_nothing(self):
        plugin = self.start()
        for left in (-1, -1e12):
            self.assertEqual(self.tell(plugin, event(left=left)),
                             (False, {"success": False, "error": "the deadline has passed"}))
        self.assertEqual(self.systemd.asked, [])
        self.assertTrue(self.tell(plugin, event(left=None))[1]["success"])

    def test_what_is_not_permitted(self):
        self.systemd.refused["a.service"] = DENIED
        plugin = self.start()
        handled, result = self.tell(plugin, event())
        self.assertEqual((handled, result["stopped"], result["problems"]),
                         (True, ["b.service"], ["a.service: is not permitted"]))
        # What was refused is not started again.
        self.assertEqual(self.tell(plugin, event(cancelled=b(True)))[1]["started"], ["b.service"])
        self.systemd.refused["b.service"] = "org.freedesktop.systemd1.UnitMasked"
        handled, result = self.tell(plugin, event())
        self.assertEqual((handled, result["problems"]),
                         (False, ["a.service: is not permitted", "b.service: It is so"]))

    def test_a_job_that_ends_badly(self):
        self.systemd.results["a.service"] = "failed"
        handled, result = self.tell(self.start(), event())
        self.assertEqual((handled, result["success"], result["problems"]),
                         (True, False, ["a.service: its job ended with “failed”"]))

    def test_no_systemd(self):
        self.systemd.connection.close_sync(None)
        handled, result = self.tell(self.start(), event())
        self.assertEqual((handled, result["success"], len(result["problems"])), (False, False, 2))

    def test_only_systemd_says_that_a_job_ended(self):
        self.systemd.slow.add("a.service")
        plugin = self.start(("a.service",), timeout_seconds=2)
        answers = self.send(plugin, event())
        plugin_bus.iterate_until(lambda: "a.service" in self.systemd.jobs)
        forged = GLib.Variant("(uoss)", (1, self.systemd.jobs["a.service"][1], "a.service", "done"))
        for target in (None, plugin.owner):
            self.bus.connection.emit_signal(target, PATH, MANAGER, "JobRemoved", forged)
        self.assertEqual(self.answer(answers)[1]["late"], ["a.service"])

    def test_called_off(self):
        plugin = self.start()
        self.tell(plugin, event())
        self.assertEqual(self.systemd.units["a.service"], "inactive")
        self.assertEqual(self.tell(plugin, event(cancelled=b(True))),
                         (True, {"status": "cancelled", "started": ["b.service", "a.service"], "late": [],
                                 "problems": []}))
        self.assertEqual(self.systemd.units["a.service"], "active")
        # Once is enough.
        self.assertEqual(self.tell(plugin, event(cancelled=b(True))), (False, {"status": "cancelled"}))

    def test_called_off_while_they_stop(self):
        self.systemd.slow.update(("a.service", "b.service"))
        plugin = self.start()
        first = self.send(plugin, event())
        plugin_bus.iterate_until(lambda: len(self.systemd.jobs) == 2)
        self.systemd.slow.clear()
        second = self.send(plugin, event(cancelled=b(True)))
        self.assertCountEqual(self.answer(first)[1]["late"], ["a.service", "b.service"])
        self.assertCountEqual(self.answer(second)[1]["started"], ["a.service", "b.service"])

    def test_a_stop_that_is_called_off_under_another_id(self):
        plugin = self.start()
        self.tell(plugin, event(STOP, id_="1"))
        self.tell(plugin, event(STOP, id_="2", data={"phase": s("reminder")}))
        result = self.tell(plugin, event(STOP, id_="3", data={"cancelled": b(True)}))[1]
        self.assertEqual(result["started"], ["b.service", "a.service"])

    def test_another_reason_that_holds(self):
        plugin = self.start()
        self.tell(plugin, event(SPOT, id_="1"))
        self.tell(plugin, event(STOP, id_="2"))
        self.assertEqual(self.tell(plugin, event(STOP, id_="2", cancelled=b(True))), (False, {"status": "cancelled"}))
        self.assertEqual(self.systemd.units["a.service"], "inactive")
        self.assertEqual(len(self.tell(plugin, event(SPOT, id_="1", cancelled=b(True)))[1]["started"]), 2)

    def test_what_did_not_run_is_not_started(self):
        plugin = self.start(("a.service", "off.service"))
        self.tell(plugin, event())
        self.assertEqual(self.tell(plugin, event(cancelled=b(True)))[1]["started"], ["a.service"])

    def test_an_end_that_does_not_come(self):
        plugin = self.start(restart_after_seconds=1)
        self.tell(plugin, event(left=3))
        self.wait_for_order("StartUnit", "a.service")
        self.wait_for_order("StartUnit", "b.service")
        self.assertEqual(self.tell(plugin, event(cancelled=b(True)))[1], {"status": "cancelled"})

    def test_an_end_that_is_put_off_is_not_taken_for_one_that_did_not_come(self):
        begun = time.monotonic()
        plugin = self.start(restart_after_seconds=1)
        self.tell(plugin, event(left=4))
        self.assertEqual(self.tell(plugin, event(left=8, moved=b(True)))[1]["stopped"], ["a.service", "b.service"])
        self.wait_for_order("StartUnit", "a.service")
        self.assertGreater(time.monotonic() - begun, 8)

    def test_a_second_notice_waits_and_shortens(self):
        self.systemd.slow.add("a.service")
        plugin = self.start()
        first = self.send(plugin, event())
        plugin_bus.iterate_until(lambda: "a.service" in self.systemd.jobs)
        begun = time.monotonic()
        second = self.send(plugin, event("cloud.instance.termination", left=3, id_="2"))
        self.assertEqual(self.answer(first)[1]["late"], ["a.service"])
        self.answer(second)
        self.assertLess(time.monotonic() - begun, 40)

    def test_a_dry_run_stops_nothing(self):
        self.assertEqual(self.tell(self.start(), event(STOP, data={"dry_run": b(True)})),
                         (False, {"status": "dry_run"}))
        self.assertEqual(self.systemd.asked, [])

    def test_other_and_hostile_events(self):
        plugin = self.start()
        for fields in ({}, {"type": GLib.Variant("t", 1)}, event("custom.drain"), event("system.disk.low")):
            self.assertEqual(self.tell(plugin, fields), (False, {}))
        self.assertEqual(self.systemd.asked, [])
        handled, result = self.tell(plugin, {"type": s(SPOT), "deadline": s("soon"), "data": s("x"),
                                             "id": GLib.Variant("as", [])})
        self.assertEqual((handled, result["success"]), (True, True))

    def test_the_next_instance_starts_what_this_one_stopped(self):
        plugin = self.start()
        self.tell(plugin, event())
        version, state = plugin.call(".State", "ExportState")
        self.assertIn("\nunit a.service\n", bytes(state).decode())
        plugin.stop()
        plugin = self.start()
        plugin.call(".State", "ImportState", "(uay)", version, bytes(state))
        self.assertEqual(len(self.tell(plugin, event(cancelled=b(True)))[1]["started"]), 2)
        # Not after another boot, which has started them.
        other = b"boot 0" + bytes(state)[len("boot 0"):]
        if other == bytes(state):
            other = b"boot 1" + bytes(state)[len("boot 1"):]
        plugin.call(".State", "ImportState", "(uay)", version, other)
        self.assertEqual(self.tell(plugin, event(cancelled=b(True))), (False, {"status": "cancelled"}))

    def kill_while_they_stop(self, **settings):
        """The daemon exports its state while it waits, as it does; the next instance has that."""
        plugin = self.start(**settings)
        self.send(plugin, event())
        plugin_bus.iterate_until(lambda: "a.service" in self.systemd.jobs)
        version, state = plugin.call(".State", "ExportState")
        plugin.process.kill()
        plugin.process.wait()
        plugin = self.start(**settings)
        plugin.call(".State", "ImportState", "(uay)", version, bytes(state))
        return plugin

    def test_killed_while_they_stop_it_goes_on(self):
        self.systemd.slow.update(("a.service", "b.service"))
        self.systemd.refused["c.service"] = DENIED
        self.systemd.add("c.service")
        plugin = self.kill_while_they_stop(units=("a.service", "b.service", "c.service", "off.service"))
        # One has stopped meanwhile, and one is still at it.
        self.systemd.release("a.service")
        answers = self.send(plugin, event())
        plugin_bus.iterate_until(lambda: self.systemd.asked.count(("StopUnit", "b.service")) == 2)
        self.systemd.release("b.service")
        result = self.answer(answers)[1]
        self.assertEqual((result["stopped"], result["not_running"], result["problems"]),
                         (["a.service", "b.service"], ["off.service"], ["c.service: is not permitted"]))
        self.systemd.slow.clear()
        # Each was entered when it was ordered.
        started = self.tell(plugin, event(cancelled=b(True)))[1]["started"]
        self.assertCountEqual(started, ["a.service", "b.service"])
        self.assertEqual(self.systemd.units["a.service"], "active")

    def test_killed_while_they_stop_it_knows_what_to_start(self):
        """Also where nobody asks it again."""
        self.systemd.slow.update(("a.service", "b.service"))
        plugin = self.kill_while_they_stop(in_order=True)
        self.systemd.release("a.service")
        self.systemd.slow.clear()
        self.assertEqual(self.tell(plugin, event(cancelled=b(True)))[1]["started"], ["a.service"])
        self.assertEqual(self.systemd.units["a.service"], "active")
        self.assertNotIn(("StopUnit", "b.service"), self.systemd.asked)

    def test_killed_while_they_start_again_it_goes_on(self):
        """What is kept then has their names, and nothing that was not called off."""
        plugin = self.start(restart_after_seconds=0)
        self.tell(plugin, event())
        self.systemd.slow.update(("a.service", "b.service"))
        self.send(plugin, event(cancelled=b(True)))
        plugin_bus.iterate_until(lambda: len(self.systemd.jobs) == 2)
        version, state = plugin.call(".State", "ExportState")
        self.assertNotIn("event ", bytes(state).decode())
        plugin.process.kill()
        plugin.process.wait()
        self.systemd.slow.clear()
        self.systemd.jobs.clear()
        plugin = self.start(restart_after_seconds=0)
        plugin.call(".State", "ImportState", "(uay)", version, bytes(state))
        self.assertEqual(self.tell(plugin, event(cancelled=b(True))),
                         (True, {"status": "cancelled", "started": ["b.service", "a.service"], "late": [],
                                 "problems": []}))
        self.assertEqual(self.systemd.units["a.service"], "active")
        self.assertEqual(self.tell(plugin, event(cancelled=b(True))), (False, {"status": "cancelled"}))

    def test_garbled_state_is_refused(self):
        plugin = self.start()
        for version, state in ((2, b"boot x\n"), (1, b""), (1, b"boot x\nunit ../evil\n"),
                               (1, b"boot x\nunit poweroff.target\n"), (1, b"boot x\n\0")):
            self.assert_error("InvalidArgument", plugin.call, ".State", "ImportState", "(uay)", version, state)

    def test_leaving_answers_who_waits(self):
        self.systemd.slow.add("a.service")
        plugin = self.start()
        answers = self.send(plugin, event())
        plugin_bus.iterate_until(lambda: "a.service" in self.systemd.jobs)
        plugin.process.terminate()
        self.assertIn("a.service", self.answer(answers)[1]["late"])
        self.assertEqual(plugin.process.wait(30), 0)

    def test_waiting_for_the_end_does_not_keep_it(self):
        plugin = self.start()
        self.tell(plugin, event())
        plugin.process.terminate()
        self.assertEqual(plugin.process.wait(30), 0)

    def test_wrong_configuration_is_refused(self):
        plugin = self.plugin(PROGRAM, "drain")
        plugin.call("", "Handshake", "(us)", 1, "0.1.0")
        for units in ([], ["a"], ["a.target"], ["../a.service"], ["a b.service"], ["a.service\n"], ["-.mount"],
                      ["%d.service" % i for i in range(65)]):
            self.assert_error("InvalidArgument", plugin.call, "", "Initialize", "(a{sv})",
                              {"units": GLib.Variant("as", units)})
        self.assert_error("InvalidArgument", plugin.call, "", "Initialize", "(a{sv})", {})
        plugin.call("", "Initialize", "(a{sv})", {"units": GLib.Variant("as", ["a@1.service"])})


plugin_bus.main()
