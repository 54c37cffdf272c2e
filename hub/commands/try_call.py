"""``hub test-call``: what would happen if this number called now; nothing is written unless asked (H12)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection

from hub.commands.context import bring_directory, console, fail, opened, print_json, say, the_project
from hub.commands.staff import find_employee
from hub.core.employee import Employee
from hub.core.interaction import Destination, Direction, Disposition, Identity
from hub.core.merge import CallFragment, Moment
from hub.core.phone import parse_phone
from hub.core.policy import Policy
from hub.engine.projects import LiveProject
from hub.errors import ConfigurationError
from hub.language import translator
from hub.ports import AnswersForwarding, ForwardingQuestion
from hub.runtime.answer import StoryAnswer, story_answer
from hub.runtime.ingest import Arrived, store_parsed
from hub.runtime.person import names_of_project
from hub.runtime.replay import offline_advance
from hub.runtime.services import Services
from hub.runtime.story import Story, load_story, story_json
from hub.runtime.telling import story_text
from hub.store.work import Lane
from hub.web.forwarding import Forwarding
from hub.web.metrics import Counts

__all__ = ["try_call"]


class _NothingHappened(Exception):
    """Carries the story out of a transaction that is rolled back."""

    def __init__(self, story: Story | None) -> None:
        self.story = story
        super().__init__()


def try_call(
    number: str, *, answered_by: str, line: str, write: bool, language: str, project: str, as_json: bool
) -> None:
    """Decide about an invented call with everything that the hub knows, and tell the story."""
    with opened() as services:
        live = services.projects.get(the_project(services, project))
        if live.policy is None:
            raise ConfigurationError(live.problem, path=f"project {live.name}")
        fragment = _fragment(services, live.policy, number, answered_by, line)
        channel = _channel(services, live)
        now = services.clock.now()

        def store(conn: Connection) -> Arrived:
            arrived = store_parsed(
                conn,
                fragment,
                project=live,
                channel=channel,
                source="test-call",
                inbox_id=None,
                received_at=now,
                now=now - timedelta(minutes=5),
            )
            assert arrived is not None
            return arrived

        if write:
            arrived = services.store.write_now(store)
            if as_json:
                print_json({"interaction": arrived.stored.id, "written": True})
            else:
                say("Accepted as {id}: a running hub decides it within a second.", id=arrived.stored.id)
                say("Then: hub explain {id}", id=arrived.stored.id)
            return
        bring_directory(services, live)
        answers = asyncio.run(_told(services, live, channel, fragment))
        story = replace(_tried(services, live, store), answers=answers)
        if as_json:
            print_json(story_json(story))
        else:
            console.print(story_text(story, translator(language)), markup=False, highlight=False)
            say("Nothing was written. Add --write to do it.", style="dim")


def _fragment(services: Services, policy: Policy, number: str, answered_by: str, line: str) -> CallFragment:
    phone = parse_phone(number, policy.project.region, eight_is_seven=policy.eight_is_seven)
    if phone is None:
        raise ConfigurationError(f"{number!r} is no phone number in {policy.project.region}", path="NUMBER")
    employee = find_employee(policy, answered_by, option="--answered-by") if answered_by else None
    dialled = parse_phone(line, policy.project.region) if line else None
    if line and dialled is None:
        raise ConfigurationError(f"{line!r} is no phone number in {policy.project.region}", path="--line")
    now = services.clock.now()
    return CallFragment(
        external_id=f"test-{uuid.uuid4().hex[:12]}",
        moment=Moment.ENDED,
        started_at=now - timedelta(minutes=1),
        happened_at=now,
        direction=Direction.INBOUND,
        disposition=Disposition.ANSWERED if employee else Disposition.MISSED,
        client=Identity(phones=(phone,)),
        line=dialled,
        destination=_destination(employee) if employee else None,
        duration_seconds=60,
        talk_seconds=45 if employee else 0,
        waiting_seconds=15,
    )


def _channel(services: Services, live: LiveProject) -> str:
    """The channel that the call is said to come by: a telephony if there is one."""
    if not live.channels:
        raise ConfigurationError("the project has no channel yet: run 'hub setup'", path=f"project {live.name}")
    known = services.plugins.sources
    rings = [
        name for name, channel in live.channels.items() if isinstance(known.get(channel.source), AnswersForwarding)
    ]
    return next(iter((*rings, *live.channels)))


async def _told(services: Services, live: LiveProject, channel: str, call: CallFragment) -> tuple[StoryAnswer, ...]:
    """What the telephony would be told if it asked now whom to ring (R2); empty for a channel that never asks."""
    asked = live.channels[channel]
    if not isinstance(services.plugins.sources.get(asked.source), AnswersForwarding):
        return ()
    [caller] = call.client.phones
    question = ForwardingQuestion(caller=caller, line=call.line)
    row = await Forwarding(services, Counts()).try_question(live, asked, question)
    return (story_answer(row, names_of_project(live)),)


def _destination(employee: Employee) -> Destination:
    login = employee.logins[0] if employee.logins else ""
    return Destination(login=login, staff_id=next(iter(employee.staff_ids), ""), email=employee.email)


def _tried(services: Services, live: LiveProject, store: Callable[[Connection], Arrived]) -> Story:
    """The story of the call as it would be; the transaction that made it is rolled back."""

    advance = offline_advance(services)

    def attempt(conn: Connection) -> None:
        arrived = store(conn)
        for name in arrived.connections:
            advance.decide_within(conn, Lane(client_id=arrived.stored.client_id, connection=name, project=live.name))
        raise _NothingHappened(load_story(conn, live, arrived.stored.id))

    try:
        services.store.write_now(attempt)
    except _NothingHappened as told:
        if told.story is not None:
            chapters = tuple(replace(chapter, is_trial=True) for chapter in told.story.chapters)
            return replace(told.story, chapters=chapters)
    raise fail("the call could not be told")
