"""What a network was not made for is not asked of it: the small network's own size, rate and windows."""

from engine.dit.catalogue import TINY
from engine.project.document import RenderSettings, TakeKind

_OWN = {
    "height": 96, "frame_rate": 24.0, "window": 33, "overlap": 5, "num_inference_steps": 10, "guidance_scale": 5.0,
    "guidance_range": (0.0, 0.5), "shift": 3.0, "step_cache": 0.0, "lora": "",
}  # fmt: skip
"""The small network's: what it was trained on (presets/training/tiny.toml), sampled as it was measured."""


def settings_of_model(settings: RenderSettings) -> RenderSettings:
    """``settings`` as the chosen network can keep them; a copy. AnyTalker takes what is asked for."""
    own = _OWN if is_tiny(settings) else {}
    return settings.model_copy(update=own, deep=True)


def is_tiny(settings: RenderSettings) -> bool:
    return settings.kind is not TakeKind.ANIMATIC and settings.model == TINY
