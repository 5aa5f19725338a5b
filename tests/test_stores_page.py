"""The settings that the page about stores shows: each example reaches a store, of moto and Azurite."""

from __future__ import annotations

import os
import re
import shlex

import pytest

from kfp_bayesopt.store import storage
from kfp_bayesopt.store.objects.az import az
from kfp_bayesopt.store.objects.s3 import minio, s3
from kfp_bayesopt.store.stores import REMOTES
from tests import ROOT, fake_azure, fake_s3

PAGE = (ROOT / "docs/stores.md").read_text()
EXAMPLES = [each for each in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) if each.startswith("export ")]
KEYS = {"AccountKey=…": f"AccountKey={fake_azure.KEY}", "myaccount": fake_azure.ACCOUNT}


def _scheme(example: str) -> str:
    found = re.search(r"--root (\w+)://", example)
    assert found
    return found[1]


def _reached(example: str, address: str, monkeypatch: pytest.MonkeyPatch, make_bucket: object) -> None:
    """Take the settings of an example for a store at another address, and write below its root."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "BAYESOPT_"))]:
        monkeypatch.delenv(name)
    for line in example.splitlines():
        for word in shlex.split(line)[1:] if line.startswith("export ") else []:
            name, _, value = word.partition("=")
            for shown, meant in KEYS.items():
                value = value.replace(shown, meant)
            value = fake_azure.KEY if name == "AZURE_STORAGE_ACCOUNT_KEY" else value.replace("…", "secret")
            if name != "BAYESOPT_CA_BUNDLE":  # of an address that is not this one
                monkeypatch.setenv(name, re.sub(r"https?://[\w.:]+(/\w+)?", address, value))
    for each in (s3, minio, az):
        each.forget()
    root = re.search(r"--root (\S+)", example)
    assert root
    assert callable(make_bucket)
    make_bucket(address, root[1].split("/")[2])
    storage.create(f"{root[1]}/study.yaml", b"content")
    assert [entry.uri for entry in storage.entries(f"{root[1]}/")] == [f"{root[1]}/study.yaml"]
    for each in (s3, minio, az):
        each.forget()


def test_there_is_an_example_for_each_scheme() -> None:
    assert {_scheme(example) for example in EXAMPLES} == {"s3", "minio", "az"}
    for each in REMOTES:
        assert f"| `{each.scheme}://" in PAGE


@pytest.mark.parametrize("example", [each for each in EXAMPLES if _scheme(each) != "az"])
def test_the_settings_of_an_example_reach_a_store(
    s3_server: str, example: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_s3.empty(s3_server)
    if "AWS_REGION" in example:  # the one of Amazon itself, whose address is not to be given
        example = example.replace("AWS_REGION", f"AWS_ENDPOINT_URL={s3_server} AWS_REGION")
    _reached(example, s3_server, monkeypatch, fake_s3.make_bucket)


@pytest.mark.long
@pytest.mark.parametrize("example", [each for each in EXAMPLES if _scheme(each) == "az"])
def test_the_settings_of_an_example_reach_azure(
    azure_server: str, example: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "CONNECTION" not in example:
        example = example.replace("export ", f"export AZURE_STORAGE_ENDPOINT={azure_server} ")
    _reached(example, azure_server, monkeypatch, fake_azure.make_container)
