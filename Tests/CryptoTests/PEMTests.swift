import Crypto
import TestSupport
import Testing

@Suite struct PEMTests {
  @Test(arguments: [0, 1, 2, 3, 47, 48, 49, 1000])
  func readsWhatItWrites(count: Int) {
    let content = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7) }
    let text = PEM.encode(content, label: PEM.certificate)
    #expect(PEM.decode(Array(text.utf8), label: PEM.certificate) == [content])
    #expect(PEM.decode(Array(text.utf8), label: PEM.revocationList) == [])
    let twice = "Subject: x\r\n" + text.replacing("\n", with: "\r\n") + "\n" + text
    #expect(PEM.decode(Array(twice.utf8), label: PEM.certificate) == [content, content])
  }

  /// RFC 4648 section 10.
  @Test(arguments: [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")])
  func base64(text: String, encoded: String) {
    #expect(Base64.encode(Array(text.utf8)) == encoded)
    #expect(Base64.decode(Array(encoded.utf8)) == Array(text.utf8))
  }

  @Test(arguments: ["Zg", "Zg=", "Zh==", "Zg==Zg==", "Z", "Zm9*", "Zm9v ", "====", "Zm9_"])
  func refusesOtherBase64(text: String) {
    #expect(Base64.decode(Array(text.utf8)) == nil)
  }

  @Test(arguments: [
    "-----BEGIN CERTIFICATE-----\nZg==\n", "-----BEGIN CERTIFICATE-----\nZg==\n-----END X509 CRL-----",
    "-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nZg==\n-----END CERTIFICATE-----",
    "-----BEGIN CERTIFICATE-----\nZg\n-----END CERTIFICATE-----", "-----END CERTIFICATE-----",
  ])
  func refusesOthers(text: String) {
    #expect(PEM.decode(Array(text.utf8), label: PEM.certificate) == nil)
  }
}
