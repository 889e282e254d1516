"""Which functions a spec's SQL may call: built-in, on the catalog's allow-list, and none that reads a clock."""

from collections.abc import Iterator

from sqlglot import exp

from runtime.errors import Problem
from runtime.spec.expansions import HELPERS
from runtime.spec.nearest import did_you_mean
from runtime.spec.vocabulary import words

_CLOCK = words(
    "now clock_timestamp statement_timestamp transaction_timestamp timeofday localtime localtimestamp current_date"
    " current_time current_timestamp"
)
_CHANCE = words(
    "random random_normal setseed gen_random_uuid uuid_generate_v1 uuid_generate_v4 uuidv4 uuidv7 gen_random_bytes"
)
_IMMUTABLE = words("""
    abbrev abs acos acosd array_append array_cat array_dims array_fill array_length array_lower array_ndims
    array_position array_positions array_prepend array_remove array_replace array_upper ascii asin asind atan
    atan2 atan2d atand bit_length broadcast btrim cardinality cbrt ceil ceiling char_length character_length chr
    cos cosd cosh cot cotd date_bin daterange degrees div exp factorial family floor gcd host hostmask
    inet_same_family initcap int4range int8range isempty isfinite json_array_length json_extract_path
    json_extract_path_text json_typeof jsonb_array_length jsonb_concat jsonb_contains jsonb_delete
    jsonb_delete_path jsonb_exists jsonb_exists_all jsonb_exists_any jsonb_extract_path jsonb_extract_path_text
    jsonb_insert jsonb_path_exists jsonb_path_match jsonb_path_query_array jsonb_path_query_first jsonb_set
    jsonb_strip_nulls jsonb_typeof justify_days justify_hours justify_interval lcm left length ln log log10
    lower lower_inc lower_inf lpad ltrim make_date make_interval make_time make_timestamp masklen md5 min_scale
    mod netmask network normalize num_nonnulls num_nulls numrange octet_length overlay pi position pow power
    radians regexp_count regexp_instr regexp_like regexp_match regexp_replace regexp_split_to_array
    regexp_substr replace reverse right round row rpad rtrim scale sha224 sha256 sha384 sha512 sign sin sind
    sinh split_part sqrt starts_with string_to_array strpos substr substring tan tand tanh to_hex translate
    trim_array trim_scale trunc tsrange tstzrange upper upper_inc upper_inf width_bucket
    """)
"""Built-in functions whose every meaning is immutable (and `length`, of texts): the ones a row condition may call."""
_NO_ENTRY_NEEDED = frozenset({"row", "any", "some", "all"})


def check_functions(tree: exp.Expr, path: str, functions: frozenset[str], *, pure: bool) -> list[Problem]:
    """Return a problem for each call that is not allowed; `pure` asks for immutable ones.

    What remains is safe to be written as `pg_catalog.name(…)`.
    """
    problems = [problem for node in tree.walk() for problem in _qualified(node, path)]
    for node in tree.find_all(exp.Anonymous, exp.Pow):
        if isinstance(node.parent, exp.Dot) or (isinstance(node.parent, exp.Table) and node.parent.args.get("db")):
            continue  # told above
        name = "power" if isinstance(node, exp.Pow) else node.name
        if problem := _refused(node, name, path, functions):
            problems.append(problem)
        elif pure and name not in _IMMUTABLE:
            problems.append(_not_immutable(name, path))
    return list(dict.fromkeys(problems))


def _qualified(node: exp.Expr, path: str) -> Iterator[Problem]:
    """Yield a problem for a call into a schema; `pg_catalog.` is gone since the parser."""
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Func):
        schema, call = node.this, node.expression
    elif isinstance(node, exp.Table) and isinstance(node.this, exp.Func) and node.args.get("db"):
        schema, call = node.args["db"], node.this
    else:
        return
    name = f"{schema.sql('postgres')}.{call.name}()".replace('"', "")
    message = f"{name} is not a built-in function."
    yield Problem(path, "unknown-function", message, "Use built-in functions; say the rest in plain SQL.")


def _refused(node: exp.Expr, name: str, path: str, functions: frozenset[str]) -> Problem | None:
    arguments = len(node.expressions) if isinstance(node, exp.Anonymous) else 2
    if name in _CLOCK:
        return Problem(
            path, "clock", f"{name}() reads the machine's clock.", "Write :now, the engine's clock, or event.at."
        )
    if name == "age" and arguments == 1:
        message = "age() with one argument reads the machine's clock."
        return Problem(path, "clock", message, "Write age(:now, …), with both ends.")
    if name in _CHANCE:
        return Problem(
            path, "chance", f"{name}() answers differently each time.", "A workflow must repeat; leave it out."
        )
    if name in functions or name in HELPERS or name in _NO_ENTRY_NEEDED:
        return None
    fix = did_you_mean(name, functions | HELPERS, otherwise="Use a built-in function of Postgres that changes nothing.")
    return Problem(path, "unknown-function", f"{name}() is not a function that a spec may call.", fix)


def _not_immutable(name: str, path: str) -> Problem:
    message = f"{name}() can't stand in a condition on the row: its answer depends on more than its arguments."
    return Problem(path, "not-immutable", message, "Compare the columns themselves, or ask it in `if`.")
