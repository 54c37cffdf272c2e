"""What stands beside a number says the same as the records themselves, whatever came in whatever order (R3, X9)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.core.forwarding import Holder
from hub.core.phone import Phone
from hub.core.records import Company, Contact, Deal, EmployeeId, RecordKind, RecordRef
from hub.ports import Changes
from hub.store.directory import Directory
from hub.store.directory_file import connect
from hub.store.directory_holders import find_holders, read_holders

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
AT = ("auto", "amo")
PHONES = (Phone("+380501112233"), Phone("+380671112233"), Phone("+380931112233"))
PEOPLE = (None, EmployeeId("@7"), EmployeeId("@8"))
#: what makes a file one of the layout before
OLDER = (
    *(f"ALTER TABLE holder DROP COLUMN {name}" for name in ("seen", "responsible")),
    *(f"ALTER TABLE link DROP COLUMN {name}" for name in ("seen", "responsible", "is_open", "changed")),
    "PRAGMA user_version = 1",
)

few = st.integers(0, 2)
moments = st.none() | st.integers(0, 3).map(lambda hours: NOW - timedelta(hours=hours))
ids = st.sampled_from(["1", "2", "3"])
some_ids = st.lists(ids, max_size=2, unique=True).map(tuple)
people = st.sampled_from(PEOPLE)
phones = st.lists(st.sampled_from(PHONES), max_size=2, unique=True).map(tuple)
contacts = st.builds(
    Contact, id=ids, name=st.sampled_from(["", "Anna"]), phones=phones, emails=st.just(("a@example.com",)),
    responsible=people, deal_ids=some_ids, updated_at=moments, created_at=moments,
)  # fmt: skip
companies = st.builds(Company, id=ids, phones=phones, responsible=people, deal_ids=some_ids, updated_at=moments)
deals = st.builds(
    Deal, id=ids, responsible=people, is_open=st.booleans(), contact_ids=some_ids, company_id=st.none() | ids,
    updated_at=moments, created_at=moments,
)  # fmt: skip
deleted = st.builds(RecordRef, kind=st.sampled_from([RecordKind.CONTACT, RecordKind.COMPANY, RecordKind.DEAL]), id=ids)


def up_to(most: int, one: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(one, max_size=most, unique_by=lambda record: (type(record), record.id)).map(tuple)


told = st.builds(
    Changes,
    contacts=up_to(2, contacts),
    companies=up_to(1, companies),
    deals=up_to(2, deals),
    deleted=up_to(1, deleted),
)
steps = st.lists(
    st.tuples(told | st.just("again"), st.integers(0, 5)) | st.sampled_from(["key fields", "an older layout"]),
    min_size=1,
    max_size=7,
)


def whose(responsible: EmployeeId | None) -> EmployeeId | None:
    return None if responsible is None else EmployeeId(f"our {responsible}")


def both(driver: sqlite3.Connection) -> list[list[tuple[tuple[Holder, ...], int | None]]]:
    """Each number's holders by the two ways; `Directory.holders` adds the age of the feed to the first."""
    account = driver.execute("SELECT id FROM account").fetchone()[0]
    return [[find(driver, account, phone, whose) for phone in PHONES] for find in (find_holders, read_holders)]


def alter(path: Path, statements: Sequence[str]) -> None:
    with closing(sqlite3.connect(path)) as driver, driver:
        for statement in statements:
            driver.execute(statement)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps)
def test_a_number_tells_what_its_records_tell(tmp_path_factory: pytest.TempPathFactory, given_steps: list[Any]) -> None:
    """Folds, merges, deletions, a further key, a file of the layout before, and the copy of another process (H9)."""
    path, copy = (tmp_path_factory.mktemp("directory") / name for name in ("directory.db", "copy.db"))
    changes = Changes()
    with Directory(path) as directory, Directory(copy) as other:
        directory.set_mark(*AT, "begun", "yes")
        other.set_mark(*AT, "begun", "yes")
        with closing(connect(path, is_reader=True)) as here, closing(connect(copy, is_reader=True)) as there:
            for step in given_steps:
                if step == "an older layout":
                    directory.close()
                    alter(path, OLDER)
                    directory.open()
                elif step == "key fields":
                    directory.set_key_fields(*AT, ["f1"])
                else:
                    changes = changes if step[0] == "again" else step[0]
                    directory.fold(*AT, changes, NOW - timedelta(hours=step[1]))
                short, long = both(here)
                assert short == long
                other.take_over(*AT, directory.rows_after(*AT, (0, ""), 100), {})
                assert both(there)[0] == long


def test_a_client_and_its_deals_are_answered_without_their_records(tmp_path: Path) -> None:
    """Two pages of the file: a record is not looked at where the number and its deals tell all."""
    path = tmp_path / "directory.db"
    open_deal = Deal(id="5", responsible=EmployeeId("@8"), contact_ids=("1",), created_at=NOW)
    closed = Deal(id="6", is_open=False, contact_ids=("1",))
    anna = Contact(id="1", phones=PHONES[:1], responsible=EmployeeId("@7"), deal_ids=("5",))
    with Directory(path) as directory:
        directory.fold(*AT, Changes(contacts=(anna,)), NOW)
        directory.fold(*AT, Changes(deals=(open_deal, closed)), NOW - timedelta(hours=1))
        told = directory.holders(*AT, PHONES[0], whose)
        alter(path, ["DELETE FROM record"])
        assert directory.holders(*AT, PHONES[0], whose) == told
    (holder,), _ = told
    assert (holder.responsible, [deal.id for deal in holder.open_deals]) == ("our @7", ["5"])


def test_a_file_of_the_layout_before_keeps_its_records(tmp_path: Path) -> None:
    """H6: an upgrade reads no CRM anew; what is told again is answered from its own rows."""
    path = tmp_path / "directory.db"
    anna = Contact(id="1", phones=PHONES[:1], responsible=EmployeeId("@7"), updated_at=NOW)
    with Directory(path) as directory:
        directory.fold(*AT, Changes(contacts=(anna,)), NOW - timedelta(hours=1))
        told = directory.holders(*AT, PHONES[0], whose)
    alter(path, OLDER)
    with Directory(path) as directory:
        assert directory.holders(*AT, PHONES[0], whose) == told
        directory.fold(*AT, Changes(contacts=(anna,)), NOW)
        alter(path, ["DELETE FROM record"])
        assert [one.responsible for one in directory.holders(*AT, PHONES[0], whose)[0]] == ["our @7"]
