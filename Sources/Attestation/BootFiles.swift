package import Crypto
package import WebAuthn

/// What a runner says of its boot, for whoever approves it: a file of the enrolment's kind.
package struct BootState: Equatable, Sendable {
  package let policy: BootPolicy
  /// Of the policy's PCRs, in its order; 32 bytes each.
  package var values: [[UInt8]]

  package init(policy: BootPolicy, values: [[UInt8]]) {
    self.policy = policy
    self.values = values
  }

  /// - Throws: ``EnrolmentRefusal``
  package init(_ file: JSONValue) throws(EnrolmentRefusal) {
    let members = try EnrolmentFile.bootState.members(of: file)
    self = try reading { () throws in
      if try members.optional("approvalKey") == nil {
        throw EnrolmentRefusal(
          "the runner is not bound to a boot state: set tpm.pcrs and tpm.approvalKey there, and restart countersignd")
      }
      return try BootState(members)
    }
  }

  fileprivate init(_ members: JSONCursor) throws {
    guard try members.required("bank", "a string").string() == BootPolicy.bank else {
      throw EnrolmentRefusal("it is of another bank of PCRs than \(BootPolicy.bank)")
    }
    var values: [(Int, [UInt8])] = []
    for (name, value) in try members.required("pcrs", "an object").object() {
      guard let number = Int(name), String(number) == name, case .string(let text) = value,
        let bytes = [UInt8](hexadecimal: text), bytes.count == SHA256.count
      else { throw EnrolmentRefusal("its PCR \(name) is no SHA-256 in hexadecimal") }
      values.append((number, bytes))
    }
    values.sort { $0.0 < $1.0 }
    guard
      let policy = BootPolicy(
        approvalKey: try members.bytes("approvalKey", 1...512), pcrs: values.map(\.0),
        reference: try members.bytes("reference", BootPolicy.referenceCount...BootPolicy.referenceCount))
    else { throw EnrolmentRefusal("its approval key is no P-256 key, or its PCRs are none that can be selected") }
    self.policy = policy
    self.values = values.map(\.1)
    guard try members.required("policy", "a string").string() == digest.hexadecimal else {
      throw EnrolmentRefusal("its policy is not that of its PCRs: it was altered")
    }
  }

  /// The policy that these values satisfy.
  package var digest: [UInt8] { policy.policy(of: values) }

  /// What the approval key signs.
  package var message: [UInt8] { digest + policy.reference }

  package var members: [String: JSONValue] {
    BootState.members(policy.pcrs, values).merging([
      "approvalKey": .string(Base64URL.encode(policy.approvalKey)), "policy": .string(digest.hexadecimal),
      "reference": .string(Base64URL.encode(policy.reference)),
    ]) { $1 }
  }

  package var json: JSONValue { EnrolmentFile.bootState.json(members) }

  /// The same where nothing is bound, so that there is no policy.
  package static func json(_ pcrs: [Int], _ values: [[UInt8]]) -> JSONValue {
    EnrolmentFile.bootState.json(members(pcrs, values))
  }

  private static func members(_ pcrs: [Int], _ values: [[UInt8]]) -> [String: JSONValue] {
    let named = zip(pcrs, values).map { (String($0), JSONValue.string($1.hexadecimal)) }
    return [
      "bank": .string(BootPolicy.bank), "pcrs": .object(Dictionary(named) { first, _ in first }),
    ]
  }

  /// Those PCRs that differ from other values.
  package func differences(from others: [[UInt8]]) -> [Int] {
    zip(policy.pcrs, zip(values, others)).filter { $0.1.0 != $0.1.1 }.map(\.0)
  }
}

/// The operator's word that a machine may boot so: the approval key's signature over a policy. It does not expire, as
/// TPM2_PolicyAuthorize has it: it holds until the device secret is bound anew.
package struct BootApproval: Equatable, Sendable {
  package let state: BootState
  /// A DER ECDSA-Sig-Value over SHA-256 of the state's message.
  package let signature: [UInt8]

  /// Approves a state.
  ///
  /// - Parameters:
  ///   - state: of a runner, or as it is expected to be
  ///   - key: the approval key
  /// - Throws: ``EnrolmentRefusal`` where the runner is bound to another key; `CryptoError`
  package init(approving state: BootState, by key: borrowing IssuerKey) throws {
    guard key.publicKey == state.policy.approvalKey else {
      throw EnrolmentRefusal("the runner is bound to another approval key than this one")
    }
    self.state = state
    signature = try key.sign(state.message)
  }

  /// - Throws: ``EnrolmentRefusal``
  package init(_ file: JSONValue) throws(EnrolmentRefusal) {
    let members = try EnrolmentFile.bootApproval.members(of: file)
    let (state, signature) = try reading { () throws in
      (try BootState(members), try members.bytes("signature", 8...80))
    }
    self.state = state
    self.signature = signature
  }

  package var json: JSONValue {
    EnrolmentFile.bootApproval.json(
      state.members.merging(["signature": .string(Base64URL.encode(signature))]) { $1 })
  }

  /// Whether it serves a device that is bound so.
  ///
  /// - Throws: ``EnrolmentRefusal`` with the reason why not
  package func check(for policy: BootPolicy) throws(EnrolmentRefusal) {
    guard state.policy.approvalKey == policy.approvalKey else {
      throw EnrolmentRefusal("the approval is by another key than the one that this runner is bound to")
    }
    guard state.policy.reference == policy.reference else {
      throw EnrolmentRefusal("the approval is for another runner, or from before this one was bound anew")
    }
    guard state.policy.pcrs == policy.pcrs else {
      throw EnrolmentRefusal("the approval is over other PCRs than those that this runner is bound to")
    }
    guard
      SignatureVerifier.isValidES256(x: policy.x, y: policy.y, signature: signature, message: state.message),
      signatureNumbers != nil
    else {
      throw EnrolmentRefusal("the approval's signature is not the approval key's: it was altered, or is by another key")
    }
  }

  /// Both numbers of the signature, big-endian; nil where it is no DER ECDSA-Sig-Value.
  package var signatureNumbers: (r: [UInt8], s: [UInt8])? {
    var outer = DER.Reader(signature[...])
    guard let content = outer.next(.sequence), outer.isAtEnd else { return nil }
    var numbers = DER.Reader(content)
    guard let r = numbers.next(.integer), let s = numbers.next(.integer), numbers.isAtEnd else { return nil }
    let (short, other) = (Array(r.drop { $0 == 0 }), Array(s.drop { $0 == 0 }))
    guard short.count <= 32, other.count <= 32 else { return nil }
    return (short, other)
  }
}
