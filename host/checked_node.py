"""The base of this pack's nodes: no body runs on inputs that it cannot work with, and every error can be written."""

import functools
import inspect
import os
from collections.abc import Callable
from contextlib import contextmanager

from comfy_api.v0_0_2 import io

from .checks import check_latent_shape, check_model_kind
from .input_checks import check_file_name, check_value
from .messages import escaped, writable
from .text_checks import check_guiders_texts

RECORDINGS = {"CE_PIVOT", "CE_RESIDUAL_NOISE"}


class CheckedNode(io.ComfyNode):
    """A node whose inputs are checked against its own schema before its methods run, whoever calls them.

    An input that `validate_inputs` takes and that is a COMBO is the name of a file: the node's own finder tells whether
    it is there, and a name written on another system (`sub\\file` for `sub/file`) is put into this one's spelling.
    `validate_inputs` and `fingerprint_inputs` get None for what is linked, as the host calls them.
    Raises ValueError, naming the input.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for name, wrap in (
            ("execute", _checked_execute),
            ("validate_inputs", _checked_validation),
            ("fingerprint_inputs", _checked_fingerprint),
        ):
            method = vars(cls).get(name)
            if method is not None and not hasattr(method.__func__, "__wrapped__"):  # the host copies classes
                setattr(cls, name, classmethod(wrap(cls, method.__func__)))


def _checked_execute(node: type[io.ComfyNode], execute: Callable) -> Callable:
    def call(cls, given: dict):
        for name in file_inputs(node) & given.keys():
            given[name] = portable_name(node, name, given[name])
        check_inputs(node, given)
        return execute(cls, **given)

    return _wrapped(execute, call)


def _checked_validation(node: type[io.ComfyNode], validate: Callable) -> Callable:
    def call(cls, given: dict):
        try:
            said = validate(cls, **_checked_constants(node, given))
        except ValueError as error:
            said = str(error)
        return escaped(said) if isinstance(said, str) else said

    return _wrapped(validate, call)


def _checked_fingerprint(node: type[io.ComfyNode], fingerprint: Callable) -> Callable:
    return _wrapped(fingerprint, lambda cls, given: fingerprint(cls, **_checked_constants(node, given)))


def _wrapped(method: Callable, call: Callable[[type, dict], object]) -> Callable:
    """A method's place taken by `call` (cls, inputs by name), under its name and signature, which the host reads."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    def wrapper(cls, *args, **kwargs):
        given = signature.bind(cls, *args, **kwargs).arguments
        with _writable_errors():
            return call(given.pop("cls"), given)

    wrapper.__signature__ = signature
    return wrapper


@contextmanager
def _writable_errors():
    try:
        yield
    except Exception as error:
        if (can_be_written := writable(error)) is error:
            raise
        raise can_be_written from None


@functools.cache
def _inputs(node: type[io.ComfyNode]) -> dict[str, io.Input]:
    return {one.id: one for one in node.define_schema().inputs}


@functools.cache
def _takes_lists(node: type[io.ComfyNode]) -> bool:
    return node.define_schema().is_input_list


@functools.cache
def file_inputs(node: type[io.ComfyNode]) -> set[str]:
    """The inputs of a node that are names of files: see CheckedNode."""
    if "validate_inputs" not in vars(node):
        return set()
    taken = inspect.signature(node.validate_inputs).parameters
    return {name for name, one in _inputs(node).items() if name in taken and one.get_io_type() == "COMBO"}


def portable_name(node: type[io.ComfyNode], name: str, value) -> str:
    """The name of a file as this system spells it, where the value of the input `name` may come from another.

    Raises ValueError for what is no name.
    """
    check_file_name(name, value)
    if "\\" not in value and os.sep == "/":
        return value
    (given,) = (one for one in node.define_schema().inputs if one.id == name)  # anew: files come and go
    if value in given.options:
        return value
    spelled = {option.replace("\\", "/"): option for option in given.options}
    return spelled.get(value.replace("\\", "/"), value)


def _checked_constants(node: type[io.ComfyNode], given: dict) -> dict:
    """The inputs that are not linked, checked, beside None for the others."""
    checked = dict(given)
    for name, value in given.items():
        if value is None:
            continue
        if name in file_inputs(node):
            checked[name] = portable_name(node, name, value)
        else:
            check_value(_inputs(node)[name], value)
    return checked


def check_inputs(node: type[io.ComfyNode], given: dict) -> None:
    """Raise ValueError unless all that is given to a node fits its schema, and fits together.

    given: values by name; where the node takes lists, lists of them. None leaves out what is None by default.
    """
    parameters = inspect.signature(node.execute).parameters
    for name, one in _inputs(node).items():
        if name not in given or name in file_inputs(node) or (given[name] is None is parameters[name].default):
            continue
        values = given[name] if _takes_lists(node) else [given[name]]
        if len(values) == 0:
            raise ValueError(f"{name}: there are none, because its list is empty. Check what makes the list.")
        for value in values:
            check_value(one, value)
    _check_together(node, given)


def _check_together(node: type[io.ComfyNode], given: dict) -> None:
    """Raise ValueError unless guiders' texts suit their models, and latents and recordings the first model."""
    types = {name: one.get_io_type().split(",") for name, one in _inputs(node).items() if given.get(name) is not None}
    patchers = [
        given[name] if "MODEL" in kinds else given[name].model_patcher
        for name, kinds in types.items()
        if "MODEL" in kinds or "GUIDER" in kinds
    ]
    for name, kinds in types.items() if patchers else ():
        if "GUIDER" in kinds:
            check_guiders_texts(name, given[name])
        if RECORDINGS & set(kinds):
            check_model_kind(given[name].model_kind, patchers[0], name)
            check_latent_shape(name, given[name].anchors[0], patchers[0])
        elif "LATENT" in kinds:
            check_latent_shape(name, given[name]["samples"], patchers[0])
