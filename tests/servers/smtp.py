"""A mail server that takes what RFC 5321 lets it take: seven bits, CRLF, lines up to 998 characters, one mail a DATA.

A fault is for one moment of the dialogue (connect, ehlo, mail, rcpt, data, end: after the dot), and waits for it.
"""

import base64
import email.policy
import socket
import socketserver
import ssl
import sys
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Self

_LONGEST_LINE = 998
_LONGEST_HANG = 30.0


@dataclass(frozen=True)
class Mail:
    """A mail that was taken."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    data: bytes
    encrypted: bool
    user: str


@dataclass(frozen=True)
class Fault:
    """How one moment goes wrong."""

    at: str
    answer: str = ""
    silence: str = ""
    """hang or close."""
    takes: bool = False


def refuse(at: str, code: int, words: str = "no") -> Fault:
    return Fault(at, answer=f"{code} {words}")


def hang(at: str, *, takes: bool = False) -> Fault:
    return Fault(at, silence="hang", takes=takes)


def close(at: str, *, takes: bool = False) -> Fault:
    return Fault(at, silence="close", takes=takes)


class SmtpServer:
    """A mail server on this machine; a context manager.

    With a context for encryption it offers STARTTLS, or speaks it from the first byte. With a user, everybody has to
    log in with the password `secret`.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, implicit: bool = False, user: str = "") -> None:
        self.tls = tls
        self.implicit = implicit
        self.user = user
        self.accepted: list[Mail] = []
        self.connections = 0
        self.broken: list[BaseException] = []
        """What went wrong in the server itself."""
        self._faults: deque[Fault] = deque()
        self._released = threading.Event()
        self._sockets: list[socket.socket] = []
        self._server = _Server(("127.0.0.1", 0), _Dialogue)
        self._server.smtp = self

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def misbehave(self, *faults: Fault) -> None:
        """Let the next moments of these kinds go wrong, in this order."""
        self._faults.extend(faults)

    def hang_up(self) -> None:
        """Close every connection, as a server does with idle ones."""
        for connection in self._sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def fault(self, at: str) -> Fault | None:
        """Take the next fault, if it is for this moment."""
        return self._faults.popleft() if self._faults and self._faults[0].at == at else None

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._released.set()
        self._server.shutdown()
        self.hang_up()
        for connection in self._sockets:
            connection.close()
        self._server.server_close()
        if self.broken and error is None:
            raise self.broken[0]


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    smtp: SmtpServer

    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients that hang up, for that is tested; a mistake in the server is told at the end."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            self.smtp.broken.append(error)


class _HangUp(Exception):  # noqa: N818
    """The dialogue is over."""


class _Dialogue(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        smtp = self.server.smtp
        smtp.connections += 1
        smtp._sockets.append(self.request)
        self.encrypted, self.user, self.sender = False, "", ""
        self.recipients: list[str] = []
        if smtp.implicit:
            self._encrypt()
        with suppress(_HangUp, OSError):
            self._moment("connect", "220 local ESMTP")
            while line := self.rfile.readline():
                verb, _, rest = line.decode("ascii").rstrip("\r\n").partition(" ")
                getattr(self, f"_on_{verb.lower()}", self._on_unknown)(rest)

    def _moment(self, at: str, right: str) -> bool:
        """Give the right answer and return True, or do what the fault says."""
        fault = self.server.smtp.fault(at)
        if fault is None:
            self._say(right)
            return True
        if fault.silence:
            if fault.silence == "hang":
                self.server.smtp._released.wait(_LONGEST_HANG)
            raise _HangUp
        self._say(fault.answer)
        return False

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def _encrypt(self) -> None:
        assert self.server.smtp.tls is not None
        self.request = self.connection = self.server.smtp.tls.wrap_socket(self.request, server_side=True)
        self.server.smtp._sockets.append(self.request)
        self.setup()
        self.encrypted = True

    def _on_ehlo(self, _: str) -> None:
        smtp = self.server.smtp
        offers = ["local", "SIZE 10000000"]
        if smtp.tls and not self.encrypted:
            offers.append("STARTTLS")
        if smtp.user:
            offers.append("AUTH PLAIN")
        more = [f"250-{offer}" for offer in offers[:-1]]
        self._moment("ehlo", "\r\n".join([*more, f"250 {offers[-1]}"]))

    def _on_helo(self, _: str) -> None:
        self._say("250 local")

    def _on_starttls(self, _: str) -> None:
        self._say("220 go ahead")
        self._encrypt()

    def _on_auth(self, rest: str) -> None:
        _, user, password = base64.b64decode(rest.rsplit(maxsplit=1)[-1]).decode().split("\0")
        if (user, password) != (self.server.smtp.user, "secret"):
            self._say("535 5.7.8 Authentication credentials invalid")
            return
        self.user = user
        self._say("235 welcome")

    def _on_mail(self, rest: str) -> None:
        if self.server.smtp.user and not self.user:
            self._say("530 5.7.0 Authentication required")
        elif self._moment("mail", "250 ok"):
            self.sender, self.recipients = _address(rest), []

    def _on_rcpt(self, rest: str) -> None:
        if self._moment("rcpt", "250 ok"):
            self.recipients.append(_address(rest))

    def _on_data(self, _: str) -> None:
        if not self.sender or not self.recipients:
            self._say("503 5.5.1 Bad sequence of commands")
            return
        if not self._moment("data", "354 go ahead"):
            return
        data = self._data()
        problem = _problem(data)
        smtp = self.server.smtp
        fault = smtp._faults[0] if smtp._faults and smtp._faults[0].at == "end" else Fault("end", takes=True)
        if not problem and fault.takes:
            message = email.message_from_bytes(data, policy=email.policy.default)
            mail = Mail(self.sender, tuple(self.recipients), message, data, self.encrypted, self.user)
            smtp.accepted.append(mail)
        self.sender, self.recipients = "", []
        self._moment("end", problem or f"250 2.0.0 queued as {len(smtp.accepted)}")

    def _data(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                raise _HangUp
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        return b"".join(lines)

    def _on_rset(self, _: str) -> None:
        self.sender, self.recipients = "", []
        self._say("250 ok")

    def _on_quit(self, _: str) -> None:
        self._say("221 bye")
        raise _HangUp

    def _on_unknown(self, _: str) -> None:
        self._say("502 5.5.2 Command not recognized")


def _address(rest: str) -> str:
    return rest.partition("<")[2].partition(">")[0]


def _problem(data: bytes) -> str:
    """Return why the data can't be taken, or nothing."""
    lines = data.split(b"\r\n")
    if any(b"\n" in line or b"\r" in line for line in lines):
        return "554 5.6.0 bare line ends"
    if any(len(line) > _LONGEST_LINE for line in lines):
        return "554 5.6.0 line too long"
    return "" if data.isascii() else "554 5.6.1 eight bits were not offered"
