"""A case: a request in plain English, and scenarios that say exactly who hears what when."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, field_validator

from runtime.spec.schema import AddressKind

FOLDER = Path(__file__).parent
ADDRESSES: Mapping[str, Mapping[str, AddressKind]] = {
    "shop": {"shop.customers.email": AddressKind.EMAIL, "shop.staff.email": AddressKind.EMAIL},
    "saas": {"saas.users.email": AddressKind.EMAIL},
    "mt": {"mt.people.email": AddressKind.EMAIL, "mt.orgs.alert_email": AddressKind.EMAIL},
}
"""What a person has approved in each schema before the author begins."""


class Closed(BaseModel):
    """A part of a case; unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Expected(Closed):
    """Messages that must have been sent so far: to this address by this channel, so many, all with these marks."""

    channel: str
    address: str
    count: int = 1
    contains: tuple[str, ...] = ()
    """In the subject or the text."""
    lacks: tuple[str, ...] = ()
    """Neither in the subject nor in the text."""
    html_lacks: tuple[str, ...] = ()
    locale: str = ""
    """The language in which the message is, where it matters."""
    at: datetime | None = None
    """When, to the minute."""


class Step(Closed):
    """One thing that happens, or what must be the case by now; exactly one key is set."""

    do: str = ""
    """SQL of the application; `:now` is the virtual time."""
    roll_back: str = ""
    """SQL of a transaction that is rolled back."""
    wait: str = ""
    """A duration such as `30 minutes`."""
    until: datetime | None = None
    expect: tuple[Expected, ...] | None = None
    """Exactly these messages and no others, since the beginning of the scenario."""


class Scenario(Closed):
    """Steps from a fresh world."""

    name: str
    steps: tuple[Step, ...]


class Case(Closed):
    """A request with its proof."""

    case: str
    family: str
    schema_name: str
    request: str
    answers: str = ""
    """What an author is told who asks; else: you decide, and say what you chose."""
    scenarios: tuple[Scenario, ...]

    @field_validator("scenarios")
    @classmethod
    def _ends_in_proof(cls, scenarios: tuple[Scenario, ...]) -> tuple[Scenario, ...]:
        """Refuse a scenario without an expectation at its end: it would prove nothing."""
        loose = [scenario.name for scenario in scenarios if scenario.steps[-1].expect is None]
        if loose:
            raise ValueError(f"scenarios must end in `expect`: {', '.join(loose)}")
        return scenarios


@cache
def load_cases() -> tuple[Case, ...]:
    """Return every case, by name."""
    return tuple(_read_case(path) for path in sorted((FOLDER / "cases").glob("*.yaml")))


@cache
def load_seeds() -> Mapping[str, str]:
    """Return what each schema holds before a workflow is published: SQL with `:now`."""
    seeds: dict[str, str] = yaml.safe_load((FOLDER / "seeds.yaml").read_text(encoding="utf-8"))
    return seeds


def at(sql: str, now: datetime) -> str:
    """Return SQL with `:now` written out as an instant."""
    return sql.replace(":now", f"'{now.astimezone(UTC).isoformat()}'::timestamptz")


def _read_case(path: Path) -> Case:
    data: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Case.model_validate({"schema_name": data.pop("schema"), **data})
