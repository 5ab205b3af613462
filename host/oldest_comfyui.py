"""The oldest ComfyUI that the pack runs on, and one clear line on an older one.

The entry point asks before it imports anything else, so this file imports nothing of ComfyUI but its version.
"""

import re

OLDEST_COMFYUI = "0.23.0"


def check_comfyui() -> None:
    """Raise ImportError unless the running ComfyUI says that it is OLDEST_COMFYUI or newer."""
    try:
        from comfyui_version import __version__ as found
    except ImportError:  # before 0.3.10 it had none
        found = None
    if found is None or _numbers(found) < _numbers(OLDEST_COMFYUI):
        this = f"this is {found}" if found else "this one does not tell its version"
        raise ImportError(f"CustomEnhancer needs ComfyUI {OLDEST_COMFYUI} or newer; {this}. Update ComfyUI.")


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]
