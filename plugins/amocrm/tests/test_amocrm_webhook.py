"""amoCRM's webhooks and the set-up of an account (20, H12)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hub_amocrm.webhook import decode

from hub.core.records import RecordKind, RecordRef
from hub.errors import AccessError, PayloadError
from hub.ports import RawRequest

NOW = datetime(2026, 5, 4, 10, tzinfo=UTC)
ACCOUNT = "&account[subdomain]=nordtea&account[id]=31500001"


def request(body: str | bytes) -> RawRequest:
    return RawRequest(method="POST", body=body.encode() if isinstance(body, str) else body, received_at=NOW)


def told(office: Any, body: str) -> tuple[set[str], set[str]]:
    """What a webhook tells, as "kind id": touched and deleted."""
    found = office.sink.parse_webhook(request(body + ACCOUNT), office.context)
    return {f"{r.kind} {r.id}" for r in found.touched}, {f"{r.kind} {r.id}" for r in found.deleted}


BODIES = [
    # body, touched, deleted
    ("leads[status][0][id]=5&leads[status][0][status_id]=142", {"deal 5"}, set()),
    ("leads%5Badd%5D%5B0%5D%5Bid%5D=5&leads%5Badd%5D%5B1%5D%5Bid%5D=6", {"deal 5", "deal 6"}, set()),
    ("contacts[update][0][id]=7&contacts[update][0][type]=contact", {"contact 7"}, set()),
    ("contacts[update][0][id]=8&contacts[update][0][type]=company", {"company 8"}, set()),
    ("contacts[delete][0][id]=9&contacts[delete][0][type]=contact", set(), {"contact 9"}),
    (
        "contacts[update][0][id]=1&contacts[update][0][type]=contact"
        "&contacts[delete][0][id]=2&contacts[delete][0][type]=contact",
        {"contact 1"},
        {"contact 2"},
    ),
    ("task[add][0][id]=11&task[add][0][element_id]=5&task[add][0][element_type]=2", {"task 11"}, set()),
    ("task[delete][0][id]=11", set(), {"task 11"}),
    ("leads[note][0][note][id]=1&leads[note][0][note][element_id]=5", set(), set()),
    (
        "unsorted[add][0][uid]=u1&unsorted[add][0][lead_id]=5&unsorted[add][0][data][contacts][0][id]=7",
        {"deal 5", "contact 7"},
        set(),
    ),
    ("unsorted[delete][0][action]=accept&unsorted[delete][0][accept_result][leads][0]=5", {"deal 5"}, set()),
    ("message[add][0][id]=abc", set(), set()),
    ("", set(), set()),
]


@pytest.mark.parametrize(("body", "touched", "deleted"), BODIES)
def test_a_webhook_tells_which_records_to_read_again(
    office: Any, body: str, touched: set[str], deleted: set[str]
) -> None:
    assert told(office, body) == (touched, deleted)


SHAPES = [
    ("a[0][values][0][value]=x", {"a": {"0": {"values": {"0": {"value": "x"}}}}}),
    ("a[0][values][0]=1767214800", {"a": {"0": {"values": {"0": "1767214800"}}}}),
    ("a[name]=%D0%A7%D0%B0%D0%B9+%26amp%3B+%D0%9A%D0%BE", {"a": {"name": "Чай & Ко"}}),
    ("a[ids][]=1&a[ids][]=2", {"a": {"ids": {"0": "1", "1": "2"}}}),
    ("a=1&a[b]=2", {"a": {"b": "2"}}),
    ("a[b]=2&a=1", {"a": {"b": "2"}}),
]


@pytest.mark.parametrize(("body", "tree"), SHAPES)
def test_brackets_become_branches(body: str, tree: dict[str, Any]) -> None:
    """Both shapes of custom field values, escaped text, and what should not come (20.2)."""
    assert decode(body.encode()) == tree


BAD = [b"\xff\xfe=1", b"leads[add][0][id]=abc" + ACCOUNT.encode(), b"a" + b"[x]" * 50 + b"=1"]


@pytest.mark.parametrize("body", BAD)
def test_what_cannot_be_read_is_told_as_such(office: Any, body: bytes) -> None:
    """H11: and the next one is read all the same."""
    with pytest.raises(PayloadError):
        office.sink.parse_webhook(request(body), office.context)
    assert told(office, "leads[add][0][id]=5")[0] == {"deal 5"}


async def test_another_accounts_webhook_is_refused(office: Any) -> None:
    """20.2: no signature, so the account must at least be ours; known once the account was read."""
    await office.session.catalogue()
    office.sink.parse_webhook(request("leads[add][0][id]=5" + ACCOUNT), office.context)
    for foreign in ("&account[subdomain]=nordtea&account[id]=666", "&account[subdomain]=evil", ""):
        with pytest.raises(AccessError):
            office.sink.parse_webhook(request("leads[add][0][id]=5" + foreign), office.context)


def test_before_that_the_sub_domain_decides(office: Any) -> None:
    named = office.with_settings(address="https://nordtea.amocrm.ru")
    named.sink.parse_webhook(request("leads[add][0][id]=5" + ACCOUNT), named.context)
    with pytest.raises(AccessError):
        named.sink.parse_webhook(request("leads[add][0][id]=5&account[subdomain]=evil"), named.context)


# --- setting an account up ------------------------------------------------------------------------------------------

HOOK = "http://127.0.0.1:9/crm/amo/secret"


def listening(office: Any) -> Any:
    context = replace(office.context, webhook_url=HOOK)
    return replace(office, context=context, session=office.sink.open(context))


async def test_connecting_makes_the_mark_and_subscribes_once(office: Any) -> None:
    there = listening(office)
    catalogue = await there.session.connect()
    assert catalogue.warnings == ()
    await there.session.connect()
    assert [hook["destination"] for hook in there.records("webhooks")] == [HOOK]
    assert len(there.asked("POST", "/api/v4/webhooks")) == 1
    assert len(there.asked("POST", "/custom_fields")) == 2
    assert "Hub ID" not in {field.name for field in catalogue.fields}


async def test_webhooks_that_amocrm_switched_off_are_posted_again(office: Any) -> None:
    """20.3: more than a hundred bad answers disable a webhook; the same address again enables it."""
    there = listening(office)
    await there.session.connect()
    for hook in there.sandbox.world.webhooks.values():
        hook["disabled"] = True
    await there.session.connect()
    assert [hook["disabled"] for hook in there.records("webhooks")] == [False]


async def test_an_account_without_administrator_works_and_says_what_it_lacks(office: Any) -> None:
    office.sandbox.add_user(id=8800199, name="Простой", email="plain@nordtea.example")
    token = office.sandbox.long_lived_token(8800199)
    plain = listening(office).with_settings(long_lived_token=type(office.context.settings.long_lived_token)(token))
    catalogue = await plain.session.connect()
    assert catalogue.pipelines
    assert any("Hub ID" in warning for warning in catalogue.warnings)
    assert any("webhooks" in warning for warning in catalogue.warnings)
    write = plain.contact()
    answer = await plain.session.apply([write])
    assert await plain.session.find_done([write]) == answer


async def test_the_catalogue_offers_everything_by_name(office: Any) -> None:
    catalogue = await office.session.catalogue()
    main, service = catalogue.pipelines
    assert (main.name, main.is_main, main.has_unsorted) == ("Продажи", True, True)
    assert [(stage.name, stage.is_final, stage.is_won) for stage in main.stages[-2:]] == [
        ("Успешно реализовано", True, True),
        ("Закрыто и не реализовано", True, False),
    ]
    assert main.stages[0].is_unsorted
    assert service.stages[1].name == "Заявка"
    assert {user.name for user in catalogue.users if not user.is_active} == {"Уволенный Сотрудник"}
    assert next(user for user in catalogue.users if user.email.startswith("irina")).is_admin
    field = next(field for field in catalogue.fields if field.name == "Откуда узнали")
    assert (field.record, field.choices) == (RecordKind.CONTACT, ("Сайт", "Рекомендация", "Реклама"))
    assert [kind.name for kind in catalogue.task_types] == ["Связаться", "Встреча", "Перезвонить"]
    assert (catalogue.account_id, catalogue.time_zone) == ("31500001", "Europe/Moscow")
    assert office.session.record_url(RecordRef(kind=RecordKind.DEAL, id="5")) == f"{office.url}/leads/detail/5"


DEEDS = [
    ("create_contact", {"name": "Ольга", "phone": "+380671234567"}, RecordKind.CONTACT),
    ("create_company", {"name": "Чай & Ко"}, RecordKind.COMPANY),
    ("create_lead", {"name": "Чай"}, RecordKind.DEAL),
    ("create_task", {"text": "Дело"}, RecordKind.TASK),
]


@pytest.mark.parametrize(("deed", "values", "kind"), DEEDS)
async def test_a_sandboxs_webhook_names_what_a_person_made(
    office: Any, deed: str, values: dict[str, str], kind: RecordKind
) -> None:
    """Through the very bytes that the sandbox sends."""
    there = listening(office)
    await there.session.connect()
    made = there.person(deed, **values)
    there.sandbox.settle(at_once=True)
    bodies = [delivery["body"] for delivery in there.sandbox.deliveries()]
    seen = {ref for body in bodies for ref in there.sink.parse_webhook(request(body), there.context).touched}
    assert RecordRef(kind=kind, id=str(made)) in seen
