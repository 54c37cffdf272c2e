"""Sets the stage of the demo: sandboxes as processes of their own, the CRM filled with what the day begins with.

Everything goes over HTTP, as it would with the vendors; the hub imports no plugin (H1).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

__all__ = ["CrmStage", "crm_sandbox", "sandbox_process", "telephony_sandbox"]


@asynccontextmanager
async def sandbox_process(module: str, *arguments: str) -> AsyncIterator[str]:
    """Run ``python -m module`` until the block ends; gives the address that it prints first."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"{module} did not start")
        yield line.decode().strip()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@dataclass(slots=True, kw_only=True)
class CrmStage:
    """The CRM sandbox from outside: its address, and what the demo may order there."""

    address: str
    http: httpx.AsyncClient

    async def order(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST one order; raises RuntimeError with the sandbox's sentence if it refuses."""
        answer = await self.http.post(f"{self.address}/_sandbox/{path}", json=dict(body or {}))
        if answer.status_code != 200:
            raise RuntimeError(f"the CRM sandbox refused {path}: {answer.text}")
        return answer.json()

    async def records(self) -> dict[str, Any]:
        """Everything that the CRM holds."""
        found: dict[str, Any] = (await self.http.get(f"{self.address}/_sandbox/records")).json()
        return found

    async def requests(self) -> int:
        """How many API requests the CRM was asked so far."""
        return int((await self.http.get(f"{self.address}/_sandbox/stats")).json()["requests_total"])

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
            made = await self._person(
                "create_contact",
                name=contact["name"],
                responsible_user_id=users[contact["responsible"]],
                custom_fields_values=_channels(contact["phones"], contact["emails"]),
            )
            ids[contact["id"]] = ("contacts", made["id"])
        for deal in held["deals"]:
            pipeline_id, by_name = stages[deal["pipeline"]]
            made = await self._person(
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
                await self._person("close_lead", id=made["id"], won=deal["status"] == "won")
        for task in held["tasks"]:
            entity, entity_id = ids[task["on"]]
            made = await self._person(
                "create_task",
                text=task["text"],
                entity_type=entity,
                entity_id=entity_id,
                responsible_user_id=users[task["responsible"]],
                complete_till=int(datetime.fromisoformat(task["due_at"]).timestamp()),
            )
            if task["is_completed"]:
                await self._person("complete_task", id=made["id"])

    async def _person(self, action: str, **values: Any) -> Any:
        return await self.order("person", {"action": action, **values})

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
async def crm_sandbox(*arguments: str) -> AsyncIterator[CrmStage]:
    """The amoCRM sandbox on a free port."""
    async with (
        sandbox_process("hub_amocrm.sandbox", "--port", "0", *arguments) as address,
        httpx.AsyncClient(timeout=60, trust_env=False) as http,
    ):
        yield CrmStage(address=address, http=http)


@asynccontextmanager
async def telephony_sandbox(*arguments: str) -> AsyncIterator[str]:
    """The Ringostat sandbox on a free port; its address."""
    async with sandbox_process("hub_ringostat.sandbox", "--port", "0", *arguments) as address:
        yield address
