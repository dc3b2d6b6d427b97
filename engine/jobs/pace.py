"""How long a render still takes, from its own progress and from renders like it that ended."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from engine.jobs.events import StageProgress
from engine.jobs.kept_queue import QueuedJob


@dataclass
class Course:
    """The course of a render that runs. Its clock stands while it is paused."""

    progress: StageProgress = field(default_factory=lambda: StageProgress("start", "Starting"))
    clock: Callable[[], float] = time.monotonic
    _began_s: float = field(init=False)
    _paused_at_s: float | None = None
    _first: tuple[int, float] = (0, 0.0)  # of the present stage: units done, clock
    _last_s: float = 0.0

    def __post_init__(self) -> None:
        self._began_s = self.clock()

    def note(self, progress: StageProgress) -> None:
        if progress.stage != self.progress.stage:
            self._first = (progress.done, self._clock_s)
        self.progress, self._last_s = progress, self._clock_s

    def pause(self, on: bool) -> None:
        if on and self._paused_at_s is None:
            self._paused_at_s = self.clock()
        elif not on and self._paused_at_s is not None:
            self._began_s += self.clock() - self._paused_at_s
            self._paused_at_s = None

    def left_s(self, expected_s: float | None) -> float | None:
        """Seconds that are left; ``expected_s``: what the whole is expected to take, where that is known."""
        now_s, done = self._clock_s, self.progress.done
        first, first_s = self._first
        if self.progress.total and done > first:
            each_s = (self._last_s - first_s) / (done - first)
            return max(0.0, each_s * (self.progress.total - done) - (now_s - self._last_s))
        return max(0.0, expected_s - now_s) if expected_s is not None and expected_s > now_s else None

    @property
    def _clock_s(self) -> float:
        return (self._paused_at_s or self.clock()) - self._began_s


def expected_s(job: QueuedJob, past: Sequence[QueuedJob]) -> float | None:
    """What ``job`` will take by what finished renders of its kind and model took for a second of video."""
    paces = [
        other.compute_s / other.length_s
        for other in past
        if (other.kind, other.model, other.status) == (job.kind, job.model, "done")
        and other.compute_s
        and other.length_s
    ]
    return median(paces) * job.length_s if paces else None
