"""What one request tells is put into the store, or refused with its reason (H11)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from hub.clock import FakeClock
from hub.core.chat import ChatFragment, ChatMoment
from hub.core.interaction import Direction, Disposition, Identity, InteractionId, Message, ProjectId
from hub.core.merge import CallFragment, Moment
from hub.engine.projects import LiveProject
from hub.errors import PayloadError
from hub.ports import Parsed
from hub.runtime.ingest import store_parsed
from hub.store import interactions
from hub.store.engine import Store
from hub.store.projects import Project

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SHOP = LiveProject(
    row=Project(name="shop", title="", mode="live", is_paused=False, managed="file", created_at=NOW),
    policy=None,
    policy_version=0,
)
CALL = CallFragment(external_id="7", moment=Moment.ENDED, started_at=NOW, direction=Direction.INBOUND)
CHAT = ChatFragment(external_id="7", moment=ChatMoment.ACCEPTED, happened_at=NOW, decides=True)
MESSAGE = Message(
    id=InteractionId(""),
    project=ProjectId("shop"),
    channel="site",
    source="pigeon",
    external_id="7",
    started_at=NOW,
    direction=Direction.INBOUND,
    client=Identity(handles=(("pigeon", "5"),)),
    text="Hello",
)
TOLD: dict[str, Parsed] = {"call": CALL, "chat": CHAT, "message": MESSAGE}


@pytest.mark.parametrize(("first", "second"), list(permutations(TOLD, 2)))
def test_one_id_of_the_vendor_is_never_two_kinds_of_interaction(database_url: str, first: str, second: str) -> None:
    """A9, H11: the second is refused by name of the field instead of being folded into the other or dropped."""
    with Store(database_url, clock=FakeClock(NOW)) as store:

        def put(kind: str) -> None:
            store.write_now(
                lambda conn: store_parsed(
                    conn,
                    TOLD[kind],
                    project=SHOP,
                    channel="site",
                    source="pigeon",
                    inbox_id=None,
                    received_at=NOW,
                    now=NOW + timedelta(seconds=1),
                )
            )

        put(first)
        with pytest.raises(PayloadError, match=f"7 is a {first} already and cannot be a {second} too") as refused:
            put(second)
        assert refused.value.field == "external_id"
        put(first)
        [kept] = store.read_now(lambda conn: interactions.journal(conn, "shop"))
        assert kept.interaction.kind == first


LATE, ANSWERED = timedelta(seconds=-9), replace(CALL, disposition=Disposition.ANSWERED)


@pytest.mark.parametrize(
    ("told", "told_at", "decide_at"),
    [
        pytest.param(ANSWERED, LATE, LATE, id="an answered call"),
        pytest.param(MESSAGE, LATE, LATE, id="a message"),
        pytest.param(replace(CALL, disposition=Disposition.MISSED), LATE, timedelta(seconds=3), id="a missed call"),
        pytest.param(ANSWERED, timedelta(hours=-2), timedelta(seconds=-10), id="the hub was away for hours"),
        pytest.param(ANSWERED, timedelta(seconds=2), timedelta(), id="by a clock that is ahead"),
    ],
)
def test_what_is_over_is_over_as_of_when_it_was_told_unless_that_is_long_ago(
    database_url: str, told: Parsed, told_at: timedelta, decide_at: timedelta
) -> None:
    """DESIGN 2, X6: in a burst one reading of the CRM serves all that was told before it began.

    H3: one from before the hub was away serves nothing.
    """
    with Store(database_url, clock=FakeClock(NOW)) as store:
        arrived = store.write_now(
            lambda conn: store_parsed(
                conn,
                told,
                project=SHOP,
                channel="site",
                source="pigeon",
                inbox_id=None,
                received_at=NOW + told_at,
                now=NOW,
            )
        )
        assert arrived is not None
        assert arrived.stored.decide_at == NOW + decide_at
