"""What the hub expects of a sink when things go wrong: each answer is the error that says what follows (X4, X5)."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import httpx

from hub.errors import Rejected, Stale, Throttled, VendorError
from hub.ports import Done, Refused
from hub.testing.check import Checks, Several, expect, fail, told
from hub.testing.crm_bench import CrmBench
from hub.testing.crm_steps import CREATING, each, new_contact
from hub.testing.crm_writing import unavailable
from hub.testing.outfit import Fault

__all__ = ["CHECKS"]

CHECKS: Checks[CrmBench] = Checks()

T = TypeVar("T")


@CHECKS.add()
async def being_throttled_is_told_and_passes(bench: CrmBench) -> None:
    """Throttled, nothing applied; the same step then goes through."""
    several = Several()
    for kind, step in each(bench):
        with several.case(step.name):
            write = step.make(bench)
            before = bench.refs()
            bench.stage.fail_next(write, Fault.THROTTLED)
            try:
                await bench.session.apply([write])
            except Throttled:
                pass
            except Exception as err:  # noqa: BLE001 - as above
                fail(f"the vendor asked to slow down, and apply raised {told(err)} instead of Throttled", err)
            else:
                fail("the vendor asked to slow down, and nobody noticed")
            expect(kind not in CREATING or bench.refs() == before, "something was applied all the same")
            await bench.done(write)
    several.report()


@CHECKS.add()
async def a_refused_connection_leaves_nothing_in_doubt(bench: CrmBench) -> None:
    """`Unavailable.maybe_applied` is False only if the request never reached the vendor, and True if it may have."""
    write = new_contact(bench)

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    def hang(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("no answer", request=request)

    for answer, maybe in ((refuse, False), (hang, True)):
        bench.wire.answer = answer
        error = await unavailable(bench, write)
        bench.wire.answer = None
        how = "refused connection" if answer is refuse else "timeout"
        expect(error.maybe_applied is maybe, f"after a {how} maybe_applied is {error.maybe_applied}")
    await bench.done(write)


_ODD_PAUSES = ("1000000000000", "-5", "0", "9" * 5000, "\u00b2", "nan", "soon", "Wed, 21 Oct 2015 07:28:00 GMT")


@CHECKS.add()
async def an_absurd_retry_after_stops_nothing_for_long(bench: CrmBench) -> None:
    """Whatever the header says, it is a VendorError, and the account is asked again within the hour."""
    several = Several()
    for text in _ODD_PAUSES:

        def answer(request: httpx.Request, text: str = text) -> httpx.Response:
            headers = [(b"retry-after", text.encode("latin-1"))]
            return httpx.Response(429, headers=headers, content=b"{}", request=request)

        with several.case(f"Retry-After: {text[:30]}"):
            bench.wire.answer = answer
            try:
                await bench.session.apply([new_contact(bench)])
            except Throttled as err:
                pause = err.retry_after or timedelta(0)
                expect(timedelta(0) <= pause <= timedelta(hours=1), f"it is to be left alone for {pause}")
            except VendorError:
                pass
            except Exception as err:  # noqa: BLE001 - as above
                fail(f"apply raised {told(err)}", err)
            finally:
                bench.wire.answer = None
    several.report()


_ODD_ANSWERS = (
    (200, "text/html", b"<html>We will be back soon</html>"),
    (200, "application/json", b"[]"),
    (200, "application/json", b"{}"),
    (200, "application/json", b"null"),
    (200, "application/json", b'{"_embedded": 5, "data": 5, "success": 5, "id": {}}'),
    (200, "application/json", b'{"_embedded": {"contacts": [{}]}, "data": [{}], "success": true}'),
    (204, "", b""),
    (302, "text/html", b""),
    (400, "application/json", b"[]"),
    (400, "text/html", b"Bad Request"),
    (404, "text/html", b"Not Found"),
    (409, "application/json", b"{"),
    (422, "application/json", b'{"errors": 7}'),
    (500, "text/html", b"\xff\xfe"),
    (502, "text/html", b"Bad Gateway"),
    (503, "", b""),
)


async def _asked(bench: CrmBench, odd: tuple[int, str, bytes], asking: Awaitable[T], what: str) -> T | None:
    """What comes of ``asking`` while the vendor answers so; None for an error that says what follows."""
    status, kind, body = odd

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers={"content-type": kind} if kind else {}, content=body, request=request)

    bench.wire.answer = answer
    try:
        return await asking
    except VendorError:
        return None
    except Exception as err:  # noqa: BLE001 - as above
        fail(f"{what} raised {told(err)}", err)
    finally:
        bench.wire.answer = None


@CHECKS.add()
async def whatever_the_vendor_answers_is_a_vendor_error(bench: CrmBench) -> None:
    """Every status and body becomes a type of hub.errors, which says what follows; nothing is believed to be done."""
    several = Several()
    for odd in _ODD_ANSWERS:
        for kind, step in each(bench):
            write = step.make(bench)
            with several.case(f"{step.name} answered with {odd[0]} {odd[2][:40]!r}"):
                made = await _asked(bench, odd, bench.session.apply([write]), "apply")
                answer = None if made is None else made.get(write.key)
                expect(not (kind in CREATING and isinstance(answer, Done)), f"it is believed to be done: {answer}")
    several.report()


@CHECKS.add()
async def an_odd_answer_proves_no_absence(bench: CrmBench) -> None:
    """X5: whoever looks for a lost write and is told nothing that can be read has not learnt that it is not there."""
    several = Several()
    since = bench.clock.now() - timedelta(minutes=1)

    async def look(odd: tuple[int, str, bytes], looking: Awaitable[object], what: str) -> None:
        before = len(bench.wire.requests)
        found = await _asked(bench, odd, looking, what)
        # what the vendor itself does once is not looked for
        expect(found is None or len(bench.wire.requests) == before, f"{what} believed it: {found!r}")

    for odd in _ODD_ANSWERS:
        if odd[0] != 200:
            continue
        for _, step in each(bench, tuple(sorted(CREATING))):
            write = replace(step.make(bench), sent_at=since)
            with several.case(f"{step.name} looked for, answered with {odd[2][:40]!r}"):
                await look(odd, bench.session.find_done([write]), "find_done")
        for kind in sorted(bench.capabilities.barrier_kinds):
            with several.case(f"the barrier of {kind}, answered with {odd[2][:40]!r}"):
                await look(odd, bench.session.barrier([kind], since), "barrier")
    several.report()


@CHECKS.add()
async def changing_what_is_gone_is_stale(bench: CrmBench) -> None:
    """A record that somebody deleted: decide again (`Refused.is_stale` or Stale), never a success."""
    if "delete" not in bench.stage.deeds:
        return
    several = Several()
    for kind, step in each(bench, ("update_contact", "update_deal")):
        with several.case(step.name):
            write = step.make(bench)
            bench.stage.delete(write.refs["contact" if kind == "update_contact" else "deal"])
            try:
                answer = (await bench.session.apply([write])).get(write.key)
            except Stale:
                continue
            except Rejected as err:
                codes = [problem.code for found in err.problems.values() for problem in found]
                expect(
                    any(code.startswith("stale") for code in codes), f"refused without saying that it is gone: {err}"
                )
                continue
            except Exception as err:  # noqa: BLE001 - as above
                fail(f"apply raised {told(err)}", err)
            stale = isinstance(answer, Refused) and answer.is_stale
            expect(stale, f"the answer is {answer}, not Refused(is_stale=True)")
    several.report()
