"""The kit finds what is wrong with a source that orders its webhooks by API (X4): a defect a row."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hub_wazzup.conformance import OUTFIT
from hub_wazzup.source import WazzupSource
from pydantic import BaseModel

from hub.errors import Unavailable, VendorError
from hub.messenger import Subscription
from hub.ports import ChannelConfig
from hub.testing.outfit import SourceStage

Told = Callable[..., str]


class SaysSoOnly(WazzupSource):
    async def subscribe(self, channel: ChannelConfig, http: httpx.AsyncClient, hook_url: str) -> Subscription:
        return Subscription(state="ours", is_new=True)


class IsNewEachTime(WazzupSource):
    async def subscribe(self, channel: ChannelConfig, http: httpx.AsyncClient, hook_url: str) -> Subscription:
        return replace(await super().subscribe(channel, http, hook_url), is_new=True)


class IsNeverNew(WazzupSource):
    async def subscribe(self, channel: ChannelConfig, http: httpx.AsyncClient, hook_url: str) -> Subscription:
        return replace(await super().subscribe(channel, http, hook_url), is_new=False)


class DropsTheSecret(WazzupSource):
    async def subscribe(self, channel: ChannelConfig, http: httpx.AsyncClient, hook_url: str) -> Subscription:
        return await super().subscribe(channel, http, hook_url.rsplit("/", 1)[0])


class TakesThem(WazzupSource):
    async def subscribe(self, channel: ChannelConfig, http: httpx.AsyncClient, hook_url: str) -> Subscription:
        assert isinstance(channel.settings, BaseModel)
        bold = channel.settings.model_copy(update={"take_over_webhooks": True})
        return await super().subscribe(replace(channel, settings=bold), http, hook_url)


class ThinksItHasThem(WazzupSource):
    async def subscribe(self, channel: ChannelConfig, http: httpx.AsyncClient, hook_url: str) -> Subscription:
        found = await super().subscribe(channel, http, hook_url)
        return Subscription(state="ours") if found.state == "elsewhere" else found


class IsSilentAboutIt(WazzupSource):
    async def subscribe(self, channel: ChannelConfig, http: httpx.AsyncClient, hook_url: str) -> Subscription:
        return replace(await super().subscribe(channel, http, hook_url), problem="")


class RefusesInWords(WazzupSource):
    async def subscribe(self, channel: ChannelConfig, http: httpx.AsyncClient, hook_url: str) -> Subscription:
        try:
            return await super().subscribe(channel, http, hook_url)
        except VendorError as err:
            return Subscription(state="refused", problem=str(err))


class TakesARefusalForAPause(WazzupSource):
    async def subscribe(self, channel: ChannelConfig, http: httpx.AsyncClient, hook_url: str) -> Subscription:
        try:
            return await super().subscribe(channel, http, hook_url)
        except VendorError as err:
            raise Unavailable("no answer") from err


OURS = "the_webhooks_come_to_us_and_are_ordered_once"
OTHERS = "the_webhooks_of_another_system_are_left_to_it"
APART = "a_vendor_that_refuses_or_is_away_is_asked_for_webhooks_again"

DEFECTS: list[tuple[type[WazzupSource], str, str]] = [
    # the defect, the expectation that finds it, what it says
    (SaysSoOnly, OURS, "it says that webhooks come to us, and they go to nobody"),
    (IsNewEachTime, OURS, "asked again: Subscription(state='ours', is_new=True"),
    (IsNeverNew, OURS, "what was just ordered is told as if it had been so before"),
    (DropsTheSecret, OURS, "it says that webhooks come to us, and they go to http://127.0.0.1:"),
    (TakesThem, OTHERS, "another system's webhooks were taken from it"),
    (ThinksItHasThem, OTHERS, "another system has the webhooks, and it says 'ours'"),
    (IsSilentAboutIt, OTHERS, "the state 'elsewhere' has no problem to tell people of"),
    (RefusesInWords, APART, "subscribe with a refused key went unnoticed"),
    (TakesARefusalForAPause, APART, "subscribe with a refused key raised Unavailable"),
]


@pytest.mark.parametrize(("defect", "expectation", "says"), DEFECTS, ids=[row[0].__name__ for row in DEFECTS])
def test_a_defect_in_subscribing_is_found_by_the_expectation_that_names_it(
    defect: type[WazzupSource], expectation: str, says: str, told: Told
) -> None:
    assert says in told(replace(OUTFIT, source=defect()), expectation)


@pytest.mark.parametrize(("expectation", "missing"), [(OURS, "subscription"), (OTHERS, "subscribe_other")])
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
