"""The directory knows the newest of each record, whoever told it and in whatever order (H6, X9)."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.core.interaction import Identity
from hub.core.phone import Phone
from hub.core.records import (
    Catalogue,
    Company,
    Contact,
    CrmUser,
    Deal,
    EmployeeId,
    RecordKind,
    RecordRef,
    Task,
    UserId,
    crm_user,
)
from hub.ports import Changes
from hub.store.directory import Directory
from hub.store.directory_fold import BY_NAME
from hub.store.holdings import Holdings, assemble

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ANNA, BORIS = Phone("+380501112233"), Phone("+380671112233")
AT = ("auto", "amo")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    with Directory(tmp_path / "directory.db") as opened:
        yield opened


def ago(**parts: float) -> datetime:
    return NOW - timedelta(**parts)


def contact(id: str = "1", *phones: Phone, **more: Any) -> Contact:
    return Contact(id=id, phones=phones or (ANNA,), **({"updated_at": ago(days=1)} | more))


def deal(id: str, *contacts: str, **more: Any) -> Deal:
    return Deal(id=id, contact_ids=contacts, **({"updated_at": ago(days=1)} | more))


def ref(kind: RecordKind, id: str) -> RecordRef:
    return RecordRef(kind=kind, id=id)


CONTACT_1 = ref(RecordKind.CONTACT, "1")


def test_a_number_finds_its_contact_with_deals_and_open_tasks(directory: Directory) -> None:
    on_deal = Task(id="7", on=ref(RecordKind.DEAL, "5"), updated_at=ago(days=1))
    on_contact = Task(id="8", on=CONTACT_1, updated_at=ago(days=1))
    done = Task(id="9", on=CONTACT_1, is_open=False, updated_at=ago(days=1))
    changes = Changes(
        contacts=(contact(), contact("2", BORIS)),
        deals=(deal("5", "1"), deal("6", "2")),
        tasks=(on_deal, on_contact, done),
    )
    directory.fold(*AT, changes, NOW)
    found = directory.lookup(*AT, ANNA)
    assert found == Holdings(contacts=(contact(),), deals=(deal("5", "1"),), tasks=(on_contact, on_deal), seen_at=NOW)


@pytest.mark.parametrize(
    ("who", "found"),
    [
        (Identity(phones=(ANNA,)), ["1", "c"]),
        (Identity(emails=("Anna@Example.com ",)), ["1"]),
        (Identity(fields={"tax": "77"}), ["c"]),
        (Identity(fields={"unbound": "77"}), []),
        (Identity(phones=(BORIS,), emails=("anna@example.com",)), ["1"]),
        (Identity(name="Anna"), []),
        (Identity(), []),
    ],
)
def test_a_client_is_found_by_any_key_but_never_by_name(directory: Directory, who: Identity, found: list[str]) -> None:
    """J4, J7."""
    directory.set_key_fields(*AT, ["f1"])
    company = Company(id="c", phones=(ANNA,), fields={"f1": " 77 "}, updated_at=NOW)
    directory.fold(*AT, Changes(contacts=(contact(emails=("anna@example.com",)),), companies=(company,)), NOW)
    held = directory.lookup(*AT, who, field_ids={"tax": ("f1",)})
    assert [*(one.id for one in held.contacts), *(one.id for one in held.companies)] == found


def test_a_field_that_becomes_a_key_later_finds_what_was_read_before(directory: Directory) -> None:
    directory.fold(*AT, Changes(contacts=(contact(fields={"f1": "77", "f2": "88"}),)), NOW)
    who = Identity(fields={"tax": "77"})
    assert directory.lookup(*AT, who, field_ids={"tax": ("f1",)}).is_empty
    directory.set_key_fields(*AT, ["f1"])
    assert not directory.lookup(*AT, who, field_ids={"tax": ("f1",)}).is_empty
    directory.set_key_fields(*AT, ["f2"])
    assert directory.lookup(*AT, who, field_ids={"tax": ("f1",)}).is_empty


def test_a_further_field_is_looked_for_on_contacts_and_on_companies(directory: Directory) -> None:
    """J4: each kind of record has a field of that name, with an id of its own."""
    directory.set_key_fields(*AT, ["f1", "f2"])
    company = Company(id="c", fields={"f2": "77"}, updated_at=NOW)
    directory.fold(*AT, Changes(contacts=(contact(fields={"f1": "77"}),), companies=(company,)), NOW)
    held = directory.lookup(*AT, Identity(fields={"tax": "77"}), field_ids={"tax": ("f1", "f2")})
    assert ([one.id for one in held.contacts], [one.id for one in held.companies]) == (["1"], ["c"])


def test_a_contact_is_found_by_its_whole_name_only_where_the_name_is_a_key(directory: Directory) -> None:
    """J7; a single word would lead to half the address book."""
    directory.fold(*AT, Changes(contacts=(contact(name="Anna  Koval"), contact("2", BORIS, name="Boris"))), NOW)
    by_name = {BY_NAME: (BY_NAME,)}
    assert directory.lookup(*AT, Identity(name="anna koval"), field_ids=by_name).is_empty
    directory.set_key_fields(*AT, [BY_NAME])
    held = directory.lookup(*AT, Identity(name="anna koval"), field_ids=by_name)
    assert [one.id for one in held.contacts] == ["1"]
    assert directory.lookup(*AT, Identity(name="anna koval")).is_empty
    assert directory.lookup(*AT, Identity(name="Boris"), field_ids=by_name).is_empty


def test_connections_never_see_each_other(directory: Directory) -> None:
    """H8."""
    directory.fold("auto", "amo", Changes(contacts=(contact(),)), NOW)
    directory.fold("shop", "amo", Changes(contacts=(contact("9", BORIS),)), NOW)
    assert directory.lookup("auto", "amo", BORIS).is_empty
    assert directory.lookup("auto", "zoho", ANNA).is_empty
    assert directory.lookup("shop", "amo", ANNA).is_empty


def test_a_number_that_was_taken_away_no_longer_finds_the_contact(directory: Directory) -> None:
    directory.fold(*AT, Changes(contacts=(contact("1", ANNA),)), ago(minutes=5))
    directory.fold(*AT, Changes(contacts=(contact("1", BORIS, updated_at=NOW),)), NOW)
    assert directory.lookup(*AT, ANNA).is_empty
    assert not directory.lookup(*AT, BORIS).is_empty


# --- newest wins ------------------------------------------------------------------------------------------------

OWN_WRITE = Changes(contacts=(Contact(id="1", name="ours", phones=(ANNA,), updated_at=None),))


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ((Changes(contacts=(contact(name="old", updated_at=ago(hours=2)),)), ago(hours=1)), (OWN_WRITE, NOW), "ours"),
        # a page whose request began long before our write and was folded after it
        ((OWN_WRITE, NOW), (Changes(contacts=(contact(name="old", updated_at=ago(hours=2)),)), NOW), "ours"),
        # the CRM tells of our own write: it knows better
        ((OWN_WRITE, NOW), (Changes(contacts=(contact(name="theirs", updated_at=ago(seconds=1)),)), NOW), "theirs"),
        # a webhook that was held up
        (
            (Changes(contacts=(contact(name="new", updated_at=ago(minutes=1)),)), ago(seconds=50)),
            (Changes(contacts=(contact(name="old", updated_at=ago(minutes=2)),)), NOW),
            "new",
        ),
    ],
)
def test_an_older_page_never_overwrites_what_is_newer(
    directory: Directory, first: tuple[Changes, datetime], second: tuple[Changes, datetime], name: str
) -> None:
    for changes, seen_at in (first, second):
        directory.fold(*AT, changes, seen_at)
    assert [found.name for found in directory.lookup(*AT, ANNA).contacts] == [name]


def test_an_older_page_does_not_bring_back_what_was_deleted(directory: Directory) -> None:
    page = Changes(contacts=(contact(),))
    directory.fold(*AT, page, ago(minutes=5))
    directory.fold(*AT, Changes(deleted=(CONTACT_1,)), ago(minutes=1))
    assert directory.lookup(*AT, ANNA).is_empty
    directory.fold(*AT, page, ago(minutes=4))
    assert directory.lookup(*AT, ANNA).is_empty
    directory.fold(*AT, Changes(contacts=(contact(updated_at=NOW),)), NOW)
    assert not directory.lookup(*AT, ANNA).is_empty


observations = st.lists(
    st.tuples(
        st.sampled_from(["contact", "deal", "deleted", "own", "done task", "open task"]),
        st.integers(0, 3),
        st.integers(0, 6),
        st.integers(0, 6),
    ),
    max_size=7,
)


def observe(directory: Directory, seen: tuple[str, int, int, int]) -> None:
    what, who, changed, read = seen
    phone = (ANNA, BORIS)[changed % 2]
    at, updated = ago(hours=10 - read), ago(hours=20 - changed)
    id = str(who)
    changes = {
        "contact": Changes(contacts=(contact(id, phone, updated_at=updated, name=f"{read}"),)),
        "own": Changes(contacts=(contact(id, phone, updated_at=None, name="own"),)),
        "deal": Changes(deals=(deal(id, str(changed % 3), updated_at=updated),)),
        "deleted": Changes(deleted=(ref(RecordKind.CONTACT, id), ref(RecordKind.DEAL, id))),
        "open task": Changes(tasks=(Task(id=id, on=ref(RecordKind.CONTACT, "1"), updated_at=updated),)),
        "done task": Changes(tasks=(Task(id=id, is_open=False, updated_at=updated),)),
    }[what]
    directory.fold(*AT, changes, at)


def content(path: Path) -> list[list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as driver:
        return [
            driver.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4, 5").fetchall()  # noqa: S608 — fixed names
            for table in ("record", "holder", "link")
        ]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(observations, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, seen: list[tuple[str, int, int, int]], order: random.Random
) -> None:
    paths = [tmp_path_factory.mktemp("directory") / f"{n}.db" for n in range(2)]
    for path in paths:
        with Directory(path) as directory:
            for one in seen:
                observe(directory, one)
        order.shuffle(seen)
    assert content(paths[0]) == content(paths[1])


# --- the age of facts -------------------------------------------------------------------------------------------


def test_a_fact_is_as_old_as_its_reading_unless_a_feed_vouches_for_it(directory: Directory) -> None:
    """X9."""
    assert directory.lookup(*AT, ANNA).seen_at is None
    directory.fold(*AT, Changes(contacts=(contact(),)), ago(hours=3))
    directory.fold(*AT, Changes(deals=(deal("5", "1"),)), ago(hours=2))
    assert directory.lookup(*AT, ANNA).seen_at == ago(hours=3)
    assert directory.lookup(*AT, BORIS).seen_at is None
    directory.fold(*AT, Changes(as_of=ago(seconds=4)), NOW)
    assert directory.lookup(*AT, ANNA).seen_at == ago(seconds=4)
    assert directory.lookup(*AT, BORIS).seen_at == ago(seconds=4)
    directory.fold(*AT, Changes(as_of=ago(seconds=9)), NOW)
    assert directory.as_of(*AT) == ago(seconds=4)


def test_reading_the_same_again_makes_the_fact_younger(directory: Directory) -> None:
    directory.fold(*AT, Changes(contacts=(contact(),)), ago(hours=3))
    directory.fold(*AT, Changes(contacts=(contact(),)), ago(hours=1))
    assert directory.lookup(*AT, ANNA).seen_at == ago(hours=1)


# --- what is to be read -----------------------------------------------------------------------------------------


def test_a_touched_record_is_listed_until_it_was_read_again(directory: Directory) -> None:
    directory.fold(*AT, Changes(touched=(CONTACT_1, ref(RecordKind.DEAL, "5"))), ago(minutes=1))
    directory.fold(*AT, Changes(contacts=(contact(),)), ago(minutes=2))
    assert list(directory.touched(*AT)) == [CONTACT_1, ref(RecordKind.DEAL, "5")]
    directory.fold(*AT, Changes(contacts=(contact(),), deleted=(ref(RecordKind.DEAL, "5"),)), NOW)
    assert list(directory.touched(*AT)) == []


def test_a_deal_that_only_its_contact_knows_is_named_as_missing(directory: Directory) -> None:
    directory.fold(*AT, Changes(contacts=(contact(deal_ids=("5", "6")),), deals=(deal("6", "1"),)), NOW)
    directory.fold(*AT, Changes(deleted=(ref(RecordKind.DEAL, "7"),)), NOW)
    found = directory.lookup(*AT, ANNA)
    assert [one.id for one in found.deals] == ["6"]
    assert found.missing == (ref(RecordKind.DEAL, "5"),)


def test_marks_are_stored_with_the_changes_and_gone_when_forgotten(directory: Directory) -> None:
    directory.fold(*AT, Changes(contacts=(contact(),)), NOW, marks={"last_step": "17"})
    directory.set_mark(*AT, "cursor", "x")
    assert (directory.mark(*AT, "last_step"), directory.mark(*AT, "cursor")) == ("17", "x")
    directory.forget(*AT)
    assert (directory.mark(*AT, "last_step"), directory.lookup(*AT, ANNA).is_empty) == ("", True)


def test_records_are_counted_and_found_by_their_id(directory: Directory) -> None:
    directory.fold(*AT, Changes(contacts=(contact(), contact("2")), deals=(deal("5", "1"),)), NOW)
    directory.fold(*AT, Changes(deleted=(ref(RecordKind.CONTACT, "2"),)), NOW)
    assert directory.counts(*AT) == {RecordKind.CONTACT: 1, RecordKind.DEAL: 1}
    assert directory.get(*AT, CONTACT_1) == contact()
    assert directory.get(*AT, ref(RecordKind.CONTACT, "2")) is None


def test_a_file_of_another_layout_is_rebuilt(tmp_path: Path) -> None:
    path = tmp_path / "directory.db"
    with Directory(path) as directory:
        directory.fold(*AT, Changes(contacts=(contact(),)), NOW)
    with closing(sqlite3.connect(path)) as driver:
        driver.execute("PRAGMA user_version = 999")
    with Directory(path) as directory:
        assert directory.lookup(*AT, ANNA).is_empty
        directory.fold(*AT, Changes(contacts=(contact(),)), NOW)
        assert not directory.lookup(*AT, ANNA).is_empty


# --- several at once --------------------------------------------------------------------------------------------


def import_many(path: Path, count: int) -> None:
    """What the import's child process does."""
    with Directory(path) as directory:
        for start in range(0, count, 250):
            page = [contact(f"i{n}", Phone(f"+38050{n:07}"), updated_at=ago(days=2)) for n in range(start, start + 250)]
            directory.fold(*AT, Changes(contacts=tuple(page)), NOW)


async def test_our_own_writes_pass_while_a_child_process_imports(directory: Directory, tmp_path: Path) -> None:
    child = multiprocessing.get_context("spawn").Process(target=import_many, args=(tmp_path / "directory.db", 2500))
    child.start()
    written = itertools.count()
    try:
        async with asyncio.timeout(60):
            while child.is_alive() or next(written) < 20:
                phone = Phone(f"+38067{next(written):07}")
                await directory.fold_async(*AT, Changes(contacts=(contact(f"o{phone}", phone),)), NOW)
                assert [one.id for one in directory.lookup(*AT, phone).contacts] == [f"o{phone}"]
    finally:
        child.join(30)
    assert child.exitcode == 0
    assert not directory.lookup(*AT, Phone("+380500002499")).is_empty


# --- the snapshot -----------------------------------------------------------------------------------------------


def test_a_snapshot_speaks_of_our_employees_and_keeps_unknown_users() -> None:
    holdings = Holdings(
        contacts=(contact(responsible=crm_user(7)),), deals=(deal("5", "1", responsible=crm_user(8)),), seen_at=NOW
    )
    catalogue = Catalogue(
        users=(
            CrmUser(id=UserId("7"), name="O. Koval"),
            CrmUser(id=UserId("8"), name="Petro"),
            CrmUser(id=UserId("9"), name="Gone", is_active=False),
        )
    )
    olena = EmployeeId("olena")
    found = assemble(
        holdings,
        connection="amo",
        taken_at=NOW,
        catalogue=catalogue,
        employees={UserId("7"): olena, UserId("9"): EmployeeId("ivan")},
        names={olena: "Olena Koval"},
    )
    assert found.contacts[0].responsible == olena
    assert found.deals[0].responsible == crm_user(8)
    assert found.inactive == {EmployeeId("ivan")}
    assert found.names == {olena: "Olena Koval", crm_user(8): "Petro", EmployeeId("ivan"): "Gone"}
    assert found.seen_at == NOW


def test_closing_waits_for_whoever_reads_or_writes_in_another_thread(tmp_path: Path) -> None:
    """H4: SQLite takes the whole process down where one thread closes a connection that another one uses."""
    for attempt in range(20):
        directory = Directory(tmp_path / f"{attempt}.db")
        directory.open()
        people = [contact(str(number), Phone(f"+38050{number:07}")) for number in range(200)]
        directory.fold(*AT, Changes(contacts=tuple(people)), NOW)
        rows = directory.rows_after(*AT, (0, ""), 200)
        begun = threading.Barrier(3)
        refused: list[str] = []

        def use(work: Any, begun: threading.Barrier = begun, refused: list[str] = refused) -> None:
            begun.wait()
            try:
                while True:
                    work()
            except (RuntimeError, sqlite3.ProgrammingError) as error:
                refused.append(str(error))

        threads = [
            threading.Thread(target=use, args=(work,))
            for work in (
                lambda directory=directory, rows=rows: directory.take_over(*AT, rows, {}),
                lambda directory=directory: directory.rows_after(*AT, (0, ""), 200),
            )
        ]
        for thread in threads:
            thread.start()
        begun.wait()
        directory.close()
        for thread in threads:
            thread.join(10)
        assert len(refused) == 2, "each is told that the directory is closed"


@pytest.mark.parametrize("damage", ["no database", "its pages", "cut short", "empty"])
def test_a_damaged_file_is_set_aside_and_made_anew(tmp_path: Path, damage: str) -> None:
    """H4, DESIGN 3: what can be read again must not keep the hub from starting; what was there is kept for a look."""
    path = tmp_path / "directory.db"
    with Directory(path) as before:
        before.set_mark(*AT, "imported", "yes")
    sound = path.read_bytes()
    odd = {
        "no database": b"not a database " * 500,
        "its pages": sound[:100] + b"\xa5" * (len(sound) - 100),
        "cut short": sound[:5000],
        "empty": b"",
    }
    path.write_bytes(odd[damage])
    with Directory(path) as after:
        assert after.mark(*AT, "imported") == ""
        after.set_mark(*AT, "imported", "again")
    with Directory(path) as again:
        assert again.mark(*AT, "imported") == "again"
    assert path.with_name("directory.db.damaged").exists() is (damage != "empty")


@pytest.mark.parametrize("ahead", [timedelta(minutes=10), timedelta(minutes=-10)], ids=["ahead", "behind"])
def test_what_the_crm_does_not_date_is_put_among_its_changes_by_its_own_clock(
    directory: Directory, ahead: timedelta
) -> None:
    """X9, H6: our clock is another, and a person changes the contact that we just made, then deletes it."""
    later = [NOW + timedelta(minutes=minutes) for minutes in (2, 3, 4)]
    directory.fold(*AT, Changes(contacts=(contact(name="ours", updated_at=None),)), NOW + ahead, told_at=NOW)
    directory.fold(*AT, Changes(contacts=(contact(name="theirs", updated_at=later[0]),)), later[0] + ahead)
    assert [one.name for one in directory.lookup(*AT, ANNA).contacts] == ["theirs"]
    directory.fold(*AT, Changes(deleted=(CONTACT_1,)), later[1] + ahead, told_at=later[1])
    assert directory.lookup(*AT, ANNA).is_empty
    directory.fold(*AT, Changes(contacts=(contact(name="restored", updated_at=later[2]),)), later[2] + ahead)
    assert [one.name for one in directory.lookup(*AT, ANNA).contacts] == ["restored"]
