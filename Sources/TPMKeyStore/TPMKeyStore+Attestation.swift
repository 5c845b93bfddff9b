package import Authenticator
internal import Crypto
package import Policy
internal import Secrets
internal import TPM

/// The endorsement key of a TPM, and what its maker says of it.
package struct TPMEndorsement: Equatable, Sendable {
  /// TPMT_PUBLIC.
  package let publicArea: [UInt8]
  /// X.509, DER; nil where the TPM holds none.
  package let certificate: [UInt8]?
}

/// What the TPM said, and its attestation key signed.
package struct AttestedStatement: Equatable, Sendable {
  /// TPMS_ATTEST.
  package let attested: [UInt8]
  /// A DER ECDSA-Sig-Value.
  package let signature: [UInt8]
}

/// Attestation: a key that signs what the TPM says of itself. It outlives a reset, as the TPM does: its authorization
/// value is that of the NV indices. For the operator, and at registrations.
extension TPMKeyStore {
  /// Makes an attestation key.
  ///
  /// - Returns: to be kept as it is, and TPMT_PUBLIC
  /// - Throws: ``KeyStoreError``
  package func makeAttestationKey(caller: Caller) async throws(KeyStoreError) -> (key: [UInt8], publicArea: [UInt8]) {
    let object = try await thread.perform(for: caller.workSource, as: .key, patience: thread.limits.patienceForKeys) {
      [authorization = counter.authorization] device throws(KeyStoreError) in
      try device.withTPM { tpm throws in try tpm.createAttestationKey(authorization: authorization) }
    }
    return (KeyBlob.encode(object), object.publicArea)
  }

  /// The endorsement key, by preference one with a certificate, and ECC before RSA.
  ///
  /// - Throws: ``KeyStoreError``
  package func endorsement(caller: Caller) async throws(KeyStoreError) -> TPMEndorsement {
    try await thread.perform(for: caller.workSource, patience: thread.limits.patienceForKeys) {
      device throws(KeyStoreError) in
      try device.withTPM { tpm throws in try tpm.endorsement() }
    }
  }

  /// TPM2_Quote, and the values of the same PCRs.
  ///
  /// - Throws: ``KeyStoreError``
  package func quote(
    pcrs: [Int], data: [UInt8], with key: [UInt8], caller: Caller
  ) async throws(KeyStoreError) -> AttestedStatement {
    let object = try decode(key)
    let statement = try await thread.perform(for: caller.workSource) {
      [authorization = counter.authorization] device throws(KeyStoreError) in
      try device.withTPM { tpm throws in
        try tpm.withAttestationKey(object) { context, key throws(TPMError) in
          try context.quote(pcrs: pcrs, data: data, with: key, authorization: authorization.bytes)
        }
      }
    }
    return AttestedStatement(attested: statement.attested, signature: statement.signature.encoded)
  }

  /// The values of PCRs of the SHA-256 bank; empty where there is no such bank.
  ///
  /// - Throws: ``KeyStoreError``
  package func readPCRs(_ pcrs: [Int], caller: Caller) async throws(KeyStoreError) -> [[UInt8]] {
    try await thread.perform(for: caller.workSource) { device throws(KeyStoreError) in
      try device.withTPM { tpm throws in
        try tpm.withContext { context throws(TPMError) in try context.readPCRs(pcrs) }
      }
    }
  }

  /// TPM2_ActivateCredential, and what the secret in it says of a message.
  ///
  /// - Parameters:
  ///   - blob: TPMS_ID_OBJECT
  ///   - secret: TPMU_ENCRYPTED_SECRET
  ///   - key: of ``makeAttestationKey(caller:)``
  ///   - endorsementKey: TPMT_PUBLIC of the endorsement key for which it was made
  ///   - message: what to authenticate
  ///   - caller: the operator
  /// - Returns: HMAC-SHA-256 of the message under the secret
  /// - Throws: ``KeyStoreError``
  package func activate(
    _ blob: [UInt8], _ secret: [UInt8], key: [UInt8], endorsementKey: [UInt8], message: [UInt8], caller: Caller
  ) async throws(KeyStoreError) -> [UInt8] {
    let object = try decode(key)
    return try await thread.perform(for: caller.workSource, patience: thread.limits.patienceForKeys) {
      [authorization = counter.authorization] device throws(KeyStoreError) in
      try device.withTPM { tpm throws in
        try tpm.activate(
          blob, secret, object, authorization: authorization, endorsementKey: endorsementKey, message: message)
      }
    }
  }

  private func decode(_ key: [UInt8]) throws(KeyStoreError) -> WrappedObject {
    guard let object = KeyBlob.decode(key) else { throw .failed("the attestation key's record is damaged") }
    return object
  }
}

extension TPMKeyStore: CredentialAttester {
  package func certify(
    _ credential: CredentialKey, data: [UInt8], with key: [UInt8], caller: Caller, presence: borrowing Presence
  ) async throws(KeyStoreError) -> CredentialCertification {
    try check(presence.operation == .register && presence.scope.hash == credential.binding.relyingPartyIDHash)
    guard let object = KeyBlob.decode(credential.blob) else { throw .failed("the credential's key is damaged") }
    let attestationKey = try decode(key)
    let era = currentEra
    let objectAuthorization = try authorization(credential.binding, in: era)
    let statement = try await thread.perform(for: caller.workSource) {
      [authorization = counter.authorization, self] device throws(KeyStoreError) in
      try check(era)
      return try device.withTPM { tpm throws in
        try tpm.withAttestationKey(attestationKey, besides: 1) { context, key, parent throws(TPMError) in
          let loaded = try context.load(object, under: parent)
          defer { context.release(loaded) }
          return try context.certify(
            loaded, objectAuthorization.bytes, data: data, with: key, authorization: authorization.bytes)
        }
      }
    }
    return CredentialCertification(
      publicArea: object.publicArea, attested: statement.attested, signature: statement.signature.encoded)
  }

  package func sign(
    _ message: [UInt8], with key: [UInt8], caller: Caller, presence: borrowing Presence
  ) async throws(KeyStoreError) -> [UInt8] {
    try check(presence.operation == .register)
    let object = try decode(key)
    let signature = try await thread.perform(for: caller.workSource) {
      [authorization = counter.authorization] device throws(KeyStoreError) in
      try device.withTPM { tpm throws in
        try tpm.withAttestationKey(object) { context, key throws(TPMError) in
          try context.signOutside(message, with: key, authorization: authorization.bytes)
        }
      }
    }
    return signature.encoded
  }
}

extension OpenTPM {
  func createAttestationKey(authorization: SharedSecret) throws(TPMError) -> WrappedObject {
    let parent = try requireParent()
    makeRoom()
    return try withContext { context throws(TPMError) in
      try context.withSession(saltedWith: parent, encrypting: .command) { context, session throws(TPMError) in
        try context.createAttestationKey(under: parent, session: session, authorization: authorization.bytes)
      }
    }
  }

  /// Lends an attestation key, loaded for that and unloaded again: registrations and heads of the audit log are rare, and
  /// must not cost the jobs' keys their places for long.
  ///
  /// - Parameters:
  ///   - object: the key
  ///   - others: objects that `body` loads besides
  ///   - body: gets the key and the storage root key
  /// - Returns: what `body` returns
  /// - Throws: ``TPMError``
  func withAttestationKey<Result>(
    _ object: WrappedObject, besides others: Int,
    _ body: (inout TPMContext, TPMReference, TPMReference) throws(TPMError) -> Result
  ) throws(TPMError) -> Result {
    let parent = try requireParent()
    makeRoom(for: 1 + others)
    return try withContext { context throws(TPMError) in
      let key = try context.load(object, under: parent)
      defer { context.release(key) }
      return try body(&context, key, parent)
    }
  }

  func withAttestationKey<Result>(
    _ object: WrappedObject, _ body: (inout TPMContext, TPMReference) throws(TPMError) -> Result
  ) throws(TPMError) -> Result {
    try withAttestationKey(object, besides: 0) { context, key, _ throws(TPMError) in try body(&context, key) }
  }

  func endorsement() throws(TPMError) -> TPMEndorsement {
    makeRoom(for: 2)
    return try withContext { context throws(TPMError) in
      var firstError: TPMError?
      var first: TPMEndorsement?
      for kind in EndorsementKeyKind.allCases {
        do throws(TPMError) {
          let (key, publicArea) = try context.createEndorsementKey(kind)
          context.release(key)
          // The index may be longer than what is in it.
          let content = try context.readPublicIndex(kind.certificateIndex)
          let certificate = content.flatMap { content in
            DER.first(of: content[...]).map { Array(content.prefix(content.count - $0.rest.count)) }
          }
          let found = TPMEndorsement(publicArea: publicArea, certificate: certificate)
          if certificate != nil { return found }
          first = first ?? found
        } catch {
          guard error.kind == .unsupported else { throw error }
          firstError = firstError ?? error
        }
      }
      guard let first else { throw firstError ?? TPMError(operation: "endorsement key", code: TPMError.noObject) }
      return first
    }
  }

  /// - Throws: ``TPMError``, or ``KeyStoreError`` where the challenge is not for this TPM
  func activate(
    _ blob: [UInt8], _ secret: [UInt8], _ object: WrappedObject, authorization: SharedSecret, endorsementKey: [UInt8],
    message: [UInt8]
  ) throws -> [UInt8] {
    let parent = try requireParent()
    makeRoom(for: 2)
    var result: Result<[UInt8], any Error>?
    try withContext { context throws(TPMError) in
      for kind in EndorsementKeyKind.allCases {
        let endorsement: TPMReference
        do throws(TPMError) {
          let (reference, publicArea) = try context.createEndorsementKey(kind)
          guard publicArea == endorsementKey else {
            context.release(reference)
            continue
          }
          endorsement = reference
        } catch {
          guard error.kind == .unsupported else { throw error }
          continue
        }
        defer { context.release(endorsement) }
        let key = try context.load(object, under: parent)
        defer { context.release(key) }
        do {
          let opened = try context.activateCredential(
            blob, secret, key: key, authorization: authorization.bytes, endorsementKey: endorsement)
          result = .success(HMACSHA256.authenticate(message, key: opened))
        } catch let error as TPMError {
          throw error
        } catch {
          result = .failure(error)
        }
        return
      }
    }
    guard let result else {
      throw KeyStoreError.failed("the TPM's endorsement key is another one than in the attestation request")
    }
    return try result.get()
  }
}
