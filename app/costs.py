"""What each kind of take of the open project would take here: worked out in a thread, as it takes seconds."""

import logging
import threading
from dataclasses import dataclass
from statistics import median

from app import texts
from app.orders import settings_of
from app.presenters.board import length_s, preview_range
from engine.errors import StudioError
from engine.project.document import Scene, TakeKind

logger = logging.getLogger(__name__)

ANIMATIC_START_S = 3.0
"""Reading the lips and preparing the picture, before the first frame."""
ANIMATIC_PACE = 1.0
"""Seconds per second of conversation, until this project has an animatic of its own to go by."""


@dataclass(frozen=True)
class Cost:
    """``button``: what the button says; ``sentence``: what is in the way, or what stands behind the figure."""

    button: str
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
        """The costs of ``scene`` as far as they are known; asked for anew where the scene or its takes changed. Until
        the new ones are there, the animatic's is told alone: it needs no looking at the machine."""
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
        return {TakeKind.ANIMATIC: animatic_cost(scene)}

    def forget(self) -> None:
        """What is here has changed: ask anew."""
        with self._lock:
            self._known, self._asked = ("", {}), ""
            self.serial += 1

    def _work(self, key: str, scene: Scene) -> None:
        costs = {TakeKind.ANIMATIC: animatic_cost(scene), **{kind: _cost(scene, kind) for kind in _NETWORKS}}
        with self._lock:
            self._known = (key, costs)
            self.serial += 1


_NETWORKS = (TakeKind.PREVIEW, TakeKind.FINAL)


def animatic_cost(scene: Scene) -> Cost:
    """By what finished animatics of this project took; at first by what is usual."""
    done = [take for take in scene.takes if take.status == "done" and take.settings.kind is TakeKind.ANIMATIC]
    paces = [take.compute_s / take.duration_s for take in done if take.compute_s > 0 and take.duration_s > 0]
    seconds = length_s(scene) * median(paces) if paces else ANIMATIC_START_S + ANIMATIC_PACE * length_s(scene)
    return Cost(texts.PLAY_PLAN_FOR.format(time=texts.about(seconds)), "", possible=True)


def _decides(scene: Scene) -> str:
    kept = scene.model_dump_json(
        include={"photo", "faces", "cast", "settings", "dialogue", "voices", "preview_range_s", "turns"}
    )
    return kept + "".join(f"{take.id}{take.status}" for take in scene.takes)


def _cost(scene: Scene, kind: TakeKind) -> Cost:
    from engine.dit.catalogue import gigabytes
    from engine.jobs.models import list_models
    from engine.jobs.plan_render import plan_for, spoken_time

    button = _button(scene, kind)
    try:
        cost = plan_for(scene, settings_of(scene, kind))
    except StudioError as error:
        return Cost(button, f"{texts.KINDS[kind.value]}: {error.message} {error.remedy}".strip(), possible=False)
    except Exception:
        logger.exception("The cost of a %s could not be worked out", kind)
        return Cost(button, texts.COST_UNKNOWN.format(kind=texts.KINDS[kind.value]), possible=False)
    if cost.missing:
        row = next(row for row in list_models() if row.name == cost.model)
        size = ("about " if row.approximate else "") + gigabytes(row.missing_bytes)
        return Cost(button, texts.COST_MISSING.format(model=cost.model, size=size), possible=False)
    memory = f"{cost.peak_bytes / 2**30:.1f} GB"
    said = texts.COST_ON_BUTTON.format(what=button, time=spoken_time(cost.seconds), memory=memory)
    runs = texts.COST_BY_RUNS.format(count=cost.num_past_runs) if cost.num_past_runs else texts.COST_ESTIMATED
    place = "" if cost.machine.gpu else texts.COST_NO_GPU
    return Cost(said, f"{texts.KINDS[kind.value]}: {runs} {place}".strip(), possible=True)


def _button(scene: Scene, kind: TakeKind) -> str:
    start_s, end_s = (preview_range(scene) if kind is TakeKind.PREVIEW else None) or (0.0, length_s(scene))
    return texts.BUTTON_FOR.format(
        what=texts.BUTTONS[kind], length=texts.seconds(round(end_s - start_s, 1)).replace(".0 s", " s")
    )
