"""A folder as the Hugging Face mixin writes and reads it: `HubVAE.from_pretrained(folder)`."""

import contextlib
import copy
import io
from pathlib import Path
from typing import Any

from huggingface_hub import PyTorchModelHubMixin

from vae_lightning.formats import WEIGHTS
from vae_lightning.formats.common import Decode, Decoder, Encode, Encoder, Exported
from vae_lightning.formats.safetensors import said, save
from vae_lightning.module import VAE
from vae_lightning.parts import MODULES

TAGS = ("vae", "variational-autoencoder")
USE = """\
import torch
from vae_lightning.formats.hub import HubVAE

vae = HubVAE.from_pretrained(".")  # or "user/name" of the Hub
x = torch.zeros(1, {shape})  # {values}
with torch.no_grad():
    posterior = vae.encode(x)  # .mean, .log_var
    image = vae.decode(posterior.mean)  # the reconstruction, E[x|z]
    images = vae.sample(16, seed=0)  # z ~ p(z)
"""


class HubVAE(
    VAE,
    PyTorchModelHubMixin,
    library_name="vae-lightning",
    tags=list(TAGS),
    paper_url="https://arxiv.org/abs/1312.6114",
):
    """A VAE with `save_pretrained`, `from_pretrained` and `push_to_hub`. Its arguments are those of VAE.

    config.json holds the descriptions of the parts. A part of your own is handed over:
    `from_pretrained(folder, network=MyNetwork())`.
    """

    def _save_pretrained(self, save_directory: Path) -> None:
        self._hub_mixin_config: Any = dict(self.hparams)  # an object that was given is no JSON, its description is
        save(self, save_directory / WEIGHTS)


def head() -> str:
    """The metadata of the card, which the Hub reads."""
    return f"---\n{HubVAE._hub_mixin_info.model_card_data.to_yaml()}\n---\n\n"


def write(model: Exported, folder: Path) -> None:
    """Writes model.safetensors, config.json and a card, for which `export` puts its own."""
    vae = model.vae
    twin = HubVAE(**{name: getattr(vae, name) for name in MODULES}, beta=vae.beta, seed=vae.seed)
    twin.save_pretrained(folder, config=said(model))


def read(folder: Path, vae: VAE) -> tuple[Encode, Decode]:
    """Encoder and decoder as `from_pretrained` gives them; parts of one's own are handed over as copies."""
    own = {name: copy.deepcopy(getattr(vae, name)) for name in MODULES if "rebuilt" in vae.hparams[name]}
    with contextlib.redirect_stdout(io.StringIO()):
        twin: Any = HubVAE.from_pretrained(folder, **own)
    return Encoder(twin).eval(), Decoder(twin).eval()
