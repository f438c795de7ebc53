"""The wing that knows Hydra: from the words of a command line to a run, and from a run folder back to its model."""
