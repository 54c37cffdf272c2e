"""A command at a terminal, and somebody who reads its questions and types answers."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Typed", "type_at"]

#: what a terminal is told beside the text
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PATIENCE = 180.0


@dataclass(frozen=True, slots=True)
class Typed:
    """How it ended."""

    status: int
    #: all that was to be read, the answers among it
    text: str
    #: answers that nobody asked for
    unasked: tuple[tuple[str, str], ...]


def type_at(
    words: Sequence[str],
    environment: Mapping[str, str],
    answers: Sequence[tuple[str, str]],
    *,
    asked: Callable[[str], None] = lambda question: None,
) -> Typed:
    """Run ``hub`` with ``words`` at a terminal of its own.

    ``answers``: a piece of a question, or of the line above it, and what is typed; each is typed once, in this order
    where several fit. To any other question Enter is pressed. ``asked`` is told each question before it is answered.
    """
    terminal, far_end = pty.openpty()
    command = subprocess.Popen(
        [sys.executable, "-m", "hub", *words],
        env={**os.environ, **environment, "COLUMNS": "160", "TERM": "xterm", "NO_COLOR": "1"},
        stdin=far_end,
        stdout=far_end,
        stderr=far_end,
        start_new_session=True,
    )
    os.close(far_end)
    raw, answered, left, end = b"", 0, list(answers), time.monotonic() + _PATIENCE
    try:
        while time.monotonic() < end:
            if select.select([terminal], [], [], 0.15)[0]:
                try:
                    told = os.read(terminal, 65536)
                except OSError:  # Linux says so where the other end is closed
                    break
                if not told:
                    break
                raw += told
                continue
            text = _plain(raw)
            if not text[answered:].endswith(": "):
                continue
            question = "\n".join(text[answered:].splitlines()[-2:])
            answered = len(text)
            asked(question)
            fitting = next((one for one in left if one[0] in question), None)
            if fitting is not None:
                left.remove(fitting)
            os.write(terminal, f"{fitting[1] if fitting else ''}\n".encode())
        else:
            raise AssertionError(f"it did not end: {_plain(raw)[-2000:]}")
    finally:
        os.close(terminal)  # and so whoever still asks there ends
        status = command.wait()
    return Typed(status=status, text=_plain(raw), unasked=tuple(left))


def _plain(raw: bytes) -> str:
    return _CONTROL.sub("", raw.decode(errors="replace")).replace("\r\n", "\n")
