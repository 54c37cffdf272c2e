"""The last line of defence: what slipped into a log line is masked there, whoever wrote it (H8)."""

from __future__ import annotations

import subprocess
import sys

import pytest

NUMBER, SECRET = "380501112233", "5ec2e7c0ffee"
#: logs what must not be logged: in the message, in its values, in an exception
SLIPS = f"""
import logging
{{set_up}}
log = logging.getLogger("hub.stranger")
log.warning("a call of +{NUMBER}")
log.warning("asked %s", "http://127.0.0.1/hooks/shop/phone/{SECRET}?moment=after")
try:
    raise ValueError("no contact holds {NUMBER}")
except ValueError:
    log.exception("/forms/shop/{SECRET} failed")
"""
HUB = "import hub.logs, hub.settings\nhub.logs.set_up_logs(hub.settings.Settings(environment='development'))"
COMMAND = "import hub.logs\nhub.logs.tell_plainly()"


@pytest.mark.parametrize("set_up", [HUB, COMMAND], ids=["the hub", "a command"])
def test_no_number_and_no_secret_leaves_through_a_log_line(set_up: str) -> None:
    """Message, values and traceback alike."""
    run = subprocess.run(
        [sys.executable, "-c", SLIPS.format(set_up=set_up)], capture_output=True, text=True, timeout=60, check=True
    )
    assert len(run.stderr.splitlines()) == 3, run.stderr
    assert "a call of +380***33" in run.stderr
    assert "/hooks/shop/phone/***?moment=after" in run.stderr
    assert "/forms/shop/*** failed" in run.stderr
    assert NUMBER not in run.stderr
    assert SECRET not in run.stderr
