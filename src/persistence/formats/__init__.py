"""Formats: conversations, trajectories, preference pairs and spans, as other programs have them."""

from persistence.formats.atif import (
    atif_document,
    atif_trace,
    import_atif,
    read_atif,
    write_atif,
)
from persistence.formats.chat import achat_agent, chat_agent, conversation
from persistence.formats.files import (
    Imported,
    chat_line,
    import_chats,
    read_chats,
    write_chats,
)
from persistence.formats.messages import chat_messages, chat_trace, settings_of
from persistence.formats.otel import export_spans
from persistence.formats.preferences import Pair, Preference, preference_line, write_preferences

__all__ = [
    "Imported",
    "Pair",
    "Preference",
    "achat_agent",
    "atif_document",
    "atif_trace",
    "chat_agent",
    "chat_line",
    "chat_messages",
    "chat_trace",
    "conversation",
    "export_spans",
    "import_atif",
    "import_chats",
    "preference_line",
    "read_atif",
    "read_chats",
    "settings_of",
    "write_atif",
    "write_chats",
    "write_preferences",
]
