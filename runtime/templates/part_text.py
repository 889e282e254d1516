"""Blocks as words without HTML: the text part of a mail, and mrkdwn for Slack."""

from collections.abc import Iterable

from runtime.templates.part import Part, repeated
from runtime.templates.wording import MRKDWN, PLAIN, Dialect

_ICONS = {
    "info": ":information_source:",
    "success": ":white_check_mark:",
    "warning": ":warning:",
    "danger": ":rotating_light:",
}


def parts_to_text(parts: Iterable[Part], dialect: Dialect) -> str:
    """Return blocks as a template of plain text or mrkdwn."""
    return "\n\n".join(_text(part, dialect) for part in parts)


def _text(part: Part, dialect: Dialect) -> str:
    match part.block.type:
        case "button":
            label, address = part.written("label", dialect), part.written("href", dialect)
            return f"{label}: {address}" if dialect is PLAIN else f"<{address}|{label}>"
        case "facts":
            return "\n".join(_fact(part, number, dialect) for number in range(len(part.block.columns)))
        case "items":
            return _items_text(part, dialect)
        case "divider":
            return dialect.rule
    words = part.written("text", dialect)
    if part.block.type == "alert" and dialect is MRKDWN:
        return f"{_ICONS[part.block.tone or 'info']} {words}"
    return dialect.bold(words) if part.block.type == "heading" else words


def _fact(part: Part, number: int, dialect: Dialect) -> str:
    label = part.written(f"columns/{number}/label", dialect)
    return f"{dialect.bold(label + ':')} {part.written(f'columns/{number}/value', dialect)}"


def _items_text(part: Part, dialect: Dialect) -> str:
    """Write a line for each row: the first column, then the others with their labels."""
    first, *others = range(len(part.block.columns))
    line = part.written(f"columns/{first}/value", dialect)
    for number in others:
        label = part.written(f"columns/{number}/label", dialect)
        line += f" · {label}: {part.written(f'columns/{number}/value', dialect)}"
    head = dialect.bold(part.written(f"columns/{first}/label", dialect) + ":")
    bullet = dialect.bullet
    return head + "\n" + repeated(part.block.each, f"{bullet} {line}\n", f"{bullet} {{}}\n", f"{bullet} —\n")
