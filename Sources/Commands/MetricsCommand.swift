internal import Client
internal import Platform
internal import WebAuthn

/// `countersign metrics`.
func metrics(_ context: CommandContext) throws(CommandFailure) {
  let session = try AdminSession(context)
  let output = try context.prepareOutput()
  let answer = try session.ask { client, deadline throws(ClientError) in try client.metrics(until: deadline) }
  guard case .string(let text)? = answer["metrics"] else { throw session.strange("it has no metrics") }
  try output([UInt8](text.utf8))
}
