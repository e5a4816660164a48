#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""snooze-simulate as a command: what it says and how it exits when something is wrong, and its two forms of output."""

import json
import pathlib
import subprocess
import sys
import tempfile

PROGRAM = sys.argv[1]
IDLE = '{"t":0,"cpu_usage":0}\n{"t":2400}\n'


def simulate(*arguments, text='', stdout=subprocess.PIPE):
    return subprocess.run([PROGRAM, *arguments], input=text, stdout=stdout, stderr=subprocess.PIPE, text=True,
                          timeout=60, check=False)


def expect(done, status, message=None):
    assert done.returncode == status, f'exit status {done.returncode}, expected {status}: {done.stderr}'
    if message is not None:
        assert done.stderr.strip() == f'snooze-simulate: {message}', done.stderr


def test_json_from_standard_input(_):
    done = simulate('-', text=IDLE)
    expect(done, 0, None)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line.get('state') for line in lines[:-1]] == ['idle', 'warning', 'stopping', 'stopped']
    assert lines[1]['t'] == 1800 and isinstance(lines[1]['t'], int)
    assert lines[-1]['summary']['stops'] == 1


def test_text(_):
    done = simulate('--text', '-', text=IDLE)
    expect(done, 0)
    assert done.stdout.splitlines()[1] == '   0:30:00  warning   idle for 30 min', done.stdout
    assert done.stdout.splitlines()[-1] == '0.58 h on, 0.08 h saved, 1 stop, 1 warning; stopped at the end', done.stdout


def test_what_went_before_an_error_is_printed(_):
    done = simulate('-', text='{"t":0,"cpu_usage":0}\n{"t":2400}\n{"t":2400,"cpu":1}\n')
    expect(done, 2)
    assert len(done.stdout.splitlines()) == 4
    assert 'stdin:3: unknown key "cpu"' in done.stderr


def test_truncated_line(_):
    expect(simulate('-', text='{"t":0,"cpu_us'), 2)


def test_empty_trace(_):
    expect(simulate('-', text='\n'), 2, 'the trace is empty, expected at least one instant')


def test_usage(_):
    expect(simulate(), 2, 'expected exactly one TRACE, see --help')
    expect(simulate('a', 'b'), 2, 'expected exactly one TRACE, see --help')
    expect(simulate('--colour', '-'), 2)


def test_missing_files(folder):
    expect(simulate(f'{folder}/none'), 1, f'{folder}/none: No such file or directory')
    expect(simulate('--config', f'{folder}/none', '-', text=IDLE), 1, f'{folder}/none: not there')


def test_a_folder_is_no_trace(folder):
    expect(simulate(str(folder)), 1)


def test_bad_configuration(folder):
    path = folder / 'c.json'
    path.write_text('{"naptime_minutes": "long"}')
    expect(simulate('--config', str(path), '-', text=IDLE), 2,
           f'{path}: /naptime_minutes: got "long", expected a number')


def test_warning_about_the_configuration(folder):
    path = folder / 'c.json'
    path.write_text('{"logging": {}}')
    done = simulate('--config', str(path), '-', text=IDLE)
    expect(done, 0)
    assert '/logging has no meaning here' in done.stderr


def test_full_disk(_):
    with open('/dev/full', 'w', encoding='utf-8') as full:
        expect(simulate('-', text=IDLE, stdout=full), 1, 'the output cannot be written')


def main():
    tests = [(name[5:].replace('_', ' '), test) for name, test in globals().items() if name.startswith('test_')]
    failed = 0
    print(f'1..{len(tests)}')
    for number, (name, test) in enumerate(tests, 1):
        with tempfile.TemporaryDirectory() as folder:
            try:
                test(pathlib.Path(folder))
                print(f'ok {number} - {name}')
            except AssertionError as problem:
                failed += 1
                print(f'not ok {number} - {name}\n# {problem}')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
