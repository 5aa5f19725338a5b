"""YAML from anyone: plain data or a message, within limits."""

from __future__ import annotations

from typing import Any

import pytest

from kfp_bayesopt.errors import MAX_MESSAGE, UserError
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.study.yaml_reader import MAX_BYTES, UnreadableError, read_yaml
from kfp_bayesopt.wording import UNREADABLE
from tests.builders import study_text


def refused(text: str) -> str:
    with pytest.raises(UnreadableError) as caught:
        read_yaml(text.encode())
    return str(caught.value)


def problems(text: str) -> list[str]:
    return read_yaml(text.encode())[1]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("1e-4", 1e-4), ("-1.5E3", -1500.0), ("1_000", 1000), ("0x1F", 31), ("0o17", 15), ("017", 17), ("-0", 0)),
        *(("0b101", 5), ("-0x10", -16), (".5", 0.5), (".inf", float("inf")), ("-.Inf", float("-inf"))),
        *(("true", True), ("False", False), ("~", None), ("null", None), ("", None), ("on", "on"), ("no", "no")),
        *(("2024-01-01", "2024-01-01"), ("2020-02-30", "2020-02-30"), ("12:30:45", "12:30:45"), ("+_", "+_")),
        *(("._", "._"), ("0b_", "0b_"), ("1e", "1e"), ("=", "="), ('"1"', "1"), ("'true'", "true"), ("|-\n  1", "1")),
        *(('"a\\tb\\nc"', "a\tb\nc"), ("[1, [2]]", [1, [2]]), ("{a: {b: c}}", {"a": {"b": "c"}}), ("1.0", 1.0)),
    ],
)
def test_a_value_is_what_yaml_1_2_says(text: str, value: Any) -> None:
    data, found = read_yaml(f"a: {text}\n".encode())
    assert (repr(data["a"]), found) == (repr(value), [])


def test_anchors_and_merge_keys_work() -> None:
    text = (
        "a: &a {low: 0, high: 1}\nb: &b {low: 2, log: true}\nc: *a\nd: {<<: *a, high: 5}\ne: {<<: [*a, *b], step: 1}\n"
    )
    data, found = read_yaml(text.encode())
    assert data["c"] == {"low": 0, "high": 1}
    assert data["d"] == {"low": 0, "high": 5}
    assert data["e"] == {"low": 0, "high": 1, "log": True, "step": 1}
    assert found == []


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert read_yaml(b"\xef\xbb\xbfname: a\n")[0] == {"name": "a"}


@pytest.mark.parametrize(
    "tag", ["!!bool x", "!!int x", "!!float x", "!!timestamp x", "!!set {a}", "!x y", "!", "!<a> b"]
)
def test_tags_are_refused(tag: str) -> None:
    said = "tags such as !!str are not supported; write the value alone, text that begins with ! in quotes"
    assert refused(f"a: 1\nb: {tag}\n") == f"line 2: {said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("%YAML 1.1\n---\na: 1\n", "line 1: directives such as %YAML are not supported; remove the line"),
        ('a: "\\UFFFFFFFF"', "line 1: an escape such as \\U0010FFFF goes beyond the last character of Unicode"),
        ("a: " + "[" * 100_000, "line 1: nested more than 20 levels deep"),
        ("a: " + "[" * 500 + "]" * 500, "line 1: nested more than 20 levels deep"),
        ("".join(" " * level + "-\n" for level in range(300)), "line 21: nested more than 20 levels deep"),
        ("a: &a [*a]", "line 1: *a has no anchor &a before it"),
        ("a: *b", "line 1: *b has no anchor &b before it"),
        ("a: [" + "1, " * 30_000 + "1]", "line 1: more than 12,000 values, with those that aliases repeat"),
        ("a" * 300_000, "must have at most 256,000 bytes, but has 300,000"),
    ],
)
def test_what_is_beyond_a_limit_is_refused(text: str, said: str) -> None:
    assert refused(text) == said


def test_aliases_cannot_multiply() -> None:
    laughs = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    laughs += [f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 10)}]" for number in range(1, 10)]
    assert refused("\n".join(laughs)) == "line 4: more than 12,000 values, with those that aliases repeat"


def test_utf_16_is_refused() -> None:
    with pytest.raises(UnreadableError) as caught:
        read_yaml("name: a".encode("utf-16"))
    assert str(caught.value) == "not UTF-8 text: invalid start byte at byte 0; save it as UTF-8"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2\n", "line 2: duplicate key 'a'"),
        ("x: {y: {b: 1, b: 2}}", "line 1: duplicate key 'b'"),
        ("[[a]]: 1", "line 1: a key must be text, but got a list"),
        ("? {a: 1}\n: 1", "line 1: a key must be text, but got a mapping"),
        ("1: 1", "line 1: a key must be text, but got 1; put it in quotes"),
        ("null: 1", "line 1: a key must be text, but got None; put it in quotes"),
        ('a: "\\ud800"', "line 1: text cannot contain the character '\\ud800'"),
        ('"\\udfff": 1', "line 1: text cannot contain the character '\\udfff'"),
        ('a: "\\0"', "line 1: text cannot contain the character '\\x00'"),
        ('a: "\\e[31m"', "line 1: text cannot contain the character '\\x1b'"),
        ("a: <<\nb: {<<: 1}", "line 2: << merges mappings, but got 1"),
    ],
)
def test_a_mistake_in_the_data_is_named_with_its_line(text: str, said: str) -> None:
    assert problems(text) == [said]


@pytest.mark.parametrize("number", ["9" * 251, "0x" + "f" * 5000, "1" * 5000 + ".5", "-" + "9" * 5000])
def test_a_number_of_endless_digits_is_refused(number: str) -> None:
    (said,) = problems(f"a: {number}")
    assert said.startswith(f"line 1: a number has at most 250 digits, but got '{number[:30]}")
    assert len(said) < 150


def test_what_cannot_be_read_is_reported_once_and_beside_the_mistakes_of_the_study() -> None:
    text = study_text(iterations=0).decode().replace('"parallel_trials": 2', f'"parallel_trials": {"9" * 300}')
    with pytest.raises(UserError) as caught:
        Study.from_text(text.encode())
    first, second = caught.value.message.splitlines()
    assert first.startswith("study: line 1: a number has at most 250 digits, but got '999")
    assert second == "study: iterations: must be greater than or equal to 1, but got 0"


def test_unreadable_stands_for_a_value_that_was_reported() -> None:
    assert read_yaml(b'a: "\\0"')[0] == {"a": UNREADABLE}


# --- large files -------------------------------------------------------------------------------


def test_ten_thousand_choices_are_within_the_limits() -> None:
    choices = [f"choice-{number:05}" for number in range(10_000)]
    text = study_text(space={"x": {"type": "categorical", "choices": choices}})
    assert len(text) < MAX_BYTES
    assert len(Study.from_text(text).space["x"].choices) == 10_000  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "changes",
    [
        {"space": {f"x{number}": {"type": "real"} for number in range(3000)}},
        {"space": {"x": {"type": "categorical", "choices": [[]] * 10_000}}},
        {"space": {"a" * 100_000: {"type": "real", "low": 0.0, "high": 1.0}}},
        {"k" * 100_000: 1},
        {"name": "a" * 200_000},
        {"objective": {"command": ["{" + "a" * 100_000 + "}", "{x}"] + ["{y}"] * 1000}},
        {"objective": {"command": [f"{{p{number}}}" for number in range(5000)]}},
        {f"key{number}": number for number in range(5000)},
    ],
    ids=["parameters", "choices", "long name", "long key", "long text", "long placeholder", "placeholders", "keys"],
)
def test_a_message_about_many_or_long_mistakes_is_short(changes: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        Study.from_text(study_text(**changes))
    assert len(caught.value.message) < MAX_MESSAGE + 500
    assert caught.value.message.replace("\n", "").isprintable()


def test_twenty_mistakes_are_listed_and_the_others_counted() -> None:
    with pytest.raises(UserError) as caught:
        Study.from_text(study_text(space={f"x{number}": 1 for number in range(50)}))
    *listed, last = caught.value.message.splitlines()
    assert listed == [f"study: space.x{number}: must be a mapping of keys to values, but got 1" for number in range(20)]
    assert last == "study: and 30 more"
