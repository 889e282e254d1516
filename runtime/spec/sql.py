"""An author's SQL as a checked syntax tree: one SELECT, or one expression. Nothing that writes, locks or commands.

sqlglot reads Postgres, but it also rewrites functions it knows from other databases. Here every ordinary function keeps
the name its author wrote (`exp.Anonymous`), so that what was checked is what runs.
"""

import re
from itertools import pairwise

from sqlglot import Token, TokenType, exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import ParseError, TokenError
from sqlglot.parsers.postgres import PostgresParser

from runtime.errors import Problem, TidingsError
from runtime.spec.grammar import check_grammar
from runtime.spec.vocabulary import words

_MARK = "tidings_fn_"
_SYNTAX = words(
    "CAST EXTRACT SUBSTRING TRIM POSITION OVERLAY COALESCE NULLIF GREATEST LEAST EXISTS ARRAY ROW UNNEST FILTER OVER"
    " WITHIN IN ANY ALL SOME VALUES AS ON USING AND OR NOT"
)
"""What Postgres spells with parentheses but does not call."""
_RENAMED = (frozenset(PostgresParser.FUNCTIONS) | frozenset(PostgresParser.FUNCTION_PARSERS) | {"IF"}) - _SYNTAX
_STATEMENTS = frozenset(PostgresParser.STATEMENT_PARSERS) | {TokenType.COMMAND, TokenType.EXECUTE, TokenType.FETCH}
_HALF_READ = (TypeError, AttributeError, ValueError, IndexError, KeyError)
"""What the compiled parser raises, besides ParseError, on texts that end too early."""
_DEEPEST = 200
_REWRITES = 3
_ONE_SELECT = "Write one SELECT; workflows read, they never change data."


class NotSql(TidingsError):  # noqa: N818  # carries a problem to the caller, who collects it
    """The text is not SQL that a spec may hold."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


def parse_query(text: str, path: str) -> exp.Query:
    """Parse one SELECT (or UNION of them, or WITH); raises NotSql."""
    tree = _parsed(text, path)
    while isinstance(tree, exp.Subquery) and isinstance(tree.this, exp.Query) and not _has_more(tree):
        tree = tree.this
    if isinstance(tree, exp.Values):
        raise NotSql(Problem(path, "not-a-select", "VALUES has no named columns.", "Write SELECT … AS name instead."))
    if not isinstance(tree, exp.Query):
        raise NotSql(Problem(path, "not-a-select", f"Is not a SELECT: {text.strip()[:60]!r}.", _ONE_SELECT))
    return tree


def _has_more(tree: exp.Subquery) -> bool:
    """Return whether something stands behind the closing parenthesis."""
    return any(tree.args.get(part) for part in ("alias", "order", "limit", "offset", "with_"))


def parse_expression(text: str, path: str) -> exp.Expr:
    """Parse one expression; a SELECT becomes a scalar subquery. Raises NotSql."""
    tree = _parsed(text, path)
    if isinstance(tree, exp.Query):
        return exp.Subquery(this=tree) if not isinstance(tree, exp.Subquery) else tree
    if isinstance(tree, exp.Alias):
        fix = f"Leave out 'AS {tree.alias}'."
        raise NotSql(Problem(path, "not-an-expression", "An expression has no name of its own.", fix))
    return tree


def parse_check(text: str) -> exp.Expr | None:
    """Parse a CHECK constraint, as Postgres writes it; None when it is beyond this parser."""
    try:
        return _tree(_tokens(text, ""), text, "")
    except NotSql:
        return None


def _parsed(text: str, path: str) -> exp.Expr:
    """Return the tree of the text as it will be written: what is judged from here on is exactly what runs.

    Parsing keeps some words as they stand (units, names of arguments), so a text could be written that reads otherwise.
    """
    tree = _read(text, path)
    for _ in range(_REWRITES):
        text = _written(tree)
        again = _read(text, path)
        if _written(again) == text:
            return again
        tree = again
    message = "This SQL can't be rewritten without changing what it says."
    raise NotSql(Problem(path, "not-allowed", message, "Say it more plainly."))


def _read(text: str, path: str) -> exp.Expr:
    tokens = _tokens(text, path)
    _check_tokens(tokens, path)
    tree = _tree(tokens, text, path)
    problem = check_grammar(tree, path)
    if problem:
        raise NotSql(problem)
    return tree


def _written(tree: exp.Expr) -> str:
    return tree.sql("postgres", identify=True, normalize_functions=False, comments=False)


def _tokens(text: str, path: str) -> list[Token]:
    try:
        tokens: list[Token] = Postgres().tokenize(text)
    except TokenError as error:
        message = f"This is not SQL: {_first_line(str(error))}."
        raise NotSql(
            Problem(path, "sql-syntax", message, "Check quotes and comments; each one opened must close.")
        ) from None
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    tokens = _without_pg_catalog(tokens)
    if not tokens:
        raise NotSql(Problem(path, "sql-syntax", "Holds no SQL.", "Write an expression or leave the key out."))
    return tokens


def _without_pg_catalog(tokens: list[Token]) -> list[Token]:
    """Take `pg_catalog.` off calls: every call is written with it again when the tree is rendered."""
    kinds = [token.token_type for token in tokens]
    prefixes = {
        place + offset
        for place, token in enumerate(tokens[:-3])
        if token.text == "pg_catalog" and kinds[place + 1] is TokenType.DOT and kinds[place + 3] is TokenType.L_PAREN
        for offset in (0, 1)
    }
    return [token for place, token in enumerate(tokens) if place not in prefixes]


def _check_tokens(tokens: list[Token], path: str) -> None:
    first = tokens[0]
    is_call = len(tokens) > 1 and tokens[1].token_type is TokenType.L_PAREN
    if first.token_type in _STATEMENTS and not is_call:
        message = f"{first.text.upper()} is a command, not a query."
        raise NotSql(Problem(path, "not-a-select", message, _ONE_SELECT))
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            raise NotSql(Problem(path, "several-statements", "Holds more than one statement.", _ONE_SELECT))
        if token.token_type is TokenType.TABLE:
            message = "TABLE is not read here."
            raise NotSql(
                Problem(path, "not-a-select", message, "Write SELECT with the columns you need, FROM the table.")
            )


def _tree(tokens: list[Token], text: str, path: str) -> exp.Expr:
    """Parse tokens; function names that sqlglot would reinterpret are marked before and restored after."""
    for token, following in pairwise(tokens):
        if following.token_type is TokenType.L_PAREN and _is_call(token):
            token.text = _MARK + token.text
            token.token_type = token.token_type if token.token_type is TokenType.IDENTIFIER else TokenType.VAR
    try:
        trees = Postgres().parser().parse(tokens, text)
    except ParseError as error:
        raise NotSql(_syntax_problem(error, path)) from None
    except RecursionError:
        raise NotSql(_too_deep(path)) from None
    except _HALF_READ:
        message = "Something is missing in this SQL."
        raise NotSql(Problem(path, "sql-syntax", message, "Write it as Postgres would read it.")) from None
    if len(trees) != 1 or trees[0] is None:
        raise NotSql(Problem(path, "several-statements", "Holds more than one statement.", _ONE_SELECT))
    tree: exp.Expr = trees[0]
    if _depth(tree) > _DEEPEST:
        raise NotSql(_too_deep(path))
    _restore(tree)
    return tree


def _is_call(token: Token) -> bool:
    return token.text.upper() in _RENAMED and token.token_type not in PostgresParser.TYPE_TOKENS


def _restore(tree: exp.Expr) -> None:
    """Take the marks off again, and write unquoted names in lower case, as Postgres reads them."""
    for node in tree.walk():
        if isinstance(node, exp.Anonymous):
            name = node.this if isinstance(node.this, str) else node.this.name
            quoted = isinstance(node.this, exp.Identifier)
            name = name.removeprefix(_MARK)
            node.set("this", name if quoted else name.lower())
        elif isinstance(node, exp.Identifier):
            name = node.name.removeprefix(_MARK)
            node.set("this", name if node.args.get("quoted") else name.lower())
            node.set("quoted", True)


def _depth(tree: exp.Expr) -> int:
    deepest = 0
    rest = [(tree, 1)]
    while rest:
        node, depth = rest.pop()
        deepest = max(deepest, depth)
        rest.extend((child, depth + 1) for child in node.iter_expressions())
    return deepest


def _too_deep(path: str) -> Problem:
    return Problem(
        path, "too-deep", "The SQL is nested too deeply.", "Split it over query steps, or use IN for long lists."
    )


def _syntax_problem(error: ParseError, path: str) -> Problem:
    detail = error.errors[0] if error.errors else {}
    near = str(detail.get("highlight") or "").replace(_MARK, "")
    place = f"Line {detail.get('line')}, column {detail.get('col')}" if detail.get("line") else "Somewhere"
    what = _first_line(str(detail.get("description") or error)).replace(_MARK, "").rstrip(".")
    message = f"{place}: {what}{f', near {near!r}' if near else ''}."
    return Problem(path, "sql-syntax", message, "Write it as Postgres would read it.")


def _first_line(text: str) -> str:
    return re.sub(r"\x1b\[\d+m", "", text.strip().splitlines()[0] if text.strip() else "unreadable")
