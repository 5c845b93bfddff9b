package import Attestation
internal import Authenticator
internal import Crypto
internal import Platform
internal import TPM

/// What the TPM says of the machine's boot, and whether the operator has approved it.
package struct BootReport: Equatable, Sendable {
  /// nil where the device secret is bound to none.
  package let policy: BootPolicy?
  package let pcrs: [Int]
  /// Of these PCRs.
  package let values: [[UInt8]]
  package let isApproved: Bool
  /// How many boots are approved.
  package let approvals: Int
  /// Those PCRs that differ from the approved boot that is nearest; none where there is no other.
  package let differences: [Int]
}

/// What is approved, and the way of it into the TPM. Its work with the TPM belongs to the TPM thread.
final class BootGate: Sendable {
  private struct State {
    var approvals: [BootApproval]
    /// What the TPM was last shown.
    var shown: ApprovedPCRs?
  }

  let policy: BootPolicy
  private let state: Lock<State>

  /// - Parameters:
  ///   - policy: of the device
  ///   - approvals: those that are for another policy are passed over
  init(_ policy: BootPolicy, _ approvals: [BootApproval]) {
    self.policy = policy
    state = Lock(State(approvals: approvals.filter { $0.serves(policy) }))
  }

  func take(_ approval: BootApproval) {
    state.withLock { state in
      if !state.approvals.contains(where: { $0.state == approval.state }) { state.approvals.append(approval) }
    }
  }

  /// For the TPM: the approval of this boot.
  ///
  /// - Throws: ``TPMError``; ``KeyStoreError/bootState(_:)`` where there is none
  func approved(by tpm: OpenTPM) throws -> ApprovedPCRs {
    if let shown = state.withLock({ $0.shown }) { return shown }
    let values = try tpm.bootValues(of: policy.pcrs)
    guard let approval = state.withLock({ $0.approvals.first { $0.state.values == values } }),
      let (r, s) = approval.signatureNumbers
    else { throw refusal(of: values) }
    let approved = ApprovedPCRs(
      pcrs: policy.pcrs, digest: BootPolicy.digest(of: values), policy: approval.state.digest,
      reference: policy.reference, keyName: policy.keyName,
      verification: try tpm.withContext { context throws(TPMError) in
        try context.verify(SHA256.hash(approval.state.message), r: r, s: s, by: policy.keyArea)
      })
    state.withLock { $0.shown = approved }
    return approved
  }

  /// Looks at the PCRs anew the next time.
  func forget() {
    state.withLock { $0.shown = nil }
  }

  func report(_ values: [[UInt8]]) -> BootReport {
    let approvals = state.withLock { $0.approvals }
    let differences = differences(of: values, approvals)
    return BootReport(
      policy: policy, pcrs: policy.pcrs, values: values, isApproved: !approvals.isEmpty && differences.isEmpty,
      approvals: approvals.count, differences: differences)
  }

  private func differences(of values: [[UInt8]], _ approvals: [BootApproval]) -> [Int] {
    approvals.map { $0.state.differences(from: values) }.min { $0.count < $1.count } ?? []
  }

  private func refusal(of values: [[UInt8]]) -> KeyStoreError {
    let report = report(values)
    let advice = "if that is meant, have it approved: countersign pcr allow"
    guard report.approvals > 0 else {
      return .bootState("the device secret is bound to the machine's boot, and no boot is approved yet: \(advice)")
    }
    let numbers = report.differences.map(String.init).joined(separator: ", ")
    let text = report.differences.count == 1 ? "PCR \(numbers) differs" : "PCRs \(numbers) differ"
    return .bootState("the machine has not booted as approved: \(text) from what the operator signed for: \(advice)")
  }
}

extension BootApproval {
  fileprivate func serves(_ policy: BootPolicy) -> Bool {
    do {
      try check(for: policy)
      return true
    } catch {
      return false
    }
  }
}

extension OpenTPM {
  /// - Throws: ``TPMError``; ``KeyStoreError`` where the TPM does not measure by SHA-256
  func bootValues(of pcrs: [Int]) throws -> [[UInt8]] {
    let values = try withContext { context throws(TPMError) in try context.readPCRs(pcrs) }
    guard values.count == pcrs.count else {
      throw KeyStoreError.failed("the TPM has no SHA-256 bank of PCRs: enable it in the firmware's settings")
    }
    return values
  }

  /// Unseals data, in an approved boot alone where there is a gate.
  ///
  /// - Throws: ``TPMError``, ``KeyStoreError``, or `SecretMemoryError`
  func unseal(_ object: WrappedObject, through gate: BootGate?) throws -> SharedSecret {
    guard let gate else { return try unseal(object) }
    return try inApprovedBoot(gate) { approved in try unseal(object, in: approved) }
  }

  /// Signs with a key whose policy the gate satisfies: the boot is checked by the TPM at this very signature.
  ///
  /// - Throws: ``TPMError``, ``KeyStoreError``
  func sign(
    _ digest: [UInt8], with object: WrappedObject, binding: KeyBinding, scheme: TPMSignatureScheme,
    authorization: SharedSecret, through gate: BootGate
  ) throws -> TPMSignature {
    try inApprovedBoot(gate) { approved in
      try withMemory { () throws(TPMError) in
        let known = loaded.use(binding, object)
        let reference = if let known { known } else { try load(object, binding) }
        do throws(TPMError) {
          let signature = try context.sign(
            digest, with: reference, scheme: scheme, authorization: authorization.bytes, in: approved)
          if swapsContexts { evictAll() }
          return signature
        } catch {
          switch error.kind {
          case .connectionLost, .retry, .lockout, .failureMode, .objectMemory, .sessionMemory: break
          case .staleHandle, .notStarted: evictAll()
          default: if !error.isOfAnotherBoot { evict { $0.reference == reference } }
          }
          throw error
        }
      }
    }
  }

  /// Once more where the PCRs, or the TPM, are others than the gate last knew.
  private func inApprovedBoot<Result>(_ gate: BootGate, _ body: (ApprovedPCRs) throws -> Result) throws -> Result {
    do {
      return try body(try gate.approved(by: self))
    } catch let error as TPMError where error.isOfAnotherBoot || error.isOfAnotherTicket {
      gate.forget()
    }
    return try body(try gate.approved(by: self))
  }
}

extension ByteWriter {
  mutating func bootPolicy(_ policy: BootPolicy?) {
    byte(policy == nil ? 0 : 1)
    guard let policy else { return }
    string(policy.x)
    string(policy.y)
    integer(policy.pcrs.reduce(0) { $0 | 1 << UInt32($1) })
    string(policy.reference)
  }
}

extension ByteReader {
  /// nil for what ``ByteWriter/bootPolicy(_:)`` does not write.
  mutating func bootPolicy() -> (policy: BootPolicy?, present: Bool)? {
    switch byte() {
    case 0: return (nil, false)
    case 1:
      guard let x = string(upTo: 32), let y = string(upTo: 32), let bits = integer(),
        let reference = string(upTo: BootPolicy.referenceCount),
        let policy = BootPolicy(
          x: x, y: y, pcrs: (0..<32).filter { bits >> UInt32($0) & 1 == 1 }, reference: reference)
      else { return nil }
      return (policy, true)
    default: return nil
    }
  }
}
