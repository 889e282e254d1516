"""Copies the shape of tables into a scratch database: no row, no function of the user's, nothing that reaches out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, Error

from runtime.rehearsal.ddl import Piece, write_script
from runtime.rehearsal.shape import available_extensions, read_shape


@dataclass(frozen=True)
class Cloned:
    """What a clone holds, and what it lacks."""

    relations: tuple[str, ...]
    """Every table and view in it, as schema.table: those asked for and what they need."""
    not_cloned: tuple[str, ...]
    """What acts on these tables in the user's database and does not here, in words."""


def clone(reader: Connection[Any], target: Connection[Any], relations: Sequence[str]) -> Cloned:
    """Copy the shape of relations (schema.table), and of all they need, from one database into another.

    Reads pg_catalog of the first only, so its role needs no right on the tables. The second is an autocommit
    connection of its superuser. Whatever the second server refuses is left out and said; unknown names are skipped.
    """
    shape = read_shape(reader, relations)
    script = write_script(shape, available=available_extensions(target), version=target.info.server_version)
    refused = _carry_out(target, script.pieces)
    return Cloned(
        relations=tuple(relation.relation for relation in shape.relations if relation.parent is None),
        not_cloned=tuple(dict.fromkeys([*script.not_cloned, *refused])),
    )


def _carry_out(target: Connection[Any], pieces: Sequence[Piece]) -> list[str]:
    """Try everything in one go, which is the usual case and quick; else piece by piece."""
    try:
        with target.transaction():
            _prepare(target)
            target.execute(";\n".join(piece.sql for piece in pieces))
    except Error:
        return _one_by_one(target, pieces)
    return []


def _one_by_one(target: Connection[Any], pieces: Sequence[Piece]) -> list[str]:
    with target.transaction():
        _prepare(target)
        return [said for piece in pieces if (said := _make(target, piece))]


def _make(target: Connection[Any], piece: Piece) -> str:
    """Carry out one piece; return what to say when it could not be done, else nothing."""
    try:
        with target.transaction():
            target.execute(piece.sql)
    except Error as error:
        reason = (error.diag.message_primary or str(error)).strip().rstrip(".")
        if piece.instead and not _make(target, Piece(piece.what, piece.instead)):
            return f"{piece.what}: {reason}; {piece.instead_what}"
        return f"{piece.what}: {reason}"
    return ""


def _prepare(target: Connection[Any]) -> None:
    """Names in the statements are written for a search_path of pg_catalog alone; checks of functions can't run here."""
    target.execute("SELECT set_config('search_path', 'pg_catalog', true), set_config('timezone', 'UTC', true)")
