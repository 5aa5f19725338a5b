"""A private authority, and certificates of it for servers on loopback."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """An authority that nobody trusts.

    Attributes:
        folder: Where its files are.
    """

    folder: Path

    @property
    def bundle(self) -> Path:
        """The file with its certificate."""
        return self.folder / "ca.pem"

    def certificate(self, address: str = "127.0.0.1", days: int = 30) -> tuple[Path, Path]:
        """Return the files with a certificate for a server, and with its key; one of negative days has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        ours = x509.load_pem_x509_certificate(self.bundle.read_bytes())
        signer = self.folder / "ca.key"
        alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        made = (
            _begun("store", ours.subject, key.public_key(), days)
            .add_extension(alternative, critical=False)
            .sign(_loaded(signer), hashes.SHA256())
        )
        certificate, private = self.folder / f"{address}{days}.pem", self.folder / f"{address}{days}.key"
        certificate.write_bytes(made.public_bytes(Encoding.PEM))
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, private


def an_authority(folder: Path) -> Authority:
    """Make an authority whose files are in a folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        _begun("a private authority", None, key.public_key(), 30)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority(folder)
    authority.bundle.write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "ca.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return authority


def _begun(name: str, issuer: x509.Name | None, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now, subject = datetime.now(UTC), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 60 * DAY)
        .not_valid_after(now + days * DAY)
    )


def _loaded(path: Path) -> ec.EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key
