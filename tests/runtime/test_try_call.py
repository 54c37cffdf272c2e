"""``hub test-call`` as people type it: forwarding answer, plan and reasons; nothing is kept (H12, R2)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select
from typer.testing import CliRunner, Result

from hub.cli import app
from hub.clock import SystemClock
from hub.compose import build_services
from hub.core.phone import Phone
from hub.core.records import Contact, UserId, crm_user
from hub.ports import Changes
from hub.runtime.importer import mark_imported
from hub.runtime.services import Services
from hub.settings import Settings
from hub.store import bindings, forwarding_log, policies, projects, schema
from hub.store.bindings import Binding
from tests.end_to_end.world import CHANNEL, CRM, PROJECT, preset

KNOWN, STRANGER = "050 111 22 33", "+380671110000"

#: whom it names must not depend on the hour of the test
POLICY = preset("car-dealer").replace("working_hours = true", "working_hours = false")

Typed = Callable[..., Result]


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """A live project whose directory knows one client of Anna's; the CRM does not answer."""
    found = build_services(Settings(environment="development", data_directory=tmp_path / "var"))
    cipher, now = found.cipher, SystemClock().now()

    def fill(conn: Connection) -> None:
        projects.add_project(conn, PROJECT, now=now)
        policies.publish(conn, PROJECT, text=POLICY, author="test", based_on=None, now=now)
        projects.add_channel(conn, cipher, project=PROJECT, name=CHANNEL, source="ringostat", settings={}, now=now)
        projects.add_connection(conn, cipher, project=PROJECT, name=CRM, sink="amocrm", settings={}, now=now)
        bindings.put(conn, PROJECT, CRM, [Binding(kind="employee", name="anna", value="7")])

    found.store.write_now(fill)
    found.projects.reload_now()
    held = Contact(id="c1", name="Client", phones=(Phone("+380501112233"),), responsible=crm_user(UserId("7")))
    found.directory.fold(PROJECT, CRM, Changes(contacts=(held,)), now - timedelta(seconds=5))
    mark_imported(found.directory, PROJECT, CRM, now)
    yield found
    found.close()


@pytest.fixture
def typed(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.setenv("HUB_ENVIRONMENT", "development")
    monkeypatch.setenv("HUB_DATA_DIRECTORY", str(tmp_path / "var"))
    return lambda *words: CliRunner().invoke(app, ["test-call", *words])


def rows(services: Services) -> dict[str, int | None]:
    """How many rows every table of the hub has."""

    def count(conn: Connection) -> dict[str, int | None]:
        tables = schema.metadata.sorted_tables
        return {table.name: conn.scalar(select(func.count()).select_from(table)) for table in tables}

    return services.store.read_now(count)


def test_a_known_clients_call_would_be_sent_to_the_responsible(typed: Typed) -> None:
    """R2, H12: the answer, how old its fact is, who was considered; then the plan with its reasons."""
    told = json.loads(typed(KNOWN, "--answered-by", "oleg", "--json").output)
    [answer] = told["answers"]
    assert (answer["employee"], answer["reason"]["code"], answer["connection"]) == ("anna", "contact_responsible", CRM)
    assert [one["employee"] for one in answer["candidates"]] == ["anna"]
    assert answer["age_milliseconds"] >= 5000
    [chapter] = told["chapters"]
    assert chapter["is_trial"]
    assert "create_deal" in [one["action"]["kind"] for one in chapter["actions"]]
    said = typed(KNOWN, "--answered-by", "oleg").output
    assert "Smart forwarding, if the telephony asked now" in said
    assert "responsible of the contact" in said
    assert "Nothing was written" in said


def test_a_stranger_would_go_on_by_the_telephonys_scheme(typed: Typed) -> None:
    """R5: nobody is named, and why is told."""
    [answer] = json.loads(typed(STRANGER, "--json").output)["answers"]
    assert (answer["destination"], answer["employee"], answer["reason"]["code"]) == ("", None, "new_client")
    assert "the CRM does not know this client" in typed(STRANGER).output


def test_nothing_is_kept_unless_it_is_asked_for(services: Services, typed: Typed) -> None:
    """H12: neither a call nor a decision nor a forwarding answer; with --write the call is taken in, once."""
    before = rows(services)
    for words in ((KNOWN, "--answered-by", "oleg"), (STRANGER,), (STRANGER, "--json")):
        assert typed(*words).exit_code == 0
    assert rows(services) == before
    written = json.loads(typed(KNOWN, "--answered-by", "oleg", "--write", "--json").output)
    assert written["written"] is True
    after = rows(services)
    assert (before["interaction"], after["interaction"]) == (0, 1)
    assert after["forwarding_log"] == before["forwarding_log"]
    assert services.store.read_now(lambda conn: forwarding_log.find(conn, PROJECT, KNOWN, caller=None, limit=9)) == []
