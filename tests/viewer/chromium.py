"""A headless Chromium, spoken to in the DevTools protocol through a pipe: no port, no driver, no package.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
TIMEOUT_S = 40

OPTIONS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-default-apps",
    "--force-color-profile=srgb",
    "--hide-scrollbars=false",
    "--mute-audio",
)

# The browser reads its descriptor 3 and writes its descriptor 4.
LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


# Chromium itself decodes the picture; every fourth row tells enough.
LOOK = """async (address) => {
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width, image.height];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
  const colours = new Set();
  let [sum, edges, looked] = [0, 0, 0];
  for (let y = 0; y < image.height; y += 4) for (let x = 1; x < image.width; x++, looked++) {
    const colour = pixels[y * image.width + x];
    colours.add(colour);
    sum += (colour & 255) + ((colour >> 8) & 255) + ((colour >> 16) & 255);
    edges += colour === pixels[y * image.width + x - 1] ? 0 : 1;
  }
  return { colours: colours.size, brightness: sum / 3 / looked, edges };
}"""


class ChromiumError(Exception):
    """The browser refused a command, went away, or a script in the page raised."""


def executable() -> str | None:
    """The browser of this machine; MAYPOLE_CHROMIUM names another one."""
    wanted = os.environ.get("MAYPOLE_CHROMIUM")
    return wanted or next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """One browser process and the pipe to it."""

    def __init__(self, path: str, profile: Path) -> None:
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        # In its sandbox Chromium needs rights that root in a container has not; the pages are our own.
        options = [*OPTIONS, *(["--no-sandbox"] if os.geteuid() == 0 else []), f"--user-data-dir={profile}"]
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (to_browser, from_browser)]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", LAUNCH, *map(str, ends), path, *options, "about:blank"],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (to_browser, from_browser, *ends):
            os.close(end)
        self._buffer = b""
        self._last_id = 0
        self.events: deque[dict[str, Any]] = deque(maxlen=10_000)

    def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Give a command and return its answer.

        Raises:
            ChromiumError: it was refused, or no answer came.
        """
        self._last_id += 1
        message: dict[str, Any] = {"id": self._last_id, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        while (answer := self._next(TIMEOUT_S, method)).get("id") != self._last_id:
            self.events.append(answer)
        if "error" in answer:
            raise ChromiumError(f"{method}: {answer['error'].get('message')}")
        result: dict[str, Any] = answer["result"]
        return result

    def wait_for(self, method: str, session: str) -> dict[str, Any]:
        """The next event of that name, also one that came before."""
        while True:
            for event in self.events:
                if event.get("method") == method and event.get("sessionId") == session:
                    self.events.remove(event)
                    parameters: dict[str, Any] = event["params"]
                    return parameters
            self.events.append(self._next(TIMEOUT_S, method))

    def _next(self, timeout_s: float, why: str) -> dict[str, Any]:
        until = time.monotonic() + timeout_s
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(until - time.monotonic(), 0))
            data = os.read(self._read, 1 << 20) if ready else b""
            if not data:
                raise ChromiumError(f"{why}: Chromium gave no answer in {timeout_s} s, or ended")
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        parsed: dict[str, Any] = json.loads(message)
        return parsed

    def page(self, width: int = 1280, height: int = 800) -> Page:
        """Open a tab of that size, in which every request is watched."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Page(self, target, session, width, height)

    def close(self) -> None:
        """End the process."""
        try:
            self.send("Browser.close")
        finally:
            os.close(self._write)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            os.close(self._read)


class Page:
    """One tab."""

    def __init__(self, browser: Chromium, target: str, session: str, width: int, height: int) -> None:
        self._browser, self._target, self._session = browser, target, session
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.resize(width, height)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a command to this tab."""
        return self._browser.send(method, self._session, **parameters)

    def open(self, path: Path, search: str = "") -> None:
        """Load a file from disk and wait until it is there."""
        answer = self.send("Page.navigate", url=path.resolve().as_uri() + search)
        if answer.get("errorText"):
            raise ChromiumError(f"{path}: {answer['errorText']}")
        self._browser.wait_for("Page.loadEventFired", self._session)
        self.settle()

    def close(self) -> None:
        """Close the tab."""
        self._browser.send("Target.closeTarget", targetId=self._target)

    def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are awaited.

        Raises:
            ChromiumError: it raised.
        """
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise ChromiumError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def settle(self) -> None:
        """Wait until what was changed is drawn."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")

    def requests(self) -> list[str]:
        """The addresses of everything that this tab has asked for."""
        self.run("0")
        return [
            event["params"]["request"]["url"]
            for event in self._browser.events
            if event.get("method") == "Network.requestWillBeSent" and event.get("sessionId") == self._session
        ]

    def complaints(self) -> list[str]:
        """What the page raised and wrote to the console, warnings and worse."""
        self.run("0")
        found = []
        for event in self._browser.events:
            if event.get("sessionId") != self._session:
                continue
            parameters = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                details = parameters["exceptionDetails"]
                found.append(details.get("exception", {}).get("description") or details["text"])
            elif event["method"] == "Log.entryAdded" and parameters["entry"]["level"] in ("warning", "error"):
                found.append(parameters["entry"]["text"])
        return found

    def forget(self) -> None:
        """Let go of what came from this tab so far."""
        events = self._browser.events
        for event in [event for event in events if event.get("sessionId") == self._session]:
            events.remove(event)

    def resize(self, width: int, height: int, ratio: float = 1) -> None:
        """Give the window another size."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=ratio,
            mobile=False,
        )

    def prefer(self, scheme: str) -> None:
        """Let the system prefer a light or a dark page."""
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self) -> bytes:
        """A picture of the window, as PNG."""
        self.settle()
        return base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])

    def look_at(self, picture: bytes) -> dict[str, float]:
        """How many colours a picture has, its brightness (0 to 255), and how often neighbours differ."""
        address = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
        answer: dict[str, float] = self.run(f"({LOOK})({json.dumps(address)})")
        return answer

    def wait_until(self, condition: str) -> None:
        """Wait until an expression is true in the page.

        Raises:
            ChromiumError: it did not become true.
        """
        until = time.monotonic() + TIMEOUT_S
        while not self.run(condition):
            if time.monotonic() > until:
                raise ChromiumError(f"never true: {condition}")
            self.settle()

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """One event of the mouse: mouseMoved, mousePressed, mouseReleased, mouseWheel."""
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float) -> None:
        """Press and release the left button."""
        self.mouse("mouseMoved", x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)
        self.settle()

    def click_on(self, selector: str) -> None:
        """Click into the middle of the first element that the selector finds."""
        x, y, _, _ = self.place(selector)
        self.click(x, y)

    def drag(self, x: float, y: float, dx: float, dy: float) -> None:
        """Press, move and release the left button."""
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, button="left", clickCount=1)
        for part in (0.3, 0.6, 1):
            self.mouse("mouseMoved", x + dx * part, y + dy * part, button="left", buttons=1)
        self.mouse("mouseReleased", x + dx, y + dy, button="left", clickCount=1)
        self.settle()

    def wheel(self, x: float, y: float, dx: float, dy: float, modifiers: int = 0) -> None:
        """Turn the wheel at a place."""
        self.mouse("mouseWheel", x, y, deltaX=dx, deltaY=dy, modifiers=modifiers)
        self.settle()

    def touch(self, *moves: list[tuple[float, float]]) -> None:
        """Put fingers down at the first places, lead them over the others, lift them."""
        for index, places in enumerate(moves):
            points = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(places)]
            kind = "touchMove" if index else "touchStart"
            self.send("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.settle()

    def key(self, key: str, modifiers: int = 0) -> None:
        """Press and release one key, by its name or its letter."""
        codes = {
            "Enter": 13,
            "Tab": 9,
            "Escape": 27,
            " ": 32,
            "ArrowLeft": 37,
            "ArrowUp": 38,
            "ArrowRight": 39,
        }
        codes |= {"ArrowDown": 40}
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        code = codes.get(key, ord(key.upper()) if len(key) == 1 and key.isalnum() else 0)
        about = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **about)
        self.send("Input.dispatchKeyEvent", type="keyUp", **about)
        self.settle()

    def write(self, text: str) -> None:
        """Write into what has the focus."""
        self.send("Input.insertText", text=text)
        self.settle()

    def place(self, selector: str) -> tuple[float, float, float, float]:
        """The middle of an element, its width and its height."""
        script = (
            "(() => { const element = document.querySelector(%s);"
            " element.scrollIntoView({ block: 'nearest' }); const box = element.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2, box.width, box.height]; })()"
        )
        x, y, width, height = self.run(script % json.dumps(selector))
        return x, y, width, height

    def text(self, selector: str) -> str:
        """What a reader reads in an element; "" when there is none."""
        script = f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"
        return str(self.run(script))
