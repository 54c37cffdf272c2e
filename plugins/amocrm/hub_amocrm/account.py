"""Setting an account up: what it offers, the field for our mark, the webhooks (H12)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from hub.core.records import Catalogue, CrmUser, CustomField, RecordKind
from hub.errors import NeedsCredentials, Rejected, Stale
from hub.ports import ConnectionContext
from hub_amocrm import wire
from hub_amocrm.client import AmoCrmClient, Page
from hub_amocrm.config import AmoCrmSettings
from hub_amocrm.mapping import (
    CARDS,
    UNWRITABLE,
    to_custom_field,
    to_pipeline,
    to_task_type,
    to_user,
)
from hub_amocrm.profile import FieldSpec, Profile

__all__ = ["Account", "Survey"]

ItemT = TypeVar("ItemT", bound=wire.Wire)
_MARKED = (RecordKind.CONTACT, RecordKind.DEAL)
#: pages of users or fields; an account has at most a few hundred of either
_MOST_PAGES = 40

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """One look at the account: for the hub, and for ourselves."""

    catalogue: Catalogue
    profile: Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Looks at an account and makes what the hub needs in it."""

    client: AmoCrmClient
    settings: AmoCrmSettings
    context: ConnectionContext

    async def survey(self, address: str, *, is_setup: bool) -> Survey:
        """Everything an account offers; with ``is_setup`` the mark's field and the webhooks are made too."""
        warnings: list[str] = []
        account = await self.client.account()
        users = await self._users(warnings)
        pipelines = [page async for page in self._all(lambda _page: self.client.pipelines())]
        fields = {kind: await self._fields(kind) for kind in CARDS}
        marks = {kind: await self._mark(kind, fields, warnings, is_setup=is_setup) for kind in _MARKED}
        if is_setup:
            await self._subscribe(warnings)
        if not account.is_api_filter_enabled:
            warnings.append(
                "The account has no list filters: changes are read newest first, single records one by one."
            )
        known = [field for found in fields.values() for field in found]
        shown = tuple(sorted((to_pipeline(p) for p in pipelines if not p.is_archive), key=lambda p: not p.is_main))
        offered = tuple(field for field in known if field.type not in UNWRITABLE)
        hub_id_fields = {kind: field_id for kind, field_id in marks.items() if field_id}
        profile = Profile(
            account_id=str(account.id),
            subdomain=account.subdomain,
            time_zone=account.timezone,
            has_filters=bool(account.is_api_filter_enabled),
            hub_id_fields=hub_id_fields,
            fields={f.id: FieldSpec(record=f.record, type=f.type, code=f.code, choices=f.choices) for f in known},
            open_stages=tuple((p.id, s.id) for p in shown for s in p.stages if not s.is_final),
        )
        catalogue = Catalogue(
            account_id=str(account.id),
            account_name=account.name,
            url=address,
            time_zone=account.timezone,
            users=tuple(users),
            pipelines=shown,
            fields=tuple(field for field in offered if field.id not in hub_id_fields.values()),
            task_types=tuple(to_task_type(found) for found in account.embedded.task_types or ()),
            warnings=tuple(warnings),
        )
        return Survey(catalogue=catalogue, profile=profile)

    async def _users(self, warnings: list[str]) -> list[CrmUser]:
        try:
            return [to_user(user) async for user in self._all(self.client.users)]
        except Rejected:
            warnings.append("Employees cannot be read: connect the account as an administrator.")
            return []

    async def _fields(self, kind: RecordKind) -> list[CustomField]:
        card = CARDS[kind]
        return [
            to_custom_field(field, kind)
            async for field in self._all(lambda page: self.client.custom_fields(card, page))
        ]

    async def _mark(
        self, kind: RecordKind, fields: dict[RecordKind, list[CustomField]], warnings: list[str], *, is_setup: bool
    ) -> str:
        """The id of the field that bears our mark, made if it is missing; "" without the right to make it (X5)."""
        name = self.settings.hub_id_field
        found = next((f for f in fields[kind] if f.name == name and f.type in ("text", "textarea")), None)
        if found is not None:
            return found.id
        if is_setup:
            try:
                # is_api_only: people see it and cannot change it
                made = await self.client.create_custom_field(
                    CARDS[kind], {"name": name, "type": "text", "is_api_only": True}
                )
            except (Rejected, NeedsCredentials) as err:
                logger.warning("The field for the hub's mark was refused", extra={"action": "amocrm.mark_refused"})
                warnings.append(
                    f'The field "{name}" could not be made ({kind}: {err}). A lost answer is then recognised by name, '
                    "phone and time of creation."
                )
            else:
                return str(made.id)
        return ""

    async def _subscribe(self, warnings: list[str]) -> None:
        """Subscribe our address with the full list of events; again if it is switched off or another list."""
        url = self.context.webhook_url
        if not url or not self.settings.subscribes_webhooks:
            return
        wanted = set(self.settings.webhook_events)
        try:
            page = await self.client.webhooks(url)
            held = next((hook for hook in page.items if hook.destination == url), None)
            if held is not None and not held.disabled and wanted == set(held.settings or ()):
                return
            await self.client.subscribe(url, self.settings.webhook_events)
        except (Rejected, Stale, NeedsCredentials) as err:
            # a free tariff, or no administrator; the account itself was read a moment ago
            warnings.append(f"amoCRM's webhooks are not available, changes are polled instead ({err}).")

    async def _all(self, lister: Callable[[int], Awaitable[Page[ItemT]]]) -> AsyncIterator[ItemT]:
        for number in range(1, _MOST_PAGES + 1):
            page = await lister(number)
            for item in page.items:
                yield item
            if not page.has_more or not page.items:
                return
