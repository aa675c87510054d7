"""Conversations as other products export them, read as messages: a title, and what was said on the current branch.

Only words are taken: no model, parameter, function or address. A product is known by what only its documents have.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

PRODUCTS: Final = (
    "ChatGPT, Claude, DeepSeek, Gemini, AI Studio, Grok, Copilot Chat, LM Studio, Open WebUI, LibreChat, Jupyter AI, "
    "ShareGPT, llm"
)
Message = dict[str, Any]
_ROLES: Final = {
    "human": "user", "user": "user", "request": "user", "gpt": "assistant", "model": "assistant", "ai": "assistant",
    "assistant": "assistant", "response": "assistant", "bot": "assistant", "system": "system",
}  # fmt: skip
_CITATION: Final = re.compile("\ue200[^\ue201]{0,400}\ue201")
"""Where ChatGPT's page shows a source."""
_ASKED: Final = "Prompted "


def conversations(value: Any) -> list[tuple[str, list[Message]]]:
    """Return the conversations in a product's document, each with its title; none if it is of none that is known."""
    values = value if isinstance(value, list) else [value]
    for reader in _READERS:
        found = [(title[:1000], messages) for title, messages in reader(values) if messages]
        if found:
            return found
    return []


def _message(role: Any, words: Any) -> Iterator[Message]:
    """Yield what somebody said, if it is words of somebody known."""
    known = _ROLES.get(str(role).lower())
    if known and isinstance(words, str) and words.strip():
        yield {"role": known, "content": words}


def _words(value: Any) -> str:
    """Return the text of a message: a text, or a list of parts of which some are."""
    if isinstance(value, str):
        return value
    parts = value if isinstance(value, list) else []
    texts = [part if isinstance(part, str) else _field(part, "text") for part in parts if not _field(part, "thought")]
    return "\n\n".join(text for text in texts if isinstance(text, str) and text)


def _field(value: Any, *names: str) -> Any:
    """Return what stands in a document under these names, one inside the other; None if it is not there."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _title(value: Any) -> str:
    found = next((value[name] for name in ("title", "name", "customTitle") if isinstance(value.get(name), str)), "")
    return str(found)


def _branch(nodes: Mapping[str, Any], parent: str, leaf: Any) -> list[Any]:
    """Return the nodes from the root to `leaf`, by default to the last one."""
    if leaf not in nodes:
        leaf = next(reversed(list(nodes)), None)
    found: dict[str, Any] = {}
    while isinstance(leaf, str) and leaf in nodes and leaf not in found:
        found[leaf] = nodes[leaf]
        leaf = _field(nodes[leaf], parent)
    return list(reversed(found.values()))


def _by_id(messages: Any, name: str) -> dict[str, Any]:
    return {each[name]: each for each in _dicts(messages) if isinstance(each.get(name), str)}


def _chatgpt(values: list[Any]) -> Iterator[tuple[str, list[Message]]]:
    """Read ChatGPT's and DeepSeek's trees."""
    for value in _dicts(values):
        if isinstance(nodes := value.get("mapping"), dict):
            messages: list[Message] = []
            for node in _branch(nodes, "parent", value.get("current_node")):
                said, content = _field(node, "message"), _field(node, "message", "content")
                for part in _dicts(_field(said, "fragments")):
                    messages += _message(part.get("type"), part.get("content"))
                is_shown = not _field(said, "metadata", "is_visually_hidden_from_conversation")
                if is_shown and _field(said, "recipient") in {None, "all"}:
                    kind = _field(content, "content_type")
                    words = _words(_field(content, "parts")) if kind in {"text", "multimodal_text"} else ""
                    messages += _message(_field(said, "author", "role"), _CITATION.sub("", words))
            yield _title(value), messages


def _claude(values: list[Any]) -> Iterator[tuple[str, list[Message]]]:
    for value in _dicts(values):
        said = value.get("chat_messages")
        nodes = _by_id(said, "uuid")
        if leaf := value.get("current_leaf_message_uuid"):
            said = _branch(nodes, "parent_message_uuid", leaf)
        yield (
            _title(value),
            [
                message
                for each in _dicts(said)
                for message in _message(each.get("sender"), _words(each.get("content")) or each.get("text"))
            ],
        )


def _open_webui(values: list[Any]) -> Iterator[tuple[str, list[Message]]]:
    for value in _dicts(values):
        chat = value.get("chat") or value
        nodes = _field(chat, "history", "messages")
        if isinstance(nodes, dict):
            said = _branch(nodes, "parentId", _field(chat, "history", "currentId"))
            yield (
                _title(value),
                [
                    message
                    for each in said
                    for message in _message(_field(each, "role"), _words(_field(each, "content")))
                ],
            )


def _librechat(values: list[Any]) -> Iterator[tuple[str, list[Message]]]:
    for value in _dicts(values):
        said = _flat(value.get("messages"))
        nodes = {name: each for name, each in _by_id(said, "messageId").items() if "isCreatedByUser" in each}
        yield (
            _title(value),
            [
                message
                for each in _branch(nodes, "parentMessageId", None)
                for message in _message(
                    "user" if each["isCreatedByUser"] else "assistant", each.get("text") or _words(each.get("content"))
                )
            ],
        )


def _flat(messages: Any) -> list[Mapping[str, Any]]:
    """Return messages and those inside them, parents first."""
    found = _dicts(messages)
    for each in found:  # which grows
        found += _dicts(each.get("children"))
    return found


def _jupyter(values: list[Any]) -> Iterator[tuple[str, list[Message]]]:
    for value in _dicts(values):
        users = value.get("users")
        if isinstance(users, dict):
            yield (
                _title(value),
                [
                    message
                    for each in _dicts(value.get("messages"))
                    if "body" in each and not each.get("deleted")
                    for message in _message(
                        "assistant" if _is_bot(each.get("sender"), users) else "user", each.get("body")
                    )
                ],
            )


def _is_bot(sender: Any, users: Mapping[str, Any]) -> bool:
    name = str(_field(sender, "username") or sender)
    is_said = _field(sender, "bot") or _field(users, name, "bot")
    return bool(is_said) or name.lower().startswith(("jupyternaut", "jupyter-ai", "bot"))


def _activity(values: list[Any]) -> Iterator[tuple[str, list[Message]]]:
    """Read the activity that Google Takeout exports, of which the newest comes first."""
    messages: list[Message] = []
    for value in reversed(_dicts(values)):
        if "safeHtmlItem" in value and "Gemini" in str(value.get("header")):
            messages += _message("user", str(value.get("title")).removeprefix(_ASKED))
            pages = [str(each.get("html") or "") for each in _dicts(value["safeHtmlItem"])]
            messages += _message("assistant", "\n\n".join(map(_without_tags, pages)))
    yield "Gemini", messages


class _Page(HTMLParser):
    """Takes the words out of a page."""

    _BREAKS: Final = frozenset({"p", "br", "li", "div", "pre", "tr", "h1", "h2", "h3", "h4", "h5", "h6"})

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002 - the standard library's signature
        self.words += ["\n- " if tag == "li" else "\n"] * (tag in self._BREAKS)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def _without_tags(html: str) -> str:
    page = _Page()
    page.feed(html)
    page.close()
    return re.sub(r"\n{3,}", "\n\n", "".join(page.words)).strip()


def _studio(values: list[Any]) -> Iterator[tuple[str, list[Message]]]:
    """Read what AI Studio keeps, and a request to Gemini."""
    for value in _dicts(values):
        said = _dicts(_field(value, "chunkedPrompt", "chunks") or value.get("contents"))
        system = value.get("systemInstruction") or value.get("system_instruction")
        messages = list(_message("system", _words(_field(system, "parts")) or _field(system, "text")))
        for each in said:
            if not each.get("isThought"):
                messages += _message(each.get("role"), each.get("text") or _words(each.get("parts")))
        yield _title(value), messages if said else []


def _grok(values: list[Any]) -> Iterator[tuple[str, list[Message]]]:
    for value in (each for outer in _dicts(values) for each in _dicts(outer.get("conversations"))):
        said = [_field(each, "response") for each in _dicts(value.get("responses"))]
        nodes = _by_id(said, "_id")
        branch = _branch(nodes, "parent_response_id", None) if nodes else said
        yield (
            _title(value.get("conversation") or {}),
            [message for each in branch for message in _message(_field(each, "sender"), _field(each, "message"))],
        )


def _sharegpt(values: list[Any]) -> Iterator[tuple[str, list[Message]]]:
    for value in _dicts(values):
        yield (
            _title(value),
            [
                message
                for each in _dicts(value.get("conversations"))
                for message in _message(each.get("from"), each.get("value"))
            ],
        )


def _copilot(values: list[Any]) -> Iterator[tuple[str, list[Message]]]:
    for value in _dicts(values):
        messages: list[Message] = []
        for each in _dicts(value.get("requests")):
            messages += _message("user", _field(each, "message", "text"))
            parts = [part.get("value") for part in _dicts(each.get("response")) if part.get("kind") is None]
            messages += _message("assistant", "".join(part for part in parts if isinstance(part, str)))
        yield _title(value), messages


def _lm_studio(values: list[Any]) -> Iterator[tuple[str, list[Message]]]:
    for value in _dicts(values):
        messages: list[Message] = []
        for each in _dicts(value.get("messages")):
            versions, selected = _dicts(each.get("versions")), each.get("currentlySelected")
            if versions and isinstance(selected, int):
                said = versions[selected] if 0 <= selected < len(versions) else versions[-1]
                steps = [part for step in _dicts(said.get("steps")) for part in _dicts(step.get("content"))]
                messages += _message(said.get("role"), _words(said.get("content")) or _words(steps))
        yield _title(value), messages


def _llm(values: list[Any]) -> Iterator[tuple[str, list[Message]]]:
    """Read what ``llm logs --json`` prints."""
    found: dict[Any, tuple[str, list[Message]]] = {}
    for value in _dicts(values):
        if "conversation_id" in value and "prompt" in value:
            title = str(value.get("conversation_name") or "")
            _, messages = found.setdefault(str(value["conversation_id"]), (title, []))
            messages += _message("system", value.get("system"))
            messages += _message("user", value.get("prompt"))
            messages += _message("assistant", value.get("response"))
    yield from found.values()


_READERS: Final[tuple[Callable[[list[Any]], Iterable[tuple[str, list[Message]]]], ...]] = (
    _chatgpt, _claude, _open_webui, _librechat, _jupyter, _activity, _studio, _grok, _sharegpt, _copilot, _lm_studio,
    _llm,
)  # fmt: skip
