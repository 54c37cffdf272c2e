"""The standard matrix (SPEC part Z, source 003), row by row in the document's order, then its neighbours."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from hub.core.interaction import Attribution, Disposition, Interaction
from hub.core.plan import CreateDeal, CreateTask, Nothing
from hub.core.snapshot import Snapshot
from hub.testing.builders import (
    COLLEAGUE,
    NEW_CLIENT,
    NOW,
    OWNER,
    SENIOR,
    STRANGER,
    answered,
    call,
    callback,
    client,
    form,
    internal,
    missed,
    outgoing,
    outline,
    plan,
    policy,
    voicemail,
)

ZOHO = policy("zoho-standard")
WITHOUT_CONTACTS = policy("zoho-standard", replacing=[("create = true", "create = false")])
WITH_DEAL = client(deal=OWNER)
CONTACT_ONLY = client()
ALL_CLOSED = client(closed_deal=OWNER)


@dataclass(frozen=True)
class Case:
    no: str
    interaction: Interaction
    known: Snapshot
    plan: list[str]


ZOHO_STANDARD = [
    Case("Z1", answered(by=OWNER), NEW_CLIENT, [
        "contact for olena", "deal for olena", "done talked by olena on new deal with recording"]),
    Case("Z2 new", answered(by=STRANGER), NEW_CLIENT, [
        "contact for serhii", "deal for serhii", "task check_settings for serhii on new deal in 4 h",
        "note on new deal with recording"]),
    Case("Z2 open deal", answered(by=STRANGER), WITH_DEAL, [
        "task check_settings for serhii on deal in 4 h", "note on deal with recording"]),
    Case("Z2 contact only", answered(by=STRANGER), CONTACT_ONLY, [
        "deal for serhii", "task check_settings for serhii on new deal in 4 h", "note on new deal with recording"]),
    Case("Z3", answered(by=OWNER), WITH_DEAL, ["done talked by olena on deal with recording"]),
    Case("Z4", answered(by=COLLEAGUE), WITH_DEAL, [
        "done talked by ivan on deal with recording", "task check_call for olena on deal in 4 h with recording"]),
    Case("Z5", answered(by=OWNER), CONTACT_ONLY, [
        "deal for olena", "done talked by olena on new deal with recording", "note on contact with recording"]),
    Case("Z6", answered(by=COLLEAGUE), CONTACT_ONLY, [
        "deal for ivan", "done talked by ivan on new deal with recording",
        "task check_call for olena on new deal in 3 h with recording"]),
    Case("Z7", missed(), WITH_DEAL, ["task get_in_touch for olena on deal in 4 h"]),
    Case("Z8", missed(), NEW_CLIENT, [
        "contact for serhii", "deal for serhii", "task get_in_touch for serhii on new deal in 4 h"]),
    Case("Z10", outgoing(by=OWNER), WITH_DEAL, ["done talked by olena on deal with recording"]),
    Case("Z11", outgoing(by=OWNER), NEW_CLIENT, ["nothing: outgoing to an unknown number"]),
    Case("Z12", outgoing(by=OWNER), CONTACT_ONLY, ["done talked by olena on contact with recording"]),
    Case("Z13", voicemail(), NEW_CLIENT, [
        "contact for serhii", "deal for serhii", "task get_in_touch for serhii on new deal in 4 h with recording"]),
    Case("Z14", voicemail(), WITH_DEAL, ["task get_in_touch for olena on deal in 4 h with recording"]),
    Case("Z15", internal(), WITH_DEAL, ["nothing: internal_call"]),
    Case("Z16 missed", missed(), ALL_CLOSED, ["task get_in_touch for olena on contact in 4 h", "note on contact"]),
    Case("Z16 voicemail", voicemail(), ALL_CLOSED, [
        "task get_in_touch for olena on contact in 4 h with recording", "note on contact"]),
    Case("Z17 missed", missed(), CONTACT_ONLY, ["task get_in_touch for olena on contact in 4 h"]),
    Case("Z17 voicemail", voicemail(), CONTACT_ONLY, ["task get_in_touch for olena on contact in 4 h with recording"]),
    Case("Z19 colleague", outgoing(by=COLLEAGUE), WITH_DEAL, ["done talked by ivan on deal with recording"]),
    Case("Z19 unanswered", outgoing(by=OWNER, reached=False), WITH_DEAL, ["done talked by olena on deal"]),
]  # fmt: skip


@pytest.mark.parametrize("case", ZOHO_STANDARD, ids=lambda case: case.no)
def test_zoho_standard(case: Case) -> None:
    """003's table, row by row; Z18's deadlines stand in the rows."""
    made = plan(case.interaction, case.known, ZOHO)
    assert outline(made) == case.plan
    row = next((trial.requirement for trial in made.explanation.trials if trial.has_won), "Z15")
    assert row == ("Z19" if case.no == "Z19 colleague" else "Z10" if "Z19" in case.no else case.no.split()[0])


def test_z1_carries_the_attribution_to_the_lead_and_into_the_task() -> None:
    """Z1, R7: utm tags reach the lead's fields, the call-tracking data the completed task."""
    told = answered(attribution=Attribution(utm_source="google", ga_client_id="12.34"), department="Sales")
    made = plan(told, NEW_CLIENT, ZOHO)
    deal = next(action for action in made.actions if isinstance(action, CreateDeal))
    task = next(action for action in made.actions if isinstance(action, CreateTask))
    assert deal.fields == {"utm_source": "google", "gclientid": "12.34"}
    assert all(text in task.text for text in ("google", "+380441234567", "Sales"))
    assert task.completed_at == task.due_at == told.moment


def test_z2_names_the_unknown_number_in_the_task() -> None:
    made = plan(answered(by=STRANGER), WITH_DEAL, ZOHO)
    task = next(action for action in made.actions if isinstance(action, CreateTask))
    assert STRANGER in task.text


@pytest.mark.parametrize("told", [missed(), voicemail()], ids=["missed", "voicemail"])
def test_z9_makes_no_deal_where_the_policy_makes_no_contacts(told: Interaction) -> None:
    """Z9: shown in the journal."""
    made = plan(told, NEW_CLIENT, WITHOUT_CONTACTS)
    assert outline(made) == ["nothing: missed call of a new client without a contact"]
    assert made.actions[0].reason.requirement == "Z9"


def test_z9_neighbour_an_answered_call_still_makes_the_deal() -> None:
    made = plan(answered(), NEW_CLIENT, WITHOUT_CONTACTS)
    assert outline(made) == ["deal for olena", "done talked by olena on new deal with recording"]


def test_z10_says_the_status_of_an_unanswered_attempt() -> None:
    made = plan(outgoing(reached=False), WITH_DEAL, ZOHO)
    task = made.actions[0]
    assert isinstance(task, CreateTask)
    assert "нет ответа" in task.text


NEIGHBOURS = [
    Case("Z1 after others were rung", answered(by=OWNER, rung=[COLLEAGUE]), NEW_CLIENT, [
        "contact for olena", "deal for olena", "done talked by olena on new deal with recording"]),
    Case("Z3 a company knows the number", answered(by=OWNER), client(None, company=OWNER, deal=OWNER), [
        "done talked by olena on deal with recording"]),
    Case("Z5 though deals were closed", answered(by=OWNER), ALL_CLOSED, [
        "deal for olena", "done talked by olena on new deal with recording", "note on contact with recording"]),
    Case("Z6 though deals were closed", answered(by=COLLEAGUE), ALL_CLOSED, [
        "deal for ivan", "done talked by ivan on new deal with recording",
        "task check_call for olena on new deal in 3 h with recording"]),
    Case("Z4 the deal's responsible is not the contact's", answered(by=OWNER), client(OWNER, deal=COLLEAGUE), [
        "done talked by olena on deal with recording", "task check_call for ivan on deal in 4 h with recording"]),
    Case("Z7 the deal's responsible, not the contact's", missed(), client(OWNER, deal=COLLEAGUE), [
        "task get_in_touch for ivan on deal in 4 h"]),
    Case("Z7 busy is missed", call(disposition=Disposition.BUSY), WITH_DEAL, [
        "task get_in_touch for olena on deal in 4 h"]),
    Case("Z7 nobody owns the deal", missed(), replace(
        client("", deal=OWNER), deals=(replace(client("", deal=OWNER).deals[0], responsible=None),)), [
        "task get_in_touch for serhii on deal in 4 h"]),
    Case("Z7 the responsible was dismissed", missed(), client(deal=OWNER, inactive=frozenset({OWNER})), [
        "task get_in_touch for serhii on deal in 4 h"]),
    Case("Z11 unanswered", outgoing(reached=False), NEW_CLIENT, ["nothing: outgoing to an unknown number"]),
    Case("Z12 unanswered", outgoing(reached=False), CONTACT_ONLY, ["done talked by olena on contact"]),
    Case("Z14 without a message", voicemail(recording=""), WITH_DEAL, ["task get_in_touch for olena on deal in 4 h"]),
    Case("Z2 an outgoing call of a stranger", outgoing(by=STRANGER), WITH_DEAL, [
        "task check_settings for serhii on deal in 4 h", "note on deal with recording"]),
    Case("A17 the client did not pick up", callback(), WITH_DEAL, ["task get_in_touch for olena on deal in 4 h"]),
    Case("A17 the employee did not pick up", callback(Disposition.MISSED), WITH_DEAL, [
        "task get_in_touch for olena on deal in 4 h"]),
    Case("J8 a form of a new client", form(), NEW_CLIENT, [
        "contact for serhii", "deal for serhii", "task get_in_touch for serhii on new deal in 4 h",
        "note on new deal"]),
    Case("J9 a form of a client with an open deal", form(), WITH_DEAL, [
        "task get_in_touch for olena on deal in 4 h", "note on deal"]),
]  # fmt: skip


@pytest.mark.parametrize("case", NEIGHBOURS, ids=lambda case: case.no)
def test_zoho_standard_with_one_fact_changed(case: Case) -> None:
    assert outline(plan(case.interaction, case.known, ZOHO)) == case.plan


def test_z1_at_pick_up_makes_the_lead_while_they_talk_and_the_task_afterwards() -> None:
    """Z1's option: the same keys, so that the after-call makes no second lead."""
    rules = policy("zoho-standard", replacing=[('at = "end"', 'at = "pick_up"')])
    talking = plan(answered(disposition=Disposition.PENDING, is_final=False), NEW_CLIENT, rules)
    over = plan(answered(), NEW_CLIENT, rules)
    assert outline(talking) == ["contact for olena", "deal for olena"]
    assert [action.key for action in talking.actions] == [action.key for action in over.actions[:2]]
    ringing = plan(call(disposition=Disposition.PENDING), NEW_CLIENT, rules)
    assert outline(ringing) == ["nothing: not_over_yet"]
    assert outline(plan(answered(disposition=Disposition.PENDING), NEW_CLIENT, ZOHO)) == ["nothing: not_over_yet"]


def test_every_action_has_a_reason_and_the_explanation_names_what_failed() -> None:
    """X1, H2: candidates with the failing condition and the value seen."""
    made = plan(missed(), WITH_DEAL, ZOHO)
    lost = {trial.name: trial.failed for trial in made.explanation.trials if not trial.has_won}
    assert made.explanation.trials[-1].name == "Z7"
    assert lost["Z1"] is not None
    assert (lost["Z1"].field, lost["Z1"].seen) == ("is_answered", "false")
    assert all(action.reason.requirement for action in made.actions if not isinstance(action, Nothing))
    assert any(candidate.employee == OWNER and candidate.is_chosen for candidate in made.explanation.candidates)
    known = {fact.name: fact for fact in made.explanation.facts}
    assert known["deal_responsible"].seen_at == NOW
    assert known["direction"].seen_at is None


def test_texts_speak_the_projects_language() -> None:
    made = plan(missed(), WITH_DEAL, policy("zoho-standard", replacing=[('language = "ru"', 'language = "uk"')]))
    task = made.actions[0]
    assert isinstance(task, CreateTask)
    assert task.text.startswith("Зв’язатися з клієнтом: Petro +380501112233, пропущений")
    assert SENIOR not in task.text
