"""The numbers of trained runs, each with what it is: `python -m vae_lightning.evaluate run=DIR num_samples=5000`."""

from functools import partial
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from vae_lightning.app import command, renewing
from vae_lightning.app.config import FOLDERS_OF_RUNS, TEXT, WORDS, check_keys
from vae_lightning.errors import ConfigError, printable, shown
from vae_lightning.output import say
from vae_lightning.rules import Rule, one_of, optional, whole
from vae_lightning.runs.files import EVALUATION, FIGURES
from vae_lightning.runs.named import named
from vae_lightning.runs.place import check_writable

BLOCKS = ("ais", "appendix_d", "quantised")
COUNTS = ["num_samples", "rows", "batch_size", "ais.num_chains", "ais.num_temperatures", "ais.num_leapfrog"]
COUNTS += ["appendix_d.num_samples", "appendix_d.num_chains", "appendix_d.num_leapfrog", "quantised.num_samples"]
BLOCK = Rule(OmegaConf.is_dict, "must hold num_images and others; --cfg job shows them")
RULES = {"run": FOLDERS_OF_RUNS, "split": one_of(("test", "val", "train"))} | {name: whole(1) for name in COUNTS}
RULES |= {"num_images": optional(whole(1)), "allow_targets": WORDS}
RULES |= {name: whole(0) for name in ("seed", *(f"{block}.num_images" for block in BLOCKS))}
RULES = {name: BLOCK for name in BLOCKS} | RULES  # first: they hold others
CURVE = Rule(lambda v: OmegaConf.is_list(v) and all(map(whole(1).holds, v)), "must be a list of whole numbers >= 1")
RULES |= {"device": TEXT, "curve": CURVE} | {name: optional(TEXT) for name in ("checkpoint", "data_dir", "protocol")}


def evaluate(cfg: DictConfig) -> None:
    """Evaluates each run that `run` names; one that cannot be is answered in one line. Then renews the sweep pages."""
    check_keys(cfg, RULES)
    folders = named(cfg.run)
    if cfg.checkpoint and len(folders) > 1:
        raise ConfigError(
            f"checkpoint={cfg.checkpoint}: it is of one run, and run={shown(cfg.run)} names {len(folders)}"
        )
    try:
        command.for_each(folders, partial(evaluate_run, cfg=cfg))
    finally:
        renewing.renew(folders)


def evaluate_run(folder: Path, cfg: DictConfig) -> None:
    """Measures one run that can be written to, prints the table, and writes evaluation.json and figures."""
    from vae_lightning.app import restore
    from vae_lightning.evaluation import measure, summary
    from vae_lightning.evaluation.result import read, write
    from vae_lightning.runs.run import open_run

    run = open_run(folder)
    command.tell_broken(run)
    say(f"run folder: {printable(run.path)}")
    check_writable(run.path, EVALUATION, FIGURES)
    path, old = run.checkpoint(cfg.checkpoint), read(run)
    module = restore.load(run, path, cfg.device, cfg.allow_targets)
    data = restore.as_trained(restore.data_of(run, cfg.get("data"), cfg.data_dir, cfg.allow_targets), path)
    restore.check_protocol(run, data, cfg.protocol)
    slower = measure.chosen({block: dict(cfg[block]) for block in BLOCKS}, module.latent.dim)
    x = restore.images(run, data, cfg.split, cfg.num_images).to(module.device)
    module.model.check(x)
    source = restore.source(run, path, data, cfg.split, cfg.seed)
    measured = measure.measure(module.model, x, source, cfg.num_samples, list(cfg.curve), cfg.rows)
    measured.results.extend(measure.estimated(estimate, module.model, x, source) for estimate in slower)
    if number := cfg.quantised.num_images:
        train = restore.images(run, data, "train", None).to(x.device)
        measured.results.append(measure.factorised(train, x[:number], source))
    say(summary.table(measured))
    write(run, old, measured.results)
    summary.figures(measured, run.path / FIGURES)
    say(f"in the run folder: {EVALUATION}, {FIGURES}/*.png")


def main() -> None:
    command.run("evaluate", evaluate)


if __name__ == "__main__":
    main()
