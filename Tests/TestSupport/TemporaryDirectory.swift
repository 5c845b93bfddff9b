import Glibc
import Platform

/// A folder for one test, removed with everything in it at the end of its life.
package final class TemporaryDirectory: Sendable {
  package let path: String

  /// - Parameter inMemory: whether fsync(2) may cost nothing, for tests that make thousands of changes; a killed
  ///   process loses no more there than on a disk
  package init(inMemory: Bool = false) {
    let parent = inMemory && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
    var template = Array("\(parent)/countersign-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { fatalError("mkdtemp: \(errno)") }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The path of `name` in the folder.
  package func path(_ name: String) -> String { path + "/" + name }

  deinit {
    for name in names(in: path) { removeTree(path + "/" + name) }
    rmdir(path)
  }
}

/// The names in a folder; empty where it is none.
package func names(in folder: String) -> [String] {
  guard let listing = opendir(folder) else { return [] }
  defer { closedir(listing) }
  var names: [String] = []
  while let entry = readdir(listing) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
      name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if name != "." && name != ".." { names.append(name) }
  }
  return names
}

private func removeTree(_ path: String) {
  // A symbolic link is removed, never followed.
  if unlink(path) == 0 { return }
  for name in names(in: path) { removeTree(path + "/" + name) }
  rmdir(path)
}

/// The whole file; nil where there is none.
package func contents(of path: String) -> [UInt8]? {
  guard let file = try? Descriptor(opening: path, flags: O_RDONLY) else { return nil }
  var bytes: [UInt8] = []
  while let part = try? file.read(upTo: 1 << 16), !part.isEmpty { bytes += part }
  return bytes
}

/// Replaces the contents of a file, which stays the same file, or makes it.
package func overwrite(_ path: String, with bytes: [UInt8]) throws {
  try Descriptor(opening: path, flags: O_WRONLY | O_CREAT | O_TRUNC).write(bytes)
}
