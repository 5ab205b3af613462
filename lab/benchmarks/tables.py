"""Results as Markdown: what was measured on which machine, the tables, and the numbers beside them."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

COLUMNS = {
    "method": "method",
    "guider_calls": "guider calls",
    "forwards": "forwards",
    "backwards": "backwards",
    "ratio": "seconds / DDIM's",
    "peak_memory_mib": "peak memory, MiB",
    "max_error": "max abs error",
    "psnr_db": "PSNR, dB",
}
NOTES = """\
- Counts, seconds and memory are of the inversion alone. Forwards and backwards are counted inside the network, in batch
  rows: a guided prediction of one picture is two forwards. Null text asks for one side of the guidance at a time, which
  is no guider call.
- Seconds are the median, over repeats, of the ratio to DDIM inversion's seconds in the same repeat; methods run in a
  new random order in each. Errors are of sampling back at the same cfg, in the model's latent units; PSNR is against
  the VAE's own round trip.
- Peak memory is that of all tensors on the card; on a CPU of those that the inversion makes, as it is measured in a run
  of its own by counting at every operation, without the weights and without what an operation takes for itself.
- Negative-prompt inversion samples with the prompt on both sides, which is cfg 1 in all but cost.
- FlipSigmas and euler unsamples without guidance. Direct Inversion and LEDITS++ are our own writing of the published
  algorithms; the tests hold LEDITS++ against diffusers' arithmetic. Its last step has no noise that could be recorded,
  so what the model's own last step lacks is its error.
- What the trajectory pivot takes has the generation of its scene in it, one guider call a step, which is no extra cost
  where the scene is generated anyway."""


def markdown(results: dict) -> str:
    """The whole page. results: as in the JSON file."""
    parts = [f"# Inversion benchmark: {results['about']['model']}"]
    parts.append("\n".join(f"- {name}: {value}" for name, value in results["about"].items()))
    for (steps, cfg), rows in groupby(results["rows"], lambda row: (row["steps"], row["cfg"])):
        parts.append(f"## {steps} steps, cfg {cfg:g}")
        parts.append(table(list(COLUMNS.values()), ([_cell(row[column]) for column in COLUMNS] for row in rows)))
    numbers = table(["what", "wanted", "measured"], _claims(results), words=2)
    parts += ["## Numbers", numbers, "## Notes", NOTES]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], lines: Iterable[Sequence[str]], words: int = 1) -> str:
    """A Markdown table. words: how many columns, the first ones, hold text; the others hold numbers."""
    lines = [head, ["---"] * words + ["---:"] * (len(head) - words), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value) -> str:
    if value is None:
        return "n/a"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _claims(results: dict) -> Iterator[tuple[str, str, str]]:
    """What is claimed, what is wanted of it ("reported": no bound), and what was measured."""
    for pairs in results["res_inversion_over_ddim"]:
        where = f"{pairs['steps']} steps, cfg {pairs['cfg']:g}"
        wanted = "at most 1.06" if pairs["steps"] == 50 else "reported"
        yield f"ResInversion / DDIM inversion, seconds, {where}", wanted, _over(pairs)
    for cell in results["of_table"]:
        steps, (forwards, backwards) = cell["steps"], cell["null_text_limits"]
        where = f"{steps} steps, cfg {cell['cfg']:g}"
        yield f"ResInversion, guider calls, {where}", str(steps + 1), str(cell["res_inversion_guider_calls"])
        yield f"ResInversion, max abs error, {where}", "at most 1e-5", f"{cell['res_inversion_max_error']:.2g}"
        yield f"Null text, forwards, {where}", f"at most {forwards}", str(cell["null_text_forwards"])
        what = f"Null text, backwards, one for each inner step that was taken, {where}"
        yield what, f"at most {backwards}", str(cell["null_text_backwards"])
        over = cell["null_text_over_res_inversion"]
        yield f"Null text / ResInversion, seconds, {where}", "reported", f"{over:.1f}"
    for along, fit in results["growth"].items():
        measured = f"{fit['slope']:.3g} s for each more, {fit['intercept']:.3g} s beside; R² = {fit['r_squared']:.4f}"
        yield f"ResInversion against {along} {fit['x']}", "linear", measured
    bimd = results["bimd_over_euler"]
    yield f"BiMD / the host's euler, seconds, {bimd['steps']} steps", "at most 1.03", _over(bimd)
    recording = results["batched_recording"]
    for size, speed_up in recording["speed_up"].items():
        what = f"Batched recording, {recording['steps']} steps, {size} a call, speed-up"
        yield what, "reported", f"{speed_up:.2f}"


def _over(pairs: dict) -> str:
    low, high = pairs["quartiles"]
    return f"{pairs['ratio']:.3f}, the median of {pairs['pairs']} pairs; middle half {low:.3f} to {high:.3f}"
