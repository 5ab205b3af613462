"""Lists of numbers that a person writes as text: what a sweep goes through, which steps to show."""

from decimal import Decimal, InvalidOperation

from .messages import shown

MOST_VALUES = 100
MOST_DIGITS = 20  # before the decimal point and after it; a seed has up to 20
LONGEST = 50  # characters of a number
SYNTAX = "Write numbers and ranges start:end:step, separated by commas: 0, 5, 10:30:10"


def parse_numbers(text: str, name: str = "values") -> list[Decimal]:
    """Read a sweep: numbers and ranges start:end:step, separated by commas, in the order they are written in.

    A range includes its end where a step lands on it; that is reckoned in decimals, so 0:1:0.1 ends at 1. Raises
    ValueError, naming the input and the piece, for anything else, for no values at all and for more than MOST_VALUES.
    """
    values = []
    for piece in filter(None, map(str.strip, text.split(","))):
        values += _expand(piece, name)
        if len(values) > MOST_VALUES:
            raise ValueError(
                f"{name}: with {shown(piece)} there are more than {MOST_VALUES} values. Use fewer, or larger steps."
            )
    if not values:
        raise ValueError(f"{name}: there are none. {SYNTAX}")
    return values


def validate_numbers(text: str, name: str = "values") -> bool | str:
    """For validate_inputs: True, or what `parse_numbers` says of the text, before the run starts."""
    try:
        parse_numbers(text, name)
    except ValueError as error:
        return str(error)
    return True


def _expand(piece: str, name: str) -> list[Decimal]:
    """The values of a number, or of a range."""
    numbers = [_number(part, piece, name) for part in piece.split(":")]
    if len(numbers) == 1:
        return numbers
    if len(numbers) != 3:
        raise ValueError(f"{name}: {shown(piece)} is not a range. {SYNTAX}")
    start, end, step = numbers
    if step == 0 or (end - start) / step < 0:
        raise ValueError(
            f"{name}: the step of {shown(piece)} does not lead from {start} to {end}. Change its sign or size."
        )
    steps = (end - start) / step
    if steps >= MOST_VALUES:
        raise ValueError(f"{name}: {shown(piece)} is more than {MOST_VALUES} values. Use a larger step.")
    return [start + n * step for n in range(int(steps) + 1)]


def _number(text: str, piece: str, name: str) -> Decimal:
    text = text.strip()
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > MOST_DIGITS or len(text) > LONGEST:
        raise ValueError(f"{name}: {shown(text)} in {shown(piece)} is not a usable number. {SYNTAX}")
    return number


def spread_steps(steps: int, count: int) -> list[int]:
    """Which of `steps` steps to show, `count` of them at most: evenly spaced, the first and the last included."""
    count = min(count, steps)
    return [round(n * (steps - 1) / max(count - 1, 1)) for n in range(count)]


def chosen_steps(text: str, steps: int) -> list[int]:
    """The steps that a text such as "0, 10, 49" names, of `steps` steps, in its order.

    Raises ValueError for what `parse_numbers` refuses, and for a number that is no step, counted from 0.
    """
    numbers = parse_numbers(text, "steps")
    for number in numbers:
        if number % 1 or not 0 <= number < steps:
            raise ValueError(
                f"steps: {number} is not one of the pivot's {steps} steps. Write whole numbers from 0 (the noisiest) "
                f"to {steps - 1}, or leave it empty for count evenly spaced steps."
            )
    return [int(number) for number in numbers]
