/// Finds the systemd unit in /proc/PID/cgroup (cgroups(7), systemd.unit(5)).
package enum SystemdUnit {
  /// The unit of the system manager that a process belongs to.
  ///
  /// That is the **first** component after the slices, as in sd_pid_get_unit(3). What lies below it is made by the
  /// unit itself: a user's service manager or a service with `Delegate=yes` names its groups as it likes, so a deeper
  /// `deploy.service` proves nothing. Everything that a user's manager runs is `user@UID.service` here.
  ///
  /// - Parameter file: the bytes of /proc/PID/cgroup
  /// - Returns: a valid unit name that is no slice, or nil
  package static func name(inControlGroups file: [UInt8]) -> String? {
    var unified: ArraySlice<UInt8>?
    var systemd: ArraySlice<UInt8>?
    for line in file.split(separator: UInt8(ascii: "\n")) {
      // hierarchy-ID:controllers:path, where the path may hold further colons
      let fields = line.split(separator: UInt8(ascii: ":"), maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      if fields[0].elementsEqual("0".utf8), fields[1].isEmpty {
        unified = fields[2]
      } else if fields[1].elementsEqual("name=systemd".utf8) {
        systemd = fields[2]
      }
    }
    // Where version 1 has a hierarchy of systemd's own, the unified one may be mounted and unused.
    return (systemd ?? unified).flatMap(name(inPath:))
  }

  private static func name(inPath path: ArraySlice<UInt8>) -> String? {
    guard path.first == UInt8(ascii: "/") else { return nil }
    let components = path.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    for component in components {
      guard let unit = validName(unescaped(component)) else { return nil }
      if !unit.hasSuffix(".slice") { return unit }
    }
    return nil
  }

  /// systemd puts `_` before names that the kernel would take for its own files.
  private static func unescaped(_ component: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    component.first == UInt8(ascii: "_") ? component.dropFirst() : component
  }

  private static let types = [".service", ".scope", ".slice", ".socket", ".mount", ".swap"]

  private static func validName(_ bytes: ArraySlice<UInt8>) -> String? {
    guard bytes.count <= 255, bytes.first != UInt8(ascii: "@"), bytes.allSatisfy(isNameByte) else { return nil }
    let name = String(decoding: bytes, as: UTF8.self)
    return types.contains { name.hasSuffix($0) && name.utf8.count > $0.utf8.count } ? name : nil
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: ":-_.\\@".utf8.contains(byte)
    }
  }
}
