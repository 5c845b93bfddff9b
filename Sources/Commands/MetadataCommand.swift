internal import Client
internal import CTAP
internal import Crypto
internal import Platform
internal import WebAuthn

/// `countersign attestation metadata`.
func metadata(_ context: CommandContext) throws(CommandFailure) {
  let roots = context.arguments.all(.root)
  guard !roots.isEmpty else { throw .usage("--root is missing", "name the authority's certificate, DIR/ca.pem") }
  var certificates: [Certificate] = []
  for path in roots { certificates += try context.certificates(at: path, .root) }
  guard !certificates.isEmpty else { throw .usage("--root holds no certificate", "check --root") }
  let status = try AdminSession(context).ask { client, deadline throws(ClientError) in
    try client.status(until: deadline)
  }
  guard case .object(let tpm)? = status["tpm"], case .string(let kind)? = tpm["kind"] else {
    throw context.fail(.failure, "the daemon does not say what TPM it has", "use the same version of both programs")
  }
  // Verifiers take the statement for what protects the keys: no guess.
  guard kind == "hardware" || kind == "software" else {
    throw context.fail(
      .failure, "the kind of the TPM is \(quoted(kind, limit: 64))",
      "wait until countersign status says that the TPM is ready, and try again")
  }
  let output = try context.prepareOutput()
  let info = try context.authenticatorInfo()
  try output(MetadataStatement(info: info, isHardware: kind == "hardware", roots: certificates).json.line)
}

/// A FIDO metadata statement (FIDO Metadata Statement 3.0) of this build, with the roots of the operator's authority.
private struct MetadataStatement {
  let info: AuthenticatorInfo
  let isHardware: Bool
  let roots: [Certificate]

  /// A fixed text of the FIDO Alliance's.
  private static let legalHeader = "https://fidoalliance.org/metadata/metadata-statement-legal-header/"
  /// Of getInfo, what belongs to one device and not to the model.
  private static let ownMembers = ["encCredStoreState", "encIdentifier", "remainingDiscoverableCredentials"]

  var json: JSONValue {
    .object([
      "aaguid": .string(AAGUIDText.encode(info.aaguid)),
      "attachmentHint": .texts(["internal"]),
      // A TPM is a chip of its own, or one in the processor.
      "keyProtection": .texts(isHardware ? ["hardware", "secure_element"] : ["software"]),
      // PINs are compared by the daemon.
      "matcherProtection": .texts(["software"]),
      "attestationRootCertificates": .array(roots.map { .string(Base64.encode($0.der)) }),
      "attestationTypes": .texts(
        info.attestationFormats.contains("tpm") ? ["attca", "basic_surrogate"] : ["basic_surrogate"]),
      "authenticationAlgorithms": .texts(info.algorithms.compactMap { MetadataStatement.names[$0.algorithm] }),
      "authenticatorGetInfo": getInfo,
      "authenticatorVersion": .integer(Int64(clamping: info.firmwareVersion ?? 0)),
      "cryptoStrength": .integer(128),
      "description": .string("Countersign on a \(isHardware ? "hardware" : "software") TPM"),
      "isFreshUserVerificationRequired": .boolean(false),
      "isKeyRestricted": .boolean(true),
      "legalHeader": .string(MetadataStatement.legalHeader),
      "protocolFamily": .string("fido2"),
      "publicKeyAlgAndEncodings": .texts(["cose"]),
      "schema": .integer(3),
      "tcDisplay": .array([]),
      "upv": .array(
        info.versions.compactMap { MetadataStatement.versions[$0] }.map {
          .object(["major": .integer(1), "minor": .integer($0)])
        }),
      "userVerificationDetails": userVerification,
    ])
  }

  /// FIDO Registry of Predefined Values, section 3.6.1.
  private static let names: [Int64: String] = [
    -7: "secp256r1_ecdsa_sha256_raw", -35: "secp384r1_ecdsa_sha384_raw", -257: "rsassa_pkcsv15_sha256_raw",
  ]

  /// Minor numbers of the protocol's versions.
  private static let versions: [String: Int64] = ["FIDO_2_0": 0, "FIDO_2_1": 1, "U2F_V2": 2]

  /// The PIN, or nothing: a rule's word is no verification of a user by the authenticator.
  private var userVerification: JSONValue {
    let pin: [String: JSONValue] = [
      "caDesc": .object([
        "base": .integer(64), "blockSlowdown": .integer(0), "maxRetries": .integer(8),
        "minLength": .integer(Int64(info.minPINLength ?? 4)),
      ]),
      "userVerificationMethod": .string("passcode_external"),
    ]
    return .array([
      .array([.object(pin)]), .array([.object(["userVerificationMethod": .string("none")])]),
    ])
  }

  /// As the device says it, but for the AAGUID, which stands here without hyphens.
  private var getInfo: JSONValue {
    guard case .object(var members) = info.json else { return .object([:]) }
    for name in MetadataStatement.ownMembers { members[name] = nil }
    members["aaguid"] = .string(AAGUIDText.encode(info.aaguid).replacing("-", with: ""))
    return .object(members)
  }
}
