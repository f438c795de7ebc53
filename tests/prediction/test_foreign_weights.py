"""docs/foreign_weights.md on weights that this test draws: plain numpy is the other code."""

import os
from pathlib import Path

import numpy as np
import pytest
from documents import blocks, commands, page

from vae_lightning import export, predict

J, HIDDEN, PIXELS = 3, (20, 12), 784


def drawn(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Encoder and decoder as the page describes them: weights (out, in), biases (out, 1)."""
    noise = np.random.default_rng(0)
    outer, inner = HIDDEN

    def layers(**sizes: tuple[int, int]) -> dict[str, np.ndarray]:
        weights = {
            name: noise.normal(size=(rows, columns)) / np.sqrt(columns) for name, (rows, columns) in sizes.items()
        }
        biases = {
            name.replace("w", "b") if "_" not in name else f"{name[:-1]}b": noise.normal(size=(len(w), 1)) / 10
            for name, w in weights.items()
        }
        return {**weights, **biases}

    encoder = layers(w0=(outer, PIXELS), w1=(inner, outer), mean_w=(J, inner), logvar_w=(J, inner))
    decoder = layers(w0=(inner, J), w1=(outer, inner), out_w=(PIXELS, outer))
    np.savez(folder / "encoder.npz", **encoder)
    np.savez(folder / "decoder.npz", **decoder)
    return encoder, decoder


def hidden(weights: dict[str, np.ndarray], columns: np.ndarray) -> np.ndarray:
    """Two layers of softplus units on columns."""
    for layer in "01":
        columns = np.logaddexp(0, weights[f"w{layer}"] @ columns + weights[f"b{layer}"])
    return columns


def elbo(encoder: dict[str, np.ndarray], decoder: dict[str, np.ndarray], x: np.ndarray, draws: int) -> np.ndarray:
    """The ELBO of every row of x, by Monte Carlo over z with the KL in closed form; nats."""
    noise, last = np.random.default_rng(1), hidden(encoder, x.T)
    mean = encoder["mean_w"] @ last + encoder["mean_b"]
    log_var = encoder["logvar_w"] @ last + encoder["logvar_b"]
    kl = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var).sum(0)
    log_px_z = np.zeros(len(x))
    for _ in range(draws):
        z = mean + np.exp(log_var / 2) * noise.normal(size=mean.shape)
        logits = decoder["out_w"] @ hidden(decoder, z) + decoder["out_b"]
        log_px_z += (x.T * logits - np.logaddexp(0, logits)).sum(0) / draws
    return log_px_z - kl


def test_the_page_loads_and_evaluates_them(tmp_path, monkeypatch, answer):
    """Codes to rounding, the ELBO to a few standard errors (0.07 nats of 617); the same in `predict` and `export`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    encoder, decoder = drawn(tmp_path)
    loading, evaluating, saving = blocks(page("foreign_weights"), "python")
    names: dict = {}
    exec(loading, names)
    evaluating = evaluating.replace('protocol="static"', 'protocol="static", mirrors=[]').replace("[:100]", "[:20]")
    exec(evaluating, names)
    x = names["x"].flatten(1).double().numpy()
    mean = encoder["mean_w"] @ hidden(encoder, x.T) + encoder["mean_b"]
    assert names["vae"].encode(names["x"]).mean.detach().numpy() == pytest.approx(mean.T, abs=1e-5)
    expected = elbo(encoder, decoder, x, draws=2000)
    assert float(names["elbo"]) == pytest.approx(expected.mean(), abs=0.3)
    assert float(names["nll"]) < -float(names["elbo"])
    exec(saving, names)
    (predicting,) = [line for line in commands("predict") if "foreign" in line]
    (exporting,) = [line for line in commands("export") if "foreign" in line]
    assert answer(predict.main, *predicting.split()[3:])[0] == 0
    assert answer(export.main, *exporting.split()[3:])[0] == 0
    assert {*os.listdir("foreign_onnx")} == {"encoder.onnx", "decoder.onnx", "README.md"}
