"""The latent explorer of a run's page: the decoder and encoder as numbers, and the scripts that run them."""
