"""Who may look at the console, and their sessions. Passwords come here already hashed (`hub.store.crypto`)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, delete, func, insert, select, update

from hub.errors import ConfigurationError
from hub.store import codec, locks
from hub.store.crypto import hash_token
from hub.store.schema import session, user

__all__ = [
    "Role",
    "Session",
    "User",
    "add_user",
    "change_user",
    "count_users",
    "end_session",
    "end_sessions",
    "find_session",
    "find_user",
    "list_users",
    "remove_user",
    "start_session",
]

Role: TypeAlias = Literal["admin", "head"]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account of the console."""

    login: str
    #: argon2
    password: str = field(repr=False)
    role: Role
    #: () = all
    projects: tuple[str, ...]
    language: str
    created_at: datetime

    def may_see(self, project: str) -> bool:
        return not self.projects or project in self.projects


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser that has logged in."""

    user: User
    csrf: str = field(repr=False)
    expires_at: datetime


def _user(row: Any) -> User:
    return User(
        login=row.login,
        password=row.password,
        role=row.role,
        projects=tuple(codec.load_json(row.projects)),
        language=row.language,
        created_at=row.created_at,
    )


def add_user(
    conn: Connection,
    *,
    login: str,
    password_hash: str,
    role: Role,
    now: datetime,
    projects: Sequence[str] = (),
    language: str = "en",
) -> User:
    """A new account. Raises ConfigurationError if the login is taken."""
    locks.hold_setup(conn)
    if find_user(conn, login) is not None:
        raise ConfigurationError("this login is taken", path=f"user {login}")
    conn.execute(
        insert(user).values(
            login=login,
            password=password_hash,
            role=role,
            projects=codec.dump_json(list(projects)),
            language=language,
            created_at=now,
        )
    )
    found = find_user(conn, login)
    assert found is not None
    return found


def find_user(conn: Connection, login: str) -> User | None:
    """The account called ``login``."""
    row = conn.execute(select(user).where(user.c.login == login)).first()
    return None if row is None else _user(row)


def list_users(conn: Connection) -> list[User]:
    """All accounts, by login."""
    return [_user(row) for row in conn.execute(select(user).order_by(user.c.login))]


def count_users(conn: Connection) -> int:
    """How many accounts there are; 0 means that the set-up has not begun."""
    return int(conn.execute(select(func.count()).select_from(user)).scalar_one())


def change_user(
    conn: Connection,
    login: str,
    *,
    password_hash: str | None = None,
    role: Role | None = None,
    projects: Sequence[str] | None = None,
    language: str | None = None,
) -> None:
    """Change what is not None; a new password ends the sessions. Raises ConfigurationError if there is no such user."""
    given = {
        "password": password_hash,
        "role": role,
        "projects": None if projects is None else codec.dump_json(list(projects)),
        "language": language,
    }
    values = {key: value for key, value in given.items() if value is not None}
    if values and not conn.execute(update(user).where(user.c.login == login).values(**values)).rowcount:
        raise ConfigurationError("there is no such user", path=f"user {login}")
    if password_hash is not None:
        end_sessions(conn, login)


def remove_user(conn: Connection, login: str) -> bool:
    """Forget the account and its sessions; False if there is none."""
    end_sessions(conn, login)
    return bool(conn.execute(delete(user).where(user.c.login == login)).rowcount)


def start_session(conn: Connection, login: str, *, now: datetime, lasts: timedelta) -> str:
    """A new session; the cookie's value, which is stored nowhere. Sessions that are over are removed."""
    conn.execute(delete(session).where(session.c.expires_at <= now))
    token = secrets.token_urlsafe(32)
    conn.execute(
        insert(session).values(
            token_hash=hash_token(token),
            login=login,
            csrf=secrets.token_urlsafe(24),
            created_at=now,
            expires_at=now + lasts,
        )
    )
    return token


def find_session(conn: Connection, token: str, now: datetime) -> Session | None:
    """The session behind the cookie; None if there is none or it is over."""
    row = conn.execute(
        select(session.c.csrf, session.c.expires_at, session.c.login).where(
            session.c.token_hash == hash_token(token), session.c.expires_at > now
        )
    ).first()
    if row is None:
        return None
    found = find_user(conn, row.login)
    return None if found is None else Session(user=found, csrf=row.csrf, expires_at=row.expires_at)


def end_session(conn: Connection, token: str) -> None:
    """Log out."""
    conn.execute(delete(session).where(session.c.token_hash == hash_token(token)))


def end_sessions(conn: Connection, login: str) -> None:
    """Log the user out everywhere."""
    conn.execute(delete(session).where(session.c.login == login))
