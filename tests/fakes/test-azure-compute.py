#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The fake of Azure before Microsoft's own client for virtual machines, azure-mgmt-compute: what that makes of the fake is what it would make of
the cloud. tools/install-packages has it unpacked where the base tree of the booted machines is kept, too."""

import importlib
import os
import shutil
import site
import sys
import unittest

import tap
from client import FakeCloud

GROUP, OWN, OTHER = "test-group", "examplevmname", "other"
SUBSCRIPTION = "5f5b8c63-2d4a-4f0e-9d0a-000000000001"
TOKEN = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.secret-of-the-machine"


def load(*names):
    """Of the package azure; beside this program lies the fake, by the same name."""
    before = sys.path[:]
    sys.path[:0] = [os.path.join(os.environ.get("XDG_CACHE_HOME") or "/var/cache", "cloudsnooze-azure"), *site.getsitepackages()]
    try:
        return [importlib.import_module(name) for name in names]
    finally:
        sys.path[:] = before


try:
    compute, policies, exceptions = load("azure.mgmt.compute", "azure.core.pipeline.policies", "azure.core.exceptions")
except ImportError as error:
    # Where it can be had it only was not installed, or not downloaded.
    nowhere = "" if shutil.which("apt-get") else "impossible here: "
    compute, reason = None, f"{nowhere}azure-mgmt-compute cannot be imported ({error})"


class AzureCompute(unittest.TestCase):
    def setUp(self):
        if not compute:
            self.skipTest(reason)
        self.cloud = FakeCloud("azure")
        self.addCleanup(self.cloud.stop)
        self.machines = self.client(TOKEN)

    def client(self, token):
        # The client's own policy has no word for a server without TLS.
        policy = policies.HeadersPolicy({"Authorization": "Bearer " + token})
        client = compute.ComputeManagementClient(object(), SUBSCRIPTION, base_url=self.cloud.url, authentication_policy=policy, retry_total=0,
                                                 polling_interval=0)
        self.addCleanup(client.close)
        return client.virtual_machines

    def state(self, name=OWN):
        return self.machines.get(GROUP, name, expand="instanceView").instance_view.statuses[1].code

    def code(self, function, *arguments, **keywords):
        with self.assertRaises(exceptions.HttpResponseError) as context:
            function(*arguments, **keywords)
        return context.exception.status_code, context.exception.error.code

    def test_machines_are_described(self):
        machine = self.machines.get(GROUP, OWN, expand="instanceView")
        self.assertEqual((machine.name, machine.location, machine.zones, machine.tags), (OWN, "westus", ["1"], {"team": "graphics"}))
        self.assertEqual((machine.hardware_profile.vm_size, machine.priority, machine.provisioning_state), ("Standard_A3", "Regular", "Succeeded"))
        self.assertEqual(machine.id, f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute/virtualMachines/{OWN}")
        self.assertEqual([status.code for status in machine.instance_view.statuses], ["ProvisioningState/succeeded", "PowerState/running"])
        self.assertEqual((machine.time_created.year, machine.time_created.utcoffset().total_seconds()), (2021, 0))
        self.assertIs(machine.additional_capabilities.hibernation_enabled, False)
        self.assertIsNone(self.machines.get(GROUP, OWN).instance_view)
        self.assertEqual((self.machines.get(GROUP, OTHER).priority, self.code(self.machines.get, GROUP, "gone")), ("Spot", (404, "ResourceNotFound")))

    def test_operations_are_followed_to_their_end(self):
        for headers in (["Azure-AsyncOperation"], ["Location"], ["Azure-AsyncOperation", "Location"]):
            with self.subTest(headers=headers):
                self.cloud.state(operations={"headers": headers}, machines={OWN: {"state": "running"}})
                poller = self.machines.begin_deallocate(GROUP, OWN)
                poller.result(30)
                self.assertEqual((poller.status(), self.state()), ("Succeeded", "PowerState/deallocated"))
                self.machines.begin_start(GROUP, OWN).result(30)
                self.assertEqual(self.state(), "PowerState/running")

    def test_what_is_so_already_is_done_at_once(self):
        poller = self.machines.begin_deallocate(GROUP, OTHER)
        poller.result(30)
        self.assertEqual((poller.status(), self.cloud.requests("/operations/")), ("Succeeded", []))

    def test_operations_that_fail(self):
        for headers in (["Azure-AsyncOperation"], ["Location"]):
            with self.subTest(headers=headers):
                self.cloud.state(operations={"headers": headers, "error": {"code": "AllocationFailed", "message": "no capacity"}},
                                 machines={OTHER: {"state": "deallocated"}})
                with self.assertRaises(exceptions.HttpResponseError) as context:
                    self.machines.begin_start(GROUP, OTHER).result(30)
                self.assertIn("no capacity", str(context.exception))

    def test_hibernation(self):
        self.assertEqual(self.code(self.machines.begin_deallocate, GROUP, OWN, hibernate=True), (409, "OperationNotAllowed"))
        self.cloud.state(machines={OWN: {"hibernation": True}})
        self.machines.begin_deallocate(GROUP, OWN, hibernate=True).result(30)
        self.assertEqual(self.state(), "PowerState/deallocated")

    def test_refusals(self):
        self.cloud.state(permissions=[{"actions": ["*/read"], "notActions": []}])
        self.assertEqual(self.code(self.machines.begin_deallocate, GROUP, OWN), (403, "AuthorizationFailed"))
        self.machines = self.client("another")
        with self.assertRaises(exceptions.ClientAuthenticationError) as context:
            self.machines.get(GROUP, OWN)
        self.assertEqual((context.exception.status_code, context.exception.error.code), (401, "ExpiredAuthenticationToken"))
        self.cloud.fault("virtualMachines", status=429, headers={"Retry-After": "7"})
        with self.assertRaises(exceptions.HttpResponseError) as context:
            self.machines.get(GROUP, OWN)
        self.assertEqual((context.exception.status_code, context.exception.response.headers["Retry-After"]), (429, "7"))


if __name__ == "__main__":
    tap.main()
