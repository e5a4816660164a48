#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A row of the budget comes out whole: bench-NAME --smoke prints what tools/bench reads, whatever the figures."""

import json
import subprocess
import sys

MEMBERS = {'value': float, 'unit': str, 'beside': float, 'ratio': float, 'goal': float}

def problem(program):
    result = subprocess.run([program, '--smoke'], stdout=subprocess.PIPE, text=True, timeout=50)
    if result.returncode != 0:
        return f'{program} ended with status {result.returncode}'
    rows = json.loads(result.stdout)
    # It may print further rows that it measured by the way.
    own = program.rsplit('/bench-', 1)[1].replace('-', ' ')
    if own not in rows:
        return f'no row {own!r} in {result.stdout}'
    for name, figures in rows.items():
        if set(figures) != set(MEMBERS) or any(not isinstance(figures[key], kind) for key, kind in MEMBERS.items()):
            return f'{name}: {figures}, expected {", ".join(MEMBERS)}'
        if figures['beside'] <= 0 or figures['value'] < 0:
            return f'{name}: not to be compared: {figures}'
        if abs(figures['ratio'] - figures['value'] / figures['beside']) > 0.05:
            return f'{name}: the ratio does not follow from {figures}'
    return None


print('1..1')
found = problem(sys.argv[1])
print('ok 1 - the row comes out' if not found else f'not ok 1 - {found}')
sys.exit(1 if found else 0)
