"""The host's guiders on stand-in models, with an eye on what they are asked."""

from comfy import samplers
from standins.analytic import conditioning

# Gaussians, (mean, standard deviation): of the pivot flow's prompt, the forward flow's and the empty one.
PIVOT, FORWARD, NOTHING = (0.5, 0.8), (-1.0, 0.3), (0.0, 1.0)
CFG = 5.0


class CountedGuider(samplers.CFGGuider):
    """The host's CFGGuider, with its calls counted."""

    __module__ = samplers.__name__  # to count changes no answer: to the pack it is the host's own
    calls = 0

    def predict_noise(self, *args, **kwargs):
        """Count, and predict."""
        self.calls += 1
        return super().predict_noise(*args, **kwargs)


class SilentGuider(samplers.CFGGuider):
    """A guider that hands over no conditional prediction, as third parties' may."""

    def predict_noise(self, x, timestep, model_options=None, seed=None):
        """The positive side's prediction, by the host's inner function."""
        return samplers.calc_cond_batch(self.inner_model, [self.conds["positive"]], x, timestep, {})[0]


def flow_of(guider_class, model, cfg=CFG):
    """A guider of a class, on the pivot flow's Gaussian."""
    flow = guider_class(model)
    flow.set_conds(conditioning(*PIVOT), conditioning(*NOTHING))
    flow.set_cfg(cfg)
    return flow


def posterior_mean(x, sigma, mean, std):
    """What an exact model of N(mean, std^2) makes of x at sigma (B,)."""
    sigma = sigma.reshape(-1, 1, 1, 1)
    return (std**2 * x + sigma**2 * mean) / (std**2 + sigma**2)


def guided(x, sigma, positive, negative=NOTHING, cfg=CFG):
    """Two Gaussians' posterior means under guidance."""
    return cfg * posterior_mean(x, sigma, *positive) + (1 - cfg) * posterior_mean(x, sigma, *negative)


class AskedGuider(samplers.CFGGuider):
    """The host's CFGGuider on a Gaussian, that keeps x and sigma of each call in `asked`, also of its copies."""

    __module__ = samplers.__name__  # to keep them changes no answer: to the pack it is the host's own

    def __init__(self, model, gaussian):
        super().__init__(model)
        self.gaussian, self.asked = gaussian, []
        self.set_conds(conditioning(*gaussian), conditioning(*NOTHING))
        self.set_cfg(CFG)

    def predict_noise(self, x, timestep, *args, **kwargs):
        """Keep, and predict."""
        self.asked.append((x.clone(), timestep.clone()))
        return super().predict_noise(x, timestep, *args, **kwargs)

    def expected(self):
        """The denoised estimate of each call, in closed form."""
        return [guided(x, sigma, self.gaussian) for x, sigma in self.asked]
