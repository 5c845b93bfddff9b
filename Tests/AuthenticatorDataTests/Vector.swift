import FoundationEssentials
import TestSupport

/// A named line of the files in `Vectors`.
func vector(_ name: String) throws -> [UInt8] {
  for file in ["webauthn-level3", "keys"] {
    let path = #filePath.replacing("Vector.swift", with: "Vectors/\(file).txt")
    for line in try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n") {
      if line.hasPrefix("\(name) = ") {
        return [UInt8](hex: String(line.dropFirst(name.count + 3)))
      }
    }
  }
  throw UnknownVector(name: name)
}

struct UnknownVector: Error {
  let name: String
}
