import Daemon
import Glibc

exit(CountersignDaemon.run(Array(CommandLine.arguments.dropFirst())))
