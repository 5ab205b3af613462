"""Write a network of a few kinds of layers as an ONNX file, its kernels in float16, with the onnx package alone."""

import copy
import operator
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import fx, nn

ELEMENTWISE = {
    operator.add: "Add",
    operator.sub: "Sub",
    operator.mul: "Mul",
    torch.relu: "Relu",
    torch.sigmoid: "Sigmoid",
}


def write_onnx(
    network: nn.Module, path: Path, inputs: dict[str, list], outputs: dict[str, list], last: str | None = None
) -> None:
    """Write `network`, as it is in evaluation, to `path`.

    inputs, outputs: shapes by name, in the order of forward's arguments and results; a size that is a string or None is
    free. last: the buffer that becomes the file's last initializer. Raises ValueError for a layer it cannot write.
    """
    traced = fx.symbolic_trace(copy.deepcopy(network).eval().float())
    graph = _Graph(dict(traced.named_modules()), list(inputs))
    for node in traced.graph.nodes:
        graph.add(traced, node)
    nodes = graph.nodes + [
        helper.make_node("Identity", [found], [name]) for found, name in zip(graph.results, outputs, strict=True)
    ]
    constants = sorted(graph.constants, key=lambda constant: constant.name == last)  # stable: the rest keep their order
    described = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in values.items()]
        for values in (inputs, outputs)
    )
    # Versions that every ONNX Runtime since 1.13 reads.
    versions = {"opset_imports": [helper.make_opsetid("", 17)], "ir_version": 8}
    model = helper.make_model(helper.make_graph(nodes, path.stem, *described, constants), **versions)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


class _Graph:
    """Nodes and constants, as they are gathered from a traced network; `results` are the names of what it returns."""

    def __init__(self, modules: dict[str, nn.Module], inputs: list[str]):
        self.nodes, self.constants, self.results = [], [], []
        self._modules, self._inputs, self._names = modules, iter(inputs), {}

    def constant(self, name: str, values: torch.Tensor | np.ndarray) -> str:
        """Store a constant; give the name under which nodes find it, float32 or integer."""
        values = np.asarray(values)
        # Biases and a norm's statistics are few and some are tiny: those stay float32.
        if values.ndim < 2 or values.dtype.kind != "f":
            self.constants.append(numpy_helper.from_array(values, name))
            return name
        self.constants.append(numpy_helper.from_array(values.astype(np.float16), name))
        return self.op("Cast", f"{name}.float32", name, to=TensorProto.FLOAT)

    def op(self, kind: str, output: str, *inputs: str, **attributes) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def add(self, traced: fx.GraphModule, node: fx.Node) -> None:
        """Write one node of the trace."""
        if node.op == "placeholder":
            self._names[node] = next(self._inputs)
        elif node.op == "output":
            results = node.args[0]
            self.results = [self._names[result] for result in (results if isinstance(results, tuple) else (results,))]
        elif node.op == "get_attr":
            self._names[node] = self.constant(node.target, operator.attrgetter(node.target)(traced).detach())
        elif node.op == "call_module":
            self._names[node] = self._layer(node, self._modules[node.target])
        else:
            self._names[node] = self._call(node)

    def _layer(self, node, layer):
        (x,) = (self._names[each] for each in node.args)
        weights = {
            name: self.constant(f"{node.target}.{name}", value.detach())
            for name, value in (*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False))
            if value.ndim
        }
        if isinstance(layer, nn.Conv2d):
            pads = [*layer.padding, *layer.padding]
            shape = {"kernel_shape": layer.kernel_size, "strides": layer.stride, "pads": pads, "group": layer.groups}
            return self.op("Conv", node.name, x, *weights.values(), **shape)
        if isinstance(layer, nn.BatchNorm2d):
            return self.op("BatchNormalization", node.name, x, *weights.values(), epsilon=layer.eps)
        if isinstance(layer, nn.Linear):
            return self.op("Gemm", node.name, x, *weights.values(), transB=1)
        if isinstance(layer, nn.ReLU):
            return self.op("Relu", node.name, x)
        if isinstance(layer, nn.AvgPool2d):
            sides = [layer.kernel_size] * 2
            return self.op("AveragePool", node.name, x, kernel_shape=sides, strides=sides)
        if isinstance(layer, nn.Upsample) and layer.mode == "nearest":
            scales = self.constant(f"{node.name}.scales", np.float32([1, 1, layer.scale_factor, layer.scale_factor]))
            how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            return self.op("Resize", node.name, x, "", scales, **how)
        raise ValueError(f"network: its layer {node.target} is a {type(layer).__name__}, which has no ONNX form here")

    def _call(self, node):
        values = [self._names[each] if isinstance(each, fx.Node) else each for each in node.args]
        if node.target in ELEMENTWISE:
            operands = [
                each if isinstance(each, str) else self.constant(f"{node.name}.{place}", np.float32(each))
                for place, each in enumerate(values)
            ]
            return self.op(ELEMENTWISE[node.target], node.name, *operands)
        if node.target == F.linear:
            return self.op("Gemm", node.name, *values, transB=1)
        if node.target == F.normalize:
            return self.op("LpNormalization", node.name, *values, axis=node.kwargs["dim"], p=2)
        if node.target == "permute":
            return self.op("Transpose", node.name, values[0], perm=values[1:])
        if node.target == "reshape":
            return self.op("Reshape", node.name, values[0], self.constant(f"{node.name}.shape", np.int64(values[1:])))
        if node.target == "flatten":
            return self.op("Flatten", node.name, values[0], axis=values[1])
        raise ValueError(f"network: it calls {node.target}, which has no ONNX form here")
