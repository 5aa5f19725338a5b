"""Tables as other tools write them: names of columns, states, spellings of values; what is not taken is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pandas
import pytest
from optuna.storages.journal import JournalFileBackend

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.exchange.formats.csv_table import write_csv
from kfp_bayesopt.exchange.formats.optuna import write_optuna
from kfp_bayesopt.exchange.formats.parquet_table import write_parquet
from kfp_bayesopt.exchange.importing import collect
from kfp_bayesopt.space.earlier import Earlier
from kfp_bayesopt.study.study import Study
from tests.builders import a_record, a_study
from tests.kfp_bayesopt.study.test_printed_lines import value_of

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

SPACE: dict[str, Any] = {
    "units": {"type": "integer", "low": 16, "high": 256, "step": 16},
    "lr": {"type": "real", "low": 1e-4, "high": 0.1, "log": True},
    "drop": {"type": "real", "low": 0.0, "high": 0.5, "step": 0.1},
    "nest": {"type": "categorical", "choices": [True, False]},
    "opt": {"type": "categorical", "choices": ["adam", "sgd"]},
}
POINT = {"units": 64, "lr": 0.001, "drop": 0.3, "nest": True, "opt": "adam"}


def asked(**changes: Any) -> Study:
    given: dict[str, Any] = {
        "space": SPACE,
        "objective": {"command": ["train"], "args": "flags", "value": "loss"},
        "optimizer": {"engine": "gp"},
    }
    return a_study(**(given | changes))


def read(folder: Path, table: str, name: str = "t.csv", **changes: Any) -> list[Earlier]:
    (folder / name).write_text(table)
    return collect(asked(**changes), [name], folder)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("t.csv", "units,lr,drop,nest,opt,value\n64,1E-03,0.3,TRUE,adam,0.5\n"),  # Excel
        ("t.csv", ",units,lr,drop,nest,opt,loss\n0,64.0,0.001,0.3,True,adam,0.5\n"),  # pandas, with its index
        ("t.csv", "units;lr;drop;nest;opt;loss\n64;0.001;0.3;true;adam;0.5\n"),  # Excel where the comma is decimal
        ("t.tsv", "units\tlr\tdrop\tnest\topt\tloss\n64\t0.001\t0.3\ttrue\tadam\t0.5\n"),
        ("t.csv", "number,value,params_units,params_lr,params_drop,params_nest,params_opt,state\n"
                  "0,0.5,64,0.001,0.30000000000000004,True,adam,COMPLETE\n"),  # Optuna
        ("t.csv", "run_id,status,metrics.loss,params.units,params.lr,params.drop,params.nest,params.opt,tags.x\n"
                  "a1,FINISHED,0.5,64,0.001,0.3,True,adam,1\n"),  # MLflow
        ("t.csv", '"Name","State","units","lr","drop","nest","opt","loss"\n'
                  '"run-1","finished","64","0.001","0.30000001192092896","true","adam","0.5"\n'),  # W&B, a float32
        ("t.csv", "trial_id,loss,config/units,config/lr,config/drop,config/nest,config/opt\n"
                  "f3,0.5,64,0.001,0.3,True,adam\n"),  # Ray
    ],
)  # fmt: skip
def test_a_table_of_another_tool_is_taken_whole(name: str, table: str, tmp_path: Path) -> None:
    (found,) = read(tmp_path, table, name)
    assert json.dumps(found.parameters, sort_keys=True) == json.dumps(POINT, sort_keys=True)
    assert found.same
    assert found.values == {"value": 0.5}


def test_optunas_and_pandas_own_files_are_read(tmp_path: Path) -> None:
    sampler = optuna.samplers.RandomSampler(seed=1)
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    study.set_metric_names(["loss", "acc"])
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        drop = trial.suggest_float("drop", 0.0, 0.5, step=0.1)
        if trial.number == 2:
            raise optuna.TrialPruned
        return trial.suggest_int("units", 16, 256, step=16), drop

    study.optimize(objective, n_trials=5)
    frame = study.trials_dataframe()
    frame.to_csv(tmp_path / "t.csv")
    objectives = {"acc": "maximize", "loss": "minimize"}
    objective_ = {"command": ["train"], "args": "flags"}
    changes: dict[str, Any] = {
        "space": {each: SPACE[each] for each in ("units", "drop")}, "objectives": objectives, "objective": objective_,
    }  # fmt: skip
    found = collect(asked(**changes), ["t.csv"], tmp_path)
    assert len(found) == 4
    assert all(
        each.same and each.values == {"loss": each.parameters["units"], "acc": each.parameters["drop"]}
        for each in found
    )


@pytest.mark.parametrize(
    ("state", "values"),
    [("crashed", {}), ("KILLED", {}), ("FAIL", {}), ("finished", {"value": 0.9}), ("COMPLETE", {"value": 0.9})],
)
def test_a_state_decides_whether_a_value_counts(state: str, values: dict[str, float], tmp_path: Path) -> None:
    found = read(tmp_path, f"State,lr,loss\n{state},0.01,0.9\nfinished,0.02,0.1\n")
    assert [each.values for each in found] == [values, {"value": 0.1}]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("running", "line 2: is running, and has no end"),
        ("PRUNED", "line 2: was stopped, and what it would have come to is not known"),
        ("odd", "line 2: its state is 'odd', which is none that is known: completed, "),
    ],
)
def test_a_trial_without_an_end_is_left_out_with_a_word(
    state: str, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(read(tmp_path, f"status,lr,loss\n{state},0.01,none yet\nFINISHED,0.02,0.1\n")) == 1
    (record,) = caplog.records
    assert f"left out 1 of 2 trials; {said}" in record.getMessage()


def test_values_that_do_not_fit_are_counted_by_parameter(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = read(tmp_path, "lr,opt,loss,params.depth\n0.01,adam,1,1\n0.5,adam,1,1\n0.7,rms,2,2\n0.02,rms,3,3\n")
    assert [each.parameters for each in found] == [{"lr": 0.01, "opt": "adam"}, {"opt": "adam"}, {"lr": 0.02}]
    assert [each.getMessage() for each in caplog.records] == [
        "warm_start: t.csv: left out 1 columns, as the study has no such parameter: params.depth",
        "warm_start: t.csv: left out 1 of 4 values of lr; line 3: lr=0.5 does not lie between 0.0001 and 0.1",
        "warm_start: t.csv: left out 1 of 4 trials; line 4: lr=0.7 does not lie between 0.0001 and 0.1",
        "warm_start: t.csv: left out 1 of 4 values of opt; line 5: opt='rms' is none of the choices",
    ]


CHOICES = ["", " pad ", "1", 1, True, "TRUE", None, "null", "nan", [1, "a"], '"q"', "=1+1", "'x", "a,b\n", {"a": 1}]
OURS = {
    **{name: {"type": "integer", "low": 1, "high": 20} for name in ("value", "iteration", "state", "seconds", "trial")},
    "choice": {"type": "categorical", "choices": CHOICES},
    "cost": {"type": "ordinal", "values": [0.1, 1, 10]},
}


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.db"])
def test_a_round_trip_is_exact(name: str, tmp_path: Path) -> None:
    study = asked(space=OURS, limits={"memory": "<= 10"})
    write = {"t.csv": write_csv, "t.parquet": write_parquet, "t.db": write_optuna}[name]
    points = [
        {**dict.fromkeys(("value", "iteration", "state", "seconds", "trial"), number), "choice": choice, "cost": 10}
        for number, choice in enumerate(CHOICES, 1)
    ]
    ledger = [
        a_record(study, number, number / 3, parameters=point, values={"value": number / 3, "memory": number / 7})
        for number, point in enumerate(points, 1)
    ]
    write(study, ledger, tmp_path / name)
    found = collect(study, [name], tmp_path)
    assert [json.dumps(each.parameters, sort_keys=True) for each in found] == [
        json.dumps(each, sort_keys=True) for each in points
    ]
    assert all(each.same for each in found)
    assert [each.values for each in found] == [
        {"value": number / 3, "memory": number / 7} for number in range(1, len(points) + 1)
    ]


def several(tmp_path: Path, names: list[str] | None, directions: list[str]) -> list[Earlier]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    stored = optuna.create_study(storage=f"sqlite:///{tmp_path}/o.db", directions=directions)  # type: ignore[arg-type]
    if names is not None:
        stored.set_metric_names(names)
    stored.optimize(lambda trial: (trial.suggest_float("lr", 1e-4, 0.1, log=True), 0.9), n_trials=1)
    changes: dict[str, Any] = {
        "space": {"lr": SPACE["lr"]},
        "objectives": {"acc": "maximize", "loss": "minimize"},
        "objective": {"command": ["train"], "args": "flags"},
    }
    return collect(asked(**changes), ["o.db"], tmp_path)


@pytest.mark.parametrize("names", [["loss", "acc"], None])
def test_objectives_are_matched_by_name_or_by_direction(names: list[str] | None, tmp_path: Path) -> None:
    (found,) = several(tmp_path, names, ["minimize", "maximize"])
    assert found.values == {"acc": 0.9, "loss": found.parameters["lr"]}


@pytest.mark.parametrize(
    ("names", "directions", "said"),
    [
        (
            None,
            ["minimize", "minimize"],
            "its objectives have no names, and their directions do not tell which is which",
        ),
        (["loss", "f1"], ["minimize", "maximize"], "has no objective 'acc'; its objectives are loss, f1"),
    ],
)
def test_objectives_are_never_matched_by_place(
    names: list[str] | None, directions: list[str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        several(tmp_path, names, directions)


@pytest.mark.parametrize("name", ["o.log", "o.sqlite3"])
def test_every_storage_of_optuna_is_read_and_left_as_it_was(name: str, tmp_path: Path) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = tmp_path / name
    backend = JournalFileBackend(str(path))
    storage = optuna.storages.JournalStorage(backend) if name == "o.log" else f"sqlite:///{path}"
    stored = optuna.create_study(storage=storage)
    stored.optimize(lambda trial: trial.suggest_float("lr", 1e-4, 0.1, log=True), n_trials=3)
    before = path.read_bytes()
    found = collect(asked(space={"lr": SPACE["lr"]}), [name], tmp_path)
    assert [each.values["value"] for each in found] == [each.parameters["lr"] for each in found]
    assert path.read_bytes() == before
    assert pandas.DataFrame([each.parameters for each in found]).shape == (3, 1)


def test_a_frame_that_pandas_prints_is_read() -> None:
    """Here, where pandas always is: sources are also tried without it."""
    frame = pandas.DataFrame({"epoch": [1, 2], "val loss": [0.5, 0.25]})
    for printed in (str(frame), frame.to_csv(), frame.to_csv(sep="\t", index=False), str(frame.iloc[-1])):
        assert value_of("val loss", printed) == 0.25
