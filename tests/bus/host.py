# SPDX-License-Identifier: Apache-2.0
"""What this host lets a test do. A container's root, for one, may not mount anything."""

import functools
import os
import subprocess
import tempfile


def no_mount(*arguments):
    if os.geteuid() != 0:
        return 'impossible here: mounts take root'
    with tempfile.TemporaryDirectory() as directory:
        tried = subprocess.run(['unshare', '--mount', '--propagation', 'private', 'mount', *arguments, directory],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    return 'impossible here: no mounts: ' + ' '.join(tried.stderr.split()) if tried.returncode else None


@functools.cache
def no_mounts():
    """None where a test may mount file systems in a name space of its own, else why it cannot, for a skip."""
    return no_mount('-t', 'tmpfs', 'tmpfs')


@functools.cache
def no_overlays():
    """The same of one folder's files beside those of another."""
    return no_mount('-t', 'overlay', 'overlay', '-o', 'lowerdir=/tmp:/usr/lib')
