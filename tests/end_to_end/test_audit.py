"""The auditor sees exactly what was lost and doubled, and nothing that merely looks like it.

The records here are made by hand from the traffic file, as a perfect CRM would hold them; each test then
plants one fault, or one innocent neighbour of a fault.
"""

from __future__ import annotations

import ast
import copy
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from hub.demo import audit as audit_module
from hub.demo.audit import NumberReader, audit
from hub.demo.company import COMPANY, spelling
from hub.demo.traffic import generate
from hub.demo.traffic_record import load

Records = dict[str, list[dict[str, Any]]]
Plant = Callable[["Crm"], None]

WON = 142
OPEN = 9100011


class Crm:
    """Records of a CRM in the vendor's shapes, filled by hand."""

    def __init__(self, traffic: dict[str, Any]) -> None:
        self.traffic = traffic
        self.records: Records = {"contacts": [], "leads": [], "companies": [], "tasks": [], "notes": []}
        self._next = 1000
        self.by_number: dict[str, int] = {}

    def _add(self, kind: str, record: dict[str, Any]) -> int:
        self._next += 1
        self.records[kind].append({"id": self._next, **record})
        return self._next

    def contact(self, name: str, *typed: str) -> int:
        fields = [{"field_code": "PHONE", "values": [{"value": text, "enum_code": "WORK"} for text in typed]}]
        record = {"name": name, "is_deleted": False, "custom_fields_values": fields if typed else None}
        return self._add("contacts", {**record, "_embedded": {"leads": []}})

    def lead(self, name: str, contact: int, *, status: int = OPEN, made: int = 1_000, closed: int | None = None) -> int:
        return self._add(
            "leads",
            {
                "name": name,
                "status_id": status,
                "created_at": made,
                "closed_at": closed,
                "is_deleted": False,
                "_embedded": {"contacts": [{"id": contact, "is_main": True}]},
            },
        )

    def call_note(self, uniq: str, card: int, *, kind: str = "call_in", entity: str = "contacts") -> int:
        params = {"uniq": uniq, "duration": 10, "phone": "x"}
        note = {"note_type": kind, "entity_type": entity, "entity_id": card, "params": params}
        return self._add("notes", note)

    def note_of(self, call_id: str) -> dict[str, Any]:
        return next(note for note in self.records["notes"] if note["params"]["uniq"] == call_id)


@pytest.fixture(scope="module")
def day() -> dict[str, Any]:
    """One day of traffic, as read from its file."""
    record: dict[str, Any] = json.loads(json.dumps(generate().to_record()))
    return record


@pytest.fixture
def crm(day: dict[str, Any]) -> Crm:
    """The CRM after a perfect day: preload, one contact per new number, one note per client's call."""
    crm = Crm(day)
    reader = NumberReader(day["company"])
    ids: dict[str, int] = {}
    for contact in day["preload"]["contacts"]:
        ids[contact["id"]] = crm.contact(contact["name"], *contact["phones"])
        crm.by_number.setdefault(reader.read(contact["phones"][0]), ids[contact["id"]])
    for deal in day["preload"]["deals"]:
        status = OPEN if deal["status"] == "open" else WON
        crm.lead(deal["name"], ids[deal["contact"]], status=status, made=1, closed=None if status == OPEN else 2)
    for call in day["calls"]:
        number = call["client_number"]
        if call["kind"] != "client" or not number:
            continue
        if number not in crm.by_number:
            crm.by_number[number] = crm.contact(f"Call {number}", f"+{number}")
            crm.lead(f"Call {number}", crm.by_number[number])
        kind = "call_out" if call["direction"] == "out" else "call_in"
        crm.call_note(call["id"], crm.by_number[number], kind=kind)
    for written in (*day["forms"], *day["chats"], *day["messages"]):
        number = reader.read(written.get("phone") or written["client_number"])
        if number not in crm.by_number:
            crm.by_number[number] = crm.contact(written["name"], f"+{number}")
            crm.lead(f"Written {number}", crm.by_number[number])
    return crm


def some_call(crm: Crm, scenario: str) -> dict[str, Any]:
    """The first call of a scenario."""
    call: dict[str, Any] = next(call for call in crm.traffic["calls"] if call["scenario"] == scenario)
    return call


def fresh_client(crm: Crm) -> tuple[str, int]:
    """Number and contact of a client whom the CRM did not know before the day."""
    number = some_call(crm, "new, answered")["client_number"]
    return number, crm.by_number[number]


def test_perfect_day_has_no_findings(crm: Crm) -> None:
    verdict = audit(crm.traffic, crm.records)
    assert (verdict.lost, verdict.doubled, verdict.leaked) == (0, 0, 0)
    assert verdict.is_clean
    told = sum(len(crm.traffic[kind]) for kind in ("calls", "forms", "chats", "messages"))
    assert verdict.judged + verdict.not_judged == told
    assert verdict.judged > 100


def lose_a_note(crm: Crm) -> None:
    call = some_call(crm, "known, missed")
    crm.records["notes"].remove(crm.note_of(call["id"]))


def lose_a_chat(crm: Crm) -> None:
    """A new visitor wrote and left a number; nobody in the CRM holds it."""
    chat = next(chat for chat in crm.traffic["chats"] if chat["id"] == "chat-1")
    card = crm.by_number[chat["client_number"]]
    crm.records["contacts"] = [one for one in crm.records["contacts"] if one["id"] != card]


def note_under_another_kind(crm: Crm) -> None:
    call = some_call(crm, "known, missed")
    crm.note_of(call["id"])["note_type"] = "common"


def lose_a_callback(crm: Crm) -> None:
    crm.records["notes"].remove(crm.note_of(some_call(crm, "callback form, client not reached")["id"]))


def second_note_on_same_card(crm: Crm) -> None:
    first = crm.note_of(some_call(crm, "new, answered")["id"])
    crm.call_note(first["params"]["uniq"], first["entity_id"])


def second_note_on_the_deal(crm: Crm) -> None:
    first = crm.note_of(some_call(crm, "new, answered")["id"])
    crm.call_note(first["params"]["uniq"], crm.records["leads"][0]["id"], entity="leads")


def second_note_of_a_hidden_number(crm: Crm) -> None:
    call = some_call(crm, "new, hidden number")
    for _ in range(2):
        crm.call_note(call["id"], crm.records["leads"][0]["id"], entity="leads")


def second_contact_of_a_new_client(crm: Crm) -> None:
    number, _ = fresh_client(crm)
    crm.contact("the same", spelling(number, 2))


def second_contact_of_a_known_client(crm: Crm) -> None:
    crm.contact("the same", f"+{some_call(crm, 'known, missed')['client_number']}")


def second_contact_with_two_shared_numbers(crm: Crm) -> None:
    number, contact_id = fresh_client(crm)
    contact = next(each for each in crm.records["contacts"] if each["id"] == contact_id)
    contact["custom_fields_values"][0]["values"].append({"value": "0671112233"})
    crm.contact("the same", number, "+380 67 111 22 33")


def third_contact_of_a_shared_number(crm: Crm) -> None:
    shared = crm.traffic["preload"]["contacts"][-1]
    crm.contact("a third one", shared["phones"][0])


def second_open_deal(crm: Crm) -> None:
    _, contact = fresh_client(crm)
    crm.lead("again", contact, made=2_000)


def second_deal_beside_a_preloaded_open_one(crm: Crm) -> None:
    deal = next(lead for lead in crm.records["leads"] if lead["status_id"] == OPEN)
    crm.lead("again", deal["_embedded"]["contacts"][0]["id"], made=2_000)


def second_deal_while_the_first_was_open_and_closed_later(crm: Crm) -> None:
    _, contact = fresh_client(crm)
    first = next(lead for lead in crm.records["leads"] if lead["_embedded"]["contacts"][0]["id"] == contact)
    first |= {"status_id": WON, "closed_at": 3_000}
    crm.lead("again", contact, made=2_000)


def second_deal_linked_from_the_contact_only(crm: Crm) -> None:
    _, contact_id = fresh_client(crm)
    lead_id = crm.lead("again", contact_id, made=2_000)
    crm.records["leads"][-1]["_embedded"] = {}
    contact = next(each for each in crm.records["contacts"] if each["id"] == contact_id)
    contact["_embedded"]["leads"].append({"id": lead_id})


def private_call_in_the_crm(crm: Crm) -> None:
    crm.call_note(some_call(crm, "private line")["id"], crm.records["contacts"][0]["id"])


# what was planted, lost, doubled, leaked
PLANTED = [
    (lose_a_note, 1, 0, 0),
    (lose_a_chat, 1, 0, 0),
    (note_under_another_kind, 1, 0, 0),
    (lose_a_callback, 1, 0, 0),
    (second_note_on_same_card, 0, 1, 0),
    (second_note_on_the_deal, 0, 1, 0),
    (second_note_of_a_hidden_number, 0, 1, 0),
    (second_contact_of_a_new_client, 0, 1, 0),
    (second_contact_of_a_known_client, 0, 1, 0),
    (second_contact_with_two_shared_numbers, 0, 1, 0),
    (third_contact_of_a_shared_number, 0, 1, 0),
    (second_open_deal, 0, 1, 0),
    (second_deal_beside_a_preloaded_open_one, 0, 1, 0),
    (second_deal_while_the_first_was_open_and_closed_later, 0, 1, 0),
    (second_deal_linked_from_the_contact_only, 0, 1, 0),
    (private_call_in_the_crm, 0, 0, 1),
]


@pytest.mark.parametrize(("plant", "lost", "doubled", "leaked"), PLANTED, ids=[plant.__name__ for plant, *_ in PLANTED])
def test_each_planted_fault_is_found_once(crm: Crm, plant: Plant, lost: int, doubled: int, leaked: int) -> None:
    plant(crm)
    verdict = audit(crm.traffic, crm.records)
    assert (verdict.lost, verdict.doubled, verdict.leaked) == (lost, doubled, leaked), verdict.findings
    assert len(verdict.findings) == 1
    assert verdict.findings[0].sentence.endswith(".")


def deal_made_after_the_first_was_closed(crm: Crm) -> None:
    _, contact = fresh_client(crm)
    first = next(lead for lead in crm.records["leads"] if lead["_embedded"]["contacts"][0]["id"] == contact)
    first |= {"status_id": WON, "closed_at": 2_000}
    crm.lead("a new wish", contact, made=2_000)


def one_contact_with_its_number_in_all_spellings(crm: Crm) -> None:
    crm.contact("many ways", *(spelling("380671112233", way) for way in range(6)))


def contacts_of_neighbouring_numbers(crm: Crm) -> None:
    number, _ = fresh_client(crm)
    crm.contact("next door", str(int(number) + 1 if number[-1] != "9" else int(number) - 1))


def contacts_without_numbers(crm: Crm) -> None:
    crm.contact("first")
    crm.contact("second")


def doubled_contact_in_the_bin(crm: Crm) -> None:
    number, _ = fresh_client(crm)
    crm.contact("thrown away", number)
    crm.records["contacts"][-1]["is_deleted"] = True


def other_notes_and_tasks(crm: Crm) -> None:
    card = crm.records["contacts"][0]["id"]
    uniq = some_call(crm, "known, missed")["id"]
    crm.records["notes"].append({"id": 1, "note_type": "common", "entity_id": card, "params": {"text": uniq}})
    crm.records["tasks"].append({"id": 2, "entity_id": card, "entity_type": "contacts", "text": uniq})


def dump_that_lists_a_note_twice(crm: Crm) -> None:
    crm.records["notes"].append(copy.deepcopy(crm.records["notes"][0]))


def call_note_of_a_hidden_number(crm: Crm) -> None:
    crm.call_note(some_call(crm, "new, hidden number")["id"], crm.records["leads"][0]["id"], entity="leads")


def internal_call_on_a_contact(crm: Crm) -> None:
    crm.call_note(some_call(crm, "internal")["id"], crm.records["contacts"][0]["id"])


INNOCENT = [
    deal_made_after_the_first_was_closed,
    one_contact_with_its_number_in_all_spellings,
    contacts_of_neighbouring_numbers,
    contacts_without_numbers,
    doubled_contact_in_the_bin,
    other_notes_and_tasks,
    dump_that_lists_a_note_twice,
    call_note_of_a_hidden_number,
    internal_call_on_a_contact,
]


@pytest.mark.parametrize("plant", INNOCENT, ids=lambda plant: plant.__name__)
def test_innocent_neighbours_are_no_findings(crm: Crm, plant: Plant) -> None:
    plant(crm)
    assert audit(crm.traffic, crm.records).findings == []


def test_one_lost_and_one_doubled_are_one_and_one(crm: Crm, tmp_path: Path) -> None:
    """As a program, the way the demo calls it."""
    lose_a_note(crm)
    second_note_on_the_deal(crm)
    traffic, records = tmp_path / "traffic.json", tmp_path / "records.json"
    traffic.write_text(json.dumps(crm.traffic), encoding="utf-8")
    records.write_text(json.dumps(crm.records), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "hub.demo.audit", "--traffic", traffic, "--records", records],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert run.returncode == 1, run.stderr
    verdict = json.loads(run.stdout)
    assert (verdict["lost"], verdict["doubled"]) == (1, 1)
    lost = next(finding for finding in verdict["findings"] if finding["kind"] == "lost")
    assert lost["call_id"] == some_call(crm, "known, missed")["id"]
    assert some_call(crm, "known, missed")["client_number"] not in run.stdout


@pytest.mark.parametrize(
    "typed",
    [
        "0981234567",
        "380981234567",
        "+380981234567",
        "+380 98 123 45 67",
        "8 098 1234567",
        "00380981234567",
        "(098) 123-45-67",
        "98 123 45 67",
        "+38 (098) 123-45-67",
        "+380 (0) 98 123 45 67",
        "098 123 45 67 доб. 12",
        "38098 123 45 67",
    ],
)
def test_every_spelling_of_a_number_is_one_number(typed: str) -> None:
    """C4, read by the auditor's own eyes."""
    assert NumberReader(COMPANY).read(typed) == "380981234567"


@pytest.mark.parametrize("typed", ["+49 30 1234567", "0049301234567", "", "no number"])
def test_foreign_and_missing_numbers_stay_what_they_are(typed: str) -> None:
    assert NumberReader(COMPANY).read(typed) in {"49301234567", ""}


def test_auditor_imports_nothing_of_the_hub() -> None:
    """Else it could share a fault with what it judges."""
    tree = ast.parse(Path(audit_module.__file__).read_text(encoding="utf-8"))
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert [name for name in imported if name is None or name.startswith("hub")] == []


def test_same_seed_makes_the_same_day() -> None:
    assert json.dumps(generate(seed=3).to_record()) == json.dumps(generate(seed=3).to_record())
    assert generate(seed=3).calls != generate(seed=4).calls
    assert load(json.loads(json.dumps(generate().to_record()))) == generate()


@pytest.mark.parametrize("calls", [60, 150, 1000])
def test_day_is_well_formed_at_every_size(calls: int) -> None:
    """Ids are unique, calls sorted, one client's calls apart, everyone rung is an employee or the orphan login."""
    traffic = generate(calls=calls)
    ids = [call["id"] for call in traffic.calls]
    assert len(ids) == len(set(ids))
    assert abs(len(ids) - calls) <= max(15, calls * 0.1)
    starts = [call["started_at"] for call in traffic.calls]
    assert starts == sorted(starts)
    last: dict[str, datetime] = {}
    for call in traffic.calls:
        began, ended = datetime.fromisoformat(call["started_at"]), datetime.fromisoformat(call["ended_at"])
        assert began < ended
        number = call["client_number"]
        if number is not None and call["kind"] == "client":
            assert number not in last or last[number] < began, call
            last[number] = ended
        assert bool(call["legs"]) == (call["outcome"] == "answered")


def test_day_holds_every_kind_of_call() -> None:
    calls = generate().calls
    assert {call["kind"] for call in calls} == {"client", "internal", "private"}
    assert {call["direction"] for call in calls} == {"in", "out", "callback"}
    assert {call["outcome"] for call in calls} >= {"answered", "missed", "busy", "voicemail", "client_no_answer"}
    assert {leg["transfer"] for call in calls for leg in call["legs"]} == {None, "attended", "blind"}
    assert any(call["client_number"] is None for call in calls)
    assert any(sum(not rung["answered"] for rung in call["rung"]) >= 2 for call in calls)
