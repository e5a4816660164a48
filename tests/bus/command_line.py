# SPDX-License-Identifier: Apache-2.0
"""What the tests of the command line share: snooze, run beside a snoozed with canned answers. The names of both are the last arguments."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import plugin_bus
from mock_snoozed import MockSnoozed

INTROSPECTION = sys.argv.pop()
SNOOZE = sys.argv.pop()


def now():
    return int(time.time() * 1e6)


# When the tests began: what is to lie ahead by a certain time is counted from now().
NOW = now()
MINUTE = 60 * 1000000
HOUR = 60 * MINUTE

OK, FAILED, USAGE, REFUSED, UNREACHABLE, UNKNOWN = range(6)


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.bus = plugin_bus.Bus()
        self.addCleanup(self.bus.stop)
        self.mock = MockSnoozed(self.bus.address, INTROSPECTION)
        self.addCleanup(self.mock.stop)
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.environment = dict(self.bus.environment, TZ="UTC", LC_ALL="C.UTF-8", SNOOZE_LIBEXEC_DIR=self.directory.name)
        self.environment.pop("NO_COLOR", None)

    def run_snooze(self, *arguments, **keywords):
        if "input" not in keywords:
            keywords["stdin"] = subprocess.DEVNULL
        return subprocess.run([SNOOZE, *arguments], env=self.environment, capture_output=True, text=True, timeout=60,
                              **keywords)

    def snooze(self, *arguments, code=OK):
        """What it printed; any other exit status fails the test, and so does a word on stderr at success."""
        result = self.run_snooze(*arguments)
        self.assertEqual(result.returncode, code, "%s: %s%s" % (arguments, result.stdout, result.stderr))
        if code == OK:
            self.assertEqual(result.stderr, "")
            return result.stdout
        return result.stdout + result.stderr

    def json(self, *arguments, code=OK):
        result = self.run_snooze(*arguments, "--json")
        self.assertEqual(result.returncode, code, result.stderr)
        return json.loads(result.stdout)

    def start(self, *arguments, **keywords):
        process = subprocess.Popen([SNOOZE, *arguments], env=self.environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1, **keywords)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(lambda: process.poll() is None and (process.kill(), process.wait()))
        return process

    def on_terminal(self, *arguments, answer=None, until=None, **environment):
        """Everything that a terminal showed, and the exit status. answer is typed once `until` has been shown."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(SNOOZE, [SNOOZE, *arguments], dict(self.environment, TERM="xterm", **environment))
        shown = b""
        while True:
            if not select.select([terminal], [], [], 60)[0]:
                os.kill(pid, signal.SIGKILL)
                break
            try:
                piece = os.read(terminal, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
            if answer is not None and until.encode() in shown:
                os.write(terminal, answer.encode())
                answer = None
        os.close(terminal)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return shown.decode().replace("\r\n", "\n"), status

    def program(self, name, text):
        path = os.path.join(self.directory.name, name)
        with open(path, "w") as f:
            f.write("#!/bin/sh\n" + text)
        os.chmod(path, 0o755)
        return path

    def file(self, name, text):
        path = os.path.join(self.directory.name, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def until_called(self, method):
        """The calls of that method, as soon as there is one."""
        deadline = time.monotonic() + 30
        while not self.mock.called(method):
            self.assertLess(time.monotonic(), deadline, "nobody called " + method)
            select.select([], [], [], 0.01)
        return self.mock.called(method)
