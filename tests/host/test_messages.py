"""Messages that the host can log, whatever they repeat."""

import traceback

import pytest
from customenhancer.host.messages import MOST_CHARACTERS, escaped, shown, writable

SURROGATE, UNDECODABLE = "\ud800x", b"a\xff.safetensors".decode("utf-8", "surrogateescape")


def raised(error, cause=None):
    try:
        raise error from cause
    except Exception as caught:
        return caught


def log_of(error):
    return "".join(traceback.format_exception(error))


def test_what_can_be_written_stays_as_it_is():
    assert escaped("Köln 東京 \n😀") == "Köln 東京 \n😀"


def test_what_cannot_be_written_is_spelled_out():
    assert escaped(SURROGATE) == r"\ud800x" and escaped(UNDECODABLE) == r"a\udcff.safetensors"


@pytest.mark.parametrize(
    "value", ["x" * 10**6, 10**5000, list(range(10**5)), {"a": "b" * 999}, object(), SURROGATE], ids=type
)
def test_a_value_is_shown_shortly(value):
    assert len(shown(value)) <= 2 * MOST_CHARACTERS
    shown(value).encode()


@pytest.mark.parametrize(
    "error",
    [ValueError("clip: there is none"), MemoryError(), KeyError(SURROGATE)],
    ids=type,
)
def test_an_error_that_can_be_written_is_the_very_one(error):
    assert writable(raised(error)) is error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ValueError(f"name: {SURROGATE} is not there"), None),
        (FileNotFoundError(f"name: {UNDECODABLE} is not there"), None),
        (ValueError("name: cannot be read"), RuntimeError(SURROGATE)),
    ],
    ids=ascii,
)
def test_any_other_is_escaped_and_says_where_it_was_raised(error, cause):
    error = raised(error, cause)
    with pytest.raises(UnicodeEncodeError):
        log_of(error).encode()
    try:
        raise writable(error) from None
    except ValueError as other:
        assert str(other) == escaped(str(error)) and "in raised" in log_of(other)
        log_of(other).encode()
