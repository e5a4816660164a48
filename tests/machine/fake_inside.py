# SPDX-License-Identifier: Apache-2.0
"""A fake of tests/fakes that listens inside of a machine: its process is the host's, its network the machine's."""

import json
import os
import subprocess
import sys

from machine import run as run_here

FAKES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fakes")
sys.path.insert(0, FAKES)
from client import FakeCloud  # noqa: E402

ASK = """
import sys, urllib.request
request = urllib.request.Request(sys.argv[1], data=sys.argv[2].encode() or None)
sys.stdout.buffer.write(urllib.request.urlopen(request, timeout=30).read())
"""


class FakeInside(FakeCloud):
    def __init__(self, machine, name):
        self.enter = ["nsenter", "-t", str(machine.init), "-n", "--"]
        program = os.path.join(FAKES, name + ".py")
        self.process = subprocess.Popen([*self.enter, sys.executable, program], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def open(self, path, data=None):
        body = json.dumps(data) if data is not None else ""
        return run_here(*self.enter, sys.executable, "-c", ASK, self.url + path, body).stdout
