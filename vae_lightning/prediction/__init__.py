"""What a trained model is asked after training: samples, reconstructions, codes, walks through latent space, NLL.

Imports no torch: the command knows its tasks before it loads a model.
"""

OUTPUTS = {
    "sample": (".png", ".npy"),
    "reconstruct": (".png", ".npy"),
    "encode": (".csv", ".npy"),
    "interpolate": (".gif", ".png", ".npy"),
    "traverse": (".gif", ".png", ".npy"),
    "nll": (".csv", ".npy"),
}  # {task: the kinds of files that it writes}
