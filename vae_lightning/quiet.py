"""Lightning without its tips: what stays is what a user asked for."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

ASKED_FOR = ("callbacks", "profilers", "tuner")  # packages of Lightning that print what a user asked for
RANK_ZERO = logging.getLogger("lightning.pytorch.utilities.rank_zero")
NOT_FOR_US = (
    "does not have many workers",  # the images are in memory
    "smaller than the logging interval",
    "across ranks is zero",  # val_size=0
    "no `val_dataloader`",  # fit without val_images
    "Using `DistributedSampler` with the dataloaders",  # `check_processes` tells
    "sync_dist=True",  # the module itself sums over processes
    "your dataloader is not resumable",  # ours starts where the run stopped
    "LeafSpec.*deprecated",  # Lightning's own, against torch 2.15
    "Checkpoint directory .* exists and is not empty",
)


def quiet() -> None:
    """Silences Lightning's tips, the warnings that do not apply to data in memory, and the search for a GPU.

    Reports of a profiler, a model summary, a tuner or a callback stay: they come only when they are asked for.
    """
    import torch

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in (*ASKED_FOR, "utilities.rank_zero"):
        logging.getLogger(f"lightning.pytorch.{name}").setLevel(logging.INFO)
    RANK_ZERO.addFilter(was_asked_for)
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # a compiler for the CPU needs no CUDA
    ignore_warnings()
    if not torch.cuda.is_available():  # Lightning has torch look for the driver's library; Adam would at every step
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


@contextmanager
def quietly() -> Iterator[None]:
    """The same silence for a while, in a program that is somebody else's."""
    ours = partial(was_asked_for)  # an object of its own: a filter that was there before stays
    RANK_ZERO.addFilter(ours)
    try:
        with warnings.catch_warnings():
            ignore_warnings()
            yield
    finally:
        RANK_ZERO.removeFilter(ours)


def ignore_warnings() -> None:
    """Adds a filter for each of Lightning's warnings that are not for us."""
    for words in NOT_FOR_US:
        warnings.filterwarnings("ignore", f".*{words}.*")


def was_asked_for(record: logging.LogRecord) -> bool:
    """Whether a line of Lightning's log is a warning, or comes from one of the packages in ASKED_FOR."""
    return record.levelno >= logging.WARNING or Path(record.pathname).parent.name in ASKED_FOR
