"""The SQL of one table's hook: a statement-level trigger and a function for each operation. Pure: nothing is executed.

A write must never fail because of its hook, so everything that names a column of the user stands inside one guard, and
what the guard catches goes down a ladder: the row's payload, its key, a counter that survives a rollback.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from runtime.capture.payload import json_object, session_settings
from runtime.capture.unchanged import unchanged
from runtime.ledger.queries import load_queries
from runtime.spec.prefilter import either
from runtime.spec.schema import Column

OPERATIONS: Mapping[str, str] = {"insert": "i", "update": "u", "delete": "d"}
"""Operation → its letter in the outbox and in names."""
TRUNCATE = "truncate"
"""Watched wherever deletes are: it deletes rows without saying which."""
LOCK_TIMEOUT = "50ms"
"""The longest that a hook lets a write wait."""
BELL_SPACE = 1953063017
"""The first half of the doorbell's advisory lock; the second is the project."""
_FULL = "the outbox is full"
_KEY_BYTES = 1024**3
"""How large the table of keys may become: some millions of them."""
_COOLING = 10
"""Seconds for which a session does not try again what failed three times in a row."""
_ROWS = {
    "insert": "NEW TABLE AS new_rows",
    "update": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": "OLD TABLE AS old_rows",
}
_ONE_SIDED = {"insert": "new_rows AS n", "delete": "old_rows AS o"}
_COMMENT = re.compile(r"^\s*--.*\n", re.MULTILINE)
_TEXT = {name: _COMMENT.sub("", text) for name, text in load_queries("runtime.capture", "hook.sql").items()}


@dataclass(frozen=True)
class Hook:
    """What the functions of one table's hook must know."""

    id: int
    generation: int
    project_id: int
    key: tuple[Column, ...]
    columns: tuple[Column, ...]
    """What goes into the payload."""
    prefilters: Mapping[str, str]
    """Operation → SQL over n and o; an operation that is missing is not captured."""
    partitioned: bool = False


def bell_channel(project_id: int) -> str:
    """Return the channel on which the hooks of a project ring."""
    return f"tidings_{project_id}"


def watched_operations(operations: Iterable[str]) -> list[str]:
    """Return what needs a trigger and a function of its own, so that those operations are captured."""
    wanted = {*operations}
    return [op for op in (*OPERATIONS, TRUNCATE) if op in wanted or (op == TRUNCATE and "delete" in wanted)]


def trigger_name(hook_id: int, operation: str) -> str:
    """Return the name of a trigger; it holds the hook's id, because two projects may watch one table."""
    return f"tidings_capture_{hook_id}_{operation[0]}"


def function_name(hook_id: int, operation: str) -> str:
    """Return the name of a function in schema tidings."""
    return f"hook_{hook_id}_{operation[0]}"


def counter_names(hook_id: int) -> tuple[str, str]:
    """Return the names of the sequences in schema tidings that count missed rows and skipped ones."""
    return f"missed_{hook_id}", f"skipped_{hook_id}"


def bound_name(project_id: int) -> str:
    """Return the name of the sequence in schema tidings whose value is the highest id that a hook may still draw."""
    return f"bound_{project_id}"


def merged_prefilters(prefilters: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return for each operation what holds whenever one of the versions' prefilters does."""
    operations = [operation for operation in OPERATIONS if any(operation in each for each in prefilters)]
    return {op: either(*dict.fromkeys(each[op] for each in prefilters if op in each)) for op in operations}


def trigger_sql(hook_id: int, operation: str, relation: tuple[str, str]) -> str:
    """Return the CREATE TRIGGER statement for a table or partition, given as schema and name."""
    names: dict[str, sql.Composable] = {
        "trigger": sql.Identifier(trigger_name(hook_id, operation)),
        "relation": sql.Identifier(*relation),
        "function": _function(hook_id, operation),
    }
    if operation == TRUNCATE:
        return _fill("truncate_trigger", **names).as_string(None)
    rows = {"event": _raw(operation.upper()), "rows": _raw(_ROWS[operation])}
    return _fill("trigger", **names, **rows).as_string(None)


def function_sql(hook: Hook, operation: str) -> str:
    """Return the CREATE OR REPLACE FUNCTION statement of one operation."""
    prefilter = hook.prefilters.get("delete" if operation == TRUNCATE else operation)
    body = _fill("idle") if prefilter is None else _body(hook, operation, prefilter)
    text = body.as_string(None)
    return _fill(
        "function",
        function=_function(hook.id, operation),
        settings=_raw("" if prefilter is None else _settings(hook, operation, text)),
        body=sql.Literal(text),
    ).as_string(None)


def _settings(hook: Hook, operation: str, body: str) -> str:
    """Return the SET clauses: bounds on waiting and on plans, and what would change the meaning of the body."""
    settings = [f"lock_timeout = '{LOCK_TIMEOUT}'", "jit = off", *session_settings((*hook.key, *hook.columns))]
    settings += ["enable_nestloop = off"] if operation == "update" else []
    settings += ["standard_conforming_strings = on"] if "\\" in body else []
    settings += ["transform_null_equals = off"] if "= NULL" in body else []
    return " ".join(f"SET {setting}" for setting in settings)


def _body(hook: Hook, operation: str, prefilter: str) -> sql.Composed:
    missed, skipped = counter_names(hook.id)
    counters = {"skipped": sql.Literal(f"tidings.{skipped}"), "missed": sql.Literal(f"tidings.{missed}")}
    about = {"id": sql.Literal(hook.id), "skip": _fill("skip"), **counters}
    if operation == TRUNCATE:
        return _fill("truncate_body", generation=sql.Literal(hook.generation), **about)
    states = {name: sql.Literal(f"{hook.generation} {n}") for n, name in enumerate(("first", "second", "third"), 1)}
    return _fill(
        "body",
        broken=sql.Literal(f"tidings.broken_{hook.id}"),
        open=sql.Literal(f"{hook.generation} 3 %"),
        cooling=sql.Literal(_COOLING),
        bound=sql.Literal(f"tidings.{bound_name(hook.project_id)}"),
        full=sql.Literal(_FULL),
        key_bytes=sql.Literal(_KEY_BYTES),
        counted=_raw("new_rows" if operation == "insert" else "old_rows"),
        early_exit=_early_exit(hook, operation, prefilter),
        capture=_capture(hook, operation, prefilter),
        ring=_fill(
            "ring",
            space=sql.Literal(BELL_SPACE),
            project=sql.Literal(hook.project_id),
            channel=sql.Literal(bell_channel(hook.project_id)),
        ),
        keep_key=_keep_key(hook, operation),
        **about,
        **states,
    )


def _early_exit(hook: Hook, operation: str, prefilter: str) -> sql.Composed:
    if operation != "update":
        return _fill("exit_unless_hit", source=_raw(_ONE_SIDED[operation]), prefilter=_raw(prefilter))
    leave = _fill("exit_unless_updated", prefilter=_raw(prefilter))
    same = unchanged((*hook.key, *(column for column in hook.columns if column not in hook.key)), prefilter)
    if same is not None:
        leave += _raw("\n        ") + _fill("exit_if_unchanged", prefilter=_raw(prefilter), unchanged=same)
    return _fill("fail_if_unpaired", exit_unless_updated=leave) if hook.partitioned else leave


def _capture(hook: Hook, operation: str, prefilter: str) -> sql.Composed:
    if operation != "update":
        return _insertion(hook, operation, prefilter, _raw(_ONE_SIDED[operation]))
    one = _insertion(hook, operation, prefilter, _raw("new_rows AS n CROSS JOIN old_rows AS o"))
    return _fill("capture_update", one=one, many=_insertion(hook, operation, prefilter, _fill("numbered")))


def _insertion(hook: Hook, operation: str, prefilter: str, source: sql.Composed) -> sql.Composed:
    return _fill(
        "capture",
        **_about(hook, operation),
        key=json_object(hook.key, "o" if operation == "delete" else "n"),
        new=_raw("NULL") if operation == "delete" else json_object(hook.columns, "n"),
        old=_raw("NULL") if operation == "insert" else json_object(hook.columns, "o"),
        source=source,
        prefilter=_raw(prefilter),
    )


def _keep_key(hook: Hook, operation: str) -> sql.Composed:
    source = _raw("old_rows AS n" if operation == "delete" else "new_rows AS n")
    about = _about(hook, operation) | {"key": json_object(hook.key, "n")}
    keep = _fill("keep_key", **about, source=source)
    unpaired = hook.partitioned and operation == "update"
    return sql.SQL("\n        ").join([keep, _fill("keep_unpaired_key", **about)]) if unpaired else keep


def _about(hook: Hook, operation: str) -> dict[str, sql.Composable]:
    letter = sql.Literal(OPERATIONS[operation])
    return {"id": sql.Literal(hook.id), "generation": sql.Literal(hook.generation), "op": letter}


def _function(hook_id: int, operation: str) -> sql.Identifier:
    return sql.Identifier("tidings", function_name(hook_id, operation))


def _fill(name: str, **parts: sql.Composable) -> sql.Composed:
    return sql.SQL(_TEXT[name]).format(**parts)


def _raw(text: str) -> sql.Composed:
    """Return SQL that is made already: of our own texts, or of a syntax tree (see runtime/spec)."""
    return sql.Composed([sql.SQL(text)])
