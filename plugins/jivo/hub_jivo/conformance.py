"""What the hub's conformance kit needs to try this plugin (X4)."""

from __future__ import annotations

from hub.testing.outfit import SourceOutfit, payloads_of

from .source import JivoSource

__all__ = ["OUTFIT"]

OUTFIT = SourceOutfit(
    source=JivoSource(),
    payloads=payloads_of(__file__),
    # the operator who took a chat, or sees it changed, is told who it is; also where the chat itself cannot be read
    owed=frozenset(
        {
            "chat_accepted__full.json",
            "chat_accepted__no_chat_id.json",
            "chat_accepted__php_habits.json",
            "chat_updated__phone_left.json",
            "chat_updated__without_chat.json",
        }
    ),
    refused={
        "chat_accepted__array.json": "body",
        "chat_accepted__no_chat_id.json": "chat_id",
        "chat_accepted__not_json.json": "body",
        "chat_finished__no_moment.json": "chat.messages.timestamp",
        "call_event__unknown_status.json": "call.status",
        "call_event__unknown_type.json": "call.type",
        "client_updated__nobody.json": "visitor.number",
        "offline_message__no_id.json": "offline_message_id",
    },
)
