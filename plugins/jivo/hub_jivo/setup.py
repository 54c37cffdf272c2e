"""What the administrator enters in Jivo, in order (H12, reference 1)."""

from __future__ import annotations

from collections.abc import Sequence

from hub.ports import SetupHint

__all__ = ["setup_hints"]


def setup_hints(hook_url: str) -> Sequence[SetupHint]:
    """Where the webhook address goes, and what else helps."""
    return (
        SetupHint(
            where="Manage > Channels > (your channel) > Settings > Integration settings for developers > "
            "Enable webhooks > Webhooks endpoint URL",
            value=hook_url,
            note="Paid plans only. One address for each channel: a further Jivo channel is a further channel of the "
            "hub with an address of its own.",
        ),
        SetupHint(
            where="Team: each operator's e-mail",
            note="An operator is recognised by the e-mail or, where it differs from the CRM's, by the id that the "
            "first chat shows; enter either under the employee.",
        ),
        SetupHint(
            where="Your site, beside the widget's code (optional)",
            value="jivo_api.setUserToken('…')",
            note="The number under which your site knows a signed-in customer ties the chat to the right card; say "
            "in this channel's settings which identity field it is.",
        ),
    )
