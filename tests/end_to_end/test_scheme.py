"""The recommended scheme from the question to the CRM (R4): the responsible, else the queue, else voicemail."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hub_amocrm.sandbox import Sandbox as AmoCrm
from hub_ringostat.sandbox import Sandbox as Ringostat
from hub_ringostat.sandbox.examples import ANSWERED
from hub_ringostat.sandbox.forwarding import QueueBlock, ReplyForm, ResponsibleBlock, VoicemailBlock, WebhookNumber
from hub_ringostat.sandbox.telephony import Employee

from hub.store import projects
from hub.web.app import build_app
from hub.web.server import serve_forever
from tests.end_to_end.world import CHANNEL, PROJECT, World, preset, world

IRINA = Employee(id="1", name="Ирина Белова", email="irina@nordtea.example", login="examplecom_irina")
OLEG = Employee(id="2", name="Олег Громов", email="oleg@nordtea.example", login="examplecom_oleg")
ANNA = Employee(id="3", name="Анна Котова", email="anna@nordtea.example", login="examplecom_anna")
USERS = {"Олег": 8800102, "Анна": 8800103}
CLIENT = "380501112233"
#: working hours are not what is tried here
POLICY = preset("zoho-standard").replace("[forwarding]\n", "[forwarding]\nworking_hours = false\n")


@dataclass
class Office:
    """The telephony with its scheme beside the hub."""

    company: World
    telephony: Ringostat
    number: WebhookNumber
    calls: int = 0

    async def ring(self, *picks_up: Employee) -> list[str]:
        """A call of the client along the scheme; the destinations that the hub answered with."""
        self.calls += 1
        start = datetime.now(UTC) - timedelta(minutes=5) + timedelta(seconds=90 * self.calls)
        draft = replace(ANSWERED, id=f"ua0_-{self.calls}", started_at=start, legs=(), rung=(), client_number=CLIENT)
        blocks = (
            ResponsibleBlock(number=self.number),
            QueueBlock(employees=(ANNA.id, IRINA.id)),
            VoicemailBlock(seconds=9),
        )
        routed = await self.telephony.ring(draft, blocks, picks_up=frozenset(one.id for one in picks_up))
        delivered = await self.telephony.deliver(routed.call)
        assert all(one.is_ok for one in delivered)
        await self.company.until(lambda: self.company.unread() == 0)
        await self.company.settled(self.calls)
        return [answer.destination or "" for answer in routed.answers]

    def tasks(self) -> list[tuple[int, bool]]:
        """Whose the tasks of the latest call are, and whether they are done."""
        found: list[dict[str, Any]] = self.company.records()["tasks"]
        return [(task["responsible_user_id"], task["is_completed"]) for task in found]


@asynccontextmanager
async def office(tmp_path: Path, amocrm: tuple[AmoCrm, str]) -> AsyncIterator[Office]:
    """The standard matrix over HTTP; the telephony knows the addresses."""
    async with world(tmp_path, *amocrm, policy=POLICY) as company:
        services = company.hub.services
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        server = asyncio.create_task(serve_forever(build_app(services), "127.0.0.1", 0, ready=found.set_result))
        try:
            address = f"http://127.0.0.1:{await found}"
            row = await services.store.read(lambda conn: projects.find_channel(conn, services.cipher, PROJECT, CHANNEL))
            assert row is not None
            telephony = Ringostat(employees=(IRINA, OLEG, ANNA))
            telephony.set_up(f"{address}/hooks/{PROJECT}/{CHANNEL}/{row.secret}")
            yield Office(
                company,
                telephony,
                WebhookNumber(url=f"{address}/forward/{PROJECT}/{CHANNEL}/{row.secret}", reply_form=ReplyForm.HTTP),
            )
        finally:
            server.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await server


async def test_new_client_goes_to_the_queue_then_to_their_responsible_then_to_the_queue_again(
    tmp_path: Path, amocrm: tuple[AmoCrm, str]
) -> None:
    """R5, C3; then R2; then R4 with Z4: who took it from the queue is not the responsible, who is to check the call."""
    async with office(tmp_path, amocrm) as scene:
        assert await scene.ring(ANNA) == [""], "a new client: the scheme goes on"
        assert scene.tasks() == [(USERS["Анна"], True)], "Z1"
        assert await scene.ring(ANNA) == [ANNA.login], "block 1: the responsible"
        assert await scene.ring(IRINA) == [ANNA.login], "the responsible does not answer, the queue takes the call"
        records = scene.company.records()
        assert len(records["contacts"]) == len(records["leads"]) == 1
        assert (USERS["Анна"], False) in scene.tasks(), "Z4: the responsible is to check the call"


async def test_client_whom_nobody_answers_leaves_a_message_for_the_responsible(
    tmp_path: Path, amocrm: tuple[AmoCrm, str]
) -> None:
    """R4's last block, Z14: "get in touch" on the responsible of the deal."""
    async with office(tmp_path, amocrm) as scene:
        await scene.ring(ANNA)
        before = len(scene.tasks())
        assert await scene.ring() == [ANNA.login]
        assert scene.tasks()[before:] == [(USERS["Анна"], False)]
