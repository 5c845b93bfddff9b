internal import Commands
internal import Glibc
internal import Platform

exit(CommandLineProgram.run(Array(CommandLine.arguments.dropFirst()), .live()).rawValue)
