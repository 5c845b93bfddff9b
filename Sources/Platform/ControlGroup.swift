/// What the path of a process's control group says of it: /proc/PID/cgroup (cgroups(7), systemd.unit(5)).
package struct ControlGroup: Equatable, Sendable {
  /// The unit of the system manager that a process belongs to: a valid unit name that is no slice, or nil.
  ///
  /// That is the **first** component after the slices, as in sd_pid_get_unit(3). What lies below it is made by the
  /// unit itself: a user's service manager or a service with `Delegate=yes` names its groups as it likes, so a deeper
  /// `deploy.service` proves nothing. Everything that a user's manager runs is `user@UID.service` here.
  package let unit: String?
  /// The slice that the unit is in, e.g. `ci.slice`: the innermost before the unit. nil for a unit in none but the root
  /// slice, and where there is no unit.
  package let slice: String?
  /// The ID that a container engine gave the container: 64 hexadecimal digits.
  ///
  /// For the same reason only names count that root's engines give: those of the unit itself (`docker-ID.scope`,
  /// `libpod-ID.scope`, `cri-containerd-ID.scope`, `crio-ID.scope`, `nerdctl-ID.scope`), and where an engine makes its
  /// groups without systemd, those below a group of its own at the root (`/docker/ID`, `/kubepods/…/ID`,
  /// `/libpod_parent/libpod-ID`). A container of a user's own engine lies below `user@UID.service`, where that user could
  /// name anything so: it has no ID here.
  package let container: String?

  /// - Parameter file: the bytes of /proc/PID/cgroup
  package init(file: [UInt8]) {
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
    self.init(path: systemd ?? unified ?? [])
  }

  private init(path: ArraySlice<UInt8>) {
    var unit: String?
    var slice: String?
    var container: String?
    let components = path.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    if path.first == UInt8(ascii: "/") {
      for component in components {
        guard let name = Self.validName(Self.unescaped(component)) else { break }
        if !name.hasSuffix(".slice") {
          unit = name
          container = Self.containerOfScope(name)
          break
        }
        slice = name
      }
      if slice == nil, unit == nil { container = Self.container(below: components) }
    }
    self.unit = unit
    self.slice = unit == nil ? nil : slice
    self.container = container
  }

  private static let engines = ["docker", "libpod", "cri-containerd", "crio", "nerdctl"]

  private static func containerOfScope(_ name: String) -> String? {
    guard name.hasSuffix(".scope") else { return nil }
    let stem = name.dropLast(6)
    return stem.contains("-") ? containerID(stem) : nil
  }

  /// `ID`, or `ENGINE-ID`.
  private static func containerID(_ name: Substring) -> String? {
    var id = name
    if let dash = name.lastIndex(of: "-") {
      guard engines.contains(String(name[..<dash])) else { return nil }
      id = name[name.index(after: dash)...]
    }
    let isID = id.utf8.count == 64 && id.utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) }
    return isID ? String(id) : nil
  }

  /// Kubernetes puts two groups of its own between, for the class and the pod.
  private static func container(below components: [ArraySlice<UInt8>]) -> String? {
    let names = components.prefix(4).map { String(decoding: $0, as: UTF8.self) }
    guard let first = names.first, ["docker", "kubepods", "libpod_parent"].contains(first) else { return nil }
    return names.dropFirst().prefix(first == "kubepods" ? 3 : 1).lazy.compactMap { containerID($0[...]) }.first
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
