"""Mistakes in a group's spelling or kind: one line that says the words that were meant, and the words work."""

import re

import pytest
from conftest import NO_NETWORK, config

from vae_lightning import evaluate, train
from vae_lightning.app import hints
from vae_lightning.options import chosen, groups, options

OPTIONS = {  # GROUP=VALUE that is no option -> the words that are meant
    "latent=20": "latent.dim=20",
    "latent=z16": "latent.dim=16",
    "latent=z200": "latent.dim=200",
    "network=[512,256]": "network.hidden=[512,256]",
    "network=400": "network.hidden=400",
    "network=relu": "network.activation=relu",
    "network=tanh": "network.activation=tanh",
    "optimizer=0.01": "lr=0.01",
    "bound=5": "bound.num_samples=5",
    "schedule=4": "beta=4",
    "schedule=epochs": "schedule=cosine schedule.unit=epochs",
    "trainer=20": "epochs=20",
    "trainer=gpu": "trainer.accelerator=gpu",
    "logger=offline": "logger=wandb logger.mode=offline",
    "data=static": "data.protocol=static",
    "data=letters": "data=emnist data.split=letters",
    "data=/some/path": "data=image_folder data.dir=/some/path",
    "data=pictures/": "data=image_folder data.dir=pictures/",
    "data=faces.npy": "data=arrays data.file=faces.npy",
    "loss=elbo": "bound=elbo",
    "loss=cosine": "lr_schedule=cosine or schedule=cosine",
    "schedule=fast": "trainer=fast",
    "latent=conv": "network=conv",
    "logger=ema": "+callbacks@callbacks.ema=ema",
    "loss=bcee": "bce",
    "data=minst": "mnist",
}
KEYS = {  # KEY=VALUE that is no key -> the words that are meant
    "scheduler=cosine": "schedule=cosine or lr_schedule=cosine",
    "lr_scheduler=step": "lr_schedule=step",
    "likelihood=bce": "loss=bce",
    "dataset=mnist": "data=mnist",
    "model=conv": "network=conv",
    "bta=1": "beta=1",
    "epoch=3": "epochs=3",
    "max_epochs=3": "epochs=3",
    "batch=16": "batch_size=16",
    "learning_rate=0.1": "lr=0.1",
    "dim=20": "latent.dim=20",
    "latent_dim=20": "latent.dim=20",
    "latnt.dim=20": "latent.dim=20",
    "hidden=200": "network.hidden=200",
    "model.hidden=200": "network.hidden=200",
    "protocol=static": "data.protocol=static",
    "length=0.5": "schedule=cosine schedule.length=0.5",
    "schedule.length=0.5": "schedule=cosine schedule.length=0.5",
    "schedule.lenght=0.5": "schedule=cosine schedule.length=0.5",
    "loss.variance=0.1": "loss=gaussian_fixed loss.variance=0.1",
    "logger.mode=offline": "logger=wandb logger.mode=offline",
    "trainer.lr=0.1": "lr=0.1",
    "trainer.epochs=3": "epochs=3",
    "network.hiden=3": "network.hidden=3",
    "latent.hidden=3": "latent=iaf latent.hidden=3",
    "callbacks.ema.decay=0.9": "+callbacks@callbacks.ema=ema callbacks.ema.decay=0.9",
}


@pytest.fixture
def ask(answer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        ended, _, err = answer(train.main, *words)
        assert (ended, err.count("\n")) == (2, 1), err
        assert list(tmp_path.iterdir()) == []
        return err

    return run


@pytest.mark.parametrize(("wrong", "meant"), OPTIONS.items())
def test_a_value_that_is_no_option_names_the_words_that_are_meant(ask, wrong, meant):
    err = ask(wrong, *NO_NETWORK)
    assert err.startswith(f"error: {wrong}: no such option; did you mean {meant}? ("), err


@pytest.mark.sample(12)
@pytest.mark.parametrize(("wrong", "meant"), KEYS.items())
def test_a_key_that_is_none_names_the_words_that_are_meant(ask, wrong, meant):
    err = ask(wrong, *NO_NETWORK)
    assert err.startswith(f"error: {wrong}: "), err
    assert f"no such key; did you mean {meant}? --cfg job shows all" in err


@pytest.mark.sample(20)
@pytest.mark.parametrize("meant", dict.fromkeys([*OPTIONS.values(), *KEYS.values()]))
def test_the_words_of_a_hint_work(meant):
    """They compose."""
    for words in meant.split(" or "):
        if "=" in words:
            config(*words.split())


def test_what_the_option_is_that_lacks_the_key(ask):
    assert "schedule.length=0.5: schedule=none has no such key; " in ask("schedule.length=0.5")
    assert "schedule.cycles=3: schedule=linear has no such key; " in ask("schedule=linear", "schedule.cycles=3")
    assert "did you mean schedule=cyclic schedule.cycles=3?" in ask("schedule=linear", "schedule.cycles=3")


def test_an_added_key_and_one_that_is_left_out(ask):
    assert ask("+bta=1") == "error: +bta=1: nothing reads this key; did you mean beta=1? --cfg job shows all\n"
    assert "did you mean ~callbacks.sample_grid? " in ask("~callbacks.sample_grd")


def test_the_values_of_a_sweep(answer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    ended, _, err = answer(train.main, "-m", "latent=8,20")
    assert (ended, "latent=8,20: no such option; did you mean latent.dim=8,20? " in err) == (2, True), err


def test_another_command_is_not_told_of_the_groups_of_train(answer, tmp_path):
    for word in ("loss=bce", "scheduler=cosine", "hidden=3"):
        ended, _, err = answer(evaluate.main, f"run={tmp_path}", word)
        assert (ended, "did you mean" in err) == (2, False), err
    assert "did you mean num_samples=5?" in answer(evaluate.main, f"run={tmp_path}", "num_sample=5")[2]


@pytest.mark.parametrize("group", groups())
def test_an_option_misspelt_by_one_letter_is_found_in_every_group(group):
    if group not in chosen():
        return
    for name in options(group):
        if len(name) > 3:
            assert re.search(rf"did you mean (\S+=)?{name}\b", hints.of_option(group, f"{name}x", options(group))), name
