import FoundationEssentials

/// The lines of a file in `Vectors`, split into their columns.
func vectorRows(_ file: String) throws -> [[String]] {
  let path = #filePath.replacing("VectorFile.swift", with: "Vectors/\(file).txt")
  return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").filter { !$0.hasPrefix("#") }.map {
    $0.split(separator: "|", omittingEmptySubsequences: false).map { $0.filter { $0 != " " } }
  }
}
