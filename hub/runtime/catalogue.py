"""What an account offers is looked at again: names that vanished, users who were deactivated (H12, DESIGN 6)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from hub.clock import Clock
from hub.core.records import Catalogue
from hub.errors import Throttled, VendorError
from hub.runtime.account import Account
from hub.runtime.pace import Urgency, urgency
from hub.store import bindings, events, projects
from hub.store.bindings import Binding
from hub.store.engine import Store

__all__ = ["CatalogueRefresh", "check_binding"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A binding whose state is another than before."""

    binding: Binding
    is_alarm: bool


def check_binding(found: Binding, catalogue: Catalogue) -> str:
    """Why the binding no longer holds, one sentence; "" if it does, or if nothing was ever bound."""
    if not found.value:
        return found.problem
    match found.kind:
        case "employee":
            user = next((user for user in catalogue.users if user.id == found.value), None)
            if user is None:
                return f"{found.name}: the CRM has no user {found.value} any more"
            return "" if user.is_active else f"{found.name}: the CRM's user {user.name} is deactivated"
        case "pipeline":
            known = {pipeline.id for pipeline in catalogue.pipelines}
        case "stage":
            known = {stage.id for pipeline in catalogue.pipelines for stage in pipeline.stages}
        case "field":
            known = {field.id for field in catalogue.fields}
        case "task_type":
            known = {type_.id for type_ in catalogue.task_types}
    return "" if found.value in known else f"{found.kind.replace('_', ' ')} {found.name!r} vanished from the CRM"


class CatalogueRefresh:
    """Refreshes one account's catalogue; a name that vanished is an alarm, not a crash."""

    def __init__(self, account: Account, store: Store, clock: Clock, *, changed: Callable[[], None]) -> None:
        """``changed`` makes the hub take up the new names (`Services.changed`)."""
        self.account, self._store, self._clock, self._changed = account, store, clock, changed

    async def refresh(self, *, is_setup: bool = False) -> list[str]:
        """Read the catalogue and check every binding; the sentences of those that do not hold.

        With ``is_setup`` what the hub needs in the account is made again: webhooks that the vendor switched off.
        Raises VendorError.
        """
        account = self.account
        try:
            with urgency(Urgency.RETRY):
                found = await (account.session.connect() if is_setup else account.session.catalogue())
        except VendorError as error:
            account.failed(error)
            if isinstance(error, Throttled):
                account.pacer.pause(error.retry_after)
            raise
        account.succeeded()
        now = self._clock.now()
        problems, is_other = await self._store.write(lambda conn: self._keep(conn, found, now))
        if is_other:
            self._changed()
        return problems

    def _keep(self, conn: Connection, catalogue: Catalogue, now: datetime) -> tuple[list[str], bool]:
        account = self.account
        projects.set_catalogue(conn, account.project, account.name, catalogue, now)
        known = bindings.list_bindings(conn, account.project, account.name)
        checked = [replace(item, problem=check_binding(item, catalogue), checked_at=now) for item in known]
        changes = [
            _Change(binding=after, is_alarm=bool(after.problem))
            for before, after in zip(known, checked, strict=True)
            if before.problem != after.problem
        ]
        bindings.put(conn, account.project, account.name, checked)
        self._tell(conn, changes, now)
        before = account.names.catalogue
        return [item.problem for item in checked if item.problem], bool(changes) or before != catalogue

    def _tell(self, conn: Connection, changes: Sequence[_Change], now: datetime) -> None:
        account = self.account
        for change in changes:
            item = change.binding
            kind = "binding.lost" if change.is_alarm else "binding.found"
            body = {"connection": account.name, "kind": item.kind, "name": item.name, "problem": item.problem}
            events.append(conn, project=account.project, kind=kind, body=body, now=now)
            if change.is_alarm:
                log.warning("%s/%s: %s", account.project, account.name, item.problem, extra={"action": kind})
