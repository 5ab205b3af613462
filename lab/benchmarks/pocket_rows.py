"""The rows of the pocket benchmark's table: the method, its parts alone, and the method with a part left out."""

from benchmarks.counting import counted
from benchmarks.nodes import node
from benchmarks.pocket_cases import Case
from benchmarks.pocket_flows import Drawn, Inverted, Settings, euler, from_latent, from_noise, invert, joined, mixed
from benchmarks.pocket_models import Models

PERSONALISED = "Personalised model alone"
DELAYED = "Personalised model alone, identity from MSS on"
SCENE = "Base scene"
SWAPPED = "After face swap"
NO_BACKWARD = "Without backward flow"
NO_FORWARD = "Without forward flow"
DDIM = "DDIM inversion instead of ResInversion"
FULL = "Full method"
ROWS = (PERSONALISED, DELAYED, SCENE, SWAPPED, NO_BACKWARD, NO_FORWARD, DDIM, FULL)


def draw_method(models: Models, case: Case, settings: Settings, inverted: Inverted | None = None) -> dict[str, Drawn]:
    """The pictures of the rows of the method and its parts, by the row's name. inverted: as `invert` gives it."""
    inverted = inverted or invert(models, case, settings)
    return {
        PERSONALISED: from_noise(models, case, inverted.flows.forward, inverted.flows.sigmas),
        SCENE: inverted.scene,
        SWAPPED: inverted.swapped,
        NO_FORWARD: mixed(models, inverted, settings.start_step, forward_scale=0.0),
        FULL: mixed(models, inverted, settings.start_step),
    }


def draw_rows(models: Models, case: Case, settings: Settings) -> dict[str, Drawn]:
    """The pictures of every row, by its name, in the table's order."""
    start_step = settings.start_step
    inverted = invert(models, case, settings)
    flows = inverted.flows
    with counted(models.model) as counts:
        ddim_latent = node("CE_DDIMInversion").execute(flows.pivot, flows.sigmas, inverted.encoded).result[1]
    calls = inverted.scene.guider_calls + counts.guider_calls
    delayed = joined(flows, start_step)
    rows = draw_method(models, case, settings, inverted) | {
        DELAYED: from_noise(models, case, delayed, flows.sigmas),
        NO_BACKWARD: mixed(models, inverted, start_step, backward_scale=0.0),
        DDIM: from_latent(models, flows, delayed, euler(), ddim_latent, calls),
    }
    return {name: rows[name] for name in ROWS}
