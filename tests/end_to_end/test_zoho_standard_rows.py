"""Part Z end to end: the preset ``zoho-standard``, calls of the telephony, and what stands in Zoho CRM afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.zoho_world import Call, play

IN_TOUCH, CHECK, SETTINGS = "'Связаться с клиентом'", "'Проверить звонок'", "'Проверить настройки интеграции'"
STRANGER = "examplecom_stranger"
GOOGLE = {"utm_source": "google"}
SECOND_LEG = {"caller": "examplecom_oleg", "callee": "examplecom_anna"}

ROWS: list[tuple[Call, list[str]]] = [
    (Call(no="Z1", by="oleg", more=GOOGLE), ["lead of oleg from google", "done task of oleg on lead with recording"]),
    (Call(no="Z2 new", by=STRANGER), [
        "lead of irina", f"{SETTINGS} of irina on lead in 4 h", "note on lead with recording"]),
    (Call(no="Z2 contact", known="contact", by=STRANGER), [
        "lead of irina", f"{SETTINGS} of irina on lead in 4 h", "note on lead with recording"]),
    (Call(no="Z2 deal", known="deal", by=STRANGER), [
        f"{SETTINGS} of irina on deal in 4 h", "note on deal with recording"]),
    (Call(no="Z3 lead", known="lead", by="oleg"), ["done task of oleg on lead with recording"]),
    (Call(no="Z3 deal", known="deal", by="oleg"), ["done task of oleg on deal with recording"]),
    (Call(no="Z4 lead", known="lead", by="anna"), [
        "done task of anna on lead with recording", f"{CHECK} of oleg on lead in 4 h with recording"]),
    (Call(no="Z4 deal", known="deal", by="anna"), [
        "done task of anna on deal with recording", f"{CHECK} of oleg on deal in 4 h with recording"]),
    (Call(no="Z5", known="contact", by="oleg"), [
        "lead of oleg", "done task of oleg on lead with recording", "note on contact with recording"]),
    (Call(no="Z6", known="contact", by="anna"), [
        "lead of anna", "done task of anna on lead with recording", f"{CHECK} of oleg on lead in 3 h with recording"]),
    (Call(no="Z7 lead", known="lead", outcome="NO ANSWER"), [f"{IN_TOUCH} of oleg on lead in 4 h"]),
    (Call(no="Z7 deal", known="deal", outcome="NO ANSWER"), [f"{IN_TOUCH} of oleg on deal in 4 h"]),
    (Call(no="Z8", outcome="NO ANSWER"), ["lead of irina", f"{IN_TOUCH} of irina on lead in 4 h"]),
    (Call(no="Z10 lead", known="lead", by="oleg", is_outgoing=True), ["done task of oleg on lead with recording"]),
    (Call(no="Z10 deal", known="deal", by="oleg", is_outgoing=True), ["done task of oleg on deal with recording"]),
    (Call(no="Z11", by="oleg", is_outgoing=True), []),
    (Call(no="Z12", known="contact", by="oleg", is_outgoing=True), ["done task of oleg on contact with recording"]),
    (Call(no="Z13", outcome="VOICEMAIL"), ["lead of irina", f"{IN_TOUCH} of irina on lead in 4 h with recording"]),
    (Call(no="Z14", known="lead", outcome="VOICEMAIL"), [f"{IN_TOUCH} of oleg on lead in 4 h with recording"]),
    (Call(no="Z14 nothing left", known="deal", outcome="VOICEMAIL", recorded=False), [
        f"{IN_TOUCH} of oleg on deal in 4 h"]),
    (Call(no="Z15", known="deal", by="oleg", is_outgoing=True, more=SECOND_LEG), []),
    (Call(no="Z16 deal", known="closed", outcome="NO ANSWER"), [
        f"{IN_TOUCH} of oleg on contact in 4 h", "note on contact"]),
    (Call(no="Z16 lead", known="junk lead", outcome="NO ANSWER"), [
        f"{IN_TOUCH} of oleg on lead in 4 h", "note on lead"]),
    (Call(no="Z16 voicemail", known="closed", outcome="VOICEMAIL"), [
        f"{IN_TOUCH} of oleg on contact in 4 h with recording", "note on contact"]),
    (Call(no="Z17", known="contact", outcome="NO ANSWER"), [f"{IN_TOUCH} of oleg on contact in 4 h"]),
    (Call(no="Z17 voicemail", known="contact", outcome="VOICEMAIL"), [
        f"{IN_TOUCH} of oleg on contact in 4 h with recording"]),
    (Call(no="Z19 colleague", known="deal", by="anna", is_outgoing=True), ["done task of anna on deal with recording"]),
    (Call(no="Z19 unanswered", known="lead", by="oleg", outcome="NO ANSWER", is_outgoing=True), [
        "done task of oleg on lead"]),
]  # fmt: skip

#: the same enquiries where the organisation works with contacts and deals
AS_DEALS: list[tuple[Call, list[str]]] = [
    (Call(no="Z1 deals", by="oleg", more=GOOGLE), [
        "contact of oleg", "deal of oleg from google", "done task of oleg on deal with recording"]),
    (Call(no="Z5 deals", known="contact", by="oleg"), [
        "deal of oleg", "done task of oleg on deal with recording", "note on contact with recording"]),
    (Call(no="Z8 deals", outcome="NO ANSWER"), [
        "contact of irina", "deal of irina", f"{IN_TOUCH} of irina on deal in 4 h"]),
]  # fmt: skip


@pytest.fixture(scope="module")
def leads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Every row of one day."""
    return play(tmp_path_factory.mktemp("leads"), [call for call, _ in ROWS])


@pytest.fixture(scope="module")
def deals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    calls = [call for call, _ in AS_DEALS]
    return play(tmp_path_factory.mktemp("deals"), calls, new_enquiries="deals")


@pytest.mark.parametrize(("call", "outcome"), ROWS, ids=[call.no for call, _ in ROWS])
def test_part_z_stands_in_zoho(leads: dict[str, list[str]], call: Call, outcome: list[str]) -> None:
    """Z1 to Z19 with Z18's deadlines: what the document says is what Zoho holds, and nothing else."""
    assert sorted(leads[call.no]) == sorted(outcome)


@pytest.mark.parametrize(("call", "outcome"), AS_DEALS, ids=[call.no for call, _ in AS_DEALS])
def test_part_z_with_contacts_and_deals(deals: dict[str, list[str]], call: Call, outcome: list[str]) -> None:
    """SPEC, vocabulary: a deal of the plan is a Zoho lead or a Zoho deal, as the setting says."""
    assert sorted(deals[call.no]) == sorted(outcome)


def test_z9_a_missed_new_client_makes_nothing_where_no_contacts_are_made(tmp_path: Path) -> None:
    """Z9: the journal shows it (tests/core), Zoho holds nothing."""
    calls = [Call(no="Z9", outcome="NO ANSWER"), Call(no="Z9 voicemail", outcome="VOICEMAIL")]
    seen = play(tmp_path, calls, edit=lambda text: text.replace("create = true", "create = false", 1))
    assert seen == {"Z9": [], "Z9 voicemail": []}
