"""What the host's log says of loading files."""

import re

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
LEVEL = re.compile(r"^\[(?:DEBUG|DETAIL|INFO|WARNING|ERROR|CRITICAL)\] ")
# The host's own words, of 0.30: comfy/sd.py, controlnet.py, model_base.py and lora.py.
REPORT = re.compile(
    r"(?:clip|unet) (?:missing|unexpected)|(?:missing|leftover) vae keys|(?:missing|unexpected) controlnet keys"
    r"|left over keys|(?:lora key )?not loaded",
    re.IGNORECASE,
)
NOTHING = re.compile(r"(?:\[\]|dict_keys\(\[\]\))$")


def loading_reports(log: str) -> list[str]:
    """The lines, each once, that report tensors which a file lacks or which nothing took; none where all fitted."""
    lines = (LEVEL.sub("", COLOURS.sub("", line)).strip() for line in log.splitlines())
    return list(dict.fromkeys(line for line in lines if REPORT.match(line) and not NOTHING.search(line)))
