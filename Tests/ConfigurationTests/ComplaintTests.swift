import Testing

@testable import Configuration

/// What a person reads who has made a mistake.
struct ComplaintTests {
  // The three wrong files of issue 2.

  @Test func badJSON() throws {
    let text = """
      {
        rules: [
          { name: "deploy" callers: [{ user: "root" }] },
        ],
      }
      """
    #expect(
      try complaint(text)
        == #"F/countersign.json:3:22: found "callers" in the object that begins on line 3, column 5: "#
        + #"write "," before the next entry or "}" to end the object"#)
  }

  @Test func anUnknownKey() throws {
    let text = """
      {
        rules: [
          {
            name: "deploy",
            callers: [{ user: "root" }],
            relyingPartys: ["deploy.example.com"],
            operations: ["authenticate"],
          },
        ],
      }
      """
    #expect(
      try complaint(text)
        == #"F/countersign.json:6:7: rules[0].relyingPartys: there is no such key: write "relyingParties""#)
  }

  @Test func aRuleWithoutCallers() throws {
    let text = """
      {
        rules: [
          { name: "deploy", relyingParties: ["deploy.example.com"], operations: ["authenticate"] },
        ],
      }
      """
    #expect(
      try complaint(text)
        == #"F/countersign.json:3:5: rules[0].callers: rule "deploy" names no callers, so it would never match: "#
        + #"add one, such as callers: [{ user: "gitlab-runner" }]"#)
  }

  // Everything else that can be wrong.

  @Test(arguments: mistakes)
  fileprivate func aWrongFile(_ mistake: Mistake) throws {
    let line = try #require(try complaint(mistake.text))
    #expect(line.hasPrefix("F/countersign.json:1:"))
    #expect(line.contains(mistake.complaint), "\(line)")
  }

  @Test func rulesThatAreInTheWayOfEachOtherAreBothNamed() throws {
    let rule = #"{ name: "a", callers: [{ user: 0 }], relyingParties: ["*"], operations: ["register"] }"#
    #expect(
      try complaint(["countersign.json": "{ rules: [\n\(rule)] }", "conf.d/x.json": "{\nrules: [\n\(rule)] }"])
        == "F/conf.d/x.json:3:3: rules[0].name: an earlier rule is named \"a\" too (F/countersign.json:2): "
        + "give each rule a name of its own, or remove one of the two")
    let other = rule.replacing("\"a\"", with: "\"b\"")
    #expect(
      try complaint("{ rules: [\n\(rule),\n\(other)] }")
        == "F/countersign.json:3:1: rules[1]: rule \"b\" can never decide, all that it allows is allowed alike by "
        + "rule \"a\" (F/countersign.json:2): remove it, or make it narrower")
    let tie = other.replacing("]}", with: "], userVerification: true }").replacing(
      "] }", with: "], userVerification: true }")
    #expect(
      try complaint("{ rules: [\n\(rule),\n\(tie)] }")
        == "F/countersign.json:3:1: rules[1]: rules \"a\" and \"b\" are equally specific for the same callers to register "
        + "for \"*\", and say different things (F/countersign.json:2): make one of them more specific (another RP ID, more "
        + "about the callers, accounts), or say the same in both")
  }

  @Test func twoTPMsAreOneTooMany() throws {
    #expect(
      try complaint([
        "countersign.json": "{ tpm: { tcti: 'device:/dev/tpm0' } }",
        "conf.d/x.json": "{ tpm: { softwareDirectory: '/x', allowSoftware: true } }",
      ])
        == "F/conf.d/x.json:1:10: tpm.softwareDirectory: tpm.tcti is given too (F/countersign.json:1): "
        + "remove one: either a TPM that is there, or a software TPM that countersignd starts")
  }

  @Test func theNearestKeyIsNamedAndNoFarOne() {
    #expect(nearest(to: "RelyingParty", among: ["relyingParties", "rules"]) == "relyingParties")
    #expect(nearest(to: "lgo", among: ["log", "tpm"]) == "log")
    #expect(nearest(to: "colour", among: ["log", "tpm"]) == nil)
    #expect(nearest(to: "x", among: []) == nil)
    #expect(editDistance("", "abc") == 3 && editDistance("abc", "") == 3 && editDistance("ab", "ba") == 1)
    #expect(editDistance("kitten", "sitting") == 3)
  }
}

/// A file of one line, and a part of what must be said of it.
private struct Mistake: Sendable, CustomTestStringConvertible {
  let text: String
  let complaint: String

  init(_ text: String, _ complaint: String) {
    self.text = text
    self.complaint = complaint
  }

  var testDescription: String { complaint }
}

private let mistakes: [Mistake] = [
  Mistake("{ tmp: {} }", #":1:3: tmp: there is no such key: write "tpm""#),
  Mistake("{ tpm: { TCTI: '' } }", #":1:10: tpm.TCTI: there is no such key: write "tcti""#),
  Mistake(
    "{ log: { colour: true } }", #":1:10: log.colour: there is no such key: remove it; the keys here are "level""#),
  Mistake("{ 'a\\n': 1 }", #":1:3: the key has a "\" in it: write the key without escapes"#),
  Mistake("{ 'a b': 1 }", #":1:3: "a b": there is no such key: "#),
  Mistake(withRule(callers: "[{ uesr: 'root' }]"), #": rules[0].callers[0].uesr: there is no such key: write "user""#),
  Mistake("{ socket: 5 }", ":1:3: socket: found a number, expected text in quotes: write text in quotes"),
  Mistake("{ socket: null }", ":1:3: socket: found null, expected text in quotes: give a value or remove the key"),
  Mistake("{ rules: {} }", ":1:3: rules: found an object, expected a list [ … ]: write a list [ … ]"),
  Mistake("{ rules: null }", ":1:3: rules: found null, expected a list [ … ]: give a value or remove the key"),
  Mistake("{ rules: ['x'] }", ":1:11: rules[0]: found text, expected an object { … }: write an object { … }"),
  Mistake("[]", ":1:1: found a list, expected an object { … }: write an object { … }"),
  Mistake(
    "{ tpm: { allowSoftware: 'yes' } }", ":1:10: tpm.allowSoftware: found text, expected true or false: write true"),
  Mistake(
    withRule(callers: "[{ user: null, group: 'ci' }]"),
    ": rules[0].callers[0].user: found null, expected a name in quotes or a number: give a value or remove the key"
  ),
  Mistake(
    withRule(callers: "[{ user: ['root'] }]"),
    ": rules[0].callers[0].user: found a list, expected a name in quotes or a number: write a name in quotes"
  ),
  Mistake(
    withRule(callers: "[{}]"),
    ": rules[0].callers[0]: an entry without any field would match everyone: add at least one, such as"
  ),
  Mistake(
    withRule(callers: "[]"), ": rules[0].callers: rule \"deploy\" names no callers, so it would never match: add one"),
  Mistake(
    withRule(callers: "[{ user: 'gitlab-runer' }]"),
    ": rules[0].callers[0].user: there is no user \"gitlab-runer\" on this machine: correct the name, create the user, or write its number"
  ),
  Mistake(
    withRule(callers: "[{ group: 'gitlab-runner' }]"),
    ": rules[0].callers[0].group: there is no group \"gitlab-runner\" on this machine: correct the name"
  ),
  Mistake(
    withRule(callers: "[{ user: 'broken' }]"),
    ": rules[0].callers[0].user: user \"broken\" could not be looked up (getpwnam: Input/output error): mend the user"
  ),
  Mistake(withRule(callers: "[{ user: '' }]"), ": rules[0].callers[0].user: there is no user \"\" on this machine: "),
  Mistake(
    withRule(callers: "[{ user: -1 }]"), ": rules[0].callers[0].user: this is not the number of a user: write a whole"
  ),
  Mistake(
    withRule(callers: "[{ user: 4294967295 }]"), ": rules[0].callers[0].user: this is not the number of a user: "),
  Mistake(
    withRule(callers: "[{ user: '4294967296' }]"), ": rules[0].callers[0].user: this is not the number of a user: "),
  Mistake(withRule(callers: "[{ group: 1.5 }]"), ": rules[0].callers[0].group: this is not the number of a group: "),
  Mistake(
    withRule(callers: "[{ unit: 'ci' }]"),
    ": rules[0].callers[0].unit: \"ci\" is not the name of a systemd unit: write it in full, such as"
  ),
  Mistake(
    withRule(callers: "[{ service: 'runner.service' }]"),
    ": rules[0].callers[0].service: \"runner.service\" is the name of a unit: write service: \"runner\", or unit: "
      + "\"runner.service\""
  ),
  Mistake(
    withRule(callers: "[{ service: 'runner', unit: 'runner.service' }]"),
    ": rules[0].callers[0].service: \"unit\" stands in this entry too: remove one of the two"
  ),
  Mistake(withRule(callers: "[{ service: '' }]"), ": rules[0].callers[0].unit: \".service\" is not the name of a"),
  Mistake(
    withRule(callers: "[{ service: 'run*' }]"),
    ": rules[0].callers[0].unit: \"run*.service\" has a wildcard, units are compared exactly"
  ),
  Mistake(
    withRule(parties: "['a.example', 'Deploy.example.com']"),
    ": rules[0].relyingParties[1]: \"Deploy.example.com\" has capital letters, RP IDs have none: write \"deploy.example.com\""
  ),
  Mistake(
    withRule(parties: "['*example.com']"),
    ": rules[0].relyingParties[0]: \"*example.com\" has a \"*\" in the wrong place: write \"*.example.com\" for every"
  ),
  Mistake(withRule(parties: "['']"), ": rules[0].relyingParties[0]: the RP ID is empty: write a domain name such as"),
  Mistake(
    withRule(parties: "[]"), ": rules[0].relyingParties: rule \"deploy\" names no relying parties, so it would never"),
  Mistake(
    withRule(operations: "['autenticate']"),
    ": rules[0].operations[0]: there is no operation \"autenticate\": write \"authenticate\""
  ),
  Mistake(
    withRule(operations: "['sign']"),
    ": rules[0].operations[0]: there is no operation \"sign\": write one of \"register\", \"authenticate\", \"manage\", \"reset\""
  ),
  Mistake(
    withRule(operations: "['reset', 'reset']"),
    ": rules[0].operations[1]: \"reset\" stands in this list before: remove one of the two"
  ),
  Mistake(withRule(operations: "[]"), ": rules[0].operations: rule \"deploy\" allows no operation: list some of "),
  Mistake(withRule(name: "''"), ": rules[0].name: the name is empty: give the rule a name"),
  Mistake(withRule(name: "'a\\n'"), ": rules[0].name: \"a\\n\" has characters that do not print: "),
  Mistake("{ rules: [{ callers: [] }] }", ":1:11: rules[0].name: the rule has no name: add one"),
  Mistake(
    withRule(more: ", userVerification: 1"), ": rules[0].userVerification: found a number, expected true or false"),
  Mistake(withRule(callers: "[{ slice: 'ci' }]"), ": rules[0].callers[0].slice: \"ci\" is not the name of a slice: "),
  Mistake(
    withRule(callers: "[{ container: 'abc' }]"),
    ": rules[0].callers[0].container: \"abc\" is not the ID of a container: write all 64 digits"),
  Mistake(
    withRule(callers: "[{ executable: 'a' }]"), ": rules[0].callers[0].executable: \"a\" is not an absolute path"),
  Mistake(
    withRule(callers: "[{ executableSHA256: 'zz' }]"), ": rules[0].callers[0].executableSHA256: \"zz\" is no SHA-256"),
  Mistake(
    withRule(callers: "[{ executableSHA256: 'abcd' }]"), ": rules[0].callers[0].executableSHA256: this is no SHA-256"),
  Mistake(
    withRule(callers: "[{ socket: 'admin' }]"), ": rules[0].callers[0].socket: \"admin\" is not the name of a socket"),
  Mistake(
    withRule(callers: "[{ user: 0, grant: false }]"),
    ": rules[0].callers[0].grant: this cannot be forbidden: write true"),
  Mistake(withRule(more: ", accounts: []"), ": rules[0].accounts: no account is left: add one, or remove the key"),
  Mistake(withRule(more: ", accounts: [{}]"), ": rules[0].accounts[0]: this is no account: give either userHandle or"),
  Mistake(
    withRule(more: ", accounts: [{ userHandle: 'AA', userName: 'a' }]"), ": rules[0].accounts[0]: this is no account: "),
  Mistake(
    withRule(more: ", accounts: [{ userHandle: 'A' }]"), ": rules[0].accounts[0].userHandle: \"A\" is no user handle: "),
  Mistake(
    withRule(more: ", accounts: [{ userName: 'a*b' }]"), ": rules[0].accounts[0].userName: \"a*b\" is no name of an"),
  Mistake(withRule(more: ", accounts: [{ userName: '*' }]"), ": rules[0].accounts[0].userName: \"*\" is no name of an"),
  Mistake(
    withRule(operations: "['manage']", more: ", accounts: [{ userName: 'a' }]"),
    ": rules[0].accounts: operation manage concerns no account: allow manage by a rule of its own, without accounts"),
  Mistake(withRule(more: ", rate: {}"), ": rules[0].rate: the rate has no perMinute: write rate: { perMinute: 60"),
  Mistake(withRule(more: ", rate: 5"), ": rules[0].rate: found a number, expected an object"),
  Mistake(
    withRule(more: ", rate: { perMinute: 0 }"), ": rules[0].rate.perMinute: this is not a limit that can be kept"),
  Mistake(withRule(more: ", rate: { perMinute: 1, burst: 0.5 }"), ": rules[0].rate.burst: this is not a limit"),
  Mistake(
    withRule(more: ", rate: { perMinute: 1, brust: 1 }"), ": rules[0].rate.brust: there is no such key: write \"burst\""
  ),
  Mistake(withRule(more: ", maxRegistrations: 1"), ": rules[0].maxRegistrations: the rule allows no registrations: "),
  Mistake(
    withRule(operations: "['register']", more: ", maxRegistrations: -1"),
    ": rules[0].maxRegistrations: this is not a limit that can be kept"),
  Mistake(withRule(more: ", hours: 'Mon 08:00-18:00'"), ": rules[0].hours: \"Mon 08:00-18:00\" "),
  Mistake(withRule(more: ", hours: []"), ": rules[0].hours: no hour is left: add some, or remove the key"),
  Mistake(withRule(more: ", hours: 8"), ": rules[0].hours: found a number, expected text in quotes, or a list of such"),
  Mistake(
    withRule(more: ", attestation: 'direct'"), ": rules[0].attestation: there is no attestation \"direct\": write"),
  Mistake(withRule(more: ", requireClaims: { ref: [] }"), ": rules[0].requireClaims.ref: no value would do: add one"),
  Mistake(withRule(more: ", requireClaims: { ref: 5 }"), ": rules[0].requireClaims.ref: found a number, expected text"),
  Mistake(
    withRule(operations: "['register']", more: ", bindClaims: true"),
    ": rules[0].bindClaims: the rule allows no assertions: remove it, or add \"authenticate\" to operations"),
  Mistake("{ socket: 'ctap.sock' }", ":1:3: socket: \"ctap.sock\" is not an absolute path: write it from the root"),
  Mistake("{ stateDirectory: '' }", ":1:3: stateDirectory: \"\" is not an absolute path: "),
  Mistake("{ auditLog: '/a\\u0000b' }", ":1:16: the escape stands for NUL, which no text here can hold: remove it"),
  Mistake(
    "{ adminSocket: '/" + String(repeating: "x", count: 107) + "' }",
    ":1:3: adminSocket: the path has 108 bytes, a socket's has at most 107: choose a shorter one"
  ),
  Mistake(
    "{ tpm: { tcti: '/dev/tpmrm0' } }",
    ":1:10: tpm.tcti: \"/dev/tpmrm0\" is a path, not a TCTI string: write \"device:/dev/tpmrm0\""
  ),
  Mistake(
    "{ tpm: { tcti: '' } }", ":1:10: tpm.tcti: \"\" is not a TCTI string: write one such as \"device:/dev/tpmrm0\""),
  Mistake(
    "{ tpm: { softwareDirectory: '/x' } }",
    ":1:10: tpm.softwareDirectory: a software TPM protects keys from nobody who can read its files, and is not allowed: add allowSoftware: true if that is meant, or remove softwareDirectory"
  ),
  Mistake(
    "{ limits: { connections: 0 } }", ":1:13: limits.connections: this is not a limit that can be kept: write a whole"
  ),
  Mistake(
    "{ limits: { waitSeconds: 3601 } }", ":1:13: limits.waitSeconds: this is not a limit that can be kept: write a"),
  Mistake(
    "{ limits: { credentials: 1.5 } }", ":1:13: limits.credentials: this is not a limit that can be kept: write a"),
  Mistake(
    "{ audit: { rotateAfter: '100 MB' } }",
    ":1:12: audit.rotateAfter: \"100 MB\" is not a size: write one such as \"100MB\", in kB, MB or GB"),
  Mistake("{ audit: { rotateAfter: 'MB' } }", ":1:12: audit.rotateAfter: \"MB\" is not a size: "),
  Mistake("{ audit: { rotateAfter: '0GB' } }", ":1:12: audit.rotateAfter: \"0GB\" is not a size: "),
  Mistake("{ audit: { keep: 0 } }", ":1:12: audit.keep: this is not a limit that can be kept: write a whole"),
  Mistake("{ audit: { rotate: '1MB' } }", ":1:12: audit.rotate: there is no such key: "),
  Mistake(
    "{ tpm: { pins: { handles: '0x81000000-0x81800000' } } }",
    ":1:18: tpm.pins.handles: \"0x81000000-0x81800000\" is not a range of the owner's persistent handles: write one such"
  ),
  Mistake("{ tpm: { pins: { handles: '0x81000005-0x81000004' } } }", ":1:18: tpm.pins.handles: "),
  Mistake("{ tpm: { pins: { handles: '0x81000005' } } }", ":1:18: tpm.pins.handles: "),
  Mistake("{ tpm: { pins: { count: 65 } } }", ":1:18: tpm.pins.count: this is not a limit that can be kept: write a"),
  Mistake("{ log: { level: 'verbose' } }", ":1:10: log.level: there is no level \"verbose\": write one of \"error\", "),
  Mistake("{ log: { level: 'warn' } }", ":1:10: log.level: there is no level \"warn\": write \"warning\""),
]
