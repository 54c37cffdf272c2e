"""Is it alive, can it work, what did it count."""

from __future__ import annotations

from typing import cast

from hub.plugins import Failure
from hub.ports import Pace
from hub.runtime.account import Account, Health
from hub.runtime.pace import Pacer
from hub.runtime.vendor_clock import VendorClock
from hub.web.metrics import Histogram
from tests.web.conftest import CHANNEL, CRM, PROJECT, SECRET, Web

NEARBY: dict[str, str] = {}
PROXIED = {"x-forwarded-for": "203.0.113.7"}


def running(web: Web, health: Health) -> None:
    """An account as far as these pages look at it."""

    class Running:
        def __init__(self) -> None:
            self.pacer = Pacer(Pace(requests=6), web.services.clock)
            self.health, self.health_reason, self.is_imported = health, "because", True
            self.vendor_clock = VendorClock()

    web.services.accounts[PROJECT, CRM] = cast("Account", Running())


async def test_a_process_that_answers_is_alive(web: Web) -> None:
    assert (await web.client.get("/healthz")).text == "ok\n"


async def test_ready_says_what_works_and_what_does_not(web: Web) -> None:
    """A CRM that is down and a broken plugin are told, and do not make the hub unready (H1, H4)."""
    web.services.plugins.failures.append(Failure(plugin="zoho", problem="ImportError: no"))
    running(web, Health.RETRYING)
    answer = await web.client.get("/readyz")
    assert answer.status_code == 200
    told = answer.json()
    assert told["ready"] is True
    assert set(told["plugins"]) >= {"amocrm", "ringostat"}
    assert told["broken_plugins"] == {"zoho": "ImportError: no"}
    [connection] = told["connections"]
    assert connection == {
        "project": PROJECT,
        "connection": CRM,
        "crm": "amocrm",
        "health": "retrying",
        "reason": "because",
        "is_imported": True,
        "headroom": 1.0,
    }


async def test_a_store_that_cannot_be_written_is_not_ready(web: Web) -> None:
    web.services.store.close()
    answer = await web.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["ready"] is False
    assert (await web.client.get("/healthz")).status_code == 200


async def test_through_a_proxy_only_yes_or_no_is_told(web: Web) -> None:
    """Projects and accounts are for the people who run the hub (H8)."""
    assert (await web.client.get("/readyz", headers=PROXIED)).json() == {"ready": True}
    assert (await web.client.get("/metrics", headers=PROXIED)).status_code == 403


async def test_metrics_count_what_happened(web: Web) -> None:
    running(web, Health.READY)
    await web.client.post(web.hook(), content=b"x")
    await web.client.post(web.hook(), content=b"x" * (1024 * 1024 + 1))
    await web.client.post(web.forward(), json={"caller": "380501112233"})
    await web.client.post(web.forward(), json={"caller": "380671234567"})
    # answers are counted with their journal
    while web.app.forwarding.journal.waiting:
        await web.app.forwarding.journal.flush()
    answer = await web.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    labels = f'channel="{CHANNEL}",kind="hook",project="{PROJECT}"'
    for expected in (
        f"hub_webhooks_accepted_total{{{labels}}} 1.0",
        'hub_requests_refused_total{endpoint="hook",reason="too large"} 1.0',
        f'hub_forwarding_answers_total{{channel="{CHANNEL}",outcome="answered",project="{PROJECT}"}} 1.0',
        f'hub_forwarding_answers_total{{channel="{CHANNEL}",outcome="empty",project="{PROJECT}"}} 1.0',
        "hub_forwarding_duration_seconds_count 2.0",
        "hub_forwarding_fact_age_seconds_count 1.0",
        'hub_inbox{status="new"} 1.0',
        f'hub_pacer_headroom_ratio{{connection="{CRM}",project="{PROJECT}"}} 1.0',
        f'hub_connection_ready{{connection="{CRM}",project="{PROJECT}"}} 1.0',
        f'hub_connection_clock_ahead_seconds{{connection="{CRM}",project="{PROJECT}"}} 0.0',
    ):
        assert expected in lines, expected
    assert SECRET not in answer.text


async def test_every_metrics_help_says_its_unit(web: Web) -> None:
    running(web, Health.READY)
    text = (await web.client.get("/metrics")).text
    helps = [line for line in text.splitlines() if line.startswith("# HELP")]
    assert len(helps) >= 14
    for line in helps:
        assert any(unit in line for unit in (" in ", " from 0 to 1", " 1 for ")), line


def test_a_histogram_counts_up_to_each_bound() -> None:
    found = Histogram((1.0, 5.0))
    for value in (0.5, 1.0, 3.0, 9.0):
        found.observe(value)
    assert found.buckets() == [("1.0", 2), ("5.0", 3), ("+Inf", 4)]
    assert found.sum == 13.5
