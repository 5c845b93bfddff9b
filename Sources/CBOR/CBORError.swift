/// Why bytes are not one data item in the CTAP2 canonical form.
package enum CBORError: Error, Equatable, Sendable {
  /// The bytes end before the item does; also a length or count that is greater than what is left could hold.
  case truncated
  /// Bytes follow the item.
  case trailingBytes
  /// An integer, length or count that has a shorter encoding.
  case nonMinimal
  /// An indefinite length, or a break.
  case indefiniteLength
  case tag
  /// A map whose keys are not in the canonical order.
  case unsortedKeys
  case duplicateKey
  /// More levels of arrays and maps than allowed.
  case tooDeep
  case invalidUTF8
  /// An encoding that RFC 8949 reserves (additional information 28 to 30) or forbids (simple values below 32 in two bytes).
  case reserved
}
