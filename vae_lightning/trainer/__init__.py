"""Lightning's Trainer, made fast. <-> conf/trainer/

`trainer=default` is `lightning.pytorch.Trainer`, untouched; `trainer=fast` is `FastTrainer`.
"""

from vae_lightning.trainer.fast import FastTrainer

__all__ = ["FastTrainer"]
