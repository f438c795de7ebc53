"""The example-style script as a whole: start, epochs, a test after each, pictures of reconstructions and samples, exit.

python -m benchmarks.example_script EPOCHS IMAGES FOLDER
"""

import sys
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from torchvision import datasets, transforms
from torchvision.utils import save_image

from benchmarks.peers import BATCH, ExampleStyle, torchvision_folder


@torch.no_grad()
def test(model: ExampleStyle, loader: DataLoader, picture: Path) -> float:
    """The loss of the test images; the first eight of them and their reconstructions as a picture."""
    total = 0.0
    for number, (x, _) in enumerate(loader):
        y, mean, log_var = model(x)
        total += model.loss(x, y, mean, log_var).item()
        if number == 0:
            save_image(torch.cat([x[:8], y.view(-1, 1, 28, 28)[:8]]), picture, nrow=8)
    return total / len(loader.dataset)  # type: ignore[arg-type]


def main() -> None:
    epochs, images, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    model = ExampleStyle(images)
    held_out = datasets.MNIST(str(torchvision_folder()), train=False, transform=transforms.ToTensor())
    loader = DataLoader(held_out, batch_size=BATCH)
    for epoch in range(1, epochs + 1):
        train_loss = model.epoch()
        test_loss = test(model, loader, folder / f"reconstruction_{epoch}.png")
        with torch.no_grad():
            save_image(model.decode(torch.randn(64, 20)).view(-1, 1, 28, 28), folder / f"sample_{epoch}.png")
        print(f"epoch {epoch}: train {train_loss:.2f}, test {test_loss:.2f}", flush=True)


if __name__ == "__main__":
    main()
