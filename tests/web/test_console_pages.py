"""The console in a real browser, over loopback, beside both sandboxes (U2, X1, H4, H11, H12, U4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from hub.runtime import setup
from hub.store import interactions, projects, users
from tests.web.console_scene import (
    CHANNEL,
    CRM,
    HOSTILE,
    LOGIN,
    PASSWORD,
    PATIENCE,
    PROJECT,
    Scene,
    browser,
    log_in,
    press,
    scene,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.end_to_end, pytest.mark.timeout(240)]


@pytest_asyncio.fixture(loop_scope="module")
async def stage(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(tmp_path / "var") as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: Browser) -> AsyncIterator[Page]:
    """A page that fails the test if a script of ours fails or is forbidden."""
    context = await chromium.new_context(locale="en", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    found = await context.new_page()
    errors: list[str] = []
    found.on("pageerror", lambda error: errors.append(str(error)))
    found.on("console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None)
    yield found
    await context.close()
    assert errors == []


async def test_a_sales_head_watches_the_journal_and_asks_why(stage: Scene, page: Page) -> None:
    await stage.prepare()
    await log_in(page, stage.address)
    await page.goto(f"{stage.address}/console/{PROJECT}/journal")
    await expect(page.locator("#rows")).to_contain_text("Nothing here yet")
    await stage.call("380501112233", answered_by="examplecom_irina", talk=62)
    # the journal renews itself: nobody reloads the page
    row = page.locator("#rows tr[data-href]").first
    await expect(row).to_contain_text("Ирина Белова answered")
    await expect(row).to_contain_text("Written to amocrm: a new contact, a new deal")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/interactions/**")
    await expect(page.locator("#summary")).to_contain_text("they talked for 1 min 2 s")
    await expect(page.locator("main")).to_contain_text("Row Z1 of the matrix fitted — answered, inbound, new client")
    await page.get_by_text("What did not fit, and why").click()
    await expect(page.locator("main")).to_contain_text("Direction: must be “outgoing”, but it was “inbound”")
    card = page.get_by_role("link", name="open the card").first
    assert str(await card.get_attribute("href")).startswith(stage.crm_address)


async def test_a_choice_made_before_the_script_is_there_counts(stage: Scene, page: Page) -> None:
    """H12: on a slow line the page stands before its script does; going back brings no old choice in again."""
    await stage.prepare()
    await log_in(page, stage.address)
    loads = asyncio.Event()

    async def late(route: Route) -> None:
        await loads.wait()
        await route.continue_()

    await page.route("**/console.js*", late)
    await page.goto(f"{stage.address}/console/{PROJECT}/journal", wait_until="commit")
    await page.select_option("#status", "answered")
    assert "status=" not in page.url
    loads.set()
    await page.wait_for_url("**status=answered**")
    await page.go_back()
    await expect(page.locator("#status")).to_have_value("")
    assert "status=answered" not in page.url


async def test_what_the_crm_refused_is_replayed_with_one_button(stage: Scene, page: Page) -> None:
    await stage.prepare()
    stage.crm.fail_next("POST", "/api/v4/leads/complex", status=400)
    await stage.call("380501112233", answered_by="examplecom_irina", talk=62)
    await stage.settled(1)
    await log_in(page, stage.address)
    await expect(page.locator(".nav .count")).to_have_text("1")
    await page.goto(f"{stage.address}/console/{PROJECT}/attention")
    await expect(page.locator("article")).to_contain_text("400")
    await page.get_by_role("button", name="Try again").click()
    await stage.until(lambda: stage.states().get((CRM, "finished")) == 1)
    await page.reload()
    await expect(page.locator("main")).to_contain_text("All is well")
    assert len(stage.crm.records()["leads"]) == 1


async def test_an_unreadable_webhook_is_shown_as_text_with_the_field_at_fault(stage: Scene, page: Page) -> None:
    await stage.prepare()
    await stage.hook(b'{"uniqueid": "' + HOSTILE.encode())
    await stage.until(lambda: _attention(stage) == 1)
    await log_in(page, stage.address)
    await page.goto(f"{stage.address}/console/{PROJECT}/attention")
    await expect(page.locator("article")).to_contain_text("field at fault: body")
    await page.locator("article summary").first.click()
    await expect(page.locator("article pre").first).to_contain_text("<script>document.title='owned'</script>")
    assert await page.title() != "owned"
    assert await page.locator("article img").count() == 0
    await page.get_by_role("button", name="Read again", exact=True).click()
    await stage.until(lambda: _attention(stage) == 1)


def _attention(stage: Scene) -> int:
    from hub.store import figures

    return stage.hub.services.store.read_now(lambda conn: figures.count_attention(conn, PROJECT))


async def test_hostile_names_are_shown_as_text_on_every_page(stage: Scene, page: Page) -> None:
    await stage.prepare()
    await stage.call("380501112233", answered_by="examplecom_hall", talk=5, employee_fio=HOSTILE)
    await stage.call(f'"{HOSTILE}" <380671234567>')
    form = {"uniqueid": "f1", "form_name": HOSTILE, "name": HOSTILE, "phone": "380931234567", "page": HOSTILE}
    await stage.hook(form, "form")
    await stage.until(lambda: sum(stage.states().values()) >= 3)
    await log_in(page, stage.address)
    store = stage.hub.services.store
    found = store.read_now(lambda conn: interactions.journal(conn, PROJECT))
    paths = [f"/console/{PROJECT}/{name}" for name in ("", "journal", "attention", "connections", "policy")]
    paths += [f"/console/{PROJECT}/interactions/{one.id}" for one in found]
    told = ""
    for path in paths:
        await page.goto(f"{stage.address}{path}")
        told += await page.locator("main").inner_text()
        assert await page.title() != "owned", path
        assert await page.locator("main img, main script").count() == 0, path
    assert "<script>document.title" in told


async def test_writing_is_switched_on_paused_and_off_in_the_console(stage: Scene, page: Page) -> None:
    await stage.prepare(mode="shadow")
    await log_in(page, stage.address)
    await expect(page.locator(".band")).to_contain_text("Shadow mode")
    await page.goto(f"{stage.address}/console/{PROJECT}/policy")
    services = stage.hub.services

    def row() -> projects.Project:
        found = services.store.read_now(lambda conn: projects.find_project(conn, PROJECT))
        assert found is not None
        return found

    await press(page, "Go live")
    await expect(page.locator("main")).to_contain_text("Live: decisions are written")
    assert row().is_writing
    await press(page, "Pause")
    await expect(page.locator(".band")).to_contain_text("Writing is paused")
    assert row().is_paused
    await press(page, "Go on")
    await press(page, "Back to shadow")
    await expect(page.locator(".band")).to_contain_text("Shadow mode")


async def test_each_person_reads_in_their_own_language(stage: Scene, page: Page) -> None:
    await stage.prepare()
    await log_in(page, stage.address)
    for language, word in (("uk", "Сьогодні"), ("ru", "Сегодня"), ("en", "Today")):
        async with page.expect_navigation():
            await page.select_option("#language-choice", language)
        await expect(page.locator("h1")).to_have_text(word)
        assert await page.locator("html").get_attribute("lang") == language
    user = stage.hub.services.store.read_now(lambda conn: users.find_user(conn, LOGIN))
    assert user is not None
    assert user.language == "en"


async def test_the_set_up_leads_from_an_empty_hub_to_the_first_webhook(stage: Scene, page: Page) -> None:
    services = stage.hub.services
    await page.goto(f"{stage.address}/setup/")
    await _make_administrator(stage, page)
    await expect(page.locator("main")).to_contain_text("works: the hub can be reached from outside")
    await page.get_by_role("link", name="New project").click()
    await page.fill("#title", "Nord Tea")
    await page.fill("#name", PROJECT)
    await press(page, "Make the project")
    assert page.url.endswith(f"/setup/{PROJECT}")
    # --- the CRM, with a wrong address first
    await page.get_by_role("link", name="Go on: CRM").click()
    await page.get_by_text("Further settings").click()
    await page.check("[name=is_loopback_allowed]")
    await page.fill("[name=address]", "http://127.0.0.1:1")
    await page.fill("[name=long_lived_token]", stage.crm.long_lived_token())
    await press(page, "Save and go on")
    await expect(page.locator("#redirect-uri")).to_have_text(f"{stage.address}/oauth/amocrm/callback")
    await press(page, "Check the account")
    await expect(page.get_by_role("alert")).to_contain_text("The account was not connected.")
    await page.fill("[name=address]", stage.crm_address)
    await press(page, "Save")
    await press(page, "Check the account")
    await expect(page.get_by_role("status")).to_contain_text("The account is connected.")
    await expect(page.locator("main")).to_contain_text("Продажи")
    # --- names
    await page.get_by_role("link", name="Go on: Pipelines and fields").click()
    await expect(page.locator("main")).to_contain_text("utm_source")
    await page.select_option("select[name='field:deal/utm_term']", label="Отдел")
    await press(page, "Save")
    await expect(page.locator("main")).to_contain_text("chosen")
    # --- the channel
    # the page's script is there before the choice that it submits
    async with page.expect_navigation():
        await page.get_by_role("link", name="Go on: Channel").click()
    async with page.expect_navigation():
        await page.select_option("#plugin", "ringostat")
    await page.fill("[name=project_id]", "55555")
    await page.fill("[name=auth_key]", "sandbox-auth-key")
    await page.get_by_text("Further settings").click()
    await page.fill("[name=api_base]", stage.telephony_address)
    await press(page, "Save and go on")
    assert page.url.endswith("/addresses")
    row = await setup.find_channel(services, PROJECT, CHANNEL)
    hook = f"{stage.address}/hooks/{PROJECT}/{CHANNEL}/{row.secret}"
    await expect(page.locator("#hint-1")).to_have_text(f"{hook}?moment=after")
    # --- employees: three are found, one is not
    await page.goto(f"{stage.address}/setup/{PROJECT}/crm/{CRM}/employees")
    for sign in ("by e-mail", "by number", "by name", "not found"):
        await expect(page.locator("table")).to_contain_text(sign)
    await page.select_option("#senior", label="Ирина Белова")
    await press(page, "Write into the rules")
    await expect(page.get_by_role("status")).to_contain_text("Saved")
    policy = services.projects.get(PROJECT).policy
    assert policy is not None
    assert {one.id: one.staff_ids for one in policy.employees} == {
        "irina": ("1101",),
        "oleg": ("1102",),
        "anna": ("1103",),
    }
    assert policy.senior == "irina"
    assert "# zoho-standard:" in await setup_text(stage)
    # --- the first webhook
    await page.goto(f"{stage.address}/setup/{PROJECT}/channels/{CHANNEL}/waiting")
    await expect(page.locator("#lamp")).to_have_class("lamp is-waiting")
    await stage.call("380501112233", answered_by="examplecom_irina", talk=62)
    await expect(page.locator("#lamp")).to_have_class("lamp is-lit")
    # a new project is in shadow: nothing was written
    await stage.settled(1)
    assert stage.crm.records()["leads"] == []


async def setup_text(stage: Scene) -> str:
    return (await setup.policy_in_force(stage.hub.services, PROJECT)).text


async def _make_administrator(stage: Scene, page: Page) -> None:
    await page.fill("#token", "guess")
    await page.fill("#login", LOGIN)
    await page.fill("#password", PASSWORD)
    await press(page, "Make the administrator")
    await expect(page.get_by_role("alert")).to_contain_text("not the one that the hub printed")
    await page.fill("#token", stage.token)
    await page.fill("#password", PASSWORD)
    await press(page, "Make the administrator")
    await expect(page.locator("h1")).to_have_text("Set-up")


async def test_the_account_is_connected_by_consent_in_the_browser(stage: Scene, page: Page) -> None:
    services = stage.hub.services
    await stage.prepare()
    stage.crm.set_integration(redirect_uri=f"{stage.address}/oauth/amocrm/callback")
    stage.crm.switch(auto_consent=True)
    integration = stage.crm.integration
    await setup.change_connection(
        services,
        PROJECT,
        CRM,
        {
            "client_id": integration.client_id,
            "client_secret": integration.client_secret,
            "consent_address": f"{stage.crm_address}/oauth",
            "is_loopback_allowed": True,
        },
    )
    await log_in(page, stage.address)
    await page.goto(f"{stage.address}/setup/{PROJECT}/crm/{CRM}")
    await page.get_by_role("link", name="Connect amocrm in the browser").click()
    await page.wait_for_url(f"**/setup/{PROJECT}/crm/{CRM}")
    await press(page, "Read the account again")
    await expect(page.get_by_role("status")).to_contain_text("The account is connected.")


async def test_pages_fit_a_phone(stage: Scene, chromium: Browser) -> None:
    await stage.prepare()
    await stage.call("380501112233", answered_by="examplecom_irina", talk=62)
    await stage.settled(1)
    context = await chromium.new_context(viewport={"width": 360, "height": 740}, locale="en")
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    await log_in(page, stage.address)
    found = stage.hub.services.store.read_now(lambda conn: interactions.journal(conn, PROJECT))
    base = f"/console/{PROJECT}"
    paths = [f"{base}/{name}" for name in ("", "journal", "attention", "connections", "policy")]
    paths += [f"{base}/interactions/{found[0].id}", "/setup/", f"/setup/{PROJECT}", f"/setup/{PROJECT}/crm/{CRM}"]
    paths += [f"/setup/{PROJECT}/channels/{CHANNEL}/addresses", f"/setup/{PROJECT}/crm/{CRM}/employees"]
    for path in paths:
        await page.goto(f"{stage.address}{path}")
        wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path
    await context.close()
