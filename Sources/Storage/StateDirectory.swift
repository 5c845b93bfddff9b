internal import Authenticator
internal import Glibc
internal import Platform

/// The folder that holds everything one daemon must not lose, locked for as long as this lives.
///
/// The lock is flock(2) on a file of its own: it ends with the process, however that ends, and says nothing about a
/// program that only reads.
struct StateDirectory: ~Copyable, Sendable {
  static let lockName = "countersignd.lock"

  let path: String
  var credentialFile: String { path + "/credentials.db" }
  private let lock: Descriptor

  private init(path: String, lock: consuming Descriptor) {
    self.path = path
    self.lock = lock
  }

  /// Makes the folder where it is missing (0700; its parent must be there) and locks it.
  ///
  /// - Throws: `StoreError.unavailable`, which names the other process where there is one
  static func locked(_ path: String) throws(StoreError) -> StateDirectory {
    let lock: Descriptor
    let isFree: Bool
    do throws(SystemError) {
      try make(path)
      lock = try openLock(path + "/" + lockName)
    } catch {
      throw .unavailable("state directory \(path): \(error): make it a folder of countersignd's user with mode 0700")
    }
    do throws(SystemError) {
      isFree = try lock.lock()
    } catch {
      throw .unavailable("state directory \(path): \(error)")
    }
    guard isFree else {
      throw .unavailable(
        "state directory \(path): in use by \(ownerText(lock)): stop it, or give this one another --state-directory")
    }
    write(owner: getpid(), to: lock)
    return StateDirectory(path: path, lock: lock)
  }

  /// What of this others than the owner may enter, read or write, and how to change that.
  borrowing func laxPermissions() -> [String] {
    [(path, "700"), (credentialFile, "600")].compactMap { name, mode in
      var status = stat()
      guard unsafe stat(name, &status) == 0, status.st_mode & 0o077 != 0 else { return nil }
      return "\(name) is open to others than its owner: chmod \(mode) it"
    }
  }

  /// Lets another process have the folder.
  borrowing func release() {
    lock.unlock()
  }

  /// Makes the names in the folder durable (fsync(2); fdatasync(2) may leave names out).
  borrowing func synchronize() throws(SystemError) {
    try Descriptor.synchronizeFolder(path)
  }

  private static func make(_ path: String) throws(SystemError) {
    guard unsafe mkdir(path, 0o700) == 0 else {
      if errno == EEXIST || errno == EROFS { return }
      throw SystemError(call: "mkdir \(path)", code: errno)
    }
    // The new folder's name is in its parent.
    try Descriptor.synchronizeFolder(path + "/..")
  }

  private static func openLock(_ path: String) throws(SystemError) -> Descriptor {
    do throws(SystemError) {
      return try Descriptor(opening: path, flags: O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
    } catch {
      // On a disk that has become read-only, what is there can still be used.
      guard error.code == EROFS || error.code == ENOSPC else { throw error }
      return try Descriptor(opening: path, flags: O_RDONLY | O_NOFOLLOW)
    }
  }

  private static func write(owner: pid_t, to lock: borrowing Descriptor) {
    // For the message of another daemon only: where it cannot be written, the lock still holds.
    guard ftruncate(lock.raw, 0) == 0 else { return }
    try? lock.write(Array("\(owner)\n".utf8))
  }

  private static func ownerText(_ lock: borrowing Descriptor) -> String {
    let bytes = (try? lock.read(upTo: 32)) ?? []
    let digits = bytes.prefix { (0x30...0x39).contains($0) }
    return digits.isEmpty ? "another countersignd" : "process \(String(decoding: digits, as: UTF8.self))"
  }
}
