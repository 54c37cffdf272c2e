"""``filter[…]``, ``order[…]`` and paging of lists (reference 1.2)."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

from .ask import MAX_PAGE, Ask
from .bracket import Node, numbers, texts
from .collection import Bounds, Collection, Selection, Stored
from .reply import Json, Reply, bad_request, listing

R = TypeVar("R", bound=Stored)
Check = Callable[[Any], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which filters a list knows. Others are ignored, as the live server does."""

    members: tuple[str, ...] = ()
    ranges: tuple[str, ...] = ("created_at", "updated_at")
    orders: tuple[str, ...] = ("updated_at", "id")
    #: Filters with a shape of their own: name to a function that makes the test.
    special: tuple[tuple[str, Callable[[Node], Check]], ...] = ()

    def select(self, ask: Ask, *, enabled: bool = True, descending: bool = False) -> Selection[Any]:
        """What the request asks for; with ``enabled`` off its filters are not looked at."""
        order, descending = self._order(ask, descending)
        node = ask.query.get("filter")
        if not enabled or not isinstance(node, dict):
            return Selection(order=order, descending=descending)
        checks: list[Check] = []
        keys: list[Hashable] = []
        bounds: list[tuple[str, Bounds]] = []
        ids: tuple[int, ...] | None = None
        for name, value in node.items():
            if name == "id":
                ids = tuple(numbers(value))
            elif name in self.ranges:
                bounds.append((name, bounds_of(value)))
            elif name in self.members:
                checks.append(_member(name, value))
                keys.append((name, tuple(texts(value))))
            else:
                for known, make in self.special:
                    if known == name:
                        checks.append(make(value))
                        keys.append((name, str(value)))
        return Selection(
            order=order,
            descending=descending,
            key=tuple(keys) or None,
            predicate=_all(checks) if checks else None,
            bounds=tuple(bounds),
            ids=ids,
        )

    def _order(self, ask: Ask, descending: bool) -> tuple[str, bool]:
        node = ask.query.get("order")
        if not isinstance(node, dict) or not node:
            return "id", descending
        name, direction = next(iter(node.items()))
        if name not in self.orders:
            raise bad_request(f"Sorting by {name} is not supported")
        return name, str(direction).lower() == "desc"


def bounds_of(node: Node) -> Bounds:
    """``[from]`` and ``[to]``; a bare value means equality, not "since" (#358)."""
    if isinstance(node, dict) and ("from" in node or "to" in node):
        first, last = numbers(node.get("from")), numbers(node.get("to"))
        return (first[0] if first else None, last[0] if last else None)
    values = numbers(node)
    if not values:
        return None, None
    return min(values), max(values)


def answer(
    ask: Ask,
    name: str,
    collection: Collection[R],
    selection: Selection[R],
    show: Callable[[R], Json],
    *,
    cap: int = MAX_PAGE,
) -> Reply:
    """One page of a collection in the vendor's list envelope."""
    page, limit = ask.paging(cap)
    found, more = collection.page(selection, (page - 1) * limit, limit)
    return listing(
        name,
        [show(record) for record in found],
        origin=ask.origin,
        path=ask.path,
        query=ask.pairs,
        page=page,
        limit=limit,
        more=more,
    )


def _member(name: str, node: Node) -> Check:
    wanted = set(texts(node))
    if name == "is_completed":
        wanted = {str(bool(int(text))) for text in wanted if text.isdigit()}
    return lambda record: str(getattr(record, name)) in wanted


def _all(checks: list[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]
    return lambda record: all(check(record) for check in checks)
