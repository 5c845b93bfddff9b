internal import CLinux
internal import CTSS
internal import Glibc

/// A reference that one ``TPMContext`` gives out for an object, session or NV index (ESYS_TR). It ends with the context.
package struct TPMReference: Hashable, Sendable {
  let raw: ESYS_TR
}

/// One connection to a TPM through ESAPI. Not thread-safe: whoever owns it stays on one thread. Every method is
/// `mutating`, so that Swift's exclusivity enforces ESAPI's rule of one command at a time.
@safe package struct TPMContext: ~Copyable {
  private enum Transport {
    case loaded
    case stream
  }

  let esys: OpaquePointer
  private let tcti: OpaquePointer
  private let transport: Transport

  /// How often the TPM had to be started (TPM2_Startup): each time everything that was loaded had gone.
  package private(set) var startups = 0

  /// Connects as `configuration` says, in tpm2-tss's own notation (`device:/dev/tpmrm0`, `swtpm:path=…`, `tabrmd:`).
  ///
  /// - Throws: ``TPMError``
  package init(tcti configuration: String) throws(TPMError) {
    cs_tss_quieten()
    var tcti: OpaquePointer?
    let status = unsafe Tss2_TctiLdr_Initialize(configuration, &tcti)
    guard status == 0, let tcti = unsafe tcti else { throw TPMError.opening("open", status) }
    do throws(TPMError) {
      unsafe esys = try TPMContext.initialize(tcti)
    } catch {
      var tcti: OpaquePointer? = unsafe tcti
      unsafe Tss2_TctiLdr_Finalize(&tcti)
      throw error
    }
    unsafe self.tcti = unsafe tcti
    transport = .loaded
  }

  /// Uses a connected stream socket, and closes it in the end.
  ///
  /// - Throws: ``TPMError``
  package init(owningStream descriptor: Int32) throws(TPMError) {
    cs_tss_quieten()
    guard let tcti = unsafe cs_tcti_stream(descriptor) else { throw TPMError.opening("open", 0) }
    do throws(TPMError) {
      unsafe esys = try TPMContext.initialize(tcti)
    } catch {
      unsafe cs_tcti_stream_free(tcti)
      throw error
    }
    unsafe self.tcti = unsafe tcti
    transport = .stream
  }

  deinit {
    var esys: OpaquePointer? = unsafe esys
    unsafe Esys_Finalize(&esys)
    switch transport {
    case .loaded:
      var tcti: OpaquePointer? = unsafe tcti
      unsafe Tss2_TctiLdr_Finalize(&tcti)
    case .stream: unsafe cs_tcti_stream_free(tcti)
    }
  }

  private static func initialize(_ tcti: OpaquePointer) throws(TPMError) -> OpaquePointer {
    var esys: OpaquePointer?
    let status = unsafe Esys_Initialize(&esys, tcti, nil)
    guard status == 0, let esys = unsafe esys else {
      throw TPMError.opening("Esys_Initialize", status)
    }
    return unsafe esys
  }

  /// Runs one ESAPI call; again, with pauses that grow, while the TPM asks for that; and once more after
  /// TPM2_Startup where that was missing.
  ///
  /// - Parameters:
  ///   - operation: the TPM command, for errors
  ///   - body: the call; takes the ESYS_CONTEXT
  /// - Throws: ``TPMError``
  mutating func check(_ operation: String, _ body: (OpaquePointer) -> TSS2_RC) throws(TPMError) {
    // tpm2-tss itself submits up to five times without a pause. Together about 2.5 s, the longest self-test.
    var pause: UInt32 = 10_000
    var started = false
    while true {
      let status = unsafe body(esys)
      if status == 0 { return }
      let error = TPMError(operation: operation, code: status)
      if error.kind == .retry, pause <= 1_280_000 {
        usleep(pause)
        pause *= 2
      } else if error.kind == .notStarted, !started {
        started = true
        try start()
      } else {
        throw error
      }
    }
  }

  private mutating func start() throws(TPMError) {
    let status = unsafe Esys_Startup(esys, TPM2_SU(TPM2_SU_CLEAR))
    startups += 1
    let error = TPMError(operation: "TPM2_Startup", code: status)
    guard status == 0 || error.kind == .notStarted else { throw error }
  }

  /// TPM2_Shutdown (CLEAR). For a software TPM that ends now; a chip belongs to the kernel.
  ///
  /// - Throws: ``TPMError``
  package mutating func shutDown() throws(TPMError) {
    try unsafe check("TPM2_Shutdown") { esys in
      unsafe Esys_Shutdown(esys, noSession, noSession, noSession, TPM2_SU(TPM2_SU_CLEAR))
    }
  }

  /// Unloads an object or session and forgets the reference.
  ///
  /// - Throws: ``TPMError``
  package mutating func flush(_ reference: TPMReference) throws(TPMError) {
    try unsafe check("TPM2_FlushContext") { esys in unsafe Esys_FlushContext(esys, reference.raw) }
  }

  /// Unloads where an error would help nobody: on the way out. Tried twice; what then is left goes with the
  /// connection, or has gone already.
  package mutating func release(_ reference: TPMReference) {
    for _ in 0..<2 {
      do {
        return try flush(reference)
      } catch {
        if error.kind == .connectionLost || error.kind == .staleHandle { break }
      }
    }
    forget(reference)
  }

  /// Forgets the reference without a TPM command: persistent objects, NV indices, and what the TPM has lost.
  package mutating func forget(_ reference: TPMReference) {
    var raw = reference.raw
    unsafe _ = Esys_TR_Close(esys, &raw)
  }

  /// Unloads by the TPM's own handle: what an earlier connection left behind.
  ///
  /// - Throws: ``TPMError``
  package mutating func flush(handle: UInt32) throws(TPMError) {
    var raw = ESYS_TR_NONE
    if handle >> 24 == UInt32(TPM2_HT_TRANSIENT) {
      raw = try reference(to: handle)?.raw ?? ESYS_TR_NONE
    } else {
      // A session's reference is made without asking the TPM.
      try unsafe check("Esys_TR_FromTPMPublic") { esys in
        unsafe Esys_TR_FromTPMPublic(esys, handle, noSession, noSession, noSession, &raw)
      }
    }
    guard raw != ESYS_TR_NONE else { return }
    try flush(TPMReference(raw: raw))
  }

  /// The TPM's own handle behind a reference.
  ///
  /// - Throws: ``TPMError``
  package mutating func handle(of reference: TPMReference) throws(TPMError) -> UInt32 {
    var handle: TPM2_HANDLE = 0
    try unsafe check("Esys_TR_GetTpmHandle") { esys in unsafe Esys_TR_GetTpmHandle(esys, reference.raw, &handle) }
    return handle
  }

  /// The Name of an object or NV index: its name algorithm and the hash of its public area.
  ///
  /// - Throws: ``TPMError``
  package mutating func name(of reference: TPMReference) throws(TPMError) -> [UInt8] {
    var name: UnsafeMutablePointer<TPM2B_NAME>?
    try unsafe check("Esys_TR_GetName") { esys in unsafe Esys_TR_GetName(esys, reference.raw, &name) }
    defer { unsafe Esys_Free(name) }
    guard let name = unsafe name else { throw TPMError.malformedResponse("Esys_TR_GetName") }
    return unsafe bytes(of: name.pointee.name, count: Int(name.pointee.size))
  }

  /// A reference to what stands at a persistent handle or NV index; nil where nothing does.
  ///
  /// - Throws: ``TPMError``
  package mutating func reference(to handle: UInt32) throws(TPMError) -> TPMReference? {
    var raw = ESYS_TR_NONE
    do throws(TPMError) {
      try unsafe check("TPM2_ReadPublic") { esys in
        unsafe Esys_TR_FromTPMPublic(esys, handle, noSession, noSession, noSession, &raw)
      }
    } catch {
      if error.kind == .staleHandle { return nil }
      throw error
    }
    return TPMReference(raw: raw)
  }
}

let noSession = ESYS_TR_NONE

/// Copies the first `count` bytes out of one of the C structures' buffers.
func bytes<Buffer>(of buffer: Buffer, count: Int) -> [UInt8] {
  unsafe withUnsafeBytes(of: buffer) { unsafe Array($0.prefix(count)) }
}

/// Copies `source` to the start of one of the C structures' buffers, which must be large enough.
func fill<Buffer>(_ buffer: inout Buffer, from source: Span<UInt8>) {
  unsafe withUnsafeMutableBytes(of: &buffer) { target in
    precondition(source.count <= target.count, "the buffer is too small")
    unsafe source.withUnsafeBytes { unsafe target.copyMemory(from: $0) }
  }
}

/// Overwrites a C structure that held a secret.
func wipe<Structure>(_ structure: inout Structure) {
  unsafe withUnsafeMutableBytes(of: &structure) { unsafe cs_wipe($0.baseAddress, $0.count) }
}
