"""Words for the numbers of a run."""


def fixed(value: float, digits: int = 2) -> str:
    """-98.214 -> -98.21; a number that rounds to zero has no sign."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def duration(seconds: int) -> str:
    """1h 02m, 3m 04s or 5s."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {seconds:02d}s" if minutes else f"{seconds}s"
