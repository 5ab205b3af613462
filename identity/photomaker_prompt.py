"""PhotoMaker's prompt rule, on the host's tokens: which token becomes the person, and how often.

The rule is that of TencentARC/PhotoMaker's pipeline: exactly one trigger, right after the class word. The trigger is
dropped. The class token, which is the one token just before it, is repeated once per identity token, and the identity
is fused into these copies.
"""

import logging
import string
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import torch

# SDXL's two text encoders in the order in which the host concatenates their outputs, and the widths of these.
ENCODER_WIDTHS = {"l": 768, "g": 1280}
# The host never splits a piece of a prompt (text of one weight, or an embedding) with fewer tokens than this.
UNCUT = 8
# What may stand between the class word and the trigger: "a photo of [a man] img".
CLOSING = set(")]}\"'")

# As the host's tokenizers give it: token id or embedding vector, weight, number of its piece (0: start, end, pad).
Token = tuple[int | torch.Tensor, float, int]


@dataclass(frozen=True)
class PhotoMakerPrompt:
    """One prompt as two sets of host tokens, each {"l": chunks, "g": chunks} of 77 tokens.

    identity: with the class token repeated. customization_free: the prompt without the trigger.
    positions: per encoder, where the copies of the class token are in the encoded `identity` (chunks end to end).
    """

    identity: dict[str, list[list[Token]]]
    customization_free: dict[str, list[list[Token]]]
    positions: dict[str, list[int]]


def prepare_prompt(clip, text: str, trigger: str, copies: int) -> PhotoMakerPrompt:
    """Find the trigger and make both sets of tokens. copies: identity tokens, in V1 one per picture, in V2 two.

    A prompt too long for one chunk is split where the host splits it without the trigger. The chunk with the class word
    keeps its 77 tokens: what the copies push out at its end is dropped, as PhotoMaker does.
    Raises ValueError if clip is not SDXL's, if text does not contain the trigger exactly once and right after a word,
    or if the copies do not fit.
    """
    empty = _empty_chunks(clip)
    tokens = clip.tokenize(text, return_word_ids=True)
    trigger_tokens = clip.tokenize(trigger, return_word_ids=True)
    prompt = PhotoMakerPrompt({}, {}, {})
    for key, width in ENCODER_WIDTHS.items():
        content = _content(tokens[key], width)
        start, stop = _find_trigger(content, _content(trigger_tokens[key], width), trigger)
        class_index = _find_class_token(clip, content[:start], trigger)
        free = _cut(content[:start] + content[stop:], len(empty[key]) - 2)
        row, column = _locate(free, class_index)
        identity = [*free[:row], _repeat(free[row], column, copies, len(empty[key]) - 2), *free[row + 1 :]]

        prompt.customization_free[key] = [_close(words, empty[key]) for words in free]
        prompt.identity[key] = [_close(words, empty[key]) for words in identity]
        first = row * len(empty[key]) + 1 + column
        prompt.positions[key] = list(range(first, first + copies))
    for chunks in (prompt.identity, prompt.customization_free):
        _even_out(chunks, empty)
    return prompt


def _empty_chunks(clip) -> dict[str, list[Token]]:
    """The host's chunk for an empty prompt, per encoder. Raises ValueError unless clip is SDXL's."""
    if clip is None:
        raise ValueError(
            "clip: there is none, because the checkpoint has no text encoders. Load SDXL's two with DualCLIPLoader."
        )
    empty = {key: chunks[0] for key, chunks in clip.tokenize("", return_word_ids=True).items()}
    if empty.keys() != ENCODER_WIDTHS.keys():
        raise ValueError(
            f"clip: not the text encoders of SDXL (its token sets are {sorted(empty)}, SDXL's are ['g', 'l']). "
            "PhotoMaker works with SDXL alone: connect the CLIP of an SDXL checkpoint."
        )
    return empty


def _content(chunks: list[list[Token]], width: int) -> list[Token]:
    """The prompt's own tokens in a row, without embedding vectors of another width: the host would drop them later."""
    content = [token for chunk in chunks for token in chunk if token[2] != 0]
    fitting = [token for token in content if not torch.is_tensor(token[0]) or token[0].shape[-1] == width]
    if len(fitting) < len(content):
        logging.warning("PhotoMaker: an embedding in the prompt was not made for SDXL's text encoders and is ignored.")
    return fitting


def _find_trigger(content: list[Token], trigger_tokens: list[Token], trigger: str) -> tuple[int, int]:
    """Start and stop of the trigger's one occurrence in content."""
    wanted = [token[0] for token in trigger_tokens]
    if not wanted or any(map(torch.is_tensor, wanted)):
        raise ValueError(f'trigger: "{trigger}" is not a word. PhotoMaker\'s own is "img".')
    ids = [None if torch.is_tensor(token[0]) else token[0] for token in content]
    starts = [i for i in range(len(ids)) if ids[i : i + len(wanted)] == wanted]
    if not starts:
        raise ValueError(
            f'text: does not contain the trigger "{trigger}". Write it once, right after the class word: '
            f'"a photo of a man {trigger}".'
        )
    if len(starts) > 1:
        raise ValueError(
            f'text: contains the trigger "{trigger}" {len(starts)} times. Keep only one, right after the class word of '
            "the person."
        )
    return starts[0], starts[0] + len(wanted)


def _find_class_token(clip, before: list[Token], trigger: str) -> int:
    """Index of the class word's last token. before: the content before the trigger."""
    for index in reversed(range(len(before))):
        token = before[index][0]
        if torch.is_tensor(token):
            return index
        letters = set(_word_piece(clip, token))
        if not letters <= set(string.punctuation):
            return index
        if not letters <= CLOSING:
            break
    found = f'"{_word_piece(clip, before[-1][0])}"' if before else "nothing"
    raise ValueError(
        f'text: before the trigger "{trigger}" there is {found}, where the class word must be: "a photo of a man '
        f'{trigger}, smiling".'
    )


def _word_piece(clip, token: int) -> str:
    return clip.tokenizer.untokenize([(token, 1.0)])[0][1].removesuffix("</w>")


def _cut(content: list[Token], room: int) -> list[list[Token]]:
    """Split content into chunks of at most `room` tokens, as the host's tokenizer does."""
    chunks = [[]]
    for _, piece in groupby(content, key=itemgetter(2)):
        piece = list(piece)
        may_cut = len(piece) >= UNCUT
        while len(piece) > room - len(chunks[-1]):
            taken = room - len(chunks[-1]) if may_cut else 0
            chunks[-1] += piece[:taken]
            piece = piece[taken:]
            chunks.append([])
        chunks[-1] += piece
    return chunks


def _locate(chunks: list[list[Token]], index: int) -> tuple[int, int]:
    """Row and column of the token that has this index with the chunks end to end."""
    row = 0
    while index >= len(chunks[row]):
        index -= len(chunks[row])
        row += 1
    return row, index


def _repeat(words: list[Token], column: int, copies: int, room: int) -> list[Token]:
    """The chunk with the token at `column` repeated, cut to `room` tokens."""
    if column + copies > room:
        raise ValueError(
            f"reference_images: they need {copies} places in text, counted in tokens from the class word on (one each "
            f"in PhotoMaker V1, two in V2), but there are {room - column}. Use fewer pictures, or move the class word "
            "closer to the start of text."
        )
    return [*words[:column], *[words[column]] * copies, *words[column + 1 :]][:room]


def _close(words: list[Token], empty: list[Token]) -> list[Token]:
    """A complete chunk: start token, words, end token, padding. empty: the host's chunk for an empty prompt."""
    start, end, pad = empty[:3]
    return [start, *words, end, *[pad] * (len(empty) - 2 - len(words))]


def _even_out(chunks: dict[str, list[list[Token]]], empty: dict[str, list[Token]]) -> None:
    """Add empty chunks, in place, where an embedding has more vectors for one encoder than for the other.

    The host cuts the concatenated output to the shorter of the two, and the class word might be beyond that cut.
    """
    rows = max(map(len, chunks.values()))
    for key in chunks:
        chunks[key] += [empty[key]] * (rows - len(chunks[key]))
