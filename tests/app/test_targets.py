"""What a configuration may name: our classes, Lightning's and a few of torch's; nothing that runs code of a file."""

import importlib
import json
import shutil

import pytest
import torch
from conftest import NO_NETWORK, config
from omegaconf import OmegaConf

from vae_lightning.app.config import CONF
from vae_lightning.app.trust import check_targets, targets
from vae_lightning.errors import ConfigError
from vae_lightning.parts import rebuild

DANGEROUS = [
    "os.system", "os.popen", "os.execv", "posix.system", "subprocess.run", "subprocess.Popen", "builtins.eval",
    "subprocess.check_output", "builtins.exec", "builtins.__import__", "importlib.import_module", "runpy.run_path",
    "pickle.loads",
    "shutil.rmtree", "pathlib.Path.unlink", "torch.load", "torch.hub.load", "torch.utils.cpp_extension.load",
    "vae_lightning.app.command.os.system", "vae_lightning.train.command.sys.exit",
    "torch.nn.modules.module.functools.partial",
    "lightning.pytorch.trainer.call.signal.raise_signal", "hydra.utils.instantiate", "lightning_evil.Thing",
]  # fmt: skip
SLOTS = ["callbacks.x", "logger", "network", "loss", "latent", "bound", "schedule", "optimizer", "data", "trainer"]


@pytest.mark.sample(8)
@pytest.mark.parametrize("target", DANGEROUS)
def test_dangerous_targets_are_refused_in_every_slot(tmp_path, monkeypatch, target):
    from vae_lightning import train

    monkeypatch.chdir(tmp_path)
    original = config(*NO_NETWORK)
    for slot in SLOTS:
        cfg = original.copy()
        OmegaConf.update(cfg, slot, {"_target_": target, "command": "touch ran"}, force_add=True)
        with pytest.raises(ConfigError, match=r"_target_="):
            train.train(cfg)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_imported_for_a_name_that_begins_wrong(tmp_path, monkeypatch):
    (tmp_path / "evil_on_import.py").write_text("import pathlib\npathlib.Path('ran').touch()\nclass Thing: ...\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"a\.0\._target_=evil_on_import\.Thing: not among"):
        check_targets({"a": [{"_target_": "evil_on_import.Thing"}]})
    assert not (tmp_path / "ran").exists()
    check_targets({"a": {"_target_": "evil_on_import.Thing"}}, ["evil_on_import."])  # named by the user


@pytest.mark.parametrize(
    "target", [None, 3, ["os.system"], "", "Thing", "vae_lightning.", "vae_lightning.nothing.Here"]
)
def test_what_is_no_class_is_refused(target):
    with pytest.raises(ConfigError, match=r"x\._target_="):
        check_targets({"x": {"_target_": target}})


@pytest.mark.parametrize(
    "path",
    [p for p in sorted(CONF.glob("*/**/*.yaml")) if p.relative_to(CONF).parts[0] != "hydra"],
    ids=lambda p: p.stem,
)
def test_everything_in_conf_is_allowed(path):
    check_targets(OmegaConf.to_container(OmegaConf.load(path)))


def test_optimisers_and_layers_of_torch_are_allowed():
    check_targets({"a": {"_target_": "torch.optim.SGD"}, "b": {"_target_": "torch.nn.Linear"}})


@pytest.mark.parametrize(
    "name", ["network.importlib", "network.stack", "loss.torch", "os.system", "network.", "nn.Linear"]
)
def test_a_checkpoint_builds_nothing_but_parts(name):
    with pytest.raises(ConfigError, match="is not a part of vae_lightning"):
        rebuild({"class": name})


def test_the_walk_finds_targets_at_every_depth():
    node = {"a": [{"_target_": "x"}, [{"b": {"_target_": "y"}}]], "_target_": "z"}
    assert dict(targets(node)) == {"a.0._target_": "x", "a.1.0.b._target_": "y", "_target_": "z"}


class Evil:
    """A pickle that makes a file when it is read."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.sample(2)
@pytest.mark.parametrize("where", ["overrides", "pickle", "instantiator"])
@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_nothing_in_a_strangers_run_folder_is_run(train, answer, tmp_path, command, where):
    """Saved overrides with a `_target_`, a checkpoint that is a pickle, one that names a function to call."""
    run, ran = train("latent.dim=2", "callbacks.latent_traversal.size=3"), tmp_path / "ran"
    meta = json.loads((run / "run_meta.json").read_text())
    meta["status"] = "interrupted"
    if where == "overrides":
        meta["overrides"].append(f"+callbacks.x={{_target_:os.mkdir,path:{ran}}}")
    (run / "run_meta.json").write_text(json.dumps(meta))
    for path in (run / "checkpoints").glob("*.ckpt"):
        content = torch.load(path, weights_only=True)
        if where == "pickle":
            content["state_dict"]["x"] = Evil(ran)
        if where == "instantiator":
            content["hyper_parameters"] |= {"_instantiator": "os.mkdir", "_class_path": "os.mkdir", "path": str(ran)}
            content["hyper_parameters"]["network"] = {"class": "os.mkdir", "path": str(ran)}
        torch.save(content, path)
        path.with_name(f"{path.name}.sha256").unlink()
    words = {"train": [f"resume={run}"], "evaluate": [f"run={run}", "num_samples=2", "curve=[]"]}[command]
    status, _, err = answer(importlib.import_module(f"vae_lightning.{command}").main, *words)
    assert not ran.exists()
    assert "Traceback" not in err
    expected = {("train", "overrides"): 2, ("evaluate", "overrides"): 0, ("train", "instantiator"): 0}
    expected["evaluate", "instantiator"] = 0  # the model comes from the configuration; nothing reads the names
    assert status == expected.get((command, where), 4), err


def test_a_saved_run_cannot_run_code(train, tmp_path, monkeypatch, capsys):
    run = train("latent.dim=2", "callbacks.latent_traversal.size=3")
    evil = tmp_path / "evil"
    shutil.copytree(run, evil)
    meta = json.loads((evil / "run_meta.json").read_text())
    meta["config"]["data"]["files"] = {"_target_": "os.system", "command": f"touch {tmp_path / 'ran'}"}
    (evil / "run_meta.json").write_text(json.dumps(meta))
    main = importlib.import_module("vae_lightning.evaluate").main
    monkeypatch.setattr("sys.argv", ["evaluate", f"run={evil}"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "files._target_=os.system" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()
