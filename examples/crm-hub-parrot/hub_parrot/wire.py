"""A webhook of Parrot, with Parrot's own names: loose in what it ignores, strict in what it reads."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

__all__ = ["Webhook"]


def _within_reason(moment: datetime) -> datetime:
    if not 2000 <= moment.year <= 2100:
        raise ValueError("no moment at which a call can have begun")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_within_reason)]


class Webhook(BaseModel):
    """One event of one call."""

    model_config = ConfigDict(extra="ignore", strict=False)

    event: Literal["ringing", "ended", "rated"]
    call: str = Field(min_length=1, max_length=100)
    began: Moment
    incoming: bool = True
    client: str = Field(default="", max_length=40)
    line: str = Field(default="", max_length=40)
    #: SIP login of who was rung or answered
    employee: str = Field(default="", max_length=100)
    #: seconds of talk; 0: nobody answered
    talk: int = Field(default=0, ge=0, le=86_400)
    recording: str = Field(default="", max_length=1000)
    #: the client's mark, 1 to 5
    mark: int | None = Field(default=None, ge=1, le=5)
