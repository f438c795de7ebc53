"""A page that opens from disk: `python -m vae_lightning.report DIR`.

Of a run's folder report.html, of a folder of runs sweep.html.
"""

import sys
from pathlib import Path

from vae_lightning.errors import ConfigError, UserError

USAGE = """usage: python -m vae_lightning.report DIR [data_dir=DIR]

DIR: a run folder or a group's latest (writes DIR/report.html); or a folder of runs (writes DIR/sweep.html)
data_dir: where the run's data are now, if they moved"""


def report(folder: Path, data_dir: str | None = None) -> Path:
    """Writes the page of a run, or of a folder with runs in it.

    Raises ConfigError where it is neither, CheckpointError where the run's checkpoint is damaged: its page is written
    all the same, without an explorer.
    """
    from vae_lightning.runs.run import open_run

    latest = folder.name == "latest"
    if latest or (folder / "run_meta.json").is_file():
        from vae_lightning.app.facts import facts_of_config
        from vae_lightning.app.restore import shown
        from vae_lightning.pages.run.page import write_run_page

        run = open_run(folder)
        look, mistake = shown(run, data_dir=data_dir)
        path = write_run_page(run, look, {} if run.parts else facts_of_config(run.config))
        if mistake is not None:
            raise mistake
        return path
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; name a run's folder, or a folder of runs")
    if data_dir is not None:
        raise ConfigError(f"data_dir={data_dir}: only a run's page reads data, and {folder} is not a run folder")
    from vae_lightning.pages.sweep.page import write_sweep_page

    return write_sweep_page(folder)


def main() -> None:
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        sys.exit(0 if arguments else 2)
    folder, *more = arguments
    try:
        if folder.startswith("-") or len(more) > 1 or not all(each.startswith("data_dir=") for each in more):
            raise ConfigError(f"{' '.join(arguments)}: DIR and data_dir=DIR are all it takes; --help says more")
        print(f"open {report(Path(folder), *(each.partition('=')[2] for each in more))}")
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        from vae_lightning.cli import tell
        from vae_lightning.mistakes import as_user_error

        mistake = error if isinstance(error, UserError) else as_user_error(error, [])
        if mistake is None:
            raise
        tell(mistake)
        sys.exit(mistake.status)


if __name__ == "__main__":
    main()
