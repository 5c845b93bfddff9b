/// The commands, each with the options that it takes.
enum Command: String, CaseIterable {
  case register
  case authenticate
  case info
  case status
  case doctor
  case completion
  case metrics
  case decommission
  case bench
  case rotate
  case credentialList = "credential list"
  case credentialShow = "credential show"
  case credentialDelete = "credential delete"
  case credentialDisable = "credential disable"
  case credentialEnable = "credential enable"
  case credentialRename = "credential rename"
  case credentialPin = "credential pin"
  case credentialUnpin = "credential unpin"
  case pinSet = "pin set"
  case pinChange = "pin change"
  case pinStatus = "pin status"
  case auditShow = "audit show"
  case auditVerify = "audit verify"
  case auditKey = "audit key"
  case attestationRequest = "attestation request"
  case attestationRespond = "attestation respond"
  case attestationInstall = "attestation install"
  case attestationEnroll = "attestation enroll"
  case attestationMetadata = "attestation metadata"
  case bootKey = "pcr key"
  case bootShow = "pcr show"
  case bootAllow = "pcr allow"
  case bootInstall = "pcr install"
  case authorityInit = "ca init"
  case authorityIssue = "ca issue"
  case authorityList = "ca list"
  case authorityRevoke = "ca revoke"
  case authorityRenew = "ca crl"
  case verifyRegistration = "verify registration"
  case verifyAssertion = "verify assertion"
  case policyCheck = "policy check"
  case policyExplain = "policy explain"
  case grantCreate = "grant create"
  case grantList = "grant list"
  case grantRevoke = "grant revoke"

  var options: [Arguments.Option] {
    switch self {
    case .register: [.input, .output, .origin, .pinFile, .pinCredential, .socket, .timeout]
    case .authenticate:
      [.input, .output, .origin, .userHandle, .credential, .pinFile, .pinCredential, .socket, .timeout]
    case .info: [.json, .output, .socket, .timeout]
    case .status: [.json, .output, .adminSocket, .timeout]
    case .doctor: [.configuration, .json, .output, .adminSocket, .socket, .timeout]
    case .completion: [.program, .output]
    case .rotate:
      [.replaces, .input, .output, .origin, .pinFile, .pinCredential, .adminSocket, .socket, .timeout]
    case .metrics: [.output, .adminSocket, .timeout]
    case .decommission: [.yes, .dryRun, .json, .output, .adminSocket, .timeout]
    // Taken apart by the program that they are handed to.
    case .bench: []
    case .credentialList: [.relyingPartyID, .userName, .json, .output, .adminSocket, .timeout]
    case .credentialShow: [.json, .output, .adminSocket, .timeout]
    case .credentialDelete: [.yes, .json, .output, .adminSocket, .timeout]
    case .credentialDisable, .credentialEnable, .credentialPin, .credentialUnpin:
      [.json, .output, .adminSocket, .timeout]
    case .credentialRename: [.label, .json, .output, .adminSocket, .timeout]
    case .pinSet: [.pinFile, .pinCredential, .adminSocket, .socket, .timeout]
    case .pinChange:
      [.pinFile, .pinCredential, .newPINFile, .newPINCredential, .adminSocket, .socket, .timeout]
    case .pinStatus: [.json, .output, .adminSocket, .socket, .timeout]
    case .auditShow:
      [
        .relyingParty, .user, .unit, .rule, .outcome, .operation, .credential, .job, .since, .until, .json,
      ]
    case .auditVerify: [.key, .json, .output, .adminSocket, .timeout]
    case .auditKey: [.output, .adminSocket, .timeout]
    case .attestationRequest: [.output, .adminSocket, .timeout]
    case .attestationRespond: [.input, .output, .adminSocket, .timeout]
    case .attestationInstall: [.input, .adminSocket, .timeout]
    case .attestationEnroll: [.authority, .days, .passphraseFile, .adminSocket, .timeout]
    case .attestationMetadata: [.root, .output, .socket, .adminSocket, .timeout]
    case .bootKey: [.key, .passphraseFile, .output]
    case .bootShow: [.json, .output, .adminSocket, .timeout]
    case .bootAllow: [.key, .passphraseFile, .input, .pcr, .output, .adminSocket, .timeout]
    case .bootInstall: [.input, .output, .adminSocket, .timeout]
    case .authorityInit: [.authority, .organization, .country, .passphraseFile]
    case .authorityIssue: [.authority, .input, .output, .days, .passphraseFile]
    case .authorityList: [.authority, .json, .output]
    case .authorityRevoke: [.authority, .passphraseFile]
    case .authorityRenew: [.authority, .passphraseFile]
    case .verifyRegistration:
      [
        .options, .response, .origin, .topOrigin, .root, .revocationList, .aaguid, .vendor, .format, .deviceBound,
        .json, .output,
      ]
    case .verifyAssertion:
      [.options, .response, .credential, .origin, .topOrigin, .deviceBound, .requireClaims, .json, .output]
    case .grantCreate:
      [
        .rule, .userID, .lifetime, .signatures, .relyingPartyID, .claim, .token, .process, .controlGroup, .format,
        .output, .adminSocket, .timeout,
      ]
    case .grantList: [.json, .output, .adminSocket, .timeout]
    case .grantRevoke: [.adminSocket, .timeout]
    case .policyCheck: [.json, .output]
    case .policyExplain:
      [
        .process, .user, .group, .unit, .slice, .container, .executable, .executableDigest, .callerSocket, .rule,
        .claim, .relyingPartyID, .operation, .userHandle, .userName, .configuration, .json, .output, .adminSocket,
        .timeout,
      ]
    }
  }

  /// What it takes besides options.
  var operandName: String? {
    switch self {
    case .credentialShow, .credentialDelete, .credentialDisable, .credentialEnable, .credentialRename,
      .credentialPin, .credentialUnpin:
      "credential ID"
    case .policyCheck: "file"
    case .grantRevoke: "grant ID"
    case .completion: "shell"
    case .authorityRevoke: "serial number or attestation key"
    default: nil
    }
  }

  /// Of its options, those that may be there several times.
  var repeatable: [Arguments.Option] {
    switch self {
    case .policyExplain: [.group, .claim]
    case .grantCreate: [.claim, .relyingPartyID]
    case .attestationMetadata: [.root]
    case .bootAllow: [.pcr]
    case .verifyRegistration: [.root, .revocationList, .aaguid, .vendor, .format, .topOrigin]
    case .verifyAssertion: [.topOrigin]
    default: []
    }
  }

  /// Whether it does without.
  var operandMayBeMissing: Bool { self == .policyCheck }

  /// Whether it takes any number of file names.
  var takesFiles: Bool { self == .auditShow || self == .auditVerify }

  /// Whether another program gets its words as they are.
  var isHandedOver: Bool { self == .bench }

  /// How complaints begin.
  var complaint: String {
    switch self {
    case .register: "cannot register"
    case .authenticate: "cannot authenticate"
    case .info: "cannot get the authenticator's information"
    case .status: "cannot get the daemon's status"
    case .doctor: "this machine is not fit to sign"
    case .completion: "cannot make a completion"
    case .rotate: "cannot rotate the credential"
    case .metrics: "cannot get the daemon's metrics"
    case .decommission: "the runner is not decommissioned"
    case .bench: "cannot measure"
    case .credentialList: "cannot list credentials"
    case .credentialShow: "cannot show the credential"
    case .credentialDelete: "cannot delete the credential"
    case .credentialDisable: "cannot disable the credential"
    case .credentialEnable: "cannot enable the credential"
    case .credentialRename: "cannot rename the credential"
    case .credentialPin: "cannot pin the credential's key"
    case .credentialUnpin: "cannot unpin the credential's key"
    case .pinSet: "cannot set the PIN"
    case .pinChange: "cannot change the PIN"
    case .pinStatus: "cannot get the PIN's status"
    case .auditShow: "cannot show the audit log"
    case .auditVerify: "audit log not verified"
    case .auditKey: "cannot get the audit log's key"
    case .attestationRequest: "cannot make the attestation request"
    case .attestationRespond: "cannot answer the challenge"
    case .attestationInstall: "cannot install the certificates"
    case .attestationEnroll: "cannot enrol"
    case .attestationMetadata: "cannot make the metadata statement"
    case .bootKey: "cannot make the approval key"
    case .bootShow: "cannot show the boot state"
    case .bootAllow: "cannot approve the boot"
    case .bootInstall: "cannot install the approval"
    case .authorityInit: "cannot make the authority"
    case .authorityIssue: "cannot issue"
    case .authorityList: "cannot list certificates"
    case .authorityRevoke: "cannot revoke"
    case .authorityRenew: "cannot renew the revocation list"
    case .verifyRegistration: "registration not verified"
    case .verifyAssertion: "assertion not verified"
    case .policyCheck: "the policy is not good"
    case .policyExplain: "cannot explain the policy"
    case .grantCreate: "cannot make the grant"
    case .grantList: "cannot list grants"
    case .grantRevoke: "cannot revoke the grant"
    }
  }

  func run(_ context: CommandContext) throws(CommandFailure) {
    switch self {
    case .register: try Commands.register(context)
    case .authenticate: try Commands.authenticate(context)
    case .info: try Commands.info(context)
    case .status: try Commands.status(context)
    case .doctor: try Commands.doctor(context)
    case .completion: try Commands.completion(context)
    case .rotate: try Commands.rotate(context)
    case .metrics: try Commands.metrics(context)
    case .decommission: try Commands.decommission(context)
    case .bench: try Commands.bench(context)
    case .credentialList: try Commands.listCredentials(context)
    case .credentialShow: try Commands.showCredential(context)
    case .credentialDelete: try Commands.deleteCredential(context)
    case .credentialDisable: try Commands.disableCredential(context)
    case .credentialEnable: try Commands.enableCredential(context)
    case .credentialRename: try Commands.renameCredential(context)
    case .credentialPin: try Commands.pinCredential(context)
    case .credentialUnpin: try Commands.unpinCredential(context)
    case .pinSet: try Commands.setPIN(context)
    case .pinChange: try Commands.changePIN(context)
    case .pinStatus: try Commands.pinStatus(context)
    case .auditShow: try Commands.showAudit(context)
    case .auditVerify: try Commands.verifyAudit(context)
    case .auditKey: try Commands.auditKey(context)
    case .attestationRequest: try Commands.requestAttestation(context)
    case .attestationRespond: try Commands.respondToChallenge(context)
    case .attestationInstall: try Commands.installCertificates(context)
    case .attestationEnroll: try Commands.enrol(context)
    case .attestationMetadata: try Commands.metadata(context)
    case .bootKey: try Commands.makeApprovalKey(context)
    case .bootShow: try Commands.showBootState(context)
    case .bootAllow: try Commands.approveBoot(context)
    case .bootInstall: try Commands.installApproval(context)
    case .authorityInit: try Commands.makeAuthority(context)
    case .authorityIssue: try Commands.issue(context)
    case .authorityList: try Commands.listCertificates(context)
    case .authorityRevoke: try Commands.revoke(context)
    case .authorityRenew: try Commands.renewList(context)
    case .verifyRegistration: try Commands.verifyRegistration(context)
    case .verifyAssertion: try Commands.verifyAssertion(context)
    case .policyCheck: try Commands.checkPolicy(context)
    case .policyExplain: try Commands.explainPolicy(context)
    case .grantCreate: try Commands.createGrant(context)
    case .grantList: try Commands.listGrants(context)
    case .grantRevoke: try Commands.revokeGrant(context)
    }
  }
}

/// Commands of two words, by their first.
enum CommandGroup: String {
  case audit
  case attestation
  case boot = "pcr"
  case authority = "ca"
  case credential
  case pin
  case verify
  case policy
  case grant

  /// The second words.
  var kinds: [String] {
    Command.allCases.compactMap { command in
      let words = command.rawValue.split(separator: " ")
      return words.count == 2 && words[0] == rawValue ? String(words[1]) : nil
    }
  }

  /// e.g. `list, show or delete`
  var choice: String { Help.choice(kinds) }

  var help: String {
    switch self {
    case .audit: Help.audit
    case .attestation: Help.attestation
    case .boot: Help.boot
    case .authority: Help.authority
    case .credential: Help.credential
    case .pin: Help.pin
    case .verify: Help.verify
    case .policy: Help.policy
    case .grant: Help.grant
    }
  }
}
