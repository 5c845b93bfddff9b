/// Why a stream of frames can no longer be trusted: where the next frame begins is unknown.
package enum FrameError: Error, Equatable, Sendable {
  /// N is 0: there is no command byte.
  case empty
  /// N is over ``Frame/maximumLength``.
  case tooLong(UInt32)

  /// What an ERROR frame says of it.
  package var status: CTAPHIDError { .invalidLength }
}

/// Cuts a stream of bytes into frames. A value state machine without I/O and clock.
///
/// It keeps at most one unfinished frame, of which it stores only what has arrived: N is checked as soon as its four
/// bytes are there, before anything else is kept, and reserves nothing. After a ``FrameError`` it throws that error
/// for ever.
package struct FrameReader: Sendable {
  private enum State {
    case length(value: UInt32, count: Int)
    case command(length: Int)
    case payload(code: UInt8, bytes: [UInt8], missing: Int)
    case failed(FrameError)
  }

  private var state = State.length(value: 0, count: 0)

  package init() {}

  /// Whether a frame has begun and is not whole yet.
  package var isMidFrame: Bool {
    switch state {
    case .length(_, let count): count > 0
    case .command, .payload: true
    case .failed: false
    }
  }

  /// Takes bytes from the front of `input` until one frame is whole or `input` is empty.
  ///
  /// - Parameter input: what has arrived; what the frame did not need stays in it
  /// - Returns: the frame, or nil if more bytes are needed
  /// - Throws: ``FrameError``; the stream is lost
  package mutating func next(from input: inout ArraySlice<UInt8>) throws(FrameError) -> Frame? {
    if case .failed(let error) = state { throw error }
    while let byte = input.first {
      switch state {
      case .length(let value, let count):
        input.removeFirst()
        let value = value << 8 | UInt32(byte)
        state = count == 3 ? .command(length: try check(value)) : .length(value: value, count: count + 1)
      case .command(let length):
        input.removeFirst()
        if let frame = advance(code: byte, bytes: [], missing: length - 1) { return frame }
      case .payload(let code, var bytes, let missing):
        // The array must have one owner, or appending copies it.
        state = .length(value: 0, count: 0)
        let part = input.prefix(missing)
        bytes.append(contentsOf: part)
        input.removeFirst(part.count)
        if let frame = advance(code: code, bytes: bytes, missing: missing - part.count) { return frame }
      case .failed(let error):
        throw error
      }
    }
    return nil
  }

  private mutating func advance(code: UInt8, bytes: consuming [UInt8], missing: Int) -> Frame? {
    if missing > 0 {
      state = .payload(code: code, bytes: bytes, missing: missing)
      return nil
    }
    state = .length(value: 0, count: 0)
    return Frame(code: code, payload: bytes)
  }

  private mutating func check(_ length: UInt32) throws(FrameError) -> Int {
    if length > 0 && length <= Frame.maximumLength { return Int(length) }
    let error = length == 0 ? FrameError.empty : .tooLong(length)
    state = .failed(error)
    throw error
  }
}
