"""Batches of other projects: the images are found in any structure, or one line says what the batch holds."""

from collections import UserDict, namedtuple
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.distributions import Bernoulli, Normal

from vae_lightning.batch import images_of
from vae_lightning.callbacks import ReconstructionGrid
from vae_lightning.errors import ConfigError

X = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS, IDS = torch.arange(4), torch.arange(4)
ONE_HOT = torch.eye(10)[:4]


@dataclass(slots=True)
class Sample:
    label: Any
    image: Any


Pair = namedtuple("Pair", ["label", "image"])
CYCLE: dict[str, Any] = {}
CYCLE["self"] = CYCLE


@pytest.mark.parametrize(
    "batch",
    [
        X,
        (X, LABELS),
        [LABELS, X],
        (LABELS.float(), X),
        (ONE_HOT, X),
        {"path": ["a.png", "b.png"], "image": X},
        ("img.png", X),
        {"path": [Path("a.png")], "image": X},
        {"id": IDS, "mask": torch.ones(4, 8, 8).bool(), "pixel_values": X},
        {"id": IDS, "mask": torch.ones(4, 1, 8, 8), "pixel_values": X},
        {"pixel_mask": torch.ones(4, 8, 8).byte(), "pixel_values": X},
        (torch.ones(4, 8, 8).byte(), X),
        Sample(LABELS, X),
        Pair(LABELS, X),
        SimpleNamespace(label=LABELS, image=X),
        UserDict(label=LABELS, image=X),
        {"views": [{"path": "a.png", "caption": None, "x": (LABELS, [X])}]},
        {"loader a": ("a.png", X), "loader b": (torch.rand(4, 3, 8, 8), LABELS)},
        {"age": torch.rand(4, 1), "text": torch.rand(4, 7, 5), "image": X},
    ],
)
def test_the_images_are_found_in_any_structure(batch):
    assert images_of(batch) is X


def test_bytes_flat_images_volumes_and_grey_images_are_images_too():
    for x in (X.mul(255).byte(), X.half(), X.double(), X[:, 0], X.flatten(1), X.unsqueeze(1)):
        assert images_of({"id": IDS, "age": torch.rand(4, 1), "y": ONE_HOT, "mask": torch.ones(4, 8), "x": x}) is x


def test_of_flat_tensors_the_largest_square_comes_first_and_then_the_first():
    x, code, hundred = torch.rand(4, 784), torch.rand(4, 5), torch.eye(100)[:4]
    assert images_of((ONE_HOT, x)) is images_of((hundred, x)) is images_of((x, ONE_HOT)) is x
    assert images_of((code, ONE_HOT)) is code


class Node:
    """Each object of a graph knows all others."""

    def __init__(self, graph: list["Node"]) -> None:
        self.graph, self.others = graph, {i: node for i, node in enumerate(graph)}


def test_an_object_in_many_places_is_read_once():
    """Six levels of forty objects that know each other are 40^6 ways."""
    graph: list[Node] = []
    for _ in range(40):
        graph.append(Node(graph))
    assert images_of({"graph": graph, "x": X}) is X


class Fresh(UserDict):
    """A dict that makes its values when they are read."""

    def __getitem__(self, key: str) -> Any:
        return {"x": X} if key == "z" else {"label": LABELS}


def test_values_that_are_made_when_they_are_read_are_read():
    assert images_of(Fresh.fromkeys("abcdefghz")) is X


@pytest.mark.parametrize(
    ("batch", "says"),
    [
        ("a.png", "the batch is a str that holds no tensor"),
        ({"path": ["a", "b"]}, "the batch is a dict that holds no tensor"),
        (None, "a NoneType that holds no tensor"),
        ([], "a list that holds no tensor"),
        (CYCLE, "a dict that holds no tensor"),
        ({"id": IDS, "mask": torch.ones(4, 8).bool()}, r"id int64 \[4\], mask bool \[4, 8\]"),
        ((LABELS, torch.rand(4), torch.rand(4, 1)), r"0 int64 \[4\], 1 float32 \[4\], 2 float32 \[4, 1\]"),
        ([torch.rand(4)] * 20, "12 more"),
        (torch.tensor(1.0), r"float32 \[\]"),
    ],
)
def test_a_batch_without_images_is_described_in_one_line(batch, says):
    with pytest.raises(ConfigError, match=says) as error:
        images_of(batch)
    assert "\n" not in str(error.value)


def test_a_batch_says_where_its_images_are():
    other = torch.rand(4, 3, 8, 8)
    batch = {"image": other, "clean": X, 3: {"x": X, "label": LABELS}}
    assert images_of(batch, "clean") is X
    assert images_of(batch, 3) is X
    assert images_of(batch, lambda batch: batch["clean"]) is X
    assert images_of((other, X), 1) is images_of((other, X), -1) is X
    assert images_of(Sample(other, X), "image") is images_of(Pair(other, X), "image") is X
    assert images_of(SimpleNamespace(a=other, b=X), "b") is X
    assert images_of((X, LABELS), 1) is LABELS


@pytest.mark.parametrize("place", ["img", 5, -3, lambda batch: batch["img"], lambda batch: batch.image])
def test_a_place_that_is_not_there_is_answered_with_what_is(place):
    for batch in ({"image": X}, (LABELS, X), X):
        with pytest.raises(ConfigError, match=r"^batch=.*float32 \[4, 3, 8, 8\]"):
            images_of(batch, place)


@pytest.mark.parametrize("place", [True, 1.5, ["image"]])
def test_a_place_is_a_key_an_index_or_a_function(place):
    with pytest.raises(ConfigError, match=r"ReconstructionGrid\.batch=.*must be a key, an index or a function"):
        ReconstructionGrid(batch=place)


def test_a_distribution_is_its_mean():
    logits = torch.randn(4, 3, 8, 8)
    assert torch.equal(images_of((Bernoulli(logits=logits), Normal(torch.zeros(4, 2), 1.0))), logits.sigmoid())
