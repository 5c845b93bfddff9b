package import Authenticator

/// What the operator should know of the TPM at this moment.
package struct TPMStatus: Equatable, Sendable {
  /// Whether the TPM is hardware, or why it is taken for software.
  package enum Nature: Equatable, Sendable {
    case hardware
    case software(reason: String)
  }

  /// How the TPM is reached: the TCTI string, or `software TPM in DIR`.
  package var connection: String
  /// nil while connected; else what is wrong.
  package var disconnected: String?
  /// e.g. `IFX`; empty until the TPM has been seen.
  package var manufacturer: String
  /// The vendor's own string, e.g. `SLB9670`.
  package var vendor: String
  package var firmwareVersion: UInt64
  /// Process identifier of a software TPM that we have started.
  package var softwareProcess: Int32?
  package var nature: Nature
  /// Persistent handle of the storage root key.
  package var storageRootHandle: UInt32?
  /// NV index of the signature counter.
  package var counterIndex: UInt32?
  /// NV index of the PIN retry record.
  package var retryIndex: UInt32?
  /// NV index of the audit log's anchor.
  package var anchorIndex: UInt32?
  /// What this device has written to the TPM's non-volatile memory; nil until the device secret is open.
  package var writes: NVWrites?
  package var loadedKeys: Int
  /// Whether each command would cost a save and a load of whatever is loaded, so that nothing stays loaded.
  package var isBehindResourceManager = false
  /// Keys at persistent handles, and what that may still cost; nil until ``TPMKeyStore/keepPins(in:_:isLiving:)``.
  package var pins: PinStatus?
  /// Requests that wait for the TPM.
  package var queueLength: Int
  /// How long they do.
  package var waiting = WaitStatus()
  /// How often the TPM had to be reconnected to since the start.
  package var reconnections: Int
  /// How often the TPM, or the way to it, has answered with an error since the start; attempts that succeeded when
  /// they were made again count too.
  package var errors = 0
}

/// How long requests wait for the TPM.
package struct WaitStatus: Equatable, Sendable {
  /// Milliseconds that one may wait.
  package var limit: UInt64 = 0
  /// Milliseconds that one would wait now, if it came from a user of whom nothing waits.
  package var expected: UInt64 = 0
  /// Those refused since the start, because they would have waited for longer or too many waited.
  package var refused = 0
  /// Those given up since the start, because they had.
  package var expired = 0
}

/// Writes to the TPM's non-volatile memory, of which it bears a limited number.
package struct NVWrites: Equatable, Sendable {
  /// Increments of the signature counter since the device was set up: one for each start, and for each block of values.
  package var signatureCounter: UInt64 = 0
  /// Increments of the audit log's anchor since the device was set up: one for each signature over the log.
  package var auditAnchor: UInt64 = 0
  /// Writes of the PIN's retry record since the daemon's start; the TPM does not count them.
  package var retryRecord: UInt64 = 0
}

/// The keys at persistent handles.
package struct PinStatus: Equatable, Sendable {
  package struct Pin: Equatable, Sendable {
    package let binding: KeyBinding
    package let handle: UInt32
    /// Whether the operator has pinned it, so that no other takes its place.
    package let byOperator: Bool
  }

  /// By handle.
  package var pins: [Pin] = []
  /// Keys that may be pinned at the same time.
  package var limit = 0
  /// Writes to non-volatile memory that may be made for pins now; one pin costs two.
  package var writesLeft = 0
  /// Those ever made or paid for.
  package var writes: UInt64 = 0
  /// Why the last change was not made; nil where it was.
  package var problem: String?
}

/// What the TPM says of its own state, for the operator.
package struct TPMCondition: Equatable, Sendable {
  /// Failed authorizations that dictionary-attack protection counts now. Keys of ours are exempt from it.
  package let lockoutCounter: UInt32
  /// At how many it locks.
  package let maximumFailures: UInt32
  /// Seconds after which one failure is forgotten; 0: never.
  package let lockoutInterval: UInt32
  /// Whether it is locked.
  package let isInLockout: Bool
  /// Whether the owner hierarchy has an authorization value.
  package let isOwnerAuthorized: Bool
  /// Objects that could be loaded now; behind a resource manager, by this connection.
  package let transientSlots: UInt32
  /// Objects that could be made persistent now.
  package let persistentSlots: UInt32
  /// NV counters that could be defined now; some TPMs do not say, and answer 0.
  package let counterSlots: UInt32
  /// Resets since the TPM was last cleared.
  package let resetCount: UInt32
  /// Restarts and resumes since the last reset.
  package let restartCount: UInt32
  /// Whether the TPM vouches that its clock has never repeated a value.
  package let isClockSafe: Bool
}
