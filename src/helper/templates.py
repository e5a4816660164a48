#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""templates.py OUTPUT (NAME FILE)…: a header in which each file is a C string, so that the helper writes for a plugin what the
build writes for those that come with CloudSnooze."""

import sys


def literal(text):
    lines = [line.replace("\\", "\\\\").replace('"', '\\"') for line in text.splitlines()]
    return "\n".join(f'        "{line}\\n"' for line in lines)


def main():
    output, *pairs = sys.argv[1:]
    with open(output, "w", encoding="utf-8") as header:
        header.write("/* SPDX-License-Identifier: Apache-2.0 */\n#pragma once\n")
        for name, path in zip(pairs[::2], pairs[1::2]):
            with open(path, encoding="utf-8") as file:
                header.write(f"\nstatic const char {name}[] =\n{literal(file.read())};\n")


if __name__ == "__main__":
    main()
