"""The pocket world's face networks, with the real InsightFace files' inputs and outputs.

A recogniser, a detector and a swapper, built of layers that `onnx_file` knows how to write.
"""

import torch
import torch.nn.functional as F
from torch import nn

EMBEDDING = 512
CROP, SWAP_CROP = 112, 128  # pixels a side of what the recogniser and the swapper see
STRIDES = (8, 16, 32)
# Sides of the square that each of the two anchors of a cell stands for, in pixels of the detector's input, by stride.
ANCHOR_SIZES = ((50.0, 71.0), (100.0, 141.0), (200.0, 283.0))
POOL = 4  # pictures of 128 pixels come enlarged to 640, so nothing is lost
BOX, POINTS = 4, 10  # values of a box, and of five points


def conv(n_in: int, n_out: int, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution, a batch norm and a ReLU; the padding keeps the size but for the stride."""
    layer = nn.Conv2d(n_in, n_out, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(n_out), nn.ReLU())


class Residual(nn.Module):
    """Two convolutions beside a straight way."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = conv(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, H, W), the same out."""
        return torch.relu(x + self.second(self.first(x)))


class Recogniser(nn.Module):
    """An aligned face to its embedding: one number of unit mean square for each of 512 dimensions."""

    def __init__(self, widths: tuple[int, ...] = (24, 48, 96, 128)):
        super().__init__()
        halve = zip((3, *widths[:-1]), widths, strict=True)
        self.features = nn.Sequential(*(nn.Sequential(conv(*pair, stride=2), Residual(pair[1])) for pair in halve))
        side = CROP // 2 ** len(widths)
        # One weight for each place and channel: where something is says who it is.
        self.places = nn.Sequential(
            nn.Conv2d(widths[-1], widths[-1], side, groups=widths[-1], bias=False), nn.BatchNorm2d(widths[-1])
        )
        self.embed = nn.Linear(widths[-1], EMBEDDING)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """(B, 3, 112, 112) RGB, -1 to 1, aligned as ArcFace's are: (B, 512)."""
        embedding = self.embed(self.places(self.features(crops)).flatten(1))
        return F.normalize(embedding, dim=1) * EMBEDDING**0.5


class Detector(nn.Module):
    """A picture to the scores (as logits), boxes and points at every anchor: SCRFD's outputs but for the sigmoid.

    Learns faces of 40 to 400 pixels of its input: 8 to 80 of a picture of 128 pixels in an input of 640.
    """

    def __init__(self, widths: tuple[int, int, int] = (24, 48, 96), head: int = 32):
        super().__init__()
        fine, middle, coarse = widths
        self.pool = nn.AvgPool2d(POOL)
        self.stages = nn.ModuleList(
            [
                nn.Sequential(conv(3, fine, 5, stride=2), Residual(fine)),
                nn.Sequential(conv(fine, middle, stride=2), Residual(middle)),
                nn.Sequential(conv(middle, coarse, stride=2), Residual(coarse)),
            ]
        )
        self.narrow = nn.ModuleList([nn.Conv2d(width, head, 1) for width in widths])
        self.enlarge = nn.Upsample(scale_factor=2)
        self.mix = nn.ModuleList([conv(head, head) for _ in widths])
        anchors = len(ANCHOR_SIZES[0])
        self.score = nn.ModuleList([nn.Conv2d(head, anchors, 1) for _ in widths])
        self.box = nn.ModuleList([nn.Conv2d(head, anchors * BOX, 1) for _ in widths])
        self.points = nn.ModuleList([nn.Conv2d(head, anchors * POINTS, 1) for _ in widths])
        for level, (stride, sizes) in enumerate(zip(STRIDES, ANCHOR_SIZES, strict=True)):
            nn.init.constant_(self.score[level].bias, -4.0)  # almost every anchor is empty
            nn.init.constant_(self.box[level].bias, 1.0)  # a box begins as its anchor's square
            half = torch.tensor(sizes)[:, None] / (2 * stride)
            self.register_buffer(f"box_scale_{level}", half.expand(-1, BOX).reshape(1, -1, 1, 1).clone())
            self.register_buffer(f"points_scale_{level}", half.expand(-1, POINTS).reshape(1, -1, 1, 1).clone())

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, 3, H, W) RGB, about -1 to 1, H and W multiples of 32, to nine tensors (B * anchors, 1, 4 or 10).

        Scores at the three strides, then boxes, then points; anchors by row, column and size. A box is the way from the
        anchor's point (column * stride, row * stride) to its left, top, right and bottom, points are x and y from
        there, all in strides.
        """
        levels, x = [], self.pool(pictures)
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        scores, boxes, points, above = [], [], [], None
        for level in reversed(range(len(levels))):
            here = self.narrow[level](levels[level])
            above = here if above is None else here + self.enlarge(above)
            x = self.mix[level](above)
            scores.insert(0, _by_anchor(self.score[level](x), 1))
            boxes.insert(0, _by_anchor(self.box[level](x) * getattr(self, f"box_scale_{level}"), BOX))
            points.insert(0, _by_anchor(self.points[level](x) * getattr(self, f"points_scale_{level}"), POINTS))
        return (*scores, *boxes, *points)


def _by_anchor(x: torch.Tensor, values: int) -> torch.Tensor:
    """(B, anchors * values, H, W) to (B * H * W * anchors, values)."""
    return x.permute(0, 2, 3, 1).reshape(-1, values)


class SCRFD(nn.Module):
    """A detector as the file has it: probabilities instead of logits."""

    def __init__(self, detector: Detector):
        super().__init__()
        self.detector = detector

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """As the detector's."""
        outputs = self.detector(pictures)
        return (*(torch.sigmoid(score) for score in outputs[:3]), *outputs[3:])


class Styled(nn.Module):
    """Two convolutions beside a straight way, their middle scaled and shifted by who is to be drawn."""

    def __init__(self, channels: int, style: int):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.scale, self.shift = nn.Conv2d(style, channels, 1), nn.Conv2d(style, channels, 1)
        nn.init.ones_(self.scale.bias)
        nn.init.zeros_(self.second.weight)  # it begins as the straight way alone, and so learns without a norm

    def forward(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """x (B, channels, H, W), style (B, style, 1, 1): (B, channels, H, W)."""
        return x + self.second(torch.relu(self.first(x) * self.scale(style) + self.shift(style)))


class Swapper(nn.Module):
    """An aligned face drawn anew as another person's: inswapper's inputs, output and `emap`.

    The output is the target but for what a mask, drawn along with the face, lets through: the rest keeps every bit.
    """

    def __init__(self, widths: tuple[int, int, int] = (32, 64, 96), blocks: int = 4, style: int = 128):
        super().__init__()
        fine, middle, coarse = widths
        # Any rotation would do: it makes who passes an embedding without it draw a stranger, as with the real file.
        self.register_buffer("emap", torch.linalg.qr(torch.randn(EMBEDDING, EMBEDDING))[0])
        self.who = nn.Sequential(nn.Linear(EMBEDDING, style), nn.ReLU(), nn.Linear(style, style), nn.ReLU())
        self.down = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(n_in, n_out, 5, 2, 2), nn.ReLU())
                for n_in, n_out in ((3, fine), (fine, middle), (middle, coarse))
            ]
        )
        self.blocks = nn.ModuleList([Styled(coarse, style) for _ in range(blocks)])
        self.enlarge = nn.Upsample(scale_factor=2)
        self.narrow = nn.ModuleList([nn.Conv2d(coarse, middle, 1), nn.Conv2d(middle, fine, 1)])
        self.up = nn.ModuleList([Styled(middle, style), Styled(fine, style)])
        self.face = nn.Sequential(nn.Conv2d(fine, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 3, 3, padding=1))
        self.mask = nn.Sequential(nn.Conv2d(fine, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1))

    def source(self, embedding: torch.Tensor) -> torch.Tensor:
        """Embeddings (B, 512) as INSwapper hands them to the file: normalised, times emap, normalised."""
        return F.normalize(F.normalize(embedding, dim=1) @ self.emap, dim=1)

    def forward(self, target: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """target (B, 3, 128, 128) RGB, 0 to 1; source (B, 512) from `source`: the swapped face, like target."""
        embedding = F.linear(source, self.emap) * EMBEDDING**0.5  # emap's transpose is its inverse
        style = self.who(embedding).reshape(-1, self.who[2].out_features, 1, 1)
        x, kept = target, []
        for down in self.down:
            x = down(x)
            kept.append(x)
        for block in self.blocks:
            x = block(x, style)
        for narrow, up, skip in zip(self.narrow, self.up, (kept[1], kept[0]), strict=True):
            x = up(self.enlarge(narrow(x)) + skip, style)
        x = self.enlarge(x)
        mask = torch.sigmoid(self.mask(x))
        return target + mask * (torch.sigmoid(self.face(x)) - target)
