"""Hundreds of prompts in one host: memory must not grow."""

import time
from statistics import mean

from fuzz.client import Client
from reliability import graphs
from reliability.report import Section

SETTLE = 1.0  # seconds: the host answers before it has let go of a prompt's values
CYCLE = 5  # the graphs of `prompt`
WARM_UP = 60  # prompts until caches, thread pools and allocators have their size
MORE = 0.03  # noise of the allocator, and the host's own history of prompts, as a share
CRITERION = (
    f"After {WARM_UP} prompts of warm-up, the mean heap of the last three samples is at most "
    f"{MORE:.0%} above that of the first three, and at the end there are no more live tensors, bytes in them or "
    "loaded models than at the start."
)


def prompt(number: int) -> dict:
    """Prompt `number`: PhotoMaker, InstantID, a LoRA, null text and a face swap in turn, all computed anew."""
    kind = number % CYCLE
    if kind == 0:
        return graphs.shown(graphs.photomaker(number, lora_strength=1.0 + number % 3 / 4), ("sampled", 0))
    if kind == 1:
        return graphs.shown(graphs.instantid(number, ip_adapter_scale=0.5 + number % 4 / 8), ("sampled", 0))
    if kind == 2:
        return graphs.shown(graphs.method(number), ("sampled", 0))
    if kind == 3:
        return graphs.shown(graphs.sampling_nodes(number)["Null-Text Inversion"][0], ("target", 1))
    swap = graphs.face_swap()
    swap["sampled"]["inputs"]["target_order"] = ("left-right", "right-left")[number // CYCLE % 2]
    return graphs.shown(swap, ("sampled", 0))


def soak(client: Client, prompts: int, every: int) -> Section:
    """Run `prompts` prompts and look at the memory after each `every`, a multiple of CYCLE, so after the same graph."""
    samples = []
    failed = 0
    for number in range(prompts):
        failed += client.run(prompt(number)).ended != "done"
        if (number + 1) % every == 0:
            time.sleep(SETTLE)
            samples.append((number + 1, client.get_json("/customenhancer_test/memory")))
    rows = [("prompts", "heap MiB", "live tensors", "MiB in tensors", "loaded models")]
    rows += [
        (count, f"{m['heap'] / 2**20:.0f}", m["tensors"], f"{m['tensor_bytes'] / 2**20:.1f}", m["models"])
        for count, m in samples
    ]
    held = steady([found for count, found in samples if count > WARM_UP]) and not failed
    notes = [
        f"Prompts that failed: {failed}. Heap: memory that the process has allocated and not freed. Mapped files, "
        "which the system drops and reads again as it likes, are not in it."
    ]
    return Section(f"Soak, {prompts} prompts", CRITERION, rows, held, notes)


def steady(samples: list[dict]) -> bool:
    """Whether memory samples, in their order, meet CRITERION."""
    if len(samples) < 4:
        raise ValueError(f"{len(samples)} samples after the warm-up are too few to tell: run more prompts")
    first, last = samples[:3], samples[-3:]
    heap = mean(found["heap"] for found in last) <= (1 + MORE) * mean(found["heap"] for found in first)
    counts = all(
        min(found[name] for found in last) <= max(found[name] for found in first)
        for name in ("tensors", "tensor_bytes", "models")
    )
    return heap and counts
