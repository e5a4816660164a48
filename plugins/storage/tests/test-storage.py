# SPDX-License-Identifier: Apache-2.0
"""Plugin storage on a private bus. Arguments: the program, the source tree."""

import json
import os
import subprocess
import sys

from gi.repository import GLib

import plugin_bus
from plugin_bus import s

PROGRAM, SOURCE = sys.argv[1:3]


class Storage(plugin_bus.PluginTestCase):
    def start(self, **config):
        return self.plugin(PROGRAM, "storage").greet(config)

    def handle(self, plugin, method, **params):
        return plugin.call(".RequestHandler", "Handle", "(sa{sv})", method, {key: s(value) for key, value in params.items()})

    def test_live_interface_is_that_of_the_xml(self):
        self.assert_agrees_with_xml(self.start().introspect(), os.path.join(SOURCE, "introspection"))

    def test_manifest_and_program_agree(self):
        with open(os.path.join(SOURCE, "plugins/storage/plugin.json")) as f:
            manifest = json.load(f)
        described = json.loads(subprocess.run([PROGRAM, "--describe"], capture_output=True, text=True, check=True).stdout)
        self.assertEqual(set(described["contracts"]), set(manifest["contracts"]))
        self.assertEqual((described["name"], described["version"]), (manifest["name"], manifest["version"]))
        self.assertEqual(set(described["settings"]), set(manifest["config_schema"]))

    def test_store_retrieve_list_delete(self):
        plugin = self.start()
        self.assertEqual(self.handle(plugin, "store", key="job/1", value="grün"), (True, {"bytes": 10}))
        self.handle(plugin, "store", key="job/2", value="")
        self.handle(plugin, "store", key="other", value="x")
        self.assertEqual(self.handle(plugin, "retrieve", key="job/1"), (True, {"value": "grün"}))
        self.assertEqual(self.handle(plugin, "list", prefix="job/"),
                         (True, {"keys": ["job/1", "job/2"], "more": False, "count": 3, "bytes": 21}))
        self.assertEqual(self.handle(plugin, "delete", key="job/1"), (True, {}))
        success, result = self.handle(plugin, "retrieve", key="job/1")
        self.assertEqual((success, result["error"]), (False, "there is nothing of this name"))
        self.assertFalse(self.handle(plugin, "delete", key="job/1")[0])

    def test_long_lists_come_in_pieces(self):
        plugin = self.start()
        wanted = ["n%03d" % i for i in range(300)]
        for name in wanted:
            self.handle(plugin, "store", key=name, value="x")
        _, first = self.handle(plugin, "list")
        _, second = self.handle(plugin, "list", after=first["keys"][-1])
        self.assertEqual((len(first["keys"]), first["more"], second["more"]), (256, True, False))
        self.assertEqual(first["keys"] + second["keys"], wanted)

    def test_wrong_requests_are_refused_and_change_nothing(self):
        plugin = self.start()
        handle = (plugin.call, ".RequestHandler", "Handle", "(sa{sv})")
        for method, params in (("store", {}), ("store", {"key": s("a")}), ("store", {"key": s(""), "value": s("x")}),
                               ("store", {"key": s("a"), "value": GLib.Variant("t", 5)}),
                               ("store", {"key": s("a"), "value": s("x"), "more": s("y")}),
                               ("store", {"key": s("a" * 129), "value": s("x")}), ("retrieve", {}),
                               ("store", {"key": s("a"), "value": s("x" * 32769)}), ("drop", {})):
            self.assert_error("InvalidArgument", *handle, method, params)
        self.assertEqual(self.handle(plugin, "list")[1]["count"], 0)

    def test_it_is_bounded(self):
        plugin = self.start(max_kilobytes=GLib.Variant("t", 2))
        self.handle(plugin, "store", key="a", value="x" * 2000)
        message = self.assert_error("Refused", plugin.call, ".RequestHandler", "Handle", "(sa{sv})", "store",
                                    {"key": s("b"), "value": s("x" * 100)})
        self.assertIn("2001 of 2048 bytes", message)
        self.handle(plugin, "delete", key="a")
        self.assertTrue(self.handle(plugin, "store", key="b", value="x" * 100)[0])

    def test_state_goes_from_one_to_the_next(self):
        plugin = self.start()
        self.handle(plugin, "store", key="a", value="grün")
        version, state = plugin.call(".State", "ExportState")
        self.assertEqual((version, bytes(state)), (1, b"a\0" + "grün".encode() + b"\0"))
        plugin.call(".State", "ImportState", "(uay)", 1, b"b\0two\0")
        self.assertEqual(self.handle(plugin, "list")[1]["keys"], ["b"])
        self.assert_error("InvalidArgument", plugin.call, ".State", "ImportState", "(uay)", 2, b"c\0three\0")
        self.assert_error("InvalidArgument", plugin.call, ".State", "ImportState", "(uay)", 1, b"c")
        self.assertEqual(self.handle(plugin, "retrieve", key="b"), (True, {"value": "two"}))


plugin_bus.main()
