"""``hub replay``: decide interactions anew (X13)."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection

from hub.commands.context import console, fail, opened, print_json, the_project
from hub.commands.explain import find_interaction
from hub.store import interactions, work
from hub.store.work import Work, WorkState

__all__ = ["replay"]


def replay(interaction: str, *, connection: str, write: bool, project: str, as_json: bool) -> None:
    """Reopen one interaction, or all that need attention; a dry run unless ``write``."""
    with opened() as services:
        name = the_project(services, project)

        def chosen(conn: Connection) -> list[Work]:
            if not interaction:
                found = work.attention(conn, name)
            else:
                known = find_interaction(conn, name, interaction)
                if known is None:
                    raise fail(f"project {name!r} has no interaction {interaction!r}")
                found = work.list_work(conn, known)
            return [
                item
                for item in found
                if connection in ("", item.connection) and item.state in (WorkState.FINISHED, WorkState.ATTENTION)
            ]

        items = services.store.read_now(chosen)
        if write:
            now = services.clock.now()

            def reopen(conn: Connection) -> int:
                return sum(work.reopen(conn, item.interaction_id, item.connection, now) for item in items)

            services.store.write_now(reopen)
        if as_json:
            print_json(
                [
                    {
                        "interaction": item.interaction_id,
                        "connection": item.connection,
                        "state": item.state.value,
                        "note": item.note,
                        "replayed": write,
                    }
                    for item in items
                ]
            )
            return
        for item in items:
            found = services.store.read_now(partial(interactions.find, id=item.interaction_id))
            when = f"{found.interaction.started_at:%Y-%m-%d %H:%M} UTC" if found else ""
            console.print(f"{item.interaction_id}  {item.connection}  {when}  {item.state.value}  {item.note}")
        if not items:
            console.print("Nothing to replay.")
        elif write:
            console.print(f"{len(items)} will be decided anew; a running hub begins at once.")
        else:
            console.print(f"{len(items)} would be decided anew. Add --write to do it.")
