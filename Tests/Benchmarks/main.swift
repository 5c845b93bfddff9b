import Glibc
import Platform

// Usage: countersign-bench DAEMON [CREDENTIALS]
//
// Ratios of the daemon's assertions to a bare TPM2_Sign loop against the same software TPM in the same run, before and
// after, because a machine's speed drifts. Then memory, idle and with so many credentials.

let arguments = CommandLine.arguments
guard arguments.count >= 2 else {
  print("usage: countersign-bench DAEMON [CREDENTIALS]")
  exit(2)
}
let credentialCount = arguments.count > 2 ? Int(arguments[2]) ?? 0 : 0
var template = Array("/tmp/countersign-bench-XXXXXX".utf8CString)
guard mkdtemp(&template) != nil else { throw SystemError(call: "mkdtemp", code: errno) }
let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
SignalDescriptor.ignoreBrokenPipes()

let rounds = 5
let count = 1600
let tpm = try TPMProcess(directory: directory)
var daemon = try DaemonProcess(program: arguments[1], directory: directory, tcti: tpm.tcti)
print("first start to ready (keys made): \(text(Double(daemon.nanosecondsToReady) / 1e6, 1)) ms")
let credential = try Clients(socket: daemon.socket).register(1)
daemon.stop()

var latencies: [Double] = []
var throughputs: [Double] = []
for round in 1...rounds {
  let bare = try BareLoop.run(tcti: tpm.tcti, count: count)
  daemon = try DaemonProcess(program: arguments[1], directory: directory, tcti: tpm.tcti)
  let clients = Clients(socket: daemon.socket)
  _ = try clients.sign(with: credential, clients: 1, count: 16)
  let one = try clients.sign(with: credential, clients: 1, count: count)
  let sixteen = try clients.sign(with: credential, clients: 16, count: count)
  let idle = daemon.residentBytes
  let ready = daemon.nanosecondsToReady
  daemon.stop()
  latencies.append(one.percentile(0.5) / bare.percentile(0.5))
  throughputs.append(sixteen.perSecond / bare.perSecond)
  print("round \(round) of \(rounds)")
  print("  bare TPM2_Sign: \(bare.row)")
  print("  1 client:       \(one.row)")
  print("  16 clients:     \(sixteen.row)")
  print("  start to ready: \(text(Double(ready) / 1e6, 1)) ms, resident after: \(text(Double(idle) / 1e6, 1)) MB")
}
print("median latency of 1 client over bare, median of rounds: \(text(latencies.sorted()[rounds / 2], 2))")
print("throughput of 16 clients over bare, median of rounds:   \(text(throughputs.sorted()[rounds / 2], 2))")

daemon = try DaemonProcess(program: arguments[1], directory: directory, tcti: tpm.tcti)
print("resident, idle with 1 credential: \(text(Double(daemon.residentBytes) / 1e6, 1)) MB")
if credentialCount > 0 {
  let clock = SystemTime()
  let begin = clock.monotonicNanoseconds
  _ = try Clients(socket: daemon.socket).register(credentialCount)
  let seconds = Double(clock.monotonicNanoseconds - begin) / 1e9
  print(
    "registered \(credentialCount) credentials in \(text(seconds, 1)) s; resident: "
      + "\(text(Double(daemon.residentBytes) / 1e6, 1)) MB")
  daemon.stop()
  daemon = try DaemonProcess(program: arguments[1], directory: directory, tcti: tpm.tcti)
  print(
    "started again with \(credentialCount + 1) credentials: ready after "
      + "\(text(Double(daemon.nanosecondsToReady) / 1e6, 1)) ms, resident \(text(Double(daemon.residentBytes) / 1e6, 1)) MB"
  )
}
daemon.stop()
tpm.stop()
let remover = try ChildProcess("rm", arguments: ["-rf", directory], descriptors: [])
_ = remover.waitForEnd(within: 20_000)
