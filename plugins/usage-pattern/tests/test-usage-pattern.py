# SPDX-License-Identifier: Apache-2.0
"""Plugin usage-pattern on a private bus. Arguments: the program, the source tree."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from gi.repository import GLib

import plugin_bus
from plugin_bus import s

PROGRAM, SOURCE = sys.argv[1:3]
HOURS = 7 * 24
CLOCKS = os.path.join(os.path.dirname(os.path.abspath(PROGRAM)), "../../tests/bus/clocks.so")


def week(seen, used):
    """A state in which every hour is alike: nobody has to know which one it is now."""
    return ("1700000000000000\n" + "%.3f %.3f\n" % (seen, used) * HOURS).encode() + b"\0"


class UsagePattern(plugin_bus.PluginTestCase):
    def start(self, state=None, **config):
        plugin = self.plugin(PROGRAM, "usage-pattern").greet({key: GLib.Variant("d", value) for key, value in config.items()})
        if state:
            plugin.call(".State", "ImportState", "(uay)", 1, state)
        return plugin

    def ask(self, plugin, **metrics):
        return plugin.call(".IdleCheck", "CheckIdle", "(a{sv})", {key: GLib.Variant("d", value) for key, value in metrics.items()})

    def seen(self, plugin):
        """Seconds on, and seconds used, of all hours together."""
        lines = bytes(plugin.call(".State", "ExportState")[1]).rstrip(b"\0").decode().splitlines()[1:]
        return [sum(float(line.split()[i]) for line in lines) for i in (0, 1)]

    def test_live_interface_is_that_of_the_xml(self):
        self.assert_agrees_with_xml(self.start().introspect(), os.path.join(SOURCE, "introspection"))

    def test_manifest_and_program_agree(self):
        with open(os.path.join(SOURCE, "plugins/usage-pattern/plugin.json")) as f:
            manifest = json.load(f)
        described = json.loads(subprocess.run([PROGRAM, "--describe"], capture_output=True, text=True, check=True).stdout)
        self.assertEqual(set(described["contracts"]), set(manifest["contracts"]))
        self.assertEqual((described["name"], described["version"]), (manifest["name"], manifest["version"]))
        self.assertEqual(set(described["settings"]), set(manifest["config_schema"]))
        for name, setting in described["settings"].items():
            self.assertEqual([float(x) for x in manifest["config_schema"][name]["constraints"].split("..")],
                             [setting["minimum"], setting["maximum"]])

    def test_a_new_one_knows_nothing(self):
        verdict, reason, details = self.ask(self.start(), cpu_usage=50)
        self.assertEqual(verdict, "idle")
        self.assertRegex(reason, r"^[A-Z][a-z]{2} \d\d:00: too little is known of this hour yet$")
        self.assertNotIn("used_percent", details)
        self.assertIs(details["watching"], False)

    def test_without_metrics_it_cannot_tell(self):
        self.assertEqual(self.ask(self.start(week(7200, 7200)))[0], "unknown")

    def test_an_hour_of_usual_use_is_busy(self):
        plugin = self.start(week(7200, 5400))
        verdict, reason, details = self.ask(plugin, cpu_usage=0)
        self.assertEqual(verdict, "busy")
        self.assertRegex(reason, r": used 75 % of the time \(usual from 50 % on\)$")
        self.assertAlmostEqual(details["used_percent"], 75, places=3)
        plugin.call("", "Configure", "(a{sv})", {"usual_percent": GLib.Variant("d", 80)})
        self.assertEqual(self.ask(plugin, cpu_usage=0)[0], "idle")

    def test_however_rarely_it_is_asked_it_learns(self):
        with tempfile.TemporaryDirectory() as directory:
            later = pathlib.Path(directory, "later")
            plugin = self.plugin(PROGRAM, "usage-pattern", "--idle-exit", "0", environment={
                "LD_PRELOAD": CLOCKS, "LATER": str(later),
                "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}).greet()
            self.assertTrue(os.path.exists(CLOCKS))
            moment, learned = 1, iter((0, 0, 3600, 7500, 7500, 7500, 11100, 11160))
            # The second is the first after a pause of which nothing is known; so are an outage, and what follows it.
            for pause in (0, 3600, 3600, 3900, 9000, 3900, 3600, 60):
                moment += pause
                later.write_text(str(moment))
                self.ask(plugin, cpu_usage=50)
                self.assertAlmostEqual(self.seen(plugin)[1], next(learned), delta=29)
            lines = bytes(plugin.call(".State", "ExportState")[1]).rstrip(b"\0").decode().splitlines()[1:]
            # What was before this hour is not this hour's.
            self.assertGreater(sum(float(line.split()[0]) > 0 for line in lines), 1)

    def test_it_learns_from_what_it_is_handed(self):
        plugin = self.start()
        self.ask(plugin, cpu_usage=50)
        self.assertEqual(self.seen(plugin), [0, 0])  # nothing is known of the time before
        while self.seen(plugin)[1] == 0:
            self.ask(plugin, cpu_usage=50, input_idle_seconds=5000)
        used = self.seen(plugin)[1]
        while self.seen(plugin)[0] <= 2 * used:
            self.ask(plugin, cpu_usage=1, network_kbps=0.5, input_idle_seconds=5000)
        self.assertAlmostEqual(self.seen(plugin)[1], used, places=2)
        while self.seen(plugin)[1] < used + 0.01:
            self.ask(plugin, input_idle_seconds=3)

    def test_people_can_read_it(self):
        plugin = self.start(week(7200, 3600))
        success, result = plugin.call(".RequestHandler", "Handle", "(sa{sv})", "week", {})
        self.assertEqual((success, result["week"][1], len(result["week"])), (True, "Tue " + "5" * 24, 7))
        result = plugin.call(".RequestHandler", "Handle", "(sa{sv})", "forget", {})[1]
        self.assertEqual(result["week"][6], "Sun " + "." * 24)
        self.assert_error("InvalidArgument", plugin.call, ".RequestHandler", "Handle", "(sa{sv})", "forget", {"hour": s("5")})

    def test_state_that_is_none_is_refused_and_changes_nothing(self):
        plugin = self.start(week(7200, 5400))
        for version, state in ((2, week(7200, 0)), (1, week(10, 20)), (1, b""), (1, week(7200, 0)[:-1])):
            self.assert_error("InvalidArgument", plugin.call, ".State", "ImportState", "(uay)", version, state)
        self.assertEqual(self.ask(plugin, cpu_usage=0)[0], "busy")


plugin_bus.main()
