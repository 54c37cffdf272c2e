"""The policy's text and its versions; reading only, for now: texts are changed by file (DESIGN 6)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.responses import Response

from hub.errors import ConfigurationError
from hub.store import policies
from hub.store.policies import PolicyVersion
from hub.store.projects import Project
from hub.web.console.page import page
from hub.web.console.visit import Visit

__all__ = ["DiffLine", "policy_page"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffLine:
    """A line of a difference; ``kind``: added, removed, place, same."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPage:
    """The page."""

    row: Project
    #: why the text in force cannot be used, "" if it can
    problem: str
    versions: tuple[PolicyVersion, ...]
    shown: PolicyVersion | None
    #: from the version before it
    difference: tuple[DiffLine, ...]


async def policy_page(visit: Visit) -> Response:
    """GET /console/{project}/policy, with ``?version=`` for an earlier one"""
    live = visit.project
    text = visit.request.query_params.get("version", "")
    wanted = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None

    def read(conn: Connection) -> PolicyPage:
        versions = policies.list_versions(conn, live.name)
        shown = next((found for found in versions if found.version == wanted), versions[0] if versions else None)
        lines: tuple[DiffLine, ...] = ()
        if shown is not None and shown.version > 1:
            try:
                lines = _lines(policies.diff(conn, live.name, shown.version - 1, shown.version))
            except ConfigurationError:
                lines = ()
        return PolicyPage(row=live.row, problem=live.problem, versions=tuple(versions), shown=shown, difference=lines)

    model = await visit.services.store.read(read)
    return page("console/policy.html", await visit.frame("policy"), model)


def _lines(difference: str) -> tuple[DiffLine, ...]:
    kinds = {"+": "added", "-": "removed", "@": "place"}
    return tuple(
        DiffLine(kind=kinds.get(line[:1], "same"), text=line)
        for line in difference.splitlines()
        if not line.startswith(("+++", "---"))
    )
