"""Constraints of a search space: comparisons of parameters, such as `min_layers <= layers`, which no trial breaks.

An expression is Python's, but never run as such: its nodes are checked against a list, and computed here.
"""

from __future__ import annotations

import ast
import itertools
import operator
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bayesopt.space import Constant, Parameter, Parameters, Value, in_order, present

LONGEST = 200
MOST_NODES = 50
SAMPLES = 2000
LEAST_SHARE = 0.001
"""Of a space; where fewer points keep all constraints, they could hardly be found."""

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.USub: operator.neg, ast.UAdd: operator.pos,
    ast.Not: operator.not_, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "abs": abs}
_STRUCTURE = (ast.Expression, ast.Load, ast.BoolOp, ast.And, ast.Or, ast.Compare, ast.BinOp, ast.UnaryOp, ast.Call)


@dataclass(frozen=True)
class Constraint:
    """A comparison that every trial keeps.

    Attributes:
        text: As the study file has it.
        tree: The same, checked.
    """

    text: str
    tree: ast.expr

    def holds(self, parameters: Mapping[str, Value]) -> bool:
        """Tell whether a point keeps it; one for which it cannot be computed, such as by a division by 0, does not.

        Of a parameter that is not there nothing is asked.
        """
        try:
            return bool(_compute(self.tree, parameters))
        except KeyError:
            return True
        except (ArithmeticError, TypeError):
            return False


def parse(text: str, space: Mapping[str, Parameter]) -> Constraint:
    """Return a constraint of a search space.

    Raises:
        ValueError: It is too long, no expression of the few that are known, or names what is no parameter.
    """
    if len(text) > LONGEST:
        raise ValueError(f"must have at most {LONGEST} characters, but has {len(text)}")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"must be a comparison such as `min_layers <= layers`, but got {text!r}") from error
    nodes = list(ast.walk(tree))
    if len(nodes) > MOST_NODES:
        raise ValueError(f"must have at most {MOST_NODES} parts, but {text!r} has {len(nodes)}")
    functions = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    for node in nodes:
        if problem := _problem(node, id(node) in functions, space):
            raise ValueError(f"{problem}, but got {text!r}")
    if not any(isinstance(node, ast.Name) and id(node) not in functions for node in nodes):
        raise ValueError(f"must name a parameter, but got {text!r}")
    negated = isinstance(tree.body, ast.UnaryOp) and isinstance(tree.body.op, ast.Not)
    compares = negated or isinstance(tree.body, ast.Compare | ast.BoolOp)
    if not compares:
        raise ValueError(f"must compare, with <=, <, >=, >, == or !=, but got {text!r}")
    return Constraint(text, tree.body)


def _problem(node: ast.AST, is_function: bool, space: Mapping[str, Parameter]) -> str | None:
    """Return what must hold and does not of a node."""
    if is_function:
        known = isinstance(node, ast.Name) and node.id in _FUNCTIONS
        return None if known else f"may call {', '.join(_FUNCTIONS)} alone"
    if isinstance(node, ast.Name):
        return None if node.id in space else f"must name parameters ({', '.join(space)}), not {node.id!r}"
    if isinstance(node, ast.Constant):
        return None if isinstance(node.value, bool | int | float | str) else "must have numbers and texts alone"
    if isinstance(node, ast.Call) and node.keywords:
        return "may give a function values alone"
    if isinstance(node, ast.Pow):
        return "must do without **"
    known = isinstance(node, (*_STRUCTURE, *_OPERATORS))
    return None if known else "may compare, add, subtract, multiply and divide, with and, or and not"


def _compute(node: ast.AST, parameters: Mapping[str, Value]) -> Any:
    match node:
        case ast.Name(id=name):
            return parameters[name]
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _compute(operand, parameters)
        case ast.UnaryOp(op=op, operand=operand):
            return _OPERATORS[type(op)](_number(_compute(operand, parameters)))
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_number(_compute(left, parameters)), _number(_compute(right, parameters)))
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_compute(each, parameters) for each in values)
        case ast.BoolOp(values=values):
            return any(_compute(each, parameters) for each in values)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _FUNCTIONS[name](*(_number(_compute(each, parameters)) for each in arguments))
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            sides = [_compute(each, parameters) for each in (left, *comparators)]
            compared = zip(ops, itertools.pairwise(sides), strict=True)
            return all(_OPERATORS[type(op)](one, other) for op, (one, other) in compared)
    raise TypeError(type(node).__name__)


def _number(value: Any) -> Any:
    """Return a number; texts are compared alone, or a short expression could make a very long one."""
    if not isinstance(value, bool | int | float):
        raise TypeError(f"expected a number, but got {value!r}")
    return value


def keeps(constraints: Iterable[Constraint], parameters: Mapping[str, Value]) -> bool:
    """Tell whether a point keeps all constraints."""
    return all(each.holds(parameters) for each in constraints)


def share_kept(space: Mapping[str, Parameter], constraints: Sequence[Constraint]) -> float:
    """Return which share of a space keeps constraints, by points at random, the same each time."""
    numbers = random.Random(0)  # noqa: S311 - no secret
    kept = sum(keeps(constraints, point) for point in points(space, numbers, SAMPLES))
    return kept / SAMPLES


def points(space: Mapping[str, Parameter], numbers: random.Random, count: int) -> Iterator[Parameters]:
    """Yield points of a space at random."""
    order = in_order(space)
    for _ in range(count):
        values = {name: _value(parameter, numbers.random()) for name, parameter in space.items()}
        yield present(space, values, order)


def _value(parameter: Parameter, position: float) -> Value:
    if isinstance(parameter, Constant):
        return parameter.value
    axis, levels = parameter.axis, parameter.levels
    if levels is None:
        assert axis is not None
        return min(max(axis.value(position), axis.low), axis.high)
    index = int(position * levels) if axis is None else axis.nearest(position, levels)
    return parameter.value_at(index)
