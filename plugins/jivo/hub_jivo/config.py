"""A Jivo channel's settings; each doubt of the vendor's documentation is one of them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["DecideAt", "JivoSettings", "Language"]


class DecideAt(StrEnum):
    """When a chat becomes records in the CRM."""

    ACCEPTED = "accepted"
    FINISHED = "finished"


class Language(StrEnum):
    """Of what the operator reads beside the chat."""

    RU = "ru"
    UK = "uk"
    EN = "en"


class JivoSettings(BaseModel):
    """One Jivo channel; its webhook address is entered in that channel's settings (reference 1)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    widget_id: Annotated[
        str,
        Field(
            title="Channel id",
            description="The id in the widget's code. If set, events of other channels that reach this address are "
            "kept and not read. Empty: everything is read.",
        ),
    ] = ""
    account: Annotated[
        str,
        Field(
            title="Account",
            description="Only for a project with several Jivo accounts: a word that tells them apart, since each "
            "numbers its visitors from 1. Channels of one account have the same word.",
        ),
    ] = ""
    decide_at: Annotated[
        DecideAt,
        Field(
            title="Create records",
            description="accepted: when an operator takes the chat, so that the card is there while they talk; the "
            "log is added at the end. finished: only then.",
        ),
    ] = DecideAt.ACCEPTED
    language: Annotated[
        Language, Field(title="Language", description="Of what the operator is shown beside the chat.")
    ] = Language.RU
    show_deals: Annotated[
        int,
        Field(ge=0, le=20, title="Deals shown", description="How many open deals the operator sees beside the chat."),
    ] = 5
    tell_contacts: Annotated[
        bool,
        Field(
            title="Fill in the visitor's contacts",
            description="Give Jivo the name, e-mail and phone that the CRM knows and the visitor did not tell. Jivo "
            "keeps them in its archive and in the e-mail with the chat's log.",
        ),
    ] = True
    enable_assign: Annotated[
        bool,
        Field(
            title="Button «Bind to the CRM»",
            description="Show the operator the button that binds the visitor to the card; what they press is kept.",
        ),
    ] = True
    answer_changes: Annotated[
        bool,
        Field(
            title="Answer changes too",
            description="Send the full answer to «chat_updated» as well, so that the operator sees the client as soon "
            "as the visitor leaves a number. The vendor's older pages do not promise that it is read (?).",
        ),
    ] = True
    token_field: Annotated[
        str,
        Field(
            title="Meaning of the user token",
            description="The identity field of the policy that the site passes with jivo_api.setUserToken, for "
            "instance a customer number. Empty: the token identifies nobody.",
        ),
    ] = ""
