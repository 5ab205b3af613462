"""How much of the scene and how much of the person: a choice of words for the starting step and the scales."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Balance:
    """Settings of the three flows. start: share of the steps before the forward flow acts, 0 to 1. Scales: as in BiMD.

    Earlier starts give more of the identity and less of the scene (paper, section III-C and figures 9 and 10).
    """

    start: float
    forward_scale: float = 1.0
    backward_scale: float = 1.0

    def start_step(self, steps: int) -> int:
        """The step from which on the forward flow acts, of so many; at least the last one is left to it."""
        return min(round(self.start * steps), max(steps - 1, 0))


PAPER = "paper"
# From the scene to the identity. The paper does not state its starting step: a fifth follows PhotoMaker's default.
BALANCES = {
    "keep the scene": Balance(0.6),
    "balanced": Balance(0.4),
    PAPER: Balance(0.2),
    "stronger identity": Balance(0.1),
    "strongest identity": Balance(0.0),
}
