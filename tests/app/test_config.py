"""conf/ mirrors the code, and every option in it works."""

import inspect
import json
import re
from pathlib import Path

import pytest
from conftest import NO_NETWORK, ROOT, command, config, vae
from hydra.utils import get_class
from omegaconf import OmegaConf
from options import GROUPS, OF_GROUP

from vae_lightning import VAE, train
from vae_lightning.app.build import build
from vae_lightning.app.config import CONF

OPTIONS = sorted(path.relative_to(CONF) for path in CONF.glob("*/**/*.yaml"))


def targets(node) -> list[str]:
    """Every _target_ in a YAML file, nested ones too."""
    if isinstance(node, dict):
        own = [node["_target_"]] if "_target_" in node else []
        return own + [target for value in node.values() for target in targets(value)]
    return [target for value in node for target in targets(value)] if isinstance(node, list) else []


@pytest.mark.parametrize("path", OPTIONS, ids=str)
def test_an_option_is_short_block_style_and_says_what_it_is(path):
    lines = (CONF / path).read_text().splitlines()
    head = lines[1] if lines[0].startswith("# @package") else lines[0]
    assert head.startswith("# ")
    assert len(head) > 20
    assert len(lines) <= (80 if path.parts[0] == "reproduce" else 18)
    assert not any(re.search(r": \{.*:", line) for line in lines)  # no mapping in flow style


@pytest.mark.parametrize("path", [path for path in OPTIONS if path.parts[0] != "hydra"], ids=str)
def test_a_group_is_a_module_and_its_targets_exist(path):
    for target in targets(OmegaConf.to_container(OmegaConf.load(CONF / path))):
        kind = get_class(target)
        if target.startswith("vae_lightning"):
            assert target.startswith("vae_lightning." + ".".join(path.parent.parts))
        node = OmegaConf.load(CONF / path)
        if "_target_" in node:
            accepted = set()
            for each in kind.__mro__:
                parameters = inspect.signature(each).parameters
                accepted |= {*parameters}
                if "options" not in parameters:  # else handed on to what it extends
                    break
            assert {str(key) for key in node} - {"_target_", "defaults"} <= accepted


@pytest.mark.parametrize("group", [*GROUPS, "callbacks", "logger", "trainer"])
def test_every_class_has_its_yaml(group):
    import importlib

    module = importlib.import_module(f"vae_lightning.{group}")
    own = {f"vae_lightning.{group}.{name}" for name, value in vars(module).items() if is_option(value, group)}
    declared = {
        target
        for path in CONF.glob(f"{group}/*.yaml")
        for target in targets(OmegaConf.to_container(OmegaConf.load(path)))
        if target.startswith("vae_lightning.")
    }
    assert own == declared


def is_option(value: object, group: str) -> bool:
    """A public class of the module that a configuration can choose."""
    helpers = {"Likelihood", "Network", "Latent", "Posterior", "AnyPosterior", "Prior", "Terms", "Bound"}
    helpers |= {"Pruning"}  # takes a trial, which no YAML has
    helpers |= {"Together"}  # what Muon makes: two optimizers of torch as one
    if not inspect.isclass(value) or value.__name__ in helpers:
        return False
    return value.__module__.startswith(f"vae_lightning.{group}")


@pytest.mark.parametrize(("group", "option"), [(group, option) for group in GROUPS for option in OF_GROUP[group]])
def test_every_option_composes_and_builds(group, option):
    cfg = config(f"{group}={option}")
    assert vae(cfg).latent.dim == cfg.latent.dim
    assert 0 <= build(cfg.schedule)(0.3) <= 1


@pytest.mark.sample(1)
@pytest.mark.parametrize("bound", OF_GROUP["bound"])
def test_every_bound_trains_and_logs_itself_beside_the_elbo(train, bound):
    run = train(f"bound={bound}", "beta=0.5", "~callbacks.latent_traversal")
    metrics = json.loads((run / "run_meta.json").read_text())["metrics"]
    assert metrics["val/elbo"] == pytest.approx(-(metrics["val/recon"] + metrics["val/kl"]), rel=1e-5)
    own = [key for key in metrics if key.startswith(("val/iwae_", "val/miwae_"))]
    assert len(own) == ("iwae" in bound)
    assert all(metrics[key] > metrics["val/elbo"] for key in own)


@pytest.mark.sample(4)
@pytest.mark.parametrize(
    ("loss", "schedule"),
    [(loss, "linear") for loss in OF_GROUP["loss"]] + [("bce_logits", schedule) for schedule in OF_GROUP["schedule"]],
)
def test_every_loss_and_every_schedule_trains(train, loss, schedule):
    run = train(f"loss={loss}", f"schedule={schedule}", "latent.dim=3", "callbacks.latent_traversal.rows=2")
    assert (run / "curves" / "train_log.csv").read_text().count("\n") == 2
    again = VAE.load_from_checkpoint(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert again.sample(2, seed=0).isfinite().all()


@pytest.mark.sample(4)
@pytest.mark.parametrize(
    ("network", "latent"),
    [(network, "z2") for network in OF_GROUP["network"]] + [("mlp", latent) for latent in OF_GROUP["latent"]],
)
def test_every_network_and_every_latent_trains(train, network, latent):
    run = train(f"network={network}", f"latent={latent}", "callbacks.latent_traversal.size=4")
    assert (run / "traversals" / "epoch_0001.png").is_file()


def test_root_keys_reach_where_they_belong():
    cfg = config("batch_size=7", "beta=3", "network.hidden=[9]", "epochs=4", "seed=5", "save_weights=true", "lr=0.1")
    assert cfg.data.batch_size == 7
    assert cfg.schedule.beta == 3
    assert vae(cfg).network.hidden == [9]
    assert cfg.trainer.max_epochs == 4
    assert cfg.data.seed == 5
    assert cfg.callbacks.epoch_weights.enabled is True
    assert vae(cfg).optimizer.lr == 0.1


def test_defaults_are_the_predecessors():
    cfg = config()
    assert (cfg.epochs, cfg.batch_size, cfg.lr, cfg.latent.dim, cfg.beta, cfg.seed) == (20, 128, 1e-3, 20, 1.0, 42)
    assert (cfg.reduction, cfg.save_weights, cfg.date_prefix) == ("mean", False, True)
    assert vae(cfg).network.hidden == [400]
    assert vae(config("network=mlp_paper")).network.hidden == [500]


MISTAKES = {
    "loss=bcee": (2, "did you mean bce"),
    "bta=1": (2, "bta=1: no such key"),
    "beta=-1": (2, "beta=-1: must be"),
    "beta=nan": (2, "beta=nan: must be"),
    "beta=abc": (2, "beta=abc: must be"),
    "beta=inf": (2, "beta=inf: must be"),
    "+bta=1": (2, "did you mean beta=1?"),
    "scheduler=cyclic": (2, "did you mean schedule=cyclic?"),
    "loss=bce,mse": (2, "--multirun"),
    "loss=null": (2, "group=option"),
    "beta": (2, "neither key=value nor group=option"),
    "=1": (2, "key=value"),
    "+=1": (2, "+=1: no key before '='"),
    "latent.dim=0": (2, "latent.dim=0: must be"),
    "latent.dim=-3": (2, "latent.dim=-3: must be"),
    "latent.dim=2.5": (2, "latent.dim=2.5: must be"),
    "latent.dim=1e9": (2, "latent.dim=1000000000.0: must be a whole number"),
    "latent.dim=1000000000": (2, "GiB for the weights alone"),
    "network.hidden=[1000000000]": (2, "GiB for the weights alone"),
    "schedule=cyclic schedule.cycles=0": (2, "schedule.cycles=0: must be"),
    "schedule=cyclic schedule.cycles=1000000": (2, "more than the 720 steps"),
    "schedule=cyclic schedule.ratio=1.5": (2, "schedule.ratio=1.5: must be"),
    "schedule=cyclic schedule.ratio=nan": (2, "schedule.ratio=nan: must be"),
    "batch_size=0": (2, "batch_size=0: must be"),
    "batch_size=-1": (2, "batch_size=-1: must be"),
    "batch_size=100000": (2, "more than the 4500 training images"),
    "epochs=0": (2, "epochs=0: must be"),
    "trainer.max_epochs=0": (2, "trainer.max_epochs=0: must be"),
    "+trainer.max_steps=0": (2, "nothing would be trained"),
    "+trainer.limit_train_batches=0": (2, "nothing would be trained"),
    "lr=0": (2, "lr=0: must be"),
    "lr=-1": (2, "lr=-1: must be"),
    "lr=nan": (2, "lr=nan: must be"),
    "optimizer.lr=abc": (2, "optimizer.lr=abc: must be"),
    "data.num_workers=-1": (2, "data.num_workers=-1: must be"),
    "data.num_workers=10000": (2, "8 for each core"),
    "data.val_size=0.5": (2, "data.val_size=0.5: must be"),
    "data.dir=file": (3, "is a file"),
    "seed=-1": (2, "seed=-1: must be"),
    "seed=18446744073709551616": (2, "must be a whole number"),
    "seed=abc": (2, "seed=abc: must be"),
    "network.hidden=[0]": (2, "network.hidden=[0]: must be"),
    "network.activation=rely": (2, "network.activation=rely: did you mean relu?"),
    "network.initial=glorott": (2, "did you mean glorot?"),
    "hidden_dim=0": (2, "here it is network.hidden=0"),
    "+hidden_dim=8,16": (2, "here it is network.hidden=8,16"),
    "loss.reduction=sum": (2, "here it is reduction=sum"),
    "hidden_dim": (2, "here it is network.hidden=VALUE"),
    "trainer.precision=foo": (2, "must be one of 32-true"),
    "trainer.devices=0": (2, "trainer.devices=0"),
    "trainer.devices=4096": (2, "trainer.devices=4096: this machine has"),
    "name=../../x": (2, "must be the name of one folder"),
    "name=/abs": (2, "must be the name of one folder"),
    "name=.": (2, "must be the name of one folder"),
    "name=''": (2, "must not be empty"),
    "group=''": (2, "must not be empty"),
    f"name={'x' * 300}": (2, "300 bytes long; must be at most 200"),
    f"name={'é' * 120}": (2, "240 bytes long"),
    "name='a\x1b[31mb'": (2, "name=a\\x1b[31mb: must be the name of one folder"),
    "name='a\x00b'": (2, "name=a\\x00b: must be the name of one folder"),
    "name='a\nb'": (2, "must be the name of one folder"),
    "name='${oc.env:HOME}'": (2, "name=${oc.env:HOME}: an environment variable may name a folder only"),
    "reduction=${oc.env:HOME}": (2, "reduction=${oc.env:HOME}: an environment variable"),
    "hydra.run.dir=/elsewhere": (2, "Hydra makes no folders here"),
    "+hydra.run.dir=../elsewhere": (2, "Hydra makes no folders here"),
    "hydra.run={dir:../elsewhere}": (2, "Hydra makes no folders here"),
    "hydra={run:{dir:../elsewhere}}": (2, "Hydra makes no folders here"),
    "hydra.sweep.subdir=same": (2, "Hydra makes no folders here"),
    "hydra.output_subdir=.hydra": (2, "Hydra makes no folders here"),
    "hydra/launcher=rq": (2, "not installed; pip install hydra-rq-launcher"),
    "hydra/launcher=slrm": (2, "no such option; did you mean slurm? (basic, joblib, ray, "),
    "hydra/launcher=joblib hydra.launcher.n_jobs=0": (2, "hydra.launcher.n_jobs=0: must be the number of jobs at once"),
    "hydra/launcher=joblib hydra.launcher.n_jobs=two": (2, "hydra.launcher.n_jobs=two: must be the number of jobs"),
    "hydra/launcher=joblib hydra.launcher.njobs=2": (2, "no such key; did you mean n_jobs?"),
    "hydra/sweeper=optuna": (2, "not installed; pip install 'vae-lightning[optuna]', and say sweep=optuna"),
    "project_dir=null": (2, "project_dir=None: must be a folder"),
    "allow_targets=3": (2, "must be a list"),
    "resume=nowhere": (4, "no such folder"),
    "resume=file": (4, "no such folder"),
    "reduction=none": (2, "784 times"),
    "data.protocol=gray": (2, "did you mean grey"),
    "group=../../x": (2, "must be the name of one folder"),
    "schedule=linear schedule.length=30 schedule.unit=epochs": (2, "which has 20"),
    "callbacks.sample_grid.every_n_epochs=0": (2, "every_n_epochs=0"),
    "trainer.accelerator=nope": (2, "nope"),
    "logger=wandb": (2, "no W&B key"),
    "trainer.precision=16-true": (2, "log densities need more digits than a 16-bit number has; use 32-true"),
    "trainer.precision=bf16-true": (2, "use 32-true or bf16-mixed"),
    "trainer.precision=bf16-mixd": (2, "did you mean bf16-mixed?"),
    "trainer.limit_val_batches=2": (2, "trainer.limit_val_batches=2: trainer=default has no such key"),
    "data.allow_subset=false": (3, "VAE_LIGHTNING_DATA"),
    "project_dir=file": (6, "choose another project_dir"),
}


@pytest.mark.sample(40)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_get_one_line_a_status_and_no_folder(answer, monkeypatch, tmp_path, mistake):
    """In this process, through the same entry as the command line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    status, says = MISTAKES[mistake]
    ended, _, err = answer(train.main, *([mistake] if "'" in mistake else mistake.split()), *NO_NETWORK)
    told = [line for line in err.splitlines() if line.startswith("error: ")]
    assert ended == status
    assert len(told) == 1
    assert told[0].isprintable()
    assert str(Path.home()) not in told[0]
    assert says in told[0]
    assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_help_answers_without_torch_and_makes_no_folder(tmp_path):
    probe = (
        "import sys, runpy\n"
        "sys.argv = ['train', sys.argv[1]] + (['job'] if sys.argv[1] == '--cfg' else [])\n"
        "try: runpy.run_module('vae_lightning.train', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'lightning', 'torchvision', 'matplotlib', 'wandb'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))\n"
    )
    (tmp_path / "probe.py").write_text(probe)
    for flag in ("--help", "--cfg"):
        done = command("probe", flag, cwd=tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}")
        assert "reduction" in done.stdout
        assert done.stdout.strip().endswith("HEAVY []")
    assert {path.name for path in tmp_path.iterdir()} <= {"probe.py", "__pycache__"}


def test_the_top_level_is_the_owners():
    allowed = {"vae_lightning", "conf", "tests", "outputs", "pyproject.toml", "README.md", "README.ja.md", "LICENSE"}
    allowed |= {"LICENSE-THIRD-PARTY.md", "Makefile", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks", "docs"}
    allowed |= {"CITATION.cff", "mkdocs.yml"}
    assert {path.name for path in Path(ROOT).iterdir() if not path.name.startswith(".")} - allowed <= {"dist", "data"}
