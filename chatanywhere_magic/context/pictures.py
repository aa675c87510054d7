"""Send figures and pictures: as a PNG if the model accepts pictures, else in words."""

from __future__ import annotations

import io
import warnings
from base64 import b64encode
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from ..core import Attachment, Image
from .bounded import Job
from .lookup import is_a
from .render import counted, type_name

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SIDE: Final = 2048
"""Pixels; models scale larger pictures down themselves, after everybody has paid for sending them."""
MAX_BYTES: Final = 4_000_000
MAX_PIXELS: Final = 100_000_000
FIGURE_SIDE: Final = 1200
SECONDS: Final = 15.0
LABELS_SHOWN: Final = 20
TOKENS: Final = 800
"""About what a picture costs; every provider counts in its own way."""


def is_picture(value: object) -> bool:
    """Whether `value` is a figure of matplotlib or plotly, or a picture of Pillow."""
    return (
        is_a(value, "matplotlib.figure", "Figure")
        or is_a(value, "matplotlib.axes", "Axes")
        or is_a(value, "plotly.basedatatypes", "BaseFigure")
        or is_a(value, "PIL.Image", "Image")
    )


def picture(value: Any, name: str) -> Attachment | None:
    """Return `value` as a PNG; None if that cannot be had here."""
    made: list[bytes] = []
    job = Job(lambda: made.append(_png(value)))
    if not job.run(SECONDS) or not made or not made[0]:
        return None
    return Image(name, "image/png", b64encode(made[0]).decode())


def _png(value: Any) -> bytes:
    out = io.BytesIO()
    if is_a(value, "PIL.Image", "Image"):
        return scaled(value)[0]
    if is_a(value, "plotly.basedatatypes", "BaseFigure"):
        # It draws with a browser, which a package of its own brings.
        return bytes(value.to_image(format="png")) if find_spec("kaleido") else b""
    figure = value if is_a(value, "matplotlib.figure", "Figure") else value.figure
    width, height = figure.get_size_inches()
    dpi = min(figure.dpi, FIGURE_SIDE / max(width, height))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that its font lacks the person knows from the figure itself
        figure.savefig(out, format="png", dpi=dpi, bbox_inches="tight")
    return out.getvalue()


def scaled(image: Any, *, keep_format: str = "PNG") -> tuple[bytes, str]:
    """Return a Pillow picture as the bytes of a file that is not too large, and their media type.

    Parameters
    ----------
    image : PIL.Image.Image
        The picture.
    keep_format : str, default "PNG"
        The format to write; one that does not make it small enough gives way to JPEG.
    """
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)  # what turns it upright is not written with it
    if max(image.size) > MAX_SIDE:
        image = image.copy()
        image.thumbnail((MAX_SIDE, MAX_SIDE))
    if image.mode not in {"1", "L", "LA", "P", "RGB", "RGBA"}:
        image = image.convert("RGB")
    data = _written(image, keep_format)
    if len(data) > MAX_BYTES:
        return _written(image.convert("RGB"), "JPEG"), "image/jpeg"
    return data, f"image/{keep_format.lower()}"


def _written(image: Any, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def words(value: Any) -> Iterator[str]:
    """Describe a picture in words: for figures, what they show."""
    if is_a(value, "PIL.Image", "Image"):
        width, height = value.size
        yield f"picture, {width} × {height} pixels, mode {value.mode}"
    elif is_a(value, "plotly.basedatatypes", "BaseFigure"):
        yield from _plotly_words(value)
    else:
        axes = value.axes if is_a(value, "matplotlib.figure", "Figure") else [value]
        yield f"matplotlib figure, {counted(len(axes), 'plot')}"
        for number, each in enumerate(axes, 1):
            yield f"plot {number}: {'; '.join(_axes_words(each))}"


def _axes_words(axes: Any) -> Iterator[str]:
    for name, text in (("title", axes.get_title()), ("x", axes.get_xlabel()), ("y", axes.get_ylabel())):
        if text:
            yield f"{name} {text!r}"
    yield "x from {:.6g} to {:.6g}".format(*axes.get_xlim())
    yield "y from {:.6g} to {:.6g}".format(*axes.get_ylim())
    kinds = {"line": axes.lines, "bar": axes.patches, "collection": axes.collections, "image": axes.images}
    for kind, artists in kinds.items():
        if len(artists):
            labels = [label for artist in artists if (label := str(artist.get_label())) and label[0] != "_"]
            named = f" ({', '.join(labels[:LABELS_SHOWN])})" if labels else ""
            yield f"{counted(len(artists), kind)}{named}"
    for line in axes.lines[:LABELS_SHOWN]:
        y = [each for each in line.get_ydata(orig=False) if each == each]  # noqa: PLR0124 - leaves out NaN
        if y:
            yield f"{line.get_label()}: {counted(len(y), 'point')}, y from {min(y):.6g} to {max(y):.6g}"


def _plotly_words(figure: Any) -> Iterator[str]:
    layout = figure.layout
    yield f"{type_name(figure)} of plotly, {counted(len(figure.data), 'trace')}"
    titles = {"title": layout.title, "x": layout.xaxis.title, "y": layout.yaxis.title}
    named = [f"{name} {title.text!r}" for name, title in titles.items() if title.text]
    if named:
        yield "; ".join(named)
    for trace in figure.data[:LABELS_SHOWN]:
        sizes = [
            f"{axis}: {counted(len(trace[axis]), 'value')}"
            for axis in "xyz"
            if axis in trace and trace[axis] is not None
        ]
        yield f"{trace.type} {trace.name or ''}: {', '.join(sizes)}"
