package inspect

import (
	"crypto/tls"
	"net"
	"sync"
)

// maxFrameLength bounds the frames that a stream is believed to have.
const maxFrameLength = 1 << 24

// stream cuts one direction of a connection into frames.
type stream struct {
	// synced says that the next byte is the first of a frame, or belongs to the one that has begun.
	synced bool
	// partial is the beginning of a frame, of which want bytes belong to it (0 while that is not known) and have have come.
	partial    []byte
	want, have int
}

// take takes the bytes of one read or write. A stream that is watched from its middle on is followed from the first read or
// write that consists of whole frames, which those of IoT devices mostly do.
func (s *stream) take(b []byte, codec Codec, add func(size int, raw []byte)) {
	if !s.synced {
		if !whole(b, codec) {
			return
		}
		s.synced = true
	}
	for len(b) > 0 {
		if s.want == 0 {
			// Not more than a header is missing.
			old := len(s.partial)
			s.partial = append(s.partial, b[:min(len(b), 16)]...)
			n := codec.Length(s.partial)
			if n < 0 || n > maxFrameLength || n == 0 && len(s.partial) > 64 {
				*s = stream{}
				return
			}
			if n == 0 {
				b = b[len(s.partial)-old:]
				continue
			}
			s.want, s.have = n, old
			s.partial = s.partial[:old]
		}
		n := min(len(b), s.want-s.have)
		if room := maxFrameBytes - len(s.partial); room > 0 {
			s.partial = append(s.partial, b[:min(n, room)]...)
		}
		s.have += n
		b = b[n:]
		if s.have == s.want {
			add(s.want, s.partial)
			s.partial, s.want, s.have = nil, 0, 0
		}
	}
}

// whole reports whether b consists of whole frames.
func whole(b []byte, codec Codec) bool {
	for len(b) > 0 {
		n := codec.Length(b)
		if n <= 0 || n > len(b) {
			return false
		}
		b = b[n:]
	}
	return true
}

// tap is a connection that is looked at. Reads are made by one goroutine, and writes one at a time.
type tap struct {
	net.Conn
	r *Recorder
	c *connection
	// born is the recording during which the connection began; 0 for none.
	born int64

	closed  sync.Once
	in, out half
}

// half is one direction of a tap.
type half struct {
	mu        sync.Mutex
	direction Direction
	// watch is the recording that the stream belongs to; 0 before the first.
	watch int64
	stream
}

// observe records what goes over a direction.
func (t *tap) observe(h *half, b []byte) {
	watch := t.r.watch.Load()
	if watch == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watch != watch {
		// What was missed may have ended in the middle of a frame.
		h.watch, h.stream = watch, stream{synced: h.watch == 0 && watch == t.born}
	}
	h.take(b, t.c.codec, func(size int, raw []byte) { t.r.add(t.c, h.direction, size, raw) })
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	if n > 0 {
		t.c.bytesIn.Add(int64(n))
		t.observe(&t.in, b[:n])
	}
	return n, err
}

func (t *tap) Write(b []byte) (int, error) {
	// Before the bytes leave, so that the answer to them cannot be recorded first.
	t.observe(&t.out, b)
	n, err := t.Conn.Write(b)
	t.c.bytesOut.Add(int64(n))
	return n, err
}

func (t *tap) Close() error {
	t.closed.Do(func() { t.r.end(t.c) })
	return t.Conn.Close()
}

// NetConn is the connection below, as that of tls.Conn.
func (t *tap) NetConn() net.Conn {
	if secure, ok := t.Conn.(*tls.Conn); ok {
		return secure.NetConn()
	}
	return t.Conn
}

// CloseWrite ends the stream to the peer: TLS, where there is one, and then TCP.
func (t *tap) CloseWrite() error {
	if secure, ok := t.Conn.(*tls.Conn); ok {
		_ = secure.CloseWrite()
	}
	if w, ok := t.NetConn().(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return net.ErrClosed
}

// WebSocket reports whether the connection is one, as the service API's sockets do.
func (t *tap) WebSocket() bool {
	w, ok := t.Conn.(interface{ WebSocket() bool })
	return ok && w.WebSocket()
}

// secureTap is a tap on TLS. Protocols look for the method.
type secureTap struct{ *tap }

func (t secureTap) ConnectionState() tls.ConnectionState {
	return t.Conn.(interface{ ConnectionState() tls.ConnectionState }).ConnectionState()
}

// Conn returns c, looked at by r. The methods ConnectionState, NetConn and CloseWrite of TLS and TCP connections stay.
func (r *Recorder) Conn(c net.Conn, protocol string, codec Codec) net.Conn {
	t := &tap{Conn: c, r: r, c: r.open(protocol, c.RemoteAddr(), c.LocalAddr(), codec), born: r.watch.Load()}
	t.in.direction, t.out.direction = In, Out
	if _, ok := c.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return secureTap{t}
	}
	return t
}

// Listener returns l, with every connection looked at.
func (r *Recorder) Listener(l net.Listener, protocol string, codec Codec) net.Listener {
	return listener{l, r, protocol, codec}
}

type listener struct {
	net.Listener
	r        *Recorder
	protocol string
	codec    Codec
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.r.Conn(c, l.protocol, l.codec), nil
}
