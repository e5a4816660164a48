# SPDX-License-Identifier: Apache-2.0
"""What a packager begins with: the archive of `meson dist` has what git has and can be configured; and with what an author of plugins gets
from `meson install`, headers, library and pkg-config file, a plugin builds and runs. Arguments: the source tree, the compiler."""

import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile

SOURCE = pathlib.Path(sys.argv[1])
COMPILER = sys.argv[2:]

PLUGIN = r"""
#include <snooze/plugin.h>

static int check_idle(SnoozePluginCall *call, const SnoozePluginDictionary *metrics, void *userdata) {
        return snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_IDLE, "always");
}

int main(int argc, char *argv[]) {
        const SnoozePlugin plugin = { .size = sizeof(SnoozePlugin), .id = "tiny", .version = "1.0.0", .check_idle = check_idle };

        return snooze_plugin_main(&plugin, argc, argv);
}
"""


def run(*command, **options):
    # git looks at a tree of another user, as a mounted one may be, only where that is said; it reads nobody's settings.
    environment = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_COUNT": "1",
                   "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*", **options.pop("environment", {})}
    result = subprocess.run([str(word) for word in command], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, check=False, **options)
    if result.returncode:
        raise AssertionError(f"{command[0]}: exit status {result.returncode}\n{result.stdout[-3000:]}")
    return result.stdout


def configure(source, build, *options):
    """Only the library's own parts, with an installation that a package would have."""
    run("meson", "setup", "--prefix=/usr", "--libdir=lib", "--sysconfdir=/etc", "-Dauto_features=disabled", "-Dtests=false", "-Dwerror=true",
        *options, build, source, environment={"CC": " ".join(COMPILER)})


def archive_is_what_git_has(work):
    """meson dist makes an archive of exactly the files that git has"""
    configure(SOURCE, work / "build")
    # What is not committed is no part of it, and no reason to refuse.
    run("meson", "dist", "-C", work / "build", "--no-tests", "--formats", "gztar", "--allow-dirty")
    archive, = (work / "build/meson-dist").glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        packed = {name.split("/", 1)[1] for name in (member.name for member in tar if not member.isdir())}
        tar.extractall(work / "unpacked")
    committed = set(run("git", "-C", SOURCE, "ls-tree", "-r", "--name-only", "-z", "HEAD").rstrip("\0").split("\0"))
    assert packed == committed, f"{sorted(packed ^ committed)[:10]}"


def archive_can_be_configured(work):
    """what is in the archive can be configured, and the library built"""
    source, = (work / "unpacked").iterdir()
    assert not (source / ".git").exists()
    configure(source, work / "other")
    run("meson", "compile", "-C", work / "other", "snooze-plugin:shared_library")


def plugin_builds_against_it(work):
    """a plugin builds with what pkg-config says of the installed library, and runs"""
    stage, libraries = work / "stage", work / "stage/usr/lib"
    run("meson", "install", "-C", work / "other", "--no-rebuild", "--tags", "devel", "--destdir", stage)
    # With the tag of a package's users comes all else that runs, too; so the library is put where that installs it.
    for library in (work / "other/src/sdk").glob("libsnooze-plugin.so.*"):
        if not library.is_dir():
            (libraries / library.name).write_bytes(library.read_bytes())
    environment = {"PKG_CONFIG_PATH": str(libraries / "pkgconfig"), "PKG_CONFIG_SYSROOT_DIR": str(stage)}
    flags = run("pkg-config", "--cflags", "--libs", "libsnooze-plugin", environment=environment).split()
    assert "-lsnooze-plugin" in flags, flags
    for variable, directory in (("plugindir", "/usr/lib/cloudsnooze/plugins"), ("localplugindir", "/etc/cloudsnooze/plugins")):
        assert run("pkg-config", f"--variable={variable}", "libsnooze-plugin",
                   environment={"PKG_CONFIG_PATH": environment["PKG_CONFIG_PATH"]}).strip() == directory
    (work / "tiny.c").write_text(PLUGIN)
    run(*COMPILER, "-Wall", "-Werror", "-o", work / "tiny", work / "tiny.c", *flags, f"-Wl,-rpath-link,{libraries}")
    described = json.loads(run(work / "tiny", "--describe", environment={"LD_LIBRARY_PATH": str(libraries)}))
    assert (described["name"], described["contracts"]) == ("tiny", ["IdleCheck"]), described


def main():
    if not (SOURCE / ".git").exists():
        print("1..0 # SKIP impossible here: this tree is no repository of git, from which an archive is made")
        return 0
    cases = (archive_is_what_git_has, archive_can_be_configured, plugin_builds_against_it)
    print(f"1..{len(cases)}")
    with tempfile.TemporaryDirectory(prefix="snooze-dist-") as work:
        for number, case in enumerate(cases, 1):
            try:
                case(pathlib.Path(work))
            except Exception as problem:  # Those that follow need what it should have made.
                print(f"not ok {number} - {case.__doc__}")
                for line in f"{type(problem).__name__}: {problem}".splitlines():
                    print("#", line)
                return 1
            print(f"ok {number} - {case.__doc__}", flush=True)
    return 0


sys.exit(main())
