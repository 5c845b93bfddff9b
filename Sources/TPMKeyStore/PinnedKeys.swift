internal import Authenticator
internal import Crypto
internal import Platform
internal import TPM

/// A key that stands at a persistent handle.
struct StandingPin: Equatable, Sendable {
  let handle: UInt32
  let name: [UInt8]
  let byOperator: Bool
  /// Monotonic nanoseconds.
  let since: UInt64
}

/// The pins as the TPM thread uses them, and the keeper changes them.
final class PinBoard: Sendable {
  private struct Content {
    var pins: [KeyBinding: StandingPin] = [:]
    var lost: [KeyBinding: StandingPin] = [:]
  }

  private let content = Lock(Content())

  var pins: [KeyBinding: StandingPin] { content.withLock { $0.pins } }

  func pin(of binding: KeyBinding) -> StandingPin? { content.withLock { $0.pins[binding] } }

  func set(_ pin: StandingPin?, for binding: KeyBinding) { content.withLock { $0.pins[binding] = pin } }

  /// The handle does not hold the key (any more).
  func lose(_ binding: KeyBinding) {
    content.withLock { content in
      if let pin = content.pins.removeValue(forKey: binding) { content.lost[binding] = pin }
    }
  }

  var hasLost: Bool { content.withLock { !$0.lost.isEmpty } }

  /// What was lost since the last call.
  func takeLost() -> Set<KeyBinding> {
    content.withLock { content in
      defer { content.lost = [:] }
      return Set(content.lost.keys)
    }
  }
}

extension WrappedObject {
  /// The Name that it has when it is loaded; nil where its name algorithm is not the one of all our keys, SHA-256.
  var name: [UInt8]? {
    // TPMT_PUBLIC: the type, then the name algorithm; TPM_ALG_SHA256 is 0x000B.
    guard publicArea.count > 4, Array(publicArea[2..<4]) == [0, 0x0B] else { return nil }
    return [0, 0x0B] + SHA256.hash(publicArea)
  }
}

extension TPMDevice {
  /// Signs with a credential key, at its persistent handle where it has one: then this is one command.
  ///
  /// - Throws: ``KeyStoreError``
  func sign(
    _ digest: [UInt8], with object: WrappedObject, binding: KeyBinding, scheme: TPMSignatureScheme,
    authorization: SharedSecret, pins: PinBoard
  ) throws(KeyStoreError) -> TPMSignature {
    try withTPM { tpm throws in
      if let pin = pins.pin(of: binding), pin.name == object.name {
        if let signature = try tpm.sign(digest, at: pin, scheme: scheme, authorization: authorization) {
          return signature
        }
        pins.lose(binding)
      }
      return try tpm.sign(digest, with: object, binding: binding, scheme: scheme, authorization: authorization)
    }
  }

  /// What stands at these handles.
  ///
  /// - Returns: Names by handle; handles with nothing are left out
  /// - Throws: ``KeyStoreError``
  func names(at handles: [UInt32]) throws(KeyStoreError) -> [UInt32: [UInt8]] {
    try withTPM { tpm throws in
      var names: [UInt32: [UInt8]] = [:]
      for handle in handles {
        tpm.forgetPin(at: handle)
        let found = try tpm.withContext { context throws(TPMError) -> (TPMReference, [UInt8])? in
          guard let reference = try context.reference(to: handle) else { return nil }
          return (reference, try context.name(of: reference))
        }
        guard let (reference, name) = found else { continue }
        tpm.rememberPin(reference, name: name, at: handle)
        names[handle] = name
      }
      return names
    }
  }

  /// The handles of a range that hold something, whosever it is, and how many more objects could be made persistent.
  ///
  /// - Throws: ``KeyStoreError``
  func persistentRoom(in range: ClosedRange<UInt32>) throws(KeyStoreError) -> (taken: Set<UInt32>, free: Int) {
    try withTPM { tpm throws in
      try tpm.withContext { context throws(TPMError) in
        (Set(try context.handles(from: range.lowerBound)), try context.persistentSlots())
      }
    }
  }

  /// Makes a key persistent at a free handle.
  ///
  /// - Throws: ``KeyStoreError``
  func makePersistent(_ object: WrappedObject, at handle: UInt32, name: [UInt8]) throws(KeyStoreError) {
    try withTPM { tpm throws in
      let parent = try tpm.requireParent()
      tpm.makeRoom()
      let standing = try tpm.withContext { context throws(TPMError) in
        try context.withSession(saltedWith: parent, encrypting: []) { context, session throws(TPMError) in
          // A connection that broke in here may have left it there.
          if let standing = try context.reference(to: handle) {
            guard try context.name(of: standing) == name else {
              context.forget(standing)
              throw TPMError(operation: "TPM2_EvictControl", code: TPMError.handleInUse)
            }
            return standing
          }
          let key = try context.load(object, under: parent)
          defer { context.release(key) }
          guard try context.name(of: key) == name else {
            throw TPMError(operation: "TPM2_Load", code: TPMError.noObject)
          }
          return try context.makePersistent(key, at: handle, session: session)
        }
      }
      tpm.rememberPin(standing, name: name, at: handle)
    }
  }

  /// Takes a key out of its persistent handle, where it is the one with this Name: nothing else is touched.
  ///
  /// - Returns: whether it was there
  /// - Throws: ``KeyStoreError``
  @discardableResult
  func removePersistent(at handle: UInt32, name: [UInt8]) throws(KeyStoreError) -> Bool {
    try withTPM { tpm throws in
      let parent = try tpm.requireParent()
      tpm.forgetPin(at: handle)
      return try tpm.withContext { context throws(TPMError) in
        guard let standing = try context.reference(to: handle) else { return false }
        guard try context.name(of: standing) == name else {
          context.forget(standing)
          return false
        }
        do throws(TPMError) {
          try context.withSession(saltedWith: parent, encrypting: []) { context, session throws(TPMError) in
            try context.removePersistent(standing, at: handle, session: session)
          }
        } catch {
          context.forget(standing)
          throw error
        }
        return true
      }
    }
  }
}

extension TPMError {
  /// TPM_RC_NV_DEFINED: the persistent handle is taken.
  fileprivate static let handleInUse: UInt32 = 0x14C
}
