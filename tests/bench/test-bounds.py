#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tools/bench names the bound of every row that has one, in the table and as JSON, and a row that comes near it says so. The rows here are
programs that print what this test has them print."""

import json
import os
import subprocess
import sys
import tempfile

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools', 'bench')
# Row → value, what its line ends with. Of each kind of promise one, and of each word.
ROWS = {
    'hot swap': (24.9, 'bound 50 ms'),
    'hot swap take-over': (25.0, 'bound 50 ms, NEAR'),
    'hot swap absolute': (50.1, 'bound 50 ms, EXCEEDED'),
    'hot swap take-over absolute': (50.0, 'bound 50 ms, NEAR'),
    'sample': (1e6, 'met'),
}


def bench(build, *arguments):
    result = subprocess.run([sys.executable, TOOL, '--build', build, 'all', *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def problem(build):
    folder = os.path.join(build, 'tests', 'bench')
    os.makedirs(folder)
    figures = {row: {'value': value, 'unit': 'ms', 'beside': value, 'ratio': 1.0, 'goal': 1.0} for row, (value, _) in ROWS.items()}
    with open(os.path.join(folder, 'bench-all'), 'w', encoding='utf-8') as program:
        program.write(f"#!/bin/sh\necho '{json.dumps(figures)}'\n")
    os.chmod(program.name, 0o755)
    table, rows = bench(build).splitlines(), json.loads(bench(build, '--json'))
    for (row, (_, expected)), line in zip(ROWS.items(), table, strict=True):
        if not line.startswith(row) or not line.endswith(f'   {expected}'):
            return f'{line!r}, expected {expected!r} at the end'
    bounds = {row: figures.get('bound') for row, figures in rows.items()}
    expected = {row: 50 if 'bound' in said else None for row, (_, said) in ROWS.items()}
    return None if bounds == expected else f'{bounds}, expected {expected}'


print('1..1')
with tempfile.TemporaryDirectory() as directory:
    found = problem(directory)
print('ok 1 - bounds are named' if not found else f'not ok 1 - {found}')
sys.exit(1 if found else 0)
