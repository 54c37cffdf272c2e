"""What several processes share on PostgreSQL beside the truth: who lives, the common pace, the directory's records.

None of it is needed to restore a backup: it is made when a process finds it missing (`prepare`), so it is no part of
the migrations and of `hub db`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, text

from hub.store.locks import key_of

__all__ = ["CHANNEL", "Peer", "cut_off_stalled", "end", "peers", "prepare", "say_alive"]

#: the channel of NOTIFY on which the processes wake each other
CHANNEL = "hub"

_TABLES = """
CREATE TABLE IF NOT EXISTS hub_process (
    id text PRIMARY KEY,
    role text NOT NULL,
    host text NOT NULL,
    -- the backend of the connection that holds its locks; 0 for a process that holds none
    backend integer NOT NULL,
    started_at timestamptz NOT NULL,
    beat_at timestamptz NOT NULL,
    -- the projects whose accounts it writes to
    owns text[] NOT NULL DEFAULT '{}'
);
CREATE UNLOGGED TABLE IF NOT EXISTS hub_pace (
    scope text PRIMARY KEY,
    paused_until timestamptz
);
CREATE UNLOGGED TABLE IF NOT EXISTS hub_place (
    id bigserial PRIMARY KEY,
    scope text NOT NULL,
    free_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS hub_place_scope ON hub_place (scope, free_at);
CREATE SEQUENCE IF NOT EXISTS hub_directory_change;
CREATE TABLE IF NOT EXISTS hub_directory (
    project text NOT NULL,
    connection text NOT NULL,
    -- 1 to 4 as in directory.db; 0 = a mark of the account
    kind smallint NOT NULL,
    id text NOT NULL,
    version bigint NOT NULL,
    seen bigint NOT NULL,
    body bytea,
    change bigint NOT NULL,
    PRIMARY KEY (project, connection, kind, id)
);
CREATE INDEX IF NOT EXISTS hub_directory_change_index ON hub_directory (project, connection, change);
"""

_TAKE_PLACE = """
CREATE OR REPLACE FUNCTION hub_take_place(of_scope text, most integer, hold double precision, OUT place bigint,
    OUT wait double precision) LANGUAGE plpgsql AS $$
DECLARE
    now timestamptz;
    paused timestamptz;
    first timestamptz;
    taken integer;
BEGIN
    INSERT INTO hub_pace (scope) VALUES (of_scope) ON CONFLICT DO NOTHING;
    SELECT paused_until INTO paused FROM hub_pace WHERE scope = of_scope FOR UPDATE;
    now := clock_timestamp();
    place := 0;
    wait := 0;
    IF paused > now THEN
        wait := extract(epoch FROM paused - now);
        RETURN;
    END IF;
    DELETE FROM hub_place WHERE scope = of_scope AND free_at <= now;
    SELECT count(*), min(free_at) INTO taken, first FROM hub_place WHERE scope = of_scope;
    IF taken >= most THEN
        wait := greatest(0.001, extract(epoch FROM first - now));
        RETURN;
    END IF;
    INSERT INTO hub_place (scope, free_at) VALUES (of_scope, now + hold * interval '1 s') RETURNING id INTO place;
END $$
"""
#: a statement's trigger: NOTIFY tells the same word once per transaction, whatever the number of rows
_TELL = """
CREATE OR REPLACE FUNCTION hub_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_notify('hub', TG_ARGV[0]); RETURN NULL; END $$
"""
#: (table, which changes of it, the word that is told)
_TOLD = (
    ("event", "INSERT", "event"),
    ("outgoing", "INSERT", "outbox"),
    ("project", "INSERT OR DELETE OR UPDATE", "changed"),
    ("policy_version", "INSERT OR DELETE OR UPDATE", "changed"),
    ("binding", "INSERT OR DELETE OR UPDATE OF value", "changed"),
    ("channel", "INSERT OR DELETE OR UPDATE OF settings, source, secret", "changed"),
    ("connection", "INSERT OR DELETE OR UPDATE OF settings, sink, secret, status, catalogue, imported_at", "changed"),
)


def prepare(conn: Connection) -> None:
    """Make what is missing, within the caller's transaction; several processes may do it at once."""
    conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key_of("prepare")})
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            conn.exec_driver_sql(statement)
    conn.exec_driver_sql(_TAKE_PLACE)
    conn.exec_driver_sql(_TELL)
    known = set(conn.execute(text("SELECT tgname FROM pg_trigger WHERE tgname LIKE 'hub_tell_%'")).scalars())
    for table, changes, word in _TOLD:
        name = f"hub_tell_{table}"
        if name not in known:
            conn.exec_driver_sql(
                f'CREATE TRIGGER {name} AFTER {changes} ON "{table}"'
                f" FOR EACH STATEMENT EXECUTE FUNCTION hub_tell('{word}')"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A process of this installation that lives."""

    id: str
    role: str
    host: str
    owns: tuple[str, ...]


def peers(conn: Connection, stalled: timedelta) -> list[Peer]:
    """Who has said within ``stalled`` that it lives, the longest at work first; whose connection has ended is gone."""
    rows = conn.execute(
        text(
            "SELECT id, role, host, owns FROM hub_process WHERE beat_at > now() - :stalled"
            " AND (backend = 0 OR backend IN (SELECT pid FROM pg_stat_activity)) ORDER BY started_at, id"
        ),
        {"stalled": stalled},
    )
    return [Peer(id=row.id, role=row.role, host=row.host, owns=tuple(row.owns)) for row in rows]


def say_alive(conn: Connection, id: str, *, role: str, host: str) -> None:
    """A process that owns nothing lives; those that own something say so themselves (`hub.store.tenure`)."""
    conn.execute(
        text(
            "INSERT INTO hub_process (id, role, host, backend, started_at, beat_at)"
            " VALUES (:id, :role, :host, 0, now(), now()) ON CONFLICT (id) DO UPDATE SET beat_at = now()"
        ),
        {"id": id, "role": role, "host": host},
    )


def end(conn: Connection, id: str) -> None:
    """The process ends in order."""
    conn.execute(text("DELETE FROM hub_process WHERE id = :id"), {"id": id})


def cut_off_stalled(conn: Connection, stalled: timedelta) -> int:
    """End the connections of processes that were silent for ``stalled``, and with them their locks; how many.

    A process that was stopped and goes on finds that it can write nothing any more.
    """
    rows = conn.execute(
        text(
            "WITH silent AS ("
            " DELETE FROM hub_process WHERE beat_at <= now() - :stalled RETURNING id, role, backend"
            ") SELECT pg_terminate_backend(pid, 2000) FROM silent JOIN pg_stat_activity ON pid = backend"
            " AND application_name = 'hub ' || silent.role || ' ' || left(silent.id, 8)"
        ),
        {"stalled": stalled},
    ).all()
    return len(rows)
