"""Figures and pictures: to be seen where the model sees, in words where it does not."""

from __future__ import annotations

import io
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest

from chatanywhere_magic.context import notes, resolve

if TYPE_CHECKING:
    from chatanywhere_magic.core.messages import Attachment

# In an environment that was made before these were needed, the tests are skipped; `make test` installs them.
mpl = pytest.importorskip("matplotlib")
Figure = pytest.importorskip("matplotlib.figure").Figure
Image = pytest.importorskip("PIL.Image")
graph_objects = pytest.importorskip("plotly.graph_objects")

mpl.use("agg")


def a_figure() -> Any:
    figure = Figure(figsize=(6, 4))
    axes = figure.subplots()
    axes.plot([1, 2, 3], [1, 4, float("nan")], label="growth")
    axes.bar([1, 2], [3, 4])
    axes.set_title("Sales")
    axes.set_xlabel("year")
    return figure


def described(value: Any, *, supports_images: bool) -> Attachment:
    (attachment,) = resolve("Explain @it", {"it": value}, supports_images=supports_images).attachments
    assert attachment.name == "@it"
    return attachment


def size_of(attachment: Attachment) -> tuple[int, int]:
    assert (attachment.kind, attachment.media_type) == ("image", "image/png")
    size: tuple[int, int] = Image.open(io.BytesIO(b64decode(attachment.data))).size
    return size


class TestSeen:
    def test_a_figure_of_matplotlib(self) -> None:
        figure = a_figure()
        for value in (figure, figure.axes[0]):
            assert max(size_of(described(value, supports_images=True))) < 1_300

    def test_what_its_font_lacks_is_no_news(self, recwarn: pytest.WarningsRecorder) -> None:
        figure = a_figure()
        figure.axes[0].set_title("图")
        assert described(figure, supports_images=True).kind == "image"
        assert not recwarn.list

    def test_a_huge_figure_is_drawn_smaller(self) -> None:
        figure = Figure(figsize=(100, 50), dpi=300)
        figure.subplots().plot([1, 2])
        assert max(size_of(described(figure, supports_images=True))) < 1_300

    def test_a_picture(self) -> None:
        assert size_of(described(Image.new("RGB", (30, 20)), supports_images=True)) == (30, 20)
        assert size_of(described(Image.new("CMYK", (3_000, 20)), supports_images=True)) == (2_048, 14)

    def test_its_note_says_what_it_is(self) -> None:
        assert notes([described(Image.new("RGB", (30, 20)), supports_images=True)]) == ("@it (picture)",)

    def test_a_figure_that_cannot_be_drawn_is_described(self) -> None:
        figure = a_figure()
        figure.axes[0].set_title(r"$\notatexcommand{$")
        assert described(figure, supports_images=True).kind == "document"


class TestInWords:
    def test_a_figure_of_matplotlib(self) -> None:
        words = described(a_figure(), supports_images=False).text
        assert words.startswith("matplotlib figure, 1 plot")
        assert "title 'Sales'; x 'year'" in words
        assert "1 line (growth); 2 bars" in words
        assert "growth: 2 points, y from 1 to 4" in words

    def test_a_figure_of_plotly(self) -> None:
        figure = graph_objects.Figure(graph_objects.Scatter(x=[1, 2], y=[3, 4], name="growth"))
        figure.update_layout(title="Sales", xaxis_title="year")
        words = described(figure, supports_images=False).text
        assert words.startswith("Figure of plotly, 1 trace")
        assert "title 'Sales'; x 'year'" in words
        assert "scatter growth: x: 2 values, y: 2 values" in words

    def test_a_picture(self) -> None:
        assert described(Image.new("L", (30, 20)), supports_images=False).text == "picture, 30 × 20 pixels, mode L"


@pytest.mark.parametrize("supports_images", [True, False])
def test_pictures_do_not_take_from_the_budget_of_the_others(supports_images: bool) -> None:
    names = {"it": Image.new("RGB", (30, 20)), "text": "word " * 50}
    context = resolve("@it and @text", names, budget=100, supports_images=supports_images)
    assert [each.name for each in context.attachments] == ["@it", "@text"]
    assert names["text"].strip() in context.attachments[1].text
