"""Which failures a model is told about, and how: what is wrong, the bad value, what is accepted, what to do next."""

from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from psycopg import Error, InterfaceError, OperationalError
from psycopg_pool import PoolTimeout

from runtime.errors import TidingsError
from tools.untrusted import Untrusted, clean, cut

LONGEST = 4_000
_NO_DATABASE = (
    "The database does not answer. Ask the person to run `tidings doctor`, which names the reason, then call again."
)


def explanation(cause: BaseException) -> str | None:
    """Return what to tell about a failure; None for a crash, of which only the log may tell.

    A message that quotes the database may hold what stands in a row, so it comes between markers.
    """
    match cause:
        case UnexpectedToolError():
            return None
        case ToolError():
            return str(cause)
        case TidingsError() if _quotes_the_database(cause):
            return "Refused, in words that quote the database.\n" + Untrusted().quote(str(cause), longest=LONGEST)
        case TidingsError():
            return cut(clean(str(cause)), LONGEST)
        case PoolTimeout() | OperationalError() | InterfaceError():
            return _NO_DATABASE
        case _:
            return None


def _quotes_the_database(error: BaseException) -> bool:
    causes = (error.__cause__, error.__context__)
    return any(
        isinstance(cause, Error) and not isinstance(cause, OperationalError | InterfaceError) for cause in causes
    )
