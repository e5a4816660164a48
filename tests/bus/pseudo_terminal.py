# SPDX-License-Identifier: Apache-2.0
"""A terminal of the test's own, as one that takes what others write to it."""

import os
import pty
import tty


def open_terminal(test, place):
    """Found at place until the test ends, None: where the terminals of this machine are; the end where what is written to it comes out."""
    master, slave = pty.openpty()
    test.addCleanup(os.close, master)
    test.addCleanup(os.close, slave)
    tty.setraw(slave)
    os.set_blocking(master, False)
    os.fchmod(slave, 0o620)
    if place:
        os.symlink(os.ttyname(slave), place)
    return master
