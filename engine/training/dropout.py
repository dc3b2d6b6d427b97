"""Conditions left out now and then, so that guidance has something to lead away from (specification, B.2 and D.3).

The rates are nowhere published; that text and sound are left out together as well as alone is what guidance needs: its
other pass has neither.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Left:
    """What an example has to do without."""

    text: bool
    audio: bool


@dataclass(frozen=True)
class Dropout:
    """Shares of the examples: without the prompt, without the voices, without both."""

    text: float = 0.05
    audio: float = 0.05
    both: float = 0.05

    def drawn(self, chance: np.random.Generator) -> Left:
        at = chance.random()
        both, text = at < self.both, self.both <= at < self.both + self.text
        audio = self.both + self.text <= at < self.both + self.text + self.audio
        return Left(text=both or text, audio=both or audio)
