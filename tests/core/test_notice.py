"""What a notice of the policy says (A12)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.core.plan import Notify
from hub.testing.builders import OWNER, PHONE, client, missed, plan, policy

NAMELESS = [
    # the contact's name in the CRM            how the notice names them
    ("Petro", f"Petro {PHONE}"),
    ("", str(PHONE)),
    (str(PHONE), str(PHONE)),
    (str(PHONE).removeprefix("+"), str(PHONE)),
    (f"0{str(PHONE)[4:6]} {str(PHONE)[6:]}", str(PHONE)),
    ("Petro 2", f"Petro 2 {PHONE}"),
    ("1001", f"1001 {PHONE}"),
]


@pytest.mark.parametrize(("name", "named"), NAMELESS)
def test_a12_a_client_without_a_name_is_named_by_the_number_once(name: str, named: str) -> None:
    """However somebody, or a telephony, spelled the number where the name should stand."""
    held = client(deal=OWNER)
    known = replace(held, contacts=tuple(replace(one, name=name) for one in held.contacts))
    notice = next(
        action for action in plan(missed(), known, policy("car-dealer")).actions if isinstance(action, Notify)
    )
    assert notice.text.endswith(f" {named}")
    assert notice.text.count(str(PHONE)) == 1
