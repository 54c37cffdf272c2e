"""Two clients who share a number without being one person are written one after the other (DESIGN 2.2, X12)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hub_amocrm.sandbox import Sandbox

from hub.core.interaction import Identity
from hub.core.phone import Phone
from hub.store import decisions, interactions, steps
from hub.store.clients import JoinRules
from hub.store.neighbour import shared_keys
from tests.end_to_end import pigeon
from tests.end_to_end.pigeon import send
from tests.end_to_end.world import CRM, PROJECT, preset, world

FAMILY = "+79161234567"
POLICY = preset("wazzup-messengers") + f'\n[identity]\nshared_numbers = ["{FAMILY}"]\n'


async def test_who_shares_a_number_waits_until_the_other_is_written(
    tmp_path: Path, amocrm: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pigeon.install(monkeypatch)
    amocrm[0].switch(latency_ms=(100, 200))
    async with world(tmp_path, *amocrm, policy=POLICY) as company:
        await pigeon.open_channel(company)
        await asyncio.gather(
            send(company, "1", phone=FAMILY, handle="mother", name="Anna", text="Hello"),
            send(company, "2", phone=FAMILY, handle="son", name="Petro", text="Hello"),
            send(company, "3", phone="+79160000000", handle="stranger", name="Ivan", text="Hello"),
        )
        await company.settled(3)
        store = company.hub.services.store
        known = {
            one.interaction.external_id: one for one in store.read_now(lambda conn: interactions.journal(conn, PROJECT))
        }
        spans = {}
        for name, one in known.items():
            decided = store.read_now(lambda conn, id=one.id: decisions.latest(conn, id, CRM))  # type: ignore[misc]
            made = store.read_now(lambda conn, id=one.id: steps.of_interaction(conn, id, CRM))  # type: ignore[misc]
            assert decided is not None
            spans[name] = decided.decided_at, max(step.ended_at for step in made if step.ended_at)
        (first, second) = sorted((spans["1"], spans["2"]))
        assert first[1] <= second[0], "the second was decided when the first was through"
        assert spans["3"][0] < first[1], "a stranger waits for nobody"
        assert sorted(contact["name"] for contact in company.records()["contacts"]) == ["Anna", "Ivan", "Petro"]


@pytest.mark.parametrize(
    ("rules", "keys"),
    [
        (JoinRules(), []),
        (JoinRules(shared=frozenset({Phone(FAMILY)})), [f"phone {FAMILY}"]),
        (JoinRules(join="all"), [f"phone {FAMILY}", "email a@example.com"]),
        (JoinRules(join="all", kinds=("phone",)), [f"phone {FAMILY}"]),
    ],
    ids=["a key is enough", "a shared number", "all must fit", "all of one kind"],
)
def test_only_keys_that_prove_nothing_alone_are_shared(rules: JoinRules, keys: list[str]) -> None:
    """X12, J4."""
    identity = Identity(phones=(Phone(FAMILY),), emails=("A@example.com ",), handles=(("pigeon", "x"),))
    assert shared_keys(identity, rules) == keys
