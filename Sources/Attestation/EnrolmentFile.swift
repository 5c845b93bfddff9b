internal import Crypto
package import WebAuthn

/// Why a file of the enrolment is not what it should be, or is refused.
package struct EnrolmentRefusal: Error, Equatable, Sendable, CustomStringConvertible {
  package let description: String
  /// Whether it is no such file at all, and not one that is another's, altered or too old.
  package let isMalformed: Bool

  package init(_ description: String, isMalformed: Bool = false) {
    self.description = description
    self.isMalformed = isMalformed
  }
}

/// The kinds of files that go between a runner and its authority: JSON objects with a kind and a version.
package enum EnrolmentFile: String, CaseIterable, Sendable {
  case request = "attestation request"
  case challenge = "attestation challenge"
  case response = "attestation response"
  case certificate = "attestation certificate"
  case bootState = "boot state"
  case bootApproval = "boot state approval"

  static let version: Int64 = 1

  /// The members of a file, with its kind and version.
  func json(_ members: [String: JSONValue]) -> JSONValue {
    .object(
      members.merging(["countersign": .string(rawValue), "version": .integer(EnrolmentFile.version)]) { $1 })
  }

  /// Reads a file of this kind and version, and of no other.
  ///
  /// - Throws: ``EnrolmentRefusal``
  func members(of value: JSONValue) throws(EnrolmentRefusal) -> JSONCursor {
    let kind = try EnrolmentFile.kind(of: value)
    guard kind == self else { throw EnrolmentRefusal("it is \(kind.inWords), not \(inWords)", isMalformed: true) }
    return JSONCursor(value)
  }

  /// e.g. `an attestation request`
  package var inWords: String { (rawValue.hasPrefix("a") ? "an " : "a ") + rawValue }

  /// Which kind of file this is.
  ///
  /// - Throws: ``EnrolmentRefusal``
  package static func kind(of value: JSONValue) throws(EnrolmentRefusal) -> EnrolmentFile {
    let cursor = JSONCursor(value)
    let kind = try? cursor.optional("countersign")?.string()
    guard let kind, let known = EnrolmentFile(rawValue: kind) else {
      throw EnrolmentRefusal(
        "it is no file of Countersign's enrolment (the member \"countersign\" is missing)", isMalformed: true)
    }
    let version = try? cursor.optional("version")?.integer(in: 0 ... .max)
    guard version == EnrolmentFile.version else {
      throw EnrolmentRefusal(
        "it is of a version that this program does not know: use the same version on both machines", isMalformed: true)
    }
    return known
  }
}

/// Turns complaints about JSON into refusals.
func reading<Value>(_ body: () throws -> Value) throws(EnrolmentRefusal) -> Value {
  do {
    return try body()
  } catch let refusal as EnrolmentRefusal {
    throw refusal
  } catch let error as JSONInputError {
    throw EnrolmentRefusal("\(error)", isMalformed: true)
  } catch {
    throw EnrolmentRefusal("\(error)")
  }
}

extension JSONCursor {
  func bytes(_ name: String, _ count: ClosedRange<Int>) throws(JSONInputError) -> [UInt8] {
    try required(name, "base64url text").bytes(count)
  }

  func time(_ name: String) throws(JSONInputError) -> Int64 {
    try required(name, "seconds since 1970").integer(in: 0...CertificateTime.never)
  }
}

/// What a runner asks of its authority: who its TPM is, which key it wants certified, and the state in which it booted.
package struct AttestationRequest: Equatable, Sendable {
  /// PCRs of the SHA-256 bank that tell how the machine booted.
  package static let pcrs = Array(0..<8)

  /// Seconds since 1970-01-01 UTC.
  package var created: Int64
  package var aaguid: [UInt8]
  /// TPM_PT_MANUFACTURER, as text.
  package var manufacturer: String
  /// TPM_PT_VENDOR_STRING_1 to 4.
  package var model: String
  package var firmwareVersion: UInt64
  /// TPMT_PUBLIC.
  package var endorsementKey: [UInt8]
  /// X.509, DER; nil where the TPM holds none.
  package var endorsementCertificate: [UInt8]?
  /// TPMT_PUBLIC.
  package var attestationKey: [UInt8]
  /// Of ``pcrs``; empty where the TPM has no SHA-256 bank.
  package var pcrValues: [[UInt8]]
  /// TPMS_ATTEST over ``digest``, and the attestation key's signature as DER.
  package var quote: [UInt8] = []
  package var signature: [UInt8] = []

  package init(
    created: Int64, aaguid: [UInt8], manufacturer: String, model: String, firmwareVersion: UInt64,
    endorsementKey: [UInt8], endorsementCertificate: [UInt8]?, attestationKey: [UInt8], pcrValues: [[UInt8]]
  ) {
    self.created = created
    self.aaguid = aaguid
    self.manufacturer = manufacturer
    self.model = model
    self.firmwareVersion = firmwareVersion
    self.endorsementKey = endorsementKey
    self.endorsementCertificate = endorsementCertificate
    self.attestationKey = attestationKey
    self.pcrValues = pcrValues
  }

  private var content: [String: JSONValue] {
    var tpm: [String: JSONValue] = [
      "firmwareVersion": .string(String(firmwareVersion, radix: 16)),
      "manufacturer": .string(manufacturer), "model": .string(model),
      "endorsementKey": .string(Base64URL.encode(endorsementKey)),
    ]
    tpm["endorsementCertificate"] = endorsementCertificate.map { .string(Base64URL.encode($0)) }
    return [
      "aaguid": .string(AAGUIDText.encode(aaguid)), "attestationKey": .string(Base64URL.encode(attestationKey)),
      "created": .integer(created), "pcrs": .array(pcrValues.map { .string(Base64URL.encode($0)) }),
      "tpm": .object(tpm),
    ]
  }

  /// What the quote is about: everything but the quote.
  package var digest: [UInt8] { SHA256.hash(EnrolmentFile.request.json(content).serialized()) }

  package var json: JSONValue {
    EnrolmentFile.request.json(
      content.merging(
        ["quote": .string(Base64URL.encode(quote)), "signature": .string(Base64URL.encode(signature))]) { $1 })
  }

  /// Reads what ``json`` writes.
  ///
  /// - Throws: ``EnrolmentRefusal``
  package init(_ value: JSONValue) throws(EnrolmentRefusal) {
    let file = try EnrolmentFile.request.members(of: value)
    self = try reading { () throws in
      let tpm = try file.required("tpm", "an object")
      let aaguid = try file.required("aaguid", "a UUID")
      guard let model = AAGUIDText.decode(try aaguid.string()) else { throw aaguid.complaint(expected: "a UUID") }
      let firmware = try tpm.required("firmwareVersion", "hexadecimal text")
      guard let version = UInt64(try firmware.string(), radix: 16) else {
        throw firmware.complaint(expected: "hexadecimal text")
      }
      var values: [[UInt8]] = []
      for element in try file.required("pcrs", "an array").elements() { values.append(try element.bytes(32...32)) }
      var request = AttestationRequest(
        created: try file.time("created"), aaguid: model,
        manufacturer: try tpm.required("manufacturer", "a string").string(),
        model: try tpm.required("model", "a string").string(), firmwareVersion: version,
        endorsementKey: try tpm.bytes("endorsementKey", 1...1024),
        endorsementCertificate: try tpm.optional("endorsementCertificate")?.bytes(1...8192),
        attestationKey: try file.bytes("attestationKey", 1...1024), pcrValues: values)
      request.quote = try file.bytes("quote", 1...1024)
      request.signature = try file.bytes("signature", 1...256)
      return request
    }
  }
}

/// What an authority sends to find out whether both keys are in one TPM.
package struct ActivationChallenge: Equatable, Sendable {
  package var id: [UInt8]
  /// ``AttestationRequest/digest``.
  package var request: [UInt8]
  /// Seconds since 1970-01-01 UTC.
  package var expires: Int64
  package var blob: ActivationBlob

  package var json: JSONValue {
    EnrolmentFile.challenge.json([
      "credentialBlob": .string(Base64URL.encode(blob.credentialBlob)),
      "encryptedSecret": .string(Base64URL.encode(blob.encryptedSecret)), "expires": .integer(expires),
      "id": .string(Base64URL.encode(id)), "request": .string(Base64URL.encode(request)),
    ])
  }

  package init(id: [UInt8], request: [UInt8], expires: Int64, blob: ActivationBlob) {
    self.id = id
    self.request = request
    self.expires = expires
    self.blob = blob
  }

  /// Reads what ``json`` writes.
  ///
  /// - Throws: ``EnrolmentRefusal``
  package init(_ value: JSONValue) throws(EnrolmentRefusal) {
    let file = try EnrolmentFile.challenge.members(of: value)
    self = try reading { () throws in
      ActivationChallenge(
        id: try file.bytes("id", 16...16), request: try file.bytes("request", 32...32),
        expires: try file.time("expires"),
        blob: ActivationBlob(
          credentialBlob: try file.bytes("credentialBlob", 1...256),
          encryptedSecret: try file.bytes("encryptedSecret", 1...512)))
    }
  }

  /// What the opened secret authenticates: this challenge and no other.
  package var proofMessage: [UInt8] { Array("countersign attestation".utf8) + id + request }
}

/// The runner's proof.
package struct ActivationResponse: Equatable, Sendable {
  package var id: [UInt8]
  package var request: [UInt8]
  /// HMAC-SHA-256 of ``ActivationChallenge/proofMessage`` under the secret.
  package var proof: [UInt8]

  package var json: JSONValue {
    EnrolmentFile.response.json([
      "id": .string(Base64URL.encode(id)), "proof": .string(Base64URL.encode(proof)),
      "request": .string(Base64URL.encode(request)),
    ])
  }

  package init(id: [UInt8], request: [UInt8], proof: [UInt8]) {
    self.id = id
    self.request = request
    self.proof = proof
  }

  /// Reads what ``json`` writes.
  ///
  /// - Throws: ``EnrolmentRefusal``
  package init(_ value: JSONValue) throws(EnrolmentRefusal) {
    let file = try EnrolmentFile.response.members(of: value)
    self = try reading { () throws in
      ActivationResponse(
        id: try file.bytes("id", 16...16), request: try file.bytes("request", 32...32),
        proof: try file.bytes("proof", 32...32))
    }
  }
}

/// What the runner puts into service: certificates of its attestation key, leaf first.
package struct AttestationCertificates: Equatable, Sendable {
  /// For statements of format `tpm`; DER.
  package var tpm: [[UInt8]]
  /// For statements of format `packed`; DER.
  package var packed: [[UInt8]]
  /// For enterprise attestation, of format `packed`: its subject names the device; DER.
  package var enterprise: [[UInt8]]
  /// That of the authority, which tells a file that was damaged on its way from a good one; DER.
  package var authority: [UInt8]

  package var json: JSONValue {
    func list(_ path: [[UInt8]]) -> JSONValue { .array(path.map { .string(Base64URL.encode($0)) }) }
    return EnrolmentFile.certificate.json([
      "authority": .string(Base64URL.encode(authority)), "enterprise": list(enterprise), "packed": list(packed),
      "tpm": list(tpm),
    ])
  }

  package init(tpm: [[UInt8]], packed: [[UInt8]], enterprise: [[UInt8]], authority: [UInt8]) {
    self.tpm = tpm
    self.packed = packed
    self.enterprise = enterprise
    self.authority = authority
  }

  /// Reads what ``json`` writes.
  ///
  /// - Throws: ``EnrolmentRefusal``
  package init(_ value: JSONValue) throws(EnrolmentRefusal) {
    let file = try EnrolmentFile.certificate.members(of: value)
    self = try reading { () throws in
      func path(_ name: String) throws -> [[UInt8]] {
        let elements = try file.required(name, "an array").elements()
        guard (1...4).contains(elements.count) else { throw EnrolmentRefusal("\(name) has no path of certificates") }
        return try elements.map { try $0.bytes(1...8192) }
      }
      return AttestationCertificates(
        tpm: try path("tpm"), packed: try path("packed"), enterprise: try path("enterprise"),
        authority: try file.bytes("authority", 1...8192))
    }
  }

  /// When the first of them ends, in seconds since 1970-01-01 UTC; nil where one cannot be read.
  package var notAfter: Int64? {
    let ends = [tpm, packed, enterprise].map { path in (try? Certificate(der: path[0]))?.notAfter }
    return ends.contains(nil) ? nil : ends.compactMap { $0 }.min()
  }

  /// When the newest of them begins; nil where one cannot be read.
  package var notBefore: Int64? {
    let begins = [tpm, packed, enterprise].map { path in (try? Certificate(der: path[0]))?.notBefore }
    return begins.contains(nil) ? nil : begins.compactMap { $0 }.max()
  }

  /// Whether they are for this runner and this time.
  ///
  /// - Parameters:
  ///   - attestationKey: TPMT_PUBLIC
  ///   - aaguid: of the authenticator
  ///   - time: seconds since 1970-01-01 UTC
  /// - Throws: ``EnrolmentRefusal``
  package func check(attestationKey: TPMTPublicBytes, aaguid: [UInt8], at time: Int64) throws(EnrolmentRefusal) {
    let issuer = try reading { () throws in try Certificate(der: authority) }
    for path in [tpm, packed, enterprise] {
      let leaf = try reading { () throws in try Certificate(der: path[0]) }
      guard leaf.publicKey == attestationKey.subjectPublicKeyInfo else {
        throw EnrolmentRefusal("the certificate is for another key than this runner's attestation key")
      }
      guard leaf[AttestationExtension.aaguid]?.value == DER.element(.octetString, aaguid) else {
        throw EnrolmentRefusal("the certificate is for another AAGUID than this runner's")
      }
      guard time >= leaf.notBefore else { throw EnrolmentRefusal("the certificate is not valid yet") }
      guard time <= leaf.notAfter else { throw EnrolmentRefusal("the certificate has expired") }
      try reading { () throws in
        let intermediates = try path.dropFirst().map { der throws in try Certificate(der: der) }
        do {
          _ = try CertificateChain.validate(
            leaf, intermediates: intermediates, anchors: [issuer], revocationLists: [], at: time,
            isStrict: false)
        } catch {
          throw EnrolmentRefusal("the certificate is not the authority's of the same file, which was altered: \(error)")
        }
      }
    }
  }
}
