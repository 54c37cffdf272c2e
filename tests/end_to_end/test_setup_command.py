"""``hub setup`` as a person goes through it at a terminal, beside the vendors' sandboxes (H12, U3)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from hub_amocrm.sandbox import Sandbox
from hub_ringostat import sandbox as telephony

from hub.compose import build_services
from hub.runtime import setup
from hub.settings import Settings
from hub.store import users
from hub.store.projects import Status
from tests.end_to_end.terminal import Typed, type_at
from tests.end_to_end.test_crash import running

STAFF = (
    telephony.Employee(id="1101", name="I. Belova", email="irina@nordtea.example", login="examplecom_irina"),
    telephony.Employee(id="1102", name="Олег Громов", login="examplecom_oleg"),
    telephony.Employee(id="1109", name="Тарас Гнатюк", email="taras@example.com", login="examplecom_taras"),
)


@pytest.fixture
def ringostat() -> Iterator[str]:
    """The address of a Ringostat sandbox with our employees."""
    with telephony.serve(telephony.Sandbox(employees=STAFF)) as (_, address):
        yield address


def _go_through(
    data: Path,
    answers: list[tuple[str, str]],
    language: str = "en",
    *,
    asked: Callable[[str], None] = lambda question: None,
) -> Typed:
    environment = {
        "HUB_DATA_DIRECTORY": str(data),
        "HUB_ENVIRONMENT": "development",
        "HUB_PUBLIC_URL": "https://hub.example.com",
        "HUB_LANGUAGE": language,
    }
    return type_at(["setup"], environment, answers, asked=asked)


def test_from_nothing_to_the_addresses_to_copy_with_a_mistake_in_each_step(
    tmp_path: Path, amocrm: tuple[Sandbox, str], ringostat: str
) -> None:
    """H12: what was typed wrongly is told beside its question, and asked for again."""
    sandbox, address = amocrm
    gone = _go_through(
        tmp_path,
        [
            ("Password", "short"),
            ("Password", "correct horse battery"),
            ("Name, for addresses", "nordtea"),
            ("Company", "Nord Tea"),
            ("Preset", "zoho-standard"),
            ("Country", "UK"),
            ("Preset", "zoho-standard"),
            ("Country", "UA"),
            ("Which [amocrm", "amocrm"),
            ("Account address", address),
            ("Long-lived token", sandbox.long_lived_token()),
            # an address of this machine is refused unless it is said to be a sandbox
            ("See the 27 further settings", "n"),
            ("Change its settings", "y"),
            ("See the 27 further settings", "y"),
            ("Allow a sandbox", "y"),
            ("Which [jivo", "ringostat"),
            ("Project  The", "55555"),
            ("Auth-key", "sandbox-auth-key"),
            ("further settings", "y"),
            ("API address", ringostat),
            ("Senior", "Ирина Белова"),
        ],
    )
    assert gone.status == 0, gone.text
    assert gone.unasked == (), gone.text
    for said in (
        "at least 10 characters",
        "'UK' is no country with telephone numbers",
        "The CRM does not let us in:",
        "Connected Nord Tea: 8 users",
        "6 of 6 names of the policy were found in the CRM.",
        "nobody in the CRM: Тарас Гнатюк taras@example.com",
        "The policy knows 2 employees now.",
        "it only watches yet (shadow)",
    ):
        assert said in gone.text, gone.text
    assert "correct horse battery" not in gone.text
    assert sandbox.long_lived_token() not in gone.text

    services = build_services(Settings(environment="development", data_directory=tmp_path))
    try:
        project = services.projects.get("nordtea")
        assert services.store.read_now(users.count_users) == 1
        assert project.row.mode == "shadow"
        assert [(found.name, found.row.status) for found in project.connections] == [("amocrm", Status.READY)]
        assert list(project.channels) == ["ringostat"]
        assert project.policy is not None
        assert {employee.name for employee in project.policy.employees} == {"Ирина Белова", "Олег Громов"}
        hooks = [
            word for word in gone.text.split() if word.startswith("https://hub.example.com/hooks/nordtea/ringostat/")
        ]
        assert len({word.split("?")[0] for word in hooks}) == 1
    finally:
        services.close()

    again = _go_through(tmp_path, [], language="uk")
    assert again.status == 0, again.text
    assert "amocrm: ready" in again.text
    assert "https://hub.example.com/hooks/nordtea/ringostat/" in again.text


def test_a_crm_that_is_away_can_be_left_for_later(tmp_path: Path) -> None:
    """H12: the connection stays, is offered at the next run, and is none to choose names in until then."""
    gone = _go_through(
        tmp_path,
        [
            ("Password", "correct horse battery"),
            ("Preset", "zoho-standard"),
            ("Account address", "http://127.0.0.1:9"),
            ("Long-lived token", "token"),
            ("further settings", "y"),
            ("Allow a sandbox", "y"),
            ("Change its settings", "n"),
        ],
    )
    assert gone.status == 0, gone.text
    assert "The CRM does not let us in:" in gone.text
    assert "Pipelines, stages and fields" not in gone.text
    again = _go_through(tmp_path, [("Connect amocrm now?", "y"), ("Change its settings", "n")])
    assert again.status == 0, again.text
    assert "Connect amocrm now?" in again.text
    assert again.unasked == ()


def test_it_waits_for_the_first_webhook_where_that_is_wanted(tmp_path: Path, ringostat: str) -> None:
    """H12: the set-up at the terminal sees the first webhook come in through a hub that runs beside it."""
    settings = Settings(environment="development", data_directory=tmp_path)
    services = build_services(settings)
    try:
        asyncio.run(
            setup.create_project(
                services, name="nordtea", title="Nord Tea", preset="zoho-standard", language="ru", region="UA",
                time_zone="Europe/Kyiv", author="test",
            )
        )  # fmt: skip
        values = {"project_id": "55555", "auth_key": "sandbox-auth-key", "api_base": ringostat}
        asyncio.run(setup.add_channel(services, "nordtea", name="ringostat", source="ringostat", values=values))
        token = setup.first_token(services.cipher)
        asyncio.run(
            setup.create_administrator(services, token=token, login="admin", password="long enough", language="en")
        )
        row = asyncio.run(setup.find_channel(services, "nordtea", "ringostat"))
    finally:
        services.close()
    environment = {"HUB_DATA_DIRECTORY": str(tmp_path), "HUB_ENVIRONMENT": "development"}
    with running({**os.environ, **environment}) as (_, port):

        def call(question: str) -> None:
            if "Wait here" in question:
                address = f"http://127.0.0.1:{port}/hooks/nordtea/ringostat/{row.secret}?moment=after"
                assert httpx.post(address, json={"uniqueid": "1"}, trust_env=False).is_success

        gone = _go_through(tmp_path, [("Wait here", "y")], asked=call)
    assert gone.status == 0, gone.text
    assert gone.unasked == ()
    assert "Waiting for the first webhook" in gone.text
    assert "It arrived: " in gone.text
