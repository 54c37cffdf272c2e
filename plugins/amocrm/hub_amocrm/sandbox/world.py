"""The account's whole state: everything that a request may read or change."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hub_sandbox import SandboxClock

from .account import Pipeline, User
from .collection import Collection
from .config import SandboxConfig
from .fieldvalue import FieldBook
from .journal import Journal
from .record import Card, Event, Incoming, Lead, Note, Task
from .reply import Json
from .search import SearchIndex

#: Plural word of the API to the singular of events (reference 6.3).
SINGULAR = {"leads": "lead", "contacts": "contact", "companies": "company", "customers": "customer"}
NOTED = ("leads", "contacts", "companies")


@dataclass(slots=True, kw_only=True)
class Tag:
    """A tag of one kind of card."""

    id: int
    name: str
    color: str | None = None


@dataclass(slots=True)
class TagBook:
    """Tags of one kind of card, by name (case does not matter) and by id."""

    next_id: Callable[[], int]
    by_id: dict[int, Tag] = field(default_factory=dict)
    by_name: dict[str, Tag] = field(default_factory=dict)

    def named(self, name: str, color: str | None = None) -> Tag:
        """The tag with this name, made when there is none."""
        tag = self.by_name.get(name.casefold())
        if tag is None:
            tag = Tag(id=self.next_id(), name=name, color=color)
            self.by_id[tag.id] = self.by_name[name.casefold()] = tag
        return tag


class Ids:
    """Numbers for new records, one row per kind."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {
            "cards": 4100201,
            "leads": 5200777,
            "tasks": 6100001,
            "notes": 66001234,
            "events": 1,
            "incoming": 1,
            "tags": 301,
            "webhooks": 771001,
            "sources": 8100001,
            "fields": 780001,
            "statuses": 9200001,
        }

    def next(self, row: str) -> int:
        """The next number of a row."""
        value = self._rows[row]
        self._rows[row] = value + 1
        return value

    def reserve(self, row: str, count: int) -> int:
        """Take ``count`` numbers at once; returns the first."""
        value = self._rows[row]
        self._rows[row] = value + count
        return value

    def dump(self) -> dict[str, int]:
        """The next number of each row, for the state file."""
        return dict(self._rows)

    def load(self, rows: dict[str, int]) -> None:
        """Take up numbering where a state file left it."""
        self._rows.update(rows)


class World:
    """State of one account. Not thread safe by itself: hold ``lock`` around every use."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.clock = SandboxClock(config.start_at)
        self.lock = threading.RLock()
        self.journal = Journal(self)
        self.open()

    def open(self) -> None:
        """Lay the account out as its configuration says; whatever was there is forgotten."""
        config = self.config
        self.clock.restart()
        self.journal.take_hooks()
        self.switches = copy.copy(config.switches)
        self.ids = Ids()
        self.account = config.account
        self.users: dict[int, User] = {user.id: copy.copy(user) for user in config.account.users}
        self.pipelines: dict[int, Pipeline] = {p.id: copy.deepcopy(p) for p in config.account.pipelines}
        self.fields = FieldBook(tuple(copy.deepcopy(field) for field in config.account.fields))
        self.cards: dict[str, Collection[Card]] = {kind: _cards() for kind in ("contacts", "companies")}
        self.leads: Collection[Lead] = Collection(
            ("created_at", "updated_at", "id"), visible=lambda lead: not lead.is_deleted
        )
        self.tasks: Collection[Task] = Collection(
            ("created_at", "updated_at", "complete_till", "id"),
            visible=lambda task: not task.is_deleted,
            group=lambda task: (task.entity_type, task.entity_id),
        )
        self.notes: dict[str, Collection[Note]] = {kind: _notes() for kind in NOTED}
        self.events: Collection[Event] = Collection(
            ("created_at", "id"),
            visible=lambda event: True,
            group=lambda event: (event.entity_type, event.entity_id),
        )
        self.incoming: Collection[Incoming] = Collection(
            ("created_at", "updated_at", "id"), visible=lambda item: item.state == "waiting"
        )
        self.tags = {kind: TagBook(lambda: self.ids.next("tags")) for kind in NOTED}
        self.index = {kind: SearchIndex(self.clock.now, lambda: self.switches.search_lag_seconds) for kind in NOTED}
        self.popups: list[Json] = []
        self.sources: dict[int, Json] = {}
        self.widgets: dict[str, Json] = {}
        #: Subscriptions by destination, with the integration that made each and the host it used.
        self.webhooks: dict[str, Json] = {}
        self.webhook_owners: dict[str, str] = {}
        self.webhook_origins: dict[str, str] = {}
        #: Ids of bulk-seeded records that nobody has touched since, per kind; left out of ``records``.
        self.seeded: dict[str, range] = {"contacts": range(0), "leads": range(0)}
        self.touched: dict[str, set[int]] = {"contacts": set(), "leads": set()}

    def now(self) -> int:
        """Unix seconds of the sandbox's clock."""
        return int(self.clock.now())

    @property
    def contacts(self) -> Collection[Card]:
        """The contacts."""
        return self.cards["contacts"]

    @property
    def companies(self) -> Collection[Card]:
        """The companies."""
        return self.cards["companies"]

    @property
    def main_pipeline(self) -> Pipeline:
        """Where leads go that name no pipeline."""
        return next(pipeline for pipeline in self.pipelines.values() if pipeline.is_main)

    def is_active(self, user_id: int) -> bool:
        """Whether records may be given to this user: known here and not deactivated."""
        user = self.users.get(user_id)
        return user is not None and user.is_active

    def group_of(self, user_id: int) -> int:
        """The user's group; 0, the default group, for unknown users and the robot."""
        user = self.users.get(user_id)
        return user.group_id if user else 0

    def card_or_lead(self, entity: str, entity_id: object) -> Card | Lead | None:
        """The live card or lead that an entity word and id name."""
        if entity == "leads":
            return self.leads.live(entity_id)
        collection = self.cards.get(entity)
        return collection.live(entity_id) if collection is not None else None

    def is_hidden(self, card: Card) -> bool:
        """Whether normal lists and search leave the card out (deleted, or in an unaccepted lead)."""
        return card.is_deleted or card.is_unsorted

    def touch(self, kind: str, record_id: int) -> None:
        """Note that a seeded record is no longer as it was seeded."""
        if record_id in self.seeded.get(kind, ()):
            self.touched[kind].add(record_id)

    def tag_list(self, kind: str, tag_ids: tuple[int, ...]) -> list[Json]:
        """``_embedded.tags`` of an answer."""
        book = self.tags[kind].by_id
        return [{"id": tag_id, "name": book[tag_id].name, "color": book[tag_id].color} for tag_id in tag_ids]

    def texts_of(self, entity: str, record: Card | Lead) -> tuple[str, ...]:
        """What ``query=`` looks through: the name and the filled text fields."""
        values: list[Any] = [value for stored in record.values.values() for value, _ in stored]
        return tuple(text for text in (record.name, *values) if isinstance(text, str) and text)

    def reindex(self, entity: str, record: Card | Lead) -> None:
        """Let the search see the record as it is now, after the lag."""
        self.index[entity].put(record.id, self.texts_of(entity, record))


def _cards() -> Collection[Card]:
    return Collection(("updated_at", "id"), visible=lambda card: not card.is_deleted and not card.is_unsorted)


def _notes() -> Collection[Note]:
    return Collection(("updated_at", "id"), visible=lambda note: not note.is_deleted, group=lambda note: note.entity_id)
