# SPDX-License-Identifier: Apache-2.0
"""What the daemon has on record of its stops."""

import contextlib
import json
import sqlite3


class Stops:
    """Beside BusTest."""

    def record(self):
        """What the next boot would find."""
        with contextlib.closing(sqlite3.connect(f'file:{self.house.directory}/state/snooze.db?mode=ro', uri=True)) as database:
            rows = database.execute("SELECT value FROM record WHERE key = 'stop'").fetchall()
        return json.loads(rows[0][0]) if rows else None

    def outcomes(self):
        rows, = self.client.call('GetHistory', '(ttu)', (0, 0, 1000))
        return [row['outcome'] for row in reversed(rows) if row['kind'] == 'stop']
