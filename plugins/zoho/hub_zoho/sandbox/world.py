"""The organisation that the sandbox plays: records, users, tags, channels, behind one lock."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from hub_sandbox import SandboxClock

from .config import SandboxConfig
from .fields import Field, Module, modules
from .reply import Json

ORG_ID = "5725767000000000001"
OWNER = "5725767000000411001"


@dataclass(slots=True)
class User:
    """An employee of the organisation."""

    id: str
    first_name: str
    last_name: str
    email: str
    phone: str = ""
    is_active: bool = True
    is_admin: bool = False

    @property
    def full_name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()

    def lookup(self) -> Json:
        return {"name": self.full_name, "id": self.id, "email": self.email}


USERS = (
    User(OWNER, "Iryna", "Bilova", "irina@nordtea.example", "+380441112201", True, True),
    User("5725767000000411002", "Oleh", "Hromov", "oleg@nordtea.example", "+380671234567"),
    User("5725767000000411003", "Anna", "Kotova", "anna@nordtea.example"),
    User("5725767000000411009", "Pavlo", "Gone", "pavlo@nordtea.example", is_active=False),
)


@dataclass(slots=True)
class Record:
    """One record; values in the sandbox's own form: lookups as ids, moments as unix seconds, tags as names."""

    id: str
    module: str
    values: dict[str, Any]
    created: float
    modified: float
    author: str
    editor: str
    #: when the search index has it as it is
    indexed_at: float = 0.0
    #: the index's view while it lags: the values before the last change, None if it was not there
    indexed: dict[str, Any] | None = None
    is_converted: bool = False


@dataclass(slots=True)
class Deleted:
    """A record in the recycle bin, or gone for good."""

    id: str
    module: str
    name: str
    at: float
    by: str
    type: str = "recycle"


@dataclass(slots=True)
class Notice:
    """Something that channels may tell."""

    module: str
    ids: list[str]
    #: insert, update or delete
    operation: str
    fields: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Channel:
    """A notification channel."""

    channel_id: str
    events: list[str]
    expiry: float
    token: str
    notify_url: str
    tells_values: bool = False


class World:
    """Everything that the organisation holds."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.lock = threading.RLock()
        self.clock = SandboxClock()
        self.zone = ZoneInfo(config.time_zone)
        self.switches = config.switches
        self.notices: list[Notice] = []
        self.open()

    def open(self) -> None:
        """Begin as a fresh organisation."""
        self._numbers = count(1_000_001)
        self.clock.restart()
        self.modules: dict[str, Module] = modules(has_hub_id=self.config.has_hub_id)
        self.records: dict[str, dict[str, Record]] = {name: {} for name in self.modules}
        self.deleted: list[Deleted] = []
        self.users = {user.id: _copy(user) for user in USERS}
        self.tags: dict[str, str] = {}
        self.channels: dict[str, Channel] = {}
        self.notices.clear()

    def new_id(self) -> str:
        return f"5725767000{next(self._numbers):09d}"

    def moment(self, seconds: float) -> str:
        """ISO 8601 with the organisation's offset and no fraction."""
        return datetime.fromtimestamp(int(seconds), self.zone).isoformat(timespec="seconds")

    def find(self, module: str, record_id: str, *, with_converted: bool = False) -> Record | None:
        found = self.records.get(module, {}).get(record_id)
        return None if found is None or (found.is_converted and not with_converted) else found

    def of(self, module: str, *, converted: str = "false") -> Iterator[Record]:
        """The module's records; ``converted`` is true, false or both."""
        for record in self.records[module].values():
            if converted == "both" or record.is_converted == (converted == "true"):
                yield record

    def tell(self, notice: Notice) -> None:
        self.notices.append(notice)

    def take_notices(self) -> list[Notice]:
        taken, self.notices[:] = list(self.notices), []
        return taken

    def name_of(self, record: Record) -> str:
        """What a lookup shows of the record."""
        values = record.values
        for name in ("Full_Name", "Deal_Name", "Account_Name", "Subject", "Note_Title"):
            if record.module in self.modules and isinstance(values.get(name), str) and values[name]:
                return str(values[name])
        return ""

    # --- showing ------------------------------------------------------------------------------------------------

    def show(self, record: Record, names: Iterable[str] | None = None, values: dict[str, Any] | None = None) -> Json:
        """The record as an answer shows it; of ``names`` those that the module has."""
        module = self.modules[record.module]
        values = record.values if values is None else values
        wanted = list(names) if names is not None else [*module.fields]
        shown: Json = {}
        for name in wanted:
            if name in module.fields:
                shown[name] = self._show(record, module.fields[name], values)
        if record.module in ("Tasks", "Calls") and names is not None and "What_Id" in wanted:
            shown.setdefault("$se_module", values.get("$se_module"))
        shown["id"] = record.id
        return shown

    def _show(self, record: Record, spec: Field, values: dict[str, Any]) -> Any:
        match spec.api_name:
            case "id":
                return record.id
            case "Created_Time":
                return self.moment(record.created)
            case "Modified_Time":
                return self.moment(record.modified)
            case "Created_By":
                return self.users[record.author].lookup()
            case "Modified_By":
                return self.users[record.editor].lookup()
            case "Tag":
                return [{"name": name, "id": self.tags[name], "color_code": None} for name in values.get("Tag", ())]
            case "Converted__s":
                return record.is_converted
        value = values.get(spec.api_name)
        if value is None:
            return None
        match spec.type:
            case "ownerlookup":
                user = self.users.get(value)
                return user.lookup() if user else {"id": value, "name": "", "email": ""}
            case "lookup":
                return self._show_lookup(record, spec, str(value), values)
            case "datetime":
                return self.moment(value)
            case _:
                return value

    def _show_lookup(self, record: Record, spec: Field, target_id: str, values: dict[str, Any]) -> Json:
        module = spec.target
        if spec.api_name == "What_Id":
            module = str(values.get("$se_module") or "")
        elif spec.api_name == "Parent_Id":
            module = str(values.get("$parent_module") or "")
        found = self.records.get(module, {}).get(target_id)
        shown: Json = {"name": self.name_of(found) if found else "", "id": target_id}
        if spec.api_name == "Parent_Id":
            shown["module"] = {"api_name": module, "id": "5725767000000002175"}
        return shown


def _copy(user: User) -> User:
    return User(user.id, user.first_name, user.last_name, user.email, user.phone, user.is_active, user.is_admin)
