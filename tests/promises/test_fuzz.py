"""Whatever a file of a run folder says, the commands that read it end with a status of the contract, not a traceback.

Done when 2 of issue 15. The commands run in this process; what they compute is replaced, not what they read.
"""

import json
import random
import shutil
import time
from pathlib import Path

import mutations
import pytest

from vae_lightning import compare, evaluate, montage, report, status, train
from vae_lightning.app import build, fit, prepare, resume
from vae_lightning.data.mnist import MNISTDataModule
from vae_lightning.evaluation import measure
from vae_lightning.runs.table import EpochRows

CONTRACT = (0, 2, 3, 4, 5, 6)
FEW = ("num_samples=2", "num_images=20", "rows=20", "curve=[1]", "ais.num_images=0", "appendix_d.num_images=0")
ALL = ("status", "compare", "report", "evaluate", "montage", "resume")
READERS = {  # files, how they are changed, and the commands that read them
    "record": (["run_meta.json"], mutations.of_json, ALL),
    "evaluation": (["evaluation.json"], mutations.of_json, ("status", "compare", "report", "evaluate")),
    "curves": (["curves/train_log.csv", "curves/latent_usage.csv"], mutations.of_csv, ("status", "compare", "report")),
    "digest": (
        ["checkpoints/best.ckpt.sha256", "checkpoints/last.ckpt.sha256"],
        mutations.of_bytes,
        ("report", "evaluate", "resume"),
    ),
}


@pytest.fixture(scope="module")
def evaluated_run(finished_run, tmp_path_factory) -> Path:
    """A finished run with an evaluation, in a group with another run."""
    group = tmp_path_factory.mktemp("fuzz") / "outputs" / "g"
    for name in ("run", "other"):
        shutil.copytree(finished_run, group / name)
    results = [
        {"name": name, "value": 1.0, "standard_error": 0.1, "unit": "nats", "num_samples": 2, "num_images": 20}
        | {"data": "mnist", "protocol": "grey", "subset": True, "split": "test", "seed": 0, "data_sha256": "d"}
        | {"checkpoint": "best.ckpt", "likelihood": "BernoulliLogits", "settings": {}}
        | {"checkpoint_sha256": (group / "run" / "checkpoints" / "best.ckpt.sha256").read_text().split()[0]}
        for name in ("elbo", "nll")
    ]
    for name in ("run", "other"):
        (group / name / "evaluation.json").write_text(json.dumps({"results": results}))
    return group / "run"


@pytest.fixture
def commands(answer, monkeypatch, evaluated_run):
    """{command: a call of it}, without the arithmetic: the data are read once, nothing is trained or measured."""
    known, made = {}, build.data_module

    def data_module(node):
        key = repr(node)
        return known[key] if key in known else known.setdefault(key, made(node))

    monkeypatch.setattr(build, "data_module", data_module)
    monkeypatch.setattr(MNISTDataModule, "known_mirrors", ())
    monkeypatch.setattr(fit, "fit", sound_start)
    monkeypatch.setattr(prepare, "rehearse", lambda *_, **__: None)
    monkeypatch.setattr(measure, "measure", measured)
    run = evaluated_run
    return {
        "status": lambda: answer(status.main, run.parent),
        "compare": lambda: answer(compare.main, f"runs=[{run},{run.parent / 'other'}]"),
        "report": lambda: answer(report.main, run),
        "evaluate": lambda: answer(evaluate.main, f"run={run}", "device=cpu", *FEW),
        "montage": lambda: answer(montage.main, f"run={run}", "maximum=1"),
        "resume": lambda: answer(train.main, f"resume={run}", "epochs=3", "allow_drift=[epochs]"),
    }


def sound_start(job):
    """In place of the training, which starts when the checkpoint has been read."""
    resume.sound_checkpoint(job.resumes, job.module, job.falls_back)
    return 0.0


def measured(*_):
    """In place of the measurement, which starts when all files have been read."""
    from vae_lightning.errors import DataError

    raise DataError("not measured")


@pytest.mark.parametrize("reader", READERS)
def test_each_command_answers_whatever_a_file_says(commands, evaluated_run, reader):
    """Six mutations of each file, which the commands that read it take in turn."""
    keeps_the_contract(commands, evaluated_run, reader, READERS[reader][2], 6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reader", "command"), [(reader, command) for reader, (_, _, readers) in READERS.items() for command in readers]
)
def test_one_command_answers_five_hundred_mutations(commands, evaluated_run, reader, command):
    """As above: one test for each command, so that they share the cores."""
    keeps_the_contract(commands, evaluated_run, reader, [command], 500)


def keeps_the_contract(commands, run, reader, readers, count):
    """A status of the contract, at most one error line, no traceback, nothing unprintable, within ten seconds.

    The seconds are those of the processor, since other tests run beside this one.
    """
    (names, mutated, _), dice = READERS[reader], random.Random(f"{reader} {count}")
    files = [run / name for name in names]
    sound = [file.read_bytes() for file in files]
    try:
        for number in range(count):
            file, command = files[number % len(files)], readers[number % len(readers)]
            content = mutated(sound[number % len(files)], dice)
            file.write_bytes(content)
            begun = time.process_time()
            code, out, err = commands[command]()
            case = (command, number, content[:300], err[-2000:])
            assert code in CONTRACT, case
            assert "Traceback" not in err, case
            assert time.process_time() - begun < 10, case
            assert sum(line.startswith("error: ") for line in err.splitlines()) == (code != 0), case
            assert not {*out, *err} & {"\x1b", "\x9b", "\0"}, case
            file.write_bytes(sound[number % len(files)])
    finally:
        for file, before in zip(files, sound, strict=True):
            file.write_bytes(before)


@pytest.mark.parametrize("count", [50, pytest.param(500, marks=pytest.mark.slow)])
def test_a_resumed_run_goes_on_with_whatever_is_left_of_its_curves(finished_run, tmp_path, count):
    """The rows that it keeps are numbers, so that they can be drawn."""
    from vae_lightning.callbacks.curve_log import COLUMNS, draw

    sound, dice, path = (
        (finished_run / "curves" / "train_log.csv").read_bytes(),
        random.Random(count),
        tmp_path / "x.csv",
    )
    for number in range(count):
        path.write_bytes(mutations.of_csv(sound, dice))
        rows = EpochRows(path, list(COLUMNS), 2)
        rows.add(3, {"elbo": -1.0})
        assert all(float(cell or 0) is not None for row in rows.rows for cell in row.values())
        if number % 25 == 0:
            draw(rows.rows, "title", tmp_path / "x.png")
