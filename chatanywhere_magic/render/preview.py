"""Preview a request: every message, its tokens, and what looks like a key."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from ..core import content_text, estimate_content, estimate_messages, grouped, text
from ..keys import leaks_in, redacted, secrets_of_environment
from .markdown import as_text_html

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..context import Prompt, Request
    from ..core import MessageDict

MAX_SHOWN_PICTURE: Final = 400_000
"""Characters of a picture's data up to which it is shown; it would be saved with the notebook."""
_STYLE: Final = (
    "border-left: 3px solid var(--jp-border-color2, #ccc); padding: 4px 10px; margin: 0 0 8px; max-height: 30em; "
    "overflow: auto; font-family: var(--jp-code-font-family, monospace); font-size: var(--jp-code-font-size, 13px)"
)
_PICTURES: Final = (
    "data:image/png;base64,",
    "data:image/jpeg;base64,",
    "data:image/gif;base64,",
    "data:image/webp;base64,",
)


def preview_data(request: Request, prompt: Prompt, tokens: int | None = None) -> dict[str, str]:
    """Return a preview for an output area: ``text/html`` and ``text/plain``.

    Parameters
    ----------
    request : Request
        What was asked.
    prompt : Prompt
        What would be sent.
    tokens : int, optional
        What the prompt is put at; by default an estimate.
    """
    secrets = (*secrets_of_environment(), *request.provider.secrets())
    messages = [(message, redacted(content_text(message.get("content")), secrets)) for message in prompt.messages]
    leaks = [
        f"{message['role']} ({', '.join(kinds)})"
        for message in prompt.messages
        if (kinds := leaks_in(content_text(message.get("content")), secrets))
    ]
    head = list(_head(request, prompt, tokens or estimate_messages(prompt.messages), leaks))
    plain, page = ["\n".join(head)], [f"<p>{'<br>'.join(map(escape, head))}</p>"]
    for message, words in messages:
        title = text("preview.message", role=message["role"], tokens=grouped(estimate_content(message.get("content"))))
        pictures = list(_pictures(message))
        plain.append("\n".join([f"[{title}]", words, *(f"[{label}]" for label, _ in pictures)]))
        shown = "".join(html or f"<div>{escape(label)}</div>" for label, html in pictures)
        page.append(
            f'<div style="font-size: 85%; opacity: 0.75">{escape(title)}</div>'
            f'<div style="{_STYLE}">{as_text_html(words)}{shown}</div>'
        )
    body = "".join(page)
    return {"text/html": f'<div class="chatanywhere-preview">{body}</div>', "text/plain": "\n\n".join(plain)}


def _head(request: Request, prompt: Prompt, tokens: int, leaks: Iterable[str]) -> Iterator[str]:
    size = text("preview.tokens", tokens=grouped(tokens))
    if prompt.limit is not None:
        size = text("preview.tokens_of", tokens=grouped(tokens), limit=grouped(prompt.limit.tokens))
    options = {"temperature": request.temperature, **request.params}
    options = {name: value for name, value in options.items() if value is not None and name != "response_format"}
    model = request.provider.shown_model(request.model)
    who = [request.provider.name, *([model] if model else [])]
    given = ", ".join(f"{name} {value}" for name, value in options.items())
    yield f"{text('preview.title')}: {' · '.join(filter(None, [*who, size, given]))}"
    if prompt.left_out:
        yield text("preview.left_out", count=len(prompt.left_out))
    if places := "; ".join(leaks):
        yield text("preview.secrets", places=places)


def _pictures(message: MessageDict) -> Iterator[tuple[str, str]]:
    """Yield what is said and shown of each picture of a message."""
    content = message.get("content")
    parts: list[dict[str, Any]] = content if isinstance(content, list) else []
    for part in parts:
        url = str(part.get("image_url", {}).get("url", ""))
        if not url:
            continue
        kind = url.partition(";")[0].removeprefix("data:")
        label = text("preview.picture", type=kind, size=f"{len(url) * 3 / 4000:.0f}")
        is_shown = url.startswith(_PICTURES) and len(url) <= MAX_SHOWN_PICTURE
        style = "max-width: 100%; max-height: 240px"
        yield label, f'<img src="{escape(url)}" alt="{escape(label)}" style="{style}">' if is_shown else ""
