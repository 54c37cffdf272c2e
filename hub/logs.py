"""Log lines: prose for people, a stable ``action`` for programs; secrets and full numbers never (H8)."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime

from hub.settings import Settings

__all__ = ["MaskingFilter", "set_up_logs", "tell_plainly"]

#: runs of digits that may be somebody's phone number; ids of records are shorter or carry letters
_NUMBER = re.compile(r"(?<![\w.-])\+?\d{9,15}(?!\w|\.\w)")
#: secrets stand at the end of these addresses
_ADDRESS = re.compile(r"(/(?:(?:hooks|forward|crm)/[^\s/]+|forms)/[^\s/]+/)[^\s?\"']+")


def mask(text: str) -> str:
    """``text`` without full phone numbers and address secrets."""
    text = _ADDRESS.sub(r"\1***", text)
    return _NUMBER.sub(lambda found: f"{found[0][:4]}***{found[0][-2:]}", text)


class MaskingFilter(logging.Filter):
    """Masks what slipped into a message; the last line of defence, not the first."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = mask(record.getMessage()), None
        return True


class _JsonFormatter(logging.Formatter):
    """One JSON object a line, for log collectors."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "action": getattr(record, "action", record.name),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["trace"] = mask(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class _PlainFormatter(logging.Formatter):
    """For a person at a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")

    def formatException(self, ei: object) -> str:
        return mask(super().formatException(ei))  # type: ignore[arg-type]  # passed on as it came


class _SentenceFormatter(logging.Formatter):
    """For whoever typed a command: the sentence alone; where it came from stands in a hub's log."""

    def format(self, record: logging.LogRecord) -> str:
        return record.getMessage()


def tell_plainly() -> None:
    """Tell warnings of a command, which keeps no log, on standard error: masked, and without a traceback."""
    handler = logging.lastResort
    assert handler is not None
    handler.setFormatter(_SentenceFormatter())
    handler.addFilter(MaskingFilter())


def set_up_logs(settings: Settings) -> None:
    """Log to standard error: plain at a terminal, JSON elsewhere."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_PlainFormatter() if sys.stderr.isatty() else _JsonFormatter())
    handler.addFilter(MaskingFilter())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "uvicorn.access", "apscheduler"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
