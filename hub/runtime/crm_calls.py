"""The CRMs' own popups for calls: asked for at once, once, and only where no tab of ours is open (DESIGN 8)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from hub.core.interaction import Direction, Disposition
from hub.core.phone import Phone
from hub.core.popup import PopupState
from hub.core.records import EmployeeId
from hub.engine.projects import LiveProject
from hub.errors import VendorError
from hub.ringing import CallSign, ShowsCalls
from hub.runtime.pace import Urgency, urgency
from hub.runtime.services import Services
from hub.store.popups import Told

__all__ = ["CrmCalls", "Raise", "raises_of"]

log = logging.getLogger(__name__)

#: seconds after which a popup is of no use
SECONDS = 5.0
#: on their way at once; a CRM that hangs must not collect them
MOST = 50

_OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Raise:
    """One request to one CRM."""

    connection: str
    sign: CallSign
    #: what the popup's row remembers, so that it is asked for once
    marks: tuple[str, ...]


def raises_of(
    services: Services, project: LiveProject, told: Told, tabs: Collection[tuple[str, EmployeeId]]
) -> tuple[Raise, ...]:
    """What the CRMs have to be asked for now that the popup stands like this; nothing in shadow or while paused."""
    popup, shown = told.popup, told.shown
    if popup.kind != "call" or not shown.phone or not project.is_writing:
        return ()
    found: list[Raise] = []
    for connection in project.connections:
        account = services.accounts.get((project.name, connection.name))
        if account is None or not isinstance(account.session, ShowsCalls):
            continue
        mine = f"{connection.name}/"
        asked = {EmployeeId(mark.removeprefix(mine)) for mark in told.raised if mark.startswith(mine)}
        over = f"{_OVER}:{connection.name}"
        if popup.is_over:
            users = [connection.users[one] for one in sorted(asked) if one in connection.users]
            if users and over not in told.raised:
                ended = Disposition(popup.result) if popup.result else Disposition.MISSED
                found.append(
                    Raise(
                        connection=connection.name,
                        sign=_sign(told, "over", tuple(users), ended),
                        marks=(over,),
                    )
                )
            continue
        for phase, state in (("ringing", PopupState.RINGING), ("taken", PopupState.TALKING)):
            those = [
                one.employee
                for one in popup.to
                if one.state is state
                and one.employee not in asked
                and one.employee in connection.users
                and (connection.name, one.employee) not in tabs
            ]
            if those:
                users = [connection.users[one] for one in those]
                found.append(
                    Raise(
                        connection=connection.name,
                        sign=_sign(told, phase, tuple(users), Disposition.PENDING),
                        marks=tuple(f"{mine}{one}" for one in those),
                    )
                )
    return tuple(found)


def _sign(told: Told, phase: str, users: tuple[str, ...], disposition: Disposition) -> CallSign:
    popup, shown = told.popup, told.shown
    return CallSign(
        phase=phase,  # type: ignore[arg-type]  # one of the two above
        phone=Phone(shown.phone),
        direction=Direction(popup.direction),
        users=users,  # type: ignore[arg-type]  # the connection's own ids
        call_id=told.call_id,
        line=Phone(shown.line) if shown.line else None,
        disposition=disposition,
    )


class CrmCalls:
    """Sends them beside everything else; what fails is logged and forgotten."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._tasks: set[asyncio.Task[None]] = set()
        #: more came than the CRMs took; told once, until they keep up again
        self._is_behind = False

    def send(self, project: LiveProject, raises: Sequence[Raise]) -> None:
        """Ask the CRMs, now."""
        room = max(0, MOST - len(self._tasks))
        if len(raises) > room:
            if not self._is_behind:
                log.warning(
                    "more calls ring than the CRMs take popups: some are left out until they keep up",
                    extra={"action": "popup.not_raised"},
                )
            self._is_behind = True
        elif not self._tasks:
            self._is_behind = False
        for one in raises[:room]:
            task = asyncio.create_task(self._send(project.name, one), name=f"popup {one.connection}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send(self, project: str, one: Raise) -> None:
        account = self._services.accounts.get((project, one.connection))
        if account is None or not account.may_ask or not isinstance(account.session, ShowsCalls):
            return
        try:
            with urgency(Urgency.POPUP):
                async with asyncio.timeout(SECONDS):
                    await account.session.show_call(one.sign)
        except VendorError as error:
            log.warning(
                "%s/%s shows no popup: %s", project, one.connection, error, extra={"action": "popup.not_raised"}
            )
        except TimeoutError:
            log.warning("%s/%s was too slow for a popup", project, one.connection, extra={"action": "popup.not_raised"})
        except Exception:
            log.exception("%s/%s shows no popup", project, one.connection, extra={"action": "popup.not_raised"})

    async def idle(self) -> None:
        """Wait for what is on its way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Let go of what is still on its way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
