"""One canonical form of a spec, whatever its spelling, and the digest of anything JSON can say."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel

from runtime.spec.model import Workflow


def canonical(workflow: Workflow) -> dict[str, Any]:
    """Return the spec as JSON data with the keys people write; what is left to its default is left out.

    Leaving defaults out keeps the digest of an old spec when a later version learns a new key.
    """
    return workflow.model_dump(mode="json", exclude_defaults=True)


def digest(value: Any) -> str:
    """Return sha256, in hex, over the canonical JSON of a value: sorted keys, no blanks, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)
