internal import CCBOR

/// One step of libcbor's streaming decoder: a whole scalar or string, or the head of an array or map.
///
/// This file and `HeadEncoder.swift` are the only ones of this room that touch C.
struct StreamItem {
  enum Kind {
    case unsigned, negative, bytes, text, array, map, boolean, null, undefined, simple
    case float16, float32, float64
    case tag, indefinite
  }

  let kind: Kind
  /// The integer; the length of a string, the count of an array or map; 1 for true.
  let argument: UInt64
  /// The bytes that the item takes: of a string all, of an array or map only the head.
  let byteCount: Int

  /// Reads the item at the start of `input`.
  static func read(from input: Span<UInt8>) throws(CBORError) -> StreamItem {
    guard !input.isEmpty else { throw .truncated }
    if let item = try simple(input) { return item }
    var event = Event(kind: nil, argument: 0)
    var callbacks = Event.callbacks
    let result = unsafe input.withUnsafeBufferPointer { bytes in
      unsafe cbor_stream_decode(bytes.baseAddress, bytes.count, &callbacks, &event)
    }
    switch result.status {
    case CBOR_DECODER_FINISHED:
      guard let kind = event.kind else { throw .reserved }
      return StreamItem(kind: kind, argument: event.argument, byteCount: result.read)
    case CBOR_DECODER_NEDATA: throw .truncated
    default: throw .reserved
    }
  }

  /// A simple value without a name, all of which libcbor refuses (CTAP2 does not).
  private static func simple(_ input: Span<UInt8>) throws(CBORError) -> StreamItem? {
    switch input[0] {
    case 0xe0...0xf3: return StreamItem(kind: .simple, argument: UInt64(input[0] & 0x1f), byteCount: 1)
    case 0xf8:
      guard input.count > 1 else { throw .truncated }
      guard input[1] >= 32 else { throw .reserved }
      return StreamItem(kind: .simple, argument: UInt64(input[1]), byteCount: 2)
    default: return nil
    }
  }
}

/// What the callbacks leave behind. They note kind and length only: content is taken from the input afterwards, so no
/// pointer outlives the call.
private struct Event {
  var kind: StreamItem.Kind?
  var argument: UInt64

  /// The imported `size_t` is an `Int`, but counts reach up to 2^64 - 1.
  static var callbacks: cbor_callbacks {
    unsafe cbor_callbacks(
      uint8: { unsafe note($0, .unsigned, UInt64($1)) },
      uint16: { unsafe note($0, .unsigned, UInt64($1)) },
      uint32: { unsafe note($0, .unsigned, UInt64($1)) },
      uint64: { unsafe note($0, .unsigned, $1) },
      negint64: { unsafe note($0, .negative, $1) },
      negint32: { unsafe note($0, .negative, UInt64($1)) },
      negint16: { unsafe note($0, .negative, UInt64($1)) },
      negint8: { unsafe note($0, .negative, UInt64($1)) },
      byte_string_start: { unsafe note($0, .indefinite) },
      byte_string: { context, _, length in unsafe note(context, .bytes, UInt64(UInt(bitPattern: length))) },
      string: { context, _, length in unsafe note(context, .text, UInt64(UInt(bitPattern: length))) },
      string_start: { unsafe note($0, .indefinite) },
      indef_array_start: { unsafe note($0, .indefinite) },
      array_start: { unsafe note($0, .array, UInt64(UInt(bitPattern: $1))) },
      indef_map_start: { unsafe note($0, .indefinite) },
      map_start: { unsafe note($0, .map, UInt64(UInt(bitPattern: $1))) },
      tag: { unsafe note($0, .tag, $1) },
      float2: { context, _ in unsafe note(context, .float16) },
      float4: { context, _ in unsafe note(context, .float32) },
      float8: { context, _ in unsafe note(context, .float64) },
      undefined: { unsafe note($0, .undefined) },
      null: { unsafe note($0, .null) },
      boolean: { unsafe note($0, .boolean, $1 ? 1 : 0) },
      indef_break: { unsafe note($0, .indefinite) })
  }
}

private func note(_ context: UnsafeMutableRawPointer?, _ kind: StreamItem.Kind, _ argument: UInt64 = 0) {
  unsafe context?.assumingMemoryBound(to: Event.self).pointee = Event(kind: kind, argument: argument)
}
