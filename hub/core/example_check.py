"""Checks the examples that a policy carries against what it really decides (X3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hub.core.decide import decide
from hub.core.employee import Employee
from hub.core.example import Example, SaidInteraction
from hub.core.forwarding import Holder, HolderDeal, answer
from hub.core.interaction import (
    Attribution,
    Call,
    Chat,
    ChatMessage,
    ClientId,
    Destination,
    Direction,
    Disposition,
    Form,
    Identity,
    Interaction,
    InteractionId,
    Leg,
    Message,
    ProjectId,
)
from hub.core.phone import Phone
from hub.core.plan import CreateDeal, CreateTask, Nothing, Plan
from hub.core.policy import Policy, load_policy
from hub.core.records import Contact, Deal, EmployeeId, Task
from hub.core.rota import NO_TURNS
from hub.core.rules import Considers
from hub.core.snapshot import History, Snapshot
from hub.errors import ConfigurationError

__all__ = ["ExampleFailure", "check_examples", "load_checked"]

#: a Monday morning on which no country that we know rests
_ANY_MOMENT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


_ID, _PROJECT = InteractionId("example"), ProjectId("example")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleFailure:
    """One thing that an example expects and the policy does otherwise."""

    example: str
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"in the example {self.example!r} {self.what} should be {self.expected}, is {self.found}"


def load_checked(text: str, file: str = "", *, rules: Iterable[Considers] = ()) -> Policy:
    """The policy that may be published: it can be read, and its own examples hold (X3). Raises ConfigurationError."""
    policy = load_policy(text, file, rules=rules)
    failures = check_examples(policy)
    if failures:
        raise ConfigurationError("\n".join(str(failure) for failure in failures), path="example", file=file)
    return policy


def check_examples(policy: Policy) -> list[ExampleFailure]:
    """What the policy's examples expect and do not get, in their order; [] if all hold."""
    return [failure for example in policy.example for failure in _check(example, policy)]


def _check(example: Example, policy: Policy) -> list[ExampleFailure]:
    at = example.at or _ANY_MOMENT
    now = (at if at.tzinfo else at.replace(tzinfo=policy.zone)).astimezone(UTC)
    phone = policy.phone(example.interaction.phone)
    known = _snapshot(example, phone, now)
    made = decide(
        _interaction(example.interaction, phone, policy, now),
        known,
        NO_TURNS,
        policy,
        now,
        client_id=ClientId("example"),
    )
    wanted, found = example.expect, _found(made)
    pairs: list[tuple[str, object, object]] = []
    if wanted.row is not None:
        pairs.append(("the row", wanted.row, next((one.name for one in made.explanation.trials if one.has_won), "")))
    if wanted.responsible is not None:
        pairs.append(("the responsible", wanted.responsible, made.responsible or ""))
    deal = next((action for action in made.actions if isinstance(action, CreateDeal)), None)
    for name, expected in (("pipeline", wanted.pipeline), ("stage", wanted.stage)):
        if expected is not None:
            seen = getattr(deal, name) if deal else "no deal"
            pairs.append((f"the new deal's {name}", expected, seen))
    if wanted.actions is not None:
        pairs.append(("the actions", sorted(wanted.actions), sorted({*found[0]} & {*wanted.actions})))
    if wanted.tasks is not None:
        pairs.append(("the tasks", sorted(wanted.tasks), sorted(found[1])))
    if wanted.nothing is not None:
        pairs.append(("nothing", wanted.nothing, all(isinstance(action, Nothing) for action in made.actions)))
    if wanted.forwarded_to is not None:
        told = answer(phone, _holders(known), known.history, policy, now)
        pairs.append(("whom forwarding rings", wanted.forwarded_to, told.employee or ""))
    return [
        ExampleFailure(example=example.name, what=what, expected=_said(expected), found=_said(seen))
        for what, expected, seen in pairs
        if expected != seen
    ]


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value) or "nobody"


def _found(made: Plan) -> tuple[list[str], list[str]]:
    tasks = [f"{action.task}:{action.assignee or ''}" for action in made.actions if isinstance(action, CreateTask)]
    return [action.kind for action in made.actions], tasks


def _place(who: str, policy: Policy) -> Destination:
    """Where ``who`` is rung: an employee's id, or a login or number tied to nobody."""
    known: Employee | None = policy.people.by_id.get(EmployeeId(who))
    if known is None:
        phone = policy.phone(who)
        return Destination(phone=phone) if phone else Destination(login=who)
    if known.staff_ids:
        return Destination(staff_id=known.staff_ids[0])
    for text in (*known.destinations, *known.logins, *known.mobiles):
        phone = policy.phone(text)
        return Destination(phone=phone) if phone else Destination(login=text)
    return Destination(email=known.email, extension=known.extension)


def _interaction(said: SaidInteraction, phone: Phone | None, policy: Policy, now: datetime) -> Interaction:
    heard: dict[str, Any] = {
        "id": _ID,
        "project": _PROJECT,
        "channel": said.channel,
        "source": "",
        "external_id": _ID,
        "client": Identity(phones=(phone,) if phone else ()),
        "attribution": Attribution(utm_source=said.utm_source),
        "parameters": said.parameters,
    }
    if said.kind == "form":
        return Form(
            **heard,
            started_at=now,
            form_name=said.form_name,
            page=said.page,
            text=said.text,
        )
    if said.kind == "chat":
        operator = _place(said.answered_by, policy) if said.answered_by else None
        return Chat(
            **heard,
            started_at=now,
            ended_at=now,
            messages=(ChatMessage(at=now, is_from_client=True, text=said.text),) if said.text else (),
            legs=(Leg(destination=operator, is_answered=True),) if operator else (),
            page=said.page,
            department=said.department,
        )
    if said.kind == "message":
        return Message(
            **heard,
            started_at=now,
            direction=Direction(said.direction),
            text=said.text,
            author=_place(said.caller, policy) if said.caller else Destination(),
        )
    answered = said.disposition == "answered"
    legs = [Leg(destination=_place(who, policy), is_answered=False) for who in said.rung]
    who = said.answered_by or said.caller
    if who:
        leg = Leg(destination=_place(who, policy), is_answered=answered, recording=said.recording)
        legs.append(leg)
    return Call(
        **heard,
        started_at=now - timedelta(seconds=said.talk_seconds if answered else 0),
        ended_at=now,
        direction=Direction(said.direction),
        disposition=Disposition(said.disposition),
        legs=tuple(legs),
        line=policy.phone(said.line) if said.line else None,
        department=said.department,
        talk_seconds=said.talk_seconds if answered else 0,
        recording=said.recording,
        is_callback=said.is_callback,
    )


def _snapshot(example: Example, phone: Phone | None, now: datetime) -> Snapshot:
    said = example.client
    deals = tuple(
        Deal(id=id_, responsible=EmployeeId(who), is_open=is_open, contact_ids=("contact",))
        for id_, who, is_open in (("open", said.open_deal, True), ("closed", said.closed_deal, False))
        if who
    )
    responsible = said.contact or said.open_deal or said.closed_deal
    contact = Contact(
        id="contact", name="Example", phones=(phone,) if phone else (), responsible=EmployeeId(responsible),
        deal_ids=tuple(deal.id for deal in deals),
    )  # fmt: skip
    tasks: tuple[Task, ...] = ()
    keys = {}
    if said.call_back and responsible:
        tasks = (Task(id="task", responsible=EmployeeId(said.call_back), due_at=now, on=contact.ref),)
        keys = {f"example/task/call_back/{said.call_back}/before": "task"}
    return Snapshot(
        connection="example",
        taken_at=now,
        contacts=(contact,) if responsible else (),
        deals=deals,
        tasks=tasks,
        history=History(last_talked=EmployeeId(said.last_talked) if said.last_talked else None, open_task_keys=keys),
    )


def _holders(known: Snapshot) -> list[Holder]:
    deals = tuple(HolderDeal(id=deal.id, responsible=deal.responsible) for deal in known.deals if deal.is_open)
    return [
        Holder(id=contact.id, responsible=contact.responsible, open_deals=deals, seen_at=known.taken_at)
        for contact in known.contacts
    ]
