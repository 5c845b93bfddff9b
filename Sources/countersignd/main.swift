import Daemon
import Platform

ServiceProcess.end(CountersignDaemon.run(Array(CommandLine.arguments.dropFirst())))
