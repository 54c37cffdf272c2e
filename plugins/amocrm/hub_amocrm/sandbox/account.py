"""The account that a sandbox opens with: people, pipelines and fields.

Ids and shapes follow the reference (5, 11, 18); the company is invented.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

WON = 142
LOST = 143
UNSORTED = 1


@dataclass(slots=True, kw_only=True)
class User:
    """An employee's login in the CRM."""

    id: int
    name: str
    email: str
    phone_number: str | None = None
    group_id: int = 0
    is_admin: bool = False
    is_active: bool = True


@dataclass(slots=True, kw_only=True)
class Status:
    """A stage; ``type`` 1 is the pipeline's stage for incoming leads."""

    id: int
    name: str
    sort: int
    color: str = "#99ccff"
    type: int = 0


@dataclass(slots=True, kw_only=True)
class Pipeline:
    """A pipeline; 142 (won) and 143 (lost) are the same ids in each."""

    id: int
    name: str
    sort: int
    is_main: bool = False
    is_unsorted_on: bool = True
    is_archive: bool = False
    statuses: list[Status] = field(default_factory=list)

    def status(self, status_id: int) -> Status | None:
        """The stage with this id, or None."""
        return next((status for status in self.statuses if status.id == status_id), None)

    @property
    def unsorted_status_id(self) -> int:
        """The stage in which incoming leads wait."""
        return next(status.id for status in self.statuses if status.type == UNSORTED)

    @property
    def first_status_id(self) -> int:
        """The first stage a normal lead may stand in."""
        return next(s.id for s in self.statuses if s.type != UNSORTED and s.id not in (WON, LOST))


@dataclass(slots=True, kw_only=True)
class Choice:
    """One value of a list field, or one kind of a phone or e-mail."""

    id: int
    value: str
    code: str | None = None


@dataclass(slots=True, kw_only=True)
class Field:
    """A custom field of contacts, companies or leads."""

    id: int
    entity: str
    name: str
    type: str
    code: str | None = None
    sort: int = 500
    is_api_only: bool = False
    is_predefined: bool = False
    group_id: str | None = None
    choices: list[Choice] = field(default_factory=list)
    #: Name, type and place are all the sandbox uses; what else was posted is echoed.
    further: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSeed:
    """Everything that the administrator set up before any client called."""

    id: int = 31500001
    name: str = "Nord Tea"
    subdomain: str = "nordtea"
    timezone: str = "Europe/Moscow"
    timezone_offset: str = "+03:00"
    #: The person who gives consent and owns the long-lived token.
    owner_id: int = 8800101
    users: tuple[User, ...] = ()
    groups: tuple[tuple[int, str], ...] = ((0, "Отдел продаж"), (601, "Сервис"))
    pipelines: tuple[Pipeline, ...] = ()
    fields: tuple[Field, ...] = ()
    task_types: tuple[tuple[int, str, str | None], ...] = (
        (1, "Связаться", "FOLLOW_UP"),
        (2, "Встреча", "MEETING"),
        (2300001, "Перезвонить", None),
    )
    loss_reasons: tuple[tuple[int, str], ...] = ((4100, "Дорого"), (4101, "Не дозвонились"))


TRACKING = (
    *("UTM_CONTENT", "UTM_MEDIUM", "UTM_CAMPAIGN", "UTM_SOURCE", "UTM_TERM", "UTM_REFERRER", "ROISTAT"),
    *("REFERRER", "OPENSTAT_SERVICE", "OPENSTAT_CAMPAIGN", "OPENSTAT_AD", "OPENSTAT_SOURCE", "FROM"),
    *("GCLIENTID", "_YM_UID", "_YM_COUNTER", "GCLID", "YCLID", "FBCLID"),
)


def _choices(first_id: int, codes: tuple[str, ...]) -> list[Choice]:
    return [Choice(id=first_id + 2 * index, value=code, code=code) for index, code in enumerate(codes)]


def _contact_points(entity: str, first_id: int) -> tuple[Field, ...]:
    phones = ("WORK", "WORKDD", "MOB", "FAX", "HOME", "OTHER")
    mails = ("WORK", "PRIV", "OTHER")
    return (
        Field(
            id=first_id,
            entity=entity,
            name="Телефон",
            type="multitext",
            code="PHONE",
            sort=4,
            is_predefined=True,
            choices=_choices(first_id * 10, phones),
        ),
        Field(
            id=first_id + 1,
            entity=entity,
            name="Email",
            type="multitext",
            code="EMAIL",
            sort=6,
            is_predefined=True,
            choices=_choices(first_id * 10 + 101, mails),
        ),
    )


def _fields() -> tuple[Field, ...]:
    contacts = (
        *_contact_points("contacts", 770001),
        Field(id=770003, entity="contacts", name="Должность", type="text", code="POSITION", is_predefined=True),
        Field(
            id=770201,
            entity="contacts",
            name="Откуда узнали",
            type="select",
            choices=[
                Choice(id=990001, value="Сайт"),
                Choice(id=990003, value="Рекомендация"),
                Choice(id=990005, value="Реклама"),
            ],
        ),
        Field(id=770202, entity="contacts", name="День рождения", type="birthday"),
        Field(id=770203, entity="contacts", name="Постоянный клиент", type="checkbox"),
    )
    companies = (
        *_contact_points("companies", 771001),
        Field(id=771003, entity="companies", name="Web", type="url", code="WEB", is_predefined=True),
        Field(id=771004, entity="companies", name="Адрес", type="textarea", code="ADDRESS", is_predefined=True),
    )
    leads = (
        Field(id=772101, entity="leads", name="Отдел", type="text"),
        Field(id=772102, entity="leads", name="Набранный номер", type="text"),
        Field(id=772103, entity="leads", name="Бюджет проекта", type="numeric"),
        Field(id=772104, entity="leads", name="Дата доставки", type="date"),
        Field(
            id=772105,
            entity="leads",
            name="Продукт",
            type="multiselect",
            choices=[Choice(id=991001, value="Чай"), Choice(id=991003, value="Кофе")],
        ),
        *(
            Field(
                id=772001 + 2 * index,
                entity="leads",
                name=code.lower(),
                type="tracking_data",
                code=code,
                is_predefined=True,
                group_id="statistic",
            )
            for index, code in enumerate(TRACKING)
        ),
    )
    return contacts + companies + leads


def pipeline(pipeline_id: int, name: str, *stages: str, is_main: bool = False) -> Pipeline:
    """A pipeline with its stage for incoming leads, the named stages, won and lost.

    Stage ids follow the pipeline's in tens: pipeline 9100001 has 9100010 for incoming leads, then
    9100011, 9100012 … for the named ones.
    """
    base = pipeline_id // 10 * 10 + pipeline_id % 10 * 10
    statuses = [Status(id=base, name="Неразобранное", sort=10, color="#c1c1c1", type=UNSORTED)]
    statuses += [Status(id=base + index, name=stage, sort=10 + 10 * index) for index, stage in enumerate(stages, 1)]
    statuses.append(Status(id=WON, name="Успешно реализовано", sort=10000, color="#CCFF66"))
    statuses.append(Status(id=LOST, name="Закрыто и не реализовано", sort=11000, color="#D5D8DB"))
    return Pipeline(id=pipeline_id, name=name, sort=pipeline_id % 10, is_main=is_main, statuses=statuses)


def _users() -> tuple[User, ...]:
    def user(number: int, name: str, mail: str, **more: Any) -> User:
        address = f"{mail}@nordtea.example"
        phone = f"+7495000011{number % 10}"
        return User(id=8800100 + number, name=name, email=address, phone_number=phone, **more)

    return (
        user(1, "Ирина Белова", "irina", is_admin=True),
        user(2, "Олег Громов", "oleg"),
        user(3, "Анна Котова", "anna"),
        user(4, "Павел Лисин", "pavel"),
        user(5, "Марина Орлова", "marina", group_id=601),
        user(6, "Денис Рябов", "denis", group_id=601),
        user(7, "Уволенный Сотрудник", "gone", is_active=False),
        user(8, "Старший Сергей", "sergey", is_admin=True),
    )


DEFAULT_ACCOUNT = AccountSeed(
    users=_users(),
    pipelines=(
        pipeline(9100001, "Продажи", "Новый", "В работе", "Предложение", "Счёт", is_main=True),
        pipeline(9100002, "Сервис", "Заявка", "Запись", "Ремонт"),
    ),
    fields=_fields(),
)
