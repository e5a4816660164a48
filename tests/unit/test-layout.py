#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The layout of the tree and its dependency rule, which never goes back up:

    daemon, helper → bus, manifest → util, base
    plugin-test → daemon/answer → daemon/decision, bus, manifest
    plugins, providers, bridge → sdk → base (and util)
    providers → cloud → http → base; cloud → run; plugins → http, bridge; plugins, providers → run → util
    cli, desktop → client

The compiler cannot check it, because all of src/ is one include path.
"""

import os
import re
import sys

ROOT = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "../.."))

# Part of the tree → the parts whose headers it may include; the longest prefix counts. snooze/ are the SDK's public headers.
MAY_INCLUDE = {
    "src/base": {"base"},
    "src/util": {"util", "base"},
    "src/run": {"run", "util", "base"},
    "src/manifest": {"manifest", "util", "base"},
    "src/bus": {"bus", "util", "base"},
    "src/sdk": {"sdk", "snooze", "base"},
    "src/plugin-test": {"plugin-test", "daemon/answer", "daemon/decision", "manifest", "bus", "util", "base"},
    "src/daemon": {"daemon", "bus", "manifest", "util", "base"},
    "src/daemon/native": {"daemon", "manifest", "bus", "util", "base", "snooze"},
    "src/daemon/config": {"daemon/config", "util", "base"},
    "src/daemon/decision": {"daemon/decision", "daemon/config", "util", "base"},
    "src/daemon/answer": {"daemon/answer", "daemon/decision", "manifest", "bus", "util", "base"},
    "src/daemon/simulate": {"daemon/simulate", "daemon/decision", "daemon/config", "util", "base"},
    "src/unpack": {"util", "base"},
    "src/helper": {"helper", "bus", "manifest", "util", "base"},
    "src/bridge": {"bridge", "manifest", "snooze", "util", "base"},
    "src/client": {"client"},
    "src/cli": {"cli", "client", "manifest", "util", "base"},
    "src/desktop": {"desktop", "client", "util", "base"},
    "src/http": {"http", "base"},
    "src/cloud": {"cloud", "http", "run", "snooze", "util", "base"},
    "plugins": {"plugins", "http", "run", "bridge", "snooze", "util", "base"},
    "providers": {"providers", "cloud", "http", "run", "snooze", "util", "base"},
}

# Part of the tree → system headers that it must do without, and why.
FORBIDDEN = [
    ("src/base", r"glib|gio/|json-glib", "base is used by the SDK, which is free of GLib"),
    ("src/sdk", r"glib|gio/|json-glib", "a plugin links libsystemd and libc, nothing more"),
    ("src/util", r"gio/|systemd/sd-bus", "util knows nothing of D-Bus"),
    ("src/run", r"gio/|systemd/sd-bus", "programs are run without the bus"),
    ("src/manifest", r"gio/|systemd/", "a manifest is read without the bus"),
    ("src/bus", r"gio/", "one loop: sd-event"),
    ("src/helper", r"gio/", "one loop: sd-event"),
    ("src/daemon", r"gio/", "one loop: sd-event"),
    ("src/daemon/decision", r"systemd/|time\.h|sys/|unistd|fcntl|stdio", "decision/ is pure: no I/O, no clock, no bus"),
    ("src/daemon/config", r"systemd/sd-(bus|event)|time\.h", "config/ is pure: no clock, no bus"),
    ("src/daemon", r"curl/", "it opens no network connection"),
    ("src/client", r"systemd/", "the client is GIO and the XML alone"),
    ("src/desktop", r"systemd/sd-bus", "the desktop speaks through the client library"),
    ("src/cli", r"systemd/sd-bus", "the command line speaks through the client library"),
]

# Programs and libraries whose only loop is sd-event.
LOOP = ("src/base/", "src/util/", "src/run/", "src/manifest/", "src/bus/", "src/helper/", "src/daemon/", "src/sdk/", "src/http/",
        "src/cloud/")

SOURCES = ("src", "plugins", "providers", "data", "tests", "tools", "introspection", "docs", "po", ".ci")
# JSON has no comments; recorded data is nobody's prose.
WITHOUT_HEADER = (".json", ".jsonl", ".md", ".expected", ".svg", ".map", ".sym", ".png", ".in.json", ".po", ".pot")
RECORDED = ("tests/data/", "tests/fuzz/corpus", "tests/scenarios/", "tests/unit/data/")
MAXIMUM_LINES = 800
MAXIMUM_COLUMNS = 119


def files():
    for top in SOURCES:
        for directory, names, entries in os.walk(os.path.join(ROOT, top)):
            names[:] = [name for name in names if not name.startswith("build") and name != "__pycache__"]
            for entry in entries:
                path = os.path.relpath(os.path.join(directory, entry), ROOT)
                if not os.path.islink(os.path.join(ROOT, path)):
                    yield path
    yield from ("meson.build", "meson_options.txt")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def part(path, parts):
    """The longest of the parts that the path lies in, or None."""
    inside = [name for name in parts if path.startswith(name + "/")]
    return max(inside, key=len, default=None)


def c_files():
    return [path for path in files() if path.endswith((".c", ".h"))]


def check_includes():
    for path in c_files():
        allowed = MAY_INCLUDE.get(part(path, MAY_INCLUDE))
        if allowed is None:
            continue
        for include in re.findall(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', read(path), re.M):
            top = include.split("/")[0]
            ours = top == "snooze" or os.path.isdir(os.path.join(ROOT, "src", top)) or top in ("plugins", "providers")
            if "/" in include and ours and not any(include.startswith(name + "/") for name in allowed):
                yield f"{path} includes {include}; it may include {', '.join(sorted(allowed))}"


def check_system_headers():
    for path in c_files():
        for directory, pattern, why in FORBIDDEN:
            if not path.startswith(directory + "/") or "/include/" in path and directory != "src/sdk":
                continue
            for include in re.findall(r"^\s*#\s*include\s+<([^>]+)>", read(path), re.M):
                if re.match(pattern, include):
                    yield f"{path} includes <{include}>: {why}"


def check_main_context():
    for path in c_files():
        if path.startswith(LOOP):
            found = re.search(r"\b(g_main_\w+|GMainContext|GMainLoop)\b", read(path))
            if found:
                yield f"{path} uses {found.group(1)}: the only loop is sd-event"


def check_licence():
    for path in files():
        if path.endswith(WITHOUT_HEADER) or path.startswith(RECORDED):
            continue
        head = "\n".join(read(path).splitlines()[:6])
        if "SPDX-License-Identifier: Apache-2.0" not in head:
            yield f"{path} does not begin with SPDX-License-Identifier: Apache-2.0"


def check_length():
    for path in files():
        if path.endswith((".c", ".h", ".py", ".sh")):
            lines = read(path).count("\n")
            if lines > MAXIMUM_LINES:
                yield f"{path} has {lines} lines, at most {MAXIMUM_LINES} fit one noun"


def check_columns():
    for path in c_files():
        for number, line in enumerate(read(path).splitlines(), 1):
            if len(line) > MAXIMUM_COLUMNS:
                yield f"{path}:{number} has {len(line)} columns, at most {MAXIMUM_COLUMNS}: .clang-format folds it"


def check_pragma_once():
    for path in c_files():
        if path.endswith(".h") and "#pragma once" not in read(path):
            yield f"{path} lacks #pragma once"


def check_command():
    """Where another package owns the name snooze, texts that advise it name another program."""
    verbs = set(re.findall(r'const Verb verb_\w+ = \{\s*"([a-z]+)"', "".join(read(path) for path in c_files() if path.startswith("src/cli/"))))
    named = re.compile(r'(?<![\w./%%$-])snooze (?:(?:%s)\b|$)' % "|".join(sorted(verbs)))
    for path in c_files():
        if not path.startswith(("src/", "plugins/", "providers/")) or "/tests/" in path:
            continue
        # Comments first, so that what they quote is none of it.
        for text in re.findall(r"""/\*.*?\*/|'(?:\\.|[^'\\\n])*'|"((?:\\.|[^"\\\n])*)\"""", read(path), re.S):
            if named.search(text):
                yield f"{path} spells SNOOZE_COMMAND out: {text}"


CHECKS = [
    ("includes follow the dependency rule", check_includes),
    ("libraries stay where they belong", check_system_headers),
    ("no GMainContext beside sd-event", check_main_context),
    ("every source names its licence", check_licence),
    ("no file is longer than one noun", check_length),
    ("no line is longer than a screen", check_columns),
    ("headers are included once", check_pragma_once),
    ("texts name the program as it is installed", check_command),
]


def main():
    failed = 0
    print(f"1..{len(CHECKS)}")
    if len(c_files()) < 20:
        print(f"Bail out! {ROOT} does not look like the source tree")
        return 1
    for number, (name, check) in enumerate(CHECKS, 1):
        problems = list(check())
        for problem in problems:
            print(f"# {problem}")
        print(f"{'not ok' if problems else 'ok'} {number} - {name}")
        failed += bool(problems)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
