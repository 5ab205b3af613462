"""Load the host and the pack for the scripts that train with their modules, on the CPU. Import this before either."""

from pocket.loading import load

load(cpu=True, use_pytorch_cross_attention=True)
