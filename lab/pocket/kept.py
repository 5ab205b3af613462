"""Where the training scripts write, what of it is kept, and the names of the model files that are made of that."""

from pathlib import Path

WEIGHTS = Path(__file__).resolve().parent / "weights"
OUTPUT = WEIGHTS.parents[2] / "output" / "pocket"
CHECKPOINT, PHOTOMAKER = "pocket_sdxl.safetensors", "pocket_photomaker.safetensors"
INSTANTID, IDENTITY_NET = "pocket_instantid.safetensors", "pocket_identity_net.safetensors"
HINTS = ("pose", "edges")  # the control modules, by what each is shown
