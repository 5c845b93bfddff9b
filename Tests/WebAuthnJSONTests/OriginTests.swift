import Testing
import WebAuthn

@Suite struct OriginTests {
  @Test(arguments: [
    ("https://login.example.com", "https://login.example.com"),
    ("HTTPS://Login.Example.COM", "https://login.example.com"),
    ("https://example.com:443", "https://example.com"),
    ("https://example.com:8443", "https://example.com:8443"),
    ("http://localhost", "http://localhost"),
    ("http://localhost:80", "http://localhost"),
    ("http://localhost:3000", "http://localhost:3000"),
    ("http://app.localhost:3000", "http://app.localhost:3000"),
    ("https://localhost:443", "https://localhost"),
    ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
  ])
  func parses(text: String, serialization: String) throws {
    #expect(try Origin(text).description == serialization)
  }

  @Test(arguments: [
    "", "example.com", "https:example.com", "ftp://example.com", "http://example.com", "http://notlocalhost",
    "https://", "https://example.com/", "https://example.com/path", "https://example.com?q", "https://example.com#f",
    "https://user@example.com", "https://exa mple.com", "https://example..com", "https://example.com.",
    "https://example.com:", "https://example.com:65536", "https://example.com:-1", "https://example.com:+1",
    "https://bücher.example", "https://192.0.2.1", "https://[::1]", "https://[::1]:8443", "https://1.2.3",
    "https://0x7f.0x1", "http://127.0.0.1", "http://[::1]", "https://-a.example", "https://a_b.example",
    "https://example.com\\evil.com",
  ])
  func refuses(text: String) {
    #expect(throws: Origin.Refusal.self) { try Origin(text) }
  }
}

@Suite struct RelyingPartyIDTests {
  @Test(arguments: [
    ("example.com", "https://example.com"), ("example.com", "https://login.example.com"),
    ("login.example.com", "https://login.example.com"), ("example.com", "https://login.example.com:8443"),
    ("example.com", "https://a.b.c.example.com"), ("localhost", "http://localhost:3000"),
    ("localhost", "https://localhost"),
    // Equality comes before the public suffix list, and names inside an intranet have no dot.
    ("github.io", "https://github.io"), ("intranet", "https://intranet"), ("foo.github.io", "https://a.foo.github.io"),
    ("example.co.uk", "https://www.example.co.uk"), ("app.localhost", "http://app.localhost"),
  ])
  func allows(relyingPartyID: String, origin: String) throws {
    try RelyingPartyID.check(relyingPartyID, isAllowedFor: Origin(origin))
  }

  @Test(arguments: [
    ("login.example.com", "https://example.com"), ("example.org", "https://example.com"),
    ("ample.com", "https://example.com"), ("b.example.com", "https://a.example.com"),
  ])
  func refusesOtherHosts(relyingPartyID: String, origin: String) {
    #expect(throws: RelyingPartyID.Refusal.otherHost(origin: origin)) {
      try RelyingPartyID.check(relyingPartyID, isAllowedFor: Origin(origin))
    }
  }

  @Test(arguments: [
    ("com", "https://example.com"), ("co.uk", "https://example.co.uk"), ("github.io", "https://foo.github.io"),
    ("localhost", "http://app.localhost"), ("unlisted", "https://host.unlisted"), ("ck", "https://www.ck"),
    ("anything.ck", "https://example.anything.ck"),
  ])
  func refusesPublicSuffixes(relyingPartyID: String, origin: String) {
    #expect(throws: RelyingPartyID.Refusal.publicSuffix) {
      try RelyingPartyID.check(relyingPartyID, isAllowedFor: Origin(origin))
    }
  }

  @Test(arguments: [
    "", ".", "example.com.", ".example.com", "Example.com", "bücher.example", "192.0.2.1", "::1", "a b", "a/b", "a..b",
    "example.com:443", "https://example.com", String(repeating: "a", count: 64) + ".com",
    String(repeating: "abcdefg.", count: 32) + "com",
  ])
  func refusesWhatIsNoDomain(relyingPartyID: String) throws {
    let origin = try Origin("https://example.com")
    #expect {
      try RelyingPartyID.check(relyingPartyID, isAllowedFor: origin)
    } throws: {
      if case RelyingPartyID.Refusal.notADomain = $0 { true } else { false }
    }
  }
}
