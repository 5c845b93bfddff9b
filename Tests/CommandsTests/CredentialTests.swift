import Commands
import Platform
import Testing
import WebAuthn

/// The management socket's side of credentials, two on a page.
@Suite struct CredentialTests {
  let daemon = FakeAuthenticator()

  static func credential(_ number: UInt8, rp: String? = "example.com", user: String = "deploy") -> JSONValue {
    var members: [String: JSONValue] = [
      "id": .string(Base64URL.encode([UInt8](repeating: number, count: 16))), "rpIdHash": "00ff00ff00ff00ff00ff",
      "userName": .string(user), "discoverable": true, "createdAt": "2026-11-20T00:00:00Z",
      "extensions": .array(["credBlob", "hmac-secret"]), "state": "enabled",
    ]
    members["rpId"] = rp.map { .string($0) }
    return .object(members)
  }

  final class Server {
    var credentials: [JSONValue]
    var requests: [[String: JSONValue]] = []

    init(_ credentials: [JSONValue]) { self.credentials = credentials }

    func answer(_ request: JSONValue) -> JSONValue {
      guard case .object(let members) = request, case .string(let name)? = members["request"] else { return .null }
      requests.append(members)
      let found = credentials.firstIndex { member($0, "id") == members["id"] }
      switch name {
      case "credentials":
        var start = 0
        if case .integer(let after)? = members["after"] { start = Int(after) }
        var page: [String: JSONValue] = ["credentials": .array(Array(credentials.dropFirst(start).prefix(2)))]
        if start + 2 < credentials.count { page["next"] = .integer(Int64(start + 2)) }
        return .object(page)
      case "credential": return .object(found.map { ["credential": credentials[$0]] } ?? [:])
      case "disableCredential", "enableCredential", "setCredentialOutgoing", "renameCredential":
        guard let found, case .object(var credential) = credentials[found] else { return .object([:]) }
        let states: [String: JSONValue] = [
          "disableCredential": "disabled", "enableCredential": "enabled", "setCredentialOutgoing": "outgoing",
        ]
        credential["state"] = states[name] ?? credential["state"]
        if let label = members["label"] { credential["label"] = label }
        credentials[found] = .object(credential)
        return .object(["credential": credentials[found]])
      case "deleteCredential": return .object(found.map { ["credential": credentials.remove(at: $0)] } ?? [:])
      default: return .object(["error": "unknown"])
      }
    }

    private func member(_ value: JSONValue, _ name: String) -> JSONValue? {
      guard case .object(let members) = value else { return nil }
      return members[name]
    }
  }

  let server = Server([
    credential(1), credential(2, user: "o\u{1b}ther"), credential(3, rp: nil, user: "x"),
    credential(4, rp: "other.example"), credential(5),
  ])

  func transcript() -> Transcript {
    let transcript = Transcript(daemon: daemon)
    daemon.administration = server.answer
    return transcript
  }

  @Test func listsAllPages() {
    let transcript = transcript()
    #expect(transcript.run("credential list") == .done)
    #expect(transcript.connectedTo == ["/run/countersign/admin.sock"])
    #expect(server.requests.map { $0["after"] } == [nil, 2, 4])
    #expect(
      transcript.outputText == """
        ID                      STATE    PINNED  RP ID                       USER NAME  LABEL  DISCOVERABLE  CREATED
        AQEBAQEBAQEBAQEBAQEBAQ  enabled  -       example.com                 deploy     -      yes           2026-11-20T00:00:00Z
        AgICAgICAgICAgICAgICAg  enabled  -       example.com                 o?ther     -      yes           2026-11-20T00:00:00Z
        AwMDAwMDAwMDAwMDAwMDAw  enabled  -       sha256:00ff00ff00ff00ff...  x          -      yes           2026-11-20T00:00:00Z
        BAQEBAQEBAQEBAQEBAQEBA  enabled  -       other.example               deploy     -      yes           2026-11-20T00:00:00Z
        BQUFBQUFBQUFBQUFBQUFBQ  enabled  -       example.com                 deploy     -      yes           2026-11-20T00:00:00Z

        """)
  }

  @Test func filters() {
    let transcript = transcript()
    #expect(transcript.run("credential list --json --rp-id example.com --user-name deploy --out l.json") == .done)
    #expect(
      transcript.files["l.json"]
        == JSONValue.object(["credentials": .array([Self.credential(1), Self.credential(5)])]).serialized() + [0x0a])
    #expect(transcript.run("credential list --rp-id nobody.example") == .done)
    #expect(transcript.outputText == "ID  STATE  PINNED  RP ID  USER NAME  LABEL  DISCOVERABLE  CREATED\n")
  }

  @Test func refusesPagesWithoutEnd() {
    daemon.administration = { _ in .object(["credentials": .array([]), "next": 7]) }
    let transcript = Transcript(daemon: daemon)
    #expect(transcript.run("credential list") == .unreachable)
    #expect(transcript.errorText.contains("its pages go round in circles"))
  }

  @Test(arguments: ["AwMDAwMDAwMDAwMDAwMDAw", "03030303030303030303030303030303"])
  func showsOne(id: String) {
    let transcript = transcript()
    #expect(transcript.run("credential show \(id)") == .done)
    #expect(
      transcript.outputText == """
        id            AwMDAwMDAwMDAwMDAwMDAw
        state         enabled
        rpIdHash      00ff00ff00ff00ff00ff
        userName      x
        discoverable  yes
        createdAt     2026-11-20T00:00:00Z
        extensions    credBlob, hmac-secret

        """)
    #expect(transcript.run("credential show --json \(id)") == .done)
    #expect(transcript.outputText.utf8.elementsEqual(Self.credential(3, rp: nil, user: "x").serialized() + [0x0a]))
  }

  @Test(arguments: ["-v9ExZ2pzEixoh3inSc8Kg", "--9ExZ2pzEixoh3inSc8Kg"])
  func takesIDsThatBeginWithADash(id: String) {
    let transcript = transcript()
    for line in ["credential show \(id)", "credential delete \(id) --yes", "credential delete --yes \(id)"] {
      #expect(transcript.run(line) == .noSuchCredential)
    }
    #expect(transcript.run("credential show -v9") == .usage)
    #expect(transcript.run("credential list \(id)") == .usage)
  }

  @Test func saysThatThereIsNone() {
    let transcript = transcript()
    for line in ["credential show AQ", "credential delete --yes AQ"] {
      #expect(transcript.run(line) == .noSuchCredential)
      #expect(transcript.errorText.hasSuffix(": there is none with this ID: see countersign credential list\n"))
    }
    #expect(transcript.run("credential show =") == .usage)
    #expect(transcript.errorText.contains("\"=\" is no credential ID in base64url or hexadecimal"))
  }

  @Test func deletesOnlyWhenTold() {
    let transcript = transcript()
    let line = "credential delete AQEBAQEBAQEBAQEBAQEBAQ"
    #expect(transcript.run(line) == .usage)
    #expect(
      transcript.errorText
        == "countersign: cannot delete the credential: nobody is there to confirm it: give --yes\n")
    transcript.person = ["", "no"]
    for _ in 1...2 {
      #expect(transcript.run(line) == .failure)
      #expect(transcript.errorText.contains("you did not say yes: answer y, or give --yes"))
    }
    #expect(
      transcript.prompts[0].hasPrefix(
        "id            AQEBAQEBAQEBAQEBAQEBAQ\nstate         enabled\nrpId          example.com\n"))
    #expect(transcript.prompts[0].hasSuffix("Delete it? [y/N] "))
    #expect(server.credentials.count == 5)
    transcript.person = ["Y"]
    #expect(transcript.run(line) == .done)
    #expect(transcript.outputText == "deleted  AQEBAQEBAQEBAQEBAQEBAQ of example.com\n")
    transcript.person = nil
    #expect(transcript.run("credential delete --yes --json 02020202020202020202020202020202") == .done)
    #expect(transcript.outputText.hasPrefix(#"{"createdAt":"#))
    #expect(server.credentials.count == 3)
  }

  @Test func disablesEnablesAndRenames() {
    let transcript = transcript()
    #expect(transcript.run("credential disable 03030303030303030303030303030303") == .done)
    #expect(transcript.outputText == "disabled  AwMDAwMDAwMDAwMDAwMDAw of sha256:00ff00ff00ff00ff...\n")
    #expect(transcript.run("credential show AwMDAwMDAwMDAwMDAwMDAw") == .done)
    #expect(transcript.outputText.contains("state         disabled\n"))
    #expect(transcript.run("credential enable --json AwMDAwMDAwMDAwMDAwMDAw") == .done)
    #expect(transcript.outputText.contains(#""state":"enabled""#))
    #expect(transcript.run("credential rename AwMDAwMDAwMDAwMDAwMDAw --label old") == .done)
    #expect(transcript.run("credential list") == .done)
    #expect(transcript.outputText.contains("  x          old    yes"))
    #expect(transcript.run("credential rename AwMDAwMDAwMDAwMDAwMDAw") == .usage)
    #expect(transcript.run("credential rename AwMDAwMDAwMDAwMDAwMDAw --label \u{1b}") == .usage)
    for kind in ["disable", "enable"] {
      #expect(transcript.run("credential \(kind) AQ") == .noSuchCredential)
    }
  }

  @Test func passesOnRefusals() {
    daemon.administration = { _ in .object(["error": "a reset is in progress"]) }
    let transcript = Transcript(daemon: daemon)
    #expect(transcript.run("credential delete --yes AQ") == .failure)
    #expect(transcript.errorText.contains("the daemon refused (a reset is in progress)"))
  }
}
