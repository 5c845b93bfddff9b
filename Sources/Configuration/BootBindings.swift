internal import Attestation
internal import Crypto
internal import Platform

/// What the files together say of the machine's boot. Silence leaves it as it is: a file that has gone loosens nothing.
func bootBinding(of files: [SourceFile], _ trust: TrustedFile.Trust) throws(ConfigurationError) -> BootBinding {
  let ofPCRs = files.last { $0.document.tpm?.pcrs != nil }
  let ofKey = files.last { $0.document.tpm?.approvalKey != nil }
  let pcrs = try ofPCRs?.pcrs() ?? BootPolicy.usualPCRs
  guard let ofKey, let path = ofKey.document.tpm?.approvalKey else {
    guard let ofPCRs else { return .unchanged }
    if pcrs.isEmpty { return .unbound }
    throw ofPCRs.error(
      "tpm.pcrs", "nobody could approve a boot: there is no tpm.approvalKey",
      "name the file with the public key of countersign pcr key")
  }
  if let ofPCRs, pcrs.isEmpty {
    throw ofPCRs.error(
      "tpm.pcrs", "there is nothing to bind to, and tpm.approvalKey is given", "name PCRs, or remove tpm.approvalKey")
  }
  return .bound(approvalKey: try ofKey.approvalKey(path, trust), pcrs: pcrs)
}

/// A check at every signature that nothing is bound to would be none.
func checkBootTerms(_ files: [SourceFile], _ settings: Settings) throws(ConfigurationError) {
  if case .bound = settings.boot { return }
  for file in files {
    for (index, rule) in file.document.rules.enumerated() where rule.bootState == "everySignature" {
      throw file.error(
        "rules[\(index)].bootState", "the device secret is bound to no boot: there is no tpm.approvalKey",
        "name the file with the public key of countersign pcr key, or remove this")
    }
  }
}

extension SourceFile {
  fileprivate func pcrs() throws(ConfigurationError) -> [Int]? {
    guard let entries = document.tpm?.pcrs else { return nil }
    var pcrs: [Int] = []
    for (index, entry) in entries.enumerated() {
      guard let number = Int(exactly: entry), (0..<24).contains(number) else {
        throw error("tpm.pcrs[\(index)]", "this is not the number of a PCR", "write a whole number from 0 to 23")
      }
      guard !pcrs.contains(number) else {
        throw error("tpm.pcrs[\(index)]", "\(number) stands in this list before", "remove one of the two")
      }
      pcrs.append(number)
    }
    return pcrs.sorted()
  }

  /// A DER SubjectPublicKeyInfo; empty where somebody reviews the configuration of another machine, whose file it is.
  fileprivate func approvalKey(_ path: String, _ trust: TrustedFile.Trust) throws(ConfigurationError) -> [UInt8] {
    let file = try checkedPath(path, "tpm.approvalKey")
    guard let bytes = try TrustedFile.read(file, trust) else {
      if trust == .anybody { return [] }
      throw error(
        "tpm.approvalKey", "there is no file \(quoted(file))",
        "put the public key there that countersign pcr key printed")
    }
    guard let blocks = PEM.decode(bytes, label: PEM.publicKey), blocks.count == 1,
      case .p256? = SubjectPublicKeyInfo.decode(blocks[0])
    else {
      throw error(
        "tpm.approvalKey", "\(quoted(file)) holds no public key on P-256, as PEM",
        "put the public key there that countersign pcr key printed")
    }
    return blocks[0]
  }
}
