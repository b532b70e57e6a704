"""Certificates that nobody vouches for."""

from __future__ import annotations

import ssl
import tempfile
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

SINCE, UNTIL = datetime(2020, 1, 1, tzinfo=UTC), datetime(2999, 5, 3, tzinfo=UTC)


def self_signed(
    key: ec.EllipticCurvePrivateKey, *names: x509.GeneralName, common_name: str = "x"
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, SINCE, UNTIL)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256())


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def show_self_signed(context: ssl.SSLContext, name: x509.GeneralName) -> None:
    """The context's server shows one that it signed itself."""
    key = new_key()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with tempfile.NamedTemporaryFile() as file:
        file.write(private + self_signed(key, name).public_bytes(Encoding.PEM))
        file.flush()
        context.load_cert_chain(file.name)
