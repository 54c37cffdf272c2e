"""Setting an account up: what it offers, and the telephony module that popups need (H12)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from hub.core.records import Catalogue, CustomField
from hub.errors import NeedsCredentials, Rejected, Stale
from hub.ports import ConnectionContext
from hub_retailcrm import wire
from hub_retailcrm.client import Page, RetailCrmClient
from hub_retailcrm.config import RetailCrmSettings
from hub_retailcrm.mapping import LOST, WON, own_fields, to_custom_field, to_pipelines, to_user
from hub_retailcrm.problem import LacksRight
from hub_retailcrm.profile import Profile

__all__ = ["Account", "Survey"]

ItemT = TypeVar("ItemT", bound=wire.Wire)
#: pages of users or fields; an account has at most a few hundred of either
_MOST_PAGES = 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """One look at the account: for the hub, and for ourselves."""

    catalogue: Catalogue
    profile: Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Looks at an account and registers the hub in it."""

    client: RetailCrmClient
    settings: RetailCrmSettings
    context: ConnectionContext

    async def survey(self, *, is_setup: bool) -> Survey:
        """Everything that an account offers, about ten requests; with ``is_setup`` the module is registered too."""
        warnings: list[str] = []
        credentials = await self.client.credentials()
        zone = await self.client.time_zone()
        statuses = await self.client.reference("statuses", "statuses", wire.Status)
        groups = await self.client.reference("status-groups", "statusGroups", wire.StatusGroup)
        types = await self.client.reference("order-types", "orderTypes", wire.Reference)
        methods = await self.client.reference("order-methods", "orderMethods", wire.Reference)
        sites = await self.client.reference("sites", "sites", wire.Site)
        users = await self._users(warnings)
        fields = await self._fields(warnings)
        site = self._site(credentials, sites, warnings)
        has_corporate = await self._has_corporate(warnings)
        self._check_method(methods, warnings)
        if is_setup and self.settings.registers_module and self.settings.popup != "notification":
            await self._register(warnings)
        profile = Profile(
            time_zone=zone,
            site=site,
            won=frozenset(status.code for status in statuses if status.group == WON),
            lost=frozenset(status.code for status in statuses if status.group == LOST),
            open=tuple(status.code for status in statuses if status.group not in (WON, LOST)),
            fields={f"{field.record.value}.{field.code}": field.type for field in fields},
            has_corporate=has_corporate,
        )
        catalogue = Catalogue(
            account_id=self.settings.address,
            account_name=self.settings.address.split("//", 1)[-1],
            url=self.settings.address,
            time_zone=zone,
            users=tuple(to_user(user) for user in users),
            pipelines=to_pipelines(types, statuses, groups),
            fields=(*own_fields(methods, sites), *fields),
            warnings=tuple(warnings),
        )
        return Survey(catalogue=catalogue, profile=profile)

    async def _users(self, warnings: list[str]) -> list[wire.User]:
        try:
            return await self._all(self.client.users)
        except LacksRight as err:
            warnings.append(f"Employees cannot be read: give the API key the right to users ({err}).")
            return []

    async def _fields(self, warnings: list[str]) -> list[CustomField]:
        try:
            found = await self._all(self.client.custom_fields)
            names = {field.dictionary for field in found if field.dictionary}
            books = await self._all(self.client.dictionaries) if names else []
        except LacksRight as err:
            warnings.append(f"Custom fields cannot be read: give the API key the right to references ({err}).")
            return []
        choices = {book.code: [one.code for one in book.elements] for book in books}
        known = ("order", "customer", "customer_corporate")
        return [to_custom_field(one, choices.get(one.dictionary or "", ())) for one in found if one.entity in known]

    def _site(self, credentials: wire.Credentials, sites: tuple[wire.Site, ...], warnings: list[str]) -> str:
        """The shop to write to: the setting, the only one, else the account's own default with a warning."""
        seen = credentials.sitesAvailable or [site.code for site in sites]
        wanted = self.settings.site
        if wanted and wanted not in seen:
            warnings.append(f"The API key does not see shop {wanted!r}; it sees {', '.join(seen) or 'none'}.")
            return wanted
        if wanted or len(seen) == 1:
            return wanted or seen[0]
        default = next(
            (site.code for site in sites if site.defaultForCrm and site.code in seen), seen[0] if seen else ""
        )
        warnings.append(f"The API key sees several shops ({', '.join(seen)}): {default!r} is used until you name one.")
        return default

    async def _has_corporate(self, warnings: list[str]) -> bool:
        if not self.settings.reads_corporate:
            return False
        try:
            await self.client.corporate([("limit", "20")])
        except (LacksRight, Rejected, Stale) as err:
            warnings.append(f"Corporate customers are not available: companies are left out ({err}).")
            return False
        return True

    def _check_method(self, methods: tuple[wire.Reference, ...], warnings: list[str]) -> None:
        wanted = self.settings.order_method
        if wanted and not any(method.code == wanted and method.active for method in methods):
            warnings.append(f"There is no active order method {wanted!r}: orders would be refused. Choose another.")

    async def _register(self, warnings: list[str]) -> None:
        """Announce the events that the hub sends; without that no card pops up (7)."""
        settings = self.settings
        public = self.context.public_url
        if not public:
            warnings.append("The hub has no public address yet: connect again once it has one, for popups of cards.")
            return
        telephony = {"inputEventSupported": True, "outputEventSupported": True, "hangupEventSupported": True}
        module = {
            "code": settings.module_code,
            "integrationCode": settings.module_code,
            "active": True,
            "freeze": False,
            "name": settings.module_name,
            "clientId": f"{self.context.project}/{self.context.name}",
            "baseUrl": public,
            "accountUrl": f"{public}/console",
            "integrations": {"telephony": {"allowEdit": False, **telephony}},
        }
        if settings.module_logo:
            module["logo"] = settings.module_logo
        try:
            await self.client.register_module(settings.module_code, module)
        except (Rejected, Stale, NeedsCredentials) as err:
            logger.warning("the telephony module was refused: %s", err, extra={"action": "retailcrm.module_refused"})
            warnings.append(f"The telephony module could not be registered, so no cards pop up ({err}).")

    async def _all(self, lister: Callable[[int], Awaitable[Page[ItemT]]]) -> list[ItemT]:
        found: list[ItemT] = []
        for number in range(1, _MOST_PAGES + 1):
            page = await lister(number)
            found += page.items
            if number >= page.pages or not page.items:
                break
        return found
