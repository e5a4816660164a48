# SPDX-License-Identifier: Apache-2.0
"""A fake cloud as a test sees it: starts the program beside this file, commands it, and asks what it was asked."""

import json
import os
import subprocess
import sys
import urllib.request


class FakeCloud:
    def __init__(self, name, *arguments):
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".py")
        self.process = subprocess.Popen([sys.executable, program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def open(self, path, data=None):
        handler = urllib.request.ProxyHandler({})
        request = urllib.request.Request(self.url + path, data=json.dumps(data).encode() if data is not None else None)
        with urllib.request.build_opener(handler).open(request, timeout=30) as reply:
            return reply.read()

    def command(self, **command):
        """Since when it is in force, by the monotonic clock in seconds."""
        return json.loads(self.open("/_control", command))["moment"]

    def state(self, **state):
        return self.command(state=state)

    def fault(self, match="", **fault):
        self.command(faults=[{"match": match, **fault}])

    def requests(self, match=""):
        """Those with the text in method, path, query or body, in the order in which they came."""
        return [r for r in json.loads(self.open("/_requests")) if match in f"{r['method']} {r['path']}?{r['query']} {r['body']}"]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()
