import CBOR
import Crypto
import WebAuthn

/// The same bytes as an attestation object, as authenticator data and as a COSE_Key.
func checkAttestation(_ input: [UInt8]) throws {
  if let object = try? AttestationObject.decode(input) {
    try require(
      (try? AttestationObject.decode(object.encoded())) == object, "an attestation object survives its encoding")
    try checkAuthenticatorData(object.authenticatorData)
  }
  try checkAuthenticatorData(input)
  if let key = try? CredentialPublicKey.decode(input) {
    try require(key.encoded() == input, "a COSE_Key re-encodes byte for byte")
    try checkKey(key)
  }
}

private func checkAuthenticatorData(_ bytes: [UInt8]) throws {
  guard let data = try? AuthenticatorData.decode(bytes) else { return }
  try require(data.encoded() == bytes, "authenticator data re-encodes byte for byte")
  if let credential = data.attestedCredential { try checkKey(credential.publicKey) }
}

/// Any key has a SubjectPublicKeyInfo, and none takes a signature of nothing.
private func checkKey(_ key: CredentialPublicKey) throws {
  try require(key.subjectPublicKeyInfo.first == 0x30, "a SubjectPublicKeyInfo is a SEQUENCE")
  let (signature, message): ([UInt8], [UInt8]) = ([0x30, 6, 2, 1, 1, 2, 1, 1], [1])
  let isValid =
    switch key {
    case .es256(let x, let y): SignatureVerifier.isValidES256(x: x, y: y, signature: signature, message: message)
    case .es384(let x, let y): SignatureVerifier.isValidES384(x: x, y: y, signature: signature, message: message)
    case .rs256(let modulus, let exponent):
      SignatureVerifier.isValidRS256(modulus: modulus, exponent: exponent, signature: signature, message: message)
    }
  try require(!isValid, "a made-up signature is not valid")
}
