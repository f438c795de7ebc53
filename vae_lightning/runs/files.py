"""The names of the files and folders of a run, each of which stands here once."""

RECORD = "run_meta.json"
CURVES, LOG, LOSSES, USAGE = "curves", "train_log.csv", "losses.png", "latent_usage.csv"
CHECKPOINTS, BEST, LAST = "checkpoints", "best.ckpt", "last.ckpt"
RECONSTRUCTIONS, SAMPLES, TRAVERSALS = "reconstructions", "samples", "traversals"
LAYOUT = "layout"  # in the PNG of an epoch: where its images are, as JSON
EVALUATION, FIGURES = "evaluation.json", "evaluation"
PAGE, SWEEP_PAGE, SWEEP_CSV, SWEEP_TABLE = "report.html", "sweep.html", "sweep.csv", "sweep.md"
LATEST, LATEST_TEXT = "latest", "latest.txt"  # of a group
SWEEPS, JOBS, MULTIRUN = "multirun", "jobs", "multirun.yaml"  # of a project, and of a sweep
SWEEP_RECORD = "sweep.json"  # of a sweep
JOURNAL, STUDY = "optuna.journal", "study.json"  # of a sweep that is a study: for Optuna, and for the page
STOPPED = "stopped"  # of a sweep: the number of the signal that ends it
LAUNCHER_LOCK = ".launcher.lock"  # of a sweep: held by the command while its jobs depend on it

OF_TRAINING = {
    "": r"run_meta\.json|.*_epoch_\d{4,}\.pt",
    CURVES: r"(train_log|latent_usage)\.csv|losses\.png",
    CHECKPOINTS: r".*\.ckpt(\.previous)?(\.sha256)?",
    **dict.fromkeys((RECONSTRUCTIONS, SAMPLES, TRAVERSALS), r"epoch_\d{4,}\.png"),
}  # {folder: names} of the files that only a training writes, as regular expressions


def epoch_picture(epoch: int) -> str:
    """The file name of the picture of an epoch: epoch_0012.png."""
    return f"epoch_{epoch:04d}.png"
