import pytest

from runtime.delivery.unsubscribe_token import Subscription, read_unsubscribe, sign_unsubscribe
from runtime.errors import NotFound

_SECRET = b"\x01" * 32


def test_a_token_says_who_and_what_to_its_project_alone() -> None:
    token = sign_unsubscribe(_SECRET, 3, "Ada@mail.test", "cart-reminders")
    assert read_unsubscribe(_SECRET, token) == Subscription(3, "ada@mail.test", "cart-reminders")
    with pytest.raises(NotFound, match="not from here"):
        read_unsubscribe(b"\x02" * 32, token)


def test_a_token_shows_nothing_and_fits_into_a_link() -> None:
    token = sign_unsubscribe(_SECRET, 1, "ada@mail.test", "cart-reminders")
    assert token.isascii()
    assert set(token.lower()) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_")
    assert token == sign_unsubscribe(_SECRET, 1, "ADA@mail.test", "cart-reminders")
    others = {sign_unsubscribe(_SECRET, 1, address, "") for address in ("ada@mail.test", "adb@mail.test")}
    assert len({token[:8], *(other[:8] for other in others)}) == 3


def test_every_changed_character_is_noticed() -> None:
    token = sign_unsubscribe(_SECRET, 1, "ada@mail.test", "news")
    for place, letter in enumerate(token[:-1]):
        changed = token[:place] + ("A" if letter != "A" else "B") + token[place + 1 :]
        with pytest.raises(NotFound):
            read_unsubscribe(_SECRET, changed)


@pytest.mark.parametrize("text", ["", "x", "????", "A" * 21, "é", "A" * 100, "../../etc", " "])
def test_other_texts_are_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        read_unsubscribe(_SECRET, text)
