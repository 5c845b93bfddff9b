/// How long a TPM takes for its commands, from what makers and users have published.
struct LatencyProfile: Equatable, Sendable {
  /// As `--chips` and the documents name it.
  let name: String
  /// For a reader: which chip, and whose figures.
  let explanation: String
  /// Milliseconds of a command that is not in ``milliseconds``.
  let otherwise: Double
  /// Milliseconds by command code (TPM_CC).
  let milliseconds: [UInt32: Double]

  /// Nanoseconds that a command takes.
  func nanoseconds(of code: UInt32) -> UInt64 {
    UInt64(max(0, (milliseconds[code] ?? otherwise) * 1e6))
  }

  /// Adds nothing: for counting commands and the TPM's own time.
  static let none = LatencyProfile(name: "none", explanation: "no added latency", otherwise: 0, milliseconds: [:])

  /// The same for every command, so that whatever is added to it is the daemon's.
  static let flat = LatencyProfile(
    name: "40 ms", explanation: "40 ms for every command", otherwise: 40, milliseconds: [:])

  /// Signing as wolfTPM's README has it for the SLB9672; creation of an ECC key in the middle of its 52 to 311 ms; loading
  /// as long as signing, and the rest at 20 ms, the least that discrete chips are known for.
  static let discrete = LatencyProfile(
    name: "discrete chip", explanation: "TPM2_Sign 36 ms (SLB9672), creation 180 ms, TPM2_Load 36 ms, others 20 ms",
    otherwise: 20,
    milliseconds: [
      TPMCommandCode.sign: 36, TPMCommandCode.create: 180, TPMCommandCode.createPrimary: 180, TPMCommandCode.load: 36,
    ])

  /// Signing as wolfTPM's README has it for a firmware TPM behind the kernel's resource manager. The rest is in the same
  /// ratio to signing as that of the discrete chip.
  static let firmware = LatencyProfile(
    name: "firmware TPM", explanation: "TPM2_Sign 45 ms (Orin), creation 225 ms, TPM2_Load 45 ms, others 25 ms",
    otherwise: 25,
    milliseconds: [
      TPMCommandCode.sign: 45, TPMCommandCode.create: 225, TPMCommandCode.createPrimary: 225, TPMCommandCode.load: 45,
    ])

  static let chips = [flat, discrete, firmware]
}

/// Command codes (TPM 2.0 Library, part 2, section 6.5.2) that are told apart here.
enum TPMCommandCode {
  static let createPrimary: UInt32 = 0x131
  static let create: UInt32 = 0x153
  static let load: UInt32 = 0x157
  static let sign: UInt32 = 0x15D
}
