# SPDX-License-Identifier: Apache-2.0
"""Each setting of a plugin that comes with CloudSnooze is told in its README, and its contracts in the table of all. Argument: the source
tree."""

import json
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
manifests = sorted([*root.glob("plugins/*/plugin.json"), *root.glob("providers/*/plugin.json")])
fine = bool(manifests)
rows = dict(re.findall(r"^\| \[([a-z-]+)\]\(.*?\|.*?\| ([\w, ]+?) \|", (root / "plugins/README.md").read_text(), re.M))
print("1..%d" % (len(manifests) + 1))
for number, manifest in enumerate(manifests, 1):
    readme = (manifest.parent / "README.md").read_text()
    untold = [name for name in json.loads(manifest.read_text()).get("config_schema", {})
              if not re.search(r"(?<![\w-])%s(?![\w-])" % re.escape(name), readme)]
    for name in untold:
        print("# %s does not stand in its README" % name)
    print("%sok %d - %s" % ("not " if untold else "", number, manifest.parent.relative_to(root)))
    fine = fine and not untold
told = {name: set(contracts.split(", ")) for name, contracts in rows.items()}
served = {manifest.parent.name: set(json.loads(manifest.read_text())["contracts"]) for manifest in root.glob("plugins/*/plugin.json")}
for name in sorted(told.keys() | served.keys()):
    if told.get(name) != served.get(name):
        print("# %s serves %s; the table says %s" % (name, served.get(name), told.get(name)))
print("%sok %d - plugins/README.md" % ("" if told == served else "not ", len(manifests) + 1))
fine = fine and told == served
sys.exit(0 if fine else 1)
