"""What plugins say to people is read in the reader's language, as the host's own texts are (U4, H12)."""

from __future__ import annotations

import pytest

from hub.core.text import Language
from hub.language import translator
from hub.plugins import load_plugins
from hub.ports import ChannelConfig, Sink, Source

#: ours: another one that is installed beside them may speak English only
FOUND = load_plugins(("amocrm", "jivo", "retailcrm", "ringostat", "wazzup", "zoho"))
PLUGINS: dict[str, Source | Sink] = {**FOUND.sources, **FOUND.sinks}
#: names that are the same in every language
SAME = {"Auth-key", "Client ID", "Client secret", "Refresh token"}

OTHERS: list[Language] = ["ru", "uk"]


@pytest.mark.parametrize("name", sorted(PLUGINS))
@pytest.mark.parametrize("language", OTHERS)
def test_every_setting_is_named_and_explained_in_the_readers_language(name: str, language: Language) -> None:
    t = translator(language)
    fields = PLUGINS[name].settings_model.model_fields.values()
    said = [text for field in fields for text in (field.title, field.description) if text and text not in SAME]
    assert len(said) > 15
    assert [text for text in said if t.theirs(text) == text] == []


@pytest.mark.parametrize("name", sorted(FOUND.sources))
@pytest.mark.parametrize("language", OTHERS)
def test_every_note_of_what_to_copy_is_told_in_the_readers_language(name: str, language: Language) -> None:
    source: Source = FOUND.sources[name]
    channel = ChannelConfig(
        project="shop",
        name=name,
        source=name,
        region="UA",
        time_zone="Europe/Kyiv",
        settings=source.settings_model(),
    )
    hints = source.setup_hints(channel, "https://hub.example.net/hooks/1", "https://hub.example.net/forward/1")
    assert [hint.note for hint in hints if hint.note and translator(language).theirs(hint.note) == hint.note] == []


TOLD = [
    ("channel 17 is now active", "канал 17: теперь active"),
    (
        "Wazzup asked for a contact (source crm) and was answered",
        "Wazzup просила контакт (источник crm) и получила ответ",
    ),
    (
        "Parameters to tick: uniqueid, calldate. Why: the popup while it rings.",
        "Отметьте параметры: uniqueid, calldate. Зачем: всплывающее окно, пока идёт вызов.",
    ),
    ("a reason of another plugin", "a reason of another plugin"),
    ("", ""),
]


@pytest.mark.parametrize(("text", "told"), TOLD)
def test_places_in_a_plugins_text_keep_what_the_plugin_put_there(text: str, told: str) -> None:
    assert translator("ru").theirs(text) == told
    assert translator("en").theirs(text) == text
