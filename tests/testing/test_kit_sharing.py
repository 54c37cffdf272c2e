"""The kit finds what is wrong with a source that tells records, reads counters, frames chats (X4): a defect a row."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hub_wazzup.conformance import OUTFIT
from hub_wazzup.source import WazzupSource

from hub.core.outgoing import Outgoing
from hub.errors import NeedsCredentials, Unavailable, VendorError
from hub.messenger import Entities, Sent
from hub.ports import ChannelConfig
from hub.testing.outfit import SourceStage

Told = Callable[..., str]


class ForgetsDeals(WazzupSource):
    async def share(self, channel: ChannelConfig, http: httpx.AsyncClient, changed: Entities) -> Mapping[str, str]:
        return await super().share(channel, http, replace(changed, deals=()))


class TellsOnce(WazzupSource):
    """What the vendor has under an id is not told again, though its name is another."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    async def share(self, channel: ChannelConfig, http: httpx.AsyncClient, changed: Entities) -> Mapping[str, str]:
        fresh = tuple(one for one in changed.contacts if one.id not in self._told)
        self._told |= {one.id for one in fresh}
        return await super().share(channel, http, replace(changed, contacts=fresh))


class KeepsTheRemoved(WazzupSource):
    async def share(self, channel: ChannelConfig, http: httpx.AsyncClient, changed: Entities) -> Mapping[str, str]:
        return await super().share(channel, http, replace(changed, removed_contacts=()))


class RemovesOnce(WazzupSource):
    def __init__(self) -> None:
        self._removed: set[str] = set()

    async def share(self, channel: ChannelConfig, http: httpx.AsyncClient, changed: Entities) -> Mapping[str, str]:
        if self._removed & set(changed.removed_users):
            raise VendorError("there is no such user")
        self._removed |= set(changed.removed_users)
        return await super().share(channel, http, changed)


class FirstHundred(WazzupSource):
    async def share(self, channel: ChannelConfig, http: httpx.AsyncClient, changed: Entities) -> Mapping[str, str]:
        return await super().share(channel, http, replace(changed, contacts=changed.contacts[:100]))


class OneTakesAll(WazzupSource):
    async def share(self, channel: ChannelConfig, http: httpx.AsyncClient, changed: Entities) -> Mapping[str, str]:
        if any(not one.phones for one in changed.contacts):
            return {f"contacts/{one.id}": "a contact of this request has no number" for one in changed.contacts}
        return await super().share(channel, http, changed)


class SaysNothingOfTheRefused(WazzupSource):
    async def share(self, channel: ChannelConfig, http: httpx.AsyncClient, changed: Entities) -> Mapping[str, str]:
        await super().share(channel, http, changed)
        return {}


class MakesUpAKind(WazzupSource):
    def shares(self, channel: ChannelConfig) -> frozenset[str]:
        return super().shares(channel) | {"invoices"}


class CountsStrangers(WazzupSource):
    async def unanswered(
        self, channel: ChannelConfig, http: httpx.AsyncClient, staff_ids: Sequence[str]
    ) -> Mapping[str, int]:
        return dict.fromkeys(staff_ids, 0) | dict(await super().unanswered(channel, http, staff_ids))


class CountsNothing(WazzupSource):
    async def unanswered(
        self, channel: ChannelConfig, http: httpx.AsyncClient, staff_ids: Sequence[str]
    ) -> Mapping[str, int]:
        return dict.fromkeys(await super().unanswered(channel, http, staff_ids), 0)


class FramesForOne(WazzupSource):
    async def frame_url(self, channel: ChannelConfig, http: httpx.AsyncClient, **of: Any) -> str:
        return await super().frame_url(channel, http, **(of | {"staff_id": "ivan"}))


class FramesEverything(WazzupSource):
    async def frame_url(self, channel: ChannelConfig, http: httpx.AsyncClient, **of: Any) -> str:
        return await super().frame_url(channel, http, **(of | {"client": replace(of["client"], phones=(), handles=())}))


class KeepsTheFrame(WazzupSource):
    """The address is good for one opening (reference 9.5)."""

    async def frame_url(self, channel: ChannelConfig, http: httpx.AsyncClient, **of: Any) -> str:
        if not hasattr(self, "_kept"):
            self._kept = await super().frame_url(channel, http, **of)
        return self._kept


class FramesInTheOpen(WazzupSource):
    async def frame_url(self, channel: ChannelConfig, http: httpx.AsyncClient, **of: Any) -> str:
        return (await super().frame_url(channel, http, **of)).replace("https://", "http://")


class TakesARefusalForAPause(WazzupSource):
    async def unanswered(
        self, channel: ChannelConfig, http: httpx.AsyncClient, staff_ids: Sequence[str]
    ) -> Mapping[str, int]:
        try:
            return await super().unanswered(channel, http, staff_ids)
        except VendorError as err:
            raise Unavailable("no answer") from err


class HidesTheFailure(WazzupSource):
    async def share(self, channel: ChannelConfig, http: httpx.AsyncClient, changed: Entities) -> Mapping[str, str]:
        try:
            return await super().share(channel, http, changed)
        except Unavailable:
            return {}


class SaysThatItWasSent(WazzupSource):
    async def send(self, channel: ChannelConfig, http: httpx.AsyncClient, message: Outgoing) -> Sent:
        try:
            return await super().send(channel, http, message)
        except NeedsCredentials:
            return Sent(external_id="m1")


LAST = "our_records_stand_at_the_vendor_as_they_were_told_last"
MANY = "many_records_are_told_and_a_refused_one_takes_nobody_with_it"
COUNTERS = "the_counters_are_the_vendors_own"
FRAME = "a_frame_shows_this_client_to_this_employee"
APART = "a_messenger_that_refuses_or_is_away_is_told_apart"

DEFECTS: list[tuple[type[WazzupSource], str, str]] = [
    # the defect, the expectation that finds it, what it says
    (ForgetsDeals, LAST, "told once: the vendor lacks ['deals/kit-d0'"),
    (TellsOnce, LAST, "told with another name: the vendor knows [\"contacts/kit-c0 as 'Client 0'"),
    (KeepsTheRemoved, LAST, "removed: the vendor still has ['contacts/kit-c0'"),
    (RemovesOnce, LAST, "share raised VendorError: there is no such user"),
    (MakesUpAKind, LAST, "what is no kind of record: ['invoices']"),
    (FirstHundred, MANY, "230 clients at once: the vendor lacks ['contacts/kit-c100'"),
    (OneTakesAll, MANY, "nothing is wrong with it"),
    (SaysNothingOfTheRefused, MANY, "the vendor lacks ['contacts/kit-c115']"),
    (CountsStrangers, COUNTERS, "the vendor counts {'ivan': 0, 'maria': 2}"),
    (CountsNothing, COUNTERS, "told {'ivan': 0, 'maria': 0}"),
    (FramesForOne, FRAME, "was not told that it is for maria"),
    (FramesEverything, FRAME, "was not told which client it is"),
    (KeepsTheFrame, FRAME, "asked 0 times for one opening"),
    (FramesInTheOpen, FRAME, "no address of https"),
    (TakesARefusalForAPause, APART, "unanswered with a refused key raised Unavailable"),
    (SaysThatItWasSent, "sending_with_a_refused_key_needs_credentials", "a key that the vendor refuses went unnoticed"),
    (HidesTheFailure, APART, "share of a vendor that is away went unnoticed"),
]


@pytest.mark.parametrize(("defect", "expectation", "says"), DEFECTS, ids=[row[0].__name__ for row in DEFECTS])
def test_a_defect_of_a_messenger_is_found_by_the_expectation_that_names_it(
    defect: type[WazzupSource], expectation: str, says: str, told: Told
) -> None:
    assert says in told(replace(OUTFIT, source=defect()), expectation)


@pytest.mark.parametrize(("expectation", "missing"), [(LAST, "shared"), (COUNTERS, "unanswered"), (FRAME, "framed")])
def test_an_outfit_that_cannot_look_at_its_sandbox_is_told_what_it_lacks(
    expectation: str, missing: str, told: Told
) -> None:
    @asynccontextmanager
    async def blind() -> AsyncIterator[SourceStage]:
        assert OUTFIT.open is not None
        async with OUTFIT.open() as stage:
            blinded: dict[str, Any] = {missing: None}
            yield replace(stage, **blinded)

    assert f"SourceStage.{missing}" in told(replace(OUTFIT, open=blind), expectation)
