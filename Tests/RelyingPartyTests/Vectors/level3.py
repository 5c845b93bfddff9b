"""Derives the test vectors of Web Authentication Level 3, section 16, and writes them to webauthn-level3.json.

The standard prints every random value of its vectors with its derivation (HKDF-SHA-256 of "WebAuthn test vectors", with
the vector's name and a running number), and makes its signatures deterministic (RFC 6979). So they can be made again,
byte for byte: AuthenticatorDataTests has the first two as the standard prints them, and VectorTests compares.

Run by hand: pip install cryptography cbor2, then python3 level3.py.
"""

import base64
import datetime
import hashlib
import json
import pathlib

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import NameOID

HERE = pathlib.Path(__file__).parent
RP_HASH = hashlib.sha256(b"example.org").digest()
OID = x509.ObjectIdentifier


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def digest(data):
    return hashlib.sha256(data).digest()


class Derivation:
    """The running number of one vector."""

    def __init__(self, name):
        self.name, self.count = name.encode(), 0

    def __call__(self, length):
        salt = bytes([self.count])
        self.count += 1
        return HKDF(hashes.SHA256(), length, salt, self.name).derive(b"WebAuthn test vectors")

    def key(self, curve, length):
        return ec.derive_private_key(int.from_bytes(self(length), "big"), curve)


def sign(key, message, algorithm=None):
    return key.sign(message, ec.ECDSA(algorithm or hashes.SHA256(), deterministic_signing=True))


def usage(**set_to_true):
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: name in set_to_true for name in names})


def name(unit):
    return x509.Name([
        x509.NameAttribute(NameOID.COMMON_NAME, "WebAuthn test vectors"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "W3C"),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
        x509.NameAttribute(NameOID.COUNTRY_NAME, "AA"),
    ])


def issue(subject, key, serial, authority, key_usage, extensions):
    """A certificate of 1000 years."""
    issuer_name, issuer_key = authority
    builder = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer_name).public_key(key.public_key())
        .serial_number(int.from_bytes(serial, "big"))
        .not_valid_before(datetime.datetime(2024, 1, 1)).not_valid_after(datetime.datetime(3024, 1, 1))
        .add_extension(x509.BasicConstraints(ca=key is issuer_key, path_length=None), critical=True)
        .add_extension(key_usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False))
    if key is not issuer_key:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = builder.add_extension(identifier, critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer_key, hashes.SHA256(), ecdsa_deterministic=True).public_bytes(serialization.Encoding.DER)


derive = Derivation("Attestation CA")
CA = (name("Authenticator Attestation CA"), derive.key(ec.SECP256R1(), 32))
ANCHOR = issue(CA[0], CA[1], derive(16), CA, usage(key_cert_sign=True, crl_sign=True), [])

TPM_NAME = x509.Name([x509.RelativeDistinguishedName([
    x509.NameAttribute(OID("2.23.133.2.1"), "id:00000000"),
    x509.NameAttribute(OID("2.23.133.2.2"), "WebAuthn test vectors"),
    x509.NameAttribute(OID("2.23.133.2.3"), "id:00000000"),
])])


def leaf(derive, is_tpm=False):
    key = derive.key(ec.SECP256R1(), 32)
    subject, extensions = name("Authenticator Attestation"), []
    if is_tpm:
        subject = x509.Name([])
        extensions = [(x509.ExtendedKeyUsage([OID("2.23.133.8.3")]), False),
                      (x509.SubjectAlternativeName([x509.DirectoryName(TPM_NAME)]), True)]
    return key, issue(subject, key, derive(16), CA, usage(digital_signature=True), extensions)


class Credential:
    def __init__(self, derive, algorithm):
        self.algorithm = algorithm
        if algorithm == -257:
            p, q, e = 2**1279 - 1, 2**2203 - 1, 65537
            d = rsa.rsa_recover_private_exponent(e, p, q)
            self.private = rsa.RSAPrivateNumbers(
                p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q),
                rsa.RSAPublicNumbers(e, p * q)).private_key()
            modulus = (p * q).to_bytes((p * q).bit_length() + 7 >> 3, "big")
            self.cose = {1: 3, 3: -257, -1: modulus, -2: b"\x01\x00\x01"}
            return
        curve, length = (ec.SECP256R1(), 32) if algorithm == -7 else (ec.SECP384R1(), 48)
        self.private = derive.key(curve, length)
        numbers = self.private.public_key().public_numbers()
        self.x, self.y = numbers.x.to_bytes(length, "big"), numbers.y.to_bytes(length, "big")
        self.cose = {1: 2, 3: algorithm, -1: 1 if algorithm == -7 else 2, -2: self.x, -3: self.y}

    def sign(self, message):
        if self.algorithm == -257:
            return self.private.sign(message, PKCS1v15(), hashes.SHA256())
        return sign(self.private, message, hashes.SHA256() if self.algorithm == -7 else hashes.SHA384())


def client_data(derive, kind, challenge, cross_origin, top_origin):
    members = {"type": kind, "challenge": text(challenge), "origin": "https://example.org", "crossOrigin": cross_origin}
    flags = derive(1)[0]
    if top_origin:
        members["topOrigin"] = "https://example.com"
    if flags & 1:
        members["extraData"] = ("clientDataJSON may be extended with additional fields in the future, such as this: "
                                + base64.urlsafe_b64encode(derive(16)).decode())
    return json.dumps(members, separators=(",", ":")).encode()


def tpm_statement(derive, credential, data, collected):
    area = bytes.fromhex("0023000b00040000" "0000" "0010001000030010") + b"\x00\x20" + credential.x + b"\x00\x20"
    area += credential.y
    info = (bytes.fromhex("ff5443478017" "0000" "0020") + digest(data + digest(collected))
            + bytes.fromhex("0000000000000000" "11111111" "22222222" "33" "0000000000000000")
            + bytes.fromhex("0022000b") + digest(area) + b"\x00\x00")
    key, certificate = leaf(derive, is_tpm=True)
    return {"ver": "2.0", "alg": -7, "x5c": [certificate], "sig": sign(key, info), "certInfo": info, "pubArea": area}


def make(vector, form, algorithm=-7, id_length=32, cross_origin=False, top_origin=False):
    derive = Derivation(vector)
    challenge = derive(32)
    credential = Credential(derive, algorithm)
    collected = client_data(derive, "webauthn.create", challenge, cross_origin, top_origin)
    aaguid, credential_id = derive(16), derive(id_length)
    flags = 0
    if form != "fido-u2f":
        flags = derive(1)[0] & 0x1C
        if not flags & 0x08:
            flags &= 0x04
    data = (RP_HASH + bytes([flags | 0x41]) + bytes(4) + aaguid + id_length.to_bytes(2, "big") + credential_id
            + cbor2.dumps(credential.cose, canonical=True))
    statement = {}
    if form == "packed-self":
        statement = {"alg": algorithm, "sig": credential.sign(data + digest(collected))}
    elif form == "packed":
        key, certificate = leaf(derive)
        statement = {"alg": -7, "sig": sign(key, data + digest(collected)), "x5c": [certificate]}
    elif form == "tpm":
        statement = tpm_statement(derive, credential, data, collected)
    elif form == "fido-u2f":
        key, certificate = leaf(derive)
        message = b"\x00" + RP_HASH + digest(collected) + credential_id + b"\x04" + credential.x + credential.y
        statement = {"sig": sign(key, message), "x5c": [certificate]}
    attested = cbor2.dumps(
        {"fmt": form.removesuffix("-self"), "attStmt": statement, "authData": data}, canonical=True)
    registration = {"challenge": text(challenge), "clientDataJSON": text(collected), "attestationObject": text(attested),
                    "id": text(credential_id)}
    backup_eligible = flags & 0x08
    challenge = derive(32)
    collected = client_data(derive, "webauthn.get", challenge, cross_origin, top_origin)
    flags = derive(1)[0] & (0x14 if backup_eligible else 0x04)
    data = RP_HASH + bytes([flags | backup_eligible | 0x01]) + bytes(4)
    assertion = {"challenge": text(challenge), "clientDataJSON": text(collected), "authenticatorData": text(data),
                 "signature": text(credential.sign(data + digest(collected)))}
    return {"registration": registration, "assertion": assertion}


vectors = {
    "none.ES256": make("none.ES256", "none"),
    "packed-self.ES256": make("packed-self.ES256", "packed-self"),
    "none.ES256.crossOrigin": make("none.ES256.crossOrigin", "none", cross_origin=True),
    "none.ES256.topOrigin": make("none.ES256.topOrigin", "none", cross_origin=True, top_origin=True),
    "none.ES256.long-credential-id": make("none.ES256.long-credential-id", "none", id_length=1023),
    "packed.ES256": make("packed.ES256", "packed"),
    "packed.ES384": make("packed.ES384", "packed", -35),
    "packed.RS256": make("packed.RS256", "packed", -257),
    "tpm.ES256": make("tpm.ES256", "tpm"),
    "fido-u2f.ES256": make("fido-u2f.ES256", "fido-u2f"),
}
(HERE / "webauthn-level3.json").write_text(json.dumps({"anchor": text(ANCHOR), "vectors": vectors}, indent=1) + "\n")
