import Glibc
import HIDRelay

exit(RelayProgram.run(Array(CommandLine.arguments.dropFirst())))
