"""The graph: ground → draft → validate → save → test → prepare → review → publish, and back to draft with problems.

Besides agent/threads.py this is the only module that knows LangGraph. Nodes are plain functions of the state and of
what is at hand. The ones that wait for a person are two, a question and what follows from its answer, because LangGraph
runs the code before an interrupt again at every resume. LangGraph is imported when a graph is built: the tools and
`--help` never load it.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from agent import ask, check, draft, ground, review
from agent.give_up import give_up
from agent.model import CutShort
from agent.state import Live, Next, State

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.types import Interrupt, StateSnapshot

    Graph = CompiledStateGraph[State, Live, State, State]

RECURSION_LIMIT = 40
"""Steps of one run; the counters in the state end it long before."""
Node = Callable[[State, Live], Awaitable[Next]]


class Waiting(NamedTuple):
    """A node that waits for a person."""

    question: Callable[[State], dict[str, Any]]
    answered: Callable[[State, Live, dict[str, Any]], Awaitable[Next]]


NODES: dict[str, Node | Waiting] = {
    "ground": ground.ground,
    "draft": draft.draft,
    "ask": Waiting(ask.question, ask.answered),
    "validate": check.validate,
    "save": check.save,
    "test": check.test,
    "prepare": review.prepare,
    "review": Waiting(review.question, review.decided),
    "publish": review.publish,
    "give_up": give_up,
}
WAYS: dict[str, tuple[str, ...]] = {
    "ground": ("draft",),
    "draft": ("draft", "ask", "validate", "give_up"),
    "ask": ("draft",),
    "validate": ("save", "draft", "give_up"),
    "save": ("test", "draft", "give_up"),
    "test": ("prepare", "draft", "give_up"),
    "prepare": ("review", "draft", "give_up", ""),
    "review": ("publish", "draft", "review"),
    "publish": ("", "review"),
    "give_up": ("",),
}
"""Where each node may lead; the empty name is the end."""


def build_graph(saver: "BaseCheckpointSaver[str]") -> "Graph":
    """Return the graph with its checkpoints in `saver`. Building takes milliseconds, the first import a second."""
    from langgraph.graph import END, START, StateGraph  # noqa: PLC0415  # heavy
    from langgraph.types import RetryPolicy  # noqa: PLC0415

    graph = StateGraph(State, context_schema=Live)
    # An answer that broke off is asked for again, by this layer alone: whatever the SDK repeats is no CutShort.
    again = RetryPolicy(max_attempts=3, initial_interval=0.2, jitter=False, retry_on=CutShort)
    for name, node in NODES.items():
        ways = tuple(way or END for way in WAYS[name])
        graph.add_node(name, _node(name, node), destinations=ways, retry_policy=again if name == "draft" else None)
    graph.add_edge(START, "ground")
    return graph.compile(checkpointer=saver)


async def run_graph(graph: "Graph", given: Any, *, thread: str, live: Live) -> AsyncGenerator[str, None]:
    """Run a thread until it ends or waits for a person, and yield what is being done.

    `given` is the first state, an answer made by `reply_to`, or None to go on where a run broke off. Each step is in
    Postgres before the next one begins, so that a killed run repeats no node that was done. Nothing is traced to
    anybody, whatever the environment says: states hold what the user's database says.
    """
    from langsmith import tracing_context  # noqa: PLC0415  # comes with LangGraph

    with tracing_context(enabled=False):
        stream = graph.astream(
            given,
            config(thread),
            context=live,
            stream_mode=["updates", "custom"],
            durability="sync",
            version="v2",
        )
        async for part in stream:
            if part["type"] == "custom":
                yield str(part["data"])


def reply_to(waiting: "Interrupt", answer: dict[str, Any]) -> Any:
    """Return an answer to exactly this question; to any other one it is refused."""
    from langgraph.types import Command  # noqa: PLC0415  # see build_graph

    return Command(resume={waiting.id: answer})


def config(thread: str) -> "RunnableConfig":
    """Return how a thread is run. Strict: an answer to a question that is no longer open is an error."""
    return {"configurable": {"thread_id": thread, "__pregel_strict_resume": True}, "recursion_limit": RECURSION_LIMIT}


async def look(graph: "Graph", thread: str) -> "StateSnapshot":
    """Return where a thread stands."""
    return await graph.aget_state(config(thread))


def _node(name: str, node: Node | Waiting) -> Any:
    from langgraph.graph import END  # noqa: PLC0415  # see build_graph
    from langgraph.runtime import Runtime  # noqa: PLC0415
    from langgraph.types import Command, interrupt  # noqa: PLC0415

    async def run(state: State, runtime: Runtime[Live]) -> Command[str]:
        live = replace(runtime.context, tell=runtime.stream_writer)
        if isinstance(node, Waiting):
            step = await node.answered(state, live, interrupt(node.question(state)))
        else:
            step = await node(state, live)
        if step.node not in WAYS[name]:
            raise AssertionError(f"{name} leads to {step.node!r}, which WAYS does not say")
        return Command(update=dict(step.update), goto=step.node or END)

    return run
