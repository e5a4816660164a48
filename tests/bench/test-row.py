#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A row of the budget comes out whole: bench-NAME --smoke prints what tools/bench reads, whatever the figures. So does the script of a
row that needs a machine, where one can be booted. The document has the same rows, with the same goals."""

import json
import os
import subprocess
import sys

LEFT_OUT = 77
HERE = os.path.dirname(os.path.abspath(__file__))
DOCUMENT = os.path.join(HERE, '..', '..', 'docs', 'benchmarks.md')

MEMBERS = {'value': float, 'unit': str, 'beside': float, 'ratio': float, 'goal': float}

class LeftOut(Exception):
    pass


def row_name(program):
    return os.path.splitext(os.path.basename(program))[0].removeprefix('bench-').replace('-', ' ').replace('_', ' ')


def documented(own):
    """Row → goal of the rows that begin with its name, but for those that are measured elsewhere."""
    goals = {}
    with open(DOCUMENT, encoding='utf-8') as document:
        table = document.read().split('| row | value | beside it | goal |')[1].split('\n\n')[0]
    for line in table.splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip('|').split('|')]
        goals[cells[0]] = float(cells[-1])
    elsewhere = {row_name(file) for file in os.listdir(HERE)} - {own}
    return {row: goal for row, goal in goals.items() if (row + ' ').startswith(own + ' ') and row not in elsewhere}


def problem(command):
    result = subprocess.run([*command, '--smoke'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=550)
    if result.returncode == LEFT_OUT:
        raise LeftOut(result.stderr.strip())
    if result.returncode != 0:
        return f'{command[0]} ended with status {result.returncode}: {result.stderr}'
    rows = json.loads(result.stdout)
    # It may print further rows that it measured by the way.
    own = row_name(command[0])
    if own not in rows:
        return f'no row {own!r} in {result.stdout}'
    for name, figures in rows.items():
        if set(figures) != set(MEMBERS) or any(not isinstance(figures[key], kind) for key, kind in MEMBERS.items()):
            return f'{name}: {figures}, expected {", ".join(MEMBERS)}'
        if figures['beside'] <= 0 or figures['value'] < 0:
            return f'{name}: not to be compared: {figures}'
        if abs(figures['ratio'] - figures['value'] / figures['beside']) > 0.05:
            return f'{name}: the ratio does not follow from {figures}'
    expected, printed = documented(own), {name: figures['goal'] for name, figures in rows.items()}
    return None if printed == expected else f'{printed}, but docs/benchmarks.md has {expected}'


print('1..1')
try:
    found = problem(sys.argv[1:])
except LeftOut as reason:
    print(f'ok 1 - the row comes out # SKIP impossible here: {reason}')
    sys.exit(0)
print('ok 1 - the row comes out' if not found else f'not ok 1 - {" / ".join(found.splitlines())}')
sys.exit(1 if found else 0)
