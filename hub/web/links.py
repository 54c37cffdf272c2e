"""The addresses that vendors are given (H12)."""

from __future__ import annotations

from urllib.parse import quote

__all__ = ["crm_url", "form_url", "forward_url", "hook_url", "oauth_callback_url"]


def _join(public_url: str, *parts: str) -> str:
    return "/".join((public_url.rstrip("/"), *(quote(part, safe="") for part in parts)))


def hook_url(public_url: str, project: str, channel: str, secret: str) -> str:
    """Where the channel's webhooks go."""
    return _join(public_url, "hooks", project, channel, secret)


def forward_url(public_url: str, project: str, channel: str, secret: str) -> str:
    """Where the channel's telephony asks whom to ring (R2)."""
    return _join(public_url, "forward", project, channel, secret)


def form_url(public_url: str, project: str, secret: str) -> str:
    """Where the site's forms are posted; ``secret`` of any channel of the project (J8)."""
    return _join(public_url, "forms", project, secret)


def crm_url(public_url: str, project: str, connection: str, secret: str) -> str:
    """Where the CRM's own webhooks go (H6)."""
    return _join(public_url, "crm", project, connection, secret)


def oauth_callback_url(public_url: str, vendor: str) -> str:
    """The redirect address to enter in the vendor's integration."""
    return _join(public_url, "oauth", vendor, "callback")
