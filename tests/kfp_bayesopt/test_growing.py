"""What follows from a ledger costs only what is new in it, and is what it would be from the beginning."""

from __future__ import annotations

import random

from kfp_bayesopt.folder.trials import Record, digest_of, growing_digest
from kfp_bayesopt.growing import Growing
from kfp_bayesopt.space.goals import Standing, growing_standing
from tests.builders import a_record, a_study

STUDY = a_study()


def ledgers() -> list[list[Record]]:
    """Return what a worker knows after each trial: some end late, and one gets another record."""
    numbers = random.Random(1)
    records = [a_record(STUDY, trial, numbers.random()) for trial in range(1, 41)]
    found = [[record for record in records[:last] if record.trial % 7 or last > record.trial + 9] for last in range(41)]
    again = [*records[:3], a_record(STUDY, 4, 0.0, attempt=2), *records[4:]]
    return [*found, again, records[:5], [], records]


def test_a_digest_that_grows_is_that_of_the_whole_ledger() -> None:
    digest = growing_digest()
    assert [digest(ledger) for ledger in ledgers()] == [digest_of(ledger) for ledger in ledgers()]


def test_what_is_best_of_a_ledger_that_grows_is_what_is_best_of_the_whole_one() -> None:
    standings: Growing[Record, Standing[Record]] = growing_standing(STUDY)
    for ledger in ledgers():
        whole = Standing[Record](STUDY)
        for record in ledger:
            whole.add(record)
        assert standings.of(ledger).best == whole.best


def test_only_what_is_new_is_taken_in() -> None:
    taken: list[int] = []

    def add(total: int, item: int) -> int:
        taken.append(item)
        return total + item

    growing: Growing[int, int] = Growing(0, add)
    one, two, three, other = 1001, 2002, 3003, 4004
    assert [growing.of(items) for items in ([one, two], [one, two, three], [one, other], [one], [])] == [
        3003, 6006, 5005, 1001, 0,
    ]  # fmt: skip
    assert taken == [one, two, three, other]
