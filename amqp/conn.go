package amqp

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// Conn is one client connection.
type Conn struct {
	cfg *Config
	nc  net.Conn
	id  string
	log *slog.Logger
	in  deadlineReader
	rd  *wire.Reader

	// Set by the reader before the handler sees the connection, then constant.
	principal any
	mechanism string
	open      *wire.Open
	writeMax  uint32 // largest frame written
	admitted  bool   // Handler.Open returned nil

	value  atomic.Pointer[any]
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup // writer and dispatcher

	// Frames decoded often; only the reader uses them.
	transfer    wire.Transfer
	flow        wire.Flow
	disposition wire.Disposition

	mu        sync.Mutex
	room      sync.Cond // the reader waits for room, on mu
	state     connState
	reason    error // why the connection ends; the first one counts
	out       []byte
	wake      chan struct{} // one token: there is something to write
	dead      chan struct{} // closed when writing is over
	deadOnce  sync.Once
	sessions  map[uint16]*Session
	used      map[uint16]struct{} // channels that had a session
	settling  []*Session          // sessions with dispositions to write
	readyQ    []*Sender           // senders whose turn comes
	busy      bool                // the dispatcher runs
	unsettled int                 // bytes handed to sinks and not settled
	partial   int                 // bytes of half-received messages
	endBy     time.Time           // when a connection that ends is cut off
}

type connState uint8

const (
	connHandshake connState = iota // open not sent
	connOpen
	connClosing // close sent, or about to be cut off: nothing more is written
	connDead
)

// errPeerClosed ends the reader's loop after an orderly close by the client.
var errPeerClosed = errors.New("amqp: closed by the peer")

func newConn(cfg *Config, nc net.Conn) *Conn {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	c := &Conn{
		cfg:      cfg,
		nc:       nc,
		id:       hex.EncodeToString(b[:]),
		wake:     make(chan struct{}, 1),
		dead:     make(chan struct{}),
		sessions: make(map[uint16]*Session),
		used:     make(map[uint16]struct{}),
		writeMax: minMaxFrameSize,
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.room.L = &c.mu
	c.log = cfg.Logger.With("conn", c.id)
	c.in = deadlineReader{nc: nc, frame: cfg.FrameTimeout, fixed: time.Now().Add(cfg.HandshakeTimeout)}
	c.rd = wire.NewReader(&c.in, maxSASLFrameSize)
	c.in.begun = c.rd.Buffered
	return c
}

// NetConn is the connection as it was given to the server, for its addresses. It must not be read, written or
// closed.
func (c *Conn) NetConn() net.Conn { return c.nc }

// TLS is the state of the connection, or nil if it has none: it is asked for by the method ConnectionState, which
// *tls.Conn has, and which a wrapper (a WebSocket stream, say) may have too.
func (c *Conn) TLS() *tls.ConnectionState {
	if t, ok := c.nc.(interface{ ConnectionState() tls.ConnectionState }); ok {
		state := t.ConnectionState()
		return &state
	}
	return nil
}

// ID is a short random name of the connection, for logs.
func (c *Conn) ID() string { return c.id }

// Principal is what the authenticator returned, or nil for a client that used no SASL.
func (c *Conn) Principal() any { return c.principal }

// Mechanism is the name of the SASL mechanism used, or "" for a client that used no SASL.
func (c *Conn) Mechanism() string { return c.mechanism }

// Open is the client's open frame: container id, hostname, properties and limits. Not to be changed. It is
// set from Handler.Open on.
func (c *Conn) Open() *wire.Open { return c.open }

// Value is what SetValue set, or nil. For the handler's use.
func (c *Conn) Value() any { return load(&c.value) }

// SetValue keeps v with the connection.
func (c *Conn) SetValue(v any) { c.value.Store(&v) }

func load(p *atomic.Pointer[any]) any {
	if v := p.Load(); v != nil {
		return *v
	}
	return nil
}

// Context ends when the connection has ended or was cut off, before the handler is told so.
func (c *Conn) Context() context.Context { return c.ctx }

// Close ends the connection: what was sent before still goes out, then a close frame with err, or without error if
// err is nil; then the client's answer is awaited for [Config.CloseTimeout]. It does not wait itself, and only the
// first call counts. Before the handler's Open has returned, it cuts the connection off.
func (c *Conn) Close(err *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == connHandshake {
		if err == nil {
			c.abortLocked(errors.New("amqp: closed during the handshake"))
		} else {
			c.abortLocked(err)
		}
		return
	}
	c.closeLocked(err)
}

// Abort cuts the connection off without a close frame.
func (c *Conn) Abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abortLocked(errors.New("amqp: connection aborted by the server"))
}

func (c *Conn) abortLocked(reason error) {
	if c.reason == nil {
		c.reason = reason
	}
	c.state = max(c.state, connClosing)
	c.cancel()
	c.killWriter()
	if below := below(c.nc); below != nil { // TLS would wait for room for its farewell
		_ = below.Close()
	}
	_ = c.nc.Close()
	c.room.Broadcast()
}

// endByLocked bounds what is left of a connection that ends, writing included, by the close time-out; the time counts
// from the first call.
func (c *Conn) endByLocked() {
	if c.endBy.IsZero() {
		c.endBy = time.Now().Add(c.cfg.CloseTimeout)
		c.in.fix(c.endBy)
	}
	// The writer may have set a later one just now.
	_ = c.nc.SetWriteDeadline(c.endBy)
}

// closeNetwork closes the network connection. TLS says farewell to a peer, for which it would wait up to 5 s for one that
// does not read; farewellTimeout is enough.
func (c *Conn) closeNetwork() {
	if below := below(c.nc); below != nil {
		limit := time.AfterFunc(farewellTimeout, func() { _ = below.Close() })
		defer limit.Stop()
	}
	_ = c.nc.Close()
}

// below is the network connection under TLS, or nil.
func below(nc net.Conn) net.Conn {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		return t.NetConn()
	}
	return nil
}

// closeLocked sends close and bounds the wait for the answer.
func (c *Conn) closeLocked(err *Error) {
	if c.state >= connClosing {
		return
	}
	if c.reason == nil && err != nil {
		c.reason = err
	}
	c.writeLocked(0, &wire.Close{Error: err})
	c.state = connClosing
	c.endByLocked()
	c.room.Broadcast()
}

// serve runs the connection to its end.
func (c *Conn) serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		c.Close(&Error{Condition: wire.ErrConnectionForced, Description: "the server is shutting down"})
	})
	c.tasks.Go(c.writeLoop)

	err := c.handshake()
	if err == nil {
		err = c.readLoop()
	}
	err = c.finish(err)

	stop()
	c.cancel()
	c.endSessions(err)
	c.tasks.Wait()
	if c.admitted {
		c.Protect("connection closed", func() { c.cfg.Handler.Closed(c, err) })
	}
	c.logEnd(err)
	return err
}

// finish takes the reason why the reader stopped, tells the peer if it can still be told, waits until all is
// written, and closes the network connection. It returns what the connection ended with.
func (c *Conn) finish(err error) error {
	var fatal *Error
	c.mu.Lock()
	switch {
	case errors.Is(err, errPeerClosed):
		// The answer is written already.
	case c.state == connClosing:
		// Ended by this end: the wait for the peer's close is over.
	case errors.As(err, &fatal) && c.state == connOpen:
		c.closeLocked(fatal)
		c.mu.Unlock()
		c.discard()
		c.mu.Lock()
	case errors.As(err, new(*handshakeError)):
		c.reason = err
		c.state = connClosing
		c.endByLocked()
		c.mu.Unlock()
		c.flushAndStop()
		c.discardBytes()
		c.mu.Lock()
	default: // the network failed
		if c.reason == nil {
			c.reason = err
		}
		c.killWriter()
	}
	c.state = max(c.state, connClosing)
	reason := c.reason
	c.mu.Unlock()

	c.flushAndStop()
	c.closeNetwork()
	c.mu.Lock()
	c.state = connDead
	c.room.Broadcast()
	c.mu.Unlock()
	return reason
}

// flushAndStop lets the writer write what is left, for at most the close time-out, and ends it.
func (c *Conn) flushAndStop() {
	c.mu.Lock()
	c.state = max(c.state, connClosing)
	c.endByLocked()
	c.mu.Unlock()
	c.signal()
	<-c.dead
}

// killWriter ends the writer without writing what is left.
func (c *Conn) killWriter() { c.deadOnce.Do(func() { close(c.dead) }) }

// discard reads frames until the peer's close, for at most the close time-out.
func (c *Conn) discard() {
	for {
		f, err := c.rd.ReadFrame()
		if framing := (*wire.FramingError)(nil); errors.As(err, &framing) {
			c.discardBytes()
			return
		}
		if err != nil {
			return
		}
		if code, err := wire.PeekCode(f.Body); err == nil && code == wire.CodeClose {
			return
		}
	}
}

// discardBytes reads until the peer stops or the deadline passes, so that closing does not reset the connection
// before the peer has read the reason.
func (c *Conn) discardBytes() { _, _ = io.Copy(io.Discard, &c.in) }

func (c *Conn) logEnd(err error) {
	attrs := []any{"remote", remoteAddr(c.nc)}
	if c.open != nil {
		attrs = append(attrs, "container", c.open.ContainerID, "host", c.open.HostName)
	}
	var ours *Error
	switch {
	case err == nil:
		c.log.Debug("amqp connection closed", attrs...)
	case errors.As(err, &ours) || errors.As(err, new(*handshakeError)):
		c.log.Warn("amqp connection ended", append(attrs, "err", err)...)
	default:
		c.log.Info("amqp connection lost", append(attrs, "err", err)...)
	}
}
