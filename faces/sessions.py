"""ONNX Runtime's sessions: opened with errors that name the input, and run on whatever numbers a file takes."""

from pathlib import Path

import numpy as np

from .errors import cannot_load
from .onnx_runtime import CUDA, face_package, report_idle_provider

NUMBERS = {"tensor(float16)": np.float16, "tensor(double)": np.float64}


def open_session(name: str, path: Path, providers: list[str], remedy: str):
    """An ONNX Runtime session of a model file, on the first of `providers` that starts.

    Raises ValueError, naming the input `name`, with the remedy, for a file that it cannot read.
    """
    runtime = face_package("onnxruntime")
    if CUDA in providers and hasattr(runtime, "preload_dlls"):
        runtime.preload_dlls()  # PyTorch's own CUDA libraries
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    try:
        session = runtime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # damaged files raise many types
        raise cannot_load(name, str(path), error, remedy) from error
    report_idle_provider(session, providers)
    return session


def run(session, **inputs: np.ndarray) -> list[np.ndarray]:
    """The outputs of a session in float32, from inputs by name, which are cast to what it takes."""
    kinds = {each.name: NUMBERS.get(each.type, np.float32) for each in session.get_inputs()}
    given = {name: np.ascontiguousarray(value, kinds[name]) for name, value in inputs.items()}
    return [np.asarray(output, np.float32) for output in session.run(None, given)]
