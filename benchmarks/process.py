"""Whole processes: how long, how much processor time, how much memory at the most."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass

from benchmarks.contest import ROOT


@dataclass(frozen=True)
class Cost:
    """Of one finished process with its children: seconds by the clock and of the processor, GiB at the most."""

    seconds: float
    cpu: float
    peak: float


def cost(*words: str, **environment: str) -> Cost:
    """Runs `python WORDS`. Raises RuntimeError with its last lines where it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.process", *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = process.communicate()[0] if process.stdout else ""
    taken = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"python {' '.join(words)}: status {process.returncode}\n{said[-2000:]}")
    return Cost(taken, *measured(said))


def measured(said: str) -> tuple[float, float]:
    """Processor seconds and peak GiB from the line that `main` adds."""
    cpu, peak = said.rstrip().rpartition("\n")[2].split()[-2:]
    return float(cpu), float(peak)


def main() -> None:
    """Runs the rest of the command line as a process and says what it and its children took."""
    import resource

    done = subprocess.run([sys.executable, *sys.argv[1:]])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"\n{used.ru_utime + used.ru_stime:.4f} {used.ru_maxrss / 2**20:.4f}", flush=True)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
