internal import Crypto
internal import Platform

/// A signature over the chain as it stands in a line.
///
/// The TPM has signed the SHA-256 of the line up to `,"attested"`: the time, the record and the hash of the line that
/// were the last when it was asked, the anchor and the key. The records that came while it worked stand between.
package struct SignedHead: Equatable, Sendable {
  /// The record that was the last.
  package let end: ChainEnd
  package let anchor: UInt64
  /// ``AuditKey/identifier``
  package let key: [UInt8]
  package let statement: AuditStatement
  /// SHA-256 of the line up to `,"attested"`.
  let digest: [UInt8]

  /// Takes the rest of a line whose link has been taken; nil where it is another record.
  init?(_ reader: inout ReverseReader, of line: [UInt8]) {
    guard reader.take("\""), let signature = reader.hexadecimal(), reader.take("\",\"signature\":\""),
      let attested = reader.hexadecimal(), reader.take(",\"attested\":\"")
    else { return nil }
    digest = SHA256.hash(Array(line[..<reader.end]))
    guard reader.take("\""), let key = reader.hexadecimal(count: SHA256.count), reader.take(",\"key\":\""),
      let anchor = reader.number(), reader.take(",\"anchor\":"),
      reader.take("\""), let hash = reader.hexadecimal(count: SHA256.count), reader.take(",\"headHash\":\""),
      let sequence = reader.number(), reader.take(",\"head\":"), reader.ends(in: "\"operation\":\"log.head\"")
    else { return nil }
    end = ChainEnd(sequence: sequence, hash: hash)
    self.anchor = anchor
    self.key = key
    statement = AuditStatement(attested: attested, signature: signature)
  }
}
