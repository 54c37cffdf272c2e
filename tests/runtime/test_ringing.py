"""A call that an employee orders is ordered once, however many processes are asked for it at once (U1, H9)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from hub.compose import build_services
from hub.core.interaction import ClientId
from hub.core.phone import Phone
from hub.core.records import EmployeeId
from hub.ports import ChannelConfig
from hub.runtime.ringing import Ringing
from hub.runtime.services import Services
from hub.settings import Settings
from hub.store import policies, projects

PROJECT = "auto"


class _Nothing(BaseModel):
    """Settings of a channel that has none."""


CHANNEL = ChannelConfig(
    project=PROJECT, name="phone", source="ringostat", settings=_Nothing(), region="UA", time_zone="UTC"
)
#: processes that are asked at once, and how often
PROCESSES, TIMES = 4, 10


class Telephony:
    """Rings whenever it is asked."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    def can_ring(self, channel: ChannelConfig) -> bool:
        return True

    async def ring(self, channel: ChannelConfig, http: httpx.AsyncClient, *, client: str, employee: str) -> Any:
        self.rung.append(client)


@pytest.fixture
def processes(tmp_path: Path, postgres_url: str) -> Iterator[list[Services]]:
    with ExitStack() as stack:
        made = []
        for number in range(PROCESSES):
            settings = Settings(
                environment="development", data_directory=tmp_path / str(number), database_url=postgres_url
            )
            services = build_services(settings)
            stack.callback(services.close)
            made.append(services)
        store, now = made[0].store, made[0].clock.now()
        store.write_now(lambda conn: projects.add_project(conn, PROJECT, now=now, mode="live"))
        text = '[project]\nregion = "UA"\n'
        store.write_now(lambda conn: policies.publish(conn, PROJECT, text=text, author="t", based_on=None, now=now))
        for services in made:
            services.projects.reload_now()
        yield made


@pytest.mark.postgres
async def test_one_request_that_reaches_several_processes_rings_once(processes: list[Services]) -> None:
    """The browser asks again when an answer is late, and the other process answers."""
    telephony = Telephony()
    async with httpx.AsyncClient() as http:
        for _ in range(TIMES):
            request = str(uuid.uuid4())
            await asyncio.gather(
                *(
                    Ringing(
                        services=services,
                        live=services.projects.get(PROJECT),
                        source=telephony,
                        channel=CHANNEL,
                        http=http,
                    ).ring(
                        request=request,
                        client=ClientId("c1"),
                        phone=Phone("+380501112233"),
                        employee=EmployeeId("olena"),
                        destination="101",
                    )
                    for services in processes
                )
            )
    assert len(telephony.rung) == TIMES
