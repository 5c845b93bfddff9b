package import CTAPHID
package import Platform

/// One connection to the socket, as its users see it: a request frame, then its answer. Tests script one.
package protocol FrameExchange: AnyObject {
  /// - Returns: the answer, which has the request's command byte
  func exchange(_ request: Frame, until deadline: Deadline) throws(ClientError) -> Frame
}
