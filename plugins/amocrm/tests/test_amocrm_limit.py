"""Which amoCRM accounts share the vendor's limit of requests (H2, reference 3)."""

from __future__ import annotations

from typing import Any

import pytest
from hub_amocrm.config import AmoCrmSettings
from hub_amocrm.sink import AmoCrmSink

FIRST, SECOND = "https://first.amocrm.ru", "https://second.amocrm.ru"
OWN_KEY, PUBLIC = {"long_lived_token": "token"}, {"client_id": "public"}

#: settings of two accounts, whether they share one limit
SHARING: list[tuple[str, dict[str, Any], dict[str, Any], bool]] = [
    ("two private integrations", {"address": FIRST, **OWN_KEY}, {"address": SECOND, **OWN_KEY}, False),
    ("one account in two projects", {"address": FIRST, **OWN_KEY}, {"address": FIRST, **OWN_KEY}, True),
    ("one public integration", {"address": FIRST, **PUBLIC}, {"address": SECOND, **PUBLIC}, True),
    ("two public integrations", {"address": FIRST, **PUBLIC}, {"address": SECOND, "client_id": "other"}, False),
    (
        "a limit that counts per IP address",
        {"address": FIRST, **OWN_KEY, "is_limit_per_address": True},
        {"address": SECOND, **PUBLIC, "is_limit_per_address": True},
        True,
    ),
]


@pytest.mark.parametrize(("_what", "one", "other", "is_shared"), SHARING, ids=[row[0] for row in SHARING])
def test_who_shares_the_limit(_what: str, one: dict[str, Any], other: dict[str, Any], is_shared: bool) -> None:
    paces = [AmoCrmSink().capabilities(AmoCrmSettings(**settings)).pace for settings in (one, other)]
    assert [pace.scope for pace in paces] == ["integration", "integration"]
    assert (paces[0].shared_by == paces[1].shared_by) is is_shared
