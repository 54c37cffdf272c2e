"""Why somebody is told to be the responsible (X1, A13)."""

from __future__ import annotations

from hub.core.explained import why_responsible
from hub.core.records import Contact, EmployeeId
from hub.core.snapshot import Snapshot
from hub.testing.builders import COLLEAGUE, NEW_CLIENT, NOW, OWNER, PHONE, SENIOR, answered, missed, plan, policy

RULE = '[[rules]]\nname = "the senior gets it"\nresponsible = ["senior"]\n'


def test_whose_the_client_is_has_its_own_reason_whoever_got_the_new_deal() -> None:
    """A13: the deal goes to the senior by a rule, the client stays whose it was."""
    known = Snapshot(
        connection="crm",
        taken_at=NOW,
        seen_at=NOW,
        contacts=(Contact(id="1", name="Ivan", phones=(PHONE,), responsible=EmployeeId(OWNER)),),
    )
    made = plan(answered(by=COLLEAGUE), known, policy("car-dealer", RULE))
    assert made.responsible == OWNER
    why = why_responsible(made.explanation.candidates, made.responsible)
    assert why is not None
    assert why.values["as"] == "responsible"


def test_whose_a_new_client_is_is_told_by_why_the_deal_is_theirs() -> None:
    """A5: nobody else was asked for."""
    made = plan(missed(), NEW_CLIENT, policy("car-dealer"))
    assert made.responsible == SENIOR
    why = why_responsible(made.explanation.candidates, made.responsible)
    assert why is not None
    assert why.values["as"] == "senior"


def test_nobody_chosen_has_no_reason() -> None:
    assert why_responsible((), EmployeeId(OWNER)) is None
