"""amoCRM on the demo's stage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import httpx

from hub.demo.stage import CrmStage, sandbox_process

__all__ = ["AmoCrmStage", "crm_sandbox"]


@dataclass(slots=True, kw_only=True)
class AmoCrmStage(CrmStage):
    """amoCRM."""

    name: ClassVar[str] = "amocrm"
    title: ClassVar[str] = "amoCRM"

    async def settings(self) -> dict[str, Any]:
        return {"address": self.address, "long_lived_token": await self.token(), "is_loopback_allowed": True}

    async def token(self) -> str:
        """A long-lived token, as an administrator would make one."""
        return str((await self.order("tokens", {"kind": "long_lived"}))["token"])

    async def preload(self, held: Mapping[str, Any]) -> None:
        """Users, pipelines, contacts, deals and tasks as they were before the day (docs/traffic-file.md)."""
        users = {user["email"]: 8801000 + number for number, user in enumerate(held["users"], start=1)}
        pipelines = [
            {"id": 9200001 + number, "name": pipeline["name"], "stages": pipeline["stages"]}
            for number, pipeline in enumerate(held["pipelines"])
        ]
        await self.order(
            "account",
            {
                "users": [
                    {"id": users[user["email"]], "name": user["name"], "email": user["email"]} for user in held["users"]
                ],
                "pipelines": pipelines,
            },
        )
        stages = await self._stages()
        ids: dict[str, tuple[str, int]] = {}
        for contact in held["contacts"]:
            made = await self.person(
                "create_contact",
                name=contact["name"],
                responsible_user_id=users[contact["responsible"]],
                custom_fields_values=_channels(contact["phones"], contact["emails"]),
            )
            ids[contact["id"]] = ("contacts", made["id"])
        for deal in held["deals"]:
            pipeline_id, by_name = stages[deal["pipeline"]]
            made = await self.person(
                "create_lead",
                contact_id=ids[deal["contact"]][1],
                name=deal["name"],
                price=deal["price"],
                pipeline_id=pipeline_id,
                responsible_user_id=users[deal["responsible"]],
                **({"status_id": by_name[deal["stage"]]} if deal["stage"] else {}),
            )
            ids[deal["id"]] = ("leads", made["id"])
            if deal["status"] != "open":
                await self.person("close_lead", id=made["id"], won=deal["status"] == "won")
        for task in held["tasks"]:
            entity, entity_id = ids[task["on"]]
            made = await self.person(
                "create_task",
                text=task["text"],
                entity_type=entity,
                entity_id=entity_id,
                responsible_user_id=users[task["responsible"]],
                complete_till=int(datetime.fromisoformat(task["due_at"]).timestamp()),
            )
            if task["is_completed"]:
                await self.person("complete_task", id=made["id"])

    async def _stages(self) -> dict[str, tuple[int, dict[str, int]]]:
        """Ids of pipelines and their stages, by name, read through the vendor's own API."""
        answer = await self.http.get(
            f"{self.address}/api/v4/leads/pipelines", headers={"Authorization": f"Bearer {await self.token()}"}
        )
        return {
            pipeline["name"]: (
                pipeline["id"],
                {stage["name"]: stage["id"] for stage in pipeline["_embedded"]["statuses"]},
            )
            for pipeline in answer.json()["_embedded"]["pipelines"]
        }


def _channels(phones: Sequence[str], emails: Sequence[str]) -> list[dict[str, Any]]:
    kinds = {"PHONE": phones, "EMAIL": emails}
    return [
        {"field_code": code, "values": [{"value": value, "enum_code": "WORK"} for value in values]}
        for code, values in kinds.items()
        if values
    ]


@asynccontextmanager
async def crm_sandbox(*arguments: str) -> AsyncIterator[AmoCrmStage]:
    """The amoCRM sandbox on a free port."""
    async with (
        sandbox_process("hub_amocrm.sandbox", "--port", "0", *arguments) as address,
        httpx.AsyncClient(timeout=60, trust_env=False) as http,
    ):
        yield AmoCrmStage(address=address, http=http)
