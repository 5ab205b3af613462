"""Constructed TAESD weights: a stand-in VAE that keeps a photograph as a soft picture of an eighth of its size.

Untrained. The encoder averages every 8x8 block exactly and gives three affine mixes of its colour (luminance and two
colour differences); the fourth channel is how far the luminance around the block's upper left corner departs from
what its four blocks predict there. The decoder enlarges the colours three times by two with a bilinear kernel and puts
the fourth channel back at the corners. All other channels are zero, so each residual block passes its input through.
"""

import torch

SDXL_SCALE = 0.13025
# The decoder starts with tanh(x / 3) * 3. Photographs reach about 0.3 there, where it is still the identity.
INNER_SCALE = 0.1
LUMINANCE = torch.tensor([0.299, 0.587, 0.114])
# Luminance, red against blue, green against both. Means and deviations are those of 8x8 blocks of photographs,
# so that photographs have about unit variance in the space that SDXL denoises.
MIX = torch.stack([LUMINANCE, torch.tensor([1.0, 0.0, -1.0]), torch.tensor([-0.5, 1.0, -0.5])])
MEAN = torch.tensor([0.42, 0.12, -0.03])
STD = torch.tensor([0.27, 0.17, 0.06])
CORNER_STD = 0.06
# Sharpening before the bilinear enlargement, and the weight of the corner correction: best PSNR on photographs.
SHARPEN = 0.15
CORNER_WEIGHT = 1.0


def _zero_conv(weights, name, n_in, n_out, bias=True):
    weights[f"{name}.weight"] = torch.zeros(n_out, n_in, 3, 3)
    if bias:
        weights[f"{name}.bias"] = torch.zeros(n_out)
    return weights[f"{name}.weight"]


def _pass_through_block(weights, name):
    for layer in (0, 2, 4):
        _zero_conv(weights, f"{name}.conv.{layer}", 64, 64)


def _encoder(weights):
    name = "taesd_encoder"
    pick = _zero_conv(weights, f"{name}.0", 3, 64)
    pick[:3, :, 1, 1] = torch.eye(3)
    _pass_through_block(weights, f"{name}.1")
    for position in (2, 6, 10):
        halve = _zero_conv(weights, f"{name}.{position}", 64, 64, bias=False)
        for colour in range(3):
            # Tap 1 is the even pixel: taps 1 and 2 are the 2x2 block, taps 0 and 1 the one half a step off.
            halve[colour, colour, 1:, 1:] = 0.25
        if position == 10:
            halve[3, :3, :2, :2] = 0.25 * LUMINANCE[:, None, None]
        for block in (1, 2, 3):
            _pass_through_block(weights, f"{name}.{position + block}")
    mix = _zero_conv(weights, f"{name}.14", 64, 4)
    mix[:3, :3, 1, 1] = INNER_SCALE * MIX / STD[:, None]
    mix[3, 3, 1, 1] = INNER_SCALE / CORNER_STD
    mix[3, :3, :2, :2] = -0.25 * INNER_SCALE / CORNER_STD * LUMINANCE[:, None, None]
    weights[f"{name}.14.bias"][:3] = -INNER_SCALE * MEAN / STD


def _decoder(weights):
    name = "taesd_decoder"
    # Channels 0-2 carry what lies above mid grey, 3-5 what lies below, 6 and 7 the corners: ReLU keeps them all, and
    # the zero padding of the convolutions is mid grey.
    unmix = _zero_conv(weights, f"{name}.1", 4, 64)
    centre = torch.linalg.inv(MIX) * STD / INNER_SCALE
    line = torch.tensor([-SHARPEN, 1 + 2 * SHARPEN, -SHARPEN])
    unmix[:3, :3] = centre[:, :, None, None] * torch.outer(line, line)
    unmix[6, 3, 1, 1] = CORNER_STD / INNER_SCALE
    unmix[3:6], unmix[7] = -unmix[:3], -unmix[6]
    grey_offset = torch.linalg.inv(MIX) @ MEAN - 0.5
    weights[f"{name}.1.bias"][:3] = grey_offset
    weights[f"{name}.1.bias"][3:6] = -grey_offset
    bilinear = torch.outer(*[torch.tensor([0.25, 0.5, 0.25])] * 2)
    for position in (7, 12, 17):
        for block in (-4, -3, -2):
            _pass_through_block(weights, f"{name}.{position + block}")
        smooth = _zero_conv(weights, f"{name}.{position}", 64, 64, bias=False)
        for channel in range(6):
            smooth[channel, channel] = bilinear
        if position == 7:
            # Tap 2 moves a block's corner value half a block up and left, which is where the encoder took it.
            smooth[:3, 6, 2, 2] = smooth[3:6, 7, 2, 2] = CORNER_WEIGHT
    _pass_through_block(weights, f"{name}.18")
    join = _zero_conv(weights, f"{name}.19", 64, 3)
    join[:, :3, 1, 1], join[:, 3:6, 1, 1] = torch.eye(3), -torch.eye(3)
    weights[f"{name}.19.bias"][:] = 0.5


def vae_weights():
    """Return a TAESD state dict (`taesd_encoder.*`, `taesd_decoder.*`, `vae_scale`, `vae_shift`), float32.

    Latents of photographs have a standard deviation of about 1 / 0.13025 = 7.7, like those of SDXL's own VAE.
    """
    weights = {"vae_scale": torch.tensor(INNER_SCALE * SDXL_SCALE), "vae_shift": torch.tensor(0.0)}
    _encoder(weights)
    _decoder(weights)
    return weights
