import Testing

@testable import Policy

struct RelyingPartyPatternTests {
  @Test(arguments: [
    ("example.com", "example.com"),
    ("localhost", "localhost"),
    ("*", "example.com"), ("*", "ssh:"), ("*", "anything at all"),
    ("*.example.com", "a.example.com"), ("*.example.com", "a.b.example.com"), ("*.example.com", "x-1_y.example.com"),
    ("ssh:", "ssh:"), ("ssh:deploy", "ssh:deploy"),
    ("xn--bcher-kva.example", "xn--bcher-kva.example"),
  ])
  func matches(_ pattern: String, _ party: String) throws {
    #expect(try RelyingPartyPattern(pattern).matches(party))
    #expect(try RelyingPartyPattern(pattern).description == pattern)
  }

  @Test(arguments: [
    ("example.com", "Example.com"), ("example.com", "example.com."), ("example.com", "a.example.com"),
    ("example.com", "example.co"), ("example.com", "example.com\0"), ("example.com", ""),
    ("*.example.com", "example.com"), ("*.example.com", ".example.com"), ("*.example.com", "a..example.com"),
    ("*.example.com", "badexample.com"), ("*.example.com", "A.example.com"), ("*.example.com", "a.example.com."),
    ("*.example.com", "a/b.example.com"), ("*.example.com", "a.EXAMPLE.com"), ("*.example.com", "*.example.com"),
    ("*.example.com", "a.example.com.evil.test"), ("*.example.com", "é.example.com"),
    ("ssh:", "ssh:a"),
    // Canonically equivalent, and yet other bytes: U+037E is a Greek question mark.
    ("ssh:a;b", "ssh:a\u{37e}b"),
  ])
  func doesNotMatch(_ pattern: String, _ party: String) throws {
    #expect(try !RelyingPartyPattern(pattern).matches(party))
  }

  @Test(arguments: [
    ("", "domain name such as"), ("*example.com", #"write "*.example.com""#), ("a.*", "\"*.example.com\""),
    ("*.", "labels"), ("*.*.example.com", "\"*.example.com\""), ("**", "\"*.example.com\""),
    ("Example.com", #"write "example.com""#), ("*.Example.com", #"write "*.example.com""#),
    ("bücher.example", "xn--"), ("https://Deploy.example.com:8443/x", #"write "deploy.example.com""#),
    ("localhost:8080", #"write "localhost", without a port"#), ("example.com.", "labels"), ("a..b", "labels"),
    (".dummy", "labels"), ("exa mple.com", "labels"), ("example.com\n", "labels"), ("192.0.2.1", "name"),
    ("ssh:a b", "printable"), ("ssh:*", "in full"), (String(repeating: "a", count: 64) + ".example", "labels"),
  ])
  func isNoPattern(_ text: String, _ advice: String) {
    do throws(PatternError) {
      let pattern = try RelyingPartyPattern(text)
      Issue.record("\(text) was taken for \(pattern)")
    } catch {
      #expect(error.advice.contains(advice), "\(error)")
    }
  }

  /// Covering is what matching says of every RP ID that can be thought of here.
  @Test func coversAgreesWithMatches() throws {
    let patterns = try ["*", "a.example", "x.a.example", "*.a.example", "*.x.a.example", "*.example", "ssh:"].map {
      try RelyingPartyPattern($0)
    }
    let parties = [
      "a.example", "x.a.example", "y.a.example", "z.x.a.example", "b.example", "example", "ssh:", "other",
    ]
    for outer in patterns {
      for inner in patterns {
        let expected = parties.filter { inner.matches($0) }.allSatisfy { outer.matches($0) }
        #expect(outer.covers(inner) == expected, "\(outer) covers \(inner)")
      }
    }
  }
}
