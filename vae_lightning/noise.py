"""Random numbers that are a function of a key, such as (seed, epoch), and of nothing that ran before."""

import hashlib

import torch


def generator(device: torch.device | str, *key: str | int) -> torch.Generator:
    """A generator on `device` that gives the same numbers for the same key, whatever else was drawn."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=4).digest()  # torch's CPU generator takes 32 bits
    return torch.Generator(device).manual_seed(int.from_bytes(digest, "little"))
