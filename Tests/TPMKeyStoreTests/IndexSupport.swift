import Authenticator
import Platform
import TPM
import TestSupport
import Testing

@testable import TPMKeyStore

/// What others can do with the TPM's NV indices.
extension Bench {
  func sealedDevice() throws -> SealedDevice {
    guard case .sealed(let device) = DeviceRecord.decode(records.current ?? []) else { throw Unexpected() }
    return device
  }

  /// As who can read the state folder and use the TPM can have it.
  func payload() throws -> SealedPayload {
    let device = TPMDevice(
      connection: .tcti(fixture.tcti), software: nil, ownerAuthorization: nil, swapsContexts: false,
      board: StatusBoard(connection: .tcti(fixture.tcti)), log: .silent, clock: ManualTime())
    let sealed = try sealedDevice()
    try device.require(ParentIdentity(handle: sealed.parentHandle, name: sealed.parentName))
    return try device.unseal(sealed, through: nil)
  }

  /// Removes one of our indices, and does what `define` does, with a session of the owner's.
  func redefine(
    _ role: NVIndex.Role, _ define: (inout TPMContext, TPMSession, SealedDevice) throws(TPMError) -> Void
  ) throws {
    let device = try sealedDevice()
    var context = try TPMContext(tcti: fixture.tcti)
    try context.withSession(saltedWith: nil, encrypting: []) { context, session throws(TPMError) in
      let index =
        switch role {
        case .signatureCounter: device.indices.counter
        case .retryRecord: device.indices.retries
        case .auditAnchor: device.indices.anchor
        }
      try context.undefineIndex(index, session: session)
      try define(&context, session, device)
    }
  }
}

/// The next start fails with a text that has these parts.
func expectRefusedStart(
  _ bench: Bench, _ parts: String..., sourceLocation: SourceLocation = #_sourceLocation
) async throws {
  let error = await #expect(throws: KeyStoreError.self, sourceLocation: sourceLocation) {
    try await Bench.start(bench.fixture, records: bench.records)
  }
  guard case .failed(let text) = error else {
    Issue.record("\(String(describing: error))", sourceLocation: sourceLocation)
    return
  }
  for part in parts { #expect(text.contains(part), "\(text)", sourceLocation: sourceLocation) }
}
