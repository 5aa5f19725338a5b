"""Writes a bill of materials of each image, as CycloneDX: `make sbom`."""

from __future__ import annotations

import argparse
import importlib.metadata
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement

from kfp_bayesopt.extras import LAYER
from kfp_bayesopt.steps import STEPS
from kfp_bayesopt.version import __version__
from locks import ROOT
from locks.closed import MACHINES, pins_for, read_requirements

# The classifiers that packages give in place of a licence.
CLASSIFIER = "License :: OSI Approved :: "


def main() -> None:
    """Write a bill of materials for each image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/sbom"), help="folder to write to")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, step in STEPS.items():
        for image, locks in ((name, (step.lock,)), (f"{name}-{LAYER}", (step.lock, "obstore/requirements.txt"))):
            path = out / f"{image}.cdx.json"
            path.write_text(bill(image, *(ROOT / "images" / lock for lock in locks)) + "\n")
            print(path)


def bill(name: str, *locks: Path) -> str:
    """Return the bill of materials of an image, by its locks, as CycloneDX 1.6."""
    bom = Bom()
    bom.metadata.component = Component(name=f"kfp-bayesopt-{name}", version=__version__, type=ComponentType.CONTAINER)
    for lock in locks:
        for pin in pins_for(MACHINES[0], read_requirements(lock)).values():
            bom.components.add(component(pin, hashes_of(lock, pin.name)))
    bom.register_dependency(bom.metadata.component, bom.components)
    text: str = JsonV1Dot6(bom).output_as_string(indent=1)
    return text


def component(pin: Requirement, hashes: list[str]) -> Component:
    """Return a locked package with its hashes, and its licence from the installed package."""
    version = str(pin.specifier).removeprefix("==")
    return Component(
        name=pin.name,
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{pin.name}=={version}",
        purl=PackageURL("pypi", name=pin.name, version=version),
        licenses=[license_of(pin.name)],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each) for each in hashes],
    )


def license_of(name: str) -> License:
    """Return the licence that a package declares."""
    metadata = importlib.metadata.metadata(name)
    if given := metadata.get_all("License-Expression"):
        return LicenseFactory().make_from_string(given[0])
    classifiers = [each.removeprefix(CLASSIFIER) for each in metadata.get_all("Classifier", []) if CLASSIFIER in each]
    text = " and ".join(classifiers) or (metadata.get_all("License") or [""])[0].strip().partition("\n")[0]
    if not text:
        raise ValueError(f"{name}: says no licence")
    return LicenseFactory().make_from_string(text)


def hashes_of(lock: Path, name: str) -> list[str]:
    """Return the hashes that a lock allows for a package."""
    found: list[str] = []
    inside = False
    for line in lock.read_text().splitlines():
        if line and not line[0].isspace():
            inside = line.partition("==")[0].lower() == name.lower()
        if inside and "--hash=sha256:" in line:
            found.append(line.partition("--hash=sha256:")[2].split()[0])
    return found


if __name__ == "__main__":
    main()
