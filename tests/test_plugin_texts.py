"""What plugins say to people is read in the reader's language, as the host's own texts are (U4, H12)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from hub.core.plan import Reason
from hub.core.policy import load_policy
from hub.core.text import Language
from hub.errors import ConfigurationError
from hub.language import _plugin_texts, translator
from hub.plugins import load_plugins
from hub.ports import ChannelConfig, Sink, Source
from hub.runtime.telling import reason_text

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
    assert [text for text in said if re.search("[a-z]", text) and t.theirs(text) == text] == []


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
    ("POST leads refused: 400 Bad name", "запрос отклонён (POST leads): 400 Bad name"),
    ("the vendor refused: no reason given", "запрос отклонён (сервис): причина не названа"),
    ("Zoho CRM cannot be reached: ConnectError", "Zoho CRM недоступна: ConnectError"),
    ("amoCRM does not accept the credentials: status 401", "amoCRM не принимает доступ: статус 401"),
    (
        "amoCRM refuses this server; its support has to lift the ban",
        "amoCRM не принимает запросы этого сервера: снять запрет может её поддержка",
    ),
    (
        "the body is not JSON: unexpected character, expected ',' or '}': line 1 column 69 (char 68)",
        "тело запроса не является JSON: неожиданный знак, ожидалось: ',' или '}'; строка 1, столбец 69",
    ),
    ("page_size: Input should be less than or equal to 250", "page_size: должно быть не больше 250"),
    ("address: Value error, no such thing", "address: no such thing"),
    ("a reason of another plugin", "a reason of another plugin"),
    ("", ""),
]


#: what the vendors' clients and mappings say when something goes wrong
ERRORS = re.compile(
    r"\b(?:Rejected|Unavailable|NeedsCredentials|Throttled|Banned|Stale|LacksRight|PayloadError|ConfigurationError)"
    r"\(\s*(?=[f\"'])((?:f?\"[^\"]*\"\s*)+)"
)


def _errors(package: Path) -> list[str]:
    found = []
    for path in package.rglob("*.py"):
        if "sandbox" not in path.parts:
            for parts in ERRORS.findall(path.read_text(encoding="utf-8")):
                text = "".join(re.findall(r'"([^"]*)"', parts))
                found.append(re.sub(r"\{[^{}]*\}", "7", text))
    return found


@pytest.mark.parametrize("name", sorted(PLUGINS))
@pytest.mark.parametrize("language", OTHERS)
def test_every_error_of_a_plugin_is_told_in_the_readers_language(name: str, language: Language) -> None:
    """H11, H12: errors of vendors and unreadable webhooks stand in the console, read by people."""
    spec = find_spec(f"hub_{name}")
    assert spec is not None
    assert spec.origin is not None
    said = _errors(Path(spec.origin).parent)
    assert len(said) > 3
    t = translator(language)
    assert [text for text in said if re.search("[a-z]", text) and t.theirs(text) == text] == []


BROKEN = [
    ("this = [", "это не TOML: неверное значение (в конце документа)"),
    ("[assignment]\nexisting_answred = 1", "«existing_answred» здесь не бывает, может быть, existing_answered?"),
    ("[[employees]]\nname = 'Olena'", "не хватает «id»"),
]


@pytest.mark.parametrize(("text", "told"), BROKEN)
def test_what_is_wrong_with_a_policy_is_told_in_the_readers_language(text: str, told: str) -> None:
    """H11, U4: the place stays as it is, the sentence is the reader's."""
    with pytest.raises(ConfigurationError) as refused:
        load_policy(text, "nordtea/policy 2")
    said = translator("ru").theirs(str(refused.value))
    assert said.startswith("nordtea/policy 2:")
    assert told in said


@pytest.mark.parametrize(("text", "told"), TOLD)
def test_places_in_a_plugins_text_keep_what_the_plugin_put_there(text: str, told: str) -> None:
    assert translator("ru").theirs(text) == told
    assert translator("en").theirs(text) == text


@pytest.fixture
def parrot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another distribution is installed, whose rule gives a reason of its own."""
    told = {"en": "the parrot knows {who}", "uk": "папуга знає клієнта: {who}"}
    package = tmp_path / "hub_parrot"
    (package / "locales").mkdir(parents=True)
    (package / "__init__.py").touch()
    for language, text in told.items():
        header = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'
        (package / "locales" / f"{language}.po").write_text(f'{header}msgid "parrot_knows"\nmsgstr "{text}"\n', "utf-8")
    installed = tmp_path / "hub_parrot-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: hub-parrot\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[hub]\nparrot = hub_parrot\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    _plugin_texts.cache_clear()
    yield
    _plugin_texts.cache_clear()


REASONS: list[tuple[Language, str]] = [
    ("en", "the parrot knows Olena"),
    ("uk", "папуга знає клієнта: Olena"),
    ("ru", "parrot_knows (who: Olena)"),
]


@pytest.mark.parametrize(("language", "told"), REASONS)
def test_a_rules_own_reason_is_told_by_its_plugins_catalogue(parrot: None, language: Language, told: str) -> None:
    """X1, U4: a code of its own with its values; where the catalogue has none, both as they are."""
    reason = Reason(code="parrot_knows", values={"who": "Olena"})
    assert reason_text(reason, translator(language)) == told
