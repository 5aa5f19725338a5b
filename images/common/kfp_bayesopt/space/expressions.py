"""Computes the expressions of constraints: with floats as far as these can decide, else exactly.

Numbers are the decimal ones that people write and read (`decimals`), so that 0.1 + 0.2 is 0.3. Fractions are exact, but
several times slower than floats, and a search checks thousands of points. So floats decide if the two sides of a
comparison differ by more than the largest possible rounding error, which follows from the bounds of the parameters.
"""

from __future__ import annotations

import ast
import itertools
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import Any, Literal

from kfp_bayesopt.space.decimals import exact, exactly, noise_of
from kfp_bayesopt.space.parameters import Parameter, Value

OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.USub: operator.neg, ast.UAdd: operator.pos,
    ast.Not: operator.not_, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
FUNCTIONS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "abs": abs}

ROUNDING = 2.0**-50
"""More than the error of one floating-point operation, as a share of its result."""

Computed = Callable[[Mapping[str, Value]], Any]
"""Computes an expression of the parameters of a trial."""

Arithmetic = Literal["binary", "quick", "exact"]
"""With floats; with floats as far as they can decide; with the exact numbers."""


def can_be_undecided(tree: ast.expr, space: Mapping[str, Parameter]) -> bool:
    """Tell whether there may be points for which floats cannot decide an expression."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare() if any(_nearest(node, space)):
                return True
            case ast.BoolOp(values=asked) if not all(map(_is_condition, asked)):
                return True
            case ast.UnaryOp(op=ast.Not(), operand=operand) if not _is_condition(operand):
                return True
    return False


class UndecidedError(ArithmeticError):
    """Two numbers are too near to each other for floats to tell the larger one."""


@dataclass(frozen=True)
class _Bound:
    """Bounds on a number that is not computed yet.

    Attributes:
        size: The largest absolute value.
        error: The largest error of a float; 0 for integers, which Python computes exactly.
    """

    size: float
    error: float

    @classmethod
    def rounded(cls, size: float, error: float) -> _Bound:
        """Return the bound of a rounded result; near 0 the spacing of floats is constant."""
        return cls(size, error + ROUNDING * size + sys.float_info.min)


def computed(node: ast.expr, arithmetic: Arithmetic, space: Mapping[str, Parameter]) -> Computed:
    """Return a function that computes an expression with checked nodes.

    It raises a KeyError if a parameter is inactive, and an ArithmeticError or a TypeError if it cannot be computed; in
    quick arithmetic an ArithmeticError too if floats cannot decide.
    """
    if _is_condition(node):
        return _condition(node, arithmetic, space)
    match node:
        case ast.Name(id=name):
            parameter = space[name]
            if arithmetic == "exact":
                return lambda parameters: exact(parameter, parameters[name])
            return operator.itemgetter(name)
        case ast.Constant(value=value):
            constant = exactly(value) if arithmetic == "exact" else value
            return lambda _: constant
        case ast.UnaryOp(op=op, operand=operand):
            call, arguments = OPERATORS[type(op)], [operand]
        case ast.BinOp(left=left, op=op, right=right):
            divides = isinstance(op, ast.Div) and arithmetic == "exact"
            call, arguments = _divide if divides else OPERATORS[type(op)], [left, right]
        case ast.Call(func=ast.Name(id=name), args=arguments):
            call = FUNCTIONS[name]
        case _:
            raise TypeError(type(node).__name__)
    functions = [computed(each, arithmetic, space) for each in arguments]
    return lambda parameters: call(*[_number(function(parameters)) for function in functions])


def _is_condition(node: ast.expr) -> bool:
    is_negated = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    return is_negated or isinstance(node, ast.Compare | ast.BoolOp)


def _condition(node: ast.expr, arithmetic: Arithmetic, space: Mapping[str, Parameter]) -> Computed:
    """Return a function that computes a truth value."""

    def truth(asked: ast.expr) -> Computed:
        if arithmetic == "quick" and not _is_condition(asked):
            return _undecided  # floats cannot tell whether a number is 0
        return computed(asked, arithmetic, space)

    match node:
        case ast.UnaryOp(operand=operand):
            inner = truth(operand)
            return lambda parameters: not inner(parameters)
        case ast.BoolOp(op=op, values=values):
            joined, parts = all if isinstance(op, ast.And) else any, [truth(each) for each in values]
            return lambda parameters: joined(part(parameters) for part in parts)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            nearest = _nearest(node, space) if arithmetic == "quick" else [0.0] * len(ops)
            sides = [computed(each, arithmetic, space) for each in (left, *comparators)]
            return _compared([OPERATORS[type(op)] for op in ops], sides, nearest)
    raise TypeError(type(node).__name__)


def _compared(
    comparisons: Sequence[Callable[..., Any]], functions: Sequence[Computed], nearest: Sequence[float]
) -> Computed:
    """Return a chain of comparisons, each undecided if its sides differ by no more than its threshold."""

    def function(parameters: Mapping[str, Value]) -> bool:
        pairs = itertools.pairwise([each(parameters) for each in functions])
        for compare, near, (one, other) in zip(comparisons, nearest, pairs, strict=True):
            if near and not abs(one - other) > near:
                raise UndecidedError
            if not compare(one, other):
                return False
        return True

    return function


def _undecided(_: Mapping[str, Value]) -> bool:
    raise UndecidedError


def _divide(one: Any, other: Any) -> Any:
    """Divide exactly, also if the result of two integers would be a float."""
    return Fraction(one) / other


def _number(value: Any) -> Any:
    """Return a number; texts may only be compared, or a short expression could make a very long one."""
    if not isinstance(value, bool | int | float | Fraction):
        raise TypeError(f"expected a number, but got {value!r}")
    return value


def _nearest(node: ast.Compare, space: Mapping[str, Parameter]) -> list[float]:
    """Return the difference of the two sides of each comparison below which floats cannot decide.

    It is 0 for two plain numbers: nothing is computed, and floats have the order of their decimal forms.
    """
    found = []
    for sides in itertools.pairwise([node.left, *node.comparators]):
        is_plain = all(_is_plain(each, space) for each in sides)
        found.append(0.0 if is_plain else sum(_bound(each, space).error for each in sides))
    return found


def _is_plain(node: ast.expr, space: Mapping[str, Parameter]) -> bool:
    if isinstance(node, ast.Name):
        span = space[node.id].span
        return span is None or span.is_whole or span.step is None
    return isinstance(node, ast.Constant)


def _bound(node: ast.expr, space: Mapping[str, Parameter]) -> _Bound:
    """Return the bounds of an expression, from the bounds of the parameters."""
    match node:
        case ast.Name(id=name):
            return _bound_of(space[name])
        case ast.Constant(value=value):
            return _bound_of_values([value])
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return _bound(operand, space)
        case ast.BinOp(left=left, op=op, right=right):
            one, other = _bound(left, space), _bound(right, space)
            is_whole = one.error == other.error == 0 and not isinstance(op, ast.Div)
            if isinstance(op, ast.Add | ast.Sub):
                size, error = one.size + other.size, one.error + other.error
            elif isinstance(op, ast.Mult):
                size = one.size * other.size
                error = one.size * other.error + other.size * one.error + one.error * other.error
            else:  # where one is a little less, the quotient may be a whole number less, or much more
                size, error = (max(one.size, other.size), 0.0) if is_whole else (inf, inf)
            return _Bound(size, 0) if is_whole else _Bound.rounded(size, error)
        case ast.Call(args=arguments):
            bounds = [_bound(each, space) for each in arguments]
            return _Bound(
                max((each.size for each in bounds), default=0), max((each.error for each in bounds), default=0)
            )
    return _Bound(1, 0)  # true or false


def _bound_of(parameter: Parameter) -> _Bound:
    """Return the bounds of the value of a parameter."""
    span = parameter.span
    if span is None:
        return _bound_of_values(parameter.listed)
    if span.is_whole:
        return _bound_of_values([span.low, span.high])
    return _Bound.rounded(max(abs(span.low), abs(span.high)), 0 if span.step is None else noise_of(span))


def _bound_of_values(values: Sequence[Any]) -> _Bound:
    """Return the bounds of several possible values; those that are not numbers are never computed with."""
    numbers = [value for value in values if isinstance(value, int | float)]
    try:
        size = float(max(map(abs, numbers), default=0))
    except OverflowError:  # an integer of hundreds of digits
        size = inf
    return _Bound.rounded(size, 0) if any(isinstance(value, float) for value in numbers) else _Bound(size, 0)
