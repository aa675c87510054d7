"""Read files to send with a prompt: texts in any encoding, PDF, pictures. Only files that the user named."""

from __future__ import annotations

import io
import re
from base64 import b64encode
from contextlib import suppress
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..core import Attachment, ConfigurationError, Document, Image, UnsupportedError, phrase, text
from . import pictures

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_TEXT_BYTES: Final = 400_000
"""About 100,000 tokens, which is more than most models take."""
MAX_BINARY_BYTES: Final = 20_000_000

_PICTURES: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
LEAST_LIKELIHOOD: Final = 0.4
LOOKED_AT: Final = 100_000
"""Bytes that are read to recognize the encoding."""
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_OTHER_PICTURES: Final = (b"BM", b"II*\0", b"MM\0*")
"""Beginnings of pictures (BMP, TIFF) that models do not take and Pillow can convert."""
_BYTE_ORDER_MARKS: Final = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}


def read_file(path: str, name: str, *, supports_images: bool = False) -> Attachment:
    """Read a file to send.

    Parameters
    ----------
    path : str
        Where it is; ``~`` is the home directory, other paths are relative to the working directory.
    name : str
        Its name for the model. If the encoding of a text had to be guessed, the encoding is added.
    supports_images : bool, default False
        Whether a picture can be sent.

    Raises
    ------
    ConfigurationError
        If it is missing, not a regular file, too large, or not something that a model can read.
    """
    try:
        file = Path(path).expanduser()
        if file.is_dir():
            raise ConfigurationError(phrase("error.file_directory", path=path))
        if not file.exists():
            raise ConfigurationError(phrase("error.file_missing", path=path, hint=_similar(file)))
        if not file.is_file():
            raise ConfigurationError(phrase("error.file_special", path=path))
        size = file.stat().st_size
        if size > MAX_BINARY_BYTES:
            raise _too_large(path, size, MAX_BINARY_BYTES)
        data = file.read_bytes()
    except (OSError, ValueError, RuntimeError) as caught:  # a null byte in the path, or no such user's home
        reason = getattr(caught, "strerror", None) or caught
        raise ConfigurationError(phrase("error.file_unreadable", path=path, reason=reason)) from None
    return read_bytes(data, path, name, supports_images=supports_images)


def read_bytes(data: bytes, path: str, name: str, *, supports_images: bool = False) -> Attachment:
    """Read what is in a file, as :func:`read_file` does."""
    if media_type := _picture_type(data):
        if not supports_images:
            raise UnsupportedError(phrase("error.no_images", name=name))
        return _picture(data, media_type, path, name)
    if data.startswith(b"%PDF-"):
        return Document(name, _checked(_pdf_text(data, path), path))
    encoding, words = _decoded(data, path)
    return Document(f"{name} ({encoding})" if encoding else name, _checked(words, path))


def _similar(file: Path) -> str:
    try:
        names = [each.name for each in file.parent.iterdir()]
    except OSError:
        return ""
    close = get_close_matches(file.name, names, n=1)
    return text("hint.did_you_mean", name=close[0]) if close else ""


def _too_large(path: str, size: int, most: int) -> ConfigurationError:
    return ConfigurationError(phrase("error.file_too_large", path=path, size=_size(size), most=_size(most)))


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= MAX_TEXT_BYTES else f"{count / 1e3:,.0f} kB"


def _checked(words: str, path: str) -> str:
    size = len(words.encode())
    if size > MAX_TEXT_BYTES:
        raise _too_large(path, size, MAX_TEXT_BYTES)
    return words


# --- pictures -------------------------------------------------------------------------------------------------


def _picture_type(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    known = next((kind for beginning, kind in _PICTURES.items() if data.startswith(beginning)), "")
    return known or ("image/other" if data.startswith(_OTHER_PICTURES) and b"\0" in data[:64] else "")


def _picture(data: bytes, media_type: str, path: str, name: str) -> Attachment:
    """Return a picture as it is if models take it, else scaled or converted, which needs Pillow."""
    if find_spec("PIL") is not None:
        data, media_type = _fitted(data, media_type, path)
    if media_type == "image/other":
        raise ConfigurationError(phrase("error.file_needs", path=path, package="pillow"))
    if len(data) > pictures.MAX_BYTES * 2:
        raise _too_large(path, len(data), pictures.MAX_BYTES * 2)
    return Image(name, media_type, b64encode(data).decode())


def _fitted(data: bytes, media_type: str, path: str) -> tuple[bytes, str]:
    import warnings

    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own limit is lower than what is checked here
            image: Any = Image.open(io.BytesIO(data))
            _check_pixels(image, path)
            is_fine = max(image.size) <= pictures.MAX_SIDE and len(data) <= pictures.MAX_BYTES
            if is_fine and media_type != "image/other":
                return data, media_type
            return pictures.scaled(image, keep_format="JPEG" if media_type == "image/jpeg" else "PNG")
    except ConfigurationError:
        raise
    except Image.DecompressionBombError:
        raise _too_many_pixels(path) from None
    except Exception as caught:  # noqa: BLE001 - a broken file fails in a dozen ways
        raise ConfigurationError(phrase("error.file_unreadable", path=path, reason=type(caught).__name__)) from None


def _check_pixels(image: Any, path: str) -> None:
    if image.width * image.height > pictures.MAX_PIXELS:
        raise _too_many_pixels(path)


def _too_many_pixels(path: str) -> ConfigurationError:
    most = f"{pictures.MAX_PIXELS // 1_000_000}"
    return ConfigurationError(phrase("error.picture_too_large", path=path, most=most))


# --- PDF ------------------------------------------------------------------------------------------------------


def _pdf_text(data: bytes, path: str) -> str:
    if find_spec("pypdf") is None:
        raise ConfigurationError(phrase("error.file_needs", path=path, package="pypdf"))
    import logging

    import pypdf

    logger = logging.getLogger("pypdf")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # it remarks on everything that is unusual in a file
    pages: list[str] = []
    length = 0
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        _check_open(reader, path)
        for number, page in enumerate(reader.pages, 1):
            words = page.extract_text().strip()
            if words:
                pages.append(f"[page {number}]\n{words}")
                length += len(words)
            if length > MAX_TEXT_BYTES:
                break  # too large, whatever comes
    except ConfigurationError:
        raise
    except Exception as caught:  # noqa: BLE001 - a broken file fails in a dozen ways
        raise ConfigurationError(phrase("error.file_unreadable", path=path, reason=type(caught).__name__)) from None
    finally:
        logger.setLevel(level)
    if not pages:
        raise ConfigurationError(phrase("error.pdf_empty", path=path))
    return "\n\n".join(pages)


def _check_open(reader: Any, path: str) -> None:
    if reader.is_encrypted and not reader.decrypt(""):
        raise ConfigurationError(phrase("error.pdf_encrypted", path=path))


# --- texts ----------------------------------------------------------------------------------------------------


def _decoded(data: bytes, path: str) -> tuple[str, str]:
    """Return the encoding of a text, ``""`` if it is certain, and the text."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            try:
                return "", data.decode(encoding)
            except UnicodeDecodeError:
                break
    if b"\0" in data:
        return _wide(data, path)
    try:
        return "", data.decode()
    except UnicodeDecodeError:
        pass
    if _CONTROL.search(data, 0, LOOKED_AT):
        raise ConfigurationError(phrase("error.file_binary", path=path))
    best = max(_ENCODINGS, key=lambda encoding: _likelihood(data, encoding))
    if _likelihood(data, best) < LEAST_LIKELIHOOD:
        raise ConfigurationError(phrase("error.file_binary", path=path))
    return best, data.decode(best)


def _wide(data: bytes, path: str) -> tuple[str, str]:
    """Return a text in UTF-16 without a mark: every other byte of what stands in most texts is zero."""
    for encoding, zeros in (("utf-16-le", data[1:LOOKED_AT:2]), ("utf-16-be", data[:LOOKED_AT:2])):
        if zeros.count(0) * 5 > len(zeros):
            with suppress(UnicodeDecodeError):
                words = data.decode(encoding)
                if not _CONTROL.search(words[:LOOKED_AT].encode()):
                    return encoding, words
    raise ConfigurationError(phrase("error.file_binary", path=path))


def _likelihood(data: bytes, encoding: str) -> float:
    """Return how much `data` looks like text in `encoding`, from 0 to 1."""
    sample = data[:LOOKED_AT]
    if len(data) > LOOKED_AT:
        sample = sample[: sample.rfind(b"\n") + 1] or sample  # not in the middle of a character
    try:
        words = sample.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    foreign = [character for character in words if character > "\x7f"]
    return _ENCODINGS[encoding](words, foreign) if foreign else 0.0


def _chinese(_: str, foreign: list[str]) -> float:
    """Return the share of common characters: GB 2312 sorts the most common ones, and punctuation, before the rest."""
    common = 0
    for character in foreign:
        lead = character.encode("gb18030")[0]
        common += lead in range(0xA1, 0xA4) or lead in range(0xB0, 0xD8)
    return common / len(foreign)


def _japanese(_: str, foreign: list[str]) -> float:
    """Return the share of common characters: kana, punctuation, and the kanji that the standard has first."""
    common = 0
    for character in foreign:
        lead = character.encode("cp932")[0]
        common += lead in range(0x81, 0x84) or lead in range(0x88, 0x98)
    return common / len(foreign)


def _russian(words: str, foreign: list[str]) -> float:
    """Return how far it consists of Russian words: of frequent letters, in one case, and not mixed with Latin ones."""
    likely = 0.0
    for word in re.findall(r"[^\W\d_]+", words):
        letters = [letter for letter in word if letter > "\x7f"]
        if len(letters) == len(word) and (word[1:].islower() or word.isupper() or len(word) == 1):
            likely += sum(1.0 if letter in "оеаинтсрвлкмдпу" else 0.5 for letter in word.lower())
    expected = sum(character.isalpha() or character not in "«»—–№…“”„\xa0" for character in foreign)
    return min(1.0, likely / expected) if expected else 0.0


def _western(words: str, foreign: list[str]) -> float:
    """Return how far accented letters stand alone among plain ones, as in French, German or Spanish."""
    lone = 0
    for before, character, after in zip(" " + words, words, words[1:] + " ", strict=False):
        if character > "\x7f":
            lone += before <= "\x7f" and after <= "\x7f" and (character.isalpha() or not character.isalnum())
    return 0.9 * lone / len(foreign)


_ENCODINGS: Final[dict[str, Callable[[str, list[str]], float]]] = {
    "gb18030": _chinese,
    "cp932": _japanese,
    "cp1251": _russian,
    "koi8-r": _russian,
    "cp1252": _western,
}
