import Secrets
import TestSupport
import Testing

@testable import TPM

@Suite struct TPMContextTests {
  /// A storage root key to work under.
  private func prepare(_ fixture: SoftwareTPMFixture) throws -> TPMReferencePair {
    var context = try TPMContext(tcti: fixture.tcti)
    try context.withSession(saltedWith: nil, encrypting: []) { context, session throws(TPMError) in
      try context.createStorageRoot(at: 0x8100_0001, session: session)
    }
    let found = try context.reference(to: 0x8100_0001)
    let parent = try #require(found)
    return TPMReferencePair(context: context, parent: parent)
  }

  private struct TPMReferencePair: ~Copyable {
    var context: TPMContext
    let parent: TPMReference
  }

  @Test func theStorageRootIsTheTCGs() throws {
    let fixture = try SoftwareTPMFixture()
    var pair = try prepare(fixture)
    let serves = try pair.context.isStorageKey(pair.parent)
    #expect(serves)
    let name = try pair.context.name(of: pair.parent)
    #expect(name.prefix(2) == [0, 11] && name.count == 34)
    let held = try pair.context.handles(from: 0x8100_0000)
    #expect(held == [0x8100_0001])
    let loaded = try pair.context.handles(from: 0x8000_0000)
    #expect(loaded.isEmpty)
    let missing = try pair.context.reference(to: 0x8100_0002)
    #expect(missing == nil)
  }

  @Test func sealedDataComesBack() throws {
    let fixture = try SoftwareTPMFixture()
    var pair = try prepare(fixture)
    let parent = pair.parent
    let secret = try SecretBytes(count: 72) { span in
      for index in 0..<72 { span[index] = UInt8(index) }
    }
    let box = Box(secret)
    let sealed = try pair.context.withSession(saltedWith: parent, encrypting: .command) {
      context, session throws(TPMError) in try context.seal(box.secret, under: parent, session: session)
    }
    let object = try pair.context.load(sealed, under: parent)
    var result: [UInt8] = []
    try pair.context.withSession(saltedWith: parent, encrypting: .response) { context, session throws(TPMError) in
      do {
        let data = try context.unseal(object, session: session)
        result = data.reveal { span in (0..<span.count).map { span[$0] } }
      } catch {
        throw error as? TPMError ?? TPMError.malformedResponse("test")
      }
    }
    #expect(result == Array(0..<72))
    try pair.context.flush(object)
    let loaded = try pair.context.handles(from: 0x8000_0000)
    #expect(loaded.isEmpty)
  }

  /// A session is flushed where the body throws, too.
  @Test func sessionsAreFlushedOnBothPaths() throws {
    let fixture = try SoftwareTPMFixture()
    var pair = try prepare(fixture)
    let parent = pair.parent
    #expect(throws: TPMError.self) {
      try pair.context.withSession(saltedWith: parent, encrypting: []) { _, _ throws(TPMError) in
        throw TPMError.malformedResponse("test")
      }
    }
    let sessions = try pair.context.handles(from: 0x0200_0000)
    #expect(sessions.isEmpty)
  }

  @Test func aCounterHasNoValueBeforeItsFirstIncrement() throws {
    let fixture = try SoftwareTPMFixture()
    var pair = try prepare(fixture)
    let parent = pair.parent
    let box = Box(try SecretBytes.random(count: 32))
    try pair.context.withSession(saltedWith: parent, encrypting: .command) { context, session throws(TPMError) in
      try context.defineIndex(
        .counter, at: 0x0180_C500, tag: [UInt8](repeating: 5, count: 32), authorization: box.secret, session: session)
    }
    let information = try pair.context.informationOnIndex(0x0180_C500)
    #expect(information == NVIndexInformation(kind: .counter, isWritten: false, tag: [UInt8](repeating: 5, count: 32)))
    let found = try pair.context.reference(to: 0x0180_C500)
    let counter = try #require(found)
    #expect(throws: TPMError.self) { try pair.context.readCounter(counter, authorization: box.secret) }
    try pair.context.incrementCounter(counter, authorization: box.secret)
    let first = try pair.context.readCounter(counter, authorization: box.secret)
    try pair.context.incrementCounter(counter, authorization: box.secret)
    let second = try pair.context.readCounter(counter, authorization: box.secret)
    #expect(second == first + 1)
    let written = try pair.context.informationOnIndex(0x0180_C500)
    #expect(written?.isWritten == true)
    let wrong = Box(try SecretBytes.random(count: 32))
    #expect(throws: TPMError.self) { try pair.context.incrementCounter(counter, authorization: wrong.secret) }
    let lockout = try pair.context.informationOnIndex(0x0180_C501)
    #expect(lockout == nil)
  }

  /// What keeps counter values from being repeated by who removes the counter and defines it anew.
  @Test func aCounterThatIsDefinedAnewGoesOn() throws {
    let fixture = try SoftwareTPMFixture()
    var pair = try prepare(fixture)
    let box = Box(try SecretBytes.random(count: 32))
    var last: UInt64 = 0
    for _ in 0..<3 {
      try pair.context.withSession(saltedWith: pair.parent, encrypting: .command) { context, session throws(TPMError) in
        try context.undefineIndex(0x0180_C500, session: session)
        try context.defineIndex(.counter, at: 0x0180_C500, tag: [], authorization: box.secret, session: session)
      }
      let found = try pair.context.reference(to: 0x0180_C500)
      let counter = try #require(found)
      for _ in 0..<5 {
        try pair.context.incrementCounter(counter, authorization: box.secret)
        let value = try pair.context.readCounter(counter, authorization: box.secret)
        #expect(value > last)
        last = value
      }
    }
  }

  /// Data is read and written with its own authorization value alone, and no guess locks anything.
  @Test func dataIsForWhoHasItsAuthorization() throws {
    let fixture = try SoftwareTPMFixture()
    var pair = try prepare(fixture)
    let box = Box(try SecretBytes.random(count: 32))
    let tag = [UInt8](repeating: 5, count: 32)
    try pair.context.withSession(saltedWith: pair.parent, encrypting: .command) { context, session throws(TPMError) in
      try context.defineIndex(.data(count: 16), at: 0x0180_C500, tag: tag, authorization: box.secret, session: session)
    }
    let found = try pair.context.reference(to: 0x0180_C500)
    let index = try #require(found)
    #expect(throws: TPMError.self) { try pair.context.readIndex(index, count: 16, authorization: box.secret) }
    let before = try pair.context.informationOnIndex(0x0180_C500)
    #expect(before == NVIndexInformation(kind: .data(count: 16), isWritten: false, tag: tag))
    for value in UInt8(1)...3 {
      try pair.context.writeIndex(index, [UInt8](repeating: value, count: 16), authorization: box.secret)
      let read = try pair.context.readIndex(index, count: 16, authorization: box.secret)
      #expect(read == [UInt8](repeating: value, count: 16))
    }
    let after = try pair.context.informationOnIndex(0x0180_C500)
    #expect(after == NVIndexInformation(kind: .data(count: 16), isWritten: true, tag: tag))
    // Zeros at the end are no part of an authorization value: one zero is the empty one.
    let empty = Box(try SecretBytes(count: 1) { $0[0] = 0 })
    for _ in 0..<50 {
      let wrong = Box(try SecretBytes.random(count: 32))
      for other in [empty, wrong] {
        let reading = #expect(throws: TPMError.self) {
          try pair.context.readIndex(index, count: 16, authorization: other.secret)
        }
        let writing = #expect(throws: TPMError.self) {
          try pair.context.writeIndex(index, [UInt8](repeating: 9, count: 16), authorization: other.secret)
        }
        #expect(reading?.kind == .authorization && writing?.kind == .authorization)
      }
    }
    let last = try pair.context.readIndex(index, count: 16, authorization: box.secret)
    #expect(last == [UInt8](repeating: 3, count: 16))
    for size in [17, 5000] {
      #expect(throws: TPMError.self) {
        try pair.context.writeIndex(index, [UInt8](repeating: 9, count: size), authorization: box.secret)
      }
    }
  }

  /// Whatever bytes stand for a key: an error.
  @Test func damagedObjectsAreRefused() throws {
    var random = SeededGenerator()
    print("seed \(random.seed)")
    let fixture = try SoftwareTPMFixture()
    var pair = try prepare(fixture)
    let parent = pair.parent
    for _ in 0..<300 {
      let object = WrappedObject(
        publicArea: random.bytes(Int.random(in: 0..<200, using: &random)),
        privateArea: random.bytes(Int.random(in: 0..<3000, using: &random)))
      #expect(throws: TPMError.self) { try pair.context.load(object, under: parent) }
    }
  }

  @Test func propertiesSayWhoItIs() throws {
    let fixture = try SoftwareTPMFixture()
    var context = try TPMContext(tcti: fixture.tcti)
    let identity = try context.identity()
    #expect(identity.manufacturer == "IBM")
    #expect(identity.vendor.contains("TPM"))
    let kinds = try context.supportedKinds()
    #expect(kinds == TPMKeyKind.allCases)
    let unknown = try context.property(0x1FF)
    #expect(unknown == nil)
    let available = try context.availableSlots()
    #expect(identity.transientSlots == 3 && available == 3)
  }
}

final class Box {
  let secret: SecretBytes

  init(_ secret: consuming SecretBytes) {
    self.secret = secret
  }
}
