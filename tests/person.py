"""Somebody with a repository of their own, on a machine with Python, pipx and a browser, who installs the wheel."""

from __future__ import annotations

import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests import ROOT
from tests.installed import an_environment, install

# Does what pipx does, with packages of this machine as tests have no network: the command is where a shell finds it.
PIPX = """\
#!/bin/sh
[ "$1" = install ] || exit 2
for wheel; do :; done
case "$wheel" in *"[kfp]") environment={with_kfp} ;; *) environment={plain} ;; esac
[ -e "${{wheel%%\\[*}}" ] && mkdir -p {home}/.local/bin && ln -sf $environment/bin/bayesopt {home}/.local/bin/bayesopt
"""
# The packages that a script requires are in its environment already.
PIP = '#!/bin/sh\n[ "$1 $2" = "install -r" ] && [ -e "$3" ]\n'
BROWSER = '#!/bin/sh\necho "$1" > {home}/address\n'


@dataclass(frozen=True)
class Person:
    """What they have.

    Attributes:
        repository: Their repository, with the files of a page.
        home: Their home, where pipx puts commands.
        variables: Those of their shell.
    """

    repository: Path
    home: Path
    variables: dict[str, str]

    def types(self, *lines: str) -> subprocess.CompletedProcess[str]:
        """Run lines in one shell at the root of the repository."""
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
            cwd=self.repository, env=self.variables, capture_output=True, text=True, timeout=900,
        )  # fmt: skip

    def serves(self, *lines: str) -> subprocess.Popen[str]:
        """Run lines in one shell, the last of which goes on until it is ended."""
        *before, last = lines
        command = ["bash", "-c", " && ".join([*before, f"exec {last}"])]
        return subprocess.Popen(command, cwd=self.repository, env=self.variables, stdout=subprocess.PIPE, text=True)

    def opened(self) -> str:
        """The address that the browser was opened with, once it is there."""
        file = self.home / "address"
        while not (file.exists() and file.read_text().endswith("\n")):
            time.sleep(0.02)
        return file.read_text().strip()


def a_person(page: str, wheel: Path, folder: Path, *, with_kfp: bool = False) -> Person:
    """Return somebody who has the files of a page, and an environment in `iris/.venv` in which their script runs.

    Args:
        page: Text with blocks of files, and the path of the wheel as it is typed.
        wheel: The wheel.
        folder: An empty folder for all that they have.
        with_kfp: They install the extra `kfp` too.
    """
    home, repository, programs = (folder / name for name in ("home", "repository", "programs"))
    for each in (home, repository, programs):
        each.mkdir()
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    for name, content in re.findall(r"^```\w+ ([\w./-]+)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(content)
    (named,) = set(re.findall(r"\./(\S*?kfp_bayesopt-\S+?\.whl)", page))
    (repository / named).parent.mkdir(exist_ok=True)
    (repository / named).symlink_to(wheel)
    _environment_of_the_script(repository / "iris" / ".venv")
    plain = install(wheel, an_environment(folder / "plain")).folder
    large = folder / "large"
    if with_kfp:
        install(wheel, an_environment(large, ROOT / "pipeline" / "cloud" / "requirements.txt"))
    for name, text in {"pipx": PIPX.format(home=home, plain=plain, with_kfp=large), "pip": PIP}.items():
        _program(programs / name, text)
    _program(programs / "browser", BROWSER.format(home=home))
    path = os.pathsep.join([str(home / ".local/bin"), str(programs), "/usr/local/bin", "/usr/bin", "/bin"])
    return Person(repository, home, {"PATH": path, "HOME": str(home), "BROWSER": f"{programs}/browser %s"})


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _environment_of_the_script(folder: Path) -> None:
    """Make an environment that finds the packages of the benchmarks, of the versions that the quickstart requires."""
    theirs = "import pathlib, sklearn; print(pathlib.Path(sklearn.__file__).parents[1])"
    packages = subprocess.run(
        [str(ROOT / ".venv-peers" / "bin" / "python"), "-c", theirs], capture_output=True, text=True, check=True
    )
    (found,) = an_environment(folder, None).folder.glob("lib/python*/site-packages")
    (found / "theirs.pth").write_text(packages.stdout)
