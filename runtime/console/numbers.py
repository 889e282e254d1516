"""Numbers in addresses."""

from starlette.exceptions import HTTPException
from starlette.requests import Request

_MOST_DIGITS = 18
"""So many always fit into what Postgres counts with."""


def number_in(request: Request, name: str) -> int | None:
    """Return a number from the query, None where it is not given. Any other text is a bad request."""
    given = request.query_params.get(name, "")
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= _MOST_DIGITS):
        raise HTTPException(400, f"{name} needs a number, not {given[:40]!r}.")
    return int(given)


def number_of(request: Request, name: str, what: str) -> int:
    """Return a number from the path; one that nothing can have is not found."""
    number = int(request.path_params[name])
    if number >= 10**_MOST_DIGITS:
        raise HTTPException(404, f"There is no {what} of this number.")
    return number
