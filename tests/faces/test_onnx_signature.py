"""What an ONNX file takes and gives, told without reading its weights: as the onnx package tells it."""

import onnx
import pytest
from customenhancer.faces.onnx_signature import matches, read_signature
from onnx import TensorProto, helper, numpy_helper


def by_onnx(path):
    """Inputs and outputs as the onnx package reads them, without what is a weight as well."""
    graph = onnx.load(path).graph
    weights = {weight.name for weight in graph.initializer}
    sides = []
    for values in (graph.input, graph.output):
        shapes = {}
        for value in values:
            lengths = value.type.tensor_type.shape.dim
            shapes[value.name] = tuple(each.dim_value if each.HasField("dim_value") else None for each in lengths)
        sides.append({name: shape for name, shape in shapes.items() if name not in weights})
    return tuple(sides)


def test_every_stand_in_is_read_as_onnx_reads_it(models):
    files = sorted(models.rglob("*.onnx"))
    assert len(files) >= 12
    for file in files:
        found = read_signature(file)
        assert (found.inputs, found.outputs) == by_onnx(file), file


def test_weights_that_an_old_file_lists_among_its_inputs_are_left_out(tmp_path):
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in ("picture", "weight")]
    weight = numpy_helper.from_array(numpy_helper.to_array(helper.make_tensor("w", 1, [1, 3], [1, 2, 3])), "weight")
    node = helper.make_node("Mul", ["picture", "weight"], ["out"])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", 3])
    onnx.save(helper.make_model(helper.make_graph([node], "old", values, [out], [weight])), tmp_path / "old.onnx")
    found = read_signature(tmp_path / "old.onnx")
    assert found.inputs == {"picture": (1, 3)} and found.outputs == {"out": (None, 3)}
    assert str(found) == "from picture (1, 3) to out (?, 3)"


def test_a_file_that_changes_is_read_anew(models, tmp_path):
    file = tmp_path / "model.onnx"
    for name in ("inswapper_128.onnx", "hyperswap_1a_256.onnx"):
        file.write_bytes((models / "insightface" / name).read_bytes())
        assert len(read_signature(file).outputs) == (1 if name.startswith("inswapper") else 2)


@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.99])
def test_a_file_that_is_cut_off_is_refused(models, tmp_path, share):
    whole = (models / "insightface" / "inswapper_128.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match="empty|end is missing"):
        read_signature(tmp_path / "cut.onnx")


def test_open_lengths_match_any():
    assert matches((None, 3, 4), 3, 4) and matches((1, None, 4), 3, 4) and matches((1, None, None), 3, 4)
    assert not (matches((1, 3, 5), 3, 4) or matches((1, 3), 3, 4) or matches((), 3, 4))


@pytest.mark.parametrize("contents", [b"<html>404</html>", b"\x00" * 10**8, b"\xff" * 4096, b"PK\x03\x04" + bytes(99)])
def test_what_is_no_model_is_refused(tmp_path, contents):
    (tmp_path / "other.onnx").write_bytes(contents)
    with pytest.raises(ValueError, match="no ONNX model"):
        read_signature(tmp_path / "other.onnx")
