"""The company that a sandbox plays: its shops, employees, statuses and fields. All of it is invented."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

#: rights of a key; the vendor's own list is only partly published, so a client has to read what it got (1)
SCOPES = (
    "order_read",
    "order_write",
    "customer_read",
    "customer_write",
    "task_read",
    "task_write",
    "reference_read",
    "user_read",
    "integration_read",
    "integration_write",
    "telephony_write",
    "notification_write",
    "analytics_write",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key: what it may do and which shops it sees."""

    value: str
    scopes: tuple[str, ...] = SCOPES
    #: () = all shops
    sites: tuple[str, ...] = ()


def _user(user_id: int, first: str, last: str, email: str, phone: str = "", **more: Any) -> Json:
    return {
        "id": user_id,
        "createdAt": "2025-01-10 09:00:00",
        "active": True,
        "email": email,
        "firstName": first,
        "lastName": last,
        "phone": phone,
        "status": "free",
        "online": True,
        "isAdmin": False,
        "isManager": True,
        "groups": [{"id": 2, "name": "Менеджеры", "code": "managers"}],
        **more,
    }


def _status(code: str, name: str, group: str, ordering: int, *, active: bool = True) -> Json:
    return {"name": name, "code": code, "active": active, "ordering": ordering, "group": group}


def _group(code: str, name: str, ordering: int, *, process: bool = False) -> Json:
    return {"name": name, "code": code, "active": True, "ordering": ordering, "process": process}


def _choice(code: str, name: str, *, default: bool = False, active: bool = True) -> Json:
    return {"name": name, "code": code, "active": active, "defaultForCrm": default, "defaultForApi": default}


def _site(number: int, code: str, name: str, *, default: bool = False) -> Json:
    return {
        "id": number,
        "name": name,
        "code": code,
        "url": f"https://{code}.example",
        "phones": [],
        "defaultForCrm": default,
        "ordering": number,
        "countryIso": "UA",
        "currency": "UAH",
    }


def _field(entity: str, code: str, name: str, kind: str = "string", **more: Any) -> Json:
    return {
        "code": code,
        "name": name,
        "entity": entity,
        "type": kind,
        "ordering": 50,
        "displayArea": "customer",
        **more,
    }


@dataclass(slots=True, kw_only=True)
class Account:
    """Everything that an administrator has set up."""

    name: str = "fruitshop"
    time_zone: str = "Europe/Kyiv"
    language: str = "ru_RU"
    key: Key = field(default_factory=lambda: Key(value="sandbox-api-key-0123456789abcdef"))
    users: list[Json] = field(
        default_factory=lambda: [
            _user(21, "Ирина", "Белова", "irina@nordtea.example", "+380671110021", isAdmin=True),
            _user(22, "Олег", "Громов", "oleg@nordtea.example", "+380671110022"),
            _user(23, "Анна", "Котова", "anna@nordtea.example", "+380671110023"),
            _user(24, "Марина", "Зуева", "marina@nordtea.example"),
            _user(29, "Пётр", "Ушёл", "petr@nordtea.example", active=False, online=False),
        ]
    )
    groups: list[Json] = field(
        default_factory=lambda: [
            {"id": 1, "name": "Администраторы", "code": "superadmins", "isManager": False},
            {"id": 2, "name": "Менеджеры", "code": "managers", "isManager": True},
        ]
    )
    sites: list[Json] = field(default_factory=lambda: [_site(1, "main", "Фрукты", default=True)])
    status_groups: list[Json] = field(
        default_factory=lambda: [
            _group("new", "Новый", 10),
            _group("approval", "Согласование", 20, process=True),
            _group("assembling", "Комплектация", 30, process=True),
            _group("delivery", "Доставка", 40, process=True),
            _group("complete", "Выполнен", 50),
            _group("cancel", "Отменен", 60),
        ]
    )
    statuses: list[Json] = field(
        default_factory=lambda: [
            _status("new", "Новый", "new", 10),
            _status("feedback", "Обратная связь", "new", 20),
            _status("client-confirmed", "Согласовано с клиентом", "approval", 10),
            _status("assembling", "Комплектуется", "assembling", 10),
            _status("delivering", "Доставляется", "delivery", 10),
            _status("complete", "Выполнен", "complete", 10),
            _status("no-call", "Недозвон", "cancel", 10),
            _status("cancel-other", "Отменен", "cancel", 20),
            _status("old-way", "Прежний", "approval", 90, active=False),
        ]
    )
    order_types: list[Json] = field(
        default_factory=lambda: [
            _choice("eshop-individual", "Физ. лицо", default=True) | {"ordering": 10},
            _choice("eshop-legal", "Юр. лицо") | {"ordering": 20},
        ]
    )
    order_methods: list[Json] = field(
        default_factory=lambda: [
            _choice("phone", "По телефону", default=True),
            _choice("shopping-cart", "Через корзину"),
            _choice("missed-call", "Пропущенный звонок"),
            _choice("live-chat", "Онлайн-консультант"),
            _choice("messenger", "Мессенджеры"),
            _choice("terminal", "Терминал", active=False),
        ]
    )
    fields: list[Json] = field(
        default_factory=lambda: [
            _field("order", "call_id", "Код звонка"),
            _field("order", "dialled", "Куда звонили"),
            _field("order", "urgent", "Срочно", "boolean"),
            _field("order", "guests", "Гостей", "integer"),
            _field("customer", "club", "Номер в клубе"),
            _field("customer", "city_code", "Город", "dictionary", dictionary="cities"),
        ]
    )

    def copy(self) -> Account:
        """One of its own for a sandbox that changes it."""
        return copy.deepcopy(self)
