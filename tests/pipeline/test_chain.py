"""The chain: what a step reads is what an earlier step has written, and no two steps write the same."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pipeline.chain import Chain

ITERATIONS, TRIALS = 3, 2


def steps(chain: Chain) -> Iterator[list[str]]:
    yield chain.init()
    for iteration in range(1, ITERATIONS + 1):
        for index in range(TRIALS):
            yield chain.evaluate(iteration, index)
        yield chain.update(iteration, TRIALS)


def reads_and_writes(arguments: list[str]) -> tuple[set[str], set[str]]:
    """Return the paths that a step reads and those that it writes."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    options.pop("--index", None)
    records = json.loads(options.pop("--records", "[]"))
    writes = {path for name, path in options.items() if name.endswith("-out")}
    return {*options.values(), *records} - writes, writes


def test_every_step_reads_what_was_written_before_and_writes_what_nobody_has() -> None:
    chain = Chain("gs://bucket/study.yaml", "gs://bucket/run")
    there = {chain.study}
    for arguments in steps(chain):
        reads, writes = reads_and_writes(arguments)
        assert reads <= there
        assert not writes & there
        there |= writes


def test_every_path_lies_under_the_root() -> None:
    chain = Chain("study.yaml", "gs://bucket/run")
    for arguments in steps(chain):
        _, writes = reads_and_writes(arguments)
        assert all(path.startswith("gs://bucket/run/") for path in writes)


def test_update_reads_the_records_of_its_iteration() -> None:
    arguments = Chain("study.yaml", "out").update(2, 3)
    assert json.loads(arguments[arguments.index("--records") + 1]) == [
        "out/iteration-2/record-0.json",
        "out/iteration-2/record-1.json",
        "out/iteration-2/record-2.json",
    ]
