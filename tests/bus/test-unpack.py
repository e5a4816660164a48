# SPDX-License-Identifier: Apache-2.0
"""Archives of plugins that mean harm, and those that do not."""

import io
import shutil
import stat
import subprocess
import tarfile
import unittest

import tap
from harness import BUILD, House

UNPACK = BUILD / 'src/unpack/snooze-unpack'


@unittest.skipUnless(UNPACK.exists(), 'impossible here: built without libarchive')
class Archives(unittest.TestCase):
    """snooze-unpack alone."""

    def setUp(self):
        self.house = House(polkit=False, daemon=False)
        self.addCleanup(self.house.close)
        self.place = self.house.directory / 'out'

    def unpack(self, data):
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        return subprocess.run([UNPACK, self.place], input=data, env={'LC_ALL': 'C'}, capture_output=True, timeout=60, check=False)

    def archive(self, *members, mode='w'):
        """Of (name, what: bytes or settings of the member)."""
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode=mode, format=tarfile.PAX_FORMAT) as archive:
            for name, what in members:
                member = tarfile.TarInfo(name)
                content = what if isinstance(what, bytes) else b''
                member.size = len(content)
                for key, value in (what.items() if isinstance(what, dict) else ()):
                    setattr(member, key, value)
                archive.addfile(member, io.BytesIO(content))
        return data.getvalue()

    def found(self):
        return sorted(str(path.relative_to(self.place)) for path in self.place.rglob('*'))

    def test_what_is_well_comes_out(self):
        for mode in ('w', 'w:gz', 'w:bz2', 'w:xz'):
            result = self.unpack(self.archive(('./', {'type': tarfile.DIRTYPE}), ('./a/b', b'text'), ('a/é', b''), ('a/c', {'type': tarfile.SYMTYPE,
                                              'linkname': '../a/b'}), ('p', {'mode': 0o700}), mode=mode))
            self.assertEqual((result.returncode, result.stderr), (0, b''))
            self.assertEqual(self.found(), ['a', 'a/b', 'a/c', 'a/é', 'p'])
            self.assertEqual((self.place / 'a/c').read_text(), 'text')
            self.assertEqual(stat.S_IMODE((self.place / 'p').stat().st_mode), 0o755)
            self.assertEqual(stat.S_IMODE((self.place / 'a/b').stat().st_mode), 0o644)

    def test_what_means_harm_does_not(self):
        outside = self.house.directory / 'outside'
        link = {'type': tarfile.SYMTYPE, 'linkname': '..'}
        cases = [
            ('without . and ..', [('../outside', b'x')]),
            ('without . and ..', [('a/../../outside', b'x')]),
            ('absolute', [(str(outside), b'x')]),
            ('may lead out', [('d', link), ('d/outside', b'x')]),
            ('may lead out', [('d', {**link, 'linkname': str(self.house.directory)}), ('d/outside', b'x')]),
            ('may lead out', [('a/b/x', {**link, 'linkname': '../..'}), ('a/b/y', {**link, 'linkname': 'x/..'}), ('a/b/y/outside', b'x')]),
            ('cannot be', [('a/b', b''), ('d', {**link, 'linkname': 'a'}), ('d/c', b'x')]),
            ('another name', [('f', b'x'), ('g', {'type': tarfile.LNKTYPE, 'linkname': 'f'})]),
            ('another name', [('g', {'type': tarfile.LNKTYPE, 'linkname': str(outside)})]),
            ('device', [('n', {'type': tarfile.CHRTYPE, 'devmajor': 1, 'devminor': 3})]),
            ('device', [('n', {'type': tarfile.BLKTYPE, 'devmajor': 8, 'devminor': 0})]),
            ('device', [('n', {'type': tarfile.FIFOTYPE})]),
            ('there twice', [('f', b'x'), ('f', b'y')]),
            ('there twice', [('f', {**link, 'linkname': 'g'}), ('f', b'y')]),
            ('cannot be made', [('f', b'x'), ('f', {'type': tarfile.DIRTYPE})]),
            ('cannot be made', [('f', b'x'), ('f/g', b'y')]),
            ('setuid', [('s', {'mode': 0o4755})]),
            ('setuid', [('s', {'mode': 0o2755})]),
            ('control characters', [('a\x1b[31mb', b'')]),
            ('deeper than', [('/'.join('d' * 10), b'')]),
            ('more than the 2048', [(str(number), b'') for number in range(2100)]),
            ('more entries', [('d', {'type': tarfile.DIRTYPE}) for _ in range(9000)]),
            ('is empty', []),
        ]
        for part, members in cases:
            with self.subTest(part):
                result = self.unpack(self.archive(*members))
                self.assertEqual(result.returncode, 1, members)
                self.assertIn(part, result.stderr.decode())
                self.assertNotIn(b'\x1b', result.stderr)
                self.assertFalse(outside.exists())
                for path in self.place.rglob('*'):
                    self.assertTrue(stat.S_IFMT(path.lstat().st_mode) in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK), path)

    def test_bombs(self):
        bomb = self.archive(*((str(number), bytes(20 << 20)) for number in range(4)), mode='w:xz')
        self.assertLess(len(bomb), 100000)
        result = self.unpack(bomb)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b'more than the 64 MiB', result.stderr)
        # A hole is no smaller than what it says it is.
        sparse = tarfile.TarInfo('hole')
        sparse.size = 0
        sparse.pax_headers = {'GNU.sparse.major': '0', 'GNU.sparse.minor': '1', 'GNU.sparse.size': str(1 << 40), 'GNU.sparse.map': '0,0',
                              'GNU.sparse.numblocks': '1', 'GNU.sparse.name': 'hole'}
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode='w', format=tarfile.PAX_FORMAT) as archive:
            archive.addfile(sparse)
        result = self.unpack(data.getvalue())
        self.assertLessEqual(sum(path.stat().st_size for path in self.place.rglob('*')), 64 << 20)

    def test_what_is_cut_short_or_no_archive(self):
        whole = self.archive(('a', bytes(range(256)) * 64), mode='w:gz')
        for data in (whole[:len(whole) // 2], b'', b'x' * 5000, bytes(100), b'PK\x03\x04' + bytes(100), whole[:20] + b'x' * 100):
            result = self.unpack(data)
            self.assertEqual(result.returncode, 1, data[:10])
            self.assertTrue(result.stderr.strip())


if __name__ == '__main__':
    tap.main()
