internal import FoundationEssentials

/// One configuration file: what stands in it, and where.
struct SourceFile {
  let path: String
  let document: Document
  private let outline: JSON5Outline

  /// - Parameters:
  ///   - path: for messages
  ///   - bytes: the content
  /// - Throws: ``ConfigurationError`` for what is no JSON5, or has keys or types that a configuration has not
  init(path: String, bytes: [UInt8]) throws(ConfigurationError) {
    self.path = path
    do {
      outline = try JSON5Outline(bytes)
    } catch {
      throw ConfigurationError(
        file: path, position: error.position, keyPath: error.keyPath, problem: error.problem, advice: error.advice)
    }
    do {
      document = try JSONDecoder.decodeStrictly(Document.self, from: bytes)
    } catch let error as ShapeError {
      throw Self.translated(error, path, outline)
    } catch {
      throw ConfigurationError(
        file: path, problem: "the JSON5 decoder refuses it (\(error))", advice: "write it in plainer JSON5")
    }
  }

  func position(of keyPath: String) -> SourcePosition {
    outline.position(of: keyPath)
  }

  func error(_ keyPath: String, _ problem: String, _ advice: String) -> ConfigurationError {
    ConfigurationError(
      file: path, position: position(of: keyPath), keyPath: keyPath, problem: problem, advice: advice)
  }

  private static func translated(
    _ error: ShapeError, _ path: String, _ outline: JSON5Outline
  ) -> ConfigurationError {
    switch error {
    case .mismatch(let keyPath, let expected):
      let found = outline.kind(of: keyPath)?.rawValue ?? "something else"
      return ConfigurationError(
        file: path, position: outline.position(of: keyPath), keyPath: keyPath.isEmpty ? nil : keyPath,
        problem: "found \(found), expected \(expected)",
        advice: outline.kind(of: keyPath) == .null ? "give a value or remove the key" : "write \(expected)")
    case .unknownKey(let keyPath, let valid, let nearest):
      let keys = valid.map { "\"\($0)\"" }.joined(separator: ", ")
      return ConfigurationError(
        file: path, position: outline.position(of: keyPath), keyPath: keyPath, problem: "there is no such key",
        advice: nearest.map { "write \"\($0)\"" } ?? "remove it; the keys here are \(keys)")
    }
  }
}
