"""How soon the command answers, and what its first seconds are spent on.

python -m benchmarks.start_up [--rounds 5]
"""

import statistics
import subprocess
import sys
import tempfile

from benchmarks.contest import ROOT, arguments, demand, record
from benchmarks.peers import data_dir
from benchmarks.process import cost

COMPLETION = "import os; os.environ['COMP_LINE'] = 'vae-train loss='; "
ANSWERS = {
    "--help": ["-m", "vae_lightning.train", "--help"],
    "--cfg job": ["-m", "vae_lightning.train", "--cfg", "job"],
    "tab completion": [
        "-c",
        COMPLETION + "import sys; sys.argv = ['vae-train', '-sc', 'query=bash']; "
        "from vae_lightning.train import main; main()",
    ],
    "python alone": ["-c", "pass"],
}
TIMELINE = """
import sys, time
start = time.perf_counter()
def said(what):
    print(f"{time.perf_counter() - start:6.2f} s  {what}", file=sys.stderr, flush=True)
from vae_lightning import train
said("our command imported, nothing heavy yet")
import torch
said("import torch")
import lightning.pytorch
said("import lightning.pytorch")
from vae_lightning.app import build, fit, prepare
said("the wing that knows Hydra imported")
for holder, name in ((build, "data_module"), (build, "vae"), (prepare, "rehearse"), (build, "make_trainer")):
    def wrapped(*arguments, _name=name, _function=getattr(holder, name), **options):
        result = _function(*arguments, **options)
        said(_name)
        return result
    setattr(holder, name, wrapped)
from vae_lightning.module import VAE
step = VAE.training_step
def first(self, *arguments):
    VAE.training_step = step
    said("the first step begins")
    return step(self, *arguments)
VAE.training_step = first
train.main()
said("run, test and report done")
"""


def main() -> None:
    asked = arguments(__doc__, rounds=5)
    cpu = {name: statistics.median(cost(*words).cpu for _ in range(asked.rounds)) for name, words in ANSWERS.items()}
    for name, seconds in cpu.items():
        print(f"{name:<16} {seconds:5.2f} s of processor time")
    words = ["+trainer.max_steps=20", "epochs=1", f"data.dir={data_dir()}", f"project_dir={tempfile.mkdtemp()}"]
    done = subprocess.run(
        [sys.executable, "-c", TIMELINE, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    timeline = [line for line in done.stderr.splitlines() if " s  " in line]
    print("\n".join(["the first seconds of the main job, 20 steps of training:", *timeline]))
    demands = [
        demand(f"{name}, processor seconds", cpu[name], 1.0) for name in ("--help", "--cfg job", "tab completion")
    ]
    record("start_up", cpu_seconds=cpu, timeline=timeline, demands=demands)


if __name__ == "__main__":
    main()
