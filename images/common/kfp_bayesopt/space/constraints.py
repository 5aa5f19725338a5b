"""Constraints of a search space: comparisons of parameters, such as `min_layers <= layers`, that every trial keeps.

An expression is Python's, but is never run as such: its nodes are checked against a list here, and computed in
`expressions`.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kfp_bayesopt.space.expressions import FUNCTIONS, OPERATORS, Computed, can_be_undecided, computed
from kfp_bayesopt.space.parameters import Parameter, Parameters, Value, in_order, present

LONGEST = 200
MOST_NODES = 50
SAMPLES = 2000
LEAST_SHARE = 0.001
"""The least share of a space that must keep all constraints; in less, points could hardly be found."""

_STRUCTURE = (ast.Expression, ast.Load, ast.BoolOp, ast.And, ast.Or, ast.Compare, ast.BinOp, ast.UnaryOp, ast.Call)


@dataclass(frozen=True)
class Constraint:
    """A comparison that every trial keeps.

    Attributes:
        text: As in the study file.
        quick: Its computation with floats, which raises an error if they cannot decide.
        exact: Its computation with exact numbers; None if floats can always decide.
    """

    text: str
    quick: Computed
    exact: Computed | None

    def holds(self, parameters: Mapping[str, Value]) -> bool:
        """Tell whether a point keeps it; if it cannot be computed, as with a division by 0, the point does not.

        A constraint on an inactive parameter is kept.
        """
        for compute in filter(None, (self.quick, self.exact)):
            try:
                return bool(compute(parameters))
            except KeyError:
                return True
            except (ArithmeticError, TypeError):
                pass
        return False


def parse(text: str, space: Mapping[str, Parameter], binary: bool = False) -> Constraint:
    """Return a constraint of a search space.

    Args:
        text: The expression.
        space: The parameters by name.
        binary: Compute with floats alone, as earlier versions did: `a + b <= 0.3` refuses 0.1 and 0.2.

    Raises:
        ValueError: It is too long, not a supported expression, or names something that is not a parameter.
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
    if binary or not can_be_undecided(tree.body, space):
        return Constraint(text, computed(tree.body, "binary", space), None)
    return Constraint(text, computed(tree.body, "quick", space), computed(tree.body, "exact", space))


def _problem(node: ast.AST, is_function: bool, space: Mapping[str, Parameter]) -> str | None:
    """Return the rule that a node breaks, or None."""
    if is_function:
        known = isinstance(node, ast.Name) and node.id in FUNCTIONS
        return None if known else f"may call {', '.join(FUNCTIONS)} alone"
    if isinstance(node, ast.Name):
        return None if node.id in space else f"must name parameters ({', '.join(space)}), not {node.id!r}"
    if isinstance(node, ast.Constant):
        return None if isinstance(node.value, bool | int | float | str) else "must have numbers and texts alone"
    if isinstance(node, ast.Call) and node.keywords:
        return "may give a function values alone"
    if isinstance(node, ast.Pow):
        return "must do without **"
    known = isinstance(node, (*_STRUCTURE, *OPERATORS))
    return None if known else "may compare, add, subtract, multiply and divide, with and, or and not"


def keeps(constraints: Iterable[Constraint], parameters: Mapping[str, Value]) -> bool:
    """Tell whether a point keeps all constraints."""
    return all(each.holds(parameters) for each in constraints)


def share_kept(space: Mapping[str, Parameter], constraints: Sequence[Constraint]) -> float:
    """Return the share of a space that keeps constraints, estimated from the same random points each time."""
    numbers = random.Random(0)  # noqa: S311 - no secret
    kept = sum(keeps(constraints, point) for point in points(space, numbers, SAMPLES))
    return kept / SAMPLES


def points(space: Mapping[str, Parameter], numbers: random.Random, count: int) -> Iterator[Parameters]:
    """Yield random points of a space."""
    order = in_order(space)
    for _ in range(count):
        values = {name: _value(parameter, numbers.random()) for name, parameter in space.items()}
        yield present(space, values, order)


def _value(parameter: Parameter, position: float) -> Value:
    if not parameter.is_searched:
        return parameter.value_at(0)
    axis, levels = parameter.axis, parameter.levels
    if levels is None:
        assert axis is not None
        return min(max(axis.value(position), axis.low), axis.high)
    index = int(position * levels) if axis is None else axis.nearest(position, levels)
    return parameter.value_at(index)
