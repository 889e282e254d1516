"""One block of a text with its fields read, and what both of its forms, page and words, say alike."""

from collections.abc import Mapping
from dataclasses import dataclass

from runtime.spec.model import Block
from runtime.templates.wording import Dialect
from runtime.templates.words import Words

MOST_ROWS = 200
"""Of an items block; Gmail cuts a mail off at about 100 KB."""


@dataclass(frozen=True)
class Part:
    """One block of a text with its fields read; named as in the spec: `text`, `columns/0/value`."""

    block: Block
    words: Mapping[str, Words]

    @staticmethod
    def fields(block: Block) -> tuple[str, ...]:
        """Return the fields that a block needs, at least one where it needs any."""
        columns = range(len(block.columns))
        match block.type:
            case "heading" | "text" | "alert":
                return ("text",)
            case "button":
                return ("label", "href")
            case "facts" | "items":
                names = tuple(f"columns/{number}/{name}" for number in columns for name in ("label", "value"))
                return names if names and (block.each or block.type == "facts") else ("columns",)
        return ()

    def html(self, name: str) -> str:
        """Return a field as HTML."""
        return self.words[name].html

    def written(self, name: str, dialect: Dialect) -> str:
        """Return a field without HTML."""
        return self.words[name].written(dialect)


def repeated(each: str, row: str, more: str, none: str) -> str:
    """Repeat a row over a list: at most MOST_ROWS, then how many more there are; or what stands for none at all."""
    rest = more.format(f"+ {{{{ (({each}) | length) - {MOST_ROWS} }}}}")
    return (
        f"{{% for row in ({each})[:{MOST_ROWS}] %}}{row}{{% else %}}{none}{{% endfor %}}"
        f"{{% if (({each}) | length) > {MOST_ROWS} %}}{rest}{{% endif %}}"
    )
