"""What `make plan` says: hours, machines, money, and what it assumed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kfp_bayesopt.cli.commands.building_commands import check
from kfp_bayesopt.cli.commands.plan_command import plan
from kfp_bayesopt.errors import UserError
from kfp_bayesopt_pipeline import shipped
from kfp_bayesopt_pipeline.plan.prices import read_prices
from kfp_bayesopt_pipeline.preflight.limits import MACHINE_TYPE
from tests.builders import a_batch, a_record, a_study, study_text, write_folder

MACHINE = {"machine_type": "n1-standard-8", "accelerator_type": "NVIDIA_TESLA_T4", "accelerator_count": 2}
GP = {"engine": "gp"}


def planned(tmp_path: Path, *options: str, **changes: object) -> Result:
    study = tmp_path / "study.yaml"
    study.write_bytes(study_text(**{"optimizer": GP, **changes}))
    return CliRunner().invoke(plan, [str(study), "--out", str(tmp_path / "out"), *options])


def rows(output: str) -> dict[str, list[str]]:
    """Return the cells of each way, by its name."""
    lines = [line[2:] for line in output.splitlines() if re.match(r"[* ] (batches|asynchronous)", line)]
    return {cells[0]: cells[1:] for cells in (re.split(r"  +", line) for line in lines)}


def test_each_schedule_has_hours_machines_and_a_price(tmp_path: Path) -> None:
    ended = planned(tmp_path, "--trial-minutes", "5", iterations=4, parallel_trials=4)
    assert ended.exit_code == 0, ended.output
    assert list(rows(ended.output)) == ["batches, on demand", "asynchronous, on demand"]
    assert all(cells[-1].endswith(" USD") for cells in rows(ended.output).values())
    assert ended.output.startswith(
        "16 trials, 4 at once on machines of plain steps\n"
        "a trial takes 5.0 min, 10 % take over 9.5 min (by TRIAL_MINUTES)\n"
    )
    assert "* batches, on demand" in ended.output
    assert "- spot machines need a machine_type\n" in ended.output
    assert max(map(len, ended.output.splitlines())) <= 80


def test_machines_of_ones_own_may_be_spot(tmp_path: Path) -> None:
    ended = planned(tmp_path, "--trial-minutes", "60", steps={"evaluate": {**MACHINE, "spot": True}})
    found = rows(ended.output)
    assert len(found) == 4
    low, spot = (float(found[f"batches, {way}"][-1].split()[0]) for way in ("on demand", "spot"))
    assert 0.3 < spot / low < 0.6
    assert "* batches, spot" in ended.output
    # A machine and two accelerators.
    assert f"- {0.437 + 2 * 0.403:.3f} USD an hour for a machine that evaluates" in ended.output


@pytest.mark.parametrize("target", ["kfp", "here"])
def test_where_nothing_has_a_price_hours_are_told(target: str, tmp_path: Path) -> None:
    ended = planned(tmp_path, "--trial-minutes", "5", "--target", target)
    assert ended.exit_code == 0
    assert "USD" not in ended.output
    assert list(rows(ended.output)) == ["batches", "asynchronous"]


def test_early_stopping_is_not_counted_and_the_plan_says_so(tmp_path: Path) -> None:
    rule = {"rule": "asha", "max_steps": 27}
    whole = planned(tmp_path, "--trial-minutes", "5").output
    ended = planned(tmp_path, "--trial-minutes", "5", early_stopping=rule).output
    assert rows(ended) == rows(whole)
    assert "- every trial runs whole, though early_stopping ends some of them sooner\n" in ended
    assert "early_stopping" not in whole


def test_an_engine_for_batches_alone_has_one_schedule(tmp_path: Path) -> None:
    ended = planned(tmp_path, "--trial-minutes", "5", optimizer={"engine": "skopt"})
    assert list(rows(ended.output)) == ["batches, on demand"]


def test_records_that_are_there_tell_how_long_a_trial_takes(tmp_path: Path) -> None:
    study = a_study(iterations=8, optimizer=GP)
    batch = a_batch(study, [{"x1": 1.0, "x2": 2.0}] * 4)
    records = [a_record(study, trial, 0.5).model_copy(update={"seconds": 600.0}) for trial in range(1, 5)]
    write_folder(str(tmp_path / "out"), study, batch, records)
    ended = planned(tmp_path, iterations=8)
    assert ended.exit_code == 0, ended.output
    assert ended.output.startswith("16 trials, 4 of them done, 2 at once")
    assert f"a trial takes 10.0 min, 10 % take over 15.7 min (by 4 trials in {tmp_path}/out)" in ended.output


def test_trials_that_were_stopped_or_failed_are_done_and_say_nothing_of_how_long_a_whole_one_takes(
    tmp_path: Path,
) -> None:
    rule = {"rule": "asha", "max_steps": 27}
    study = a_study(iterations=8, optimizer=GP, early_stopping=rule)
    batch = a_batch(study, [{"x1": 1.0, "x2": 2.0}] * 6)
    states: list[dict[str, Any]] = [{"state": "stopped"}, {"value": None}, *[{}] * 3]
    records = [
        a_record(study, trial, **{"value": 0.5, **each}).model_copy(
            update={"seconds": 6.0 if each else 600.0}
        )
        for trial, each in enumerate(states, 1)
    ]  # fmt: skip
    write_folder(str(tmp_path / "out"), study, batch, records)
    ended = planned(tmp_path, iterations=8, early_stopping=rule)
    assert ended.output.startswith("16 trials, 5 of them done, 2 at once")
    assert f"a trial takes 10.0 min, 10 % take over 16.4 min (by 3 trials in {tmp_path}/out)" in ended.output


def test_where_no_time_is_known_it_says_how_to_tell(tmp_path: Path) -> None:
    ended = planned(tmp_path)
    assert ended.exit_code == 1
    assert ended.output == (
        "Error: how long a trial takes is not known: give TRIAL_MINUTES=, run `make check`, which times one trial, or "
        f"let 3 trials end in {tmp_path}/out\n"
    )


def test_the_trial_that_was_checked_tells_how_long_one_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = tmp_path / "study.yaml"
    command = ["sh", "-c", "sleep 0.3; echo $0", "{x1}", "{x2}"]
    study.write_bytes(study_text(optimizer=GP, objective={"command": command}))
    checked = CliRunner().invoke(check, [str(study)])
    assert checked.exit_code == 0, checked.output
    ended = CliRunner().invoke(plan, [str(study), "--target", "here"])
    assert ended.exit_code == 0, ended.output
    assert re.search(r"^a trial takes [\d.]+ s, .*\(by `make check`, on this machine\)$", ended.output, re.MULTILINE)
    (noted,) = tmp_path.glob("out/branin/checked-*.json")
    noted.write_text("damaged")
    assert CliRunner().invoke(plan, [str(study)]).exit_code == 1


def test_a_machine_without_a_price_is_said(tmp_path: Path) -> None:
    ended = planned(tmp_path, "--trial-minutes", "5", steps={"evaluate": {"machine_type": "n9-standard-8"}})
    assert ended.output.endswith(
        "Error: prices.yaml: machines has no price of n9-standard-8; add it in a prices.yaml of your repository\n"
    )


def test_the_prices_of_the_repository_are_of_machines_and_accelerators_that_exist() -> None:
    from google.cloud.aiplatform_v1.types import AcceleratorType

    prices = read_prices()
    assert all(MACHINE_TYPE.fullmatch(name) for name in prices.machines)
    assert prices.plain_step.machine in prices.machines
    assert prices.accelerators.keys() <= AcceleratorType.__members__.keys()


def test_the_prices_of_a_persons_repository_go_before_the_list_prices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "prices.yaml").write_text(shipped.PRICES.read_text().replace("currency: USD", "currency: EUR"))
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert read_prices().currency == "EUR"
    assert read_prices(shipped.PRICES).currency == "USD"


def test_a_plain_step_that_is_larger_costs_more() -> None:
    prices = read_prices()

    def hour(**step: object) -> float:
        return prices.of_trials(a_study(steps={"evaluate": step}), spot=False)

    assert hour() == prices.machines["e2-standard-4"]
    assert hour(cpu=8) == 2 * hour()
    assert hour(memory="48G") == 3 * hour()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("share: 0.4", "share: 4", "spot.share: must be less than or equal to 1, but got 4"),
        ("currency: USD", "currency: dollars", "currency: must be text like ^[A-Z]{3}$, but got 'dollars'"),
        ("region:", "place:", "region: required key is missing"),
        ("date: 2026-11-27", "date: yesterday", "date: Invalid isoformat string: 'yesterday'"),
        ("pipeline_run: 0.03", "pipeline_run: -1", "pipeline_run: must be greater than or equal to 0, but got -1"),
        ("machines:", "machines: [", ""),
    ],
)
def test_a_mistake_in_the_prices_is_one_message(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(shipped.PRICES.read_text().replace(old, new, 1))
    with pytest.raises(UserError) as caught:
        read_prices(path)
    assert caught.value.message.startswith(f"{path}: {message}")
