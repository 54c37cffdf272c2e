"""The made-up company of the demo: who works there, which numbers it has, whom its CRM knows already."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hub.demo.traffic_record import Preload

__all__ = [
    "ADMINISTRATOR",
    "CAMPAIGNS",
    "COMPANY",
    "EMPLOYEES",
    "MANAGERS",
    "NUMBERS",
    "ORPHAN_LOGIN",
    "OWN_NUMBERS",
    "PIPELINES",
    "PRIVATE_LINES",
    "KnownClient",
    "destination",
    "employee",
    "known_clients",
    "person_name",
    "preload",
    "spelling",
]

COMPANY: Mapping[str, str] = {
    "name": "Північний чай",
    "site": "example.com",
    "timezone": "Europe/Kyiv",
    "region": "UA",
    "calling_code": "380",
    "trunk_prefix": "0",
}

_EMPLOYEE_ROWS = [
    # id      name                 login   ext    mobile          department   role
    ("1101", "Олена Коваль", "olena", "101", "380671234501", "Sales", "manager"),
    ("1102", "Петро Бондар", "petro", "102", "380671234502", "Sales", "manager"),
    ("1103", "Максим Литвин", "maksym", "103", "380671234503", "Sales", "manager"),
    ("1104", "Дарина Мороз", "daryna", "104", "380671234504", "Service", "manager"),
    ("1105", "Ірина Шевчук", "iryna", "100", "380671234505", "Reception", "administrator"),
    ("1106", "Тарас Гнатюк", "", "106", "380671234506", "Delivery", "manager"),
    ("1107", "Олександр Савчук", "oleksandr", "107", "380671234507", "Sales", "senior"),
    ("1108", "Надія Ткаченко", "nadiia", "108", "380671234508", "Sales", "head"),
]

EMPLOYEES: list[dict[str, str]] = [
    {
        "id": number,
        "name": name,
        "email": f"{login or 'taras'}@example.com",
        "department": department,
        "extension": extension,
        "login": f"examplecom_{login}" if login else "",
        "mobile": mobile,
        "role": role,
    }
    for number, name, login, extension, mobile, department, role in _EMPLOYEE_ROWS
]

_BY_ID = {employee["id"]: employee for employee in EMPLOYEES}
MANAGERS = ["1101", "1102", "1103", "1104"]
ADMINISTRATOR = "1105"

#: What rings when a call is answered by a login that the project knows but no employee has (Z2).
ORPHAN_LOGIN = "examplecom_hall"

NUMBERS: list[dict[str, Any]] = [
    {"number": "380441234567", "label": "Site", "source": "site", "pool": "site pool", "scheme": "Main"},
    {"number": "380441234568", "label": "Instagram", "source": "instagram", "pool": "", "scheme": "Main"},
    {"number": "380441234569", "label": "Newspaper", "source": "print", "pool": "", "scheme": "Main"},
    {"number": "380441234570", "label": "Service", "source": "service", "pool": "", "scheme": "Service"},
    {
        "number": "380441234571",
        "label": "Olena",
        "source": "personal",
        "pool": "",
        "scheme": "Olena",
        "owner": "1101",
    },
]
for _number in NUMBERS:
    _number.setdefault("owner", None)

#: Lines whose calls must never reach the CRM (R8).
PRIVATE_LINES = ["380931112200"]
OWN_NUMBERS = frozenset(
    [employee["mobile"] for employee in EMPLOYEES] + [row["number"] for row in NUMBERS] + PRIVATE_LINES
)

CAMPAIGNS = [
    ("google", "cpc", "brand"),
    ("google", "cpc", "green-tea"),
    ("facebook", "social", "spring"),
    ("newsletter", "email", "july"),
    ("google", "organic", ""),
]

PIPELINES = [
    {"name": "Продажі", "stages": ["Нове звернення", "Переговори", "Рахунок виставлено", "Оплата"]},
    {"name": "Сервіс", "stages": ["Заявка", "В роботі", "Перевірка"]},
]

_FIRST = ["Андрій", "Богдан", "Віра", "Ганна", "Дмитро", "Євген", "Зоя", "Інна", "Катерина", "Лев", "Марія"]
_LAST = ["Гриценко", "Дяченко", "Кравець", "Лисенко", "Мельник", "Олійник", "Поліщук", "Руденко", "Сидоренко"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownClient:
    """A client whom the CRM knew before the day. ``deal`` is open, won, lost or none."""

    index: int
    name: str
    number: str
    typed: tuple[str, ...]  # the number as people typed it into the CRM
    responsible: str
    deal: str
    task: str
    shares_number: bool = False


def employee(employee_id: str) -> dict[str, str]:
    """The employee with this id; KeyError when there is none."""
    return _BY_ID[employee_id]


def destination(employee_id: str | None) -> str:
    """Where a call to the employee rings; None is the login that belongs to nobody."""
    if employee_id is None:
        return ORPHAN_LOGIN
    return _BY_ID[employee_id]["login"] or _BY_ID[employee_id]["mobile"]


def person_name(dice: random.Random) -> str:
    """A first and a last name."""
    return f"{dice.choice(_FIRST)} {dice.choice(_LAST)}"


def spelling(number: str, way: int) -> str:
    """``number`` (international digits) as people type it; every way means the same number (C4)."""
    operator, rest = number[3:5], number[5:]
    return [
        f"0{operator}{rest}",
        number,
        f"+380 {operator} {rest[:3]} {rest[3:5]} {rest[5:]}",
        f"+{number}",
        f"(0{operator}) {rest[:3]}-{rest[3:5]}-{rest[5:]}",
        f"8 0{operator} {rest}",
    ][way % 6]


def known_clients(new_number: Callable[[], str], dice: random.Random, *, count: int) -> list[KnownClient]:
    """The clients of the CRM: every spelling, every state of deals and tasks, one shared family number."""
    clients: list[KnownClient] = []
    for index in range(count):
        number = new_number()
        typed = [spelling(number, index)]
        if index % 7 == 3:
            typed.append(spelling(number, index + 2))  # one card that holds its number twice
        clients.append(
            KnownClient(
                index=index,
                name=person_name(dice),
                number=number,
                typed=tuple(typed),
                responsible=dice.choice(MANAGERS),
                deal=["open", "open", "open", "none", "won", "lost"][index % 6],
                task=["", "follow_up", "", "", "call_back", "", ""][index % 7],
                shares_number=index == count - 1,
            )
        )
    return clients


def preload(clients: list[KnownClient], opening: datetime) -> Preload:
    """What the CRM holds before the day begins; ``opening`` is that moment, UTC."""
    made: Preload = {
        "pipelines": [dict(pipeline) for pipeline in PIPELINES],
        # The delivery man has no user in the CRM; the accountant has no telephone.
        "users": [
            {"name": person["name"], "email": person["email"], "role": person["role"]}
            for person in EMPLOYEES
            if person["id"] != "1106"
        ]
        + [{"name": "Бухгалтерія", "email": "accounts@example.com", "role": "other"}],
        "contacts": [],
        "deals": [],
        "tasks": [],
    }
    for client in clients:
        contact = f"contact-{client.index}"
        responsible = _BY_ID[client.responsible]["email"]
        made["contacts"].append(
            _contact(contact, client.name, list(client.typed), responsible, opening - timedelta(days=90))
        )
        if client.shares_number:
            spouse = f"{client.name.split()[0]}, родина"
            created_at = opening - timedelta(days=60)
            made["contacts"].append(_contact(f"{contact}-b", spouse, [client.typed[0]], responsible, created_at))
        if client.deal != "none":
            made["deals"].append(_deal(client, contact, responsible, opening))
        if client.task:
            made["tasks"].append(
                {
                    "id": f"task-{client.index}",
                    "on": f"deal-{client.index}" if client.deal == "open" else contact,
                    "kind": client.task,
                    "text": "Передзвонити" if client.task == "call_back" else "Надіслати пропозицію",
                    "responsible": responsible,
                    "due_at": _iso(opening + timedelta(hours=9)),
                    "is_completed": False,
                }
            )
    return made


def _contact(key: str, name: str, phones: list[str], responsible: str, created_at: datetime) -> dict[str, Any]:
    return {
        "id": key,
        "name": name,
        "phones": phones,
        "emails": [],
        "responsible": responsible,
        "created_at": _iso(created_at),
    }


def _deal(client: KnownClient, contact: str, responsible: str, opening: datetime) -> dict[str, Any]:
    pipeline = PIPELINES[1 if client.responsible == "1104" else 0]
    stages = pipeline["stages"]
    return {
        "id": f"deal-{client.index}",
        "name": f"Замовлення {1000 + client.index}",
        "contact": contact,
        "pipeline": pipeline["name"],
        "stage": stages[client.index % len(stages)] if client.deal == "open" else None,
        "status": client.deal,
        "responsible": responsible,
        "price": 500 + 250 * (client.index % 9),
        "created_at": _iso(opening - timedelta(days=20)),
        "closed_at": None if client.deal == "open" else _iso(opening - timedelta(days=3)),
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
