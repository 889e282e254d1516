"""The drafter that the tools are given: a sentence goes in, a draft that waits for a person's approval comes out.

The graph is a client of an MCP server of ours that has no drafter itself, so it can't call itself. One call of `draft`
runs until the person is needed; what it needs then, and the thread to go on with, is the outcome.
"""

from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any

from mcp import Client
from mcp.server import MCPServer
from psycopg import Error as PostgresError
from psycopg_pool import PoolTimeout

from agent.graph import build_graph, look, reply_to, run_graph
from agent.model import open_anthropic
from agent.state import Budget, Live
from agent.threads import check_thread, new_thread, only_run, open_saver
from agent.toolbox import Toolbox
from runtime.errors import NotFound, TidingsError
from runtime.settings import Settings
from tools.drafter import DraftOutcome, Progress

if TYPE_CHECKING:
    from langgraph.types import StateSnapshot

NO_KEY = (
    "Drafting from a sentence needs a model, and no key is set. Either connect a chat client by `tidings mcp`: its own "
    "model then writes the workflow through the tools, without a key here. Or set ANTHROPIC_API_KEY (or write it into "
    "secrets.env in Tidings' home) and call this again."
)
LONGEST_REQUEST = 10_000


class GraphDrafter:
    """Implements the tools' Drafter with the graph, the project's ledger and Anthropic's models."""

    def __init__(self, server: MCPServer[Any], *, settings: Settings, budget: Budget | None = None) -> None:
        """Take a server of ours that was built without a drafter."""
        self._server = server
        self._settings = settings
        self._budget = budget or Budget()

    async def draft(
        self, request: str, *, workflow: str = "", thread: str = "", answer: str = "", progress: Progress
    ) -> DraftOutcome:
        """Begin a request, or go on with a thread: answer its questions, say what to change, or have it published.

        A thread that waits for approval is published when a person has approved it meanwhile, and waits on otherwise.
        With an answer it is drafted anew. A thread that broke off goes on where it was; the model is not asked again
        for what is done. Whatever fails is told in the outcome, with the thread when it is worth going on.
        """
        if not self._settings.anthropic_api_key:
            return DraftOutcome("unavailable", message=NO_KEY)
        if not thread and not 0 < len(request.strip()) <= LONGEST_REQUEST:
            said = f"Say in a sentence who shall hear what, and when; at most {LONGEST_REQUEST:,} characters."
            return DraftOutcome("failed", message=said)
        name = thread or new_thread(self._settings.project_id)
        given = {"thread": name, "request": request.strip(), "workflow": workflow} if not thread else None
        try:
            check_thread(name, self._settings.project_id)
            if given is not None:
                await progress(f"Thread {name}")
            found = await self._run(name, given, answer.strip(), progress)
        except TidingsError as error:
            return DraftOutcome("failed", thread=name, message=str(error))
        if isinstance(found, TidingsError):
            return DraftOutcome("failed", thread=name, message=str(found))
        if isinstance(found, Exception):
            raise found
        return found

    async def _run(
        self, thread: str, given: dict[str, Any] | None, answer: str, progress: Progress
    ) -> DraftOutcome | Exception:
        """Run the thread; errors are returned, because the client would wrap what is raised through it in a group."""
        settings = self._settings
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            await enter(only_run(settings.ledger_url, thread))
            saver = await enter(open_saver(settings.ledger_url))
            model = await enter(
                open_anthropic(settings.model, api_key=settings.anthropic_api_key, base_url=settings.anthropic_base_url)
            )
            tools = Toolbox(await enter(Client(self._server)))
            live = Live(model=model, tools=tools, budget=self._budget)
            graph = build_graph(saver)
            try:
                state = await look(graph, thread)
                going_on, begin = (True, given) if given is not None else _input(state, thread, answer)
                if going_on:
                    async with aclosing(run_graph(graph, begin, thread=thread, live=live)) as lines:
                        async for line in lines:
                            await progress(line)
                    await saver.aprune([thread], strategy="keep_latest")
                return outcome(thread, await look(graph, thread))
            except (TidingsError, PostgresError, PoolTimeout) as error:
                return error


def _input(state: "StateSnapshot", thread: str, answer: str) -> tuple[bool, Any]:
    """Return whether a thread can go on now, and with what."""
    if not state.values:
        raise NotFound(f"There is no thread {thread!r}. Begin a new request, without a thread.")
    if not state.interrupts:
        return bool(state.next), None
    waiting = state.interrupts[0]
    if waiting.value["kind"] == "questions":
        return bool(answer), reply_to(waiting, {"said": answer})
    action = "revise" if answer else "publish"
    return True, reply_to(waiting, {"action": action, "digest": waiting.value["digest"], "note": answer})


def outcome(thread: str, state: "StateSnapshot") -> DraftOutcome:
    """Say how far a thread has come."""
    values = state.values
    name = values.get("name", values.get("workflow", ""))
    if not state.interrupts:
        problems = values.get("problems", []) if values.get("status") == "failed" else []
        return DraftOutcome(
            values.get("status") or "failed",
            thread=thread,
            workflow=name,
            digest=values.get("digest", ""),
            problems=problems,
            message=values.get("message", ""),
        )
    waiting = state.interrupts[0].value
    if waiting["kind"] == "questions":
        return DraftOutcome("needs_input", thread=thread, workflow=name, questions=list(waiting["questions"]))
    return DraftOutcome(
        "needs_approval", thread=thread, workflow=name, digest=waiting["digest"], message=waiting["message"]
    )
