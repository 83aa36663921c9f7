package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Sizes of the write side of a connection, in bytes.
const (
	// flushSize is when replies leave although the reader is still busy.
	flushSize = 16 << 10
	// highWater is when writers that may wait do, and reading stops.
	highWater = 64 << 10
	// maxUnsent is the most that a peer may leave unread before it is cut off.
	maxUnsent = 4 << 20
)

// lingerTime is how long a closing connection takes in what the peer still
// sends. Closing a socket with unread data resets it, and a reset destroys the
// CONNACK on its way and is final for some clients, unlike a plain end.
const lingerTime = time.Second

// errSlowPeer ends a connection whose peer does not read.
var errSlowPeer = errors.New("the client does not read what it is sent")

// conn wraps an accepted connection. It gathers replies while the reader still
// has packets to work on and sends them as one write when the next Read would
// block, when flushSize is reached, or, while the reader is parked in Read, at
// once from a goroutine of its own. It sets the deadlines of writes and holds
// the session that runs on it.
//
// Read, Close and the methods of net.Conn are for the reader's goroutine; write,
// enqueue and abort are for all.
type conn struct {
	net.Conn
	number   uint64
	protocol string
	// claimed is the client identifier, once a CONNECT was read.
	claimed      string
	writeTimeout time.Duration
	// session is set by the CONNECT, on the reader's goroutine.
	session *session
	// idleTimeout is how long the client may be silent: one and a half times its
	// keep-alive (MQTT 3.1.1 3.1.2.10). It is 0 until CONNECT is accepted.
	idleTimeout time.Duration
	// readDeadline is the one last set, on the reader's goroutine.
	readDeadline time.Time
	// writeDeadline is the one last set by who flushes.
	writeDeadline time.Time

	lane lane

	// helpers are the flusher and the closer; Close waits for them.
	helpers sync.WaitGroup

	mu   sync.Mutex
	room sync.Cond
	// out waits to be sent; spare is the buffer that out will be next.
	out, spare []byte
	flushing   bool
	// parked says that the reader waits for the peer or for the hub: nobody
	// else will flush.
	parked bool
	// held keeps what is in out from leaving; see writeThen.
	held bool
	// closing is set by the first abort or Close; writes are refused then.
	closing bool
	// cause says why the connection ends, for the log.
	cause error
	// broken is the error of a failed write.
	broken error
}

func newConn(c net.Conn, number uint64, protocol string, connectTimeout, writeTimeout time.Duration) *conn {
	w := &conn{Conn: c, number: number, protocol: protocol, writeTimeout: writeTimeout}
	w.room.L = &w.mu
	// From here to CONNECT, the TLS handshake included. The session's keep-alive
	// replaces it.
	_ = c.SetReadDeadline(time.Now().Add(connectTimeout))
	_ = c.SetWriteDeadline(time.Now().Add(connectTimeout))
	return w
}

// Read gives the MQTT library the rest of one packet, or as much of it as p
// takes. Telemetry it consumes itself.
func (c *conn) Read(p []byte) (int, error) {
	for {
		before := c.lane.at
		rest, err := c.lane.next(c.session)
		if err != nil {
			c.fail(err)
			return 0, err
		}
		if len(rest) > 0 {
			n := copy(p, rest)
			c.lane.handed(n)
			return n, nil
		}
		if c.lane.at > before {
			// The library does this for the packets that it sees.
			_ = c.SetDeadline(time.Time{})
		}
		if c.lane.err != nil {
			return 0, c.lane.err
		}
		n, err := c.receive(c.lane.room())
		c.lane.end += n
		c.lane.err = err
	}
}

// receive flushes, then reads. After abort it takes in and forgets what comes
// until the peer ends or the linger time is over.
func (c *conn) receive(p []byte) (int, error) {
	c.park()
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	c.parked = false
	closing := c.closing
	if err != nil && c.broken != nil {
		err = c.broken
	}
	c.mu.Unlock()
	if closing {
		for err == nil {
			_, err = c.Conn.Read(p)
		}
		return 0, net.ErrClosed
	}
	return n, err
}

// park says that the reader is going to wait: what was gathered leaves now and
// later writes leave by themselves. It waits while the peer is behind by more
// than highWater, which is how a peer that does not read stops being read.
func (c *conn) park() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parked = true
	for c.flushing && len(c.out) > highWater && c.broken == nil {
		c.room.Wait()
	}
	if !c.flushing && !c.held {
		c.flushLocked()
	}
}

// unpark ends park when no Read follows.
func (c *conn) unpark() {
	c.mu.Lock()
	c.parked = false
	c.mu.Unlock()
}

// flushLocked sends until nothing is left. The caller holds mu, which is
// released during each write, and has seen that nobody else flushes.
func (c *conn) flushLocked() {
	c.flushing = true
	for len(c.out) > 0 && c.broken == nil && !c.held {
		batch := c.out
		c.out = c.spare[:0]
		timeout, closing := c.writeTimeout, c.closing
		if closing {
			timeout = min(timeout, lingerTime)
		}
		c.mu.Unlock()
		// A deadline that would hardly move stays.
		if t := time.Now().Add(timeout); closing || t.Sub(c.writeDeadline) > timeout/16 {
			c.writeDeadline = t
			_ = c.SetWriteDeadline(t)
		}
		_, err := c.Conn.Write(batch)
		c.mu.Lock()
		if cap(batch) <= highWater {
			c.spare = batch[:0]
		} else {
			c.spare = nil
		}
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = errSlowPeer
			}
			c.broken = err
			// Wakes the reader, which ends the session.
			_ = c.SetReadDeadline(time.Unix(1, 0))
		}
		c.room.Broadcast()
	}
	c.flushing = false
	c.room.Broadcast()
}

// wakeFlusherLocked sees to it that out is sent if the reader will not do it.
func (c *conn) wakeFlusherLocked() {
	if !c.flushing && !c.held && len(c.out) > 0 && (c.parked || len(c.out) >= flushSize) {
		c.flushing = true
		c.helpers.Go(func() {
			c.mu.Lock()
			c.flushLocked()
			c.mu.Unlock()
		})
	}
}

// Write is write for the MQTT library.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// write queues one or more whole packets and waits while the peer is behind by
// more than highWater.
func (c *conn) write(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.out) > highWater && c.broken == nil && !c.closing {
		c.wakeFlusherLocked()
		c.room.Wait()
	}
	return c.appendLocked(p)
}

// writeThen is write, but the packets leave only when then has run: what then
// switches on is on when the client learns of it, and comes after them. It must
// not be called twice at a time, and then must not wait for the peer.
func (c *conn) writeThen(p []byte, then func()) error {
	c.mu.Lock()
	c.held = true
	err := c.appendLocked(p)
	c.mu.Unlock()
	if err == nil {
		then()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = false
	if !c.closing {
		c.wakeFlusherLocked()
	}
	return err
}

// enqueue is write for callers that must not wait. A peer that leaves more than
// maxUnsent bytes unread is cut off.
func (c *conn) enqueue(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out)+len(p) > maxUnsent {
		c.abortLocked(errSlowPeer)
	}
	return c.appendLocked(p)
}

func (c *conn) appendLocked(p []byte) error {
	switch {
	case c.broken != nil:
		return c.broken
	case c.closing:
		return net.ErrClosed
	}
	c.out = append(c.out, p...)
	c.wakeFlusherLocked()
	return nil
}

// abort ends the connection from any goroutine without waiting: what is queued
// leaves, the peer sees a plain end of stream, and the reader's goroutine cleans
// up. cause is for the log; the first one holds.
func (c *conn) abort(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abortLocked(cause)
}

func (c *conn) abortLocked(cause error) {
	if c.closing {
		return
	}
	c.closing = true
	if c.cause == nil {
		c.cause = cause
	}
	c.room.Broadcast()
	c.helpers.Go(c.finishWriting)
}

// finishWriting sends what is left and then ends the stream in this direction.
// The reader gets at most lingerTime from here.
func (c *conn) finishWriting() {
	c.mu.Lock()
	// A peer that has stopped reading gets no more patience.
	_ = c.SetWriteDeadline(time.Now().Add(lingerTime))
	for c.flushing && c.broken == nil {
		c.room.Wait()
	}
	if !c.flushing {
		c.flushLocked()
	}
	broken := c.broken != nil
	c.mu.Unlock()
	if broken || !closeWrite(c.Conn) {
		_ = c.Conn.Close()
		return
	}
	_ = c.SetReadDeadline(time.Now().Add(lingerTime))
}

// closeWrite ends the stream to the peer, TLS first, and reports whether the
// transport can do that.
func closeWrite(c net.Conn) bool {
	if t, ok := c.(*tls.Conn); ok {
		_ = t.CloseWrite()
		c = t.NetConn()
	}
	w, ok := c.(interface{ CloseWrite() error })
	return ok && w.CloseWrite() == nil
}

// Close ends the connection on the reader's goroutine: it takes the session
// down, sends what is queued, takes in what the peer still sends, and closes.
func (c *conn) Close() error {
	c.mu.Lock()
	first := !c.closing
	c.closing = true
	c.room.Broadcast()
	c.mu.Unlock()
	if c.session != nil {
		c.session.finish()
	}
	if first {
		c.finishWriting()
	}
	_, _ = io.Copy(io.Discard, c.Conn)
	err := c.Conn.Close()
	c.helpers.Wait()
	return err
}

// SetDeadline is the MQTT library's way to mind keep-alive, once per packet. It
// rounds to whole seconds, so the time that counts is idleTimeout. A deadline
// that would hardly move stays.
func (c *conn) SetDeadline(time.Time) error {
	if c.idleTimeout == 0 {
		return nil
	}
	t := time.Now().Add(c.idleTimeout)
	if d := t.Sub(c.readDeadline); d >= 0 && d < 50*time.Millisecond {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.broken != nil {
		return nil
	}
	c.readDeadline = t
	return c.SetReadDeadline(t)
}

// peerCertificates returns the client's certificate chain, leaf first, when the
// connection, or what it wraps, is TLS and the client showed one.
func (c *conn) peerCertificates() []*x509.Certificate {
	if t, ok := c.Conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return t.ConnectionState().PeerCertificates
	}
	return nil
}

// endCause returns why the connection ended, or nil when nobody said.
func (c *conn) endCause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		return c.broken
	}
	return c.cause
}

// fail notes the cause on the reader's goroutine, which will close.
func (c *conn) fail(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.cause = cause
	}
}
