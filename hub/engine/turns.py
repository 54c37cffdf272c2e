"""What waits, in turns: one of each project, so that one project's flood keeps nobody else waiting (H8)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Turns"]

T = TypeVar("T", bound=Hashable)


class Turns(Generic[T]):
    """A queue in which ``whose(item)`` take turns; what belongs to one keeps its order."""

    def __init__(self, whose: Callable[[T], str]) -> None:
        self._whose = whose
        #: by owner, in the order of their turns; nobody is here without anything that waits
        self._waiting: OrderedDict[str, OrderedDict[T, None]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __contains__(self, item: T) -> bool:
        return item in self._waiting.get(self._whose(item), ())

    def append(self, item: T) -> None:
        """Put ``item`` behind its owner's others; one that waits already stays where it is."""
        self._waiting.setdefault(self._whose(item), OrderedDict())[item] = None

    def popleft(self) -> T:
        """Take the first of whose turn it is. Raises KeyError if nothing waits."""
        owner, items = self._waiting.popitem(last=False)
        item, _ = items.popitem(last=False)
        if items:
            self._waiting[owner] = items
        return item

    def remove(self, item: T) -> None:
        """Take ``item`` out of its turn. Raises KeyError if it does not wait."""
        owner = self._whose(item)
        items = self._waiting[owner]
        del items[item]
        if not items:
            del self._waiting[owner]
