"""Files that go with a question: what is read, how, and what is refused with a way out."""

from __future__ import annotations

import io
import os
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatanywhere_magic.context import read_file, resolve
from chatanywhere_magic.context.files import MAX_TEXT_BYTES
from chatanywhere_magic.core.errors import ConfigurationError, UnsupportedError

if TYPE_CHECKING:
    from pathlib import Path

# In an environment that was made before these were needed, the tests are skipped; `make test` installs them.
Image = pytest.importorskip("PIL.Image")
pypdf = pytest.importorskip("pypdf")
generic = pytest.importorskip("pypdf.generic")

RUSSIAN = [
    "Привет, как дела?",
    "ОТЧЁТ ЗА ГОД",
    "имя;возраст\nАнна;3\nПётр;4\n",
    "Отчёт за 2024 год — «Итоги» № 5",
    "В лесу родилась ёлочка, в лесу она росла.",
]
CHINESE = ["你好，世界", "销量,价格\n苹果,3\n香蕉,4\n", "中位数", "请解释这个表格的列。", "春眠不觉晓，处处闻啼鸟。"]
JAPANESE = ["これはテストです。\n1,2,3\n", "東京都,大阪府,京都\n売上,在庫,合計\n", "データ：ファイル名（一覧）"]
WESTERN = ["café à la crème", "Übergröße für Straße", "naïve – “quoted”", "España mañana", "£5 and €6"]


def text_of(data: bytes, directory: Path) -> str:
    file = directory / "file.txt"
    file.write_bytes(data)
    return read_file(str(file), "file.txt").text


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        *(("cp1251", words) for words in RUSSIAN),
        *(("koi8-r", words) for words in RUSSIAN if "—" not in words),
        *(("gb18030", words) for words in CHINESE),
        *(("cp1252", words) for words in WESTERN),
        *(("cp932", words) for words in JAPANESE),
        *((encoding, words) for encoding in ("utf-16-le", "utf-16-be") for words in ["id,世界\n1,2\n", "Да: no\r\n"]),
        *((encoding, words) for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32") for words in RUSSIAN + CHINESE),
    ],
)
def test_the_encoding_is_found_out(encoding: str, words: str, tmp_path: Path) -> None:
    assert text_of(words.encode(encoding), tmp_path) == words


def test_a_guess_is_said(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_bytes(RUSSIAN[0].encode("cp1251"))
    assert read_file(str(file), "file.txt").name == "file.txt (cp1251)"
    file.write_bytes(RUSSIAN[0].encode())
    assert read_file(str(file), "file.txt").name == "file.txt"


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_in_utf8_is_read_as_it_is(words: str) -> None:
    import tempfile
    from pathlib import Path

    if words.startswith("\ufeff"):
        return  # a byte order mark is no part of the text
    with tempfile.TemporaryDirectory() as directory:
        assert text_of(words.encode(), Path(directory)) == words


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as directory:
        try:
            assert isinstance(text_of(data, Path(directory)), str)
        except ConfigurationError as error:
            assert "\n" not in str(error)  # noqa: PT017 - either is right


class TestRefusals:
    def refused(self, path: object, kind: type[ConfigurationError] = ConfigurationError) -> str:
        with pytest.raises(kind) as caught:
            read_file(str(path), "it")
        return str(caught.value)

    def test_missing(self, tmp_path: Path) -> None:
        (tmp_path / "data.csv").touch()
        assert "does not exist" in self.refused(tmp_path / "nothing")
        assert "Did you mean data.csv?" in self.refused(tmp_path / "dat.csv")
        assert "does not exist" in self.refused(tmp_path / "no" / "such" / "directory")

    def test_in_the_home_of_nobody(self) -> None:
        assert "~nobody-is-called-so" in self.refused("~nobody-is-called-so/data.csv")

    def test_a_directory(self, tmp_path: Path) -> None:
        assert "is a directory" in self.refused(tmp_path)

    def test_no_real_file(self) -> None:
        assert "is a device or another special file" in self.refused(os.devnull)

    def test_binary(self, tmp_path: Path) -> None:
        file = tmp_path / "program"
        file.write_bytes(b"\x7fELF\x02\x01\x01\0\0")
        assert "is not a file that a model can read" in self.refused(file)

    def test_too_large(self, tmp_path: Path) -> None:
        file = tmp_path / "log.txt"
        file.write_bytes(b"x" * (MAX_TEXT_BYTES + 1))
        assert "is too large to send: 0.4 MB, and the limit is 0.4 MB" in self.refused(file)
        with file.open("wb") as out:
            out.truncate(10**10)
        assert "10,000.0 MB" in self.refused(file)

    def test_unreadable(self, tmp_path: Path) -> None:
        file = tmp_path / "loop"
        file.symlink_to(file)
        assert self.refused(file)
        assert self.refused("a\0b")

    def test_a_picture_for_those_who_do_not_see(self, tmp_path: Path) -> None:
        Image.new("RGB", (4, 4)).save(tmp_path / "p.png")
        assert "this provider does not accept pictures" in self.refused(tmp_path / "p.png", UnsupportedError)


class TestPictures:
    def read(self, data: bytes, directory: Path) -> tuple[str, Any]:
        file = directory / "picture"
        file.write_bytes(data)
        attachment = read_file(str(file), "picture", supports_images=True)
        assert attachment.kind == "image"
        return attachment.media_type, Image.open(io.BytesIO(b64decode(attachment.data)))

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
    def test_those_that_models_take_go_as_they_are(self, kind: str, tmp_path: Path) -> None:
        out = io.BytesIO()
        Image.new("RGB", (40, 20), "red").save(out, kind)
        media_type, image = self.read(out.getvalue(), tmp_path)
        assert (media_type, image.format, image.size) == (f"image/{kind.lower()}", kind, (40, 20))

    @pytest.mark.parametrize("kind", ["BMP", "TIFF"])
    def test_others_are_converted(self, kind: str, tmp_path: Path) -> None:
        out = io.BytesIO()
        Image.new("RGB", (40, 20), "red").save(out, kind)
        assert self.read(out.getvalue(), tmp_path)[0] == "image/png"

    def test_large_ones_are_scaled_down(self, tmp_path: Path) -> None:
        out = io.BytesIO()
        Image.effect_noise((5000, 2500), 50).save(out, "JPEG")
        media_type, image = self.read(out.getvalue(), tmp_path)
        assert media_type == "image/jpeg"
        assert image.size == (2048, 1024)

    def test_one_that_would_fill_the_memory_is_refused(self, tmp_path: Path) -> None:
        out = io.BytesIO()
        Image.new("1", (20_000, 20_000)).save(out, "PNG")
        with pytest.raises(ConfigurationError, match="has too many pixels; the limit is 100 million"):
            self.read(out.getvalue(), tmp_path)

    def test_a_broken_one_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="cannot be read"):
            self.read(b"\x89PNG\r\n\x1a\n" + b"broken", tmp_path)


def pdf(*pages: str, password: str = "") -> bytes:
    """Return a PDF whose pages bear these words."""
    writer = pypdf.PdfWriter()
    for words in pages:
        page = writer.add_blank_page(200, 200)
        name = generic.NameObject
        font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
        font = generic.DictionaryObject({name(key): name(value) for key, value in font.items()})
        fonts = generic.DictionaryObject({name("/F1"): writer._add_object(font)})
        page[name("/Resources")] = generic.DictionaryObject({name("/Font"): fonts})
        stream = generic.DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 10 100 Td ({words}) Tj ET".encode())
        page[name("/Contents")] = writer._add_object(stream)
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


class TestPDF:
    def test_the_text_of_its_pages(self, tmp_path: Path) -> None:
        assert text_of(pdf("first words", "second"), tmp_path) == "[page 1]\nfirst words\n\n[page 2]\nsecond"

    def test_without_text(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="contains no text"):
            text_of(pdf(""), tmp_path)

    def test_with_a_password(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="is password-protected"):
            text_of(pdf("secret", password="x"), tmp_path)

    def test_broken(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="cannot be read"):
            text_of(b"%PDF-1.7\nnothing", tmp_path)


class TestInPrompts:
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        for name in ("data.csv", "my data.csv", "данные.csv", "数据.csv", "a@b.txt", "a.tar.txt"):
            (tmp_path / name).write_text(f"in {name}", encoding="utf-8")
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "x.py").write_text("x = 1")

    @pytest.mark.parametrize(
        ("prompt", "name", "words"),
        [
            ("Explain @file:data.csv", "@file:data.csv", "in data.csv"),
            ("Explain @file:data.csv.", "@file:data.csv", "in data.csv"),
            ("(@file:data.csv)?", "@file:data.csv", "in data.csv"),
            ("@file:sub/x.py: why?", "@file:sub/x.py", "x = 1"),
            ("@file:./sub/x.py", "@file:./sub/x.py", "x = 1"),
            ('@file:"my data.csv" is', '@file:"my data.csv"', "in my data.csv"),
            ("@file:'my data.csv'", "@file:'my data.csv'", "in my data.csv"),
            ("Что в @file:данные.csv?", "@file:данные.csv", "in данные.csv"),
            ("请看@file:数据.csv。", "@file:数据.csv", "in 数据.csv"),
            ('请看@file:"数据.csv"的列', '@file:"数据.csv"', "in 数据.csv"),
            ("@file:a@b.txt", "@file:a@b.txt", "in a@b.txt"),
        ],
    )
    def test_a_path(self, prompt: str, name: str, words: str) -> None:
        context = resolve(prompt, {})
        assert context.prompt == prompt
        (attachment,) = context.attachments
        assert (attachment.name, attachment.text) == (name, words)

    def test_a_path_in_the_home_directory(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        assert resolve("@file:~/data.csv", {}).attachments[0].text == "in data.csv"

    def test_a_variable_called_file(self) -> None:
        assert "5 (int)" in resolve("@file: is it odd?", {"file": 5}).attachments[0].text

    def test_patterns_are_not_expanded(self) -> None:
        with pytest.raises(ConfigurationError, match=r"The file \*\.csv does not exist"):
            resolve("@file:*.csv", {})
