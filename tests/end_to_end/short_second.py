"""amoCRM's second, a tenth as long for both sides: tests that count no seconds would mostly wait for the next one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hub_amocrm.sandbox import Sandbox, limiter, serve
from hub_amocrm.sink import AmoCrmSink
from pydantic import BaseModel

from hub.ports import SinkCapabilities

__all__ = ["FACTOR", "served_in_short_seconds"]

#: what divides the window in which the vendor counts requests, and that of the pace which the plugin declares
FACTOR = 10


@contextmanager
def served_in_short_seconds() -> Iterator[tuple[Sandbox, str]]:
    """A fresh sandbox and its address, whose limit nobody may have exceeded in the end (X6).

    How many requests a window holds stays, and so does what breaks the limit; `Pacer.MARGIN` and everything else keeps
    its real time.
    """
    declared = AmoCrmSink.capabilities

    def shortened(sink: AmoCrmSink, settings: BaseModel) -> SinkCapabilities:
        able = declared(sink, settings)
        return replace(able, pace=replace(able.pace, per=able.pace.per / FACTOR))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limiter, "_WINDOW", 1.0 / FACTOR)
        patch.setattr(AmoCrmSink, "capabilities", shortened)
        with serve(Sandbox()) as (sandbox, address):
            yield sandbox, address
            stats = sandbox.stats()
            assert not stats["violations"], stats
