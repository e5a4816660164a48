# SPDX-License-Identifier: Apache-2.0
"""Each plugin of docs/plugin-guide.md compiles without warnings and agrees with the manifest behind it, also by the guide's own commands.
Arguments: the guide, the public headers, the library, the compiler."""

import json
import os
import re
import subprocess
import sys
import tempfile

guide, headers, library, *compiler = sys.argv[1:]
with open(guide) as f:
    text = f.read()
examples = list(zip(re.findall(r"```c\n(.*?)```", text, re.S), re.findall(r"```json\n(.*?)```", text, re.S), strict=True))
flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libsystemd"], capture_output=True, text=True, check=True)
fine = True


def report(number, good, what):
    global fine
    fine = fine and good
    print("%sok %d - %s" % ("" if good else "not ", number, what))


def compile_example(source, program):
    build = subprocess.run(
        [*compiler, "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-I", headers, "-x", "c", "-", "-o", program,
         "-x", "none", library, "-Wl,-rpath," + os.path.dirname(os.path.abspath(library)), *flags.stdout.split()],
        input=source, text=True, stderr=subprocess.PIPE)
    for line in build.stderr.splitlines():
        print("# " + line)
    return build.returncode == 0


def agrees(program, declared):
    described = json.loads(subprocess.run([program, "--describe"], capture_output=True, text=True, check=True).stdout)
    return (all(described[key] == declared[key] for key in ("name", "version", "api", "contracts"))
            and described["events"] == list(declared.get("events", {}))
            and {name: setting["type"] for name, setting in described["settings"].items()}
            == {name: setting["type"] for name, setting in declared.get("config_schema", {}).items()})


def as_the_guide_says(source, directory):
    """By its own commands, where CloudSnooze is built and not installed."""
    build = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(library))))
    commands = re.findall(r"^    ((?:export PKG_CONFIG_PATH=|cc -o backup-lock ).*)$", text, re.M)
    # What is set comes first; the guide says so behind the command.
    script = "\n".join(sorted(commands, reverse=True)).replace("CLONE/build", build)
    with open(os.path.join(directory, "backup-lock.c"), "w") as f:
        f.write(source)
    environment = {name: value for name, value in os.environ.items() if name not in ("LD_LIBRARY_PATH", "PKG_CONFIG_PATH")}
    done = subprocess.run(["sh", "-euc", script + "\n./backup-lock --describe"], cwd=directory, env=environment, capture_output=True, text=True)
    for line in done.stderr.splitlines():
        print("# " + line)
    return len(commands) == 2 and done.returncode == 0


print("1..%d" % (2 * len(examples) + 1))
with tempfile.TemporaryDirectory() as directory:
    for i, (source, manifest) in enumerate(examples):
        program = os.path.join(directory, "plugin-%d" % i)
        declared = json.loads(manifest)
        compiles = compile_example(source, program)
        report(2 * i + 1, compiles, declared["name"] + " compiles")
        report(2 * i + 2, compiles and agrees(program, declared), declared["name"] + " agrees with its manifest")
    report(2 * len(examples) + 1, as_the_guide_says(examples[0][0], directory), "the guide's own commands build one that starts")
sys.exit(0 if fine else 1)
