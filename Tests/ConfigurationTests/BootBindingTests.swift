import Attestation
import Crypto
import Policy
import TestSupport
import Testing
import WebAuthn

@testable import Configuration

/// `tpm.approvalKey`, `tpm.pcrs` and what rules say of the boot.
struct BootBindingTests {
  private let folder = TemporaryDirectory()
  private let key = TestKey()

  private func binding(_ tpm: String, _ more: [String: String] = [:]) throws -> BootBinding {
    try folder.write(PEM.encode(key.publicKey.subjectPublicKeyInfo, label: PEM.publicKey), to: "approval.pem")
    for (name, text) in more { try folder.write(text, to: name) }
    return try loader.load(try folder.write("{ tpm: \(tpm), rules: [] }")).settings.boot
  }

  private var path: String { folder.path + "/approval.pem" }

  @Test func theFilesSayToWhatItIsBound() throws {
    let spki = key.publicKey.subjectPublicKeyInfo
    #expect(try binding("{}") == .unchanged)
    #expect(try binding("{ pcrs: [] }") == .unbound)
    #expect(try binding("{ approvalKey: '\(path)' }") == .bound(approvalKey: spki, pcrs: [0, 2, 4, 7]))
    #expect(try binding("{ approvalKey: '\(path)', pcrs: [7, 4] }") == .bound(approvalKey: spki, pcrs: [4, 7]))
    // Each key by itself: the last file that has it.
    #expect(
      try binding("{ approvalKey: '\(path)', pcrs: [1] }", ["conf.d/1.json": "{ tpm: { pcrs: [14] } }"])
        == .bound(approvalKey: spki, pcrs: [14]))
  }

  @Test(arguments: [
    ("{ pcrs: [7] }", ":1:10: tpm.pcrs: nobody could approve a boot: there is no tpm.approvalKey: name the file"),
    ("{ pcrs: [], approvalKey: 'K' }", ":1:10: tpm.pcrs: there is nothing to bind to, and tpm.approvalKey is given"),
    ("{ pcrs: [24], approvalKey: 'K' }", ":1:17: tpm.pcrs[0]: this is not the number of a PCR: write a whole number"),
    ("{ pcrs: [7, 7], approvalKey: 'K' }", ":1:20: tpm.pcrs[1]: 7 stands in this list before: remove one of the two"),
    ("{ approvalKey: 'key.pem' }", ":1:10: tpm.approvalKey: \"key.pem\" is not an absolute path: "),
    ("{ approvalKey: 'F/none.pem' }", ":1:10: tpm.approvalKey: there is no file \"F/none.pem\": put the public key"),
    ("{ approvalKey: 'F/rsa.pem' }", ":1:10: tpm.approvalKey: \"F/rsa.pem\" holds no public key on P-256, as PEM: put"),
    ("{ approvalKey: 'F/two.pem' }", ":1:10: tpm.approvalKey: \"F/two.pem\" holds no public key on P-256, as PEM: put"),
    ("{ approvalKey: 'F/x.pem' }", ":1:10: tpm.approvalKey: \"F/x.pem\" holds no public key on P-256, as PEM: put"),
  ])
  func aWrongBinding(tpm: String, expected: String) throws {
    let good = PEM.encode(key.publicKey.subjectPublicKeyInfo, label: PEM.publicKey)
    try folder.write(good, to: "approval.pem")
    try folder.write(good + good, to: "two.pem")
    try folder.write(PEM.encode(TestKey(.rs256).publicKey.subjectPublicKeyInfo, label: PEM.publicKey), to: "rsa.pem")
    try folder.write("-----BEGIN PUBLIC KEY-----\n", to: "x.pem")
    let text = tpm.replacing("'K'", with: "'\(path)'").replacing("'F/", with: "'\(folder.path)/")
    try folder.write("{ tpm: \(text) }")
    let line = try #require(try complaint(in: folder))
    #expect(line.hasPrefix("F/countersign.json" + expected), "\(line)")
  }

  @Test func aRuleWantsABinding() throws {
    let rule = withRule(operations: "['register']", more: ", bootState: 'everySignature'")
    try folder.write(rule)
    #expect(
      try complaint(in: folder)?.contains(
        "rules[0].bootState: the device secret is bound to no boot: there is no tpm.approvalKey: name the file") == true
    )
    #expect(try binding("{ approvalKey: '\(path)' }", ["conf.d/1.json": rule]) != .unchanged)
    let rules = try loader.load(folder.path + "/countersign.json").settings.rules.rules
    #expect(rules.map(\.terms.checksBootState) == [true])
  }

  @Test func aRuleChoosesAttestation() throws {
    func terms(_ more: String) throws -> Terms? {
      try loader.load(try folder.write(withRule(operations: "['register']", more: more))).settings.rules.rules.first?
        .terms
    }
    #expect(try terms("")?.attestation == nil)
    #expect(try terms(", attestation: 'any'")?.attestation == nil)
    #expect(try terms(", attestation: 'packed-self'")?.attestation == [.packedSelf])
    #expect(try terms(", attestation: ['tpm', 'none']")?.attestation == [.tpm, .none])
    #expect(try terms(", enterpriseAttestation: true")?.enterpriseAttestation == true)
    #expect(
      try complaint(withRule(more: ", attestation: ['tpm', 'pakced']"))?.contains(
        "rules[0].attestation[1]: there is no attestation \"pakced\": write \"packed\"") == true)
    #expect(
      try complaint(withRule(more: ", attestation: ['any', 'tpm']"))?.contains("rules[0].attestation[0]: ") == true)
    #expect(try complaint(withRule(more: ", attestation: []"))?.contains("no format is left") == true)
  }
}
