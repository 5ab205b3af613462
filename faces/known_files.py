"""The published model files that this node pack is made for: name, folder, where from, under which licence.

The one list from which errors, workflows and documents take these facts.
"""

from dataclasses import dataclass

INSIGHTFACE_LICENCE = "non-commercial research only"
FACEFUSION_LICENCE = "FaceFusion's ResearchRAIL-MS"
CODEFORMER_LICENCE = "S-Lab 1.0, non-commercial"
PLAIN_RESTORERS_LICENCE = "Apache-2.0; GPEN non-commercial"


@dataclass(frozen=True)
class KnownFile:
    """One published file.

    name: as the workflows call it. folder: below models/. link: a page, or the file itself. licence: in a few words.
    note: what else a person must know to have it in place, or nothing.
    """

    name: str
    folder: str
    link: str
    licence: str
    note: str = ""

    @property
    def remedy(self) -> str:
        """What to do where the file is missing: a sentence or two."""
        note = f" {self.note}" if self.note else ""
        return (
            f"Download {self.name} from {self.link} into models/{self.folder}, then press R to refresh the list "
            f"(licence: {self.licence}).{note}"
        )


HUGGING_FACE = "https://huggingface.co"
MODEL_ZOO = "https://github.com/deepinsight/insightface/releases/download/v0.7"

SDXL = KnownFile(
    "sd_xl_base_1.0.safetensors",
    "checkpoints",
    f"{HUGGING_FACE}/stabilityai/stable-diffusion-xl-base-1.0/resolve/main/sd_xl_base_1.0.safetensors",
    "CreativeML Open RAIL++-M",
    "Any other SDXL checkpoint will do.",
)
PHOTOMAKER_V1 = KnownFile(
    "photomaker-v1.bin",
    "photomaker",
    f"{HUGGING_FACE}/TencentARC/PhotoMaker/resolve/main/photomaker-v1.bin",
    "Apache-2.0",
)
PHOTOMAKER_V2 = KnownFile(
    "photomaker-v2.bin",
    "photomaker",
    f"{HUGGING_FACE}/TencentARC/PhotoMaker-V2/resolve/main/photomaker-v2.bin",
    "Apache-2.0",
)
INSTANTID = KnownFile(
    "ip-adapter.bin",
    "instantid",
    f"{HUGGING_FACE}/InstantX/InstantID/resolve/main/ip-adapter.bin",
    "Apache-2.0",
)
IDENTITY_NET = KnownFile(
    "instantid_identity_net.safetensors",
    "controlnet",
    f"{HUGGING_FACE}/InstantX/InstantID/resolve/main/ControlNetModel/diffusion_pytorch_model.safetensors",
    "Apache-2.0",
    "It is published as diffusion_pytorch_model.safetensors, as most ControlNets are: rename it.",
)
INSWAPPER = KnownFile(
    "inswapper_128.onnx",
    "insightface",
    "https://github.com/deepinsight/insightface/tree/master/examples/in_swapper",
    INSIGHTFACE_LICENCE,
    "Its authors no longer offer it for download; its SHA-256 is "
    "e4a3f08c753cb72d04e10aa0f7dbe3deebbf39567d4ead6dce08e98aa49e16af.",
)
GFPGAN = KnownFile(
    "gfpgan_1.4.onnx",
    "facerestore_models",
    "https://github.com/facefusion/facefusion-assets/releases/download/models-3.0.0/gfpgan_1.4.onnx",
    "Apache-2.0",
    "ONNX files of RestoreFormer++, CodeFormer and GPEN, of 512 pixels, fit as well.",
)


def face_pack(name: str) -> KnownFile:
    """The face pack of that name, a folder of files that is published as a zip file."""
    return KnownFile(
        f"{name}.zip",
        f"insightface/models/{name}",
        f"{MODEL_ZOO}/{name}.zip",
        INSIGHTFACE_LICENCE,
        "Unpack it there.",
    )


BUFFALO_L, ANTELOPEV2 = face_pack("buffalo_l"), face_pack("antelopev2")
ALL = (SDXL, PHOTOMAKER_V1, PHOTOMAKER_V2, INSTANTID, IDENTITY_NET, INSWAPPER, GFPGAN, BUFFALO_L, ANTELOPEV2)
