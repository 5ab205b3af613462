"""The ONNX graphs of the face stand-ins (what they do: `faces.py`), with the real files' inputs and outputs."""

from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STRIDES = (8, 16, 32)
GRID = 8
# Correlation of two pictures' grids above which they count as the same picture.
SAME_PICTURE = 0.7
# Mean brightness step between neighbouring pixels, in grey levels, below which a picture counts as plain.
PLAIN = 0.1
# The recogniser's view of a crop: cells of 8 pixels, 14 rows, without the first and the last of 14 columns.
CELL = 8
ROWS, COLUMNS = 14, 12
VIEW = 3 * ROWS * COLUMNS
# The swapper: how far it drives the face it draws (in the picture's 0..1), and how much of the target that replaces.
CONTRAST = 5.0
LIKENESS = 0.8
EMBEDDING_NORM = 20.0


class Graph:
    """Collects nodes and constants; every call of `op` gives the name of its one output."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, values, dtype=np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(values, np.int64)

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes) -> str:
        output = output or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def save(
        self, path: Path, inputs: dict[str, list], outputs: dict[str, list], kinds: dict[str, int] | None = None
    ) -> None:
        """Write the file. inputs, outputs: shapes by name. kinds: of the numbers that are not float32, by name."""
        described = (
            [
                helper.make_tensor_value_info(name, (kinds or {}).get(name, TensorProto.FLOAT), shape)
                for name, shape in values.items()
            ]
            for values in (inputs, outputs)
        )
        graph = helper.make_graph(self.nodes, path.stem, *described, self.constants)
        # Versions that every ONNX Runtime since 1.13 reads.
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString(deterministic=True))


def write_detector(path: Path, known: list[np.ndarray], faces: np.ndarray) -> None:
    """Write an SCRFD stand-in.

    known: the pictures it knows, (H, W, 3) uint8 RGB each. faces: (len(known) + 1, F, 15), for each known picture and
    for any other: box and five points (fractions of the picture's longer side), and whether the face is there (0 or 1).
    """
    graph = Graph()
    values, present = _faces_of_picture(graph, known, faces)
    boxes, points = (
        graph.op("Slice", values, graph.integers(start), graph.integers(end), graph.integers(1))
        for start, end in ((0, 4), (4, 14))
    )
    corners = [graph.op("Gather", boxes, graph.constant(index, np.int64), axis=1) for index in range(4)]
    half = graph.constant(0.5)
    centre_x, centre_y = (graph.op("Mul", graph.op("Add", corners[side], corners[side + 2]), half) for side in (0, 1))
    # The real file's output names: scores, boxes, points, each at the three strides.
    names = [["448", "471", "494"], ["451", "474", "497"], ["454", "477", "500"]]
    for level, stride in enumerate(STRIDES):
        x, y = _anchors(graph, stride)
        distance = graph.op(
            "Max", *(graph.op("Abs", graph.op("Sub", *pair)) for pair in ((x, centre_x), (y, centre_y)))
        )
        # The nearest anchor is at most half a stride off and scores 0.75 or more; from 1.1 strides on none passes 0.5.
        fall = graph.op("Mul", distance, graph.constant(-0.4 / stride))
        score = graph.op("Mul", graph.op("Relu", graph.op("Add", fall, graph.constant(0.95))), present)
        nearest = graph.op("ArgMax", score, axis=2, keepdims=0)
        zero = graph.constant(0)
        wide_x = graph.op("Add", x, graph.op("Mul", y, zero))
        wide_y = graph.op("Add", y, graph.op("Mul", x, zero))
        outwards = graph.constant(np.array([-1, -1, 1, 1]) / stride)
        at_anchors = [
            graph.op("ReduceMax", score, axes=[2]),
            _from_anchor(graph, boxes, nearest, [wide_x, wide_y] * 2, outwards),
            _from_anchor(graph, points, nearest, [wide_x, wide_y] * 5, graph.constant(1 / stride)),
        ]
        for values, kind, width in zip(at_anchors, names, (1, 4, 10), strict=True):
            both = graph.op("Concat", values, values, axis=2)
            graph.op("Reshape", both, graph.integers(-1, width), output=kind[level])
    outputs = {name: [None, width] for kind, width in zip(names, (1, 4, 10), strict=True) for name in kind}
    graph.save(path, {"input.1": [1, 3, "?", "?"]}, outputs)


def _from_anchor(graph: Graph, faces: str, nearest: str, anchor: list[str], scale: str) -> str:
    """(h, w, C): from every anchor to the values (faces, C) of its nearest face, scaled."""
    values = graph.op("Gather", faces, nearest, axis=0)
    return graph.op("Mul", graph.op("Sub", values, graph.op("Concat", *anchor, axis=2)), scale)


def _anchors(graph: Graph, stride: int) -> tuple[str, str]:
    """The anchors' x (1, w, 1) and y (h, 1, 1) in pixels of the detector's input."""
    shape = graph.op("Shape", "input.1")
    axes = []
    for axis, layout in ((3, (1, -1, 1)), (2, (-1, 1, 1))):
        length = graph.op("Gather", shape, graph.constant(axis, np.int64))
        count = graph.op("Div", length, graph.constant(stride, np.int64))
        steps = graph.op("Range", graph.constant(0, np.int64), count, graph.constant(1, np.int64))
        pixels = graph.op("Mul", graph.op("Cast", steps, to=TensorProto.FLOAT), graph.constant(stride))
        axes.append(graph.op("Reshape", pixels, graph.integers(*layout)))
    return axes[0], axes[1]


def _faces_of_picture(graph: Graph, known: list[np.ndarray], table: np.ndarray) -> tuple[str, str]:
    """The faces (F, 14: box and points, pixels) of the picture at the input, and whether each is there (F), 0 or 1."""
    # A picture is one of `known` if its grid correlates; the constant at the end stands for all others.
    grey = graph.op("ReduceMean", "input.1", axes=[1])
    correlations = [graph.constant([SAME_PICTURE])]
    if known:
        grids = np.stack([_brightness_grid(pixels) for pixels in known])
        correlations.insert(0, graph.op("MatMul", graph.constant(grids), _input_grid(graph, grey)))
    which = graph.op("ArgMax", graph.op("Concat", *correlations, axis=0), axis=0, keepdims=0)
    faces = graph.op("Gather", graph.constant(table), which, axis=0)
    values, there = (
        graph.op("Slice", faces, graph.integers(start), graph.integers(end), graph.integers(1))
        for start, end in ((0, 14), (14, 15))
    )
    present = graph.op("Mul", graph.op("Reshape", there, graph.integers(-1)), _has_structure(graph, grey))
    side = graph.op("Gather", graph.op("Shape", "input.1"), graph.integers(3))
    return graph.op("Mul", values, graph.op("Cast", side, to=TensorProto.FLOAT)), present


def _input_grid(graph: Graph, grey: str) -> str:
    """The brightness (1, 1, H, W) on the grid (GRID * GRID), as `_brightness_grid` has it."""
    rows = graph.op("ReduceMean", graph.op("Reshape", grey, graph.integers(1, GRID, -1, 0)), axes=[2], keepdims=0)
    cells = graph.op("ReduceMean", graph.op("Reshape", rows, graph.integers(GRID, GRID, -1)), axes=[2], keepdims=0)
    for axis in (0, 1):
        cells = graph.op("Sub", cells, graph.op("ReduceMean", cells, axes=[axis]))
    length = graph.op("Add", graph.op("ReduceL2", cells), graph.constant(1e-6))
    return graph.op("Reshape", graph.op("Div", cells, length), graph.integers(-1))


def _brightness_grid(pixels: np.ndarray) -> np.ndarray:
    """(GRID * GRID,) brightness of a picture as the detector sees it, fitted into a black square; norm 1.

    Rows and columns are centred, so that pictures of one shape do not look alike for the black beside them.
    """
    side = 640
    scale = side / max(pixels.shape[:2])
    fitted = cv2.resize(pixels, (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)))
    square = np.zeros((side, side, 3))
    square[: fitted.shape[0], : fitted.shape[1]] = fitted
    cells = square.reshape(GRID, side // GRID, GRID, side // GRID, 3).mean((1, 3, 4))
    for axis in (0, 1):
        cells -= cells.mean(axis, keepdims=True)
    return (cells / max(np.linalg.norm(cells), 1e-6)).ravel()


def _has_structure(graph: Graph, grey: str) -> str:
    """1 if the brightness (1, 1, H, W) of neighbouring pixels differ along both axes, else 0."""
    end = graph.integers(np.iinfo(np.int64).max)
    steps = []
    for axis in (2, 3):
        later, earlier = (
            graph.op("Slice", grey, start, stop, graph.integers(axis))
            for start, stop in ((graph.integers(1), end), (graph.integers(0), graph.integers(-1)))
        )
        steps.append(graph.op("ReduceMean", graph.op("Abs", graph.op("Sub", later, earlier)), keepdims=0))
    enough = graph.op("Greater", graph.op("Min", *steps), graph.constant(PLAIN / 128))
    return graph.op("Cast", enough, to=TensorProto.FLOAT)


def write_recogniser(path: Path, rotation: np.ndarray) -> None:
    """Write an ArcFace stand-in. rotation: (512, 512)."""
    graph = Graph()
    cells = graph.op("AveragePool", "input.1", kernel_shape=[CELL, CELL], strides=[CELL, CELL])
    view = graph.op("Slice", cells, graph.integers(1), graph.integers(1 + COLUMNS), graph.integers(3))
    flat = graph.op("Flatten", graph.op("Sub", view, graph.op("ReduceMean", view, axes=[2, 3])))
    length = graph.op("Add", graph.op("ReduceL2", flat, axes=[1]), graph.constant(1e-6))
    scaled = graph.op("Mul", graph.op("Div", flat, length), graph.constant(EMBEDDING_NORM))
    graph.op("MatMul", scaled, graph.constant(rotation[:VIEW]), output="683")
    graph.save(path, {"input.1": ["None", 3, 112, 112]}, {"683": [None, 512]})


def write_swapper(path: Path, rotation: np.ndarray, half: bool = False) -> None:
    """Write an inswapper stand-in for the recogniser of this rotation (512, 512).

    half: in half precision, as inswapper_128_fp16 is: its inputs, its output and its map.
    """
    graph = Graph()
    emap = graph.constant(rotation_matrix(seed=3), np.float16 if half else np.float32)
    emap_wide, target, source = (
        graph.op("Cast", name, to=TensorProto.FLOAT) if half else name for name in (emap, "target", "source")
    )
    embedding = graph.op("MatMul", source, graph.op("Transpose", emap_wide))
    flat = graph.op("MatMul", embedding, graph.constant(rotation[:VIEW].T))
    view = graph.op("Reshape", flat, graph.integers(1, 3, ROWS, COLUMNS))
    drawn = draw_view(graph, view, target, 128, CONTRAST)
    face = graph.op("Clip", drawn, graph.constant(0), graph.constant(1))
    graph.op("Cast", face, to=TensorProto.FLOAT16 if half else TensorProto.FLOAT, output="output")
    graph.constants.append(graph.constants.pop(0))  # insightface takes the last initializer for emap
    kinds = dict.fromkeys(("target", "source", "output"), TensorProto.FLOAT16) if half else {}
    graph.save(path, {"target": [1, 3, 128, 128], "source": [1, 512]}, {"output": [1, 3, 128, 128]}, kinds)


def draw_view(graph: Graph, view: str, target: str, side: int, contrast: float) -> str:
    """What the recogniser is to see (1, 3, ROWS, COLUMNS), drawn over a target of this side in its mean colour.

    contrast: how far it is driven, in the target's units.
    """
    scale = side // 128
    large = graph.op("Resize", view, "", graph.constant([1, 1, scale * CELL, scale * CELL]), mode="linear")
    # The 128 pixel crop is the 112 pixel one with 8 more pixels left and right, and 16 below.
    margin = (side - scale * COLUMNS * CELL) // 2
    drawn = graph.op("Pad", large, graph.integers(0, 0, 0, margin, 0, 0, scale * 16, margin), mode="edge")
    mean = graph.op("ReduceMean", target, axes=[2, 3])
    face = graph.op("Add", mean, graph.op("Mul", drawn, graph.constant(contrast)))
    new = graph.op("Mul", face, graph.constant(LIKENESS))
    old = graph.op("Mul", target, graph.constant(1 - LIKENESS))
    return graph.op("Add", new, old)


def rotation_matrix(seed: int) -> np.ndarray:
    """An orthogonal matrix (512, 512), float32: Hadamard's, its rows shuffled and its columns' signs drawn."""
    random = np.random.default_rng(seed)
    hadamard = np.ones((1, 1))
    while len(hadamard) < 512:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    signs = random.choice([-1.0, 1.0], 512)
    return (random.permutation(hadamard) * signs / np.sqrt(512)).astype(np.float32)
