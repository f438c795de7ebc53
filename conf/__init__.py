"""The options as a package: `pkg://vae_lightning.conf` in the search path of another Hydra application."""
