import HIDRelay
import Platform

ServiceProcess.end(RelayProgram.run(Array(CommandLine.arguments.dropFirst())))
