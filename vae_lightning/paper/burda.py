"""The learning rate of Burda et al. (2016)."""

from dataclasses import dataclass
from typing import ClassVar

STAGES = 8
PASSES = (3**STAGES - 1) // 2  # 3,280 over the data


@dataclass(frozen=True)
class BurdaStages:
    """Follows Burda et al. (2016): `lr` * 10^(-i/7) for 3^i passes over the data, i = 0 to 7.

    A function of the progress t in [0, 1], for `lr_schedule`: a shorter run has the same stages, each shorter.
    """

    title: ClassVar[str] = ", falling in the eight stages of Burda et al."

    def __call__(self, t: float) -> float:
        stage = next((i for i in range(STAGES) if t * PASSES < (3 ** (i + 1) - 1) / 2), STAGES - 1)
        return 10 ** (-stage / 7)
