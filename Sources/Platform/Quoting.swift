/// `text` between double quotes, on one line of ASCII whatever it holds, for logs and error messages: text of a stranger
/// can neither start a line of its own nor reorder the one it stands in.
///
/// - Parameters:
///   - text: any text
///   - limit: characters of `text` that are shown; the rest becomes `…`
/// - Returns: the quoted text
package func quoted(_ text: String, limit: Int = 256) -> String {
  let scalars = text.unicodeScalars
  let shown = scalars.prefix(limit).map { $0.escaped(asASCII: true) }.joined()
  return "\"" + shown + (scalars.count > limit ? "…" : "") + "\""
}
