internal import Glibc
internal import Platform
internal import Transports

/// Watches for the end of a process, or for the moment when nothing is left in a control group.
final class EndSentinel {
  /// Why the grant ends then.
  let reason: String
  /// The process or the control group, in words.
  let job: String
  private let descriptor: Descriptor
  private let isControlGroup: Bool
  private var watch: EventLoop.Watch?

  /// nil where there is nothing to watch.
  ///
  /// - Parameters:
  ///   - process: its number in the daemon's pid namespace
  ///   - controlGroup: as in /proc/PID/cgroup, of version 2
  /// - Throws: ``GrantError`` where that has ended already, or cannot be watched
  init?(process: Int32?, controlGroup: String?) throws {
    if let process {
      do {
        descriptor = try Descriptor(ofProcess: process)
      } catch {
        throw GrantError(
          description: "process \(process): \(error)", isOfRequest: error.code == ESRCH)
      }
      (isControlGroup, reason) = (false, "its process has ended")
      job = "process \(process)"
    } else if let controlGroup {
      let components = controlGroup.split(separator: "/")
      guard controlGroup.hasPrefix("/"), !components.isEmpty, !components.contains(where: { [".", ".."].contains($0) })
      else {
        throw GrantError(
          description: "\(quoted(controlGroup)) is no control group", remedy: "write it as in /proc/PID/cgroup",
          isOfRequest: true)
      }
      let root = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].first {
        unsafe access($0 + "/cgroup.controllers", F_OK) == 0
      }
      guard let root else { throw GrantError(description: "this machine has no control groups of version 2") }
      job = "control group /" + components.joined(separator: "/")
      do {
        let file = root + "/" + components.joined(separator: "/") + "/cgroup.events"
        descriptor = try Descriptor(opening: file, flags: O_RDONLY)
      } catch {
        throw GrantError(
          description: "control group \(quoted(controlGroup)): \(error)",
          isOfRequest: error.code == ENOENT)
      }
      (isControlGroup, reason) = (true, "its control group is empty")
    } else {
      return nil
    }
    if hasEnded { throw GrantError(description: "\(reason) already") }
  }

  /// Whether nothing of the process or group is left.
  var hasEnded: Bool {
    if isControlGroup {
      var buffer = [UInt8](repeating: 0, count: 4096)
      let count = unsafe pread(descriptor.raw, &buffer, buffer.count, 0)
      // A group that has been removed cannot be read.
      guard count > 0 else { return true }
      return !String(decoding: buffer.prefix(count), as: UTF8.self).split(separator: "\n").contains("populated 1")
    }
    var state = pollfd(fd: descriptor.raw, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&state, 1, 0) != 0
  }

  /// Calls `body` on the loop when it may have ended, possibly several times.
  func watch(on loop: EventLoop, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
    // The kernel tells each change of cgroup.events as an exceptional condition (cgroups(7)).
    watch = try loop.watch(descriptor, for: isControlGroup ? .priority : .read) { _ in body() }
  }

  func unwatch(on loop: EventLoop) {
    if let watch { loop.unwatch(watch) }
    watch = nil
  }
}
