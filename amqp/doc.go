// Package amqp is an AMQP 1.0 server engine: it accepts connections, speaks the transport, session, link and
// SASL layers of the OASIS AMQP 1.0 standard, and hands messages to a [Handler] as raw bytes. It knows no
// addresses, no broker and no vendor; what a link means is the handler's business. Types, frames and message
// sections are in package wire.
//
// # How a handler is used
//
// A [Server] is built from a [Config] and fed with listeners ([Server.Serve]) or single connections
// ([Server.ServeConn]; TLS, plain TCP and WebSocket streams alike). For every attach of a client the engine asks
// [Handler.Attach]. The handler answers with an [Acceptance] that holds a [Sink] (the client sends) or a
// [Source] (the client receives), or with an error, which the client sees as a refused link.
//
// A [Sink] is given each complete message as a [Delivery] and settles it now or later, from any goroutine. The
// engine grants credit, keeps it topped up as deliveries are settled, and stops reading a connection whose
// unsettled messages take too much memory.
//
// A [Source] pulls: [Sender.TrySend] sends when the link has credit, the session has window and the connection's
// write buffer has room, and otherwise returns [ErrWouldBlock] and arranges that [Source.Ready] is called once
// sending is possible again. A pump therefore needs no goroutine per link or message: call TrySend until it
// would block, when there is a new message and whenever Ready is called. [Sender.Send] is the same with
// blocking. Outcomes come back through [Source.Outcome].
//
// # Goroutines and locks
//
// Each connection has a reader goroutine, which owns the protocol: it decodes frames, changes state and calls
// the handler; and a writer goroutine, which writes what was encoded, many frames in one system call, under a
// write deadline. A third goroutine exists only while some [Sender] waits to be told that it is ready. All
// state of a connection, its sessions and links is guarded by one mutex per connection, which is never held
// across a handler call, a read or a write. There is no lock that two connections share except the server's
// list of connections, so a stalled peer stalls itself only.
//
// Handler calls: Open, Begin, Attach, Message, Outcome, Closed and so on come from the connection's reader, one
// at a time, in the order of the frames that caused them. A handler that blocks there blocks that one
// connection. Ready comes from the third goroutine: calls for one connection are one at a time, but may overlap
// calls from the reader. Every exported method of Conn, Session, Sender, Receiver, Delivery and Sent may be
// called from any goroutine, also from inside handler calls. Frames leave in the order of the calls that made
// them; a settlement made before a send leaves before it.
//
// # Bounds
//
// Outgoing bytes: transfers stop at a high-water mark of the write buffer; if a peer makes us answer faster than it
// reads, reading stops until the buffer drains, and the write deadline ends the connection if it does not.
// Incoming bytes: see [Config.MaxUnsettledBytes] and [Config.MaxMessageSize].
package amqp
