internal import Attestation
internal import Crypto
internal import Platform
internal import WebAuthn

/// `countersign ca init`.
func makeAuthority(_ context: CommandContext) throws(CommandFailure) {
  guard let organization = context.arguments[.organization], let country = context.arguments[.country] else {
    throw .usage("--organization or --country is missing", "see countersign ca init --help")
  }
  let register: AuthorityRegister
  do {
    register = try AuthorityRegister(organization: organization, country: country)
  } catch {
    throw .usage("\(error)", "see countersign ca init --help")
  }
  try AuthorityFolder.make(register, context)
}

/// `countersign ca issue`.
func issue(_ context: CommandContext) throws(CommandFailure) {
  let file = try context.enrolmentFile()
  var authority = try AuthorityFolder(opening: context)
  let output = try context.prepareOutput()
  try output(try authority.answer(file).line)
}

/// `countersign ca list`.
func listCertificates(_ context: CommandContext) throws(CommandFailure) {
  let register = try AuthorityFolder.register(context)
  let output = try context.prepareOutput()
  if context.arguments.has(.json) {
    return try output(JSONValue.object(["issued": .array(register.issued.map(\.json))]).line)
  }
  var table = Table()
  for issued in register.issued {
    let end = Timestamp.text(unixMilliseconds: issued.notAfter * 1000).prefix(10)
    let state = issued.revoked == nil ? "until \(end)" : "revoked"
    table.add(
      issued.serialNumber, "\(issued.format), \(state), attestation key \(issued.attestationKey.hexadecimal)")
  }
  try output(table.text)
}

/// `countersign ca revoke`.
func revoke(_ context: CommandContext) throws(CommandFailure) {
  var authority = try AuthorityFolder(opening: context)
  try authority.revoke(context.arguments.operand ?? "")
}

/// `countersign ca crl`.
func renewList(_ context: CommandContext) throws(CommandFailure) {
  var authority = try AuthorityFolder(opening: context)
  try authority.save()
}
