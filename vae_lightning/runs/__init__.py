"""The run folder on disk: its name, its lock, its files and what they say. Imports no torch, Lightning or Hydra."""
