# SPDX-License-Identifier: Apache-2.0
"""What the tests of provider azure share. Arguments: the program, the source tree."""

import json
import os
import sys

from plugin_cloud import CloudTestCase

PROGRAM, TREE = sys.argv[1:3]
TAG = "7783-7084-3265-9085-8269-3286-77"
GROUP = "/subscriptions/5f5b8c63-2d4a-4f0e-9d0a-000000000001/resourceGroups/test-group/providers/Microsoft.Compute"
OWN, OTHER = f"{GROUP}/virtualMachines/examplevmname", f"{GROUP}/virtualMachines/other"
VM_ID = "02aab8a4-74ef-476e-8182-f6d2ba4166a6"
CLIENT = "00001111-aaaa-2222-bbbb-3333cccc4444"
COMPUTE = "Microsoft.Compute/virtualMachines/"
SECRET = "secret-of-the-machine"


class Azure(CloudTestCase):
    PROGRAM, ID, FAKE = PROGRAM, "azure", "azure"

    def azure(self, **settings):
        return self.provider(**{"metadata_url": self.cloud.url, "endpoint_url": self.cloud.url, "poll_interval_seconds": 0.1, **settings})

    def once(self):
        """One process for all of a test's parts."""
        if not hasattr(self, "plugin_once"):
            self.plugin_once = self.azure()
        return self.plugin_once

    def machine(self, name="examplevmname", **values):
        self.cloud.state(machines={name: values})

    def may(self, *actions, besides=()):
        self.cloud.state(permissions=[{"actions": list(actions), "notActions": list(besides)}])

    def posts(self, verb="deallocate"):
        return self.cloud.requests(f"/{verb}?")

    def info(self, plugin, identifier=""):
        return self.ask(plugin, "GetInstanceInfo", "(s)", identifier)[0]

    def assert_policy_is_enough(self, machines):
        with open(os.path.join(TREE, "providers/azure/policy.json")) as f:
            # As the command line fills it in by the machine's id.
            policy = json.loads(f.read().replace("@INSTANCE_TYPE:virtualMachines@", machines))
        self.cloud.state(permissions=[{"actions": policy["Actions"], "notActions": policy["NotActions"]}], operations={"reach": False})
        plugin = self.azure()
        rows = self.ask(plugin, "CheckPermissions")[0]
        self.assertEqual([row[1] for row in rows if row[0] not in ("hibernate", "suspend")], [True, True, True])
        self.ask(plugin, "SetTags", "(a{ss})", {"CloudSnooze:Status": "stopped"})
        self.stop_with(plugin)
        self.assertEqual(self.state_of(plugin, ""), "deallocating")

    def state_of(self, plugin, identifier=OWN):
        return self.info(plugin, identifier)["state"]
