"""The search space: parameters, their possible values, and membership of a point.

The rest of the code knows of a parameter only what `BaseParameter` declares: whether it is continuous or a list of
levels, the index of each value, the scale of its values, and for numbers their span. A new type of parameter is a class
here and its name in the union `Parameter`; dialects, formats and the report follow.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import Field, JsonValue, field_validator, model_validator

from kfp_bayesopt.identity import IdentityModel
from kfp_bayesopt.strict import plain

Scalar = bool | int | float | str | None
"""A value that is neither a list nor a mapping."""

Value = JsonValue
"""The value of a parameter, as in JSON; its type is kept all the way to the objective."""

Parameters = dict[str, Value]
"""The value of each parameter of a trial, by name."""

PARAMETER_NAME = re.compile(r"[^\W\d][\w.-]{0,199}")

LARGEST_INTEGER = 2**53
"""Up to here floats, and so JSON, can represent every integer."""
MOST_STEPS = 10**6
FEWEST_FLOATS = 10**8
"""The fewest values of a continuous parameter; with fewer, trials would repeat each other."""


V = TypeVar("V", bound=Value)

AxisKind = Literal["linear", "log", "reverse_log", "logit"]


@dataclass(frozen=True)
class Axis:
    """The scale that maps the values of a parameter to positions from 0 to 1.

    Attributes:
        low: The value at 0.
        high: The value at 1.
        kind: The quantity with an even scale: the value, its logarithm, that of its distance to 1, or that of its odds.
        first: The coordinate of the first of a list of levels.
        step: The distance between two levels.
    """

    low: float
    high: float
    kind: AxisKind = "linear"
    first: float = 0
    step: float = 1

    @property
    def log(self) -> bool:
        """Whether the scale is logarithmic."""
        return self.kind == "log"

    @property
    def floats(self) -> float:
        """About the number of floats between low and high, if all were as far apart as the coarsest two."""
        if self.kind == "linear":
            return (self.high - self.low) / math.ulp(max(abs(self.low), abs(self.high)))
        low, high = self._ends
        coarsest = max(sys.float_info.epsilon, math.ulp(low), math.ulp(high))
        if self.kind != "log":  # near 1 floats are far apart on the axis
            coarsest = max(coarsest, math.ulp(self.high) / (1 - self.high))
        return (high - low) / coarsest

    @property
    def counts(self) -> bool:
        """Whether levels have whole numbers as coordinates, 1 apart."""
        return self.step == 1 and float(self.first).is_integer()

    @property
    def _ends(self) -> tuple[float, float]:
        """The scaled values at 0 and at 1."""
        return stretch(self.kind, self.low), stretch(self.kind, self.high)

    def position(self, value: float) -> float:
        """Return the position of a value, from 0 to 1."""
        low, high = self._ends
        return (stretch(self.kind, value) - low) / (high - low)

    def value(self, position: float) -> float:
        """Return the value at a position."""
        low, high = self._ends
        return _shrink(self.kind, low + position * (high - low))

    def nearest(self, position: float, levels: int) -> int:
        """Return the index of the level nearest to a position."""
        return min(max(round((self.value(position) - self.first) / self.step), 0), levels - 1)


def _shrink(kind: AxisKind, even: float) -> float:
    """Return the value of a number on a scale."""
    match kind:
        case "linear":
            return even
        case "log":
            return math.exp(even)
        case "reverse_log":
            return -math.expm1(-even)
        case "logit":
            return 1 / (1 + math.exp(-even))


def stretch(kind: AxisKind, value: float) -> float:
    """Return a value on a scale of some kind."""
    match kind:
        case "linear":
            return value
        case "log":
            return math.log(value)
        case "reverse_log":
            return -math.log1p(-value)
        case "logit":
            return math.log(value) - math.log1p(-value)


class Range(IdentityModel):
    """A range of values of a number, including its ends."""

    later_keys = ("low", "high")

    low: float | None = Field(None, description="The lowest value.")
    high: float | None = Field(None, description="The highest value.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low is None and self.high is None:
            raise ValueError("low or high must be given")
        return self

    def holds(self, value: Value) -> bool:
        """Tell whether a value lies in it."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


@dataclass(frozen=True)
class Span:
    """The range of a parameter whose values are numbers.

    Attributes:
        low: The lowest value.
        high: The highest value.
        kind: The kind of its scale.
        step: The distance between two values, counted from the lowest; None if it is continuous.
        is_whole: Whether the values are integers.
    """

    low: float
    high: float
    kind: AxisKind
    step: float | None
    is_whole: bool


When = Mapping[str, Scalar | Sequence[Scalar] | Range | Mapping[str, float]]
"""When a parameter is there at all, as a person gives it in Python."""


class BaseParameter(IdentityModel):
    """The interface of all types of parameters.

    Attributes:
        is_searched: Whether its value is searched; else every trial gets the only one.
        names_elsewhere: What other tools call it, and what it is here.
    """

    later_keys: ClassVar[tuple[str, ...]] = ("when",)
    is_searched: ClassVar[bool] = True
    names_elsewhere: ClassVar[Mapping[str, str]] = {}

    when: dict[str, Scalar | list[Scalar] | Range] = Field(
        {},
        description="When the parameter is there at all: for other parameters a value, a list of them, or of a number "
        "`low` and `high`. Default: always.",
    )

    def _take(self, data: dict[str, Any]) -> None:
        super()._take(plain(data))

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        yield from ((key, value) for key, value in self.to_data().items() if key != "type")

    def __str__(self) -> str:
        return repr(self)

    def is_active(self, values: Mapping[str, Value]) -> bool:
        """Tell whether the parameter is active, given the values of the active ones."""
        return all(name in values and meets(values[name], asked) for name, asked in self.when.items())

    @property
    def levels(self) -> int | None:
        """The number of values; None for a continuous parameter."""
        raise NotImplementedError

    @property
    def axis(self) -> Axis | None:
        """The scale of the values; None without an order."""
        raise NotImplementedError

    @property
    def span(self) -> Span | None:
        """The range of its values; None if they are listed one by one."""
        return None

    @property
    def listed(self) -> tuple[Any, ...]:
        """The values in their order, if they have no span."""
        return tuple(self.value_at(index) for index in range(self.levels or 0))

    def value_at(self, index: int) -> Value:
        """Return the value at an index, from 0 to levels - 1."""
        raise NotImplementedError

    def index_of(self, value: Value) -> int:
        """Return the index of a value."""
        raise NotImplementedError

    def problem_with(self, value: Value) -> str | None:
        """Return the reason a value is not one of the parameter, as it follows `name=value`, or None if it is."""
        raise NotImplementedError


class _Number(BaseParameter):
    """A number between two bounds, or one of several a step apart."""

    @property
    def kind(self) -> AxisKind:
        """The kind of its scale."""
        raise NotImplementedError

    @model_validator(mode="before")
    @classmethod
    def _name_scale(cls, data: Any) -> Any:
        """Read `scale: log` as `log: true`, which means the same, so that both are the same study."""
        if not isinstance(data, dict) or data.get("scale") not in ("linear", "log"):
            return data
        if "log" in data:
            raise ValueError("log and scale say the same; give one of them")
        rest = {key: value for key, value in data.items() if key != "scale"}
        return {**rest, "log": data["scale"] == "log"}


class Real(_Number):
    """A number between two bounds."""

    first_keys = ("type", "low", "high", "log")
    later_keys: ClassVar[tuple[str, ...]] = ("scale", "step", "when")
    names_elsewhere: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("float", "double", "uniform", "continuous", "number"), "real"),
        **dict.fromkeys(("loguniform", "log_uniform"), "real with log: true"),
    }

    type: Literal["real"]
    low: float = Field(description="Lowest value.")
    high: float = Field(description="Highest value.")
    log: bool = Field(False, description="Search the logarithm: for learning rates, penalties and the like.")
    scale: AxisKind | None = Field(
        None,
        description="What is searched evenly: `linear`; `log`, which is `log: true`; `reverse_log`, for values near 1 "
        "such as a momentum; `logit`, for values near 0 and near 1.",
    )
    step: float | None = Field(None, gt=0, description="Distance between two allowed values, counted from `low`.")

    def __init__(
        self,
        low: float,
        high: float,
        *,
        log: bool = False,
        scale: AxisKind | None = None,
        step: float | None = None,
        when: When | None = None,
    ) -> None:
        """Describe a number between two bounds, both of them allowed.

        Args:
            low: Lowest value.
            high: Highest value.
            log: Search the logarithm: for learning rates, penalties and the like.
            scale: What is searched evenly: `linear`, `log`, `reverse_log` (for values near 1, such as a momentum) or
                `logit` (for values near 0 and near 1).
            step: Distance between two allowed values, counted from `low`.
            when: When the parameter is there at all: for other parameters a value, a list of values, or of a number
                `{"low": 2, "high": 3}`. Default: always.

        Raises:
            UserError: There is no such range.
        """
        self._take({"type": "real", "low": low, "high": high, **_given(log=log, scale=scale, step=step, when=when)})

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # validation makes it by itself

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(self.low, self.high, self.log)
        got = f"but got low={self.low}, high={self.high}"
        if math.isinf(self.high - self.low):
            raise ValueError(f"high - low must be a finite number, {got}")
        if self.log and self.scale is not None:
            raise ValueError("log and scale say the same; give one of them")
        if self.kind == "reverse_log" and not 0 <= self.low < self.high < 1:
            raise ValueError(f"0 <= low < high < 1 must hold for a reverse_log scale, {got}")
        if self.kind == "logit" and not 0 < self.low < self.high < 1:
            raise ValueError(f"0 < low < high < 1 must hold for a logit scale, {got}")
        if self.log and self.low < sys.float_info.min:
            raise ValueError(f"low >= {sys.float_info.min} must hold for a log scale, {got}")
        if self.step is not None:
            self._check_steps(self.step)
        elif self.axis.floats < FEWEST_FLOATS:
            raise ValueError(
                f"low and high must have {FEWEST_FLOATS:,} floats between them, {got}; "
                "widen the range, or search another unit and convert it in the objective"
            )
        return self

    def _check_steps(self, step: float) -> None:
        got = f"but got low={self.low}, high={self.high}, step={step}"
        low, high, width = _exact(self.low), _exact(self.high), _exact(step)
        if width > high - low:
            raise ValueError(f"step <= high - low must hold, {got}")
        if high - low > MOST_STEPS * width:
            raise ValueError(f"there must be at most {MOST_STEPS:,} steps, {got}; leave step out")
        if (high - low) % width:
            reached = float(high - (high - low) % width)
            raise ValueError(f"high must be low plus a multiple of step, {got}; use high: {reached}")

    @property
    def kind(self) -> AxisKind:
        """The kind of its scale."""
        return "log" if self.log else self.scale or "linear"

    @cached_property
    def span(self) -> Span:
        """The range of its values."""
        return Span(self.low, self.high, self.kind, self.step, is_whole=False)

    @property
    def levels(self) -> int | None:
        """The number of steps from low to high, plus one; None without a step."""
        if self.step is None:
            return None
        return int((_exact(self.high) - _exact(self.low)) / _exact(self.step)) + 1

    @property
    def axis(self) -> Axis:
        """The scale from low to high."""
        if self.step is None:
            return Axis(self.low, self.high, self.kind)
        return _axis_of_steps(self.kind, self.low, self.high, self.step, self.levels or 1)

    def value_at(self, index: int) -> float:
        """Return the value `index` steps above low, without the error of adding floats."""
        assert self.step is not None
        return float(_exact(self.low) + index * _exact(self.step))

    def index_of(self, value: Value) -> int:
        """Return the number of steps from low to a value."""
        assert isinstance(value, int | float)
        assert self.step is not None
        return round((value - self.low) / self.step)

    def problem_with(self, value: Value) -> str | None:
        """Return the problem of a value that is not a number, out of bounds or between two steps."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "is not of type real"
        if problem := _out_of_bounds(value, self.low, self.high):
            return problem
        if self.step is not None and self.value_at(self.index_of(value)) != value:
            return f"is not {self.low} plus a multiple of {self.step}"
        return None


class Integer(_Number):
    """A whole number between two bounds, both of them allowed."""

    first_keys = ("type", "low", "high", "log", "step")
    names_elsewhere: ClassVar[Mapping[str, str]] = dict.fromkeys(("int", "randint", "quniform"), "integer")

    type: Literal["integer"]
    low: int = Field(description="Lowest value.")
    high: int = Field(description="Highest value.")
    log: bool = Field(False, description="Search the logarithm: for layer widths, numbers of trees and the like.")
    scale: Literal["linear", "log"] | None = Field(None, description="`log` is `log: true`.")
    step: int = Field(1, ge=1, description="Distance between two allowed values, counted from `low`.")

    def __init__(
        self,
        low: int,
        high: int,
        *,
        log: bool = False,
        scale: Literal["linear", "log"] | None = None,
        step: int | None = None,
        when: When | None = None,
    ) -> None:
        """Describe a whole number between two bounds, both of them allowed.

        Args:
            low: Lowest value.
            high: Highest value.
            log: Search the logarithm: for layer widths, numbers of trees and the like.
            scale: `log` is `log=True`.
            step: Distance between two allowed values, counted from `low`. Default: 1.
            when: When the parameter is there at all, as for `Real`.

        Raises:
            UserError: There is no such range.
        """
        self._take({"type": "integer", "low": low, "high": high, **_given(log=log, scale=scale, step=step, when=when)})

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # validation makes it by itself

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(self.low, self.high, self.log)
        low, high, step = (_short(number) for number in (self.low, self.high, self.step))
        if max(abs(self.low), abs(self.high), self.high - self.low) > LARGEST_INTEGER:
            raise ValueError(
                f"low, high and high - low must be at most 2^53 ({LARGEST_INTEGER}), beyond which floats skip "
                f"integers, but got low={low}, high={high}"
            )
        if self.step > self.high - self.low:
            raise ValueError(f"step <= high - low must hold, but got low={low}, high={high}, step={step}")
        if (self.high - self.low) % self.step:
            reached = self.high - (self.high - self.low) % self.step
            raise ValueError(
                f"high must be low plus a multiple of step, but got low={low}, high={high}, step={step}; "
                f"use high: {reached}"
            )
        return self

    @property
    def kind(self) -> AxisKind:
        """The kind of its scale."""
        return "log" if self.log else "linear"

    @cached_property
    def span(self) -> Span:
        """The range of its values."""
        return Span(self.low, self.high, self.kind, self.step, is_whole=True)

    @property
    def levels(self) -> int:
        """The number of steps from low to high, plus one."""
        return (self.high - self.low) // self.step + 1

    @property
    def axis(self) -> Axis:
        """The scale, each value in the middle of a bin as wide as its share, so that rounding favours none."""
        return _axis_of_steps(self.kind, self.low, self.high, self.step, self.levels)

    def value_at(self, index: int) -> int:
        """Return the value `index` steps above low."""
        return self.low + index * self.step

    def index_of(self, value: Value) -> int:
        """Return the number of steps from low to a value."""
        assert isinstance(value, int)
        return (value - self.low) // self.step

    def problem_with(self, value: Value) -> str | None:
        """Return the problem of a value that is not an integer, out of bounds or between two steps."""
        if isinstance(value, bool) or not isinstance(value, int):
            return "is not of type integer"
        if problem := _out_of_bounds(value, self.low, self.high):
            return problem
        return f"is not {self.low} plus a multiple of {self.step}" if (value - self.low) % self.step else None


class _Listed(BaseParameter):
    """One of a list of values."""

    @property
    def listed(self) -> tuple[Value, ...]:
        """The values."""
        raise NotImplementedError

    @property
    def levels(self) -> int:
        """The number of values."""
        return len(self.listed)

    def value_at(self, index: int) -> Value:
        """Return a value."""
        return self.listed[index]

    def index_of(self, value: Value) -> int:
        """Return the index of a value."""
        return self._indices[_key(value)]

    def problem_with(self, value: Value) -> str | None:
        """Return the problem of a value that is not in the list."""
        return None if _key(value) in self._indices else "is none of the choices"

    @cached_property
    def _indices(self) -> dict[str, int]:
        # Compared as JSON, because 1, 1.0 and True are equal in Python.
        return {_key(value): index for index, value in enumerate(self.listed)}


class Categorical(_Listed):
    """One of a list of values of any kind, without an order."""

    first_keys = ("type", "choices")
    names_elsewhere: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("choice", "enum", "str", "string", "bool", "boolean"), "categorical"
    )

    type: Literal["categorical"]
    choices: tuple[Value, ...] = Field(
        min_length=1, strict=False, description="The values to choose from; lists and mappings too."
    )

    def __init__(self, choices: Sequence[Any], *, when: When | None = None) -> None:
        """Describe one of a list of values without an order.

        Args:
            choices: The values: anything that JSON can hold, lists and mappings too.
            when: When the parameter is there at all, as for `Real`.

        Raises:
            UserError: There are none, one comes twice, or JSON cannot hold it.
        """
        self._take({"type": "categorical", "choices": choices, **_given(when=when)})

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # validation makes it by itself

    @field_validator("choices")
    @classmethod
    def _check(cls, choices: tuple[Value, ...]) -> tuple[Value, ...]:
        return _without_duplicates("choice", choices)

    @property
    def listed(self) -> tuple[Value, ...]:
        """The choices."""
        return self.choices

    @property
    def axis(self) -> None:
        """None: choices have no order."""
        return


class Ordinal(_Listed):
    """One of a list of values in order, evenly spaced."""

    later_keys = ("type", "values", "when")
    names_elsewhere: ClassVar[Mapping[str, str]] = dict.fromkeys(("discrete", "ordered"), "ordinal")

    type: Literal["ordinal"]
    values: tuple[Scalar, ...] = Field(
        min_length=2, strict=False, description="The values in their order, numbers or words: `[8, 32, 256]`."
    )

    def __init__(self, values: Sequence[Scalar], *, when: When | None = None) -> None:
        """Describe one of a list of values in order, evenly spaced.

        Args:
            values: The values in their order, numbers or words: `[8, 32, 256]`.
            when: When the parameter is there at all, as for `Real`.

        Raises:
            UserError: There are fewer than two, one comes twice, or numbers are in no order.
        """
        self._take({"type": "ordinal", "values": values, **_given(when=when)})

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # validation makes it by itself

    @field_validator("values")
    @classmethod
    def _check(cls, values: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        _without_duplicates("value", values)
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        if len(numbers) == len(values) and numbers not in (sorted(numbers), sorted(numbers, reverse=True)):
            raise ValueError(
                f"numbers must go up or down, but got {json.dumps(values)}; without an order use categorical"
            )
        return values

    @property
    def listed(self) -> tuple[Scalar, ...]:
        """The values."""
        return self.values

    @property
    def axis(self) -> Axis:
        """The scale, with each value in the middle of a bin, all bins of the same width."""
        return Axis(-0.5, self.levels - 0.5)


class Constant(_Listed):
    """A value that every trial gets, and that is not searched."""

    later_keys = ("type", "value", "when")
    is_searched = False
    names_elsewhere: ClassVar[Mapping[str, str]] = dict.fromkeys(("fixed", "const"), "constant")

    type: Literal["constant"]
    value: Value = Field(description="The value.")

    def __init__(self, value: Any, *, when: When | None = None) -> None:
        """Describe a value that every trial gets, and that is not searched.

        Args:
            value: The value: anything that JSON can hold.
            when: When the parameter is there at all, as for `Real`.

        Raises:
            UserError: JSON cannot hold it.
        """
        self._take({"type": "constant", "value": value, **_given(when=when)})

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # validation makes it by itself

    @property
    def listed(self) -> tuple[Value, ...]:
        """Its only value."""
        return (self.value,)

    @property
    def axis(self) -> None:
        """None: one value has no order."""
        return


Parameter = Annotated[Real | Integer | Ordinal | Categorical | Constant, Field(discriminator="type")]


def _given(**options: Any) -> dict[str, Any]:
    """Return the arguments that are not left out."""
    return {name: value for name, value in options.items() if value is not None and value is not False}


def _axis_of_steps(kind: AxisKind, low: float, high: float, step: float, levels: int) -> Axis:
    """Return the scale of values a step apart, each in the middle of its bin."""
    if kind == "linear":
        return Axis(-0.5, levels - 0.5)
    # The outermost bins end with the scale, which excludes 0, and in some cases 1.
    begin = max(low - step / 2, low / 2)
    end = high + step / 2
    return Axis(begin, end if kind == "log" else min(end, (1 + high) / 2), kind, low, step)


def _exact(number: float) -> Decimal:
    """Return the number as a person wrote it."""
    return Decimal(repr(number))


def _key(value: Value) -> str:
    return json.dumps(value, sort_keys=True)


def _without_duplicates(what: str, values: tuple[V, ...]) -> tuple[V, ...]:
    seen: set[str] = set()
    for value in values:
        text = json.dumps(value, allow_nan=False)
        if _key(value) in seen:
            raise ValueError(f"duplicate {what} {text}")
        seen.add(_key(value))
    return values


def difference_of(space: Mapping[str, Parameter], parameters: Parameters) -> str | None:
    """Return the first difference by name between parameters and a point of a space, or None if there is none."""
    for name in sorted(space.keys() | parameters.keys()):
        if name not in space:
            return f"its {name} is no parameter of the study"
        if name not in parameters:
            if space[name].is_active(parameters):
                return f"it has no {name}"
            continue
        if not space[name].is_active(parameters):
            return f"its {name} is there, though {_conditions(space[name])} does not hold"
        if problem := space[name].problem_with(parameters[name]):
            return f"its {name}={json.dumps(parameters[name])} {problem}"
    return None


def in_order(space: Mapping[str, Parameter]) -> list[str]:
    """Return the names of the parameters, each after those that its `when` names.

    Raises:
        ValueError: Some depend on each other, or name something that is not a parameter or not a value of one.
    """
    for name, parameter in space.items():
        for other, asked in parameter.when.items():
            if problem := _problem_of(name, other, asked, space):
                raise ValueError(f"space.{name}.when: {problem}")
    ordered: list[str] = []
    while len(ordered) < len(space):
        ready = [name for name in space if name not in ordered and space[name].when.keys() <= set(ordered)]
        if not ready:
            circle = ", ".join(name for name in space if name not in ordered)
            raise ValueError(f"space: {circle} are there only when each other are; leave one `when` out")
        ordered += ready
    return ordered


def present(space: Mapping[str, Parameter], values: Mapping[str, Value], order: Sequence[str]) -> Parameters:
    """Return the values of the active parameters, in the order of the space.

    Args:
        space: The parameters by name.
        values: A value for each.
        order: Their names, each after those that its `when` names.
    """
    found: Parameters = {}
    for name in order:
        if space[name].is_active(found):
            found[name] = values[name]
    return {name: found[name] for name in space if name in found}


def meets(value: Value, asked: Scalar | list[Scalar] | Range) -> bool:
    """Tell whether a value satisfies a condition of `when`."""
    if isinstance(asked, Range):
        return asked.holds(value)
    return _key(value) in [_key(each) for each in (asked if isinstance(asked, list) else [asked])]


def _problem_of(
    name: str, other: str, asked: Scalar | list[Scalar] | Range, space: Mapping[str, Parameter]
) -> str | None:
    if other == name:
        return "names the parameter itself"
    if other not in space:
        return f"{other} is no parameter of the study; known: {', '.join(space)}"
    if isinstance(asked, Range):
        return f"{other} is no number; name its values" if space[other].span is None else None
    for value in asked if isinstance(asked, list) else [asked]:
        if problem := space[other].problem_with(value):
            return f"{other}={json.dumps(value)} {problem}"
    return None


def _conditions(parameter: Parameter) -> str:
    return json.dumps(parameter.model_dump(mode="json", include={"when"})["when"])


def _check_range(low: float, high: float, log: bool) -> None:
    got = f"but got low={_short(low)}, high={_short(high)}"
    if not low < high:
        raise ValueError(f"low < high must hold, {got}")
    if log and low <= 0:
        raise ValueError(f"low > 0 must hold for a log scale, {got}")


def _out_of_bounds(value: float, low: float, high: float) -> str | None:
    return None if low <= value <= high else f"does not lie between {low} and {high}"


def _short(number: float) -> str:
    """Return a number as text; of an integer too long to read only its order of magnitude."""
    if isinstance(number, float) or abs(number) < 10**20:
        return str(number)
    # From its bits: Python refuses to print an integer of thousands of digits.
    return f"about {'-' if number < 0 else ''}10^{abs(number).bit_length() * math.log10(2):.0f}"
