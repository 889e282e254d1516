"""Texts that match a pattern: grown from the regular expressions and LIKE patterns of checks."""

import re
from collections.abc import Iterator

_CLASSES = {"d": "1", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a"}
_NAMED = {
    "alpha": "a",
    "digit": "1",
    "alnum": "a",
    "upper": "A",
    "lower": "a",
    "space": " ",
    "xdigit": "a",
    "punct": "-",
}
_AFTER = re.compile(
    r"(?:~~\*?|~\*?|\bi?like|\bsimilar\s+to|regexp_\w+\([^,]*,)\s*(?:\(|similar_to_escape\()*\s*E?'((?:[^']|'')*)'",
    re.IGNORECASE,
)


def patterns_in(rule: str) -> list[str]:
    """Return the patterns that texts are compared with in a rule."""
    return list(dict.fromkeys(match.replace("''", "'") for match in _AFTER.findall(rule)))


def grown(pattern: str) -> list[str]:
    """Return texts for one pattern, read once as LIKE and once as a regular expression."""
    unescaped = pattern.replace("\\\\", "\\")
    like = [_like(unescaped, many) for many in ("a", "")]
    return like + [_Grower(unescaped, extra).text() for extra in (0, 1, 3)]


def _like(pattern: str, many: str) -> str:
    """Return a text for a LIKE pattern: `%` becomes `many`, and what is escaped stays."""
    stands_for = {"%": many, "_": "a"}
    return re.sub(r"\\(.)|%|_", lambda found: found[1] or stands_for[found[0]], pattern)


class _Grower:
    """Walks a regular expression once and writes a text; `extra` is how often what may repeat does so."""

    def __init__(self, pattern: str, extra: int) -> None:
        self._rest = pattern
        self._extra = extra

    def text(self) -> str:
        return self._branches()

    def _branches(self) -> str:
        first = "".join(self._sequence())
        while self._rest.startswith("|"):
            self._rest = self._rest[1:]
            "".join(self._sequence())
        return first

    def _sequence(self) -> Iterator[str]:
        while self._rest and self._rest[0] not in "|)":
            atom = self._atom()
            low, high = self._times()
            yield atom * min(low + self._extra, high)

    def _atom(self) -> str:
        head, self._rest = self._rest[0], self._rest[1:]
        match head:
            case "^" | "$":
                return ""
            case ".":
                return "a"
            case "[":
                return self._bracket()
            case "(":
                self._rest = re.sub(r"^\?(?::|<?[=!])", "", self._rest)
                inner = self._branches()
                self._rest = self._rest.removeprefix(")")
                return inner
            case "\\":
                escaped, self._rest = self._rest[:1], self._rest[1:]
                return _CLASSES.get(escaped, "" if escaped in "bBAZmMyY" else escaped)
            case _:
                return head

    def _bracket(self) -> str:
        """Return a member of `[…]`: letters before digits before the rest."""
        match = re.match(r"(\^?)(\]?(?:\[:\w+:\]|\\.|[^\]])*)\]", self._rest)
        if match is None:
            return "["
        self._rest = self._rest[match.end() :]
        inside = match[2]
        if match[1]:
            return next((c for c in "a1A-_ " if c not in inside and not _in_range(c, inside)), "~")
        for name in re.findall(r"\[:(\w+):\]", inside):
            return _NAMED.get(name, "a")
        if escaped := re.match(r"\\(.)", inside):
            return _CLASSES.get(escaped[1], escaped[1])
        return next((c for c in "aA1" if _in_range(c, inside) or c in inside), inside[:1])

    def _times(self) -> tuple[int, int]:
        """Return how often the atom before stands, at least and at most."""
        match = re.match(r"(\*|\+|\?|\{(\d+)(,?)(\d*)\})\??", self._rest)
        if match is None:
            return 1, 1
        self._rest = self._rest[match.end() :]
        if match[2]:
            low = int(match[2])
            return low, int(match[4]) if match[4] else (low + self._extra if match[3] else low)
        return {"*": (0, 99), "+": (1, 99), "?": (0, 1)}[match[1]]


def _in_range(character: str, inside: str) -> bool:
    return any(low <= character <= high for low, high in re.findall(r"(.)-(.)", inside))
