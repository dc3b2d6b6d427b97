"""What a preview and a final of the open project would take here: worked out in a thread, as it takes seconds."""

import logging
import threading
from dataclasses import dataclass

from app import texts
from engine.errors import StudioError
from engine.project.document import Scene, TakeKind
from engine.project.presets import settings_for

logger = logging.getLogger(__name__)

KINDS = (TakeKind.PREVIEW, TakeKind.FINAL)


@dataclass(frozen=True)
class Cost:
    """``sentence``: time and memory, or what is in the way; ``possible``: whether the render can be started."""

    sentence: str
    possible: bool


class Costs:
    """``serial`` grows whenever ``of`` has something new to say."""

    def __init__(self) -> None:
        self.serial = 0
        self._lock = threading.Lock()
        self._known: tuple[str, dict[TakeKind, Cost]] = ("", {})
        self._asked: str = ""

    def of(self, scene: Scene) -> dict[TakeKind, Cost]:
        """The costs of ``scene`` as far as they are known; asked for anew where the scene or its takes changed."""
        if scene.photo is None or not scene.turns:
            return {}
        key = _decides(scene)
        with self._lock:
            known_key, known = self._known
            if known_key == key:
                return known
            if self._asked != key:
                self._asked = key
                threading.Thread(target=self._work, args=(key, scene), name="studio-costs", daemon=True).start()
        return {}

    def _work(self, key: str, scene: Scene) -> None:
        costs = {kind: _cost(scene, kind) for kind in KINDS}
        with self._lock:
            self._known = (key, costs)
            self.serial += 1


def _decides(scene: Scene) -> str:
    kept = scene.model_dump_json(include={"photo", "faces", "cast", "settings", "dialogue", "voices"})
    return kept + "".join(f"{take.id}{take.status}" for take in scene.takes)


def _cost(scene: Scene, kind: TakeKind) -> Cost:
    from engine.dit.catalogue import gigabytes
    from engine.jobs.models import list_models
    from engine.jobs.plan_render import plan_for, spoken_time

    title = texts.KINDS[kind.value]
    try:
        cost = plan_for(scene, settings_for(kind, scene.settings))
    except StudioError as error:
        return Cost(f"{title}: {error.message} {error.remedy}".strip(), possible=False)
    except Exception:
        logger.exception("The cost of a %s could not be worked out", kind)
        return Cost(texts.COST_UNKNOWN.format(kind=title), possible=False)
    if cost.missing:
        row = next(row for row in list_models() if row.name == cost.model)
        size = ("about " if row.approximate else "") + gigabytes(row.missing_bytes)
        return Cost(texts.COST_MISSING.format(model=cost.model, size=size), possible=False)
    place = texts.COST_GPU if cost.machine.gpu else texts.COST_CPU
    memory = f"{cost.peak_bytes / 2**30:.1f} GB"
    return Cost(place.format(kind=title, time=spoken_time(cost.seconds), memory=memory), possible=True)
