import Testing

@testable import TPM

@Suite struct TPMErrorTests {
  /// Codes of the TPM 2.0 Library, part 2, table 16, as chips send them: format one with its parameter, session or
  /// handle number; and with the layers of the kernel's and the userspace resource manager.
  @Test(
    arguments: [
      (0x922, .retry), (0x908, .retry), (0x90A, .retry), (0x920, .retry), (0x923, .retry),
      (0x902, .objectMemory), (0x904, .objectMemory), (0x906, .objectMemory),
      (0x903, .sessionMemory), (0x905, .sessionMemory),
      (0x100, .notStarted), (0x101, .failureMode), (0x921, .lockout),
      (0x910, .staleHandle), (0x916, .staleHandle), (0x918, .staleHandle), (0x91E, .staleHandle),
      (0x18B, .staleHandle), (0x28B, .staleHandle), (0x98B, .staleHandle),
      (0x98E, .authorization), (0x9A2, .authorization), (0xAA2, .authorization),
      (0x2A6, .unsupported), (0x143, .unsupported), (0x2C3, .unsupported),
      (0x1DF, .damaged), (0x2D5, .damaged),
      (0x1C4, .other), (0x128, .other), (0x14C, .other),
      (0xB0922, .retry), (0xC0902, .objectMemory),
      (0xA000A, .connectionLost), (0xA0008, .connectionLost), (0x70007, .connectionLost), (0x80011, .connectionLost),
      (0x7001B, .other), (0x9000B, .damaged), (0x70018, .other), (0xFF0001, .other), (1, .other),
    ] as [(UInt32, TPMError.Kind)])
  func codesAreToldApart(code: UInt32, kind: TPMError.Kind) {
    #expect(TPMError(operation: "TPM2_Sign", code: code).kind == kind)
  }

  /// Not TPM_RC_SUCCESS + 1, which decodes to something about "version 1.2".
  @Test(arguments: [
    ("TPM2_PolicyPCR", 0x1C4, true), ("TPM2_PolicyPCR", 0x0B_01C4, true), ("TPM2_PolicyPCR", 0x084, true),
    ("TPM2_Sign", 0x128, true), ("TPM2_Unseal", 0x0B_0128, true), ("TPM2_Sign", 0x1C4, false),
    ("TPM2_PolicyPCR", 0x101, false), ("TPM2_PolicyPCR", 0x07_0084, false), ("TPM2_PolicyPCR", 0x1D5, false),
  ])
  func anotherBootIsToldApart(operation: String, code: UInt32, expected: Bool) {
    #expect(TPMError(operation: operation, code: code).isOfAnotherBoot == expected)
  }

  @Test func ourOwnErrorsSayWhatTheyMean() {
    let malformed = TPMError.malformedResponse("TPM2_Sign")
    #expect(malformed.description == "TPM2_Sign: esapi:Response is malformed (0x70011)")
    #expect(malformed.kind == .connectionLost)
    #expect(TPMError.opening("open", 0xA000A).code == 0xA000A)
    #expect(TPMError.opening("open", 0).description.hasPrefix("open: tcti:Failed to allocate memory"))
  }

  @Test func theTextNamesCommandAndCode() {
    let text = TPMError(operation: "TPM2_Sign", code: 0x98E).description
    #expect(text.hasPrefix("TPM2_Sign: ") && text.hasSuffix("(0x98e)"))
  }
}
