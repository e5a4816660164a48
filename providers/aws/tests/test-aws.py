# SPDX-License-Identifier: Apache-2.0
"""Provider aws on a private bus, before a fake of EC2. Arguments: the program, the source tree."""

import json
import os
import socket
import tempfile

import plugin_bus
from aws_case import OTHER, OWN, TREE, Aws
from every_operation import EveryOperation, Operation
from gi.repository import Gio, GLib
from plugin_cloud import PROVIDER, SOURCE

LOGIND = """<node><interface name="org.freedesktop.login1.Manager">
  <method name="PowerOff"><arg type="b" direction="in"/></method>
  <method name="CanPowerOff"><arg type="s" direction="out"/></method>
</interface></node>"""


class Detection(Aws):
    def test_live_interface_is_that_of_the_xml(self):
        self.assert_agrees_with_xml(self.aws().introspect(), os.path.join(TREE, "introspection"))

    def test_amazons_firmware_and_its_service(self):
        self.dmi(sys_vendor="Amazon EC2")
        self.assertEqual(self.ask(self.aws(), "Detect"), (True,))

    def test_other_firmware_is_enough_to_ask_nobody(self):
        self.dmi(sys_vendor="QEMU", product_name="Standard PC")
        plugin = self.provider()
        self.assertEqual(self.ask(plugin, "Detect"), (False,))

    def test_who_names_a_service_has_said_where_he_is(self):
        self.assertEqual(self.ask(self.aws(), "Detect"), (True,))

    def test_a_foreign_service_is_no_answer(self):
        self.cloud.state(imds={"available": False})
        self.assertIn("answered 404", self.refused("Throttled", self.ask, self.aws(), "Detect"))

    def test_garbled_documents_are_no_answer(self):
        for document in ("{", "[]", "{}", '{"instanceId": "i-1/../x", "region": "us-east-1"}', '{"instanceId": "i-1a", "region": "evil.example/"}'):
            with self.subTest(document=document):
                self.cloud.state(imds={"documents": {"/latest/dynamic/instance-identity/document": document}})
                self.refused("Throttled", self.ask, self.aws_again(), "Detect")

    def aws_again(self):
        """One process for all of a test's parts."""
        if not hasattr(self, "again"):
            self.again = self.aws()
        return self.again

    def test_only_version_two_unless_told_otherwise(self):
        self.cloud.state(imds={"v1": True})
        self.cloud.fault("PUT /latest/api/token", times=100, status=404)
        self.refused("Throttled", self.ask, self.aws(), "Detect")

    def test_version_one_where_it_was_allowed(self):
        self.cloud.state(imds={"v1": True})
        self.cloud.fault("PUT /latest/api/token", times=100, status=404)
        self.assertEqual(self.ask(self.aws(metadata_v1=True), "Detect"), (True,))

    def test_a_bad_configuration_is_refused(self):
        plugin = self.provider(greet=False)
        plugin.call("", "Handshake", "(us)", 1, "0.1.0")
        for settings in ({"metadata_url": "ftp://x"}, {"stop_method": "explode"}, {"poll_interval_seconds": 0.01}, {"nonsense": "x"},
                         {"lifecycle_hook_seconds": 29}, {"lifecycle_hook_seconds": 172801}):
            with self.subTest(settings=settings), self.assertRaises(GLib.Error):
                plugin.call("", "Initialize", "(a{sv})", self.configuration(**settings))


    def test_nobody_but_amazon_is_asked_unless_the_configuration_says_so(self):
        self.cloud.state(imds={"documents": {"/latest/meta-data/services/domain": "evil.example"}})
        plugin = self.provider(metadata_url=self.cloud.url)
        self.assertIn("none of Amazon's (services/domain): evil.example", self.refused("Throttled", self.ask, plugin, "GetInstanceInfo", "(s)", ""))
        plugin.call("", "Configure", "(a{sv})", self.configuration(metadata_url=self.cloud.url, endpoint_url=self.cloud.url))
        self.assertEqual(self.ask(plugin, "GetInstanceInfo", "(s)", "")[0]["id"], OWN)

    def test_urls_with_a_password_are_refused_and_not_repeated(self):
        plugin = self.provider(greet=False)
        plugin.call("", "Handshake", "(us)", 1, "0.1.0")
        for settings in ({"metadata_url": "http://me:pa55word@169.254.169.254"}, {"endpoint_url": "https://me:pa55word@ec2.example"},
                         {"autoscaling_endpoint_url": "https://pa55word@ec2.example"}, {"proxy_url": "http://me:pa55word@proxy.example:port"},
                         {"proxy_url": "http://me:pa55word@[proxy"}):
            with self.subTest(settings=settings):
                message = self.refused("InvalidArgument", plugin.call, "", "Initialize", "(a{sv})", self.configuration(**settings))
                self.assertNotIn("pa55word", message)
                self.assertIn(next(iter(settings)), message)
        plugin.call("", "Initialize", "(a{sv})", self.configuration(proxy_url="http://me:pa55word@proxy.example:3128"))

    def test_certificates_that_somebody_else_could_change_are_not_trusted(self):
        path = os.path.join(self.root.name, "ca.pem")
        with open(path, "w") as f:
            f.write("x")
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
        plugin = self.provider(greet=False)
        plugin.call("", "Handshake", "(us)", 1, "0.1.0")
        self.assertIn("belongs to another user", self.refused("InvalidArgument", plugin.call, "", "Initialize", "(a{sv})",
                                                              self.configuration(ca_file=path)))


class Knowledge(Aws):
    def test_names_of_tags_that_are_too_long_leave_the_rest(self):
        self.instance(tags={"Name": "here", "ключ" * 32: "legal", "k" * 128: "longest"})
        self.assertEqual(self.ask(self.aws(), "GetInstanceInfo", "(s)", "")[0]["tags"], {"Name": "here", "k" * 128: "longest"})

    def test_of_this_machine(self):
        info = self.ask(self.aws(), "GetInstanceInfo", "(s)", "")[0]
        self.assertEqual(info, {"id": OWN, "name": "test-instance", "type": "m4.xlarge", "region": "us-east-1", "zone": "us-east-1f",
                                "state": "running", "lifecycle": "on-demand", "launch-time": 1594671638000000, "tags": {"Name": "test-instance"}})

    def test_of_another(self):
        info = self.ask(self.aws(), "GetInstanceInfo", "(s)", OTHER)[0]
        self.assertEqual((info["id"], info["state"]), (OTHER, "stopped"))

    def test_without_the_right_it_is_what_the_metadata_says(self):
        self.cloud.state(denied=["DescribeInstances"])
        plugin = self.aws()
        info = self.ask(plugin, "GetInstanceInfo", "(s)", "")[0]
        self.assertEqual((info["id"], info["type"], info["state"]), (OWN, "m4.xlarge", "running"))
        self.refused("Refused", self.ask, plugin, "GetInstanceInfo", "(s)", OTHER)

    def test_of_one_that_is_not_there(self):
        self.assertIn("InvalidInstanceID.NotFound", self.refused("Refused", self.ask, self.aws(), "GetInstanceInfo", "(s)", "i-00000000"))

    def test_an_id_that_is_none_is_sent_nowhere(self):
        for identifier in ("i-1&Action=TerminateInstances", "vm-7", "i-", "i-XYZ"):
            with self.subTest(identifier=identifier):
                self.refused("InvalidArgument", self.ask, self.aws_once(), "GetInstanceInfo", "(s)", identifier)
        self.assertEqual(self.cloud.requests("POST /?"), [])

    def aws_once(self):
        if not hasattr(self, "once"):
            self.once = self.aws()
        return self.once

    def test_hostile_tags_stay_text(self):
        self.instance(tags={"Name": "<&>\"'", "ключ": "значение", "empty": ""})
        self.assertEqual(self.ask(self.aws(), "GetInstanceInfo", "(s)", "")[0]["tags"], {"Name": "<&>\"'", "ключ": "значение", "empty": ""})


class Stopping(Aws):
    def test_this_machine_is_stopped_and_its_new_state_is_seen(self):
        plugin = self.aws()
        self.stop_with(plugin, reason="idle since 22:06")
        self.assertEqual(len(self.actions("StopInstances")), 1)
        self.assertEqual(self.state_of(plugin), "stopping")
        self.assertEqual(plugin.property(PROVIDER, "StopEffect"), "stops-billing")

    def test_a_second_time_is_no_harm(self):
        plugin = self.aws()
        self.stop_with(plugin)
        self.stop_with(plugin, OWN)

    def test_dry_run_changes_nothing(self):
        plugin = self.aws()
        self.stop_with(plugin, dry_run=True)
        self.assertEqual(self.state_of(plugin), "running")

    def test_dry_run_tells_a_refusal(self):
        self.cloud.state(denied=["StopInstances"])
        self.assertIn("UnauthorizedOperation", self.refused("Refused", self.stop_with, self.aws(), dry_run=True))

    def test_a_refusal_is_told_once_and_not_repeated(self):
        self.cloud.state(denied=["StopInstances"])
        message = self.refused("Refused", self.stop_with, self.aws())
        self.assertIn(f"ec2:StopInstances on {OWN}", message)
        self.assertEqual(len(self.actions("StopInstances")), 1)

    def test_a_refusal_can_be_read(self):
        """EC2's has hundreds of characters in it that are for nobody's eyes."""
        self.cloud.state(denied=["StopInstances", "DescribeInstances", "StartInstances"])
        plugin = self.aws()
        told = [message for name, granted, message in self.ask(plugin, "CheckPermissions")[0] if name.startswith("ec2:Stop")]
        for refused in (lambda: self.stop_with(plugin), lambda: self.stop_with(plugin, dry_run=True),
                        lambda: self.ask(plugin, "GetInstanceInfo", "(s)", OTHER)):
            told.append(self.refused("Refused", refused))
        self.assertEqual(len(told), 4)
        for message in told:
            self.assertIn("You are not authorized to perform this operation.", message)
            self.assertNotIn("ncoded", message)
            self.assertLess(len(message), 250)

    def test_throttling_is_waited_for(self):
        for fault in ({"status": 503, "body": "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>x</Message></Error></Errors></Response>"},
                      {"status": 400, "body": "<Response><Errors><Error><Code>Throttling</Code><Message>x</Message></Error></Errors></Response>"},
                      {"status": 500}):
            with self.subTest(fault=fault):
                self.cloud.command(forget=True, state={"instances": {OWN: {"state": "running"}}})
                self.cloud.fault("Action=StopInstances", **fault)
                self.stop_with(self.once())
                self.assertEqual(len(self.actions("StopInstances")), 2)

    def once(self):
        if not hasattr(self, "plugin_once"):
            self.plugin_once = self.aws()
        return self.plugin_once

    def test_throttling_without_an_end_is_told_as_such(self):
        self.cloud.fault("Action=StopInstances", times=100, status=503)
        self.refused("Throttled", self.stop_with, self.aws())
        self.assertEqual(len(self.actions("StopInstances")), 4)

    def test_a_reply_that_was_lost_after_the_deed(self):
        self.cloud.fault("Action=StopInstances", lose=True)
        plugin = self.aws()
        self.stop_with(plugin)
        self.assertEqual(self.state_of(plugin), "stopping")

    def test_an_answer_that_is_garbled_is_no_success(self):
        self.cloud.fault("Action=StopInstances", times=4, garble=True)
        self.refused("Throttled", self.stop_with, self.aws())

    def test_an_answer_that_names_another_state_is_no_success(self):
        self.cloud.fault("Action=StopInstances", status=200, body="<StopInstancesResponse><instancesSet><item><currentState><name>running</name>"
                         "</currentState></item></instancesSet></StopInstancesResponse>")
        self.assertIn("is running", self.refused("Throttled", self.stop_with, self.aws()))

    def test_entities_are_not_put_in(self):
        self.cloud.fault("Action=StopInstances", status=400, body='<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
                         "<Response><Errors><Error><Code>Bad</Code><Message>&e;</Message></Error></Errors></Response>")
        self.assertNotIn("root:", self.refused("Refused", self.stop_with, self.aws()))

    def test_entities_that_name_each_other_cost_nothing(self):
        entities = '<!ENTITY e0 "%s">' % ("x" * 500_000) + "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 5))
        self.cloud.fault("Action=StopInstances", status=400, times=100, body=f"<!DOCTYPE x [{entities}]><Response><Errors><Error><Code>Bad</Code>"
                         "<Message>&e4;</Message></Error></Errors></Response>")
        plugin = self.aws()
        self.assertIn("the answer is 400", self.refused("Refused", self.stop_with, plugin))
        with open(f"/proc/{plugin.process.pid}/status") as f:
            peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
        if os.environ.get("SNOOZE_SANITIZE") == "none":
            self.assertLess(peak, 100_000)

    def test_a_document_type_is_no_answer(self):
        self.cloud.fault("Action=DescribeInstances", times=100, body="<!DOCTYPE x><DescribeInstancesResponse/>", status=200)
        self.assertIn("no XML", self.refused("Throttled", self.ask, self.aws(), "GetInstanceInfo", "(s)", OTHER))

    def test_a_machine_that_cannot_be_stopped_any_more(self):
        self.instance(state="terminated")
        self.assertIn("IncorrectInstanceState", self.refused("Refused", self.stop_with, self.aws()))

    def test_hibernation_where_it_was_enabled(self):
        self.instance(hibernation=True)
        plugin = self.aws()
        self.stop_with(plugin, action="hibernate")
        self.assertIn("Hibernate=true", self.actions("StopInstances")[0]["body"])

    def test_hibernation_is_never_replaced_by_a_stop(self):
        plugin = self.aws()
        self.assertIn("Hibernation was not enabled", self.refused("NotSupported", self.stop_with, plugin, action="hibernate"))
        self.cloud.state(denied=["DescribeInstances"])
        self.refused("Refused", self.stop_with, plugin, action="hibernate")
        self.refused("NotSupported", self.stop_with, plugin, action="suspend")
        self.assertEqual(self.actions("StopInstances"), [])

    def test_a_one_time_spot_request_is_refused_beforehand(self):
        self.instance(lifecycle="spot", spot_request={"id": "sir-1", "type": "one-time"})
        self.assertIn("one-time Spot request sir-1", self.refused("Refused", self.stop_with, self.aws()))
        self.assertEqual(self.actions("StopInstances"), [])

    def test_a_persistent_one_is_stopped(self):
        self.instance(lifecycle="spot", spot_request={"id": "sir-1", "type": "persistent"})
        plugin = self.aws()
        self.stop_with(plugin)
        self.assertEqual(self.state_of(plugin), "stopping")

    def test_where_nothing_may_be_asked_the_cloud_itself_says_no(self):
        self.instance(lifecycle="spot", spot_request={"id": "sir-1", "type": "one-time"})
        self.cloud.state(denied=["DescribeInstances", "DescribeSpotInstanceRequests"])
        self.assertIn("UnsupportedOperation", self.refused("Refused", self.stop_with, self.aws()))

    def test_a_configuration_that_comes_in_the_middle(self):
        plugin = self.aws()
        for delayed in ("StopInstance", "GetInstanceInfo"):
            with self.subTest(call=delayed):
                self.cloud.command(forget=True)
                self.cloud.fault("Action=DescribeInstances", delay=1)
                arguments = ("(sa{sv})", "", {}) if delayed == "StopInstance" else ("(s)", "")
                answers = plugin.call_later(PROVIDER, delayed, *arguments)
                self.until_asked("Action=DescribeInstances")
                settings = {"metadata_url": self.cloud.url, "endpoint_url": self.cloud.url}
                plugin.call("", "Configure", "(a{sv})", self.configuration(**settings))
                self.until(lambda: answers)
                self.assertIn("Error.Throttled", str(answers[0]))
        self.stop_with(plugin)

    def test_bad_options_change_nothing(self):
        plugin = self.aws()
        self.refused("InvalidArgument", self.stop_with, plugin, action="explode")
        self.refused("InvalidArgument", self.stop_with, plugin, dry_run="yes")
        self.refused("InvalidArgument", self.stop_with, plugin, force=True)
        self.assertEqual(self.actions("StopInstances"), [])

    def test_another_instance_is_started(self):
        plugin = self.aws()
        self.ask(plugin, "StartInstance", "(sa{sv})", OTHER, {})
        self.assertEqual(self.state_of(plugin, OTHER), "pending")
        self.refused("InvalidArgument", self.ask, plugin, "StartInstance", "(sa{sv})", "", {})

    def test_in_the_wrong_state_it_is_not(self):
        self.instance(OTHER, state="stopping")
        self.assertIn("IncorrectInstanceState", self.refused("Refused", self.ask, self.aws(), "StartInstance", "(sa{sv})", OTHER, {}))


class Rights(Aws):
    def test_credentials_are_renewed_before_they_end(self):
        self.cloud.state(credentials={"seconds": 200})
        plugin = self.aws()
        self.stop_with(plugin, dry_run=True)
        before = len(self.cloud.requests("security-credentials/baskinc-role"))
        self.cloud.state(credentials={"seconds": 3600})
        self.stop_with(plugin, dry_run=True)
        self.stop_with(plugin, dry_run=True)
        self.assertEqual(len(self.cloud.requests("security-credentials/baskinc-role")), before + 1)

    def test_and_where_they_ended_too_early_once_more(self):
        plugin = self.aws()
        self.stop_with(plugin, dry_run=True)
        self.cloud.state(credentials={"token": "another=="})
        self.stop_with(plugin)
        self.assertEqual(self.state_of(plugin), "stopping")

    def test_no_role(self):
        self.cloud.state(credentials={"role": ""})
        self.assertIn("snooze provider policy aws", self.refused("Refused", self.stop_with, self.aws()))

    def test_without_one_it_still_knows_which_instance_this_is(self):
        """The policy names it, and is wanted before there is any right."""
        self.cloud.state(credentials={"role": ""})
        plugin = self.aws()
        self.assertEqual(self.ask(plugin, "GetInstanceInfo", "(s)", "")[0]["id"], OWN)
        self.refused("Refused", self.ask, plugin, "GetInstanceInfo", "(s)", OTHER)

    def test_roles_and_credentials_that_are_none(self):
        self.cloud.state(imds={"documents": {"/latest/meta-data/iam/security-credentials/baskinc-role": '{"Code": "Failed"}'}})
        self.assertIn("the code Failed", self.refused("Throttled", self.stop_with, self.aws()))
        self.cloud.state(credentials={"role": "a/../../b"})
        self.assertIn("a role that is none", self.refused("Throttled", self.stop_with, self.aws()))

    def test_a_users_keys_from_the_unit(self):
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, "aws"), "w") as f:
                f.write('{"AccessKeyId": "AKIDOWN", "SecretAccessKey": "own/secret"}')
            self.cloud.state(credentials={"key": "AKIDOWN", "secret": "own/secret", "token": "", "role": ""})
            plugin = self.provider(environment={"CREDENTIALS_DIRECTORY": directory}, metadata_url=self.cloud.url, endpoint_url=self.cloud.url)
            self.stop_with(plugin)
            self.assertEqual(self.cloud.requests("security-credentials"), [])

    def test_no_secret_is_shown(self):
        self.cloud.fault("Action=StopInstances", status=403, body="nonsense")
        plugin = self.aws()
        message = self.refused("Refused", self.stop_with, plugin)
        _, journal = plugin.stop()
        for secret in ("v/12345678901", "TEST92test48"):
            self.assertNotIn(secret, message + journal)

    def have_policy(self, name, **settings):
        with open(os.path.join(TREE, "providers/aws", name)) as f:
            text = f.read().replace("@INSTANCE_ID@", OWN)
        for setting, value in settings.items():
            text = text.replace(f"@{setting}@", value)
        self.assertNotIn("@", text)
        self.cloud.state(policy=json.loads(text))

    def test_the_policy_suffices_for_this_instance(self):
        self.have_policy("policy.json")
        self.cloud.state(instances={OWN: {"lifecycle": "spot", "spot_request": {"id": "sir-1", "type": "persistent"}, "hibernation": True}})
        plugin = self.aws()
        self.assertEqual([row[:2] for row in self.ask(plugin, "CheckPermissions")[0] if row[0].startswith("ec2:")],
                         [("ec2:StopInstances", True), ("ec2:DescribeInstances", True), ("ec2:CreateTags", True)])
        self.ask(plugin, "SetTags", "(a{ss})", {"CloudSnooze:Status": "stopped"})
        self.refused("Refused", self.stop_with, plugin, OTHER)
        self.stop_with(plugin, action="hibernate")
        self.assertEqual(self.state_of(plugin), "stopping")

    def test_the_policy_of_a_group_suffices_for_its_hook(self):
        self.have_policy("policy+autoscaling_group.json", autoscaling_group="group")
        plugin = self.aws(autoscaling_group="group", lifecycle_hook="hook", heartbeat_seconds=1)
        self.assertEqual([name for name in self.missing(plugin) if ":" in name], [])
        events, _ = self.watch(plugin)
        self.cloud.state(lifecycle_state="Terminated")
        self.until(lambda: events)
        self.until_asked(f"LifecycleHookName=hook&InstanceId={OWN}")
        self.ask(plugin, "Acknowledge", "(s)", events[0]["id"], interface=SOURCE)
        self.ask(plugin, "SetTags", "(a{ss})", {"CloudSnooze:Status": "stopped"})
        self.stop_with(plugin)

    def test_what_a_hook_takes_is_checked_without_doing_it(self):
        complete, beat = (f"autoscaling:{action} (optional)" for action in ("CompleteLifecycleAction", "RecordLifecycleActionHeartbeat"))
        self.cloud.state(lifecycle_state="Terminated")
        plugin = self.aws(autoscaling_group="group", lifecycle_hook="hook", heartbeat_seconds=1)
        rows = {name: granted for name, granted, _ in self.ask(plugin, "CheckPermissions")[0]}
        self.assertEqual((rows[complete], rows[beat]), (True, True))
        for action in ("CompleteLifecycleAction", "RecordLifecycleActionHeartbeat"):
            self.assertIn("&LifecycleActionToken=00000000-", self.actions(action)[0]["body"])
            self.assertNotIn("InstanceId", self.actions(action)[0]["body"])
        # Of another group: not for this one.
        self.have_policy("policy+autoscaling_group.json", autoscaling_group="another")
        missing = self.missing(plugin)
        self.assertIn("not authorized to perform: autoscaling:CompleteLifecycleAction", missing[complete])
        self.assertIn("not authorized to perform: autoscaling:RecordLifecycleActionHeartbeat", missing[beat])
        self.cloud.state(policy=None)
        self.cloud.fault("Action=CompleteLifecycleAction&", times=100, status=500)
        self.assertRegex(self.missing(plugin)[complete], "^unknown: ")

    def test_a_hook_of_which_nothing_is_heard_keeps_no_permission_back(self):
        """Who is not there is waited for once, and not for long."""
        complete, beat = (f"autoscaling:{action} (optional)" for action in ("CompleteLifecycleAction", "RecordLifecycleActionHeartbeat"))
        self.IMPATIENCE = 20
        with socket.create_server(("127.0.0.1", 0)) as silent:
            plugin = self.aws(autoscaling_endpoint_url=f"http://127.0.0.1:{silent.getsockname()[1]}", autoscaling_group="group",
                              lifecycle_hook="hook", heartbeat_seconds=1)
            rows = {name: (granted, text) for name, granted, text in self.ask(plugin, "CheckPermissions")[0]}
            self.assertTrue(rows["ec2:StopInstances"][0])
            for name in (complete, beat):
                self.assertEqual(rows[name], (False, "unknown: Auto Scaling did not answer"))
            silent.accept()[0].close()
            silent.setblocking(False)
            self.assertRaises(BlockingIOError, silent.accept)

    def test_permissions_are_checked_without_doing_anything(self):
        plugin = self.aws()
        rows = self.ask(plugin, "CheckPermissions")[0]
        self.assertEqual([(name, granted) for name, granted, _ in rows],
                         [("ec2:StopInstances", True), ("ec2:DescribeInstances", True), ("ec2:CreateTags", True), ("ec2:StartInstances", True),
                          ("hibernate", False), ("suspend", False)])
        self.assertTrue(all("DryRun=true" in request["body"] or "Action=Describe" in request["body"] for request in self.cloud.requests("POST /?")))
        self.assertEqual(self.state_of(plugin), "running")

    def test_a_missing_one_is_named(self):
        self.cloud.state(denied=["StopInstances", "CreateTags"])
        rows = self.ask(self.aws(), "CheckPermissions")[0]
        self.assertEqual([(name, granted) for name, granted, _ in rows],
                         [("ec2:StopInstances", False), ("ec2:DescribeInstances", True), ("ec2:StartInstances", True),
                          ("hibernate", False), ("suspend", False)])

    def test_what_a_stop_would_be_refused_for_is_told_beforehand(self):
        plugin = self.aws()
        self.instance(hibernation=True)
        self.assertEqual(self.missing(plugin), {"suspend": "This cloud cannot suspend a machine"})
        self.instance(hibernation=False)
        self.assertIn("Hibernation was not enabled", self.missing(plugin)["hibernate"])
        self.assertIn(self.missing(plugin)["hibernate"], self.refused("NotSupported", self.stop_with, plugin, action="hibernate"))
        self.instance(lifecycle="spot", spot_request={"id": "sir-1", "type": "persistent"})
        self.assertNotIn("stop", self.missing(plugin))
        self.instance(spot_request={"id": "sir-1", "type": "one-time"})
        self.assertIn("one-time Spot request sir-1", self.missing(plugin)["stop"])
        self.assertIn(self.missing(plugin)["stop"], self.refused("Refused", self.stop_with, plugin))

    def test_what_may_not_be_asked_is_no_obstacle_but_to_hibernation(self):
        self.instance(lifecycle="spot", spot_request={"id": "sir-1", "type": "one-time"})
        self.cloud.state(denied=["DescribeInstances"])
        plugin = self.aws()
        self.assertIn("sir-1", self.missing(plugin)["stop"])
        self.cloud.state(denied=["DescribeInstances", "DescribeSpotInstanceRequests"])
        self.assertEqual(set(self.missing(plugin)), {"hibernate", "suspend"})

    def test_what_could_not_be_asked_is_no_permission(self):
        self.instance(lifecycle="spot", spot_request={"id": "sir-1", "type": "one-time"})
        self.cloud.fault("Action=DescribeSpotInstanceRequests&", times=100, status=503)
        self.refused("Throttled", self.ask, self.aws(), "CheckPermissions")

    def test_a_clients_tags_are_written(self):
        plugin = self.aws()
        self.ask(plugin, "SetTags", "(a{ss})", {"CloudSnooze:Status": "stopped", "CloudSnooze:StopReason": "idle & alone + 1 %"})
        self.assertEqual(self.ask(plugin, "GetInstanceInfo", "(s)", "")[0]["tags"]["CloudSnooze:StopReason"], "idle & alone + 1 %")
        self.ask(plugin, "SetTags", "(a{ss})", {})

    def test_tags_that_aws_would_refuse_are_not_sent(self):
        plugin = self.aws()
        for tags in ({"aws:x": "y"}, {"k": "v" * 257}, {f"k{i}": "" for i in range(51)}):
            with self.subTest(tags=len(tags)):
                self.refused("InvalidArgument", self.ask, plugin, "SetTags", "(a{ss})", tags)
        self.refused("LimitsExceeded", self.ask, plugin, "SetTags", "(a{ss})", {"k" * 129: "x"})
        self.assertEqual(self.actions("CreateTags"), [])


class Region(Aws):
    def test_another_than_the_instances_own(self):
        self.cloud.state(region="eu-west-1", imds={"documents": {"/latest/dynamic/instance-identity/document":
                                                                 '{"instanceId": "%s", "region": "us-east-1"}' % OWN}})
        self.refused("Refused", self.stop_with, self.aws(), dry_run=True)

    def test_is_the_one_that_requests_are_signed_for(self):
        self.cloud.state(region="eu-west-1", imds={"documents": {"/latest/dynamic/instance-identity/document":
                                                                 '{"instanceId": "%s", "region": "us-east-1"}' % OWN}})
        self.stop_with(self.aws(region="eu-west-1"), dry_run=True)


class PowerOff(Aws):
    def logind(self, can="yes", refusal=None):
        performed = []

        def called(connection, sender, path, interface, member, parameters, invocation):
            if member == "CanPowerOff":
                invocation.return_value(GLib.Variant("(s)", (can,)))
            elif refusal:
                invocation.return_dbus_error(*refusal)
            else:
                performed.append(parameters.unpack())
                invocation.return_value(None)

        interface = Gio.DBusNodeInfo.new_for_xml(LOGIND).interfaces[0]
        registered = self.bus.connection.register_object("/org/freedesktop/login1", interface, called, None, None)
        self.addCleanup(self.bus.connection.unregister_object, registered)
        self.bus.connection.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName",
                                      GLib.Variant("(su)", ("org.freedesktop.login1", 4)), None, Gio.DBusCallFlags.NONE, -1, None)
        return performed

    def test_only_where_the_behaviour_was_confirmed(self):
        performed, plugin = self.logind(), self.aws(stop_method="poweroff")
        self.assertEqual(plugin.property(PROVIDER, "StopEffect"), "unknown")
        self.assertIn("may terminate", self.refused("Refused", self.stop_with, plugin))
        self.assertEqual(self.ask(plugin, "CheckPermissions")[0][0][:2], ("shutdown_behavior", False))
        self.assertEqual(performed, [])

    def test_then_it_needs_no_rights(self):
        self.cloud.state(credentials={"role": ""})
        performed, plugin = self.logind(), self.aws(stop_method="poweroff", shutdown_behavior="stop")
        self.assertEqual(plugin.property(PROVIDER, "StopEffect"), "stops-billing")
        self.assertEqual(self.ask(plugin, "GetInstanceInfo", "(s)", "")[0]["id"], OWN)
        self.stop_with(plugin, dry_run=True)
        self.assertEqual(performed, [])
        self.stop_with(plugin)
        self.assertEqual(performed, [(False,)])
        self.refused("NotSupported", self.stop_with, plugin, action="hibernate")

    def test_a_termination_is_said_to_be_one(self):
        self.assertEqual(self.aws(stop_method="poweroff", shutdown_behavior="terminate").property(PROVIDER, "StopEffect"), "terminates")

    def test_what_logind_refuses(self):
        self.logind(refusal=("org.freedesktop.login1.BlockedByInhibitorLock", "apt is upgrading"))
        plugin = self.aws(stop_method="poweroff", shutdown_behavior="stop")
        self.assertIn("apt is upgrading", self.refused("Held", self.stop_with, plugin))

    def test_without_the_right_to(self):
        self.logind(can="challenge")
        plugin = self.aws(stop_method="poweroff", shutdown_behavior="stop")
        self.assertIn("org.freedesktop.login1.power-off", self.refused("Refused", self.stop_with, plugin))
        self.assertIn(self.missing(plugin)["org.freedesktop.login1.power-off"], self.refused("Refused", self.stop_with, plugin))

    def test_what_it_may_and_what_it_cannot_is_told_beforehand(self):
        self.logind()
        plugin = self.aws(stop_method="poweroff", shutdown_behavior="stop")
        self.assertIn(("org.freedesktop.login1.power-off", True), [row[:2] for row in self.ask(plugin, "CheckPermissions")[0]])
        self.assertEqual(set(self.missing(plugin)), {"hibernate", "suspend"})
        self.assertIn(self.missing(plugin)["hibernate"], self.refused("NotSupported", self.stop_with, plugin, action="hibernate"))

    def test_without_logind(self):
        self.assertIn("org.freedesktop.login1.power-off", self.missing(self.aws(stop_method="poweroff", shutdown_behavior="stop")))


class Everything(EveryOperation, Aws):
    REFUSAL = {"status": 403, "body": "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>"}
    LOOK = "Action=DescribeInstances&"

    def patient(self):
        return self.aws()

    def is_in(self, identifier, *states):
        return lambda: self.state_of(self.plugin_once(), identifier) in states

    def plugin_once(self):
        if not hasattr(self, "once"):
            self.once = self.aws()
        return self.once

    def is_marked(self):
        return self.ask(self.plugin_once(), "GetInstanceInfo", "(s)", "")[0]["tags"]["k"] == self.marked

    def operations(self):
        state = {"instances": {OWN: {"state": "running"}, OTHER: {"state": "stopped"}}}
        return (Operation("GetInstanceInfo", "Action=DescribeInstances&", ("(s)", OTHER), state),
                Operation("StopInstance", "Action=StopInstances&", ("(sa{sv})", "", {}), state, self.is_in(OWN, "stopping", "stopped")),
                Operation("StartInstance", "Action=StartInstances&", ("(sa{sv})", OTHER, {}), state, self.is_in(OTHER, "pending", "running")),
                Operation("SetTags", "Action=CreateTags&", ("(a{ss})", {"k": self.mark()}), state, self.is_marked),
                # What may not be done is its answer.
                Operation("CheckPermissions", "Action=StopInstances&", (), state, refused=None))


plugin_bus.main()
