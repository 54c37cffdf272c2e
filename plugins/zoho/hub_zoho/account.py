"""Setting an organisation up: what it offers, whether it has a field for our mark, the channel (H12)."""

from __future__ import annotations

from dataclasses import dataclass

from hub.core.records import Catalogue, CrmUser
from hub.errors import Rejected
from hub.ports import ConnectionContext
from hub_zoho import wire
from hub_zoho.channel import Channels
from hub_zoho.client import ZohoClient
from hub_zoho.config import ZohoSettings
from hub_zoho.mapping import lead_pipeline, to_custom_fields, to_pipelines, to_user
from hub_zoho.profile import FieldSpec, Profile

__all__ = ["Account", "Survey"]

_MODULES = ("Leads", "Contacts", "Accounts", "Deals", "Tasks", "Calls")
#: modules whose new records bear our mark
_MARKED = ("Leads", "Contacts", "Deals", "Tasks", "Calls")
_MARK_TYPES = frozenset({"text"})
_MOST_PAGES = 40
_STATES = {"open": "open", "closed won": "won", "closed lost": "lost"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """One look at the organisation: for the hub, and for ourselves."""

    catalogue: Catalogue
    profile: Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Looks at an organisation."""

    client: ZohoClient
    settings: ZohoSettings
    context: ConnectionContext
    channels: Channels

    async def survey(self, *, is_setup: bool) -> Survey:
        """Everything an organisation offers; with ``is_setup`` the channel is made too."""
        warnings: list[str] = []
        organisation = await self.client.organisation()
        users = await self._users(warnings)
        definitions = {module: await self.client.fields(module) for module in _MODULES}
        fields = {module: {one.api_name: _spec(one) for one in found} for module, found in definitions.items()}
        marks = self._marks(definitions, warnings)
        pipelines = await self._pipelines(warnings)
        profile = Profile(
            org_id=organisation.id,
            time_zone=organisation.time_zone or "UTC",
            fields=fields,
            hub_id_fields=marks,
            stages=_stages(definitions["Deals"], pipelines),
            has_pipelines=bool(pipelines),
        )
        if is_setup:
            problem = await self.channels.ensure(is_forced=True)
            warnings += [problem] if problem else []
        left = self.client.credits_left
        if left is not None and left < self.settings.credits_warning:
            warnings.append(f"Only {left} API credits are left for today; without any Zoho refuses everything.")
        is_leads = self.settings.new_enquiries == "leads"
        leads = lead_pipeline(profile, self.settings.closed_lead_statuses, is_main=is_leads)
        deals = to_pipelines(pipelines, profile, is_main=not is_leads)
        catalogue = Catalogue(
            account_id=organisation.id,
            account_name=organisation.company_name or "",
            url=self.settings.site,
            time_zone=organisation.time_zone or "UTC",
            users=tuple(users),
            pipelines=(leads, *deals) if is_leads else (*deals, leads),
            fields=tuple(to_custom_fields(profile)),
            warnings=tuple(warnings),
        )
        return Survey(catalogue=catalogue, profile=profile)

    async def _users(self, warnings: list[str]) -> list[CrmUser]:
        found: list[CrmUser] = []
        try:
            for number in range(1, _MOST_PAGES + 1):
                users, has_more = await self.client.users(number)
                found += [to_user(user) for user in users]
                if not has_more or not users:
                    break
        except Rejected:
            warnings.append("Employees cannot be read: connect the account as an administrator.")
        return found

    async def _pipelines(self, warnings: list[str]) -> tuple[wire.Pipeline, ...]:
        """Of every layout of deals; () where the organisation does without pipelines."""
        found: dict[str, wire.Pipeline] = {}
        try:
            for layout in await self.client.layouts("Deals"):
                for pipeline in await self.client.pipelines(layout.id):
                    found.setdefault(pipeline.actual_value or pipeline.display_value, pipeline)
        except Rejected as err:
            warnings.append(f"Pipelines cannot be read, deals are made without one ({err}).")
        return tuple(found.values())

    def _marks(self, definitions: dict[str, tuple[wire.FieldDefinition, ...]], warnings: list[str]) -> dict[str, str]:
        """The field that bears our mark, by module. The API makes no fields, so people do (README)."""
        name = self.settings.hub_id_field.casefold()
        marks: dict[str, str] = {}
        for module in _MARKED:
            for field in definitions[module]:
                if field.data_type in _MARK_TYPES and name in (field.field_label.casefold(), field.api_name.casefold()):
                    marks[module] = field.api_name
                    if not field.unique:
                        warnings.append(
                            f'Mark the field "{field.field_label}" of {module} as unique: Zoho itself then refuses '
                            "what would be doubled."
                        )
        missing = [module for module in _MARKED if module not in marks]
        if missing:
            warnings.append(
                f'There is no text field "{self.settings.hub_id_field}" in {", ".join(missing)}: the hub\'s mark ends '
                "the description instead."
            )
        return marks


def _spec(field: wire.FieldDefinition) -> FieldSpec:
    choices = (choice.actual_value or choice.display_value for choice in field.pick_list_values or ())
    return FieldSpec(
        type=field.data_type,
        label=field.field_label,
        length=field.length or 255,
        is_mandatory=bool(field.system_mandatory),
        is_read_only=bool(field.read_only),
        is_unique=bool(field.unique),
        is_custom=bool(field.custom_field),
        choices=tuple(choice for choice in choices if choice),
    )


def _stages(fields: tuple[wire.FieldDefinition, ...], pipelines: tuple[wire.Pipeline, ...]) -> dict[str, str]:
    """What each stage means, by what Zoho says and never by its name; undescribed ones are open."""
    found: dict[str, str] = {}
    stage = next((field for field in fields if field.api_name == "Stage"), None)
    described: list[wire.Stage | wire.Choice] = list(stage.pick_list_values or ()) if stage else []
    for pipeline in pipelines:
        described += pipeline.maps or ()
    for one in described:
        category = one.forecast_category.name if one.forecast_category else None
        word = (one.forecast_type or category or "").casefold()
        value = one.actual_value or one.display_value
        if value:
            found[value] = _STATES.get(word, found.get(value, "open"))
    return found
