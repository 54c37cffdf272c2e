"""Every error the hub raises, named by what happens next.

::

    HubError
    ├── ConfigurationError      path, problem                shown to the administrator; nothing retries
    ├── AccessError             endpoint                     404 on hooks and forward, 401/403 elsewhere
    ├── PayloadError            source, field, raw           answered 2xx, kept and shown (H11); never retried
    ├── LeaseLost               lease                        somebody else works on it; stop without a trace
    └── VendorError             connection, operation, request_id
        ├── Throttled           retry_after                  wait, without counting an attempt
        ├── Unavailable         maybe_applied                retry with a growing pause; in doubt if it may be applied
        ├── NeedsCredentials                                 the connection stops, its steps wait
        ├── Banned                                           the connection stops until a person resumes it
        ├── Rejected            problems, by step key        needs attention at once: repeating will not help
        └── Stale               what                         take a new snapshot, decide again
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

__all__ = [
    "AccessError",
    "Banned",
    "ConfigurationError",
    "HubError",
    "LeaseLost",
    "NeedsCredentials",
    "PayloadError",
    "Problem",
    "Rejected",
    "Stale",
    "Throttled",
    "Unavailable",
    "VendorError",
]


class HubError(Exception):
    """Something in the hub went wrong."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])


class ConfigurationError(HubError):
    """The configuration cannot be used as it stands."""

    def __init__(self, problem: str, *, path: str = "", file: str = "", line: int | None = None) -> None:
        self.problem, self.path, self.file, self.line = problem, path, file, line
        place = ":".join(str(part) for part in (file, line) if part)
        where = " ".join(part for part in (place, path) if part)
        super().__init__(f"{where}: {problem}" if where else problem)


class AccessError(HubError):
    """The caller is not allowed here."""

    def __init__(self, message: str = "", *, endpoint: str = "") -> None:
        self.endpoint = endpoint
        super().__init__(message)


class PayloadError(HubError):
    """What a vendor sent could not be read; it is kept and shown (H11)."""

    def __init__(self, message: str = "", *, source: str = "", field: str = "", raw: str = "") -> None:
        self.source, self.field, self.raw = source, field, raw
        super().__init__(message)


class LeaseLost(HubError):
    """The lease on this work was taken over; nothing more may be written for it."""


class VendorError(HubError):
    """A vendor did not do what was asked."""

    def __init__(self, message: str = "", *, connection: str = "", operation: str = "", request_id: str = "") -> None:
        self.connection, self.operation, self.request_id = connection, operation, request_id
        super().__init__(message)


#: a vendor that names a longer pause is mistaken: asking once in an hour harms nobody, not asking for a year does
_LONGEST_PAUSE = timedelta(hours=1)


class Throttled(VendorError):
    """The vendor asks us to slow down.

    ``retry_after`` is for how long, by the vendor's own word; at most an hour, whatever it says.
    """

    def __init__(
        self,
        message: str = "",
        *,
        retry_after: timedelta | None = None,
        connection: str = "",
        operation: str = "",
        request_id: str = "",
    ) -> None:
        self.retry_after = None if retry_after is None else min(max(retry_after, timedelta(0)), _LONGEST_PAUSE)
        super().__init__(message, connection=connection, operation=operation, request_id=request_id)


class Unavailable(VendorError):
    """The vendor cannot be reached or failed on its side.

    ``maybe_applied`` is False only when it is certain that the request never reached the vendor (the connection
    was refused, the name did not resolve); otherwise a write is in doubt (X5).
    """

    def __init__(
        self,
        message: str = "",
        *,
        maybe_applied: bool = True,
        too_large: bool = False,
        connection: str = "",
        operation: str = "",
        request_id: str = "",
    ) -> None:
        self.maybe_applied = maybe_applied
        #: the vendor timed out on the size of the batch (amoCRM's 504): halve it after checking what was done
        self.too_large = too_large
        super().__init__(message, connection=connection, operation=operation, request_id=request_id)


class NeedsCredentials(VendorError):
    """The vendor no longer accepts our credentials; an administrator has to connect the account again."""


class Banned(VendorError):
    """The vendor refuses everything we send; a person has to clear it with the vendor and resume."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One reason of a refusal: the vendor's field path, its code and its own words."""

    field: str = ""
    code: str = ""
    text: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.field, self.code, self.text) if part)


class Rejected(VendorError):
    """The vendor understood and refused.

    ``problems`` maps the key of the step that offended to its problems; the key ``""`` holds what the vendor
    tied to no single item. Nothing of the request was applied unless the sink says otherwise by returning.
    """

    def __init__(
        self,
        message: str = "",
        *,
        problems: Mapping[str, Sequence[Problem]] | None = None,
        connection: str = "",
        operation: str = "",
        request_id: str = "",
    ) -> None:
        self.problems = {key: tuple(found) for key, found in (problems or {}).items()}
        said = "; ".join(str(problem) for found in self.problems.values() for problem in found)
        super().__init__(
            message or f"{operation or 'the vendor'} refused: {said or 'no reason given'}",
            connection=connection,
            operation=operation,
            request_id=request_id,
        )


class Stale(VendorError):
    """What the decision was based on has changed in the CRM; decide again on a new snapshot."""
