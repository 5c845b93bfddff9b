internal import Commands
internal import Platform

ServiceProcess.end(CommandLineProgram.run(Array(CommandLine.arguments.dropFirst()), .live()).rawValue)
