"""Examples in the policy: "this call goes to Olena, makes a deal", checked whenever the policy changes (X3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field as ModelField

from hub.core.part import Part

__all__ = ["Example", "Expected", "SaidClient", "SaidInteraction"]


class SaidInteraction(Part):
    """An interaction in a person's words."""

    kind: Literal["call", "form", "chat", "message"] = "call"
    channel: str = ""
    direction: Literal["inbound", "outbound"] = "inbound"
    disposition: Literal["answered", "missed", "busy", "voicemail", "failed", "client_missed"] = "answered"
    #: employees' ids; a login or number tied to nobody is written as it is
    answered_by: str = ""
    rung: tuple[str, ...] = ()
    caller: str = ""
    phone: str = "+380501112233"
    line: str = ""
    department: str = ""
    recording: str = ""
    talk_seconds: int = 60
    is_callback: bool = False
    form_name: str = ""
    page: str = ""
    #: what the client wrote
    text: str = ""
    utm_source: str = ""
    parameters: Mapping[str, str] = {}


class SaidClient(Part):
    """What the CRM holds of the client; employees' ids, "" = there is none."""

    contact: str = ""
    open_deal: str = ""
    closed_deal: str = ""
    call_back: str = ""
    last_talked: str = ""


class Expected(Part):
    """What must come of it; what is left out may be anything."""

    #: the row of the matrix
    row: str | None = None
    responsible: str | None = None
    #: of the deal that is made, as the policy writes them; "" = the CRM's own choice
    pipeline: str | None = None
    stage: str | None = None
    #: kinds of actions that must be there, as create_deal, create_contact, record_call, notify
    actions: tuple[str, ...] | None = None
    #: ``kind:employee`` of every task made
    tasks: tuple[str, ...] | None = None
    nothing: bool | None = None
    #: the employee whom forwarding answers for this caller, "" for nobody
    forwarded_to: str | None = None


class Example(Part):
    """One example."""

    name: str
    interaction: SaidInteraction = SaidInteraction()
    client: SaidClient = SaidClient()
    at: datetime | None = None
    expect: Expected = ModelField(default_factory=Expected)
