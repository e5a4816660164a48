#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The manual page of one D-Bus interface, from its XML:
dbus-reference.py GDBUS-CODEGEN RST2MAN XML OUTPUT VERSION HALT

gdbus-codegen writes the members down as reStructuredText; this gives them the head of a manual page, and says of methods
what they return, which gdbus-codegen (up to 2.86) leaves out.
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree


def arguments(path):
    """What the XML says of each method's arguments, in their order: {method: [(name, text)]}."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    interface = ElementTree.parse(path, parser).getroot().find("interface")
    methods, comment = {}, ""
    for node in interface:
        if node.tag is ElementTree.Comment:
            comment = node.text
        elif node.tag == "method":
            # A text ends with the next argument, or with the empty line before the method's own.
            texts = {name: " ".join(text.split())
                     for name, text in re.findall(r"^\s*@(\w+):((?:.+\n(?!\s*@|\s*$))*.*)", comment, flags=re.M)}
            names = [argument.get("name") for argument in node.iter("arg")]
            unknown = set(texts) - set(names)
            if unknown:
                raise SystemExit(f"{path}: {node.get('name')} has no argument {', '.join(sorted(unknown))}")
            methods[node.get("name")] = [(name, texts.get(name, "")) for name in names]
    return methods


def with_arguments(body, interface, methods):
    """The list below each method, with what it returns and without names that have no text."""
    for method, described in methods.items():
        heading = f"{interface}.{method}\n{'^' * len(f'{interface}.{method}')}\n"
        before, found, after = body.partition(heading)
        if not found:
            raise SystemExit(f"{interface}: {method} is not in what gdbus-codegen wrote")
        end = re.search(r"^(?:\.\. _|-{3,}$)|\n\S+\n\^{3,}$", after, flags=re.M)
        own, rest = (after[:end.start()], after[end.start():]) if end else (after, "")
        for name, _ in described:
            own = re.sub(rf"^{name}\n  .*\n(?:  .*\n)*", "", own, flags=re.M)
        items = "".join(f"{name}\n  {text}\n\n" for name, text in described if text)
        body = f"{before}{found}{own.rstrip()}\n\n{items}\n{rest}"
    return body


def manual_page(interface, text, version, methods):
    """gdbus-codegen's chapter, as a manual page in section 5."""
    # Its first heading becomes the title. Its labels name members with dots and colons, which nothing refers to.
    body = re.split(r"^-+\nDescription\n-+\n", text, maxsplit=1, flags=re.M)[-1]
    body = re.sub(r"^\.\. .*:$\n", "", body, flags=re.M)
    body = with_arguments(body, interface, methods)
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
    page = manual_page(interface, text, version, arguments(xml))
    subprocess.run([rst2man, halt, "-", output], input=page, text=True, encoding="utf-8", check=True)


if __name__ == "__main__":
    main()
