"""Whose turn it is: background work is done for the project that used the processor least of late (H8).

One process has one core's worth of Python, and everything that is done for any project uses it: the event loop, the
thread that writes, the threads that read. So all of them charge what they used to one account, `Shares`, and take
from what waits, `Turns`, the work of whoever used least. A project with one call goes right behind the slice that is
under way, however many calls of another one came before.

What a person or the telephony waits for is done for nobody in particular and waits for no turn; only what runs inside
`on_behalf_of` does.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

__all__ = ["OWN", "Shares", "Turns", "on_behalf_of", "whose"]

T = TypeVar("T", bound=Hashable)
A = TypeVar("A")

#: for whom the hub works when it works for no project: its sweeps, its scheduled jobs
OWN = ""

_whose: ContextVar[str | None] = ContextVar("whose", default=None)


def whose() -> str | None:
    """For which project the running code works; None while a request is answered, which waits for no turn."""
    return _whose.get()


@contextmanager
def on_behalf_of(owner: str | None) -> Iterator[None]:
    """What runs inside is background work for the project ``owner``, and so are the tasks that it starts.

    None: somebody watches it; it waits for no turn.
    """
    token = _whose.set(owner)
    try:
        yield
    finally:
        _whose.reset(token)


class Shares:
    """How much processor time each project has used of late; what is long ago counts less and less."""

    #: after so many seconds half as much counts
    HALF_LIFE = 1.0
    #: who used less than one in so many parts of all uses little
    LIGHT = 2
    #: in half-lives: how far the weights may grow before all are written down again
    _FURTHEST = 200

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._epoch = monotonic()
        #: seconds, each weighted by when it was used: the later the more, so that nothing has to fade by itself
        self._used: dict[str, float] = {}
        #: of all, weighted as they are
        self._total = 0.0
        self._guard = threading.Lock()
        #: how many wait now for a thread that works for them: of projects that use little (False), of requests (True)
        self._served = {False: 0, True: 0}
        #: what to call when one of them has been served
        self.served: Callable[[], None] = lambda: None

    def charge(self, owner: str, seconds: float) -> None:
        """``owner`` has used ``seconds`` of processor time; from any thread."""
        with self._guard:
            age = (self._monotonic() - self._epoch) / self.HALF_LIFE
            if age > self._FURTHEST:
                # what is left of the old ones is less than a float can tell from nothing
                self._used = {one: used for one, was in self._used.items() if (used := was * 2.0**-age) > 1e-9}
                self._total = sum(self._used.values())
                self._epoch, age = self._epoch + age * self.HALF_LIFE, 0.0
            weighted = seconds * 2**age
            self._used[owner] = self._used.get(owner, 0.0) + weighted
            self._total += weighted

    def used(self, owner: str) -> float:
        """What ``owner`` has used, in a unit that only compares projects with each other."""
        return self._used.get(owner, 0.0)

    def is_light(self, owner: str) -> bool:
        """Whether ``owner`` used little of what all have used of late: others do not wait for it, it waits for them."""
        return self._used.get(owner, 0.0) * self.LIGHT < self._total

    @property
    def is_serving(self) -> bool:
        """Whether somebody who uses little waits for a thread, to go on as soon as it has done."""
        return self._served[False] > 0

    @property
    def is_answering(self) -> bool:
        """Whether a request waits for a thread, to be answered as soon as it has done."""
        return self._served[True] > 0

    async def serve(self, owner: str | None, answer: Awaitable[A]) -> A:
        """What ``answer`` gives, which a thread has ready within milliseconds; on the loop only."""
        is_request = owner is None
        if owner is not None and (owner == OWN or not self.is_light(owner)):
            return await answer
        self._served[is_request] += 1
        try:
            return await answer
        finally:
            self._served[is_request] -= 1
            self.served()


class Turns(Generic[T]):
    """A queue out of which comes the work of who used least; what belongs to one keeps its order.

    Who used the same, or where no ``shares`` are kept, takes turns. Not for several threads at once.
    """

    def __init__(self, whose: Callable[[T], str], shares: Shares | None = None) -> None:
        self._whose, self._shares = whose, shares
        #: by owner, in the order of their turns; nobody is here without anything that waits
        self._waiting: OrderedDict[str, OrderedDict[T, None]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __contains__(self, item: T) -> bool:
        return item in self._waiting.get(self._whose(item), ())

    def has(self, owner: str) -> bool:
        """Whether something of ``owner`` waits."""
        return owner in self._waiting

    @property
    def owners(self) -> frozenset[str]:
        """Of whom something waits."""
        return frozenset(self._waiting)

    def append(self, item: T) -> None:
        """Put ``item`` behind its owner's others; one that waits already stays where it is."""
        self._waiting.setdefault(self._whose(item), OrderedDict())[item] = None

    def popleft(self, *, but_not: Collection[str] = ()) -> T:
        """Take the first of whose turn it is, ``but_not`` of these. Raises KeyError if nothing waits."""
        owner = self.first_owner(but_not=but_not)
        items = self._waiting.pop(owner)
        item, _ = items.popitem(last=False)
        if items:
            self._waiting[owner] = items
        return item

    def first_owner(self, *, but_not: Collection[str] = ()) -> str:
        """Whose turn it is, ``but_not`` of these. Raises KeyError if nothing waits."""
        owners = [owner for owner in self._waiting if owner not in but_not] if but_not else self._waiting
        if not owners:
            raise KeyError("nothing waits")
        # of equals the one that waits longest for its turn
        return next(iter(owners)) if self._shares is None else min(owners, key=self._shares.used)

    def remove(self, item: T) -> None:
        """Take ``item`` out of its turn. Raises KeyError if it does not wait."""
        owner = self._whose(item)
        items = self._waiting[owner]
        del items[item]
        if not items:
            del self._waiting[owner]
