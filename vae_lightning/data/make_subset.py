"""Makes the bundled subset from the original files: `python -m vae_lightning.data.make_subset FOLDER`.

The subset has the first 500 training and the first 100 test digits of each class, in the order of the original files.
"""

import gzip
import hashlib
import struct
import sys
from pathlib import Path

import torch
from torch import Tensor

from vae_lightning.data.idx import MNIST, NAMES
from vae_lightning.data.sources import SUBSET, Folder

PER_CLASS = {"train": 500, "test": 100}


def idx_bytes(tensor: Tensor) -> bytes:
    """A uint8 tensor as an idx file."""
    header = struct.pack(f">BBBB{tensor.dim()}I", 0, 0, 8, tensor.dim(), *tensor.shape)
    return header + tensor.contiguous().numpy().tobytes()


def main(folder: str) -> None:
    found = Folder().find(MNIST, Path(folder), "mnist")
    sums = []
    for split, count in PER_CLASS.items():
        labels = found.tensors[f"{split}_labels"]
        chosen = torch.cat([(labels == digit).nonzero()[:count, 0] for digit in range(10)]).sort().values
        for kind in ("images", "labels"):
            filename = NAMES[f"{split}_{kind}"]
            content = idx_bytes(found.tensors[f"{split}_{kind}"][chosen])
            (SUBSET / f"{filename}.gz").write_bytes(gzip.compress(content, compresslevel=9, mtime=0))
            sums.append(f"{hashlib.sha256(content).hexdigest()}  {filename}")
    (SUBSET / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])
