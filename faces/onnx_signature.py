"""What an ONNX file takes and gives, read without its weights, which may be hundreds of megabytes.

The onnx package would read them all. The numbers are those of the format's fields, onnx.proto of ONNX 1.x, in protocol
buffers' wire format: a key (field number and wire type), then a number or a length and that many bytes.
"""

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

Shape = tuple[int | None, ...]
# ModelProto; GraphProto; TensorProto; ValueInfoProto; TypeProto, its Tensor, TensorShapeProto and Dimension.
GRAPH = 7
INITIALIZER, INPUT, OUTPUT = 5, 11, 12
TENSOR_NAME = 8
VALUE_NAME, VALUE_TYPE = 1, 2
TENSOR_TYPE, SHAPE, DIMENSION, LENGTH = 1, 2, 1, 1
VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5


def matches(shape: Shape, *lengths: int) -> bool:
    """Whether a shape is a batch of this: the lengths after the first axis are these, or left open."""
    return len(shape) == len(lengths) + 1 and all(
        found in (None, wanted) for found, wanted in zip(shape[1:], lengths, strict=True)
    )


@dataclass(frozen=True)
class Signature:
    """inputs, outputs: shapes by name, in the file's order; None is a length that the file leaves open."""

    inputs: dict[str, Shape]
    outputs: dict[str, Shape]

    def __str__(self) -> str:
        sides = (
            ", ".join(
                f"{name} ({', '.join('?' if length is None else str(length) for length in shape)})"
                for name, shape in side.items()
            )
            for side in (self.inputs, self.outputs)
        )
        return "from {} to {}".format(*(side or "nothing" for side in sides))


def read_signature(path: Path) -> Signature:
    """The inputs and outputs of an ONNX file. Raises ValueError for a file that is none, or is cut off."""
    status = os.stat(path)
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=256)
def _read(path: Path, changed: int, size: int) -> Signature:
    if not size:
        raise ValueError("the file is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            graph = next(value for number, value in _fields(data, (0, size)) if number == GRAPH)
            values, weights = {INPUT: {}, OUTPUT: {}}, set()
            for number, value in _fields(data, graph):
                if number in values:
                    values[number].update([_value(data, value)])
                elif number == INITIALIZER:  # old files have their weights among the inputs, too
                    weights.add(_text(data, value, TENSOR_NAME))
        except (StopIteration, IndexError, TypeError, UnicodeDecodeError) as error:
            raise ValueError("the file is no ONNX model, or its end is missing") from error
    inputs = {name: shape for name, shape in values[INPUT].items() if name not in weights}
    return Signature(inputs, values[OUTPUT])


def _value(data: mmap.mmap, span: tuple[int, int]) -> tuple[str, Shape]:
    shape = ()
    for kind in _parts(data, span, VALUE_TYPE):
        for tensor in _parts(data, kind, TENSOR_TYPE):
            for found in _parts(data, tensor, SHAPE):
                shape = tuple(
                    next(iter(_parts(data, dimension, LENGTH)), None) for dimension in _parts(data, found, DIMENSION)
                )
    return _text(data, span, VALUE_NAME), shape


def _parts(data: mmap.mmap, span: tuple[int, int], wanted: int) -> list:
    return [value for number, value in _fields(data, span) if number == wanted]


def _text(data: mmap.mmap, span: tuple[int, int], wanted: int) -> str:
    (found,) = _parts(data, span, wanted) or [(0, 0)]
    return data[slice(*found)].decode()


def _fields(data: mmap.mmap, span: tuple[int, int]) -> Iterator[tuple[int, int | tuple[int, int]]]:
    """Number and value of each field of a message: an integer, or where its bytes start and end."""
    at, end = span
    while at < end:
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if number == 0:  # as in a file that is filled with zeros
            raise IndexError(at)
        if wire == VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == BYTES:
            length, at = _varint(data, at)
        elif wire in (EIGHT_BYTES, FOUR_BYTES):
            length = 8 if wire == EIGHT_BYTES else 4
        else:
            raise IndexError(at)
        if at + length > end:
            raise IndexError(at)
        yield number, (at, at + length)
        at += length


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    """A number, seven bits a byte, and where the next thing begins."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift >= 70:  # numbers have 64 bits
            raise IndexError(at)
