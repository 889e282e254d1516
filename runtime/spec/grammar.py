"""Which syntax a spec's SQL may use: a list of what is allowed, so that whatever is new or forgotten is refused."""

import re

from sqlglot import exp

from runtime.errors import Problem
from runtime.spec.vocabulary import words

_ALLOWED = words(
    # queries
    "Select Union Intersect Except Subquery With CTE From Join Table TableAlias Lateral Unnest Values Where Group"
    " GroupingSets Cube Rollup Having Order Ordered Limit Offset Fetch LimitOptions Distinct Window WindowSpec"
    " WithinGroup Filter Star Alias ColumnDef"
    # values
    " Column Identifier Literal Null Boolean Parameter Placeholder Interval IntervalSpan Var DataType DataTypeParam"
    " Cast Array Tuple Bracket Slice Dot Paren RawString ByteString UnicodeString BitString HexString National"
    " Kwarg PropertyEQ"
    # functions and constructs
    " Anonymous Coalesce Nullif Greatest Least Case If Extract Substring Trim StrPosition Overlay AtTimeZone Collate"
    " Exists Any All Variadic"
    # operators
    " And Or Not Neg BitwiseNot EQ NEQ GT GTE LT LTE NullSafeEQ NullSafeNEQ Is In Between Like ILike SimilarTo Escape"
    " RegexpLike RegexpILike Add Sub Mul Div Mod Pow DPipe BitwiseAnd BitwiseOr BitwiseXor BitwiseLeftShift"
    " BitwiseRightShift JSONExtract JSONExtractScalar JSONBExtract JSONBExtractScalar JSONBContains"
    " JSONBContainsTopKey JSONBContainsAllTopKeys JSONBContainsAnyTopKeys JSONBDeleteAtPath JSONBPathExists"
    " ArrayContainsAll ArrayContainedBy ArrayOverlaps Overlaps MatchAgainst Adjacent Distance ExtendsLeft ExtendsRight"
    " JSONPath JSONPathRoot JSONPathKey JSONPathSubscript"
)
_REFUSED_PARTS = {
    "into": "SELECT INTO writes a table.",
    "locks": "FOR UPDATE and FOR SHARE lock rows of the application.",
    "sample": "TABLESAMPLE answers differently each time.",
    "hint": "Hints are not read.",
    "kind": "SELECT AS … is not Postgres.",
    "match": "MATCH_RECOGNIZE is not Postgres.",
    "connect": "CONNECT BY is not Postgres.",
    "qualify": "QUALIFY is not Postgres.",
    "operation_modifiers": "Such modifiers are not Postgres.",
    "rows_from": "ROWS FROM is not read here.",
    "pivots": "PIVOT is not Postgres.",
    "version": "Table versions are not Postgres.",
    "changes": "Table versions are not Postgres.",
    "when": "Table versions are not Postgres.",
}
_WORD = re.compile(r"^[A-Za-z_][A-Za-z0-9_ ]*$")
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.DPipe)
_COMPARISONS_AND_MORE = (*_COMPARISONS, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Like, exp.ILike, exp.In)
_NO_TYPES = words("regclass regproc regprocedure regoper regoperator regtype regrole regnamespace regconfig")


def check_grammar(tree: exp.Expr, path: str) -> Problem | None:
    """Return the first thing in the tree that a spec may not hold, if there is one."""
    return next((problem for node in tree.walk() if (problem := _problem(node, path))), None)


def _problem(node: exp.Expr, path: str) -> Problem | None:
    for part, reason in _REFUSED_PARTS.items():
        if node.args.get(part) and isinstance(node, exp.Query | exp.Table):
            return Problem(path, "not-allowed", reason, "Leave it out.")
    if any(None in part for part in node.args.values() if isinstance(part, list)):
        return Problem(path, "sql-syntax", f"{_text(node)!r} lacks a side.", "Write it as Postgres would read it.")
    name = type(node).__name__
    return _unclear(node, path) if name in _ALLOWED else _refused(node, name, path)


def _unclear(node: exp.Expr, path: str) -> Problem | None:
    """Return what is wrong with a node of an allowed kind."""
    match node:
        case exp.Parameter() | exp.Placeholder() if node.name != "now" or isinstance(node, exp.Parameter):
            message = f"{_text(node)} is no parameter here."
            return Problem(path, "unknown-parameter", message, "The only one is :now.")
        case exp.Var() if not _WORD.match(node.name):
            return Problem(path, "not-allowed", f"{node.name!r} is no word of SQL.", "Write a plain word there.")
        case exp.DataType() if _type_name(node) in _NO_TYPES:
            message = f"{_text(node)} looks into the system catalogs."
            return Problem(path, "not-allowed", message, "Use tables of the catalog.")
        case exp.Is() | exp.Not() if isinstance(node.parent, _COMPARISONS_AND_MORE):
            message = f"{_text(node.parent)!r} can be read in two ways."
            return Problem(
                path, "ambiguous-precedence", message, "Put parentheses around the part that is meant first."
            )
        case exp.Is() if not _is_test(node):
            message = f"{_text(node)!r} is not a test that is read here."
            return Problem(path, "not-allowed", message, "Use IS [NOT] NULL, TRUE, FALSE or DISTINCT FROM.")
        case _:
            return None


def _refused(node: exp.Expr, name: str, path: str) -> Problem:
    fix = "Write one SELECT; workflows read, they never change data."
    if isinstance(node, exp.ObjectIdentifier):
        return Problem(
            path, "not-allowed", f"{_text(node)} looks into the system catalogs.", "Use tables of the catalog."
        )
    if isinstance(node, exp.DML | exp.DDL | exp.Command | exp.Set | exp.Merge):
        return Problem(path, "not-a-select", f"{name.upper()} changes data or settings.", fix)
    if isinstance(node, exp.CurrentDate | exp.CurrentTime | exp.CurrentTimestamp | exp.Localtime | exp.Localtimestamp):
        message = f"{_text(node)} reads the machine's clock."
        return Problem(path, "clock", message, "Write :now, the engine's clock, or event.at.")
    if isinstance(node, exp.Date | exp.Timestamp | exp.Time):
        fix = f"Write a cast: (…)::{name.lower()}."
        return Problem(path, "unknown-function", f"{_text(node)[:60]!r} is a cast in disguise.", fix)
    if isinstance(node, exp.Func) and _text(node):
        message = f"{_text(node)[:60]!r} is not allowed in a spec."
        return Problem(path, "unknown-function", message, "Use plain SQL expressions and built-in functions.")
    return Problem(path, "not-allowed", f"{name} is not read in a spec's SQL.", "Say it with plain SELECT syntax.")


def _is_test(node: exp.Is) -> bool:
    return isinstance(node.expression, exp.Null | exp.Boolean)


def _type_name(node: exp.DataType) -> str:
    return node.sql("postgres").lower().replace('"', "").rsplit(".", 1)[-1]


def _text(node: exp.Expr | None) -> str:
    return node.sql("postgres", comments=False)[:80] if node is not None else ""
