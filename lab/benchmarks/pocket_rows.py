"""The rows of the pocket benchmark's table: the method, its parts alone, and the method with a part left out."""

from benchmarks.counting import counted
from benchmarks.nodes import node
from benchmarks.pocket_cases import Case
from benchmarks.pocket_flows import Drawn, Settings, euler, from_latent, from_noise, invert, joined, mixed
from benchmarks.pocket_models import Models

PERSONALISED = "Personalised model alone"
DELAYED = "Personalised model alone, identity from MSS on"
SCENE = "Base scene"
SWAPPED = "After face swap"
NO_BACKWARD = "Without backward flow"
NO_FORWARD = "Without forward flow"
DDIM = "DDIM inversion instead of ResInversion"
FULL = "Full method"


def draw_rows(models: Models, case: Case, settings: Settings) -> dict[str, Drawn]:
    """The pictures of every row, by its name."""
    start_step = settings.start_step
    inverted = invert(models, case, settings)
    flows = inverted.flows
    with counted(models.model) as counts:
        ddim_latent = node("CE_DDIMInversion").execute(flows.pivot, flows.sigmas, inverted.encoded).result[1]
    calls = inverted.scene.guider_calls + counts.guider_calls
    delayed = joined(flows, start_step)
    return {
        PERSONALISED: from_noise(models, case, flows.forward, flows.sigmas),
        DELAYED: from_noise(models, case, delayed, flows.sigmas),
        SCENE: inverted.scene,
        SWAPPED: inverted.swapped,
        NO_BACKWARD: mixed(models, inverted, start_step, backward_scale=0.0),
        NO_FORWARD: mixed(models, inverted, start_step, forward_scale=0.0),
        DDIM: from_latent(models, flows, delayed, euler(), ddim_latent, calls),
        FULL: mixed(models, inverted, start_step),
    }
