"""Lightning without its tips: what stays is what a user asked for."""

import logging
import os
import warnings
from pathlib import Path

ASKED_FOR = ("callbacks", "profilers", "tuner")  # packages of Lightning that print what a user asked for


def quiet() -> None:
    """Silences Lightning's tips, the warnings that do not apply to data in memory, and the search for a GPU.

    Reports of a profiler, a model summary, a tuner or a callback stay: they come only when they are asked for.
    """
    import torch

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in (*ASKED_FOR, "utilities.rank_zero"):
        logging.getLogger(f"lightning.pytorch.{name}").setLevel(logging.INFO)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(was_asked_for)
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # a compiler for the CPU needs no CUDA
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*smaller than the logging interval.*")
    warnings.filterwarnings("ignore", ".*across ranks is zero.*")  # val_size=0
    warnings.filterwarnings("ignore", ".*Using `DistributedSampler` with the dataloaders.*")  # `check_processes` tells
    warnings.filterwarnings("ignore", ".*sync_dist=True.*")  # the module itself sums over processes
    warnings.filterwarnings("ignore", ".*your dataloader is not resumable.*")  # ours starts where the run stopped
    warnings.filterwarnings("ignore", ".*LeafSpec.*deprecated.*")  # Lightning's own, against torch 2.15
    warnings.filterwarnings("ignore", ".*Checkpoint directory .* exists and is not empty.*")
    if not torch.cuda.is_available():  # Lightning has torch look for the driver's library; Adam would at every step
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


def was_asked_for(record: logging.LogRecord) -> bool:
    """Whether a line of Lightning's log is a warning, or comes from one of the packages in ASKED_FOR."""
    return record.levelno >= logging.WARNING or Path(record.pathname).parent.name in ASKED_FOR
