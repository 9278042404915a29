"""A real browser for tests: headless chromium, driven by the DevTools protocol over a WebSocket."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final, TypeAlias

import aiohttp
import pytest

Json: TypeAlias = dict[str, object]

_WITHIN: Final = 20
"""Seconds for what must happen, on a machine that has much else to do."""
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM: Final = next(filter(None, map(shutil.which, _NAMES)), None)
"""Its command, if it is here."""
_QUIET: Final = (
    "--headless=new",
    "--no-sandbox",  # root may not have one, and the page comes from this machine
    "--remote-debugging-port=0",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_KEYS: Final = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Enter": 13, "Tab": 9}


class Tab:
    """One page in a browser of its own. trouble: errors and warnings that the page caused; requests:
    every URL that it asked for."""

    def __init__(self, folder: Path) -> None:
        self.trouble: list[str] = []
        self.requests: list[str] = []
        self._runner = asyncio.Runner()
        self._folder = folder
        self._number = 0
        self._session: str | None = None
        self._process = subprocess.Popen(
            [CHROMIUM or "chromium", *_QUIET, f"--user-data-dir={folder}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            self._runner.run(self._connect())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the browser."""
        self._process.kill()
        self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()
        if hasattr(self, "_http"):
            self._runner.run(self._http.close())
        self._runner.close()

    def call(self, method: str, **params: object) -> Json:
        """A command of the DevTools protocol, and its result."""
        return self._runner.run(self._call(method, params))

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def value(self, expression: str) -> object:
        """What a JavaScript expression comes to."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        result = answer["result"]
        assert isinstance(result, dict)
        return result.get("value")

    def text(self, selector: str) -> str:
        """The text that an element shows; empty without one."""
        return str(self.value(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def until(self, expression: str) -> None:
        """Wait until an expression holds."""
        deadline = time.monotonic() + _WITHIN
        while not self.value(f"Boolean({expression})"):
            if time.monotonic() > deadline:
                shown = self.value("document.body.innerText")
                pytest.fail(f"{expression} did not come to hold; trouble: {self.trouble}; shown:\n{shown}")
            time.sleep(0.02)

    def until_shown(self, selector: str, text: str) -> None:
        """Wait until an element shows that text, be it among other."""
        found = f"[...document.querySelectorAll({json.dumps(selector)})]"
        self.until(f"{found}.some((each) => each.innerText.includes({json.dumps(text)}))")

    def click(self, element: str) -> None:
        """Press the mouse on the middle of an element (an expression), as a person does."""
        place = self.value(
            f"(() => {{ const found = {element}; found.scrollIntoView({{block: 'center'}});"
            " const {x, y, width, height} = found.getBoundingClientRect();"
            " return [x + width / 2, y + height / 2]; })()"
        )
        assert isinstance(place, list)
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1
            )

    def key(self, name: str) -> None:
        """Press a key where the focus is."""
        text = "\r" if name == "Enter" else ""  # what makes a form go
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=name, text=text, windowsVirtualKeyCode=_KEYS[name]
            )

    def type(self, text: str) -> None:
        """Put text in where the focus is."""
        self.call("Input.insertText", text=text)

    def resize(self, width: int, height: int) -> None:
        """The window, in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def picture(self, path: Path) -> None:
        """What the window shows, as PNG."""
        shot = self.call("Page.captureScreenshot")["data"]
        path.write_bytes(base64.b64decode(str(shot)))

    async def _connect(self) -> None:
        url = await asyncio.wait_for(asyncio.to_thread(self._endpoint), _WITHIN)
        self._http = aiohttp.ClientSession()
        self._socket = await self._http.ws_connect(url, max_msg_size=0)
        target = await self._call("Target.createTarget", {"url": "about:blank"})
        attached = await self._call(
            "Target.attachToTarget", {"targetId": target["targetId"], "flatten": True}
        )
        self._session = str(attached["sessionId"])
        for domain in ("Page", "Runtime", "Network", "Log"):
            await self._call(f"{domain}.enable", {})

    def _endpoint(self) -> str:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            found = re.search(r"DevTools listening on (ws://\S+)", line)
            if found is not None:
                return found[1]
        pytest.fail("chromium ended before it could be driven")

    async def _call(self, method: str, params: Json) -> Json:
        self._number += 1
        message: Json = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        async with asyncio.timeout(_WITHIN):
            await self._socket.send_json(message)
            while True:
                told = await self._socket.receive_json()
                if told.get("id") == self._number:
                    assert "error" not in told, (method, told)
                    result: Json = told["result"]
                    return result
                if "method" in told:
                    self._note(told["method"], told["params"])

    def _note(self, event: str, params: Json) -> None:
        match event, params:
            case "Runtime.exceptionThrown", {"exceptionDetails": details}:
                self.trouble.append(json.dumps(details))
            case "Runtime.consoleAPICalled", {"type": "error" | "warning" | "assert"}:
                self.trouble.append(json.dumps(params))
            case "Log.entryAdded", {"entry": {"level": "error" | "warning"} as entry}:
                self.trouble.append(json.dumps(entry))
            case "Network.requestWillBeSent", {"request": {"url": str(url)}}:
                self.requests.append(url)
