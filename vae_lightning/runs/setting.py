"""What two runs must share before their nats are compared: the data, the protocol, and the kind of likelihood."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vae_lightning.runs.configuration import at
from vae_lightning.runs.digest import sha256
from vae_lightning.runs.readings import mapping, text
from vae_lightning.runs.run import Run

OLD = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "ppca": "probabilistic PCA"}  # records without a title


@dataclass(frozen=True)
class Setting:
    """Data, protocol, and what log p(x|z) is the log of. `digest` stands for the bytes of the data."""

    data: str
    protocol: str
    subset: bool
    measure: str
    digest: str
    title: str = field(default="", compare=False)

    @property
    def label(self) -> str:
        """MNIST (bundled subset), grey, Bernoulli."""
        subset = " (bundled subset)" if self.subset else ""
        return f"{self.title}{subset}, {self.protocol}, {self.measure}"


def setting(run: Run) -> Setting | None:
    """The setting of a run, or None if the run ended before it knew its data."""
    data = run.data
    if not data.get("name"):
        return None
    identity = json.dumps(data.get("sha256") or data.get("source"), sort_keys=True)
    subset, protocol = data.get("subset") is True, str(data.get("protocol"))
    digest = sha256(identity.encode())[:8]
    return Setting(str(data["name"]), protocol, subset, measure(run), digest, data_title(data))


def data_title(data: Mapping[str, Any]) -> str:
    """The title that a run recorded of its data, else the name; "" where neither is known."""
    name = text(data.get("name")) or ""
    return text(data.get("title")) or OLD.get(name, name)


def measure(run: Run) -> str:
    """What log p(x|z) is the log of, as the run recorded it; the record of an older version has only the class."""
    recorded = text(mapping(run.parts.get("loss")).get("measure"))
    return recorded or measure_of(str(at(run.config, "loss._target_")).rpartition(".")[2])


def measure_of(likelihood: str) -> str:
    """The measure of a likelihood of version 0.1, by the name of its class."""
    if likelihood in ("Bernoulli", "BernoulliLogits"):
        return "Bernoulli"
    return "mass of bytes" if likelihood == "DiscretizedLogistic" else "density"
