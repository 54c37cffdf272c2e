"""What the hub itself has to say of a step or a piece of work, kept as code and values and told in any language (U4).

Columns such as ``step.note`` hold either somebody else's words, a CRM's refusal say, which are shown as they are, or
remarks of ours: `remark` makes one, `remarks` reads them. Several stand on lines of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from hub.core.plan import Reason

__all__ = ["joined", "remark", "remarks"]

_BEGIN = '{"remark":'


def remark(code: str, /, **values: object) -> str:
    """A remark for a note column; ``code`` is a message id of the family ``remark``."""
    body = {"remark": code, **{name: str(value) for name, value in values.items()}}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def joined(*parts: str) -> str:
    """Several remarks, or words of others, as one note."""
    return "\n".join(part for part in parts if part)


def remarks(note: str) -> Iterator[Reason | str]:
    """The parts of a note: our remarks as code and values, others' words as they are."""
    for line in note.split("\n"):
        if line.startswith(_BEGIN):
            try:
                body = json.loads(line)
                yield Reason(code=str(body.pop("remark")), values={name: str(value) for name, value in body.items()})
                continue
            except (ValueError, TypeError, AttributeError, KeyError):
                pass
        if line:
            yield line
