"""One door for all kinds of drawing."""

import numpy as np
import pytest

from saccade.lens.heads import layers, site
from saccade.lens.images import attended_image
from saccade.lens.maps import attention_map
from saccade.lens.series import attended_series
from saccade.lens.show import draw
from saccade.lens.strips import aligned_strip
from saccade.lens.texts import shaded_text

DRAWINGS = [
    attention_map("ab", "x", [[0.1, 0.9]]),
    shaded_text([["fine", "film"]], [[0.5, 0.5]], answer="x"),
    attended_series("x", np.ones((2, 1)), [0.5, 0.5], [1]),
    attended_image(np.zeros((4, 4), np.uint8), ["x"], np.ones((1, 2, 2)) / 4),
    aligned_strip(np.eye(4), "x", [[0.5, 0.5]]),
    layers([site("x", "ab", "c", np.full((2, 1, 2), 0.5))]),
]


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_every_kind_is_drawn_where_it_is_asked_for(drawing, tmp_path, capsys):
    draw(drawing, title="Title", png=tmp_path / "drawn.png", page=tmp_path / "drawn.html")
    assert "x" in capsys.readouterr().out
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")
    assert "<title>Title</title>" in (tmp_path / "drawn.html").read_text("utf-8")
    draw(drawing, terminal=False)
    assert not capsys.readouterr().out


def test_what_is_no_drawing_is_refused(tmp_path):
    for where in ({"terminal": True}, {"terminal": False, "png": tmp_path / "a.png"}):
        with pytest.raises(TypeError, match=r"a drawing must be an AttentionMap, a ShadedText, .* or Layers; got list"):
            draw([[0.5]], **where)
    assert not list(tmp_path.iterdir())
