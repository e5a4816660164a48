# SPDX-License-Identifier: Apache-2.0
"""The plugin of docs/plugin-guide.md compiles without warnings and agrees with the manifest beside it.
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
(source,) = re.findall(r"```c\n(.*?)```", text, re.S)
(manifest,) = re.findall(r"```json\n(.*?)```", text, re.S)

print("1..2")
with tempfile.TemporaryDirectory() as directory:
    program = os.path.join(directory, "plugin")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libsystemd"], capture_output=True, text=True, check=True)
    build = subprocess.run(
        [*compiler, "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-I", headers, "-x", "c", "-", "-o", program,
         "-x", "none", library, "-Wl,-rpath," + os.path.dirname(os.path.abspath(library)), *flags.stdout.split()],
        input=source, text=True, stderr=subprocess.PIPE)
    for line in build.stderr.splitlines():
        print("# " + line)
    print("%sok 1 - the example compiles" % ("" if build.returncode == 0 else "not "))

    agrees = False
    if build.returncode == 0:
        described = json.loads(subprocess.run([program, "--describe"], capture_output=True, text=True, check=True).stdout)
        declared = json.loads(manifest)
        agrees = (
            all(described[key] == declared[key] for key in ("name", "version", "api", "contracts"))
            and {k: v["type"] for k, v in described["settings"].items()}
            == {k: v["type"] for k, v in declared["config_schema"].items()}
        )
    print("%sok 2 - it agrees with its manifest" % ("" if agrees else "not "))
    sys.exit(0 if agrees else 1)
