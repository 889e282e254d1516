"""FILE|NAME: a workflow that is given as a file with a spec, or by the name of a draft."""

from pathlib import Path

from runtime.errors import NotFound, TidingsError
from runtime.ledger.database import Ledger
from runtime.publishing.drafts import load_draft
from runtime.spec.model import Workflow
from runtime.spec.yaml import load_spec

_SUFFIXES = {".yaml", ".yml", ".json"}


def is_file(argument: str) -> bool:
    """Return whether an argument means a file; the name of a workflow has neither a dot nor a slash."""
    return "/" in argument or Path(argument).suffix in _SUFFIXES or Path(argument).is_file()


def read_text(argument: str) -> str:
    """Return what a file holds, or say what is wrong with it."""
    try:
        return Path(argument).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"There is no file {argument!r}. Give a spec's file, or the name of a saved draft.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise TidingsError(f"{argument!r} can't be read as text: {error}. Give a spec in YAML or JSON.") from error


def read_workflow(ledger: Ledger, argument: str) -> Workflow:
    """Return the workflow in a file, or the draft of that name; raises Invalid when a file's shape can't be read."""
    return load_spec(read_text(argument)) if is_file(argument) else load_draft(ledger, argument).workflow
