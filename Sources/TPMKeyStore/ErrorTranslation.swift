internal import Authenticator
internal import TPM

extension KeyStoreError {
  /// The one place where response codes become errors of the key store. What may pass by itself or by the operator's
  /// hand on the machine is `unavailable`; what will come again is `failed`.
  init(_ error: TPMError) {
    switch error.kind {
    case .connectionLost:
      self = .unavailable("the TPM cannot be reached: \(error)")
    case .retry:
      // The TPM asked for patience longer than the bound.
      self = .unavailable("the TPM stays busy: \(error)")
    case .notStarted, .staleHandle:
      // The TPM was reset, and again while we reloaded.
      self = .unavailable("the TPM has lost what was loaded: \(error)")
    case .objectMemory, .sessionMemory:
      // Others fill the TPM; ours has been flushed already.
      self = .unavailable("the TPM is full of other programs' objects or sessions: \(error)")
    case .failureMode:
      self = .unavailable("the TPM's self-test has failed, restart the machine: \(error)")
    case .lockout:
      // Our objects are noDA; the owner hierarchy and strangers' storage keys are not ours to choose.
      self = .unavailable(
        "the TPM is in dictionary-attack lockout, wait or reset it (tpm2_dictionarylockout): \(error)")
    case .authorization where ownerOperations.contains(error.operation):
      self = .failed(
        "the TPM's owner authorization is set and was not given or is wrong: put it into "
          + "/etc/credstore/countersign.owner-authorization, from where the unit passes it on as the credential "
          + "owner-authorization, or clear it (tpm2_changeauth -c owner): \(error)")
    case .authorization:
      // A record that was moved to another RP ID, or a key of another device secret.
      self = .failed("the TPM refused the key's authorization: \(error)")
    case .unsupported where error.operation == "TPM2_Create":
      self = .unsupportedAlgorithm
    case .damaged:
      self = .failed("the TPM refused the key or secret as damaged or not its own: \(error)")
    case .unsupported, .other:
      self = .failed("\(error)")
    }
  }

  /// For closures whose errors Swift does not know: what is not the TPM's is the kernel's refusal of locked memory.
  init(any error: any Error) {
    switch error {
    case let error as KeyStoreError: self = error
    case let error as TPMError: self = KeyStoreError(error)
    default: self = .unavailable("\(error)")
    }
  }
}

/// Commands that are authorized by the owner.
private let ownerOperations: Set<String> = [
  "TPM2_CreatePrimary", "TPM2_EvictControl", "TPM2_NV_DefineSpace", "TPM2_NV_UndefineSpace",
]
