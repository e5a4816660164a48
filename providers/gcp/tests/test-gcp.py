# SPDX-License-Identifier: Apache-2.0
"""Provider gcp on a private bus, before a fake of Compute Engine. Arguments: the program, the source tree."""

import json
import os
import sys
import time

import plugin_bus
from gi.repository import GLib
from every_operation import EveryOperation, Operation
from plugin_cloud import PROVIDER, SOURCE, CloudTestCase

PROGRAM, TREE = sys.argv[1:3]
OWN, OWN_ID, OTHER, OTHER_ID = "test-instance", "4520031799277581759", "other-instance", "7423457891234567890"
SCOPE = "https://www.googleapis.com/auth/"
THROTTLED = json.dumps({"error": {"code": 403, "message": "slow down", "errors": [{"reason": "rateLimitExceeded", "message": "slow down"}]}})


class Gcp(CloudTestCase):
    PROGRAM, ID, FAKE = PROGRAM, "gcp", "gcp"

    def settings(self, **settings):
        return {"metadata_url": self.cloud.url, "endpoint_url": self.cloud.url + "/", "wait_seconds": 1, **settings}

    def gcp(self, **settings):
        return self.provider(**self.settings(**settings))

    def once(self, **settings):
        """One process for all of a test's parts."""
        if not hasattr(self, "plugin_once"):
            self.plugin_once = self.gcp(**settings)
        return self.plugin_once

    def acts(self, method, name=OWN):
        return self.cloud.requests(f"POST /compute/v1/projects/test-project/zones/us-central1-a/instances/{name}/{method}?")

    def instance(self, name=OWN, **values):
        self.cloud.state(instances={name: values})

    def info(self, plugin, name=""):
        return self.ask(plugin, "GetInstanceInfo", "(s)", name)[0]

    def start(self, plugin, name=OTHER):
        return self.ask(plugin, "StartInstance", "(sa{sv})", name, {})

    def tag(self, plugin, **tags):
        return self.ask(plugin, "SetTags", "(a{ss})", tags)


class Detection(Gcp):
    def test_live_interface_is_that_of_the_xml(self):
        self.assert_agrees_with_xml(self.gcp().introspect(), os.path.join(TREE, "introspection"))

    def test_googles_firmware_and_its_service(self):
        self.dmi(product_name="Google Compute Engine")
        self.assertEqual(self.ask(self.gcp(), "Detect"), (True,))

    def test_other_firmware_is_enough_to_ask_nobody(self):
        for product in ("Standard PC", "Google Pixelbook"):
            with self.subTest(product=product):
                self.dmi(sys_vendor="Google", product_name=product)
                self.assertEqual(self.ask(self.provider(), "Detect"), (False,))

    def test_each_side_proves_itself(self):
        self.ask(self.gcp(), "Detect")
        self.assertEqual({request["headers"].get("Metadata-Flavor") for request in self.cloud.requests("/computeMetadata/")}, {"Google"})

    def test_a_service_without_the_proof_is_a_foreign_one(self):
        self.cloud.fault("instance/id", status=200, body="1234")
        self.assertIn("another cloud's service", self.refused("Throttled", self.ask, self.gcp(), "Detect"))

    def test_garbled_documents_are_no_answer(self):
        for path, text in (("instance/id", "x1"), ("instance/id", ""), ("instance/name", "../other"), ("instance/name", "a b"),
                           ("instance/zone", "projects/1/zones/"), ("instance/zone", "a?b"), ("project/project-id", "evil#"),
                           ("universe/universe-domain", "evil@example")):
            with self.subTest(path=path, text=text):
                self.cloud.state(metadata={"documents": {path: text}})
                self.refused("Throttled", self.ask, self.once(), "Detect")
                self.cloud.state(metadata={"documents": {path: None}})
                self.cloud.command(forget=True)

    def test_a_service_that_is_gone(self):
        self.cloud.fault("instance/zone", times=20, drop=True)
        self.refused("Throttled", self.ask, self.gcp(), "Detect")

    def test_a_bad_configuration_is_refused(self):
        plugin = self.provider(greet=False)
        plugin.call("", "Handshake", "(us)", 1, "0.1.0")
        for settings in ({"metadata_url": "ftp://x"}, {"local_ssd": "maybe"}, {"wait_seconds": 0}, {"nonsense": "x"}):
            with self.subTest(settings=settings), self.assertRaises(GLib.Error):
                plugin.call("", "Initialize", "(a{sv})", self.configuration(**settings))


class Knowledge(Gcp):
    def test_of_this_machine(self):
        self.assertEqual(self.info(self.gcp()), {
            "id": OWN_ID, "name": OWN, "type": "n1-standard-1", "region": "us-central1", "zone": "us-central1-a", "state": "running",
            "lifecycle": "on-demand", "launch-time": 1620122521000000, "tags": {"owner": "somebody"}})

    def test_of_another_by_each_of_its_names(self):
        for name in (OTHER, OTHER_ID, f"projects/test-project/zones/us-central1-a/instances/{OTHER}"):
            with self.subTest(name=name):
                info = self.info(self.once(), name)
                self.assertEqual((info["id"], info["name"]), (OTHER_ID, OTHER))

    def test_what_google_calls_terminated_is_stopped(self):
        self.assertEqual(self.info(self.gcp(), OTHER)["state"], "stopped")

    def test_start_up_scripts_are_not_fetched(self):
        self.info(self.gcp())
        self.assertNotIn("metadata", self.cloud.requests("GET /compute/")[0]["query"])

    def test_without_the_right_it_is_what_the_metadata_says(self):
        self.instance(spot=True)
        self.cloud.state(denied=["compute.instances.get"])
        info = self.info(self.once())
        self.assertEqual((info["id"], info["type"], info["state"], info["lifecycle"]), (OWN_ID, "n1-standard-1", "running", "spot"))
        self.assertIn("forbidden", self.refused("Refused", self.info, self.once(), OTHER))

    def test_of_one_that_is_not_there(self):
        self.assertIn("notFound", self.refused("Refused", self.info, self.gcp(), "nobody"))

    def test_an_id_that_is_none_is_sent_nowhere(self):
        for identifier in ("a/b", "../x", "A", "a?b", "-a", "projects/p/zones/../instances/x", "projects/p/zones/z/instances/x/stop", "x" * 64):
            with self.subTest(identifier=identifier):
                self.refused("InvalidArgument", self.info, self.once(), identifier)
        self.assertEqual(self.cloud.requests("/compute/v1/"), [])

    def test_answers_that_are_none(self):
        for body in ("[]", "{}", '{"status": 7}', "nonsense"):
            with self.subTest(body=body):
                self.cloud.fault("GET /compute/", times=4, status=200, body=body)
                self.refused("Throttled", self.info, self.gcp())
                self.cloud.command(faults=[])


class Stopping(Gcp):
    def test_this_machine_is_stopped_and_its_new_state_is_seen(self):
        plugin = self.gcp()
        self.stop_with(plugin, reason="idle since 22:06")
        self.assertEqual(len(self.acts("stop")), 1)
        self.assertEqual(self.info(plugin)["state"], "stopping")
        self.assertEqual(plugin.property(PROVIDER, "StopEffect"), "stops-billing")

    def test_a_second_time_is_no_harm(self):
        self.stop_with(self.once())
        for name in (OWN, OWN_ID):
            self.stop_with(self.once(), name)
        self.assertEqual(len(self.acts("stop")), 1)

    def test_another_one_is_followed_until_it_is_off(self):
        self.instance(OTHER, status="RUNNING")
        plugin = self.gcp()
        self.stop_with(plugin, OTHER)
        self.assertEqual(self.info(plugin, OTHER)["state"], "stopped")
        self.assertGreaterEqual(len(self.cloud.requests("/operations/")), 2)

    def test_an_operation_that_fails_is_a_failure(self):
        self.instance(OTHER, status="RUNNING")
        self.cloud.state(operation_error={"code": "UNSUPPORTED_OPERATION", "message": "it does not want to"})
        message = self.refused("Refused", self.stop_with, self.gcp(), OTHER)
        self.assertIn("UNSUPPORTED_OPERATION: it does not want to", message)

    def test_an_operation_that_google_could_not_do_may_be_asked_for_again(self):
        self.cloud.state(operation_error={"code": "INTERNAL_ERROR", "message": "oops"}, operation_steps=0)
        self.refused("Throttled", self.stop_with, self.gcp())

    def test_an_operation_that_did_something_else_is_no_success(self):
        self.instance(OTHER, status="RUNNING")
        self.cloud.state(result={"status": "REPAIRING"}, operation_steps=0)
        self.assertIn("is REPAIRING", self.refused("Throttled", self.stop_with, self.gcp(), OTHER))

    def test_without_the_right_to_operations_the_instance_tells(self):
        self.instance(OTHER, status="RUNNING")
        self.cloud.state(denied=["compute.zoneOperations.get"])
        self.stop_with(self.gcp(), OTHER)
        self.assertEqual(len(self.cloud.requests("/operations/")), 1)

    def test_without_any_right_to_look_it_is_believed(self):
        self.cloud.state(denied=["compute.zoneOperations.get", "compute.instances.get"])
        self.stop_with(self.gcp())
        self.assertEqual(len(self.acts("stop")), 1)

    def test_dry_run_changes_nothing(self):
        plugin = self.gcp()
        self.stop_with(plugin, dry_run=True)
        self.assertEqual(self.info(plugin)["state"], "running")
        self.assertEqual(self.acts("stop"), [])

    def test_dry_run_tells_a_refusal(self):
        self.cloud.state(denied=["compute.instances.stop"])
        self.assertIn("no such permission", self.refused("Refused", self.stop_with, self.gcp(), dry_run=True))

    def test_a_refusal_is_told_once_and_not_repeated(self):
        self.cloud.state(denied=["compute.instances.stop"])
        message = self.refused("Refused", self.stop_with, self.gcp())
        self.assertIn(f"compute.instances.stop on {OWN}: forbidden", message)
        self.assertEqual(len(self.acts("stop")), 1)

    def test_throttling_is_waited_for_by_one_request_id(self):
        for fault in ({"status": 403, "body": THROTTLED}, {"status": 429}, {"status": 503}):
            with self.subTest(fault=fault):
                self.cloud.command(forget=True)
                self.instance(status="RUNNING")
                self.cloud.fault("/stop?", **fault)
                self.stop_with(self.once())
                self.assertEqual((len(self.acts("stop")), len({request["query"] for request in self.acts("stop")})), (2, 1))

    def test_two_stops_are_two_requests(self):
        self.stop_with(self.once())
        self.instance(status="RUNNING")
        self.stop_with(self.once())
        self.assertEqual(len({request["query"] for request in self.acts("stop")}), 2)

    def test_throttling_without_an_end_is_told_as_such(self):
        self.cloud.fault("/stop?", times=100, status=503)
        self.refused("Throttled", self.stop_with, self.gcp())
        self.assertEqual(len(self.acts("stop")), 4)

    def test_a_reply_that_was_lost_after_the_deed(self):
        self.cloud.fault("/stop?", lose=True)
        plugin = self.gcp()
        self.stop_with(plugin)
        self.assertEqual(self.info(plugin)["state"], "stopping")
        self.assertEqual(len({request["query"] for request in self.acts("stop")}), 1)

    def test_an_answer_that_is_garbled_is_asked_for_again(self):
        self.cloud.fault("/stop?", garble=True)
        self.stop_with(self.gcp())
        self.assertEqual(len(self.acts("stop")), 2)

    def test_one_that_names_no_operation_is_no_success(self):
        self.cloud.fault("/stop?", status=200, body='{"name": "../../instances/x"}')
        self.assertIn("without an operation", self.refused("Throttled", self.stop_with, self.gcp()))

    def test_a_fault_while_it_is_followed_is_waited_for(self):
        self.instance(OTHER, status="RUNNING")
        self.cloud.fault("/operations/", times=1, drop=True)
        self.stop_with(self.gcp(), OTHER)

    def test_the_api_must_mean_this_machine(self):
        self.cloud.state(metadata={"documents": {"instance/id": "42"}})
        self.assertIn("another instance by the name", self.refused("Refused", self.stop_with, self.gcp()))
        self.assertEqual(self.acts("stop"), [])

    def test_bad_options_change_nothing(self):
        self.refused("InvalidArgument", self.stop_with, self.once(), action="explode")
        self.refused("InvalidArgument", self.stop_with, self.once(), dry_run="yes")
        self.refused("InvalidArgument", self.stop_with, self.once(), force=True)
        self.refused("NotSupported", self.stop_with, self.once(), action="hibernate")
        self.assertEqual(self.cloud.requests("POST /compute/"), [])

    def test_a_configuration_that_comes_in_the_middle(self):
        plugin = self.gcp()
        self.cloud.fault("GET /compute/", delay=1)
        answers = plugin.call_later(PROVIDER, "StopInstance", "(sa{sv})", "", {})
        self.until_asked("GET /compute/")
        plugin.call("", "Configure", "(a{sv})", self.configuration(**self.settings(wait_seconds=3)))
        self.until(lambda: answers)
        self.assertNotIsInstance(answers[0], GLib.Error)


class LocalSsd(Gcp):
    def test_content_is_not_lost_by_surprise(self):
        self.instance(local_ssd=1)
        message = self.refused("Refused", self.stop_with, self.once())
        self.assertIn("local_ssd", message)
        self.refused("Refused", self.stop_with, self.once(), action="suspend")
        self.refused("Refused", self.stop_with, self.once(), dry_run=True)
        self.assertEqual(self.cloud.requests("POST /compute/"), [])

    def test_nor_where_only_the_metadata_tells(self):
        self.instance(local_ssd=2)
        self.cloud.state(denied=["compute.instances.get"])
        self.refused("Refused", self.stop_with, self.gcp())
        self.assertEqual(self.acts("stop"), [])

    def test_nor_where_nobody_tells(self):
        self.instance(OTHER, status="RUNNING", local_ssd=1)
        self.cloud.state(denied=["compute.instances.get"])
        self.assertIn("discard-local-ssd", self.refused("Refused", self.stop_with, self.gcp(), OTHER))

    def test_as_somebody_decided(self):
        for choice, query in (("discard", "discardLocalSsd=true"), ("preserve", "discardLocalSsd=false")):
            with self.subTest(choice=choice):
                self.instance(local_ssd=1, status="RUNNING")
                self.cloud.command(forget=True)
                self.stop_with(self.gcp(local_ssd=choice))
                self.assertIn(query, self.acts("stop")[0]["query"])


class Suspending(Gcp):
    def test_it_is_an_action_of_its_own(self):
        plugin = self.gcp()
        self.stop_with(plugin, action="suspend")
        self.assertEqual((len(self.acts("suspend")), self.acts("stop")), (1, []))
        self.assertEqual(self.info(plugin)["state"], "suspending")
        self.stop_with(plugin, action="suspend")
        self.assertEqual(len(self.acts("suspend")), 1)

    def test_gpus_cannot_be(self):
        self.instance(gpus=1)
        self.assertIn("GPUs", self.refused("NotSupported", self.stop_with, self.gcp(), action="suspend"))
        self.assertEqual(self.cloud.requests("POST /compute/"), [])

    def test_nor_what_does_not_run(self):
        self.refused("Refused", self.stop_with, self.gcp(), OTHER, action="suspend")

    def test_a_failure_is_not_made_good_by_a_stop(self):
        self.cloud.state(denied=["compute.instances.suspend"])
        self.refused("Refused", self.stop_with, self.gcp(), action="suspend")
        self.assertEqual(self.acts("stop"), [])

    def test_who_was_woken_since_was_suspended(self):
        self.cloud.state(operation_steps=0, result={"status": "RUNNING"})
        self.stop_with(self.gcp(), action="suspend")


class Starting(Gcp):
    def test_a_stopped_one_is_started(self):
        self.start(self.once())
        self.assertEqual(self.info(self.once(), OTHER)["state"], "running")
        self.refused("InvalidArgument", self.start, self.once(), "")

    def test_a_suspended_one_is_resumed(self):
        self.instance(OTHER, status="SUSPENDED")
        self.start(self.gcp())
        self.assertEqual((len(self.acts("resume", OTHER)), self.acts("start", OTHER)), (1, []))

    def test_one_that_runs_is_left_alone(self):
        self.start(self.gcp(), OWN)
        self.assertEqual(self.cloud.requests("POST /compute/"), [])

    def test_one_that_is_being_stopped_has_to_wait(self):
        self.instance(OTHER, status="STOPPING")
        self.assertIn("is STOPPING", self.refused("Throttled", self.start, self.gcp()))

    def test_a_zone_without_room_may_have_some_later(self):
        self.cloud.state(operation_error={"code": "ZONE_RESOURCE_POOL_EXHAUSTED", "message": "no room"})
        self.assertIn("no room", self.refused("Throttled", self.start, self.gcp()))


class Rights(Gcp):
    def renew(self, **account):
        self.cloud.state(account=account)

    def tokens(self):
        return self.cloud.requests("service-accounts/default/token")

    def test_a_token_is_renewed_before_it_ends(self):
        self.renew(seconds=200)
        self.info(self.once())
        before = len(self.tokens())
        self.renew(seconds=3599)
        for _ in range(3):
            self.info(self.once())
        self.assertEqual(len(self.tokens()), before + 1)

    def test_and_where_it_ended_too_early_once_more(self):
        self.info(self.once())
        self.cloud.state(account={"token": "ya29.second"}, valid_tokens=["ya29.second"])
        self.stop_with(self.once())
        self.assertEqual(self.info(self.once())["state"], "stopping")

    def test_one_that_is_never_good_is_a_refusal(self):
        self.cloud.state(valid_tokens=[])
        self.refused("Refused", self.info, self.gcp())
        self.assertEqual(len(self.tokens()), 2)

    def test_no_service_account(self):
        self.renew(exists=False)
        self.assertIn("snooze provider policy gcp", self.refused("Refused", self.stop_with, self.gcp()))

    def test_without_one_it_still_knows_which_instance_this_is(self):
        """The command that binds the role names it, and is wanted before there is any right."""
        self.renew(exists=False)
        plugin = self.gcp()
        self.assertEqual(self.info(plugin)["id"], OWN_ID)
        self.refused("Refused", self.info, plugin, OTHER)

    def test_scopes_that_allow_nothing_are_told_before_anything_is_tried(self):
        self.renew(scopes=[SCOPE + "compute.readonly"])
        plugin = self.gcp()
        self.assertEqual(self.info(plugin)["id"], OWN_ID)
        self.assertIn("set-service-account", self.refused("Refused", self.stop_with, plugin))
        self.refused("Refused", self.tag, plugin, a="b")
        self.refused("Refused", self.start, plugin)
        self.assertEqual(self.cloud.requests("POST /compute/"), [])

    def test_tokens_that_are_none(self):
        for body in ("{}", "[]", '{"access_token": "a b", "expires_in": 5, "token_type": "Bearer"}', '{"access_token": "a"}',
                     '{"access_token": "a", "expires_in": -1, "token_type": "Bearer"}', '{"access_token": "a", "expires_in": 9, "token_type": "Basic"}'):
            with self.subTest(body=body):
                self.cloud.fault("default/token", status=200, body=body, headers={"Metadata-Flavor": "Google"})
                self.assertIn("without an access token", self.refused("Throttled", self.info, self.once()))

    def test_no_secret_is_shown(self):
        self.cloud.fault("/stop?", status=403, body="nonsense")
        plugin = self.gcp()
        message = self.refused("Refused", self.stop_with, plugin)
        _, journal = plugin.stop()
        self.assertNotIn("ya29", message + journal)

    def test_the_token_goes_to_the_api_alone(self):
        self.stop_with(self.gcp())
        self.assertTrue(all("Authorization" not in request["headers"] for request in self.cloud.requests("/computeMetadata/")))

    def test_permissions_are_checked_without_doing_anything(self):
        plugin = self.gcp()
        rows = self.ask(plugin, "CheckPermissions")[0]
        self.assertEqual([name for name, granted, _ in rows if granted],
                         ["scope compute", *("compute.instances." + name for name in ("stop", "suspend", "get", "setLabels", "start", "resume"))])
        self.assertEqual(self.info(plugin)["state"], "running")

    def test_the_policy_suffices(self):
        with open(os.path.join(TREE, "providers/gcp/policy.yaml")) as f:
            _, _, permissions = f.read().partition("includedPermissions:\n")
        self.cloud.state(role=[line.removeprefix("  - ") for line in permissions.splitlines()])
        plugin = self.gcp()
        self.assertEqual([name for name, granted, _ in self.ask(plugin, "CheckPermissions")[0] if granted],
                         ["scope compute", *("compute.instances." + name for name in ("stop", "suspend", "get", "setLabels"))])
        self.ask(plugin, "SetTags", "(a{ss})", {"CloudSnooze:Status": "stopped"})
        self.refused("Refused", self.ask, plugin, "StartInstance", "(sa{sv})", "other-instance", {})
        self.stop_with(plugin, action="suspend")
        self.assertIn(self.info(plugin)["state"], ("suspending", "suspended"))

    def test_a_missing_one_is_named(self):
        self.cloud.state(denied=["compute.instances.stop", "compute.instances.start", "compute.instances.suspend"])
        rows = self.ask(self.gcp(), "CheckPermissions")[0]
        self.assertEqual([name for name, granted, _ in rows if not granted], ["compute.instances.stop", "suspend", "hibernate"])
        self.assertNotIn("compute.instances.suspend", [name for name, _, _ in rows])

    def test_so_are_missing_scopes(self):
        self.renew(scopes=[SCOPE + "devstorage.read_only"])
        rows = self.ask(self.gcp(), "CheckPermissions")[0]
        self.assertEqual([row[:2] for row in rows], [("scope compute", False), ("hibernate", False)])

    def test_what_a_stop_would_be_refused_for_is_told_beforehand(self):
        plugin = self.once()
        self.assertEqual(self.missing(plugin), {"hibernate": "This cloud cannot hibernate a machine"})
        self.instance(gpus=1)
        self.assertEqual(set(self.missing(plugin)), {"hibernate", "suspend"})
        self.assertIn(self.missing(plugin)["suspend"], self.refused("NotSupported", self.stop_with, plugin, action="suspend"))
        self.instance(gpus=0, local_ssd=1)
        for denied in ([], ["compute.instances.get"]):
            with self.subTest(denied=denied):
                self.cloud.state(denied=denied)
                plugin.call("", "Configure", "(a{sv})", self.configuration(**self.settings()))
                missing = self.missing(plugin)
                self.assertIn(missing["stop"], self.refused("Refused", self.stop_with, plugin))
                self.assertIn(missing["suspend"], self.refused("Refused", self.stop_with, plugin, action="suspend"))

    def test_what_was_decided_is_none(self):
        self.instance(local_ssd=1)
        self.assertEqual(set(self.missing(self.gcp(local_ssd="discard"))), {"hibernate"})

    def test_what_could_not_be_asked_is_no_permission(self):
        self.cloud.fault("GET /compute/v1/projects/", times=100, status=503)
        self.refused("Throttled", self.ask, self.gcp(), "CheckPermissions")


class Labels(Gcp):
    def labels(self):
        return self.info(self.once())["tags"]

    def test_tags_become_labels_beside_those_that_are_there(self):
        self.tag(self.once(), **{"CloudSnooze:Status": "stopped", "CloudSnooze:StopTimestamp": "2026-11-29T08:51:24Z",
                                 "CloudSnooze:StopReason": "Idle für 30 min"})
        self.assertEqual(self.labels(), {"owner": "somebody", "cloudsnooze_status": "stopped", "cloudsnooze_stoptimestamp": "2026-11-29t08_51_24z",
                                         "cloudsnooze_stopreason": "idle_f_r_30_min"})

    def test_a_long_value_is_cut(self):
        self.tag(self.once(), a="x" * 300)
        self.assertEqual(self.labels()["a"], "x" * 63)

    def test_nothing_is_sent_where_nothing_changes(self):
        self.tag(self.once(), Owner="Somebody")
        self.tag(self.once())
        self.assertEqual(self.acts("setLabels"), [])

    def test_who_came_between_is_read_anew(self):
        conflict = {"error": {"code": 412, "message": "changed", "errors": [{"reason": "conditionNotMet", "message": "changed"}]}}
        self.cloud.fault("/setLabels?", status=412, body=json.dumps(conflict))
        self.tag(self.once(), a="b")
        self.assertEqual((self.labels(), len(self.acts("setLabels"))), ({"owner": "somebody", "a": "b"}, 2))

    def test_but_not_for_ever(self):
        self.cloud.fault("/setLabels?", times=10, status=412, body="{}")
        self.refused("Refused", self.tag, self.once(), a="b")
        self.assertEqual(len(self.acts("setLabels")), 2)

    def test_a_reply_that_was_lost(self):
        self.cloud.fault("/setLabels?", lose=True)
        self.tag(self.once(), a="b")
        self.assertEqual(self.labels(), {"owner": "somebody", "a": "b"})

    def test_what_no_label_can_be_is_not_sent(self):
        for tags in ({"1a": ""}, {":a": ""}, {"A:b": "1", "a.b": "2"}, {"k" * 64: ""}, {f"k{i}": "" for i in range(65)}):
            with self.subTest(tags=len(tags)):
                self.refused("InvalidArgument", self.tag, self.once(), **tags)
        self.refused("Refused", self.tag, self.once(), **{f"k{i}": "" for i in range(64)})
        self.assertEqual(self.acts("setLabels"), [])

    def test_without_the_right(self):
        self.cloud.state(denied=["compute.instances.setLabels"])
        self.assertIn("compute.instances.setLabels on test-instance: forbidden", self.refused("Refused", self.tag, self.once(), a="b"))

    def test_without_the_right_to_operations(self):
        self.cloud.state(denied=["compute.zoneOperations.get"])
        self.tag(self.once(), a="b")

    def test_an_operation_that_fails(self):
        self.cloud.state(operation_error={"code": "INVALID_USAGE", "message": "no"})
        self.assertIn("INVALID_USAGE", self.refused("Refused", self.tag, self.once(), a="b"))


class Notices(Gcp):
    def gpu(self):
        directory = os.path.join(self.root.name, "sys/bus/pci/devices/0000:00:04.0")
        os.makedirs(directory)
        for name, text in {"vendor": "0x10de\n", "class": "0x030200\n"}.items():
            with open(os.path.join(directory, name), "w") as f:
                f.write(text)

    def about(self, deadline, seconds):
        self.assertAlmostEqual(deadline / 1000000 - time.time(), seconds, delta=20)

    def test_a_preemption(self):
        self.instance(spot=True)
        events, cancelled = self.watch(self.gcp())
        self.until_asked("instance/preempted")
        self.cloud.state(preempted="TRUE")
        self.until(lambda: events)
        event = events[0]
        self.assertEqual((event["type"], event["source"], event["severity"], event["data"]),
                         ("cloud.spot.interrupt", "gcp", 3, {"cloud": "gcp", "instance_id": OWN_ID, "action": "preempt"}))
        self.assertTrue(event["id"].startswith(OWN_ID + "/preempted/"))
        self.about(event["deadline"], 30)

    def test_it_is_told_once_and_never_called_off(self):
        self.instance(spot=True)
        self.cloud.state(preempted="TRUE")
        events, cancelled = self.watch(self.gcp())
        self.until(lambda: events)
        self.cloud.state(preempted="FALSE")
        self.cloud.command(forget=True)
        self.until_asked("instance/preempted", 2)
        self.cloud.state(preempted="TRUE")
        self.cloud.command(forget=True)
        self.until_asked("instance/preempted", 2)
        self.assertEqual((len(events), cancelled), (1, []))

    def test_its_id_is_the_same_whoever_announces_it(self):
        self.instance(spot=True)
        self.cloud.state(preempted="TRUE")
        ids = []
        for _ in range(2):
            plugin = self.gcp()
            events, _ = self.watch(plugin)
            self.until(lambda: events)
            ids.append(events[0]["id"])
            plugin.stop()
        self.assertEqual(ids[0], ids[1])

    def test_its_time_does_not_begin_anew_with_another_process(self):
        self.instance(spot=True)
        self.cloud.state(preempted="TRUE")
        plugin = self.gcp()
        events, _ = self.watch(plugin)
        self.until(lambda: events)
        deadline = events[0]["deadline"]
        version, state = plugin.call(".State", "ExportState")
        plugin.stop()
        kept = json.loads(bytes(state))["preempted"]
        self.assertEqual(kept["deadline"], deadline)
        for known, counted in (({"deadline": deadline - 20000000}, False), ({"boot": "0" * 32}, True), ({"deadline": -1}, True)):
            with self.subTest(known=known):
                plugin = self.gcp()
                plugin.call(".State", "ImportState", "(uay)", version, json.dumps({"preempted": {**kept, **known}}).encode())
                events, _ = self.watch(plugin)
                self.until(lambda: events)
                # Where nobody has counted it in this boot, it is counted from now on.
                self.assertTrue(events[0]["deadline"] > deadline if counted else events[0]["deadline"] == known["deadline"], events)
                plugin.stop()

    def test_instances_that_are_not_preemptible_are_not_asked_for_it(self):
        self.watch(self.gcp())
        self.until_asked("maintenance-event", 3)
        self.assertEqual(self.cloud.requests("instance/preempted"), [])

    def test_a_migration_comes_and_is_over(self):
        events, cancelled = self.watch(self.gcp())
        self.until_asked("maintenance-event")
        self.cloud.state(maintenance_event="MIGRATE_ON_HOST_MAINTENANCE")
        self.until(lambda: events)
        self.assertEqual((events[0]["type"], events[0]["severity"], events[0]["data"]["maintenance_event"]),
                         ("cloud.instance.maintenance", 1, "MIGRATE_ON_HOST_MAINTENANCE"))
        self.about(events[0]["deadline"], 60)
        self.cloud.state(maintenance_event="NONE")
        self.until(lambda: cancelled)
        self.assertEqual(cancelled, [events[0]["id"]])

    def test_a_termination(self):
        self.cloud.state(maintenance_event="TERMINATE_ON_HOST_MAINTENANCE")
        events, _ = self.watch(self.gcp())
        self.until(lambda: events)
        self.assertEqual((events[0]["type"], events[0]["severity"]), ("cloud.instance.termination", 3))
        self.about(events[0]["deadline"], 60)

    def test_with_gpus_it_is_told_an_hour_before(self):
        self.gpu()
        self.cloud.state(maintenance_event="TERMINATE_ON_HOST_MAINTENANCE")
        events, _ = self.watch(self.gcp())
        self.until(lambda: events)
        self.about(events[0]["deadline"], 3600)

    def test_a_migration_that_becomes_a_termination(self):
        self.cloud.state(maintenance_event="MIGRATE_ON_HOST_MAINTENANCE")
        events, cancelled = self.watch(self.gcp())
        self.until(lambda: events)
        self.cloud.state(maintenance_event="TERMINATE_ON_HOST_MAINTENANCE")
        self.until(lambda: len(events) == 2 and cancelled)
        self.assertEqual((cancelled, events[1]["type"]), ([events[0]["id"]], "cloud.instance.termination"))

    def test_questions_wait_at_the_service(self):
        self.watch(self.gcp())
        self.until_asked("maintenance-event", 3)
        first, second, third = self.cloud.requests("maintenance-event")[:3]
        self.assertIn("wait_for_change=true&timeout_sec=1&last_etag=0", first["query"])
        self.assertRegex(second["query"], "last_etag=[0-9a-f]{16}$")
        self.assertGreater(third["time"] - second["time"], 0.9)
        self.assertEqual(first["connection"], third["connection"])

    def test_a_service_that_restarts_is_asked_again_after_a_second(self):
        self.HASTE = 1
        for _ in range(2):
            self.cloud.fault("maintenance-event", status=503)
        self.watch(self.gcp())
        self.until_asked("maintenance-event", 3)
        times = [request["time"] for request in self.cloud.requests("maintenance-event")]
        for before, after in zip(times, times[1:]):
            self.assertGreater(after - before, 0.9)

    def test_everyday_cases_of_the_service(self):
        own = {"Metadata-Flavor": "Google"}
        for fault in ({"garble": True}, {"status": 500}, {"drop": True}, {"status": 404, "headers": own}, {"status": 200, "body": "TERMINATE_ON_HOST_MAINTENANCE"},
                      {"status": 200, "body": "", "headers": own}, {"status": 200, "body": "a\nb", "headers": own}):
            self.cloud.fault("maintenance-event", **fault)
        events, cancelled = self.watch(self.gcp())
        self.cloud.state(maintenance_event="MIGRATE_ON_HOST_MAINTENANCE")
        self.until(lambda: events)
        self.assertEqual((len(events), cancelled), (1, []))

    def test_a_slow_answer_is_waited_for(self):
        self.cloud.fault("maintenance-event", delay=2, status=200, body="TERMINATE_ON_HOST_MAINTENANCE", headers={"Metadata-Flavor": "Google"})
        plugin = self.gcp()
        events, cancelled = self.watch(plugin)
        self.until(lambda: events)
        first, *later = [request["moment"] for request in self.cloud.requests("maintenance-event")]
        self.assertTrue(all(moment - first > 1.9 for moment in later), later)
        self.assertEqual(events[0]["type"], "cloud.instance.termination")
        # The next one says that there is none.
        self.until(lambda: cancelled)
        _, journal = plugin.stop()
        self.assertNotIn("cannot be read", journal)

    def test_one_that_takes_too_long_is_asked_for_again(self):
        self.cloud.state(maintenance_event="MIGRATE_ON_HOST_MAINTENANCE")
        self.cloud.fault("maintenance-event", delay=60, drop=True)
        plugin = self.gcp()
        events, cancelled = self.watch(plugin)
        self.until(lambda: events)
        first, second, *_ = [request["moment"] for request in self.cloud.requests("maintenance-event")]
        # Five seconds longer than the service was asked to wait itself.
        self.assertGreater(second - first, 5)
        _, journal = plugin.stop()
        self.assertEqual(journal.count("Announcements cannot be read for now"), 1)
        self.assertEqual((len(events), cancelled), (1, []))

    def test_a_service_that_forgets_it_for_a_moment_calls_nothing_off(self):
        self.cloud.state(maintenance_event="MIGRATE_ON_HOST_MAINTENANCE")
        events, cancelled = self.watch(self.gcp())
        self.until(lambda: events)
        for fault in ({"status": 404}, {"status": 200, "body": "<{"}, {"status": 200, "body": ""}, {"status": 500}):
            self.cloud.command(forget=True)
            self.cloud.fault("maintenance-event", **fault)
            self.until_asked("maintenance-event", 2)
        self.assertEqual((len(events), cancelled), (1, []))

    def test_a_changed_configuration_goes_on_watching_and_tells_nothing_twice(self):
        self.cloud.state(maintenance_event="MIGRATE_ON_HOST_MAINTENANCE")
        plugin = self.gcp()
        events, cancelled = self.watch(plugin)
        self.until(lambda: events)
        plugin.call("", "Configure", "(a{sv})", self.configuration(**self.settings(wait_seconds=2)))
        self.cloud.command(forget=True)
        self.until_asked("maintenance-event", 2)
        self.assertEqual((len(events), cancelled), (1, []))

    def test_the_next_version_knows_what_was_told(self):
        self.cloud.state(maintenance_event="MIGRATE_ON_HOST_MAINTENANCE")
        plugin = self.gcp()
        events, _ = self.watch(plugin)
        self.until(lambda: events)
        version, state = plugin.call(".State", "ExportState")
        plugin.stop()
        plugin = self.gcp()
        plugin.call(".State", "ImportState", "(uay)", version, bytes(state))
        again, cancelled = self.watch(plugin)
        # Whether the daemon heard it is not known to this one: by the same id and for the same time it is the same.
        self.until(lambda: again)
        self.until_asked("maintenance-event", 4)
        self.assertEqual([(event["id"], event["type"], event["deadline"]) for event in again],
                         [(event["id"], event["type"], event["deadline"]) for event in events])
        self.cloud.state(maintenance_event="NONE")
        self.until(lambda: cancelled)
        self.assertEqual(cancelled, [events[0]["id"]])

    def test_what_another_machine_was_told_is_news_to_its_image(self):
        self.cloud.state(maintenance_event="MIGRATE_ON_HOST_MAINTENANCE")
        plugin = self.gcp()
        other = {"value": "MIGRATE_ON_HOST_MAINTENANCE", "id": OTHER_ID + "/maintenance/x", "deadline": 2 ** 52}
        plugin.call(".State", "ImportState", "(uay)", 1, json.dumps(other).encode())
        events, cancelled = self.watch(plugin)
        self.until(lambda: events)
        self.assertTrue(events[0]["id"].startswith(OWN_ID + "/maintenance/"), events)
        self.about(events[0]["deadline"], 60)
        self.assertEqual(cancelled, [])

    def test_but_not_what_was_told_in_another_time(self):
        self.cloud.state(maintenance_event="MIGRATE_ON_HOST_MAINTENANCE")
        plugin = self.gcp()
        old = {"value": "MIGRATE_ON_HOST_MAINTENANCE", "id": OWN_ID + "/maintenance/x", "deadline": 1}
        plugin.call(".State", "ImportState", "(uay)", 1, json.dumps(old).encode())
        events, _ = self.watch(plugin)
        self.until(lambda: events)

    def test_a_state_that_is_none(self):
        plugin = self.gcp()
        for version, state in ((2, b"{}"), (1, b"["), (1, b"")):
            with self.subTest(state=state):
                self.assert_error("InvalidArgument", plugin.call, ".State", "ImportState", "(uay)", version, state)

    def test_google_waits_for_nobody(self):
        plugin = self.gcp()
        self.watch(plugin)
        self.ask(plugin, "Acknowledge", "(s)", "whatever", interface=SOURCE)


class Everything(EveryOperation, Gcp):
    REFUSAL = {"status": 403, "body": '{"error": {"code": 403, "message": "no", "errors": [{"reason": "forbidden"}]}}'}
    LOOK = f"GET /compute/v1/projects/test-project/zones/us-central1-a/instances/{OWN}"

    def patient(self):
        return self.once()

    def is_in(self, name, *states):
        return lambda: self.info(self.once(), name)["state"] in states

    def is_marked(self):
        return self.info(self.once())["tags"]["k"] == self.marked

    def operations(self):
        path = "/compute/v1/projects/test-project/zones/us-central1-a/instances/"
        state = {"instances": {OWN: {"status": "RUNNING"}, OTHER: {"status": "TERMINATED"}}}
        return (Operation("GetInstanceInfo", f"GET {path}{OTHER}?", ("(s)", OTHER), state),
                Operation("StopInstance", f"{OWN}/stop?", ("(sa{sv})", "", {}), state, self.is_in(OWN, "stopping", "stopped")),
                Operation("StartInstance", f"{OTHER}/start?", ("(sa{sv})", OTHER, {}), state, self.is_in(OTHER, "staging", "running")),
                Operation("SetTags", f"{OWN}/setLabels?", ("(a{ss})", {"k": self.mark()}), state, self.is_marked),
                Operation("CheckPermissions", f"{OWN}/testIamPermissions", (), state))


plugin_bus.main()
