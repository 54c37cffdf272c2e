"""A site's form, from the post to the CRM: who the client is by a further key (J4, J8, J10)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hub_amocrm.sandbox import Sandbox

from hub.core.records import Company, UserId, crm_user
from hub.ports import Changes, RawRequest
from tests.end_to_end.world import CHANNEL, CRM, EMPLOYEES, PROJECT, World, world

POLICY = (
    """
[project]
region = "UA"
time_zone = "Europe/Kyiv"
language = "ru"

[identity]
keys = ["phone", "email", "field:ИНН"]
parameters = { "ИНН" = ["inn"] }

[[matrix]]
name = "form"
when = { kind = "form" }
deal = "create"
responsible = ["responsible", "senior"]
"""
    + EMPLOYEES
)


async def _post(company: World, **fields: str) -> None:
    services = company.hub.services
    request = RawRequest(
        method="POST",
        headers=(("content-type", "application/json"),),
        body=json.dumps(fields).encode(),
        received_at=services.clock.now(),
    )
    await services.intake.accept(project=PROJECT, channel=CHANNEL, kind="form", request=request)


def _companies_of(contact: dict[str, Any]) -> list[int]:
    return [found["id"] for found in contact["_embedded"]["companies"]]


async def test_each_person_of_a_company_known_by_its_tax_number_is_a_contact_linked_to_it(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """J10: no second company; the responsible is the company's. Neither number nor e-mail led anywhere."""
    sandbox = amocrm[0]
    field = sandbox.add_field(entity="companies", name="ИНН", type="text")
    tax = [{"field_id": field.id, "values": [{"value": "7701234567"}]}]
    told = {"name": "Nord Works", "responsible_user_id": 8800102, "custom_fields_values": tax}
    firm = sandbox.person("create_company", **told)["id"]
    async with world(tmp_path, *amocrm, policy=POLICY) as company:
        services = company.hub.services
        known = Company(
            id=str(firm),
            name="Nord Works",
            fields={str(field.id): "7701234567"},
            responsible=crm_user(UserId("8800102")),
        )
        services.directory.fold(PROJECT, CRM, Changes(companies=(known,)), services.clock.now())
        await _post(company, name="Petro Bilyk", phone="050 111 22 33", inn="7701234567")
        await company.settled(1)
        await _post(company, name="Iryna Moroz", phone="050 444 55 66", inn="7701234567")
        await company.settled(2)
        records = company.records()
        assert [found["name"] for found in records["contacts"]] == ["Petro Bilyk", "Iryna Moroz"]
        assert [_companies_of(found) for found in records["contacts"]] == [[firm], [firm]]
        assert {found["responsible_user_id"] for found in records["contacts"]} == {8800102}
        assert [found["id"] for found in records["companies"]] == [firm]
        # one deal of the company: it is open when the second one asks (A14)
        assert [found["responsible_user_id"] for found in records["leads"]] == [8800102]
