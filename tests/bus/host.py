# SPDX-License-Identifier: Apache-2.0
"""What this host lets a test do. A container's root, for one, may not mount anything."""

import functools
import os
import subprocess
import tempfile


@functools.cache
def no_mounts():
    """None where a test may mount file systems in a name space of its own, else why it cannot, for a skip."""
    if os.geteuid() != 0:
        return 'impossible here: mounts take root'
    with tempfile.TemporaryDirectory() as directory:
        tried = subprocess.run(['unshare', '--mount', '--propagation', 'private', 'mount', '-t', 'tmpfs', 'tmpfs', directory],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    return 'impossible here: no mounts: ' + ' '.join(tried.stderr.split()) if tried.returncode else None
