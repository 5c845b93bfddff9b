"""Writes Tests/Fuzz/Corpus: what the fuzzer begins with, taken from what the tests use.

Usage: fuzz_seeds.py    (after the tests have got new messages or vectors; the result is committed)
"""

import base64
import json
import re
import shutil
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
CORPUS = TESTS / "Fuzz" / "Corpus"
HASH = bytes(range(32))
# Places among all commands.
PLACES = {"clientPIN": 3, "credentialManagement": 7, "largeBlobs": 9}


def text(name: str) -> str:
    return (TESTS / name).read_text()


def hexadecimal(text: str) -> bytes:
    return bytes.fromhex(re.sub(r"\s", "", text))


def lines(name: str, separator: str) -> dict[str, str]:
    """Lines `KEY separator VALUE` of a file of vectors."""
    pairs = (line.split(separator, 1) for line in text(name).splitlines() if separator in line and line[0] != "#")
    return {key.strip(): value.strip() for key, value in pairs}


def frame(command: int, payload: bytes) -> bytes:
    return (len(payload) + 1).to_bytes(4, "big") + bytes([command]) + payload


def cbor() -> list[bytes]:
    vectors = lines("CBORTests/Vectors/rfc8949-appendix-a.txt", " | ")
    short = [bytes.fromhex(item) for item in vectors if len(item) <= 128]
    messages = [message[1:] for message in fixtures().values()]
    # One file of many small items would be read up to the first one's end only; the longest cover the rest.
    return sorted(short, key=len)[-24:] + messages


def fixtures() -> dict[str, bytes]:
    source = text("CTAPTests/Fixtures.swift") + text("CTAPTests/ManagementFixtures.swift")
    found = re.findall(r'static let (\w+)Bytes = \[UInt8\]\(\s*hex: """(.*?)"""', source, re.S)
    return {name: hexadecimal(digits) for name, digits in found}


def request() -> list[bytes]:
    messages = fixtures()
    names = ["makeCredential", "getAssertion", "clientPIN", "credentialManagement", "config", "largeBlobs"]
    hash, party = b"\x58\x20" + HASH, b"\x6bexample.org"
    creation = b"\x01\xa5\x01" + hash + b"\x02\xa1\x62id" + party + b"\x03\xa1\x62id\x41\x01\x04\x81\xa2\x63alg\x26"
    creation += b"\x64type\x6apublic-key\x06" + messages["creationExtensions"]
    assertion = b"\x02\xa3\x01" + party + b"\x02" + hash + b"\x04" + messages["assertionExtensions"]
    return [messages[name] for name in names] + [creation, assertion, b"\x04", b"\x07", b"\x08", b"\x0b"]


def response() -> list[bytes]:
    # The first byte is the command's place among all of them.
    messages = fixtures()
    places = {
        "makeCredentialResponse": 0, "assertion": 1, "info": 2, "clientPINResponse": PLACES["clientPIN"],
        "credentialManagementResponse": PLACES["credentialManagement"], "largeBlobsResponse": PLACES["largeBlobs"],
    }
    return [bytes([place]) + messages[name] for name, place in places.items()] + [b"\x04\x00", b"\x01\x2e", b"\x03\x00"]


def bound() -> list[bytes]:
    assertion = b"\xa1\x01\x6bexample.org"
    origin = b"\x73https://example.org"
    # The getAssertion of the messages, without its command and its clientDataHash, is what a job may say.
    listed = b"\xa3\x01\x6bexample.org\x03\x81\xa2\x62id\x41\x01\x64type\x6apublic-key\x05\xa1\x62up\xf5"
    extended = b"\xa2\x01\x6bexample.org\x04" + fixtures()["assertionExtensions"]
    start = b"\xa3\x01\x58\x20" + HASH + b"\x02" + origin + b"\x03"
    own = b"\xa2\x01\x6bexample.org\x02\x58\x20" + HASH
    answer = b"\x00\xa3\x01\x42{}\x02\x42{}\x03" + fixtures()["assertion"][1:]
    return [*(start + one for one in (assertion, listed, extended, own)), b"\xa1\x01\x40", answer, b"\x2e"]


def tokens() -> list[bytes]:
    # RFC 7515, appendices A.2 and A.3.
    payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    rsa = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZ"
    rsa += "cAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-e"
    rsa += "OkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    ec = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    names = {"iss": "joe", "aud": "countersign", "exp": 1_750_000_300, "iat": 1_750_000_000, "nbf": 1_750_000_000}
    github = {**names, "iss": "https://token.example.com", "repository": "org/app", "ref": "refs/heads/main", "run_id": "17"}
    gitlab = {**names, "aud": ["x", "countersign"], "project_path": "a/b", "pipeline_id": 90, "environment_protected": False}
    coordinate = "A" * 43
    keys = [
        {"kty": "RSA", "kid": "r", "n": "A" * 342, "e": "AQAB", "alg": "RS256", "use": "sig"},
        {"kty": "EC", "kid": "e", "crv": "P-256", "x": coordinate, "y": coordinate, "alg": "ES256"}, {"kty": "oct", "k": "AA"},
    ]
    header = b'{"alg":"ES256","kid":"e"}'
    return [
        b"\0" + compact({"keys": keys}), b"\0" + compact({"keys": keys[1:]}), b"\0" + compact({"keys": [{**keys[1], "use": "enc"}]}),
        b"\1" + f"eyJhbGciOiJSUzI1NiJ9.{payload}.{rsa}".encode(), b"\1" + f"eyJhbGciOiJFUzI1NiJ9.{payload}.{ec}".encode(),
        b"\1" + f"eyJhbGciOiJub25lIn0.{payload}.".encode(),
        *(b"\2" + header + b"\0" + compact(claims) for claims in (names, github, gitlab, {**names, "exp": 1_750_000_300.5})),
        b'\2{"alg":"none"}\0' + compact(names), b'\2{"alg":"ES256","crit":["b64"]}\0' + compact(names),
    ]


def u2f() -> list[bytes]:
    register = HASH + HASH
    authenticate = register + b"\x10" + HASH[:16]
    short = [bytes([0, 1, 3, 0, 64]) + register, bytes([0, 2, 3, 0, len(authenticate)]) + authenticate + b"\x00"]
    extended = [bytes([0, 1, 0, 0, 0, 0, 64]) + register + bytes(2), bytes([0, 2, 7, 0, 0, 0, len(authenticate)])]
    extended[1] += authenticate
    versions = [bytes([0, 3, 0, 0]), bytes([0, 3, 0, 0, 0]), bytes([0, 3, 0, 0, 0, 0, 0, 0, 0])]
    certificate, signature = bytes.fromhex("3003020101"), bytes.fromhex("30020500")
    registration = b"\x05\x04" + HASH + HASH + b"\x02\xaa\xbb" + certificate + signature
    authentication = b"\x01\x01\x02\x03\x04" + signature
    replies = [data + b"\x90\x00" for data in (registration, authentication, b"U2F_V2")]
    return short + extended + versions + replies + [b"\x6a\x80"]


def pin() -> list[bytes]:
    """The first byte says what the rest is, and of which protocol: see Tests/Fuzz/Targets/PINProtocol.swift."""
    vectors = lines("CTAPTests/Vectors/pin-protocols.txt", " = ")
    points = [bytes.fromhex(value) for key, value in vectors.items() if key.endswith("coseKey")]
    others = [bytes.fromhex(value) for key, value in vectors.items() if key.endswith(("Enc", "iphertext", "encrypted"))]
    coordinates = [point[-67:-35] + point[-32:] for point in points]
    texts = [b"1234", "pä\U0001f511s".encode(), b"9" * 63, b"9" * 64, b"12\xff4", b"1\x002"]
    texts += [b"\xed\xa0\x80", b"\xf4\x90"]
    seeds = [bytes([first]) + point for point in points + coordinates for first in (0, 1)]
    seeds += [bytes([first]) + other for other in others[:4] + [bytes(48)] for first in (2, 3)]
    seeds += [bytes([4, 32]) + HASH + b"message", bytes([5, 16]) + HASH[:16] + b"message", b"\x04"]
    return seeds + [b"\x06" + text for text in texts]


def frames() -> list[bytes]:
    reply = bytes(8) + b"\x00\x00\x00\x01\x02\x00\x01\x00\x0d"
    stream = frame(0x06, bytes(8)) + frame(0x10, b"\x04") + frame(0x11, b"") + frame(0x06, reply) + frame(0x01, HASH)
    return [HASH[:8] + stream, HASH[:8] + stream[:-5], bytes(8) + bytes(4), bytes(8) + b"\x00\x01\x00\x01\x10"]


def hid() -> list[bytes]:
    """Steps of VirtualDevice.swift: a byte that says which, and what it needs."""
    own, other, broadcast, stranger = 0, 1, 0x40, 0xC1
    ping, msg, lock, init, wink, cbor, cancel = 1, 3, 4, 6, 8, 0x10, 0x11

    def begin(channel: int, command: int, length: int) -> bytes:
        return bytes([1, channel, command]) + length.to_bytes(2, "big") + HASH + HASH[:25]

    def proceed(channel: int, sequence: int) -> bytes:
        return bytes([2, channel, sequence]) + HASH + HASH[:27]

    def answer(channel: int, count: int, code: int = 0) -> bytes:
        return bytes([5, channel, code, count]) + bytes(count << 5)

    opened = begin(broadcast, init, 8)
    report = bytes([0]) + b"\xff\xff\xff\xff\x86\x00\x08" + HASH + HASH[:25]
    later = bytes([4, 255])
    long = bytes([3, own, cbor, 238]) + HASH * 238
    # The type, then the data, their size and their kind, as <linux/uhid.h> has them.
    output = (6).to_bytes(4, "little") + bytes(4096) + (65).to_bytes(2, "little") + b"\x01"
    return [
        report + begin(own, ping, 57),
        opened + begin(own, ping, 100) + proceed(own, 0) + begin(own, wink, 0) + answer(own, 0),
        opened + begin(own, cbor, 10) + bytes([5, own, 0x3B, 0]) + answer(own, 3) + long + answer(own, 238),
        opened * 2 + begin(own, cbor, 10) + begin(other, ping, 1) + begin(own, cancel, 0) + answer(other, 1) + answer(own, 1),
        opened * 6 + begin(own, lock, 1) + begin(other, ping, 1) + later + begin(other, ping, 1),
        opened + begin(own, ping, 300) + proceed(own, 1) + begin(own, ping, 300) + later + begin(own, msg, 1) + later * 2,
        opened + begin(own, ping, 300) + begin(own, init, 8) + begin(own, cbor, 1) + begin(own, init, 8) + answer(own, 1),
        opened + begin(stranger, ping, 1) + begin(own, ping, 7610) + begin(own, 0x7F, 1) + proceed(stranger, 0),
        opened + begin(own, cbor, 1) + bytes([6, own]) + begin(own, cbor, 1) + answer(own, 1, 0x3F) + bytes([7, 0]),
        output,
    ]


def attestation() -> list[bytes]:
    vectors = lines("AuthenticatorDataTests/Vectors/webauthn-level3.txt", " = ")
    keys = lines("AuthenticatorDataTests/Vectors/keys.txt", " = ")
    wanted = [value for key, value in vectors.items() if key.endswith(("attestationObject", "authenticatorData"))]
    return [bytes.fromhex(value) for value in wanted if len(value) < 2000] + [
        bytes.fromhex(value) for key, value in keys.items() if key.endswith(".cose")
    ]


def ceremonies() -> list[dict]:
    names = ["es256-none", "es256-packed", "rs256-packed"]
    return [json.loads(text(f"RelyingPartyTests/Vectors/{name}.json")) for name in names]


def decoded(value: str) -> bytes:
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def level3() -> tuple[str, dict]:
    file = json.loads(text("RelyingPartyTests/Vectors/webauthn-level3.json"))
    return file["anchor"], file["vectors"]


def ceremony() -> list[bytes]:
    anchor, vectors = level3()
    seeds = []
    for name, vector in vectors.items():
        registration, assertion = dict(vector["registration"]), dict(vector["assertion"])
        algorithms = [{"type": "public-key", "alg": alg} for alg in (-7, -35, -257)]
        creation = {
            "rp": {"id": "example.org", "name": "R"},
            "user": {"id": "AQ", "name": "n", "displayName": "n"},
            "challenge": registration.pop("challenge"),
            "pubKeyCredParams": algorithms,
        }
        credential = registration.pop("id")
        request = {
            "challenge": assertion.pop("challenge"),
            "rpId": "example.org",
            "allowCredentials": [{"type": "public-key", "id": credential}],
        }
        same = {"id": credential, "rawId": credential, "type": "public-key"}
        seeds.append({
            "anchor": anchor, "creationOptions": creation, "registration": {**same, "response": registration},
            "requestOptions": request, "assertion": {**same, "response": assertion},
        })
    return [compact(vectors) for vectors in ceremonies() + seeds]


def certificates() -> list[bytes]:
    anchor, vectors = level3()
    seeds = [decoded(anchor)]
    for name in ["packed.ES256", "fido-u2f.ES256", "tpm.ES256"]:
        statement = decoded(vectors[name]["registration"]["attestationObject"])
        # The certificate is the only byte string that begins with a SEQUENCE.
        start = statement.index(b"\x81\x59") + 4
        seeds.append(statement[start : start + int.from_bytes(statement[start - 2 : start], "big")])
    statement = decoded(vectors["tpm.ES256"]["registration"]["attestationObject"])
    area = statement.index(bytes.fromhex("0023000b"))
    info = statement.index(bytes.fromhex("ff544347"))
    block = base64.encodebytes(seeds[0]).replace(b"\n", b"")
    rows = b"\n".join(block[index : index + 64] for index in range(0, len(block), 64))
    pem = b"-----BEGIN CERTIFICATE-----\n" + rows + b"\n-----END CERTIFICATE-----\n"
    certification = statement[info : info + 105]
    # The standard's vector has a clock that is neither safe nor not.
    mended = certification[:58] + b"\x01" + certification[59:]
    return seeds + [statement[area : area + 86], certification, mended, pem]


def json_texts() -> list[bytes]:
    vectors = lines("AuthenticatorDataTests/Vectors/webauthn-level3.txt", " = ")
    options = re.findall(r'"""\n(.*?)"""', text("WebAuthnJSONTests/OptionsTests.swift"), re.S)
    record = {
        "aaguid": "00010203-0405-0607-0809-0a0b0c0d0e0f",
        "algorithm": -7,
        "attestation": {"format": "packed", "type": "self"},
        "flags": {"backupEligible": False, "backupState": False, "userPresent": True, "userVerified": False},
        "id": "AQID",
        "publicKey": "pQECAyYgASFYIBAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vIlggMDEyMzQ1Njc4OTo7PD0-P0BBQkNERUZHSElKS0xNTk8",
        "rpId": "example.com",
        "signCount": 7,
        "transports": ["internal"],
        "type": "public-key",
        "userHandle": "AQ",
        "uvInitialized": False,
    }
    return (
        [option.encode() for option in options]
        + [compact(value) for value in ceremonies()[1].values()]
        + [bytes.fromhex(value) for key, value in vectors.items() if key.endswith("clientDataJSON")]
        + [compact(record), b"https://login.example.com:8443", b"http://localhost", b"AQID_-8"]
        + [b'[1.5e3,-0.0,"\\u00e9\\ud83d\\ude00\\n\\/",true,null,{"":[]}]']
    )


def records() -> list[bytes]:
    x, y = b"\x02" * 32, b"\x03" * 32
    tests = text("TPMKeyStoreTests/EncodingTests.swift")
    stored = [
        hexadecimal("".join(re.findall(r'"([0-9a-f]+)"', line)))
        for line in re.findall(r'== ("43534452".*)', tests)
    ]
    head = hexadecimal("a7 0169612e6578616d706c65 034101")
    tail = hexadecimal("08420405 0901 0a06")
    es256 = head + hexadecimal("0626 07825820") + x + b"\x58\x20" + y + tail
    rs256 = hexadecimal("aa 0161 61 026152 03410104 616e 056164 06390100 07 82 5820") + x + hexadecimal(
        "43010001 0842 0405 0900 0a1b0000019000000000"
    )
    protected = b"\xaa" + es256[1:] + hexadecimal("0b03 0cf5 0e420102")
    u2f = b"\xa7" + hexadecimal("0340 0626 07825820") + x + b"\x58\x20" + y + tail + hexadecimal("0f5820") + HASH
    settings = hexadecimal("a9 0105 02825820") + HASH
    settings += hexadecimal("06 0306 04816b6578616d706c652e636f6d 05f4 06f5 07f4")
    settings += hexadecimal("0850") + HASH[:16] + hexadecimal("0950") + HASH[16:]
    fresh = hexadecimal("a7 0100 0304 0480 05f4 06f4 07f4 0850") + HASH[:16]
    return stored + [es256, rs256, protected, u2f, settings, fresh, hexadecimal("01 0003010203 00020405")]


def configuration() -> list[bytes]:
    texts = re.findall(r'"""\n(.*?)"""', text("ConfigurationTests/LoadingTests.swift"), re.S)
    example = (TESTS.parent / "systemd" / "countersign.json").read_bytes()
    return [example] + [text.encode() for text in texts if text.lstrip().startswith("{")]


def engine() -> list[bytes]:
    """Stories in the bytes of Tests/Fuzz/Targets/EngineStory.swift: kind, connection, choices."""

    def register(connection: int, user: int, party: int = 0, details: int = 0, algorithm: int = 0) -> bytes:
        return bytes([0, connection, party, details, 0xAA, user, algorithm])

    def sign(connection: int, party: int = 0) -> bytes:
        return bytes([3, connection, party, 0, 0xBB])

    def sign_with(connection: int, credential: int, party: int = 0) -> bytes:
        return bytes([3, connection, party, 1, 0xBB, 0, credential])

    def go_on(connection: int) -> bytes:
        return bytes([6, connection])

    def fail(port: int, call: int, error: int = 0) -> bytes:
        return bytes([11, 0, port, call, error])

    plain = 2  # not discoverable
    hold, let_go, reset = bytes([13, 0, 0]), bytes([13, 0, 1]), bytes([8, 3, 1])
    three = b"".join(register(0, user) for user in (1, 2, 3))
    stories = [
        three + sign(0) + go_on(1) + go_on(0) + bytes([10, 0, 60]) + go_on(0) + go_on(0),
        register(0, 1, details=plain) + sign_with(0, 0) + sign_with(2, 0) + sign_with(4, 0) + sign_with(0, 0, party=1),
        register(5, 1, party=2) + sign(5, party=2) + register(3, 1, party=4, algorithm=1) + sign(3, party=4),
        register(3, 1, party=1, algorithm=2) + register(0, 1, party=1) + sign(0, party=1) + go_on(0),
        three + hold + sign(0) + sign_with(1, 1) + reset + register(2, 1) + let_go + sign(0) + register(0, 1),
        three + hold + sign(0) + reset + bytes([15, 3]) + bytes([15, 0]) + let_go + bytes([15, 4]) + go_on(0),
        b"".join(fail(port, call) + register(0, call) + sign(0) for port in range(3) for call in range(3)) + reset,
        three + bytes([8, 0, 0, 8, 0, 3, 8, 4, 3, 12, 0, 14, 0, 1]) + sign(0) + bytes([14, 0, 2]) + register(0, 1),
        bytes([9, 0, 5, 1, 0xA0, 0, 0, 0, 9, 0, 1, 6, 9, 1, 2, 4, 4]) + sign(0) + bytes([12, 0]) + go_on(0),
        register(0, 1, details=4 + plain) + bytes([0, 0]) + register(0, 2, details=128) + bytes([1, 0, 20, 0, 255]),
    ] + pin_stories() + management_stories()
    return [bytes([0]) + story for story in stories] + [bytes([3]) + stories[0] + register(0, 4)]


# Connections of EngineStory: who may do everything, whom a rule verifies, who may manage little, the operator.
ROOT, VERIFIED, SMALL, OPERATOR = 3, 6, 7, 8
# Places in RequestWriter's PINs and permissions.
PIN, OTHER, LONG, SHORT = 0, 1, 3, 4
SIGNING, CREATE, ASSERT, MANAGE, BLOBS, CONFIG, READ = 0, 1, 2, 3, 4, 5, 6


def set_pin(connection: int = ROOT, pin: int = PIN, protocol: int = 0) -> bytes:
    return bytes([16, connection, protocol, 0, 0, pin])


def change_pin(new: int, old: int, connection: int = ROOT, protocol: int = 1) -> bytes:
    return bytes([17, connection, protocol, 1, 0, new, old])


def token(connection: int, permission: int, pin: int = PIN, party: int | None = 0, protocol: int = 0) -> bytes:
    end = bytes([2, pin, permission]) if party is None else bytes([0, pin, permission, party])
    return bytes([18, connection, protocol, 3]) + end


def policy_token(connection: int, permission: int, party: int = 0, protocol: int = 0) -> bytes:
    return bytes([19, connection, protocol, 5, 0, permission, party])


def create(
    connection: int, user: int = 1, *, extensions: bytes = b"", code: int = 1, party: int = 0, plain: bool = False
) -> bytes:
    """`code` is the choice of a token, as for the others; 0 is none."""
    details, rare = 64 + (2 if plain else 0), 64 + (8 if extensions else 0)
    return bytes([0, connection, party, details, 0xAA, user, 0, rare]) + extensions + bytes([code])


def use(
    connection: int, *, extensions: bytes = b"", code: int = 1, credential: int | None = None, party: int = 0
) -> bytes:
    details = 32 + (1 if credential is not None else 0) + (4 if extensions else 0)
    chosen = b"" if credential is None else bytes([0, credential])
    return bytes([3, connection, party, details, 0xBB]) + chosen + extensions + bytes([code])


def pin_stories() -> list[bytes]:
    wrong = token(0, SIGNING, pin=OTHER)
    retries, restart, settled = bytes([27, 0]), bytes([28, 0, 8]), bytes([28, 0, 1])
    keep, restore = bytes([28, 0, 2]), bytes([28, 0, 4])
    secret, mixed = bytes([1, 0]), bytes([1 + 2 + 4 + 8 + 16 + 32, 0, 0x30, 8])
    agreed = bytes([30, 0])
    three = b"".join(bytes([0, VERIFIED, 0, 16, 0xAA, user, 0, 1, 0, 1]) for user in (1, 2, 3))
    verified = bytes([3, VERIFIED, 0, 2, 0xBB, 0, 0, 1])
    return [
        set_pin() + retries + token(0, CREATE) + create(0) + token(0, ASSERT) + use(0) + use(0),
        set_pin() + (wrong + retries) * 4 + restart + (wrong + retries) * 3 + settled + wrong * 3 + restart + wrong * 2
        + token(0, SIGNING) + bytes([8, ROOT, 1]) + set_pin(pin=OTHER) + wrong,
        set_pin() + wrong * 2 + token(0, SIGNING) + retries + settled + retries + wrong + token(1, SIGNING, protocol=1)
        + create(1) + use(0) + use(0, code=200),
        set_pin(protocol=1) + change_pin(OTHER, PIN) + change_pin(SHORT, OTHER) + change_pin(PIN, PIN) + wrong
        + token(0, SIGNING, pin=OTHER) + change_pin(PIN, OTHER) + create(0) + use(0),
        keep + set_pin() + keep + change_pin(OTHER, PIN) + restore + wrong + token(0, SIGNING) + retries
        + set_pin() + set_pin(OPERATOR, LONG) + token(0, SIGNING, pin=LONG) + create(0),
        policy_token(VERIFIED, CREATE) + create(VERIFIED, extensions=bytes([1, 0]))
        + use(VERIFIED, code=0, credential=0)
        + policy_token(VERIFIED, ASSERT) + use(VERIFIED, credential=0) + use(0, code=0, credential=0),
        three + verified + bytes([6, VERIFIED, 14, 0, 3, 6, VERIFIED]) + verified,
        three + policy_token(VERIFIED, ASSERT) + use(VERIFIED) + bytes([6, VERIFIED, 14, 0, 3, 6, VERIFIED]),
        bytes([0, VERIFIED, 1, 16, 0xAA, 1, 0, 1, 0, 1]) + policy_token(VERIFIED, CREATE, party=1)
        + policy_token(VERIFIED, CREATE) + create(VERIFIED, party=1),
        set_pin() + token(0, CREATE) + token(1, READ, party=None) + bytes([8, ROOT, 1]) + create(0)
        + bytes([20, 1, 2, 0, 1]) + bytes([27, 0]),
        agreed + create(0, code=0, extensions=mixed, plain=False) + use(0, code=0, extensions=bytes([7, 0x30]))
        + set_pin() + token(0, ASSERT) + agreed + use(0, extensions=bytes([7, 0x30])) + use(0, code=0),
        agreed + create(0, code=0, extensions=bytes([1 + 2 + 4, 2, 0x31])) + use(0, code=0, extensions=bytes([1, 0x31]))
        + use(0, code=0, credential=0, extensions=bytes([1, 0x51])) + use(0, code=0, extensions=bytes([1, 0x33])),
        set_pin() + token(0, CREATE) + agreed + create(0, extensions=mixed) + token(0, CREATE)
        + create(0, 2, extensions=secret) + use(0, code=0) + token(0, ASSERT) + use(0) + bytes([6, 0, 6, 0]),
        set_pin() + token(0, SIGNING) + bytes([10, 0, 121]) + create(0) + token(0, SIGNING) + bytes([31, 0, 151])
        + use(0),
        set_pin() + bytes([13, 0, 0]) + create(0, code=0, plain=True) + token(1, SIGNING) + change_pin(OTHER, PIN)
        + create(1) + bytes([13, 0, 1]) + use(1),
        b"".join(bytes([11, 0, port, call, 0]) + set_pin(pin=call) + wrong + retries for port in range(3)
        for call in range(3)),
        set_pin() + b"".join(bytes([11, 0, 0, call, 0]) + wrong + token(0, SIGNING) + retries for call in range(4))
        + restart
        + retries,
    ]


def management_stories() -> list[bytes]:
    def manage(connection: int, subcommand: int, *rest: int, code: int = 1) -> bytes:
        # The user handle must be the credential's.
        details = 1 if subcommand == 7 else 0
        return bytes([20, connection, subcommand, details, *rest]) + (b"" if subcommand in (3, 5) else bytes([code]))

    def config(subcommand: int, details: int, *rest: int, code: int = 1, connection: int = ROOT) -> bytes:
        return bytes([22, connection, subcommand, details, *rest, code])

    def write(start: int, details: int, code: int = 0, connection: int = ROOT) -> bytes:
        return bytes([23, connection, details, 20, start, code])

    def u2f(connection: int, details: int, *rest: int, party: int = 0) -> bytes:
        return bytes([25, connection, party, details, 0xCC, *rest])

    several = b"".join(create(ROOT, user, party=party, code=0) for user in (1, 2) for party in (0, 1, 4))
    listing = manage(ROOT, 1) + manage(ROOT, 2) + manage(ROOT, 3) * 3 + manage(ROOT, 4, 0) + manage(ROOT, 5) * 2
    read = bytes([24, ROOT, 0, 0, 0])
    accounts = b"".join(create(0, user, code=0) for user in (1, 2, 3))
    always = config(0, 0, code=0)
    return [
        several + set_pin() + token(ROOT, MANAGE, party=None) + listing + manage(ROOT, 7, 0) + manage(ROOT, 6, 0)
        + listing,
        several + set_pin() + token(SMALL, MANAGE, party=None) + b"".join(
            manage(SMALL, sub, *rest)
            for sub, rest in ((1, ()), (2, ()), (3, ()), (4, (0,)), (4, (1,)), (5, ()), (6, (0,)))),
        several + set_pin() + token(0, MANAGE, party=1) + manage(0, 4, 1) + manage(0, 5) + manage(0, 4, 0)
        + manage(0, 2)
        + manage(1, 4, 1, code=200),
        config(1, 2, 3, code=0) + create(0, extensions=bytes([32]), code=0) + set_pin() + token(0, READ, party=None)
        + bytes([8, 0, 0]) + config(1, 1, 2) + token(ROOT, CONFIG, party=None) + config(1, 1, 2),
        policy_token(VERIFIED, MANAGE) + manage(VERIFIED, 4, 0) + manage(VERIFIED, 2) + several + manage(VERIFIED, 4, 0)
        + bytes([14, 0, 3]) + manage(VERIFIED, 5) + manage(VERIFIED, 4, 0),
        several + set_pin() + token(ROOT, MANAGE, party=None) + b"".join(
            bytes([11, 0, 1, call, 0]) + manage(ROOT, sub, 0) for sub in (6, 7, 4) for call in (0, 1))
        + bytes([11, 0, 1, 0, 0, 29, OPERATOR, 1, 11, 0, 1, 0, 0, 29, OPERATOR, 0]) + manage(ROOT, 1) + manage(ROOT, 2),
        set_pin() + token(ROOT, CREATE) + create(ROOT, party=1) + use(ROOT, code=1) + manage(ROOT, 2) + config(0, 0)
        + write(0, 1, 1) + token(ROOT, MANAGE, party=None) + config(0, 0) + write(0, 1, 1) + create(ROOT),
        several + set_pin() + token(0, READ, party=None) + manage(0, 2) + bytes([28, 0, 8]) + manage(1, 2, code=200)
        + manage(1, 6, 0, code=200) + change_pin(OTHER, PIN) + manage(1, 2, code=200),
        several + bytes([29, OPERATOR, 0, 29, OPERATOR, 1, 29, SMALL, 3, 29, SMALL, 2]) + set_pin(OPERATOR)
        + token(OPERATOR, MANAGE, party=None) + manage(OPERATOR, 2) + manage(OPERATOR, 3) + create(OPERATOR, code=0),
        config(1, 1 + 2, 0, 3, code=0) + set_pin() + set_pin(pin=LONG) + token(ROOT, CONFIG, pin=LONG, party=None)
        + config(1, 4) + token(ROOT, CONFIG, pin=LONG, party=None) + change_pin(OTHER, LONG)
        + token(ROOT, CONFIG, pin=OTHER, party=None) + always + config(0, 0)
        + create(0, code=0, extensions=bytes([32])),
        always + create(0, code=0) + u2f(0, 0) + bytes([7, 0, 8, 0, 1]) + set_pin() + token(0, CREATE) + create(0)
        + use(0, code=0) + write(0, 1),
        write(0, 1) + read + write(0, 5) + write(1, 1) + read + write(0, 17) + set_pin() + write(0, 1)
        + token(ROOT, BLOBS, party=None) + write(0, 5, 1) + write(1, 1, 1) + read + write(0, 1, 1, connection=0),
        accounts + use(0, code=0) + write(1, 1, connection=0) + bytes([6, 0]),
        # An empty allow list is none.
        accounts + bytes([3, 0, 0, 1, 0xBB, 2, 6, 0]),
        b"".join(bytes([11, 0, 3, 0, 0]) + step for step in (set_pin(), token(0, SIGNING), token(0, SIGNING, pin=OTHER)))
        + (token(0, SIGNING, pin=OTHER) + token(2, SIGNING, pin=OTHER) + bytes([28, 0, 8])) * 4 + set_pin()
        + set_pin(OPERATOR, OTHER) + token(0, SIGNING, pin=OTHER),
        u2f(0, 0) + u2f(0, 2, 0, 0) + u2f(1, 2, 1, 0) + u2f(0, 2, 2, 0) + u2f(2, 2, 0, 0) + u2f(0, 7)
        + u2f(0, 2, 0, 0, party=1)
        + use(0, code=0, credential=0),
        create(0, extensions=bytes([1, 0]), code=0, plain=True) + u2f(0, 2, 0, 0) + bytes([13, 0, 0]) + u2f(0, 0)
        + bytes([15, 0, 13, 0, 1]) + bytes([11, 0, 0, 1, 0]) + u2f(0, 0),
    ]


TARGETS = {
    "cbor": cbor,
    "request": request,
    "response": response,
    "bound": bound,
    "tokens": tokens,
    "u2f": u2f,
    "pin": pin,
    "frames": frames,
    "hid": hid,
    "attestation": attestation,
    "certificates": certificates,
    "json": json_texts,
    "ceremony": ceremony,
    "records": records,
    "configuration": configuration,
    "engine": engine,
}


def main() -> None:
    for name, seeds in TARGETS.items():
        folder = CORPUS / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for index, seed in enumerate(dict.fromkeys(seeds())):
            (folder / f"{index:02}").write_bytes(seed)


if __name__ == "__main__":
    main()
