"""Several processes on PostgreSQL: one hub in every respect that anybody could notice (H9, H3, H4)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hub_amocrm.sandbox import Sandbox

from tests.end_to_end.fleet_world import fleet
from tests.end_to_end.test_spine import ANSWERED

pytestmark = [pytest.mark.end_to_end, pytest.mark.postgres]


def call(number: int, client: int = 0) -> dict[str, str]:
    """An answered call of a client."""
    return ANSWERED | {"uniqueid": f"ua0_-9.{number}", "caller": f"38050{2000000 + client:07d}"}


@pytest.mark.timeout(180)
def test_a_call_goes_from_a_web_process_over_a_worker_into_the_crm(
    postgres_url: str, tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """H9: one web process takes the webhook in, two workers are there, one of them writes it to the CRM, once."""
    with fleet(postgres_url, tmp_path, *amocrm) as found:
        web, *_ = found.start("web", "worker", "worker")
        for number in range(3):
            assert found.hook(web, call(number, client=number % 2))
        found.until(lambda: found.finished() == 3, 60, "three calls")
        records = found.sandbox.records()
        assert [len(records[kind]) for kind in ("contacts", "leads")] == [2, 2]
