#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The manual page of one D-Bus interface, from its XML: 
dbus-reference.py GDBUS-CODEGEN RST2MAN XML OUTPUT VERSION HALT

gdbus-codegen writes the members down as reStructuredText; this gives them the head of a manual page.
"""

import pathlib
import re
import subprocess
import sys
import tempfile


def manual_page(interface, text, version):
    """gdbus-codegen's chapter, as a manual page in section 5."""
    # Its first heading becomes the title. Its labels name members with dots and colons, which nothing refers to.
    body = re.split(r"^-+\nDescription\n-+\n", text, maxsplit=1, flags=re.M)[-1]
    body = re.sub(r"^\.\. .*:$\n", "", body, flags=re.M)
    summary = body.strip().splitlines()[0]
    # Short names: the title says which interface it is.
    body = re.sub(rf"^{re.escape(interface)}[.:]+(\w+)\n\^+$", lambda match: f"{match[1]}\n{'^' * len(match[1])}", body, flags=re.M)
    for heading in ("Properties", "Methods", "Signals"):
        body = body.replace(f"{'-' * len(heading)}\n{heading}\n{'-' * len(heading)}\n", f"{heading}\n{'=' * len(heading)}\n")
    bar = "=" * len(interface)
    return (f"{bar}\n{interface}\n{bar}\n\n{'-' * len(summary)}\n{summary}\n{'-' * len(summary)}\n\n"
            f":Manual section: 5\n:Manual group: CloudSnooze\n:Version: {version}\n\n"
            f"Description\n===========\n{body}\nSee also\n========\n\n**snoozed**\\(8), **busctl**\\(1)\n")


def main():
    codegen, rst2man, xml, output, version, halt = sys.argv[1:]
    interface = pathlib.Path(xml).stem
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([codegen, "--generate-rst", f"{directory}/page", xml], check=True)
        text = pathlib.Path(directory, f"page-{interface}.rst").read_text(encoding="utf-8")
    page = manual_page(interface, text, version)
    subprocess.run([rst2man, halt, "-", output], input=page, text=True, encoding="utf-8", check=True)


if __name__ == "__main__":
    main()
