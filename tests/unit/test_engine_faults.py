"""How one bad row is found among many, and which errors are none of a row."""

from collections.abc import Sequence

import pytest
from psycopg import Error, InterfaceError, OperationalError, errors

from runtime.engine.faults import in_halves, is_fault_of_rows, is_fault_of_statement


class _Statement:
    """Fails over bad ids, with an error of the class that is said."""

    def __init__(self, bad: set[int], error: type[Error] = errors.DivisionByZero) -> None:
        self.bad, self.error = bad, error
        self.tried: list[list[int]] = []
        self.done: list[int] = []
        self.given_up: list[int] = []

    def attempt(self, ids: Sequence[int]) -> None:
        self.tried.append(list(ids))
        if self.bad & set(ids):
            raise self.error("it failed")
        self.done += ids

    def run(self, ids: Sequence[int], *, fails_always: bool = False) -> None:
        in_halves(
            ids,
            self.attempt,
            give_up=lambda ids, _: self.given_up.extend(ids),
            fails_always=lambda: fails_always,
        )


def test_only_the_bad_ones_are_given_up_with_few_attempts() -> None:
    statement = _Statement({17, 900})
    statement.run(range(1_000))
    assert statement.given_up == [17, 900]
    assert statement.done == [number for number in range(1_000) if number not in {17, 900}]
    assert len(statement.tried) < 45


def test_what_succeeds_is_attempted_once_and_nothing_not_at_all() -> None:
    statement = _Statement(set())
    statement.run(range(5))
    statement.run([])
    assert statement.tried == [[0, 1, 2, 3, 4]]


def test_what_fails_over_nothing_is_given_up_as_a_whole() -> None:
    statement = _Statement({1})
    statement.run(range(100), fails_always=True)
    assert (len(statement.given_up), len(statement.tried)) == (100, 1)


@pytest.mark.parametrize(
    "error",
    [
        *(OperationalError, InterfaceError, errors.LockNotAvailable, errors.AdminShutdown),
        *(errors.DeadlockDetected, errors.DiskFull),
    ],
)
def test_trouble_of_the_server_passes_through(error: type[Error]) -> None:
    assert not is_fault_of_rows(error("x"))
    with pytest.raises(error):
        _Statement({1}, error).run(range(4))
    with pytest.raises(error):
        is_fault_of_statement(error("x"))


@pytest.mark.parametrize(
    "error",
    [errors.QueryCanceled, errors.StatementTooComplex, errors.InvalidTextRepresentation, errors.UndefinedColumn],
)
def test_what_was_asked_can_be_at_fault(error: type[Error]) -> None:
    assert is_fault_of_rows(error("x"))


def test_a_statement_that_took_too_long_may_take_less_over_fewer_rows() -> None:
    assert not is_fault_of_statement(errors.QueryCanceled("x"))
    assert is_fault_of_statement(errors.InsufficientPrivilege("x"))
