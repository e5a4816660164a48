# SPDX-License-Identifier: Apache-2.0
"""What the plugin says, without a bus. `cloudsnooze plugin test .` tries the rest."""

import importlib.machinery
import importlib.util
import pathlib
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("plugin", str(HERE / "@id@"))
plugin = importlib.util.module_from_spec(importlib.util.spec_from_loader("plugin", loader))
loader.exec_module(plugin)


class Check(unittest.TestCase):
    def verdict(self, path):
        subject = plugin.ThisPlugin()
        subject.configure({"path": path})
        return subject.check_idle({})[0]

    def test_the_file_decides(self):
        with tempfile.NamedTemporaryFile() as file:
            self.assertEqual(self.verdict(file.name), "busy")
        self.assertEqual(self.verdict(file.name), "idle")

    def test_what_cannot_be_told_is_unknown(self):
        with tempfile.TemporaryDirectory() as directory:
            loop = pathlib.Path(directory, "loop")
            loop.symlink_to("loop")
            self.assertEqual(self.verdict(str(loop / "file")), "unknown")

    def test_a_relative_path_is_refused(self):
        with self.assertRaises(plugin.InvalidArgument):
            self.verdict("here")


if __name__ == "__main__":
    unittest.main()
