"""What a thread of the graph remembers, in plain JSON so that any process can go on, and what a run has at hand."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypedDict

from agent.model import Model
from agent.toolbox import Toolbox


class State(TypedDict, total=False):
    """The checkpointed state. Catalog, prompts and live things are not in it."""

    thread: str
    request: str
    """The person's sentence."""
    workflow: str
    """Which workflow is to be changed; empty for a new one."""
    current: str
    """That workflow as it is now, as YAML."""
    revision: int
    """Of the draft that a save replaces; 0: there is none."""
    taken: list[str]
    """Names of the workflows there are."""
    tables: list[str]
    """What the model is shown in detail."""
    looks: int
    """How often it asked for more of them."""
    questions: list[str]
    rounds: int
    """How often the person was asked."""
    answers: list[dict[str, str]]
    """What the person said since, each with what was asked."""
    reply: str
    """The model's latest answer, as it wrote it."""
    spec: str
    """The latest draft as YAML."""
    name: str
    """The workflow's name, once a draft has one."""
    saved: str
    """Under which name a draft was saved; from then on the name stays."""
    problems: list[dict[str, Any]]
    """What is wrong with the latest draft."""
    attempts: int
    """Drafts since a person last said something."""
    repeats: int
    """How often in a row the same problems came back."""
    digest: str
    """Of the draft that was tested and waits for approval."""
    words: str
    """What a person approves: the author's sentence and the workflow in Tidings' words."""
    report: str
    """What the rehearsal found, in a sentence."""
    note: str
    """Why the approval could not be redeemed, for the person."""
    status: str
    """published, failed; empty while the request is open."""
    message: str
    """The last word, for the person."""
    usage: Annotated[list[dict[str, Any]], operator.add]
    """What each call of the model cost."""


@dataclass(frozen=True)
class Budget:
    """The most that one request may cost."""

    calls: int = 12
    tokens: int = 600_000
    """Read and written, from the cache or not."""

    def spent(self, usage: list[dict[str, Any]]) -> str:
        """Return what is used up, in words; empty while there is something left."""
        tokens = sum(call["input"] + call["output"] for call in usage)
        if len(usage) >= self.calls:
            return f"{len(usage)} calls of the model"
        return f"{tokens:,} tokens" if tokens >= self.tokens else ""


@dataclass(frozen=True)
class Live:
    """What a run has at hand and no checkpoint keeps."""

    model: Model
    tools: Toolbox
    budget: Budget = field(default_factory=Budget)
    tell: Callable[[str], None] = lambda _: None
    """Says what is being done, to whoever watches."""
    catalogs: dict[tuple[str, ...], str] = field(default_factory=dict)
    """The database as the model was told of it in this run, by the tables shown in detail."""


@dataclass(frozen=True)
class Next:
    """Where a node sends the graph, and what it changes of the state."""

    node: str
    update: Mapping[str, Any] = field(default_factory=dict)


def failed(message: str, **update: Any) -> Next:
    """End the request without a workflow that could be approved."""
    return Next("give_up", {**update, "status": "failed", "message": message})
