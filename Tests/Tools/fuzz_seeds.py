"""Writes Tests/Fuzz/Corpus: what the fuzzer begins with, taken from what the tests use.

Usage: fuzz_seeds.py    (after the tests have got new messages or vectors; the result is committed)
"""

import json
import re
import shutil
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
CORPUS = TESTS / "Fuzz" / "Corpus"
HASH = bytes(range(32))


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
    found = re.findall(r'static let (\w+)Bytes = \[UInt8\]\(\s*hex: """(.*?)"""', text("CTAPTests/Fixtures.swift"), re.S)
    return {name: hexadecimal(digits) for name, digits in found}


def request() -> list[bytes]:
    messages = fixtures()
    return [messages["makeCredential"], messages["getAssertion"], b"\x04", b"\x07", b"\x08", b"\x0b"]


def response() -> list[bytes]:
    # The first byte is the command's place among all of them.
    messages = fixtures()
    return [
        b"\x00" + messages["makeCredentialResponse"],
        b"\x01" + messages["assertion"],
        b"\x02" + messages["info"],
        b"\x04\x00",
        b"\x01\x2e",
    ]


def frames() -> list[bytes]:
    reply = bytes(8) + b"\x00\x00\x00\x01\x02\x00\x01\x00\x0d"
    stream = frame(0x06, bytes(8)) + frame(0x10, b"\x04") + frame(0x11, b"") + frame(0x06, reply) + frame(0x01, HASH)
    return [HASH[:8] + stream, HASH[:8] + stream[:-5], bytes(8) + bytes(4), bytes(8) + b"\x00\x01\x00\x01\x10"]


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


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def ceremony() -> list[bytes]:
    return [compact(vectors) for vectors in ceremonies()]


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
    return stored + [es256, rs256, hexadecimal("01 0003010203 00020405")]


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
    ]
    return [bytes([0]) + story for story in stories] + [bytes([3]) + stories[0] + register(0, 4)]


TARGETS = {
    "cbor": cbor,
    "request": request,
    "response": response,
    "frames": frames,
    "attestation": attestation,
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
