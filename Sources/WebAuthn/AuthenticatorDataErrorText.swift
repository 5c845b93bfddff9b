extension AuthenticatorDataError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .truncated: "it ends too early"
    case .trailingBytes: "bytes follow it"
    case .cbor(let error): "its CBOR is not canonical (\(error))"
    case .missing(let member): "\(member) is missing"
    case .wrong(let member): "\(member) has the wrong type, length or value"
    case .superfluous: "the COSE_Key has too many members"
    case .unsupportedAlgorithm(let algorithm): "algorithm \(algorithm) is not known"
    }
  }
}
