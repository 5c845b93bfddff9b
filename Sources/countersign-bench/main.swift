import Benchmarking
import Platform

ServiceProcess.end(BenchProgram.run(Array(CommandLine.arguments.dropFirst())))
