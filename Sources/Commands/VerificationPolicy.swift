internal import Crypto
internal import Platform
internal import RelyingParty
internal import TPMStructures
internal import WebAuthn

/// Which origins and keys will do, by the options of `countersign verify`.
func policy(
  _ context: CommandContext, attestation: AttestationPolicy
) throws(CommandFailure) -> RelyingPartyPolicy {
  var topOrigins: [String] = []
  for text in context.arguments.all(.topOrigin) {
    do {
      topOrigins.append(try Origin(text).description)
    } catch {
      throw .usage("--top-origin \(quoted(text)) \(error)", "give it as https://HOST or https://HOST:PORT")
    }
  }
  return RelyingPartyPolicy(
    topOrigins: topOrigins, requiresDeviceBound: context.arguments.has(.deviceBound), attestation: attestation)
}

/// Which attestation is trusted, by the options of `countersign verify registration`.
func attestationPolicy(_ context: CommandContext) throws(CommandFailure) -> AttestationPolicy {
  var anchors: [Certificate] = []
  for path in context.arguments.all(.root) {
    let found = try context.certificates(at: path, .root)
    guard !found.isEmpty else { throw .usage("\(quoted(path)) holds no certificate", "check --root") }
    anchors += found
  }
  var lists: [RevocationList] = []
  for path in context.arguments.all(.revocationList) {
    for der in try context.blocks(at: path, PEM.revocationList, .revocationList) {
      do {
        lists.append(try RevocationList(der: der))
      } catch {
        throw .usage("\(quoted(path)) holds a revocation list that cannot be read: \(error)", "check --crl")
      }
    }
  }
  // A file that was named for protection and gives none must not pass in silence.
  guard context.arguments.has(.revocationList) == !lists.isEmpty else {
    throw .usage("--crl names no revocation list", "check --crl")
  }
  return AttestationPolicy(
    anchors: anchors, revocationLists: lists, kinds: try kinds(context), aaguids: try aaguids(context),
    vendors: try vendors(context), time: context.console.unixSeconds())
}

private func kinds(_ context: CommandContext) throws(CommandFailure) -> Set<AttestationKind>? {
  var kinds: Set<AttestationKind> = []
  for text in context.arguments.all(.format) {
    guard let kind = AttestationKind(rawValue: text) else {
      let known = AttestationKind.allCases.map(\.rawValue).joined(separator: ", ")
      throw .usage("--format does not know \(quoted(text))", "give one of \(known)")
    }
    guard !kind.hasTrustPath || context.arguments.has(.root) else {
      throw .usage("--format \(text) needs a certificate that is trusted", "give --root")
    }
    kinds.insert(kind)
  }
  return kinds.isEmpty ? nil : kinds
}

private func aaguids(_ context: CommandContext) throws(CommandFailure) -> Set<[UInt8]> {
  var aaguids: Set<[UInt8]> = []
  for text in context.arguments.all(.aaguid) {
    guard let aaguid = AAGUIDText.decode(text) else {
      throw .usage("--aaguid \(quoted(text)) is no UUID in lower case", "copy it from countersign info")
    }
    aaguids.insert(aaguid)
  }
  return aaguids
}

private func vendors(_ context: CommandContext) throws(CommandFailure) -> Set<TPMVendor> {
  var vendors: Set<TPMVendor> = []
  for text in context.arguments.all(.vendor) {
    guard let vendor = TPMVendor(name: text) ?? TPMVendor(identifier: text) else {
      throw .usage(
        "--vendor \(quoted(text)) is no registered maker of TPMs", "give e.g. IFX, or its identifier id:49465800")
    }
    vendors.insert(vendor)
  }
  return vendors
}

extension CommandContext {
  /// The certificates in a file, in PEM or one in DER.
  func certificates(at path: String, _ option: Arguments.Option) throws(CommandFailure) -> [Certificate] {
    var found: [Certificate] = []
    for der in try blocks(at: path, PEM.certificate, option) {
      do {
        found.append(try Certificate(der: der))
      } catch {
        throw .usage("\(quoted(path)) holds a certificate that cannot be read: \(error)", "check \(option.rawValue)")
      }
    }
    return found
  }

  /// The blocks of a file in PEM, or the whole of another one.
  func blocks(at path: String, _ label: String, _ option: Arguments.Option) throws(CommandFailure) -> [[UInt8]] {
    let bytes = try content(of: path, option)
    // DER begins with a SEQUENCE.
    guard bytes.first != 0x30 else { return [bytes] }
    guard let blocks = PEM.decode(bytes, label: label) else {
      throw fail(.usage, "\(quoted(path)) is neither PEM nor DER", "check \(option.rawValue)")
    }
    return blocks
  }
}
