"""What an administrator enters for a channel; the set-up page shows titles and descriptions (H12)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr

__all__ = ["ParrotSettings"]


class ParrotSettings(BaseModel):
    """One channel."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret: SecretStr = Field(
        default=SecretStr(""),
        title="Signing secret",
        description="From the page Webhooks in Parrot; empty: signatures are not checked.",
    )
