# SPDX-License-Identifier: Apache-2.0
"""Provider azure on a private bus, before a fake of Azure. Arguments: the program, the source tree."""

import json
import os

import plugin_bus
from azure_case import CLIENT, COMPUTE, GROUP, OTHER, OWN, SECRET, TAG, TREE, VM_ID, Azure
from client import FakeCloud
from every_operation import EveryOperation, Operation
from gi.repository import GLib
from plugin_cloud import PROVIDER


class Detection(Azure):
    def test_live_interface_is_that_of_the_xml(self):
        self.assert_agrees_with_xml(self.azure().introspect(), os.path.join(TREE, "introspection"))

    def test_its_firmware_and_its_service(self):
        self.dmi(chassis_asset_tag=TAG, sys_vendor="Microsoft Corporation")
        self.assertEqual(self.ask(self.azure(), "Detect"), (True,))

    def test_hyper_v_elsewhere_is_enough_to_ask_nobody(self):
        self.dmi(sys_vendor="Microsoft Corporation", product_name="Virtual Machine")
        plugin = self.provider()
        self.assertEqual(self.ask(plugin, "Detect"), (False,))
        events, _ = self.watch(plugin)
        self.assertEqual(events, [])

    def test_who_names_a_service_has_said_where_he_is(self):
        self.assertEqual(self.ask(self.azure(), "Detect"), (True,))

    def test_a_foreign_service_is_no_answer(self):
        self.cloud.state(imds={"available": False})
        self.assertIn("which machine this is", self.refused("Throttled", self.ask, self.azure(), "Detect"))

    def test_every_question_has_the_header_that_forwarded_ones_lack(self):
        self.ask(self.azure(), "Detect")
        self.assertEqual(self.cloud.requests("/metadata/")[0]["headers"]["Metadata"], "true")

    def test_garbled_documents_are_no_answer(self):
        compute = {"resourceId": OWN, "vmId": VM_ID, "name": "n"}
        arc = OWN.replace("Microsoft.Compute/virtualMachines", "Microsoft.HybridCompute/machines")
        for document in ("{", "[]", "{}", *(json.dumps({**compute, **change}) for change in (
                {"resourceId": 7}, {"resourceId": arc}, {"resourceId": OWN + "/../../other"}, {"resourceId": OWN + "?x=y"},
                {"resourceId": GROUP + "/virtualMachines/.."}, {"resourceId": "//evil.example" + OWN}, {"vmId": "x/y"}, {"vmId": ""},
                {"name": ""}, {"name": "a b"}))):
            with self.subTest(document=document):
                self.cloud.fault("instance/compute", status=200, body=document)
                self.refused("Throttled", self.ask, self.once(), "Detect")

    def test_a_bad_configuration_is_refused(self):
        plugin = self.provider(greet=False)
        plugin.call("", "Handshake", "(us)", 1, "0.1.0")
        for settings in ({"metadata_url": "ftp://x"}, {"client_id": "me&resource=x"}, {"poll_interval_seconds": 0.01}, {"approve_events": "maybe"},
                         {"nonsense": "x"}):
            with self.subTest(settings=settings), self.assertRaises(GLib.Error):
                plugin.call("", "Initialize", "(a{sv})", self.configuration(**settings))


class Knowledge(Azure):
    def test_of_this_machine(self):
        self.assertEqual(self.info(self.azure()), {
            "id": OWN, "name": "examplevmname", "type": "Standard_A3", "region": "westus", "zone": "1", "state": "running",
            "lifecycle": "on-demand", "launch-time": 1624755758000000, "tags": {"team": "graphics"}})

    def test_of_another(self):
        info = self.info(self.azure(), OTHER)
        self.assertEqual((info["id"], info["state"], info["lifecycle"], info["zone"]), (OTHER, "deallocated", "spot", ""))

    def test_without_the_right_it_is_what_the_metadata_says(self):
        self.may(COMPUTE + "deallocate/action")
        plugin = self.azure()
        info = self.info(plugin)
        self.assertEqual((info["id"], info["type"], info["state"], info["tags"]), (OWN, "Standard_A3", "running", {"team": "graphics"}))
        self.assertEqual(self.info(plugin, OWN.lower())["id"], OWN)
        self.assertIn("AuthorizationFailed", self.refused("Refused", self.info, plugin, OTHER))

    def test_without_an_identity_too(self):
        """The policy that is to be made needs to know the machine."""
        self.cloud.state(identity={"system": False, "clients": []})
        plugin = self.azure()
        self.assertEqual(self.info(plugin)["id"], OWN)
        self.refused("Refused", self.info, plugin, OTHER)

    def test_but_not_where_the_service_only_fails(self):
        self.cloud.fault("oauth2/token", times=100, status=500)
        self.refused("Throttled", self.info, self.azure())

    def test_of_one_that_is_not_there(self):
        self.assertIn("ResourceNotFound", self.refused("Refused", self.info, self.azure(), f"{GROUP}/virtualMachines/gone"))

    def test_an_id_that_is_none_is_sent_nowhere(self):
        for identifier in ("vm-7", "i-1", OWN + "/deallocate", OWN + "?x", OWN + "#", GROUP, OWN.replace("Compute", "Storage"),
                           f"{GROUP}/virtualMachines/..", f"{GROUP}/virtualMachines/%2e%2e", "https://evil.example" + OWN, OWN + "x" * 600):
            with self.subTest(identifier=identifier):
                self.refused("InvalidArgument", self.ask, self.once(), "GetInstanceInfo", "(s)", identifier)
        self.assertEqual(self.cloud.requests("/subscriptions/"), [])

    def test_hostile_tags_stay_text(self):
        self.machine(tags={"Name": "<&>\"'", "ключ": "значение", "empty": "", "none": 7})
        self.assertEqual(self.info(self.azure())["tags"], {"team": "graphics", "Name": "<&>\"'", "ключ": "значение", "empty": "", "none": ""})

    def test_garbled_answers(self):
        for fault in ({"garble": True}, {"status": 200, "body": "[]"}, {"status": 200, "body": "{}"}, {"status": 200, "body": ""},
                      {"status": 200, "body": '{"properties": 7}'}):
            with self.subTest(fault=fault):
                self.cloud.fault("instanceView", **fault)
                self.refused("Throttled", self.info, self.once())

    def test_strange_views_have_no_state(self):
        for view in ("{}", '{"instanceView": []}', '{"instanceView": {"statuses": 7}}', '{"instanceView": {"statuses": [7, {"code": 7}]}}'):
            with self.subTest(view=view):
                self.cloud.fault("instanceView", status=200, body=f'{{"properties": {view}}}')
                self.assertEqual(self.info(self.once())["state"], "")


class Stopping(Azure):
    def test_this_machine_is_deallocated_and_its_new_state_is_seen(self):
        plugin = self.azure()
        self.stop_with(plugin, reason="idle since 22:06")
        self.assertEqual(len(self.posts()), 1)
        self.assertEqual(self.state_of(plugin), "deallocating")
        self.assertEqual(plugin.property(PROVIDER, "StopEffect"), "stops-billing")

    def test_a_configuration_that_comes_in_the_middle(self):
        plugin = self.azure()
        for delayed, arguments in (("StopInstance", ("(sa{sv})", "", {})), ("GetInstanceInfo", ("(s)", ""))):
            with self.subTest(call=delayed):
                self.cloud.command(forget=True)
                self.cloud.fault("Microsoft.Compute/virtualMachines/", delay=1)
                answers = plugin.call_later(PROVIDER, delayed, *arguments)
                self.until_asked("Microsoft.Compute/virtualMachines/")
                plugin.call("", "Configure", "(a{sv})", self.configuration(metadata_url=self.cloud.url, endpoint_url=self.cloud.url))
                self.until(lambda: answers)
                self.assertIn("Error.Throttled", str(answers[0]))
        self.stop_with(plugin)

    def test_a_second_time_is_no_harm(self):
        plugin = self.azure()
        self.stop_with(plugin)
        self.stop_with(plugin, OWN)
        self.machine(state="deallocated")
        self.stop_with(plugin, OWN)

    def test_an_operation_is_followed_to_its_end(self):
        """By either of its addresses, while the machine still looks as before."""
        for header in ("Azure-AsyncOperation", "Location"):
            with self.subTest(header=header):
                self.cloud.command(forget=True, state={"operations": {"headers": [header]}, "machines": {"examplevmname": {"state": "running"}}})
                for _ in range(3):
                    self.cloud.fault("GET /subscriptions/5f5b8c63-2d4a-4f0e-9d0a-000000000001/resourceGroups", status=200,
                                     body='{"properties": {"instanceView": {"statuses": [{"code": "PowerState/running"}]}}}')
                self.stop_with(self.once())
                self.assertEqual(len(self.cloud.requests("/operations/")), 2)

    def test_an_operation_that_fails(self):
        self.machine(stuck=True)
        self.cloud.state(operations={"error": {"code": "OperationNotAllowed", "message": "not that one"}})
        self.assertIn("OperationNotAllowed: not that one", self.refused("Refused", self.stop_with, self.once()))
        self.cloud.state(operations={"error": {"code": "OperationPreempted", "message": "something else came"}})
        self.refused("Throttled", self.stop_with, self.once())

    def test_an_operation_out_of_reach(self):
        """A role on this machine alone does not reach it: the machine itself is looked at."""
        self.cloud.state(operations={"reach": False})
        plugin = self.azure()
        self.stop_with(plugin)
        self.assertEqual(self.state_of(plugin), "deallocating")

    def test_where_nothing_may_be_looked_at_azures_word_is_taken(self):
        self.may(COMPUTE + "deallocate/action")
        self.cloud.state(operations={"reach": False})
        self.stop_with(self.azure())
        self.assertEqual(len(self.posts()), 1)

    def test_an_operation_elsewhere_gets_no_token(self):
        thief = FakeCloud("azure")
        self.addCleanup(thief.stop)
        self.cloud.state(operations={"host": thief.url})
        plugin = self.azure()
        self.stop_with(plugin)
        self.assertEqual(self.state_of(plugin), "deallocating")
        self.assertEqual(thief.requests(), [])

    def test_a_machine_that_does_not_leave_is_no_success(self):
        self.machine(stuck=True)
        self.assertIn("ended it, and says that the machine is running", self.refused("Throttled", self.stop_with, self.azure()))

    def test_dry_run_changes_nothing(self):
        plugin = self.azure()
        self.stop_with(plugin, dry_run=True)
        self.assertEqual((self.state_of(plugin), self.posts()), ("running", []))

    def test_dry_run_tells_a_refusal(self):
        self.may("*", besides=[COMPUTE + "deallocate/*"])
        self.assertIn(COMPUTE + "deallocate/action", self.refused("Refused", self.stop_with, self.azure(), dry_run=True))

    def test_a_refusal_is_told_once_and_not_repeated(self):
        self.may(COMPUTE + "read")
        message = self.refused("Refused", self.stop_with, self.azure())
        self.assertIn("deallocate on examplevmname: AuthorizationFailed", message)
        self.assertEqual(len(self.posts()), 1)

    def test_throttling_is_waited_for(self):
        for status in (429, 500, 503):
            with self.subTest(status=status):
                self.cloud.command(forget=True, state={"machines": {"examplevmname": {"state": "running"}}})
                self.cloud.fault("/deallocate?", status=status, type="application/json",
                                 body='{"error": {"code": "TooManyRequests", "message": "slowly"}}', headers={"Retry-After": "1"})
                self.stop_with(self.once())
                self.assertEqual(len(self.posts()), 2)

    def test_throttling_without_an_end_is_told_as_such(self):
        self.cloud.fault("/deallocate?", times=100, status=503)
        self.refused("Throttled", self.stop_with, self.azure())
        self.assertEqual(len(self.posts()), 4)

    def test_a_conflict_passes_but_for_a_lock(self):
        for code, name in (("Conflict", "Throttled"), ("AnotherOperationInProgress", "Throttled"), ("ScopeLocked", "Refused")):
            with self.subTest(code=code):
                self.cloud.fault("/deallocate?", status=409, body=json.dumps({"error": {"code": code, "message": "no"}}))
                self.assertIn(code, self.refused(name, self.stop_with, self.once()))

    def test_a_reply_that_was_lost_after_the_deed(self):
        self.cloud.fault("/deallocate?", lose=True)
        plugin = self.azure()
        self.stop_with(plugin)
        self.assertEqual(self.state_of(plugin), "deallocating")

    def test_a_reply_that_comes_too_late(self):
        self.cloud.fault("/deallocate?", delay=11)
        plugin = self.azure()
        self.stop_with(plugin)
        self.assertEqual(len(self.posts()), 2)

    def test_refusals_that_are_garbled(self):
        for fault in ({"status": 400, "body": "{"}, {"status": 403, "body": ""}, {"status": 400, "body": '{"error": "text"}'},
                      {"status": 400, "body": '{"error": {"code": 7, "message": []}}'}):
            with self.subTest(fault=fault):
                self.cloud.fault("/deallocate?", **fault)
                self.refused("Refused", self.stop_with, self.once())

    def test_hibernation_where_it_is_enabled(self):
        self.machine(hibernation=True)
        self.stop_with(self.azure(), action="hibernate")
        self.assertIn("hibernate=true", self.posts()[0]["query"])

    def test_hibernation_is_never_replaced_by_a_stop(self):
        plugin = self.azure()
        self.assertIn("hibernationEnabled", self.refused("NotSupported", self.stop_with, plugin, action="hibernate"))
        self.refused("NotSupported", self.stop_with, plugin, action="suspend")
        self.may(COMPUTE + "deallocate/action")
        self.refused("Refused", self.stop_with, plugin, action="hibernate")
        self.assertEqual(self.posts(), [])

    def test_an_ephemeral_disk_is_refused_beforehand(self):
        self.machine(ephemeral=True)
        self.assertIn("ephemeral", self.refused("Refused", self.stop_with, self.azure()))
        self.assertEqual(self.posts(), [])

    def test_also_where_only_the_metadata_says_it(self):
        self.may(COMPUTE + "deallocate/action")
        self.cloud.state(imds={"compute": {"storageProfile": {"osDisk": {"diffDiskSettings": {"option": "Local"}}}}})
        self.assertIn("ephemeral", self.refused("Refused", self.stop_with, self.azure()))
        self.assertEqual(self.posts(), [])

    def test_bad_options_change_nothing(self):
        plugin = self.azure()
        self.refused("InvalidArgument", self.stop_with, plugin, action="explode")
        self.refused("InvalidArgument", self.stop_with, plugin, dry_run="yes")
        self.refused("InvalidArgument", self.stop_with, plugin, force=True)
        self.assertEqual(self.posts(), [])

    def test_another_machine_is_started(self):
        plugin = self.azure()
        self.ask(plugin, "StartInstance", "(sa{sv})", OTHER, {})
        self.assertEqual(self.state_of(plugin, OTHER), "starting")
        self.refused("InvalidArgument", self.ask, plugin, "StartInstance", "(sa{sv})", "", {})

    def test_no_room_for_it_may_pass(self):
        self.machine("other", stuck=True)
        self.cloud.state(operations={"error": {"code": "AllocationFailed", "message": "no capacity"}})
        self.assertIn("no capacity", self.refused("Throttled", self.ask, self.azure(), "StartInstance", "(sa{sv})", OTHER, {}))

    def test_in_the_wrong_state_it_is_not(self):
        self.machine("other", state="deallocating")
        self.assertIn("Conflict", self.refused("Throttled", self.ask, self.azure(), "StartInstance", "(sa{sv})", OTHER, {}))


class ScaleSet(Azure):
    OWN = f"{GROUP}/virtualMachineScaleSets/set/virtualMachines/3"
    RIGHT = "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/"

    def setUp(self):
        super().setUp()
        self.cloud.state(imds={"compute": {"resourceId": self.OWN, "name": "set_3", "vmScaleSetName": "set"}}, machines={"set_3": {
            "state": "running", "size": "Standard_A3", "zones": [], "priority": "Spot", "hibernation": False, "ephemeral": False, "tags": {},
            "stuck": False}})

    def test_one_in_uniform_orchestration_has_an_address_and_rights_of_its_own(self):
        self.may(self.RIGHT + "*")
        plugin = self.azure()
        self.stop_with(plugin)
        self.assertTrue(self.posts()[0]["path"].endswith("/virtualMachineScaleSets/set/virtualMachines/3/deallocate"))
        self.assertEqual(self.info(plugin)["id"], self.OWN)

    def test_a_policy_is_enough(self):
        self.assert_policy_is_enough("virtualMachineScaleSets/virtualMachines")

    def test_rights_on_plain_machines_do_not_do(self):
        self.cloud.state(permissions=[{"actions": [COMPUTE + "*", "Microsoft.Authorization/permissions/read"], "notActions": []}])
        rows = self.ask(self.azure(), "CheckPermissions")[0]
        self.assertEqual([row[:2] for row in rows], [(self.RIGHT + "deallocate/action", False), ("hibernate", False), ("suspend", False)])


class Rights(Azure):
    def tokens(self):
        return self.cloud.requests("oauth2/token")

    def test_a_token_is_renewed_before_it_ends(self):
        self.cloud.state(identity={"seconds": 200})
        plugin = self.azure()
        self.info(plugin)
        before = len(self.tokens())
        self.cloud.state(identity={"seconds": 86399})
        self.info(plugin)
        self.info(plugin)
        self.assertEqual(len(self.tokens()), before + 1)

    def test_and_where_it_ended_too_early_once_more(self):
        plugin = self.azure()
        self.info(plugin)
        self.cloud.state(identity={"token": "another"})
        self.stop_with(plugin)
        self.assertEqual(self.state_of(plugin), "deallocating")

    def test_but_only_once(self):
        self.cloud.fault("GET /subscriptions", times=100, status=401)
        self.refused("Refused", self.info, self.azure())
        self.assertEqual(len(self.tokens()), 2)

    def test_it_is_for_the_machines_cloud(self):
        self.info(self.azure())
        self.assertIn("resource=https%3A%2F%2Fmanagement.azure.com%2F", self.tokens()[0]["query"])
        self.cloud.command(forget=True, state={"imds": {"compute": {"azEnvironment": "AZUREUSGOVERNMENTCLOUD"}}})
        plugin = self.plugin_once = self.azure()
        self.info(plugin)
        self.assertIn("resource=https%3A%2F%2Fmanagement.usgovcloudapi.net%2F", self.tokens()[-1]["query"])

    def test_an_unknown_cloud_wants_its_address(self):
        self.cloud.state(imds={"compute": {"azEnvironment": "AzureStackInTheCellar"}})
        plugin = self.provider(metadata_url=self.cloud.url)
        self.assertIn("endpoint_url", self.refused("Refused", self.stop_with, plugin))

    def test_the_services_moods_are_waited_for(self):
        for status in (404, 410, 429, 500):
            with self.subTest(status=status):
                self.cloud.command(forget=True, state={"identity": {"token": f"for-{status}"}})
                self.cloud.fault("oauth2/token", status=status)
                self.info(self.once())
                self.assertEqual(len(self.tokens()), 2)

    def test_no_identity(self):
        self.cloud.state(identity={"system": False, "clients": []})
        message = self.refused("Refused", self.stop_with, self.azure())
        self.assertIn("Identity not found", message)
        self.assertIn("snooze provider policy azure", message)
        self.assertEqual(len(self.tokens()), 1)

    def test_one_of_several(self):
        self.cloud.state(identity={"system": False, "clients": [CLIENT, "x"]})
        self.assertIn("Multiple user assigned", self.refused("Refused", self.stop_with, self.azure()))
        self.stop_with(self.provider_again(client_id=CLIENT))

    def provider_again(self, **settings):
        cloud, self.cloud = self.cloud, FakeCloud("azure")
        self.addCleanup(cloud.stop)
        self.cloud.state(identity={"system": False, "clients": [CLIENT, "x"]})
        return self.azure(**settings)

    def test_tokens_that_are_none(self):
        token = {"access_token": "x", "token_type": "Bearer", "expires_in": "3600"}
        for text in ("[]", "{", "{}", *(json.dumps({**token, **change}) for change in (
                {"access_token": ""}, {"access_token": 7}, {"access_token": "a\r\nX: y"}, {"access_token": "x" * 20000}, {"token_type": "MAC"},
                {"expires_in": "soon"}, {"expires_in": "-5"}, {"expires_in": 1e12}))):
            with self.subTest(text=text[:60]):
                self.cloud.fault("oauth2/token", status=200, body=text)
                self.refused("Throttled", self.stop_with, self.once(), dry_run=True)

    def test_no_secret_is_shown(self):
        self.cloud.fault("/deallocate?", status=400, body="nonsense")
        plugin = self.azure()
        message = self.refused("Refused", self.stop_with, plugin)
        _, journal = plugin.stop()
        self.assertNotIn(SECRET, message + journal)

    def test_permissions_are_checked_without_doing_anything(self):
        plugin = self.azure()
        rows = self.ask(plugin, "CheckPermissions")[0]
        self.assertEqual([row[:2] for row in rows], [(COMPUTE + "deallocate/action", True), (COMPUTE + "read", True),
                                                      ("Microsoft.Resources/tags/write", True), (COMPUTE + "start/action", True),
                                                      ("hibernate", False), ("suspend", False)])
        self.assertEqual({request["method"] for request in self.cloud.requests("/subscriptions/")}, {"GET"})

    def test_roles_are_read_as_azure_reads_them(self):
        read = "Microsoft.Authorization/permissions/read"
        for roles, granted in (
                ([["*"], []], True),
                ([["*/read"], []], False),
                ([["microsoft.compute/VIRTUALMACHINES/*", read], []], True),
                ([["Microsoft.Compute/*/action", read], []], True),
                ([["Microsoft.Compute/virtualMachines/deallocate/actio?", read], []], False),
                ([["*"], [COMPUTE + "*/action"]], False),
                ([["*"], ["*/write"]], True),
                ([["*"], [COMPUTE + "deallocate/action"], [COMPUTE + "deallocate/action"], []], True)):
            with self.subTest(roles=roles):
                self.cloud.state(permissions=[{"actions": a, "notActions": n} for a, n in zip(roles[::2], roles[1::2])])
                rows = self.ask(self.once(), "CheckPermissions")[0]
                self.assertEqual(rows[0][:2], (COMPUTE + "deallocate/action", granted))

    def test_a_policy_is_enough(self):
        self.assert_policy_is_enough("virtualMachines")

    def test_what_a_stop_would_be_refused_for_is_told_beforehand(self):
        plugin = self.azure()
        self.machine(hibernation=True)
        self.assertEqual(self.missing(plugin), {"suspend": "This cloud cannot suspend a machine"})
        self.machine(hibernation=False)
        self.assertEqual(set(self.missing(plugin)), {"hibernate", "suspend"})
        self.assertIn(self.missing(plugin)["hibernate"], self.refused("NotSupported", self.stop_with, plugin, action="hibernate"))
        self.machine(hibernation=True, ephemeral=True)
        self.assertEqual(set(self.missing(plugin)), {"stop", "hibernate", "suspend"})
        self.assertIn(self.missing(plugin)["stop"], self.refused("Refused", self.stop_with, plugin))
        self.assertIn(self.missing(plugin)["hibernate"], self.refused("Refused", self.stop_with, plugin, action="hibernate"))

    def test_also_where_only_the_metadata_knows_it(self):
        self.may(COMPUTE + "deallocate/action", "Microsoft.Authorization/permissions/read")
        self.cloud.state(imds={"compute": {"storageProfile": {"osDisk": {"diffDiskSettings": {"option": "Local"}}}}})
        self.assertIn("ephemeral", self.missing(self.azure())["stop"])

    def test_what_could_not_be_asked_is_no_permission(self):
        self.cloud.fault(f"GET {OWN}?$expand", times=100, status=503)
        self.refused("Throttled", self.ask, self.azure(), "CheckPermissions")

    def test_who_may_not_list_them_is_told_so(self):
        self.may(COMPUTE + "*")
        self.assertEqual(self.ask(self.azure(), "CheckPermissions")[0][0][:2], ("Microsoft.Authorization/permissions/read", False))

    def test_pages_are_turned(self):
        read = {"actions": ["Microsoft.Authorization/permissions/read"], "notActions": []}
        self.cloud.state(page=1, permissions=[read, read, {"actions": [COMPUTE + "deallocate/action"], "notActions": []}])
        self.assertEqual(self.ask(self.azure(), "CheckPermissions")[0][0][:2], (COMPUTE + "deallocate/action", True))
        self.assertEqual(len(self.cloud.requests("Authorization/permissions?")), 3)

    def test_a_page_elsewhere_gets_no_token(self):
        thief = FakeCloud("azure")
        self.addCleanup(thief.stop)
        entry = {"actions": ["*"], "notActions": []}
        port = int(self.cloud.url.rpartition(":")[2])
        for host in (thief.url, f"http://127.0.0.1:{port}@{thief.url.removeprefix('http://')}", f"https://127.0.0.1:{port}", "ftp://x"):
            with self.subTest(host=host):
                self.cloud.state(page=1, next_host=host, permissions=[entry, entry])
                self.assertIn("leads elsewhere", self.refused("Refused", self.ask, self.once(), "CheckPermissions"))
        self.assertEqual(thief.requests(), [])

    def test_pages_without_an_end(self):
        page = {"value": [], "nextLink": self.cloud.url + "/subscriptions/x?api-version=2022-04-01"}
        self.cloud.fault("permissions", times=1, status=200, body=json.dumps(page))
        self.cloud.fault("/subscriptions/x", times=1000, status=200, body=json.dumps(page))
        self.ask(self.azure(), "CheckPermissions")
        self.assertLess(len(self.cloud.requests("/subscriptions/x")), 40)

    def test_a_clients_tags_are_merged(self):
        plugin = self.azure()
        self.ask(plugin, "SetTags", "(a{ss})", {"CloudSnooze:Status": "stopped", "CloudSnooze:StopReason": "idle & <alone> + 1 %"})
        self.assertEqual(self.info(plugin)["tags"], {"team": "graphics", "CloudSnooze:Status": "stopped",
                                                     "CloudSnooze:StopReason": "idle & <alone> + 1 %"})
        self.ask(plugin, "SetTags", "(a{ss})", {})

    def test_tags_that_are_taken_for_later(self):
        self.cloud.fault("tags/default", status=202)
        self.ask(self.azure(), "SetTags", "(a{ss})", {"a": "b"})

    def test_tags_without_the_right(self):
        self.may(COMPUTE + "*")
        self.assertIn("AuthorizationFailed", self.refused("Refused", self.ask, self.azure(), "SetTags", "(a{ss})", {"a": "b"}))

    def test_tags_that_azure_would_refuse_are_not_sent(self):
        plugin = self.azure()
        for tags in ({"a<b": "y"}, {"a/b": "y"}, {"a\\b": ""}, {"50%": ""}, {"why?": ""}, {"a&b": ""}, {"MicrosoftX": ""}, {"azure": ""},
                     {"windows-x": ""}, {"k": "v" * 257}, {f"k{i}": "" for i in range(51)}):
            with self.subTest(tags=list(tags)[0]):
                self.refused("InvalidArgument", self.ask, plugin, "SetTags", "(a{ss})", tags)
        self.assertEqual(self.cloud.requests("tags/default"), [])


class Everything(EveryOperation, Azure):
    REFUSAL = {"status": 403, "body": '{"error": {"code": "AuthorizationFailed", "message": "no"}}'}
    LOOK = f"GET {OWN}?"

    def patient(self):
        return self.once()

    def is_in(self, identifier, *states):
        return lambda: self.state_of(self.once(), identifier) in states

    def is_marked(self):
        return self.info(self.once())["tags"]["k"] == self.marked

    def operations(self):
        state = {"machines": {"examplevmname": {"state": "running"}, "other": {"state": "deallocated"}}}
        return (Operation("GetInstanceInfo", f"GET {OTHER}?", ("(s)", OTHER), state),
                Operation("StopInstance", f"POST {OWN}/deallocate?", ("(sa{sv})", "", {}), state, self.is_in(OWN, "deallocating", "deallocated")),
                Operation("StartInstance", f"POST {OTHER}/start?", ("(sa{sv})", OTHER, {}), state, self.is_in(OTHER, "starting", "running")),
                # A success has nothing to say.
                Operation("SetTags", f"PATCH {OWN}", ("(a{ss})", {"k": self.mark()}), state, self.is_marked, garbled=None),
                # That rights may not be listed is an answer, too.
                Operation("CheckPermissions", f"GET {OWN}/providers/Microsoft.Authorization/permissions?", (), state, refused=None))


plugin_bus.main()