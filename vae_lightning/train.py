"""Trains and tests a model, one or a sweep: `python -m vae_lightning.train loss=bce schedule=cyclic`."""

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vae_lightning.app import command, config, launch, launchers, sweep
from vae_lightning.app.arguments import task_overrides
from vae_lightning.app.finished import answered, skipped
from vae_lightning.app.finishing import finishing
from vae_lightning.quiet import quiet


def train(cfg: DictConfig) -> float:
    """Trains, tests, and returns the last validation ELBO (training ELBO where nothing is held out), in nats.

    The cheap checks come first; torch and Lightning are imported once there is something to do.
    """
    with sweep.recorded(cfg) as recorder:
        hydra_cfg = HydraConfig.get()
        config.check(cfg)
        overrides = task_overrides(hydra_cfg)
        config.check_added(overrides)
        if (score := skipped(cfg, recorder)) is not None:
            return score
        from vae_lightning.app.fit import fit
        from vae_lightning.app.prepare import Job, prepare

        quiet()
        launchers.share_cores()
        job = prepare(cfg, overrides, hydra_cfg.runtime.choices, launch.swept_keys())
        if not isinstance(job, Job):
            return answered(job, recorder)
        if not job.is_trial:
            recorder.becomes(job.folder, str(job.config["group"]))
        return fit(job)


def main() -> None:
    with finishing():
        command.run("train", train)


if __name__ == "__main__":  # through the import, so that a sweep's workers can find `train` by its name
    from vae_lightning.train import main as imported_main

    imported_main()
