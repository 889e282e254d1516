"""SQL is source code: each package keeps its named queries in `.sql` files and loads them here, once."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import LiteralString, cast

_HEADER = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def load_queries(package: str, file: str = "queries.sql") -> Mapping[str, LiteralString]:
    """Return the queries of a package's SQL file by name: each follows a line `-- name: <name>`.

    The files ship with the code, so their text counts as literal: nothing a user wrote is in it.
    """
    text = resources.files(package).joinpath(file).read_text(encoding="utf-8")
    parts = _HEADER.split(text)[1:]
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{package}/{file} names a query twice")
    return {name: cast("LiteralString", body.strip()) for name, body in zip(names, bodies, strict=True)}
