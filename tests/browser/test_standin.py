"""The stand-in itself: it loads widgets as amoCRM's page does, and notices what a widget may not do (U1)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from hub.widget_archive import Archive
from tests.browser.account_page import Refused
from tests.browser.small import PLAIN, widget
from tests.browser.stage import IRINA, OLEG, Stage, stage
from tests.browser.tab import until
from tests.widget_archive import sample

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.end_to_end]


@pytest_asyncio.fixture(loop_scope="session")
async def scene(tmp_path: Path, chromium: Browser) -> AsyncIterator[Stage]:
    async with stage(tmp_path, chromium, with_hub=False) as found:
        yield found


# --- the order of loading -----------------------------------------------------------------------------------------


async def test_a_widget_that_stays_is_only_rendered_again(scene: Stage) -> None:
    scene.install(widget())
    tab = await scene.open(OLEG)
    assert await tab.calls() == ["render=true", "init=true", "bind_actions=true"]
    await tab.go("/leads/list/")
    await tab.page.click("#nav_menu a[href='/settings/widgets/']")
    await until(lambda: tab.harness("loads === 3"))
    assert (await tab.calls())[3:] == ["render=true", "render=true"]


async def test_a_widget_that_does_not_stay_is_destroyed_at_each_move(scene: Stage) -> None:
    scene.install(widget(once=False))
    tab = await scene.open(OLEG)
    await tab.go("/leads/list/")
    assert (await tab.calls())[3:] == ["destroy=true", "render=true", "init=true", "bind_actions=true"]


async def test_a_render_that_gives_nothing_keeps_init_away_but_not_bind_actions(scene: Stage) -> None:
    scene.install(widget(callbacks=PLAIN.replace("render: () => true", "render: () => undefined")))
    tab = await scene.open(OLEG)
    assert await tab.calls() == ["render=undefined", "bind_actions=true"]


async def test_a_render_that_promises_lets_bind_actions_go_first(scene: Stage) -> None:
    scene.install(widget(callbacks=PLAIN.replace("render: () => true", "render: () => Promise.resolve(true)")))
    tab = await scene.open(OLEG)
    await until(lambda: tab.harness("calls.length === 3"))
    assert await tab.calls() == ["render=promise", "bind_actions=true", "init=true"]


async def test_settings_and_texts_are_not_there_in_the_constructor(scene: Stage) -> None:
    early = "const early = [self.get_settings().hub, self.i18n('panel.title'), self.system().amouser_id];"
    late = PLAIN.replace(
        "init: () => true", "init: () => early.concat([self.get_settings().hub, self.i18n('panel.title')])"
    )
    scene.install(widget(early, callbacks=late), settings='{"hub": "x"}')
    tab = await scene.open(OLEG)
    assert (await tab.calls())[1] == f"init=,false,{OLEG},x,Слово"


async def test_a_widget_without_all_three_callbacks_is_dropped_in_silence(scene: Stage) -> None:
    scene.install(widget(callbacks="render: () => true, init: () => true"))
    tab = await scene.open(OLEG)
    assert await tab.calls() == []


async def test_a_callback_is_called_on_what_it_hangs_on(scene: Stage) -> None:
    """`this` is the object of callbacks, not the widget: a published widget relies on it."""
    hung = "render() { return this === self.callbacks; }, init: () => true, bind_actions: () => true"
    scene.install(widget(callbacks=hung))
    tab = await scene.open(OLEG)
    assert await tab.calls() == ["render=true", "init=true", "bind_actions=true"]


async def test_texts_come_in_the_persons_language_or_the_first(tmp_path: Path, chromium: Browser) -> None:
    told = PLAIN.replace("init: () => true", "init: () => self.i18n('panel.title')")
    async with stage(tmp_path, chromium, with_hub=False) as found:
        found.install(widget(callbacks=told))
        for language, text in (("en", "Word"), ("ru", "Слово"), ("uk", "Слово")):
            found.pages.boot["language"] = language
            assert (await (await found.open(OLEG)).calls())[1] == f"init={text}"


async def test_a_free_user_has_no_widgets(tmp_path: Path, chromium: Browser) -> None:
    async with stage(tmp_path, chromium, with_hub=False, boot={"is_free_user": True}) as found:
        found.install(widget())
        assert await (await found.open(OLEG)).calls() == []


async def test_a_new_version_comes_when_the_list_is_half_an_hour_old(scene: Stage) -> None:
    scene.install(widget("self.number = 1;", callbacks=PLAIN.replace("init: () => true", "init: () => self.number")))
    tab = await scene.open(OLEG)
    scene.install(widget("self.number = 2;", version="1.1.0",
                         callbacks=PLAIN.replace("init: () => true", "init: () => self.number")))  # fmt: skip
    await tab.reload()
    assert (await tab.calls())[1] == "init=1"
    await tab.advance_clock(31 * 60)
    await tab.reload()
    assert (await tab.calls())[1] == "init=2"


async def test_texts_that_come_late_hold_up_one_widget_alone(scene: Stage) -> None:
    scene.install(widget())
    scene.install(widget(), code="other")
    scene.pages.slow["i18n/ru.json"] = 0.3
    tab = await scene.open(OLEG)
    assert await tab.calls() == await tab.calls("other") == ["render=true", "init=true", "bind_actions=true"]


async def test_what_one_widget_throws_stops_no_other(scene: Stage) -> None:
    scene.install(
        widget(callbacks="render: () => { throw new Error('broken'); }, init: () => 1, bind_actions: () => 1")
    )
    scene.install(widget(), code="other")
    tab = await scene.open(OLEG)
    assert await tab.calls("other") == ["render=true", "init=true", "bind_actions=true"]
    assert any("broken" in line for line in tab.console)
    tab.console.clear()


# --- what the page gives ------------------------------------------------------------------------------------------


async def test_the_page_has_the_vendors_jquery(scene: Stage) -> None:
    scene.install(
        widget(callbacks=PLAIN.replace("init: () => true", "init: () => $.fn.jquery + typeof $.ajax().catch"))
    )
    tab = await scene.open(OLEG)
    assert (await tab.calls())[1] == "init=2.1.3undefined"


async def test_the_card_is_known_on_cards_only(scene: Stage) -> None:
    made = scene.crm.person("create_contact", name="Анна <b>Котова</b>", phone="+380501112233")
    look = (
        "const seen = () => [APP.getWidgetsArea(), APP.getV3WidgetsArea(), self.system().area, APP.getBaseEntity(),"
        " APP.data.current_card && APP.data.current_card.id].join();"
    )
    scene.install(widget(look, callbacks=PLAIN.replace("render: () => true", "render: () => seen()")))
    tab = await scene.open(OLEG, f"/contacts/detail/{made['id']}")
    await tab.go("/contacts/add/")
    await tab.go("/leads/list/")
    renders = [one for one in await tab.calls() if one.startswith("render")]
    assert renders == [
        f"render=contacts_card,contacts.card,ccard,contacts,{made['id']}",
        "render=contacts_card,contacts.card,ccard,contacts,0",
        "render=leads,leads.list,llist,leads,false",
    ]


async def test_a_panel_stands_in_the_right_column_behind_its_caption(scene: Stage) -> None:
    made = scene.crm.person("create_contact", name="Анна", phone="+380501112233")
    panel = "self.render_template({ caption: { class_name: 'crmhub-c' }, render: '<i>{{ a }}</i>' }, { a: 'drawn' })"
    scene.install(widget(callbacks=PLAIN.replace("render: () => true", f"render: () => {panel}")))
    tab = await scene.open(OLEG, f"/contacts/detail/{made['id']}")
    body = tab.page.locator(".card-widgets__widget-crm_hub .card-widgets__widget__body")
    assert not await body.is_visible()
    await tab.open_panel()
    assert await body.inner_text() == "drawn"
    assert await tab.page.locator(".card-widgets__widget__caption.crmhub-c img").count() == 1


async def test_a_token_serves_25_minutes(scene: Stage) -> None:
    ask = "const ask = () => self.$authorizedAjax({ url: '/api/v4/account', dataType: 'json' });"
    scene.install(widget(ask + "self.ask = ask;"))
    tab = await scene.open(OLEG)
    ask_again = "() => new Promise(done => APP.widgets.list.crm_hub.ask().then(done, done))"
    for pause, tokens in ((0, 1), (24 * 60, 1), (61, 2)):
        await tab.advance_clock(pause)
        await tab.page.evaluate(ask_again)
        asked = [one for one in scene.crm.requests() if one["path"].endswith("/disposable_token")]
        assert len(asked) == tokens
    sent = await tab.harness(
        "requests.filter(one => one.url === '/api/v4/account').map(one => one.headers['x-auth-token'])"
    )
    assert len(set(sent)) == 2
    assert all(token.count(".") == 2 for token in sent)


async def test_a_refused_token_is_a_failure_that_the_widget_hears_of(scene: Stage) -> None:
    scene.install(widget("self.ask = () => self.$authorizedAjax({ url: '/api/v4/account' });"))
    tab = await scene.open(OLEG)
    scene.crm.fail_next("GET", "/ajax/v2/integrations", status=401)
    fails = "() => new Promise(done => APP.widgets.list.crm_hub.ask().then(() => done(0), xhr => done(xhr.status)))"
    assert await tab.page.evaluate(fails) == 401
    assert await tab.page.evaluate(fails) == 0


async def test_clicking_a_number_asks_which_widget_shall_call(scene: Stage) -> None:
    hear = "self.add_action('phone', clicked => { self.heard = clicked.value; })"
    scene.install(widget(callbacks=PLAIN.replace("init: () => true", f"init: () => {{ {hear}; return true; }}")))
    tab = await scene.open(OLEG)
    assert await tab.click_phone("+380501112233") == 1
    assert await tab.page.evaluate("() => APP.widgets.list.crm_hub.heard") == "+380501112233"
    scene.install(
        widget(callbacks=PLAIN.replace("init: () => true", f"init: () => {{ {hear}; return true; }}")), code="b"
    )
    await tab.page.evaluate("() => window.__harness.forgetList()")
    await tab.reload()
    assert await tab.click_phone("+380671234567") == 2
    await tab.page.click(".tips__item:nth-child(2)")
    assert await tab.page.evaluate("() => [APP.widgets.list.crm_hub.heard, APP.widgets.list.b.heard]") == [
        None,
        "+380671234567",
    ]


async def test_settings_are_saved_if_the_widget_agrees(scene: Stage) -> None:
    agree = "settings: () => true, onSave: saved => saved.fields.hub !== 'bad'"
    scene.install(widget(callbacks=f"{PLAIN}, {agree}"), settings={"hub": "old"})
    tab = await scene.open(IRINA, "/settings/widgets/")
    await tab.open_settings()
    for typed, answer in (("", "missing hub"), ("bad", "refused"), ("good", "saved")):
        await tab.page.fill(".modal [name=hub]", typed)
        assert await tab.press(".js-widget-save") == answer
    assert (await tab.calls())[3:] == ["settings=true", "onSave=false", "onSave=true"]
    await tab.reload()
    assert await tab.page.evaluate("() => APP.widgets.list.crm_hub.get_settings().hub") == "good"
    await tab.open_settings()
    assert await tab.press(".js-widget-uninstall") == "saved"
    assert (await tab.calls())[-2:] == ["onSave=true", "destroy=true"]


async def test_notices_reach_the_notification_centre_and_those_who_listen(scene: Stage) -> None:
    say = (
        "APP.addNotificationCallback('crm_hub', told => { self.told = told.body.title.value; });"
        "APP.notifications.add_call({ text: 'a call', from: 'Anna' }); APP.notifications.add_call({ from: 'nobody' });"
    )
    scene.install(widget(callbacks=PLAIN.replace("init: () => true", f"init: () => {{ {say} return true; }}")))
    tab = await scene.open(OLEG)
    assert await tab.page.locator(".popup-inbox .notification__item").count() == 1
    assert await tab.page.evaluate("() => APP.widgets.list.crm_hub.told") == "Anna"


# --- what it refuses, and what it notices -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("manifest.json", b'{"widget": {"locale": ["ru"]}, "locations": ["moon"]}'),
        ("i18n/en.json", b"{}"),
        ("script.js", b"\xef\xbb\xbfdefine([], function () {});"),
        ("images/logo.png", sample.picture(1, 1)),
    ],
)
async def test_an_archive_that_amocrm_refuses_is_refused(scene: Stage, path: str, content: bytes) -> None:
    with pytest.raises(Refused, match=path):
        scene.install(Archive(files=sample.good() | {path: content}))
    scene.install(Archive(files=sample.good()))


BAD = {
    "writes to the console": "console.log('hello');",
    "writes to APP": "APP.mine = 1;",
    "reads what is not documented": "self.secret = APP.secret;",
    "makes a global": "window.mine = 1;",
    "makes a script element": "document.createElement('script');",
    "asks a third origin": "fetch('http://127.0.0.1:9/x').catch(() => 0);",
    "blocks the page": "const x = new XMLHttpRequest(); x.open('GET', '/dashboard/', false); x.send();",
    "throws later": "setTimeout(() => { throw new Error('late'); }, 0);",
    "changes how the page looks": "$('<style>').text('h2 { color: red }').appendTo('body');",
    "writes what a client wrote as markup": "$('body').append('<img src=x onerror=\"window.owned = 1\">');",
}


@pytest.mark.parametrize("what", BAD)
async def test_misconduct_is_noticed(scene: Stage, what: str) -> None:
    scene.install(widget(BAD[what]))
    tab = await scene.open(OLEG)

    async def is_noticed() -> bool:
        try:
            await tab.check()
        except AssertionError:
            return True
        return False

    await until(is_noticed, 5, what)
    scene.tabs.clear()


async def test_what_a_widget_leaves_behind_is_noticed(scene: Stage) -> None:
    leave = (
        "$(document).on('mousedown' + self.ns, () => 0); $(document).on('keydown', () => 0);"
        "setInterval(() => 0, 1000); window.addEventListener('online', () => 0);"
        "$('body').append('<div id=\"crmhub-left\">');"
    )
    scene.install(widget(callbacks=PLAIN.replace("init: () => true", f"init: () => {{ {leave} return true; }}")))
    tab = await scene.open(OLEG, "/dashboard/")
    before = await tab.footprint()
    await tab.remove()
    await asyncio.sleep(0)
    after = await tab.footprint()
    assert "mousedown" in before["document"]
    assert "mousedown" not in after["document"]
    assert {"keydown"} <= set(after["document"])
    assert after["window"].count("online") == 1
    assert after["intervals"] == before["intervals"] == 1
    assert any("crmhub-left" in one for one in after["body"])
