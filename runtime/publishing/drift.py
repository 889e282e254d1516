"""Drift: whether the tables still look as they did when a workflow was judged, as far as the workflow names them."""

import re

from runtime.ledger.database import Ledger
from runtime.publishing.versions import Version
from runtime.source.catalog import load_catalog
from runtime.source.fingerprint import fingerprint
from runtime.source.reader import Source
from runtime.spec.compiled import CompiledWorkflow
from runtime.spec.schema import Catalog, Table


def fingerprint_read(catalog: Catalog, compiled: CompiledWorkflow) -> str:
    """Return a digest of the columns that a workflow names, with their tables' keys and checks.

    A column that somebody adds beside them changes nothing; one that is renamed, retyped or made nullable does.
    """
    named = set(compiled.columns_read)
    tables = [table for table in map(catalog.table, compiled.reads) if table is not None]
    return fingerprint([_as_named(table, named) for table in tables])


def has_drifted(source: Source, ledger: Ledger, version: Version) -> bool:
    """Return whether what a version reads no longer looks as it did when it was published."""
    return fingerprint_read(load_catalog(source, ledger), version.compiled) != version.fingerprint


def _as_named(table: Table, named: set[str]) -> Table:
    columns = tuple(c for c in table.columns if f"{table.relation}.{c.name}" in named or c.name in table.primary_key)
    words = [rf"\b{re.escape(column.name)}\b" for column in columns]
    checks = tuple(check for check in table.checks if any(re.search(word, check) for word in words))
    return table.model_copy(update={"columns": columns, "checks": checks, "unique": (), "foreign_keys": ()})
