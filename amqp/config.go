package amqp

import (
	"log/slog"
	"time"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// Config says how a [Server] behaves. Only Handler is required; every zero value means the default that is
// named at the field.
type Config struct {
	// Handler decides what connections, sessions and links may do. Required.
	Handler Handler

	// SASL lists the mechanisms offered to clients that start with the SASL protocol header, in order. Without
	// any, that header is answered with the plain AMQP header and the connection is closed (OASIS AMQP 1.0
	// 2.2).
	SASL []Mechanism
	// Authenticate judges what a mechanism extracted. Required when SASL is not empty.
	Authenticate Authenticator
	// RequireSASL refuses clients that begin with the plain AMQP header. Default: they are let in without a
	// principal, and Handler decides.
	RequireSASL bool

	// ContainerID names the server in its open frame; called once per connection. Default: 32 random hex digits.
	ContainerID func() string

	// Properties of the server's open frame. Default none.
	Properties wire.Map

	// MaxFrameSize is the largest frame accepted, in bytes, header included. Default 65536, at least 512.
	MaxFrameSize uint32
	// ChannelMax is the highest channel number accepted. Default 8191.
	ChannelMax uint16
	// HandleMax is the highest link handle accepted in a session. Default 262143.
	HandleMax uint32
	// IncomingWindow is the session window in transfer frames; it is replenished when half is used. Default 5000.
	IncomingWindow uint32
	// IdleTimeout is announced to clients; a connection silent for twice this long is closed. Default 240 s;
	// negative: none announced, none enforced.
	IdleTimeout time.Duration

	// MaxMessageSize is announced on links whose handler names no size, and bounds every message on them, in
	// bytes. Default 1 MiB.
	MaxMessageSize uint64
	// MaxUnsettledBytes bounds, per connection, the bytes of messages handed to sinks and not yet settled: above it the
	// engine stops reading that connection until enough are settled, so settling must not depend on what the client
	// sends next. Also bounds the bytes of all half-received
	// messages of the connection together (or one message of its largest allowed size, if more). Default 16 MiB.
	MaxUnsettledBytes int

	// HandshakeTimeout bounds the time from accepting a connection to its open frame. Default 30 s.
	HandshakeTimeout time.Duration
	// WriteTimeout bounds each write to the network. Default 30 s.
	WriteTimeout time.Duration
	// FrameTimeout bounds the wait for the next byte of a frame that has begun to arrive. It is much shorter than
	// IdleTimeout: a client may have nothing to say, but none stops in the middle of a word. Default 30 s.
	FrameTimeout time.Duration
	// CloseTimeout bounds how long the server waits for the peer's close after its own. Default 2 s.
	CloseTimeout time.Duration
	// MaxConnections bounds the connections of the server; more are closed at once. Default 0: no bound.
	MaxConnections int

	// Logger gets one line per connection that ends for a reason other than the client's wish, and debug lines.
	// Default: nothing is logged.
	Logger *slog.Logger

	// firstID is where outgoing serial numbers start; tests let them wrap.
	firstID uint32
}

const (
	minMaxFrameSize       = 512 // OASIS AMQP 1.0 2.4.1, MIN-MAX-FRAME-SIZE
	defaultMaxFrameSize   = 65536
	defaultChannelMax     = 8191
	defaultHandleMax      = 262143
	defaultIncomingWindow = 5000
	defaultIdleTimeout    = 240 * time.Second
	defaultMaxMessageSize = 1 << 20
	defaultUnsettledBytes = 16 << 20
	defaultHandshakeLimit = 30 * time.Second
	defaultWriteTimeout   = 30 * time.Second
	defaultCloseTimeout   = 2 * time.Second
	defaultFrameTimeout   = 30 * time.Second
	farewellTimeout       = 100 * time.Millisecond
	defaultReceiverCredit = 100
	outHighWater          = 256 << 10 // transfers stop above this many buffered bytes
	outLowWater           = 64 << 10  // and start again below this
	outStall              = 2 << 20   // reading stops above this
	senderQuantum         = 64 << 10  // bytes one link may add before the next one's turn
	maxSASLFrameSize      = 64 << 10  // tokens in PLAIN exceed the standard's 512
	maxDeliveryTag        = 32        // OASIS AMQP 1.0 2.8.7
	readBufferSize        = 8 << 10
	retainedBuffer        = 512 << 10 // larger write buffers are not kept
	unlimitedFrameSize    = ^uint32(0)
	saslRounds            = 16 // challenges allowed in one exchange
)

// withDefaults fills in what the zero value leaves open.
func (c Config) withDefaults() Config {
	if c.ContainerID == nil {
		c.ContainerID = randomContainerID
	}
	if c.MaxFrameSize == 0 {
		c.MaxFrameSize = defaultMaxFrameSize
	}
	c.MaxFrameSize = max(c.MaxFrameSize, minMaxFrameSize)
	if c.ChannelMax == 0 {
		c.ChannelMax = defaultChannelMax
	}
	if c.HandleMax == 0 {
		c.HandleMax = defaultHandleMax
	}
	if c.IncomingWindow == 0 {
		c.IncomingWindow = defaultIncomingWindow
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = defaultIdleTimeout
	}
	if c.MaxMessageSize == 0 {
		c.MaxMessageSize = defaultMaxMessageSize
	}
	if c.MaxUnsettledBytes == 0 {
		c.MaxUnsettledBytes = defaultUnsettledBytes
	}
	if c.HandshakeTimeout == 0 {
		c.HandshakeTimeout = defaultHandshakeLimit
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = defaultWriteTimeout
	}
	if c.FrameTimeout == 0 {
		c.FrameTimeout = defaultFrameTimeout
	}
	if c.CloseTimeout == 0 {
		c.CloseTimeout = defaultCloseTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
