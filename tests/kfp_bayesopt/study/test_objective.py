"""How an objective gets its parameters and its environment, and what is said of a study that cannot give them."""

from __future__ import annotations

import argparse
import base64
import json
import time
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.study.arguments import call_of
from kfp_bayesopt.study.environment import Masked
from kfp_bayesopt.study.objective import Objective
from kfp_bayesopt.study.study import Study
from tests.builders import X, a_study, study_text

PARAMETERS: Parameters = {"lr": 1e-05, "use-bias": True, "opt.kind": "-x {lr}", "n": 3, "none": None}


def command(folder: Path, *words: str, parameters: Parameters = PARAMETERS, **changes: Any) -> list[str]:
    objective = Objective.model_validate({"command": list(words), **changes})
    return call_of(objective, parameters, folder).command


def mistakes(space: list[str], **objective: Any) -> list[str]:
    with pytest.raises(UserError) as caught:
        Study.from_text(study_text(objective=objective, space=dict.fromkeys(space, X)))
    return [line.removeprefix("study: ") for line in caught.value.message.splitlines()]


# --- arguments ---------------------------------------------------------------------------------


def test_placeholders_are_replaced_once_and_never_formatted(tmp_path: Path) -> None:
    words = ("run", "{lr}", "--kind={opt.kind}", "{{lr}} {use-bias} {none}", "{n}{trial_folder}")
    assert command(tmp_path, *words) == ["run", "1e-05", "--kind=-x {lr}", "{lr} true null", f"3{tmp_path}"]


def test_flags_are_one_word_each_and_reach_argparse(tmp_path: Path) -> None:
    given = command(tmp_path, "train.py", args="flags")
    assert given == ["train.py", "--lr=1e-05", "--use-bias", "--opt.kind=-x {lr}", "--n=3", "--none=null"]
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float)
    parser.add_argument("--use-bias", action=argparse.BooleanOptionalAction)
    parser.add_argument("--opt.kind", dest="kind")
    parser.add_argument("--n", type=int)
    parser.add_argument("--none")
    parsed = parser.parse_args(given[1:])
    assert (parsed.lr, parsed.use_bias, parsed.kind, parsed.n) == (1e-5, True, "-x {lr}", 3)
    off = command(tmp_path, "train.py", args="flags", parameters={"use-bias": False})
    assert parser.parse_args(off[1:]).use_bias is False


def test_data_stand_for_their_placeholder_unless_a_parameter_is_called_so(tmp_path: Path) -> None:
    objective = Objective(command=["run", "{data}", "{{data}}", "{trial_folder}"], args="flags")
    assert call_of(objective, {}, tmp_path, "a {lr}").command == ["run", "a {lr}", "{data}", str(tmp_path)]
    own = Objective(command=["run", "{data}"])
    assert call_of(own, {"data": 3}, tmp_path, "a").command == ["run", "3"]


def test_a_study_wants_data_if_its_command_names_them_and_no_parameter_is_called_so() -> None:
    named = {"command": ["run", "{data}", "{x}"]}
    assert a_study(objective=named, space={"x": X}).wants_data
    assert not a_study(objective=named, space={"x": X, "data": X}).wants_data
    assert not a_study(objective={"command": ["run", "{{data}}", "{x}"]}, space={"x": X}).wants_data
    assert mistakes(["data"], command=["run", "{data}"], args="flags") == [
        "objective.command: {data} is given by args: flags; leave it out, or leave out args"
    ]


def test_booleans_may_be_text(tmp_path: Path) -> None:
    assert command(tmp_path, "t", args="text-flags", parameters={"a": True, "b": False}) == [
        "t",
        "--a=true",
        "--b=false",
    ]


def test_a_boolean_may_be_an_option_or_nothing(tmp_path: Path) -> None:
    parameters: dict[str, Any] = {"amp": True, "no-bias": False, "no-cache": True, "lr": 0.1}
    assert command(tmp_path, "t", args="switches", parameters=parameters) == ["t", "--amp", "--no-cache", "--lr=0.1"]


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (0.1, "0.1"), (1e-05, "1e-05"), (True, "true"), (None, "null"), ("sgd", "sgd"), ("a/b-c.d", "a/b-c.d"),
        ("1", "'1'"), ("", "''"), ("true", "'true'"), ("a b", "'a b'"), ("it's, a {b} = [c]", r"'it\'s, a {b} = [c]'"),
        ("x\\y", r"'x\y'"), ("x\\", r"'x\\'"), ("\\'", r"'\\\''"), ([1, "a b", None], "[1,'a b',null]"),
        ({"b": 1, "c": "x y"}, "{b:1,c:'x y'}"), ("${x}", "'${x}'"), ("-1", "'-1'"),
    ],
)  # fmt: skip
def test_pairs_are_written_as_hydra_reads_them(value: Any, word: str, tmp_path: Path) -> None:
    """Each word was read by the parser of hydra-core 1.3, which gave the value back."""
    assert command(tmp_path, "t", args="key-value", parameters={"a.b": value}) == ["t", f"a.b={word}"]


def test_parameters_in_the_environment_are_text(tmp_path: Path) -> None:
    objective = Objective.model_validate({"command": ["train"], "args": "environment"})
    call = call_of(objective, {"LR": 1e-05, "on": True, "kind": "x"}, tmp_path)
    assert (call.command, call.variables) == (["train"], {"LR": "1e-05", "on": "true", "kind": "x"})


@pytest.mark.parametrize("how", ["json-file", "yaml-file"])
def test_parameters_in_a_file_are_read_as_they_are(tmp_path: Path, how: str) -> None:
    from ruamel.yaml import YAML

    objective = Objective.model_validate({"command": ["train", "--config={parameters_file}"], "args": how})
    call = call_of(objective, PARAMETERS, tmp_path)
    ((path, content),) = call.files.items()
    assert call.command == ["train", f"--config={path}"]
    read = json.loads(content) if how == "json-file" else YAML(typ="safe", pure=True).load(content)
    assert read == PARAMETERS
    # Readers of YAML 1.1, such as PyYAML, take a float without a point for a text.
    assert how == "json-file" or b'"lr": 1.0e-05\n' in content


@pytest.mark.parametrize(
    ("space", "objective", "said"),
    [
        (
            ["a-b"],
            {"python": "m:f"},
            "space: a-b cannot be a keyword argument of a function; rename the parameter, or give the function all of "
            "them as one dict: objective.args: dict",
        ),
        (
            ["class"],
            {"python": "m:f"},
            "space: class cannot be a keyword argument of a function; rename the parameter, or give the function all "
            "of "
            "them as one dict: objective.args: dict",
        ),
        (
            ["a-b", "a_b"],
            {"command": ["t"], "args": "flags"},
            "space: a-b and a_b would be the same option, --a_b (objective.args); rename one of them",
        ),
        (
            ["bias", "no-bias"],
            {"command": ["t"], "args": "flags"},
            "space: bias and no-bias would be the same option, --no-bias (objective.args); rename one of them",
        ),
        (
            ["PATH"],
            {"command": ["t"], "args": "environment"},
            "space: PATH cannot be a variable of the environment (objective.args): PATH is not to be set here: "
            "BAYESOPT_*, LD_*, PYTHON*, GOOGLE_*, CLOUD_ML_*, PATH and STORAGE_EMULATOR_HOST belong to what runs the "
            "objective; set it in the image",
        ),
        (
            ["A"],
            {"command": ["t"], "args": "environment", "env": {"A": "1"}},
            "space: the parameter A is a variable of objective.env too; rename one of them",
        ),
        (
            ["x"],
            {"command": ["t", "{x}"], "args": "flags"},
            "objective.command: {x} is given by args: flags; leave it out, or leave out args",
        ),
        (
            ["x"],
            {"command": ["t"], "args": "json-file"},
            "objective.command: args: json-file needs {parameters_file}, such as --config={parameters_file}",
        ),
        (["x"], {"command": ["t"], "args": "dict"}, "objective: args: dict is not for a command"),
        (["x"], {"python": "m:f", "args": "flags"}, "objective: args: flags is not for a function"),
        (
            ["x"],
            {"command": ["t", "{x}"], "value": {"source": "returned"}},
            "objective: value: the source 'returned' is not for a command",
        ),
        (
            ["x"],
            {"command": ["t", "{x}"], "value": {"source": "prined", "name": "a"}},
            "objective.value.source: must be returned, last-line, printed, pattern, file, hypertune, tensorboard "
            "or intermediate, but got 'prined'; did you mean 'printed'?",
        ),
        (
            ["x"],
            {"command": ["t", "{x}"], "value": {"name": "a"}},
            "objective.value.source: required key is missing; it must be returned, last-line, printed, pattern, file, "
            "hypertune, tensorboard or intermediate",
        ),
        (
            ["x"],
            {"command": ["t", "{x}"], "value": {"source": "printed", "nme": "a"}},
            "objective.value.nme: unknown key; did you mean 'name'?",
        ),
        (
            ["x"],
            {"command": ["t", "{x}"], "value": {"source": "printed"}},
            "objective.value.name: required key is missing; the name of the metric to optimise",
        ),
        (
            ["x"],
            {"command": ["t", "{x}"], "value": {"source": "pattern", "pattern": "(a"}},
            "objective.value.pattern: not a regular expression of Python: missing ), unterminated subpattern at "
            "position "
            "0, but got '(a'",
        ),
        (
            ["x"],
            {"command": ["t", "{x}"], "value": {"source": "pattern", "pattern": "a"}},
            "objective.value.pattern: must have one group, or one called `value`, such as "
            "'accuracy is (?P<value>\\S+)', but got 'a'",
        ),
        (
            ["x"],
            {"command": ["t", "{x}"], "value": {"source": "file", "path": "../m.json", "name": "a"}},
            "objective.value.path: must be a path in the folder of the trial or of the study, without .. in it, but "
            "got "
            "'../m.json'",
        ),
        (
            ["x"],
            {"python": "m:f", "env": {"A": 1}},
            "objective.env.A: must be text, {from_environment: NAME} or {secret: projects/P/secrets/S/versions/N}, but "
            "got 1; put it into quotes",
        ),
        (
            ["x"],
            {"python": "m:f", "env": {"A": {"secret": "mine"}}},
            "objective.env.A: secret: must be projects/PROJECT/secrets/SECRET/versions/VERSION, but got 'mine'",
        ),
        (
            ["x"],
            {"python": "m:f", "env": {"A": {"from_environment": "A", "kubernetes_secret": "keys"}}},
            "objective.env.A: kubernetes_secret: must be NAME/KEY, but got 'keys'",
        ),
        (
            ["x"],
            {"python": "m:f", "env": {"A": {"from_environment": "A", "secret": 0}}},
            "objective.env.A: secret: must be true or false, but got 0",
        ),
        (
            ["x"],
            {"python": "m:f", "env": {"A": {"from_environment": "BAYESOPT_STORE_SECRET_KEY"}}},
            "objective.env.A: from_environment: BAYESOPT_STORE_SECRET_KEY is for our process alone; give the objective "
            "a variable of its own, such as AWS_ACCESS_KEY_ID",
        ),
        (
            ["x"],
            {"python": "m:f", "env": {"LD_PRELOAD": "x"}},
            "objective.env: LD_PRELOAD is not to be set here: BAYESOPT_*, LD_*, PYTHON*, GOOGLE_*, CLOUD_ML_*, PATH "
            "and "
            "STORAGE_EMULATOR_HOST belong to what runs the objective; set it in the image",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_given_is_told_before_anything_runs(space: list[str], objective: Any, said: str) -> None:
    assert mistakes(space, **objective)[0] == said


def test_a_function_that_takes_one_dict_takes_any_name() -> None:
    assert a_study(objective={"python": "m:f", "args": "dict"}, space={"a-b": X, "class": X}).budget == 4


# --- identity ----------------------------------------------------------------------------------


def test_defaults_that_are_written_down_change_no_fingerprint() -> None:
    same = [
        {"command": ["t", "{x}"]},
        {"command": ["t", "{x}"], "args": "placeholders", "value": {"source": "last-line"}, "env": {}},
    ]
    assert len({a_study(objective=each, space={"x": X}).fingerprint for each in same}) == 1
    of_functions: list[dict[str, Any]] = [
        {"python": "m:f"},
        {"python": "m:f", "args": "keywords", "value": {"source": "returned"}},
    ]
    assert len({a_study(objective=each, space={"x": X}).fingerprint for each in of_functions}) == 1


def test_what_changes_the_value_changes_the_fingerprint_and_the_time_to_finish_does_not() -> None:
    base: dict[str, Any] = {"command": ["t", "{x}"]}
    others: list[dict[str, Any]] = [
        {**base, "value": "acc"},
        {**base, "value": {"source": "printed", "name": "acc", "take": "best"}},
        {**base, "env": {"A": "1"}},
        {**base, "env": {"A": {"from_environment": "A"}}},
        {"command": ["t"], "args": "flags"},
        {"command": ["t"], "args": "text-flags"},
    ]
    fingerprints = [a_study(objective=each, space={"x": X}).fingerprint for each in (base, *others)]
    assert len(set(fingerprints)) == len(fingerprints)
    assert a_study(objective=base, space={"x": X}, finish_seconds=5).fingerprint == fingerprints[0]
    there = {"A": {"from_environment": "A", "kubernetes_secret": "keys/a.b"}}
    assert a_study(objective={**base, "env": there}, space={"x": X}).fingerprint == fingerprints[4]
    told = {"A": {"from_environment": "A", "secret": False}}
    assert a_study(objective={**base, "env": told}, space={"x": X}).fingerprint == fingerprints[4], "as what is shown"
    named = {**base, "value": {"source": "printed", "name": "acc", "take": "last"}}
    assert a_study(objective=named, space={"x": X}).fingerprint == fingerprints[1], "as its name alone"


# --- secrets -----------------------------------------------------------------------------------

SECRET = "p@ss/word+1 é"


@pytest.mark.parametrize(
    "form",
    [
        SECRET.encode(),
        base64.b64encode(SECRET.encode()),
        base64.urlsafe_b64encode(SECRET.encode()).rstrip(b"="),
        urllib.parse.quote(SECRET, safe="").encode(),
        urllib.parse.quote_plus(SECRET).encode(),
        urllib.parse.quote(SECRET, safe="")
        .encode()
        .replace(b"%2F", b"%2f")
        .replace(b"%2B", b"%2b")
        .replace(b"%C3%A9", b"%c3%a9"),
        json.dumps(SECRET)[1:-1].encode(),
        json.dumps(SECRET, ensure_ascii=False)[1:-1].encode(),
        repr(SECRET.encode())[2:-1].encode(),
        SECRET.encode().hex().encode(),
        SECRET.encode().hex().upper().encode(),
    ],
    ids=str,
)
def test_no_form_of_a_secret_is_shown_wherever_its_chunks_end(form: bytes) -> None:
    text = b"token=" + form + b" and p@ss\n"
    for size in (1, 2, 3, 7, 1000):
        masked = Masked([SECRET, "other-secret"])
        shown = b"".join(masked.feed(text[start : start + size]) for start in range(0, len(text), size))
        # What follows base64 to fill its length may stay; it says nothing.
        assert (shown + masked.rest()).replace(b"***=", b"***") == b"token=*** and p@ss\n"
    assert Masked([SECRET]).mask(text.decode()) == "token=*** and p@ss\n"


@pytest.mark.parametrize("user", ["", "u", "us", "use", "someone:"])
@pytest.mark.parametrize("after", ["", "!", "\n", ", and more"])
@pytest.mark.parametrize("secret", [SECRET, 'quo"ted\\x\n', "hunter-Zq7Lw93xKd", "1234"])
def test_a_secret_is_hidden_in_the_base64_of_what_it_is_a_part_of(user: str, after: str, secret: str) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(f"{user}{secret}{after}".encode())
        text = b"Authorization: Basic " + encoded + b"\n"
        for size in (1, 5, 1000):
            masked = Masked([secret])
            shown = b"".join(masked.feed(text[start : start + size]) for start in range(0, len(text), size))
            shown += masked.rest()
            head, hidden, tail = shown.strip().rpartition(b" ")[2].partition(b"***")
            assert hidden
            assert encoded.startswith(head)
            assert encoded.endswith(tail)
            assert len(encoded) - len(head) - len(tail) >= len(secret.encode()) * 4 / 3 - 2


@pytest.mark.parametrize("secret", ['quo"ted', "it's", "back\\slash", "line\nbreak", "tab\tand é", "\"'both"])
def test_a_secret_is_hidden_in_json_and_as_python_shows_it(secret: str) -> None:
    for text in (json.dumps({"key": secret}), repr({"key": secret}), repr([secret.encode()]), f"{secret!a}"):
        shown = Masked([secret]).mask(text)
        assert "***" in shown
        assert secret[-3:] not in shown


def test_a_large_secret_holds_up_no_output() -> None:
    key = "\n".join("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ" + f"{number:014}" for number in range(50))
    masked = Masked([key])
    began = time.process_time()
    for _ in range(1000):
        masked.feed(b"Epoch 3, loss=0.25 and other words of a line, 0123456789abcdef\n")
    assert time.process_time() - began < 5.0


def test_without_secrets_nothing_is_held_back() -> None:
    masked = Masked([])
    assert (masked.feed(b"\xff\0"), masked.rest()) == (b"\xff\0", b"")


def test_it_is_shown_in_one_line() -> None:
    assert str(Objective(command=["sh", "-c", "echo 1\n  echo  {x}\n"])) == "sh -c echo 1 echo {x}"
    assert str(Objective(command=["sh", "-c", "echo 1\n" * 1000])) == "sh -c" + " echo 1" * 16 + " e…"
    assert str(Objective(python="a:b")) == "a:b"
