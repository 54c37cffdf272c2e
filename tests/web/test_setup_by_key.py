"""A CRM that is connected by an API key is offered like any other: form, console, connection (H12)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub_retailcrm.config import RetailCrmSettings
from hub_retailcrm.sandbox import Sandbox, serve
from pydantic import SecretStr
from rich.prompt import Confirm, Prompt
from starlette.datastructures import FormData

from hub.commands.asking import ask_settings
from hub.compose import build_services
from hub.errors import ConfigurationError, NeedsCredentials
from hub.language import Translator
from hub.runtime import setup
from hub.runtime.services import Services
from hub.settings import Settings
from hub.store.projects import Status
from hub.web.console.form import fields_of, values_of


@pytest.fixture
def retail() -> Iterator[tuple[Sandbox, str]]:
    with serve(Sandbox()) as served:
        yield served


async def test_wrong_key_is_told_and_the_right_one_connects(tmp_path: Path, retail: tuple[Sandbox, str]) -> None:
    """H12: the account's employees, statuses and fields can then be chosen by name."""
    sandbox, address = retail
    # on the machine's clock, since requests are paced
    hub_settings = Settings(environment="development", data_directory=tmp_path, public_url="https://hub.example.net")
    services = build_services(hub_settings)
    try:
        await setup.create_project(
            services,
            name="fruit",
            title="",
            preset="retailcrm-orders",
            language="ru",
            region="UA",
            time_zone="Europe/Kyiv",
            author="test",
        )
        values = {"address": address, "api_key": "wrong", "is_loopback_allowed": True}
        await setup.add_connection(services, "fruit", name="crm", sink="retailcrm", values=values)
        with pytest.raises(NeedsCredentials, match="does not accept the API key"):
            await setup.connect(services, "fruit", "crm")
        await setup.change_connection(services, "fruit", "crm", values | {"api_key": sandbox.api_key})
        catalogue = (await setup.connect(services, "fruit", "crm")).catalogue
        row = services.projects.get("fruit").connections[0].row
        assert (row.status, catalogue.warnings) == (Status.READY, ())
        assert "Олег Громов" in [user.name for user in catalogue.users]
        assert [stage.name for stage in catalogue.pipelines[0].stages][:2] == ["Новый", "Обратная связь"]
        assert list(sandbox.records()["modules"]) == ["crm-hub"]
    finally:
        services.close()


def test_form_can_be_saved_as_it_is_shown() -> None:
    """H12: whatever the defaults are, sending the form back changes nothing."""
    entered = {"address": "https://fruit.retailcrm.ru", "api_key": "k3y"}
    shown = fields_of(RetailCrmSettings, entered, Translator("en"))
    texts = {one.name: ("on" if one.is_set else "") if one.kind == "flag" else one.value for one in shown}
    form = FormData([(name, text) for name, text in (texts | entered).items() if text])
    saved = RetailCrmSettings.model_validate(values_of(RetailCrmSettings, form, {}))
    assert saved == RetailCrmSettings.model_validate(entered)


def test_console_asks_for_what_has_no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """H12: address and key are asked for, the key unseen."""
    asked: list[bool] = []

    def ask(*_: object, password: bool = False, **__: object) -> str:
        asked.append(password)
        return "https://fruit.retailcrm.ru" if len(asked) == 1 else "k3y" if password else ""

    monkeypatch.setattr(Prompt, "ask", ask)
    monkeypatch.setattr(Confirm, "ask", lambda *_, **__: False)
    found = RetailCrmSettings.model_validate(ask_settings(RetailCrmSettings))
    assert found == RetailCrmSettings(address="https://fruit.retailcrm.ru", api_key=SecretStr("k3y"))
    assert asked[:2] == [False, True]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "address"),
        ({"address": "ftp://x"}, "address"),
        ({"address": "https://x.retailcrm.ru/api/v5"}, "address"),
        ({"api_key": "two words"}, "api_key"),
        ({"api_key": ""}, "api_key"),
        ({"page_size": 30}, "page_size"),
        ({"order_batch_size": 51}, "order_batch_size"),
        ({"default_user": "Oleg"}, "default_user"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
async def test_bad_settings_name_the_field(
    make_services: Callable[..., Services], values: dict[str, object], field: str
) -> None:
    """H11: a clear error before anything is asked."""
    services = make_services()
    good = {"address": "https://fruit.retailcrm.ru", "api_key": "k3y"} if values else {}
    try:
        with pytest.raises(ConfigurationError) as caught:
            await setup.add_connection(services, "fruit", name="crm", sink="retailcrm", values=good | values)
        assert caught.value.path == field
    finally:
        services.close()
