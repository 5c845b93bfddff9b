internal import Glibc
internal import Platform

/// What figures depend on, without a name by which the machine could be found.
struct MachineDescription: Equatable {
  var processor: String
  var cores: Int
  var kernel: String
  /// Threads that wanted a processor in the minute before the run: above 0 others were at work.
  var load: String
  /// nil where there is none.
  var swtpm: String?
  var tss: String?
  var compiler: String
  var countersign: String

  /// What this one says of itself.
  ///
  /// - Parameter folder: for what programs print
  /// - Returns: its description
  static func live(folder: String) -> MachineDescription {
    let information = (try? Descriptor(opening: "/proc/cpuinfo", flags: O_RDONLY).read(upTo: 16_384)) ?? []
    return MachineDescription(
      processor: processorModel(String(decoding: information, as: UTF8.self)) ?? "unknown",
      cores: sysconf(Int32(_SC_NPROCESSORS_ONLN)),
      kernel: output(of: "uname", ["-s", "-r", "-m"], folder: folder).map(firstLine) ?? "unknown",
      load: (try? Descriptor(opening: "/proc/loadavg", flags: O_RDONLY).read(upTo: 256)).map(firstWord) ?? "unknown",
      swtpm: output(of: "swtpm", ["--version"], folder: folder).flatMap(version),
      tss: output(of: "dpkg-query", ["-f", "${Version}\n", "-W", "libtss2-esys*"], folder: folder).flatMap(version),
      compiler: compilerVersion, countersign: CountersignVersion.text)
  }

  /// The compiler that made this program; that of the daemon under test is the same where both were built together.
  private static var compilerVersion: String {
    #if compiler(>=6.4)
    "6.4 or newer"
    #elseif compiler(>=6.3.2)
    "6.3.2 or newer"
    #elseif compiler(>=6.3.1)
    "6.3.1"
    #else
    "6.3"
    #endif
  }

  /// The name of the first processor in the text of `/proc/cpuinfo`; nil where it names none, as on ARM.
  static func processorModel(_ text: String) -> String? {
    let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
    guard let colon = line?.firstIndex(of: ":"), let line else { return nil }
    let words = line[line.index(after: colon)...].split(separator: " ")
    return words.isEmpty ? nil : words.joined(separator: " ")
  }

  /// The first word that begins with a digit and has a dot in it, without punctuation at its end.
  static func version(_ text: String) -> String? {
    let words = text.split { $0.isWhitespace || $0 == "," }
    return words.first { ($0.first?.isNumber ?? false) && $0.contains(".") }.map(String.init)
  }
}

private func firstLine(_ text: String) -> String {
  text.split(separator: "\n").first.map(String.init) ?? ""
}

private func firstWord(_ bytes: [UInt8]) -> String {
  String(decoding: bytes.prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self)
}
