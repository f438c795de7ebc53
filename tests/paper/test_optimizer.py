"""The optimiser and the fall of its learning rate."""

import math

import lightning.pytorch as pl
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from vae_lightning import VAE
from vae_lightning.errors import ConfigError
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.network import MLP
from vae_lightning.optimizer import Adagrad, Adam, AdamW, Muon


@pytest.mark.parametrize(("t", "expected"), [(0.0, 1.0), (0.5, math.sqrt(0.1)), (1.0, 0.1)])
def test_the_decay_is_geometric(t, expected):
    assert Adam(1e-3, final_lr=1e-4).decay(t) == pytest.approx(expected)
    assert Adam(1e-3).decay(t) == 1.0


def test_the_first_step_is_adams():
    """The first step of Adam is lr * g / (|g| + eps)."""
    weight = nn.Parameter(torch.zeros(2))
    optimizer = Adam(lr=0.1, eps=0.5)([weight])
    weight.grad = torch.tensor([1.5, -0.5])
    optimizer.step()
    assert torch.allclose(weight, torch.tensor([-0.1 * 1.5 / 2, 0.1 * 0.5 / 1]))


@pytest.mark.parametrize("final_lr", [None, 1e-4])
def test_a_run_ends_at_the_final_learning_rate(tmp_path, final_lr):
    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer, *_):
            seen.append(trainer.optimizers[0].param_groups[0]["lr"])

    seen: list[float] = []
    module = VAE(MLP([1, 2, 2], 2, hidden=4), DiagonalGaussian(2), optimizer=Adam(1e-3, final_lr))
    loader = DataLoader(TensorDataset(torch.rand(40, 1, 2, 2)), batch_size=4)
    trainer = pl.Trainer(
        max_epochs=10, accelerator="cpu", logger=False, default_root_dir=tmp_path, callbacks=[Watch()],
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(module, loader)
    assert len(seen) == 100
    assert seen == pytest.approx([1e-3 * (1.0 if final_lr is None else 0.1 ** (k / 100)) for k in range(100)])


@pytest.mark.parametrize(
    "numbers", [{"lr": -1.0}, {"lr": math.nan}, {"final_lr": 0.0}, {"final_lr": 1.0}, {"eps": 0.0}, {"eps": math.inf}]
)
def test_numbers_that_cannot_be_are_named(numbers):
    with pytest.raises(ConfigError, match=next(iter(numbers))):
        Adam(**numbers)


@pytest.mark.parametrize(
    ("ours", "torchs"),
    [
        (AdamW(0.1, 0.3, 1e-6), lambda weights: torch.optim.AdamW(weights, lr=0.1, weight_decay=0.3, eps=1e-6)),
        (Adagrad(0.1, 0.3, 1e-6), lambda weights: torch.optim.Adagrad(weights, lr=0.1, weight_decay=0.3, eps=1e-6)),
    ],
    ids=["adamw", "adagrad"],
)
def test_the_steps_are_those_of_torchs_classes(ours, torchs):
    weights = [nn.Parameter(torch.linspace(-1, 1, 5)) for _ in range(2)]
    for optimizer, weight in zip((ours, torchs), weights, strict=True):
        made = optimizer([weight])
        for k in range(3):
            weight.grad = torch.linspace(1, 2, 5) * (k - 1)
            made.step()
    torch.testing.assert_close(*weights)


def test_weight_decay_of_adagrad_is_the_papers_prior_over_the_weights():
    """Maximising the mean bound + log N(w; 0, I) / N: the decay 1 / N has the gradient of the prior."""
    weight, number = nn.Parameter(torch.tensor([0.5, -2.0])), 50
    prior = -torch.distributions.Normal(0.0, 1.0).log_prob(weight).sum() / number
    (gradient,) = torch.autograd.grad(prior, weight)
    torch.testing.assert_close(gradient, Adagrad(weight_decay=1 / number).weight_decay * weight.detach())


def small_net() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3))


def steps(net, *optimizers, number: int, first: int = 0) -> None:
    for k in range(first, first + number):
        net.zero_grad()
        (net(torch.linspace(-1, 1, 32).reshape(2, 1, 4, 4) * (k + 1)) - 1).square().sum().backward()
        for optimizer in optimizers:
            optimizer.step()


def test_muon_moves_the_matrices_and_adam_the_rest():
    """The steps are those of torch's two classes, each with its own parameters."""
    net, same = small_net(), small_net()
    steps(net, Muon(0.1, weight_decay=0.3, momentum=0.8, eps=1e-6)(net.parameters()), number=3)
    matrices, rest = [[p for p in same.parameters() if (p.ndim == 2) is wanted] for wanted in (True, False)]
    muon = torch.optim.Muon(matrices, lr=0.1, weight_decay=0.3, momentum=0.8, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.Adam(rest, lr=0.1, eps=1e-6)
    steps(same, muon, adam, number=3)
    for ours, theirs in zip(net.parameters(), same.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_step_of_muon_is_orthogonal_and_as_large_as_adams():
    """Each singular value of the step is near the same number, whatever those of the gradient (Jordan et al. 2024)."""
    weight = nn.Parameter(torch.zeros(30, 20))
    torch.manual_seed(1)
    u, _, v = torch.linalg.svd(torch.randn(30, 20), full_matrices=False)
    weight.grad = u @ torch.linspace(0.1, 10, 20).diag() @ v
    Muon(lr=0.01)([weight]).step()
    values = torch.linalg.svdvals(weight.detach()) / (0.01 * 0.2 * math.sqrt(30))
    assert 0.6 < values.min() < values.max() < 1.3


def test_muon_goes_on_from_its_state_as_if_nothing_had_happened():
    net, again = small_net(), small_net()
    straight = Muon(0.01)(net.parameters())
    steps(net, straight, number=5)
    steps(again, first := Muon(0.01)(again.parameters()), number=2)
    second = Muon(0.5)(again.parameters())
    second.load_state_dict(first.state_dict())
    steps(again, second, number=3, first=2)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    assert [group["lr"] for group in second.param_groups] == [0.01, 0.01]


@pytest.mark.parametrize("shapes", [[(3, 2)], [(3,)], [(2, 1, 3, 3)]], ids=["matrices", "biases", "convolutions"])
def test_muon_works_with_one_kind_of_parameters(shapes):
    weights = [nn.Parameter(torch.zeros(shape)) for shape in shapes]
    made = Muon(0.1)(weights)

    def closure():
        made.zero_grad()
        loss = sum((weight - 1).square().sum() for weight in weights)
        loss.backward()
        return loss.item()

    losses = [made.step(closure) for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("numbers", [{"momentum": 1.0}, {"momentum": -0.1}])
def test_numbers_of_muon_are_named(numbers):
    with pytest.raises(ConfigError, match=r"optimizer\.momentum="):
        Muon(**numbers)


@pytest.mark.parametrize("kind", [AdamW, Adagrad, Muon])
@pytest.mark.parametrize("numbers", [{"lr": -1.0}, {"weight_decay": -0.1}, {"eps": 0.0}])
def test_numbers_of_the_others_are_named(kind, numbers):
    with pytest.raises(ConfigError, match=f"optimizer.{next(iter(numbers))}="):
        kind(**numbers)
