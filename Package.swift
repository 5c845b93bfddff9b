// swift-tools-version: 6.3
import PackageDescription

/// Set by `make fuzz`: every Swift module is built for libFuzzer and AddressSanitizer, the fuzzer takes the place of
/// the replay tests, and nothing else that has a `main` is there.
let isFuzzBuild = Context.environment["COUNTERSIGN_FUZZ"] != nil
let fuzzSettings: [SwiftSetting] = [
  .unsafeFlags([
    "-sanitize=fuzzer,address", "-enable-testing", "-profile-generate", "-profile-coverage-mapping",
  ])
]

/// The settings of every Swift target. Tests do without strict memory safety, because `#expect` does not carry
/// `unsafe` through its expansion.
let testSettings: [SwiftSetting] =
  [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
  ] + (isFuzzBuild ? fuzzSettings : [])
let settings: [SwiftSetting] = testSettings + [.strictMemorySafety()]

func cModule(_ name: String, libraries: [String] = []) -> Target {
  .target(name: name, linkerSettings: libraries.map { .linkedLibrary($0) })
}

/// One room of the house. `uses` lists rooms below it only; the build refuses an import that is not listed.
func room(_ name: String, uses dependencies: [String]) -> Target {
  .target(name: name, dependencies: dependencies.map { .byName(name: $0) }, swiftSettings: settings)
}

func program(_ name: String, uses dependencies: [String]) -> Target {
  .executableTarget(name: name, dependencies: dependencies.map { .byName(name: $0) }, swiftSettings: settings)
}

/// `vectors` are folders of data that the tests read where they lie.
func tests(_ name: String, uses dependencies: [String], vectors: [String] = []) -> Target {
  .testTarget(
    name: name, dependencies: dependencies.map { .byName(name: $0) }, exclude: vectors, swiftSettings: testSettings)
}

/// What the fuzzer and the replay tests reach into.
let fuzzed = [
  "AuditLog", "Authenticator", "CBOR", "CTAP", "CTAPHID", "Configuration", "Crypto", "HIDRelay", "IdentityTokens",
  "Platform", "Policy", "RelyingParty", "Secrets", "Storage", "TPMKeyStore", "TPMStructures", "TestSupport", "WebAuthn",
]

/// The same entry functions (Tests/Fuzz/Targets) with libFuzzer as their driver, or with Swift Testing.
let fuzzTargets: [Target] =
  isFuzzBuild
  ? [
    .target(name: "CLibFuzzer", path: "Tests/Fuzz/CLibFuzzer"),
    .executableTarget(
      name: "countersign-fuzz", dependencies: ["CLibFuzzer"] + fuzzed.map { .byName(name: $0) }, path: "Tests/Fuzz",
      exclude: ["CLibFuzzer", "Corpus", "Crashes", "Replay"], sources: ["Driver", "Targets"],
      swiftSettings: testSettings,
      linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-profile-generate", "-use-ld=lld"])]),
  ]
  : [
    .testTarget(
      name: "FuzzReplayTests", dependencies: fuzzed.map { .byName(name: $0) }, path: "Tests/Fuzz",
      exclude: ["CLibFuzzer", "Corpus", "Crashes", "Driver"], sources: ["Replay", "Targets"],
      swiftSettings: testSettings)
  ]

let package = Package(
  name: "countersign",
  products: [
    .executable(name: "countersignd", targets: ["countersignd"]),
    .executable(name: "countersign", targets: ["countersign"]),
    .executable(name: "countersign-hid", targets: ["countersign-hid"]),
    .executable(name: "countersign-bench", targets: ["countersign-bench"]),
  ],
  targets: [
    // C modules: headers, link names and the shims that Swift's importer needs.
    cModule("CLinux"),
    cModule("CTSS", libraries: ["tss2-esys", "tss2-mu", "tss2-rc", "tss2-tctildr"]),
    cModule("COpenSSL", libraries: ["crypto"]),
    cModule("CCBOR", libraries: ["cbor"]),
    cModule("CSQLite", libraries: ["sqlite3"]),
    cModule("CPublicSuffix", libraries: ["psl"]),
    cModule("CUnicode", libraries: ["unistring"]),
    cModule("CDeflate", libraries: ["z"]),
    cModule("CTerminal"),

    // Leaves.
    room("Platform", uses: ["CLinux"]),
    room("Secrets", uses: ["CLinux"]),
    room("TPMStructures", uses: []),

    // Wrappers.
    room("CBOR", uses: ["CCBOR"]),
    room("Crypto", uses: ["COpenSSL", "Secrets"]),
    room("Database", uses: ["CSQLite"]),
    room("TPM", uses: ["CLinux", "CTSS", "Secrets"]),

    // Protocol.
    room("WebAuthn", uses: ["CBOR", "CPublicSuffix", "Crypto", "Secrets"]),
    room("CTAP", uses: ["CBOR", "Crypto", "Secrets", "WebAuthn"]),
    room("CTAPHID", uses: []),

    // Domain.
    room("Policy", uses: ["Crypto", "Platform"]),
    room("AuditLog", uses: ["CLinux", "Crypto", "Platform", "TPMStructures"]),
    room("Authenticator", uses: ["AuditLog", "CBOR", "CTAP", "Crypto", "Platform", "Policy", "Secrets", "WebAuthn"]),
    room("IdentityTokens", uses: ["Crypto", "WebAuthn"]),
    room("Attestation", uses: ["Crypto", "Secrets", "TPMStructures", "WebAuthn"]),
    room("RelyingParty", uses: ["CBOR", "Crypto", "TPMStructures", "WebAuthn"]),

    // Adapters.
    room("Transports", uses: ["CTAPHID", "Platform", "Policy"]),
    room("HIDRelay", uses: ["CBOR", "CLinux", "CTAPHID", "Platform"]),
    room(
      "TPMKeyStore",
      uses: [
        "Attestation", "AuditLog", "Authenticator", "Crypto", "Platform", "Policy", "Secrets", "TPM", "WebAuthn",
      ]),
    room(
      "Storage", uses: ["Authenticator", "CBOR", "Crypto", "Database", "Platform", "Policy", "Secrets", "WebAuthn"]),

    // Root and the client's side.
    room(
      "Configuration",
      uses: ["Attestation", "AuditLog", "Crypto", "IdentityTokens", "Platform", "Policy", "WebAuthn"]),
    room(
      "Daemon",
      uses: [
        "Attestation", "AuditLog", "Authenticator", "Configuration", "CTAP", "CTAPHID", "Crypto", "IdentityTokens",
        "Platform", "Policy", "Secrets", "Storage", "TPMKeyStore", "Transports", "WebAuthn",
      ]),
    room(
      "Client",
      uses: ["CBOR", "CDeflate", "CTAP", "CTAPHID", "CUnicode", "Crypto", "Platform", "Secrets", "WebAuthn"]),
    room(
      "Commands",
      uses: [
        "Attestation", "AuditLog", "CTAP", "CTAPHID", "CTerminal", "Client", "Configuration", "Crypto", "Platform",
        "Policy", "RelyingParty", "Secrets", "TPMStructures", "WebAuthn",
      ]),

    // What measures a daemon from outside, and for comparison the TPM and the authenticator without one.
    room(
      "Benchmarking",
      uses: [
        "AuditLog", "Authenticator", "CLinux", "CTAP", "CTAPHID", "Client", "Platform", "Policy", "Secrets", "Storage",
        "TPM", "TPMKeyStore", "WebAuthn",
      ]),

    program("countersignd", uses: ["Daemon", "Platform"]),
    program("countersign", uses: ["Commands", "Platform"]),
    program("countersign-hid", uses: ["HIDRelay", "Platform"]),
    program("countersign-bench", uses: ["Benchmarking", "Platform"]),

    // Tests.
    tests("PlatformTests", uses: ["CLinux", "Platform", "TestSupport"]),
    tests("SecretsTests", uses: ["Platform", "Secrets"]),
    tests("CBORTests", uses: ["CBOR", "TestSupport"], vectors: ["Vectors"]),
    tests("CryptoTests", uses: ["Crypto", "Secrets", "TestSupport", "WebAuthn"], vectors: ["Vectors"]),
    tests("DatabaseTests", uses: ["CFaultyFiles", "Database", "TestSupport"]),
    tests("TPMTests", uses: ["Attestation", "Secrets", "TestSupport", "TPM", "TPMStructures"]),
    tests("TPMStructuresTests", uses: ["TestSupport", "TPMStructures"]),
    tests("WebAuthnJSONTests", uses: ["Secrets", "WebAuthn"]),
    tests(
      "AuthenticatorDataTests", uses: ["CBOR", "Crypto", "TestSupport", "WebAuthn"], vectors: ["Vectors"]),
    tests(
      "CTAPTests", uses: ["CBOR", "CTAP", "Crypto", "Secrets", "TestSupport", "WebAuthn"], vectors: ["Vectors"]),
    tests("CTAPHIDTests", uses: ["CTAPHID", "TestSupport"]),
    tests("PolicyTests", uses: ["Crypto", "Platform", "Policy"]),
    tests(
      "ConfigurationTests",
      uses: ["Attestation", "AuditLog", "Configuration", "Crypto", "Platform", "Policy", "TestSupport", "WebAuthn"]),
    tests("AuditLogTests", uses: ["AuditLog", "Crypto", "Platform", "TestSupport", "WebAuthn"]),
    tests(
      "AuthenticatorTests",
      uses: [
        "AuditLog", "Authenticator", "CBOR", "CTAP", "Crypto", "Platform", "Policy", "Secrets", "TestSupport",
        "WebAuthn",
      ]),
    tests("IdentityTokensTests", uses: ["IdentityTokens", "TestSupport", "WebAuthn"]),
    tests(
      "AttestationTests",
      uses: ["Attestation", "Crypto", "Platform", "Secrets", "TestSupport", "TPMStructures", "WebAuthn"]),
    tests(
      "RelyingPartyTests",
      uses: ["CBOR", "Crypto", "Platform", "RelyingParty", "TestSupport", "TPMStructures", "WebAuthn"],
      vectors: ["Vectors"]),
    tests(
      "StorageTests",
      uses: [
        "Authenticator", "CBOR", "CFaultyFiles", "Database", "Platform", "Policy", "Secrets", "Storage", "StorageChild",
        "TestSupport", "WebAuthn",
      ]),
    tests(
      "TPMKeyStoreTests",
      uses: [
        "Attestation", "AuditLog", "Authenticator", "Crypto", "Platform", "Policy", "Secrets", "TestSupport", "TPM",
        "TPMKeyStore", "WebAuthn",
      ]),
    tests("TransportsTests", uses: ["CTAPHID", "Platform", "Policy", "TestSupport", "Transports"]),
    tests("HIDRelayTests", uses: ["CBOR", "CLinux", "CTAPHID", "HIDRelay", "Platform", "TestSupport"]),
    tests(
      "CommandsTests",
      uses: [
        "Attestation", "AuditLog", "CBOR", "CTAP", "CTAPHID", "Client", "Commands", "Configuration", "Crypto",
        "Platform", "Policy", "Secrets", "TestSupport", "TPMStructures", "WebAuthn",
      ]),
    tests(
      "BenchmarkingTests",
      uses: [
        "AuditLog", "Authenticator", "Benchmarking", "CTAP", "Commands", "Platform", "Policy", "Storage", "TPMKeyStore",
        "TestSupport", "WebAuthn",
      ]),
    tests(
      "DaemonTests",
      uses: [
        "Attestation", "Authenticator", "AuditLog", "CBOR", "CTAP", "CTAPHID", "Crypto", "Daemon", "Platform", "Policy",
        "RelyingParty", "Secrets", "Storage", "TestSupport", "TPMKeyStore", "TPMStructures", "Transports", "WebAuthn",
      ]),

    // What the tests share.
    .target(
      name: "TestSupport",
      dependencies: [
        "Attestation", "AuditLog", "Authenticator", "Crypto", "Platform", "Policy", "Secrets", "TPMStructures",
        "WebAuthn", "CCalmExit", "CLinux", "CTestKeys",
      ],
      path: "Tests/TestSupport", swiftSettings: testSettings),
    .target(
      name: "CTestKeys", path: "Tests/Support/CTestKeys", linkerSettings: [.linkedLibrary("crypto")]),
    .target(
      name: "CCalmExit", path: "Tests/Support/CCalmExit", linkerSettings: [.linkedLibrary("crypto")]),
    // SQLite file systems that fail on demand.
    .target(name: "CFaultyFiles", dependencies: ["CSQLite"], path: "Tests/Support/CFaultyFiles"),
    // Inserts until it is killed.
    .executableTarget(
      name: "StorageChild",
      dependencies: ["Authenticator", "Platform", "Secrets", "Storage", "WebAuthn"],
      path: "Tests/Support/StorageChild", swiftSettings: testSettings),
  ] + fuzzTargets,
  swiftLanguageModes: [.v6]
)
