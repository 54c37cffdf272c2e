"""Why here? Everything that is known of one interaction, as one structure for console, command line and widget (X1).

A `Story` holds facts, not sentences: `hub.runtime.telling` says them in a language. It is built in one read of the
store, so that what it shows belongs together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from hub.core.heard import legs_of
from hub.core.interaction import Destination, Interaction, InteractionId
from hub.core.plan import Action, Candidate, Fact, Reason, Trial
from hub.core.records import EmployeeId, RecordRef
from hub.core.revise import StepState
from hub.engine.projects import LiveProject
from hub.runtime.answer import StoryAnswer, answer_json, story_answer
from hub.runtime.person import Person, names_of_project
from hub.store import clients, codec, decisions, forwarding_log, inbox, interactions, policies, steps, work
from hub.store.decisions import Decision
from hub.store.forwarding_log import ForwardingEntry
from hub.store.inbox import Received
from hub.store.steps import Step
from hub.store.work import Work, WorkState

__all__ = [
    "CardLink",
    "Chapter",
    "Person",
    "Story",
    "StoryAction",
    "StoryAnswer",
    "StoryClient",
    "StoryContact",
    "StoryLeg",
    "load_story",
    "story_json",
]

#: the address of a record's card: (connection, record) -> URL, "" if it is not known
CardLink = Callable[[str, RecordRef], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryClient:
    """The person outside."""

    id: str
    name: str = ""
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """Name, else number, else e-mail; "" for somebody who cannot be recognised."""
        return next((text for text in (self.name, *self.phones, *self.emails) if text), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryLeg:
    """One employee's part of the call, in order; who was rung in vain is there too (A1)."""

    who: str
    is_known: bool
    place: str
    is_answered: bool
    talk_seconds: int
    recording: str
    started_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryAction:
    """One action of the plan, and what the CRM made of it."""

    action: Action
    #: None where nothing was to be written (shadow, "nothing")
    state: StepState | None
    #: the employee whom it concerns
    person: Person | None = None
    #: the CRM's or the hub's own sentence about it
    note: str = ""
    attempts: int = 0
    sent_at: datetime | None = None
    ended_at: datetime | None = None
    not_before: datetime | None = None
    record: RecordRef | None = None
    card_url: str = ""

    @property
    def kind(self) -> str:
        return self.action.kind

    @property
    def is_failed(self) -> bool:
        return self.state is StepState.REJECTED


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryContact:
    """A contact that could have been the client (A9)."""

    name: str
    card_url: str
    is_chosen: bool
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """What was decided and done in one CRM."""

    connection: str
    #: where the work stands; None if this CRM was never asked
    state: WorkState | None
    note: str
    #: requests to the CRM; a batch's request counts for each of its interactions by its share
    requests: float
    #: None while nothing is decided
    decided_at: datetime | None = None
    #: when the client's interaction may be decided, if that is still to come
    decide_at: datetime | None = None
    policy_version: int = 0
    policy_author: str = ""
    policy_at: datetime | None = None
    is_shadow: bool = False
    #: only tried: nothing of it was kept, nothing will be sent (H12)
    is_trial: bool = False
    decisions: int = 0
    responsible: Person | None = None
    #: the row of the matrix that fitted, in the policy's own words, and the rules that changed it
    winner: Trial | None = None
    title: str = ""
    rules: tuple[Trial, ...] = ()
    #: rows and rules that were tried and did not fit, in order
    passed: tuple[Trial, ...] = ()
    facts: tuple[Fact, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    #: which of several contacts it was, and why (A9)
    contacts: tuple[StoryContact, ...] = ()
    warnings: tuple[Reason, ...] = ()
    actions: tuple[StoryAction, ...] = ()
    #: when the oldest fact of the CRM was read, and whether the import was complete
    seen_at: datetime | None = None
    is_complete: bool = True
    #: what the employees are called
    names: Mapping[EmployeeId, str] = field(default_factory=dict)

    @property
    def age(self) -> timedelta | None:
        """How old the CRM's facts were when it was decided (X9)."""
        return None if self.seen_at is None or self.decided_at is None else self.decided_at - self.seen_at

    @property
    def failed(self) -> tuple[StoryAction, ...]:
        """What the CRM refused."""
        return tuple(action for action in self.actions if action.is_failed)

    def person(self, employee: EmployeeId | None) -> Person | None:
        """``employee`` with the name to show."""
        return None if not employee else Person(id=employee, name=self.names.get(employee, employee))


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One interaction: what happened, what was seen, what was decided and why, what came of it."""

    project: str
    zone: ZoneInfo
    interaction: Interaction
    client: StoryClient
    received_at: datetime
    revision: int
    legs: tuple[StoryLeg, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    answers: tuple[StoryAnswer, ...] = ()
    #: the requests that told of it, oldest first
    received: tuple[Received, ...] = ()
    #: interactions of the same client before this one
    earlier: int = 0

    @property
    def id(self) -> InteractionId:
        return self.interaction.id

    @property
    def requests(self) -> float:
        """Requests to all CRMs together."""
        return sum(chapter.requests for chapter in self.chapters)

    @property
    def main(self) -> Chapter | None:
        """The first CRM's chapter, which the summary is told from (C8)."""
        return self.chapters[0] if self.chapters else None


def no_link(connection: str, ref: RecordRef) -> str:
    """A `CardLink` for processes that have no connection open."""
    return ""


def load_story(conn: Connection, live: LiveProject, id: InteractionId, link: CardLink = no_link) -> Story | None:
    """The story of interaction ``id`` of the project ``live``; None if the project has no such interaction."""
    stored = interactions.find(conn, id)
    if stored is None or stored.interaction.project != live.name:
        return None
    found = stored.interaction
    names = names_of_project(live)
    works = {item.connection: item for item in work.list_work(conn, id)}
    order = [item.name for item in live.connections if item.name in works]
    order += sorted(set(works) - set(order))
    return Story(
        project=live.name,
        zone=live.policy.zone if live.policy else ZoneInfo("UTC"),
        interaction=found,
        client=_client(conn, stored),
        received_at=stored.received_at,
        revision=stored.revision,
        legs=_legs(found, live, names),
        chapters=tuple(_chapter(conn, live, works[name], names, link) for name in order),
        answers=tuple(story_answer(entry, names) for entry in _entries(conn, live.name, found)),
        received=tuple(reversed(inbox.list_received(conn, project=live.name, interaction_id=id))),
        earlier=interactions.count_of_client(conn, stored.client_id, before=stored.sequence),
    )


def _client(conn: Connection, stored: interactions.Stored) -> StoryClient:
    keys = clients.keys_of(conn, stored.client_id)
    known = clients.find(conn, stored.client_id)
    told = stored.interaction.client
    phones = dict.fromkeys([*told.phones, *(value for kind, value in keys if kind == "phone")])
    emails = dict.fromkeys([*told.emails, *(value for kind, value in keys if kind == "email")])
    return StoryClient(
        id=stored.client_id,
        name=told.name or (known.name if known else ""),
        phones=tuple(phones),
        emails=tuple(emails),
    )


def _legs(found: Interaction, live: LiveProject, names: Mapping[EmployeeId, str]) -> tuple[StoryLeg, ...]:
    legs = []
    for leg in legs_of(found):
        employee = live.policy.people.recognise(leg.destination) if live.policy else None
        legs.append(
            StoryLeg(
                who=names.get(employee, employee) if employee else _place(leg.destination),
                is_known=employee is not None,
                place=_place(leg.destination),
                is_answered=leg.is_answered,
                talk_seconds=leg.talk_seconds,
                recording=leg.recording,
                started_at=leg.started_at,
            )
        )
    return tuple(legs)


def _place(at: Destination) -> str:
    """What the telephony calls the place, most telling first."""
    return str(at.name or at.login or at.phone or at.extension or at.email or at.staff_id)


def _entries(conn: Connection, project: str, found: Interaction) -> list[ForwardingEntry]:
    return forwarding_log.find_by_call(conn, project, found.external_id) if found.kind == "call" else []


def _chapter(
    conn: Connection, live: LiveProject, item: Work, names: Mapping[EmployeeId, str], link: CardLink
) -> Chapter:
    made = decisions.list_decisions(conn, item.interaction_id, item.connection)
    own = steps.of_interaction(conn, item.interaction_id, item.connection)
    if not made:
        return Chapter(
            connection=item.connection,
            state=item.state,
            note=item.note,
            requests=item.cost / 1000,
            decide_at=item.decide_at,
            names=names,
        )
    last = made[-1]
    names = {**last.snapshot.names, **names}
    version = policies.get(conn, live.name, last.policy_version) if last.policy_version else None
    told = last.plan.explanation
    won = [trial for trial in told.trials if trial.has_won]
    rows = {row.name: row.title for row in live.policy.matrix} if live.policy else {}
    winner = next((trial for trial in won if trial.name in rows), won[0] if won else None)
    return Chapter(
        connection=item.connection,
        state=item.state,
        note=item.note,
        requests=item.cost / 1000,
        decided_at=last.decided_at,
        policy_version=last.policy_version,
        policy_author=version.author if version else "",
        policy_at=version.published_at if version else None,
        is_shadow=last.purpose == "shadow",
        decisions=len(made),
        responsible=_person(last.plan.responsible, names),
        winner=winner,
        title=rows.get(winner.name, "") if winner else "",
        rules=tuple(trial for trial in won if trial is not winner),
        passed=tuple(trial for trial in told.trials if not trial.has_won),
        facts=told.facts,
        candidates=told.candidates,
        contacts=tuple(
            StoryContact(
                name=found.name or found.record.id,
                card_url=link(item.connection, found.record),
                is_chosen=found.is_chosen,
                reason=found.reason,
            )
            for found in told.contacts
        ),
        warnings=told.warnings,
        actions=_actions(last, own, item.connection, names, link),
        seen_at=last.snapshot.seen_at,
        is_complete=last.snapshot.is_complete,
        names=names,
    )


def _actions(
    decision: Decision, own: list[Step], connection: str, names: Mapping[EmployeeId, str], link: CardLink
) -> tuple[StoryAction, ...]:
    """The plan's actions with the state of their steps; then steps of earlier decisions that the plan has no more."""
    by_key = {step.key: step for step in own}
    told = [_action(action, by_key.get(action.key), connection, names, link) for action in decision.plan.actions]
    planned = {action.key for action in decision.plan.actions}
    return (
        *told,
        *(_action(step.action, step, connection, names, link) for step in own if step.key not in planned),
    )


def _action(
    action: Action, step: Step | None, connection: str, names: Mapping[EmployeeId, str], link: CardLink
) -> StoryAction:
    employee = getattr(action, "assignee", None) or getattr(action, "responsible", None)
    if step is None:
        return StoryAction(action=action, state=None, person=_person(employee, names))
    return StoryAction(
        action=action,
        state=step.state,
        person=_person(employee, names),
        note=step.note,
        attempts=step.attempts,
        sent_at=step.sent_at,
        ended_at=step.ended_at,
        not_before=step.not_before,
        record=step.record,
        card_url=link(connection, step.record) if step.record else "",
    )


def _person(employee: EmployeeId | None, names: Mapping[EmployeeId, str]) -> Person | None:
    return None if not employee else Person(id=employee, name=names.get(employee, employee))


def story_json(story: Story) -> dict[str, Any]:
    """The story for programs (``hub explain --json``): everything but the raw requests, whose ids are named."""
    told: dict[str, Any] = codec.load_json(codec.dump_json(_plain(story)))
    return told


def _plain(story: Story) -> dict[str, Any]:
    return {
        "id": story.id,
        "project": story.project,
        "interaction": story.interaction,
        "client": story.client,
        "received_at": story.received_at,
        "revision": story.revision,
        "earlier": story.earlier,
        "requests": story.requests,
        "legs": story.legs,
        "answers": [answer_json(answer) for answer in story.answers],
        "chapters": story.chapters,
        "received": [item.id for item in story.received],
    }
