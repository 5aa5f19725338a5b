"""Puts a Python of our own into /opt/bayesopt, which runs in any Linux image of the same processor.

`assemble.py FOLDER` copies the interpreter that runs it: the program, the standard library except for modules that no
step imports, every shared library that these and the packages in FOLDER are linked with, and the loader that starts
them. It uses no library of the image: two C libraries in one process crash.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

# Tests, interactive tools, windows, databases and servers, with the libraries that only these are linked with.
LEFT_OUT = {
    "__pycache__", "config-*", "curses", "_curses*", "_dbm*", "ensurepip", "_gdbm*", "idlelib", "lib2to3", "pydoc_data",
    "readline*", "site-packages", "sqlite3", "_sqlite3*", "test", "_test*", "tkinter", "_tkinter*", "turtle.py",
    "turtledemo", "venv", "wsgiref", "xmlrpc", "_xxtestfuzz*", "*.a",
}  # fmt: skip
# Loaded by the C library when needed: for the end of threads, and names of hosts and users.
LOADED_LATER = ("libgcc_s.so.1", "libresolv.so.2", "libnss_dns.so.2", "libnss_files.so.2")


def main(runtime: Path) -> None:
    """Assemble the runtime."""
    library = runtime / "lib"
    standard = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(standard, library / standard.name, ignore=shutil.ignore_patterns(*LEFT_OUT))
    program = library / "interpreter"
    shutil.copy(Path(sys.executable).resolve(), program)
    binaries = [program, *(path for path in runtime.rglob("*.so*") if path.is_file() and not path.is_symlink())]
    subprocess.run(["strip", "--strip-unneeded", *binaries], check=False, stderr=subprocess.DEVNULL)  # noqa: S607
    linked = [line for path in binaries for line in linked_with(path)]
    (loader,) = {path for name, path in linked if name == path}
    beside = Path(dict(linked)["libc.so.6"]).parent
    found = {name: beside / name for name in LOADED_LATER} | {name: Path(path) for name, path in linked}
    found["loader"] = Path(found.pop(loader))
    for name, path in found.items():
        # A package finds its bundled libraries by itself.
        if path.exists() and not path.is_relative_to(runtime):
            shutil.copy(path.resolve(), library / name)
    # Some of a package find each other only once they are loaded.
    there = {path.name for path in runtime.rglob("*.so*")}
    if missing := {name for name, path in linked if path == "not found" and name not in there}:
        sys.exit(f"no library is there for {', '.join(sorted(missing))}")


def linked_with(path: Path) -> list[tuple[str, str]]:
    """Return the libraries that a program or library needs: their names, and their paths."""
    printed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout  # noqa: S607
    named = re.findall(r"^\t(\S+) => (not found|\S+) ?", printed, re.MULTILINE)
    return named + [(found, found) for found in re.findall(r"^\t(/\S+) \(", printed, re.MULTILINE)]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
