"""Whose signature stands under content credentials: the creator's own certificate, or one that this computer made.

A certificate made here proves only that nothing in the file was changed since the export. Who made it stays unproved:
validators say that the issuer is unknown or untrusted. For more, put your own private key and certificates (from an
issuer on the C2PA trust list) into the file that ``identity_path`` names, one after the other, as PEM.
"""

import datetime
import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from engine.errors import StudioError
from engine.project.atomic import whole_file, write_failed

IDENTITY_NAME = "identity.pem"
OWN_ISSUER = "Roundtable on this computer"
_VALID_FOR = datetime.timedelta(days=3650)
_EC_NAMES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}

_Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Identity:
    """A private key and its chain of certificates, the signer's first, as PEM; ``algorithm`` is C2PA's name.

    ``made_here``: nobody vouches for it.
    """

    key_pem: bytes
    chain_pem: bytes
    algorithm: str
    made_here: bool


def identity_path() -> Path:
    """Where the key and certificates lie: in the user's settings, or in the folder that ROUNDTABLE_SIGNING names."""
    chosen = os.environ.get("ROUNDTABLE_SIGNING")
    folder = Path(chosen) if chosen else Path(platformdirs.user_config_dir("roundtable")) / "signing"
    return folder / IDENTITY_NAME


def identity() -> Identity:
    """The key and certificates to sign with; made the first time, and again when those made here have run out.

    Raises StudioError when the file cannot be used, WriteFailed when none can be made.
    """
    path = identity_path()
    if path.exists():
        found, ends = _read(path)
        if ends > datetime.datetime.now(datetime.UTC):
            return found
        if not found.made_here:
            raise StudioError(
                f"The certificate in {path} ended on {ends:%Y-%m-%d}.", "Get a new one, or remove that file."
            )
    _keep(path, _made())
    return _read(path)[0]


def _read(path: Path) -> tuple[Identity, datetime.datetime]:
    """The identity in a file, and when its certificate ends."""
    try:
        content = path.read_bytes()
        key = serialization.load_pem_private_key(content, None)
        chain = x509.load_pem_x509_certificates(content)
        own = key.public_key() == chain[0].public_key()
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unusable(path, str(error)) from error
    if not own:
        raise _unusable(path, "the first certificate is not that of the key")
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain_pem = b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain)
    made_here = chain[0].issuer == _name(OWN_ISSUER)
    return Identity(key_pem, chain_pem, _algorithm(key, path), made_here), chain[0].not_valid_after_utc


def _algorithm(key: object, path: Path) -> str:
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _EC_NAMES:
        return _EC_NAMES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    raise _unusable(path, "C2PA does not know this kind of key")


def _unusable(path: Path, why: str) -> StudioError:
    return StudioError(
        f"{path} cannot be used to sign: {why}.",
        "Put a private key without password and its certificates there as PEM, or remove the file.",
    )


def _keep(path: Path, content: bytes) -> None:
    """Write the private key so that nobody else on this computer can read it, not even for a moment."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise write_failed(path, error) from error
    with whole_file(path) as part:
        part.touch(mode=0o600)
        part.write_bytes(content)


def _made() -> bytes:
    """A new key and a chain of two certificates, as C2PA wants them: the signer may not be its own issuer."""
    issuer_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = _certificate(_name(OWN_ISSUER), issuer_key, issuer_key, is_issuer=True)
    signer = _certificate(_name("Roundtable"), key, issuer_key, is_issuer=False)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key_pem + b"".join(each.public_bytes(serialization.Encoding.PEM) for each in (signer, issuer))


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, OWN_ISSUER),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _certificate(subject: x509.Name, key: _Key, issuer_key: _Key, is_issuer: bool) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_name(OWN_ISSUER))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # clocks differ
        .not_valid_after(now + _VALID_FOR)
        .add_extension(x509.BasicConstraints(is_issuer, 0 if is_issuer else None), critical=True)
        .add_extension(_usage(is_issuer), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not is_issuer:  # the purpose that C2PA accepts for signing media
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _usage(is_issuer: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_issuer,
        key_cert_sign=is_issuer,
        crl_sign=is_issuer,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
