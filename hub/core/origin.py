"""Where an interaction came from: the table of sources, and the department (A13, A16, R11)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hub.core.interaction import Attribution, Call, Form, Interaction
from hub.core.records import EmployeeId

if TYPE_CHECKING:
    from hub.core.policy import Policy

__all__ = ["department_of", "origin_of"]


def department_of(interaction: Interaction) -> str:
    """As the channel tells it, else that of the employee rung last."""
    if interaction.kind != "call" and interaction.kind != "chat":
        return ""
    if interaction.department:
        return interaction.department
    for leg in reversed(interaction.legs):
        if leg.destination.department:
            return leg.destination.department
    return ""


def origin_of(
    interaction: Interaction, department: str, channel: str, policy: Policy
) -> tuple[EmployeeId | None, Attribution]:
    """Whose the dialled number is by the policy's table (A13), and the attribution, filled by it (R11)."""
    attribution = interaction.attribution
    if not policy.sources:
        return None, attribution
    owner: EmployeeId | None = None
    filled = bool(attribution.utm_source or attribution.utm_medium or attribution.utm_campaign)
    for row in policy.fitting_sources(
        (interaction.line or "") if isinstance(interaction, Call) else "",
        attribution.pool,
        department,
        channel,
        interaction.form_name if isinstance(interaction, Form) else "",
    ):
        if row.owner and owner is None:
            owner = EmployeeId(row.owner)
        if not filled and (row.source or row.utm_source or row.utm_medium or row.utm_campaign):
            attribution = replace(
                attribution,
                source=attribution.source or row.source,
                utm_source=row.utm_source,
                utm_medium=row.utm_medium,
                utm_campaign=row.utm_campaign,
            )
            filled = True
    return owner, attribution
