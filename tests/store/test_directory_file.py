"""How a record lies in the directory's file: all that it says, and nothing that it does not (DESIGN 11)."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest

from hub.core.phone import Phone
from hub.core.records import Company, Contact, Deal, EmployeeId, RecordKind, RecordRef, Task, crm_user
from hub.store.directory_file import KINDS, Record, dump_record, load_record

NOW = datetime(2026, 3, 2, 9, 30, 15, 250_000, tzinfo=UTC)
#: for each field of any record something that it does not say by itself
SAID: dict[str, Any] = {
    "id": "7",
    "name": "Анна",
    "text": "call back",
    "phones": (Phone("+380501112233"),),
    "emails": ("anna@example.com",),
    "responsible": EmployeeId("@5"),
    "company_id": "",
    "fields": {"12": "red"},
    "tags": ("vip",),
    "created_at": NOW,
    "updated_at": NOW,
    "closed_at": NOW,
    "due_at": NOW,
    "deal_ids": ("1", "2"),
    "contact_ids": ("3",),
    "pipeline_id": "4",
    "stage_id": "6",
    "type_id": "8",
    "is_open": False,
    "is_won": True,
    "price": 0.0,
    "on": RecordRef(kind=RecordKind.DEAL, id="1"),
}


@pytest.mark.parametrize("type_", [Contact, Company, Deal, Task])
def test_a_record_says_each_of_its_fields_and_none_that_is_at_its_default(type_: type[Record]) -> None:
    """Equal records are equal byte by byte: one that is read again unchanged counts as such.

    What an older hub wrote, with an offset in place of ``Z``, is read as the same record.
    """
    names = [one.name for one in dataclasses.fields(type_)]
    kind = KINDS[type_(id="7").ref.kind]
    for told in ([], *([name] for name in names[1:]), names[1:]):
        record = type_(**{name: SAID[name] for name in ["id", *told]})
        body = dump_record(record)
        assert list(json.loads(body)) == ["id", *told]
        assert load_record(kind, body) == record
        assert load_record(kind, body.replace(b'Z"', b'+00:00"')) == record


def test_a_record_keeps_texts_and_mappings_that_are_not_pythons_own() -> None:
    class Id(str):
        __slots__ = ()

    fields = MappingProxyType[str, str]({Id("5"): Id("red")})
    body = dump_record(Contact(id=Id("7"), responsible=crm_user(Id("3")), fields=fields))
    assert load_record(KINDS[RecordKind.CONTACT], body) == Contact(id="7", responsible=crm_user(3), fields={"5": "red"})
