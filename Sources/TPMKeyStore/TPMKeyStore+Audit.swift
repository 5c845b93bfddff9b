package import AuditLog
internal import Authenticator
internal import Crypto
internal import TPM

/// The TPM as the one who signs the audit log: for the daemon itself, whose turn comes as that of any user.
extension TPMKeyStore: AuditSigner {
  package func anchor() async throws(AuditError) -> UInt64 {
    try await perform { [anchorIndex] device throws(KeyStoreError) in try device.readAnchor(anchorIndex) }
  }

  package func attest(_ digest: [UInt8]) async throws(AuditError) -> AuditStatement {
    let quote = try await perform { [device = device, anchorIndex] tpm throws(KeyStoreError) in
      try tpm.withTPM { tpm throws in
        try tpm.withAttestationKey(device.auditKey) { context, key throws(TPMError) in
          try context.quote(pcrs: [], data: digest, with: key, authorization: anchorIndex.authorization.bytes)
        }
      }
    }
    return AuditStatement(attested: quote.attested, signature: quote.signature.encoded)
  }

  package func advanceAnchor() async throws(AuditError) -> UInt64 {
    let next = try await anchor() + 1
    let reached = try await perform { [anchorIndex] device throws(KeyStoreError) in
      try device.advanceAnchor(anchorIndex, to: next)
    }
    board.noteWrites { $0.auditAnchor = reached &- device.firstAnchor }
    return reached
  }

  private func perform<Result: Sendable>(
    _ body: @escaping @Sendable (TPMDevice) throws(KeyStoreError) -> Result
  ) async throws(AuditError) -> Result {
    do throws(KeyStoreError) {
      return try await thread.perform(for: .daemon, isCancellable: false, body)
    } catch {
      throw AuditError("\(error)")
    }
  }
}

extension AuditKey {
  init?(_ device: SealedDevice) {
    guard case .ecc(_, let x, let y)? = device.auditKey.eccP256PublicKey else { return nil }
    self.init(publicKey: SubjectPublicKeyInfo.encodeP256(x: x, y: y), firstAnchor: device.firstAnchor)
  }
}
