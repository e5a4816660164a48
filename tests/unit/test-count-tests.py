#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tools/count-tests on logs as meson test writes them: test-count-tests.py SOURCE-ROOT."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

COUNT = pathlib.Path(sys.argv.pop(1)) / "tools/count-tests"


def entry(name, result, *lines, stderr=""):
    return json.dumps({"name": name, "result": result, "stdout": "\n".join(lines) + "\n", "stderr": stderr}) + "\n"


class CountTests(unittest.TestCase):
    def count(self, *logs, faults=(), ci=None):
        """What it printed, line by line, and its exit status."""
        environment = {name: value for name, value in os.environ.items() if name != "CI"}
        if ci:
            environment["CI"] = ci
        arguments = [part for fault in faults for part in ("--fault", fault)]
        with tempfile.TemporaryDirectory() as directory:
            for i, log in enumerate(logs):
                path = pathlib.Path(directory, f"log{i}.json")
                path.write_text(log)
                arguments.append(str(path))
            done = subprocess.run([sys.executable, COUNT, *arguments], env=environment, capture_output=True, text=True, check=False)
        self.assertEqual(done.stderr, "")
        return done.stdout.splitlines(), done.returncode

    def test_passed(self):
        lines, status = self.count(entry("one", "OK", "1..2", "ok 1 a", "ok 2 - b"), entry("two", "OK"))
        self.assertEqual((lines, status), (["3 passed, 0 failed, 0 skipped"], 0))

    def test_a_failed_case_is_named_with_what_it_said(self):
        lines, status = self.count(entry("one", "FAIL", "ok 1 a", "not ok 2 b", "# got 3", "ok 3 c", "# of c"))
        self.assertEqual(lines, ["failed: log0: one: b", "    # got 3", "2 passed, 1 failed, 0 skipped"])
        self.assertEqual(status, 1)

    def test_one_that_ended_badly_is_a_failure_of_its_own(self):
        for result in ("TIMEOUT", "ERROR", "FAIL"):
            lines, status = self.count(entry("one", result, "ok 1 a", stderr="Bail out\n"))
            self.assertEqual(lines, [f"failed: log0: one: {result}", "    Bail out", "1 passed, 1 failed, 0 skipped"])
            self.assertEqual(status, 1)

    def test_a_line_that_sums_up_is_no_case(self):
        lines, _ = self.count(entry("one", "OK", "# Subtest: inner", "    ok 1 a", "    ok 2 b", "    1..2", "ok 1 inner", "ok 2 c"))
        self.assertEqual(lines, ["3 passed, 0 failed, 0 skipped"])

    def test_skipped(self):
        log = entry("one", "OK", "ok 1 a", "ok 2 b # SKIP no gpu")
        expected = ["skipped: log0: one: b (no gpu)", "1 passed, 0 failed, 1 skipped"]
        self.assertEqual(self.count(log), (expected, 0))
        self.assertEqual(self.count(log, ci="true"), (expected, 1))
        self.assertEqual(self.count(log, ci="false"), (expected, 0))

    def test_what_is_impossible_may_be_skipped_in_ci(self):
        log = entry("one", "OK", "ok 1 a", "ok 2 b # SKIP impossible here: no mounts")
        lines, status = self.count(log, ci="true")
        self.assertEqual((lines[-1], status), ("1 passed, 0 failed, 1 skipped", 0))
        self.assertEqual(self.count(log, entry("two", "SKIP", "1..0 # SKIP lazy"), ci="true")[1], 1)

    def test_a_whole_test_that_is_skipped(self):
        lines, status = self.count(entry("one", "OK", "ok 1 a"), entry("two", "SKIP", "1..0 # SKIP impossible here: needs root"), ci="true")
        self.assertEqual(lines, ["skipped: log1: two: SKIP (impossible here: needs root)", "1 passed, 0 failed, 1 skipped"])
        self.assertEqual(status, 0)

    def test_one_that_is_to_be_done_is_no_failure(self):
        self.assertEqual(self.count(entry("one", "OK", "not ok 1 a # TODO later"))[0], ["1 passed, 0 failed, 0 skipped"])

    def test_a_log_that_ends_in_the_middle(self):
        lines, status = self.count(entry("one", "OK", "ok 1 a") + '{"name": "tw')
        self.assertEqual((lines[-1], status), ("1 passed, 1 failed, 0 skipped", 1))

    def test_what_could_not_be_done_at_all(self):
        lines, status = self.count(entry("one", "OK", "ok 1 a"), faults=["the build failed", "no log"])
        self.assertEqual(lines, ["failed: the build failed", "failed: no log", "1 passed, 2 failed, 0 skipped"])
        self.assertEqual(status, 1)

    def test_nothing_at_all_is_no_success(self):
        self.assertEqual(self.count(), (["0 passed, 0 failed, 0 skipped"], 1))

    def test_a_log_that_is_missing(self):
        lines, status = self.count_missing()
        self.assertEqual((lines[-1], status), ("1 passed, 1 failed, 0 skipped", 1))
        self.assertIn("nowhere.json", lines[0])

    def count_missing(self):
        with tempfile.TemporaryDirectory() as directory:
            there, missing = pathlib.Path(directory, "log0.json"), pathlib.Path(directory, "nowhere.json")
            there.write_text(entry("one", "OK", "ok 1 a"))
            done = subprocess.run([sys.executable, COUNT, missing, there], capture_output=True, text=True, check=False)
        return done.stdout.splitlines(), done.returncode


if __name__ == "__main__":
    sys.path.insert(0, str(COUNT.parent.parent / "tests/bus"))
    import tap
    tap.main()
