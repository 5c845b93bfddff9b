internal import Crypto
package import WebAuthn

/// What an authority keeps beside its key: its names, what it waits for and what it has issued.
package struct AuthorityRegister: Equatable, Sendable {
  /// One that was asked whether both keys are in one TPM.
  struct Pending: Equatable, Sendable {
    var id: [UInt8]
    /// SHA-256 of the proof that is expected: the proof itself nobody can read here.
    var proofHash: [UInt8]
    var expires: Int64
    var request: AttestationRequest
  }

  /// One certificate.
  package struct Issued: Equatable, Sendable {
    /// Lower-case hexadecimal.
    package var serialNumber: String
    /// `tpm`, `packed` or `enterprise`, which is of format packed.
    package var format: String
    /// SHA-256 of the endorsement key's SubjectPublicKeyInfo.
    package var endorsementKey: [UInt8]
    /// Name of the attestation key.
    package var attestationKey: [UInt8]
    /// Digest of the request, which is answered once.
    package var request: [UInt8]
    /// Seconds since 1970-01-01 UTC.
    package var notBefore: Int64
    package var notAfter: Int64
    package var revoked: Int64?
  }

  package var organization: String
  /// ISO 3166, two capital letters.
  package var country: String
  package var listNumber: UInt64 = 0
  var pending: [Pending] = []
  package internal(set) var issued: [Issued] = []

  private static let version: Int64 = 1
  private static let kind = "attestation authority"

  /// - Throws: ``EnrolmentRefusal``
  package init(organization: String, country: String) throws(EnrolmentRefusal) {
    guard (1...64).contains(organization.utf8.count) else {
      throw EnrolmentRefusal("the organization has 1 to 64 bytes")
    }
    guard country.utf8.count == 2, country.utf8.allSatisfy({ (0x41...0x5a).contains($0) }) else {
      throw EnrolmentRefusal("the country is no code of two capital letters (ISO 3166)")
    }
    self.organization = organization
    self.country = country
  }

  package var json: JSONValue {
    .object([
      "countersign": .string(AuthorityRegister.kind), "version": .integer(AuthorityRegister.version),
      "country": .string(country), "organization": .string(organization), "listNumber": .integer(Int64(listNumber)),
      "issued": .array(issued.map(\.json)),
      "pending": .array(
        pending.map {
          .object([
            "expires": .integer($0.expires), "id": .string(Base64URL.encode($0.id)),
            "proofHash": .string(Base64URL.encode($0.proofHash)), "request": $0.request.json,
          ])
        }),
    ])
  }

  /// Reads what ``json`` writes.
  ///
  /// - Throws: ``EnrolmentRefusal``
  package init(_ value: JSONValue) throws(EnrolmentRefusal) {
    self = try reading { () throws in
      let file = JSONCursor(value)
      guard try file.required("countersign", "a string").string() == AuthorityRegister.kind,
        try file.required("version", "a number").integer(in: 0 ... .max) == AuthorityRegister.version
      else { throw EnrolmentRefusal("it is no register of an authority, or of a newer version") }
      var register = try AuthorityRegister(
        organization: try file.required("organization", "a string").string(),
        country: try file.required("country", "a string").string())
      register.listNumber = UInt64(try file.required("listNumber", "a number").integer(in: 0 ... .max))
      for element in try file.required("issued", "an array").elements() {
        register.issued.append(try Issued(element))
      }
      for element in try file.required("pending", "an array").elements() {
        register.pending.append(
          Pending(
            id: try element.bytes("id", 16...16), proofHash: try element.bytes("proofHash", 32...32),
            expires: try element.time("expires"),
            request: try AttestationRequest(try element.required("request", "an object").value)))
      }
      return register
    }
  }
}

extension AuthorityRegister.Issued {
  package var json: JSONValue {
    var members: [String: JSONValue] = [
      "attestationKey": .string(attestationKey.hexadecimal), "endorsementKey": .string(endorsementKey.hexadecimal),
      "format": .string(format), "notAfter": .integer(notAfter), "notBefore": .integer(notBefore),
      "request": .string(request.hexadecimal), "serialNumber": .string(serialNumber),
    ]
    members["revoked"] = revoked.map { .integer($0) }
    return .object(members)
  }

  fileprivate init(_ cursor: JSONCursor) throws {
    func hexadecimal(_ name: String) throws -> [UInt8] {
      let member = try cursor.required(name, "hexadecimal text")
      guard let bytes = [UInt8](hexadecimal: try member.string()) else {
        throw member.complaint(expected: "hexadecimal text")
      }
      return bytes
    }
    serialNumber = try hexadecimal("serialNumber").hexadecimal
    format = try cursor.required("format", "a string").string()
    endorsementKey = try hexadecimal("endorsementKey")
    attestationKey = try hexadecimal("attestationKey")
    request = try hexadecimal("request")
    notBefore = try cursor.time("notBefore")
    notAfter = try cursor.time("notAfter")
    revoked = try cursor.optional("revoked")?.integer(in: 0...CertificateTime.never)
  }
}
