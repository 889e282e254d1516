"""A digest of the catalog's shape, for noticing that the schema moved under a published version."""

import hashlib
import json
from collections.abc import Sequence

from runtime.spec.schema import Table


def fingerprint(tables: Sequence[Table]) -> str:
    """Return a digest of what the tables look like: not of row counts, comments, partitions, or order."""
    volatile = {"estimated_rows", "comment", "partitions"}
    shapes = [
        table.model_dump(exclude=volatile | {"columns"})
        | {"columns": [column.model_dump(exclude={"comment"}) for column in table.columns]}
        for table in sorted(tables, key=lambda table: table.relation)
    ]
    text = json.dumps(shapes, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
