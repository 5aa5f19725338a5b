"""What a report says to do, by ledgers of which the truth is known, and its words."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from kfp_bayesopt.folder.publish import summary
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.trials import Reason, Steps
from kfp_bayesopt.proposing.recommendation import recommend
from kfp_bayesopt.report.contents import contents
from kfp_bayesopt.session.summary import summary as lines
from kfp_bayesopt.study.study import Study
from tests.builders import a_record, a_study, several
from tests.made_ledgers import BEGIN, INERT, Made, make

LEDGERS = 20
KINDS = ("converged", "bound", "unimportant", "noise", "failures", "idle")


def said(made: Made) -> dict[str, str]:
    """Return the sentences about a ledger by their kinds; `converged` where that is what `progress` says."""
    best = Best.of(made.study, made.ledger)
    if made.study.noisy:
        best = best.model_copy(update={"recommended": recommend(made.study, made.ledger)})
    found = {each["kind"]: each["text"] for each in contents(made.study, made.ledger, best)["advice"]}
    progress = found.get("progress", "")
    return found | ({"converged": progress} if progress.startswith("The search has converged") else {})


def is_right(kind: str, made: Made, sentences: dict[str, str]) -> bool:
    if kind in made.unknown and kind not in sentences:
        return True
    if (kind in sentences) != (kind in made.truth):
        return False
    if kind == "unimportant" and kind in sentences:  # it names those that do nothing, and no other
        named = sentences[kind].partition(" do")[0].split(", ")
        return set(named) <= set(INERT)
    if kind == "failures" and kind in sentences:
        return "drop >=" in sentences[kind]
    if kind == "bound" and kind in sentences:
        return "rate = " in sentences[kind]
    return True


@pytest.fixture(scope="module")
def ledgers() -> list[tuple[Made, dict[str, str]]]:
    """Return the ledgers and what is said of them."""
    return [(made, said(made)) for made in map(make, range(LEDGERS))]


@pytest.mark.long
def test_each_kind_of_sentence_is_right_on_ledgers_of_which_the_truth_is_known(
    ledgers: list[tuple[Made, dict[str, str]]],
) -> None:
    """The limits were set by the ledgers of the seeds 100 to 159, which are not these."""
    right: Counter[str] = Counter()
    for made, sentences in ledgers:
        right.update(kind for kind in KINDS if is_right(kind, made, sentences))
    assert all(right[kind] >= 18 for kind in KINDS), right


@pytest.mark.long
def test_each_kind_is_true_of_some_of_the_ledgers_and_false_of_others(
    ledgers: list[tuple[Made, dict[str, str]]],
) -> None:
    truths = [made.truth for made, _ in ledgers]
    for kind in KINDS:
        assert 3 <= sum(kind in truth for truth in truths) <= LEDGERS - 3, kind


@pytest.mark.long
def test_each_sentence_has_its_number(ledgers: list[tuple[Made, dict[str, str]]]) -> None:
    for _, sentences in ledgers:
        for text in sentences.values():
            assert any(letter.isdigit() for letter in text), text


def test_a_study_of_which_all_trials_failed_says_so() -> None:
    study = a_study()
    ledger = [a_record(study, number, None) for number in (1, 2, 3)]
    found = contents(study, ledger, Best.of(study, ledger))
    assert [each["text"] for each in found["advice"]] == [
        "All 3 trials failed, so that nothing can be said of the parameters. See the reasons below."
    ]


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1.0), ("maximize", -1.0)])
def test_what_is_at_a_bound_follows_the_direction(direction: str, sign: float) -> None:
    study = a_study(direction=direction)
    points = [{"x1": -5.0 + 15.0 * (number % 7) / 6, "x2": 15.0 * number / 29} for number in range(30)]
    ledger = [
        a_record(study, number, sign * float(point["x2"]), parameters=point) for number, point in enumerate(points, 1)
    ]
    found = contents(study, ledger, Best.of(study, ledger))["advice"]
    assert found[0]["text"] == (
        "The best trial is at a bound of the space: x2 = 0.0. Widen it there; better values may lie beyond."
    )


def test_an_asynchronous_study_is_not_told_to_become_one() -> None:
    study = a_study(schedule="asynchronous", iterations=None, trials=8, optimizer={"engine": "gp"})
    assert idle_sentence(study, suggested=True) == (
        "Machines idled for 69 % of 13.0 machine hours (69 % while trials were proposed); longer trials use "
        "them better, or an engine that proposes faster than `gp`."
    )


def test_nothing_is_blamed_where_records_do_not_say_when_trials_were_proposed() -> None:
    study = a_study(schedule="asynchronous", iterations=None, trials=8, optimizer={"engine": "gp"})
    assert idle_sentence(study, suggested=False) == (
        "Machines idled for 69 % of 13.0 machine hours (69 % not known for what); their records do not say "
        "when they were proposed, and longer trials use machines better in any case."
    )


def idle_sentence(study: Study, suggested: bool) -> str:
    """Return what is said of two workers of which each is idle between its trials."""
    ledger = []
    for number in range(1, 9):
        started = (BEGIN + timedelta(hours=number)).isoformat()
        ledger.append(
            a_record(
                study, number, 1.0 / number, parameters={"x1": 1.0, "x2": float(number)}, iteration=None,
                worker=f"vm-{number % 2}:1", started=started, seconds=1800.0,
                suggested=started if suggested else None, startup_seconds=0.0 if suggested else None,
            )
        )  # fmt: skip
    [found] = [
        each["text"] for each in contents(study, ledger, Best.of(study, ledger))["advice"] if each["kind"] == "idle"
    ]
    return str(found)


@pytest.mark.parametrize(
    ("seconds", "startup", "gap", "said_so"),
    [
        ((200, 200), 1, 120, "with `schedule: asynchronous` the other machines go on while a trial is proposed."),
        ((200, 20), 1, 1, "with `schedule: asynchronous` no trial waits for the slowest of its batch."),
        ((200, 200), 120, 1, "with `schedule: asynchronous` each machine starts once."),
    ],
)
def test_the_advice_against_idling_names_what_takes_the_longest(
    seconds: tuple[float, float], startup: float, gap: float, said_so: str
) -> None:
    study = a_study(iterations=5)
    ledger = []
    for number in range(1, 11):
        batch = (number - 1) // 2
        at = BEGIN + timedelta(seconds=batch * (max(seconds) + startup + gap))
        ledger.append(
            a_record(
                study, number, 1.0 / number, iteration=batch + 1, suggested=at.isoformat(), startup_seconds=startup,
                started=(at + timedelta(seconds=startup)).isoformat(), seconds=seconds[number % 2],
            )
        )  # fmt: skip
    [found] = [
        each["text"] for each in contents(study, ledger, Best.of(study, ledger))["advice"] if each["kind"] == "idle"
    ]
    assert found.endswith(said_so), found


@pytest.mark.parametrize(
    ("steps", "said_so"),
    [
        (None, "No trial was stopped early, as none said a value on the way"),
        (Steps(first=1, last=2, count=2, value=1.0), "they are compared from step 3 on, and the last was 2"),
        (Steps(first=1, last=27, count=27, value=1.0), None),
    ],
)
def test_a_rule_that_had_nothing_to_compare_is_told_so(steps: Steps | None, said_so: str | None) -> None:
    study = a_study(early_stopping={"rule": "asha", "max_steps": 27})
    ledger = [a_record(study, trial, float(trial), steps=steps) for trial in (1, 2, 3)]
    kinds = {each["kind"]: each["text"] for each in contents(study, ledger, Best.of(study, ledger))["advice"]}
    assert ("nothing to compare" in kinds) == (said_so is not None)
    assert said_so is None or said_so in kinds["nothing to compare"]


@pytest.mark.parametrize(
    ("fails", "breaks", "said_so"),
    [
        (True, False, "Failures lie together: {} failed, {}. Leave that part out of the space, or mend it."),
        (False, True, "Trials that break a limit lie together: {} broke a limit, {}. Leave that part out of the space, "
         "or widen the limit."),
        (True, True, "Failures lie together: {} failed or broke a limit, {}. Leave that part out of the space, or mend "
         "it, or widen the limit."),
    ],
)  # fmt: skip
def test_trials_that_failed_are_told_from_those_that_break_a_limit(fails: bool, breaks: bool, said_so: str) -> None:
    study = a_study(objective={"python": "a:b", "value": "loss"}, limits={"size": "<= 10"}, iterations=20)
    ledger = []
    for number in range(1, 41):
        high = number % 4 == 0
        point = {"x1": -5.0 + number % 7, "x2": 14.0 if high else float(number % 9)}
        record = a_record(study, number, None if high and fails and (number % 8 == 0 or not breaks) else 1.0 * number,
                          parameters=point)  # fmt: skip
        if record.state == "completed":
            size = 20.0 if high and breaks else 5.0
            record = record.model_copy(update={"values": {**record.values, "size": size}})
        ledger.append(record)
    [found] = [
        each["text"] for each in contents(study, ledger, Best.of(study, ledger))["advice"] if each["kind"] == "failures"
    ]
    assert found == said_so.format("10 of 10 trials with x2 >= 14.0", "0 of 30 elsewhere")


def test_trials_that_had_too_little_memory_are_no_fault_of_their_parameters() -> None:
    study = a_study(iterations=2)
    reason = Reason(kind="memory", message="the objective had 219 MiB of memory")
    point = {"x1": 0.0, "x2": 1.0}
    ledger = [
        a_record(study, number, None if number == 2 else 1.0, parameters={**point, "x2": float(number)}).model_copy(
            update={"reason": reason if number == 2 else None}
        )
        for number in (1, 2, 3)
    ]
    [sentence] = [
        each["text"] for each in contents(study, ledger, Best.of(study, ledger))["advice"] if each["kind"] == "memory"
    ]
    assert sentence == (
        "1 of 3 trials had too little memory and count as failed. Give trials more, and evaluate the failed ones again."
    )


def test_of_several_objectives_nothing_is_said_that_is_true_of_one_alone() -> None:
    study = several(iterations=20)
    ledger = [
        a_record(study, number, 1.0, parameters={"x1": -5.0, "x2": number / 3}).model_copy(
            update={"values": {"accuracy": number / 40, "latency": float(number)}}
        )
        for number in range(1, 41)
    ]
    assert contents(study, ledger, Best.of(study, ledger))["advice"] == []


def test_a_model_that_could_not_be_kept_is_said_first_of_the_best_trial() -> None:
    study = a_study()
    ledger = [
        a_record(study, n, float(value), output_missing=f"w{n}: no room") for n, value in ((1, 3), (2, 1), (3, 2))
    ]
    best = Best.of(study, ledger)
    said = "he model of trial 2 is missing: w2: no room, and so are those of 2 more"
    assert best.models_missing == f"t{said}"
    assert f"\nT{said}.\n" in summary(best)
    assert f"\nt{said}\n" in lines(best)
    [sentence] = [each for each in contents(study, ledger, best)["advice"] if each["kind"] == "models missing"]
    assert sentence["text"] == (f"T{said}. Its value counts; evaluate it again with its parameters for the model.")
    assert (
        Best.of(study, [record.model_copy(update={"output_missing": None}) for record in ledger]).models_missing is None
    )
