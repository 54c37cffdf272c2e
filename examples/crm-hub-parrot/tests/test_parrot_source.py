"""What the hub makes of each webhook."""

from __future__ import annotations

from pathlib import Path

import pytest
from hub_parrot.config import ParrotSettings
from hub_parrot.source import ParrotSource

from hub.core.interaction import Disposition
from hub.core.merge import CallFragment, Moment
from hub.ports import ChannelConfig
from hub.testing.outfit import request_of

PAYLOADS = Path(__file__).parent / "payloads"
CHANNEL = ChannelConfig(
    project="shop",
    name="phone",
    source="parrot",
    settings=ParrotSettings(),
    region="UA",
    time_zone="Europe/Kyiv",
)
ROWS = [
    # file, moment, disposition, client, talk
    ("ringing__incoming.json", Moment.RINGING, None, "+380501112233", None),
    ("ended__answered.json", Moment.ENDED, Disposition.ANSWERED, "+380501112233", 62),
    ("ended__missed.json", Moment.ENDED, Disposition.MISSED, "+380501112244", 0),
]


@pytest.mark.parametrize(("file", "moment", "disposition", "client", "talk"), ROWS, ids=[row[0] for row in ROWS])
def test_a_webhook_tells_this(
    file: str, moment: Moment, disposition: Disposition | None, client: str, talk: int | None
) -> None:
    [one] = ParrotSource().parse(request_of(PAYLOADS / file), CHANNEL)
    assert isinstance(one, CallFragment)
    assert (one.moment, one.disposition, one.client.phones, one.talk_seconds) == (moment, disposition, (client,), talk)


def test_the_clients_mark_comes_with_the_call() -> None:
    [one] = ParrotSource().parse(request_of(PAYLOADS / "rated__five.json"), CHANNEL)
    assert isinstance(one, CallFragment)
    assert (one.moment, one.rating, one.external_id) == (Moment.RATED, 5, "p-1")
