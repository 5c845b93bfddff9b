internal import Platform

/// `countersign bench`: another program, since it links what the command line does without (tpm2-tss, SQLite), so that a
/// job's container need not have it.
func bench(_ context: CommandContext) throws(CommandFailure) {
  // It complains by the name under which it was called.
  let error = context.console.handOver("countersign-bench", ["countersign bench"] + context.arguments.files)
  throw context.fail(.failure, "the program that measures cannot be run (\(error))", "install all of countersign")
}
