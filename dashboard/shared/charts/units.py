"""What the numbers of a chart are: how they are written, and which steps an axis has."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from dashboard.shared.formatting import bytes_text
from dashboard.shared.numbers import count_text

STEPS = (1, 2, 5, 10)
"""The steps of an axis within a power of ten."""

MOST_STEPS = 4


@dataclass(frozen=True, slots=True)
class Unit:
    """`text` writes a value in the active language. `base` is what its units are multiples of: 1024 for bytes."""

    text: Callable[[float], str]
    base: int = 1000
    least_step: float = 0
    """The least step of an axis: 1 for what is counted."""

    def ticks(self, highest: float) -> list[float]:
        """Round values from 0 to at least `highest`, at most five. 0 and 1 if nothing is higher than 0."""
        if not highest > 0 or not math.isfinite(highest):
            return [0, max(1, self.least_step)]
        power = self.base ** max(0, math.floor(math.log(highest, self.base)))
        rough = max(highest / MOST_STEPS, self.least_step) / power
        ten = 10 ** math.floor(math.log10(rough))
        step = next(each for each in STEPS if each * ten >= rough * (1 - 1e-9)) * ten * power
        return [step * number for number in range(math.ceil(highest / step * (1 - 1e-9)) + 1)]


BYTES = Unit(lambda value: bytes_text(round(value)), base=1024, least_step=1)
COUNT = Unit(lambda value: count_text(round(value)), least_step=1)
