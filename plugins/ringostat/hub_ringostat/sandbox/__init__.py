"""A server that plays Ringostat: API, webhooks out, forwarding questions (H10).

Written from the vendor reference alone; shares no line with the plugin's client, wire or mapping.

    with serve(Sandbox(employees=…)) as (sandbox, url):
        sandbox.webhooks = standard_webhooks("http://127.0.0.1:8000/hooks/…")
        await sandbox.deliver(call)
"""

from .clock import SandboxClock
from .delivery import Delivery, Disorder, Sender
from .forwarding import (
    Answer,
    Question,
    QueueBlock,
    ReplyForm,
    RequestForm,
    ResponsibleBlock,
    Routed,
    VoicemailBlock,
    WebhookNumber,
)
from .server import Sandbox, serve
from .telephony import (
    Attribution,
    Call,
    CallKind,
    CompanyNumber,
    Dialogue,
    Direction,
    Employee,
    Leg,
    Outcome,
    Rung,
    SiteForm,
    Staff,
    Summary,
)
from .traffic import Traffic, read_traffic
from .webhook import Moment, Quirk, Shape, Webhook, mixed_webhooks, names_for, standard_webhooks
from .wire_request import WebhookRequest

__all__ = [
    "Answer",
    "Attribution",
    "Call",
    "CallKind",
    "CompanyNumber",
    "Delivery",
    "Dialogue",
    "Direction",
    "Disorder",
    "Employee",
    "Leg",
    "Moment",
    "Outcome",
    "Question",
    "QueueBlock",
    "Quirk",
    "ReplyForm",
    "RequestForm",
    "ResponsibleBlock",
    "Routed",
    "Rung",
    "Sandbox",
    "SandboxClock",
    "Sender",
    "Shape",
    "SiteForm",
    "Staff",
    "Summary",
    "Traffic",
    "VoicemailBlock",
    "Webhook",
    "WebhookNumber",
    "WebhookRequest",
    "mixed_webhooks",
    "names_for",
    "read_traffic",
    "serve",
    "standard_webhooks",
]
