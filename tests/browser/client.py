"""A client of the company: what the CRM knows of them, and their calls."""

from __future__ import annotations

from typing import Any

from hub.core.phone import Phone
from hub.core.records import Contact, Deal, EmployeeId
from hub.ports import Changes
from tests.browser.stage import Stage
from tests.end_to_end.world import CRM, PROJECT, USERS

__all__ = ["CALLER", "HOSTILE", "call", "know"]

CALLER = "380501112233"
#: runs if anybody forgets that it is text; long; turns the direction of what follows
HOSTILE = '<img src=x onerror="window.owned=1"> ‮ שלום ' + "я" * 9_900


def know(
    stage: Stage, responsible: str, *, name: str = "Яна Орлова", deal: str = "Ассам, 40 кг", phone: str = CALLER
) -> tuple[int, int]:
    """The client stands in the CRM with an open deal, and the hub has read it; gives contact and deal."""
    user = int(USERS[responsible])
    crm = stage.crm
    contact = crm.person("create_contact", name=name[:255], phone=f"+{phone}", responsible_user_id=user)["id"]
    made = crm.person("create_lead", name=deal[:255], responsible_user_id=user, contact_id=contact)["id"]
    services = stage.running.services
    pipeline = services.projects.get(PROJECT).connections[0].catalogue.pipelines[0]
    owner = EmployeeId(f"@{user}")
    read = Changes(
        contacts=(
            Contact(
                id=str(contact), name=name, phones=(Phone(f"+{phone}"),), responsible=owner, deal_ids=(str(made),)
            ),
        ),
        deals=(
            Deal(
                id=str(made), name=deal, responsible=owner, contact_ids=(str(contact),),
                pipeline_id=pipeline.id, stage_id=pipeline.stages[1].id,
            ),
        ),
    )  # fmt: skip
    services.directory.fold(PROJECT, CRM, read, services.clock.now())
    return contact, made


async def call(stage: Stage, moment: str, **values: Any) -> None:
    """A moment of the client's one call."""
    told = {
        "type": "in",
        "uniqueid": "ua0_-1785312345.4410072",
        "calldate": "2026-07-29 11:05:45",
        "caller": CALLER,
        "dst": "380441234567",
        "utm_source": "google",
        **values,
    }
    await stage.webhook(moment, **told)
