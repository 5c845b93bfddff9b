/// Who made a TPM, by the identifier of the TCG's TPM Vendor ID Registry: what TPM_PT_MANUFACTURER says.
package struct TPMVendor: Hashable, Sendable {
  /// Two to four capital letters and digits, e.g. `IFX`.
  package let name: String

  /// As in the attribute 2.23.133.2.1 (TCG EK Credential Profile section 3.1.2): `id:` and four characters in hexadecimal,
  /// zeros or blanks after a shorter name.
  ///
  /// - Returns: nil for other texts, and for identifiers that are not of the registry
  package init?(identifier text: String) {
    guard text.utf8.count == 11, text.hasPrefix("id:") else { return nil }
    let digits = text.utf8.dropFirst(3).map { Character(Unicode.Scalar($0)) }
    guard digits.allSatisfy({ $0.isHexDigit && !$0.isLowercase }) else { return nil }
    let values = digits.compactMap(\.hexDigitValue)
    var bytes = stride(from: 0, to: 8, by: 2).map { UInt8(values[$0] << 4 | values[$0 + 1]) }
    while bytes.last == 0 || bytes.last == UInt8(ascii: " ") { bytes.removeLast() }
    self.init(name: String(decoding: bytes, as: UTF8.self))
  }

  /// The inverse of ``init(identifier:)``, with zeros.
  package var identifier: String {
    let bytes = Array(name.utf8) + [UInt8](repeating: 0, count: 4 - name.utf8.count)
    let digits = Array("0123456789ABCDEF")
    return "id:" + String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 0xf)]] })
  }

  /// - Returns: nil for names that are not of the registry
  package init?(name: String) {
    guard TPMVendor.names.contains(name) else { return nil }
    self.name = name
  }

  package static let registered = Set(names.compactMap(TPMVendor.init(name:)))

  private static let names: Set<String> = [
    "AMD", "ANT", "ATML", "BRCM", "CSCO", "FLYS", "GOOG", "HISI", "HPE", "HPI", "IBM", "IFX", "INTC", "LEN", "MSFT",
    "NSG", "NSM", "NTC", "NTZ", "PRIV", "QCOM", "ROCC", "SEAL", "SECE", "SMSC", "SMSN", "SNS", "STM", "TXN", "WEC",
  ]
}
