"""Reads damaged files within limits of time, memory and message, in a process of its own.

    python -m tests.proofs.fuzzing SEED FIRST COUNT

prints a line of JSON for each case that gave neither a value nor a clear message: its number, what was read, how
it was damaged, what happened, and the content; and at the end how many cases there were, how long the slowest one took,
and how much more memory than at the beginning was used. A case follows from the seed and its number alone.
"""

from __future__ import annotations

import base64
import json
import logging
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.documents import Document, read_document
from kfp_bayesopt.folder.jobs import Ended, Job
from kfp_bayesopt.folder.results import Best, Failures, Recommendation
from kfp_bayesopt.folder.study_folder import parse_fold
from kfp_bayesopt.folder.trials import Claim, Record, Suggestion
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.study.yaml_reader import read_yaml
from tests import examples
from tests.builders import MIXED, a_record, a_study, a_suggestion, study_data
from tests.proofs import foreign

SECONDS = 2
MEGABYTES = 300
MESSAGE = 4096

SPACE = {name: MIXED[name] for name in ("width", "rate", "kind")}
POINT: Parameters = {"width": 25, "rate": 1e-3, "kind": "rbf"}
COMMAND = ["python", "train.py", *(f"--{name}={{{name}}}" for name in SPACE)]
STUDY_DATA = study_data(
    space=SPACE,
    objective={"command": COMMAND},
    optimizer={"engine": "gp", "random_state": 3, "n_initial_points": 4},
    stop={"target": 0.5, "max_hours": 2, "no_improvement_iterations": 3},
    steps={"evaluate": {"machine_type": "n1-standard-8", "spot": True, "retries": 3}, "update": {"memory": "8G"}},
    max_failed_trials=3,
    max_trial_seconds=2.5,
)
STUDY = a_study(space=SPACE)
STUDIES = [STUDY_DATA, *(each.model_dump(mode="json", exclude_unset=True) for each in examples.studies())]
"""Study files with every key between them."""

# What trees get in the place of a node: first what is JSON, whatever its sense, then what is not even that.
VALUES = [
    *("null", "true", "0", "1", "2", "7", "-1", "-0.0", "1.5", "5e-324", "1e308", "-1e308", "1e999", "-1e999", '""'),
    *("9" * 20, str(2**63), str(2**64), "1" + "0" * 200, "1" + "0" * 400, "9" * 5000, "0." + "3" * 2000, "[]", "{}"),
    *('[{"a": [1]}]', '"\\u0000"', '"\\u0007\\u001b[31m"', '"\\uffff"', '"a\\nb"', '"\\u2028"', '"{x}"', '"{"', '"x"'),
    *('"{rate:.3f}"', '"{}"', '"}}{"', '"' + "a" * 5000 + '"', '"' + "\u00fc" * 3000 + '"', "[" * 15 + "]" * 15),
    *("[" * 150 + "]" * 150, '"2020-02-30"', '"2026-01-01"', '"9999-12-31T23:59:59+00:00"', '"2026-01-01T00:00:00"'),
    *('"0001-01-01T00:00:00+23:59"', '"minimize"', '"maximize"', '"grid"', '"random"', '"real"', '"1"', '"failed"'),
    *('"categorical"', '"rbf"', "[1, 1.0, true]", '["{rate}", "{rate}"]', '{"engine": "grid"}', '{"python": "a:b"}'),
    *("[" + "1," * 500 + "2]", "[" + "[]," * 300 + "1]", "{" + ",".join(f'"k{n}": {n}' for n in range(400)) + "}"),
]
NASTY_JSON = [
    *("NaN", "-Infinity", "01", "1_000", '"\\ud800"', '"\\udc00x"', '{"a": 1, "a": 2}', "[" * 600 + "]" * 600),
    *("[" * 20_000, '{"a":' * 1000 + "1" + "}" * 1000),
]
NASTY_YAML = [
    *NASTY_JSON,
    *(
        "!!bool x",
        "!!int x",
        "!!float",
        "!!timestamp 1",
        "!!binary x",
        "!!set {a}",
        "!!omap [a]",
        "!x y",
        "!",
        "!<x> 1",
    ),
    *(
        "2020-02-30",
        "2026-01-01T25:00:00",
        "12:30:45",
        "0o17",
        "0x" + "f" * 400,
        "0b2",
        "0b",
        "+_",
        "._",
        ".inf",
        ".nan",
    ),
    *("~", "on", "=", "<<", "&a x", "*a", "*b", "&a [*a]", "{<<: 1}", "{<<: [{a: 1}, 2]}", "{? [a] : 1}", "{[a]: 1}"),
    *(
        "{1: 2}",
        "{null: 1}",
        "{? {a: 1} : 2}",
        '"\\U00110000"',
        '"\\UFFFFFFFF"',
        '"\\ud800\\udc00"',
        '"\\xzz"',
        "@x",
        "`x",
    ),
    *(
        "'\x07'",
        "\x00",
        "\x85",
        "\u2028",
        "\ufeff",
        "%",
        "|",
        ">",
        "? ",
        "- ",
        ": ",
        "# x",
        "{",
        "]",
        "'",
        '"',
        "\t",
        "---",
    ),
    "[&a [x,x,x,x,x,x,x,x,x,x],"
    + ",".join(f"&a{n} [{','.join([f'*a{n - 1}' if n else '*a'] * 10)}]" for n in range(9))
    + "]",
]

Node = Any  # a text as it stands in the file, a list of nodes, or a tuple of pairs of texts and nodes


def tree_of(data: Any) -> Node:
    """Return data as a tree that can hold what data cannot: keys that come twice, and no values."""
    if isinstance(data, dict):
        return tuple((json.dumps(key), tree_of(value)) for key, value in data.items())
    return [tree_of(item) for item in data] if isinstance(data, list | tuple) else json.dumps(data)


def written(node: Node) -> str:
    """Return a tree as JSON, which is YAML too."""
    if isinstance(node, tuple):
        return "{" + ", ".join(f"{key}: {written(value)}" for key, value in node) + "}"
    return "[" + ", ".join(map(written, node)) + "]" if isinstance(node, list) else str(node)


def written_in_blocks(node: Node, indent: str = "") -> str:
    """Return a tree as YAML with a line for each key and item."""
    if isinstance(node, tuple) and node:
        return "".join(f"\n{indent}{key}: {written_in_blocks(value, indent + '  ')}" for key, value in node)
    if isinstance(node, list) and node:
        return "".join(f"\n{indent}- {written_in_blocks(item, indent + '  ')}" for item in node)
    return written(node)


def damaged_tree(node: Node, chance: random.Random, nasty: list[str]) -> Node:
    """Return a tree with a node replaced, left out, put in twice, wrapped, or with another key."""
    if isinstance(node, str) or not node or chance.random() < 0.15:
        return _damaged_node(node, chance, nasty)
    index = chance.randrange(len(node))
    before, item, after = list(node[:index]), node[index], list(node[index + 1 :])
    kind = chance.random()
    if kind < 0.1:
        changed = []
    elif kind < 0.2:
        changed = [item, item]
    elif kind < 0.3 and isinstance(node, tuple):
        changed = [(chance.choice(VALUES), item[1])]
    elif isinstance(node, tuple):
        changed = [(item[0], damaged_tree(item[1], chance, nasty))]
    else:
        changed = [damaged_tree(item, chance, nasty)]
    return type(node)([*before, *changed, *after])


def _damaged_node(node: Node, chance: random.Random, nasty: list[str]) -> Node:
    kind = chance.random()
    if kind < 0.7:
        return chance.choice(VALUES if chance.random() < 0.6 else nasty)
    if kind < 0.8:
        return [node] * chance.choice([1, 2, 500])
    if kind < 0.9:
        return (('"a"', node),)
    for _ in range(chance.choice([1, 15, 60])):
        node = [node]
    return node


def damaged_bytes(content: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """Return content with bits flipped, parts cut, moved, repeated or replaced, and nasty text put in."""
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        start, end = sorted(chance.randrange(len(content) + 1) for _ in range(2))
        kind = chance.randrange(8)
        if kind == 0 and content:
            position = chance.randrange(len(content))
            flipped = content[position] ^ 1 << chance.randrange(8)
            content = content[:position] + bytes([flipped]) + content[position + 1 :]
        elif kind == 1:
            content = content[:start]
        elif kind == 2:
            content = content[:start] + content[end:]
        elif kind == 3:
            content = content[:end] + content[start:end] * chance.choice([1, 3]) + content[end:]
        elif kind == 4:
            content = content[:start] + chance.choice(others)[start:end] + content[end:]
        elif kind == 5:
            content = content[:start] + chance.choice(NASTY_YAML).encode() + content[start:]
        elif kind == 6:
            content = content[:start] + chance.randbytes(chance.choice([1, 4, 50])) + content[start:]
        else:
            content = chance.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"%YAML 1.1\n---\n", b"\r\n", b"\x00"]) + content
    return content


def _documents() -> dict[str, list[Any]]:
    """Return the lines of each good document as data."""
    suggestion = a_suggestion(STUDY, 2, {**POINT, "kind": None})
    ledger = [
        a_record(STUDY, number, value, parameters=POINT, iteration=(number + 1) // 2)
        for number, value in enumerate([1.0, None, -0.0, 5e-324], 1)
    ]
    recommended = Recommendation(trial=1, iteration=1, parameters=POINT, value=1.0, mean=0.9)
    best = Best.of(STUDY, ledger).model_copy(update={"recommended": recommended, "ended": "enough"})
    of_study: dict[str, Any] = {"study": STUDY.name, "fingerprint": STUDY.fingerprint}
    time = "2026-01-01T00:00:00.000+00:00"
    claim = Claim(**of_study, trial=1, attempt=1, worker="here:1", token="0" * 16, job="branin-1", claimed=time)
    job = Job(**of_study, job="branin-1", study_file="study/0.yaml", place="kfp", submitted=time, by="me@here")
    found: dict[str, Document] = {
        "suggestion": suggestion,
        "claim": claim,
        "record": ledger[1],
        "best": best,
        "failures": Failures.of(STUDY, ledger),
        "job": job,
        "ended": Ended(state="failed", reason="no", step="init", at=time),
    }
    # The others are read as they stand, and compared with no study.
    others: dict[str, Document] = {}
    for each in examples.documents():
        if isinstance(each, Document) and type(each) not in {type(other) for other in found.values()}:
            others.setdefault(type(each).__name__, each)
    return {
        "study": [STUDY_DATA],
        "ledger": [record.model_dump(exclude_none=True) for record in ledger],
        **{name: [document.model_dump(exclude_none=True)] for name, document in found.items()},
        **{name: [document.model_dump(exclude_none=True)] for name, document in others.items()},
        **foreign.YAML,
        **foreign.JSON,
    }


DOCUMENTS = _documents()
CONTENTS = {name: "".join(json.dumps(line) + "\n" for line in lines).encode() for name, lines in DOCUMENTS.items()} | {
    "study": written_in_blocks(tree_of(STUDY_DATA)).encode(),
    **{name: written_in_blocks(tree_of(lines[0])).encode() for name, lines in foreign.YAML.items()},
    **foreign.contents(),
}
PRICES, _ = read_yaml(CONTENTS["prices"])
OF_YAML = {"study": STUDIES, "prices": [PRICES], **foreign.YAML}
"""What is read as YAML, as data."""


def case(seed: int, number: int) -> tuple[str, str, bytes]:
    """Return what is read, how it was damaged, and the content: in turn bytes, YAML trees, JSON trees and tables."""
    chance = random.Random(f"{seed}-{number}")
    kind = ("bytes", "yaml", "json", "table")[number % 4]
    if kind == "table":
        # Optuna takes a hundred times as long as the others, and has 1 of 100 cases.
        name = chance.choices(list(foreign.MADE), weights=[48, 48, 4])[0]
        return name, kind, foreign.MADE[name](chance)
    if kind == "bytes":
        names = [name for name in CONTENTS if name != "optuna" or chance.random() < 0.2]
        name = chance.choice(names)
        return name, kind, damaged_bytes(CONTENTS[name], chance, list(CONTENTS.values()))
    name = chance.choice(list(OF_YAML if kind == "yaml" else DOCUMENTS))
    lines = [tree_of(line) for line in (DOCUMENTS[name] if kind == "json" else [chance.choice(OF_YAML[name])])]
    for _ in range(chance.choice([1, 1, 2, 4])):
        line = chance.randrange(len(lines))
        lines[line] = damaged_tree(lines[line], chance, NASTY_YAML if kind == "yaml" else NASTY_JSON)
    write = written_in_blocks if kind == "yaml" and chance.random() < 0.7 else written
    return name, kind, "".join(write(line) + "\n" for line in lines).encode(errors="surrogatepass")


KINDS: dict[str, type[Document]] = {
    "suggestion": Suggestion,
    "claim": Claim,
    "record": Record,
    "best": Best,
    "failures": Failures,
    "job": Job,
    "ended": Ended,
    **{type(each).__name__: type(each) for each in examples.documents() if isinstance(each, Document)},
}


def read(name: str, uri: str) -> Any:
    """Read a document of a kind."""
    if name == "study":
        return Study.from_file(uri)
    if name == "ledger":
        return parse_fold(uri, storage.read(uri, limit=2**28), STUDY, len(DOCUMENTS["ledger"]))
    if name in foreign.READERS:
        foreign.READERS[name](uri)
        return True
    return read_document(KINDS[name], uri, STUDY if name.islower() else None)


def problem(name: str, path: Path) -> str | None:
    """Read a damaged file and return what is wrong with how that went, or None for a value or a clear message."""
    signal.signal(signal.SIGVTALRM, _too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)  # of this process: a busy machine makes no difference
    try:
        value = read(name, str(path))
        if name == "study":
            _ = value.fingerprint, value.model_dump_json()
    except UserError as error:
        if str(path) not in error.message:
            return f"a message that names no file: {error.message[:200]!r}"
        if not error.message.replace("\n", "").isprintable():
            return f"a message that cannot be printed: {error.message[:200]!r}"
        if len(error.message.encode()) > MESSAGE:
            return f"a message of {len(error.message.encode())} bytes"
    except BaseException:
        return traceback.format_exc(limit=-4)[-2000:]
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return None


def _too_long(*_: object) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def limit_memory() -> None:
    """Let this process take so much more memory than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEGABYTES * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main(seed: int, first: int, count: int) -> None:
    """Run cases and print those that went wrong, and how they went."""
    logging.disable()  # what is left out is said with a word, of each case
    foreign.load()
    limit_memory()
    memory, slowest = _memory(), (0.0, first)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + count):
            name, kind, content = case(seed, number)
            path = Path(folder) / f"file{foreign.SUFFIXES.get(name, '')}"
            path.write_bytes(content)
            begun = time.process_time()
            found = problem(name, path)
            slowest = max(slowest, (time.process_time() - begun, number))
            if found:
                text = base64.b64encode(content).decode()
                sys.stdout.write(
                    json.dumps({"case": number, "read": name, "kind": kind, "found": found, "content": text}) + "\n"
                )
    figures = {"cases": count, "seconds": slowest[0], "slowest": slowest[1], "megabytes": _memory() - memory}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
