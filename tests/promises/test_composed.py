"""R9 on the composed configuration: what a stranger's YAML, a resolver or the working folder could do before a check.

At 756e4e9 the checks read the words of the command line, and Hydra had acted before them.
"""

from functools import partial
from pathlib import Path

import pytest
from conftest import NO_NETWORK, QUICK, command

from vae_lightning import compare, evaluate, montage, train
from vae_lightning.app import fit

SECRET = "hunter2-and-more"


@pytest.fixture
def ask(answer, monkeypatch, tmp_path):
    """The main job up to where it would train: overrides -> (status, output, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fit, "fit", lambda job: 0.0)
    return partial(answer, train.main)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- D1: Hydra's own keys in a file of somebody else -----------------------------------------------------------------

MKDIR = "{_target_: os.mkdir, path: ran}"
HYDRA = [
    (f"callbacks: {{mine: {MKDIR}}}", "hydra.callbacks.mine._target_=os.mkdir"),
    (f"callbacks: {{a: {{b: [{MKDIR}]}}}}", "_target_=os.mkdir"),
    ("callbacks: {mine: {_target_: shutil.copytree, src: conf, dst: ran}}", "_target_=shutil.copytree"),
    ("launcher: {_target_: os.mkdir}", "hydra.launcher._target_=os.mkdir"),
    ("sweeper: {_target_: os.mkdir}", "hydra.sweeper._target_=os.mkdir"),
    ("job_logging: {version: 1, handlers: {x: {'()': os.mkdir, path: ran}}, root: {handlers: [x]}}", "()=os.mkdir"),
    ("job_logging: {version: 1, formatters: {x: {'()': os.mkdir, path: ran}}}", "()=os.mkdir"),
    ("job_logging: {version: 1, filters: {x: {'()': 'ext://os.mkdir', path: ran}}}", "ext://os.mkdir"),
    ("hydra_logging: {version: 1, handlers: {x: {class: logging.FileHandler, filename: ran}}}", "logging.FileHandler"),
    ("hydra_logging: {version: 1, handlers: {x: {class: logging.StreamHandler, stream: 'ext://os.x'}}}", "ext://os.x"),
    ("job: {env_set: {PATH: /evil}}", "hydra.job.env_set"),
    ("job: {chdir: true}", "hydra.job.chdir=True"),
    ("run: {dir: ran}", "hydra.run.dir=ran"),
    ("output_subdir: ran", "hydra.output_subdir=ran"),
    ("sweep: {dir: ran}", "hydra.sweep.dir=ran"),
    ("sweep: {subdir: ran}", "hydra.sweep.subdir=ran"),
]


@pytest.mark.sample(10)
@pytest.mark.parametrize(("yaml", "named"), HYDRA)
@pytest.mark.parametrize("flag", [[], ["-m"]])
def test_a_file_cannot_have_hydra_act_for_it(ask, tmp_path, yaml, named, flag):
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "theirs.yaml").write_text(f"# @package _global_\nhydra:\n  {yaml}\n")
    before = files(tmp_path)
    status, _, err = ask(*flag, "--config-dir=conf", "experiment=theirs", *NO_NETWORK)
    assert (status, err.count("\n")) == (2, 1), err
    assert err.startswith("error: hydra.")
    assert named in err
    assert files(tmp_path) == before


def test_a_file_of_one_job_of_a_sweep_is_no_exception(ask, tmp_path):
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "theirs.yaml").write_text("# @package _global_\nhydra: {output_subdir: ran}\n")
    (tmp_path / "conf" / "experiment" / "ours.yaml").write_text("# @package _global_\nseed: 3\n")
    status, _, err = ask("-m", "--config-dir=conf", "experiment=ours,theirs", *NO_NETWORK)
    assert status == 2
    assert "hydra.output_subdir=ran" in err
    assert not (tmp_path / "ran").exists()


def test_only_the_command_line_trusts_a_package(ask, tmp_path):
    """A file that names a class could name its package as well."""
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "theirs.yaml").write_text(
        f"# @package _global_\nallow_targets: [os.]\ncallbacks: {{mine: {MKDIR}}}\n"
    )
    status, _, err = ask("--config-dir=conf", "experiment=theirs", *NO_NETWORK)
    assert (status, err.startswith("error: allow_targets=['os.']: a file says it")) == (2, True)
    assert not (tmp_path / "ran").exists()


def test_evaluate_looks_at_the_classes_of_its_data_too(answer, finished_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = answer(evaluate.main, f"run={finished_run}", "+data._target_=os.mkdir", "+data.path=ran")
    assert (status, "data._target_=os.mkdir" in err) == (2, True)
    assert files(tmp_path) == []


# --- D2: an environment variable by a roundabout way -----------------------------------------------------------------

ROUNDABOUT = [
    ["name=${oc.${group}:MY_SECRET}", "group=env"],
    ["name='${${group}:MY_SECRET}'", "group=oc.env"],
    ["name=${oc.env:MY_SECRET}"],
    ["name=${data.dir}", "data.dir=${oc.env:MY_SECRET}"],
    ["name=${hydra:job.env_set.X}", "+hydra.job.env_set.X=${oc.env:MY_SECRET}"],
    ["group=${oc.decode:${oc.env:MY_SECRET}}"],
    ["+callbacks.curve_log.columns={a: '${oc.env:MY_SECRET}'}"],
    ["optimizer.betas=['${oc.env:MY_SECRET}',0.1]"],
    ["name=x${save_dir}", "save_dir=${oc.env:MY_SECRET}"],
]


@pytest.mark.sample(6)
@pytest.mark.parametrize("flag", [[], ["-m"]])
@pytest.mark.parametrize("words", ROUNDABOUT, ids=lambda words: words[0])
def test_a_variable_reaches_no_value_but_a_folder(ask, tmp_path, monkeypatch, words, flag):
    monkeypatch.setenv("MY_SECRET", SECRET)
    status, out, err = ask(*flag, *words, *NO_NETWORK)
    assert status == 2, err
    assert SECRET not in out + err
    assert [name for name in files(tmp_path) if SECRET in name] == []
    assert [path for path in tmp_path.rglob("*") if path.is_file() and SECRET in path.read_text()] == []


def test_a_variable_may_name_a_folder(ask, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_FOLDER", str(tmp_path / "elsewhere"))
    assert ask("project_dir=${oc.env:MY_FOLDER}/o", "group=g", *QUICK)[0] == 0
    assert (tmp_path / "elsewhere" / "o" / "g" / "latest").exists()


# --- D3: the working folder ------------------------------------------------------------------------------------------


def test_a_folder_of_plugins_in_the_working_folder_is_not_imported(tmp_path):
    (tmp_path / "hydra_plugins" / "theirs").mkdir(parents=True)
    (tmp_path / "hydra_plugins" / "theirs" / "__init__.py").write_text("open('ran', 'w').close()\n")
    (tmp_path / "hydra_plugins" / "theirs" / "plugin.py").write_text("open('ran', 'w').close()\n")
    done = command("vae_lightning.train", "--cfg", "job", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()


# --- D4: flags -------------------------------------------------------------------------------------------------------


def test_flags_may_stand_anywhere(ask, monkeypatch):
    seen = []
    monkeypatch.setattr(fit, "fit", lambda job: seen.append(job.config["seed"]) or 0.0)
    assert ask("epochs=2", "-m", "seed=1,2", "name=a", *NO_NETWORK)[0] == 0
    assert seen == [1, 2]


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--foo", "--foo: no such flag"),
        ("--multi-run", "did you mean --multirun?"),
        ("--config-dir", "--config-dir/-cd: expected one argument"),
        ("--cfg=nothing", "invalid choice: 'nothing'"),
        ("--experimental-rerun=x.pickle", "reads a pickle"),
    ],
)
def test_a_wrong_flag_is_one_line(ask, tmp_path, flag, said):
    status, out, err = ask("epochs=2", flag)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert said in err
    assert "usage" not in err
    assert files(tmp_path) == []


# --- D4 to D6: what was found late, or answered beside the point -----------------------------------------------------

TRAIN = [
    ("+trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches=0: must be"),
    ("+trainer.check_val_every_n_epoch=0", "trainer.check_val_every_n_epoch=0: must be"),
    ("trainer.num_sanity_val_steps=abc", "trainer.num_sanity_val_steps=abc: must be"),
    ("+trainer.val_check_interval=1000000", "trainer.val_check_interval=1000000: an epoch has 36 batches"),
    ("+trainer.num_nodes=2", "trainer.num_nodes=2: this process would wait for the others"),
    ("+trainer.gradient_clip_val=-1", "trainer.gradient_clip_val=-1: must be"),
    ("+trainer.benchmark=3", "trainer.benchmark=3: must be"),
    ("+trainer.deterministic=maybe", "trainer.deterministic=maybe: must be"),
    ("loss._target_=torch.nn.MSELoss", "loss: MSELoss has no num_parameters"),
    ("bound._target_=torch.nn.Identity", "bound: Identity has no num_samples"),
    ("data._target_=torch.nn.Identity", "data: Identity has no prepare_data"),
    ("callbacks.beta_annealing.attribute=nope", "BetaAnnealing(attribute='nope'): VAE has no number of that name"),
    ("+callbacks.latent_usage.encode=nope", "LatentUsage(encode='nope'): VAE has no such method"),
    ("+callbacks.reconstruction_grid.reconstruct=nope", "ReconstructionGrid(reconstruct='nope'): VAE has no such"),
    ("+callbacks.sample_grid.sample=nope", "SampleGrid(sample='nope'): VAE has no such method"),
    ("+callbacks.latent_traversal.decode=nope", "LatentTraversal(decode='nope'): VAE has no such method"),
    ("+callbacks@callbacks.b=output_bias", "OutputBias(bias='network.decoder.4.bias'): VAE has no parameter"),
    ("data.dir=null", "data.dir=None: must be a folder"),
    ("data.seed=abc", "data.seed=abc: must be a whole number"),
    ("data.on_device=3", "data.on_device=3: must be true or false"),
    ("data.val_size=60000", "data.val_size=60000: must be less than the 60000 images"),
    ("optimizer.lr=null", "optimizer.lr=None: must be a finite number"),
    ("group=[a]", "group=['a']: must be a name"),
    ("name=[a]", "name=['a']: must be a name"),
    ("callbacks.early._target_=lightning.pytorch.callbacks.EarlyStopping", "no such key"),
]


@pytest.mark.sample(10)
@pytest.mark.parametrize(("word", "said"), TRAIN, ids=lambda text: text[:50])
def test_a_mistake_is_found_before_a_folder_is_made(ask, tmp_path, word, said):
    status, _, err = ask(*QUICK, word)
    assert (status, said in err) == (2, True), err
    assert "always work" not in err
    assert files(tmp_path) == []


OTHERS = [
    (evaluate, "curve=3", "curve=3: must be a list"),
    (evaluate, "checkpoint=3", "checkpoint=3: must"),
    (evaluate, "run=null", "run=None: must be a run folder"),
    (evaluate, "+ais.chains=1", "+ais.chains=1: nothing reads this key; did you mean ais.num_chains=1?"),
    (evaluate, "+foo=1", "+foo=1: nothing reads this key"),
    (evaluate, "ais=null", "ais=None: must hold num_images"),
    (evaluate, "device=meta", "device=meta: "),
    (evaluate, "device=nope", "device=nope: "),
    (montage, "folder=null", "folder=None: must be a name in the run folder"),
    (montage, "folder=../x", "folder=../x: must be a name in the run folder"),
    (montage, "pattern=//etc/*", "pattern=//etc/*: must be a name in the run folder"),
    (montage, "font_size=100000", "font_size=100000: must be"),
    (montage, "+gap=3", "+gap=3: nothing reads this key"),
    (compare, "+foo=1", "+foo=1: nothing reads this key"),
    (compare, "runs=null", "runs=None: must be"),
]


@pytest.mark.parametrize(("command", "word", "said"), OTHERS, ids=lambda part: str(getattr(part, "__name__", part)))
def test_every_command_checks_its_keys(answer, finished_run, command, word, said):
    key = word.partition("=")[0]
    where = [f"runs=[{finished_run}]" if command is compare else f"run={finished_run}"]
    status, out, err = answer(command.main, *(where if key not in ("run", "runs") else []), word)
    assert (status, said in err, err.count("\n")) == (2, True, 1), out + err


def test_a_sheet_has_a_size(answer, finished_run, tmp_path, monkeypatch):
    """At 756e4e9 a picture of 900 megapixels took all memory."""
    monkeypatch.setattr("vae_lightning.pages.base.pictures.MOST_PIXELS", 100)
    monkeypatch.setattr("vae_lightning.app.sheet.MOST_PIXELS", 100)
    status, _, err = answer(montage.main, f"run={finished_run}", f"output={tmp_path / 'sheet.png'}")
    assert (status, err.count("\n")) == (2, 1)
    assert "pixels" in err
    assert files(tmp_path) == []
