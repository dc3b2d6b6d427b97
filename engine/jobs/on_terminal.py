"""How far a piece of work is, drawn on the terminal."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from engine.jobs.events import StageProgress


def shown(steps: Iterator[Any]) -> Any:
    """Draw the progress of ``steps``; what comes last is the result. The work is closed when this is interrupted."""
    result: Any = None
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar, closing(steps):  # type: ignore[type-var]
        task = bar.add_task("Starting", total=None)
        for step in steps:
            if isinstance(step, StageProgress):
                bar.update(task, description=step.text, total=step.total or None, completed=step.done)
            else:
                result = step
    return result
