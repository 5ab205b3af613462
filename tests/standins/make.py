"""Make every stand-in model file in the folders where the host and this pack look for the real ones.

python tests/standins/make.py MODELS_DIR
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from standins.embedding import make_embedding
from standins.face_extras import write_restorer
from standins.faces import demo_pictures, make_face_models
from standins.identity_net import make_identity_net
from standins.instantid import make_instantid
from standins.lora import make_lora
from standins.photomaker import make_photomaker
from standins.sdxl import TINY, make_sdxl


def make_models(models_dir: Path) -> None:
    """Write the stand-ins below `models_dir`: 410 MB, the same bytes every time."""
    depths = TINY.depths[1:]
    make_sdxl(models_dir / "checkpoints" / "tiny_sdxl.safetensors")
    for version in (1, 2):
        photomaker = models_dir / "photomaker" / f"tiny_photomaker_v{version}.safetensors"
        make_photomaker(photomaker, depths=depths, version=version)
    make_instantid(models_dir / "instantid" / "tiny_instantid.safetensors", depths=depths)
    make_identity_net(models_dir / "controlnet" / "tiny_identity_net.safetensors", depths=depths)
    make_lora(models_dir / "loras" / "tiny_lora.safetensors")
    make_embedding(models_dir / "embeddings" / "tiny_person.safetensors")
    make_face_models(models_dir, demo_pictures())
    write_restorer(models_dir / "facerestore_models" / "gfpgan_1.4.onnx")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models_dir", type=Path)
    make_models(parser.parse_args().models_dir)
