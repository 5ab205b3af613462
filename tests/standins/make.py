"""Make every stand-in model file in the folders where the host and this pack look for the real ones.

python tests/standins/make.py MODELS_DIR
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from standins.faces import demo_pictures, make_face_models
from standins.photomaker import make_photomaker
from standins.sdxl import DEPTHS, make_sdxl


def make_models(models_dir: Path) -> None:
    """Write the stand-ins below `models_dir`: 360 MB, the same bytes every time."""
    make_sdxl(models_dir / "checkpoints" / "tiny_sdxl.safetensors")
    make_photomaker(models_dir / "photomaker" / "tiny_photomaker_v1.safetensors", depths=DEPTHS[1:])
    make_face_models(models_dir, demo_pictures())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models_dir", type=Path)
    make_models(parser.parse_args().models_dir)
