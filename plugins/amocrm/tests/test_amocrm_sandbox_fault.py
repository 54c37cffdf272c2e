"""Limits, faults, latency and late applications of the amoCRM sandbox (H10, reference 2, 3, 23; DESIGN 7)."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hub_amocrm.sandbox import Sandbox
from hub_amocrm.sandbox.config import Switches
from hub_amocrm.sandbox.limiter import Limiter, Verdict

LEAD = [{"name": "l"}]

#: Loopback is plain HTTP: a context without certificates spares each client their loading.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def leads(sandbox: Sandbox) -> int:
    return len(sandbox.records()["leads"])


class Ticks:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_at_most_seven_in_any_sliding_second() -> None:
    ticks = Ticks()
    switches = Switches(ban_after=None)
    limiter = Limiter(lambda: switches, ticks)
    admitted: list[float] = []
    # Bursts placed so that a bucket refilled each second would let twelve through in one.
    for moment in (0.0, 0.9, 0.95, 1.0, 1.05, 1.9, 2.0):
        ticks.now = 100.0 + moment
        admitted += [ticks.now for _ in range(6) if limiter.admit("i") is Verdict.ADMITTED]
    for moment in admitted:
        assert sum(moment <= other < moment + 1.0 for other in admitted) <= 7
    assert limiter.violations == 42 - len(admitted)
    assert limiter.most_in_a_second > 7


def test_integrations_do_not_share_their_limit() -> None:
    limiter = Limiter(lambda: Switches(limit_per_second=1), Ticks())
    assert [limiter.admit(name) for name in ("a", "b", "a")] == [
        Verdict.ADMITTED,
        Verdict.ADMITTED,
        Verdict.THROTTLED,
    ]


def test_over_the_limit_is_429_in_plain_text(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.switch(limit_per_second=7)
    answers = [api.get("/api/v4/account") for _ in range(12)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert [answer.status_code for answer in answers[:7]] == [200] * 7
    assert refused
    assert refused[0].headers["content-type"].startswith("text/plain")
    assert "retry-after" not in refused[0].headers
    stats = sandbox.stats()
    assert stats["violations"] == len(refused)
    assert stats["most_in_a_second"] == 12
    sandbox.switch(retry_after=3)
    assert api.get("/api/v4/account").headers["retry-after"] == "3"
    sandbox.switch(limit_per_second=None)
    assert api.get("/api/v4/account").status_code == 200


def test_repeated_violations_end_in_an_html_ban_of_everything(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.switch(limit_per_second=1, ban_after=3)
    statuses = [api.get("/api/v4/account").status_code for _ in range(6)]
    assert statuses == [200, 429, 429, 403, 403, 403]
    banned = api.get("/api/v4/leads")
    assert banned.headers["content-type"] == "text/html"
    assert "403 Forbidden" in banned.text
    body = {"client_id": sandbox.integration.client_id, "grant_type": "refresh_token"}
    assert api.post("/oauth2/access_token", json=body).status_code == 403
    assert sandbox.stats()["banned"] == [sandbox.integration.client_id]
    sandbox.switch(limit_per_second=None)
    sandbox.lift_ban()
    assert api.get("/api/v4/account").status_code == 200


FAULTS: list[tuple[dict[str, Any], int | None, int]] = [
    # fault                                              status (None: no answer)  leads applied
    ({"kind": "throttle"}, 429, 0),
    ({"status": 500}, 500, 0),
    ({"status": 502, "applied": True}, 502, 1),
    ({"status": 504, "applied": True}, 504, 1),
    ({"status": 504}, 504, 0),
    ({"kind": "disconnect"}, None, 0),
    ({"kind": "disconnect", "applied": True}, None, 1),
    ({"kind": "ban"}, 403, 0),
    ({"kind": "down"}, None, 0),
    ({"kind": "slow", "delay": 0.05}, 200, 1),
]


@pytest.mark.parametrize(("fault", "status", "applied"), FAULTS)
def test_fault_strikes_once_and_then_the_goal_is_reached(
    sandbox: Sandbox, api: httpx.Client, fault: dict[str, Any], status: int | None, applied: int
) -> None:
    sandbox.fail_next("POST", "/api/v4/leads", **fault)
    assert api.get("/api/v4/account").status_code == 200
    if status is None:
        with pytest.raises(httpx.RemoteProtocolError):
            api.post("/api/v4/leads", json=LEAD)
    else:
        assert api.post("/api/v4/leads", json=LEAD).status_code == status
    assert leads(sandbox) == applied
    sandbox.lift_ban()
    assert api.post("/api/v4/leads", json=LEAD).status_code == 200
    assert leads(sandbox) == applied + 1
    assert sum(sandbox.stats()["faults"].values()) == 1


def test_fault_counts_matches_prefix_and_can_be_withdrawn(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.fail_next("*", "/api/v4/leads", status=500, count=2)
    sandbox.fail_next("GET", "/api/v4/leads", status=503, exact=True)
    paths = ["leads/notes", "leads/tags", "leads/notes", "leads"]
    assert [api.get(f"/api/v4/{path}").status_code for path in paths] == [500, 500, 204, 503]
    sandbox.fail_next("GET", "/api/v4/account", count=5)
    sandbox.clear_faults()
    assert api.get("/api/v4/account").status_code == 200


@pytest.mark.parametrize("applied", [False, True])
def test_hanging_request_never_answers(sandbox: Sandbox, api: httpx.Client, applied: bool) -> None:
    sandbox.fail_next("POST", "/api/v4/leads", kind="hang", applied=applied)
    with pytest.raises(httpx.ReadTimeout):
        api.post("/api/v4/leads", json=LEAD, timeout=httpx.Timeout(60, read=0.1))
    wait_for(lambda: sandbox.stats()["faults"] == {"hang": 1})
    assert leads(sandbox) == int(applied)
    assert api.post("/api/v4/leads", json=LEAD).status_code == 200


def test_late_request_is_applied_after_the_connection_was_cut(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.fail_next("POST", "/api/v4/leads", kind="late", late=(0.4, 0.5))
    with pytest.raises(httpx.RemoteProtocolError):
        api.post("/api/v4/leads", json=LEAD)
    assert (leads(sandbox), sandbox.stats()["late_waiting"]) == (0, 1)
    sandbox.settle()
    assert (leads(sandbox), sandbox.stats()["late_waiting"]) == (1, 0)


def test_late_requests_can_be_hurried(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.fail_next("POST", "/api/v4/leads", kind="late", late=(60, 60))
    with pytest.raises(httpx.RemoteProtocolError):
        api.post("/api/v4/leads", json=LEAD)
    sandbox.settle(5, at_once=True)
    assert leads(sandbox) == 1


def test_random_late_application_strikes_writes_only(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.switch(late_apply_probability=0.5, late_apply_seconds=[0, 0.02])
    cut = 0
    for _ in range(40):
        assert api.get("/api/v4/account").status_code == 200
        try:
            api.post("/api/v4/leads", json=LEAD)
        except httpx.RemoteProtocolError:
            cut += 1
    sandbox.settle()
    assert 8 < cut < 32
    assert leads(sandbox) == 40
    assert sandbox.stats()["faults"] == {"late": cut}


def test_down_server_answers_nobody_and_comes_back(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.switch(down=True)
    for path in ("/api/v4/account", "/oauth"):
        with pytest.raises(httpx.RemoteProtocolError):
            api.get(path)
    assert api.get("/_sandbox/health").json()["ok"] is True
    sandbox.switch(down=False)
    assert api.get("/api/v4/account").status_code == 200


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


async def test_request_whose_client_left_is_applied_all_the_same(vendor: tuple[Sandbox, str], sandbox: Sandbox) -> None:
    sandbox.switch(latency_ms=[200, 200])
    headers = {"Authorization": f"Bearer {sandbox.long_lived_token()}"}
    before = sandbox.stats()["requests_total"]
    async with httpx.AsyncClient(base_url=vendor[1], headers=headers, trust_env=False, verify=PLAIN) as client:
        asking = asyncio.create_task(client.post("/api/v4/leads", json=LEAD))
        while sandbox.stats()["requests_total"] == before:  # noqa: ASYNC110 - the other end is asked
            await asyncio.sleep(0.005)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    wait_for(lambda: leads(sandbox) == 1)


async def test_latency_is_drawn_from_its_range_and_requests_overlap(
    vendor: tuple[Sandbox, str], sandbox: Sandbox
) -> None:
    sandbox.switch(latency_ms=[80, 120])
    headers = {"Authorization": f"Bearer {sandbox.long_lived_token()}"}
    arrived_before_the_first_answer: list[int] = []

    async def ask(client: httpx.AsyncClient, arrived: int) -> httpx.Response:
        answer = await client.get("/api/v4/account")
        arrived_before_the_first_answer.append(sandbox.stats()["requests_total"] - arrived)
        return answer

    async with httpx.AsyncClient(base_url=vendor[1], headers=headers, trust_env=False, verify=PLAIN) as client:
        # a machine that stood still just between two of them is asked again
        for _ in range(20):
            arrived_before_the_first_answer.clear()
            answers = await asyncio.gather(*(ask(client, sandbox.stats()["requests_total"]) for _ in range(10)))
            assert {answer.status_code for answer in answers} == {200}
            assert min(answer.elapsed for answer in answers) >= timedelta(milliseconds=79)
            if arrived_before_the_first_answer[0] == 10:
                break
    assert arrived_before_the_first_answer[0] == 10


def test_unpaid_account_is_402(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.switch(unpaid=True)
    assert api.get("/api/v4/leads").status_code == 402
    sandbox.switch(unpaid=False)
    assert api.get("/api/v4/leads").status_code == 204
