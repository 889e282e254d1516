"""A workflow in plain words, from its structure alone: what a person reads beside the author's own sentence."""

import re
from collections.abc import Iterator

from sqlglot import exp

from runtime.spec.model import ChangeTrigger, Operation, QueryStep, ScheduleTrigger, SendStep, WaitStep, Workflow
from runtime.spec.predicates import text
from runtime.spec.sql import NotSql, parse_query
from runtime.spec.survey import operations

_DONE = {Operation.INSERT: "inserted", Operation.UPDATE: "updated", Operation.DELETE: "deleted"}
_BY = {"email": "e-mail", "slack": "Slack"}
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_LONG = 160


def in_words(workflow: Workflow) -> str:
    """Return the workflow as one sentence: when, under which conditions, after which waits, who is told what."""
    parts = [_trigger(workflow.trigger)]
    if workflow.condition:
        parts.append(f"only if {_sql(workflow.condition)}")
    parts += [_step(step) for step in workflow.steps]
    if workflow.while_:
        parts.append(f"all of it only as long as {_sql(workflow.while_)}, asked again before each message")
    return "; ".join(parts) + "."


def _trigger(trigger: ChangeTrigger | ScheduleTrigger) -> str:
    if isinstance(trigger, ScheduleTrigger):
        items = f", for each row of {_rows(trigger.each)}" if trigger.each else ""
        return f"{_when(trigger.schedule)} ({trigger.zone}){items}"
    done = _joined([_DONE[operation] for operation in operations(trigger)], "or") or "changed"
    words = f"When a row of {trigger.change} is {done}"
    if trigger.becomes:
        words += f" so that {_sql(trigger.becomes)}, which was not so before"
    if trigger.columns:
        words += f" so that {_joined(trigger.columns, 'or')} changes"
    return words + (f", if {_sql(trigger.when)}" if trigger.when else "")


def _step(step: QueryStep | WaitStep | SendStep) -> str:
    only = f"if {_sql(step.condition)}, " if step.condition else ""
    match step:
        case QueryStep():
            return f"{only}look up {step.query} in {_rows(step.sql)}"
        case WaitStep():
            return f"{only}wait {step.duration}" if step.duration else f"{only}wait until {_sql(step.until)}"
        case SendStep():
            return only + _send(step)


def _send(step: SendStep) -> str:
    ways = _joined([_BY[channel.value] for channel in step.channels], "or else")
    default = next((t for t in step.texts if not t.locale and t.subject), step.texts[0])
    said = f" “{default.subject}”" if default.subject else ""
    languages = sorted({t.locale for t in step.texts if t.locale})
    also = f" (also in {_joined(languages, 'and')})" if languages else ""
    kind = f", as {step.category} on {step.topic}" if step.topic else ""
    return f"tell {_rows(step.to)} by {ways}{said}{also}{kind}"


def _rows(sql: str) -> str:
    """Say which rows a SELECT returns: its tables and its condition, or itself where it is more than that."""
    try:
        tree = parse_query(sql, "")
    except NotSql:
        return _sql(sql)
    names = [node.alias or node.sql("postgres") for node in tree.expressions] if isinstance(tree, exp.Select) else []
    tables = list(dict.fromkeys(text(table) for table in _tables(tree)))
    if not tables:
        return f"what {_joined(names, 'and')} say" if len(names) == 1 else _sql(sql)
    where = tree.args.get("where")
    condition = f" where {text(where.this)}" if where and isinstance(tree, exp.Select) else ""
    return (
        f"{_joined(tables, 'and')}{condition}"
        if len(condition) <= _LONG
        else f"{_joined(tables, 'and')} (a longer condition)"
    )


def _tables(tree: exp.Expr) -> Iterator[exp.Table]:
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Func) and not table.find_ancestor(exp.Where):
            bare = table.copy()
            bare.set("alias", None)
            bare.set("joins", None)
            yield bare


def _sql(sql: str) -> str:
    return re.sub(r"\s+", " ", sql).strip()


def _joined(words: list[str], last: str) -> str:
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _when(rule: str) -> str:
    """Say a cron rule where it is a plain one: a time on every day, on weekdays or on a day of the month."""
    fields = rule.split()
    if len(fields) != 5 or not (fields[0].isdigit() and fields[1].isdigit()) or fields[3] != "*":  # noqa: PLR2004
        return f"On the schedule {rule}"
    at = f"at {int(fields[1]):02}:{int(fields[0]):02}"
    day, weekday = fields[2], fields[4]
    if day == "*" and weekday == "*":
        return f"Every day {at}"
    if day == "*" and weekday == "1-5":
        return f"From Monday to Friday {at}"
    if day == "*" and re.fullmatch(r"[0-7](,[0-7])*", weekday):
        return f"Every {_joined([_DAYS[int(number)] for number in weekday.split(',')], 'and')} {at}"
    if day.isdigit() and weekday == "*":
        return f"On day {day} of every month {at}"
    return f"On the schedule {rule}"
