"""A real Chromium, without a window, driven over the DevTools protocol: opens pages, clicks, reads, takes pictures."""

import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--remote-debugging-port=0", "--disable-features=Translate", "--lang=en"),
)
_START_SECONDS = 20.0
_SECONDS = 5.0
_LARGEST = 100_000_000
_WATCHED = ("Page", "Runtime", "Log")


class Page:
    """One tab, with what it and its frames said."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0
        self._session = ""
        self._frames: list[str] = []
        self.said: list[str] = []
        """Entries of the log and exceptions."""

    def begin(self) -> None:
        """Open the tab."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._watch(self._session)

    def look(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Set the window's size, and what the person prefers."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Go to a page, and wait until all of it is there."""
        self.evaluate("window.isOld = true")
        self.call("Page.navigate", url=url)
        self.wait_for("!window.isOld && document.readyState === 'complete'")

    def evaluate(self, script: str) -> Any:
        """Return what a script on the page answers; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, script: str, *, seconds: float = _SECONDS) -> Any:
        """Return a script's answer as soon as it is true; pages may come and go meanwhile."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
            found = answer.get("result", {}).get("value")
            if found and "exceptionDetails" not in answer:
                return found
            assert time.monotonic() < deadline, f"{script} did not become true in {seconds:.0f} s"
            self.listen(0.05)

    def frames(self) -> list[str]:
        """Return what can be read in each frame, of those that live apart because they are sandboxed."""
        script = {"expression": "document.documentElement?.innerText ?? ''", "returnByValue": True}
        answers = [self._call("Runtime.evaluate", script, session) for session in tuple(self._frames)]
        return [answer["result"].get("value", "") for answer in answers]

    def wait_for_frame(self, text: str) -> None:
        """Wait until a frame shows a text."""
        self.wait_until(lambda: any(text in frame for frame in self.frames()), f"a frame that shows {text!r}")

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until a condition holds that is seen elsewhere."""
        deadline = time.monotonic() + _SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come in {_SECONDS:.0f} s"
            self.listen(0.05)

    def click(self, selector: str) -> None:
        """Click in the middle of an element, as a person does."""
        find = f"const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
        middle = "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]"
        place = self.evaluate(f"(() => {{ {find} {middle} }})()")
        for kind in ("mousePressed", "mouseReleased"):
            point = {"x": place[0], "y": place[1], "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, **point)

    def text(self) -> str:
        """Return what can be read on the page."""
        return str(self.evaluate("document.body.innerText"))

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Keep a PNG of what is shown, or of the whole page."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def call(self, method: str, /, **parameters: Any) -> Any:
        """Send a command of the protocol to the tab and return its answer."""
        return self._call(method, parameters, self._session)

    def listen(self, seconds: float) -> None:
        """Take down what happens for a while."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                self._note(json.loads(self._connection.recv(timeout=left)))
            except TimeoutError:
                return

    def _call(self, method: str, parameters: dict[str, Any], session: str) -> Any:
        number = self._send(method, parameters, session)
        while True:
            answer = json.loads(self._connection.recv(timeout=_START_SECONDS))
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._note(answer)

    def _send(self, method: str, parameters: dict[str, Any], session: str) -> int:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._connection.send(json.dumps(message | ({"sessionId": session} if session else {})))
        return self._number

    def _watch(self, session: str) -> None:
        """Listen to a tab or a frame before anything happens in it; the answers need no waiting."""
        for domain in _WATCHED:
            self._send(f"{domain}.enable", {}, session)
        attach = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}
        self._send("Target.setAutoAttach", attach, session)
        self._send("Runtime.runIfWaitingForDebugger", {}, session)

    def _note(self, event: dict[str, Any]) -> None:
        said = event.get("params", {})
        match event.get("method"):
            case "Target.attachedToTarget" if said["targetInfo"]["type"] == "iframe":
                self._frames.append(said["sessionId"])
                self._watch(said["sessionId"])
            case "Target.detachedFromTarget" if said["sessionId"] in self._frames:
                self._frames.remove(said["sessionId"])
            case "Log.entryAdded":
                self.said.append(said["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.said.append(said["exceptionDetails"]["text"])


@contextmanager
def browser() -> Iterator[Page]:
    """Yield a tab of a Chromium that knows nothing yet; it is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                with connect(_address(Path(profile), process), max_size=_LARGEST) as connection:
                    page = Page(connection)
                    page.begin()
                    yield page
            finally:
                process.terminate()
                process.wait(timeout=10)


def _address(profile: Path, process: subprocess.Popen[bytes]) -> str:
    """Return where the browser listens, as soon as it does."""
    file = profile / "DevToolsActivePort"
    deadline = time.monotonic() + _START_SECONDS
    while not (file.exists() and file.read_text().count("\n")):
        assert process.poll() is None, f"Chromium ended with {process.returncode}"
        assert time.monotonic() < deadline, "Chromium does not listen"
        time.sleep(0.05)
    port, path = file.read_text().split("\n")[:2]
    return f"ws://127.0.0.1:{port}{path}"
