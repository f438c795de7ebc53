"""The paper, executed: the algorithms that it compares with, and its figures and published numbers. <-> conf/paper/

`python -m vae_lightning.reproduce NAME` runs a row of conf/reproduce/. Importing this package alone imports no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

__all__ = ["BurdaStages", "FullVB", "MNISTInOneOrder", "MonteCarloEM", "WakeSleep"]

if TYPE_CHECKING:
    from vae_lightning.paper.burda import BurdaStages
    from vae_lightning.paper.full_vb import FullVB
    from vae_lightning.paper.mcem import MonteCarloEM
    from vae_lightning.paper.one_order import MNISTInOneOrder
    from vae_lightning.paper.wake_sleep import WakeSleep


HOMES = {
    "BurdaStages": "burda",
    "FullVB": "full_vb",
    "MNISTInOneOrder": "one_order",
    "MonteCarloEM": "mcem",
    "WakeSleep": "wake_sleep",
}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'vae_lightning.paper' has no attribute {name!r}")
    return getattr(importlib.import_module(f"vae_lightning.paper.{HOMES[name]}"), name)
