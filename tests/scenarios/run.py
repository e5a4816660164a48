#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every trace of this folder through snooze-simulate and compares what came out with what was thought out beforehand.

NAME.jsonl is the trace, NAME.config.json (where there is one) the configuration. NAME.expected tells the story in its first
line, then every transition as "t state", in order and none left out, then figures of the summary as "summary key value"
(numbers to one millionth)."""

import json
import pathlib
import subprocess
import sys


def read_expected(path):
    story, transitions, summary = None, [], {}
    for line in path.read_text(encoding='utf-8').splitlines():
        if line.startswith('# '):
            story = line[2:]
        elif line.startswith('summary '):
            _, key, value = line.split()
            summary[key] = value
        else:
            t, state = line.split()
            transitions.append((float(t), state))
    if story is None:
        raise ValueError(f'{path}: no story')
    return story, transitions, summary


def simulate(program, trace):
    command = [program]
    config = trace.with_name(trace.stem + '.config.json')
    if config.exists():
        command += ['--config', str(config)]
    done = subprocess.run(command + [str(trace)], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise ValueError(f'exit status {done.returncode}: {done.stderr.strip()}')
    *lines, last = [json.loads(line) for line in done.stdout.splitlines()]
    return lines, last['summary']


def check_chain(lines):
    """Each transition begins where the one before ended."""
    state = 'active'
    for line in lines:
        if line['previous'] != state:
            raise ValueError(f'{line} does not follow from {state}')
        if not line['reason']:
            raise ValueError(f'{line} has no reason')
        state = line['state']


def check(program, trace):
    story, transitions, figures = read_expected(trace.with_suffix('.expected'))
    lines, summary = simulate(program, trace)
    check_chain(lines)
    got = [(line['t'], line['state']) for line in lines]
    if got != transitions:
        raise ValueError(f'expected {transitions}, got {got}')
    for key, value in figures.items():
        if abs(float(summary[key]) - float(value)) > 1e-6:
            raise ValueError(f'summary: expected {key} {value}, got {summary[key]}')
    return story


def main(program, folder):
    traces = sorted(pathlib.Path(folder).glob('*.jsonl'))
    strays = {p.stem for p in pathlib.Path(folder).glob('*.expected')} - {p.stem for p in traces}
    failed = 0
    print(f'1..{len(traces) + 1}')
    for number, trace in enumerate(traces, 1):
        try:
            print(f'ok {number} - {trace.stem}: {check(program, trace)}', flush=True)
        except (ValueError, KeyError, OSError, subprocess.SubprocessError) as problem:
            failed += 1
            print(f'not ok {number} - {trace.stem}\n# {problem}', flush=True)
    print(f'{"not ok" if strays else "ok"} {len(traces) + 1} - every expectation has its trace {sorted(strays) or ""}')
    return 1 if failed or strays else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
