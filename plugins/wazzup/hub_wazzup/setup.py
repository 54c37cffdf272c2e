"""What the administrator does in the Wazzup cabinet, in order (H12, W4)."""

from __future__ import annotations

from collections.abc import Sequence

from hub.ports import SetupHint

from .config import WazzupSettings

__all__ = ["setup_hints"]


def setup_hints(settings: WazzupSettings, hook_url: str) -> Sequence[SetupHint]:
    """The steps; the webhook's address is entered by the hub itself, through the API."""
    hints = [
        SetupHint(
            where="Integration with CRM > API > Connect",
            note="copy the key into the channel's settings here; without it nothing can be sent",
        ),
        SetupHint(
            where="Webhooks (nothing to enter: the cabinet has no page for it)",
            value=hook_url,
            note="the hub gives Wazzup this address through the API within a minute; if another system stands there "
            "already, it is named under «needs attention», and «Take the webhooks over» replaces it",
        ),
    ]
    if settings.key_kind == "full":
        hints += [
            SetupHint(
                where="Integration settings, each channel: roles of employees",
                note="employees appear there once the hub has told Wazzup of them. Quality control: sees all, writes "
                "nothing. Manager: own clients only. Supervisor: sees and writes to all. The API cannot set roles",
            ),
            SetupHint(
                where="Integration settings, each channel: «Receives new clients»",
                note="switch it on for those who take new clients in the policy (receives_new); the API cannot set it",
            ),
            SetupHint(
                where="Integration settings, each channel: pipeline and stage",
                note="a stage if the policy takes turns, «Unsorted» if the first who answers takes the client. The "
                "hub's policy decides what is created, so choose the same here as there",
            ),
        ]
    return hints
