/// One line of a plot: a name, and a point for each place of the horizontal axis; nil where nothing was measured.
struct PlotLine: Equatable {
  let name: String
  let points: [Spread?]
}

/// A plot of lines over named places, from 0 upwards, with one level that is meant to be seen.
struct Plot: Equatable {
  let title: String
  let places: [String]
  let lines: [PlotLine]
  /// e.g. 1, where a ratio says "the same".
  let level: Double

  /// The upper end of the vertical axis: the next of 1, 2, 5, 10, … halves that has room for every point.
  var ceiling: Double {
    let greatest = max(lines.flatMap(\.points).compactMap { $0?.greatest }.max() ?? 0, level)
    var step = 0.25
    while step * 5 < greatest { step *= 2 }
    return step * (greatest / step).rounded(.up)
  }
}

/// Draws plots beside each other as SVG 1.1, legible on a light and on a dark page.
enum PlotWriter {
  private static let width = 420.0
  private static let height = 300.0
  private static let left = 52.0
  private static let right = 14.0
  private static let top = 34.0
  private static let bottom = 34.0
  private static let legendLine = 17.0
  private static let colors = ["#1b6ca8", "#c8553d", "#3c8d53", "#8356a3", "#b08a1e", "#4a4a4a", "#d1709b", "#3aa5a0"]

  static func svg(_ plots: [Plot]) -> String {
    let legend = Double(plots.map(\.lines.count).max() ?? 0) * legendLine + 8
    let size = (width: width * Double(plots.count), height: height + legend)
    var text = """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(number(size.width)) \(number(size.height))" \
      font-family="sans-serif" font-size="12">
      <rect width="\(number(size.width))" height="\(number(size.height))" fill="#ffffff"/>

      """
    for (index, plot) in plots.enumerated() {
      text += "<g transform=\"translate(\(number(width * Double(index))) 0)\">\n\(panel(plot))</g>\n"
    }
    return text + "</svg>\n"
  }

  private static func panel(_ plot: Plot) -> String {
    let ceiling = plot.ceiling
    func x(_ place: Int) -> Double {
      let step = (width - left - right) / Double(max(plot.places.count, 1))
      return left + step * (Double(place) + 0.5)
    }
    func y(_ value: Double) -> Double { top + (height - top - bottom) * (1 - value / ceiling) }

    var text = "<text x=\"\(number(left))\" y=\"18\" font-weight=\"bold\">\(escaped(plot.title))</text>\n"
    for step in 0...5 {
      let value = ceiling * Double(step) / 5
      text += rule(y(value), "#dddddd", dashed: false)
      text += label(fixed(value, 2), left - 6, y(value) + 4, "end")
    }
    text += rule(y(plot.level), "#000000", dashed: true)
    for (place, name) in plot.places.enumerated() { text += label(name, x(place), height - bottom + 18, "middle") }
    for (index, line) in plot.lines.enumerated() {
      let color = colors[index % colors.count]
      let points = line.points.enumerated().compactMap { place, point in point.map { (x(place), $0) } }
      let path = points.map { "\(number($0.0)),\(number(y($0.1.median)))" }.joined(separator: " ")
      text += "<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(color)\" stroke-width=\"2\"/>\n"
      for (x, point) in points {
        text += """
          <line x1="\(number(x))" y1="\(number(y(point.least)))" x2="\(number(x))" y2="\(number(y(point.greatest)))" \
          stroke="\(color)"/>
          <circle cx="\(number(x))" cy="\(number(y(point.median)))" r="3" fill="\(color)"/>

          """
      }
      let base = height + legendLine * Double(index)
      text += """
        <rect x="\(number(left))" y="\(number(base))" width="12" height="4" fill="\(color)"/>
        \(label(line.name, left + 18, base + 7, "start"))
        """
    }
    return text
  }

  private static func rule(_ y: Double, _ color: String, dashed: Bool) -> String {
    "<line x1=\"\(number(left))\" y1=\"\(number(y))\" x2=\"\(number(width - right))\" y2=\"\(number(y))\" "
      + "stroke=\"\(color)\"\(dashed ? " stroke-dasharray=\"4 3\"" : "")/>\n"
  }

  private static func label(_ text: String, _ x: Double, _ y: Double, _ anchor: String) -> String {
    "<text x=\"\(number(x))\" y=\"\(number(y))\" text-anchor=\"\(anchor)\">\(escaped(text))</text>\n"
  }

  private static func number(_ value: Double) -> String { fixed(value, 1) }

  private static func escaped(_ text: String) -> String {
    text.reduce(into: "") { text, character in
      switch character {
      case "&": text += "&amp;"
      case "<": text += "&lt;"
      case ">": text += "&gt;"
      case "\"": text += "&quot;"
      default: text.append(character)
      }
    }
  }
}

extension Report {
  /// Throughput and latency over the number of clients.
  var plots: [Plot] {
    let clients = Set(rows.map(\.clients)).sorted()
    func plot(_ title: String, _ figure: (Row) -> Spread?) -> Plot {
      func line(_ name: String, _ keys: Keys, _ variant: String?) -> PlotLine {
        PlotLine(name: name, points: clients.map { row(keys, clients: $0, variant: variant).flatMap(figure) })
      }
      let variants: [String] = [Report.inMemory] + LatencyProfile.chips.map(\.name)
      let lines =
        Keys.allCases.map { line($0.rawValue, $0, nil) }
        + variants.map { (name: String) in line("\(Keys.hot.rawValue), \(name)", .hot, name) }
      return Plot(
        title: title, places: clients.map { $0 == 1 ? "1 client" : "\($0)" },
        lines: lines.filter { $0.points.contains { $0 != nil } }, level: 1)
    }
    return [
      plot("throughput over the bare loop", \.throughputRatio),
      plot("p99 over clients × bare TPM2_Sign", \.tailRatio),
    ]
  }

  /// The picture of the document.
  var svg: String { PlotWriter.svg(plots) }
}
