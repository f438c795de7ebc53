"""Numbers as a page shows them."""

from vae_lightning.runs.words import fixed


def nats(value: float, digits: int = 2) -> str:
    """-105.412 -> −105.41, with a real minus sign."""
    return fixed(value, digits).replace("-", "\u2212")


def file_size(count: float) -> str:
    """1300000 -> 1.3 MB."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
