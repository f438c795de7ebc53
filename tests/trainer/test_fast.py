"""trainer=fast has the checkpoints and numbers of trainer=default, and a step never stops an accelerator."""

import json
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from conftest import NO_NETWORK, ForeignVAE, command, config, vae
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from omegaconf import OmegaConf
from options import OF_GROUP
from torch.utils._python_dispatch import TorchDispatchMode

from vae_lightning import VAE
from vae_lightning.app import build
from vae_lightning.app.config import CONF
from vae_lightning.callbacks import CompileStep, DivergenceGuard
from vae_lightning.data.in_memory import EpochShuffle, ImagesInMemory, IndexTensors, loader
from vae_lightning.errors import ConfigError
from vae_lightning.trainer import FastTrainer, fast

compiler = pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler, which torch.compile needs")
FAST = ["trainer=fast", "network.hidden=[16]", "latent.dim=3", "callbacks.latent_traversal.rows=2", *NO_NETWORK]


def words_of(run: Path) -> dict:
    return json.loads((run / "run_meta.json").read_text())


def test_the_default_trainer_is_lightnings_own():
    assert OmegaConf.load(CONF / "trainer" / "default.yaml")._target_ == "lightning.pytorch.Trainer"
    assert type(pl.Trainer(accelerator="cpu", logger=False).fit_loop.epoch_loop) is _TrainingEpochLoop


# --- trainer=fast ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@compiler
def test_a_fast_run_has_the_checkpoints_of_any_other(tmp_path):
    """Annealed and resumed, in another process: jaxtyping's checks in this process cannot be compiled."""
    words = [*FAST, "epochs=2", "schedule=linear", "save_dir=fast", "report=false"]
    done = command("vae_lightning.train", *words, cwd=tmp_path, TORCH_LOGS="recompiles")
    assert done.returncode == 0, done.stderr
    assert "not compiled" not in done.stderr
    assert "Recompiling" not in done.stderr
    saved = torch.load(tmp_path / "fast" / "checkpoints" / "last.ckpt", weights_only=True)
    assert list(saved["state_dict"]) == list(vae(config(*FAST)).state_dict())
    again = VAE.load_from_checkpoint(tmp_path / "fast" / "checkpoints" / "best.ckpt", weights_only=True)
    assert again.sample(2, seed=0).isfinite().all()
    meta = words_of(tmp_path / "fast")
    assert meta["device"]["precision"] == ("bf16-mixed" if fast.has_bfloat16("cpu") else "32-true")
    words = ["resume=fast", "trainer=default", "epochs=3", "allow_drift=[epochs,trainer]"]
    done = command("vae_lightning.train", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_without_a_compiler_one_line_says_so_and_training_goes_on(tmp_path):
    words = [*FAST, "epochs=1", "save_dir=fast", "report=false"]
    done = command(
        "vae_lightning.train", *words, cwd=tmp_path, CXX="/nowhere/c++", TORCHINDUCTOR_CACHE_DIR=str(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if "not compiled: " in line]
    assert len(told) == 1
    assert "training goes on" in told[0]
    assert words_of(tmp_path / "fast")["status"] == "completed"


@compiler
@pytest.mark.slow
@pytest.mark.parametrize("bound", OF_GROUP["bound"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_every_bound_trains_fast_to_the_same_numbers(tmp_path, bound, precision):
    runs = {}
    for name, more in (("fast", ["trainer=fast"]), ("plain", ["trainer=default"])):
        words = [*FAST, *more, "epochs=2", f"bound={bound}", f"trainer.precision={precision}", f"save_dir={name}"]
        done = command("vae_lightning.train", *words, "report=false", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        runs[name] = words_of(tmp_path / name)["metrics"]["val/elbo"]
    assert runs["fast"] == pytest.approx(runs["plain"], abs=0.3)


@compiler
@pytest.mark.slow
@pytest.mark.parametrize("latent", [["latent=vamp", "latent.components=8"], ["latent=iaf"]], ids=["vamp", "iaf"])
@pytest.mark.parametrize("bound", ["elbo", "iwae"])
def test_every_latent_trains_fast_to_the_same_numbers(tmp_path, latent, bound):
    runs = {}
    for name in ("fast", "default"):
        words = [*FAST, f"trainer={name}", "epochs=2", f"bound={bound}", *latent, "trainer.precision=32-true"]
        done = command("vae_lightning.train", *words, f"save_dir={name}", "report=false", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "not compiled" not in done.stderr
        runs[name] = words_of(tmp_path / name)["metrics"]["val/elbo"]
    assert runs["fast"] == pytest.approx(runs["default"], abs=0.3)


def test_precision_is_bfloat16_only_where_the_machine_has_it(monkeypatch, tmp_path, capsys):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "max_epochs": 1}
    for there, precision in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr(fast, "has_bfloat16", lambda accelerator, there=there: there)
        made = FastTrainer(accelerator="cpu", default_root_dir=tmp_path, **quiet)
        assert made.precision == precision
        assert ("no bfloat16" in capsys.readouterr().err) != there
    assert any(isinstance(each, CompileStep) for each in made.callbacks)
    bare = FastTrainer(accelerator="cpu", compile_mode=None, precision="32-true", **quiet)
    assert not any(isinstance(each, CompileStep) for each in bare.callbacks)


def test_what_cannot_be_compiled_is_named(foreign_fit):
    with pytest.raises(ConfigError, match=r"CompileStep\.mode=fastest"):
        CompileStep(mode="fastest")
    with pytest.raises(ConfigError, match=r"CompileStep\(method='objective'\): ForeignVAE has no such method"):
        foreign_fit(CompileStep())


def test_only_the_step_is_compiled_and_the_module_is_left_as_it_was(foreign_fit, monkeypatch):
    """Only whole batches with gradients are compiled: no smaller last batch, and no call without gradients."""
    calls = []

    class Counted(ForeignVAE):
        def objective(self, x, weight):
            calls.append((len(x), type(weight)))
            return (self.autoencode(x) - x).square().mean() * weight

        def training_step(self, batch, batch_idx):
            return self.objective(batch[0][: 3 if batch_idx == 4 else 4], 1.0)

        def validation_step(self, batch, batch_idx):
            self.objective(batch[0], 1.0)

    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    module, _ = foreign_fit(CompileStep(), module=Counted(), epochs=1, num_sanity_val_steps=0)
    assert calls == [(4, torch.Tensor)] * 4 + [(3, float)] + [(4, float)] * 5
    assert "objective" not in vars(module)


# --- no waiting for an accelerator -----------------------------------------------------------------------------------


class NoScalars(TorchDispatchMode):
    """Raises if a tensor becomes a Python number: an accelerator would have to finish all its work first."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert "_local_scalar_dense" not in str(function), "the step reads a tensor"
        return function(*args, **(kwargs or {}))


class Traced(pl.Callback):
    """Watches every step except the first, which looks at the data, and the last, after which the epoch is logged."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch, self.steps = patch, 0

    @contextmanager
    def watching(self):
        def read(*_, **__):
            raise AssertionError("the step copies a tensor to the CPU")

        with self.patch.context() as patch, NoScalars():
            for name in ("cpu", "numpy", "tolist"):
                patch.setattr(torch.Tensor, name, read)
            yield

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if 0 < batch_idx < trainer.num_training_batches - 1:
            self.manager = self.watching()
            self.manager.__enter__()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if 0 < batch_idx < trainer.num_training_batches - 1:
            self.manager.__exit__(None, None, None)
            self.steps += 1

    def on_exception(self, trainer, pl_module, exception):
        self.manager.__exit__(None, None, None)


UNCOMPILED = ["trainer=fast", "trainer.compile_mode=null", "trainer.precision=32-true"]


@pytest.mark.sample(2)
@pytest.mark.parametrize("trainer", [["trainer=default"], UNCOMPILED], ids=["default", "fast"])
@pytest.mark.parametrize("bound", OF_GROUP["bound"])
def test_a_step_reads_no_tensor(monkeypatch, tmp_path, bound, trainer):
    """The guard and the data are as on an accelerator."""
    cfg = config(
        *FAST[1:], *trainer, f"bound={bound}", "data.on_device=true", "callbacks.divergence_guard.every_n_steps=50",
        "epochs=1", "schedule=linear", "optimizer.final_lr=1e-4", "~callbacks.progress",
        "+trainer.enable_progress_bar=false",
    )  # fmt: skip
    cfg.run_dir = str(tmp_path)
    traced = Traced(monkeypatch)
    data, module = build.data_module(cfg.data), vae(cfg)
    made = build.make_trainer(cfg, data)
    made.callbacks.insert(0, traced)
    made.limit_val_batches = 0
    made.fit(module, data)
    assert traced.steps == 34


def test_the_trace_would_notice(monkeypatch, foreign_fit):
    """The negative control: a guard that waits at every step, and a step that reads its loss."""

    class Reads(ForeignVAE):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            float(loss)
            return loss

    for callbacks, module in (([DivergenceGuard("to_latent", 1)], ForeignVAE()), ([], Reads())):
        with pytest.raises(AssertionError, match="reads a tensor"):
            foreign_fit(Traced(monkeypatch), *callbacks, module=module)


# --- data in memory --------------------------------------------------------------------------------------------------


def test_rows_are_not_copied_and_batches_are_slices_of_one_tensor():
    images = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1)
    rows = torch.tensor([9, 1, 4, 0, 2])
    data = ImagesInMemory(images, images.flatten().long(), rows)
    assert data._images is images
    assert [int(data[k][0]) for k in range(len(data))] == rows.tolist()
    assert torch.equal(data.images.flatten().long(), rows)
    assert torch.equal(data.labels, rows)
    batches = list(loader(data, 2))
    assert [x.flatten().tolist() for x, _ in batches] == [[9, 1], [4, 0], [2]]
    assert torch.equal(data.to(torch.device("cpu")).images, data.images)
    assert [len(each) for each in IndexTensors(EpochShuffle(5, 0), 2, drop_last=True)] == [2, 2]
    assert list(IndexTensors(EpochShuffle(0, 0), 2, drop_last=True)) == []


def test_data_on_the_device_are_the_same_data(train):
    runs = [train(f"data.on_device={there}", "report=false") for there in ("true", "false")]
    weights = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in runs]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_raw_files_are_mapped_not_read(tmp_path):
    """Processes that open one data set share the pages of the file."""
    from vae_lightning.data.idx import mapped, parse_idx

    path = tmp_path / "images"
    path.write_bytes(bytes([0, 0, 8, 1, 0, 16, 0, 0]) + bytes(2**20))
    tensor = parse_idx(mapped(path, 2**20 + 8), path)
    assert tensor.shape == (2**20,)
    assert str(path) in Path("/proc/self/maps").read_text()
    tensor[0] = 7  # a write is private
    assert path.read_bytes()[8] == 0
