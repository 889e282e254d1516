"""The helpers of the language, written out as plain SQL before anything runs: nothing has to be installed.

at_local(date, 'HH:MM', zone) · local_date(timestamptz, zone) · month_day(month, n) · contact('name').
"""

import re

from sqlglot import exp, parse_one

from runtime.errors import Problem
from runtime.spec.nearest import did_you_mean

HELPERS = frozenset({"at_local", "local_date", "month_day", "contact"})
CONTACT = "contact"
"""The key in a literal's `meta` that says which contact it is the address of."""
_SIGNATURES = {
    "at_local": "at_local(date, 'HH:MM', zone)",
    "local_date": "local_date(timestamptz, zone)",
    "month_day": "month_day(month, n)",
    "contact": "contact('name')",
}
_TEMPLATES = {
    "at_local": "((:a + CAST(:b AS time)) AT TIME ZONE :c)",
    "local_date": "CAST((:a AT TIME ZONE :b) AS date)",
    "month_day": (
        "LEAST(CAST(tidings_trunc('month', CAST(:a AS timestamp)) AS date) + (:b - 1),"
        " CAST(tidings_trunc('month', CAST(:a AS timestamp)) + INTERVAL '1 month -1 day' AS date))"
    ),
}
"""`tidings_trunc` stands for date_trunc, which the parser would rewrite."""
_TIME = re.compile(r"^([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?$")


def expand(tree: exp.Expr, path: str, contacts: dict[str, dict[str, str]]) -> tuple[exp.Expr, list[Problem]]:
    """Return the tree with every helper written out, and what is wrong with the calls."""
    problems: list[Problem] = []

    def written_out(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Anonymous) or node.name not in HELPERS:
            return node
        problem = _check(node, path, contacts)
        if problem:
            problems.append(problem)
            return exp.Null()
        node.set("expressions", [argument.transform(written_out) for argument in node.expressions])
        return _contact(node, contacts) if node.name == "contact" else _written_out(node)

    return tree.transform(written_out), problems


def _check(node: exp.Anonymous, path: str, contacts: dict[str, dict[str, str]]) -> Problem | None:
    signature = _SIGNATURES[node.name]
    if len(node.expressions) != signature.count(",") + 1:
        message = f"{node.name}() takes {signature.count(',') + 1} argument(s)."
        return Problem(path, "helper-arguments", message, f"Write {signature}.")
    last = node.expressions[-1] if node.name == "contact" else node.expressions[1]
    text = str(last.this) if isinstance(last, exp.Literal) and last.is_string else None
    if node.name == "at_local" and text is not None and not _TIME.match(text):
        return Problem(path, "helper-arguments", f"{text!r} is not a time of day.", "Write it like '09:00'.")
    if node.name != "contact":
        return None
    if text is None:
        return Problem(path, "helper-arguments", "contact() takes a name in quotes.", "Write contact('name').")
    if text not in contacts:
        fix = did_you_mean(text, contacts, otherwise="") if contacts else "Ask a person to register the contact first."
        return Problem(
            path, "unknown-contact", f"No contact is called {text!r}.", fix or f"There is {', '.join(contacts)}."
        )
    return None


def _contact(node: exp.Anonymous, contacts: dict[str, dict[str, str]]) -> exp.Expr:
    name = str(node.expressions[0].this)
    literal = exp.Literal.string(contacts[name]["address"])
    literal.meta[CONTACT] = name
    return literal


def _written_out(node: exp.Anonymous) -> exp.Expr:
    arguments = dict(zip("abc", node.expressions, strict=False))

    def filled(part: exp.Expr) -> exp.Expr:
        if isinstance(part, exp.Placeholder) and part.name in arguments:
            return exp.Paren(this=arguments[part.name].copy())
        if isinstance(part, exp.Anonymous):
            part.set("this", "date_trunc")
        return part

    template: exp.Expr = parse_one(_TEMPLATES[node.name], dialect="postgres")
    return template.transform(filled)
