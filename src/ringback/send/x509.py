"""Certificates as receivers show them (DER), read for what people need of them."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from ringback.send.certificate import Certificate
from ringback.words import printable

_MAX_NAME, _FEW_NAMES = 80, 3
_ISSUER_PARTS = (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
_UNREADABLE = (x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


def certificate_of(der: bytes) -> Certificate:
    """Raises ValueError for what is no proper certificate."""
    try:
        return _certificate(x509.load_der_x509_certificate(der))
    except _UNREADABLE as error:
        raise ValueError(str(error)) from None


def _certificate(found: x509.Certificate) -> Certificate:
    return Certificate(
        names=_shown(_names(found)),
        issuer=_issuer(found.issuer),
        self_signed=found.issuer == found.subject,
        valid_from=_ms(found.not_valid_before_utc),
        valid_until=_ms(found.not_valid_after_utc),
    )


def _shown(names: list[str]) -> tuple[str, ...]:
    """Not all: a certificate may be for thousands, and what is kept is bounded."""
    shown = [printable(name, _MAX_NAME) for name in names[:_FEW_NAMES]]
    more = len(names) - len(shown)
    return (*shown, f"{more} more") if more else tuple(shown)


def _names(certificate: x509.Certificate) -> list[str]:
    """The host names and addresses it is for; its subject's name counts only where there are none."""
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    except x509.ExtensionNotFound:
        return _texts(certificate.subject, NameOID.COMMON_NAME)
    others = extension.value
    if not isinstance(others, x509.SubjectAlternativeName):
        return []
    addresses = map(str, others.get_values_for_type(x509.IPAddress))
    return [*others.get_values_for_type(x509.DNSName), *addresses]


def _issuer(name: x509.Name) -> str | None:
    """`R11, Let's Encrypt`."""
    parts = [text for part in _ISSUER_PARTS for text in _texts(name, part)]
    return printable(", ".join(parts), _MAX_NAME) or None


def _texts(name: x509.Name, part: x509.ObjectIdentifier) -> list[str]:
    return [str(one.value) for one in name.get_attributes_for_oid(part)]


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
