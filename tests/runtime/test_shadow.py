"""A project that only watches is compared with what another integration did in the CRM (X2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from hub.core.plan import Plan
from hub.core.records import Contact, Deal, EmployeeId, RecordKind, RecordRef, Task
from hub.core.shadow import Verdict, compare
from hub.core.snapshot import Snapshot
from hub.core.text import Language
from hub.language import LANGUAGES, translator
from hub.ports import Changes
from hub.runtime.rehearsed import Speaker
from hub.runtime.shadow import Comparison, compare_shadow
from hub.runtime.shadowed import comparison_json, comparison_text
from hub.store import steps, work
from hub.testing.builders import (
    NEW_CLIENT,
    NOW,
    OWNER,
    SENIOR,
    answered,
    client,
    missed,
    open_task,
    plan,
    policy,
)
from tests.runtime.life import CRM, PROJECT, Event, Life, life, month
from tests.runtime.test_rehearse import MONTH, text

RULES = policy("car-dealer")
LATER = NOW + timedelta(minutes=5)


def made(contact: str = OWNER, deal: str | None = None, task: str | None = None) -> Snapshot:
    """What the CRM shows after another integration dealt with a new client."""
    seen = client(contact, deal=deal, tasks=[open_task(task, created_at=NOW)] if task else [])
    return replace(
        seen,
        seen_at=LATER,
        contacts=tuple(replace(one, created_at=NOW) for one in seen.contacts),
        deals=tuple(replace(one, created_at=NOW) for one in seen.deals),
    )


NEW, KNOWN = answered(by=OWNER), missed()
WITH_DEAL = client(deal=OWNER)

CASES = [
    # the call, before, after                                    what differs, and what cannot be known
    (NEW, NEW_CLIENT, made(OWNER, OWNER, OWNER), {}),
    (NEW, NEW_CLIENT, made(SENIOR, OWNER, OWNER), {"contact_responsible": "contact_responsible"}),
    (NEW, NEW_CLIENT, made(OWNER, SENIOR, OWNER), {"deal_responsible": "deal_responsible"}),
    (NEW, NEW_CLIENT, made(OWNER, None, OWNER), {"deal": "deal_ours"}),
    (NEW, NEW_CLIENT, made(OWNER, OWNER, SENIOR), {"task": "task_responsible"}),
    (NEW, NEW_CLIENT, made(OWNER, OWNER), {"task": "? task_gone"}),
    (NEW, NEW_CLIENT, replace(NEW_CLIENT, seen_at=LATER),
     {"contact": "contact_ours", "deal": "deal_ours", "task": "? task_gone"}),
    (KNOWN, WITH_DEAL, replace(WITH_DEAL, seen_at=LATER), {"task": "? task_gone"}),
    (KNOWN, WITH_DEAL, replace(client(deal=SENIOR), seen_at=LATER),
     {"deal_responsible": "deal_responsible", "task": "? task_gone"}),
    (answered(by="", talk_seconds=0), client(), replace(client(SENIOR), seen_at=LATER),
     {"contact_responsible": "contact_responsible", "deal": "deal_ours", "task": "? task_gone"}),
]  # fmt: skip


@pytest.mark.parametrize(("call", "before", "after", "wanted"), CASES)
def test_what_was_decided_is_compared_with_what_the_crm_shows(
    call: object, before: Snapshot, after: Snapshot, wanted: Mapping[str, str]
) -> None:
    decided = plan(call, before, RULES)  # type: ignore[arg-type]  # a call
    found = compare(call, decided, before, after)  # type: ignore[arg-type]  # as above
    told = {
        one.aspect: one.code if one.verdict is Verdict.DIFFER else f"? {one.code}"
        for one in found
        if one.verdict is not Verdict.AGREE
    }
    assert told == wanted


UNKNOWN = [
    (missed(client=replace(missed().client, phones=())), WITH_DEAL, "anonymous"),
    (missed(), None, "not_read_since"),
    (missed(), replace(WITH_DEAL, seen_at=NOW - timedelta(days=1)), "not_read_since"),
    (missed(), replace(NEW_CLIENT, seen_at=LATER, is_complete=False), "importing"),
]


@pytest.mark.parametrize(("call", "after", "code"), UNKNOWN)
def test_what_nobody_read_is_unknown_and_not_guessed(call: object, after: Snapshot | None, code: str) -> None:
    decided = Plan(actions=plan(missed(), WITH_DEAL, RULES).actions)
    found = compare(call, decided, WITH_DEAL, after)  # type: ignore[arg-type]  # a call
    assert {(one.verdict, one.code) for one in found} == {(Verdict.UNKNOWN, code)}


# --- a month beside another integration -------------------------------------------------------------------------


class Other:
    """Another integration: each new client's contact and deal are Olena's, whatever happened."""

    def __init__(self, lived: Life) -> None:
        self.lived = lived
        self.known: set[str] = set()

    async def live(self, events: list[Event]) -> None:
        lived = self.lived
        for event in events:
            if event.fragment is None:
                continue
            await lived.live([event])
            now, phone = lived.clock.now(), event.fragment.client.phones[0]
            olena = EmployeeId("@1")
            contact = Contact(id=f"c{phone}", name=phone, phones=(phone,), responsible=olena, created_at=now)
            deal = Deal(id=f"d{phone}", name=phone, responsible=olena, contact_ids=(contact.id,), created_at=now)
            changes = (
                Changes(as_of=now) if phone in self.known else Changes(contacts=(contact,), deals=(deal,), as_of=now)
            )
            self.known.add(phone)
            lived.services.directory.fold(PROJECT, CRM, changes, now)


def compared(lived: Life) -> Comparison:
    services = lived.services
    return compare_shadow(services.store, services.directory, services.projects.get(PROJECT), MONTH)


def test_a_month_in_shadow_is_told_beside_what_another_integration_made(tmp_path: Path) -> None:
    events = [event for event in month(seed=9, calls=60, clients=20) if event.fragment]
    with life(tmp_path, text("car-dealer"), mode="shadow") as lived:
        asyncio.run(Other(lived).live(events))
        found = compared(lived)
        store = lived.services.store
        assert store.read_now(lambda conn: steps.waiting(conn, PROJECT, CRM, lived.clock.now())) == []
        assert {state for _, state in store.read_now(work.count_states)} == {"finished"}
    calls = {event.fragment.external_id for event in events if event.fragment}
    assert found.decisions == len(calls)
    new = {event.fragment.client.phones[0]: event.fragment for event in reversed(events) if event.fragment}
    assert found.verdicts["contact"] == {Verdict.AGREE: len(calls)}
    # the hub gives a new client to who answered or to the senior, the other one always to Olena
    others = sum(found.groups[one].count for one in found.groups if one.code == "deal_responsible")
    ours = {one.ours for one in found.groups if one.code == "deal_responsible"}
    assert 0 < others <= len(new)
    assert ours <= {"ivan", "serhii"}
    assert {one.theirs for one in found.groups if one.code == "deal_responsible"} == {"olena"}
    assert found.unknown["task_gone"] > 0
    assert sum(found.verdicts["task"].values()) == len(calls)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_comparison_is_told_in_each_language_and_as_json(language: Language, tmp_path: Path) -> None:
    with life(tmp_path, text("car-dealer"), mode="shadow") as lived:
        asyncio.run(Other(lived).live([event for event in month(seed=9, calls=8, clients=4) if event.fragment]))
        found = compared(lived)
    t = translator(language)
    names = {EmployeeId("olena"): "Olena Koval", EmployeeId("serhii"): "Serhii Melnyk"}
    speaker = Speaker(t=t, zone=RULES.zone, names=names, titles={})
    told = comparison_text(found, MONTH, speaker)
    assert "Olena Koval" in told
    assert "shadow_" not in told
    data = json.loads(json.dumps(comparison_json(found, MONTH, speaker)))
    assert data["decisions"] == 8
    assert set(data["aspects"]["deal"]) == {"agree", "differ", "unknown"}
    assert sum(group["count"] for group in data["groups"]) > 0


def test_what_was_made_hours_later_was_not_made_for_the_call() -> None:
    first = missed()
    decided = plan(first, NEW_CLIENT, RULES)
    ref = RecordRef(kind=RecordKind.CONTACT, id="contact-1")
    task = Task(id="t", responsible=EmployeeId(SENIOR), on=ref, created_at=NOW + timedelta(hours=3))
    late = replace(made(SENIOR, SENIOR), tasks=(task,))
    found = {one.aspect: one for one in compare(first, decided, NEW_CLIENT, late)}
    assert found["task"].code == "task_gone"
    assert found["deal"].verdict is Verdict.AGREE
