"""Load the host and the pack for the benchmarks, on the GPU where there is one. Import this before either."""

import sys
from pathlib import Path

import torch

from pocket.loading import CHECKOUT, load

RESULTS = Path(__file__).resolve().parent / "results"

sys.path.append(str(CHECKOUT / "tests"))  # the stand-in models' shape
load(cpu=not torch.cuda.is_available())
