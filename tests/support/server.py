"""The conformance kit's server under the name that the tests for kernels and browsers know it by."""

from __future__ import annotations

from chatanywhere_magic.testing.server import (
    COMPLETIONS_PATH,
    MODELS_PATH,
    WEB_PATH,
    Answer,
    LocalServer,
    Request,
    main,
)

__all__ = ["COMPLETIONS_PATH", "MODELS_PATH", "WEB_PATH", "Answer", "LocalServer", "Request", "main"]

if __name__ == "__main__":
    main()
