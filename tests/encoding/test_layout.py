"""Which samples count and which are held out together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from saebrain.encoding.layout import Layout, slices
from saebrain.errors import InputError


def test_every_run_is_a_fold() -> None:
    layout = Layout.by_run([20, 30, 25])
    assert layout.segments == (slice(0, 20), slice(20, 50), slice(50, 75))
    for fold, segment in zip(layout.folds, layout.segments, strict=True):
        np.testing.assert_array_equal(fold.test, np.arange(segment.start, segment.stop))
        np.testing.assert_array_equal(fold.out, fold.test)
    np.testing.assert_array_equal(layout.kept, np.arange(75))


def test_trimmed_samples_are_gone_from_every_run() -> None:
    layout = Layout.by_run([20, 30, 25], trim=(3, 2))
    expected = [*range(3, 18), *range(23, 48), *range(53, 73)]
    np.testing.assert_array_equal(layout.kept, expected)
    assert layout.samples == len(expected)
    assert layout.segments == (slice(0, 15), slice(15, 40), slice(40, 60))
    assert layout.run_lengths == (20, 30, 25)  # delays still see what was cut off


@pytest.mark.parametrize(("lengths", "n_folds", "gap"), [([100], 5, 6), ([80, 41], 4, 5), ([300, 100, 100], 7, 3), ([100], 3, 0)])
def test_blocks_cover_all_samples_once_and_the_gap_is_not_trained_on(lengths: list[int], n_folds: int, gap: int) -> None:
    layout = Layout.contiguous(lengths, n_folds, gap=gap)
    assert len(layout.folds) == n_folds
    np.testing.assert_array_equal(np.concatenate([fold.test for fold in layout.folds]), np.arange(sum(lengths)))
    runs = np.repeat(np.arange(len(lengths)), lengths)
    for fold in layout.folds:
        assert len(set(runs[fold.test])) == 1
        near = np.abs(np.arange(sum(lengths))[:, None] - fold.test).min(axis=1) <= gap
        np.testing.assert_array_equal(fold.out, np.flatnonzero(near & (runs == runs[fold.test[0]])))
    sizes = [len(fold.test) for fold in layout.folds]
    assert max(sizes) <= 2 * min(sizes)


def test_longer_runs_get_more_blocks() -> None:
    layout = Layout.contiguous([300, 100, 100], 7, gap=3)
    assert [int(fold.test[0]) for fold in layout.folds] == [0, 75, 150, 225, 300, 350, 400]


def test_blocks_after_trimming() -> None:
    layout = Layout.contiguous([60], 3, gap=2, trim=(4, 6))
    np.testing.assert_array_equal(layout.kept, np.arange(4, 54))
    assert [(int(fold.out[0]), int(fold.out[-1])) for fold in layout.folds] == [(0, 18), (15, 34), (31, 49)]


def test_columns_are_standardised_within_segments_of_what_counts() -> None:
    layout = Layout.by_run([20, 30, 25], trim=(3, 2))
    x = np.random.default_rng(0).normal(5, 3, (75, 6))
    x[:, 1] = 1234.567  # constant everywhere
    x[20:50, 2] = 7  # constant in a run
    x[30, 3] = np.nan
    found = layout.standardise(x)
    assert found.dtype == np.float32
    for segment, run in zip(layout.segments, slices([20, 30, 25]), strict=True):
        part = x[run][3:-2]
        np.testing.assert_allclose(found[segment][:, [0, 4, 5]], stats.zscore(part[:, [0, 4, 5]]), atol=1e-5)
    assert not found[:, 1].any()
    assert not found[layout.segments[1]][:, 2:4].any()
    assert found[layout.segments[0]][:, 2:4].any(axis=0).all()


def test_what_is_standardised_stays_as_it_was() -> None:
    layout = Layout.by_run([20, 20, 20])
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    before = x.copy()
    layout.standardise(x)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("lengths", [[60], [30, 30]])
def test_fewer_than_three_runs_are_refused_with_a_way_out(lengths: list[int]) -> None:
    with pytest.raises(InputError, match=rf"^{len(lengths)} run\(s\): one is scored, .*at least 3 are needed; .*set `encoding.folds` to a number"):
        Layout.by_run(lengths)


@pytest.mark.parametrize(("lengths", "n_folds"), [([100], 2), ([40] * 5, 4)])
def test_too_few_blocks_are_refused(lengths: list[int], n_folds: int) -> None:
    with pytest.raises(InputError, match=rf"^{n_folds} folds for {len(lengths)} run\(s\): ask for at least 3 and one a run"):
        Layout.contiguous(lengths, n_folds, gap=2)


def test_runs_too_short_for_blocks_are_refused() -> None:
    with pytest.raises(InputError, match=r"^run of 60 samples: 50 are left to make 4 fold\(s\) of at least 15; trim less"):
        Layout.contiguous([60], 4, gap=5, trim=(5, 5))
    with pytest.raises(InputError, match=r"^run of 8 samples: 0 are left to make 1 fold\(s\) of at least 10"):
        Layout.by_run([50, 8, 50], trim=(5, 5))
