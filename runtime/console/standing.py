"""How the project stands: what every page says at its top."""

from dataclasses import dataclass

from runtime.capture.health import capture_health
from runtime.console.desk import Desk
from runtime.ledger.project import load_project
from runtime.ledger.queries import load_queries
from runtime.publishing.pausing import Pause, list_pauses

_QUERIES = load_queries("runtime.console")
_DAY = 86_400


@dataclass(frozen=True)
class Standing:
    """One project at one moment."""

    project: str
    mode: str
    """inbox or production."""
    ahead: str
    """How far the project's clock was moved ahead; empty if it was not."""
    held: str
    """Why everything is held; empty if it is not."""
    missed: tuple[str, ...]
    """Why capture is red."""
    questions: int
    """Drafts that wait for a person's answer."""
    pauses: tuple[Pause, ...]


def read_standing(desk: Desk) -> Standing:
    """Return how the project stands now."""
    project_id = desk.ledger.project_id
    with desk.ledger.transaction() as conn:
        project = load_project(conn, project_id)
        row = conn.execute(_QUERIES["open_questions"], {"project_id": project_id}).fetchone()
        health = capture_health(conn, project_id)
        pauses = list_pauses(conn, project_id)
    return Standing(
        project=project.name,
        mode=project.mode,
        ahead=spoken_duration(project.clock_shift.total_seconds()),
        held=project.held_reason or "",
        missed=health.reasons,
        questions=row[0] if row else 0,
        pauses=pauses,
    )


def spoken_duration(seconds: float) -> str:
    """Return a duration in its largest unit that is whole enough."""
    for size, unit in ((_DAY, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            number = round(seconds / size, 1)
            return f"{number:g} {unit}{'' if number == 1 else 's'}"
    return ""
