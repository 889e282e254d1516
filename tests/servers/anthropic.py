"""A Messages server for tests: it checks every request as the API does, plays a script, and misbehaves on demand.

The real SDK talks to it over a real socket. A script is a list of turns; a turn may be a function of the request's
body, which is how a model that reads its prompt is played. What the server answers is checked as well: against the
SDK's own types, and an answer against the schema that the request asked for.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from anthropic.types import Message, RawMessageStreamEvent
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from tests.servers.anthropic_rules import VERSIONS, refusal

KEY = "sk-ant-test-0123456789"
_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
_CHUNK = 64
_INPUT, _CACHED, _OUTPUT = 1200, 900, 300


@dataclass(frozen=True)
class Says:
    """An answer; data is written as JSON."""

    what: str | Mapping[str, Any]
    stop: str = "end_turn"
    details: Mapping[str, Any] | None = None
    thinking: str = ""
    constrained: bool = True
    """Whether the schema of the request holds; gateways that don't know output_config answer anything."""

    @property
    def text(self) -> str:
        return self.what if isinstance(self.what, str) else json.dumps(self.what, ensure_ascii=False)


def refuses(explanation: str = "I can't help with that.") -> Says:
    """Return the answer of a model that refuses."""
    return Says("", "refusal", {"type": "refusal", "category": "cyber", "explanation": explanation})


@dataclass(frozen=True)
class Fails:
    """An HTTP error before anything was said."""

    status: int
    kind: str = "api_error"
    headers: Mapping[str, str] = field(default_factory=dict)


OVERLOADED = Fails(529, "overloaded_error", {"retry-after-ms": "1"})
RATE_LIMITED = Fails(429, "rate_limit_error", {"retry-after-ms": "1"})


@dataclass(frozen=True)
class Breaks:
    """An answer that begins well and does not end: the connection is cut, or an error event arrives."""

    what: str | Mapping[str, Any]
    kind: str = ""
    """The error's type; empty: the connection is cut."""
    politely: bool = False
    """The body ends as if it were complete."""


Turn = Says | Fails | Breaks
Script = Turn | Callable[[dict[str, Any]], Turn]


class MessagesServer:
    """The script, and what was asked: `bodies` are the requests that the API would have accepted."""

    def __init__(self, *script: Script, key: str = KEY) -> None:
        self.script = list(script)
        self.key = key
        self.url = ""
        self.bodies: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self.paths: list[str] = []
        """Where every request went, whatever became of it."""
        self._lock = threading.Lock()

    def prompt(self, number: int = -1) -> str:
        """Return the words of a request's messages, without the system prompt."""
        parts = [m["content"] for m in self.bodies[number]["messages"]]
        return "\n\n".join(part if isinstance(part, str) else "\n".join(b["text"] for b in part) for part in parts)

    def system(self, number: int = -1) -> str:
        """Return the words of a request's system prompt."""
        return "\n\n".join(block["text"] for block in self.bodies[number]["system"])

    def next_turn(self, raw: bytes, headers: Mapping[str, str]) -> Turn:
        """Check a request and return what the script says to it."""
        with self._lock:
            try:
                body = json.loads(raw)
            except ValueError:
                return self._refuse(400, "body: not JSON")
            if self.key not in (headers.get("x-api-key"), headers.get("authorization", "").removeprefix("Bearer ")):
                return self._refuse(401, "invalid x-api-key", "authentication_error")
            if headers.get("anthropic-version") not in VERSIONS:
                return self._refuse(400, "anthropic-version: header is required")
            if why := refusal(body) or (None if self.script else "the script has ended"):
                return self._refuse(400, why)
            self.bodies.append(body)
            turn = self.script.pop(0)
            if callable(turn):
                turn = turn(body)
            return self._in_schema(turn, body)

    def _in_schema(self, turn: Turn, body: dict[str, Any]) -> Turn:
        form = body.get("output_config", {}).get("format")
        if not (form and isinstance(turn, Says) and turn.constrained and turn.stop == "end_turn"):
            return turn
        errors = [
            error.message[:200] for error in Draft202012Validator(form["schema"]).iter_errors(json.loads(turn.text))
        ]
        return self._refuse(400, f"the script answers outside the schema: {errors[0]}") if errors else turn

    def _refuse(self, status: int, why: str, kind: str = "invalid_request_error") -> Fails:
        self.refused.append(why)
        return Fails(status, kind, {"x-why": why.encode("ascii", "replace").decode()[:500]})


@contextmanager
def messages_server(*script: Script, key: str = KEY) -> Iterator[MessagesServer]:
    """Yield a server on a port of its own. At the end nothing may have been refused unnoticed."""
    messages = MessagesServer(*script, key=key)
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"messages": messages}))
    http.daemon_threads = True
    messages.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield messages
    finally:
        http.shutdown()
        thread.join(5)
        http.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    messages: MessagesServer

    def log_message(self, *_: object) -> None:
        """Say nothing: the terminal belongs to pytest."""

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.messages.paths.append(self.path)
        if self.path != "/v1/messages":
            self._fail(Fails(404, "not_found_error"), self.path)
            return
        turn = self.messages.next_turn(raw, {name.lower(): value for name, value in self.headers.items()})
        if isinstance(turn, Fails):
            self._fail(turn, turn.headers.get("x-why", "scripted"))
        elif json.loads(raw).get("stream"):
            self._stream(turn, json.loads(raw)["model"])
        else:
            self._whole(turn, json.loads(raw)["model"])

    def _fail(self, turn: Fails, why: str) -> None:
        error = {"type": "error", "error": {"type": turn.kind, "message": why}, "request_id": "req_test"}
        self._send(turn.status, json.dumps(error).encode(), turn.headers)

    def _whole(self, turn: Says | Breaks, model: str) -> None:
        says = turn if isinstance(turn, Says) else Says(turn.what)
        self._send(200, json.dumps(_message(says, model)).encode(), {})

    def _send(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/json", "request-id": "req_test", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, turn: Says | Breaks, model: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("request-id", "req_test")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        says = turn if isinstance(turn, Says) else Says(turn.what)
        events = list(_events(says, model))
        for event in events if isinstance(turn, Says) else events[: len(events) // 2]:
            _EVENT.validate_python(event)
            self._event(event)
        if isinstance(turn, Breaks):
            self.close_connection = True
            if turn.kind:
                self._event({"type": "error", "error": {"type": turn.kind, "message": "scripted"}})
        if isinstance(turn, Says) or turn.politely or turn.kind:
            self.wfile.write(b"0\r\n\r\n")

    def _event(self, event: Mapping[str, Any]) -> None:
        data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))


def _message(says: Says, model: str) -> dict[str, Any]:
    thinking = [{"type": "thinking", "thinking": says.thinking, "signature": "c2ln"}] if says.thinking else []
    message = {
        "id": "msg_test",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [*thinking, {"type": "text", "text": says.text}],
        "stop_reason": says.stop,
        "stop_sequence": None,
        "stop_details": says.details,
        "usage": _usage() | {"output_tokens": _OUTPUT},
    }
    Message.model_validate(message)
    return message


def _usage() -> dict[str, Any]:
    return {"input_tokens": _INPUT, "cache_read_input_tokens": _CACHED, "cache_creation_input_tokens": 0}


def _events(says: Says, model: str) -> Iterator[dict[str, Any]]:
    whole = _message(says, model)
    start = whole | {"content": [], "stop_reason": None, "stop_details": None, "usage": _usage() | {"output_tokens": 1}}
    yield {"type": "message_start", "message": start}
    for index, block in enumerate(whole["content"]):
        kind = block["type"]
        empty = block | {kind: ""} | ({"signature": ""} if kind == "thinking" else {})
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        text = block[kind]
        for at in range(0, len(text), _CHUNK):
            delta = {"type": f"{kind}_delta", kind: text[at : at + _CHUNK]}
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        if kind == "thinking":
            delta = {"type": "signature_delta", "signature": block["signature"]}
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": says.stop, "stop_sequence": None, "stop_details": says.details}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": _OUTPUT}}
    yield {"type": "message_stop"}
