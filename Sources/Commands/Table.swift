/// Text for a terminal: what would move its cursor is shown as `?`.
func shown(_ text: String) -> String {
  text.unicodeScalars.reduce(into: "") { $0.unicodeScalars.append(isPrintable($1) ? $1 : "?") }
}

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
      text += name + String(repeating: " ", count: width - name.count + 2) + shown(value) + "\n"
    }
    return [UInt8](text.utf8)
  }
}

/// Columns under headings, for people.
struct Listing {
  private var rows: [[String]]

  init(columns: [String]) {
    rows = [columns]
  }

  /// As many cells as there are columns. What would move a terminal's cursor is shown as `?`.
  mutating func add(_ cells: [String]) {
    rows.append(cells.map(shown))
  }

  var text: [UInt8] {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.reduce(into: []) { text, row in
      var line = ""
      for (column, cell) in row.enumerated() {
        line += cell
        if column < row.count - 1 { line += String(repeating: " ", count: widths[column] - cell.count + 2) }
      }
      text += [UInt8]((line + "\n").utf8)
    }
  }
}
