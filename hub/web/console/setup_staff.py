"""Set-up: who of the telephony is who in the CRM; the result goes into the policy's text (H12)."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from hub.core.match import Listed, Matching, Pair
from hub.core.records import CrmUser
from hub.errors import ConfigurationError, VendorError
from hub.runtime import staffing
from hub.web.console.page import page
from hub.web.console.setup_crm import live_connection
from hub.web.console.stage import Stage, stages_of
from hub.web.console.visit import Visit

__all__ = ["employees"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmployeesPage:
    """The pairs found, and who is left on either side."""

    stages: tuple[Stage, ...]
    connection: str
    matching: Matching
    users: tuple[CrmUser, ...]
    #: users whom an employee of the telephony is
    chosen: dict[str, str]
    senior: str
    problem: str = ""
    is_saved: bool = False

    @property
    def everybody(self) -> tuple[tuple[Listed, Pair | None], ...]:
        """Those of the telephony, the matched first."""
        return (
            *((pair.listed, pair) for pair in self.matching.pairs),
            *((one, None) for one in self.matching.unmatched),
        )


async def employees(visit: Visit) -> Response:
    """GET and POST /setup/{project}/crm/{connection}/employees"""
    live, services, connection = visit.project, visit.services, live_connection(visit)
    problem, is_saved = "", False
    matching = Matching(left=tuple(user for user in connection.catalogue.users if user.is_active))
    try:
        matching = await staffing.match_staff(services, live.name, connection.name)
    except (VendorError, ConfigurationError) as err:
        problem = str(err)
    if visit.request.method == "POST":
        pairs = _chosen(visit, matching, connection.catalogue.users)
        try:
            await staffing.write_staff(
                services,
                live.name,
                connection.name,
                pairs,
                author=visit.user.login,
                senior=visit.field("senior"),
            )
            is_saved = True
            matching = await staffing.match_staff(services, live.name, connection.name)
        except (VendorError, ConfigurationError) as err:
            problem = str(err)
    live = services.projects.get(live.name)
    fresh = live.connection(connection.name) or connection
    policy = live.policy
    senior = fresh.users.get(policy.roles["senior"][0], "") if policy and policy.roles.get("senior") else ""
    model = EmployeesPage(
        stages=tuple(await stages_of(services, live)),
        connection=connection.name,
        matching=matching,
        users=tuple(user for user in fresh.catalogue.users if user.is_active),
        chosen={pair.listed.staff_id: pair.user.id for pair in matching.pairs},
        senior=senior,
        problem=problem,
        is_saved=is_saved,
    )
    return page("setup/employees.html", await visit.frame("setup"), model, status=502 if problem else 200)


def _chosen(visit: Visit, matching: Matching, users: tuple[CrmUser, ...]) -> list[Pair]:
    """The pairs as the form has them; users without anybody of the telephony are employees too if ticked."""
    by_id = {user.id: user for user in users if user.is_active}
    found: list[Pair] = []
    taken: set[str] = set()
    listed = [*(pair.listed for pair in matching.pairs), *matching.unmatched]
    for one in listed:
        user = next((by_id[key] for key in by_id if key == visit.field(f"user:{one.staff_id}")), None)
        if user is not None and user.id not in taken:
            taken.add(user.id)
            found.append(Pair(listed=one, user=user, by="chosen"))
    for user in by_id.values():
        if user.id not in taken and visit.field(f"also:{user.id}") == "on":
            found.append(Pair(listed=Listed(staff_id=""), user=user, by="chosen"))
    return found
