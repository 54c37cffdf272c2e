"""Says what was joined and what undoing it comes to, in a language; and both for programs (X12, U4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

from hub.core.records import RecordRef
from hub.language import Translator
from hub.runtime.parting import Link, Undoing
from hub.runtime.telling import note_text

__all__ = ["link_json", "links_text", "undoing_json", "undoings_text"]


def links_text(links: Sequence[Link], t: Translator, zone: ZoneInfo) -> str:
    """The list, the newest first."""
    return "\n".join(_link(link, t, zone) for link in links) or t("parting.none")


def _link(link: Link, t: Translator, zone: ZoneInfo) -> str:
    line = f"{link.id}  {t.minute(link.at, zone)}  {_sides(link)}  {note_text(link.reason, t)}"
    if link.values:
        line += f": {', '.join(link.values)}"
    return f"{line}  [{t('parting.undone', at=t.minute(link.undone_at, zone))}]" if link.undone_at else line


def _sides(link: Link) -> str:
    return f"{link.kept} ← {link.joined}" if link.joined else link.kept


def undoings_text(found: Sequence[Undoing], t: Translator, zone: ZoneInfo, *, is_written: bool) -> str:
    """What undoing comes to, or came to."""
    return "\n".join(_undoings(found, t, zone, is_written))


def _undoings(found: Sequence[Undoing], t: Translator, zone: ZoneInfo, is_written: bool) -> Iterator[str]:
    if not found:
        yield t("parting.nothing")
        return
    for one in found:
        yield _link(one.link, t, zone)
        if one.link.joined:
            yield f"  {t('parting.parts', kept=one.link.kept, joined=one.link.joined)}"
        for crm, parting in one.partings.items():
            for off in parting.take_off:
                said = ", ".join((*off.values, *off.tags))
                yield f"  {t('parting.take_off', crm=crm, contact=off.contact.id, values=said)}"
            if crm in one.by_hand:
                yield f"  {t('parting.by_hand', crm=crm)}"
            if parting.left:
                yield f"  {t('parting.left', crm=crm, records=', '.join(_ref(ref, t) for ref in parting.left))}"
        if not one.partings:
            yield f"  {t('parting.nothing_in_crm')}"
    yield ""
    yield t.count("parting.done", sum(one.is_done for one in found)) if is_written else t("parting.dry")


def _ref(ref: RecordRef, t: Translator) -> str:
    return f"{t(f'record.{ref.kind.value}')} {ref.id}"


def link_json(link: Link) -> Mapping[str, object]:
    """A link for programs."""
    return {
        "id": link.id,
        "at": link.at.isoformat(),
        "reason": link.reason,
        "kept": link.kept,
        "joined": link.joined or None,
        "values": list(link.values),
        "undone_at": link.undone_at.isoformat() if link.undone_at else None,
    }


def undoing_json(found: Undoing) -> Mapping[str, object]:
    """What undoing a link comes to, for programs."""
    return {
        "link": link_json(found.link),
        "undone": found.is_done,
        "crm": {
            name: {
                "take_off": [
                    {"contact": off.contact.id, "values": list(off.values), "tags": list(off.tags)}
                    for off in parting.take_off
                ],
                "by_hand": name in found.by_hand,
                "left": [str(ref) for ref in parting.left],
            }
            for name, parting in found.partings.items()
        },
    }
