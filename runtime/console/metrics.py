"""`/metrics`: the project's figures as Prometheus reads them, computed from the ledger when they are asked for.

Counters come from the tally and never fall, whatever is removed from the ledger. They are a few seconds behind. Labels
are bounded: workflows (at most 200 by name), and reasons, states and codes of our own.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from prometheus_client.core import CollectorRegistry, CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from psycopg import Connection
from starlette.requests import Request
from starlette.responses import Response

from runtime.console.concerns import concerns
from runtime.console.desk import desk_of
from runtime.console.figures import Figures, Total, read_figures, read_totals

_Family = CounterMetricFamily | GaugeMetricFamily
_COUNTED = {
    "started": ("tidings_runs_started", "Runs that began.", ""),
    "judged": ("tidings_changes_judged", "Changes that a live version was asked about.", ""),
    "matched": ("tidings_changes_matched", "Changes that matched a live version.", ""),
    "dead": ("tidings_dead_letters", "Changes and runs that could not be carried out.", "stage"),
    "made": ("tidings_messages_made", "Messages made, one a person, also those that never leave.", "channel"),
    "sent": ("tidings_messages_sent", "Messages that a provider took, or the local inbox.", "provider"),
    "suppressed": (
        "tidings_messages_suppressed",
        "Messages not sent because somebody must not be written to.",
        "reason",
    ),
    "failed": ("tidings_messages_failed", "Messages that were not sent, or that a provider gave up on.", "reason"),
    "uncertain": ("tidings_messages_uncertain", "Messages of which nobody knows whether they were taken.", "reason"),
    "doubled": ("tidings_messages_doubled", "Messages that may have reached a person twice.", "reason"),
}
"""Fact → the counter's name, its help, and what its reason is called. All have the workflow as a label."""
_REPORTED = ("delivered", "bounced", "opened", "clicked", "complained", "unsubscribed")
_LEVELS = {"yellow": 1, "red": 2}


class _Families(Collector):
    """Metrics that were read a moment ago."""

    def __init__(self, families: Iterable[_Family]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterable[_Family]:
        """Return them."""
        return self._families


def metrics(request: Request) -> Response:
    """Return the metrics, in the format that the client asks for."""
    ledger = desk_of(request).ledger
    with ledger.transaction() as conn:
        text, kind = exposition(conn, ledger.project_id, accept=request.headers.get("accept", ""))
    return Response(text, headers={"content-type": kind})


def exposition(conn: Connection[Any], project_id: int, *, accept: str = "") -> tuple[bytes, str]:
    """Return a project's metrics as text, and its content type; reads only. Raises NotFound."""
    families = [*_gauges(read_figures(conn, project_id)), *_counters(read_totals(conn, project_id))]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(families))
    encode, kind = choose_encoder(accept)
    return encode(registry), kind


def _counters(totals: Iterable[Total]) -> Iterator[_Family]:
    found = list(totals)
    for fact, (name, about, reason) in _COUNTED.items():
        counter = CounterMetricFamily(name, about, labels=["workflow", *filter(None, [reason])])
        for total in found:
            if total.fact == fact:
                counter.add_metric([total.workflow, *([total.reason] if reason else [])], total.number)
        yield counter
    reports = CounterMetricFamily(
        "tidings_delivery_reports",
        "What providers and recipients said of messages afterwards.",
        labels=["workflow", "kind"],
    )
    for total in found:
        if total.fact in _REPORTED:
            reports.add_metric([total.workflow, total.fact], total.number)
    yield reports


def _gauges(figures: Figures) -> Iterator[_Family]:
    found, capture = concerns(figures), figures.capture
    worst = max((_LEVELS[concern.level] for concern in found), default=0)
    yield GaugeMetricFamily("tidings_health", "0 green, 1 yellow: something to know, 2 red: something is wrong.", worst)
    codes = Counter((concern.code, concern.level) for concern in found)
    yield _labelled("tidings_concerns", "What is not as it should be, by its code.", ("code", "level"), codes)
    yield CounterMetricFamily(
        "tidings_changes_missed", "Changed rows of which not even the key is known.", capture.missed
    )
    yield CounterMetricFamily("tidings_changes_skipped", "Changed rows let pass on purpose.", capture.skipped)
    for name, about, value in (
        ("changes_key_only", "Changed rows known by key only and not made up for.", capture.keys_only),
        (
            "misses_acknowledged",
            "Changed rows missed or known by key only that a person has seen.",
            capture.acknowledged,
        ),
        ("changes_waiting", "Captured changes not matched yet.", capture.waiting),
        ("changes_oldest_seconds", "Age of the oldest of them.", _seconds(capture.oldest)),
        ("leader", "Whether a dispatcher leads.", figures.leader),
        ("work_due", "Pieces of work that are due.", figures.work_due),
        ("work_overdue", "Pieces of work due for over a minute that nobody has.", figures.work_overdue),
        ("timers_due", "Runs whose wait is over, counted up to 10,000.", figures.timers_due),
        ("dead_letters_open", "Dead letters that were not replayed.", figures.dead_letters),
        ("workflows_paused", "Workflows that are paused.", len(figures.paused)),
        ("census_age_seconds", "Age of tidings_runs and tidings_messages_open.", _seconds(figures.census_age)),
    ):
        yield GaugeMetricFamily(f"tidings_{name}", about, float(value))
    yield from _groups(figures)


def _groups(figures: Figures) -> Iterator[_Family]:
    """Yield the gauges that have labels, or are not always there."""
    if figures.canary.on and figures.canary.age is not None:
        yield GaugeMetricFamily("tidings_canary_age_seconds", "Since the last canary.", _seconds(figures.canary.age))
    runs = {(state,): number for state, number in figures.runs.items()}
    yield _labelled("tidings_runs", "Runs that are kept, by state.", ("state",), runs)
    messages = {(group.state, group.reason): group.number for group in figures.open_messages}
    yield _labelled("tidings_messages_open", "Messages on their way.", ("state", "reason"), messages)
    pauses = {(pause.provider,): (pause.until - figures.now).total_seconds() for pause in figures.pauses}
    yield _labelled("tidings_provider_pause_seconds", "How long a provider is given nothing.", ("provider",), pauses)


def _labelled(name: str, about: str, labels: Sequence[str], values: Mapping[Any, float]) -> _Family:
    gauge = GaugeMetricFamily(name, about, labels=labels)
    for label, value in values.items():
        gauge.add_metric(label, value)
    return gauge


def _seconds(duration: timedelta | None) -> float:
    return duration.total_seconds() if duration is not None else 0.0
