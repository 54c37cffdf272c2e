"""A messenger made of nothing but its messages, registered through the hooks like a stranger's plugin."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pytest
from pydantic import BaseModel

from hub.core.interaction import Destination, Direction, Identity, InteractionId, Message, ProjectId
from hub.core.phone import Phone
from hub.hookspecs import hookimpl
from hub.ports import ChannelConfig, Parsed, RawRequest, SetupHint, Source
from hub.store import projects
from tests.end_to_end.world import PROJECT, World

__all__ = ["CHANNEL", "PigeonPost", "install", "open_channel", "register_sources", "send"]

CHANNEL = "pigeon"


class PigeonSettings(BaseModel):
    """There is nothing to set."""


class PigeonPost:
    """Reads a message from JSON with the names of our own."""

    name = "pigeon"
    settings_model: type[BaseModel] = PigeonSettings
    events: tuple[str, ...] = ("message",)

    def verify(self, request: RawRequest, channel: ChannelConfig) -> None:
        """There is no signature."""

    def parse(self, request: RawRequest, channel: ChannelConfig) -> Sequence[Parsed]:
        told = json.loads(request.body)
        handle = told.get("handle", "")
        return [
            Message(
                id=InteractionId(""),
                project=ProjectId(channel.project),
                channel=channel.name,
                source=self.name,
                external_id=told["id"],
                started_at=datetime.fromisoformat(told["at"]),
                direction=Direction.OUTBOUND if told.get("by") or told.get("robot") else Direction.INBOUND,
                client=Identity(
                    phones=(Phone(told["phone"]),) if told.get("phone") else (),
                    handles=(("pigeon", handle),) if handle else (),
                    name=told.get("name", ""),
                ),
                text=told.get("text", ""),
                author=Destination(login=told["by"]) if told.get("by") else Destination(),
                is_automatic=bool(told.get("robot")),
                account=told.get("account", ""),
            )
        ]

    def setup_hints(self, channel: ChannelConfig, hook_url: str, forward_url: str) -> Sequence[SetupHint]:
        return ()


@hookimpl
def register_sources(register: Callable[[Source], None]) -> None:
    register(PigeonPost())


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub find this plugin beside those that are installed."""
    ours = EntryPoint(name="pigeon", value=__name__, group="hub")
    monkeypatch.setattr("hub.plugins.entry_points", lambda group: [*entry_points(group=group), ours])


async def open_channel(company: World) -> None:
    """Give the company a channel of this messenger."""
    services = company.hub.services
    now = services.clock.now()
    await services.store.write(
        lambda conn: projects.add_channel(
            conn, services.cipher, project=PROJECT, name=CHANNEL, source="pigeon", settings={}, now=now
        )
    )
    await services.projects.reload()


async def send(company: World, id: str, **told: Any) -> None:
    """Deliver one message: of the client, or ``by`` an employee's login."""
    services = company.hub.services
    now = services.clock.now()
    body = json.dumps({"id": id, "at": now.isoformat(), **told}).encode()
    request = RawRequest(method="POST", body=body, received_at=now)
    await services.intake.accept(project=PROJECT, channel=CHANNEL, kind="hook", request=request)
