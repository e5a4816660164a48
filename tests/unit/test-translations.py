# SPDX-License-Identifier: Apache-2.0
"""What desktops show is in po/, all of it, in every language there: test-translations.py SOURCE POLICY [DESKTOP-ENTRY], the latter two as they
are installed."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
from xml.etree import ElementTree

SOURCE, POLICY, *DESKTOP = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
PO = SOURCE / "po"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"
KEYWORDS = ("_", "N_", "ngettext:1,2", "C_:1c,2", "NC_:1c,2")
SHOWN = ("description", "message")


def entries(name):
    return [line for line in (PO / name).read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]


def run(*command, **options):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          env={**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": "", "GETTEXTDATADIRS": str(PO)}, **options)


def template(directory):
    """What there is to be translated, as `meson compile cloudsnooze-pot` finds it."""
    pot = pathlib.Path(directory, "cloudsnooze.pot")
    result = run("xgettext", "--from-code=UTF-8", *(f"--keyword={keyword}" for keyword in KEYWORDS), "-D", SOURCE, "-f", PO / "POTFILES.in", "-o", pot)
    assert result.returncode == 0, result.stderr
    return pot


def without_translations(action):
    """Everything that polkit reads of it, but for what it shows in other languages."""
    return [(element.tag, element.attrib, element.text.strip()) for element in action.iter() if LANG not in element.attrib and element.text]


class Sources(unittest.TestCase):
    def test_every_file_with_something_to_translate_is_listed(self):
        found = {path for pattern in ("*.policy", "*.desktop.in") for path in (SOURCE / "data").rglob(pattern)}
        for top in ("src", "plugins", "providers"):
            for path in (SOURCE / top).rglob("*.[ch]"):
                if re.search(r"\b(_|N_|C_|NC_|n?gettext)\(\s*\"", path.read_text(encoding="utf-8")):
                    found.add(path)
        self.assertEqual(entries("POTFILES.in"), sorted(str(path.relative_to(SOURCE)) for path in found))

    def test_the_command_line_is_not_translated(self):
        """Documents and scripts quote its words."""
        self.assertEqual([path for path in entries("POTFILES.in") if path.startswith("src/") and not path.startswith("src/desktop/")], [])


class Catalogues(unittest.TestCase):
    def test_those_that_are_there_are_listed(self):
        self.assertEqual(entries("LINGUAS"), sorted(path.stem for path in PO.glob("*.po")))

    def test_each_is_sound(self):
        for language in entries("LINGUAS"):
            with self.subTest(language=language):
                result = run("msgfmt", "--check", "--check-accelerators=_", "-o", "/dev/null", PO / f"{language}.po")
                self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_each_is_complete_certain_and_has_nothing_else(self):
        with tempfile.TemporaryDirectory() as directory:
            pot = template(directory)
            for language in entries("LINGUAS"):
                with self.subTest(language=language):
                    # It names what is missing, empty, fuzzy, or not in the template.
                    result = run("msgcmp", PO / f"{language}.po", pot)
                    self.assertEqual((result.returncode, result.stderr), (0, ""))
                    self.assertNotIn("\n#~ ", (PO / f"{language}.po").read_text(encoding="utf-8"))

    def test_each_names_its_language(self):
        for language in entries("LINGUAS"):
            self.assertIn(f'"Language: {language}\\n"', (PO / f"{language}.po").read_text(encoding="utf-8"))


class Installed(unittest.TestCase):
    def test_the_actions_are_those_of_the_source(self):
        ours = ElementTree.parse(SOURCE / "data/polkit-1/actions" / POLICY.name).getroot()
        self.assertEqual([without_translations(action) for action in ElementTree.parse(POLICY).getroot()],
                         [without_translations(action) for action in ours])

    def test_each_action_says_in_every_language_what_is_asked(self):
        for action in ElementTree.parse(POLICY).getroot().findall("action"):
            for shown in SHOWN:
                with self.subTest(action=action.get("id"), shown=shown):
                    texts = {element.get(LANG): element.text for element in action.findall(shown)}
                    self.assertEqual(sorted(language for language in texts if language), entries("LINGUAS"))
                    self.assertEqual(len(texts), len(set(texts.values())), texts)
                    # polkit puts in their place what the call asks for.
                    for text in texts.values():
                        self.assertEqual(re.findall(r"\$\(\w+\)", text), re.findall(r"\$\(\w+\)", texts[None]), texts)

    def test_the_one_without_a_language_comes_first(self):
        for action in ElementTree.parse(POLICY).getroot().findall("action"):
            for shown in SHOWN:
                self.assertNotIn(LANG, action.find(shown).attrib, action.get("id"))

    @unittest.skipUnless(DESKTOP, "impossible here: built without the desktop's pieces")
    def test_the_entry_of_the_desktop_is_translated(self):
        text = DESKTOP[0].read_text(encoding="utf-8")
        for language in entries("LINGUAS"):
            self.assertRegex(text, rf"\nComment\[{language}\]=.")
        ours = (SOURCE / "data/xdg" / (DESKTOP[0].name + ".in")).read_text(encoding="utf-8")
        left = re.sub(r"\n\w+\[\w+\]=.*", "", text)
        self.assertEqual(re.sub(r"=/.*/", "=", left), re.sub(r"=@.*/", "=", ours))


if __name__ == "__main__":
    sys.path.insert(0, str(SOURCE / "tests/bus"))
    import tap
    del sys.argv[1:]
    tap.main()
