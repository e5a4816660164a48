#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The fakes themselves, held against the clouds' own clients from the distribution: what botocore, msrestazure, novaclient, google-auth and
libcloud make of a fake is what they would make of the cloud, so that a fake and a provider cannot agree on an error."""

import datetime
import importlib
import os
import sys
import unittest
import unittest.mock
import urllib.error
import uuid

import botocore.config
import botocore.exceptions
import botocore.session
import botocore.utils
import google.auth.transport._http_client
import keystoneauth1.exceptions
import keystoneauth1.identity.v3
import keystoneauth1.session
import libcloud.common.google
import libcloud.compute.drivers.gce
import msrest.authentication
import msrest.configuration
import msrest.polling
import msrest.service_client
import msrestazure.azure_active_directory
import msrestazure.azure_exceptions
import msrestazure.polling.arm_polling
import novaclient.client
import novaclient.exceptions
import requests

import tap
from client import FakeCloud

OWN, OTHER = "i-1234567890abcdef0", "i-0fedcba9876543210"
SERVER = "9d8f5a0e-3c4b-4b0e-9a43-6f0c8d3c5a11"


class AwsMetadata(unittest.TestCase):
    def setUp(self):
        self.cloud = FakeCloud("aws")
        self.addCleanup(self.cloud.stop)

    def test_botocore_gets_the_roles_credentials_by_a_token(self):
        fetcher = botocore.utils.InstanceMetadataFetcher(base_url=self.cloud.url + "/", num_attempts=1)
        credentials = fetcher.retrieve_iam_role_credentials()
        self.assertEqual((credentials["role_name"], credentials["access_key"]), ("baskinc-role", "12345678901"))
        self.assertEqual(self.cloud.requests("iam/")[0]["headers"].get("x-aws-ec2-metadata-token"),
                         "AQAEAHOJ0==")

    def test_botocore_finds_the_region(self):
        fetcher = botocore.utils.InstanceMetadataRegionFetcher(base_url=self.cloud.url + "/", num_attempts=1)
        self.assertEqual(fetcher.retrieve_region(), "us-east-1")


class Aws(unittest.TestCase):
    def setUp(self):
        self.cloud = FakeCloud("aws")
        self.addCleanup(self.cloud.stop)
        self.ec2 = self.client("ec2")

    def client(self, service):
        session = botocore.session.Session()
        session.set_credentials("12345678901", "v/12345678901",
                                "TEST92test48TEST+y6RpoTEST92test48TEST/8oWVAiBqTEsT5Ky7ty2tEStxC1T==")
        return session.create_client(service, region_name="us-east-1", endpoint_url=self.cloud.url,
                                     config=botocore.config.Config(retries={"max_attempts": 1}))

    def code(self, function, **arguments):
        with self.assertRaises(botocore.exceptions.ClientError) as context:
            function(**arguments)
        return context.exception.response["Error"]["Code"]

    def test_instances_are_described(self):
        reservations = self.ec2.describe_instances(InstanceIds=[OWN])["Reservations"]
        instance = reservations[0]["Instances"][0]
        self.assertEqual((instance["InstanceId"], instance["State"]["Name"], instance["InstanceType"], instance["Placement"]["AvailabilityZone"]),
                         (OWN, "running", "m4.xlarge", "us-east-1f"))
        self.assertEqual(instance["Tags"], [{"Key": "Name", "Value": "test-instance"}])
        self.assertEqual(instance["HibernationOptions"], {"Configured": False})
        self.assertEqual(instance["LaunchTime"], datetime.datetime(2020, 7, 13, 20, 20, 38, tzinfo=datetime.timezone.utc))
        self.assertEqual(self.code(self.ec2.describe_instances, InstanceIds=["i-00000000"]), "InvalidInstanceID.NotFound")
        self.assertEqual(self.code(self.ec2.describe_instances, InstanceIds=["x"]), "InvalidInstanceID.Malformed")

    def test_stopping_and_starting(self):
        self.assertEqual(self.code(self.ec2.stop_instances, InstanceIds=[OWN], DryRun=True), "DryRunOperation")
        change = self.ec2.stop_instances(InstanceIds=[OWN])["StoppingInstances"][0]
        self.assertEqual((change["PreviousState"]["Name"], change["CurrentState"]["Name"]), ("running", "stopping"))
        self.assertEqual(self.code(self.ec2.start_instances, InstanceIds=[OWN]), "IncorrectInstanceState")
        change = self.ec2.start_instances(InstanceIds=[OTHER])["StartingInstances"][0]
        self.assertEqual((change["PreviousState"]["Name"], change["CurrentState"]["Name"]), ("stopped", "pending"))

    def test_refusals_and_throttling(self):
        self.cloud.state(denied=["StopInstances"])
        self.assertEqual(self.code(self.ec2.stop_instances, InstanceIds=[OWN]), "UnauthorizedOperation")
        self.cloud.fault("Action=DescribeInstances", times=2, status=503, type="text/xml",
                         body="<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>slow</Message></Error></Errors></Response>")
        self.assertEqual(self.code(self.ec2.describe_instances), "RequestLimitExceeded")

    def test_tags(self):
        self.ec2.create_tags(Resources=[OWN], Tags=[{"Key": "CloudSnooze:Status", "Value": "stopped & idle"}])
        tags = self.ec2.describe_instances(InstanceIds=[OWN])["Reservations"][0]["Instances"][0]["Tags"]
        self.assertIn({"Key": "CloudSnooze:Status", "Value": "stopped & idle"}, tags)
        self.assertEqual(self.code(self.ec2.create_tags, Resources=[OWN], Tags=[{"Key": "aws:x", "Value": ""}]), "InvalidParameterValue")

    def test_spot_requests(self):
        self.cloud.state(instances={OWN: {"lifecycle": "spot", "spot_request": {"id": "sir-1", "type": "one-time"}}})
        requests = self.ec2.describe_spot_instance_requests(Filters=[{"Name": "instance-id", "Values": [OWN]}])["SpotInstanceRequests"]
        self.assertEqual((requests[0]["SpotInstanceRequestId"], requests[0]["Type"]), ("sir-1", "one-time"))
        self.assertEqual(self.code(self.ec2.stop_instances, InstanceIds=[OWN]), "UnsupportedOperation")

    def test_lifecycle_hooks(self):
        autoscaling = self.client("autoscaling")
        hook = {"LifecycleHookName": "hook", "AutoScalingGroupName": "group", "InstanceId": OWN}
        self.assertEqual(self.code(autoscaling.record_lifecycle_action_heartbeat, **hook), "ValidationError")
        self.cloud.state(lifecycle_state="Terminated")
        autoscaling.record_lifecycle_action_heartbeat(**hook)
        autoscaling.complete_lifecycle_action(LifecycleActionResult="CONTINUE", **hook)

    def test_credentials_that_ended(self):
        self.cloud.state(credentials={"token": "new"})
        self.assertEqual(self.code(self.ec2.describe_instances), "ExpiredToken")
        self.cloud.state(credentials={"key": "other"})
        self.assertEqual(self.code(self.ec2.describe_instances), "AuthFailure")

    def test_what_is_to_be_signed(self):
        """The token among it: the fake asks of everybody what botocore does."""
        self.ec2.describe_instances()
        request = self.cloud.requests("Action=DescribeInstances")[0]
        self.assertIn("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token", request["headers"]["Authorization"])


class Openstack(unittest.TestCase):
    """novaclient over keystoneauth."""

    def setUp(self):
        self.cloud = FakeCloud("openstack")
        self.addCleanup(self.cloud.stop)
        self.nova = self.client("423f19a4ac1e4f48bbb4180756e6eb6c", "rEaqvJka48mpv")

    def client(self, identifier, secret, region="RegionOne"):
        auth = keystoneauth1.identity.v3.ApplicationCredential(
            auth_url=self.cloud.url + "/v3", application_credential_id=identifier, application_credential_secret=secret)
        session = keystoneauth1.session.Session(auth=auth)
        self.addCleanup(session.session.close)
        return novaclient.client.Client("2.1", session=session, region_name=region)

    def test_tokens(self):
        self.assertEqual(self.nova.client.session.auth.get_access(self.nova.client.session).role_names, ["member"])
        with self.assertRaises(keystoneauth1.exceptions.Unauthorized):
            self.client("wrong", "wrong").servers.get(SERVER)
        with self.assertRaises(keystoneauth1.exceptions.EndpointNotFound):
            self.client("423f19a4ac1e4f48bbb4180756e6eb6c", "rEaqvJka48mpv", "Nowhere").servers.get(SERVER)
        password = keystoneauth1.identity.v3.Password(auth_url=self.cloud.url + "/v3", username="admin", password="devstacker", project_name="demo",
                                                      user_domain_id="default", project_domain_id="default")
        session = keystoneauth1.session.Session(auth=password)
        self.addCleanup(session.session.close)
        self.assertTrue(session.get_token())

    def test_a_token_that_was_revoked_is_renewed(self):
        self.nova.servers.get(SERVER)
        self.cloud.state(keystone={"generation": 1})
        self.assertEqual(self.nova.servers.get(SERVER).id, SERVER)

    def test_servers_are_described(self):
        server = self.nova.servers.get(SERVER)
        self.assertEqual((server.name, server.status, getattr(server, "OS-EXT-STS:vm_state"), getattr(server, "OS-EXT-STS:task_state")),
                         ("worker-1", "ACTIVE", "active", None))
        self.assertEqual((server.flavor["id"], server.metadata), ("m1.small", {"owner": "alice"}))
        with self.assertRaises(novaclient.exceptions.NotFound):
            self.nova.servers.get("00000000-0000-0000-0000-000000000000")

    def until(self, state):
        for _ in range(10):
            server = self.nova.servers.get(SERVER)
            if getattr(server, "OS-EXT-STS:task_state") is None:
                break
        self.assertEqual(server.status, state)

    def test_actions_and_their_states(self):
        servers = self.nova.servers
        for action, state in ((servers.stop, "SHUTOFF"), (servers.start, "ACTIVE"), (servers.suspend, "SUSPENDED"), (servers.resume, "ACTIVE"),
                              (servers.shelve, "SHELVED_OFFLOADED"), (servers.unshelve, "ACTIVE")):
            with self.subTest(state=state):
                action(SERVER)
                self.until(state)

    def test_refusals(self):
        with self.assertRaises(novaclient.exceptions.Conflict):
            self.nova.servers.start(SERVER)
        self.nova.servers.stop(SERVER)
        with self.assertRaises(novaclient.exceptions.Conflict):
            self.nova.servers.stop(SERVER)
        self.cloud.state(denied=["os_compute_api:os-shelve:shelve"])
        with self.assertRaises(novaclient.exceptions.Forbidden):
            self.nova.servers.shelve(SERVER)
        self.cloud.fault("/action", status=413, body='{"overLimit": {"code": 413, "message": "slow"}}', type="application/json", headers={"Retry-After": "7"})
        with self.assertRaises(novaclient.exceptions.OverLimit) as context:
            self.nova.servers.stop(SERVER)
        self.assertEqual(context.exception.retry_after, 7)

    def test_access_rules(self):
        self.cloud.state(keystone={"access_rules": [{"service": "compute", "method": "GET", "path": f"/compute/v2.1/servers/{SERVER}"}]})
        self.nova.servers.get(SERVER)
        with self.assertRaises(novaclient.exceptions.Unauthorized):
            self.nova.servers.stop(SERVER)

    def test_metadata(self):
        self.nova.servers.set_meta(SERVER, {"CloudSnooze:Status": "stopped"})
        self.assertEqual(self.nova.servers.get(SERVER).metadata, {"owner": "alice", "CloudSnooze:Status": "stopped"})
        with self.assertRaises(novaclient.exceptions.BadRequest):
            self.nova.servers.set_meta(SERVER, {"a/b": "c"})


class AzureIdentity(unittest.TestCase):
    """As the runtime of Microsoft's management libraries asks for the token of a virtual machine."""

    def setUp(self):
        self.cloud = FakeCloud("azure")
        self.addCleanup(self.cloud.stop)

    def token(self, **arguments):
        get = requests.get

        def redirected(url, **keywords):
            return get(url.replace("http://169.254.169.254", self.cloud.url), **keywords)

        with unittest.mock.patch.object(msrestazure.azure_active_directory.requests, "get", redirected):
            return msrestazure.azure_active_directory.MSIAuthentication(timeout=20, **arguments).token

    def test_the_runtime_gets_a_token(self):
        token = self.token()
        self.assertEqual((token["token_type"], token["access_token"][:3]), ("Bearer", "eyJ"))
        request = self.cloud.requests("oauth2/token")[0]
        self.assertIn("api-version=2018-02-01", request["query"])
        self.assertEqual(request["headers"]["Metadata"], "true")

    def test_of_one_of_several_identities(self):
        self.cloud.state(identity={"system": False, "clients": ["one", "two"]})
        self.assertEqual(self.token(client_id="two")["client_id"], "two")
        with self.assertRaises(requests.HTTPError):
            self.token()

    def test_what_it_waits_for(self):
        for status in (404, 410, 429, 500):
            self.cloud.fault("oauth2/token", status=status)
        self.token()
        self.assertEqual(len(self.cloud.requests("oauth2/token")), 5)


class Azure(unittest.TestCase):
    GROUP = "/subscriptions/5f5b8c63-2d4a-4f0e-9d0a-000000000001/resourceGroups/test-group/providers/Microsoft.Compute/virtualMachines/"

    def setUp(self):
        self.cloud = FakeCloud("azure")
        self.addCleanup(self.cloud.stop)
        self.client_with("eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.secret-of-the-machine")

    def client_with(self, token):
        credentials = msrest.authentication.BasicTokenAuthentication({"access_token": token})
        configuration = msrest.configuration.Configuration(self.cloud.url)
        configuration.retry_policy.retries = 0
        self.client = msrest.service_client.ServiceClient(credentials, configuration)
        self.addCleanup(self.client.close)

    def send(self, method, path, body=None, **query):
        request = getattr(self.client, method)(self.GROUP + path, {"api-version": "2024-07-01", **query}, {"x-ms-client-request-id": str(uuid.uuid4())},
                                             body)
        response = self.client.send(request, stream=False)
        if response.status_code >= 400:
            raise msrestazure.azure_exceptions.CloudError(response)
        return response

    def code(self, *arguments, **query):
        with self.assertRaises(msrestazure.azure_exceptions.CloudError) as context:
            self.send(*arguments, **query)
        return context.exception.status_code, context.exception.error.error

    def finish(self, response):
        poller = msrest.polling.LROPoller(self.client, response, lambda _: True, msrestazure.polling.arm_polling.ARMPolling(0))
        poller.wait(30)
        self.assertTrue(poller.done())
        return poller.status()

    def power(self, name="examplevmname"):
        view = self.send("get", name, **{"$expand": "instanceView"}).json()["properties"]["instanceView"]
        return [status["code"] for status in view["statuses"]]

    def test_machines_are_described(self):
        machine = self.send("get", "examplevmname").json()
        self.assertEqual((machine["id"], machine["properties"]["hardwareProfile"]["vmSize"]), (self.GROUP + "examplevmname", "Standard_A3"))
        self.assertNotIn("instanceView", machine["properties"])
        self.assertEqual(self.power(), ["ProvisioningState/succeeded", "PowerState/running"])
        self.assertEqual(self.code("get", "gone"), (404, "ResourceNotFound"))

    def test_operations_are_followed_to_their_end(self):
        for headers in (["Azure-AsyncOperation"], ["Location"], ["Azure-AsyncOperation", "Location"]):
            with self.subTest(headers=headers):
                self.cloud.state(operations={"headers": headers}, machines={"examplevmname": {"state": "running"}})
                response = self.send("post", "examplevmname/deallocate")
                self.assertEqual((response.status_code, self.power()[1]), (202, "PowerState/deallocating"))
                self.assertEqual(self.finish(response), "Succeeded")
                self.assertEqual(self.power()[1], "PowerState/deallocated")

    def test_operations_that_fail(self):
        self.cloud.state(operations={"error": {"code": "AllocationFailed", "message": "no capacity"}})
        with self.assertRaises(msrestazure.azure_exceptions.CloudError) as context:
            self.finish(self.send("post", "other/start"))
        self.assertIn("no capacity", str(context.exception))

    def test_refusals(self):
        self.assertEqual(self.code("post", "examplevmname/deallocate", hibernate="true"), (409, "OperationNotAllowed"))
        self.cloud.state(permissions=[{"actions": ["*/read"], "notActions": []}])
        self.assertEqual(self.code("post", "examplevmname/deallocate"), (403, "AuthorizationFailed"))
        self.client_with("another")
        self.assertEqual(self.code("get", "examplevmname"), (401, "ExpiredAuthenticationToken"))

    def test_tags(self):
        tags = {"operation": "Merge", "properties": {"tags": {"CloudSnooze:Status": "stopped"}}}
        self.send("patch", "examplevmname/providers/Microsoft.Resources/tags/default", tags)
        self.assertEqual(self.send("get", "examplevmname").json()["tags"], {"team": "graphics", "CloudSnooze:Status": "stopped"})
        tags["properties"]["tags"] = {"a/b": ""}
        self.assertEqual(self.code("patch", "examplevmname/providers/Microsoft.Resources/tags/default", tags), (400, "InvalidTagNameCharacters"))


class GcpMetadata(unittest.TestCase):
    def setUp(self):
        self.cloud = FakeCloud("gcp")
        self.addCleanup(self.cloud.stop)
        self.host = self.cloud.url.removeprefix("http://")
        self.request = google.auth.transport._http_client.Request()

    def metadata(self):
        """google-auth reads where the service is when it is loaded."""
        places = {"GCE_METADATA_ROOT": self.host, "GCE_METADATA_HOST": self.host, "GCE_METADATA_IP": self.host}
        with unittest.mock.patch.dict(os.environ, places):
            import google.auth.compute_engine._metadata
            return importlib.reload(google.auth.compute_engine._metadata)

    def test_google_auth_knows_it_by_its_header(self):
        self.assertTrue(self.metadata().ping(self.request))

    def test_and_gets_the_accounts_token(self):
        metadata = self.metadata()
        token, expiry = metadata.get_service_account_token(self.request)
        self.assertEqual(token, "ya29.first-token")
        seconds = (expiry.replace(tzinfo=datetime.timezone.utc) - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
        self.assertAlmostEqual(seconds, 3599, delta=60)
        self.assertEqual(metadata.get_service_account_info(self.request)["scopes"], ["https://www.googleapis.com/auth/cloud-platform"])
        self.assertEqual(metadata.get_project_id(self.request), "test-project")

    def test_who_does_not_prove_himself_gets_nothing(self):
        with self.assertRaises(urllib.error.HTTPError) as context:
            self.cloud.open("/computeMetadata/v1/instance/id")
        self.assertEqual(context.exception.code, 403)


class Gcp(unittest.TestCase):
    AT = "/zones/us-central1-a/instances/test-instance"

    def setUp(self):
        self.cloud = FakeCloud("gcp")
        self.addCleanup(self.cloud.stop)
        host, port = self.cloud.url.removeprefix("http://").split(":")
        credential = unittest.mock.Mock(access_token="ya29.first-token")
        with unittest.mock.patch.object(libcloud.common.google, "GoogleOAuth2Credential", return_value=credential):
            self.compute = libcloud.compute.drivers.gce.GCEConnection("user", "key", False, project="test-project", host=host, port=int(port))
        self.compute.poll_interval = 0.01

    def status(self):
        return self.compute.request(self.AT).object["status"]

    def reason(self, path, **keywords):
        with self.assertRaises(libcloud.common.google.GoogleBaseError) as context:
            self.compute.async_request(self.AT + path, method="POST", **keywords)
        return context.exception.value["reason"] if isinstance(context.exception.value, dict) else str(context.exception.value)

    def test_libcloud_follows_operations_to_their_end(self):
        for method, status in (("suspend", "SUSPENDED"), ("resume", "RUNNING"), ("stop", "TERMINATED"), ("start", "RUNNING")):
            with self.subTest(method=method):
                self.compute.async_request(f"{self.AT}/{method}", method="POST")
                self.assertEqual(self.status(), status)

    def test_an_operation_that_fails(self):
        self.cloud.state(operation_error={"code": "UNSUPPORTED_OPERATION", "message": "no"})
        with self.assertRaises(libcloud.common.google.GoogleBaseError) as context:
            self.compute.async_request(self.AT + "/stop", method="POST")
        self.assertEqual(context.exception.code, "UNSUPPORTED_OPERATION")

    def test_refusals(self):
        self.assertEqual(self.reason("/resume"), "invalidUsage")
        self.assertEqual(self.reason("x/stop"), "notFound")
        self.cloud.state(denied=["compute.instances.stop"])
        self.assertEqual(self.reason("/stop"), "forbidden")
        self.cloud.state(instances={"test-instance": {"local_ssd": 1}}, denied=[])
        self.assertEqual(self.reason("/stop"), "badRequest")
        self.cloud.state(valid_tokens=[])
        self.assertEqual(self.reason("/stop"), "authError")

    def test_labels_need_the_fingerprint_of_what_they_were(self):
        labels = {"labels": {"a": "b"}, "labelFingerprint": self.compute.request(self.AT).object["labelFingerprint"]}
        self.compute.async_request(self.AT + "/setLabels", method="POST", data=labels)
        self.assertEqual(self.compute.request(self.AT).object["labels"], {"a": "b"})
        self.assertEqual(self.reason("/setLabels", data=labels), "conditionNotMet")

    def test_one_request_id_is_one_operation(self):
        same = {"requestId": "0b6e7c1a-1111-4222-8333-944445555666"}
        names = [self.compute.request(self.AT + "/stop", method="POST", params=same).object["name"] for _ in range(2)]
        self.assertEqual(names[0], names[1])


for variable in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[variable]
tap.main(names=())
