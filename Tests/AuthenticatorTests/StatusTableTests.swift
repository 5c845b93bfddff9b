import AuditLog
import Authenticator
import CBOR
import CTAP
import Policy
import TestSupport
import Testing
import WebAuthn

/// One way to every status that this authenticator gives. The others of the standard it cannot give:
///
/// * CTAP1_ERR_LOCK_REQUIRED and CTAP1_ERR_INVALID_CHANNEL are the transport's (CTAPHID).
/// * CTAP2_ERR_FP_DATABASE_FULL: there are no fingerprints.
/// * CTAP2_ERR_INVALID_CREDENTIAL: a credential that is not here is passed over (CTAP2_ERR_NO_CREDENTIALS).
/// * CTAP2_ERR_PROCESSING, CTAP2_ERR_USER_ACTION_PENDING, CTAP2_ERR_OPERATION_PENDING and CTAP2_ERR_NO_OPERATIONS: a
///   command is answered when it is done.
/// * CTAP2_ERR_USER_ACTION_TIMEOUT, CTAP2_ERR_ACTION_TIMEOUT: nobody's gesture is waited for.
/// * CTAP2_ERR_UP_REQUIRED: a rule is the presence; without one it is CTAP2_ERR_OPERATION_DENIED.
/// * CTAP2_ERR_UV_INVALID: a rule verifies or does not, no attempt of it can fail.
/// * CTAP2_ERR_SPEC_LAST, CTAP2_ERR_EXTENSION_FIRST and CTAP2_ERR_EXTENSION_LAST only mark ranges.
@Suite struct StatusTableTests {
  private typealias Way = @Sendable () async throws -> UInt8

  private struct Row: Sendable, CustomTestStringConvertible {
    let status: UInt8
    let way: Way

    init(_ status: UInt8, _ way: @escaping Way) {
      self.status = status
      self.way = way
    }

    var testDescription: String { CTAPStatus(rawValue: status).description }
  }

  private static func fresh(_ capacity: Int = 1000) throws -> Harness {
    try Harness(rules: [try Harness.anything()], capacity: capacity)
  }

  private static func raw(_ message: [UInt8]) async throws -> UInt8 {
    try await fresh().respond(message)[0]
  }

  private static func created(_ members: [(key: CBORValue, value: CBORValue?)]) async throws -> UInt8 {
    try await fresh().send(1, Harness.creation().with(members)).status
  }

  private static let messages: [Row] = [
    Row(Status.ok) { try await fresh().send(0x0b).status },
    Row(Status.invalidCommand) { try await raw([0x05]) },
    Row(Status.invalidParameter) { try await created([(10, 1)]) },
    Row(Status.invalidLength) { try await raw([]) },
    Row(Status.invalidSeq) { try await fresh().send(0x0c, [2: .bytes([1]), 3: 5]).status },
    Row(Status.unexpectedType) { try await created([(1, "text")]) },
    Row(Status.invalidCBOR) { try await raw([0x01, 0xff]) },
    Row(Status.missingParameter) { try await created([(2, nil)]) },
    Row(Status.limitExceeded) { try await created([(5, Harness.list((0..<65).map { [UInt8($0)] }))]) },
    Row(Status.largeBlobStorageFull) { try await fresh().send(0x0c, [2: .bytes([]), 3: 0, 4: 65537]).status },
    Row(Status.unsupportedAlgorithm) { try await created([(4, .array([]))]) },
    Row(Status.unsupportedOption) {
      try await fresh().send(2, Harness.request().with([(5, .map(["rk": true]))])).status
    },
    Row(Status.invalidOption) { try await created([(7, .map(["up": false]))]) },
    Row(Status.noCredentials) { try await fresh().send(2, Harness.request()).status },
    Row(Status.notAllowed) { try await fresh().send(8).status },
    Row(Status.pinNotSet) { try await created([(8, .bytes([]))]) },
    Row(Status.requestTooLarge) { try await raw([UInt8](repeating: 1, count: 7610)) },
    Row(Status.integrityFailure) {
      try await fresh().send(0x0c, Harness.blobs([UInt8](repeating: 1, count: 17), at: 0, of: 17)).status
    },
    Row(Status.invalidSubcommand) { try await fresh().send(0x0d, [1: 9]).status },
  ]

  private static let states: [Row] = [
    Row(Status.channelBusy) {
      let harness = try fresh()
      await harness.keys.fail(with: .busy)
      #expect(try await failing(harness, harness.keys.faults) == Status.channelBusy)
      await harness.keys.fail(with: .overloaded("too much before it"))
      return try await failing(harness, harness.keys.faults)
    },
    Row(Status.timeout) {
      let harness = try fresh()
      await harness.keys.fail(with: .timedOut("waited"))
      return try await failing(harness, harness.keys.faults)
    },
    Row(Status.credentialExcluded) {
      let harness = try fresh()
      let id = try await harness.register()
      return try await harness.send(1, Harness.creation().with([(5, Harness.list([id]))])).status
    },
    Row(Status.operationDenied) {
      try await fresh().send(1, Harness.creation(), from: Harness.caller(connection: 2, user: 1001)).status
    },
    Row(Status.keyStoreFull) { try await fresh(0).send(1, Harness.creation()).status },
    Row(Status.keepaliveCancel) {
      let harness = try fresh()
      let id = try await harness.register()
      let signing = await harness.heldSignature(with: id)
      signing.cancel()
      await harness.keys.letGo()
      return try await signing.value
    },
    Row(Status.other) {
      let harness = try fresh()
      await harness.keys.fail(with: .counterExhausted)
      return try await failing(harness, harness.keys.faults)
    },
    Row(Status.tpmUnavailable) {
      let harness = try fresh()
      return try await failing(harness, harness.keys.faults)
    },
    Row(Status.storageUnavailable) {
      let harness = try fresh()
      return try await failing(harness, harness.store.faults)
    },
    Row(Status.auditUnavailable) {
      let harness = try fresh()
      return try await failing(harness, harness.audit.faults)
    },
  ]

  private static func failing(_ harness: Harness, _ plan: FaultPlan) async throws -> UInt8 {
    plan.fail(at: 1)
    return try await harness.send(1, Harness.creation()).status
  }

  private static let pins: [Row] = [
    Row(Status.pinInvalid) { try await PINPlatform(try await Harness.withPIN()).attempt("0000") },
    Row(Status.pinBlocked) {
      let harness = try await Harness.withPIN()
      await harness.store.restore(settings: nil)
      return try await PINPlatform(try harness.restarted()).attempt("1234")
    },
    Row(Status.pinAuthInvalid) { try await PINPlatform(try await Harness.withPIN()).setPIN("5678") },
    Row(Status.pinAuthBlocked) {
      let platform = PINPlatform(try await Harness.withPIN())
      for _ in 0..<2 { _ = try await platform.attempt("0000") }
      return try await platform.attempt("0000")
    },
    Row(Status.puatRequired) { try await Harness.withPIN().send(0x0d, [1: 2]).status },
    Row(Status.pinPolicyViolation) { try await PINPlatform(try fresh()).setPIN("123") },
    Row(Status.uvBlocked) {
      let rules = [
        try Harness.rule("verified", ["v.example.com"], [.register], verified: true),
        try Harness.rule("plain", ["*"], [.register]),
      ]
      return try await PINPlatform(try Harness(rules: rules)).verifiedToken(.makeCredential, "example.com").status
    },
    Row(Status.unauthorizedPermission) {
      try await PINPlatform(try await Harness.withPIN()).attempt("1234", .bioEnrollment)
    },
  ]

  @Test(arguments: messages + states + pins)
  private func isGiven(row: Row) async throws {
    #expect(try await row.way() == row.status)
  }

  @Test func theTableIsWhole() {
    let cannotBeGiven: Set<CTAPStatus> = [
      .lockRequired, .invalidChannel, .fpDatabaseFull, .processing, .invalidCredential, .userActionPending,
      .operationPending, .noOperations, .userActionTimeout, .actionTimeout, .upRequired, .uvInvalid, .specLast,
      .extensionFirst, .extensionLast,
    ]
    let given = (Self.messages + Self.states + Self.pins).map { CTAPStatus(rawValue: $0.status) }
    #expect(Set(given).count == given.count)
    // The statuses that have a name of the standard, or are Countersign's own.
    let named = (UInt8.min ... .max).map(CTAPStatus.init(rawValue:)).filter { !$0.description.hasPrefix("status 0x") }
    #expect(Set(named) == Set(given).union(cannotBeGiven))
    #expect(cannotBeGiven.isDisjoint(with: given))
  }
}
