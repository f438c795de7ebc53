"""What trainer=fast costs in nats: the test ELBO after ten epochs beside float32, three seeds.

python -m benchmarks.accuracy [--epochs 10] [--seeds 3]
"""

import json
import tempfile
from pathlib import Path

from benchmarks.contest import arguments, demand, record
from benchmarks.peers import data_dir
from benchmarks.process import cost


def main() -> None:
    asked = arguments(__doc__, epochs=10, seeds=3)
    elbo: dict[str, list[float]] = {"default": [], "fast": []}
    for seed in range(1, asked.seeds + 1):
        for trainer in elbo:
            folder = Path(tempfile.mkdtemp()) / "run"
            words = [
                f"trainer={trainer}",
                f"seed={seed}",
                f"epochs={asked.epochs}",
                "data.val_size=0",
                "loss=bce_logits",
            ]
            cost("-m", "vae_lightning.train", *words, f"data.dir={data_dir()}", f"save_dir={folder}", "report=false")
            elbo[trainer].append(json.loads((folder / "run_meta.json").read_text("utf-8"))["metrics"]["test/elbo"])
            print(f"seed {seed}, trainer={trainer}: test ELBO {elbo[trainer][-1]:.2f} nats", flush=True)
    apart = max(abs(one - other) for one, other in zip(*elbo.values(), strict=True))
    record("accuracy", epochs=asked.epochs, test_elbo=elbo, demands=[demand("nats apart at the most", apart, 0.3)])


if __name__ == "__main__":
    main()
