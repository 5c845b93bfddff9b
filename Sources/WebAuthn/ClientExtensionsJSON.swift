/// What a relying party asks of extensions at `create()` (WebAuthn section 10.1, CTAP 2.1 section 12), read from JSON.
/// Unknown extensions are ignored, as in a browser.
package struct CreationExtensionsJSON: Equatable, Sendable {
  package enum LargeBlobSupport: String, Sendable {
    case required
    case preferred
  }

  /// credProps.
  package var wantsProperties = false
  /// prf: nil where it is not asked for.
  package var pseudoRandomFunction: PRFInputsJSON?
  /// largeBlob.
  package var largeBlobSupport: LargeBlobSupport?
  /// credentialProtectionPolicy.
  package var protection: CredentialProtection?
  /// enforceCredentialProtectionPolicy.
  package var enforcesProtection = false
  /// credBlob.
  package var blob: [UInt8]?
  /// minPinLength.
  package var wantsMinPINLength = false

  package init() {}

  init(_ extensions: JSONCursor) throws(JSONInputError) {
    _ = try extensions.object()
    wantsProperties = try extensions.optional("credProps")?.boolean() ?? false
    if let member = try extensions.optional("prf") {
      try member.refuse("evalByCredential", "only get() has")
      pseudoRandomFunction = PRFInputsJSON(evaluated: try member.optional("eval").map(PRFSaltsJSON.init))
    }
    if let member = try extensions.optional("largeBlob") {
      try member.refuse("read", "only get() has")
      try member.refuse("write", "only get() has")
      largeBlobSupport = LargeBlobSupport(rawValue: try member.optional("support")?.string() ?? "") ?? .preferred
    }
    protection = try extensions.optional("credentialProtectionPolicy")?.protection()
    enforcesProtection = try extensions.optional("enforceCredentialProtectionPolicy")?.boolean() ?? false
    blob = try extensions.optional("credBlob")?.bytes()
    wantsMinPINLength = try extensions.optional("minPinLength")?.boolean() ?? false
  }
}

/// What a relying party asks of extensions at `get()`, read from JSON.
package struct RequestExtensionsJSON: Equatable, Sendable {
  package enum LargeBlob: Equatable, Sendable {
    case read
    case write([UInt8])
  }

  /// prf: nil where it is not asked for.
  package var pseudoRandomFunction: PRFInputsJSON?
  package var largeBlob: LargeBlob?
  /// getCredBlob.
  package var wantsBlob = false

  package init() {}

  /// `allowed` are the IDs of `allowCredentials`, to which some extensions refer.
  init(_ extensions: JSONCursor, allowed: [[UInt8]]) throws(JSONInputError) {
    _ = try extensions.object()
    if let member = try extensions.optional("prf") {
      pseudoRandomFunction = PRFInputsJSON(
        evaluated: try member.optional("eval").map(PRFSaltsJSON.init),
        evaluatedByCredential: try member.optional("evalByCredential")?.saltsByCredential(allowed: allowed) ?? [:])
    }
    if let member = try extensions.optional("largeBlob") {
      try member.refuse("support", "only create() has")
      largeBlob = try RequestExtensionsJSON.largeBlob(member, allowed: allowed)
    }
    wantsBlob = try extensions.optional("getCredBlob")?.boolean() ?? false
  }

  private static func largeBlob(_ member: JSONCursor, allowed: [[UInt8]]) throws(JSONInputError) -> LargeBlob? {
    let isRead = try member.optional("read")?.boolean() ?? false
    guard let write = try member.optional("write") else { return isRead ? .read : nil }
    guard try member.optional("read") == nil else {
      throw write.complaint(expected: "either read or write", found: "both")
    }
    guard allowed.count == 1 else {
      throw write.complaint(expected: "one credential in allowCredentials to write for", found: "\(allowed.count)")
    }
    return .write(try write.bytes())
  }
}

/// The inputs of prf (WebAuthn section 10.1.4).
package struct PRFInputsJSON: Equatable, Sendable {
  package var evaluated: PRFSaltsJSON?
  /// By credential ID.
  package var evaluatedByCredential: [[UInt8]: PRFSaltsJSON]

  package init(evaluated: PRFSaltsJSON? = nil, evaluatedByCredential: [[UInt8]: PRFSaltsJSON] = [:]) {
    self.evaluated = evaluated
    self.evaluatedByCredential = evaluatedByCredential
  }

  /// Whether some credential's function is to be evaluated.
  package var isEvaluated: Bool { evaluated != nil || !evaluatedByCredential.isEmpty }
}

/// One input of a pseudo-random function or two (`AuthenticationExtensionsPRFValues`).
package struct PRFSaltsJSON: Equatable, Sendable {
  package var first: [UInt8]
  package var second: [UInt8]?

  package init(first: [UInt8], second: [UInt8]? = nil) {
    self.first = first
    self.second = second
  }

  init(_ member: JSONCursor) throws(JSONInputError) {
    first = try member.required("first", "base64url text").bytes()
    second = try member.optional("second")?.bytes()
  }
}

extension JSONCursor {
  /// What a browser refuses with NotSupportedError.
  fileprivate func refuse(_ name: String, _ reason: String) throws(JSONInputError) {
    guard let member = try optional(name) else { return }
    throw member.complaint(expected: "nothing, since \(reason) it")
  }

  /// Who asks for protection by a name that does not exist shall not go without.
  fileprivate func protection() throws(JSONInputError) -> CredentialProtection {
    let text = try string()
    guard let level = CredentialProtection.allCases.first(where: { "\($0)" == text }) else {
      let names = CredentialProtection.allCases.map { "\"\($0)\"" }.joined(separator: ", ")
      throw complaint(expected: "one of \(names)", found: "another text")
    }
    return level
  }

  /// The keys are IDs of `allowCredentials` (a browser's SyntaxError).
  fileprivate func saltsByCredential(allowed: [[UInt8]]) throws(JSONInputError) -> [[UInt8]: PRFSaltsJSON] {
    var salts: [[UInt8]: PRFSaltsJSON] = [:]
    for name in try object().keys {
      guard let id = Base64URL.decode(name), allowed.contains(id) else {
        throw complaint(expected: "names that are IDs of allowCredentials", found: "another name")
      }
      salts[id] = try PRFSaltsJSON(required(name, "an object with first"))
    }
    return salts
  }
}

extension Optional where Wrapped == JSONCursor {
  fileprivate func map<Value>(
    _ read: (JSONCursor) throws(JSONInputError) -> Value
  ) throws(JSONInputError) -> Value? {
    guard let self else { return nil }
    return try read(self)
  }
}
