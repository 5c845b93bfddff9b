internal import Authenticator
internal import Crypto
internal import Platform
internal import Secrets
internal import TPM
internal import WebAuthn

/// One connection to the TPM, and what is loaded through it. Belongs to the TPM thread.
final class OpenTPM {
  var context: TPMContext
  let identity: TPMIdentity
  let algorithms: [COSEAlgorithm]
  /// Whether others cannot have objects or sessions in the TPM while this connection stands (no resource manager).
  private let isExclusive: Bool
  /// Whether each command costs a save and a load of whatever is loaded (a resource manager): nothing stays loaded then.
  let swapsContexts: Bool
  /// Transient objects that we may have loaded while a command with the storage root key runs.
  private let slots: Int
  private let log: Logger
  var loaded = LoadedKeys()
  private var parent: TPMReference?
  /// Of those NV indices that this connection has looked at.
  private var indices: [UInt32: TPMReference] = [:]
  /// Of those persistent keys that this connection has looked at, by handle.
  private var pins: [UInt32: (reference: TPMReference, name: [UInt8])] = [:]

  /// - Parameters:
  ///   - context: the connection
  ///   - isExclusive: whether nobody else's objects can be in the TPM
  ///   - swapsContexts: whether a resource manager stands before the TPM
  ///   - log: for the operator
  /// - Throws: ``TPMError``
  init(
    _ context: consuming TPMContext, isExclusive: Bool, swapsContexts: Bool, log: Logger
  ) throws(TPMError) {
    identity = try context.identity()
    algorithms = try context.supportedKinds().map { kind in
      switch kind {
      case .eccP256: .es256
      case .eccP384: .es384
      case .rsa2048: .rs256
      }
    }
    // A command with the storage root key needs a slot for it beside the object that it works on.
    slots = isExclusive ? min(max(try context.availableSlots(), identity.transientSlots, 2), 17) : 3
    self.isExclusive = isExclusive
    self.swapsContexts = swapsContexts
    self.log = log
    self.context = context
  }

  // MARK: Storage root

  /// Uses the storage root key at a handle.
  ///
  /// - Returns: its Name; nil where nothing stands there
  /// - Throws: ``TPMError``
  func useParent(at handle: UInt32) throws(TPMError) -> [UInt8]? {
    if let parent { context.forget(parent) }
    parent = try context.reference(to: handle)
    guard let parent else { return nil }
    return try context.name(of: parent)
  }

  func requireParent() throws(TPMError) -> TPMReference {
    guard let parent else { throw TPMError(operation: "storage root key", code: TPMError.noObject) }
    return parent
  }

  var parentIfKnown: TPMReference? { parent }

  /// Lends the context for what only the start does.
  func withContext<Result>(_ body: (inout TPMContext) throws(TPMError) -> Result) throws(TPMError) -> Result {
    try withMemory { () throws(TPMError) in try body(&context) }
  }

  // MARK: Keys

  /// Creates a signing key.
  ///
  /// - Throws: ``TPMError``
  func createKey(
    _ kind: TPMKeyKind, authorization: SharedSecret, policy: [UInt8]? = nil
  ) throws(TPMError) -> (wrapped: WrappedObject, publicKey: TPMPublicKey) {
    let parent = try requireParent()
    makeRoom()
    return try withMemory { () throws(TPMError) in
      try context.withSession(saltedWith: parent, encrypting: .command) { context, session throws(TPMError) in
        try context.createKey(
          kind, under: parent, session: session, authorization: authorization.bytes, policy: policy)
      }
    }
  }

  /// Signs: one command where the key is loaded.
  ///
  /// - Throws: ``TPMError``
  func sign(
    _ digest: [UInt8], with object: WrappedObject, binding: KeyBinding, scheme: TPMSignatureScheme,
    authorization: SharedSecret
  ) throws(TPMError) -> TPMSignature {
    if let reference = loaded.use(binding, object) {
      let startups = context.startups
      do throws(TPMError) {
        return try context.sign(digest, with: reference, scheme: scheme, authorization: authorization.bytes)
      } catch {
        // Once from the blob, unless that would change nothing.
        switch error.kind {
        case .connectionLost, .retry, .lockout, .failureMode: throw error
        case .staleHandle, .notStarted: evictAll()
        default:
          // Not said to be a reset, so the others stay, whoever sent this; where it was one after all, `load` notices.
          if context.startups == startups { evict { $0.reference == reference } } else { evictAll() }
        }
      }
    }
    let reference = try load(object, binding)
    do throws(TPMError) {
      let signature = try context.sign(digest, with: reference, scheme: scheme, authorization: authorization.bytes)
      if swapsContexts { evictAll() }
      return signature
    } catch {
      evict { $0.reference == reference }
      throw error
    }
  }

  /// Signs with a persistent key: one command where this connection has looked at the handle before.
  ///
  /// - Returns: nil where the handle does not hold the key, or the TPM would not sign with it there
  /// - Throws: ``TPMError``
  func sign(
    _ digest: [UInt8], at pin: StandingPin, scheme: TPMSignatureScheme, authorization: SharedSecret
  ) throws(TPMError) -> TPMSignature? {
    let reference: TPMReference
    if let known = pins[pin.handle], known.name == pin.name {
      reference = known.reference
    } else {
      guard let found = try context.reference(to: pin.handle) else { return nil }
      guard try context.name(of: found) == pin.name else {
        context.forget(found)
        return nil
      }
      rememberPin(found, name: pin.name, at: pin.handle)
      reference = found
    }
    do throws(TPMError) {
      return try withMemory { () throws(TPMError) in
        try context.sign(digest, with: reference, scheme: scheme, authorization: authorization.bytes)
      }
    } catch {
      forgetPin(at: pin.handle)
      switch error.kind {
      case .connectionLost, .retry, .lockout, .failureMode, .notStarted: throw error
      default: return nil
      }
    }
  }

  /// The handle is going to hold something else.
  func forgetPin(at handle: UInt32) {
    if let known = pins.removeValue(forKey: handle) { context.forget(known.reference) }
  }

  /// What stands at the handle has this Name.
  func rememberPin(_ reference: TPMReference, name: [UInt8], at handle: UInt32) {
    forgetPin(at: handle)
    pins[handle] = (reference, name)
  }

  func load(_ object: WrappedObject, _ binding: KeyBinding) throws(TPMError) -> TPMReference {
    let parent = try requireParent()
    evict { $0.binding == binding }
    makeRoom()
    let startups = context.startups
    let reference = try withMemory { () throws(TPMError) in try context.load(object, under: parent) }
    let handle: UInt32
    do throws(TPMError) {
      handle = try context.handle(of: reference)
    } catch {
      context.release(reference)
      throw error
    }
    // Either means that the TPM was reset since the others were loaded, so that their handles are others' now.
    let isReset = context.startups != startups || loaded.entries.contains { $0.handle == handle }
    if isReset {
      for entry in loaded.remove(where: { _ in true }) { context.forget(entry.reference) }
    }
    loaded.append(LoadedKeys.Entry(binding: binding, object: object, reference: reference, handle: handle))
    return reference
  }

  /// Unloads until a command has its slots: one for the storage root key, and those for the objects that it works on.
  func makeRoom(for objects: Int = 1) {
    while loaded.count > max(slots - 1 - objects, 0), let entry = loaded.removeLeastRecentlyUsed() {
      context.release(entry.reference)
    }
  }

  /// Unloads what `condition` names.
  func evict(where condition: (LoadedKeys.Entry) -> Bool) {
    for entry in loaded.remove(where: condition) { context.release(entry.reference) }
  }

  /// Unloads everything.
  func evictAll() {
    evict { _ in true }
  }

  // MARK: Sealed data

  /// Seals data under the storage root key.
  ///
  /// - Parameters:
  ///   - data: up to 128 bytes
  ///   - policy: an authPolicy that alone opens it; nil for none
  /// - Returns: the sealed object, not loaded
  /// - Throws: ``TPMError``
  func seal(_ data: SharedSecret, policy: [UInt8]? = nil) throws(TPMError) -> WrappedObject {
    let parent = try requireParent()
    makeRoom()
    return try withMemory { () throws(TPMError) in
      try context.withSession(saltedWith: parent, encrypting: .command) { context, session throws(TPMError) in
        try context.seal(data.bytes, under: parent, session: session, policy: policy)
      }
    }
  }

  /// Unseals data into locked memory.
  ///
  /// - Parameters:
  ///   - object: sealed data
  ///   - approved: the boot in which it may be; nil where it has no policy
  /// - Returns: the data
  /// - Throws: ``TPMError``, or `SecretMemoryError`
  func unseal(_ object: WrappedObject, in approved: ApprovedPCRs? = nil) throws -> SharedSecret {
    let parent = try requireParent()
    makeRoom()
    var result: Result<SharedSecret, any Error>?
    // All of it within, since making room flushes whatever is loaded.
    try withMemory { () throws(TPMError) in
      try context.withSession(
        saltedWith: parent, encrypting: .response, isForPolicy: approved != nil
      ) { context, session throws(TPMError) in
        if let approved { try context.satisfy(approved, in: session) }
        let sealed = try context.load(object, under: parent)
        defer { context.release(sealed) }
        do {
          result = .success(SharedSecret(try context.unseal(sealed, session: session)))
          try context.overwriteResponse()
        } catch let error as TPMError {
          throw error
        } catch {
          result = .failure(error)
        }
      }
    }
    guard let result else { throw TPMError(operation: "TPM2_Unseal", code: TPMError.noObject) }
    return try result.get()
  }

  // MARK: NV indices

  /// Increments the counter and reads it: two commands.
  ///
  /// - Parameters:
  ///   - counter: which
  ///   - isNew: whether it has just been defined
  /// - Returns: its value
  /// - Throws: ``TPMError``; ``KeyStoreError`` where it is not ours any more
  func advance(_ counter: NVIndex, isNew: Bool = false) throws -> UInt64 {
    try withIndex(counter, isNew: isNew) { context, reference throws(TPMError) in
      try context.incrementCounter(reference, authorization: counter.authorization.bytes)
      return try context.readCounter(reference, authorization: counter.authorization.bytes)
    }
  }

  /// Reads the counter.
  ///
  /// - Throws: ``TPMError``; ``KeyStoreError`` where it is not ours any more
  func read(_ counter: NVIndex) throws -> UInt64 {
    try withIndex(counter) { context, reference throws(TPMError) in
      try context.readCounter(reference, authorization: counter.authorization.bytes)
    }
  }

  /// Reads the retry record: one command.
  ///
  /// - Throws: ``TPMError``; ``KeyStoreError`` where it is not ours any more
  func readRecord(_ index: NVIndex) throws -> RetryRecord {
    let bytes = try withIndex(index) { context, reference throws(TPMError) in
      try context.readIndex(reference, count: RetryRecord.encodedCount, authorization: index.authorization.bytes)
    }
    guard let record = RetryRecord(encoded: bytes) else { throw index.isUnknown }
    return record
  }

  /// Writes the retry record: one command.
  ///
  /// - Parameters:
  ///   - record: what it will be
  ///   - index: where
  ///   - isNew: whether the index has just been defined
  /// - Throws: ``TPMError``; ``KeyStoreError`` where it is not ours any more
  func write(_ record: RetryRecord, to index: NVIndex, isNew: Bool = false) throws {
    try withIndex(index, isNew: isNew) { context, reference throws(TPMError) in
      try context.writeIndex(reference, record.encoded, authorization: index.authorization.bytes)
    }
  }

  /// Looks at what stands at the index once by connection, by one command where it is what it should be, and again
  /// where it does not do what ours does. Where it is not ours any more, the handle is stale: this may be another TPM,
  /// which the next connection finds out.
  private func withIndex<Result>(
    _ index: NVIndex, isNew: Bool = false,
    _ body: (inout TPMContext, TPMReference) throws(TPMError) -> Result
  ) throws -> Result {
    let reference = try indices[index.number] ?? findByName(index, isNew: isNew) ?? find(index, isNew: isNew)
    indices[index.number] = reference
    do throws(TPMError) {
      return try body(&context, reference)
    } catch {
      guard error.kind != .connectionLost, error.kind != .retry else { throw error }
      indices[index.number] = nil
      do {
        _ = try find(index, isNew: isNew)
      } catch is KeyStoreError {
        throw TPMError(operation: error.operation, code: TPMError.noObject)
      }
      if error.kind == .authorization { throw index.isDefinedAnew(error) }
      throw error
    }
  }

  /// nil where anything is otherwise than it should be, of which ``find(_:isNew:)`` finds out what. The Name is the hash
  /// of the whole public area.
  private func findByName(_ index: NVIndex, isNew: Bool) throws(TPMError) -> TPMReference? {
    guard let reference = try context.reference(to: index.number) else { return nil }
    let area = try index.role.kind.publicArea(at: index.number, tag: index.tag, isWritten: !isNew)
    // TPM_ALG_SHA256, and the hash.
    return try context.name(of: reference) == [0x00, 0x0B] + SHA256.hash(area) ? reference : nil
  }

  private func find(_ index: NVIndex, isNew: Bool) throws -> TPMReference {
    guard let information = try context.informationOnIndex(index.number),
      let reference = try context.reference(to: index.number)
    else { throw index.isGone }
    guard information.kind == index.role.kind, information.tag == index.tag, information.isWritten || isNew else {
      throw index.isAnother
    }
    return reference
  }

  // MARK: Leftovers

  /// Runs a command again with everything of ours unloaded where the TPM was full; on a TPM that is ours alone, also
  /// without what a crashed process left in it.
  func withMemory<Result>(_ body: () throws(TPMError) -> Result) throws(TPMError) -> Result {
    do throws(TPMError) {
      return try body()
    } catch {
      guard error.kind == .objectMemory || error.kind == .sessionMemory else { throw error }
      evictAll()
      if isExclusive { flushLeftovers() }
    }
    return try body()
  }

  /// Flushes every transient object and session: call it while none of ours is in use.
  func flushLeftovers() {
    for kind: UInt32 in [0x8000_0000, 0x0200_0000, 0x0300_0000] {
      for handle in (try? context.handles(from: kind)) ?? [] {
        log.warning("TPM: flushing handle 0x\(String(handle, radix: 16)), which somebody has left behind")
        try? context.flush(handle: handle)
      }
    }
  }

  /// Unloads everything before the connection is closed on purpose.
  ///
  /// - Parameter shuttingDown: whether the TPM itself ends too (a software TPM of ours)
  func close(shuttingDown: Bool) {
    evictAll()
    if shuttingDown { try? context.shutDown() }
  }
}
