"""The paper's methods: the names that records use, and what the tables call them."""

FULL_PHOTOMAKER = "customenhancer-photomaker"
PHOTOMAKER = "photomaker"
FULL_INSTANTID = "customenhancer-instantid"
INSTANTID = "instantid"
DREAMBOOTH = "dreambooth"
IP_ADAPTER = "ip-adapter"

# Parts of CustomEnhancer (PhotoMaker).
NO_BACKWARD = "without-backward-flow"
NO_FORWARD = "without-forward-flow"
SWAPPED = "after-face-swap"
SCENE = "after-sdxl"
INPUT = "input-image"

# What the paper compares in words and figures alone; drawn where they are asked for, and on the pocket world.
DELAYED = "photomaker-delayed"
DDIM = "ddim-inversion"
FUSION = "identity-fusion"

TITLES = {
    FULL_PHOTOMAKER: "CustomEnhancer (P.M.)",
    PHOTOMAKER: "PhotoMaker",
    FULL_INSTANTID: "CustomEnhancer (Ins.ID)",
    INSTANTID: "InstantID",
    DREAMBOOTH: "DreamBooth",
    IP_ADAPTER: "IP-Adapter",
    NO_BACKWARD: "Without backward flow",
    NO_FORWARD: "Without forward flow",
    SWAPPED: "After face swap",
    SCENE: "After SDXL",
    INPUT: "Input image",
    DELAYED: "PhotoMaker, identity from MSS on",
    DDIM: "DDIM inversion in ResInversion's place",
    FUSION: "Identity fusion",
}
# What CustomEnhancer plugs into, and what it is then.
PAIRS = {FULL_PHOTOMAKER: PHOTOMAKER, FULL_INSTANTID: INSTANTID}


def title(method: str, start_step: int | None = None, forward_scale: float | None = None) -> str:
    """What a table calls a method; one that the paper does not have, by its own name."""
    name = TITLES.get(method, method)
    name += "" if start_step is None else f", MSS {start_step}"
    return name + ("" if forward_scale is None else f", f = {forward_scale:g}")
