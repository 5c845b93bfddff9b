internal import Crypto
package import Policy
package import WebAuthn

/// A key in the TPM, as a record holds it: opaque to everyone but the key store.
package struct CredentialKey: Equatable, Sendable {
  package let algorithm: COSEAlgorithm
  /// What the key's authorization value is bound to; see ``KeyBinding``.
  package let binding: KeyBinding
  /// The key store's own encoding of the wrapped key (TPM2B_PRIVATE and TPM2B_PUBLIC).
  package let blob: [UInt8]

  package init(algorithm: COSEAlgorithm, binding: KeyBinding, blob: [UInt8]) {
    self.algorithm = algorithm
    self.binding = binding
    self.blob = blob
  }
}

/// What a key belongs to. The authValue of the key in the TPM is derived from the device secret and these, so that a
/// record moved to another RP ID or credential ID cannot sign.
package struct KeyBinding: Hashable, Sendable {
  package let credentialID: [UInt8]
  /// SHA-256 of the RP ID, or of the AppID where the credential was made by U2F.
  package let relyingPartyIDHash: [UInt8]

  package init(credentialID: [UInt8], relyingPartyIDHash: [UInt8]) {
    self.credentialID = credentialID
    self.relyingPartyIDHash = relyingPartyIDHash
  }

  package init(credentialID: [UInt8], relyingPartyID: String) {
    self.init(credentialID: credentialID, relyingPartyIDHash: SHA256.hash(Array(relyingPartyID.utf8)))
  }
}

/// Why the key store could not do its work.
package enum KeyStoreError: Error, Equatable, Sendable {
  /// The TPM is away, has been replaced or cleared, or does not answer; the text is for the operator.
  case unavailable(String)
  /// The TPM answered with an error that is not expected to pass by itself.
  case failed(String)
  /// The TPM cannot do this algorithm.
  case unsupportedAlgorithm
  /// The queue is full.
  case busy
  /// So much comes before it that it would wait for longer than it may; the text is for the operator.
  case overloaded(String)
  /// It has waited for as long as it may; the text is for the operator.
  case timedOut(String)
  /// The task was cancelled before the TPM began with it.
  case cancelled
  /// The signature counter has reached 2^32 - 1.
  case counterExhausted
  /// The machine has not booted as the operator has approved, so that the TPM gives nothing out; the text says what
  /// differs.
  case bootState(String)
}

extension KeyStoreError: CustomStringConvertible {
  /// The operator's text.
  package var description: String {
    switch self {
    case .unavailable(let text), .failed(let text), .bootState(let text), .overloaded(let text), .timedOut(let text):
      text
    case .unsupportedAlgorithm: "the TPM cannot do this algorithm"
    case .busy: "too many requests are waiting for the TPM"
    case .cancelled: "cancelled"
    case .counterExhausted: "the signature counter has reached its end: reset the authenticator and register again"
    }
  }
}

/// Keys that live in a TPM. Work is queued fairly between callers, bounded and cancellable (by task cancellation).
package protocol KeyStore: Sendable {
  /// What this TPM can do, in the authenticator's order of preference. Empty until the TPM has been seen.
  var algorithms: [COSEAlgorithm] { get }

  /// Asked before anything is counted or spent for a request: where work for this caller could not begin in time, or has
  /// no room, it is refused by this already. What is asked for right after it is not.
  func checkWait(caller: Caller) throws(KeyStoreError)

  /// Creates a key inside the TPM.
  func createKey(
    _ algorithm: COSEAlgorithm, binding: KeyBinding, caller: Caller, presence: borrowing Presence
  ) async throws(KeyStoreError) -> (key: CredentialKey, publicKey: CredentialPublicKey)

  /// Signs a digest of the algorithm's hash (32 bytes for ES256 and RS256, 48 for ES384).
  ///
  /// - Returns: a DER ECDSA-Sig-Value, or the PKCS #1 signature, as WebAuthn section 6.5.5 wants them
  func sign(
    digest: [UInt8], with key: CredentialKey, caller: Caller, presence: consuming Presence
  ) async throws(KeyStoreError) -> [UInt8]

  /// The next value of the global signature counter: greater than every value ever returned, across crashes and
  /// restored backups (a reset that finds half of all values spent begins again, with no credential left). Costs TPM
  /// commands once in a block of values, which wear the TPM's memory: after ``checkWait(caller:)`` only.
  func nextSignatureCounter(caller: Caller) async throws(KeyStoreError) -> UInt32

  /// Forgets what is loaded for these keys.
  func evict(_ bindings: [KeyBinding]) async

  /// Makes and seals a new device secret, without using it yet.
  ///
  /// - Returns: the secret, and the record from which the TPM unseals it at the next start
  func makeDeviceSecret(
    caller: Caller, presence: borrowing Presence
  ) async throws(KeyStoreError) -> (secret: DeviceSecret, record: [UInt8])

  /// Uses `secret` from now on and forgets every loaded key: called once the store has made the change durable.
  func adopt(_ secret: DeviceSecret) async

  /// The device secret in use.
  var secret: DeviceSecret { get }

  /// Reads what the TPM's own memory keeps about the PIN: one TPM command.
  func retryRecord(caller: Caller) async throws(KeyStoreError) -> RetryRecord

  /// Writes it: in the TPM's non-volatile memory when this returns. One TPM command, which wears that memory.
  func save(_ record: RetryRecord, caller: Caller) async throws(KeyStoreError)
}

/// That a credential key is in the TPM, said by the TPM.
package struct CredentialCertification: Equatable, Sendable {
  /// TPMT_PUBLIC of the credential key.
  package let publicArea: [UInt8]
  /// TPMS_ATTEST.
  package let attested: [UInt8]
  /// A DER ECDSA-Sig-Value.
  package let signature: [UInt8]

  package init(publicArea: [UInt8], attested: [UInt8], signature: [UInt8]) {
    self.publicArea = publicArea
    self.attested = attested
    self.signature = signature
  }
}

/// The TPM's attestation key at work, at registrations. `key` is what the adapter gave when it made the key.
package protocol CredentialAttester: Sendable {
  /// Certifies a credential key (TPM2_Certify). `data`, at most 64 bytes, goes along in `extraData`.
  func certify(
    _ credential: CredentialKey, data: [UInt8], with key: [UInt8], caller: Caller, presence: borrowing Presence
  ) async throws(KeyStoreError) -> CredentialCertification

  /// Signs a message of at most 1024 bytes by ECDSA with SHA-256.
  ///
  /// - Returns: a DER ECDSA-Sig-Value
  func sign(
    _ message: [UInt8], with key: [UInt8], caller: Caller, presence: borrowing Presence
  ) async throws(KeyStoreError) -> [UInt8]
}

/// The attestation key in service, with its certificates, leaf first.
package struct InstalledAttestation: Equatable, Sendable {
  /// For ``CredentialAttester``.
  package var key: [UInt8]
  /// For statements of format `tpm`; DER.
  package var tpm: [[UInt8]]
  /// For statements of format `packed`; DER.
  package var packed: [[UInt8]]
  /// For enterprise attestation, of format `packed`; DER.
  package var enterprise: [[UInt8]]

  package init(key: [UInt8], tpm: [[UInt8]], packed: [[UInt8]], enterprise: [[UInt8]]) {
    self.key = key
    self.tpm = tpm
    self.packed = packed
    self.enterprise = enterprise
  }
}

/// Attestation by certificate.
package struct AttestationService: Sendable {
  package var attester: any CredentialAttester
  /// What is in service at this moment; nil where nothing is.
  package var inService: @Sendable () -> InstalledAttestation?

  package init(
    attester: any CredentialAttester, inService: @escaping @Sendable () -> InstalledAttestation?
  ) {
    self.attester = attester
    self.inService = inService
  }
}

/// What the operator has made of a credential.
package enum CredentialState: String, Equatable, Sendable {
  case enabled
  /// Signs as an enabled one does, and makes no way for a new credential of the same user: it is being rotated.
  case outgoing
  /// Signs nothing. The operator sees it, and so does an exclude list; for everything else it is not there.
  case disabled
}

/// One credential: a key pair, its RP ID, its user and its settings.
package struct Credential: Equatable, Sendable {
  /// nil where it was made by U2F, which tells no more than a hash.
  package var relyingPartyID: String?
  package var relyingPartyName: String?
  /// Empty where it was made by U2F.
  package var userHandle: [UInt8]
  package var userName: String?
  package var userDisplayName: String?
  package var isDiscoverable: Bool
  package var publicKey: CredentialPublicKey
  package var key: CredentialKey
  package var signatureCounter: SignatureCounter
  /// credProtect.
  package var protection: CredentialProtection
  /// Whether hmac-secret was asked for when it was made.
  package var hasHMACSecret: Bool
  /// Whether largeBlobKey was asked for when it was made.
  package var hasLargeBlobKey: Bool
  /// credBlob; nil where none was stored.
  package var blob: [UInt8]?
  package var state: CredentialState
  /// The operator's own name for it; the names of the user belong to the relying party.
  package var label: String?
  /// Milliseconds since 1970-01-01 UTC.
  package var createdAt: Int64

  /// The credential ID: 16 random bytes.
  package var id: [UInt8] { key.binding.credentialID }

  /// Whether walks over the relying party's accounts come by it.
  package var isOnWalks: Bool { isDiscoverable && state != .disabled }

  package init(
    relyingPartyID: String?, relyingPartyName: String? = nil, userHandle: [UInt8], userName: String? = nil,
    userDisplayName: String? = nil, isDiscoverable: Bool, publicKey: CredentialPublicKey, key: CredentialKey,
    signatureCounter: SignatureCounter = .global, protection: CredentialProtection = .userVerificationOptional,
    hasHMACSecret: Bool = false, hasLargeBlobKey: Bool = false, blob: [UInt8]? = nil, state: CredentialState = .enabled,
    label: String? = nil,
    createdAt: Int64
  ) {
    self.relyingPartyID = relyingPartyID
    self.relyingPartyName = relyingPartyName
    self.userHandle = userHandle
    self.userName = userName
    self.userDisplayName = userDisplayName
    self.isDiscoverable = isDiscoverable
    self.publicKey = publicKey
    self.key = key
    self.signatureCounter = signatureCounter
    self.protection = protection
    self.hasHMACSecret = hasHMACSecret
    self.hasLargeBlobKey = hasLargeBlobKey
    self.blob = blob
    self.state = state
    self.label = label
    self.createdAt = createdAt
  }
}

/// Why the store could not do its work; the texts are for the operator.
package enum StoreError: Error, Equatable, Sendable {
  /// No room: the disk, or the configured maximum of credentials.
  case full(String)
  /// The file cannot be read or written, or is damaged or not ours.
  case unavailable(String)
  /// What is there already stands in the way.
  case conflict(String)
}

extension StoreError: CustomStringConvertible {
  /// The operator's text.
  package var description: String {
    switch self {
    case .full(let text), .unavailable(let text), .conflict(let text): text
    }
  }
}

/// Credentials, settings and large blobs on disk. Every change is one durable transaction: it has happened when the call
/// returns.
package protocol CredentialStore: Sendable {
  /// The credential with this ID, whosever it is.
  func credential(id: [UInt8]) async throws(StoreError) -> Credential?

  /// The credential with this ID, if it is of this relying party (SHA-256 of the RP ID). One that is of another takes as
  /// long as one that is not there, and is not kept at hand because of it.
  func credential(id: [UInt8], relyingPartyIDHash: [UInt8]) async throws(StoreError) -> Credential?

  /// The newest discoverable credential of a relying party that is older than `position`; nil where there is none. So
  /// accounts are walked newest first without holding them all in memory.
  ///
  /// - Parameters:
  ///   - relyingPartyIDHash: SHA-256 of the RP ID
  ///   - position: where the walk stands; nil at its start
  ///   - verified: whether those are walked too that show themselves to verified users only (credProtect over 1)
  /// - Returns: the credential and the position of the walk after it
  /// - Throws: ``StoreError``
  func discoverableCredential(
    relyingPartyIDHash: [UInt8], olderThan position: Int64?, verified: Bool
  ) async throws(StoreError) -> (credential: Credential, position: Int64)?

  /// Discoverable credentials of a relying party that are older than `position` (nil: all): those that the walk has
  /// still to come to.
  func discoverableCount(
    relyingPartyIDHash: [UInt8], olderThan position: Int64?, verified: Bool
  ) async throws(StoreError) -> Int

  /// The relying parties that have discoverable credentials, in the order of the oldest of these.
  ///
  /// - Parameter position: where the walk stands; nil at its start
  /// - Returns: RP ID, the name that it gave last, and the position of the walk after it; nil at its end
  /// - Throws: ``StoreError``
  func relyingParty(
    after position: Int64?
  ) async throws(StoreError) -> (id: String, name: String?, position: Int64)?

  /// Every credential, discoverable or not, oldest first.
  ///
  /// - Parameter position: where the walk stands; nil at its start
  /// - Returns: the credential and the position of the walk after it; nil at its end
  /// - Throws: ``StoreError``
  func credential(after position: Int64?) async throws(StoreError) -> (credential: Credential, position: Int64)?

  /// The credential that ``insert(_:)`` of this one would replace; nil where there is none.
  func replaced(by credential: Credential) async throws(StoreError) -> Credential?

  /// Adds a credential. A discoverable one replaces the enabled discoverable one with the same RP ID and user handle.
  ///
  /// - Returns: the bindings of those it replaced
  func insert(_ credential: Credential) async throws(StoreError) -> [KeyBinding]

  /// Replaces the record of the credential with the same ID, which keeps its place in every walk. One that is enabled
  /// again conflicts with an enabled discoverable one of the same RP ID and user handle.
  ///
  /// - Returns: whether it was there
  func update(_ credential: Credential) async throws(StoreError) -> Bool

  /// Removes a credential.
  ///
  /// - Returns: its binding; nil where there is none with this ID
  func remove(id: [UInt8]) async throws(StoreError) -> KeyBinding?

  /// A number that grows with every change of a credential, and stays the same otherwise.
  func changes() async throws(StoreError) -> Int64

  /// nil until they are saved for the first time.
  func settings() async throws(StoreError) -> AuthenticatorSettings?
  func save(_ settings: AuthenticatorSettings) async throws(StoreError)

  /// The serialized large-blob array; nil until it is written for the first time.
  func largeBlobs() async throws(StoreError) -> [UInt8]?
  func save(largeBlobs: [UInt8]) async throws(StoreError)

  /// Removes every credential and the large blobs, and replaces the device secret, its record and the settings, in one
  /// transaction.
  func reset(to secret: DeviceSecret, record: [UInt8], settings: AuthenticatorSettings) async throws(StoreError)

  /// Discoverable credentials that can still be added.
  func remainingDiscoverableCredentials() async throws(StoreError) -> Int

  /// All credentials of a relying party, discoverable or not. Reads the whole table: for rules that count.
  func count(relyingPartyIDHash: [UInt8]) async throws(StoreError) -> Int

  /// All credentials, for status and management.
  func count() async throws(StoreError) -> Int
}

/// Where the sealed device secret is kept: opaque bytes that only the key store understands, in the same file and
/// transactions as the credentials that depend on it.
package protocol DeviceRecordStore: Sendable {
  /// nil on the first start.
  func deviceRecord() async throws(StoreError) -> [UInt8]?
  func saveDeviceRecord(_ record: [UInt8]) async throws(StoreError)
}

/// A store that can give up all that it holds.
package protocol FormerDeviceStore: DeviceRecordStore {
  /// Removes every credential, the settings and the large blobs, and puts `record` in the place of the device record, in
  /// one transaction. What is left knows no secret, and every later call that needs one is refused.
  func removeEverything(leaving record: [UInt8]) async throws(StoreError)
}
