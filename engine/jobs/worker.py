"""The process that renders: `python -m engine.jobs.worker` reads commands as JSON lines and answers with status lines.

In: {"render": project folder, "take": id} and {"control": take id, "wanted": one of ``Wanted``}. Out: {"ready": true},
{"began": id}, {"progress": id, "event": {…}}, {"rendered": id, "take": {…}} before its check, {"left": id}, and
{"ended": id, "take": {…} or null, "message": "…", "remedy": "…"}. It ends when its input is closed.
"""

import json
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, get_args

from engine.jobs.control import Control, Wanted
from engine.jobs.events import StageProgress
from engine.project.document import Take

logger = logging.getLogger(__name__)

LEAVE_S = 2.0
"""What runs has so long to stop once nobody listens any more; finished windows are on disk in any case."""
NICENESS = 2  # the page, on the same processor, must answer while a render runs

Say = Callable[[dict[str, Any]], None]


class Worker:
    """Renders one take after the other in the calling thread; commands are read in a thread of their own."""

    def __init__(self, commands: IO[str], say: Say) -> None:
        self._commands = commands
        self._say = say
        self._orders: queue.SimpleQueue[tuple[Path, str] | None] = queue.SimpleQueue()
        self._controls: dict[str, Control] = {}

    def run(self) -> None:
        """Until the commands end."""
        threading.Thread(target=self._listen, name="worker-commands", daemon=True).start()
        self._say({"ready": True})
        while (order := self._orders.get()) is not None:
            folder, take_id = order
            self._render(folder, take_id)
            self._controls.pop(take_id, None)

    def _render(self, folder: Path, take_id: str) -> None:
        from engine.jobs.run_job import JobEnd, run_job

        def tell(event: StageProgress) -> None:
            self._say({"progress": take_id, "event": asdict(event)})

        def done(take: Take) -> None:
            self._say({"rendered": take_id, "take": take.model_dump(mode="json")})

        self._say({"began": take_id})
        end: JobEnd = run_job(folder, take_id, self._controls[take_id], tell, done)
        if end.left:
            self._say({"left": take_id})
        else:
            taken = end.take.model_dump(mode="json") if end.take else None
            self._say({"ended": take_id, "take": taken, "message": end.message, "remedy": end.remedy})

    def _listen(self) -> None:
        for line in self._commands:
            try:
                self._heard(json.loads(line))
            except (ValueError, KeyError, TypeError):
                logger.exception("This is no command: %.200s", line)
        self._orders.put(None)
        for control in list(self._controls.values()):
            control.ask("leave")
        timer = threading.Timer(LEAVE_S, os._exit, (0,))
        timer.daemon = True
        timer.start()

    def _heard(self, command: dict[str, Any]) -> None:
        if "render" in command:
            take_id = str(command["take"])
            self._controls[take_id] = Control()
            self._orders.put((Path(command["render"]), take_id))
        elif command["wanted"] in get_args(Wanted) and command["control"] in self._controls:
            self._controls[command["control"]].ask(command["wanted"])


def main() -> None:
    """Keep the line to the studio to ourselves, load what every render needs, then work."""
    answers = _own_output()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the studio decides when this ends
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    writing = threading.Lock()

    def say(status: dict[str, Any]) -> None:
        with writing:
            answers.write(json.dumps(status) + "\n")
            answers.flush()

    import engine.jobs.run_job  # noqa: F401  warm: the plan of a scene can be played at once

    Worker(sys.stdin, say).run()


def _own_output() -> IO[str]:
    """What was the standard output; what libraries print from now on goes with the errors."""
    kept = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return kept


if __name__ == "__main__":
    main()
