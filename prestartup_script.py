"""Before ComfyUI imports any node pack: keep ONNX Runtime, whoever imports it first, from telemetry on this machine."""

import os

# See faces/onnx_runtime.py. A setting of the user's own stands.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
