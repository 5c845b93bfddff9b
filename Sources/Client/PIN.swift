internal import CTAP
internal import CUnicode
package import Secrets

/// A PIN as it goes to an authenticator: UTF-8 in Unicode normalization form C (CTAP 2.1 section 6.5.1), so that it is
/// the same PIN on whatever keyboard it is typed. A class, since a secret is never copied.
package final class PIN: Sendable {
  /// Why a text can be nobody's PIN.
  package enum Problem: Error, Equatable, Sendable {
    case tooLong
    case notText
  }

  /// Bytes of the longest PIN.
  package static let maximumCount = PINFormat.maximumCount
  /// Normalization makes a text three times shorter at the most, as in Korean.
  private static let longestTyped = 3 * maximumCount

  let text: SecretBytes
  /// Unicode code points, in which its length is measured.
  package let codePoints: Int

  /// - Parameter typed: the text without a line end
  /// - Throws: ``Problem``, or `SecretMemoryError`
  package init(_ typed: borrowing SecretBytes) throws {
    text = try PIN.normalized(typed)
    codePoints = text.reveal { span in span.indices.count { span[$0] & 0xc0 != 0x80 } }
  }

  private static func normalized(_ typed: borrowing SecretBytes) throws -> SecretBytes {
    guard typed.count <= longestTyped else { throw Problem.tooLong }
    var count = 0
    let room = try SecretBytes(count: 3 * longestTyped) { room in
      count = try typed.reveal { span throws(Problem) in try normalize(span, into: &room) }
    }
    guard count <= maximumCount else { throw Problem.tooLong }
    return try SecretBytes(count: count) { text in
      room.reveal { span in for index in 0..<count { text[index] = span[index] } }
    }
  }

  /// - Returns: how many bytes there are now
  private static func normalize(_ typed: Span<UInt8>, into room: inout MutableSpan<UInt8>) throws(Problem) -> Int {
    // Zeros are what PINs are padded with.
    for index in typed.indices where typed[index] == 0 { throw .notText }
    var count = 0
    let isDone = unsafe typed.withUnsafeBufferPointer { typed in
      unsafe room.withUnsafeMutableBufferPointer { room in
        unsafe cs_normalize_nfc(typed.baseAddress, typed.count, room.baseAddress, room.count, &count)
      }
    }
    guard isDone == 1 else { throw .notText }
    return count
  }

  package func isEqual(to other: PIN) -> Bool { text.isEqual(to: other.text) }

  /// The form of a new PIN.
  func padded() throws -> SecretBytes {
    try SecretBytes(count: PINFormat.paddedCount) { padded in
      text.reveal { span in for index in span.indices { padded[index] = span[index] } }
    }
  }
}
