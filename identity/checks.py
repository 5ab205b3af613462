"""What identity methods ask of a model."""

import comfy.model_base


def check_sdxl(model, method: str) -> None:
    """Raise ValueError unless model, a MODEL, is SDXL. method: what needs SDXL, for the message."""
    if not isinstance(model.model, comfy.model_base.SDXL):
        raise ValueError(
            f"model: {method} works with SDXL alone, and this is {type(model.model).__name__}. Connect the MODEL of "
            "an SDXL checkpoint (base, not refiner)."
        )
