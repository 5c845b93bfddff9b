import Platform
import Policy
import Testing
import WebAuthn

@testable import Configuration

/// What `policy explain` takes, as JSON and in the words of policy.
struct PolicyQuestionTests {
  private func question(_ text: String) throws -> PolicyQuestion {
    guard case .object(let members) = try JSONValue.parse(Array(text.utf8)) else {
      throw QuestionError(description: "no object")
    }
    return try PolicyQuestion(json: members)
  }

  @Test func isTheSameAsJSON() throws {
    let question = PolicyQuestion(
      texts: ["user": "1000", "rpId": "example.com"], groups: ["1", "2"], claims: ["ref": "main"])
    #expect(try PolicyQuestion(json: question.json) == question)
  }

  /// An element that is left out would be another question.
  @Test(arguments: [
    (#"{"groups":["1",2]}"#, "groups"), (#"{"groups":[null]}"#, "groups"), (#"{"groups":"1"}"#, "groups"),
    (#"{"claims":{"ref":"main","run":7}}"#, "claims"), (#"{"user":1000}"#, "user"), (#"{"users":"x"}"#, "users"),
  ])
  func refusesWhatIsNoText(_ text: String, _ key: String) {
    #expect(throws: QuestionError(description: "the key \"\(key)\" is unknown or no text")) { try question(text) }
  }
}
