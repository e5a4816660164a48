# SPDX-License-Identifier: Apache-2.0
"""Plugin analytics on a private bus: requests, blocks, and a stream longer than the memory it may have. Arguments: the program, the source
tree."""

import json
import os
import subprocess
import sys
import tempfile
import threading

from gi.repository import Gio, GLib

import plugin_bus
from plugin_bus import s

PROGRAM, SOURCE = sys.argv[1:3]
GIBIBYTE = 1 << 30


class Analytics(plugin_bus.PluginTestCase):
    def setUp(self):
        super().setUp()
        self.analytics = self.plugin(PROGRAM, "analytics").greet()

    def handle(self, method, **params):
        return self.analytics.call(".RequestHandler", "Handle", "(sa{sv})", method, {key: s(value) for key, value in params.items()})

    def process(self, data):
        return json.loads(bytes(self.analytics.call(".DataProcessor", "ProcessData", "(ay)", data)[0]))

    def stream(self, source, sink, options=None):
        """Hands the two descriptors over, as the caller who keeps neither; the answer lands in the list."""
        answers, fds = [], Gio.UnixFDList.new()
        parameters = GLib.Variant("(hha{sv})", (fds.append(source), fds.append(sink), options or {}))
        os.close(source)
        os.close(sink)

        def done(connection, result):
            try:
                answers.append(connection.call_with_unix_fd_list_finish(result)[0].unpack()[0])
            except GLib.Error as error:
                answers.append(error)

        self.bus.connection.call_with_unix_fd_list(
            self.analytics.owner, plugin_bus.PATH, plugin_bus.NAME + ".DataProcessor", "ProcessStream", parameters, None,
            Gio.DBusCallFlags.NONE, 240000, fds, None, done)
        return answers

    def test_live_interface_is_that_of_the_xml(self):
        self.assert_agrees_with_xml(self.analytics.introspect(), os.path.join(SOURCE, "introspection"))

    def test_manifest_and_program_agree(self):
        with open(os.path.join(SOURCE, "plugins/analytics/plugin.json")) as f:
            manifest = json.load(f)
        described = json.loads(subprocess.run([PROGRAM, "--describe"], capture_output=True, text=True, check=True).stdout)
        self.assertEqual(set(described["contracts"]), set(manifest["contracts"]))
        self.assertEqual((described["name"], described["version"]), (manifest["name"], manifest["version"]))

    def test_a_text_by_request(self):
        success, result = self.handle("analyse", text="1 2 3 four")
        self.assertTrue(success)
        self.assertEqual(result["metrics"], {"bytes": 10, "count": 3, "rejected": 1, "minimum": 1, "maximum": 3, "mean": 2,
                                             "standard_deviation": 1})
        self.assertFalse(self.handle("analyse", text="nothing")[0])

    def test_all_that_passed_by(self):
        self.handle("analyse", text="1 2")
        self.process(b"6")
        metrics = self.handle("summary")[1]["metrics"]
        self.assertEqual((metrics["count"], metrics["mean"], metrics["maximum"]), (3, 3, 6))
        self.assertEqual(self.handle("reset")[1]["metrics"]["count"], 3)
        self.assertEqual(self.handle("summary")[1]["metrics"], {"bytes": 0, "count": 0, "rejected": 0})

    def test_wrong_requests(self):
        handle = (self.analytics.call, ".RequestHandler", "Handle", "(sa{sv})")
        for method, params in (("analyse", {}), ("analyse", {"text": GLib.Variant("t", 1)}), ("summary", {"text": s("1")}),
                               ("analyse", {"txt": s("1")}), ("guess", {})):
            self.assert_error("InvalidArgument", *handle, method, params)

    def test_a_block(self):
        self.assertEqual(self.process(b"2\n4\n"), {"bytes": 4, "count": 2, "rejected": 0, "minimum": 2, "maximum": 4, "mean": 3,
                                                   "standard_deviation": 2 ** 0.5})
        self.assertEqual(self.process(b""), {"bytes": 0, "count": 0, "rejected": 0})

    def test_a_stream(self):
        (source, feed), (drain, sink) = os.pipe(), os.pipe()
        answers = self.stream(source, sink)
        with open(feed, "wb", buffering=0) as file:
            for piece in (b"1 2", b"0\n", b"30"):
                file.write(piece)
        plugin_bus.iterate_until(lambda: answers)
        with open(drain, "rb") as file:
            told = json.load(file)
        self.assertEqual((told["count"], told["mean"]), (3, 17))
        self.assertEqual(answers[0]["mean"], 17)

    def test_other_options_are_refused(self):
        for options in ({"copy": s("yes")}, {"speed": s("1")}):
            (source, feed), (drain, sink) = os.pipe(), os.pipe()
            answers = self.stream(source, sink, options)
            plugin_bus.iterate_until(lambda: answers)
            self.assertIn("InvalidArgument", str(answers[0]))
            os.close(feed)
            os.close(drain)

    def test_a_reader_that_leaves_ends_its_stream_alone(self):
        (source, feed), (drain, sink) = os.pipe(), os.pipe()
        answers = self.stream(source, sink, {"copy": GLib.Variant("b", True)})
        os.close(drain)
        os.write(feed, b"1 2 3\n")
        plugin_bus.iterate_until(lambda: answers)
        self.assertIsInstance(answers[0], GLib.Error)
        os.close(feed)
        self.assertEqual(self.handle("summary")[1]["metrics"]["count"], 0)

    def pss(self):
        """In KiB, of what is not shared with a file."""
        with open("/proc/%d/smaps_rollup" % self.analytics.process.pid) as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Pss_Anon:"))

    def peak(self):
        with open("/proc/%d/status" % self.analytics.process.pid) as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))

    def test_a_gibibyte_in_bounded_memory(self):
        with tempfile.TemporaryFile() as sparse:
            sparse.truncate(GIBIBYTE)
            sparse.seek(0, os.SEEK_END)
            sparse.write(b" 17 19\n")
            sparse.seek(0)
            drain, sink = os.pipe()
            source, feed = os.pipe()
            came = []

            def write():
                with open(feed, "wb", buffering=0) as file:
                    left = GIBIBYTE + 7
                    while left > 0:
                        left -= os.sendfile(file.fileno(), sparse.fileno(), None, min(left, 1 << 20))

            def read():
                with open(drain, "rb", buffering=0) as file:
                    came.append(sum(len(block) for block in iter(lambda: file.read(1 << 20), b"")))

            before, peak = self.pss(), self.peak()
            answers = self.stream(source, sink, {"copy": GLib.Variant("b", True)})
            workers = [threading.Thread(target=work) for work in (write, read)]
            for worker in workers:
                worker.start()
            plugin_bus.iterate_until(lambda: answers, 240)
            for worker in workers:
                worker.join()
        self.assertEqual(came, [GIBIBYTE + 7])
        self.assertEqual((answers[0]["bytes"], answers[0]["count"], answers[0]["mean"], answers[0]["rejected"]),
                         (GIBIBYTE + 7, 2, 18, 1))
        self.assertLess(self.pss() - before, 2048)
        self.assertLess(self.peak() - peak, 4096)


plugin_bus.main()
