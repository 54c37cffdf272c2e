"""What people change in the CRM is in the directory within a stated bound, by webhook or by polling alone (H6, X9)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pytest
from hub_amocrm.sandbox import Sandbox

from hub.clock import FakeClock
from hub.core.phone import Phone
from hub.core.records import Contact, RecordKind, RecordRef
from hub.errors import Unavailable
from hub.ports import Changes
from hub.runtime.account import Health
from hub.runtime.feeds import Feed, feed_cursor
from hub.runtime.pace import Pacer
from hub.store import inbox, projects
from hub.store.inbox import InboxStatus
from tests.ports import free_port
from tests.runtime.connected import CRM, PROJECT, Connected, connected, hooks, until

IRINA, OLEG = 8800101, 8800102
FAST = {"poll": timedelta(seconds=2), "poll_alone": timedelta(seconds=0.5)}


def responsible(company: Connected, phone: str) -> str | None:
    """Whose the client is, as the directory answers."""
    found = company.hub.services.directory.lookup(PROJECT, CRM, Phone(phone))
    return found.contacts[0].responsible if found.contacts else None


@asynccontextmanager
async def running(feed: Feed) -> AsyncIterator[Feed]:
    task = asyncio.create_task(feed.run())
    try:
        await until(lambda: bool(feed_cursor(feed.account)))
        yield feed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_polling_alone_answers_with_the_new_responsible_within_the_bound(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """Change the responsible in the CRM: as long as the directory does not answer with them, it promises no less (X9).

    The promise is measured on the hub's own clock, so it holds on a machine that stands still as well.
    """
    sandbox, _ = amocrm
    async with connected(tmp_path, *amocrm) as company, running(company.feed(**FAST)) as feed:
        clock = company.hub.services.clock
        creating = clock.now()
        contact = sandbox.person("create_contact", name="Client", phone="+380501112233", responsible_user_id=OLEG)
        await until(lambda: responsible(company, "+380501112233") == f"@{OLEG}")
        # measured a moment after the directory has it
        await until(lambda: feed.measured("poll").count >= 1)
        creation = clock.now() - creating
        # the CRM tells whole seconds: a second change needs a new one
        await asyncio.sleep(1.1)
        begun, poll = list[datetime](), feed.poll

        async def noted() -> None:
            begun.append(clock.now())
            await poll()

        feed.poll = noted  # type: ignore[method-assign]
        changing = clock.now()
        sandbox.person("change_responsible", entity="contacts", id=contact["id"], user_id=IRINA)
        changed = clock.now()

        def is_known_or_within_the_bound() -> bool:
            if responsible(company, "+380501112233") == f"@{IRINA}":
                return True
            bound = feed.bound()
            assert bound is not None
            assert clock.now() - changed <= bound
            return False

        await until(is_known_or_within_the_bound)
        assert feed.webhooks_are_healthy is False
        # the first that begins after the change brings it; one that was under way then may not
        assert sum(at > changed for at in begun) <= 1
        await until(lambda: feed.measured("poll").count >= 2)
        assert feed.measured("poll").slowest <= max(creation, clock.now() - changing) + timedelta(seconds=1)


async def test_a_webhook_answers_with_the_new_responsible_long_before_the_next_poll(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    sandbox, _ = amocrm
    contact = sandbox.person("create_contact", name="Client", phone="+380501112233", responsible_user_id=OLEG)
    port = free_port()
    async with connected(tmp_path, *amocrm, public_url=f"http://127.0.0.1:{port}") as company:
        # no second poll comes while the test waits
        feed = company.feed(poll=timedelta(minutes=30))
        async with hooks(company, feed, port), running(feed):
            await asyncio.sleep(1.1)
            sandbox.person("change_responsible", entity="contacts", id=contact["id"], user_id=IRINA)
            await until(lambda: responsible(company, "+380501112233") == f"@{IRINA}")
            assert feed.webhooks_are_healthy is True
            await until(lambda: feed.measured("webhook").count >= 1)
            assert feed.measured("webhook").slowest < timedelta(minutes=5)


async def test_many_touched_records_are_read_in_one_request(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """X9: what was touched within one debounce is read together, each record once."""
    sandbox, _ = amocrm
    ids = [sandbox.person("create_contact", name=f"C{n}", phone=f"+38050111{n:04}")["id"] for n in range(60)]
    refs = [RecordRef(kind=RecordKind.CONTACT, id=str(id)) for id in ids]
    async with connected(tmp_path, *amocrm) as company:
        # a busy machine may take longer to touch them than the debounce: then a longer one decides
        for seconds in (0.5, 5, 50):
            feed = company.feed(
                poll=timedelta(minutes=5), poll_alone=timedelta(minutes=5), debounce=timedelta(seconds=seconds)
            )
            async with running(feed):
                # its first poll is over, which would read what is touched beside it
                await until(lambda feed=feed: feed.bound() is not None)  # type: ignore[misc]  # a default in a lambda
                before, began = len(sandbox.requests()), time.monotonic()
                await asyncio.gather(*(feed.touch([ref]) for ref in refs))
                were_together = time.monotonic() - began < seconds
                await until(lambda: not company.account.directory.touched(PROJECT, CRM))
                asked = len(sandbox.requests()) - before
            if were_together:
                break
        assert were_together
        assert asked == 1
        assert responsible(company, "+380501110059") is not None


async def test_a_record_deleted_by_a_person_is_gone(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    sandbox, _ = amocrm
    port = free_port()
    async with connected(tmp_path, *amocrm, public_url=f"http://127.0.0.1:{port}") as company:
        feed = company.feed(**FAST)
        async with hooks(company, feed, port), running(feed):
            contact = sandbox.person("create_contact", name="Client", phone="+380501112233")
            await until(lambda: responsible(company, "+380501112233") is not None)
            sandbox.person("delete", entity="contacts", id=contact["id"])
            await until(lambda: responsible(company, "+380501112233") is None)


async def test_lost_webhooks_make_polls_more_frequent_until_one_arrives(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    sandbox, _ = amocrm
    port = free_port()
    async with connected(tmp_path, *amocrm, public_url=f"http://127.0.0.1:{port}") as company:
        feed = company.feed(poll=timedelta(seconds=2.5), patience=timedelta(seconds=0), poll_alone=timedelta(seconds=1))
        async with hooks(company, feed, port), running(feed):
            sandbox.switch(webhooks_enabled=False)
            await asyncio.sleep(1.1)
            sandbox.person("create_contact", name="Client", phone="+380501112233")
            await until(lambda: feed.webhooks_are_healthy is False)
            assert responsible(company, "+380501112233") is not None
            sandbox.switch(webhooks_enabled=True)
            sandbox.person("create_contact", name="Other", phone="+380501112244")
            await until(lambda: feed.webhooks_are_healthy is True)


async def test_the_feed_goes_on_from_its_cursor_after_a_restart(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    sandbox, _ = amocrm
    async with connected(tmp_path, *amocrm) as company:
        async with running(company.feed(**FAST)):
            pass
        sandbox.person("create_contact", name="Client", phone="+380501112233")
        assert responsible(company, "+380501112233") is None
        async with running(company.feed(**FAST)):
            await until(lambda: responsible(company, "+380501112233") is not None)
            await until(lambda: RecordKind.CONTACT in company.account.complete_until)
        row = company.hub.services.store.read_now(
            lambda conn: projects.find_connection(conn, company.hub.services.cipher, PROJECT, CRM)
        )
        assert row is not None
        assert row.feed_cursor
        assert row.feed_at == company.account.complete_until[RecordKind.CONTACT].at
        # ahead by the poll that was ended between the directory and the cursor: it is read once more
        as_of = company.account.directory.as_of(PROJECT, CRM)
        assert as_of is not None
        assert row.feed_at is not None
        assert as_of >= row.feed_at


async def test_a_crm_that_is_down_is_waited_for_and_caught_up_with(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    sandbox, _ = amocrm
    async with connected(tmp_path, *amocrm) as company, running(company.feed(**FAST)) as feed:
        sandbox.switch(down=True)
        await until(lambda: company.account.health is Health.RETRYING)
        sandbox.person("create_contact", name="Client", phone="+380501112233")
        sandbox.switch(down=False)
        await until(lambda: responsible(company, "+380501112233") is not None)
        await until(lambda: company.account.health is Health.READY)
        assert not feed.is_late()


async def test_a_poll_leaves_a_burst_the_requests_but_not_for_ever(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """It reads again all that the hub writes; it waits two intervals more at most, and alarms nobody (H5)."""
    half = timedelta(seconds=0.5)
    async with connected(tmp_path, *amocrm) as company, running(company.feed(poll=half, poll_alone=half)) as feed:
        known = company.account.complete_until
        await until(lambda: RecordKind.CONTACT in known)
        company.account.pacer = cast(Pacer, SimpleNamespace(headroom=0.2, succeeded=lambda: None))
        before = known[RecordKind.CONTACT].at
        await until(lambda: known[RecordKind.CONTACT].at > before)
        first = known[RecordKind.CONTACT].at
        await until(lambda: known[RecordKind.CONTACT].at > first)
        assert known[RecordKind.CONTACT].at - first >= 3 * half
        first = known[RecordKind.CONTACT].at
        feed.poll_soon()
        await until(lambda: known[RecordKind.CONTACT].at > first)
        assert not feed.is_late()


async def test_an_unreadable_webhook_is_kept_and_shown(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """H11."""
    port = free_port()
    async with connected(tmp_path, *amocrm, public_url=f"http://127.0.0.1:{port}") as company:
        services = company.hub.services
        feed = company.feed(**FAST)
        async with hooks(company, feed, port), running(feed), httpx.AsyncClient() as http:
            account_id = company.account.session.catalogue
            found = (await account_id()).account_id
            body = {"account[id]": found, "contacts[update][0][id]": "x"}
            await http.post(f"http://127.0.0.1:{port}/crm/hook", data=body)

            def rows() -> list[inbox.Received]:
                return services.store.read_now(
                    lambda conn: inbox.list_received(conn, statuses=[InboxStatus.UNREADABLE])
                )

            await until(lambda: bool(rows()))
            assert rows()[0].field == "contacts[update][id]"


async def test_own_writes_that_touched_records_are_read_again(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    sandbox, _ = amocrm
    contact = sandbox.person("create_contact", name="Client", phone="+380501112233", responsible_user_id=OLEG)
    ref = RecordRef(kind=RecordKind.CONTACT, id=str(contact["id"]))
    async with connected(tmp_path, *amocrm) as company:
        feed = company.feed(poll=timedelta(seconds=60), poll_alone=timedelta(seconds=60))
        async with running(feed):
            await company.account.fold_own(Changes(touched=(ref,)), company.hub.services.clock.now())
            feed.wake()
            await until(lambda: responsible(company, "+380501112233") == f"@{OLEG}")


async def test_a_page_read_before_our_own_write_does_not_overwrite_it(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """What an import or a poll read earlier loses against what we did since (H6)."""
    async with connected(tmp_path, *amocrm) as company:
        now = company.hub.services.clock.now()
        phone = Phone("+380501112233")
        own = Contact(id="7", name="ours", phones=(phone,), responsible=None)
        await company.account.fold_own(Changes(contacts=(own,)), now)
        old = Contact(id="7", name="old", phones=(phone,), updated_at=now - timedelta(hours=1))
        await company.account.directory.fold_async(PROJECT, CRM, Changes(contacts=(old,)), now - timedelta(minutes=5))
        found = company.account.directory.lookup(PROJECT, CRM, phone)
        assert [contact.name for contact in found.contacts] == ["ours"]


async def test_polls_that_cost_a_daily_budget_are_no_oftener_than_the_sink_says(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """H5: `SinkCapabilities.poll_every` is the least interval, and the bound that is promised tells it (X9)."""
    async with connected(tmp_path, *amocrm) as company:
        feed = company.feed(**FAST)
        await feed.poll()
        company.account.capabilities = replace(
            company.account.capabilities, poll_every=(timedelta(minutes=5), timedelta(minutes=1))
        )
        feed.webhooks_are_healthy = False
        alone = feed.bound()
        feed.webhooks_are_healthy = True
        heard = feed.bound()
        assert alone is not None
        assert heard is not None
        assert alone >= timedelta(minutes=1)
        assert heard >= timedelta(minutes=5)


async def test_our_own_write_is_dated_by_the_crms_clock_also_after_a_restart(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """X9: with a clock that is ahead it would look newer than what a person changed right after it."""
    ahead, phone = timedelta(minutes=10), Phone("+380501112233")
    own = Changes(contacts=(Contact(id="7", name="ours", phones=(phone,)),))
    async with connected(tmp_path, *amocrm) as company:
        account, now = company.account, company.hub.services.clock.now()
        account.vendor_clock.ahead = ahead
        await account.fold_own(own, now + ahead)
        person = Contact(id="7", name="theirs", phones=(phone,), updated_at=now + timedelta(minutes=1))
        await account.fold(Changes(contacts=(person,)), now + ahead + timedelta(minutes=2))
        assert [one.name for one in account.directory.lookup(PROJECT, CRM, phone).contacts] == ["theirs"]
        # the next process has heard nothing of the CRM's clock when it repeats what was done last
        account.vendor_clock.ahead = timedelta()
        await account.fold_effects([(now + ahead, own)], now)
        assert [one.name for one in account.directory.lookup(PROJECT, CRM, phone).contacts] == ["theirs"]


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_is_set_leaves_a_crm_alone_no_longer_than_meant(
    tmp_path: Path, amocrm: tuple[Sandbox, str], hours: int
) -> None:
    """H4: the pause is time that passes, not a time of the day."""
    clock = FakeClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
    async with connected(tmp_path, *amocrm) as company:
        company.account.clock = clock
        pause = company.account.failed(Unavailable("away"))
        clock.step(timedelta(hours=hours))
        assert not company.account.may_ask
        clock.advance(pause)
        assert company.account.may_ask
