"""The embedded provider finds the models that other programs keep on this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from chatanywhere_magic.core.errors import ConfigurationError
from chatanywhere_magic.providers.model_files import find_model, known_models, packaged_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without anything in it."""
    for name in ("HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "OLLAMA_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("CHATANYWHERE_LOCAL_MODEL", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


def made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"GGUF")
    return path


def found() -> dict[str, Path]:
    packaged = packaged_model()
    return {name: path for name, path in known_models().items() if path != packaged}


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (".cache/huggingface/hub/models--Qwen--Qwen3-4B-GGUF/snapshots/abc/Qwen3-4B-Q4_K_M.gguf", "Qwen3-4B-Q4_K_M"),
        (".cache/huggingface/hub/models--a--b/snapshots/abc/Q4/big-00001-of-00003.gguf", "big"),
        (".lmstudio/models/lmstudio-community/gemma-3-4b/gemma-3-4b-Q4.gguf", "gemma-3-4b-Q4"),
        (".local/share/nomic.ai/GPT4All/Llama-3.2-3B-Instruct-Q4_0.gguf", "Llama-3.2-3B-Instruct-Q4_0"),
        (".local/share/Jan/data/llamacpp/models/Jan-nano-Q8/model.gguf", "Jan-nano-Q8"),
        (".config/Jan/data/llamacpp/models/Lucy/model.gguf", "Lucy"),
    ],
)
def test_a_file_has_the_name_that_people_know_it_by(person: Path, place: str, name: str) -> None:
    path = made(person / place)
    assert found() == {name: path}
    assert find_model(name) == path


def test_a_name_in_the_cache_stays_one_and_what_it_links_to_is_not_named(person: Path) -> None:
    repository = person / ".cache/huggingface/hub/models--a--b"
    blob = made(repository / "blobs/0123456789abcdef")
    link = repository / "snapshots/rev/m.gguf"
    link.parent.mkdir(parents=True)
    link.symlink_to(blob)
    assert found() == {"m": link}
    assert find_model(str(link)) == link


def test_what_does_not_chat_and_the_further_parts_of_a_model_are_left_out(person: Path) -> None:
    folder = person / ".lmstudio/models/x/y"
    for name in ("mmproj-model-f16", "nomic-embed-text-v1.5", "bge-m3", "big-00002-of-00003"):
        made(folder / f"{name}.gguf")
    assert found() == {}


def manifest(person: Path, place: str, digest: str) -> Path:
    path = person / ".ollama/models/manifests" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    layers = [
        {"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:" + "1" * 64},
        {"mediaType": "application/vnd.ollama.image.model", "digest": digest},
    ]
    path.write_text(json.dumps({"schemaVersion": 2, "layers": layers}), encoding="utf-8")
    return path


def test_ollamas_models_are_found_by_their_manifests(person: Path) -> None:
    blob = made(person / f".ollama/models/blobs/sha256-{'a' * 64}")
    manifest(person, "registry.ollama.ai/library/llama3.2/3b", "sha256:" + "a" * 64)
    manifest(person, "registry.ollama.ai/someone/tuned/latest", "sha256:" + "a" * 64)
    assert found() == {"llama3.2:3b": blob, "someone/tuned:latest": blob}
    assert find_model("llama3") == blob


@pytest.mark.parametrize(
    "digest",
    ["sha256:" + "b" * 64, "../../../../etc/passwd", "sha256:../x", ""],
    ids=["missing", "path", "both", "none"],
)
def test_a_manifest_leads_to_a_blob_or_nowhere(person: Path, digest: str) -> None:
    made(person / "x")
    manifest(person, "registry.ollama.ai/library/a/b", digest)
    assert found() == {}


@pytest.mark.parametrize(
    "content", [b"", b"[1, 2]", b'{"layers": 5}', b"[" * 100_000, b"\xff\xfe", b'{"layers": [{}]}']
)
def test_a_broken_manifest_costs_its_own_model_only(person: Path, content: bytes) -> None:
    blob = made(person / f".ollama/models/blobs/sha256-{'a' * 64}")
    manifest(person, "registry.ollama.ai/library/good/latest", "sha256:" + "a" * 64)
    manifest(person, "registry.ollama.ai/library/bad/latest", "").write_bytes(content)
    assert found() == {"good:latest": blob}


def test_a_name_that_nothing_has_is_answered_with_close_ones(person: Path) -> None:
    made(person / ".lmstudio/models/x/y/gemma-3-4b-Q4.gguf")
    with pytest.raises(ConfigurationError, match="gemma-3-4b-Q4"):
        find_model("gema-3-4b-Q4")
    made(person / ".lmstudio/models/x/y/gemma-3-12b-Q4.gguf")
    with pytest.raises(ConfigurationError, match="gemma-3-12b-Q4, gemma-3-4b-Q4"):
        find_model("gemma-3")
