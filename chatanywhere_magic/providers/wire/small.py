"""Small requests to an API that do not stream: the list of models, the balance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ...core import ChatError, ProtocolError, phrase
from .addresses import host_of
from .http import post_stream
from .inflate import accepted_encodings
from .limits import Deadline, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...keys import Secret

SECONDS: Final = 20.0
MAX_BYTES: Final = 8_000_000
"""Lists of models run to a megabyte; what is longer is something else."""


async def ask_json(
    method: str,
    url: str,
    body: Mapping[str, Any] | None = None,
    *,
    secret: Secret | None = None,
    proxy: str | None = None,
    ca_bundle: str = "",
) -> Any:
    """Request a JSON document.

    Raises
    ------
    ChatError
        A refusal, a network failure, or a response that is not JSON.
    """
    answer = bytearray()
    content_type = ""
    try:
        async with post_stream(
            url,
            body,
            headers={"Accept": "application/json", "Accept-Encoding": accepted_encodings()},
            method=method,
            secret=secret,
            proxy=proxy,
            limits=Limits(Deadline(SECONDS)),
            ca_bundle=ca_bundle,
        ) as stream:
            content_type = stream.content_type
            async for chunk in stream.chunks():
                answer += chunk
                if len(answer) > MAX_BYTES:
                    break
            stream.budget.check_values(answer)
    except ChatError as error:
        raise error.bare() from None
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        reason = content_type or "JSON"
        answer.clear()  # or an error whose frames are shown would show it
    raise ProtocolError(phrase("error.protocol", host=host_of(url), reason=reason))


def model_names(listed: Any) -> list[str]:
    """Return the sorted names in a response to ``GET /models``; [] if there are none."""
    data = listed.get("data", listed.get("models")) if isinstance(listed, dict) else listed
    entries = data if isinstance(data, list) else []
    names = (entry.get("id", entry.get("name")) if isinstance(entry, dict) else entry for entry in entries)
    return sorted({name for name in names if isinstance(name, str) and name.isprintable()})
