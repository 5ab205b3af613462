"""Constructed stand-ins for further face models, with the real files' inputs and outputs; nothing is trained.

- **hyperswap** draws as the inswapper stand-in does (`faces.py`), at 256 pixels, and gives an oval mask.
- **Restorers** (GFPGAN's kind and CodeFormer's) sharpen: they add twice what a blur takes away, CodeFormer's the less
  the nearer its weight is to 1.
- **Landmarks** (2d106det, 1k3d68) lie on an oval in the face's box, whatever the picture shows.
- **genderage** says "man" of a face whose picture is more blue than red.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto
from standins.face_onnx import COLUMNS, CONTRAST, ROWS, VIEW, Graph, draw_view, rotation_matrix

HYPERSWAP_SIDE = 256
RESTORER_SIDE = 512
BLUR = 9  # pixels
SHARPER = 2.0
# The oval on which landmarks lie, in the landmark models' crop, whose side is 1.5 times the box's longer one.
OVAL = 0.5, 0.62
POSES = 3309 // 3  # points of 1k3d68, of which InsightFace takes the last 68


def write_hyperswap(path: Path) -> None:
    """Write a hyperswap stand-in for the recogniser of the stand-in pack buffalo_l."""
    graph = Graph()
    flat = graph.op("MatMul", "source", graph.constant(rotation_matrix(seed=1)[:VIEW].T))
    view = graph.op("Reshape", flat, graph.integers(1, 3, ROWS, COLUMNS))
    drawn = draw_view(graph, view, "target", HYPERSWAP_SIDE, 2 * CONTRAST)  # twice: it is in -1..1
    graph.op("Clip", drawn, graph.constant(-1), graph.constant(1), output="output")
    graph.op("Identity", graph.constant(oval_mask(HYPERSWAP_SIDE)[None, None]), output="mask")
    picture = [1, 3, HYPERSWAP_SIDE, HYPERSWAP_SIDE]
    graph.save(path, {"source": [1, 512], "target": picture}, {"output": picture, "mask": [1, 1, *picture[2:]]})


def oval_mask(side: int) -> np.ndarray:
    """(side, side): 1 in the middle, 0 beyond the oval that touches the edges, smooth between."""
    ramp = np.linspace(-1, 1, side)
    return np.clip(2 * (1 - np.hypot(*np.meshgrid(ramp, ramp))), 0, 1).astype(np.float32)


def write_restorer(path: Path, codeformer: bool = False, side: int = RESTORER_SIDE) -> None:
    """Write a restorer stand-in. codeformer: it takes a weight as well. side: of its pictures; real ones have 512."""
    path.parent.mkdir(parents=True, exist_ok=True)
    graph = Graph()
    pads = [BLUR // 2] * 4
    blurred = graph.op("AveragePool", "input", kernel_shape=[BLUR, BLUR], pads=pads, count_include_pad=0)
    change = graph.op("Mul", graph.op("Sub", "input", blurred), graph.constant(SHARPER))
    if codeformer:
        weight = graph.op("Cast", "weight", to=TensorProto.FLOAT)
        change = graph.op("Mul", change, graph.op("Sub", graph.constant(1), weight))
    graph.op("Clip", graph.op("Add", "input", change), graph.constant(-1), graph.constant(1), output="output")
    picture = [1, 3, side, side]
    inputs = {"input": picture, **({"weight": [1]} if codeformer else {})}
    graph.save(path, inputs, {"output": picture}, {"weight": TensorProto.DOUBLE})


def write_landmarks(folder: Path) -> None:
    """Write 2d106det.onnx and 1k3d68.onnx stand-ins into a pack."""
    for name, count, axes in (("2d106det", 106, 2), ("1k3d68", POSES, 3)):
        angles = np.linspace(0, 2 * np.pi, 106 if axes == 2 else 68, endpoint=False)
        points = np.zeros((count, axes))
        points[-len(angles) :, :2] = np.stack([OVAL[0] * np.cos(angles), OVAL[1] * np.sin(angles)], axis=1)
        graph = Graph()
        nothing = graph.op("Mul", graph.op("ReduceMean", "data", axes=[1, 2, 3], keepdims=0), graph.constant(0))
        column = graph.op("Reshape", nothing, graph.integers(1, 1))
        graph.op("Add", graph.constant(points.reshape(1, -1)), column, output="fc1")
        graph.save(folder / f"{name}.onnx", {"data": ["None", 3, 192, 192]}, {"fc1": [1, count * axes]})


def write_genders(folder: Path) -> None:
    """Write a genderage.onnx stand-in into a pack."""
    graph = Graph()
    means = graph.op("ReduceMean", "data", axes=[2, 3], keepdims=0)
    red, _, blue = (graph.op("Gather", means, graph.constant([index], np.int64), axis=1) for index in range(3))
    graph.op("Concat", red, blue, graph.constant([[0.3]]), axis=1, output="fc1")
    graph.save(folder / "genderage.onnx", {"data": ["None", 3, 96, 96]}, {"fc1": [1, 3]})
