"""The main job: `python -m vae_lightning.train loss=bce schedule=cyclic`."""

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vae_lightning.app import command, config, launch, launchers, sweep
from vae_lightning.app.arguments import task_overrides
from vae_lightning.output import say


def train(cfg: DictConfig) -> float:
    """Trains, tests, and returns the last validation ELBO (training ELBO where nothing is held out), in nats.

    The cheap checks come first; torch and Lightning are imported once there is something to do.
    """
    with sweep.recorded(cfg) as recorder:
        hydra_cfg = HydraConfig.get()
        config.check(cfg)
        overrides = task_overrides(hydra_cfg)
        config.check_added(overrides)
        from vae_lightning.app.fit import fit
        from vae_lightning.app.prepare import Job, prepare

        command.quiet()
        launchers.share_cores()
        job = prepare(cfg, overrides, hydra_cfg.runtime.choices, launch.swept_keys())
        if not isinstance(job, Job):
            recorder.becomes(job.path, str(job.config["group"]))
            say(f"{job.path}: completed, nothing to do")
            return job.score
        if not job.is_trial:
            recorder.becomes(job.folder, str(job.config["group"]))
        return fit(job)


def main() -> None:
    try:
        command.run("train", train)
    finally:
        sweep.finish()


if __name__ == "__main__":  # through the import, so that a sweep's workers can find `train` by its name
    from vae_lightning.train import main as imported_main

    imported_main()
