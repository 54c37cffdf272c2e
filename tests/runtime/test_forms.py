"""What a site's form is known by (J8, X5)."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from hub.ports import ChannelConfig, RawRequest
from hub.runtime.forms import parse_form

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def id_of(**fields: str) -> str:
    """The external id of a form with ``fields``."""
    channel = ChannelConfig(
        project="shop",
        name="site",
        source="ringostat",
        settings=None,  # type: ignore[arg-type]  # a form asks nothing of the channel's plugin
        region="UA",
        time_zone="Europe/Kyiv",
    )
    request = RawRequest(method="POST", body=urlencode(fields).encode(), received_at=NOON)
    return parse_form(request, channel).external_id


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ({"id": "17", "phone": "0501112233"}, {"id": "17", "phone": "+380 50 111 22 33"}, True),
        # a product's number in a hidden field is the same for everybody
        ({"id": "17", "phone": "0501112233"}, {"id": "17", "phone": "0501112234"}, False),
        ({"id": "17", "email": "a@x.ua"}, {"id": "17", "email": "b@x.ua"}, False),
        ({"id": "17", "phone": "0501112233"}, {"id": "18", "phone": "0501112233"}, False),
        ({"phone": "0501112233"}, {"phone": "0501112233"}, True),
    ],
)
def test_form_is_the_same_if_id_and_client_are(one: dict[str, str], other: dict[str, str], is_same: bool) -> None:
    assert (id_of(**one) == id_of(**other)) is is_same


def test_form_never_takes_the_id_of_a_chat_or_call() -> None:
    """Whoever knows the form's address could overwrite them."""
    assert id_of(id="chat-10507", phone="0501112233").startswith("form-")
