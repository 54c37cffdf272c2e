"""The brake on guessed passwords (H8): whoever guesses waits ever longer, and keeps nobody else out.

Failures count for an address, and for a login as tried from that address; never for a login as a whole, or anybody
could lock the administrator out. A browser that has logged in before has a count of its own: behind one office
address, or a proxy that `HUB_PROXIES` does not name, a colleague who guesses does not stop it either.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv6Address, ip_address

from hub.clock import Clock
from hub.store.crypto import Cipher

__all__ = ["DEVICE_COOKIE", "DEVICE_LIFE", "Guesses", "Tally", "device_for", "keys_of"]

#: tells that this browser has logged in before; it opens nothing
DEVICE_COOKIE = "hub_device"
DEVICE_LIFE = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Tally:
    """One key under which failures are counted, and how many of them cost nothing."""

    key: str
    free: int


def keys_of(address: str, login: str, device: str, cipher: Cipher) -> tuple[Tally, ...]:
    """Under what a try of ``login`` counts: the known ``device`` (its cookie), else the address, alone and with it."""
    number, _, signature = device.partition(".")
    given = signature.encode("utf-8", "surrogatepass")
    if any(hmac.compare_digest(one.encode(), given) for one in cipher.hashes_of(_told(login, number))):
        return (Tally(f"device {number}", 5),)
    network = _network(address)
    # one office has one address, and more than one person who mistypes
    return (Tally(f"login {login} from {network}", 5), Tally(f"address {network}", 20))


def device_for(login: str, cipher: Cipher) -> str:
    """The cookie of a browser that has just logged in as ``login``."""
    number = secrets.token_urlsafe(12)
    return f"{number}.{cipher.hash_secret(_told(login, number))}"


def _told(login: str, number: str) -> str:
    return f"device {number} of {login}"


def _network(address: str) -> str:
    """The address; of IPv6 the network that one customer has as a whole."""
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(known, IPv6Address):
        return str(known.ipv4_mapped or IPv6Address(int(known) >> 64 << 64))
    return str(known)


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last: float = 0.0
    #: monotonic seconds until which the next try waits
    until: float = 0.0


@dataclass(slots=True)
class Guesses:
    """Failures by key, in the memory of one process: beyond those that are free each one doubles the wait.

    A try that has to wait is refused unseen and counts for nothing. Keys are bounded: the oldest are forgotten first,
    so that made-up logins cannot fill the memory.
    """

    clock: Clock
    #: the first wait, and the longest
    first: timedelta = timedelta(seconds=5)
    longest: timedelta = timedelta(minutes=15)
    #: after so long without a failure they are forgotten
    remembered: timedelta = timedelta(hours=1)
    keys: int = 10_000
    _failed: dict[str, _Failures] = field(default_factory=dict)

    def wait(self, tallies: Sequence[Tally]) -> timedelta:
        """How long the next try has to wait; nothing if it may be made now."""
        now = self.clock.monotonic()
        waits = (found.until - now for tally in tallies if (found := self._failed.get(tally.key)))
        return timedelta(seconds=max(0.0, *waits, 0.0))

    def failed(self, tallies: Sequence[Tally]) -> None:
        """Count a failure; before the slow comparison, so that many at once count too."""
        now = self.clock.monotonic()
        for tally in tallies:
            # what fails again is the youngest
            found = self._failed.pop(tally.key, None)
            if found is None or now - found.last > self.remembered.total_seconds():
                found = _Failures()
            self._failed[tally.key] = found
            found.count, found.last = found.count + 1, now
            if found.count >= tally.free:
                # beyond sixty doublings there is no number for it
                doubled = self.first.total_seconds() * 2.0 ** min(found.count - tally.free, 60)
                found.until = now + min(doubled, self.longest.total_seconds())
            while len(self._failed) > self.keys:
                self._failed.pop(next(iter(self._failed)))

    def succeeded(self, tallies: Sequence[Tally]) -> None:
        """The right password was given: this try was none, and the first key's failures are forgotten.

        Those of the address stay: an account of one's own is no licence to guess others'.
        """
        for place, tally in enumerate(tallies):
            found = self._failed.get(tally.key)
            if found is None:
                continue
            found.count -= 1
            if found.count < tally.free:
                found.until = 0.0
            if place == 0 or found.count <= 0:
                del self._failed[tally.key]
