"""Captions and contact sheets, looked up in the pixels."""

import torch
from customenhancer.drawing.captions import caption, caption_height
from customenhancer.drawing.contact_sheet import GAP, LONGEST, draw_sheet


class TestCaption:
    def test_text_is_dark_on_white_and_never_touches_the_border(self):
        for text in ("0.912", "start_step 10", "a long label " * 50, "W" * 3000):
            strip = caption(text, 32, 300)
            assert strip.shape == (32, 300, 3) and strip.min() < 0.2 and (strip == 1).float().mean() > 0.5
            assert (strip[:, :2] == 1).all() and (strip[:, -2:] == 1).all()

    def test_no_text_is_blank_and_lines_become_one(self):
        assert (caption("", 24, 100) == 1).all()
        assert torch.equal(caption("a\n b", 24, 100), caption("a b", 24, 100))

    def test_it_fits_into_a_strip_of_any_width(self):
        for width in (1, 8, 40):
            assert caption("12.5", caption_height(width), width).shape == (caption_height(width), width, 3)


class TestSheet:
    def test_mixed_sizes_are_fitted_into_one_place_and_centred(self):
        wide, tall = torch.zeros(40, 80, 3), torch.zeros(80, 40, 4)
        sheet = draw_sheet([wide, tall, torch.zeros(20, 20, 3)], None, 3)
        assert sheet.shape == (80 + 2 * GAP, 3 * 80 + 4 * GAP, 3)
        for number, (height, width) in enumerate([(40, 80), (80, 40), (80, 80)]):
            left = GAP + number * (80 + GAP)
            dark = sheet[:, left : left + 80, 0] < 0.5
            rows, columns = (torch.nonzero(dark.any(axis)) for axis in (1, 0))
            assert (rows.min(), rows.max() + 1) == (GAP + 40 - height // 2, GAP + 40 + height // 2)
            assert (columns.min(), columns.max() + 1) == (40 - width // 2, 40 + width // 2)

    def test_a_large_sweep_is_shrunk(self):
        pictures = [torch.zeros(64, 4096, 3)] * 4
        sheet = draw_sheet(pictures, None, 4)
        assert sheet.shape[1] == LONGEST + 5 * GAP and sheet.shape[0] == 32 + 2 * GAP
