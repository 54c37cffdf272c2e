"""The vendor as one object: its project, its switches, its server and its webhooks (H10)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette

from hub_sandbox import serve_app

from .api import build_app
from .clock import SandboxClock
from .delivery import Delivery, Disorder, Sender
from .fault import Fault
from .forwarding import Answer, Block, Question, Routed, WebhookNumber, ask, follow_scheme
from .parameters import Project, tellings
from .telephony import Call, CompanyNumber, Dialogue, Employee, Event, SiteForm, Staff
from .traffic import begun, read_traffic
from .webhook import Shape, Webhook, mixed_webhooks, standard_webhooks
from .wire_request import WebhookRequest, build_request


class Sandbox:
    """One project at the vendor.

    Public attributes are switches and records that tests read and set at will: ``webhooks`` (what is set up
    in the cabinet), ``disorder`` (duplicates, drops, reordering), ``split`` (a record of its own for each
    employee rung in vain), ``plain_dates`` and ``repeat_rows`` (of the call log), ``is_forbidden``,
    ``online`` and ``speaking`` (SIP logins), ``deliveries``, ``callbacks``, ``answers``, ``clock``.
    """

    def __init__(
        self,
        *,
        project_id: int = 55555,
        auth_key: str = "sandbox-auth-key",
        zone: str = "Europe/Kyiv",
        employees: tuple[Employee, ...] = (),
        numbers: tuple[CompanyNumber, ...] = (),
        webhooks: tuple[Webhook, ...] = (),
    ) -> None:
        self.project_id = project_id
        self.auth_key = auth_key
        self.zone = zone
        self.query_zone = zone
        self.staff = Staff(employees)
        self.numbers = numbers
        self.webhooks = webhooks
        self.url = "https://app.ringostat.com"
        self.clock = SandboxClock()
        self.disorder = Disorder()
        self.split = False
        self.plain_dates = False
        self.repeat_rows = False
        self.is_forbidden = False
        self.webhook_timeout_seconds = 10.0
        self.online: set[str] = {employee.login for employee in employees if employee.login}
        self.speaking: set[str] = set()
        self.calls: dict[str, Call] = {}
        self.forms: dict[str, SiteForm] = {}
        self.dialogues: dict[str, Dialogue] = {}
        self.requests: list[tuple[str, str]] = []
        self.callbacks: list[dict[str, Any]] = []
        self.deliveries: list[Delivery] = []
        self.answers: list[Answer] = []
        #: whom the cabinet's scheme asks; None: nobody
        self.webhook_number: WebhookNumber | None = None
        self._faults: list[Fault] = []

    # --- what is in the project ---

    @property
    def project(self) -> Project:
        labels = {number.number: number.label for number in self.numbers}
        return Project(id=self.project_id, recordings=self.url, staff=self.staff, labels=labels)

    @property
    def app(self) -> Starlette:
        """The server as an ASGI app, for whoever brings a server of their own."""
        return build_app(self)

    def load_traffic(self, record: Mapping[str, Any]) -> None:
        """Take employees, numbers, calls and forms from a traffic file (docs/traffic-file.md)."""
        traffic = read_traffic(record)
        self.zone = self.query_zone = traffic.zone
        self.staff = Staff(traffic.employees)
        self.numbers = traffic.numbers
        self.online = {employee.login for employee in traffic.employees if employee.login}
        self.add(*traffic.calls, *traffic.forms)

    def add(self, *events: Event) -> None:
        """Put events into the project without telling anybody: calls are then in the log (X7)."""
        for event in events:
            match event:
                case Call():
                    self.calls[event.id] = event
                case SiteForm():
                    self.forms[event.id] = event
                case Dialogue():
                    self.dialogues[event.id] = event

    def events(self) -> list[Event]:
        """Everything in the project, by the moment it began."""
        return sorted([*self.calls.values(), *self.forms.values(), *self.dialogues.values()], key=begun)

    def set_up(self, url: str, *, mixed: bool = False, shape: str = "nested", plain: bool = False) -> int:
        """Set up webhooks for all moments to one address; how many they are."""
        if mixed:
            self.webhooks = mixed_webhooks(url, zone=self.zone)
        else:
            self.webhooks = standard_webhooks(url, shape=Shape(shape), plain=plain, zone=self.zone)
        return len(self.webhooks)

    # --- webhooks out ---

    def requests_for(self, *events: Event, disorder: Disorder | None = None) -> list[WebhookRequest]:
        """What would be sent for these events, in time order, after ``disorder`` (the sandbox's own by default)."""
        project = self.project
        told = [telling for event in events for telling in tellings(event, split=self.split)]
        told.sort(key=lambda telling: telling.at)
        requests = [
            build_request(telling, webhook, project)
            for telling in told
            for webhook in self.webhooks
            if webhook.moment is telling.moment
        ]
        return (disorder or self.disorder).applied(requests)

    async def deliver(self, *events: Event, at_once: int = 1, disorder: Disorder | None = None) -> list[Delivery]:
        """Add the events and send all their webhooks, one try each; what became of them, also kept."""
        self.add(*events)
        async with Sender(timeout_seconds=self.webhook_timeout_seconds) as sender:
            sent = await sender.send_all(self.requests_for(*events, disorder=disorder), at_once=at_once)
        self.deliveries += sent
        return sent

    async def play(self, *, at_once: int = 1) -> AsyncIterator[Delivery]:
        """Send the webhooks of everything in the project in time order, yielding as they go."""
        async with Sender(timeout_seconds=self.webhook_timeout_seconds) as sender:
            requests = self.requests_for(*self.events())
            for start in range(0, len(requests), at_once):
                for delivery in await sender.send_all(requests[start : start + at_once], at_once=at_once):
                    self.deliveries.append(delivery)
                    yield delivery

    # --- forwarding questions ---

    async def ask(self, question: Question, number: WebhookNumber) -> Answer:
        """Ask one forwarding question; the answer is kept too."""
        answer = await ask(question, number)
        self.answers.append(answer)
        return answer

    async def ring(
        self,
        draft: Call,
        blocks: tuple[Block, ...],
        *,
        picks_up: frozenset[str] = frozenset(),
        caller: str | None = None,
        talk_seconds: int = 60,
    ) -> Routed:
        """Lead ``draft`` along a scheme; the finished call is in the log, its webhooks are not sent yet."""
        routed = await follow_scheme(
            draft, blocks, staff=self.staff, picks_up=picks_up, caller=caller, talk_seconds=talk_seconds
        )
        self.answers += routed.answers
        self.add(routed.call)
        return routed

    # --- faults ---

    def fail_next(
        self,
        method: str,
        path: str,
        *,
        status: int | None = None,
        slow: float | None = None,
        hang: bool = False,
        disconnect: bool = False,
        times: int = 1,
        retry_after: int | None = None,
    ) -> None:
        """Order a fault for the next ``times`` requests: exactly one of status, slow (s), hang, disconnect."""
        if (status is not None) + (slow is not None) + hang + disconnect != 1:
            raise ValueError("order exactly one of status, slow, hang, disconnect")
        fault = Fault(method=method, path=path, kind="disconnect", times=times, retry_after=retry_after)
        if status is not None:
            fault.kind, fault.status = "status", status
        elif slow is not None:
            fault.kind, fault.seconds = "slow", slow
        elif hang:
            fault.kind = "hang"
        self._faults.append(fault)

    def clear_faults(self) -> None:
        """Whatever was ordered is over."""
        self._faults.clear()

    def take_fault(self, method: str, path: str) -> Fault | None:
        """The fault for this request, counted down; None when it goes well."""
        for fault in self._faults:
            if fault.fits(method, path):
                fault.times -= 1
                return fault
        return None


@contextmanager
def serve(sandbox: Sandbox, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[tuple[Sandbox, str]]:
    """Serve ``sandbox`` from a thread of its own; gives it with its address. Port 0 takes a free one."""
    with serve_app(sandbox.app, host=host, port=port) as url:
        sandbox.url = url
        yield sandbox, url
