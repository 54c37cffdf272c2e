"""A name that vanished from the CRM is an alarm, not a crash; a user who left is no responsible (H12, DESIGN 6)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hub_amocrm.sandbox import Sandbox

from hub.core.records import Catalogue, CrmUser, Pipeline, Stage, UserId
from hub.runtime.catalogue import CatalogueRefresh, check_binding
from hub.store import bindings, projects
from hub.store.bindings import Binding, BindingKind
from tests.runtime.connected import CRM, PROJECT, Connected, connected

OFFERED = Catalogue(
    users=(CrmUser(id=UserId("1"), name="Anna"), CrmUser(id=UserId("2"), name="Oleg", is_active=False)),
    pipelines=(Pipeline(id="10", name="Sales", stages=(Stage(id="11", name="New"),)),),
)

CASES: list[tuple[BindingKind, str, str]] = [
    ("employee", "1", ""),
    ("employee", "2", "anna: the CRM's user Oleg is deactivated"),
    ("employee", "3", "anna: the CRM has no user 3 any more"),
    ("employee", "", ""),
    ("pipeline", "10", ""),
    ("pipeline", "99", "pipeline 'anna' vanished from the CRM"),
    ("stage", "11", ""),
    ("stage", "10", "stage 'anna' vanished from the CRM"),
    ("field", "5", "field 'anna' vanished from the CRM"),
    ("task_type", "5", "task type 'anna' vanished from the CRM"),
]


@pytest.mark.parametrize(("kind", "value", "problem"), CASES)
def test_what_a_binding_lost(kind: BindingKind, value: str, problem: str) -> None:
    assert check_binding(Binding(kind=kind, name="anna", value=value), OFFERED) == problem


def refresh_of(company: Connected, changed: list[bool]) -> CatalogueRefresh:
    services = company.hub.services
    return CatalogueRefresh(company.account, services.store, services.clock, changed=lambda: changed.append(True))


async def test_a_deactivated_user_is_told_once_and_no_longer_responsible(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    sandbox, _ = amocrm
    sandbox.switch(limit_per_second=None)
    async with connected(tmp_path, *amocrm) as company:
        services, changed = company.hub.services, list[bool]()
        refresh = refresh_of(company, changed)
        assert await refresh.refresh() == []
        assert changed == []
        sandbox.person("deactivate_user", user_id=8800102)
        problems = await refresh.refresh()
        assert len(problems) == 1
        assert "deactivated" in problems[0]
        assert changed
        await services.projects.reload()
        connection = services.projects.get(PROJECT).connection(CRM)
        assert connection is not None
        assert "oleg" in connection.inactive
        await refresh.refresh()
        assert [body["name"] for body in company.events("binding.lost")] == ["oleg"]
        sandbox.person("activate_user", user_id=8800102)
        assert await refresh.refresh() == []
        assert [body["name"] for body in company.events("binding.found")] == ["oleg"]


async def test_a_user_who_was_deleted_in_the_crm_is_no_longer_responsible_until_they_are_back(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """R2, A13: the CRM's list does not name them at all; nobody is rung there, and no task is given to them."""
    amocrm[0].switch(limit_per_second=None)
    async with connected(tmp_path, *amocrm) as company:
        services, whole = company.hub.services, company.account.names.catalogue
        without = replace(whole, users=tuple(user for user in whole.users if user.id != "8800102"))
        for catalogue, is_gone in ((without, True), (whole, False), (replace(whole, users=()), False)):
            now = services.clock.now()
            await services.store.write(
                lambda conn, found=catalogue, now=now: projects.set_catalogue(conn, PROJECT, CRM, found, now)  # type: ignore[misc]
            )
            await services.projects.reload()
            connection = services.projects.get(PROJECT).connection(CRM)
            assert connection is not None
            assert ("oleg" in connection.inactive) is is_gone


async def test_a_pipeline_that_vanished_is_an_alarm(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    amocrm[0].switch(limit_per_second=None)
    async with connected(tmp_path, *amocrm) as company:
        store = company.hub.services.store
        gone = Binding(kind="pipeline", name="Old sales", value="424242", is_manual=True)
        await store.write(lambda conn: bindings.put(conn, PROJECT, CRM, [gone]))
        problems = await refresh_of(company, []).refresh()
        assert problems == ["pipeline 'Old sales' vanished from the CRM"]
        kept = await store.read(lambda conn: bindings.list_bindings(conn, PROJECT, CRM, "pipeline"))
        assert [(item.value, item.is_manual, item.problem) for item in kept] == [("424242", True, problems[0])]
