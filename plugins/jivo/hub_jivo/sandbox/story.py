"""What happens at the vendor: visitors, operators, and the webhook bodies that tell of them (reference 2 to 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

__all__ = ["Agent", "Page", "Story", "Visitor"]


@dataclass(frozen=True, kw_only=True)
class Agent:
    """An operator; the vendor writes the id as text here and as a number in the log."""

    id: int
    name: str
    email: str
    phone: str | None = None

    def told(self) -> dict[str, Any]:
        return {"id": str(self.id), "name": self.name, "email": self.email, "phone": self.phone}


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Someone on the site; ``number`` counts the account's visitors."""

    number: int
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    description: str = ""
    chats_count: int = 1

    def told(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "email": self.email,
            "phone": self.phone,
            "number": str(self.number),
            "description": self.description,
            "social": {},
            "chats_count": self.chats_count,
        }


@dataclass(frozen=True, kw_only=True)
class Page:
    """Where the visitor is."""

    url: str = "https://shop.example.org/"
    title: str = "Shop"


@dataclass(kw_only=True)
class Story:
    """One chat as it goes on. ``log`` is (moment, operator or None for the visitor, text)."""

    id: int
    visitor: Visitor
    widget_id: str = "aB3xYz9Q"
    page: Page = Page()
    #: source, medium, campaign, content, term
    utm: Mapping[str, str] = field(default_factory=dict)
    country: tuple[str, str] = ("UA", "Ukraine")
    city: str = "Kyiv"
    department: str = ""
    user_token: str | None = None
    ga: str = ""
    agents: list[Agent] = field(default_factory=list)
    log: list[tuple[datetime, Agent | None, str]] = field(default_factory=list)
    rate: str | None = None
    is_blacklisted: bool = False
    #: what an operator bound the visitor to
    bound_to: str = ""
    #: the answer that the operator sees beside the chat
    panel: dict[str, Any] = field(default_factory=dict)

    def body(self, event: str) -> dict[str, Any]:
        """The webhook ``event`` of this chat as it stands."""
        told: dict[str, Any] = {"event_name": event, "chat_id": self.id, **self.common()}
        if event == "chat_finished":
            told["agents"] = [agent.told() for agent in self.agents]
            told["chat"] = {
                "messages": [_line(*entry) for entry in self.log],
                "rate": self.rate,
                "blacklisted": self.is_blacklisted,
                "invitation": None,
            }
            told["plain_messages"] = "\n".join(f"{self._who(agent)}: {text}" for _, agent, text in self.log)
            told["html_messages"] = "".join(f"<p>{text}</p>" for _, _, text in self.log)
        elif self.agents:
            told["agent"] = self.agents[-1].told()
        if event == "chat_assigned":
            told["assign_to"] = self.bound_to
        return told

    def common(self) -> dict[str, Any]:
        """What stands in every event."""
        code, country = self.country
        utm = "|".join(f"{key}={value}" for key, value in self.utm.items())
        return {
            "widget_id": self.widget_id,
            "user_token": self.user_token,
            "visitor": self.visitor.told(),
            "department": {"id": 12, "name": self.department} if self.department else None,
            "session": {
                "geoip": {
                    "region_code": "30",
                    "country": country,
                    "country_code": code,
                    "region": self.city,
                    "city": self.city,
                    "latitude": "50.4500",
                    "longitude": "30.5233",
                    "organization": "Example ISP",
                },
                "utm": utm or None,
                "utm_json": dict(self.utm) or None,
                "ip_addr": "192.0.2.15",
                "user_agent": "Mozilla/5.0",
            },
            "page": {"url": self.page.url, "title": self.page.title},
            # an empty object of PHP is an empty array
            "analytics": {"ga": self.ga} if self.ga else [],
        }

    def _who(self, agent: Agent | None) -> str:
        return agent.name if agent else (self.visitor.name or "Visitor")


def _line(at: datetime, agent: Agent | None, text: str) -> dict[str, Any]:
    line: dict[str, Any] = {"message": text, "timestamp": int(at.astimezone(UTC).timestamp())}
    return line | ({"type": "visitor"} if agent is None else {"type": "agent", "agent_id": agent.id})
