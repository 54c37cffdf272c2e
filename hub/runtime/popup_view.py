"""A popup as one employee's browser is told of it: in their language, with what they may do (U1, W4)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from hub.core.interaction import Disposition
from hub.core.popup import PopupState
from hub.core.records import EmployeeId
from hub.core.right import Whose, may
from hub.engine.projects import LiveProject
from hub.language import Translator
from hub.runtime.person import names_of_project
from hub.store.popups import Told

__all__ = ["instant", "popup_view"]


def instant(at: datetime | None) -> str | None:
    """As programs read it: UTC, to the second."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def popup_view(
    told: Told, me: EmployeeId, project: LiveProject, t: Translator, abilities: Collection[str], now: datetime
) -> dict[str, Any] | None:
    """What ``me`` is shown; None if the popup is not for them (any more)."""
    popup, shown = told.popup, told.shown
    mine = popup.of(me)
    if mine is None or project.policy is None:
        return None
    names = names_of_project(project)
    whose = Whose(
        channel=shown.channel,
        responsible=shown.responsible or popup.answered_by,
        # at the first answer the client is whoever's who gave it (W12)
        is_unclaimed=shown.is_unclaimed and popup.answered_by is None,
        is_new=not shown.is_known and popup.answered_by is None,
    )
    is_told = mine.state is not PopupState.ANSWERED or may(me, "read", whose, project.policy, now)

    def person(who: EmployeeId | None) -> dict[str, Any] | None:
        return None if who is None else {"id": who, "name": names.get(who, who), "is_me": who == me}

    contact, deal, last = shown.contact, shown.deal, shown.last_contact
    # what a call's result adds is a word; what a client wrote is theirs to read who may
    text = popup.text if is_told else ""
    if popup.result == Disposition.VOICEMAIL.value and not text:
        text = t("disposition.voicemail")
    return {
        "key": popup.key,
        "kind": popup.kind,
        "direction": popup.direction.value,
        "state": mine.state.value,
        "at": instant(popup.at),
        "answered_at": instant(popup.answered_at),
        "ended_at": instant(popup.ended_at),
        "seconds": popup.seconds,
        "result": popup.result,
        "for_me": True,
        "answered_by": person(popup.answered_by),
        "client": {"id": shown.client_id, "name": shown.name, "phone": shown.phone, "is_known": shown.is_known},
        "company": shown.company,
        "contact": contact and {"id": contact.id, "name": contact.name, "url": contact.url, "kind": contact.kind},
        "deal": deal
        and {"id": deal.id, "name": deal.name, "url": deal.url, "stage": deal.stage, "pipeline": deal.pipeline},
        "source": shown.source,
        "site": {"page": shown.page, "referrer": shown.referrer},
        "channel": shown.channel,
        "text": text,
        "last_contact": last
        and {"at": instant(last.at), "kind": last.kind, "who": names.get(last.who, last.who) if last.who else ""},
        "responsible": person(shown.responsible),
        "why": t(f"popup_why.{mine.why}", name=names.get(mine.of, mine.of) if mine.of else ""),
        "interaction": popup.interaction,
        "can": _can(told, me, project, whose, abilities, now),
    }


def _can(
    told: Told, me: EmployeeId, project: LiveProject, whose: Whose, abilities: Collection[str], now: datetime
) -> list[str]:
    """The buttons, in the order in which they are shown; ``abilities`` are what the project's channels offer."""
    policy, shown = project.policy, told.shown
    assert policy is not None
    may_write, may_take = (may(me, right, whose, policy, now) for right in ("write", "take"))
    found = {
        "open": bool((shown.contact and shown.contact.url) or (shown.deal and shown.deal.url)),
        "take": may_take and shown.responsible != me,
        "create": may_take and not (shown.contact and shown.deal),
        "task": may_take,
        "call": may_write and "call" in abilities and bool(shown.phone),
        "write": may_write and "write" in abilities,
    }
    return [name for name, is_offered in found.items() if is_offered]
