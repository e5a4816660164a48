# SPDX-License-Identifier: Apache-2.0
"""Provider openstack on a private bus, before a fake of Keystone and Nova. Arguments: the program, the source tree."""

import json
import os
import socket
import sys
import tempfile

import plugin_bus
from every_operation import EveryOperation, Operation
from gi.repository import GLib
from plugin_cloud import PROVIDER, CloudTestCase

PROGRAM, TREE = sys.argv[1:3]
OWN, OTHER = "9d8f5a0e-3c4b-4b0e-9a43-6f0c8d3c5a11", "1bea47ed-f6a9-463b-b423-14b9cca9ad27"
SECRET = "rEaqvJka48mpv"


class Openstack(CloudTestCase):
    PROGRAM, ID, FAKE = PROGRAM, "openstack", "openstack"

    def setUp(self):
        super().setUp()
        self.credentials = tempfile.TemporaryDirectory()
        self.addCleanup(self.credentials.cleanup)
        self.give({"auth_url": self.cloud.url, "application_credential_id": "423f19a4ac1e4f48bbb4180756e6eb6c",
                   "application_credential_secret": SECRET})

    def give(self, credential):
        with open(os.path.join(self.credentials.name, "openstack"), "w") as f:
            f.write(credential if isinstance(credential, str) else json.dumps(credential))

    def openstack(self, **settings):
        """One process for all of a test's parts."""
        if not hasattr(self, "running"):
            self.running = self.provider(environment={"CREDENTIALS_DIRECTORY": self.credentials.name},
                                         **{"metadata_url": self.cloud.url, **settings})
        return self.running

    def server(self, identifier=OWN, **values):
        self.cloud.state(servers={identifier: values})

    def asked(self, action):
        return self.cloud.requests(f'{{"{action}":')

    def state_of(self, plugin, identifier=""):
        return self.ask(plugin, "GetInstanceInfo", "(s)", identifier)[0]["state"]


class Detection(Openstack):
    def test_live_interface_is_that_of_the_xml(self):
        self.assert_agrees_with_xml(self.openstack().introspect(), os.path.join(TREE, "introspection"))

    def test_other_firmware_is_enough_to_ask_nobody(self):
        self.dmi(sys_vendor="Amazon EC2")
        self.assertEqual(self.ask(self.provider(), "Detect"), (False,))

    def test_its_firmware_and_its_service(self):
        self.dmi(sys_vendor="OpenStack Foundation", product_name="OpenStack Nova")
        self.assertEqual(self.ask(self.openstack(), "Detect"), (True,))

    def test_a_foreign_service_is_no_answer(self):
        self.cloud.fault("/openstack/", times=9, status=404)
        self.refused("Throttled", self.ask, self.openstack(), "Detect")

    def test_garbled_documents_are_no_answer(self):
        for document in ("{", "[]", "{}", '{"uuid": "../../x"}', '{"uuid": 7}'):
            with self.subTest(document=document):
                self.cloud.state(documents={"/openstack/latest/meta_data.json": document})
                self.refused("Throttled", self.ask, self.openstack(), "Detect")

    def test_a_bad_configuration_is_refused(self):
        plugin = self.provider(greet=False)
        plugin.call("", "Handshake", "(us)", 1, "0.1.0")
        for settings in ({"metadata_url": "ftp://x"}, {"stop_method": "delete"}, {"stop_effect": "free"}, {"interface": "any"}, {"nonsense": "x"}):
            with self.subTest(settings=settings), self.assertRaises(GLib.Error):
                plugin.call("", "Initialize", "(a{sv})", self.configuration(**settings))

    def test_no_proxy_hears_what_is_said_on_this_machine(self):
        with socket.socket() as proxy:
            proxy.bind(("127.0.0.1", 0))
            proxy.listen()
            plugin = self.openstack(proxy_url=f"http://127.0.0.1:{proxy.getsockname()[1]}")
            self.assertEqual(self.state_of(plugin), "running")
            proxy.setblocking(False)
            with self.assertRaises(BlockingIOError):
                proxy.accept()

    def test_what_a_stop_costs(self):
        for settings, effect in (({}, "keeps-billing"), ({"stop_method": "suspend"}, "keeps-billing"), ({"stop_method": "shelve"}, "stops-billing"),
                                 ({"stop_effect": "stops-billing"}, "stops-billing"), ({"stop_method": "shelve", "stop_effect": "unknown"}, "unknown")):
            with self.subTest(settings=settings):
                plugin = self.provider(**settings)
                self.assertEqual(plugin.property(PROVIDER, "StopEffect"), effect)
                plugin.stop()


class Knowledge(Openstack):
    def test_of_this_server(self):
        info = self.ask(self.openstack(), "GetInstanceInfo", "(s)", "")[0]
        self.assertEqual(info, {"id": OWN, "name": "worker-1", "type": "m1.small", "region": "RegionOne", "zone": "nova", "state": "running",
                                "lifecycle": "on-demand", "launch-time": 1594671638000000, "tags": {"owner": "alice"}})

    def test_of_another(self):
        info = self.ask(self.openstack(), "GetInstanceInfo", "(s)", OTHER)[0]
        self.assertEqual((info["id"], info["state"]), (OTHER, "stopped"))

    def test_states(self):
        for vm_state, task, state in (("active", "powering-off", "stopping"), ("active", "shelving_image_uploading", "stopping"),
                                      ("active", "image_snapshot", "running"), ("stopped", "powering-on", "pending"), ("building", "spawning", "pending"),
                                      ("shelved_offloaded", None, "stopped"), ("deleted", None, "terminated"), ("error", None, "unknown")):
            with self.subTest(vm_state=vm_state, task=task):
                self.server(OTHER, vm_state=vm_state, task=task, end=None)
                self.assertEqual(self.state_of(self.openstack(), OTHER), state)

    def test_where_a_cloud_hides_states_the_status_has_to_do(self):
        self.cloud.fault(f"GET /compute/v2.1/servers/{OTHER}", status=200, body=json.dumps({"server": {"id": OTHER, "status": "SHUTOFF"}}))
        self.assertEqual(self.state_of(self.openstack(), OTHER), "stopped")

    def test_without_the_right_it_is_what_the_metadata_says(self):
        self.cloud.state(denied=["os_compute_api:servers:show"])
        self.assertEqual(self.ask(self.openstack(), "GetInstanceInfo", "(s)", "")[0]["name"], "worker-1")
        self.assertIn("servers:show", self.refused("Refused", self.ask, self.openstack(), "GetInstanceInfo", "(s)", OTHER))

    def test_of_one_that_is_not_there(self):
        self.assertIn("could not be found", self.refused("Refused", self.ask, self.openstack(), "GetInstanceInfo", "(s)",
                                                         "00000000-0000-0000-0000-000000000000"))

    def test_an_id_that_is_none_is_sent_nowhere(self):
        for identifier in ("x", OWN + "/action", "../" + OWN, "i-1234567890abcdef0"):
            with self.subTest(identifier=identifier):
                self.refused("InvalidArgument", self.ask, self.openstack(), "GetInstanceInfo", "(s)", identifier)
        self.assertEqual(self.cloud.requests("/compute/"), [])

    def test_another_servers_answer_is_none(self):
        self.cloud.fault(f"GET /compute/v2.1/servers/{OWN}", status=200, body=json.dumps({"server": {"id": OTHER, "status": "ACTIVE"}}))
        self.refused("Throttled", self.ask, self.openstack(), "GetInstanceInfo", "(s)", "")


class Stopping(Openstack):
    def test_this_server_is_stopped_and_that_is_seen(self):
        plugin = self.openstack()
        self.stop_with(plugin, reason="idle since 22:06")
        self.assertEqual(len(self.asked("os-stop")), 1)
        self.assertEqual(self.state_of(plugin), "stopping")

    def test_each_method_has_its_action(self):
        for method, action in (("suspend", "suspend"), ("shelve", "shelve")):
            with self.subTest(method=method):
                self.server(vm_state="active", task=None, end=None)
                plugin = self.provider(environment={"CREDENTIALS_DIRECTORY": self.credentials.name}, metadata_url=self.cloud.url, stop_method=method)
                self.stop_with(plugin)
                self.assertEqual(len(self.asked(action)), 1)
                self.assertEqual(self.state_of(plugin), "stopping")
                plugin.stop()

    def test_shelving_frees_the_host_of_one_that_is_only_off(self):
        self.server(OTHER, vm_state="stopped")
        self.stop_with(self.openstack(stop_method="shelve"), OTHER)
        self.assertEqual(len(self.asked("shelve")), 1)

    def test_a_configuration_that_comes_in_the_middle(self):
        plugin = self.openstack()
        for delayed, arguments in (("StopInstance", ("(sa{sv})", "", {})), ("GetInstanceInfo", ("(s)", ""))):
            with self.subTest(call=delayed):
                self.cloud.command(forget=True)
                self.cloud.fault("/servers/", delay=1)
                answers = plugin.call_later(PROVIDER, delayed, *arguments)
                self.until_asked("/servers/")
                plugin.call("", "Configure", "(a{sv})", self.configuration(metadata_url=self.cloud.url))
                self.until(lambda: answers)
                self.assertIn("Error.Throttled", str(answers[0]))
        self.stop_with(plugin)

    def test_a_second_time_is_no_harm(self):
        plugin = self.openstack()
        self.stop_with(plugin)
        self.stop_with(plugin)
        self.stop_with(plugin, OTHER)
        self.assertEqual(len(self.asked("os-stop")), 1)

    def test_dry_run_changes_nothing(self):
        plugin = self.openstack()
        self.stop_with(plugin, dry_run=True)
        self.assertEqual((self.asked("os-stop"), self.state_of(plugin)), ([], "running"))

    def test_a_refusal_is_told_once_and_not_repeated(self):
        self.cloud.state(denied=["os_compute_api:servers:stop"])
        message = self.refused("Refused", self.stop_with, self.openstack())
        self.assertIn(f"os-stop of {OWN}: Policy doesn't allow os_compute_api:servers:stop", message)
        self.assertEqual(len(self.asked("os-stop")), 1)

    def test_throttling_is_waited_for(self):
        for fault in ({"status": 429, "headers": {"Retry-After": "1"}}, {"status": 413, "headers": {"Retry-After": "1"}}, {"status": 503}, {"drop": True}):
            with self.subTest(fault=fault):
                self.cloud.command(forget=True)
                self.server(vm_state="active", task=None, end=None)
                self.cloud.fault('{"os-stop":', **fault)
                self.stop_with(self.openstack())
                self.assertEqual(len(self.asked("os-stop")), 2)

    def test_throttling_without_an_end_is_told_as_such(self):
        self.cloud.fault('{"os-stop":', times=100, status=503)
        self.refused("Throttled", self.stop_with, self.openstack())
        self.assertEqual(len(self.asked("os-stop")), 4)

    def test_a_reply_that_was_lost_after_the_deed(self):
        self.cloud.fault('{"os-stop":', lose=True)
        plugin = self.openstack()
        self.stop_with(plugin)
        self.assertEqual(self.state_of(plugin), "stopping")

    def test_the_state_is_looked_at_until_it_moves(self):
        self.cloud.fault('{"os-stop":', status=202)
        self.server(task="powering-off", end="stopped", hidden=3)
        self.stop_with(self.openstack())
        self.assertEqual(len(self.cloud.requests(f"GET /compute/v2.1/servers/{OWN}")), 4)

    def test_what_was_accepted_and_does_not_happen_is_no_success(self):
        self.cloud.fault('{"os-stop":', status=202)
        self.assertIn("still active", self.refused("Throttled", self.stop_with, self.openstack()))

    def test_what_ends_in_an_error_is_no_success(self):
        self.server(vm_state="error")
        self.cloud.fault('{"os-stop":', status=202)
        self.assertIn("error state", self.refused("Refused", self.stop_with, self.openstack()))

    def test_a_credential_that_may_not_look_stops_all_the_same(self):
        self.cloud.state(denied=["os_compute_api:servers:show"])
        self.stop_with(self.openstack())
        self.assertEqual(len(self.asked("os-stop")), 1)

    def test_answers_that_are_garbled(self):
        self.cloud.fault(f"GET /compute/v2.1/servers/{OWN}", times=4, garble=True)
        self.refused("Throttled", self.stop_with, self.openstack())
        for body in ("[]", "{}", '{"server": []}', '{"server": {"id": 7}}'):
            with self.subTest(body=body):
                self.cloud.fault(f"GET /compute/v2.1/servers/{OWN}", status=200, body=body)
                self.refused("Throttled", self.stop_with, self.openstack())
        self.assertEqual(self.asked("os-stop"), [])

    def test_a_server_in_the_wrong_state(self):
        self.server(vm_state="paused")
        self.assertIn("while it is in vm_state paused", self.refused("Refused", self.stop_with, self.openstack()))

    def test_a_busy_one_is_asked_again_later(self):
        self.server(task="image_uploading")
        self.assertIn("busy (image_uploading)", self.refused("Throttled", self.stop_with, self.openstack()))

    def test_a_locked_one(self):
        self.server(locked=True)
        self.assertIn("is locked", self.refused("Refused", self.stop_with, self.openstack()))

    def test_bad_options_change_nothing(self):
        plugin = self.openstack()
        self.refused("InvalidArgument", self.stop_with, plugin, action="explode")
        self.refused("InvalidArgument", self.stop_with, plugin, force=True)
        self.refused("NotSupported", self.stop_with, plugin, action="hibernate")
        self.assertIn("stop_method is stop", self.refused("NotSupported", self.stop_with, plugin, action="suspend"))
        self.assertEqual(self.cloud.requests("/action"), [])

    def test_another_is_started_as_its_state_asks(self):
        plugin = self.openstack()
        for vm_state, action in (("stopped", "os-start"), ("suspended", "resume"), ("shelved", "unshelve"), ("shelved_offloaded", "unshelve")):
            with self.subTest(vm_state=vm_state):
                self.cloud.command(forget=True)
                self.server(OTHER, vm_state=vm_state, task=None, end=None)
                self.ask(plugin, "StartInstance", "(sa{sv})", OTHER, {})
                self.assertEqual(len(self.asked(action)), 1)
                self.assertEqual(self.state_of(plugin, OTHER), "pending")
                self.ask(plugin, "StartInstance", "(sa{sv})", OTHER, {})
                self.assertEqual(len(self.asked(action)), 1)

    def test_starting_what_cannot_be(self):
        plugin = self.openstack()
        self.refused("InvalidArgument", self.ask, plugin, "StartInstance", "(sa{sv})", "", {})
        self.server(OTHER, vm_state="error")
        self.assertIn("vm_state error", self.refused("Refused", self.ask, plugin, "StartInstance", "(sa{sv})", OTHER, {}))
        self.server(OTHER, vm_state="active", task="powering-off")
        self.assertIn("busy", self.refused("Throttled", self.ask, plugin, "StartInstance", "(sa{sv})", OTHER, {}))


class Rights(Openstack):
    def tokens(self):
        return len(self.cloud.requests("POST /v3/auth/tokens"))

    def test_a_token_is_used_until_it_ends(self):
        plugin = self.openstack()
        for _ in range(3):
            self.state_of(plugin)
        self.assertEqual(self.tokens(), 1)

    def test_and_renewed_before(self):
        self.cloud.state(keystone={"token_seconds": 200})
        plugin = self.openstack()
        self.state_of(plugin)
        self.state_of(plugin)
        self.assertEqual(self.tokens(), 2)

    def test_and_where_it_ended_too_early_once_more(self):
        plugin = self.openstack()
        self.state_of(plugin)
        self.cloud.state(keystone={"generation": 1})
        self.stop_with(plugin)
        self.assertEqual((self.tokens(), self.state_of(plugin)), (2, "stopping"))

    def test_a_password_and_a_project(self):
        self.give({"auth": {"auth_url": self.cloud.url + "/v3/", "username": "admin", "password": "devstacker", "user_domain_id": "default",
                            "project_name": "demo", "project_domain_id": "default"}, "region_name": "RegionOne"})
        self.assertEqual(self.state_of(self.openstack()), "running")

    def test_a_changed_credential_needs_no_restart(self):
        self.give({"auth_url": self.cloud.url, "application_credential_id": "wrong", "application_credential_secret": "wrong"})
        plugin = self.openstack()
        self.assertIn("requires authentication", self.refused("Refused", self.stop_with, plugin))
        self.give({"auth_url": self.cloud.url, "application_credential_id": "423f19a4ac1e4f48bbb4180756e6eb6c",
                   "application_credential_secret": SECRET})
        self.stop_with(plugin)

    def test_credentials_that_are_none(self):
        for text in ("", "{", "[]", "{}", '{"auth_url": "x"}', '{"auth_url": "http://127.0.0.1", "username": "u", "password": "p"}'):
            with self.subTest(text=text):
                self.give(text)
                self.assertIn("The credential openstack of the unit", self.refused("Refused", self.stop_with, self.openstack()))

    def test_without_any_it_says_what_to_do(self):
        plugin = self.provider(metadata_url=self.cloud.url)
        self.assertIn("snooze provider policy openstack", self.refused("Refused", self.stop_with, plugin))

    def test_without_any_it_still_knows_which_server_this_is(self):
        """The access rules name it, and are wanted before there is any right."""
        plugin = self.provider(metadata_url=self.cloud.url)
        self.assertEqual(self.ask(plugin, "GetInstanceInfo", "(s)", "")[0]["id"], OWN)
        self.refused("Refused", self.ask, plugin, "GetInstanceInfo", "(s)", OTHER)

    def test_a_secret_is_not_sent_for_everybody_to_read(self):
        self.give({"auth_url": "http://keystone.example", "application_credential_id": "a", "application_credential_secret": SECRET})
        self.assertIn("not https", self.refused("Refused", self.stop_with, self.openstack()))

    def test_nor_a_token(self):
        self.cloud.state(keystone={"compute": "http://nova.example/v2.1"})
        self.assertIn("which is not https", self.refused("Refused", self.stop_with, self.openstack()))

    def test_unless_it_was_configured(self):
        self.cloud.state(keystone={"compute": "http://nova.example/v2.1"})
        self.assertEqual(self.state_of(self.openstack(endpoint_url=self.cloud.url + "/compute/v2.1/")), "running")

    def test_one_of_several_regions_is_to_be_named(self):
        self.cloud.state(keystone={"regions": ["North", "South"]})
        self.assertIn("North, South", self.refused("Refused", self.stop_with, self.openstack()))

    def test_a_named_region(self):
        self.cloud.state(keystone={"regions": ["North", "South"]})
        self.assertEqual(self.ask(self.openstack(region="South", interface="internal"), "GetInstanceInfo", "(s)", "")[0]["region"], "South")

    def test_what_the_catalog_has_not(self):
        self.assertIn("no compute service with a admin endpoint", self.refused("Refused", self.stop_with, self.openstack(interface="admin")))

    def test_tokens_that_are_none(self):
        for fault in ({"status": 201, "body": "{}"}, {"status": 201, "body": "[]"}, {"garble": True}, {"status": 200, "body": "{}"}):
            with self.subTest(fault=fault):
                self.cloud.fault("/v3/auth/tokens", **fault)
                with self.assertRaises(GLib.Error):
                    self.stop_with(self.openstack())

    def test_a_keystone_that_is_busy_is_waited_for(self):
        self.cloud.fault("/v3/auth/tokens", status=503)
        self.stop_with(self.openstack())
        self.assertEqual(self.tokens(), 2)

    def test_no_secret_is_shown(self):
        self.cloud.fault("/v3/auth/tokens", status=401, body=json.dumps({"error": {"message": f"who is {SECRET}?"}}))
        plugin = self.openstack()
        message = self.refused("Refused", self.stop_with, plugin)
        self.cloud.fault('{"os-stop":', status=400, body="nonsense")
        message += self.refused("Refused", self.stop_with, plugin)
        _, journal = plugin.stop()
        for secret in (SECRET, "gAAAAAB"):
            self.assertNotIn(secret, message + journal)

    def permissions(self):
        return [(name, granted) for name, granted, _ in self.ask(self.openstack(), "CheckPermissions")[0] if name not in ("suspend", "hibernate")]

    def test_what_a_stop_would_be_refused_for_is_told_beforehand(self):
        plugin = self.openstack()
        self.assertEqual(set(self.missing(plugin)), {"suspend", "hibernate"})
        for action in ("suspend", "hibernate"):
            self.assertIn(self.missing(plugin)[action], self.refused("NotSupported", self.stop_with, plugin, action=action))
        plugin.call("", "Configure", "(a{sv})", self.configuration(metadata_url=self.cloud.url, stop_method="suspend"))
        self.assertEqual(set(self.missing(plugin)), {"hibernate"})
        self.stop_with(plugin, action="suspend", dry_run=True)

    def test_permissions_are_read_off_without_doing_anything(self):
        self.assertEqual(self.permissions(), [("os_compute_api:servers:show", True), ("os_compute_api:servers:stop", True),
                                              ("os_compute_api:server-metadata:create", True)])
        self.assertIn("no dry run", self.ask(self.openstack(), "CheckPermissions")[0][1][2])
        self.assertEqual(self.cloud.requests("POST /compute"), [])

    def test_a_reader_only_reads(self):
        self.cloud.state(keystone={"roles": ["reader"]})
        self.assertEqual(self.permissions(), [("os_compute_api:servers:show", True), ("os_compute_api:servers:stop", False)])

    def test_access_rules_are_known_beforehand(self):
        rule = {"service": "compute", "method": "POST", "path": f"/compute/v2.1/servers/{OWN}/action"}
        for rules, expected in (([], [("os_compute_api:servers:stop", False)]), ([rule], [("os_compute_api:servers:stop", True)]),
                                ([{**rule, "path": "/compute/v2.1/servers/{server_id}/action"}], [("os_compute_api:servers:stop", True)]),
                                ([{**rule, "path": "/compute/v2.1/*"}], [("os_compute_api:servers:stop", False)]),
                                ([{**rule, "path": "/compute/**"}], [("os_compute_api:servers:stop", True), ("os_compute_api:server-metadata:create", True)]),
                                ([{**rule, "service": "volume"}], [("os_compute_api:servers:stop", False)]),
                                ([{**rule, "method": "GET"}], [("os_compute_api:servers:stop", False)])):
            with self.subTest(rules=rules):
                self.cloud.state(keystone={"access_rules": rules})
                self.assertEqual(self.permissions(), expected)

    def test_the_policy_suffices(self):
        with open(os.path.join(TREE, "providers/openstack/policy.json")) as f:
            rules = json.loads(f.read().replace("@INSTANCE_ID@", OWN))
        self.cloud.state(keystone={"access_rules": [{**rule, "path": "/compute" + rule["path"]} for rule in rules]})
        plugin = self.openstack()
        self.assertEqual(len(self.permissions()), 3)
        self.ask(plugin, "SetTags", "(a{ss})", {"CloudSnooze:Status": "stopped"})
        self.stop_with(plugin)
        self.refused("Refused", self.ask, plugin, "GetInstanceInfo", "(s)", OTHER)

    def test_tags_are_the_servers_metadata(self):
        plugin = self.openstack()
        self.ask(plugin, "SetTags", "(a{ss})", {"CloudSnooze:Status": "stopped", "CloudSnooze:StopReason": 'idle & "alone" + 1 %'})
        self.assertEqual(self.ask(plugin, "GetInstanceInfo", "(s)", "")[0]["tags"],
                         {"owner": "alice", "CloudSnooze:Status": "stopped", "CloudSnooze:StopReason": 'idle & "alone" + 1 %'})
        self.ask(plugin, "SetTags", "(a{ss})", {})

    def test_tags_that_nova_would_refuse_are_not_sent(self):
        plugin = self.openstack()
        for tags in ({"k": "v" * 256}, {"a/b": "c"}, {f"k{i}": "" for i in range(129)}):
            with self.subTest(tags=len(tags)):
                self.refused("InvalidArgument", self.ask, plugin, "SetTags", "(a{ss})", tags)
        self.assertEqual(self.cloud.requests("/metadata "), [])

    def test_tags_over_the_quota(self):
        self.server(metadata={f"k{i}": "" for i in range(128)})
        self.assertIn("Maximum number", self.refused("Refused", self.ask, self.openstack(), "SetTags", "(a{ss})", {"x": "y"}))


class Everything(EveryOperation, Openstack):
    REFUSAL = {"status": 403, "body": json.dumps({"forbidden": {"code": 403, "message": "Policy doesn't allow it to be performed."}})}
    LOOK = f"GET /compute/v2.1/servers/{OWN}"

    def patient(self):
        return self.openstack()

    def is_in(self, identifier, *states):
        return lambda: self.state_of(self.running, identifier) in states

    def is_marked(self):
        return self.ask(self.running, "GetInstanceInfo", "(s)", "")[0]["tags"]["k"] == self.marked

    def operations(self):
        state = {"servers": {OWN: {"vm_state": "active", "task": None, "end": None},
                             OTHER: {"vm_state": "stopped", "task": None, "end": None}}}
        return (Operation("GetInstanceInfo", f"GET /compute/v2.1/servers/{OTHER}", ("(s)", OTHER), state),
                Operation("StopInstance", '{"os-stop":', ("(sa{sv})", "", {}), state, self.is_in(OWN, "stopping", "stopped")),
                Operation("StartInstance", '{"os-start":', ("(sa{sv})", OTHER, {}), state, self.is_in(OTHER, "pending", "running")),
                Operation("SetTags", f"POST /compute/v2.1/servers/{OWN}/metadata", ("(a{ss})", {"k": self.mark()}), state, self.is_marked,
                          # A success has nothing to say.
                          garbled=None),
                # What may not be looked at is not listed.
                Operation("CheckPermissions", f"GET /compute/v2.1/servers/{OWN}", (), state, refused=None))

    def test_a_keystone_that_does_not_answer(self):
        plugin = self.impatient()
        self.cloud.fault("/v3/auth/tokens", delay=60, drop=True)
        self.stop_with(plugin)
        self.cloud.command(forget=True, mend=True, state={"keystone": {"generation": 1}})
        self.cloud.fault("/v3/auth/tokens", times=100, delay=60, drop=True)
        self.assertIn("Keystone cannot be asked", self.refused("Throttled", self.stop_with, plugin, OTHER, dry_run=True))
        self.assertEqual(len(self.cloud.requests("/v3/auth/tokens")), 3)

    def test_one_that_loses_its_answer(self):
        self.cloud.fault("/v3/auth/tokens", lose=True)
        self.stop_with(self.openstack())
        self.assertEqual(len(self.cloud.requests("/v3/auth/tokens")), 2)


plugin_bus.main()
