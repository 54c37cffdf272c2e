"""What the plugin has to know of an organisation between calls: its fields, stages and zone."""

from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from hub.kept import zone_or_utc

__all__ = ["FieldSpec", "Profile"]

#: what is read of each module, if the organisation has it (3)
_COLUMNS: dict[str, tuple[str, ...]] = {
    "Leads": (
        "First_Name", "Last_Name", "Full_Name", "Company", "Phone", "Mobile", "Email", "Secondary_Email",
        "Lead_Status", "Description", "Converted__s", "Converted_Contact", "Converted_Account", "Converted_Deal",
    ),
    "Contacts": (
        "First_Name", "Last_Name", "Full_Name", "Phone", "Mobile", "Home_Phone", "Other_Phone", "Asst_Phone",
        "Email", "Secondary_Email", "Account_Name", "Description",
    ),
    "Accounts": ("Account_Name", "Phone"),
    "Deals": (
        "Deal_Name", "Stage", "Pipeline", "Amount", "Closing_Date", "Contact_Name", "Account_Name", "Description",
    ),
    "Tasks": ("Subject", "Description", "Status", "Due_Date", "Remind_At", "Who_Id", "What_Id"),
    "Calls": ("Subject", "Description", "Call_Type", "Who_Id", "What_Id"),
}  # fmt: skip
_SYSTEM = ("Owner", "Created_Time", "Modified_Time", "Tag")
#: types of custom fields whose value is told as text
_READABLE = frozenset(
    {
        "text", "textarea", "picklist", "multiselectpicklist", "phone", "email", "website", "integer", "bigint",
        "double", "currency", "percent", "date", "datetime", "boolean", "autonumber",
    }
)  # fmt: skip
MOST_COLUMNS = 50


class FieldSpec(BaseModel):
    """How one field is read and written."""

    model_config = ConfigDict(frozen=True)

    type: str = "text"
    label: str = ""
    length: int = 255
    is_mandatory: bool = False
    is_read_only: bool = False
    is_unique: bool = False
    is_custom: bool = False
    choices: tuple[str, ...] = ()


class Profile(BaseModel):
    """Kept in the connection's state, so that a restarted hub writes without asking for it again."""

    model_config = ConfigDict(frozen=True)

    org_id: str = ""
    time_zone: str = "UTC"
    #: by module and API name
    fields: dict[str, dict[str, FieldSpec]] = {}
    #: the text field that bears our mark, by module
    hub_id_fields: dict[str, str] = {}
    #: what a stage means for a deal: open, won or lost; by the stage's value
    stages: dict[str, str] = {}
    #: whether deals stand in named pipelines
    has_pipelines: bool = False

    @property
    def zone(self) -> ZoneInfo:
        return zone_or_utc(self.time_zone)

    def has(self, module: str, name: str) -> bool:
        """Whether the organisation has the field."""
        return name in self.fields.get(module, {})

    def columns(self, module: str) -> tuple[str, ...]:
        """What to read of a record, at most fifty: what the hub needs, then custom fields."""
        known = self.fields.get(module, {})
        needed = [name for name in (*_COLUMNS[module], *_SYSTEM) if name in known or name in _SYSTEM]
        own = [self.hub_id_fields[module]] if module in self.hub_id_fields else []
        custom = [name for name, spec in known.items() if spec.is_custom and spec.type in _READABLE]
        found = tuple(dict.fromkeys([*needed, *own, *custom]))[:MOST_COLUMNS]
        # it is not among the fields that an organisation lists, and says what a task hangs on
        return (*found[: MOST_COLUMNS - 1], "$se_module") if module in ("Tasks", "Calls") else found

    def phone_fields(self, module: str) -> tuple[str, ...]:
        """Fields that hold a client's numbers, those of the stock layout first."""
        return self._of_type(module, "phone", ("Fax",))

    def email_fields(self, module: str) -> tuple[str, ...]:
        return self._of_type(module, "email", ())

    def _of_type(self, module: str, type_: str, without: Iterable[str]) -> tuple[str, ...]:
        known = self.fields.get(module, {})
        columns = self.columns(module)
        found = [name for name in columns if name in known and known[name].type == type_]
        return tuple(name for name in found if name not in without)

    def is_open(self, stage: str) -> bool:
        """Whether a deal in ``stage`` is open; one that nobody described is (14)."""
        return self.stages.get(stage, "open") == "open"

    def is_won(self, stage: str) -> bool:
        return self.stages.get(stage) == "won"
