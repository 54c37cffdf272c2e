"""The steps of a set-up: each CRM and channel is told and reached, and what is live is called so (H12)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import Connection

from hub.core.records import Catalogue
from hub.errors import ConfigurationError
from hub.runtime import setup
from hub.store import projects
from hub.web.console.stage import Stage, stages_of
from tests.web.conftest import CHANNEL, CRM, PROJECT, Web


async def _stages(web: Web) -> dict[str, Stage]:
    return {stage.key: stage for stage in await stages_of(web.services, web.services.projects.get(PROJECT))}


async def test_every_crm_and_channel_is_a_place_of_its_step(web: Web) -> None:
    """Not only the first of them; a step is done when each of its places is."""
    services, now = web.services, web.services.clock.now()

    def add(conn: Connection) -> None:
        cipher = services.cipher
        projects.add_connection(conn, cipher, project=PROJECT, name="zz", sink="zoho", settings={}, now=now)
        projects.add_channel(conn, cipher, project=PROJECT, name="zz/chat", source="jivo", settings={}, now=now)

    before = await _stages(web)
    assert [place.name for place in before["crm"].places] == [CRM]
    await services.store.write(add)
    await services.projects.reload()
    found = await _stages(web)
    for key in ("crm", "names", "employees"):
        assert [place.name for place in found[key].places] == [CRM, "zz"], key
    for key in ("channel", "addresses", "waiting"):
        assert [place.name for place in found[key].places] == sorted([CHANNEL, "zz/chat"]), key
    assert [place.is_done for place in found["crm"].places] == [False, False]
    read = Catalogue(account_name="Shop")
    await services.store.write(partial(projects.set_catalogue, project=PROJECT, name=CRM, catalogue=read, now=now))
    await services.projects.reload()
    half = (await _stages(web))["crm"]
    assert (half.is_done, half.href) == (False, f"/setup/{PROJECT}/crm/zz")
    assert f"/setup/{PROJECT}/channels/zz%2Fchat/addresses" in [place.href for place in found["addresses"].places]
    assert (found["crm"].more, found["channel"].more) == (f"/setup/{PROJECT}/crm", f"/setup/{PROJECT}/channels")


async def test_a_live_project_is_not_said_to_write_nothing(web: Web) -> None:
    services = web.services
    cases: dict[projects.Mode, tuple[str, str]] = {
        "shadow": ("project", "live"),
        "live": ("project_live", "live_live"),
    }
    for mode, hints in cases.items():
        live = services.projects.get(PROJECT)
        live = replace(live, row=replace(live.row, mode=mode))
        told = {stage.key: stage.hint for stage in await stages_of(services, live)}
        assert (told["project"], told["live"]) == hints


async def test_of_two_who_write_employees_at_once_the_later_is_told_and_loses_nobodys_change(web: Web) -> None:
    """H12, DESIGN 6: both began from one version; the second would have taken the first's change back."""
    services = web.services
    present = await setup.policy_in_force(services, PROJECT)
    write = partial(setup.publish, services, PROJECT, based_on=present, author="olena", reason="")
    await write(f"{present.text}\n# one\n")
    # a button that was pressed twice
    await write(f"{present.text}\n# one\n")
    with pytest.raises(ConfigurationError, match="changed meanwhile"):
        await write(f"{present.text}\n# other\n")
    head = await setup.policy_in_force(services, PROJECT)
    assert (head.version, head.text) == (present.version + 1, f"{present.text}\n# one\n")
