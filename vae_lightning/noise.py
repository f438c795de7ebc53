"""Random numbers as a function of a key, such as (seed, epoch): nothing that ran before changes them."""

import hashlib

import torch


def generator(device: torch.device | str, *key: str | int) -> torch.Generator:
    """A generator on `device`: the same key gives the same numbers."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=4).digest()  # torch's CPU generator takes 32 bits
    return torch.Generator(device).manual_seed(int.from_bytes(digest, "little"))
