package import Attestation
internal import AuditLog
package import Authenticator
internal import Platform
internal import Policy
internal import TPM

/// The boot state: what the operator sees of it, and keys that are bound to it.
extension TPMKeyStore {
  /// Whether the device secret is bound to the machine's boot.
  package var isBoundToBoot: Bool { gate != nil }

  /// Whether the TPM checks the machine's boot at each signature with a key.
  package static func checksBoot(for key: CredentialKey) -> Bool { KeyBlob.decode(key.blob)?.policy != nil }

  /// What the TPM says of the boot.
  ///
  /// - Parameter pcrs: those to look at where nothing is bound
  /// - Returns: their values, and whether they are approved
  /// - Throws: ``KeyStoreError``
  package func bootReport(_ pcrs: [Int]) async throws(KeyStoreError) -> BootReport {
    try await thread.bootReport(gate, pcrs)
  }

  /// Takes an approval into use, for keys that are bound. One that is not for this device does nothing.
  package func take(_ approval: BootApproval) {
    gate?.take(approval)
  }

  /// The policy of a key that is to be registered; nil where its authorization value alone will do.
  func keyPolicy(_ presence: borrowing Presence) throws(KeyStoreError) -> [UInt8]? {
    guard presence.terms.checksBootState else { return nil }
    guard let gate else {
      throw .failed(
        "the rule wants the boot checked at every signature, and nothing is bound to it: set tpm.approvalKey")
    }
    return gate.policy.authorizedValuePolicy
  }

  /// The gate of a key that has a policy; nil for every other key.
  func gate(of object: WrappedObject) throws(KeyStoreError) -> BootGate? {
    guard let policy = object.policy else { return nil }
    guard let gate, policy == gate.policy.authorizedValuePolicy else {
      throw .bootState(
        "the credential is bound to the machine's boot by an approval key or PCRs that are no longer in use: register anew"
      )
    }
    return gate
  }
}

extension TPMThread {
  func bootReport(_ gate: BootGate?, _ pcrs: [Int]) async throws(KeyStoreError) -> BootReport {
    let pcrs = gate?.policy.pcrs ?? pcrs
    let values = try await perform(for: .daemon) { device throws(KeyStoreError) in
      try device.withTPM { tpm throws in try tpm.bootValues(of: pcrs) }
    }
    return gate?.report(values)
      ?? BootReport(policy: nil, pcrs: pcrs, values: values, isApproved: false, approvals: 0, differences: [])
  }
}
