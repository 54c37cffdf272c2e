"""The set-up page tells exactly what to copy (H12, R4), and the README tells the same."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hub_ringostat.source import RingostatSource
from pydantic import ValidationError

from hub.ports import ChannelConfig, RawRequest

SOURCE = RingostatSource()
HOOK = "https://hub.example.net/hooks/shop/phone/s3cret"
FORWARD = "https://hub.example.net/forward/shop/phone/s3cret"
PLUGIN = Path(__file__).parent.parent


def test_each_webhook_has_its_exact_address_and_parameters(channel: ChannelConfig) -> None:
    hints = SOURCE.setup_hints(channel, HOOK, FORWARD)
    hooks = [hint for hint in hints if hint.value.startswith(HOOK)]
    moments = [urlsplit(hint.value).query.partition("=")[2] for hint in hooks]
    assert moments[:2] == ["after", "outgoing_after"]
    assert set(moments) <= set(SOURCE.events)
    assert all("Parameters to tick" in hint.note for hint in hooks)


def test_address_in_a_hint_is_understood_by_parse(channel: ChannelConfig) -> None:
    for hint in SOURCE.setup_hints(channel, HOOK, FORWARD):
        if hint.value.startswith(HOOK):
            query = urlsplit(hint.value).query.encode()
            request = RawRequest(
                method="POST",
                query=query,
                body=b'{"uniqueid": "1.2", "phone": "1"}',
                received_at=datetime(2026, 7, 29, tzinfo=UTC),
            )
            assert SOURCE.parse(request, channel)


def test_webhook_number_is_described_in_the_answer_form_of_the_channel(
    make_channel: Callable[..., ChannelConfig],
) -> None:
    values = [hint.value for hint in SOURCE.setup_hints(make_channel(reply_form="json"), HOOK, FORWARD)]
    assert FORWARD in values
    assert values[values.index(FORWARD) + 1 :][:5] == [
        "POST",
        "json",
        "json",
        "destination",
        "caller, dst, pool_name, scheme_name",
    ]
    plain = [hint.value for hint in SOURCE.setup_hints(make_channel(), HOOK, FORWARD)]
    assert "destination" not in plain


def test_recommended_scheme_has_three_blocks(channel: ChannelConfig) -> None:
    """R4: the responsible, the queue, voicemail; the README says it too."""
    blocks = SOURCE.setup_hints(channel, HOOK, FORWARD)[-3:]
    assert [hint.where.rpartition(": ")[2] for hint in blocks] == [
        "the webhook number made above",
        "the queue of managers",
        "voicemail",
    ]
    assert not any(hint.value for hint in blocks), "these are chosen in the cabinet, not pasted"
    readme = (PLUGIN / "README.md").read_text()
    assert all(f"Block {number}" in readme for number in (1, 2, 3))


def test_readme_names_every_moment() -> None:
    readme = (PLUGIN / "README.md").read_text()
    assert [event for event in SOURCE.events if f"`{event}`" not in readme] == []


@pytest.mark.parametrize(
    "settings",
    [
        {"api_base": "api.ringostat.net"},
        {"list_zone": "Mars/Base"},
        {"parameters": {"nonsense": ["x"]}},
        {"unknown": 1},
    ],
)
def test_setting_that_cannot_be_right_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SOURCE.settings_model.model_validate(settings)


def test_quality_is_stated_for_every_house_rule() -> None:
    quality = tomllib.loads((PLUGIN / "quality.toml").read_text())["rules"]
    assert all(rule == {"status": "done"} or rule.get("comment") for rule in quality.values())
    assert set(quality) >= {"conformance", "payload-per-event", "limits-with-source", "strict-typing", "known-limits"}
