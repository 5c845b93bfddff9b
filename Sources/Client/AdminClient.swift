internal import CTAPHID
package import Platform
package import WebAuthn

/// A client of the management socket: JSON objects in frames of one command.
package struct AdminClient {
  private let connection: any FrameExchange

  package init(_ connection: any FrameExchange) {
    self.connection = connection
  }

  /// What the daemon says of itself.
  package func status(until deadline: Deadline) throws(ClientError) -> [String: JSONValue] {
    let request = JSONValue.object(["request": "status"])
    let answer = try connection.exchange(
      Frame(.administration, request.serialized()), until: deadline)
    guard let value = try? JSONValue.parse(answer.payload), case .object(let members) = value else {
      throw .malformed("it is no JSON object")
    }
    return members
  }
}
