"""The server's side of TLS, with certificates that a test makes."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import trustme


def server_side(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Return what a server needs to speak TLS with `certificate`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
