"""What clients are told about a tool's effects, so that they know when to ask their person. Hints enforce nothing."""

from mcp.types import ToolAnnotations

READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
"""Changes nothing."""
DRAFTS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
"""Changes drafts, reports and questions to a person; the last draft can be saved again."""
ASKS_A_MODEL = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)
"""Talks to a model's provider, and may save a draft."""
GOES_LIVE = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True)
"""From then on messages may go to people."""
