# SPDX-License-Identifier: Apache-2.0
"""What the tests of provider aws share. Arguments: the program, the source tree."""

import sys

from plugin_cloud import CloudTestCase

PROGRAM, TREE = sys.argv[1:3]
OWN, OTHER = "i-1234567890abcdef0", "i-0fedcba9876543210"


class Aws(CloudTestCase):
    PROGRAM, ID, FAKE = PROGRAM, "aws", "aws"

    def aws(self, **settings):
        return self.provider(**{"metadata_url": self.cloud.url, "endpoint_url": self.cloud.url, "autoscaling_endpoint_url": self.cloud.url,
                                "poll_interval_seconds": 0.1, **settings})

    def actions(self, name):
        return self.cloud.requests(f"Action={name}&")

    def instance(self, identifier=OWN, **values):
        self.cloud.state(instances={identifier: values})

    def state_of(self, plugin, identifier=OWN):
        return self.ask(plugin, "GetInstanceInfo", "(s)", identifier)[0]["state"]
