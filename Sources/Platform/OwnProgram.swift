internal import Glibc

/// Where our other programs are looked for.
package enum OwnProgram {
  /// The folder of this program's file, links resolved; nil where the file has gone.
  package static var folder: String? {
    guard let resolved = unsafe realpath("/proc/self/exe", nil) else { return nil }
    defer { unsafe free(resolved) }
    let path = unsafe String(cString: resolved)
    return path.lastIndex(of: "/").map { String(path[..<$0]) }
  }
}
