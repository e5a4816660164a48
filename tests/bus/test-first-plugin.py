# SPDX-License-Identifier: Apache-2.0
"""docs/first-plugin.md, done as it says: files are written where it says so, shell blocks are run, and what it promises is printed.
Arguments: the guide, cloudsnooze, the sanitizers of the build."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import tap

GUIDE, CLOUDSNOOZE = map(os.path.abspath, sys.argv[1:3])
SANITIZE = sys.argv[3]
del sys.argv[1:4]
BUILD = pathlib.Path(CLOUDSNOOZE).resolve().parents[2]
BLOCK = re.compile(r'(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```', re.S)


class Guide(unittest.TestCase):
    def test_the_guide_works(self):
        blocks = [match.groupdict() for match in BLOCK.finditer(pathlib.Path(GUIDE).read_text())]
        kinds = [block['kind'] for block in blocks]
        self.assertGreaterEqual(kinds.count('sh'), 4)
        self.assertEqual(kinds.count('text'), 5)
        with tempfile.TemporaryDirectory() as directory:
            self.directory = directory
            for block in blocks:
                self.take(**block)

    def take(self, file, kind, text):
        if file:
            pathlib.Path(self.directory, file).write_text(text)
        elif kind == 'sh':
            self.run_block(text)
        elif kind == 'text':
            # "…" is what differs from one version to the next.
            for line in text.splitlines():
                self.assertRegex(self.output, '.+'.join(map(re.escape, line.split('…'))))

    def run_block(self, text):
        """In the directory that the block before ended in."""
        text = text.replace('meson setup build', f'meson setup -Dwerror=true -Db_sanitize={SANITIZE} -Db_lundef=false build')
        environment = dict(
            os.environ, LC_ALL='C.UTF-8', PKG_CONFIG_PATH=str(BUILD / 'meson-uninstalled'),
            PATH=f'{pathlib.Path(CLOUDSNOOZE).parent}:{os.environ["PATH"]}',
            # AddressSanitizer keeps what was freed, up to 256 MB of it: more than a plugin may have.
            ASAN_OPTIONS=os.environ.get('ASAN_OPTIONS', '') + ':quarantine_size_mb=4')
        done = subprocess.run(
            ['sh', '-euc', text + '\npwd > "$OLD_DIRECTORY"'], cwd=self.directory, capture_output=True, text=True, timeout=400,
            env=dict(environment, OLD_DIRECTORY=self.directory + '/.directory'))
        self.output = done.stdout
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.directory = pathlib.Path(self.directory, '.directory').read_text().strip()


if __name__ == '__main__':
    tap.main()
