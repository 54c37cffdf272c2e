"""What the hub expects of a sink's way to its vendor: pace, credentials, tokens, secrets (X4, X6, H8)."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace

import httpx
from pydantic import BaseModel, SecretStr

from hub.errors import NeedsCredentials, VendorError
from hub.ports import HasOAuth, SinkSession
from hub.runtime.pace import PacedTransport, Pacer
from hub.testing.check import Checks, expect, fail, told
from hub.testing.crm_bench import CrmBench
from hub.testing.crm_steps import new_contact
from hub.testing.outfit import Fault, RotatesTokens

__all__ = ["CHECKS"]

CHECKS: Checks[CrmBench] = Checks()


def _has_oauth(sink: object) -> bool:
    return isinstance(sink, HasOAuth)


# --- pace -------------------------------------------------------------------------------------------------------


@CHECKS.add()
async def every_request_goes_through_the_hubs_client(bench: CrmBench) -> None:
    """X6: what does not go through ``context.http`` is not paced, counted or timed."""
    before = bench.stage.requests()
    bench.wire.requests.clear()
    await bench.session.catalogue()
    await bench.done(new_contact(bench))
    async for _ in bench.session.changes(""):
        pass
    asked, seen = len(bench.wire.requests), bench.stage.requests() - before
    expect(asked == seen, f"the vendor was asked {seen} times, through the hub's client {asked} times")
    expect(asked > 0, "the vendor was not asked at all")


@CHECKS.add()
async def the_declared_pace_is_within_the_vendors_limit(bench: CrmBench) -> None:
    """X6: `Pace` is what the vendor grants: a burst that keeps to it is never refused."""
    pace = bench.capabilities.pace
    most = min(pace.requests + 3, 40)
    pacer = Pacer(pace, bench.clock)
    bench.stage.limit()
    async with httpx.AsyncClient(transport=PacedTransport(_Shared(bench), pacer), trust_env=False, timeout=30) as http:
        session = bench.outfit.sink.open(replace(bench.context, http=http))
        writes = [new_contact(bench) for _ in range(most)]
        room = asyncio.Semaphore(bench.capabilities.pace.in_flight or most)

        async def send(place: int) -> None:
            async with room:
                await session.apply([writes[place]])

        # to the end, whatever one of them meets: a request that is left behind would outlive the check
        ends = await asyncio.gather(*(send(place) for place in range(most)), return_exceptions=True)
        await session.close()
    met = next((end for end in ends if isinstance(end, BaseException)), None)
    if met is not None:
        fail(f"{most} requests at the declared pace of {pace.requests} in {pace.per}: {told(met)}", met)
    refused = bench.stage.violations()
    expect(refused == 0, f"at the declared pace of {pace.requests} in {pace.per} the vendor refused {refused} requests")


class _Shared(httpx.AsyncBaseTransport):
    """The bench's own way out, left open by whoever borrows it."""

    def __init__(self, bench: CrmBench) -> None:
        self._wire = bench.wire

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._wire.handle_async_request(request)


# --- credentials ------------------------------------------------------------------------------------------------


@CHECKS.add()
async def credentials_that_are_refused_stop_the_connection_and_new_ones_mend_it(bench: CrmBench) -> None:
    """Issue 4: NeedsCredentials from every method, nothing is applied; after reconnecting the step goes through."""
    write = new_contact(bench)
    bench.stage.revoke()
    before = bench.refs()

    async def drain(feed: object) -> None:
        async for _ in feed:  # type: ignore[attr-defined]  # both feeds are asynchronous iterators
            pass

    asking: dict[str, Callable[[], Awaitable[object]]] = {
        "catalogue": bench.session.catalogue,
        "apply": lambda: bench.session.apply([write]),
        "find_done": lambda: bench.session.find_done([write]),
        "changes": lambda: drain(bench.session.changes("")),
        "import_all": lambda: drain(bench.session.import_all("")),
    }
    for name, ask in asking.items():
        try:
            await ask()
        except NeedsCredentials as err:
            expect(bool(str(err).strip()), f"{name}: NeedsCredentials without a sentence for the administrator")
        except Exception as err:  # noqa: BLE001 - that nothing else is raised is what is tested
            fail(f"{name} with revoked credentials raised {told(err)} instead of NeedsCredentials", err)
        else:
            fail(f"{name} with revoked credentials went through")
    expect(bench.refs() == before, "something was applied without credentials")
    context = replace(bench.context, settings=bench.stage.settings())
    context = replace(context, settings=await bench.stage.connect(context))
    session = bench.outfit.sink.open(context)
    answer = await session.apply([write])
    expect(write.key in answer, "with new credentials the step does not go through")
    await session.close()


@CHECKS.add()
async def no_secret_is_ever_shown(bench: CrmBench) -> None:
    """H8: neither in a log nor in an error nor in a repr, whatever goes wrong."""
    shown: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            shown.append(record.getMessage())
            if record.exc_info and record.exc_info[1]:
                shown.append("".join(traceback.format_exception_only(record.exc_info[1])))

    handler, root = Keep(logging.DEBUG), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        write = new_contact(bench)
        for fault in Fault:
            bench.stage.fail_next(write, fault)
            shown.append(await _error(bench.session, bench))
        bench.stage.revoke()
        shown.append(await _error(bench.session, bench))
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    shown += [repr(bench.context.settings), repr(bench.session), repr(bench.outfit.sink)]
    text = "\n".join(shown)
    secrets = {*_secrets(bench.context.settings), *(_tokens(bench.state.value))}
    told_ones = [secret[:3] + "…" for secret in secrets if len(secret) > 5 and secret in text]
    expect(not told_ones, f"secrets were shown, beginning with {', '.join(told_ones)}")


async def _error(session: SinkSession, bench: CrmBench) -> str:
    try:
        await session.apply([new_contact(bench)])
    except VendorError as err:
        return f"{err!r} {err}"
    return ""


def _secrets(settings: BaseModel) -> list[str]:
    values = (getattr(settings, name) for name in type(settings).model_fields)
    return [value.get_secret_value() for value in values if isinstance(value, SecretStr)]


def _tokens(value: object) -> list[str]:
    """Long texts in the stored state: tokens, as far as one can tell from outside."""
    if isinstance(value, dict):
        return [found for inner in value.values() for found in _tokens(inner)]
    if isinstance(value, list):
        return [found for inner in value for found in _tokens(inner)]
    return [value] if isinstance(value, str) and len(value) >= 24 and " " not in value and "/" not in value else []


# --- tokens -----------------------------------------------------------------------------------------------------


async def _by_oauth(bench: CrmBench) -> tuple[CrmBench, RotatesTokens]:
    """The same account, connected in the browser."""
    stage = bench.stage
    if not isinstance(stage, RotatesTokens):
        fail("the sink has OAuth, and its stage is no RotatesTokens to try it with")
    settings = await stage.connect_by_oauth(bench.context)
    context = replace(bench.context, settings=settings)
    connected = replace(bench, context=context, session=bench.outfit.sink.open(context))
    try:
        await connected.session.connect()
    except VendorError as err:
        fail(f"after the consent connect raised {told(err)}", err)
    return connected, stage


@CHECKS.add(_has_oauth)
async def sessions_at_once_renew_a_token_once(bench: CrmBench) -> None:
    """DESIGN 4: where a refresh token works once, the second use of it would end the connection."""
    connected, tokens = await _by_oauth(bench)
    other = connected.another()
    await asyncio.gather(connected.session.catalogue(), other.catalogue())
    before = tokens.refreshes()
    connected.advance(tokens.expires_after)
    try:
        await asyncio.gather(*(session.catalogue() for session in (connected.session, other) for _ in range(4)))
    except VendorError as err:
        fail(f"eight requests with an expired token: {told(err)}", err)
    count = tokens.refreshes() - before
    expect(count == 1, f"eight requests of two sessions renewed the token {count} times")


@CHECKS.add(_has_oauth)
async def a_token_is_stored_before_it_is_used(bench: CrmBench) -> None:
    """DESIGN 4: a crash between use and storing would lose the connection."""
    connected, tokens = await _by_oauth(bench)
    connected.advance(tokens.expires_after)
    early: list[str] = []

    async def watch(request: httpx.Request) -> None:
        bearer = request.headers.get("authorization", "").rpartition(" ")[2]
        if bearer and bearer not in json.dumps(connected.state.value):
            early.append(str(request.url.path))

    before = tokens.refreshes()
    connected.wire.before = watch
    try:
        await connected.session.catalogue()
    finally:
        connected.wire.before = None
    expect(tokens.refreshes() > before, "an expired token was not renewed")
    expect(not early, f"a token was used at {early[:1]} that is not stored")


@CHECKS.add(_has_oauth)
async def a_crash_between_renewing_and_storing_loses_no_connection(bench: CrmBench) -> None:
    """DESIGN 4: tokens are renewed early enough, or can be renewed again; another process goes on."""

    class Crash(BaseException):
        """The process ends here."""

    connected, tokens = await _by_oauth(bench)
    connected.advance(tokens.renews_after)
    before = tokens.refreshes()
    connected.state.crash = Crash()  # type: ignore[assignment]  # not an Exception, so that nobody can catch it
    try:
        await connected.session.catalogue()
    except Crash:
        pass
    except VendorError as err:
        fail(f"renewing raised {told(err)}", err)
    expect(tokens.refreshes() > before, f"nothing was renewed {tokens.renews_after} after connecting")
    connected.state.crash = None
    try:
        await connected.another().catalogue()
    except VendorError as err:
        fail(f"after a crash between renewing and storing the connection is lost: {told(err)}", err)


@CHECKS.add(_has_oauth)
async def a_failed_renewal_is_tried_again(bench: CrmBench) -> None:
    """A vendor that is down while a token is renewed: Unavailable and nothing in doubt; then all is well."""
    connected, tokens = await _by_oauth(bench)
    connected.advance(tokens.expires_after)
    write = new_contact(connected)

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("down", request=request)

    connected.wire.answer = refuse
    try:
        await connected.session.apply([write])
    except NeedsCredentials as err:
        fail(f"a vendor that is down is no reason to ask for new credentials: {err}", err)
    except VendorError as err:
        maybe = getattr(err, "maybe_applied", False)
        expect(not maybe, "a step that waited for its token is not in doubt (maybe_applied)")
    else:
        fail("a vendor that is down went unnoticed")
    finally:
        connected.wire.answer = None
    await connected.done(write)
