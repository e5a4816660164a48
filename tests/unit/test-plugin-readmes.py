# SPDX-License-Identifier: Apache-2.0
"""Each setting of a plugin that comes with CloudSnooze is told in its README. Argument: the source tree."""

import json
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
manifests = sorted([*root.glob("plugins/*/plugin.json"), *root.glob("providers/*/plugin.json")])
fine = bool(manifests)
print("1..%d" % len(manifests))
for number, manifest in enumerate(manifests, 1):
    readme = (manifest.parent / "README.md").read_text()
    untold = [name for name in json.loads(manifest.read_text()).get("config_schema", {})
              if not re.search(r"(?<![\w-])%s(?![\w-])" % re.escape(name), readme)]
    for name in untold:
        print("# %s does not stand in its README" % name)
    print("%sok %d - %s" % ("not " if untold else "", number, manifest.parent.relative_to(root)))
    fine = fine and not untold
sys.exit(0 if fine else 1)
