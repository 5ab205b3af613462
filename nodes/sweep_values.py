"""Sweep Values: numbers as a list, so that ComfyUI runs what they are connected to once for each."""

from decimal import Decimal, InvalidOperation

from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

CATEGORY = "CustomEnhancer/sweep"
MOST_VALUES = 100
MOST_DIGITS = 20  # before the decimal point and after it; a seed has up to 20
SYNTAX = "Write numbers and ranges start:end:step, separated by commas: 0, 5, 10:30:10"


def parse_values(text: str, name: str = "values") -> list[Decimal]:
    """Read a sweep: numbers and ranges start:end:step, separated by commas, in the order they are written in.

    A range includes its end where a step lands on it; that is reckoned in decimals, so 0:1:0.1 ends at 1. Raises
    ValueError, naming the input and the piece, for anything else, for no values at all and for more than MOST_VALUES.
    """
    values = []
    for piece in filter(None, map(str.strip, text.split(","))):
        values += _expand(piece, name)
        if len(values) > MOST_VALUES:
            raise ValueError(f"{name}: with {piece!r} these are more than {MOST_VALUES}. Use fewer, or larger steps.")
    if not values:
        raise ValueError(f"{name}: there are none. {SYNTAX}")
    return values


def validate_values(text: str, name: str = "values") -> bool | str:
    """For validate_inputs: True, or what `parse_values` says of the text, before the run starts."""
    try:
        parse_values(text, name)
    except ValueError as error:
        return str(error)
    return True


def _expand(piece: str, name: str) -> list[Decimal]:
    """The values of a number, or of a range."""
    numbers = [_number(part, piece, name) for part in piece.split(":")]
    if len(numbers) == 1:
        return numbers
    if len(numbers) != 3:
        raise ValueError(f"{name}: {piece!r} is no range. {SYNTAX}")
    start, end, step = numbers
    if step == 0 or (end - start) / step < 0:
        raise ValueError(f"{name}: the step of {piece!r} does not lead from {start} to {end}. Change its sign or size.")
    steps = (end - start) / step
    if steps >= MOST_VALUES:
        raise ValueError(f"{name}: {piece!r} is more than {MOST_VALUES} values. Use a larger step.")
    return [start + n * step for n in range(int(steps) + 1)]


def _number(text: str, piece: str, name: str) -> Decimal:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > MOST_DIGITS:
        raise ValueError(f"{name}: {text.strip()!r} in {piece!r} is no number that can be used. {SYNTAX}")
    return number


class SweepValues(io.ComfyNode):
    """`parse_values` as a node."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CE_SweepValues",
            display_name="Sweep Values",
            category=CATEGORY,
            description="A list of numbers. What they are connected to runs once for each, and what does not depend "
            "on them runs once.",
            search_aliases=["xy plot", "list", "range", "grid", "loop"],
            inputs=[
                io.String.Input(
                    "values",
                    default="0:50:10",
                    optional=True,
                    tooltip="Numbers and ranges start:end:step, separated by commas: 0, 5, 10:30:10 is 0, 5, 10, 20, "
                    f"30. At most {MOST_VALUES}.",
                )
            ],
            outputs=[
                io.Float.Output(display_name="floats", is_output_list=True, tooltip="The numbers, as FLOAT."),
                io.Int.Output(
                    display_name="ints",
                    is_output_list=True,
                    tooltip="The numbers, as INT. An error where it is used and one of them is not whole.",
                ),
                io.String.Output(
                    display_name="labels", is_output_list=True, tooltip="The numbers as text, for Contact Sheet."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, values=None):
        return values is None or validate_values(values)

    @classmethod
    def execute(cls, values="0:50:10"):
        numbers = parse_values(values)
        labels = [format(number.normalize(), "f") for number in numbers]
        fraction = next((label for number, label in zip(numbers, labels, strict=True) if number % 1), None)
        if fraction is None:
            ints = [int(number) for number in numbers]
        else:  # of use to whoever takes the floats
            ints = ExecutionBlocker(f"values: {fraction} is no whole number, and an INT needs one. Use whole numbers.")
        return io.NodeOutput([float(number) for number in numbers], ints, labels)


NODES = [SweepValues]
