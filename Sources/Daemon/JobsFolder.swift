internal import Glibc
internal import Platform
internal import Policy
internal import Transports

/// Where the sockets of grants are: `FOLDER/ID/ctap.sock`. A folder each, so that one can be mounted into a container.
///
/// Anyone may pass through the folders and nobody read them: the IDs are random. The socket has an access list
/// (acl(5)) that lets its user write, which connect(2) asks for, and nobody else but root and the daemon: making one asks
/// for no privilege, as giving the file away would. (That the caller is this user policy checks again.)
struct JobsFolder {
  let path: String

  /// The folder of one grant.
  func place(of grant: Grant) -> String { "\(path)/\(grant.id)" }

  /// - Returns: a listener in the grant's ``place(of:)``
  /// - Throws: `ListenerError`, or ``GrantError`` where folder or file system do not serve
  func makeSocket(for grant: Grant) throws -> Listener {
    try makeFolder(path)
    let place = place(of: grant)
    try makeFolder(place)
    do {
      let socket = place + "/ctap.sock"
      let listener = try Listener(path: socket, mode: 0o600)
      try AccessList.allow(user: grant.user, toWrite: socket)
      return listener
    } catch let error as SystemError {
      remove(place)
      throw GrantError(
        description: error.code == EOPNOTSUPP
          ? "\(path): the file system has no access lists: use one that has, such as tmpfs" : "\(place): \(error)")
    } catch {
      remove(place)
      throw error
    }
  }

  private func makeFolder(_ folder: String) throws {
    // Whatever the umask says.
    if unsafe mkdir(folder, 0o700) != 0, errno != EEXIST {
      throw GrantError(description: "\(folder) cannot be made: \(SystemError(call: "mkdir", code: errno))")
    }
    guard unsafe chmod(folder, 0o711) == 0 else {
      throw GrantError(description: "\(folder) is not the daemon's own: \(SystemError(call: "chmod", code: errno))")
    }
  }

  /// Removes one grant's folder.
  func remove(_ place: String) {
    unsafe _ = unlink(place + "/ctap.sock")
    unsafe _ = rmdir(place)
  }

  /// Removes what a daemon that was killed has left.
  func clear() {
    for name in (try? entries(ofDirectory: path)) ?? [] where bytes(hexadecimal: name)?.count == 16 {
      remove("\(path)/\(name)")
    }
  }
}
