import CLibFuzzer
import Glibc

/// `countersign-fuzz TARGET [libFuzzer's options] FOLDER…`; without a target it lists them and what they are about.
@main enum FuzzProgram {
  /// libFuzzer's callback is a C function and has no context.
  nonisolated(unsafe) private static var target = FuzzTarget.all[0]

  static func main() {
    guard CommandLine.arguments.count > 1,
      let chosen = FuzzTarget.all.first(where: { $0.name == CommandLine.arguments[1] })
    else {
      for target in FuzzTarget.all { print(target.name, target.sources.joined(separator: " ")) }
      exit(2)
    }
    target = chosen
    // libFuzzer must not take the target's name for a folder.
    var arguments = CommandLine.unsafeArgv
    arguments[1] = arguments[0]
    arguments += 1
    var count = CommandLine.argc - 1
    var pointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = arguments
    exit(
      LLVMFuzzerRunDriver(&count, &pointer) { bytes, length in
        FuzzProgram.check(Array(UnsafeBufferPointer(start: bytes, count: length)))
        return 0
      })
  }

  private static func check(_ input: [UInt8]) {
    do {
      try target.check(input)
    } catch {
      fatalError("\(target.name): \(error)")
    }
  }
}
