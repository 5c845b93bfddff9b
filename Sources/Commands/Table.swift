/// Two columns for people: names and values.
struct Table {
  private var rows: [(name: String, value: String)] = []

  mutating func add(_ name: String, _ value: String?) {
    if let value { rows.append((name, value)) }
  }

  /// One line for each row. What would move a terminal's cursor is shown as `?`.
  var text: [UInt8] {
    let width = rows.map(\.name.count).max() ?? 0
    var text = ""
    for (name, value) in rows {
      text += name + String(repeating: " ", count: width - name.count + 2)
      for scalar in value.unicodeScalars { text.unicodeScalars.append(isPrintable(scalar) ? scalar : "?") }
      text += "\n"
    }
    return [UInt8](text.utf8)
  }
}
