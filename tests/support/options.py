"""The options of conf/, by group: a new option is tested by existing."""

from vae_lightning.app.config import CONF

GROUPS = ("loss", "schedule", "latent", "network", "bound", "optimizer", "lr_schedule")
OF_GROUP = {group: sorted(path.stem for path in CONF.glob(f"{group}/*.yaml")) for group in GROUPS}
