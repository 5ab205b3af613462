"""Results as Markdown: what was measured on which machine, the tables, and the numbers beside them."""

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
- Negative-prompt inversion samples with the prompt on both sides, which is cfg 1 in all but cost.
- FlipSigmas and euler unsamples without guidance. Direct Inversion is our own writing of the published algorithm.
- LEDITS++ is not among the rows. Nor is the trajectory pivot: its residual noise takes what that of the noise pivot
  takes, and its trajectory is recorded while the scene is generated."""


def markdown(results: dict) -> str:
    """The whole page. results: as in the JSON file."""
    parts = [f"# Inversion benchmark: {results['about']['model']}"]
    parts.append("\n".join(f"- {name}: {value}" for name, value in results["about"].items()))
    for (steps, cfg), rows in groupby(results["rows"], lambda row: (row["steps"], row["cfg"])):
        parts.append(f"## {steps} steps, cfg {cfg:g}")
        parts.append(_table(list(rows)))
    parts += ["## Numbers", _numbers(results), "## Notes", NOTES]
    return "\n\n".join(parts) + "\n"


def _table(rows: list[dict]) -> str:
    lines = [list(COLUMNS.values()), ["---"] + ["---:"] * (len(COLUMNS) - 1)]
    lines += [[_cell(row[column]) for column in COLUMNS] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value) -> str:
    if value is None:
        return "n/a"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _numbers(results: dict) -> str:
    lines = [
        f"- {cell['steps']} steps, cfg {cell['cfg']:g}: ResInversion / DDIM inversion "
        f"{cell['res_inversion_over_ddim']:.3f} in seconds, {cell['res_inversion_guider_calls']} guider calls, error "
        f"{cell['res_inversion_max_error']:.2g}. Null text took {cell['null_text_forwards']} forwards (at most "
        f"{cell['null_text_limits'][0]}) and {cell['null_text_backwards']} backwards (at most "
        f"{cell['null_text_limits'][1]}), {cell['null_text_over_res_inversion']:.1f} times ResInversion's seconds."
        for cell in results["of_table"]
    ]
    for along, fit in results["growth"].items():
        lines.append(
            f"- ResInversion against {along} {fit['x']}: {fit['slope']:.3g} s for each more, {fit['intercept']:.3g} s "
            f"beside; R² = {fit['r_squared']:.4f}."
        )
    overhead = results["bimd_overhead"]
    lines.append(f"- BiMD over the host's euler, {overhead['steps']} steps: {overhead['percent']:+.2f} %.")
    recording = results["batched_recording"]
    speed_ups = ", ".join(f"{size}: {speed_up:.2f}" for size, speed_up in recording["speed_up"].items())
    lines.append(f"- Batched recording, {recording['steps']} steps, speed-up by steps a call: {speed_ups}.")
    return "\n".join(lines)
