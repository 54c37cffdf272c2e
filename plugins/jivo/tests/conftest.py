"""A Jivo channel as a Ukrainian shop would have it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hub_jivo.config import JivoSettings

from hub.ports import ChannelConfig

#: when the requests of the tests arrive
NOW = datetime(2026, 7, 29, 8, 30, tzinfo=UTC)


@pytest.fixture
def make_channel() -> Callable[..., ChannelConfig]:
    """Makes the channel with the given settings."""

    def make(**settings: object) -> ChannelConfig:
        return ChannelConfig(
            project="shop",
            name="site",
            source="jivo",
            settings=JivoSettings.model_validate(settings),
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
