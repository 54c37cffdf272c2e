"""The brake on guessed passwords: who waits, how long, and who does not (H8)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hub.clock import FakeClock
from hub.store.crypto import Cipher
from hub.web.console.guesses import Guesses, Tally, device_for, keys_of

CIPHER = Cipher(["k" * 32])


@pytest.fixture
def guesses(clock: FakeClock) -> Guesses:
    return Guesses(clock=clock, keys=5)


def _fail(guesses: Guesses, clock: FakeClock, address: str, login: str = "olha") -> timedelta:
    """Fail as soon as it is allowed; how long the next try waits then."""
    tallies = keys_of(address, login, "", CIPHER)
    clock.advance(guesses.wait(tallies))
    guesses.failed(tallies)
    return guesses.wait(tallies)


def test_each_failure_beyond_the_free_ones_doubles_the_wait(guesses: Guesses, clock: FakeClock) -> None:
    waits = [_fail(guesses, clock, "192.0.2.1").total_seconds() for _ in range(14)]
    assert waits == [0, 0, 0, 0, 5, 10, 20, 40, 80, 160, 320, 640, 900, 900]
    clock.advance(timedelta(hours=2))
    assert _fail(guesses, clock, "192.0.2.1") == timedelta(0), "what is long ago is forgotten"


def test_an_address_that_tries_many_logins_waits_too(guesses: Guesses, clock: FakeClock) -> None:
    waits = [_fail(guesses, clock, "192.0.2.1", f"login-{number}") for number in range(21)]
    assert [bool(wait) for wait in waits] == [False] * 19 + [True] * 2
    assert guesses.wait(keys_of("192.0.2.2", "login-1", "", CIPHER)) == timedelta(0)


def test_an_account_of_ones_own_is_no_licence_to_guess_others(guesses: Guesses, clock: FakeClock) -> None:
    own = keys_of("192.0.2.1", "own", "", CIPHER)
    for number in range(19):
        _fail(guesses, clock, "192.0.2.1", f"login-{number}")
        guesses.failed(own)
        guesses.succeeded(own)
    assert _fail(guesses, clock, "192.0.2.1", "one more") > timedelta(0)


ADDRESSES = [
    # one address          another                  are they one visitor's?
    ("192.0.2.1", "192.0.2.1", True),
    ("192.0.2.1", "192.0.2.2", False),
    ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
    ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
    ("::ffff:192.0.2.1", "192.0.2.1", True),
    ("fe80::1%eth0", "fe80::1", True),
    ("", "", True),
]


@pytest.mark.parametrize(("one", "other", "is_one"), ADDRESSES)
def test_a_customers_whole_ipv6_network_is_one_visitor(one: str, other: str, is_one: bool) -> None:
    assert (keys_of(one, "olha", "", CIPHER) == keys_of(other, "olha", "", CIPHER)) is is_one


def test_a_browser_that_logged_in_has_a_count_of_its_own() -> None:
    cookie = device_for("olha", CIPHER)
    (known,) = keys_of("192.0.2.1", "olha", cookie, CIPHER)
    assert known.key.startswith("device ")
    strangers = keys_of("192.0.2.1", "olha", "", CIPHER)
    for made_up in ("x", ".", f"x{cookie}", cookie.partition(".")[0], "\udcff.\udcff"):
        assert keys_of("192.0.2.1", "olha", made_up, CIPHER) == strangers
    assert keys_of("192.0.2.1", "oleg", cookie, CIPHER) != (known,)
    # the secret key was replaced: the old one still tells
    assert keys_of("192.0.2.1", "olha", cookie, Cipher(["n" * 32, "k" * 32])) == (known,)


def test_made_up_logins_do_not_fill_the_memory(guesses: Guesses) -> None:
    for number in range(50):
        guesses.failed((Tally(f"login {number}", 5),))
    assert len(guesses._failed) == 5
