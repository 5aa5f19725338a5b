"""Values folded from a growing list, so that a longer list costs only its new items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress, count
from operator import is_not
from typing import Generic, TypeVar

T = TypeVar("T")
S = TypeVar("S")


class Growing(Generic[T, S]):
    """A value that is folded from the items of a list, such as the records of a ledger, in their order.

    The value after each item is kept. For the next list, the items that are the same objects from the start are not
    folded again, only the others.
    """

    def __init__(self, begin: S, add: Callable[[S, T], S]) -> None:
        """Begin with nothing.

        Args:
            begin: The value of an empty list.
            add: Returns the value after one more item, without changing the one before.
        """
        self._add = add
        self._values = [begin]
        self._items: list[T] = []

    def of(self, items: Sequence[T]) -> S:
        """Return the value of a list."""
        shorter = min(len(self._items), len(items))
        same = next(compress(count(), map(is_not, self._items, items)), shorter)
        del self._items[same:], self._values[same + 1 :]
        for item in items[same:]:
            self._items.append(item)
            self._values.append(self._add(self._values[-1], item))
        return self._values[-1]
