import Platform
import Testing

@testable import Commands

@Suite struct CompletionTests {
  /// What is offered is what is taken: the help's options and their values are those of the tables. (BenchmarkingTests has
  /// the options of the command that is another program's.)
  @Test(arguments: Commands.Command.allCases.filter { !$0.isHandedOver })
  func offersExactlyWhatIsTaken(command: Commands.Command) throws {
    let outline = try #require(
      ProgramOutline().commands.first { $0.words.joined(separator: " ") == command.rawValue })
    #expect(!outline.text.isEmpty)
    #expect(Set(outline.options.map(\.name)) == Set((command.options + [.help]).map(\.rawValue)))
    for option in outline.options {
      #expect(!option.text.isEmpty, "\(option.name)")
      #expect((option.value != nil) == Arguments.Option(rawValue: option.name)?.takesValue, "\(option.name)")
    }
  }

  @Test func readsHelp() {
    let help = """
      Usage: program [OPTION]...

        --config FILE           the file, which
                                is read first; not last
        --software-tpm-of-some DIR
                                a folder
        --level N               how much
        -h, --help              this

      Example, in two lines:
        program --config a \\
          --level 7
      """
    let outline = ProgramOutline(name: "program", help: help)
    #expect(
      outline.commands == [
        ProgramOutline.Command(
          words: [], text: "",
          options: [
            ProgramOutline.Option(name: "--config", value: "FILE", text: "the file, which is read first"),
            ProgramOutline.Option(name: "--software-tpm-of-some", value: "DIR", text: "a folder"),
            ProgramOutline.Option(name: "--level", value: "N", text: "how much"),
            ProgramOutline.Option(name: "--help", value: nil, text: "this"),
          ])
      ])
    #expect(outline.commands[0].options.map(\.kind) == [.file, .folder, .other, .none])
  }

  @Test(arguments: ["bash", "zsh", "fish"])
  func printsScripts(shell: String) {
    let transcript = Transcript(input: "  --config FILE  the file\n")
    #expect(transcript.run("completion \(shell)") == .done)
    #expect(transcript.outputText.contains("completion") && transcript.outputText.contains("registration"))
    let another = Transcript(input: "  --config FILE  the file\n")
    #expect(another.run("completion \(shell) --program countersignd") == .done)
    #expect(another.outputText.contains("countersignd") && another.outputText.contains("config"))
  }

  @Test(arguments: [
    ("completion", "", "wrong usage: completion lacks its shell: see countersign completion --help"),
    ("completion csh", "", "wrong usage: there is no completion for the shell \"csh\": give bash, zsh or fish"),
    (
      "completion bash --program $(reboot)", "",
      "wrong usage: --program \"$(reboot)\" is no name of ours: give it as in countersignd"
    ),
    (
      "completion bash --program countersignd", "nothing",
      "cannot make a completion: standard input names no options: give it what countersignd --help prints"
    ),
  ])
  func refuses(line: String, input: String, complaint: String) {
    let transcript = Transcript(input: input)
    #expect(transcript.run(line) == .usage)
    #expect(transcript.errorText == "countersign: \(complaint)\n")
    #expect(transcript.outputText == "")
  }
}
