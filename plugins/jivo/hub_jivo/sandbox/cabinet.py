"""The vendor's account: an address for each channel, one try for each event, what operators see (reference 1, 5)."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx

from .panel import problems_of
from .story import Agent, Page, Story, Visitor

__all__ = ["Cabinet", "Delivery"]

#: the sister Bot API's limit, taken for webhooks too (reference 1)
SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What became of one webhook; ``status`` None if no answer came."""

    event: str
    body: dict[str, Any]
    status: int | None
    seconds: float
    reply: Any = None
    #: why the vendor would make nothing of the reply
    problems: tuple[str, ...] = ()


class Cabinet:
    """Chats go on by its methods; each tells the hub. Switches: ``drops``, ``doubles``, ``holds``."""

    def __init__(self, *, agents: tuple[Agent, ...] = (), hook: str = "", widget_id: str = "aB3xYz9Q") -> None:
        self.agents = {agent.id: agent for agent in agents}
        self.hook, self.widget_id = hook, widget_id
        self.stories: dict[int, Story] = {}
        self.deliveries: list[Delivery] = []
        #: shares of the events that are lost and that arrive twice
        self.drops = self.doubles = 0.0
        #: events that wait for `release`, which sends them in another order
        self.holds = False
        self._held: list[dict[str, Any]] = []
        self._chance = random.Random(1)
        self._next = 48150
        #: what the visitors' clock shows; moves only when told
        self.now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    # --- chats ---

    def open(self, visitor: Visitor, text: str, **told: Any) -> Story:
        """A visitor writes; nobody is told before an operator takes the chat (reference 2)."""
        self._next += 1
        story = Story(id=self._next, visitor=visitor, widget_id=self.widget_id, **told)
        self.stories[story.id] = story
        self.write(story, None, text)
        return story

    def write(self, story: Story, agent: Agent | None, text: str) -> None:
        """A line of the chat; the vendor does not tell of single lines."""
        story.log.append((self.now, agent, text))

    async def accept(self, story: Story, agent: Agent) -> dict[str, Any]:
        """An operator takes the chat; what they then see beside it."""
        if agent not in story.agents:
            story.agents.append(agent)
        return await self._ask(story, "chat_accepted")

    async def introduce(self, story: Story, **contacts: str) -> dict[str, Any]:
        """The visitor, or the operator for them, enters ``name``, ``email`` or ``phone``."""
        known: dict[str, Any] = {**contacts}
        story.visitor = replace(story.visitor, **known)
        return await self._ask(story, "chat_updated")

    async def bind(self, story: Story) -> None:
        """The operator presses the button that the reply enabled."""
        if not story.panel.get("enable_assign") or not story.panel.get("crm_link"):
            raise ValueError("there is no such button: the reply did not enable it")
        story.bound_to = str(story.panel["crm_link"])
        await self.send(story.body("chat_assigned"))

    async def finish(self, story: Story, rate: str | None = None) -> None:
        """The chat is closed."""
        story.rate = rate
        await self.send(story.body("chat_finished"))

    async def leave_message(self, visitor: Visitor, text: str, **told: Any) -> int:
        """A visitor writes while nobody is online; the message's id."""
        self._next += 1
        story = Story(id=0, visitor=visitor, widget_id=self.widget_id, **told)
        body = {
            "event_name": "offline_message",
            "offline_message_id": 1_785_312_000_000 + self._next,
            "message": text,
            **story.common(),
        }
        await self.send(body)
        return int(body["offline_message_id"])

    async def change_client(self, visitor: Visitor, agent: Agent | None = None, tags: tuple[str, ...] = ()) -> None:
        """A client's card is changed outside a chat."""
        body = {
            "event_name": "client_updated",
            "client_id": str(1000 + visitor.number),
            "assigned_agent": agent.told() if agent else None,
            "tags": [{"id": str(number), "title": title} for number, title in enumerate(tags, 1)],
            "status": None,
            "organization": None,
            **Story(id=0, visitor=visitor, widget_id=self.widget_id).common(),
        }
        await self.send(body)

    async def call(self, visitor: Visitor, phone: str, *steps: str, type: str = "callback", agent: Agent) -> int:
        """A call of the widget; ``steps``: start, agent_connected, client_connected, end, error. The chat's id."""
        self._next += 1
        story = Story(id=self._next, visitor=visitor, widget_id=self.widget_id, agents=[agent])
        for step in steps:
            call: dict[str, Any] = {"type": type, "phone": phone, "status": step}
            if step == "end":
                call["record_url"] = f"https://records.example.org/{story.id}.mp3"
            if step == "error":
                call["reason"] = "no answer"
            body = story.body("call_event") | {"call": call}
            if step == "start":
                body.pop("agent", None)
            await self.send(body)
        return story.id

    # --- webhooks out ---

    async def _ask(self, story: Story, event: str) -> dict[str, Any]:
        reply = await self.send(story.body(event))
        if isinstance(reply, dict) and reply.get("result") == "ok":
            shown = {key: value for key, value in reply.items() if key != "result"}
            story.panel = shown if event == "chat_accepted" or shown else story.panel
        return story.panel

    async def send(self, body: dict[str, Any]) -> Any:
        """One try, never repeated (?); the reply as JSON, None if there was none."""
        if self.holds:
            self._held.append(body)
            return None
        if self._chance.random() < self.drops:
            return None
        reply = await self._post(body)
        if self._chance.random() < self.doubles:
            await self._post(body)
        return reply

    async def release(self) -> None:
        """Send what was held, last first."""
        held, self._held, self.holds = self._held, [], False
        for body in reversed(held):
            await self._post(body)

    async def _post(self, body: dict[str, Any]) -> Any:
        began, event = time.monotonic(), str(body["event_name"])
        status: int | None = None
        reply: Any = None
        problems: tuple[str, ...] = ()
        try:
            async with httpx.AsyncClient(timeout=SECONDS, trust_env=False) as http:
                answer = await http.post(self.hook, json=body)
            status = answer.status_code
            reply = json.loads(answer.content)
            problems = problems_of(event, answer.headers.get("content-type", ""), reply)
        except httpx.HTTPError as err:
            problems = (f"no answer: {type(err).__name__}",)
        except ValueError:
            problems = ("the answer is not JSON",)
        if status not in (None, 200):
            problems = (*problems, f"HTTP {status}")
        self.deliveries.append(
            Delivery(
                event=event, body=body, status=status, seconds=time.monotonic() - began, reply=reply, problems=problems
            )
        )
        return reply if not problems else None

    @property
    def problems(self) -> list[str]:
        """Everything that the vendor would complain of."""
        return [f"{one.event}: {problem}" for one in self.deliveries for problem in one.problems]


def agent_of(told: dict[str, Any]) -> Agent:
    """An operator as JSON tells one."""
    return Agent(id=int(told["id"]), name=str(told["name"]), email=str(told["email"]), phone=told.get("phone"))


def page_of(told: dict[str, Any]) -> Page:
    """A page as JSON tells one."""
    return Page(url=str(told.get("url", "")), title=str(told.get("title", "")))
