"""Who of the telephony is who in the CRM, sign by sign (H12)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from hub.core.match import Listed, match, new_id
from hub.core.records import CrmUser, UserId

OLENA = CrmUser(id=UserId("1"), name="Олена Коваль", email="olena@example.com", phone="+380 67 123 45 67")
PETRO = CrmUser(id=UserId("2"), name="Петро Бондар", email="petro@example.com")
PETRO_TOO = CrmUser(id=UserId("3"), name="Бондар Петро", email="bondar@example.com")
GONE = CrmUser(id=UserId("4"), name="Тарас Гнатюк", email="taras@example.com", is_active=False)


@dataclass(frozen=True)
class Case:
    says: str
    listed: tuple[Listed, ...]
    users: tuple[CrmUser, ...]
    #: staff id -> (user id, sign)
    pairs: dict[str, tuple[str, str]]


def one(staff_id: str = "a", **more: object) -> Listed:
    return Listed(staff_id=staff_id, **more)  # type: ignore[arg-type]  # fields by name


CASES = [
    Case("the e-mail, in any case", (one(email="Olena@Example.com"),), (OLENA, PETRO), {"a": ("1", "email")}),
    Case("a corporate mobile, however typed", (one(numbers=("067 1234567",)),), (OLENA,), {"a": ("1", "number")}),
    Case("where calls are sent to", (one(destinations=("380671234567",)),), (OLENA,), {"a": ("1", "number")}),
    Case("the name, words in any order", (one(name="Коваль Олена"),), (OLENA, PETRO), {"a": ("1", "name")}),
    Case("the name with a patronymic", (one(name="Коваль Олена Петрівна"),), (OLENA,), {"a": ("1", "name")}),
    Case("a first name alone says too little", (one(name="Олена"),), (OLENA,), {}),
    Case("two of the same name: nobody is guessed", (one(name="Петро Бондар"),), (PETRO, PETRO_TOO), {}),
    Case(
        "two who claim one user: nobody is guessed",
        (one("a", email="olena@example.com"), one("b", email="olena@example.com")),
        (OLENA,),
        {},
    ),
    Case(
        "the e-mail is surer than the name",
        (one("a", name="Олена Коваль", email="petro@example.com"), one("b", name="Олена Коваль")),
        (OLENA, PETRO),
        {"a": ("2", "email"), "b": ("1", "name")},
    ),
    Case("a deactivated user is nobody", (one(email="taras@example.com"),), (GONE,), {}),
    Case("a SIP login is no number", (one(destinations=("examplecom_olena",)),), (OLENA,), {}),
    Case("empty signs fit nobody", (one(),), (CrmUser(id=UserId("9"), name=""),), {}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_employees_are_matched_by_the_surest_sign(case: Case) -> None:
    found = match(case.listed, case.users, "UA")
    assert {pair.listed.staff_id: (pair.user.id, pair.by) for pair in found.pairs} == case.pairs
    assert {one.staff_id for one in found.unmatched} == {one.staff_id for one in case.listed} - set(case.pairs)
    taken = {pair.user.id for pair in found.pairs}
    assert [user.id for user in found.left] == [u.id for u in case.users if u.is_active and u.id not in taken]


IDS = [
    ("olena", "Олена Коваль", (), "olena"),
    ("olena", "Олена Коваль", ("olena",), "olena-2"),
    ("", "Олена Коваль", (), "olena"),
    ("", "Олена Коваль", ("olena",), "olena-koval"),
    ("", "李", (), "employee"),
    ("o.koval+crm", "x", (), "o-koval-crm"),
]


@pytest.mark.parametrize(("mailbox", "name", "taken", "id"), IDS)
def test_an_id_is_latin_lasting_and_free(mailbox: str, name: str, taken: tuple[str, ...], id: str) -> None:
    assert new_id(mailbox, name, taken) == id or (taken and new_id(mailbox, name, taken) not in taken)
