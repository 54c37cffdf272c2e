"""Further identity fields, such as a tax number, among what an enquiry tells (J4, J10)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hub.core.interaction import Interaction

if TYPE_CHECKING:
    from hub.core.section import IdentityRules

__all__ = ["with_further_keys"]


def with_further_keys(interaction: Interaction, rules: IdentityRules) -> Interaction:
    """``interaction`` with the policy's further keys read from its parameters, by any case of their names.

    What the channel itself told as an identity field stays.
    """
    wanted = [key.removeprefix("field:") for key in rules.keys if key.startswith("field:")]
    client = interaction.client
    missing = [name for name in wanted if not client.fields.get(name)]
    if not missing or not interaction.parameters:
        return interaction
    told = {name.casefold(): value.strip() for name, value in interaction.parameters.items()}
    found = {}
    for name in missing:
        names = (*rules.parameters.get(name, ()), name)
        value = next((told[known.casefold()] for known in names if told.get(known.casefold())), "")
        if value:
            found[name] = value
    return replace(interaction, client=replace(client, fields={**client.fields, **found})) if found else interaction
