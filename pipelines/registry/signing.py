"""Signatures of registered models: Ed25519 (RFC 8032) over the hashes of all their files.

Hashes in the registry's database notice whoever changes files, but not whoever can write both. A
signature notices that too: it cannot be made without the private key, which stays with those who
register.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

SIGNATURE = "winback.signature"  # tag of a version


def private_key(file: Path) -> Ed25519PrivateKey:
    """The key of a PEM file (PKCS #8, without a password).

    Raises
    ------
    ValueError
        If the file holds no such key.
    """
    with suppress(TypeError, ValueError, UnsupportedAlgorithm):
        key = load_pem_private_key(file.read_bytes(), password=None)
        if isinstance(key, Ed25519PrivateKey):
            return key
    raise ValueError(
        f"{file}: must be a private Ed25519 key in PEM without a password; make one with "
        "openssl genpkey -algorithm ed25519"
    )


def public_key(file: Path) -> Ed25519PublicKey:
    """The key of a PEM file.

    Raises
    ------
    ValueError
        If the file holds no such key.
    """
    with suppress(ValueError, UnsupportedAlgorithm):
        key = load_pem_public_key(file.read_bytes())
        if isinstance(key, Ed25519PublicKey):
            return key
    raise ValueError(
        f"{file}: must be a public Ed25519 key in PEM; make it of the private one with "
        "openssl pkey -pubout"
    )


def sign(key: Ed25519PrivateKey, listing: bytes, as_of: str) -> str:
    """The signature of a model, in hexadecimal.

    Parameters
    ----------
    listing
        Paths and hashes of its files, see `opened_model.listing`.
    as_of
        The moment it was trained for.
    """
    return key.sign(_signed(listing, as_of)).hex()


def check_signature(key: Ed25519PublicKey, signature: str, listing: bytes, as_of: str) -> None:
    """See that a model is the one that was signed.

    Raises
    ------
    ValueError
        If there is no signature, or it is of another key or model.
    """
    if not signature:
        raise ValueError("it is not signed; register it with --sign")
    try:
        key.verify(bytes.fromhex(signature), _signed(listing, as_of))
    except (InvalidSignature, ValueError) as error:
        raise ValueError("its signature is not of this key and these files") from error


def _signed(listing: bytes, as_of: str) -> bytes:
    return b"winback model as of " + as_of.encode() + b"\n" + listing
