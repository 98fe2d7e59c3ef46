"""A headless Chromium to look at pages with: the WebDriver protocol of chromedriver, spoken in a few lines."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
MISSING = "needs Chromium and its driver: apt-get install chromium chromium-driver"

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)


class Browser:
    """One page in one window."""

    def __init__(self, address: str) -> None:
        self._base = address

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=250) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {json.load(error)['value'].get('message')}") from error

    def open(self, page: Path) -> None:
        """Load a file, as from disk; the console starts empty."""
        self._ask("POST", "/se/log", {"type": "browser"})
        self._ask("POST", "/url", {"url": page.resolve().as_uri()})

    def js(self, script: str, *arguments: Any) -> Any:
        """Run a function's body in the page and return what it returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def devtools(self, command: str, **parameters: Any) -> Any:
        """One command of the DevTools protocol."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def window(self, width: int, height: int, *, dark: bool = False, touch: bool = False) -> None:
        """A window of this size, in CSS pixels, whose system prefers light or dark."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme])
        # A window nobody looks at has no focus of its own, and :focus would then match nothing.
        self.devtools("Emulation.setFocusEmulationEnabled", enabled=True)

    def press(self, *keys: str) -> None:
        """Keys to whatever has the focus."""
        for key in keys:
            # Enter presses a button only if it also types its character.
            extra = {"text": "\r", "windowsVirtualKeyCode": 13} if key == "Enter" else {}
            self.devtools("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, **extra)
            self.devtools("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse's button at one place of the window, let it go at another."""
        places = (("mouseMoved", start), ("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end))
        for kind, (x, y) in places:
            button = "none" if (kind, (x, y)) == ("mouseMoved", start) else "left"
            self.devtools("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, clickCount=1)

    def point(self, x: float, y: float) -> None:
        """Move the mouse to a place of the window."""
        self.devtools("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def complaints(self) -> list[str]:
        """What the page's console holds since it was last asked, errors and warnings.

        Without those of the browser's own pages: its new tab complains of a slow network when the machine is busy.
        """
        messages = [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"})]
        return [message for message in messages if not message.startswith(("chrome://", "chrome-untrusted://"))]

    def picture(self, target: Path, *, whole: bool = True) -> None:
        """A screenshot as PNG, of the whole page or of what is in sight."""
        shot = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        target.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        """End the session and its Chromium."""
        self._ask("DELETE", "")


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A Chromium with an empty profile in the directory `profile`; it and its driver end with the block."""
    assert CHROMIUM and DRIVER, MISSING
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [DRIVER, f"--port={port}", "--silent"]
    nothing, environment = subprocess.DEVNULL, os.environ | {"TMPDIR": str(profile.parent)}
    with subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, env=environment) as driver:
        try:
            found = Browser(_session(f"http://127.0.0.1:{port}", profile))
            try:
                yield found
            finally:
                # One that ended by itself has said so to whichever test was at it.
                if driver.poll() is None:
                    found.close()
        finally:
            driver.terminate()


def _session(address: str, profile: Path) -> str:
    options = {"binary": CHROMIUM, "args": [*_FLAGS, f"--user-data-dir={profile}"]}
    wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
    # A hang is noticed by whoever runs the test; a busy machine is none.
    asked = {"capabilities": {"alwaysMatch": {**wanted, "timeouts": {"script": 240_000}}}}
    end = time.monotonic() + 20
    while True:
        try:
            session = Browser(address)._ask("POST", "/session", asked)
            return f"{address}/session/{session['sessionId']}"
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
