"""The first node: what the database holds, and which of its tables the request is about."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from agent.prompt import describe_database
from agent.state import Live, Next, State
from agent.toolbox import Refused, Toolbox
from runtime.spec.vocabulary import words

ALL_UP_TO = 12
"""With no more tables than this the model is shown them all."""
MOST_PAGES = 10
_A_CALL = 6
_MOST_SEARCHES = 8
_REFERENCES = re.compile(r"references ([^;]+)")
_WORD = re.compile(r"[^\W\d_]{4,}")
_IDLE = words(
    "when whenever every each with that this them they their have from into email mail send tell slack message notify"
    " please after before unless until"
)


@dataclass(frozen=True)
class Overview:
    """The lines of describe_schema's overview, by table."""

    answer: dict[str, Any]
    lines: dict[str, str] = field(default_factory=dict)

    def neighbours(self, table: str) -> set[str]:
        """Return the tables that this one references, or that reference it."""
        out = _references(self.lines[table])
        return (out | {name for name, line in self.lines.items() if table in _references(line)}) & set(self.lines)


async def ground(state: State, live: Live) -> Next:
    """Read the overview, choose the tables that matter, and the workflow that is to be changed."""
    live.tell("Reading the schema")
    overview = await read_overview(live.tools)
    tables = list(overview.lines)
    if len(tables) > ALL_UP_TO:
        tables = await _relevant(live.tools, overview, state["request"])
    return Next("draft", {"tables": tables, **await _present(live.tools, state)})


async def catalog_text(state: State, live: Live) -> str:
    """Return the database as the model is told of it: every table on a line, those that matter in detail."""
    wanted = tuple(state["tables"])
    if wanted not in live.catalogs:
        overview = await read_overview(live.tools)
        known = [table for table in wanted if table in overview.lines]
        groups = [known[start : start + _A_CALL] for start in range(0, len(known), _A_CALL)]
        details = [await live.tools.call("describe_schema", tables=group) for group in groups]
        live.catalogs[wanted] = describe_database(overview.answer, details)
    return live.catalogs[wanted]


async def read_overview(tools: Toolbox) -> Overview:
    """Return every approved table's line."""
    answer = await tools.call("describe_schema")
    lines = list(answer.get("tables", []))
    page, more = 1, answer.get("more_tables", 0)
    while more and page < MOST_PAGES:
        page += 1
        following = await tools.call("describe_schema", page=page)
        lines += following.get("tables", [])
        more = following.get("more_tables", 0)
    return Overview({**answer, "tables": lines}, {line.partition(": ")[0]: line for line in lines})


async def _relevant(tools: Toolbox, overview: Overview, request: str) -> list[str]:
    """Return the tables that the request's words name, in a table's or a column's name, and those next to them."""
    scores = dict.fromkeys(overview.lines, 0)
    named = list(_words(request))
    for word in named:
        for table in overview.lines:
            scores[table] += 3 * (word in table.lower())
    for word in named[:_MOST_SEARCHES]:
        for table in await _having(tools, word):
            scores[table] = scores.get(table, 0) + 1
    first = sorted((table for table in scores if scores[table]), key=lambda table: -scores[table])[:_A_CALL]
    near = sorted({other for table in first for other in overview.neighbours(table)} - set(first))
    near.sort(key=lambda table: -scores[table])
    return sorted((first + near)[:ALL_UP_TO])


async def _having(tools: Toolbox, word: str) -> Iterable[str]:
    try:
        answer = await tools.call("describe_schema", search=word)
    except Refused:  # no table has the word
        return ()
    return [line.partition(": ")[0] for line in answer.get("tables", [])]


def _words(request: str) -> dict[str, None]:
    """Return the request's words in order, without those that every request has, and without a plural's s."""
    found = (word.lower() for word in _WORD.findall(request))
    return dict.fromkeys(word.removesuffix("s") for word in found if word not in _IDLE)


def _references(line: str) -> set[str]:
    found = _REFERENCES.search(line)
    return {name.strip() for name in found[1].split(",")} if found else set()


async def _present(tools: Toolbox, state: State) -> dict[str, Any]:
    """Return the names that are taken, and the workflow that the request is about as it is now."""
    names = await _names(tools)
    wanted = state.get("workflow", "")
    if wanted not in names:
        return {"taken": names, "current": "", "revision": 0}
    found = await tools.call("get_workflow_and_preview_url", workflow=wanted)
    return {"taken": names, "current": found["spec"], "revision": found["revision"], "name": wanted}


async def _names(tools: Toolbox) -> list[str]:
    names: list[str] = []
    for page in range(1, MOST_PAGES + 1):
        answer = await tools.call("list_workflows", page=page)
        names += [line["name"] for line in answer.get("workflows", [])]
        if not answer.get("more", 0):
            break
    return names
