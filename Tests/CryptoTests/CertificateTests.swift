import Crypto
import TestSupport
import Testing
import WebAuthn

@Suite struct CertificateTests {
  let authority = TestAuthority()
  let key = TestKey()

  var template: CertificateTemplate {
    authority.leaf(for: key, subject: DistinguishedName([[NameAttribute(ObjectIdentifier([2, 5, 4, 3]), "leaf")]]))
  }

  @Test func readsWhatIsIssued() throws {
    let certificate = authority.issue(template)
    #expect(certificate.version == 3)
    #expect(certificate.serialNumber == [7])
    #expect(certificate.issuer == authority.name)
    #expect(certificate.subject == template.subject)
    #expect(certificate.notBefore == TestAuthority.begin)
    #expect(certificate.notAfter == TestAuthority.end)
    #expect(certificate.publicKey == key.publicKey.subjectPublicKeyInfo)
    #expect(certificate.extensions == template.extensions)
    #expect(try Certificate(der: certificate.der) == certificate)
  }

  @Test func readsOtherVersions() throws {
    var old = template
    old.version = 1
    old.extensions = []
    #expect(authority.issue(old).version == 1)
  }

  @Test func refusesOtherBytes() throws {
    let der = authority.issue(template).der
    for bad in [[], [0x30], Array(der.dropLast()), der + [0], Array(der.dropFirst())] {
      #expect(throws: CertificateError.self) { try Certificate(der: bad) }
    }
    // No cut and no flipped bit may trap; what is still a certificate is another one.
    for index in der.indices {
      _ = try? Certificate(der: Array(der.prefix(index)))
      var flipped = der
      flipped[index] ^= 0x81
      if let other = try? Certificate(der: flipped) { #expect(other.der == flipped) }
    }
  }

  @Test func refusesExtensionsThatAreThereTwice() {
    var twice = template
    twice.extensions.append(twice.extensions[0])
    #expect(throws: CertificateError("extensions")) { try Certificate(der: authority.encoded(twice)) }
  }

  @Test(arguments: [
    (0, "700101000000Z"), (-1, "691231235959Z"), (951_782_400, "000229000000Z"), (1_709_210_096, "240229123456Z"),
    (2_524_607_999, "491231235959Z"), (2_524_608_000, "20500101000000Z"), (4_107_542_400, "21000301000000Z"),
    (CertificateTime.never, "99991231235959Z"),
  ])
  func times(seconds: Int64, text: String) {
    let encoded = CertificateTime.encode(seconds)
    #expect(String(decoding: encoded.dropFirst(2), as: UTF8.self) == text)
    var long = template
    long.notBefore = seconds
    #expect(authority.issue(long).notBefore == seconds)
  }

  @Test func timesOfFourCenturies() {
    var other = template
    for day in stride(from: Int64(-7300), to: 140_000, by: 13) {
      other.notBefore = day * 86_400 + 4_000
      let encoded = authority.encoded(other)
      #expect((try? Certificate(der: encoded))?.notBefore == other.notBefore)
    }
  }

  @Test(arguments: [
    ([UInt32](arrayLiteral: 2, 5, 29, 37), "551d25"), ([1, 3, 6, 1, 4, 1, 45724, 1, 1, 4], "2b0601040182e51c010104"),
    ([2, 23, 133, 8, 3], "6781050803"),
  ])
  func objectIdentifiers(components: [UInt32], hex: String) {
    let identifier = ObjectIdentifier(components)
    #expect(identifier.content.hex == hex)
    #expect(identifier.description == components.map(String.init).joined(separator: "."))
  }

  @Test func decodesPublicKeys() {
    for algorithm in [TestKey(.es256), TestKey(.es384), TestKey(.rs256)] {
      let encoded = algorithm.publicKey.subjectPublicKeyInfo
      #expect(SubjectPublicKeyInfo.decode(encoded)?.encoded == encoded)
      #expect(SubjectPublicKeyInfo.decode(encoded + [0]) == nil)
      #expect(SubjectPublicKeyInfo.decode(Array(encoded.dropLast())) == nil)
    }
    #expect(SubjectPublicKeyInfo.decode([]) == nil)
  }
}

@Suite struct CertificateChainTests {
  let authority = TestAuthority()
  let key = TestKey()
  let leafName = DistinguishedName([[NameAttribute(ObjectIdentifier([2, 5, 4, 3]), "leaf")]])

  func failure(
    _ change: (inout CertificateTemplate) -> Void = { _ in }, anchors: [Certificate]? = nil,
    lists: [RevocationList] = [], at time: Int64 = TestAuthority.now
  ) -> CertificateChain.Failure? {
    var template = authority.leaf(for: key, subject: leafName)
    change(&template)
    do {
      let anchor = try CertificateChain.validate(
        authority.issue(template), intermediates: [], anchors: anchors ?? [authority.certificate],
        revocationLists: lists, at: time)
      return (anchors ?? [anchor]).contains(anchor) ? nil : .invalid("another anchor")
    } catch {
      return error
    }
  }

  @Test func acceptsWhatAnAnchorIssued() {
    #expect(failure() == nil)
    #expect(failure(lists: [authority.revocationList(of: [])]) == nil)
    #expect(failure(lists: [authority.revocationList(of: [[8]])]) == nil)
    #expect(failure(at: TestAuthority.begin) == nil)
  }

  @Test func refusesStrangers() {
    #expect(failure(anchors: []) == .noAnchor)
    #expect(failure(anchors: [TestAuthority("Other").certificate]) == .noAnchor)
    // One of the same name.
    #expect(failure(anchors: [TestAuthority().certificate]) != nil)
    let self1 = TestAuthority("Self")
    #expect(throws: CertificateChain.Failure.noAnchor) {
      try CertificateChain.validate(
        self1.certificate, intermediates: [], anchors: [authority.certificate], revocationLists: [],
        at: TestAuthority.now)
    }
  }

  @Test func refusesOtherTimes() {
    #expect(failure(at: TestAuthority.begin - 1) == .notYetValid)
    #expect(failure(at: TestAuthority.end + 1) == .expired)
    #expect(failure({ $0.notAfter = TestAuthority.now - 1 }) == .expired)
  }

  @Test func refusesWhatIsRevoked() {
    #expect(failure(lists: [authority.revocationList(of: [[7]])]) == .revoked)
    #expect(failure(lists: [TestAuthority("Other").revocationList(of: [])]) == .noRevocationList)
    let old = authority.revocationList(of: [], until: TestAuthority.now - 1)
    #expect(failure(lists: [old]) == .revocationListExpired)
    // A list of the same name that somebody else signed.
    #expect(failure(lists: [TestAuthority().revocationList(of: [])]) != nil)
  }

  @Test func refusesWrongSignatures() {
    var der = authority.issue(authority.leaf(for: key, subject: leafName)).der
    der[der.count - 1] ^= 1
    #expect(throws: CertificateChain.Failure.signature) {
      try CertificateChain.validate(
        Certificate(der: der), intermediates: [], anchors: [authority.certificate], revocationLists: [],
        at: TestAuthority.now)
    }
  }

  @Test func refusesWhatItDoesNotUnderstand() {
    #expect(
      failure({ $0.extensions.append(CertificateExtension(ObjectIdentifier([1, 3, 9]), isCritical: true, [5, 0])) })
        == .invalid("unhandled critical extension"))
    #expect(failure({ $0.extensions.append(CertificateExtension(ObjectIdentifier([1, 3, 9]), [5, 0])) }) == nil)
  }

  @Test func followsIntermediates() throws {
    let middle = TestAuthority("Middle")
    var template = middle.template
    template.issuer = authority.name
    template.extensions.append(contentsOf: authority.leaf(for: middle.key, subject: middle.name).extensions[2...2])
    let intermediate = authority.issue(template)
    let leaf = middle.issue(middle.leaf(for: key, subject: leafName))
    func validate(_ between: [Certificate], _ anchors: [Certificate], _ lists: [RevocationList] = []) throws {
      _ = try CertificateChain.validate(
        leaf, intermediates: between, anchors: anchors, revocationLists: lists, at: TestAuthority.now)
    }
    try validate([intermediate], [authority.certificate])
    // Pinned, it is an anchor that needs nothing above it, and no list of what is above it.
    try validate([], [intermediate])
    try validate([], [intermediate], [middle.revocationList(of: [])])
    #expect(throws: CertificateChain.Failure.noAnchor) { try validate([], [authority.certificate]) }
    #expect(throws: CertificateChain.Failure.noRevocationList) {
      try validate([intermediate], [authority.certificate], [authority.revocationList(of: [])])
    }
    #expect(throws: CertificateChain.Failure.revoked) {
      try validate(
        [intermediate], [authority.certificate], [authority.revocationList(of: [[1]]), middle.revocationList(of: [])])
    }
    // What is no authority issues nothing.
    let wrong = authority.issue(authority.leaf(for: middle.key, subject: middle.name))
    #expect(throws: CertificateChain.Failure.self) { try validate([wrong], [authority.certificate]) }
  }
}
