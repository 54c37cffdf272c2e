"""What Wazzup sends, with its own names (reference 3, 5): strict in what is read, loose in the rest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = [
    "Channel",
    "ChannelUpdate",
    "CreateContact",
    "CreateDeal",
    "Message",
    "Status",
    "TemplateStatus",
    "Webhooks",
]


def _as_text(value: Any) -> Any:
    if value is None:
        return ""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _as_truth(value: Any) -> Any:
    """Booleans, sometimes as text (reference 4.2), null or absent."""
    if value is None:
        return False
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value


def _as_moment(value: Any) -> Any:
    """``2026-03-02T08:15:11.421``, in practice with Z; without a zone it is UTC (reference 5.1)."""
    if not isinstance(value, str):
        raise ValueError("must be a time as text")
    found = datetime.fromisoformat(value.strip())
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _as_object(value: Any) -> Any:
    """What is documented nowhere may come in any shape: only an object is looked into."""
    return value if isinstance(value, Mapping) else {}


def _as_list(value: Any) -> Any:
    return [] if value is None else value


Text = Annotated[str, BeforeValidator(_as_text)]
Required = Annotated[str, Field(min_length=1), BeforeValidator(_as_text)]
Truth = Annotated[bool, BeforeValidator(_as_truth)]
Moment = Annotated[datetime, BeforeValidator(_as_moment)]
Loose = Annotated[dict[str, Any], BeforeValidator(_as_object)]


class _Wire(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True, populate_by_name=True)


class Contact(_Wire):
    """Who the client is, as the messenger tells it."""

    name: Text = ""
    username: Text = ""
    phone: Text = ""


class Failure(_Wire):
    """Why a message did not arrive (reference 5.3)."""

    error: Text = ""
    description: Text = ""


class Message(_Wire):
    """One of ``messages`` (reference 5.1)."""

    message_id: Annotated[Required, Field(alias="messageId")]
    channel_id: Annotated[Text, Field(alias="channelId")] = ""
    chat_type: Annotated[Required, Field(alias="chatType")]
    chat_id: Annotated[Required, Field(alias="chatId")]
    date_time: Annotated[Moment, Field(alias="dateTime")]
    type: Text = ""
    is_echo: Annotated[Truth, Field(alias="isEcho")] = False
    status: Text = ""
    text: Text = ""
    content_uri: Annotated[Text, Field(alias="contentUri")] = ""
    contact: Annotated[Contact, BeforeValidator(_as_object)] = Contact()
    author_id: Annotated[Text, Field(alias="authorId")] = ""
    author_name: Annotated[Text, Field(alias="authorName")] = ""
    sent_from_app: Annotated[Truth, Field(alias="sentFromApp")] = False
    is_edited: Annotated[Truth, Field(alias="isEdited")] = False
    is_deleted: Annotated[Truth, Field(alias="isDeleted")] = False
    avito_profile_id: Annotated[Text, Field(alias="avitoProfileId")] = ""
    #: buttons of amoCRM's Salesbot, of any shape
    interactive: Any = None
    quoted: Annotated[Loose, Field(alias="quotedMessage")] = {}
    post: Annotated[Loose, Field(alias="instPost")] = {}
    advert: Loose = {}
    error: Annotated[Failure, BeforeValidator(_as_object)] = Failure()


class Status(_Wire):
    """One of ``statuses`` (reference 5.2)."""

    message_id: Annotated[Required, Field(alias="messageId")]
    timestamp: Moment
    status: Required
    error: Annotated[Failure, BeforeValidator(_as_object)] = Failure()


class Chat(_Wire):
    """One of ``contactData`` (reference 5.4, 7)."""

    chat_type: Annotated[Required, Field(alias="chatType")]
    chat_id: Annotated[Text, Field(alias="chatId")] = ""
    username: Text = ""
    phone: Text = ""


class CreateContact(_Wire):
    """``createContact``: Wazzup waits for the contact (reference 5.4)."""

    responsible: Annotated[Text, Field(alias="responsibleUserId")] = ""
    name: Text = ""
    chats: Annotated[list[Chat], Field(alias="contactData", min_length=1)]
    source: Text = ""


class CreateDeal(_Wire):
    """``createDeal``: Wazzup waits for the deal (reference 5.4)."""

    responsible: Annotated[Text, Field(alias="responsibleUserId")] = ""
    contacts: Annotated[list[Required], Field(min_length=1)]
    source: Text = ""


class ChannelUpdate(_Wire):
    """One of ``channelsUpdates`` (reference 5.5)."""

    channel_id: Annotated[Required, Field(alias="channelId")]
    state: Text = ""
    tier: Text = ""


class TemplateStatus(_Wire):
    """``templateStatus`` (reference 5.6)."""

    name: Text = ""
    status: Required


class Channel(_Wire):
    """One of ``GET /channels`` (reference 3)."""

    channel_id: Annotated[Required, Field(alias="channelId")]
    transport: Text = ""
    plain_id: Annotated[Text, Field(alias="plainId")] = ""
    state: Text = ""
    name: Text = ""


class Webhooks(_Wire):
    """``GET /webhooks`` (reference 4.2)."""

    uri: Annotated[Text, Field(alias="webhooksUri")] = ""
    subscriptions: Annotated[dict[str, Truth], BeforeValidator(_as_object)] = {}
