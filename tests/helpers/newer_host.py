"""What the host has only from some version on, newer than the oldest that the pack runs on."""

import pytest
from comfy_extras import nodes_custom_sampler

DualModelGuider = getattr(nodes_custom_sampler, "DualModelGuider", None)
needs_dual_model_guider = pytest.mark.skipif(DualModelGuider is None, reason="it came with ComfyUI 0.24.0")
