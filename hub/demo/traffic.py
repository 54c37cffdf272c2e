"""A day of one company's traffic, made up from a seed: what the demo and the end-to-end tests play.

The file tells what really happened at the telephony and on the site, and what stood in the CRM before the day
began. It names no vendor: a telephony's sandbox turns its calls into webhooks, a CRM's sandbox takes its
``preload``, and the auditor (`hub.demo.audit`) compares the outcome with it. The format, ``traffic/1``, is
described in docs/traffic-file.md and typed in `hub.demo.traffic_record`.

``python -m hub.demo.traffic [--seed N] [--day YYYY-MM-DD] [--calls N] > FILE`` writes one.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hub.demo import company
from hub.demo.dialogue import make_chats, make_messages
from hub.demo.traffic_record import FORMAT, CallRecord, FormRecord, LegRecord, Preload, RungRecord, TrafficFile, load

__all__ = ["FORMAT", "CallRecord", "FormRecord", "Preload", "TrafficFile", "generate", "last_working_day", "load"]

DEFAULT_DAY = date(2026, 7, 29)


def generate(*, seed: int = 7, day: date = DEFAULT_DAY, calls: int = 150) -> TrafficFile:
    """A day of about ``calls`` calls; the same arguments always make the same file."""
    return _Day(seed=seed, day=day, calls=calls).traffic()


def last_working_day(now: datetime) -> date:
    """The last day from Monday to Friday that is over for the company at ``now``: nothing of it lies ahead."""
    day = now.astimezone(ZoneInfo(company.COMPANY["timezone"])).date() - timedelta(days=1)
    while day.weekday() > 4:
        day -= timedelta(days=1)
    return day


#: scenario -> how many of them in a day of 150 calls
_SCENARIOS: Mapping[str, int] = {
    "new, answered": 20,
    "new, answered, calls again at once": 2,
    "new, rung in vain before the answer": 6,
    "new, missed": 5,
    "new, missed, then called back": 4,
    "new, missed three times, then called back": 2,
    "new, missed out of hours": 2,
    "new, busy": 2,
    "new, voicemail": 3,
    "new, attended transfer": 4,
    "new, hidden number": 2,
    "known, answered by the responsible": 16,
    "known, answered by another": 8,
    "known, missed": 5,
    "known, missed twice, then called back": 2,
    "known, busy": 2,
    "known, voicemail": 2,
    "known, attended transfer": 3,
    "known, blind transfer": 2,
    "known, answered on a corporate mobile": 2,
    "answered on a login tied to nobody": 2,
    "outgoing to an unknown number": 6,
    "outgoing to an unknown number, not answered": 3,
    "outgoing to a known client": 8,
    "outgoing to a known client, not answered": 3,
    "outgoing from a corporate mobile": 3,
    "callback form, answered": 5,
    "callback form, employee not reached": 2,
    "callback form, client not reached": 2,
    "internal": 6,
    "private line": 3,
}


class _Day:
    """The dice and the pencil: makes one day from one seed."""

    def __init__(self, *, seed: int, day: date, calls: int) -> None:
        self._dice = random.Random(seed)
        self._seed, self._day = seed, day
        self._scale = calls / 150
        self._zone = ZoneInfo(company.COMPANY["timezone"])
        self._calls: list[CallRecord] = []
        self._forms: list[FormRecord] = []
        self._numbers_taken: set[str] = set()
        self._taken: dict[str, list[datetime]] = {}
        self._clients = company.known_clients(self._new_number, self._dice, count=max(30, int(42 * self._scale)))
        self._known_turn = 0
        self._sequence = 4_410_000

    def traffic(self) -> TrafficFile:
        for scenario, count in _SCENARIOS.items():
            for _ in range(max(1, round(count * self._scale))):
                self._play(scenario)
        self._submit_forms(max(4, round(8 * self._scale)))
        self._calls.sort(key=lambda call: (call["started_at"], call["id"]))
        counted: dict[str, int] = {}
        for call in self._calls:
            number = call["client_number"] or ""
            counted[number] = counted.get(number, 0) + 1
            call["number_of_client"] = counted[number] if number else 1
        told = random.Random(self._seed + 1)  # dice of their own: the calls of a seed stay what they were
        count = max(4, round(15 * self._scale))
        chats = make_chats(
            told,
            count,
            clients=self._clients,
            calls=self._calls,
            new_number=self._new_number,
            instant=lambda: self._some_instant(None),
            attribution=lambda: self._attribution(company.NUMBERS[0]),
        )
        messages = make_messages(
            told,
            count,
            clients=self._clients,
            calls=self._calls,
            new_number=self._new_number,
            instant=lambda: self._some_instant(None),
        )
        return TrafficFile(
            company=company.COMPANY,
            numbers=company.NUMBERS,
            private_lines=company.PRIVATE_LINES,
            employees=company.EMPLOYEES,
            calls=self._calls,
            forms=sorted(self._forms, key=lambda form: form["at"]),
            chats=sorted(chats, key=lambda chat: chat["at"]),
            messages=sorted(messages, key=lambda message: message["at"]),
            preload=company.preload(self._clients, self._instant(8, 0)),
            seed=self._seed,
        )

    # --- the scenarios ---

    def _play(self, scenario: str) -> None:
        who, _, what = scenario.partition(", ")
        if who == "new":
            self._from_client(scenario, self._new_number(), what, responsible=None)
        elif who == "known":
            client = self._next_known()
            self._from_client(scenario, client.number, what, responsible=client.responsible)
        elif who == "callback form":
            self._callback(scenario, what)
        elif scenario == "internal":
            self._internal(scenario)
        elif scenario == "private line":
            number = self._new_number()
            self._answered(scenario, number, kind="private", line=company.PRIVATE_LINES[0], by="1103")
        elif scenario == "answered on a login tied to nobody":
            self._answered(scenario, self._new_number(), by=None)
        else:
            self._outgoing_scenario(scenario)

    def _from_client(self, scenario: str, number: str, what: str, *, responsible: str | None) -> None:
        owner = responsible or self._manager()
        match what:
            case "answered" | "answered by the responsible":
                self._answered(scenario, number, by=owner)
            case "answered, calls again at once":
                end = self._answered(scenario, number, by=owner)
                self._answered(scenario, number, by=self._other(owner), at=end + self._seconds(5, 40))
            case "answered by another":
                self._answered(scenario, number, by=self._other(owner), vain=(owner,))
            case "rung in vain before the answer":
                first = company.ADMINISTRATOR
                self._answered(scenario, number, by=owner, vain=(first, self._other(owner)))
            case "answered on a corporate mobile":
                self._answered(scenario, number, by="1106")
            case "attended transfer" | "blind transfer":
                self._answered(scenario, number, by=self._other(owner), transfer=what.split()[0], to=owner)
            case "hidden number":
                self._answered(scenario, None, by=owner)
                self._unanswered(scenario, None, "missed", vain=(owner,))
            case "busy" | "voicemail":
                self._unanswered(scenario, number, what, vain=() if what == "busy" else (owner,))
            case "missed out of hours":
                self._unanswered(scenario, number, "missed", at=self._instant(20, self._dice.randrange(60)))
            case _:
                self._missed(scenario, number, what, owner)

    def _missed(self, scenario: str, number: str, what: str, owner: str) -> None:
        """Missed once, twice or three times, and called back if the scenario says so."""
        times = 3 if "three times" in what else 2 if "twice" in what else 1
        at = self._some_instant(number, latest=15)
        for _ in range(times):
            end = self._unanswered(scenario, number, "missed", vain=(owner, self._other(owner)), at=at)
            at = end + self._seconds(180, 900)
        if "called back" in what:
            self._outgoing(scenario, number, by=owner, at=at, answered=True)

    def _callback(self, scenario: str, what: str) -> None:
        number = self._new_number()
        match what:
            case "answered":
                self._answered(scenario, number, by=self._manager(), direction="callback")
            case "employee not reached":
                vain = (self._manager(),)
                self._unanswered(scenario, number, "missed", vain=vain, direction="callback")
            case _:
                outcome = "client_no_answer"
                self._unanswered(scenario, number, outcome, vain=(), direction="callback")

    def _outgoing_scenario(self, scenario: str) -> None:
        is_known = "known client" in scenario and "unknown" not in scenario
        client = self._next_known() if is_known else None
        number = client.number if client is not None else self._new_number()
        by = client.responsible if client is not None and self._dice.random() < 0.7 else self._manager()
        self._outgoing(
            scenario,
            number,
            by="1106" if "mobile" in scenario else by,
            answered="not answered" not in scenario,
            from_mobile="mobile" in scenario,
        )

    def _internal(self, scenario: str) -> None:
        caller, called = self._dice.sample(company.MANAGERS, 2)
        colleague = company.employee(called)
        to_mobile = self._dice.random() < 0.5
        number = colleague["mobile"] if to_mobile else colleague["extension"]
        self._outgoing(scenario, number, by=caller, answered=True, kind="internal")

    # --- one call each ---

    def _answered(
        self,
        scenario: str,
        number: str | None,
        *,
        by: str | None,
        vain: tuple[str, ...] = (),
        transfer: str | None = None,
        to: str = "",
        at: datetime | None = None,
        direction: str = "in",
        kind: str = "client",
        line: str | None = None,
    ) -> datetime:
        """An answered inbound call; when it ended. After an attended transfer ``to`` has a leg of its own."""
        start = at or self._some_instant(number)
        rung, moment = self._ring_in_vain(vain, start)
        destination = company.destination(by)
        ring = self._dice.randint(3, 14)
        rung.append({"employee": by, "destination": destination, "at": _iso(moment), "seconds": ring, "answered": True})
        moment += timedelta(seconds=ring)
        legs = [self._leg(by, moment, None)]
        moment += timedelta(seconds=legs[0]["talk_seconds"])
        if transfer is not None:
            ring = self._dice.randint(4, 10)
            rung.append(
                {
                    "employee": to,
                    "destination": company.destination(to),
                    "at": _iso(moment),
                    "seconds": ring,
                    "answered": True,
                }
            )
            moment += timedelta(seconds=ring)
            legs.append(self._leg(to, moment, transfer))
            moment += timedelta(seconds=legs[1]["talk_seconds"])
        self._note(
            scenario,
            number,
            start,
            moment,
            "answered",
            rung=rung,
            legs=legs,
            direction=direction,
            kind=kind,
            line=line,
        )
        return moment

    def _unanswered(
        self,
        scenario: str,
        number: str | None,
        outcome: str,
        *,
        vain: tuple[str, ...] = (),
        at: datetime | None = None,
        direction: str = "in",
    ) -> datetime:
        start = at or self._some_instant(number)
        rung, moment = self._ring_in_vain(vain, start)
        voicemail = self._dice.randint(6, 30) if outcome == "voicemail" else 0
        moment += timedelta(seconds=voicemail + self._dice.randint(2, 8))
        self._note(scenario, number, start, moment, outcome, rung=rung, voicemail=voicemail, direction=direction)
        return moment

    def _outgoing(
        self,
        scenario: str,
        number: str,
        *,
        by: str,
        answered: bool,
        at: datetime | None = None,
        from_mobile: bool = False,
        kind: str = "client",
    ) -> None:
        start = at or self._some_instant(number)
        employee = company.employee(by)
        destination = employee["mobile"] if from_mobile else company.destination(by)
        picked_up = start + self._seconds(6, 20)
        leg = self._leg(by, picked_up, None)
        leg["destination"] = destination
        end = picked_up + timedelta(seconds=leg["talk_seconds"] if answered else 15)
        self._note(
            scenario,
            number,
            start,
            end,
            "answered" if answered else "missed",
            legs=[leg] if answered else [],
            direction="out",
            kind=kind,
            initiator={"employee": by, "destination": destination},
        )

    def _note(
        self,
        scenario: str,
        number: str | None,
        start: datetime,
        end: datetime,
        outcome: str,
        *,
        rung: list[RungRecord] | None = None,
        legs: list[LegRecord] | None = None,
        direction: str = "in",
        kind: str = "client",
        line: str | None = None,
        initiator: dict[str, str] | None = None,
        voicemail: int = 0,
    ) -> None:
        self._sequence += self._dice.randint(1, 60)
        self._taken.setdefault(number or "", []).append(start)
        dialled = self._dice.choice(company.NUMBERS)
        inbound = direction != "out"
        self._calls.append(
            {
                "id": f"pbx1_-{int(start.timestamp())}.{self._sequence}",
                "scenario": scenario,
                "kind": kind,
                "direction": direction,
                "outcome": outcome,
                "client_number": number,
                "company_number": line or (dialled["number"] if inbound else company.NUMBERS[0]["number"]),
                "scheme": dialled["scheme"] if inbound else "",
                "started_at": _iso(start),
                "ended_at": _iso(end),
                "rung": rung or [],
                "legs": legs or [],
                "initiator": initiator,
                "voicemail_seconds": voicemail,
                "attribution": self._attribution(dialled) if inbound and kind == "client" else {},
                "number_of_client": 1,
            }
        )

    def _ring_in_vain(self, employees: tuple[str, ...], start: datetime) -> tuple[list[RungRecord], datetime]:
        rung: list[RungRecord] = []
        moment = start + timedelta(seconds=1)
        for employee in employees:
            seconds = self._dice.randint(10, 20)
            rung.append(
                {
                    "employee": employee,
                    "destination": company.destination(employee),
                    "at": _iso(moment),
                    "seconds": seconds,
                    "answered": False,
                }
            )
            moment += timedelta(seconds=seconds)
        return rung, moment

    def _leg(self, employee: str | None, at: datetime, transfer: str | None) -> LegRecord:
        return {
            "employee": employee,
            "destination": company.destination(employee),
            "answered_at": _iso(at),
            "talk_seconds": self._dice.randint(12, 420),
            "recording": True,
            "transfer": transfer,
        }

    def _submit_forms(self, count: int) -> None:
        for index in range(count):
            known = self._next_known() if index % 3 == 2 else None
            name = known.name if known is not None else company.person_name(self._dice)
            number = known.number if known is not None else self._new_number()
            at = self._some_instant(None)
            self._forms.append(
                {
                    "id": f"form-{int(at.timestamp())}.{index}",
                    "at": _iso(at),
                    "form": self._dice.choice(["Order", "Question", "Newsletter"]),
                    "page": f"{company.COMPANY['site']}/contacts",
                    "name": name,
                    "phone": company.spelling(number, self._dice.randrange(4)),
                    "email": f"client{index}@example.net",
                    "fields": {"city": self._dice.choice(["Київ", "Львів", "Одеса"])},
                    "attribution": self._attribution(company.NUMBERS[0]),
                }
            )

    # --- dice ---

    def _attribution(self, dialled: Mapping[str, Any]) -> dict[str, str]:
        """utm tags come with numbers of a pool only; a static number has just itself (R11)."""
        if not dialled["pool"]:
            return {}
        source, medium, campaign = self._dice.choice(company.CAMPAIGNS)
        return {
            "utm_source": source,
            "utm_medium": medium,
            "utm_campaign": campaign,
            "client_id": f"{self._dice.randrange(10**8, 10**9)}.{self._dice.randrange(10**9, 2 * 10**9)}",
            "landing": f"{company.COMPANY['site']}/catalogue",
            "referrer": "https://search.example/",
            "pool": dialled["pool"],
        }

    def _new_number(self) -> str:
        while True:
            operator = self._dice.choice(["50", "63", "67", "68", "93", "96", "97", "98", "99"])
            number = f"380{operator}{self._dice.randrange(2_000_000, 9_999_999)}"
            if number not in self._numbers_taken and number not in company.OWN_NUMBERS:
                self._numbers_taken.add(number)
                return number

    def _next_known(self) -> company.KnownClient:
        client = self._clients[self._known_turn % len(self._clients)]
        self._known_turn += 1
        return client

    def _manager(self) -> str:
        return self._dice.choice(company.MANAGERS)

    def _other(self, than: str) -> str:
        return self._dice.choice([employee for employee in company.MANAGERS if employee != than])

    def _seconds(self, least: int, most: int) -> timedelta:
        return timedelta(seconds=self._dice.randint(least, most))

    def _some_instant(self, number: str | None, *, latest: int = 18) -> datetime:
        """Within working hours, which begin at nine, and apart from this client's other calls."""
        start, end = self._instant(9, 0), self._instant(latest, 30)
        taken = self._taken.setdefault(number or "", [])
        apart = timedelta(minutes=25)
        for _ in range(200):
            instant = start + timedelta(seconds=self._dice.randrange(int((end - start).total_seconds())))
            if not number or all(abs(instant - other) > apart for other in taken):
                break
        return instant

    def _instant(self, hour: int, minute: int) -> datetime:
        return datetime.combine(self._day, time(hour, minute), tzinfo=self._zone).astimezone(UTC)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def main() -> None:
    """Write a traffic file to standard output."""
    parser = argparse.ArgumentParser(prog="python -m hub.demo.traffic", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--day", type=date.fromisoformat, default=DEFAULT_DAY)
    parser.add_argument("--calls", type=int, default=150)
    chosen = parser.parse_args()
    traffic = generate(seed=chosen.seed, day=chosen.day, calls=chosen.calls)
    json.dump(traffic.to_record(), sys.stdout, ensure_ascii=False, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
