"""What a page calls a data set."""

from collections.abc import Mapping
from typing import Any

from vae_lightning.runs.readings import text

OLD = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "ppca": "probabilistic PCA"}  # records without a title


def data_title(data: Mapping[str, Any]) -> str:
    """The title that a run recorded of its data, else the name; "" where neither is known."""
    name = text(data.get("name")) or ""
    return text(data.get("title")) or OLD.get(name, name)
