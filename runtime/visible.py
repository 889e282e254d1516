"""Texts that somebody else wrote, made so that a person who decides about them sees every character."""

import unicodedata

_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2028\u2029\u2800\u3164\uffa0")
"""Blank, and of a category that is usually seen: fillers, joiners, and separators that break a line."""
_SELECTORS = ((0x180B, 0x180F), (0xFE00, 0xFE0D), (0xE0100, 0xE01EF))
"""Ranges of marks that choose a form of the character before them, and can hide a text; not those of emoji."""


def visible(text: str) -> str:
    """Return a text whose every character can be seen: what a spec says must not move the cursor or hide a word."""
    return "".join(character if _is_seen(character) else _escape(character) for character in text)


def _is_seen(character: str) -> bool:
    if character == "\n":
        return True
    if unicodedata.category(character)[0] == "C" or character in _UNSEEN:
        return False
    return not any(first <= ord(character) <= last for first, last in _SELECTORS)


def _escape(character: str) -> str:
    return "    " if character == "\t" else character.encode("unicode_escape").decode()
