"""The history and the importances of an Optuna study, as numbers for the page's template."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_lightning.pages.base.numbers import nats
from vae_lightning.runs.study import Study, Trial, read_study

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 640.0, 260.0, 64.0, 14.0, 34.0  # of the chart, in its own units
MOST_DOTS = 2_000
ENDS = ("complete", "pruned", "fail")


@dataclass(frozen=True)
class Scale:
    """Numbers from `low` to `high` at the heights of a chart. Numbers outside are at its edge."""

    low: float
    high: float

    def __call__(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    @property
    def ticks(self) -> list[float]:
        """Three to seven round numbers."""
        raw = (self.high - self.low) / 4
        unit = 10 ** math.floor(math.log10(raw))
        step = next(unit * size for size in (1, 2, 5, 10) if unit * size >= raw * 0.999)
        first = math.ceil(self.low / step)
        return [step * i for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def study_view(folder: Path) -> dict[str, Any] | None:
    """The values of the section; None for a sweep that is no study."""
    study = read_study(folder)
    if study is None or not study.trials:
        return None
    best = next((trial for trial in study.trials if trial.number == study.best), None)
    shares = sorted(study.importance.items(), key=lambda item: -item[1])
    return {
        "metric": study.metric,
        "asked": study.asked,
        "maximises": study.direction == "maximize",
        "counts": {end: sum(trial.state == end for trial in study.trials) for end in ENDS},
        "best": best and {"number": best.number, "value": shown(best.value), "params": best.params},
        "own": own_value(study),
        "chart": chart(study),
        "importance": [{"key": key, "share": round(100 * share, 1)} for key, share in shares],
    }


def own_value(study: Study) -> str | None:
    """The value of the trial with the configuration's own values, unless that is the best one."""
    own = next((trial for trial in study.trials if trial.number == study.own), None)
    return shown(own.value) if own and own.state == "complete" and own.number != study.best else None


def chart(study: Study) -> dict[str, Any] | None:
    """The dots, the line of the best so far, and the ticks; None without a value."""
    trials = study.trials[-MOST_DOTS:]
    values = sorted(trial.value for trial in trials if trial.value is not None)
    if not values:
        return None
    scale, last = scale_of(values, study.direction == "maximize"), max(trial.number for trial in trials)
    start = trials[0].number

    def x(number: int) -> float:
        return round(LEFT + (number - start + 0.5) / (last - start + 1) * (WIDTH - LEFT - 12), 1)

    dots = [
        {
            "x": x(trial.number),
            "y": HEIGHT - BOTTOM if trial.value is None else scale(trial.value),
            "state": trial.state if trial.state in ENDS else "running",
            "best": trial.number == study.best,
            "says": says(trial),
        }
        for trial in trials
    ]
    step = max(1, math.ceil((last - start + 1) / 10))
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "floor": HEIGHT - BOTTOM,
        "dots": dots,
        "line": line(study, trials, x, scale),
        "ticks": [{"y": scale(value), "text": f"{value:.6g}".replace("-", "\u2212")} for value in scale.ticks],
        "numbers": [{"x": x(number), "text": number} for number in range(start, last + 1, step)],
    }


def scale_of(values: Sequence[float], maximises: bool) -> Scale:
    """The scale of some sorted values. Far outliers on the worse side are at its edge."""
    low, high = values[0], values[-1]
    lower, upper = values[len(values) // 4], values[(3 * len(values)) // 4]
    if maximises:
        low = max(low, lower - 3 * (upper - lower)) if upper > lower else low
    else:
        high = min(high, upper + 3 * (upper - lower)) if upper > lower else high
    margin = 0.06 * (high - low) or abs(high) * 0.01 or 1.0
    return Scale(low - margin, high + margin)


def line(study: Study, trials: Sequence[Trial], x: Any, scale: Scale) -> str:
    """The path of the best value so far, over completed trials: a stair."""
    sign, best, path = 1 if study.direction == "maximize" else -1, -math.inf, ""
    for trial in trials:
        if trial.state == "complete" and trial.value is not None and sign * trial.value > best:
            best = sign * trial.value
            path += f"H{x(trial.number)}V{scale(trial.value)}" if path else f"M{x(trial.number)} {scale(trial.value)}"
    return f"{path}H{WIDTH - 12}" if path else ""


def says(trial: Trial) -> str:
    """trial 3, completed: -98.21; lr=0.003, latent.dim=8."""
    values = ", ".join(f"{key}={value}" for key, value in trial.params.items())
    value = f": {shown(trial.value)}" if trial.value is not None else ""
    return f"trial {trial.number}, {trial.status}{value}; {values}"


def shown(value: float | None) -> str:
    """A value of the metric."""
    return "–" if value is None else nats(value, 2)
