"""Texts that look like what a column's name says, so that a rehearsal reads like life: people, addresses, words."""

import re
from collections.abc import Iterator

from runtime.spec.schema import AddressKind

_PEOPLE = ("ada", "bob", "cyd", "dan", "eve", "fay", "gus", "hal", "ida", "jon")
_BY_NAME: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"e_?mail", ("{person}{n}@example.test",)),
    (r"slack", ("@{person}{n}",)),
    (r"phone|mobile|^tel$|^fax$|cell", ("+1202555{n:04}",)),
    (r"url|link|website|^href$|avatar|image|photo", ("https://example.test/{n}",)),
    (r"locale|lang", ("en", "en-US")),
    (r"country", ("US", "United States")),
    (r"currency", ("USD",)),
    (r"^(tz|zone)$|time_?zone", ("UTC",)),
    (r"first_?name|given", ("{Person}",)),
    (r"last_?name|surname|family", ("Example",)),
    (r"(full|user|display|contact|customer|owner)_?name", ("{Person} Example",)),
    (r"slug|handle|login|user_?id", ("{person}-{n}",)),
    (r"colou?r", ("#112233",)),
    (r"postal|zip", ("10001",)),
)
_ADDRESSES = {
    AddressKind.EMAIL: "{person}{n}@example.test",
    AddressKind.PHONE: "+1202555{n:04}",
    AddressKind.SLACK: "@{person}{n}",
}
_SHAPES = ("{words} {n}", "a{n}", "A{n}", "{n}", "a", "A", "aa", "AAA", "123", "a-1", "")


def text_values(column: str, number: int, address: AddressKind | None = None) -> Iterator[str]:
    """Yield texts for a column, the likeliest first; addresses end in `example.test`, which no mail ever reaches."""
    person = _PEOPLE[(number - 1) % len(_PEOPLE)]
    known = [_ADDRESSES[address]] if address else []
    known += [text for pattern, texts in _BY_NAME if re.search(pattern, column.lower()) for text in texts]
    words = re.sub(r"[_\W]+", " ", column).strip().capitalize() or "Text"
    for shape in (*known, *_SHAPES):
        yield shape.format(person=person, Person=person.capitalize(), n=number, words=words)
