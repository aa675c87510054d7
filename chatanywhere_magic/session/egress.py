"""The gate before the network: what looks like a key is not sent to a provider that was not sent it before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from ..core import Document, content_text, text, to_dicts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..context import Request
    from ..core import MessageDict, Messages, Version


class _Destination:
    """What a provider at an address was sent, or said itself, in this kernel."""

    def __init__(self) -> None:
        self._texts: set[int] = set()
        self._versions: WeakValueDictionary[int, Version] = WeakValueDictionary()

    def knows(self, message: MessageDict) -> bool:
        return _digest(message) in self._texts

    def knows_version(self, version: Version) -> bool:
        # By identity: comparing a long conversation text by text would cost more than to send it.
        return self._versions.get(id(version)) is version

    def add(self, messages: Iterable[MessageDict]) -> None:
        self._texts.update(map(_digest, messages))

    def add_version(self, version: Version) -> None:
        if not self.knows_version(version):
            self._versions[id(version)] = version
            self.add(to_dicts(version.messages))


class Egress:
    """The check of everything that a destination, a provider at an address, was not sent before.

    A key that a person lets one destination have is still kept from every other one: another provider, the same
    provider at another address, and the one that responds when a turn is retried.
    """

    def __init__(self) -> None:
        self._destinations: dict[tuple[str, str], _Destination] = {}

    def check(self, request: Request, earlier: Sequence[tuple[int, Version]], further: Messages | None = None) -> None:
        """Check what a request would send, before anything is recorded.

        Parameters
        ----------
        earlier : sequence of (int, Version)
            The turns that would be sent, each with its index.
        further : list of dict, optional
            What is sent beside them and the prompt.

        Raises
        ------
        LeakError
            If something that the destination was not sent before looks like a key.
        """
        if request.allow_secrets:
            return
        destination = self._destination(request)
        texts: dict[str, str] = {}
        for name, words in _named(request, earlier, further or [], destination):
            texts[name] = f"{texts[name]}\n{words}" if name in texts else words
        if not texts:
            return
        from ..keys import scan  # with the first prompt, not with the extension

        of_environment = scan.secrets_of_environment() if scan.may_hold_keys(texts.values()) else ()
        scan.check_leaks(texts, (*of_environment, *request.provider.secrets()))

    def gate(self, request: Request) -> Callable[[str], None]:
        """Return the check of many prompts to the same destination; what goes with all of them is checked now.

        Raises
        ------
        LeakError
            As :meth:`check`; what is returned raises it, too.
        """
        if request.allow_secrets:
            return lambda _: None
        from ..keys import scan

        secrets = (*scan.secrets_of_environment(), *request.provider.secrets())
        destination = self._destination(request)
        outside = _outside(request)
        for message in outside:
            if not destination.knows(message):
                words = content_text(message["content"])
                name = "leak.system" if words == request.instructions else "leak.parameters"
                scan.check_leaks({name: words}, secrets)
        destination.add(outside)
        return lambda words: scan.check_leaks({"leak.prompt": words}, secrets)

    def send(self, request: Request, earlier: Sequence[tuple[int, Version]], further: Messages | None = None) -> None:
        """Check a request for the last time, and record that its destination is sent it.

        Called by the one place that asks a provider, just before it does.

        Raises
        ------
        LeakError
            As :meth:`check`.
        """
        self.check(request, earlier, further)
        destination = self._destination(request)
        for _, version in earlier:
            destination.add_version(version)
        destination.add([*to_dicts((*request.asked, *request.correction, *request.steps)), *(further or [])])
        destination.add(_outside(request))

    def receive(self, request: Request, version: Version) -> None:
        """Record what a destination said itself: it may be sent back to it. Results of tools are not its words."""
        said = [message for message in version.response if message.role == "assistant"]
        self._destination(request).add(to_dicts(said))

    def _destination(self, request: Request) -> _Destination:
        return self._destinations.setdefault(request.owner, _Destination())


def _digest(message: MessageDict) -> int:
    """Return what tells a message from others in this process. A string's hash is keyed, so nobody can forge one."""
    return hash((message["role"], content_text(message.get("content")), str(message.get("tool_calls") or "")))


def _outside(request: Request) -> Messages:
    """Return what a request sends beside its turns, in the form of messages: instructions and parameters."""
    parameters = json.dumps(request.params, ensure_ascii=False, default=str) if request.params else ""
    found: Messages = [{"role": "system", "content": words} for words in (request.instructions, parameters) if words]
    return found


def _named(
    request: Request,
    earlier: Sequence[tuple[int, Version]],
    further: Messages,
    destination: _Destination,
) -> Iterator[tuple[str, str]]:
    """Yield the texts that a destination does not know, each with what a person calls it."""
    for message in _outside(request):
        if not destination.knows(message):
            words = content_text(message["content"])
            yield "leak.system" if words == request.instructions else "leak.parameters", words
    for index, version in earlier:
        if not destination.knows_version(version):
            new = [each for each in to_dicts(version.messages) if not destination.knows(each)]
            yield from ((text("leak.turn", number=index + 1), _words(each)) for each in new)
    for message in [*to_dicts((*request.asked, *request.correction)), *further]:
        if not destination.knows(message):
            yield "leak.prompt", _words(message) if request.given or message["role"] != "user" else request.prompt
            for each in request.attachments:
                yield each.name, each.text if isinstance(each, Document) else ""
                yield "leak.prompt", each.name
    for message in to_dicts(request.steps):
        if not destination.knows(message):
            yield text("leak.tool", name=message.get("name", "")), _words(message)


def _words(message: MessageDict) -> str:
    return f"{content_text(message.get('content'))}\n{message.get('tool_calls') or ''}"
