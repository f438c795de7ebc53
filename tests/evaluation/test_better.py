"""`compare sweep=DIR by=KEY`: the settings of a sweep ranked, what is held fixed, what is refused and left out."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from scipy import stats
from sweeps import evaluate, make_run, make_sweep

from vae_lightning import compare, train
from vae_lightning.runs.jobs import Job

GROUP = "outputs/g"


@pytest.fixture
def ask(answer, monkeypatch, tmp_path):
    """compare in this process: its words -> (status, lines, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, list[str], str]:
        status, out, err = answer(compare.main, *words)
        assert all(len(line) <= 80 for line in out.splitlines() if not line.startswith("picture: ")), out
        return status, out.splitlines(), err

    return run


def said(lines: list[str]) -> str:
    """The text of wrapped lines as one line."""
    return " ".join(" ".join(lines).split())


def ranking(lines: list[str]) -> list[list[str]]:
    """The words of the table's lines, best first."""
    start = next(i for i, line in enumerate(lines) if line.endswith("difference"))
    return [line.split() for line in lines[start + 1 : lines.index("", start)]]


def runs(values: dict[float, list[float]], group: str = GROUP, **more) -> dict[tuple[float, int], Path]:
    """A run for each beta and seed, with a test ELBO."""
    return {
        (beta, seed): make_run(
            Path(group) / f"beta{beta:g}-seed{seed}", elbo=elbo, beta=beta, seed=seed, said=(f"beta={beta:g}",), **more
        )
        for beta, elbos in values.items()
        for seed, elbo in enumerate(elbos, 1)
    }


def change(run: Path, **changes) -> None:
    """Changes the record of a run."""
    record = run / "run_meta.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), **changes}))


CLEAR = {2.0: [-98.0, -97.0, -99.2], 4.0: [-99.4, -98.2, -100.5], 8.0: [-98.1, -99.4, -97.0]}


def test_settings_are_ranked_with_paired_differences_and_a_sentence(ask):
    runs(CLEAR)
    status, lines, err = ask(f"sweep={GROUP}", "by=beta")
    assert (status, err) == (0, "")
    together = 1 - 0.05 / 3  # of the three pairs of three settings
    low, high = stats.ttest_rel(CLEAR[4.0], CLEAR[2.0]).confidence_interval(together)
    other = stats.ttest_rel(CLEAR[8.0], CLEAR[2.0]).confidence_interval(together)
    assert [" ".join(words) for words in ranking(lines)] == [
        "1 beta=2 3 -98.07 ± 0.64",
        f"2 beta=8 3 -98.17 ± 0.69 3 -0.10 [{other[0]:.2f}, {other[1]:.2f}]",
        f"3 beta=4 3 -99.37 ± 0.66 3 -1.30 [{low:.2f}, {high:.2f}]",
    ]
    text = said(lines)
    assert (
        f"beta=2 and beta=8 cannot be told apart: they differ by 0.10 ± {other[1] + 0.1:.2f} nats over 3 seeds." in text
    )
    assert f"beta=2 is better than beta=4 by 1.30 ± {high + 1.3:.2f} nats over 3 seeds." in text
    assert "elbo of the test set, nats per image, higher is better; mean ± standard error over n seeds" in text
    assert "with the same seed: mean and 95 % confidence interval (Student's t)" in text
    assert "each interval is wide enough for all 3 pairs of settings (Bonferroni)" in text


def test_a_clear_difference_is_said_with_its_interval_and_its_seeds(ask):
    runs({beta: CLEAR[beta] for beta in (2.0, 4.0)})
    _, lines, _ = ask(f"sweep={GROUP}", "by=beta")
    assert "beta=2 is better than beta=4 by 1.30 ± 0.25 nats over 3 seeds." in lines
    _, lines, _ = ask(f"sweep={GROUP}", "by=beta", "level=0.9999")
    assert "cannot be told apart" in said(lines)
    assert "99.99 % confidence interval" in said(lines)
    assert "note" not in said(lines)  # one comparison


def test_other_keys_are_held_fixed_in_pairs_and_it_is_said(ask):
    make_sweep(Path(GROUP), betas=(1.0, 4.0), dims=(2, 20), seeds=(1, 2, 3))
    _, lines, _ = ask(f"sweep={GROUP}", "by=beta")
    assert "mean ± standard error over n seeds, averaged over latent.dim" in said(lines)
    assert "runs with the same seed and the same latent.dim, averaged for each seed: mean" in said(lines)
    assert ranking(lines)[0][2] == "3"
    assert ranking(lines)[1][-4:] == ["3", "-8.00", "[-8.00,", "-8.00]"]
    assert "beta=1 is better than beta=4 by 8.00 ± 0.00 nats over 3 seeds." in lines
    _, lines, _ = ask(f"sweep={GROUP}", "by=latent")  # the group's option; latent.dim follows from it
    assert "the same seed and the same beta, averaged for each seed:" in said(lines)
    assert [row[1] for row in ranking(lines)] == ["latent=z20", "latent=z2"]
    _, lines, _ = ask(f"sweep={GROUP}", "by=[beta,latent.dim]")
    assert said(lines).count("beta=1, latent.dim=20 is better than") == 3
    assert len(ranking(lines)) == 4


def test_a_key_that_changes_together_with_another_is_named(ask):
    for i, (beta, lr) in enumerate([(1.0, 0.1), (1.0, 0.1), (4.0, 0.2), (4.0, 0.2)]):
        make_run(Path(GROUP) / f"r{i}", elbo=-100.0 - i, beta=beta, lr=lr, seed=i % 2)
    _, lines, _ = ask(f"sweep={GROUP}", "by=beta")
    assert "lr changes together with beta" in said(lines)


def test_one_seed_tells_nothing(ask):
    runs({2.0: [-98.0], 4.0: [-99.0]})
    status, lines, _ = ask(f"sweep={GROUP}", "by=beta")
    assert status == 0
    assert "One seed tells nothing about which setting is better" in said(lines)
    assert "beta=2 and beta=4 differ by 1.00 nats" in said(lines)
    assert "[" not in " ".join(map(" ".join, ranking(lines)))


def test_one_seed_of_several_pairs_tells_nothing_either(ask):
    make_sweep(Path(GROUP), betas=(1.0, 4.0), dims=(2, 20), seeds=(1,))
    _, lines, _ = ask(f"sweep={GROUP}", "by=beta")
    assert "One seed tells nothing" in said(lines)
    assert "[" not in " ".join(map(" ".join, ranking(lines)))


def test_unfinished_and_repeated_runs_are_left_out_named_and_counted(ask):
    made = runs(CLEAR)
    change(made[4.0, 1], status="failed")
    change(made[4.0, 2], status="running")  # and no process runs
    change(made[8.0, 1], metrics={"val/elbo": -98.0})
    make_run(Path(GROUP) / "again", elbo=-98.0, beta=2.0, seed=1, said=("beta=2",))
    change(Path(GROUP) / "again", started="2027-01-01T00:00:00.000+00:00")
    Job(Path(GROUP) / "jobs" / "0007.json", 7, ("beta=9",), status="failed", error="no").write()
    status, lines, _ = ask(f"sweep={GROUP}", "by=beta")
    assert status == 0
    text = said(lines)
    assert "left out, 5 runs: failed: beta4-seed1 and job 7; killed: beta4-seed2;" in text
    assert "a newer run has the same seed: beta2-seed1; it has no elbo of the test set: beta8-seed1" in text
    assert "the settings do not have the same runs of each seed" in text
    assert "Too few seeds in common" in text or "one seed in common" in text


def timed(seconds: dict[float, list[float]]) -> None:
    """Runs of equal ELBO that took these times."""
    made = runs({beta: [-98.0] * len(times) for beta, times in seconds.items()})
    for (beta, seed), run in made.items():
        change(run, seconds=seconds[beta][seed - 1])


def test_no_sentence_has_a_negative_amount_and_no_number_is_a_negative_zero(ask):
    """A metric of which less is better: the best setting minus another one is below zero."""
    timed({1.0: [1.0, 2.0, 3.0], 2.0: [1.1, 2.2, 3.0], 4.0: [1.001, 2.001, 3.0]})
    _, lines, _ = ask(f"sweep={GROUP}", "by=beta", "metric=seconds")
    assert "they differ by 0." in said(lines)
    assert "by -" not in said(lines)
    assert not re.search(r"-0\.0*(?![0-9])", said(lines))


@pytest.mark.parametrize("apart", [2e-4, 2e-7])
def test_a_clear_difference_is_never_shown_as_zero(ask, apart):
    runs({1.0: [-98.0, -97.0, -99.2], 2.0: [-98.0 - apart, -97.0 - apart, -99.2 - apart]})
    _, lines, _ = ask(f"sweep={GROUP}", "by=beta")
    text = said(lines)
    (amount,) = re.findall(r"is better than beta=2 by (\S+) ±", text)
    assert float(amount) == pytest.approx(apart, rel=0.01)
    assert [float(number.strip("[,]")) for number in ranking(lines)[1][-3:]] == [pytest.approx(-apart, rel=0.01)] * 3


def test_a_setting_without_a_completed_run_is_left_out(ask):
    made = runs({2.0: [-98.0, -97.0], 4.0: [-99.0, -98.5]})
    for seed in (1, 2):
        change(made[4.0, seed], status="diverged")
    _, lines, _ = ask(f"sweep={GROUP}", "by=beta")
    assert [row[1] for row in ranking(lines)] == ["beta=2"]
    assert "beta=2 is the only setting with a completed run: there is nothing to compare." in said(lines)
    assert "left out, 2 runs: diverged: beta4-seed1 and beta4-seed2" in said(lines)


def test_settings_without_a_common_seed_are_not_compared(ask):
    runs({2.0: [-98.0, -97.0]})
    for seed in (7, 8):
        make_run(Path(GROUP) / f"b{seed}", elbo=-99.0, beta=4.0, seed=seed, said=("beta=4",))
    _, lines, _ = ask(f"sweep={GROUP}", "by=beta")
    assert "beta=2 and beta=4 have no pair in common: they cannot be compared." in said(lines)


def test_a_difference_against_the_ranking_is_said_as_it_is(ask):
    """beta=2 has the better mean, by an easy seed that beta=4 does not have."""
    runs({2.0: [-100.0, -101.0, -50.0], 4.0: [-98.0, -99.1]})
    _, lines, _ = ask(f"sweep={GROUP}", "by=beta")
    assert ranking(lines)[0][1] == "beta=2"
    assert "beta=4 is better than beta=2 by 1.95 ± 0.64 nats over 2 seeds." in lines
    assert "the settings do not have the same runs of each seed" in said(lines)


@pytest.mark.parametrize(
    ("name", "first", "says"),
    [
        ("recon", "beta=4", "recon of the test set, nats per image, lower is better"),
        ("kl", "beta=1", "The kl of beta=1 is higher than that of beta=4 by 2.00 ± 0.00 nats over 2 seeds"),
        ("val/elbo", "beta=1", "val/elbo of the validation set"),
        ("nll", "beta=4", "nll of K = 500 on 1,000 test images, nats per image, lower is better"),
        ("seconds", "beta=1", "seconds, s, lower is better"),
        (
            "accuracy",
            "beta=4",
            "The accuracy of beta=4 is higher than that of beta=1 by 0.00100 ± 0.00002 over 2 seeds",
        ),
    ],
)
def test_metrics_are_ranked_by_what_is_better(ask, name, first, says):
    for seed in (1, 2):
        for beta, elbo, kl in [(1.0, -100.0, 12.0), (4.0, -101.0 + seed * 1e-9, 10.0)]:
            run = make_run(Path(GROUP) / f"{beta:g}-{seed}", elbo=elbo, kl=kl, beta=beta, seed=seed)
            evaluate(run, 100.0 - beta)
            metrics = json.loads((run / "run_meta.json").read_text())["metrics"]
            if name == "recon":
                metrics["test/recon"] = 90.0 - beta
            change(run, metrics={**metrics, "accuracy": 0.5 + beta / 3000 + seed * 1e-6 * beta})
    status, lines, err = ask(f"sweep={GROUP}", "by=beta", f"metric={name}")
    assert status == 0, err
    assert says in said(lines)
    assert ranking(lines)[0][1] == first


def test_a_picture_is_written_beside_the_sweep_and_nothing_of_the_users_is_replaced(ask, tmp_path):
    runs(CLEAR)
    status, lines, _ = ask(f"sweep={GROUP}", "by=beta")
    picture = Path(GROUP) / "compare_beta_elbo.png"
    assert (status, lines[-1]) == (0, f"picture: {picture}")
    with Image.open(picture) as image:
        assert min(image.size) > 200
    assert ask(f"sweep={GROUP}", "by=beta", f"output={picture}")[0] == 0  # ours
    Image.new("L", (9, 9)).save("mine.png")
    for output, says in (("mine.png", "is there already and no comparison"), ("x.pdf", "must end in .png")):
        status, _, err = ask(f"sweep={GROUP}", "by=beta", f"output={output}")
        assert (status, says in err, err.count("\n")) == (2, True, 1)
    assert ask(f"sweep={GROUP}", "by=beta", "output=new/ranking.png")[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.png", "new", "outputs"]


MISTAKES = [
    (["sweep=outputs/none", "by=beta"], "sweep=outputs/none: no such folder"),
    ([f"sweep={GROUP}/beta2-seed1", "by=beta"], f"is one run; name a folder of runs, such as its group {GROUP}"),
    (["sweep=empty", "by=beta"], "sweep=empty: no run in it"),
    ([f"sweep={GROUP}", "by=bta"], "by=bta: no run has this key; did you mean beta? these vary: beta"),
    ([f"sweep={GROUP}", "by=lr"], "by=lr: is 0.001 in all runs; these vary: beta"),
    ([f"sweep={GROUP}", "by=seed"], "by=seed: the means and the differences are taken over the seeds"),
    ([f"sweep={GROUP}", "by=data.seed"], "by=data.seed: the means and the differences are taken over the seeds"),
    ([f"sweep={GROUP}", "by=name"], "by=name: says where a run is"),
    ([f"sweep={GROUP}", "by=[]"], "by=[]: must be a key that the sweep varies"),
    ([f"sweep={GROUP}"], "by=None: must be a key that the sweep varies"),
    (["by=beta"], "sweep=None: must be a folder"),
    ([f"runs={GROUP}", "by=beta"], "its settings are not ranked"),
    ([f"sweep={GROUP}", "by=beta", "metric=elbow"], "metric=elbow: no run logged it; did you mean elbo?"),
    ([f"sweep={GROUP}", "by=beta", "metric=nll"], "metric=nll: no run was evaluated; python -m vae_lightning.evaluate"),
    ([f"sweep={GROUP}", "by=beta", "level=1"], "level=1: must be a number between 0 and 1"),
    ([f"sweep={GROUP}", "by=beta", "level=95"], "level=95: must be a number between 0 and 1"),
]


@pytest.mark.parametrize(("words", "says"), MISTAKES)
def test_a_mistake_is_answered_in_one_line_and_nothing_is_written(ask, words, says):
    runs({2.0: [-98.0], 4.0: [-99.0]})
    Path("empty").mkdir()
    status, out, err = ask(*words)
    assert (status, says in err, err.count("\n")) == (2, True, 1), err
    assert out == []
    assert not list(Path().rglob("*.png"))


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"options": ("data.protocol=dynamic",)}, "never compared"),
        ({"data": {"name": "fashion_mnist"}}, "Fashion-MNIST"),
        ({"options": ("loss=mse",)}, "density"),
        ({"data": {"sizes": {"train": 1, "val": 1, "test": 5}}}, "measured on different numbers of test images (5, 9)"),
    ],
)
def test_what_cannot_be_compared_is_never_mixed(ask, other, says):
    sizes = {"sizes": {"train": 1, "val": 1, "test": 9}}
    for beta in (2.0, 4.0):
        make_run(Path(GROUP) / f"a{beta}", beta=beta, data=sizes)
    options = other.pop("options", ())
    make_run(Path(GROUP) / "b", *options, beta=8.0, **{"data": sizes, **other})
    status, _, err = ask(f"sweep={GROUP}", "by=beta")
    assert (status, says in err, err.count("\n")) == (2, True, 1), err


def test_bounds_of_different_k_and_losses_of_different_beta_are_never_mixed(ask):
    for i, run in enumerate(runs({2.0: [-98.0], 4.0: [-99.0]}).values()):
        evaluate(run, 99.0, num_samples=100 + i)
        change(run, metrics={"test/loss": 100.0, "test/elbo": -98.0})
    for metric, says in (("nll", "bounds of different K or N"), ("test/loss", "beta differs, and it weighs the loss")):
        status, _, err = ask(f"sweep={GROUP}", "by=beta", f"metric={metric}")
        assert (status, says in err, err.count("\n")) == (2, True, 1), err


def test_a_sweep_without_a_completed_run_says_how_they_ended(ask):
    for run in runs({2.0: [-98.0], 4.0: [-99.0]}).values():
        change(run, status="failed")
    status, _, err = ask(f"sweep={GROUP}", "by=beta")
    assert (status, "none of its runs is completed (2 failed)" in err) == (2, True)


def test_only_the_seed_varies(ask):
    runs({2.0: [-98.0, -97.0]})
    _, _, err = ask(f"sweep={GROUP}", "by=beta")
    assert "by=beta: is 2 in all runs; nothing varies but the seed" in err


def test_eighty_columns_and_no_formula_whatever_the_names(ask):
    """Long values, many settings, huge numbers, and a $ that Matplotlib would read as mathematics."""
    for i in range(30):
        option = f"{'$x_{' * 20}{i}"
        make_run(Path(GROUP) / f"run-{i}", elbo=-(10.0**i), lr=0.001 * (i // 2 + 1), seed=i % 2, note=option[i % 2 :])
    status, lines, err = ask(f"sweep={GROUP}", "by=[lr,note]")
    assert (status, err) == (0, "")
    assert len(lines) > 30


def test_names_that_hold_a_comma_are_listed_with_semicolons(ask):
    make_sweep(Path(GROUP), betas=(1.0, 2.0, 4.0), dims=(2, 20), seeds=(1, 2))
    _, lines, _ = ask(f"sweep={GROUP}", "by=[beta,latent.dim]")
    assert "is better than beta=4, latent.dim=20; beta=1, latent.dim=2; beta=2, latent.dim=2 and beta=4" in said(lines)


@pytest.mark.slow
def test_a_real_sweep_is_ranked(ask, answer):
    words = ["-m", "latent.dim=1,4", "seed=1,2", "epochs=1", "network.hidden=[8]", "data.mirrors=[]", "report=false"]
    words += ["+trainer.limit_train_batches=2", "~callbacks.reconstruction_grid", "~callbacks.latent_traversal"]
    status, _, err = answer(train.main, *words, "project_dir=o")
    assert status == 0, err
    (sweep,) = Path("o/multirun").iterdir()
    status, lines, err = ask(f"sweep={sweep}", "by=latent.dim")
    assert (status, err) == (0, "")
    assert {row[1] for row in ranking(lines)} == {"latent.dim=1", "latent.dim=4"}
    assert (sweep / "compare_latent.dim_elbo.png").is_file()
    assert "over 2 seeds" in said(lines)
