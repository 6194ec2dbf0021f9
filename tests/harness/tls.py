"""TLS contexts of the tests, from the certificates beside this file."""

from __future__ import annotations

import ssl
from pathlib import Path

CERTIFICATES = Path(__file__).resolve().parent / "certificates"
PASSWORD = "maypole"


def server_context(
    name: str = "server", *, client_certificate: bool = False, alpn: str = ""
) -> ssl.SSLContext:
    """A server that shows the certificate of this name, and may ask for the client's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / f"{name}.pem", password=PASSWORD)
    if client_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(CERTIFICATES / "authority.pem")
    if alpn:
        context.set_alpn_protocols(alpn.split())
    return context


def client_context(*, certificate: bool = False, trusting: bool = True, alpn: str = "") -> ssl.SSLContext:
    """A client that trusts the test authority, unless told not to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trusting:
        context.load_verify_locations(CERTIFICATES / "authority.pem")
    if certificate:
        context.load_cert_chain(CERTIFICATES / "client.pem")
    if alpn:
        context.set_alpn_protocols(alpn.split())
    return context
