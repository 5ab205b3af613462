"""The base of the pack's nodes: what the host finds of its methods, and what leaves them."""

import asyncio
import inspect
import logging

import execution
import pytest
from comfy_api.v0_0_2 import io
from customenhancer.host.checked_node import CheckedNode, file_inputs, portable_name
from customenhancer.host.checks import missing_file

SURROGATE = "\ud800x"
UNDECODABLE = b"a\xff.safetensors".decode("utf-8", "surrogateescape")


class Fork(CheckedNode):
    """A node with a file, a choice of words and a number, that fails as it is told to."""

    files = ("sub/a.safetensors", "b\\c.safetensors", UNDECODABLE)
    ran = ()

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CE_Fork",
            inputs=[
                io.Combo.Input("file", options=list(cls.files)),
                io.Combo.Input("choice", options=["one", "two"], default="one", optional=True),
                io.Float.Input("number", default=1.0, min=0.0, max=2.0, optional=True),
            ],
            outputs=[io.String.Output()],
        )

    @classmethod
    def validate_inputs(cls, file=None):
        return missing_file(cls.find, file)

    @classmethod
    def fingerprint_inputs(cls, file=None):
        return cls.find(file)

    @classmethod
    def execute(cls, file, choice="one", number=1.0):
        return io.NodeOutput(f"{cls.find(file)} {choice} {number}")

    @classmethod
    def find(cls, file):
        if file not in cls.files:
            raise FileNotFoundError(f"file: {file} is not there.")
        return file


def through_the_host(method, **inputs):
    """What the host gets of one call, in the class that it copies and locks."""
    run = execution._async_map_node_over_list
    data = {"hidden_inputs": {}}
    listed = {name: [value] for name, value in inputs.items()}
    (result,) = asyncio.run(run("prompt", "node", Fork, listed, method, v3_data=data))
    return result


def test_the_host_calls_it_as_any_node():
    assert through_the_host("EXECUTE_NORMALIZED", file="sub/a.safetensors", number=2).args == (
        "sub/a.safetensors one 2",
    )
    assert through_the_host("validate_inputs", file="sub/a.safetensors") is True
    with pytest.raises(ValueError, match=r"^number: 3 is above 2\. Set it from 0 to 2\.$"):
        through_the_host("EXECUTE_NORMALIZED", file="sub/a.safetensors", number=3)


def test_the_host_still_reads_which_inputs_a_node_validates_itself():
    """It leaves those out of its own validation, and no others."""
    assert inspect.getfullargspec(Fork.validate_inputs).args == ["cls", "file"]
    assert file_inputs(Fork) == {"file"}


class TestNamesOfFiles:
    @pytest.mark.parametrize(
        ("written", "found"),
        [
            ("sub/a.safetensors", "sub/a.safetensors"),
            ("sub\\a.safetensors", "sub/a.safetensors"),
            ("b\\c.safetensors", "b\\c.safetensors"),
            ("gone\\a.safetensors", "gone\\a.safetensors"),
            (UNDECODABLE, UNDECODABLE),
        ],
        ids=ascii,
    )
    def test_a_name_from_another_system_is_put_into_this_ones_spelling(self, written, found):
        assert portable_name(Fork, "file", written) == found

    def test_every_method_gets_it_so(self):
        written = "sub\\a.safetensors"
        assert Fork.validate_inputs(written) is True
        assert Fork.fingerprint_inputs(written) == "sub/a.safetensors"
        assert Fork.execute(written).args[0].startswith("sub/a.safetensors")

    @pytest.mark.parametrize("wrong", [3, ["a"], {"a": 1}, "a\0b"])
    def test_what_is_no_name_is_refused_before_the_run(self, wrong):
        said = Fork.validate_inputs(wrong)
        assert said.startswith("file: ") and "is not the name of a file" in said


class TestMessages:
    """Each is logged as the host logs it."""

    @pytest.fixture(autouse=True)
    def log(self, tmp_path):
        handler = logging.FileHandler(tmp_path / "log", encoding="utf-8")
        handler.handleError = lambda record: pytest.fail("could not be logged")
        logging.getLogger().addHandler(handler)
        yield
        logging.getLogger().removeHandler(handler)

    @pytest.mark.parametrize("name", [SURROGATE, f"{UNDECODABLE}x"], ids=ascii)
    def test_no_method_lets_out_what_cannot_be_written(self, name):
        for method in ("EXECUTE_NORMALIZED", "fingerprint_inputs"):
            with pytest.raises(ValueError, match="^file: ") as caught:
                through_the_host(method, file=name)
            logging.error("%s", caught.value, exc_info=caught.value)
        logging.error("%s", through_the_host("validate_inputs", file=name))

    def test_a_surrogate_in_a_choice_is_escaped(self):
        with pytest.raises(ValueError, match="^choice: ") as caught:
            through_the_host("EXECUTE_NORMALIZED", file=UNDECODABLE, choice=SURROGATE)
        logging.error("%s", caught.value, exc_info=caught.value)
