"""The arithmetic of the measurements in ``bench/``: a wrong sum there would be believed."""

from __future__ import annotations

import pytest

from bench.fleet import Round
from bench.soak import Line, fit


def test_a_straight_line_is_found_and_is_certain() -> None:
    found = fit([(hour / 10, 100 + 3 * hour / 10) for hour in range(10)])
    assert found == Line(pytest.approx(3.0), pytest.approx(0.0, abs=1e-6))  # type: ignore[arg-type]


def test_what_only_jitters_has_no_slope_beyond_its_uncertainty() -> None:
    found = fit([(hour / 10, 100 + (hour % 2)) for hour in range(40)])
    assert abs(found.slope) < found.uncertainty


def test_a_line_through_two_points_is_refused() -> None:
    with pytest.raises(ValueError, match="so few points"):
        fit([(0, 1), (1, 2)])


def test_cost_and_limit_of_a_round_are_per_interaction() -> None:
    """Forty interactions for which a worker used two seconds are fifty milliseconds each, twenty a second."""
    found = Round(
        calls=40,
        accepted_seconds=1.0,
        finished_seconds=8.0,
        used={"web": 0.2, "worker": 2.0, "database": 0.8},
        busiest=2.0,
        requests=10,
        log_bytes=400_000,
        transactions=200,
    )
    told = found.record()
    assert (told["per_second"], told["worker_ms"], told["database_ms"], told["most_per_worker"]) == (
        5.0,
        50.0,
        20.0,
        20.0,
    )
    assert (told["busiest_share"], told["machine_share"]) == (0.25, 0.375)
    assert (told["requests_per_interaction"], told["log_bytes_per_interaction"]) == (0.25, 10_000)
    assert told["transactions_per_interaction"] == 5.0
