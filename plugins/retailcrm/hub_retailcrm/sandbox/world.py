"""Everything that the account holds: records in the vendor's own shapes, and the history of their changes."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from .account import Json, Key
from .clock import AccountClock
from .config import SandboxConfig, Switches
from .reply import Problem, not_found, wrong_entity

Kind = Literal["customers", "corporate", "orders", "tasks"]
KINDS: tuple[Kind, ...] = ("customers", "corporate", "orders", "tasks")
#: the word for one record of a kind in answers and in the history
SINGULAR: dict[Kind, str] = {"customers": "customer", "corporate": "customer", "orders": "order", "tasks": "task"}
_FIRST_IDS = {"customers": 1000, "corporate": 5000, "orders": 7000, "tasks": 200, "notes": 40, "history": 0}
CLOSED_GROUPS = ("complete", "cancel")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something: a key, or a person in the CRM's pages."""

    key: str = ""
    user_id: int | None = None

    @property
    def source(self) -> str:
        return "api" if self.key else "user"


class World:
    """The account's state. Whoever reads or writes it holds `lock`."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.switches: Switches = config.switches
        self.lock = threading.RLock()
        self.clock = AccountClock(config.account.time_zone, config.start_at)
        self.open()

    def open(self) -> None:
        """Back to an empty account."""
        self.account = self.config.account.copy()
        self.keys: dict[str, Key] = {self.account.key.value: self.account.key}
        self.records: dict[Kind, dict[int, Json]] = {kind: {} for kind in KINDS}
        self.notes: dict[int, Json] = {}
        #: uploaded calls by ``externalId``, in order of arrival
        self.calls: dict[str, Json] = {}
        #: call events as they came, and those that made a card pop up
        self.call_events: list[Json] = []
        self.popups: list[Json] = []
        self.notices: list[Json] = []
        self.modules: dict[str, Json] = {}
        self.client_ids: list[Json] = []
        self.history: dict[Kind, list[Json]] = {kind: [] for kind in KINDS}
        #: victims of merges by the survivor, for addresses that are still asked for
        self.combined: dict[tuple[Kind, int], int] = {}
        self._last: Counter[str] = Counter(_FIRST_IDS)
        #: unix seconds of each record's last change, which the search index follows
        self._changed_at: dict[tuple[str, int], float] = {}

    def next_id(self, what: str) -> int:
        """A fresh id."""
        self._last[what] += 1
        return self._last[what]

    # --- records ------------------------------------------------------------------------------------------------

    def get(self, kind: Kind, record_id: int) -> Json:
        """The record. 404 if there is none; told whither it was merged, if it was."""
        found = self.records[kind].get(record_id)
        if found is None:
            survivor = self.combined.get((kind, record_id))
            if survivor is not None:
                raise Problem(404, "Not found", combinedTo={"id": survivor})
            raise not_found()
        return found

    def by_external(self, kind: Kind, external_id: str, site: str) -> Json | None:
        """The record with this ``externalId`` in this shop."""
        return next(
            (
                record
                for record in self.records[kind].values()
                if record.get("externalId") == external_id and (not site or record.get("site") == site)
            ),
            None,
        )

    def resolve(self, kind: Kind, reference: Any, site: str, name: str) -> Json:
        """The record that ``{"id"}`` or ``{"externalId","site"}`` points at; 400 on field ``name`` otherwise."""
        if isinstance(reference, dict) and isinstance(reference.get("id"), int):
            found = self.records[kind].get(reference["id"])
        elif isinstance(reference, dict) and reference.get("externalId"):
            found = self.by_external(kind, str(reference["externalId"]), str(reference.get("site") or site))
        elif kind == "orders" and isinstance(reference, dict) and reference.get("number"):
            number = str(reference["number"])
            found = next((one for one in self.records["orders"].values() if one["number"] == number), None)
        else:
            fields = "id, externalId, number" if kind == "orders" else "id, externalId"
            raise wrong_entity(**{name: f"Set one of the following fields: {fields}"})
        if found is None:
            raise wrong_entity(**{name: "This value is not valid."})
        return found

    def add(self, kind: Kind, actor: Actor, record: Json) -> Json:
        """Keep a new record and tell the history."""
        self.records[kind][record["id"]] = record
        self.note(kind, actor, record, created=True, field="id", newValue=record["id"])
        return record

    def change(self, kind: Kind, actor: Actor, record: Json, values: Json) -> None:
        """Set ``values`` in ``record``; the history gets an entry for each that is new. None takes a value away."""
        for name, value in values.items():
            before = record.get(name)
            if before == value:
                continue
            if value is None:
                record.pop(name, None)
            else:
                record[name] = value
            word = _SNAKE.get(name, name)
            self.note(kind, actor, record, field=word, oldValue=_told(name, before), newValue=_told(name, value))

    def remove(self, kind: Kind, actor: Actor, record_id: int, *, combined_to: int | None = None) -> None:
        """Take the record away."""
        record = self.get(kind, record_id)
        del self.records[kind][record_id]
        more: Json = {"deleted": True, "field": "deleted_at", "newValue": self.clock.told()}
        if combined_to is not None:
            self.combined[kind, record_id] = combined_to
            more = {"field": "combined_to", "newValue": combined_to, "combinedTo": {"id": combined_to}}
        self.note(kind, actor, record, **more)

    def note(self, kind: Kind, actor: Actor, record: Json, **values: Any) -> None:
        """One entry of the history; ``_at`` and ``_key`` are ours and never leave the sandbox."""
        word = SINGULAR[kind]
        brief = {key: record[key] for key in ("id", "externalId", "site", "status", "number") if key in record}
        whole = bool(values.get("created"))
        entry: Json = {
            "id": self.next_id("history"),
            "createdAt": self.clock.told(),
            "source": actor.source,
            "_at": self.clock.now(),
            "_key": actor.key,
            "oldValue": None,
            **values,
            word: dict(record) if whole else brief,
        }
        if actor.user_id is not None:
            entry["user"] = {"id": actor.user_id}
        self.history[kind].append(entry)
        self._changed_at[kind, record["id"]] = self.clock.now()

    def is_indexed(self, kind: str, record_id: int) -> bool:
        """Whether the search has caught up with the record's last change."""
        changed_at = self._changed_at.get((kind, record_id), 0.0)
        return self.clock.now() - changed_at >= self.switches.search_lag_seconds

    # --- life ---------------------------------------------------------------------------------------------------

    def dump(self) -> Json:
        """The whole state as JSON."""
        return {
            "now": self.clock.now(),
            "records": {kind: list(found.values()) for kind, found in self.records.items()},
            "combined": [[kind, victim, kept] for (kind, victim), kept in self.combined.items()],
            "last": dict(self._last),
            **{name: getattr(self, name) for name in _KEPT},
        }

    def take_up(self, state: Json) -> None:
        """Go on from a state that `dump` told."""
        self.clock.advance(max(0.0, state["now"] - self.clock.now()))
        for kind in KINDS:
            self.records[kind] = {record["id"]: record for record in state["records"][kind]}
        self.notes = {int(note_id): note for note_id, note in state["notes"].items()}
        self.combined = {(kind, victim): kept for kind, victim, kept in state["combined"]}
        self._last = Counter(state["last"])
        for name in _KEPT:
            if name != "notes":
                setattr(self, name, state[name])

    # --- what is set up -----------------------------------------------------------------------------------------

    def site_of(self, key: Key, wanted: str) -> str:
        """The shop of a new record. 400 if the key sees several and none is named, or it may not see this one."""
        seen = [site["code"] for site in self.account.sites if not key.sites or site["code"] in key.sites]
        if not wanted and len(seen) == 1:
            return str(seen[0])
        if not wanted:
            raise Problem(400, "Parameter 'site' is missing")
        if wanted not in seen:
            raise wrong_entity(site="This value is not valid.")
        return wanted

    def check_user(self, user_id: Any, field: str) -> None:
        """400 on ``field`` unless it is an active employee."""
        if not any(user["id"] == user_id and user["active"] for user in self.account.users):
            raise wrong_entity(**{field: "This value is not valid."})

    def check_fields(self, entity: str, values: Any) -> Json:
        """Custom fields as sent; an empty map may come as a list. 400 for a code that does not exist."""
        if values in ([], {}):
            return {}
        known = {field["code"] for field in self.account.fields if field["entity"] == entity}
        if not isinstance(values, dict):
            raise wrong_entity(customFields="This value should be of type array.")
        for code in values:
            if code not in known:
                raise wrong_entity(customFields=f"Custom field with code '{code}' does not exist.")
        return values

    def group_of(self, status: str) -> str:
        """The group that a status belongs to; "" if it is unknown."""
        return next((str(one["group"]) for one in self.account.statuses if one["code"] == status), "")


#: attributes that a saved state holds as they are
_KEPT = ("notes", "calls", "call_events", "popups", "notices", "modules", "client_ids", "history")
_SNAKE = {
    "managerId": "manager_id",
    "firstName": "first_name",
    "lastName": "last_name",
    "externalId": "external_id",
    "customFields": "custom_fields",
    "orderType": "order_type",
    "managerComment": "manager_comment",
}


def _told(name: str, value: Any) -> Any:
    """A value as the history tells it: phones as the bare strings, codes as objects."""
    if name == "phones" and isinstance(value, list):
        return value[-1]["number"] if value else None
    if name == "status" and value is not None:
        return {"code": value}
    if name == "managerId" and value is not None:
        return {"id": value}
    return value
