internal import CLinux

/// How the process uses memory, for programs that live long.
package enum ProcessMemory {
  /// Keeps the C library from giving each thread a heap of its own. Call it before there are threads.
  package static func boundHeaps() {
    cs_bound_heaps()
  }

  /// Gives back what only the start needed: free heap, and code that has run once, of libraries too.
  package static func releaseStartup() {
    cs_release_startup_memory()
  }
}
