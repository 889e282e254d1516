"""What a row of the benchmark says of its measurements."""

from bench.results import Row, at_least, at_most, reported, times_best


def test_a_row_tells_medians_with_their_spread() -> None:
    said = Row(
        "speed", [10.0, 30.0, 20.0], at_least(15), "runs/s", {"a": [4.0, 5.0, 6.0], "b": [1.0, 1.0, 1.0]}
    ).as_json()
    assert said["ours"] == 20
    assert said["peers"] == {"a": 5, "b": 1}
    assert said["spread"] == {"ours": [10, 30], "a": [4, 6], "b": [1, 1]}
    assert said["ratio"] == 4
    assert said["holds"] is True


def test_less_is_better_where_the_goal_is_at_most() -> None:
    row = Row("wait", [4.0], at_most(5, unit=" ms"), "ms", {"fast": [2.0], "slow": [8.0]})
    assert row.ratio == 0.5
    assert row.holds is True
    assert Row("wait", [6.0], at_most(5), "ms").holds is False


def test_a_goal_against_peers_is_open_until_one_is_measured() -> None:
    assert Row("race", [3.0], times_best(2), "").holds is None
    assert Row("race", [3.0], times_best(2), "", {"a": [2.0]}).holds is False
    assert Row("race", [4.0], times_best(2), "", {"a": [2.0]}).holds is True
    assert Row("told", [4.0], reported(), "").holds is None
