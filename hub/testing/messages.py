"""Messages of a messenger for tests, stating only what matters; `hub.testing.builders` has the rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hub.core.interaction import Destination, Direction, Identity, InteractionId, Message, ProjectId
from hub.core.records import Catalogue, Pipeline, Stage
from hub.core.snapshot import Snapshot
from hub.testing.builders import NOW, OWNER, PHONE, leg

__all__ = ["INBOX", "message", "reply", "unclaimed"]

#: a CRM with an inbox of undecided enquiries
INBOX = Catalogue(
    pipelines=(
        Pipeline(
            id="1",
            name="Sales",
            is_main=True,
            has_unsorted=True,
            stages=(Stage(id="10", name="Incoming", is_unsorted=True), Stage(id="11", name="New")),
        ),
    )
)


def message(text: str = "Is it in stock?", *, at: timedelta = timedelta(0), **changes: Any) -> Message:
    """A message that the client wrote, ``at`` after `NOW`."""
    told: dict[str, Any] = {
        "id": InteractionId("message-1"),
        "project": ProjectId("project"),
        "channel": "whatsapp",
        "source": "messenger",
        "external_id": "message-1",
        "started_at": NOW + at,
        "direction": Direction.INBOUND,
        "client": Identity(phones=(PHONE,), handles=(("whatsapp", PHONE.lstrip("+")),), name="Petro"),
        "text": text,
    }
    return Message(**{**told, **changes})


def reply(
    by: str = OWNER, text: str = "Yes, it is.", *, at: timedelta = timedelta(minutes=5), **changes: Any
) -> Message:
    """A message that ``by`` wrote to the client; "" = a robot."""
    told: dict[str, Any] = {
        "id": InteractionId("reply-1"),
        "external_id": "reply-1",
        "direction": Direction.OUTBOUND,
        "author": leg(by).destination if by else Destination(),
        "is_automatic": not by,
    }
    return message(text, at=at, **{**told, **changes})


def unclaimed(known: Snapshot) -> Snapshot:
    """``known`` with its open deals in the CRM's inbox, waiting for the first who answers."""
    deals = tuple(replace(deal, pipeline_id="1", stage_id="10") if deal.is_open else deal for deal in known.deals)
    return replace(known, deals=deals, catalogue=INBOX)
