"""Ratios, intervals and exponents of the benchmark."""

import random

import pytest

from bench.core import stats


def seeded():
    return random.Random(7)


def test_ratio_is_the_geometric_mean_over_pairs():
    pairs = [stats.Pair([2.0, 2.0], [1.0, 1.0]), stats.Pair([8.0], [1.0])]
    assert stats.ratio_of_pairs(pairs, seeded()).value == pytest.approx(4.0)


def test_interval_of_equal_samples_has_no_width():
    found = stats.ratio_of_pairs([stats.Pair([3.0] * 5, [2.0] * 5)] * 3, seeded())
    assert (found.low, found.value, found.high) == pytest.approx((1.5, 1.5, 1.5))


def test_interval_holds_the_true_ratio_of_noisy_samples():
    rng = random.Random(3)
    pairs = [
        stats.Pair([rng.gauss(1.2, 0.1) for _ in range(50)], [rng.gauss(1.0, 0.1) for _ in range(50)]) for _ in range(4)
    ]
    found = stats.ratio_of_pairs(pairs, seeded())
    assert found.low < 1.2 < found.high
    assert found.high - found.low < 0.2


def test_the_same_seed_gives_the_same_interval():
    pairs = [stats.Pair([1.0, 2.0, 3.0], [1.0, 1.5, 2.0])] * 2
    assert stats.ratio_of_pairs(pairs, seeded()) == stats.ratio_of_pairs(pairs, seeded())


def test_a_drift_that_meets_both_sides_of_a_pair_leaves_the_ratio():
    calm, busy = stats.Pair([1.3] * 9, [1.0] * 9), stats.Pair([2.6] * 9, [2.0] * 9)
    assert stats.ratio_of_pairs([calm, busy], seeded()).value == pytest.approx(1.3)


def test_no_pairs_is_an_error():
    with pytest.raises(ValueError, match="no pairs"):
        stats.ratio_of_pairs([], seeded())


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_exponent_of_exact_growth(power):
    samples = {size: [7 * size**power] * 4 for size in (100, 1000, 10_000)}
    found = stats.exponent(samples, seeded())
    assert found.value == pytest.approx(power, abs=1e-9)
    assert found.low <= found.value + 1e-9
    assert found.high >= found.value - 1e-9


def test_exponent_of_a_constant_with_noise_has_zero_in_its_interval():
    rng = random.Random(5)
    samples = {size: [rng.gauss(50, 5) for _ in range(60)] for size in (100, 1000, 10_000)}
    found = stats.exponent(samples, seeded())
    assert found.low < 0 < found.high
    assert abs(found.value) < 0.05


def test_exponent_needs_two_sizes():
    with pytest.raises(ValueError, match="two sizes"):
        stats.exponent({100: [1.0]}, seeded())
