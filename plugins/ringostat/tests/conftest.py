"""A Ringostat channel as a Ukrainian project would have it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hub_ringostat.config import RingostatSettings

from hub.ports import ChannelConfig

#: when the requests of the tests arrive
NOW = datetime(2026, 7, 29, 8, 30, tzinfo=UTC)


@pytest.fixture
def make_channel() -> Callable[..., ChannelConfig]:
    """Makes the channel with the given settings."""

    def make(**settings: object) -> ChannelConfig:
        return ChannelConfig(
            project="shop",
            name="phone",
            source="ringostat",
            settings=RingostatSettings.model_validate(settings),
            region="UA",
            time_zone="Europe/Kyiv",
        )

    return make


@pytest.fixture
def channel(make_channel: Callable[..., ChannelConfig]) -> ChannelConfig:
    return make_channel()


@pytest.fixture
def now() -> datetime:
    return NOW
