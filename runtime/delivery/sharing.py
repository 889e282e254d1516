"""Takes the words of messages apart while they are made: into what they share, and the values that are one person's."""

from collections.abc import Sequence
from itertools import groupby

from markupsafe import escape

from runtime.delivery.frozen import LINK, Words
from runtime.delivery.recipients import storable
from runtime.delivery.wording import Said


class Sharing:
    """Collects the pieces and layouts of some messages, each of them once: see `runtime.delivery.frozen`."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.layouts: list[tuple[int, ...]] = []
        self._numbers: dict[str, int] = {}
        self._places: dict[tuple[int, ...], int] = {}
        self._known: set[frozenset[str]] = set()

    def piece(self, text: str) -> int:
        """Return the number of a piece; the same text has one number."""
        known = self._numbers.get(text)
        if known is None:
            known = self._numbers[text] = len(self.pieces)
            self.pieces.append(text)
        return known

    def common(self, pieces: Sequence[str], link: str) -> Words:
        """Return a text of which all but the link is shared."""
        runs = groupby((piece for piece in pieces if piece), key=lambda piece: bool(link) and piece == link)
        layout = [LINK if is_link else self.piece(storable("".join(run))) for is_link, run in runs]
        return layout[0] if len(layout) == 1 and layout[0] != LINK else [self._layout(tuple(layout))]

    def apart(self, pieces: Sequence[str], said: Said) -> Words:
        """Return a text as the layout that it has in common with others, and its own values, each of them once."""
        if said.constants not in self._known:
            self._known.add(said.constants)
            for constant in sorted(said.constants):
                self.piece(constant)
        numbers = [*map(self._numbers.get, pieces)]
        values = dict.fromkeys([piece for piece, number in zip(pieces, numbers, strict=True) if number is None])
        values.pop(said.link, None)
        places = {value: LINK - place for place, value in enumerate(values, start=1)} | {said.link: LINK}
        layout = [places[piece] if number is None else number for piece, number in zip(pieces, numbers, strict=True)]
        return [self._layout(tuple(layout)), *map(storable, values)]

    def _layout(self, layout: tuple[int, ...]) -> int:
        known = self._places.get(layout)
        if known is None:
            known = self._places[layout] = len(self.layouts)
            self.layouts.append(layout)
        return known


def stands_apart(said: Said) -> bool:
    """Return whether the link is nowhere inside another piece, also not as HTML writes it."""
    forms = {said.link, str(escape(said.link))} if said.link else set()
    return not any(form in piece for form in forms for piece in said.pieces.html if piece != said.link)
