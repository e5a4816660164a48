#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the plugins' library shows: the functions of its public headers, each with a version, and nothing else: test-sdk-symbols.py LIBRARY
HEADERS."""

import pathlib
import re
import subprocess
import sys
import unittest

LIBRARY, HEADERS = sys.argv[1], pathlib.Path(sys.argv[2])
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bus"))
sys.argv[1:] = []

import tap  # noqa: E402

VERSION = "LIBSNOOZE_PLUGIN_0"
# What plugins inside the daemon bring along; its header is installed for nobody.
NATIVE = "native.h"


def declared():
    names = set()
    for header in HEADERS.glob("*.h"):
        text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.DOTALL)
        names |= set(re.findall(r"\b(snooze_plugin_\w+)\s*\(", text))
        if header.name == NATIVE:
            # It is theirs to define.
            names.discard("snooze_plugin_native_table")
    return names


def exported():
    lines = subprocess.run(["nm", "-D", "--defined-only", LIBRARY], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    return [line.split()[1:] for line in lines]


class Symbols(unittest.TestCase):
    def test_each_has_its_version(self):
        functions = [name for kind, name in exported() if kind != "A"]
        self.assertGreater(len(functions), 20)
        for name in functions:
            self.assertRegex(name, rf"^snooze_plugin_\w+@@{VERSION}$")

    def test_they_are_those_of_the_headers(self):
        self.assertEqual({name.split("@")[0] for kind, name in exported() if kind != "A"}, declared())


tap.main()
