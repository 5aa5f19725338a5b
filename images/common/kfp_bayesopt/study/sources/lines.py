"""Reads metrics from printed lines: pairs of a name and a number, and asked names in any form, in tables too."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from kfp_bayesopt.errors import shown_name
from kfp_bayesopt.space.numerals import GOES_ON, MINUS, NOT_FINITE, NUMBER, SPACED, NoNumber, read_number
from kfp_bayesopt.study.sources.tables import BARS, Table, columns_of, read_row

# The text that follows a number is looked at, and a name may still begin in it.
_NUMBER = (
    rf"(?P<number>(?>{SPACED}|{NUMBER}|{NOT_FINITE}(?!\w)|{MINUS}(?=[.0-9]))%?)"
    rf"(?=(?P<more>{GOES_ON}[^\s;|=]{{0,1000}})?)"
)
_NO_NAME = r"(?<![\w.\-/])"
# A name begins only where no letter of a name precedes it, so that the time for a line grows with its length alone.
_PAIR = re.compile(
    rf"""{_NO_NAME}["']?(?P<name>[A-Za-z_][\w.\-/]{{0,199}})["']?[ \t]{{0,8}}[=:][ \t]{{0,8}}["']?{_NUMBER}"""
)
# Escape sequences of terminal colours.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]")

_GAP = r"[ \t\u00a0]{0,80}"
_ONE_SIGN = rf":=|={{1,2}}>?|:|-{{1,2}}>|\u2192|\u21d2|~|\u2248|\.{{2,40}}|[{BARS}]"
_SIGN = re.compile(
    r"""(?:["'](?:\]|,)?|[*`]{1,3})?(?P<sign>[ \t]{1,80}(?:-|\u2013|\u2014)(?=[ \t])|"""
    rf"""(?:[ \t]{{1,80}}is(?=[ \t:]))?(?:{_GAP}(?:{_ONE_SIGN})){{0,2}}){_GAP}"""
)
"""What may stand between a name and its number: nothing but a gap, too."""
_OPEN = re.compile(
    r"(?P<call>(?:[A-Za-z_]\w{0,40}\.){0,4}(?:[tT]ensor|EagerTensor|array|Array|DeviceArray|float\d{0,3}_?|int\d{0,3}|"
    r"bfloat16|longdouble|Decimal)\(|<tf\.Tensor:[^<>]{0,200}?numpy=)?"
    r"(?P<brackets>(?:[\[(][ \t]{0,8}){0,4})[\"'*`$]{0,3}"
)
"""What other libraries write around a number: tensor(0.5), np.float64(0.5), [0.5]."""
_READ = re.compile(_NUMBER)
_WHOLE = re.compile(r"[^\s\])]{1,1000}")
_CLOSED = re.compile(r"[\"']?[ \t]{0,8}[\])]")
_SEVERAL = re.compile(r"[-+0-9.eE,; \t]{1,300}[\])]")
_NEXT = re.compile(rf"(?:[ \t]{{0,80}}[,{BARS}]?[ \t]{{1,80}}{NUMBER}%?(?=[\s,{BARS}]|$)(?![ \t]+[A-Za-z])){{1,20}}")
_OF_SENTENCE = re.compile(
    r"[ \t]+(?:times|epochs|steps|iterations|rounds|folds|lower|higher|better|worse|more|less|of)\b"
)
"""What follows a number that is no value: no better loss 3 times."""
_GOES_ON = re.compile(rf"[ \t]{{0,8}}[:=][ \t]{{0,8}}{NUMBER}")
_DEVIATION = re.compile(r"\+[0-9]+\.[0-9]+")
"""What follows a mean without a space, as XGBoost prints it."""
_COUNT = re.compile(rf"[ \t{BARS}]*[0-9]+[ \t{BARS}]*")


_SAME = {
    "training": "train", "learn": "train", "valid": "val", "validation": "val", "validate": "val", "evaluation": "eval",
    "testing": "test", "average": "avg",
}  # fmt: skip
_OF_ANOTHER = {"train", "val", "eval", "test", "dev", "holdout", "best", "mean", "avg", "min", "max", "macro", "micro"}
"""Words that make a metric another one: the loss of training is not that of validation."""


MOST_BEFORE = 40
"""The most characters before a name in which a word is looked for."""


@dataclass
class Memory:
    """What is remembered of the lines of an output.

    Attributes:
        table: The header above.
        lines: How many lines had an asked metric, by its name.
        twice: How many of them had it with several numbers.
        in_bars: How many of them were overwritten: a progress bar.
        kinds: What it was of: the words before it, such as train and val, by the name; "" where there was none.
        without: The first line that had an asked name and no number after it, by the name.
    """

    table: Table | None = None
    lines: dict[str, int] = field(default_factory=dict)
    twice: dict[str, int] = field(default_factory=dict)
    in_bars: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, set[str]] = field(default_factory=dict)
    without: dict[str, str] = field(default_factory=dict)

    def note(self, pairs: Sequence[tuple[str, float]], asked: Iterable[str], in_bar: bool) -> None:
        """Remember what a line had of the asked metrics."""
        for name in asked:
            numbers = {repr(number) for each, number in pairs if each == name}
            if not numbers:
                continue
            self.lines[name] = self.lines.get(name, 0) + 1
            if len(numbers) > 1:
                self.twice[name] = self.twice.get(name, 0) + 1
            if in_bar:
                self.in_bars[name] = self.in_bars.get(name, 0) + 1

    @property
    def warnings(self) -> list[str]:
        """What a person should look at, for the numbers may be others than those that they mean."""
        found = [
            f"{shown_name(name)} stands more than once in a line, with different numbers ({count} of "
            f"{self.lines[name]} lines that have it): the last one counts; ask for more of its name, such as "
            f"'val {shown_name(name)}', or give a pattern (objective.value: {{source: pattern, pattern: …}})"
            for name, count in self.twice.items()
        ]
        for name, kinds in self.kinds.items():
            if len(kinds) > 1 and name not in self.twice:
                after = " and ".join(f"after {kind!r}" if kind else "alone" for kind in sorted(kinds))
                found.append(
                    f"{shown_name(name)} was printed {after}, and counts as one metric: ask for its whole name, with "
                    "the word before it"
                )
        return found + [
            f"{shown_name(name)} was printed in a progress bar alone, which does not show every number: print it once "
            "more when an epoch has ended"
            for name, count in self.in_bars.items()
            if count == self.lines[name]
        ]


@dataclass(frozen=True)
class _Asked:
    """Names that are asked for, compiled: longer ones first, so that `val loss` is no `loss`."""

    names: Mapping[str, str]
    first: re.Pattern[str]
    columns: frozenset[str]


@functools.lru_cache(maxsize=64)
def _compiled(asked: frozenset[str]) -> _Asked:
    longest = sorted(asked, key=lambda name: (-len(name), name))
    names = {f"n{index}": name for index, name in enumerate(longest)}
    each = [f"(?P<{group}>{_literally(name)})" for group, name in names.items()]
    return _Asked(names, re.compile(f"{_NO_NAME}(?:{'|'.join(each)})"), columns_of(asked))


def _literally(name: str) -> str:
    """Return a pattern of exactly a name, whose words may be padded."""
    return r"[ \t]{1,40}".join(map(re.escape, name.split())) + (r"(?!\w)" if _ends_in_a_word(name) else "")


def _ends_in_a_word(name: str) -> bool:
    return name[-1].isalnum() or name[-1] == "_"


def pairs_of(line: str, asked: frozenset[str], memory: Memory) -> list[tuple[str, float]]:
    """Return names and numbers of a line, in its order; those that are asked for may have another form.

    Args:
        line: The line. If it begins with a carriage return, it has overwritten another one.
        asked: The names that are asked for; they are found whatever characters they have.
        memory: What is remembered of the lines before.
    """
    found: list[tuple[str, float]] = []
    in_bar, line = line.startswith("\r"), without_escapes(line)
    for match in _PAIR.finditer(line):
        number = _number(match)
        if match["name"] not in asked and number is not None:
            found.append((match["name"], number))
    if asked:
        compiled = _compiled(asked)
        mine = list(_asked_pairs(line, compiled, memory))
        if not mine:
            memory.table, cells = read_row(line, asked, compiled.columns, memory.table)
            mine += cells
        memory.note(mine, asked, in_bar)
        found += mine
    return found


def kind_of(name: str) -> set[str]:
    """Return the words of a name that say of what it is the metric: train, val."""
    words = re.split(r"[\W_\d]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    return {_SAME.get(word, word) for word in words} & _OF_ANOTHER


def without_escapes(line: str) -> str:
    """Return a line without the colours of terminals, and without spaces around it."""
    return _ESCAPES.sub("", line).strip()


def check_name(name: str) -> str:
    """Return a name if a line can have it.

    Raises:
        ValueError: No line can.
    """
    if name.isprintable() and name == name.strip():
        return name
    what = "begins or ends with a space" if name.isprintable() else "has a line break or another control character"
    raise ValueError(
        f"no printed line has a metric whose name {what}; leave that out, or give a pattern: {pattern_for(name)}"
    )


def pattern_for(name: str) -> str:
    """Return a source for a name that is printed in another way, as a person writes it."""
    words = re.findall(r"\w+", name)
    return f"{{source: pattern, pattern: '{words[-1] if words else 'loss'}\\D*(\\S+)'}}"


def _number(match: re.Match[str]) -> float | None:
    more = (match["more"] or "").rstrip("\"'.,:)]}")
    return read_number(match["number"] + ("" if "." in match["number"] and _DEVIATION.fullmatch(more) else more))


def _asked_pairs(line: str, asked: _Asked, memory: Memory) -> Iterator[tuple[str, float]]:
    """Yield the asked names that a number follows, with a sign between or without."""
    for match in asked.first.finditer(line):
        name = asked.names[str(match.lastgroup)]
        number = _after(line, match.end(), name)
        if number is not None:
            words = line[max(match.start() - MOST_BEFORE, 0) : match.start()]
            last = words.split(" ")[-2] if words.endswith(" ") and words.strip() else ""
            memory.kinds.setdefault(name, set()).update(kind_of(last) or {""})
            yield name, number
        elif name not in memory.without:
            memory.without[name] = line  # whole: it is masked before less of it is shown


def _after(line: str, end: int, name: str) -> float | None:
    """Return the number that follows a name; None without one, a `NoNumber` of several without names."""
    sign = _SIGN.match(line, end)
    assert sign is not None
    is_apart = sign.end() > end or not _ends_in_a_word(name)
    start = _OPEN.match(line, sign.end())
    assert start is not None
    number = _READ.match(line, start.end())
    if number is None or not is_apart:
        return None
    tail = number.end()
    if start["brackets"]:
        if number["more"]:
            whole = _WHOLE.match(line, number.start())
            tail = whole.end() if whole else tail
        if not _CLOSED.match(line, tail):
            # A list of numbers has several; anything else in brackets is a remark, such as (5-fold).
            several = _SEVERAL.match(line, number.start())
            return NoNumber(several[0][:-1]) if several else None
        return _number_or_none(line[number.start() : tail].rstrip("\"'"))
    if start["call"]:
        return _number(number)
    if not sign["sign"].strip() or set(sign["sign"]) & set(BARS):
        following = _NEXT.match(line, tail) if not number["more"] else None
        if following and not _COUNT.fullmatch(following[0]):
            return NoNumber(line[number.start() : following.end()].strip())
        if not sign["sign"] and _OF_SENTENCE.match(line, tail):
            return None
    # mAP@0.5:0.95: 0.45 is another metric than mAP@0.5.
    if name[-1].isdigit() and line[end] == ":" and line[end + 1].isdigit() and _GOES_ON.match(line, tail):
        return None
    return _number(number)


def _number_or_none(text: str) -> float | None:
    """Return the number of a text in brackets; a remark that begins with a digit is none."""
    number = read_number(text)
    if isinstance(number, NoNumber) and re.search(r"[A-DF-Za-df-z]", text):
        return None
    return number
