"""The paper, executed: the algorithms that it compares with, and its figures and published numbers. <-> conf/paper/

`python -m vae_lightning.reproduce NAME` runs a row of conf/reproduce/. Importing this package alone imports no torch.
"""

from typing import TYPE_CHECKING

__all__ = ["BurdaStages", "FullVB", "MonteCarloEM", "WakeSleep"]

if TYPE_CHECKING:
    from vae_lightning.paper.burda import BurdaStages
    from vae_lightning.paper.full_vb import FullVB
    from vae_lightning.paper.mcem import MonteCarloEM
    from vae_lightning.paper.wake_sleep import WakeSleep


def __getattr__(name: str):
    if name == "BurdaStages":
        from vae_lightning.paper.burda import BurdaStages

        return BurdaStages
    if name == "WakeSleep":
        from vae_lightning.paper.wake_sleep import WakeSleep

        return WakeSleep
    if name == "MonteCarloEM":
        from vae_lightning.paper.mcem import MonteCarloEM

        return MonteCarloEM
    if name == "FullVB":
        from vae_lightning.paper.full_vb import FullVB

        return FullVB
    raise AttributeError(f"module 'vae_lightning.paper' has no attribute {name!r}")
