"""Chromium without a window, driven over a pipe: pages at a width, in the dark or on paper, and pressed keys."""

import base64
import json
import os
import shutil
import subprocess
from fcntl import F_DUPFD, fcntl
from pathlib import Path
from select import select
from typing import Any

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--no-first-run", "--hide-scrollbars"),
)
_HEIGHT = 900
_PATIENCE = 120
"""Seconds after which the browser is taken to be stuck."""


class Browser:
    """One Chromium with one page; what the page fetches and says on the console is written down.

    Attributes:
        fetched: Addresses that the page asked for, beside its own.
        said: What it wrote to the console, errors that nothing caught among it.
    """

    def __init__(self, folder: Path) -> None:
        """Starts the browser; `folder` is its home and holds the pages."""
        (child_reads, self._to), (self._from, child_writes) = os.pipe(), os.pipe()
        ends = [fcntl(end, F_DUPFD, 10) for end in (child_reads, child_writes)]  # none of them is 3 or 4
        os.close(child_reads), os.close(child_writes)
        command = 'exec 3</dev/fd/$0 4>/dev/fd/$1; shift; exec "$@"'
        profile = [f"--user-data-dir={folder / 'profile'}", "about:blank"]
        self._process = subprocess.Popen(
            ["sh", "-c", command, *map(str, ends), str(CHROMIUM), *_OPTIONS, *profile],
            pass_fds=ends, env={**os.environ, "HOME": str(folder)}, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for end in ends:
            os.close(end)
        self._folder, self._number, self._rest, self._session = folder, 0, b"", None
        self._events: list[dict[str, Any]] = []
        self.fetched: list[str] = []
        self.said: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "Inspector"):
            self._call(f"{domain}.enable")

    def close(self) -> None:
        """Ends the browser."""
        self._process.terminate()
        self._process.wait(30)
        os.close(self._to), os.close(self._from)

    def open(self, page: str, width: int = 1280, dark: bool = False, printed: bool = False) -> None:
        """Shows a page, given as text, at a width in pixels."""
        file = self._folder / "page.html"
        file.write_text(page, "utf-8")
        metrics = {"width": width, "height": _HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", media="print" if printed else "screen", features=[scheme])
        self.fetched, self.said, self._events = [], [], []
        self._call("Page.navigate", url=file.as_uri())
        self._wait_for("Page.loadEventFired")

    def run(self, script: str) -> Any:
        """The value of an expression, or of a promise, in the page."""
        found = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str, code: int) -> None:
        """Presses and releases a key, such as Tab (9), Enter (13) or ArrowRight (39)."""
        text = {"text": "\r"} if key == "Enter" else {}
        both = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self._call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **both, **text)
        self._call("Input.dispatchKeyEvent", type="keyUp", **both)

    def picture(self, file: Path, whole: bool = True) -> None:
        """Writes the page, or only its first screen, as PNG."""
        found = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **self._clip(whole))
        file.write_bytes(base64.b64decode(found["data"]))

    def paper(self, file: Path) -> None:
        """Writes the page as PDF, as it is printed on A4."""
        self._call("Emulation.setEmulatedMedia", media="print")
        found = self._call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        file.write_bytes(base64.b64decode(found["data"]))

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self._call("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": self._number, "method": method, "params": parameters, **session}
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        while True:
            found = self._next()
            if found.get("id") == self._number:
                assert "error" not in found, (method, found["error"])
                return found["result"]
            if "method" in found:  # not the late answer to a call that was given up
                self._note(found)

    def _wait_for(self, method: str) -> None:
        while not any(event["method"] == method for event in self._events):
            self._note(self._next())

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select([self._from], [], [], _PATIENCE)
            read = os.read(self._from, 1 << 20) if ready else b""
            assert read, "the browser ended" if ready else f"the browser said nothing for {_PATIENCE} seconds"
            self._rest += read
        one, self._rest = self._rest.split(b"\0", 1)
        return json.loads(one)

    def _note(self, event: dict[str, Any]) -> None:
        self._events.append(event)
        found = event["params"]
        assert event["method"] != "Inspector.targetCrashed", "the page crashed"
        if event["method"] == "Network.requestWillBeSent":
            address = found["request"]["url"]
            self.fetched += [address] if address != found["documentURL"] and not address.startswith("data:") else []
        if event["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.said.append(json.dumps(found)[:500])
