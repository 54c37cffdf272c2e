"""Several webhooks of one call become one call (A9, C6, X8).

A source turns each thing that it is told into a `CallFragment`; `fold` makes the call from all fragments known so
far. `fold` looks at the set of fragments, not at the order of their arrival, so that late, repeated and disordered
deliveries give the same call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from dataclasses import fields as dataclass_fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Literal

from hub.core.inner import without_inner_sides
from hub.core.interaction import (
    Attribution,
    Call,
    Destination,
    Direction,
    Disposition,
    Identity,
    InteractionId,
    Leg,
    ProjectId,
)
from hub.core.phone import Phone

__all__ = ["CallFragment", "Moment", "first_attribution", "first_told", "fold"]


class Moment(StrEnum):
    """The part of a call's life that a fragment tells about."""

    RINGING = "ringing"
    #: the call was sent to one destination
    FORWARDED = "forwarded"
    #: an employee picked up
    TAKEN = "taken"
    #: the call, or one record of it, is over
    ENDED = "ended"
    RATED = "rated"
    #: an analysis was added afterwards
    SUMMARISED = "summarised"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFragment:
    """What one webhook, or one row of the channel's own call list, told of a call; None or "" where it did not."""

    kind: Literal["call_fragment"] = "call_fragment"
    #: the telephony's id of the call: fragments of one id are one call, never by phone
    external_id: str
    moment: Moment
    #: when the call began
    started_at: datetime | None = None
    #: when the fragment's own event happened, if the channel tells it apart
    happened_at: datetime | None = None
    direction: Direction | None = None
    disposition: Disposition | None = None
    client: Identity = Identity()
    #: the number on the company's side: dialled by the client, or shown to them
    line: Phone | None = None
    #: who was rung, or answered, in this fragment
    destination: Destination | None = None
    department: str = ""
    scheme: str = ""
    #: seconds; None where not told
    waiting_seconds: int | None = None
    duration_seconds: int | None = None
    talk_seconds: int | None = None
    recording: str = ""
    card_url: str = ""
    is_callback: bool = False
    is_transferred: bool = False
    attribution: Attribution = Attribution()
    summary: str = ""
    rating: int | None = None
    #: from the channel's own call list, not from a webhook (X7)
    is_recovered: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)


# --- folding ----------------------------------------------------------------------------------------------------

#: how much a disposition says: of several records of one call the strongest holds (A9)
_STRENGTH = {
    Disposition.ANSWERED: 6,
    Disposition.VOICEMAIL: 5,
    Disposition.CLIENT_MISSED: 4,
    Disposition.BUSY: 3,
    Disposition.MISSED: 2,
    Disposition.FAILED: 1,
    Disposition.PENDING: 0,
}

#: whose word counts where fragments differ: the record of the finished call, then the nearer to its end
_WEIGHT = {
    Moment.ENDED: 0,
    Moment.TAKEN: 1,
    Moment.FORWARDED: 2,
    Moment.RINGING: 3,
    Moment.RATED: 4,
    Moment.SUMMARISED: 5,
}

_AFTERTHOUGHTS = (Moment.RATED, Moment.SUMMARISED)

#: a destination rung this long after somebody picked up is a handing over, not a late message about a ring group
_HANDOVER_AFTER = timedelta(seconds=2)

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def fold(
    fragments: Sequence[CallFragment],
    *,
    id: InteractionId,
    project: ProjectId,
    channel: str,
    source: str,
    received_at: datetime,
) -> Call:
    """The call that ``fragments`` (at least one, all of one call) tell of; their order does not matter.

    ``received_at`` stands in for a beginning that no fragment tells.

    - Several ENDED fragments of different destinations, or of one destination with different talk times, are the
      legs of a transferred call; those that say the same are one leg (A9, C6). A row of the channel's own list
      never adds a leg to an employee who has one from a webhook.
    - Employees who were rung and did not answer are legs with ``is_answered`` False (A1).
    - Legs stand in the order in which they were first rung; the final employee is the last answered one.
      Of an outbound call the leg is the caller's own, answered if the client picked up.
    - ``is_final`` is True as soon as an ENDED fragment tells a disposition other than pending. Whether a missed or
      a transferred call still waits for a further record (``settle``, DESIGN 2.3) is the runtime's business.
    - RATED and SUMMARISED fragments only add what is not yet known; they never change how a call ended.
    - ``recording`` is the recording of the final leg, or the message left on the voicemail.
    """
    if not fragments:
        raise ValueError("a call cannot be folded from nothing")
    known = without_inner_sides(_distinct(fragments))
    ended = [one for one in known if one.moment is Moment.ENDED]
    disposition = _disposition_of(ended, known)
    answered = disposition is Disposition.ANSWERED or (
        disposition is Disposition.PENDING and any(one.moment is Moment.TAKEN for one in known)
    )
    life = [one for one in known if one.moment not in _AFTERTHOUGHTS] or known
    started_at = min((one.started_at for one in life if one.started_at), default=received_at)
    direction = next((one.direction for one in life if one.direction), Direction.INBOUND)
    parts = _parts_of(life, direction, is_answered=answered, call_started_at=started_at)
    legs = tuple(part.to_leg() for part in parts)
    picked_up = [leg for leg in legs if leg.is_answered]
    best = _by_authority(known, final=picked_up[-1].destination if picked_up else None)
    return Call(
        id=id,
        project=project,
        channel=channel,
        source=source,
        external_id=known[0].external_id,
        started_at=started_at,
        ended_at=_end_of(ended),
        direction=direction,
        disposition=disposition,
        client=_client_of(best),
        legs=legs,
        line=next((one.line for one in best if one.line), None),
        department=first_told(one.department for one in best),
        scheme=first_told(one.scheme for one in best),
        waiting_seconds=next((part.waiting_seconds for part in parts if part.is_answered and part.waiting_seconds), 0)
        or max((one.waiting_seconds or 0 for one in ended), default=0),
        talk_seconds=sum(leg.talk_seconds for leg in legs),
        recording=first_told([leg.recording for leg in reversed(picked_up)])
        or first_told(one.recording for one in best),
        card_url=first_told(one.card_url for one in best),
        is_callback=any(one.is_callback for one in known),
        is_final=bool(ended) and disposition is not Disposition.PENDING,
        is_transferred=_is_transferred(known, picked_up),
        attribution=_attribution_of(best),
        summary=first_told(one.summary for one in reversed(known)),
        rating=next((one.rating for one in reversed(known) if one.rating is not None), None),
        is_recovered=bool(ended) and all(one.is_recovered for one in ended),
        parameters=_parameters_of(best),
    )


@dataclass(slots=True, kw_only=True)
class _Part:
    """A leg while it is put together from what several fragments tell of it."""

    destination: Destination
    is_answered: bool = False
    #: an answered ENDED fragment stands behind it, with its talk time (None where that was not told)
    has_record: bool = False
    talk_seconds: int | None = None
    waiting_seconds: int | None = None
    recording: str = ""
    #: as its own record tells it
    started_at: datetime | None = None
    #: when it was first heard of and when it was answered, for the order among legs of one beginning
    seen_at: datetime | None = None
    picked_up_at: datetime | None = None
    #: the end that was told without a talk time
    hung_up_at: datetime | None = None
    rank: int = 0

    def add(self, one: CallFragment) -> None:
        self.destination = self.destination.joined(one.destination or Destination())
        self.waiting_seconds = one.waiting_seconds if self.waiting_seconds is None else self.waiting_seconds
        self.seen_at = _earlier(self.seen_at, _seen_at(one))

    def add_record(self, one: CallFragment) -> None:
        self.has_record = self.is_answered = True
        self.talk_seconds = one.talk_seconds if self.talk_seconds is None else self.talk_seconds
        self.recording = self.recording or one.recording
        self.started_at = _earlier(self.started_at, one.started_at)
        # a row of the channel's own list knows when the call began, not when this employee picked up
        if not one.is_recovered:
            self.picked_up_at = _earlier(self.picked_up_at, _seen_at(one))
        if one.talk_seconds is None and one.duration_seconds is None:
            self.hung_up_at = self.hung_up_at or one.happened_at
        self.add(one)

    def add_pick_up(self, one: CallFragment) -> None:
        self.picked_up_at = _earlier(self.picked_up_at, one.happened_at)
        self.add(one)

    def order(self, call_started_at: datetime) -> tuple[datetime, datetime, bool, int]:
        return (
            self.started_at or call_started_at,
            self.picked_up_at or self.seen_at or call_started_at,
            self.is_answered,
            self.rank,
        )

    def to_leg(self) -> Leg:
        return Leg(
            destination=self.destination,
            is_answered=self.is_answered,
            talk_seconds=self._measured() if self.talk_seconds is None else self.talk_seconds,
            recording=self.recording,
            started_at=self.started_at or self.seen_at,
        )

    def _measured(self) -> int:
        """Of a telephony that tells no talk time: from the answer to the end, by the moments that were told."""
        if self.hung_up_at is None or self.picked_up_at is None:
            return 0
        return max(0, int((self.hung_up_at - self.picked_up_at).total_seconds()))


def _parts_of(
    known: Sequence[CallFragment], direction: Direction, *, is_answered: bool, call_started_at: datetime
) -> list[_Part]:
    """The legs, in order."""
    parts: list[_Part] = []
    records = [one for one in known if one.moment is Moment.ENDED]
    was_taken = any(one.moment is Moment.TAKEN for one in known)
    talks = [one for one in records if _ending(one, was_taken=was_taken) is Disposition.ANSWERED]
    for one in sorted((one for one in talks if _names(one)), key=lambda one: one.is_recovered):
        _add_record(parts, one)
    for one in known:
        if one.moment is Moment.TAKEN and _names(one):
            part = _find(parts, one.destination) or _new(parts, one)
            part.is_answered = is_answered
            part.add_pick_up(one)
    for one in talks:
        if not _names(one):
            _add_nameless_record(parts, one)
    for one in known:
        rung = one.moment is Moment.FORWARDED or (one.moment is Moment.ENDED and one not in talks)
        dialled = one.moment is Moment.RINGING and direction is Direction.OUTBOUND
        if (rung or dialled) and _names(one):
            _add_ring(parts, one)
    return sorted(parts, key=lambda part: part.order(call_started_at))


def _add_record(parts: list[_Part], one: CallFragment) -> None:
    same = [part for part in parts if part.destination.is_same_as(one.destination)]
    for part in same:
        if part.talk_seconds == one.talk_seconds or None in (part.talk_seconds, one.talk_seconds):
            return part.add_record(one)
    if one.is_recovered and same:
        # the list rounds differently from the webhook: the same leg, told again
        return min(same, key=lambda part: abs((part.talk_seconds or 0) - (one.talk_seconds or 0))).add_record(one)
    return _new(parts, one).add_record(one)


def _add_nameless_record(parts: list[_Part], one: CallFragment) -> None:
    """A record that does not say who answered belongs to who picked up last without a record of their own."""
    silent = [part for part in parts if part.is_answered and not part.has_record]
    if silent:
        return max(silent, key=lambda part: (part.seen_at or _LONG_AGO, part.rank)).add_record(one)
    told = [part for part in parts if part.has_record]
    for part in told:
        if part.talk_seconds == one.talk_seconds or None in (part.talk_seconds, one.talk_seconds):
            return part.add_record(one)
    if told and one.is_recovered:
        return told[-1].add_record(one)
    return _new(parts, one).add_record(one)


def _add_ring(parts: list[_Part], one: CallFragment) -> None:
    """Somebody was rung: in vain, unless they answered and nobody else did in between (A1)."""
    same = [part for part in parts if part.destination.is_same_as(one.destination)]
    answered = min((part for part in same if part.is_answered), key=lambda p: p.order(_LONG_AGO), default=None)
    if answered is not None and not _was_in_vain(parts, answered, one.happened_at):
        return answered.add(one)
    part = next((part for part in same if not part.is_answered), None) or _new(parts, one)
    return part.add(one)


def _was_in_vain(parts: Sequence[_Part], answered: _Part, rung_at: datetime | None) -> bool:
    """True if another employee picked up between the ring and the answer of the one who was rung."""
    if rung_at is None or answered.picked_up_at is None:
        return False
    others = (part for part in parts if part.is_answered and not part.destination.is_same_as(answered.destination))
    return any(other.picked_up_at and rung_at < other.picked_up_at < answered.picked_up_at for other in others)


def _new(parts: list[_Part], one: CallFragment) -> _Part:
    part = _Part(destination=one.destination or Destination(), rank=len(parts))
    parts.append(part)
    return part


def _find(parts: Sequence[_Part], destination: Destination | None) -> _Part | None:
    return next((part for part in parts if part.destination.is_same_as(destination)), None)


def _names(one: CallFragment) -> bool:
    return one.destination is not None and not one.destination.is_empty


# --- what counts where fragments differ -------------------------------------------------------------------------


def _distinct(fragments: Sequence[CallFragment]) -> list[CallFragment]:
    """The set of ``fragments`` in one canonical order, whatever order they came in."""
    if len(fragments) == 1:
        return list(fragments)
    return [one for _, one in sorted({_canonical_key(one): one for one in fragments}.items())]


def _canonical_key(one: CallFragment) -> tuple[int, datetime, datetime, str]:
    """Tells two fragments apart exactly if they differ, and orders them by what they say."""
    parameters = sorted(one.parameters.items())
    fields = sorted(one.client.fields.items())
    text = repr((replace(one, parameters={}, client=replace(one.client, fields={})), fields, parameters))
    return (_WEIGHT[one.moment], one.happened_at or _LONG_AGO, one.started_at or _LONG_AGO, text)


def _by_authority(known: Sequence[CallFragment], *, final: Destination | None) -> list[CallFragment]:
    """``known`` with those first whose word counts where they differ: the record of the final leg."""

    def rank(one: CallFragment) -> tuple[int, bool, bool, bool]:
        is_of_final = final is not None and one.destination is not None and final.is_same_as(one.destination)
        return (
            _WEIGHT[one.moment],
            one.disposition is Disposition.PENDING,
            not is_of_final if one.moment is Moment.ENDED else False,
            one.is_recovered,
        )

    return sorted(known, key=rank)


def _disposition_of(ended: Sequence[CallFragment], known: Sequence[CallFragment]) -> Disposition:
    was_taken = any(one.moment is Moment.TAKEN for one in known)
    told = [_ending(one, was_taken=was_taken) for one in ended]
    return max(told, key=_STRENGTH.__getitem__, default=Disposition.PENDING)


def _ending(one: CallFragment, *, was_taken: bool) -> Disposition:
    if one.disposition is not None:
        return one.disposition
    if one.talk_seconds is None:
        return Disposition.ANSWERED if was_taken else Disposition.MISSED
    return Disposition.ANSWERED if one.talk_seconds > 0 else Disposition.MISSED


def _seen_at(one: CallFragment) -> datetime | None:
    """When the destination of ``one`` was first heard of, as nearly as it tells."""
    if one.moment is Moment.ENDED and one.happened_at:
        # told at the end; of one rung in vain only that it was before
        return one.happened_at - timedelta(seconds=one.talk_seconds) if one.talk_seconds else None
    if one.happened_at or not one.started_at:
        return one.happened_at
    return one.started_at + timedelta(seconds=one.waiting_seconds or 0)


def _end_of(ended: Sequence[CallFragment]) -> datetime | None:
    return max((found for one in ended if (found := _own_end(one))), default=None)


def _own_end(one: CallFragment) -> datetime | None:
    if one.disposition is Disposition.PENDING:
        return None
    told = (one.duration_seconds, one.waiting_seconds, one.talk_seconds)
    if one.started_at is None or told == (None, None, None):
        return one.happened_at
    duration = one.duration_seconds or (one.waiting_seconds or 0) + (one.talk_seconds or 0)
    return one.started_at + timedelta(seconds=duration)


def _is_transferred(known: Sequence[CallFragment], picked_up: Sequence[Leg]) -> bool:
    if len(picked_up) > 1 or any(one.is_transferred for one in known):
        return True
    taken = [one for one in known if one.moment is Moment.TAKEN and one.happened_at and _names(one)]
    return any(
        one.moment is Moment.FORWARDED
        and one.happened_at is not None
        and earlier.happened_at is not None
        and one.happened_at > earlier.happened_at + _HANDOVER_AFTER
        and _names(one)
        and not (earlier.destination or Destination()).is_same_as(one.destination)
        for earlier in taken
        for one in known
    )


def _client_of(best: Sequence[CallFragment]) -> Identity:
    """Part by part from the fragment whose word counts most: numbers of different fragments are not added up."""
    return Identity(
        phones=next((one.client.phones for one in best if one.client.phones), ()),
        emails=next((one.client.emails for one in best if one.client.emails), ()),
        handles=next((one.client.handles for one in best if one.client.handles), ()),
        name=first_told(one.client.name for one in best),
        fields={key: value for one in reversed(best) for key, value in one.client.fields.items() if value},
    )


_ATTRIBUTION_FIELDS = tuple(field.name for field in dataclass_fields(Attribution))


def _attribution_of(best: Sequence[CallFragment]) -> Attribution:
    return first_attribution([one.attribution for one in best if one.attribution != Attribution()])


def first_attribution(told: Sequence[Attribution]) -> Attribution:
    """Part by part from the first that tells it."""
    if len(told) == 1:
        return told[0]
    return Attribution(**{name: first_told(getattr(one, name) for one in told) for name in _ATTRIBUTION_FIELDS})


def _parameters_of(best: Sequence[CallFragment]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in best:
        for key, value in one.parameters.items():
            if value or key not in found:
                found[key] = found.get(key) or value
    return found


def first_told(values: Iterable[str]) -> str:
    """The first that is not empty, "" if none is."""
    return next((value for value in values if value), "")


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((at for at in (one, other) if at), default=None)
