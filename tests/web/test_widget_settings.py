"""The widget's settings page: what pops up, destinations, absences, health (U1)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from hub.runtime.services import Services
from hub.store import policies, projects
from hub.store.projects import Status
from tests.web.conftest import CRM, PROJECT, Web, publish
from tests.web.widget_page import PETRO, Page, claims, open_page, sign

COMMENTED = """
# the company's own words stay
[project]
region = "UA"
time_zone = "Europe/Kyiv"

[[employees]]
id = "olena"
name = "Olena"
destinations = ["examplecom_olena"]  # her SIP login
extension = "101"
mobiles = ["+380 67 222 33 44"]
absences = [{ since = 2026-08-03, until = 2026-08-14, deputy = "petro" }]
crm_users = { amo = "1" }

[[employees]]
id = "petro"
name = "Petro"
destinations = ["380671110000"]
"""


@pytest.fixture
async def opened(make_services: Callable[..., Services]) -> AsyncIterator[tuple[Web, Page]]:
    async with open_page(make_services) as (web, page):
        publish(web.services, COMMENTED)
        manage(web.services, "console")
        yield web, page


def manage(services: Services, managed: Any) -> None:
    services.store.write_now(lambda conn: projects.change_project(conn, PROJECT, managed=managed))
    services.projects.reload_now()


def head(web: Web) -> policies.PolicyVersion:
    found = web.services.store.read_now(lambda conn: policies.head(conn, PROJECT))
    assert found is not None
    return found


async def test_the_page_shows_ones_own_row_and_how_the_connections_are(opened: tuple[Web, Page]) -> None:
    web, page = opened
    told = (await page.get("/settings")).json()
    assert told["me"]["destinations"] == [{"id": "examplecom_olena", "title": "examplecom_olena"}]
    assert told["me"]["absences"] == [{"from": "2026-08-03", "to": "2026-08-14", "reason": ""}]
    assert told["me"]["can_edit"]
    assert [one["id"] for one in told["employees"]] == ["olena"]
    assert told["popups"]["calls"]
    assert not told["popups"]["sound"]
    assert {(one["name"], one["kind"], one["health"]) for one in told["connections"]} == {
        ("phone", "channel", "ready"),
        ("amo", "crm", "ready"),
    }
    assert told["console"] == "https://hub.example.net/console/shop/"
    services = web.services
    services.store.write_now(
        lambda conn: projects.set_status(
            conn, PROJECT, CRM, Status.NEEDS_CREDENTIALS, now=services.clock.now(), reason="the token of u17 is gone"
        )
    )
    services.projects.reload_now()
    crm = (await page.get("/settings")).json()["connections"][1]
    assert (crm["health"], crm["sentence"]) == ("needs_credentials", "has to be connected again")


async def test_preferences_are_kept_for_each_employee(opened: tuple[Web, Page]) -> None:
    _, page = opened
    told = await page.ask("PUT", "/settings", {"popups": {"chats": False, "sound": True}})
    assert told.status_code == 200, told.text
    assert (told.json()["popups"]["chats"], told.json()["popups"]["sound"]) == (False, True)
    assert (await page.post("/session")).json()["popups"]["chats"] is False
    page.token = sign(claims(PETRO))
    assert (await page.get("/settings")).json()["popups"]["chats"] is True


async def test_an_absence_is_a_new_version_of_the_policy_with_its_comments(opened: tuple[Web, Page]) -> None:
    """Who and why stand with the version; whoever stands in for a time that stays is kept."""
    web, page = opened
    before = head(web)
    rows = [
        {"from": "2026-08-03", "to": "2026-08-14"},
        {"from": "2026-09-01", "to": "2026-09-02", "reason": "лікар"},
    ]
    wanted = [{"id": "olena", "destinations": ["101", "examplecom_olena"], "absences": rows}]
    told = await page.ask("PUT", "/settings", {"employees": wanted})
    assert told.status_code == 200, told.text
    assert [one["id"] for one in told.json()["me"]["destinations"]] == ["101", "examplecom_olena"]
    after = head(web)
    assert (after.version, after.author, after.reason) == (before.version + 1, "Olena", "widget, amo")
    assert "# the company's own words stay" in after.text
    policy = web.services.projects.get(PROJECT).policy
    assert policy is not None
    olena, petro = policy.employees
    assert [(str(one.since), one.deputy, one.why) for one in olena.absences] == [
        ("2026-08-03", "petro", ""),
        ("2026-09-01", "", "лікар"),
    ]
    assert petro.destinations == ("380671110000",)
    again = await page.ask("PUT", "/settings", {"employees": wanted})
    assert again.status_code == 200
    assert head(web).version == after.version
    cleared = await page.ask("PUT", "/settings", {"employees": [{"id": "olena", "absences": []}]})
    assert cleared.json()["me"]["absences"] == []


OWN = [
    (["380672223344", "examplecom_olena"], 200),
    (["+38 (067) 222-33-44"], 200),
    (["Examplecom_Olena"], 200),
    ([], 200),
    (["380671110000"], 403),
    (["examplecom_olena", "90021112233"], 403),
    (["examplecom_olena2"], 403),
]


@pytest.mark.parametrize(("places", "status"), OWN, ids=lambda value: str(value))
async def test_employees_are_rung_only_where_the_policy_knows_them(
    opened: tuple[Web, Page], places: list[str], status: int
) -> None:
    """R2: nobody sends the company's calls to a number of their own making, unless the policy says so."""
    web, page = opened
    before = head(web).version
    wanted = {"employees": [{"id": "olena", "destinations": places}]}
    told = await page.ask("PUT", "/settings", wanted)
    assert told.status_code == status, told.text
    if status == 403:
        error = told.json()["error"]
        assert (error["code"], error["field"], head(web).version) == ("not_yours", places[-1], before)
        publish(web.services, COMMENTED + '\n[forwarding]\nown_destinations = "any"\n')
        assert (await page.ask("PUT", "/settings", wanted)).status_code == 200
        page.token = sign(claims(PETRO))
        others = await page.ask("PUT", "/settings", wanted)
        assert others.json()["error"]["code"] == "may_not"
    publish(web.services, COMMENTED)
    page.token = sign(claims(is_admin=True))
    assert (await page.ask("PUT", "/settings", wanted)).status_code == 200


async def test_others_are_changed_by_administrators_and_heads_only(opened: tuple[Web, Page]) -> None:
    web, page = opened
    wanted = {"employees": [{"id": "petro", "destinations": ["102"]}]}
    refused = await page.ask("PUT", "/settings", wanted)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "may_not")
    page.token = sign(claims(is_admin=True))
    told = await page.ask("PUT", "/settings", wanted)
    assert told.status_code == 200
    assert [one["id"] for one in told.json()["employees"]] == ["olena", "petro"]
    assert '"102"' in head(web).text


async def test_a_policy_in_a_file_is_not_changed_from_here(opened: tuple[Web, Page]) -> None:
    web, page = opened
    manage(web.services, "file")
    told = (await page.get("/settings")).json()
    assert not told["me"]["can_edit"]
    assert "in a file" in told["note"]
    before = head(web).version
    refused = await page.ask("PUT", "/settings", {"employees": [{"id": "olena", "destinations": ["1"]}]})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "in_file")
    assert head(web).version == before
    assert (await page.ask("PUT", "/settings", {"popups": {"calls": False}})).status_code == 200


BAD: list[tuple[dict[str, Any], str]] = [
    ({"colour": "red"}, "colour"),
    ({"popups": []}, "popups"),
    ({"popups": {"smells": True}}, "popups"),
    ({"popups": {"calls": "yes"}}, "popups"),
    ({"employees": {}}, "employees"),
    ({"employees": [{}]}, "employees.id"),
    ({"employees": [{"id": "olena", "destinations": "101"}]}, "destinations"),
    ({"employees": [{"id": "olena", "destinations": [""]}]}, "destinations"),
    ({"employees": [{"id": "olena", "destinations": [5]}]}, "destinations"),
    ({"employees": [{"id": "olena", "destinations": ["x" * 300]}]}, "destinations"),
    ({"employees": [{"id": "olena", "absences": [{"from": "soon", "to": "2026-01-02"}]}]}, "absences.from"),
    ({"employees": [{"id": "olena", "absences": [{"from": "2026-01-02"}]}]}, "absences.to"),
    ({"employees": [{"id": "olena", "absences": [{"from": "2026-01-02", "to": "2026-01-01"}]}]}, "absences.to"),
    (
        {"employees": [{"id": "olena", "absences": [{"from": "0001-01-01T00:00:00+23:59", "to": "2026-01-02"}]}]},
        "absences.from",
    ),
    (
        {"employees": [{"id": "olena", "absences": [{"from": "2026-01-02T10:00:00", "to": "2026-01-03"}]}]},
        "absences.from",
    ),
    (
        {"employees": [{"id": "olena", "absences": [{"from": "2026-01-02", "to": "2026-01-03", "reason": 7}]}]},
        "absences.reason",
    ),
]


async def test_bad_settings_name_the_field_and_change_nothing(opened: tuple[Web, Page]) -> None:
    web, page = opened
    before = head(web).version
    found = []
    for body, _ in BAD:
        answer = await page.ask("PUT", "/settings", body)
        found.append((answer.status_code, answer.json().get("error", {}).get("field")))
    assert found == [(422, field) for _, field in BAD]
    unknown = await page.ask("PUT", "/settings", {"employees": [{"id": "nobody"}]})
    assert unknown.status_code == 404
    assert head(web).version == before
    assert (await page.get("/settings")).status_code == 200
