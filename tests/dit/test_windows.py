"""A long take as windows: every frame is made, each window starts from the end of the one before."""

import itertools

import pytest

from engine.dit.shapes import VideoShape
from engine.dit.windows import LEAST_FRAMES, plan_windows


@pytest.mark.parametrize("num_frames", [1, 2, 16, 81, 82, 153, 154, 1440, 86_400])
@pytest.mark.parametrize(("window", "overlap"), [(81, 9), (80, 10), (17, 1), (17, 41), (401, 41), (49, 5)])
def test_windows_cover_the_take_and_chain(num_frames, window, overlap):
    spans = plan_windows(num_frames, window, overlap)
    assert spans[0].first == 0
    assert spans[0].num_known == 0
    for before, span in itertools.pairwise(spans):
        assert span.first + span.num_known == before.first + before.num_frames
        assert 0 < span.num_known < span.num_frames
        assert (span.num_known - 1) % 4 == 0
    assert spans[-1].first + spans[-1].num_frames >= num_frames
    assert spans[-1].first + spans[-1].num_known < num_frames  # the last one adds something
    for span in spans:
        VideoShape(span.num_frames, 64, 64)  # 4n+1
        assert span.num_frames <= window
        assert span.num_windows == len(spans)
    assert [span.index for span in spans] == list(range(len(spans)))


def test_only_the_last_window_is_shorter_and_it_leaves_the_network_room():
    spans = plan_windows(100, 81, 9)
    assert [(span.first, span.num_frames, span.num_known) for span in spans] == [(0, 81, 0), (72, LEAST_FRAMES, 9)]
    assert [span.num_frames for span in plan_windows(10, 81, 9)] == [LEAST_FRAMES]
    assert [span.num_frames for span in plan_windows(60, 81, 9)] == [61]


@pytest.mark.parametrize(("num_frames", "window"), [(0, 81), (10, 4)])
def test_no_frames_or_no_window_is_refused(num_frames, window):
    with pytest.raises(ValueError, match="no windows"):
        plan_windows(num_frames, window, 9)
