"""Records of one kind, kept in order, so that a page costs its own length and not the table's."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Generic, Protocol, TypeVar

#: Ids fit in this many bits; an order's key is ``value << ID_BITS | id``.
ID_BITS = 40
_ID_MASK = (1 << ID_BITS) - 1
#: Filtered lists that are kept up to date between requests.
_KEPT_VIEWS = 12


class Stored(Protocol):
    """Anything with an id that can be put in order."""

    id: int


R = TypeVar("R", bound=Stored)
#: Inclusive bounds on an ordering field; None: open.
Bounds = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Selection(Generic[R]):
    """Which records, in which order: what a list request asks for.

    ``key`` names the predicate (equal keys mean equal predicates), so that its answer can be kept.
    """

    order: str = "id"
    descending: bool = False
    key: Hashable = None
    predicate: Callable[[R], bool] | None = None
    bounds: tuple[tuple[str, Bounds], ...] = ()
    ids: tuple[int, ...] | None = None
    group: tuple[Hashable, ...] | None = None


class _View(Generic[R]):
    """Keys of the records that meet a predicate, sorted by one field."""

    def __init__(self, order: str, predicate: Callable[[R], bool], records: Iterable[R]) -> None:
        self.order = order
        self.predicate = predicate
        self.keys = sorted(order_key(record, order) for record in records if predicate(record))

    def put(self, record: R) -> None:
        if self.predicate(record):
            key = order_key(record, self.order)
            if not self.keys or key > self.keys[-1]:
                self.keys.append(key)
            else:
                insort(self.keys, key)

    def drop(self, record: R) -> None:
        key = order_key(record, self.order)
        place = bisect_left(self.keys, key)
        if place < len(self.keys) and self.keys[place] == key:
            del self.keys[place]


def order_key(record: Stored, order: str) -> int:
    """The record's place in an order; ties are settled by id."""
    if order == "id":
        return record.id
    value = getattr(record, order)
    return (int(value or 0) << ID_BITS) | record.id


class Collection(Generic[R]):
    """Records by id, with every order that was asked for kept up to date.

    ``orders`` are the fields one may sort or bound by; ``visible`` hides deleted records from lists;
    ``group`` gives a record's owner (the card of a note), so that an owner's records are found at once.
    """

    def __init__(
        self,
        orders: tuple[str, ...],
        *,
        visible: Callable[[R], bool],
        group: Callable[[R], Hashable] | None = None,
    ) -> None:
        self.orders = orders
        self.by_id: dict[int, R] = {}
        self._visible = visible
        self._group = group
        self._groups: dict[Hashable, list[int]] = {}
        self._views: dict[tuple[Hashable, str], _View[R]] = {}

    def __len__(self) -> int:
        return len(self.by_id)

    def __iter__(self) -> Iterator[R]:
        return iter(list(self.by_id.values()))

    def get(self, record_id: int) -> R | None:
        """The record, deleted or not, or None."""
        return self.by_id.get(record_id)

    def live(self, record_id: object) -> R | None:
        """The record if lists would show it, else None."""
        record = self.by_id.get(record_id) if isinstance(record_id, int) else None
        return record if record is not None and self._visible(record) else None

    def add(self, record: R) -> R:
        """Store a new record."""
        self.by_id[record.id] = record
        self._put(record)
        return record

    def add_many(self, records: Iterable[R]) -> None:
        """Store many at once: the orders are rebuilt when next asked for."""
        for record in records:
            self.by_id[record.id] = record
            if self._group is not None:
                self._groups.setdefault(self._group(record), []).append(record.id)
        self._views.clear()

    @contextmanager
    def editing(self, record: R) -> Iterator[R]:
        """Change a record inside this block; its places in all orders follow."""
        for view in self._views.values():
            view.drop(record)
        if self._group is not None:
            self._groups[self._group(record)].remove(record.id)
        try:
            yield record
        finally:
            self._put(record)

    def of_group(self, group: Hashable) -> list[R]:
        """The visible records of one owner, oldest first."""
        found = (self.by_id[record_id] for record_id in self._groups.get(group, ()))
        return [record for record in found if self._visible(record)]

    def page(self, selection: Selection[R], offset: int, limit: int) -> tuple[list[R], bool]:
        """The records from ``offset`` on, at most ``limit``, and whether more follow."""
        if selection.ids is not None or selection.group is not None:
            found = self._picked(selection)
        else:
            bounds = dict(selection.bounds)
            own = bounds.pop(selection.order, (None, None))
            if not bounds:
                return self._cut(selection, own, offset, limit)
            found = self._bounded(selection, bounds, own)
        found.sort(key=lambda record: order_key(record, selection.order), reverse=selection.descending)
        return found[offset : offset + limit], len(found) > offset + limit

    def _put(self, record: R) -> None:
        for view in self._views.values():
            view.put(record)
        if self._group is not None:
            self._groups.setdefault(self._group(record), []).append(record.id)

    def _view(self, selection: Selection[R], order: str) -> _View[R]:
        name = (selection.key, order)
        view = self._views.pop(name, None)
        if view is None:
            chosen, visible = selection.predicate, self._visible
            both = visible if chosen is None else (lambda record: visible(record) and chosen(record))
            view = _View(order, both, self.by_id.values())
            filtered = [old for old in self._views if old[0] is not None]
            if len(filtered) >= _KEPT_VIEWS:
                del self._views[filtered[0]]
        self._views[name] = view
        return view

    def _range(self, view: _View[R], bounds: Bounds) -> tuple[int, int]:
        first, last = bounds
        shift = 0 if view.order == "id" else ID_BITS
        low = 0 if first is None else bisect_left(view.keys, first << shift)
        high = len(view.keys) if last is None else bisect_right(view.keys, ((last + 1) << shift) - 1)
        return low, max(low, high)

    def _cut(self, selection: Selection[R], bounds: Bounds, offset: int, limit: int) -> tuple[list[R], bool]:
        view = self._view(selection, selection.order)
        low, high = self._range(view, bounds)
        if selection.descending:
            end = high - offset
            start = max(low, end - limit)
            keys = view.keys[start:end][::-1] if end > low else []
            more = start > low and end > low
        else:
            start = low + offset
            keys = view.keys[start : min(high, start + limit)] if start < high else []
            more = start + limit < high
        return [self.by_id[key & _ID_MASK] for key in keys], more

    def _bounded(self, selection: Selection[R], bounds: dict[str, Bounds], own: Bounds) -> list[R]:
        """Records within bounds on fields other than the order's: the first bound is looked up."""
        name = next((field for field in bounds if field in self.orders), None)
        if name is None:
            name, first = selection.order, own
        else:
            first = bounds.pop(name)
            bounds[selection.order] = own
        view = self._view(selection, name)
        low, high = self._range(view, first)
        found = (self.by_id[key & _ID_MASK] for key in islice(view.keys, low, high))
        return [record for record in found if within(record, bounds)]

    def _picked(self, selection: Selection[R]) -> list[R]:
        if selection.ids is not None:
            picked = [self.by_id[i] for i in dict.fromkeys(selection.ids) if i in self.by_id]
        else:
            groups = selection.group or ()
            picked = [self.by_id[i] for group in groups for i in self._groups.get(group, ())]
        bounds = dict(selection.bounds)
        return [
            record
            for record in picked
            if self._visible(record)
            and (selection.predicate is None or selection.predicate(record))
            and (selection.group is None or self._group is None or self._group(record) in selection.group)
            and within(record, bounds)
        ]


def within(record: object, bounds: dict[str, Bounds]) -> bool:
    """Whether each bounded field lies in its bounds; a field without a value never does."""
    for name, (first, last) in bounds.items():
        if first is None and last is None:
            continue
        value = getattr(record, name, None)
        if value is None or (first is not None and value < first) or (last is not None and value > last):
            return False
    return True
