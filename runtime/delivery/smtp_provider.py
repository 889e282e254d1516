"""E-mail through a mail server. SMTP takes a mail as often as it is sent, so it matters to know when it was taken.

Until the data has begun nothing can have been taken, and everything may be tried again. After that, silence means that
nobody knows.
"""

import ssl
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import parseaddr
from smtplib import SMTP, SMTP_SSL, SMTPException, SMTPNotSupportedError, SMTPResponseException
from typing import Any
from urllib.parse import unquote, urlsplit

from runtime.delivery.mime import mime_bytes
from runtime.delivery.provider import Accepted, Uncertain
from runtime.errors import Permanent, Temporary, TidingsError

_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_GO_ON, _NOT_NOW, _NEVER = 354, 400, 500
_GREETING = "[127.0.0.1]"
"""Asking this machine for its name may mean waiting for a name server."""


@dataclass(frozen=True)
class MailServer:
    """Where mail is handed over, and how."""

    scheme: str
    """smtp (encrypted where the server offers it), smtp+starttls (always), smtps (from the first byte)."""
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)


def read_smtp_url(url: str) -> MailServer:
    """Return what `scheme://user:password@host:port` says; the ports are 25, 587 and 465 by default."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise TidingsError("TIDINGS_SMTP_URL can't be used. It needs smtp://, smtp+starttls:// or smtps:// and a host.")
    port = parts.port or _PORTS[parts.scheme]
    return MailServer(parts.scheme, parts.hostname, port, unquote(parts.username or ""), unquote(parts.password or ""))


class SmtpProvider:
    """Hands over one mail at a time, on connections that stay open from mail to mail."""

    name = "smtp"
    batch = 1
    idempotency_window = None
    rate = 0.0

    def __init__(
        self,
        url: str,
        *,
        timeout: timedelta = timedelta(seconds=10),
        patience: timedelta = timedelta(seconds=50),
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """Wait `timeout` for each answer, but `patience` for the last: servers look at a mail before they take it."""
        self._server = read_smtp_url(url)
        self._timeout = timeout.total_seconds()
        self._patience = patience.total_seconds()
        self._trust = trust or ssl.create_default_context()
        self._idle: deque[SMTP] = deque()

    def send(self, request: Mapping[str, Any], *, key: str) -> Accepted:  # noqa: ARG002  # SMTP knows no such keys
        """Hand over the mail. Raises as Provider.send promises."""
        (mail,) = request["messages"]
        data = mime_bytes(mail)
        with self._connection(parseaddr(mail["from"])[1]) as connection:
            with self._nothing_taken():
                _expect(connection.rcpt(mail["to"][0]))
                _expect(connection.docmd("DATA"), wanted=_GO_ON)
            answer = self._hand_over(connection, data)
        return Accepted((answer,))

    def close(self) -> None:
        """Close the connections that are open and idle."""
        while self._idle:
            connection = self._idle.pop()
            with suppress(SMTPException, OSError):
                connection.quit()
            connection.close()

    @contextmanager
    def _connection(self, sender: str) -> Iterator[SMTP]:
        """Yield a connection that knows the sender; it is kept if all goes well, and closed if anything does not."""
        connection = self._reused(sender) or self._opened(sender)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)

    def _reused(self, sender: str) -> SMTP | None:
        """Return an idle connection, if there is one that still lives."""
        with suppress(IndexError):
            connection = self._idle.pop()
            with suppress(SMTPException, OSError):
                if connection.mail(sender)[0] < _NOT_NOW:
                    return connection
            connection.close()
        return None

    def _opened(self, sender: str) -> SMTP:
        server = self._server
        place = (server.host, server.port, _GREETING)
        with self._nothing_taken():
            if server.scheme == "smtps":
                connection: SMTP = SMTP_SSL(*place, timeout=self._timeout, context=self._trust)
            else:
                connection = SMTP(*place, timeout=self._timeout)
        try:
            with self._nothing_taken():
                self._introduce(connection)
                _expect(connection.mail(sender))
        except BaseException:
            connection.close()
            raise
        return connection

    def _introduce(self, connection: SMTP) -> None:
        """Greet, encrypt and log in, as far as the server and the settings say."""
        server = self._server
        connection.ehlo_or_helo_if_needed()
        encrypted = server.scheme == "smtps"
        offered = server.host not in _LOOPBACK and connection.has_extn("starttls")
        if server.scheme == "smtp+starttls" or (server.scheme == "smtp" and offered):
            connection.starttls(context=self._trust)
            connection.ehlo()
            encrypted = True
        if server.user and not encrypted and server.host not in _LOOPBACK:
            raise Permanent("The mail server offers no encryption, so the password was not sent. Ask who runs it.")
        if server.user:
            connection.login(server.user, server.password)

    @contextmanager
    def _nothing_taken(self) -> Iterator[None]:
        """Raise what went wrong before the data: nothing was taken, and the server's number says what to do."""
        where = f"The mail server {self._server.host}:{self._server.port}"
        try:
            yield
        except SMTPResponseException as error:
            raise _refusal(error.smtp_code, error.smtp_error) from error
        except SMTPNotSupportedError as error:
            raise Permanent(f"{where} can't do what the settings ask for: {error}") from error
        except (SMTPException, OSError) as error:
            raise Temporary(f"{where} can't be reached, or hung up: {error or type(error).__name__}.") from error

    def _hand_over(self, connection: SMTP, data: bytes) -> str:
        """Send the data and return what the server said when it took it."""
        try:
            if connection.sock is not None:
                connection.sock.settimeout(self._patience)
            connection.send(_stuffed(data))
            code, said = connection.getreply()
            if connection.sock is not None:
                connection.sock.settimeout(self._timeout)
        except (SMTPException, OSError) as error:
            raise Uncertain(f"The mail server did not say whether it took the mail: {error}.") from error
        if code >= _NOT_NOW:
            raise _refusal(code, said)
        return said.decode("utf-8", "replace")


def _expect(answer: tuple[int, bytes], *, wanted: int | None = None) -> None:
    code, said = answer
    if code >= _NOT_NOW or (wanted is not None and code != wanted):
        raise SMTPResponseException(code, said)


def _refusal(code: int, said: bytes | str) -> TidingsError:
    """Return our error for a refusal: 5xx is for ever."""
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    message = f"The mail server answered {code} {words}"
    return Permanent(message) if code >= _NEVER else Temporary(message)


def _stuffed(data: bytes) -> bytes:
    """Return the data with its end, and with dots that can't be taken for it."""
    dotted = data.replace(b"\r\n.", b"\r\n..")
    dotted = b"." + dotted if dotted.startswith(b".") else dotted
    return dotted + (b".\r\n" if dotted.endswith(b"\r\n") else b"\r\n.\r\n")
