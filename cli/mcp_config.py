"""What to write where, so that a chat client finds Tidings: one snippet for each client, over stdio or HTTP."""

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.errors import NotAllowed

NAME = "tidings"


@dataclass(frozen=True)
class Local:
    """The server as a process that the client starts."""

    command: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]

    @property
    def entry(self) -> dict[str, Any]:
        """Return the form that nearly all clients read."""
        return {"command": self.command, "args": list(self.arguments), "env": dict(self.environment)}


@dataclass(frozen=True)
class Remote:
    """The server that `tidings up` runs."""

    url: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """Return the header that lets a client in."""
        return {"Authorization": f"Bearer {self.token}"}


Place = Local | Remote


def snippet(client: str, place: Place) -> str:
    """Return what connects a client: where it goes in the first line, then the command or the text of the file."""
    where, write = CLIENTS[client]
    return f"# {where}\n{write(place)}"


def _claude_code(place: Place) -> str:
    if isinstance(place, Remote):
        header = f"Authorization: Bearer {place.token}"
        return _shell("claude", "mcp", "add", "--transport", "http", NAME, place.url, "--header", header)
    given = [part for key, value in place.environment for part in ("--env", f"{key}={value}")]
    return _shell("claude", "mcp", "add", NAME, *given, "--", place.command, *place.arguments)


def _codex(place: Place) -> str:
    lines = [f"[mcp_servers.{NAME}]"]
    if isinstance(place, Remote):
        lines += [f"url = {_toml(place.url)}", f"http_headers = {_toml_table(tuple(place.headers.items()))}"]
    else:
        arguments = ", ".join(map(_toml, place.arguments))
        lines += [f"command = {_toml(place.command)}", f"args = [{arguments}]"]
        lines.append(f"env = {_toml_table(place.environment)}")
    return "\n".join(lines)


def _vscode(place: Place) -> str:
    if isinstance(place, Remote):
        return _json("servers", {"type": "http", "url": place.url, "headers": place.headers})
    return _json("servers", {"type": "stdio", **place.entry})


def _cursor(place: Place) -> str:
    return _json("mcpServers", _entry(place, "url"))


def _gemini(place: Place) -> str:
    return _json("mcpServers", _entry(place, "httpUrl"))


def _windsurf(place: Place) -> str:
    return _json("mcpServers", _entry(place, "serverUrl"))


def _claude_desktop(place: Place) -> str:
    if isinstance(place, Remote):
        raise NotAllowed("Claude Desktop's file takes servers that it starts itself. Leave --http out.")
    return _json("mcpServers", place.entry)


CLIENTS: dict[str, tuple[str, Callable[[Place], str]]] = {
    "claude-code": ("Run this in a terminal:", _claude_code),
    "claude-desktop": ("Add this to claude_desktop_config.json (Settings, Developer, Edit Config):", _claude_desktop),
    "codex": ("Add this to ~/.codex/config.toml:", _codex),
    "cursor": ("Add this to .cursor/mcp.json in your project, or to ~/.cursor/mcp.json:", _cursor),
    "gemini-cli": ("Add this to ~/.gemini/settings.json:", _gemini),
    "vscode": ("Add this to .vscode/mcp.json in your project:", _vscode),
    "windsurf": ("Add this to ~/.codeium/windsurf/mcp_config.json:", _windsurf),
}
"""Client → where its snippet goes, and how it is written."""


def _entry(place: Place, key: str) -> dict[str, Any]:
    return {key: place.url, "headers": place.headers} if isinstance(place, Remote) else place.entry


def _json(group: str, entry: dict[str, Any]) -> str:
    return json.dumps({group: {NAME: entry}}, indent=2)


def _shell(*words: str) -> str:
    return shlex.join(words)


def _toml(text: str) -> str:
    return json.dumps(text)


def _toml_table(pairs: Sequence[tuple[str, str]]) -> str:
    return "{ " + ", ".join(f"{key} = {_toml(value)}" for key, value in pairs) + " }"
