"""The independent auditor: what was lost and what was doubled, from the traffic file and the CRM's records alone.

It imports nothing of the hub and asks it nothing; even its reading of phone numbers is its own, so that a
fault of the hub's cannot hide here. ``--records`` is a JSON dump of the CRM with the keys ``contacts``,
``leads``, ``companies``, ``tasks``, ``notes``, each a list of records in the shapes of amoCRM's API v4
(deleted records may be in it and are passed over).

*Lost*: a client's call for which no ``call_in`` or ``call_out`` note bears the call's id in ``params.uniq``; a form,
chat or message whose writer's number no contact holds.
Calls between employees are the policy's matter and are not judged, nor are calls of a hidden number, for they
belong to nobody's card (both are counted as ``not_judged``; their notes can still double). Calls over a
private line must have no note; one that has is ``leaked`` (R8).

*Doubled*, one for each record too many:
- call notes with one ``uniq``, on whatever cards;
- contacts that hold one number, however it is typed, beyond those that the traffic file's ``preload`` held;
- deals of one client made while another deal of that client was open. Preloaded deals are never too many. Two
  contacts are one client where they share a number and were not both there before the day.

``python -m hub.demo.audit --traffic FILE --records FILE`` prints JSON; exit code 1 if anything was found.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = ["Audit", "Finding", "audit"]

Record = Mapping[str, Any]
FindingKind = Literal["lost", "doubled_note", "doubled_contact", "doubled_deal", "leaked"]

_CLOSED_STATUSES = frozenset({142, 143})  # won and lost, in every pipeline
_CALL_NOTES = frozenset({"call_in", "call_out"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that should not be: its kind, the call it is about if any, and a sentence for people."""

    kind: FindingKind
    call_id: str | None
    sentence: str
    records: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The verdict. ``judged`` counts the calls that had to leave a note."""

    lost: int
    doubled: int
    leaked: int
    judged: int
    not_judged: int
    findings: list[Finding]

    @property
    def is_clean(self) -> bool:
        """True when nothing was lost, doubled or leaked."""
        return not self.findings


def audit(traffic: Record, records: Record) -> Audit:
    """Compare a traffic file with a dump of the CRM, both as read from JSON."""
    notes = _notes_by_call(records.get("notes", ()))
    judged, not_judged, findings = 0, 0, list[Finding]()
    for call in traffic["calls"]:
        call_id = call["id"]
        found = notes.get(call_id, [])
        if call["kind"] == "private":
            not_judged += 1
            findings += _leaked(call, found)
        elif call["kind"] == "internal" or not call["client_number"]:
            not_judged += 1
        else:
            judged += 1
            if not found:
                findings.append(Finding(kind="lost", call_id=call_id, sentence=_lost_sentence(call)))
    for call_id, found in notes.items():
        for extra in found[1:]:
            where, first = _card(extra), _card(found[0])
            sentence = f"Call {call_id} has a second call note on {where}; the first is on {first}."
            findings.append(
                Finding(
                    kind="doubled_note",
                    call_id=call_id,
                    sentence=sentence,
                    records=[f"note {found[0]['id']}", f"note {extra['id']}"],
                )
            )
    reader = NumberReader(traffic["company"])
    clients = _Clients(traffic["preload"], records, reader)
    for enquiry in (*traffic["forms"], *traffic.get("chats", ()), *traffic.get("messages", ())):
        judged += 1
        number = reader.read(enquiry.get("client_number") or enquiry.get("phone") or "")
        if not clients.knows(number):
            findings.append(Finding(kind="lost", call_id=enquiry["id"], sentence=_lost_enquiry(enquiry, number)))
    findings += clients.doubled_contacts()
    findings += clients.doubled_deals()
    kinds = [finding.kind for finding in findings]
    return Audit(
        lost=kinds.count("lost"),
        doubled=sum(kind.startswith("doubled") for kind in kinds),
        leaked=kinds.count("leaked"),
        judged=judged,
        not_judged=not_judged,
        findings=findings,
    )


class NumberReader:
    """Reads numbers as people type them into international digits, by the company's own country."""

    def __init__(self, company: Record) -> None:
        self._code = str(company["calling_code"])
        self._trunk = str(company["trunk_prefix"])

    def read(self, text: str) -> str:
        """``098 123…``, ``8 098…``, ``38098…``, ``+380 98…``, ``0038098…`` are one; "" if there are no digits."""
        without_extension = re.split(r"(?i)\s*(?:ext|доб|вн|#|,|;)", text, maxsplit=1)[0]
        # "+38 (0) 98…": the zero in brackets is the trunk prefix, said twice.
        digits = re.sub(r"\D", "", without_extension)
        if not digits:
            return ""
        if without_extension.lstrip().startswith("+"):
            return self._without_doubled_trunk(digits)
        if digits.startswith("00"):
            return self._without_doubled_trunk(digits[2:])
        if digits.startswith(self._code) and len(digits) >= len(self._code) + 8:
            return self._without_doubled_trunk(digits)
        if digits.startswith("8" + self._trunk) and len(digits) == 11:
            digits = digits[1:]
        if digits.startswith(self._trunk) and len(digits) == 10:
            return self._code + digits[len(self._trunk) :]
        if len(digits) == 9:
            return self._code + digits
        return digits

    def _without_doubled_trunk(self, digits: str) -> str:
        doubled = self._code + self._trunk
        too_long = len(digits) == len(self._code) + 10
        return self._code + digits[len(doubled) :] if digits.startswith(doubled) and too_long else digits


class _Clients:
    """The CRM's contacts gathered into clients, and what there is too many of."""

    def __init__(self, preload: Record, records: Record, reader: NumberReader) -> None:
        self._preload = preload
        self._reader = reader
        self._contacts = _alive(records.get("contacts", ()))
        self._leads = _alive(records.get("leads", ()))
        self._holders: dict[str, list[Record]] = defaultdict(list)
        for contact in self._contacts:
            for number in self._numbers(contact):
                self._holders[number].append(contact)
        self._linked: dict[int, set[int]] = defaultdict(set)  # lead -> contacts, told by either side
        for lead in self._leads:
            for contact in (lead.get("_embedded") or {}).get("contacts") or ():
                self._linked[lead["id"]].add(contact["id"])
        for contact in self._contacts:
            for lead in (contact.get("_embedded") or {}).get("leads") or ():
                self._linked[lead["id"]].add(contact["id"])
        self._held_before: dict[str, int] = defaultdict(int)
        for contact in preload["contacts"]:
            for number in {reader.read(text) for text in contact["phones"]} - {""}:
                self._held_before[number] += 1

    def knows(self, number: str) -> bool:
        """True if somebody in the CRM holds ``number``."""
        return number in self._holders

    def doubled_contacts(self) -> Iterator[Finding]:
        """Each contact too many once, however many numbers it shares."""
        told: set[int] = set()
        for number, holders in self._holders.items():
            for extra in holders[max(1, self._held_before[number]) :]:
                if extra["id"] in told:
                    continue
                told.add(extra["id"])
                first = holders[0]
                sentence = (
                    f"Contacts {first['id']} ({first.get('name')}) and {extra['id']} ({extra.get('name')}) "
                    f"hold the same number {_masked(number)}, and not both were there before the day."
                )
                yield Finding(
                    kind="doubled_contact",
                    call_id=None,
                    sentence=sentence,
                    records=[f"contact {first['id']}", f"contact {extra['id']}"],
                )

    def doubled_deals(self) -> Iterator[Finding]:
        """Each deal that was made while another one of its client was open."""
        before = self._deals_before()
        told: set[int] = set()
        for leads in self._leads_by_client().values():
            leads.sort(key=lambda lead: (lead["id"] not in before, lead.get("created_at") or 0, lead["id"]))
            for place, lead in enumerate(leads):
                if lead["id"] in before or lead["id"] in told:
                    continue
                other = next((each for each in leads[:place] if _was_open(each, lead)), None)
                if other is None:
                    continue
                told.add(lead["id"])
                sentence = (
                    f"Deal {lead['id']} ({lead.get('name')}) was made while deal {other['id']} "
                    f"({other.get('name')}) of the same client was open."
                )
                yield Finding(
                    kind="doubled_deal",
                    call_id=None,
                    sentence=sentence,
                    records=[f"lead {other['id']}", f"lead {lead['id']}"],
                )

    def _deals_before(self) -> set[int]:
        """Ids of the leads that stood in ``preload``: same name, on a contact that holds the same number."""
        contacts = {contact["id"]: contact for contact in self._preload["contacts"]}
        wanted: dict[tuple[str, str], int] = defaultdict(int)
        for deal in self._preload["deals"]:
            wanted[deal["name"], self._reader.read(contacts[deal["contact"]]["phones"][0])] += 1
        by_id = {contact["id"]: contact for contact in self._contacts}
        found: set[int] = set()
        for lead in sorted(self._leads, key=lambda lead: int(lead["id"])):
            held = {
                number
                for contact_id in self._linked[lead["id"]]
                if contact_id in by_id
                for number in self._numbers(by_id[contact_id])
            }
            for number in held:
                if wanted[lead.get("name") or "", number] > 0:
                    wanted[lead.get("name") or "", number] -= 1
                    found.add(lead["id"])
                    break
        return found

    def _leads_by_client(self) -> dict[int, list[Record]]:
        """Leads under the lowest contact id of their client; leads of no contact are nobody's double."""
        root = {contact["id"]: contact["id"] for contact in self._contacts}

        def find(contact_id: int) -> int:
            while root[contact_id] != contact_id:
                contact_id = root[contact_id]
            return contact_id

        for number, holders in self._holders.items():
            # Two people who shared a number before the day stay two; whoever came later is one of them.
            for extra in holders[max(1, self._held_before[number]) :]:
                one, other = sorted((find(holders[0]["id"]), find(extra["id"])))
                root[other] = one
        leads: dict[int, list[Record]] = defaultdict(list)
        for lead in self._leads:
            clients = {find(contact_id) for contact_id in self._linked[lead["id"]] if contact_id in root}
            for client in clients:
                leads[client].append(lead)
        return leads

    def _numbers(self, contact: Record) -> set[str]:
        texts = (
            str(value.get("value") or "")
            for fields in contact.get("custom_fields_values") or ()
            if fields.get("field_code") == "PHONE"
            for value in fields.get("values") or ()
        )
        return {self._reader.read(text) for text in texts} - {""}


def _notes_by_call(notes: Iterable[Record]) -> dict[str, list[Record]]:
    """Call notes under their ``uniq``, oldest first; a note that the dump lists twice is one note."""
    seen: set[tuple[Any, ...]] = set()
    found: dict[str, list[Record]] = defaultdict(list)
    for note in sorted(notes, key=lambda note: int(note["id"])):
        uniq = (note.get("params") or {}).get("uniq")
        key = (note["id"], note.get("entity_type"), note.get("entity_id"))
        if note.get("note_type") not in _CALL_NOTES or not uniq or key in seen:
            continue
        seen.add(key)
        found[str(uniq)].append(note)
    return found


def _leaked(call: Record, found: list[Record]) -> Iterator[Finding]:
    for note in found[:1]:
        yield Finding(
            kind="leaked",
            call_id=call["id"],
            sentence=f"Call {call['id']} went over a private line, yet it has a call note on {_card(note)}.",
            records=[f"note {note['id']}"],
        )


def _lost_sentence(call: Record) -> str:
    who = _masked(call["client_number"])
    return f"Call {call['id']} ({call['direction']}, {call['outcome']}, client {who}) has no call note."


def _lost_enquiry(enquiry: Record, number: str) -> str:
    return f"Nobody in the CRM holds {_masked(number)}, who wrote {enquiry['id']}."


def _alive(records: Iterable[Record]) -> list[Record]:
    """Records that are not in the bin, each once, oldest first."""
    by_id = {record["id"]: record for record in records if not record.get("is_deleted")}
    return [by_id[key] for key in sorted(by_id)]


def _was_open(lead: Record, when_made: Record) -> bool:
    """True if ``lead`` was open at the moment when ``when_made`` was created; the same second counts as closed."""
    if lead.get("status_id") not in _CLOSED_STATUSES:
        return True
    closed_at = lead.get("closed_at")
    return closed_at is not None and int(closed_at) > int(when_made.get("created_at") or 0)


def _card(note: Record) -> str:
    return f"{note.get('entity_type') or 'card'} {note.get('entity_id')}"


def _masked(number: str) -> str:
    """Enough of a number to find it by, not enough to call it."""
    return f"{number[:5]}…{number[-2:]}"


def main() -> int:
    """Read both files, print the verdict as JSON."""
    parser = argparse.ArgumentParser(prog="python -m hub.demo.audit", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--traffic", type=Path, required=True)
    parser.add_argument("--records", type=Path, required=True)
    chosen = parser.parse_args()
    verdict = audit(
        json.loads(chosen.traffic.read_text(encoding="utf-8")),
        json.loads(chosen.records.read_text(encoding="utf-8")),
    )
    sys.stdout.write(json.dumps(asdict(verdict), ensure_ascii=False, indent=1) + "\n")
    return 0 if verdict.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
