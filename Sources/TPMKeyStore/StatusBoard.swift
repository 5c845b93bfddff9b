internal import Platform
internal import WebAuthn

/// What the TPM thread lets others see.
final class StatusBoard: Sendable {
  private struct Content {
    var status: TPMStatus
    var algorithms: [COSEAlgorithm] = []
  }

  private let content: Lock<Content>

  init(connection: TPMConnection) {
    content = Lock(
      Content(
        status: TPMStatus(
          connection: connection.description, disconnected: "not connected yet", manufacturer: "", vendor: "",
          firmwareVersion: 0, softwareProcess: nil, nature: .hardware, storageRootHandle: nil, counterIndex: nil,
          retryIndex: nil, loadedKeys: 0, queueLength: 0, reconnections: 0)))
  }

  var status: TPMStatus { content.withLock { $0.status } }
  var algorithms: [COSEAlgorithm] { content.withLock { $0.algorithms } }

  func update(_ change: (inout TPMStatus) -> Void) {
    content.withLock { change(&$0.status) }
  }

  func noteWrites(_ change: (inout NVWrites) -> Void) {
    content.withLock { content in
      var writes = content.status.writes ?? NVWrites()
      change(&writes)
      content.status.writes = writes
    }
  }

  func setAlgorithms(_ algorithms: [COSEAlgorithm]) {
    content.withLock { $0.algorithms = algorithms }
  }
}
