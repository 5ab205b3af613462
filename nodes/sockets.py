"""This pack's own sockets, shared by its node families."""

from comfy_api.latest import io

Pivot = io.Custom("CE_PIVOT")
ResidualNoise = io.Custom("CE_RESIDUAL_NOISE")
