"""The live page in a real browser, as a person uses it: by mouse, by keyboard, in a narrow window."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_digest_acl

from ...browser import CHROMIUM, Tab
from .live import Page, session_of

if CHROMIUM is None:
    pytest.skip(
        "no chromium, so the live page is not tried in a browser: apt-get install chromium",
        allow_module_level=True,
    )

MALICIOUS: Final = '<img src=x onerror="window.executed=1"><script>window.executed=1<'
FOCUSED: Final = "document.activeElement.querySelector('.name')?.textContent"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    tab = Tab(tmp_path_factory.mktemp("chromium"))
    # The page looks every 2 s; here its timers run 20 times as fast.
    quick = """{
        const late = setTimeout, never = clearTimeout;
        window.timers = new Set();
        window.setTimeout = (run, ms) => {
            const id = late(() => { timers.delete(id); run(); }, ms / 20);
            timers.add(id);
            return id;
        };
        window.clearTimeout = (id) => { timers.delete(id); never(id); };
    }"""
    tab.call("Page.addScriptToEvaluateOnNewDocument", source=quick)
    yield tab
    tab.close()


@pytest.fixture
def tab(browser: Tab, page: Page, client: KazooClient) -> Iterator[Tab]:
    """The page, freshly opened; it must have caused no trouble, and asked for nothing from elsewhere."""
    browser.resize(1200, 800)
    browser.open("about:blank")
    browser.trouble.clear()
    browser.requests.clear()
    browser.open(page.url)
    browser.until("document.querySelector('#znode h3')")
    yield browser
    assert browser.trouble == []
    elsewhere = [url for url in browser.requests if not url.startswith((page.url, "about:blank"))]
    assert elsewhere == []


def create(client: KazooClient, **data: bytes) -> None:
    """Make znodes in one step, so that the page sees all or none; a_b is /a/b."""
    batch = client.transaction()
    for name, value in data.items():
        batch.create("/" + name.replace("_", "/"), value)
    batch.commit()


def item(name: str) -> str:
    """A row of the tree, by its name."""
    rows = "[...document.querySelectorAll('.row')]"
    return f"{rows}.find((row) => row.querySelector('.name').textContent === {json.dumps(name)})"


def tile(title: str) -> str:
    return (
        f"[...document.querySelectorAll('dt')].find((dt) => dt.innerText === {json.dumps(title)}).nextSibling"
    )


class TestOverview:
    def test_role_and_numbers(self, tab: Tab) -> None:
        tab.until_shown("#role", "standalone")
        tab.until(f"{tile('Sessions')}.innerText.trim() === '1'")
        assert tab.value("document.documentElement.lang") == "en"
        assert tab.value("document.title") == "standalone, znoded"

    def test_plots_are_drawn_and_told(self, tab: Tab) -> None:
        tab.until("document.querySelectorAll('figure svg .line').length === 8")
        tab.until("document.querySelector('figure svg .line').getAttribute('d').includes('L')")
        label = "document.querySelector('figure svg').getAttribute('aria-label')"
        tab.until(f"{label}.startsWith('Requests, a second, now: reads ')")

    def test_the_keyboard_leads_back_in_time(self, tab: Tab) -> None:
        tab.until("document.querySelector('figure svg .line')?.getAttribute('d').includes('L')")
        tab.value("document.querySelector('figure svg').focus()")
        tab.key("ArrowLeft")
        tab.until_shown("figure .when", "ago")
        tab.until("document.querySelector('figure svg').getAttribute('aria-label').includes('ago: reads ')")

    def test_numbers_follow_what_happens(self, tab: Tab, client: KazooClient) -> None:
        client.create("/ephemeral", ephemeral=True)
        tab.until_shown("dd small", "1 ephemeral")
        client.delete("/ephemeral")
        tab.until_shown("dd small", "0 ephemeral")


class TestTree:
    def test_znodes_come_and_go(self, tab: Tab, client: KazooClient) -> None:
        client.create("/comes")
        tab.until(item("comes"))
        client.delete("/comes")
        tab.until(f"!{item('comes')}")

    def test_by_clicks(self, tab: Tab, client: KazooClient) -> None:
        create(client, clicks=b"", clicks_inner=b"", clicks_inner_leaf=b"what it holds")
        for name in ("clicks", "inner", "leaf"):
            tab.until(item(name))
            tab.click(item(name))
        tab.until_shown("#znode pre", "what it holds")
        assert tab.text("#znode h2") == "/clicks/inner/leaf"
        assert tab.value("location.hash") == "#/clicks/inner/leaf"
        client.set("/clicks/inner/leaf", b"something new")
        tab.until_shown("#znode pre", "something new")
        tab.click("document.querySelector('#znode h2 a[href=\"#/clicks\"]')")
        tab.until("document.querySelector('#znode h2').innerText === '/clicks'")

    def test_by_keyboard(self, tab: Tab, client: KazooClient) -> None:
        create(client, keys=b"", keys_one=b"", keys_two=b"by keyboard")
        tab.until(item("keys"))
        tab.value("document.querySelector('[role=treeitem]').focus()")
        tab.key("ArrowDown")
        while tab.value(FOCUSED) != "keys":
            tab.key("ArrowDown")
        tab.key("ArrowRight")
        tab.until(item("two"))
        for name in ("one", "two"):
            tab.key("ArrowDown")
            assert tab.value(FOCUSED) == name
        tab.key("Enter")
        tab.until_shown("#znode pre", "by keyboard")
        assert tab.value("document.querySelector('[aria-selected=true] .name').textContent") == "two"
        tab.key("ArrowLeft")
        assert tab.value(FOCUSED) == "keys"
        tab.key("ArrowLeft")
        tab.until(f"!{item('two')}?.checkVisibility()")
        assert tab.value("document.activeElement.getAttribute('aria-expanded')") == "false"

    def test_by_path(self, tab: Tab, client: KazooClient) -> None:
        create(client, typed=b"", **{"typed_ü 100%": b"found"})
        tab.click("document.querySelector('#path')")
        tab.value("document.querySelector('#path').select()")
        tab.type("/typed/ü 100%")
        tab.key("Enter")
        tab.until_shown("#znode pre", "found")
        tab.until("document.querySelector('[aria-selected=true] .name')?.textContent === 'ü 100%'")

    def test_a_path_that_is_not_there(self, tab: Tab) -> None:
        tab.trouble.clear()
        tab.value("location.hash = '#/nowhere'")
        tab.until_shown("#znode", "there is no /nowhere")
        # The browser notes every 404.
        tab.trouble[:] = [each for each in tab.trouble if "404" not in each]

    def test_many_children_come_in_pages(self, tab: Tab, client: KazooClient) -> None:
        create(client, crowd=b"", **{f"crowd_{number:03}": b"" for number in range(150)})
        tab.until(item("crowd"))
        tab.click(item("crowd"))
        tab.until_shown("#tree", "50 more")
        assert tab.value(f"!{item('100')}")
        tab.click(item("50 more: show the next 50"))
        tab.until(item("149"))
        assert tab.value(FOCUSED) == "100"

    def test_who_owns_and_who_watches(self, tab: Tab, client: KazooClient) -> None:
        client.create("/owned", ephemeral=True)
        client.get("/owned", watch=print)
        tab.value("location.hash = '#/owned'")
        tab.until_shown("#znode section[aria-label='Owned by']", session_of(client))
        tab.until_shown("#znode section[aria-label='Watched by']", session_of(client))
        tab.until_shown("#znode section[aria-label='Watched by']", "data")
        tab.click("document.querySelector('#znode section[aria-label=\"Owned by\"] a')")
        tab.until_shown("#session-asked section[aria-label='Owns']", "/owned")
        tab.until_shown("#session-asked section[aria-label='Watches']", "/owned")

    def test_secrets_stay_away(self, tab: Tab, client: KazooClient) -> None:
        client.create("/secret", b"hunter2", acl=[make_digest_acl("anna", "pw", all=True)])
        tab.value("location.hash = '#/secret'")
        tab.until_shown("#znode", "Not shown: its ACL does not let everyone read it")
        tab.until_shown("#znode section[aria-label='Access']", "digest:anna:x")
        assert "hunter2" not in str(tab.value("document.body.innerText"))


class TestHostile:
    def test_names_and_data_are_text(self, tab: Tab, client: KazooClient) -> None:
        client.create(f"/{MALICIOUS}", MALICIOUS.encode())
        client.create(f"/{MALICIOUS}/\u202egnp.exe", b"", ephemeral=True)
        client.get_children(f"/{MALICIOUS}", watch=print)
        tab.until(item(MALICIOUS))
        tab.click(item(MALICIOUS))
        tab.until_shown("#znode pre", MALICIOUS)
        tab.until("document.querySelector('.ephemeral')")
        tab.click("document.querySelector('#znode section[aria-label=\"Watched by\"] a')")
        tab.until_shown("#session-asked section[aria-label='Watches']", MALICIOUS)
        assert tab.value("window.executed") is None
        assert tab.value("document.querySelectorAll('main img, main script').length") == 0
        client.delete(f"/{MALICIOUS}", recursive=True)

    def test_the_policy_stops_what_would_slip_through(self, tab: Tab) -> None:
        slipped = '<p id="slipped" onclick="executed = 1">x</p>'
        tab.value(f"document.body.insertAdjacentHTML('beforeend', {json.dumps(slipped)})")
        tab.click("document.querySelector('#slipped')")
        assert tab.value("window.executed") is None
        assert [each for each in tab.trouble if "Content Security Policy" in each]
        tab.trouble.clear()


class TestNarrow:
    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_nothing_is_wider_than_the_window(self, tab: Tab, client: KazooClient, theme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": theme}]
        tab.call("Emulation.setEmulatedMedia", features=features)
        tab.resize(360, 640)
        path = client.create(f"/{'long' * 60}-", bytes(range(256)), sequence=True, ephemeral=True)
        client.get(path, watch=print)
        tab.value(f"location.hash = {json.dumps('#' + path)}")
        tab.until_shown("#znode pre", "0000  00 01")
        tab.until("document.querySelector('figure svg .line')")
        assert tab.value("document.documentElement.scrollWidth <= innerWidth")
        wide = (
            "[...document.querySelectorAll('main *')].filter((each) => !each.closest('pre, svg')"
            " && each.getBoundingClientRect().right > innerWidth).map((each) => each.outerHTML)"
        )
        assert tab.value(wide) == []
        client.delete(path)


class TestContact:
    def test_nothing_is_asked_while_nobody_looks(self, tab: Tab, client: KazooClient) -> None:
        shown = "document.dispatchEvent(new Event('visibilitychange'))"
        hidden = "Object.defineProperty(document, 'hidden', {value: true, configurable: true})"
        tab.value(f"{shown}, {hidden}, {shown}")
        # What was begun just before ends meanwhile.
        tab.value("(async () => { for (let turn = 0; turn < 50; turn++) await fetch('live'); })()")
        assert tab.value("timers.size") == 0
        client.create("/unseen")
        tab.value(f"delete document.hidden, {shown}")
        tab.until(item("unseen"))

    def test_a_token_in_the_address_is_taken_along(self, browser: Tab, tmp_path: Path) -> None:
        token = tmp_path / "token"
        token.write_text("abcdefgh-0123456789\n")
        token.chmod(0o600)
        page = Page(tmp_path, f"admin.tokenFile={token}")
        try:
            assert page.ask("/")[0] == page.ask("/live")[0] == 401
            browser.trouble.clear()
            browser.open(page.url.replace("://", "://me:abcdefgh-0123456789@"))
            browser.until_shown("#role", "standalone")
            browser.until("document.querySelector('#znode h3')")
            assert browser.trouble == []
        finally:
            page.daemon.kill()

    def test_lost_and_found_again(self, tab: Tab, page: Page, client: KazooClient) -> None:
        tab.until_shown("#role", "standalone")
        client.stop()
        page.daemon.kill()
        tab.until_shown("#contact", "No contact with the server since ")
        assert tab.value("document.querySelector('#contact').getAttribute('role')") == "status"
        page.daemon.start()
        tab.until("document.querySelector('#contact').innerText === ''")
        client.start()
        client.create("/after-the-break")
        tab.until(item("after-the-break"))
        # The browser notes each request that failed: refused, or reset by the kill.
        tab.trouble[:] = [each for each in tab.trouble if "ERR_CONNECTION_RE" not in each]
